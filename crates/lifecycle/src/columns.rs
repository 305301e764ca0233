//! A state as plain columns, and back. What comes back is checked once, here; past it a state is valid.

use wire::{Phase, task::ReviewGate};

use crate::{
    ending::{Ending, Failure},
    holds::Holds,
    state::{ATTEMPTS_MAX, Course, Stage, StepState},
};

/// A state, flat: what a table holds of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The phase.
    pub phase: Phase,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Whether a person is asked at the end.
    pub review: ReviewGate,
    /// Why it does not go on.
    pub holds: Holds,
    /// Why it is being ended.
    pub ending: Option<Ending>,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// Columns that no step can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    /// The attempt is 0 or past [`ATTEMPTS_MAX`], or past 1 although nobody is asked.
    #[error("attempt {0} is not possible")]
    Attempt(u32),
    /// The phase knows no holds, or an ending has overruled them.
    #[error("a step in phase {} cannot be held like this", .0.name())]
    Holds(Phase),
    /// The phase knows no ending.
    #[error("a step in phase {} cannot be ending", .0.name())]
    Ending(Phase),
    /// A failure where there is none, or none where there is one.
    #[error("a step in phase {} has the wrong failure", .0.name())]
    Failure(Phase),
    /// A review of a step that has none.
    #[error("a step in phase {} without a review gate was reviewed", .0.name())]
    Review(Phase),
}

impl StepState {
    /// The state of these columns, if there is such a one.
    pub fn restore(columns: Columns) -> Result<Self, Inconsistent> {
        let Columns { phase, attempt, review, holds, ending, failure } = columns;
        if attempt == 0 || attempt > ATTEMPTS_MAX || (attempt > 1 && review == ReviewGate::Skip) {
            return Err(Inconsistent::Attempt(attempt));
        }
        let reviewed = phase == Phase::AwaitingReview || failure == Some(Failure::Rejected);
        if reviewed && review == ReviewGate::Skip {
            return Err(Inconsistent::Review(phase));
        }
        if ending.is_some() && !phase.is_live() {
            return Err(Inconsistent::Ending(phase));
        }
        let can_be_held = phase == Phase::Queued || (phase.is_live() && ending.is_none());
        if !holds.is_empty() && !can_be_held {
            return Err(Inconsistent::Holds(phase));
        }
        if failure.is_some() != (phase == Phase::Failed) {
            return Err(Inconsistent::Failure(phase));
        }
        let course = ending.map_or(Course::On { holds }, Course::Ending);
        let stage = match phase {
            Phase::Queued => Stage::Queued { holds },
            Phase::Provisioning => Stage::Provisioning(course),
            Phase::Executing => Stage::Executing(course),
            Phase::AwaitingReview => Stage::AwaitingReview,
            Phase::Completed => Stage::Completed,
            Phase::Failed => Stage::Failed(failure.ok_or(Inconsistent::Failure(phase))?),
            Phase::Cancelled => Stage::Cancelled,
        };
        Ok(Self::from_parts(attempt, review, stage))
    }

    /// The state as columns.
    pub const fn columns(&self) -> Columns {
        Columns {
            phase: self.phase(),
            attempt: self.attempt(),
            review: self.review(),
            holds: self.holds(),
            ending: self.ending(),
            failure: self.failure(),
        }
    }
}
