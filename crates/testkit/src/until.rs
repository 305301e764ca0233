//! Waiting for a condition: the one place where a test may let time pass.

use std::time::Duration;

use tokio::time::Instant;

/// How soon the condition is looked at again, at first.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(5);
/// No look comes later than this after the one before.
const LOOK_INTERVAL_MAX: Duration = Duration::from_millis(50);
/// In between: this part of what was waited already. Many tests wait at once, and their looks are work.
const LOOK_PART: u32 = 8;

/// Waits until `condition` holds, looking every few milliseconds, and less often the longer it takes. Honours tokio's paused clock.
///
/// # Panics
/// After `bound`, naming `what` was awaited.
pub async fn until(what: &str, bound: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    let deadline = began + bound;
    while !condition().await {
        assert!(Instant::now() < deadline, "{what}: not within {bound:?}");
        let pause = (began.elapsed() / LOOK_PART).clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL_MAX);
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_comes_true_is_noticed() {
        let mut looks = 0;
        until("the third look", Duration::from_secs(5), async || {
            looks += 1;
            looks == 3
        })
        .await;
        assert_eq!(looks, 3);
    }

    #[tokio::test]
    async fn a_condition_that_never_holds_fails_at_its_bound() {
        let waiting = until("never", Duration::from_millis(20), async || false);
        let outcome = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(waiting)).await;
        assert!(outcome.is_err());
    }
}
