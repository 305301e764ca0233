//! Something that takes long to read, read once and then remembered until somebody says that it is another now.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Mutex;

/// What is remembered.
#[derive(Debug)]
pub(super) struct Remembered<T>(
    /// Held while it is read: who says meanwhile that it is another waits, and so what was read before is not remembered after.
    Mutex<Option<Arc<T>>>,
);

impl<T> Remembered<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What is remembered, else what is read now; `None` where it cannot be read, which is tried again the next time.
    pub(super) async fn or_read(&self, read: impl Future<Output = Option<T>>) -> Option<Arc<T>> {
        let mut known = self.0.lock().await;
        if known.is_none() {
            *known = read.await.map(Arc::new);
        }
        known.clone()
    }

    /// It is another now, and that is written down.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_changes_while_it_is_read_is_read_anew() {
        let prices = Remembered::new();
        let (let_go, held) = oneshot::channel();
        let reading = prices.or_read(async { held.await.ok() });
        let changes = async {
            // The old one is read already; a person changes it before it is remembered.
            let forgotten = prices.forget();
            let ends = async { let_go.send("old").unwrap() };
            tokio::join!(biased; forgotten, ends);
        };
        let (read, ()) = tokio::join!(biased; reading, changes);
        assert_eq!(read.as_deref(), Some(&"old"));
        assert_eq!(prices.or_read(async { Some("new") }).await.as_deref(), Some(&"new"));
        assert_eq!(prices.or_read(async { Some("newer") }).await.as_deref(), Some(&"new"), "read once");
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_tried_again() {
        let prices = Remembered::new();
        assert_eq!(prices.or_read(async { None }).await, None);
        assert_eq!(prices.or_read(async { Some(1) }).await.as_deref(), Some(&1));
    }
}
