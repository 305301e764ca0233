//! Secrets in the OS keyring: Secret Service on Linux, Keychain on macOS, Credential Manager on Windows.
//!
//! A vault knows values by the id of a secret; names, grants and what a secret is bound to are rows of the store. A value is never
//! logged, never serialised, never printed, and what was read stays in memory for at most [`RECENT_TIME_MAX`].
//!
//! ```text
//! open ─▶ Keyring ──────────── put, get, delete ─▶ the OS
//!     └─▶ Session (and why) ── put, get, delete ─▶ this process's memory, gone with it
//! ```
//!
//! Which of the two it is, is decided once, when the vault is opened: a secret typed into a keyring is never looked for in memory, and
//! one that was kept in memory is never said to be safe. There is no third place, and never a plain file.

mod crash;
mod held;
mod keep;

use std::sync::Arc;
use std::time::Duration;

pub use secrecy;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::task::{JoinError, JoinSet};
use wire::ids::{InstallId, SecretId};

use held::Held;
use keep::{Keep, Keyring, Session};

/// How long a value that was read from the keyring stays in memory.
pub const RECENT_TIME_MAX: Duration = Duration::from_mins(1);
/// How long the keyring may take to answer; it may be asking the person for a password meanwhile.
pub const ANSWER_TIME_MAX: Duration = Duration::from_mins(2);
/// Longest value, in bytes. (Windows keeps at most 2,560; no provider's token comes near.)
pub const VALUE_BYTES_MAX: usize = 2_560;

/// Where values are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the OS keyring.
    Keyring,
    /// In the memory of this process alone: they are gone when it ends.
    Session(NoKeyring),
}

/// Why there is no keyring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoKeyring {
    /// No service that keeps secrets answers: no session bus, or no service on it.
    Absent {
        /// In the platform's own words.
        detail: String,
    },
    /// This Berth is told to use none.
    Unwanted,
}

/// Why a secret could not be kept, read or deleted. No variant holds a value.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The keyring is locked, or the person said no.
    #[error("the keyring is locked")]
    Locked(#[source] keyring::Error),
    /// The keyring does not have it: it was deleted outside Berth, or kept by a session that ended.
    #[error("the keyring does not have the secret")]
    Missing,
    /// The value is no single line of text, or is longer than a keyring takes.
    #[error("the value is unusable: {0}")]
    Unusable(&'static str),
    /// The keyring did not answer within [`ANSWER_TIME_MAX`].
    #[error("the keyring did not answer within {} s", ANSWER_TIME_MAX.as_secs())]
    Silent,
    /// The keyring failed.
    #[error("the keyring failed")]
    Failed(#[source] keyring::Error),
}

/// Whether the OS keyring is to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Where there is one.
    Keyring,
    /// Never: memory only.
    Session,
}

/// Keeps the values of secrets.
#[derive(Debug)]
pub struct Vault {
    keep: Arc<dyn Keep>,
    place: Place,
    held: Arc<Held>,
    /// Forgets what was held long enough. Ends with the vault.
    _forgetting: JoinSet<()>,
}

impl Vault {
    /// Opens the vault of an install. Asks the OS once whether it has a keyring; does not unlock it. From here on a crash of this
    /// process leaves no core file.
    pub async fn open(install: InstallId, wanted: Use) -> Self {
        crash::leave_no_core();
        let absent = |detail| Self::within(Arc::new(Session::default()), Place::Session(NoKeyring::Absent { detail }));
        match wanted {
            Use::Session => Self::within(Arc::new(Session::default()), Place::Session(NoKeyring::Unwanted)),
            Use::Keyring => match blocking(move || Keyring::open(install)).await {
                Ok(Ok(keyring)) => Self::within(Arc::new(keyring), Place::Keyring),
                Ok(Err(detail)) => absent(detail),
                Err(Silence) => absent(VaultError::Silent.to_string()),
            },
        }
    }

    fn within(keep: Arc<dyn Keep>, place: Place) -> Self {
        let held = Arc::new(Held::default());
        let mut forgetting = JoinSet::new();
        let held_on = held.clone();
        forgetting.spawn(async move { held_on.forget_in_time().await });
        Self { keep, place, held, _forgetting: forgetting }
    }

    /// Where values are kept.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Keeps a value, in place of the one before. `name` is what the person sees in the keyring's own window, where it shows one.
    pub async fn put(&self, secret: SecretId, name: &str, value: SecretString) -> Result<(), VaultError> {
        check(value.expose_secret())?;
        let (keep, name) = (self.keep.clone(), name.to_owned());
        // Before and after: whoever asks meanwhile may see either, nobody the old one later.
        self.held.forget(secret);
        let outcome = blocking(move || keep.put(secret, &name, &value)).await;
        self.held.forget(secret);
        outcome?
    }

    /// The value of a secret.
    pub async fn get(&self, secret: SecretId) -> Result<SecretString, VaultError> {
        let began = match self.held.get(secret) {
            Ok(value) => return Ok(value),
            Err(began) => began,
        };
        let keep = self.keep.clone();
        let value = blocking(move || keep.get(secret)).await??;
        self.held.hold(began, secret, value.clone());
        Ok(value)
    }

    /// Deletes a value. One that is not there is deleted already.
    pub async fn delete(&self, secret: SecretId) -> Result<(), VaultError> {
        let keep = self.keep.clone();
        self.held.forget(secret);
        let outcome = blocking(move || keep.delete(secret)).await;
        self.held.forget(secret);
        match outcome? {
            Ok(()) | Err(VaultError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Whether a value can be kept: it goes into a header or an environment, neither of which carries lines or NULs.
pub fn check(value: &str) -> Result<(), VaultError> {
    if value.is_empty() {
        return Err(VaultError::Unusable("it is empty"));
    }
    if value.len() > VALUE_BYTES_MAX {
        return Err(VaultError::Unusable("it is longer than 2,560 bytes"));
    }
    if value.contains(['\0', '\n', '\r']) {
        return Err(VaultError::Unusable("it has more than one line, or a NUL in it"));
    }
    Ok(())
}

/// The keyring did not answer in time. The thread that waits for it is left behind: such a call cannot be taken back.
struct Silence;

impl From<Silence> for VaultError {
    fn from(Silence: Silence) -> Self {
        Self::Silent
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Silence> {
    match tokio::time::timeout(ANSWER_TIME_MAX, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(error)) => Err(end_of(error)),
        Err(_elapsed) => Err(Silence),
    }
}

fn end_of(error: JoinError) -> Silence {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // The runtime is being shut down.
        Err(_cancelled) => Silence,
    }
}

#[cfg(test)]
mod tests;
