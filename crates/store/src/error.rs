//! What can go wrong with the file, sorted by what a person can do about it.

use camino::Utf8PathBuf;
use lifecycle::Inconsistent;
use wire::ids::{SandboxId, StepId};

/// The store could not do what it was asked to. Nothing of it was done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A newer Berth has written the file. It was not changed.
    #[error("{path} was written by a newer Berth (migration {migration} is not known here)")]
    Newer {
        /// The file.
        path: Utf8PathBuf,
        /// The migration that this Berth does not have.
        migration: i64,
    },
    /// The file is a database, but none of Berth's, or one whose migrations were tampered with. It was not changed.
    #[error("{path} is not a database of Berth's")]
    NotBerth {
        /// The file.
        path: Utf8PathBuf,
    },
    /// The file was open when its Berth ended, and the log with what was written last is not there. Nothing was changed.
    #[error("{log} is missing: it holds what was written last")]
    LogMissing {
        /// The log.
        log: Utf8PathBuf,
        /// The mark that says that it should be there.
        mark: Utf8PathBuf,
    },
    /// Another process holds the file for longer than [`BUSY_TIMEOUT`](crate::BUSY_TIMEOUT). Trying again may help.
    #[error("the database is locked by another process")]
    Locked(#[source] Cause),
    /// The file is damaged, or no database at all.
    #[error("the database file is damaged")]
    Corrupt(#[source] Cause),
    /// A row holds what no Berth writes.
    #[error("a row of {table} cannot be read: {what}")]
    Row {
        /// The table.
        table: &'static str,
        /// The column, and what it holds.
        what: String,
    },
    /// A step's row holds a state that no step can have.
    #[error("step {step} has an impossible state")]
    State {
        /// The step.
        step: StepId,
        /// What is wrong with it.
        #[source]
        source: Inconsistent,
    },
    /// The disk is full.
    #[error("the disk with the database is full")]
    Full(#[source] Cause),
    /// The file or its folder cannot be written.
    #[error("the database cannot be written")]
    ReadOnly(#[source] Cause),
    /// The disk or the file system failed, or the file cannot be opened.
    #[error("the database cannot be read or written")]
    Io(#[source] Cause),
    /// The step has changed since the caller looked. Look again.
    #[error("step {step} is at revision {found}, not {expected}")]
    Conflict {
        /// The step.
        step: StepId,
        /// The caller's revision.
        expected: i64,
        /// The row's revision.
        found: i64,
    },
    /// There is no such thing.
    #[error("no {what} {key}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// By which key.
        key: String,
    },
    /// The beginning of an id fits several.
    #[error("{prefix} is the beginning of more than one id")]
    Ambiguous {
        /// The beginning.
        prefix: String,
    },
    /// An agent of that name is there already.
    #[error("an agent named {name} is there already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A secret of that name is there already.
    #[error("a secret named {name} is there already")]
    SecretNameTaken {
        /// The name.
        name: String,
    },
    /// A project of that name is there already.
    #[error("a project named {name} is there already")]
    ProjectNameTaken {
        /// The name.
        name: String,
    },
    /// An image of that name is there already.
    #[error("an image named {name} is there already")]
    ImageNameTaken {
        /// The name.
        name: String,
    },
    /// The agent has another secret in that variable.
    #[error("the agent has another secret in the variable {variable}")]
    VariableTaken {
        /// The variable.
        variable: String,
    },
    /// The sandbox is removed; nothing can happen in it any more.
    #[error("sandbox {sandbox} is removed already")]
    Removed {
        /// The sandbox.
        sandbox: SandboxId,
    },
    /// A run without steps was to be written.
    #[error("a run needs at least one step")]
    NoSteps,
    /// A statement failed for a reason that is a fault of Berth's own.
    #[error("the database refused a statement")]
    Statement(#[source] Cause),
}

/// What the database had to say. Opaque, so that nobody else depends on the library below.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Cause(sqlx::Error);

impl StoreError {
    /// Whether the same call may succeed later, without anybody changing the file: it is locked, or the disk does not take it.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Locked(_) | Self::Full(_) | Self::ReadOnly(_) | Self::Io(_) => true,
            Self::Newer { .. }
            | Self::NotBerth { .. }
            | Self::LogMissing { .. }
            | Self::Corrupt(_)
            | Self::Row { .. }
            | Self::State { .. }
            | Self::Conflict { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::NameTaken { .. }
            | Self::SecretNameTaken { .. }
            | Self::ProjectNameTaken { .. }
            | Self::ImageNameTaken { .. }
            | Self::VariableTaken { .. }
            | Self::Removed { .. }
            | Self::NoSteps
            | Self::Statement(_) => false,
        }
    }

    /// What a check of the file found.
    pub(crate) fn damaged(what: String) -> Self {
        Self::Corrupt(Cause(sqlx::Error::Decode(what.into())))
    }
}

/// The primary result codes that a person can do something about (<https://www.sqlite.org/rescode.html>).
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const NOTADB: i32 = 26;
    /// An extended code carries its primary one in the low byte.
    pub(super) const PRIMARY_MASK: i32 = 0xff;
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let primary = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<i32>().ok())
            .map(|code| code & code::PRIMARY_MASK);
        let is_io = matches!(error, sqlx::Error::Io(_));
        let is_busy = matches!(error, sqlx::Error::PoolTimedOut);
        let cause = Cause(error);
        match primary {
            Some(code::BUSY | code::LOCKED) => Self::Locked(cause),
            Some(code::CORRUPT | code::NOTADB) => Self::Corrupt(cause),
            Some(code::FULL) => Self::Full(cause),
            Some(code::READONLY) => Self::ReadOnly(cause),
            Some(code::IOERR | code::CANTOPEN) => Self::Io(cause),
            None if is_io => Self::Io(cause),
            None if is_busy => Self::Locked(cause),
            Some(_) | None => Self::Statement(cause),
        }
    }
}

/// Whether a unique index refused a row.
pub(crate) fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
