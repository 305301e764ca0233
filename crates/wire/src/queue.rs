//! The queue: who goes first, how many work at once, and why a step waits.
//!
//! The rule, whole: nothing starts while the queue is paused or the engine is away. Otherwise, whenever a slot is free, the first in
//! line starts whose home nobody uses. In line are all queued steps that nothing holds: high before normal before low priority,
//! and within one priority in the order in which they were asked for. A step that is sent back for changes keeps that place. Nothing
//! ages: a low priority waits for as long as there is anything else to do. A step that is held while it executes keeps its slot,
//! since its sandbox keeps its memory.

use serde::{Deserialize, Serialize};

use crate::{phase::Hold, view::TaskRow};

/// Whose turn is first, where several wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// After everything else.
    Low,
    /// As most.
    #[default]
    Normal,
    /// Before everything else.
    High,
}

impl Priority {
    /// Every priority, in the order of their turns.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// What a person reads.
    pub const fn word(self) -> &'static str {
        match self {
            Self::High => "High",
            Self::Normal => "Normal",
            Self::Low => "Low",
        }
    }

    /// The name in data: JSON, the database, front matter, the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The priority of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.name() == name)
    }
}

/// Whether queued steps may start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueState {
    /// They may.
    #[default]
    Open,
    /// A person paused the queue: nothing new starts, what works works on.
    Paused,
}

/// How many sandboxes work at once, as a person sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Slots {
    /// As many as the cores and the memory of the engine's machine allow.
    #[default]
    Auto,
    /// That many.
    Fixed {
        /// From 1 to [`SLOTS_MAX`].
        count: u32,
    },
}

/// The most sandboxes at once that can be set.
pub const SLOTS_MAX: u32 = 64;

/// Why a queued step does not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Wait {
    /// It is held.
    Held {
        /// Why: one reason and more.
        holds: Vec<Hold>,
    },
    /// The queue is paused.
    Paused {
        /// Steps before it in line.
        before: u32,
    },
    /// The engine does not answer.
    Engine,
    /// A disk has less room than it needs.
    Disk,
    /// Another step works in its home.
    Home {
        /// The agent whose home it is.
        agent: String,
        /// The number of the task that uses it.
        #[serde(default)]
        number: Option<i64>,
    },
    /// All slots are taken.
    Slot {
        /// Steps before it in line that wait for a slot, too.
        before: u32,
    },
    /// Nothing: it starts in this moment.
    Nothing,
}

impl Wait {
    /// The reason as a person reads it.
    pub fn sentence(&self) -> String {
        match self {
            Self::Held { holds } => {
                let words: Vec<_> = holds.iter().map(|hold| hold.word()).collect();
                format!("Held: {}", words.join(", "))
            }
            Self::Paused { before: 0 } => "The queue is paused; first in line".to_owned(),
            Self::Paused { before } => format!("The queue is paused; {before} before it in line"),
            Self::Engine => "Waits for the engine".to_owned(),
            Self::Disk => "Waits for room on the disk".to_owned(),
            Self::Home { agent, number: Some(number) } => format!("Waits for {agent}'s home, which #{number} uses"),
            Self::Home { agent, number: None } => format!("Waits for {agent}'s home, which is in use"),
            Self::Slot { before: 0 } => "Next when a slot is free".to_owned(),
            Self::Slot { before } => format!("{before} before it in line"),
            Self::Nothing => "Starts now".to_owned(),
        }
    }
}

/// The queue at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueView {
    /// Whether queued steps may start.
    pub state: QueueState,
    /// How many sandboxes work at once, as it is set.
    pub slots: Slots,
    /// How many that comes to.
    pub slots_max: u32,
    /// How many it would be with [`Slots::Auto`].
    pub slots_auto: u32,
    /// Slots taken.
    pub slots_used: u32,
    /// The tasks that wait, the first in line first; those that are held come last. At most 200.
    pub waiting: Vec<TaskRow>,
    /// How many more wait.
    #[serde(default)]
    pub left_out: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_sort_by_whose_turn_is_later() {
        assert!(Priority::High > Priority::Normal && Priority::Normal > Priority::Low);
        for priority in Priority::ALL {
            assert_eq!(Priority::from_name(priority.name()), Some(priority));
            assert_eq!(serde_json::to_value(priority).unwrap(), priority.name());
        }
    }

    #[test]
    fn a_wait_is_said_in_words_that_tell_what_to_do() {
        let home = Wait::Home { agent: "ada".to_owned(), number: Some(12) };
        assert_eq!(home.sentence(), "Waits for ada's home, which #12 uses");
        let held = Wait::Held { holds: vec![Hold::Person, Hold::Engine] };
        assert_eq!(held.sentence(), "Held: paused by you, the engine does not answer");
    }
}
