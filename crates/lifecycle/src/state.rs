//! The state of a step. Each stage carries what is valid then, and nothing else.

use wire::{Phase, task::ReviewGate};

use crate::{
    ending::{Ending, Failure},
    holds::Holds,
};

/// How often changes can be requested of one step, the first attempt included.
pub const ATTEMPTS_MAX: u32 = 100;

/// A step as the lifecycle sees it. It changes only through [`advance`](crate::advance()).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StepState {
    /// From 1 to [`ATTEMPTS_MAX`]. Invariant: 1 where the gate is [`ReviewGate::Skip`], since only a review asks for more.
    attempt: u32,
    review: ReviewGate,
    /// Invariant: `AwaitingReview` and `Failed(Rejected)` only where the gate is [`ReviewGate::Ask`].
    stage: Stage,
}

/// Where a step is, with what is known of it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Waits for a slot and for its home.
    Queued {
        /// Why it gets none, although there may be one.
        holds: Holds,
    },
    /// Its sandbox is being made.
    Provisioning(Course),
    /// The agent has been started.
    Executing(Course),
    /// The agent is done, a person has yet to look.
    AwaitingReview,
    /// Done.
    Completed,
    /// Not done, and why.
    Failed(Failure),
    /// Ended by a person.
    Cancelled,
}

/// Whether a step with a sandbox goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Course {
    /// It does, unless something holds it.
    On {
        /// What does.
        holds: Holds,
    },
    /// It is being ended. Nothing can hold it any more.
    Ending(Ending),
}

impl StepState {
    /// A step that was just asked for: queued, in its first attempt, not held.
    pub const fn new(review: ReviewGate) -> Self {
        Self { attempt: 1, review, stage: Stage::Queued { holds: Holds::NONE } }
    }

    pub(crate) const fn from_parts(attempt: u32, review: ReviewGate, stage: Stage) -> Self {
        Self { attempt, review, stage }
    }

    /// The attempt, from 1.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether a person is asked at the end.
    pub const fn review(&self) -> ReviewGate {
        self.review
    }

    /// Where it is, with what is known of it there.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Where it is, as everybody else says it.
    pub const fn phase(&self) -> Phase {
        match self.stage {
            Stage::Queued { .. } => Phase::Queued,
            Stage::Provisioning(_) => Phase::Provisioning,
            Stage::Executing(_) => Phase::Executing,
            Stage::AwaitingReview => Phase::AwaitingReview,
            Stage::Completed => Phase::Completed,
            Stage::Failed(_) => Phase::Failed,
            Stage::Cancelled => Phase::Cancelled,
        }
    }

    /// Why it does not go on.
    pub const fn holds(&self) -> Holds {
        match self.stage {
            Stage::Queued { holds }
            | Stage::Provisioning(Course::On { holds })
            | Stage::Executing(Course::On { holds }) => holds,
            Stage::Provisioning(Course::Ending(_))
            | Stage::Executing(Course::Ending(_))
            | Stage::AwaitingReview
            | Stage::Completed
            | Stage::Failed(_)
            | Stage::Cancelled => Holds::NONE,
        }
    }

    /// Whether its agent was started and is stopped where it is, so that its time stands still.
    pub const fn is_agent_held(&self) -> bool {
        match self.stage {
            Stage::Executing(Course::On { holds }) => !holds.is_empty(),
            Stage::Queued { .. }
            | Stage::Provisioning(_)
            | Stage::Executing(Course::Ending(_))
            | Stage::AwaitingReview
            | Stage::Completed
            | Stage::Failed(_)
            | Stage::Cancelled => false,
        }
    }

    /// Why it is being ended, while it is.
    pub const fn ending(&self) -> Option<Ending> {
        match self.stage {
            Stage::Provisioning(Course::Ending(ending)) | Stage::Executing(Course::Ending(ending)) => Some(ending),
            Stage::Queued { .. }
            | Stage::Provisioning(Course::On { .. })
            | Stage::Executing(Course::On { .. })
            | Stage::AwaitingReview
            | Stage::Completed
            | Stage::Failed(_)
            | Stage::Cancelled => None,
        }
    }

    /// Why it failed, if it did.
    pub const fn failure(&self) -> Option<Failure> {
        match self.stage {
            Stage::Failed(failure) => Some(failure),
            Stage::Queued { .. }
            | Stage::Provisioning(_)
            | Stage::Executing(_)
            | Stage::AwaitingReview
            | Stage::Completed
            | Stage::Cancelled => None,
        }
    }
}
