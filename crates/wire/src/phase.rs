//! The phases of a step and of a run, why either may be held, and the words a person reads for them.
//!
//! Interface, command line, tray and notifications all take the words from here.

use serde::{Deserialize, Serialize};

/// Where a step is. A run's phase is computed from its steps' (`lifecycle::run_phase`); a task shows its latest run's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits for a slot and for its home.
    Queued,
    /// Its sandbox is being made.
    Provisioning,
    /// The agent works.
    Executing,
    /// The agent is done; a person has yet to look.
    AwaitingReview,
    /// Done, and accepted where a review was asked for.
    Completed,
    /// Ended by an error, a limit, or a rejection.
    Failed,
    /// Ended because a person said so.
    Cancelled,
}

impl Phase {
    /// Every phase, in the order a step goes through them.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Provisioning,
        Self::Executing,
        Self::AwaitingReview,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// What a person reads.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Provisioning => "Provisioning",
            Self::Executing => "Executing",
            Self::AwaitingReview => "Awaiting review",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// The name in data: JSON, the database, CSS hooks.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Provisioning => "provisioning",
            Self::Executing => "executing",
            Self::AwaitingReview => "awaiting_review",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The phase of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }

    /// Nothing happens after it without a new run.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// A sandbox is being made or works.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Provisioning | Self::Executing)
    }
}

/// Why something that could go on does not. A step can be held for several reasons at once; it goes on when none is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// A person paused it.
    Person,
    /// Its budget is spent.
    Budget,
    /// The engine does not answer.
    Engine,
    /// The app is away, and the step needs it.
    AppAway,
    /// The disk is nearly full.
    DiskSpace,
}

impl Hold {
    /// Every hold.
    pub const ALL: [Self; 5] = [Self::Person, Self::Budget, Self::Engine, Self::AppAway, Self::DiskSpace];

    /// What a person reads, after "Held: ".
    pub const fn word(self) -> &'static str {
        match self {
            Self::Person => "paused by you",
            Self::Budget => "the budget is spent",
            Self::Engine => "the engine does not answer",
            Self::AppAway => "Berth was closed",
            Self::DiskSpace => "the disk is nearly full",
        }
    }

    /// The name in data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Budget => "budget",
            Self::Engine => "engine",
            Self::AppAway => "app_away",
            Self::DiskSpace => "disk_space",
        }
    }

    /// The hold of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hold| hold.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_data_are_those_that_serde_writes() {
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.name());
            assert_eq!(Phase::from_name(phase.name()), Some(phase));
        }
        for hold in Hold::ALL {
            assert_eq!(serde_json::to_value(hold).unwrap(), hold.name());
            assert_eq!(Hold::from_name(hold.name()), Some(hold));
        }
    }

    #[test]
    fn only_the_last_three_phases_are_final() {
        let last: Vec<_> = Phase::ALL.into_iter().filter(|phase| phase.is_final()).collect();
        assert_eq!(last, [Phase::Completed, Phase::Failed, Phase::Cancelled]);
    }
}
