//! What went wrong, sorted by what to do about it.
//!
//! The sorting is by HTTP status and by transport failure, and by what was asked for, never by the wording of a message: wordings
//! differ between engines. The one exception: that a container's profile of system calls is refused has no status of its own, and
//! every engine names the kernel's facility, seccomp, when it is.

use std::error::Error as StdError;

/// What this crate's calls return.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// A call to the engine failed. [`ErrorKind`] says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {detail}")]
pub struct EngineError {
    kind: ErrorKind,
    doing: String,
    detail: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What to do about an [`EngineError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The engine failed for a moment: the same call may succeed soon. Idempotent calls were retried already.
    Transient,
    /// The object is not there (404): make it again or forget it.
    Gone,
    /// The object is in a state or a use that does not allow this (409): look again, then decide.
    Conflict,
    /// The request itself is refused: repeating it unchanged is pointless.
    Denied,
    /// The engine has given out all that it has of something (addresses for networks): wait until some is given back, or give it more.
    Exhausted,
    /// The engine does not take the profile of system calls that a container is to have: give it the engine's own, or use another engine.
    ProfileRefused,
    /// Nothing answers: hold until an engine is there.
    Unreachable,
    /// The engine is older than what Berth speaks.
    TooOld {
        /// The newest API that the engine speaks.
        found: crate::ApiVersion,
        /// The oldest API that Berth speaks.
        needed: crate::ApiVersion,
    },
    /// The engine answered something that makes no sense, or is out of order: a person must look.
    Broken,
}

impl EngineError {
    /// An error of `kind`: `doing` names the call and its object, `detail` what happened, both lowercase and without a final stop.
    pub fn new(kind: ErrorKind, doing: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, doing: doing.into(), detail: detail.into(), source: None }
    }

    /// The same, caused by `source`.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The call and its object.
    pub fn doing(&self) -> &str {
        &self.doing
    }

    /// What happened, in the engine's words where it gave any. May quote a sandbox: escape before showing.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether the object was not there.
    pub fn is_gone(&self) -> bool {
        self.kind == ErrorKind::Gone
    }
}
