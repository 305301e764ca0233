//! Why an input is refused.

use crate::state::ATTEMPTS_MAX;

/// Why an input changes nothing. An answer, not an error: what may arrive twice is refused the second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denied {
    /// A held step gets no slot.
    Held,
    /// That hold is there already.
    AlreadyHeld,
    /// That hold is not there.
    NotHeld,
    /// It waits for a person; nothing goes on that could be held.
    NothingToHold,
    /// It has no slot yet, so there is no sandbox.
    NoSlotYet,
    /// It has had its slot.
    SlotTaken,
    /// The sandbox is still being made.
    StillProvisioning,
    /// The agent has been started.
    AlreadyExecuting,
    /// The agent is not done.
    NotDoneYet,
    /// The agent is done; the sandbox is needed no longer.
    AgentDone,
    /// Nobody asked for its end.
    NotEnding,
    /// It is being ended, for this reason or another.
    AlreadyEnding,
    /// It has had [`ATTEMPTS_MAX`] attempts.
    AttemptsSpent,
    /// It has not ended, so the task cannot be run once more.
    NotOver,
    /// It is completed.
    AlreadyCompleted,
    /// It failed.
    AlreadyFailed,
    /// It was cancelled.
    AlreadyCancelled,
}

impl Denied {
    /// Every reason.
    pub const ALL: [Self; 17] = [
        Self::Held,
        Self::AlreadyHeld,
        Self::NotHeld,
        Self::NothingToHold,
        Self::NoSlotYet,
        Self::SlotTaken,
        Self::StillProvisioning,
        Self::AlreadyExecuting,
        Self::NotDoneYet,
        Self::AgentDone,
        Self::NotEnding,
        Self::AlreadyEnding,
        Self::AttemptsSpent,
        Self::NotOver,
        Self::AlreadyCompleted,
        Self::AlreadyFailed,
        Self::AlreadyCancelled,
    ];

    /// The reason as a sentence for a person.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Held => "The step is held; it goes on when nothing holds it any more.",
            Self::AlreadyHeld => "The step is held for this reason already.",
            Self::NotHeld => "The step is not held for this reason.",
            Self::NothingToHold => "The step waits for your review; nothing goes on that could be held.",
            Self::NoSlotYet => "The step is still queued and has no sandbox yet.",
            Self::SlotTaken => "The step is no longer queued.",
            Self::StillProvisioning => "The sandbox is still being made.",
            Self::AlreadyExecuting => "The agent is at work already.",
            Self::NotDoneYet => "The agent is not done yet; there is nothing to review.",
            Self::AgentDone => "The agent is done; the step waits for your review.",
            Self::NotEnding => "Nobody has asked for the step's end.",
            Self::AlreadyEnding => "The step is being ended already.",
            Self::AttemptsSpent => {
                const { assert!(ATTEMPTS_MAX == 100, "the sentence below says the number") };
                "The step has had 100 attempts; approve it, reject it, or retry the task."
            }
            Self::NotOver => "The step has not ended yet; stop it first.",
            Self::AlreadyCompleted => "The step is completed.",
            Self::AlreadyFailed => "The step has failed; retry the task to run it once more.",
            Self::AlreadyCancelled => "The step was cancelled; retry the task to run it once more.",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_is_a_sentence_of_its_own() {
        let sentences: BTreeSet<_> = Denied::ALL.iter().map(|denied| denied.reason()).collect();
        assert_eq!(sentences.len(), Denied::ALL.len());
        for sentence in sentences {
            assert!(sentence.starts_with("The ") || sentence.starts_with("Nobody "), "{sentence}");
            assert!(sentence.ends_with('.'), "{sentence}");
        }
    }
}
