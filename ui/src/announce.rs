//! What changed between two looks at the task list, in words: for the live region, and for toasts about what is not in sight. Pure.

use wire::{Phase, view::TaskRow};

/// A task went to another phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The task's number.
    pub number: i64,
    /// Its title.
    pub title: String,
    /// The phase it is in now.
    pub to: Phase,
    /// One line on how it stands.
    pub note: String,
}

impl Change {
    /// The change as a sentence.
    pub fn sentence(&self) -> String {
        format!("#{} {}: {}", self.number, self.title, self.to.word())
    }

    /// Whether a person who is elsewhere wants to be told.
    pub const fn is_worth_a_toast(&self) -> bool {
        match self.to {
            Phase::AwaitingReview | Phase::Completed | Phase::Failed => true,
            Phase::Queued | Phase::Provisioning | Phase::Executing | Phase::Cancelled => false,
        }
    }
}

/// The tasks whose phase is another than before, newest first. A task that was not there before is no change: whoever made it knows.
pub fn changes(before: &[TaskRow], after: &[TaskRow]) -> Vec<Change> {
    after
        .iter()
        .filter(|row| before.iter().any(|old| old.task == row.task && old.phase != row.phase))
        .map(|row| Change { number: row.number, title: row.title.clone(), to: row.phase, note: row.note.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::row;

    #[test]
    fn a_new_task_is_no_change_and_a_new_phase_is_one() {
        let before = [row(1, Phase::Executing), row(2, Phase::Queued)];
        let after = [row(3, Phase::Queued), row(1, Phase::Failed), row(2, Phase::Queued)];
        let changes = changes(&before, &after);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].sentence(), "#1 Task 1: Failed");
        assert!(changes[0].is_worth_a_toast());
    }

    #[test]
    fn what_a_person_did_or_expects_is_no_toast() {
        for phase in [Phase::Queued, Phase::Provisioning, Phase::Executing, Phase::Cancelled] {
            let change = &changes(&[row(1, Phase::Completed)], &[row(1, phase)])[0];
            assert!(!change.is_worth_a_toast(), "{phase:?}");
        }
    }
}
