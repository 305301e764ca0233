//! What a person can do to a step. The core decides which are possible and says why the others are not; every skin draws
//! just those.

use serde::{Deserialize, Serialize};

/// Something a person can do to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Accept the finished work.
    Approve,
    /// Send it back with a comment: the step gets another attempt.
    RequestChanges,
    /// Turn the work down: the step fails.
    Reject,
    /// Hold the step where it is.
    Pause,
    /// Let a held step go on.
    Resume,
    /// End the step now.
    Cancel,
    /// Run the task once more, as a new run.
    Retry,
}

impl Action {
    /// Every action, in the order in which they are drawn.
    pub const ALL: [Self; 7] =
        [Self::Approve, Self::RequestChanges, Self::Reject, Self::Pause, Self::Resume, Self::Cancel, Self::Retry];

    /// The label of its button.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Approve => "Approve",
            Self::RequestChanges => "Request changes",
            Self::Reject => "Reject",
            Self::Pause => "Pause",
            Self::Resume => "Resume",
            Self::Cancel => "Stop",
            Self::Retry => "Retry",
        }
    }

    /// The key that does the same, as the interface shows it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Approve => "A",
            Self::RequestChanges => "C",
            Self::Reject => "X",
            Self::Pause | Self::Resume => "P",
            Self::Cancel => ".",
            Self::Retry => "⇧R",
        }
    }
}

/// An action as it stands now for one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionView {
    /// Which.
    pub action: Action,
    /// Why it cannot be done now; `None` where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<String>,
}
