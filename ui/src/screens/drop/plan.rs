//! What becomes of files that were dropped on the page: one may be the task, the others come along. Pure.

use crate::screens::new_task::draft::{ATTACHMENTS_MAX, INLINE_BYTES_MAX};

/// The largest file that is looked at as a task.
const TASK_BYTES_MAX: u64 = 1 << 20;

/// What becomes of the files, by their place in the list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The task.
    pub task: Option<usize>,
    /// Those that come along.
    pub attached: Vec<usize>,
    /// Why others do not, a sentence each.
    pub refused: Vec<String>,
}

/// Plans for files given as name and size: the first text file is the task, the others come along as far as they fit.
pub fn plan<'a>(files: impl IntoIterator<Item = (&'a str, u64)>) -> Plan {
    let mut plan = Plan::default();
    let mut total = 0;
    for (at, (name, size_bytes)) in files.into_iter().enumerate() {
        if plan.task.is_none() && is_text(name) && size_bytes <= TASK_BYTES_MAX {
            plan.task = Some(at);
        } else if total + size_bytes > INLINE_BYTES_MAX {
            plan.refused.push(format!("{name} was left out: dropped files may hold 20 MiB together"));
        } else if plan.attached.len() == ATTACHMENTS_MAX {
            plan.refused.push(format!("{name} was left out: {ATTACHMENTS_MAX} files may come along"));
        } else {
            total += size_bytes;
            plan.attached.push(at);
        }
    }
    plan
}

fn is_text(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| {
        ["md", "markdown", "txt", "text"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_text_file_is_the_task_and_the_rest_come_along() {
        let plan = plan([("a.png", 10), ("Task.MD", 20), ("notes.txt", 30)]);
        assert_eq!(plan, Plan { task: Some(1), attached: vec![0, 2], refused: vec![] });
    }

    #[test]
    fn files_without_a_text_among_them_come_along_alone() {
        assert_eq!(plan([("md", 1), ("a.mdx", 1)]), Plan { task: None, attached: vec![0, 1], refused: vec![] });
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused_and_a_smaller_one_after_it_is_not() {
        let plan = plan([("big.bin", INLINE_BYTES_MAX + 1), ("small.bin", 1)]);
        assert_eq!((plan.attached, plan.refused.len()), (vec![1], 1));
        assert!(plan.refused[0].starts_with("big.bin"));
    }

    #[test]
    fn a_huge_text_is_no_task() {
        assert_eq!(plan([("huge.txt", TASK_BYTES_MAX + 1)]), Plan { task: None, attached: vec![0], refused: vec![] });
    }
}
