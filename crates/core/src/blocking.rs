//! Work that blocks, off the runtime's own threads.

use std::io;

use tokio::task::JoinError;

/// Runs work on the blocking threads. While the runtime is torn down there are none: then this waits for ever, since nothing may
/// be concluded from it.
///
/// # Errors
/// The work panicked.
pub(crate) async fn off_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    match tokio::task::spawn_blocking(work).await {
        Err(error) if error.is_cancelled() => std::future::pending().await,
        done => done,
    }
}

/// The same for work on files.
///
/// # Errors
/// Those of the work; [`io::ErrorKind::Other`] where it panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    off_runtime(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_runtime_that_goes_away_is_no_error_of_the_work() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (asked_tx, asked_rx) = mpsc::channel::<()>();
        let (go_tx, go_rx) = mpsc::channel::<()>();
        let has_answer = Arc::new(AtomicBool::new(false));
        let answered = has_answer.clone();
        // The task is in the middle of a poll while its runtime goes away, and asks for a thread only then.
        runtime.spawn(async move {
            asked_tx.send(()).unwrap();
            go_rx.recv().unwrap();
            let _ = blocking(|| Ok(())).await;
            answered.store(true, Ordering::SeqCst);
        });
        asked_rx.recv().unwrap();
        runtime.shutdown_timeout(Duration::ZERO);
        go_tx.send(()).unwrap();
        // The worker ends with its last poll, and lets go of the task's end of the channel.
        while go_tx.send(()).is_ok() {
            std::thread::yield_now();
        }
        assert!(!has_answer.load(Ordering::SeqCst));
    }
}
