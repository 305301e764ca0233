//! Blocking work that ends soon after nobody waits for it any more.

use tokio_util::sync::CancellationToken;

use crate::blocking::off_runtime;

/// The work was given up, or broke down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work was given up before it was done")]
pub(crate) struct Stopped;

/// Asked by blocking work between two blocks, at least once per 128 KiB or per file.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopSign(CancellationToken);

impl StopSign {
    /// An error once nobody waits any more.
    pub(crate) fn check(&self) -> Result<(), Stopped> {
        if self.0.is_cancelled() { Err(Stopped) } else { Ok(()) }
    }
}

/// Runs `work` on the blocking threads.
///
/// # Cancel safety
/// Dropping the future raises the stop sign; the work ends at its next check of it.
pub(crate) async fn stoppable<T, E>(work: impl FnOnce(&StopSign) -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Stopped> + Send + 'static,
{
    let stop_sign = StopSign::default();
    let _raised_on_drop = stop_sign.0.clone().drop_guard();
    off_runtime(move || work(&stop_sign)).await.unwrap_or(Err(Stopped.into()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_ends() {
        let (ended_tx, ended_rx) = tokio::sync::oneshot::channel();
        let waiting = stoppable::<(), Stopped>(move |stop_sign| {
            while stop_sign.check().is_ok() {
                std::thread::yield_now();
            }
            let _ = ended_tx.send(());
            Ok(())
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());
        tokio::time::timeout(Duration::from_secs(10), ended_rx).await.unwrap().unwrap();
    }
}
