//! How a task comes in: text, a task file, a folder, several paths.

use camino::Utf8PathBuf;
use wire::{
    ErrorView,
    task::{Attachment, NewTask, TaskDraft, TaskSource},
};

/// An attachment that lies in the staging folder, whole and on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StagedFile {
    /// Its name below the staging folder and later below the workspace: relative, `/` between folders.
    pub(crate) name: String,
    /// Its size in bytes.
    pub(crate) size_bytes: u64,
    /// SHA-256 of its content in hex.
    pub(crate) sha256: String,
}

/// What Berth would make of a source. Reads, never writes.
pub(crate) async fn preview(source: TaskSource) -> Result<TaskDraft, ErrorView> {
    let _ = source;
    unimplemented!()
}

/// Checks a task as it is asked for (prompt, limits, names of attachments) and fills in its title.
pub(crate) fn accept(task: NewTask) -> Result<NewTask, ErrorView> {
    let _ = task;
    unimplemented!()
}

/// Copies attachments into `staging` (made if missing, to be removed by the caller on error or drop), hashed and synced.
///
/// # Cancel safety
/// Dropping the future stops the copying between two blocks.
pub(crate) async fn copy_attachments(
    attachments: Vec<Attachment>,
    staging: Utf8PathBuf,
) -> Result<Vec<StagedFile>, ErrorView> {
    let _ = (attachments, staging);
    unimplemented!()
}
