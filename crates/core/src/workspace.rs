//! The host folder of one sandbox. Whatever is in it is hostile.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::watch;
use wire::{ErrorView, ids::SandboxId, view::ResultView};

use crate::intake::StagedFile;

/// Who the files of a workspace belong to: the uid and gid that the agent runs as. Given only where Berth runs as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The uid.
    pub(crate) uid: u32,
    /// The gid.
    pub(crate) gid: u32,
}

/// A handle on the folder of one sandbox; cheap to clone, and keeps the cache of hashes.
#[derive(Clone)]
pub(crate) struct Workspace {}

/// How thorough a scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thoroughness {
    /// While the step is live: little hashing at a time, files that keep changing are hashed later.
    Live,
    /// The step has ended: everything is hashed that may be.
    Final,
}

/// What was there when a step began. Serde: the store keeps it as JSON.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Baseline {}

/// What a scan found.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    /// What differs from the baseline, by path.
    pub(crate) results: Vec<ResultView>,
    /// Files that were left out because there are too many.
    pub(crate) left_out: u64,
    /// Files whose hash is still to be computed; scan again.
    pub(crate) pending: u64,
    /// How long to wait before the next live scan, so that scanning stays below a fifth of a core.
    pub(crate) rest: std::time::Duration,
}

/// A piece of a file.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The bytes; fewer than asked for at the end.
    pub(crate) bytes: Vec<u8>,
    /// Where they begin.
    pub(crate) offset: u64,
    /// How long the file is now.
    pub(crate) size_bytes: u64,
}

impl Workspace {
    /// Makes the folder of a sandbox, or opens it where it is there already.
    pub(crate) async fn create(data_folder: Utf8PathBuf, sandbox: SandboxId, owner: Owner) -> Result<Self, ErrorView> {
        let _ = (data_folder, sandbox, owner);
        unimplemented!()
    }

    /// Opens the folder of a sandbox.
    pub(crate) async fn open(data_folder: Utf8PathBuf, sandbox: SandboxId) -> Result<Self, ErrorView> {
        let _ = (data_folder, sandbox);
        unimplemented!()
    }

    /// Removes the folder of a sandbox with everything in it.
    pub(crate) async fn remove(data_folder: Utf8PathBuf, sandbox: SandboxId) -> Result<(), ErrorView> {
        let _ = (data_folder, sandbox);
        unimplemented!()
    }

    /// Where the folder is, to be mounted and to be shown; never to be opened by path.
    pub(crate) fn path(&self) -> &Utf8Path {
        unimplemented!()
    }

    /// Puts staged attachments in. May happen twice.
    pub(crate) async fn write_attachments(
        &self,
        staging: Utf8PathBuf,
        files: Vec<StagedFile>,
        owner: Owner,
    ) -> Result<(), ErrorView> {
        let _ = (staging, files, owner);
        unimplemented!()
    }

    /// What is there now, to tell later what a step has changed.
    pub(crate) async fn baseline(&self) -> Result<Baseline, ErrorView> {
        unimplemented!()
    }

    /// Looks at everything.
    pub(crate) async fn scan(&self, baseline: Arc<Baseline>, thoroughness: Thoroughness) -> Result<Scan, ErrorView> {
        let _ = (baseline, thoroughness);
        unimplemented!()
    }

    /// Reads a piece of a regular file. `length` 0 means 256 KiB; at most 1 MiB.
    pub(crate) async fn read(&self, key: String, offset: u64, length: u32) -> Result<Piece, ErrorView> {
        let _ = (key, offset, length);
        unimplemented!()
    }
}

/// Watches a workspace; dropping it ends the watching.
pub(crate) struct Watcher {}

impl Watcher {
    /// Starts watching. The number grows whenever it is worth scanning again: at most 100 ms after a change, and every 5 s.
    pub(crate) fn start(workspace: &Workspace) -> (Self, watch::Receiver<u64>) {
        let _ = workspace;
        unimplemented!()
    }

    /// Why the watching is worse than it should be, a sentence for a person; `None` where all is well.
    pub(crate) fn notices(&self) -> watch::Receiver<Option<String>> {
        unimplemented!()
    }
}
