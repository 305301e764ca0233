//! Errors as a person reads them: what happened, what it means, what to press next.

use serde::{Deserialize, Serialize};

/// A stable name for a kind of error. Scripts match on it; it is never repurposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No engine answers.
    EngineUnreachable,
    /// The engine answers, but is older than what Berth needs.
    EngineTooOld,
    /// The engine refused or failed.
    EngineFailed,
    /// An image is not there and cannot be made.
    ImageMissing,
    /// An image is there, but cannot be used as a sandbox.
    ImageUnusable,
    /// A task file cannot be read as one.
    TaskInvalid,
    /// A named thing is not known.
    NotFound,
    /// The thing is not in a state in which that can be done.
    NotNow,
    /// The arguments do not make sense.
    InvalidArgument,
    /// Another Berth uses the data folder.
    DataFolderInUse,
    /// The data folder was written by a newer Berth.
    DataFolderNewer,
    /// Reading or writing the data folder failed.
    Storage,
    /// The sandbox ended when it should not have.
    SandboxLost,
    /// The program of the agent could not be started.
    AgentNotStarted,
    /// The agent ended with an error of its own.
    AgentFailed,
    /// A limit of the step was reached.
    LimitReached,
    /// The review ended with a rejection.
    Rejected,
    /// The guest broke the protocol of the pipe.
    GuestBroken,
    /// The keyring is locked, silent, or has not what it should have.
    Keyring,
    /// A budget is spent, or a price is not known.
    Budget,
    /// The caller has not shown that it may call.
    Unauthorized,
    /// A fault of Berth's own.
    Internal,
}

/// An error on its way to a person or a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ErrorView {
    /// The kind, for scripts.
    pub code: ErrorCode,
    /// What happened and what it means: one or two sentences.
    pub message: String,
    /// What to do next. Empty where there is nothing a person could do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// What the sandbox had to say last, already made safe to show. May be several lines.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl ErrorView {
    /// An error of that kind, without hint or detail.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: String::new(), detail: String::new() }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Adds the last words of whatever failed.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}
