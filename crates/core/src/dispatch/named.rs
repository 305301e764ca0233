//! Tasks and runs as a person names them: by number, by id, or by the beginning of an id.

use store::{IdPrefix, RunRecord, TaskRecord};
use wire::{ErrorCode, ErrorView};

use super::of_store;
use crate::escape;
use crate::house::House;

/// A task by id, number, or the beginning of its id.
pub(super) async fn find_task(house: &House, text: &str) -> Result<TaskRecord, ErrorView> {
    let found = match Named::parse(text) {
        Some(Named::Number(number)) => house.store.task_by_number(number).await,
        Some(Named::Prefix(prefix)) => house.store.task_by_prefix(&prefix).await,
        None => return Err(no_name("task", text)),
    };
    found.map_err(|error| of_store(&error))
}

/// A run by id, the beginning of its id, or its task's number.
pub(crate) async fn find_run(house: &House, text: &str) -> Result<RunRecord, ErrorView> {
    let found = match Named::parse(text) {
        Some(Named::Number(number)) => match house.store.task_by_number(number).await {
            Ok(task) => house.store.run(task.latest_run).await,
            Err(error) => Err(error),
        },
        Some(Named::Prefix(prefix)) => house.store.run_by_prefix(&prefix).await,
        None => return Err(no_name("run", text)),
    };
    found.map_err(|error| of_store(&error))
}

/// What a person calls a task or a run.
enum Named {
    Number(i64),
    Prefix(IdPrefix),
}

impl Named {
    /// A number with or without `#`; what is longer than any number can be is an id.
    fn parse(text: &str) -> Option<Self> {
        const NUMBER_DIGITS_MAX: usize = 9;
        let text = text.trim();
        let digits = text.strip_prefix('#').unwrap_or(text);
        if digits.len() <= NUMBER_DIGITS_MAX && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return digits.parse().ok().map(Self::Number);
        }
        IdPrefix::parse(text).map(Self::Prefix)
    }
}

fn no_name(what: &str, text: &str) -> ErrorView {
    let shown = escape::visible(text.as_bytes());
    ErrorView::new(ErrorCode::InvalidArgument, format!("`{shown}` names no {what}.")).hint(
        "Give a number (`12` or `#12`), an id, or at least the first six digits of one; `berth ls` lists the tasks.",
    )
}
