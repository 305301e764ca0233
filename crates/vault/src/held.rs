//! What was read from the keyring a moment ago, so that a gateway that answers a hundred requests a minute does not ask a hundred times.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use secrecy::SecretString;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use wire::ids::SecretId;

use crate::RECENT_TIME_MAX;

/// Values that were read, each for [`RECENT_TIME_MAX`]. What is dropped is overwritten (`secrecy`).
#[derive(Debug, Default)]
pub(crate) struct Held {
    values: Mutex<Values>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Values {
    by_secret: HashMap<SecretId, (Instant, SecretString)>,
    /// Counts what was put and deleted: what began to be read before that may be stale.
    generation: u64,
}

/// Which generation a read began in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began(u64);

impl Held {
    /// The value, or when the reading of it begins.
    pub(crate) fn get(&self, secret: SecretId) -> Result<SecretString, Began> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        match values.by_secret.get(&secret) {
            Some((until, value)) if *until > Instant::now() => Ok(value.clone()),
            Some(_) | None => Err(Began(values.generation)),
        }
    }

    /// Holds what was read, unless something was put or deleted meanwhile.
    pub(crate) fn hold(&self, Began(generation): Began, secret: SecretId, value: SecretString) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if values.generation == generation {
            values.by_secret.insert(secret, (Instant::now() + RECENT_TIME_MAX, value));
            drop(values);
            self.changed.notify_one();
        }
    }

    pub(crate) fn forget(&self, secret: SecretId) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.generation += 1;
        values.by_secret.remove(&secret);
    }

    /// Forgets each value when its time has come. Never ends.
    pub(crate) async fn forget_in_time(&self) {
        loop {
            match self.forget_old() {
                Some(next) => tokio::select! {
                    () = sleep_until(next) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// Forgets what is old, and says when the next is.
    fn forget_old(&self) -> Option<Instant> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        values.by_secret.retain(|_, (until, _)| *until > now);
        values.by_secret.values().map(|(until, _)| *until).min()
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).by_secret.len()
    }
}
