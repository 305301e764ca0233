//! The task list as it is drawn: rows in groups, and where the selection goes. Pure.

use std::cmp::Reverse;

use jiff::Timestamp;
use wire::{Phase, ids::TaskId, view::TaskRow};

/// A group of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    AwaitingReview,
    Executing,
    Queued,
    CompletedToday,
    Failed,
    CompletedEarlier,
    Cancelled,
}

impl Group {
    /// Every group from the top of the list down: what needs a person, what happens, what came of it. What was completed before today
    /// comes after what failed, so that it never pushes a failure out of sight.
    pub const ALL: [Self; 7] = [
        Self::AwaitingReview,
        Self::Executing,
        Self::Queued,
        Self::CompletedToday,
        Self::Failed,
        Self::CompletedEarlier,
        Self::Cancelled,
    ];

    /// What a person reads.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AwaitingReview | Self::Executing | Self::Queued | Self::Failed | Self::Cancelled => {
                self.phase().word()
            }
            Self::CompletedToday => "Completed today",
            Self::CompletedEarlier => "Completed earlier",
        }
    }

    /// The phase whose icon it has.
    pub const fn phase(self) -> Phase {
        match self {
            Self::AwaitingReview => Phase::AwaitingReview,
            Self::Executing => Phase::Executing,
            Self::Queued => Phase::Queued,
            Self::CompletedToday | Self::CompletedEarlier => Phase::Completed,
            Self::Failed => Phase::Failed,
            Self::Cancelled => Phase::Cancelled,
        }
    }

    fn of(row: &TaskRow, day_start: Timestamp) -> Self {
        match row.phase {
            Phase::Queued => Self::Queued,
            Phase::Provisioning | Phase::Executing => Self::Executing,
            Phase::AwaitingReview => Self::AwaitingReview,
            Phase::Completed if row.since >= day_start => Self::CompletedToday,
            Phase::Completed => Self::CompletedEarlier,
            Phase::Failed => Self::Failed,
            Phase::Cancelled => Self::Cancelled,
        }
    }
}

/// The rows in their groups, empty groups left out; within one the order of the list is kept, but for those that wait: the first in line
/// comes first, and what is held last.
pub fn grouped(rows: &[TaskRow], day_start: Timestamp) -> Vec<(Group, Vec<&TaskRow>)> {
    Group::ALL
        .into_iter()
        .map(|group| {
            let mut rows: Vec<_> = rows.iter().filter(|row| Group::of(row, day_start) == group).collect();
            if group == Group::Queued {
                rows.sort_by_key(|row| (!row.holds.is_empty(), Reverse(row.priority), row.number));
            }
            (group, rows)
        })
        .filter(|(_, rows)| !rows.is_empty())
        .collect()
}

/// Which way the selection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Next,
    Previous,
    First,
    Last,
}

impl Step {
    /// The step of a key.
    pub fn of_key(key: &str) -> Option<Self> {
        match key {
            "j" | "ArrowDown" => Some(Self::Next),
            "k" | "ArrowUp" => Some(Self::Previous),
            "Home" => Some(Self::First),
            "End" => Some(Self::Last),
            _ => None,
        }
    }
}

/// The task that is selected after a step, in the order of `tasks` as drawn. Stays at the ends; begins at the top where nothing is
/// selected, or what was is gone.
pub fn stepped(tasks: &[TaskId], selected: Option<TaskId>, step: Step) -> Option<TaskId> {
    let last = tasks.len().checked_sub(1)?;
    let at = selected.and_then(|selected| tasks.iter().position(|task| *task == selected));
    let to = match (step, at) {
        (Step::First, _) | (Step::Next | Step::Previous, None) => 0,
        (Step::Last, _) => last,
        (Step::Next, Some(at)) => (at + 1).min(last),
        (Step::Previous, Some(at)) => at.saturating_sub(1),
    };
    tasks.get(to).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::row;

    fn groups(rows: &[TaskRow], day_start: &str) -> Vec<(Group, Vec<i64>)> {
        grouped(rows, day_start.parse().unwrap())
            .into_iter()
            .map(|(group, rows)| (group, rows.iter().map(|row| row.number).collect()))
            .collect()
    }

    #[test]
    fn what_needs_a_person_comes_first_and_failures_before_old_successes() {
        let rows = [
            row(6, Phase::Completed),
            row(5, Phase::Failed),
            row(4, Phase::Provisioning),
            row(3, Phase::AwaitingReview),
            row(2, Phase::Executing),
            row(1, Phase::Cancelled),
        ];
        let expected = [
            (Group::AwaitingReview, vec![3]),
            (Group::Executing, vec![4, 2]),
            (Group::Failed, vec![5]),
            (Group::CompletedEarlier, vec![6]),
            (Group::Cancelled, vec![1]),
        ];
        assert_eq!(groups(&rows, "2026-11-22T00:00:00Z"), expected);
        assert_eq!(groups(&rows[..1], "2026-11-21T00:00:00Z"), [(Group::CompletedToday, vec![6])]);
    }

    #[test]
    fn those_that_wait_stand_in_line_and_what_is_held_at_its_end() {
        let mut rows: Vec<_> = (1..=5).rev().map(|number| row(number, Phase::Queued)).collect();
        rows[0].priority = wire::Priority::High;
        rows[2].priority = wire::Priority::Low;
        rows[4].holds = vec![wire::Hold::Person];
        assert_eq!(groups(&rows, "2026-11-21T00:00:00Z"), [(Group::Queued, vec![5, 2, 4, 3, 1])]);
    }

    #[test]
    fn the_selection_stays_at_the_ends() {
        let tasks: Vec<_> = (1..=3).map(|number| row(number, Phase::Queued).task).collect();
        assert_eq!(stepped(&tasks, Some(tasks[2]), Step::Next), Some(tasks[2]));
        assert_eq!(stepped(&tasks, Some(tasks[0]), Step::Previous), Some(tasks[0]));
        assert_eq!(stepped(&tasks, Some(tasks[0]), Step::Next), Some(tasks[1]));
        assert_eq!(stepped(&tasks, Some(tasks[0]), Step::Last), Some(tasks[2]));
    }

    #[test]
    fn a_selection_that_is_gone_begins_at_the_top() {
        let tasks: Vec<_> = (1..=2).map(|number| row(number, Phase::Queued).task).collect();
        let gone = row(9, Phase::Queued).task;
        assert_eq!(stepped(&tasks, Some(gone), Step::Next), Some(tasks[0]));
        assert_eq!(stepped(&tasks, None, Step::Previous), Some(tasks[0]));
        assert_eq!(stepped(&[], None, Step::Next), None);
    }
}
