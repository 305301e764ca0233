//! The two places where values are kept.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use keyring::Entry;
use secrecy::{ExposeSecret as _, SecretString};
use wire::ids::{InstallId, SecretId};

use crate::VaultError;

/// What every entry of Berth's in the keyring belongs to.
const SERVICE: &str = "berth";

/// Keeps values. Calls block.
pub(crate) trait Keep: Send + Sync + fmt::Debug {
    fn put(&self, secret: SecretId, name: &str, value: &SecretString) -> Result<(), VaultError>;
    fn get(&self, secret: SecretId) -> Result<SecretString, VaultError>;
    fn delete(&self, secret: SecretId) -> Result<(), VaultError>;
}

/// The keyring of the OS.
#[derive(Debug)]
pub(crate) struct Keyring {
    install: InstallId,
}

impl Keyring {
    /// `Err` says why there is none.
    pub(crate) fn open(install: InstallId) -> Result<Self, String> {
        match Entry::store_status() {
            Ok(()) => Ok(Self { install }),
            Err(error) => Err(error.to_string()),
        }
    }

    fn entry(&self, secret: SecretId) -> Result<Entry, VaultError> {
        Entry::new(SERVICE, &self.user(secret)).map_err(told)
    }

    /// The entry under a name that a person knows; only the Secret Service shows one.
    fn named(&self, secret: SecretId, name: &str) -> Result<Entry, VaultError> {
        #[cfg(target_os = "linux")]
        {
            let label = format!("Berth: {name}");
            let shown = std::collections::HashMap::from([("label", label.as_str())]);
            let inner = keyring_core::Entry::new_with_modifiers(SERVICE, &self.user(secret), &shown).map_err(told)?;
            Ok(Entry { inner })
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = name;
            self.entry(secret)
        }
    }

    /// Two data folders of one person share a keyring, and must not share a secret.
    fn user(&self, secret: SecretId) -> String {
        format!("{}/{secret}", self.install)
    }
}

impl Keep for Keyring {
    fn put(&self, secret: SecretId, name: &str, value: &SecretString) -> Result<(), VaultError> {
        self.named(secret, name)?.set_password(value.expose_secret()).map_err(told)
    }

    fn get(&self, secret: SecretId) -> Result<SecretString, VaultError> {
        self.entry(secret)?.get_password().map(SecretString::from).map_err(told)
    }

    fn delete(&self, secret: SecretId) -> Result<(), VaultError> {
        self.entry(secret)?.delete_credential().map_err(told)
    }
}

/// Errors of the keyring may carry what was read, so only those that cannot are passed on.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's, and open")]
fn told(error: keyring::Error) -> VaultError {
    match error {
        keyring::Error::NoStorageAccess(_) => VaultError::Locked(error),
        keyring::Error::NoEntry => VaultError::Missing,
        keyring::Error::BadEncoding(_) | keyring::Error::BadDataFormat(..) => {
            VaultError::Unusable("what the keyring has is no text")
        }
        keyring::Error::TooLong(..) => VaultError::Unusable("it is longer than this keyring takes"),
        error => VaultError::Failed(error),
    }
}

/// The memory of this process.
#[derive(Default)]
pub(crate) struct Session {
    values: Mutex<HashMap<SecretId, SecretString>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Keep for Session {
    fn put(&self, secret: SecretId, _name: &str, value: &SecretString) -> Result<(), VaultError> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).insert(secret, value.clone());
        Ok(())
    }

    fn get(&self, secret: SecretId) -> Result<SecretString, VaultError> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.get(&secret).cloned().ok_or(VaultError::Missing)
    }

    fn delete(&self, secret: SecretId) -> Result<(), VaultError> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).remove(&secret);
        Ok(())
    }
}
