//! What a person should hear of wherever they are, the window closed or another in front: few things, each once.

use serde::{Deserialize, Serialize};

use crate::ids::TaskId;

/// What is new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewsView {
    /// What to ask after the next time.
    pub last_seq: i64,
    /// The news, oldest first; of many the newest.
    pub news: Vec<News>,
}

/// What kind of thing there is to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewsKind {
    /// A budget is nearly spent.
    BudgetNearlySpent,
    /// A budget is spent.
    BudgetSpent,
    /// A task is held for its budget.
    HeldForBudget,
}

impl NewsKind {
    /// Every kind, from the mildest.
    pub const ALL: [Self; 3] = [Self::BudgetNearlySpent, Self::BudgetSpent, Self::HeldForBudget];

    /// What a person reads.
    pub const fn word(self) -> &'static str {
        match self {
            Self::BudgetNearlySpent => "A budget is nearly spent",
            Self::BudgetSpent => "A budget is spent",
            Self::HeldForBudget => "A task is held for its budget",
        }
    }

    /// The name in data and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BudgetNearlySpent => "budget_nearly_spent",
            Self::BudgetSpent => "budget_spent",
            Self::HeldForBudget => "held_for_budget",
        }
    }

    /// The kind of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What stays where the desktop's notifications are off, as a sentence.
pub const SILENT_MEANS: &str =
    "The window still says it, it stands in the task's log, and what a budget holds is held.";

/// Of what a person is told by their desktop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewsSettings {
    /// The kinds that are told in the window alone.
    #[serde(default)]
    pub silent: Vec<NewsKind>,
}

/// One thing to hear of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The event's place in the order of all events.
    pub seq: i64,
    /// What kind of thing it is.
    pub kind: NewsKind,
    /// Whether a person wants no notification of it from their desktop.
    #[serde(default)]
    pub is_silent: bool,
    /// The task it is about.
    #[serde(default)]
    pub task: Option<TaskId>,
    /// What happened, in a few words.
    pub title: String,
    /// What it means, in a sentence or two. Plain text: nothing in it is markup to whoever shows it.
    pub body: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_data_are_those_that_serde_writes() {
        for kind in NewsKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(NewsKind::from_name(kind.name()), Some(kind));
        }
    }
}
