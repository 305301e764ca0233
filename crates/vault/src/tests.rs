#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use newtype_uuid::{GenericUuid as _, TypedUuid};
use uuid::Uuid;

use super::*;

fn secret(number: u128) -> SecretId {
    TypedUuid::from_untyped_uuid(Uuid::from_u128(number))
}

async fn session() -> Vault {
    Vault::open(TypedUuid::from_untyped_uuid(Uuid::from_u128(1)), Use::Session).await
}

/// What another task puts while a value is being read.
type Meanwhile = Mutex<Option<(Arc<Held>, SecretString)>>;

/// Counts how often it is asked, as a keyring would be.
#[derive(Debug, Default)]
struct Counting {
    within: Session,
    reads: AtomicU32,
    meanwhile: Meanwhile,
}

impl Keep for Counting {
    fn put(&self, secret: SecretId, name: &str, value: &SecretString) -> Result<(), VaultError> {
        self.within.put(secret, name, value)
    }

    fn get(&self, secret: SecretId) -> Result<SecretString, VaultError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let value = self.within.get(secret);
        if let Some((held, newer)) = self.meanwhile.lock().unwrap().take() {
            self.within.put(secret, "", &newer).unwrap();
            held.forget(secret);
        }
        value
    }

    fn delete(&self, secret: SecretId) -> Result<(), VaultError> {
        self.within.delete(secret)
    }
}

fn counting() -> (Vault, Arc<Counting>) {
    let counting = Arc::new(Counting::default());
    (Vault::within(counting.clone(), Place::Keyring), counting)
}

#[tokio::test]
async fn a_value_is_kept_replaced_and_deleted() {
    let vault = session().await;
    assert_eq!(*vault.place(), Place::Session(NoKeyring::Unwanted));
    let id = secret(7);
    assert!(matches!(vault.get(id).await, Err(VaultError::Missing)));
    vault.put(id, "KEY", "one".into()).await.unwrap();
    assert_eq!(vault.get(id).await.unwrap().expose_secret(), "one");
    vault.put(id, "KEY", "two".into()).await.unwrap();
    assert_eq!(vault.get(id).await.unwrap().expose_secret(), "two", "a new value reaches the next request");
    vault.delete(id).await.unwrap();
    assert!(matches!(vault.get(id).await, Err(VaultError::Missing)));
    vault.delete(id).await.unwrap();
}

#[tokio::test]
async fn what_no_header_can_carry_is_refused() {
    let vault = session().await;
    for value in [String::new(), "a\nb".into(), "a\rb".into(), "a\0b".into(), "x".repeat(VALUE_BYTES_MAX + 1)] {
        let refused = vault.put(secret(1), "KEY", value.clone().into()).await;
        assert!(matches!(refused, Err(VaultError::Unusable(_))), "{value:?}");
    }
    vault.put(secret(1), "KEY", "x".repeat(VALUE_BYTES_MAX).into()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_value_that_was_read_is_held_for_a_minute_and_then_forgotten() {
    let (vault, counting) = counting();
    vault.put(secret(1), "KEY", "one".into()).await.unwrap();
    for _ in 0..3 {
        vault.get(secret(1)).await.unwrap();
    }
    assert_eq!(counting.reads.load(Ordering::Relaxed), 1);
    assert_eq!(vault.held.count(), 1);
    tokio::time::sleep(RECENT_TIME_MAX + Duration::from_millis(10)).await;
    assert_eq!(vault.held.count(), 0, "nobody asked, and it is forgotten all the same");
    vault.get(secret(1)).await.unwrap();
    assert_eq!(counting.reads.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_value_that_is_replaced_while_it_is_read_is_not_held() {
    let (vault, counting) = counting();
    vault.put(secret(1), "KEY", "old".into()).await.unwrap();
    *counting.meanwhile.lock().unwrap() = Some((vault.held.clone(), "new".into()));
    assert_eq!(vault.get(secret(1)).await.unwrap().expose_secret(), "old");
    assert_eq!(vault.get(secret(1)).await.unwrap().expose_secret(), "new");
}

#[tokio::test]
async fn no_value_is_in_what_is_printed() {
    let (vault, counting) = counting();
    vault.put(secret(1), "KEY", "hunter2".into()).await.unwrap();
    vault.get(secret(1)).await.unwrap();
    assert_eq!(vault.held.count(), 1);
    let printed = format!("{vault:?} {:?} {counting:?}", vault.held);
    assert!(!printed.contains("hunter2"), "{printed}");
}
