//! Waiting for a condition, with a bound.

use std::time::{Duration, Instant};

use tokio::time::sleep;

/// How soon a condition is looked at again, at first.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(25);
/// No look comes later than this after the one before.
const LOOK_INTERVAL_MAX: Duration = Duration::from_millis(200);
/// In between: this part of what was waited already. A look may start a program, and many tests wait at once.
const LOOK_PART: u32 = 8;

fn pause(waited: Duration) -> Duration {
    (waited / LOOK_PART).clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL_MAX)
}

/// Looks until there is something, and returns it.
///
/// # Panics
/// Where there is nothing within the bound; `what` says what was waited for.
pub async fn until<T>(what: &str, bound: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < bound, "waited {bound:?} for {what}");
        sleep(pause(began.elapsed())).await;
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
        std::thread::park_timeout(pause(began.elapsed()));
    }
}
