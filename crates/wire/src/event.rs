//! What happened, in order. The log of a task is its events; the store writes each with the state that it tells of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    error::ErrorView,
    ids::{RunId, SandboxId, StepId, TaskId},
    money::MicroUsd,
    phase::{Hold, Phase},
    queue::{Priority, QueueState, Slots},
};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventView {
    /// Its place in the one order of all events: 1 and up, without holes that mean anything.
    pub seq: i64,
    /// When it was written down.
    pub at: Timestamp,
    /// The task it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The step it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// What.
    pub kind: EventKind,
    /// The same as a sentence.
    #[serde(default)]
    pub text: String,
}

/// What happened. Append-only, like everything that is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// A task was taken in.
    TaskCreated {
        /// Its title.
        title: String,
    },
    /// A step went from one phase to another.
    PhaseChanged {
        /// Before.
        from: Phase,
        /// Now.
        to: Phase,
        /// The attempt, counted from 1.
        attempt: u32,
        /// Why, where the new phase is a failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<ErrorView>,
    },
    /// A step is held.
    Held {
        /// Why.
        hold: Hold,
    },
    /// One reason to hold is gone.
    Released {
        /// Which.
        hold: Hold,
    },
    /// One stage of making a sandbox is done.
    Provisioned {
        /// Which stage, in a few words.
        stage: String,
        /// Its number, from 1.
        number: u32,
        /// Of how many.
        of: u32,
    },
    /// A sandbox was made for the step.
    SandboxCreated {
        /// Which.
        sandbox: SandboxId,
    },
    /// After a restart the sandbox was found at work and taken over.
    Adopted {
        /// Which.
        sandbox: SandboxId,
    },
    /// A sandbox and all that belonged to it alone is gone.
    SandboxRemoved {
        /// Which.
        sandbox: SandboxId,
    },
    /// The agent's process ended.
    AgentExited {
        /// How, in words.
        how: String,
    },
    /// The results of a step are final.
    ResultsFinal {
        /// How many files are new or changed.
        count: u64,
    },
    /// A person's comment on a review.
    Comment {
        /// What they said.
        comment: String,
    },
    /// A task's turn in the queue is another.
    PriorityChanged {
        /// Before.
        from: Priority,
        /// Now.
        to: Priority,
    },
    /// The rules of the queue are others.
    QueueChanged {
        /// Whether queued steps may start.
        state: QueueState,
        /// How many sandboxes work at once.
        slots: Slots,
    },
    /// A person turned the work down and said why. Rows of before this kind have a note in its place.
    Rejected {
        /// What they said.
        comment: String,
    },
    /// A budget is used up to a threshold.
    BudgetUsed {
        /// Which, in words.
        budget: String,
        /// The threshold, in percent of the limit.
        percent: u32,
        /// The limit.
        limit: MicroUsd,
    },
    /// Something worth knowing that fits none of the others.
    Note {
        /// What.
        text: String,
    },
}

impl EventKind {
    /// The event as a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::TaskCreated { title } => format!("Task taken in: {title}"),
            Self::PhaseChanged { to, error: Some(error), .. } => format!("{}: {}", to.word(), error.message),
            Self::PhaseChanged { to, attempt, error: None, .. } if *attempt > 1 => {
                format!("{} · attempt {attempt}", to.word())
            }
            Self::PhaseChanged { to, .. } => to.word().to_owned(),
            Self::Held { hold } => format!("Held: {}", hold.word()),
            Self::Released { hold } => format!("No longer held: {}", hold.word()),
            Self::Provisioned { stage, number, of } => format!("{stage} ({number} of {of})"),
            Self::SandboxCreated { .. } => "Sandbox made".to_owned(),
            Self::Adopted { .. } => "Found at work after a restart, taken over".to_owned(),
            Self::SandboxRemoved { .. } => "Sandbox removed".to_owned(),
            Self::AgentExited { how } => format!("The agent {how}"),
            Self::ResultsFinal { count: 0 } => "No results".to_owned(),
            Self::ResultsFinal { count: 1 } => "1 result".to_owned(),
            Self::ResultsFinal { count } => format!("{count} results"),
            Self::Comment { comment } => format!("Changes requested: {comment}"),
            Self::PriorityChanged { to, .. } => format!("Priority: {}", to.word().to_lowercase()),
            Self::QueueChanged { state: QueueState::Paused, .. } => "The queue is paused".to_owned(),
            Self::QueueChanged { state: QueueState::Open, slots: Slots::Auto } => "The queue is open".to_owned(),
            Self::QueueChanged { state: QueueState::Open, slots: Slots::Fixed { count } } => {
                format!("The queue is open, {count} at once")
            }
            Self::Rejected { comment } => format!("Rejected: {comment}"),
            Self::BudgetUsed { budget, percent: 100.., limit } => format!("The {budget} is spent: {limit}"),
            Self::BudgetUsed { budget, percent, limit } => format!("The {budget} is used up to {percent} % of {limit}"),
            Self::Note { text } => text.clone(),
        }
    }
}
