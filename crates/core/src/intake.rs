//! How a task comes in: text, a task file, a folder, several paths.
//!
//! A task file is Markdown: optional front matter (YAML between two lines `---`) and the prompt. [`preview`] reads a
//! source and says what Berth would make of it; [`accept`] checks a task as it is asked for, whoever asks;
//! [`copy_attachments`] takes its files into a folder of Berth's own. Nothing here starts anything or knows the store.
//!
//! The person's own files are trusted to be theirs, not to be sane: all of it is bounded, and a task file that came from
//! elsewhere names no file outside its own folder.

mod copy;
mod error;
mod files;
mod front_matter;
mod limits;
mod name;
mod source;
mod text;

use camino::Utf8PathBuf;
use wire::{
    ErrorView, LimitsPatch,
    task::{Attachment, NewTask, PROMPT_BYTES_MAX, TaskDraft, TaskSource},
};

pub(crate) use self::copy::StagedFile;
use self::error::IntakeError;
use crate::workspace::stoppable::stoppable;

/// Files that come with a task at most.
pub(crate) const ATTACHMENTS_MAX: usize = 1_000;

/// Bytes of all files of a task together at most: 2 GiB.
pub(crate) const ATTACHMENTS_BYTES_MAX: u64 = 2 << 30;

/// What Berth would make of a source. Reads, never writes.
///
/// # Cancel safety
/// Dropped, it stops between two files.
pub(crate) async fn preview(source: TaskSource) -> Result<TaskDraft, ErrorView> {
    Ok(stoppable(move |stop_sign| source::read(source, stop_sign)).await?)
}

/// What a task file of these bytes says, were it the person's own and in no folder.
#[cfg(fuzzing)]
pub(crate) fn read_bytes(
    bytes: &[u8],
    stop_sign: &crate::workspace::stoppable::StopSign,
) -> Result<TaskDraft, ErrorView> {
    let text = text::decode(bytes)?.to_owned();
    Ok(source::read(TaskSource::Text { text }, stop_sign)?)
}

/// Checks a task as it is asked for (prompt, limits, attachments) and fills in its title and the sizes of what it brings.
pub(crate) fn accept(mut task: NewTask) -> Result<NewTask, ErrorView> {
    if task.prompt.trim().is_empty() {
        return Err(IntakeError::Empty.into());
    }
    if task.prompt.len() > PROMPT_BYTES_MAX {
        return Err(IntakeError::TooLarge { size_bytes: Some(task.prompt.len() as u64) }.into());
    }
    text::refuse_binary(task.prompt.as_bytes())?;
    if let Some(limits) = &task.limits {
        limits::check(limits)?;
    }
    let title = task.title.take().map(|title| text::as_title(&title)).filter(|title| !title.is_empty());
    task.title = Some(title.unwrap_or_else(|| text::title_of_markdown(&task.prompt)));
    files::check(&mut task.attachments)?;
    Ok(task)
}

/// Checks limits, of a task or of an agent.
pub(crate) fn check_limits(limits: &LimitsPatch) -> Result<(), ErrorView> {
    Ok(limits::check(limits)?)
}

/// Copies attachments into `staging`: hashed, and on disk when it returns. The folder is made if it is missing; the caller
/// removes it when it is done with, or on error or drop.
///
/// # Cancel safety
/// Dropped, it stops between two blocks.
pub(crate) async fn copy_attachments(
    attachments: Vec<Attachment>,
    staging: Utf8PathBuf,
) -> Result<Vec<StagedFile>, ErrorView> {
    Ok(stoppable(move |stop_sign| copy::copy(&attachments, &staging, stop_sign)).await?)
}

#[cfg(test)]
mod tests;
