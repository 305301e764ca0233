//! Waiting for a condition, with a bound.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks until there is something, and returns it.
///
/// # Panics
/// Where there is nothing within the bound; `what` says what was waited for.
pub async fn until<T>(what: &str, bound: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < bound, "waited {bound:?} for {what}");
    }
}

/// The same for code that cannot await, such as a `Drop`. Says whether the condition came to hold.
#[must_use]
pub fn settles(bound: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if began.elapsed() >= bound {
            return false;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}
