//! Time and ids. The one file that asks the system for either, so that a test can put its own in their place.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use newtype_uuid::{GenericUuid as _, TypedUuid, TypedUuidKind};
use uuid::Uuid;

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where time comes in")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock and what is made with it.
#[derive(Clone)]
pub(crate) struct Time(Arc<dyn Clock>);

impl Time {
    /// Time by that clock.
    pub(crate) fn new(clock: impl Clock) -> Self {
        Self(Arc::new(clock))
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.now()
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

/// A new id: version 7 of RFC 9562, so that ids sort by when they were made.
#[expect(clippy::disallowed_methods, reason = "this is where ids come in")]
pub(crate) fn new_id<K: TypedUuidKind>() -> TypedUuid<K> {
    TypedUuid::from_untyped_uuid(Uuid::now_v7())
}
