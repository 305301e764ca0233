//! The host folder of one sandbox: mounted at `/workspace` inside, and read here for results.
//!
//! Whatever is in it is hostile: every access goes beneath a descriptor of the folder that was opened when it was
//! still empty, through no link, within bounds ([`beneath`]). Nothing here runs anything, git least of all.
//!
//! ```text
//! <data folder>/workspaces/<sandbox>/   0700, given to the agent's uid
//! ```
//! [`Workspace`] reads and writes, [`Watcher`] says when it is worth looking again; the scan alone is the truth.

mod baseline;
pub(crate) mod beneath;
mod deliver;
mod digest;
pub(crate) mod path;
mod scan;
pub(crate) mod stoppable;
mod usage;
mod walk;
mod watch;

use std::{
    ffi::CString,
    io,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, PoisonError},
};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::{
    fd::AsFd,
    fs::{FileType, Mode},
};
use wire::{ErrorCode, ErrorView, ids::SandboxId};

pub(crate) use self::{
    baseline::Baseline,
    scan::{Scan, Thoroughness},
    watch::Watcher,
};
use self::{
    beneath::{Folder, give, regular_file_at},
    deliver::{DeliverError, WORKSPACES},
    path::{BeneathPath, PathProblem},
    scan::{Memory, ScanError},
    stoppable::{StopSign, Stopped, stoppable},
};
use crate::{escape::visible, intake::StagedFile, owner::Owner};

/// What one read returns at most, in bytes.
pub(crate) const READ_BYTES_MAX: u32 = 1 << 20;

/// What one read returns where no length is given, in bytes.
const READ_BYTES_DEFAULT: u32 = 256 << 10;

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The bytes; fewer than asked for at the end of the file.
    pub(crate) bytes: Vec<u8>,
    /// Where they begin.
    pub(crate) offset: u64,
    /// How long the file is now.
    pub(crate) size_bytes: u64,
}

/// Why a workspace could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkspaceError {
    /// The folder is not there any more.
    #[error("the workspace {0} is not there")]
    Missing(Utf8PathBuf),
    /// The folder cannot be made, opened or removed.
    #[error("the workspace {0} cannot be used")]
    Folder(Utf8PathBuf, #[source] io::Error),
    /// The folder cannot be given to the agent's user.
    #[error("the workspace {path} cannot be given to the user {}:{}", owner.uid, owner.gid)]
    Owner {
        /// The folder.
        path: Utf8PathBuf,
        /// The user.
        owner: Owner,
        /// Why not.
        source: io::Error,
    },
    /// The scan failed.
    #[error("the workspace cannot be read")]
    Scan(#[from] ScanError),
    /// An attachment did not arrive.
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    /// The key names no path.
    #[error("that is no name of a result")]
    Key(#[from] PathProblem),
    /// There is no such file.
    #[error("there is no file {} in the workspace", visible(.0))]
    NoSuchFile(Vec<u8>),
    /// It is a link, a FIFO, a folder, …
    #[error("{} is no regular file, so its content is not read", visible(.0))]
    NotRegular(Vec<u8>),
    /// Reading failed.
    #[error("{} cannot be read", visible(.0))]
    Read(Vec<u8>, #[source] io::Error),
    /// Nobody waits any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl From<WorkspaceError> for ErrorView {
    fn from(error: WorkspaceError) -> Self {
        let (code, hint) = match &error {
            WorkspaceError::Missing(_) => (ErrorCode::NotFound, "its folder was removed; a new run makes a new one"),
            WorkspaceError::Folder(..) | WorkspaceError::Deliver(DeliverError::Io(..)) => {
                (ErrorCode::Storage, "see that the data folder is writable and its disk is not full, then retry")
            }
            WorkspaceError::Owner { .. } => {
                (ErrorCode::Storage, "Berth must run as that user or as root to make files that are theirs")
            }
            WorkspaceError::Scan(_) | WorkspaceError::Read(..) => (ErrorCode::Storage, "try again"),
            WorkspaceError::Deliver(DeliverError::Spoilt(_)) => (ErrorCode::Storage, "start the task again"),
            WorkspaceError::Deliver(DeliverError::Name(..)) => (ErrorCode::TaskInvalid, "give the file another name"),
            WorkspaceError::Key(_) | WorkspaceError::NotRegular(_) => (ErrorCode::InvalidArgument, ""),
            WorkspaceError::NoSuchFile(_) => (ErrorCode::NotFound, "list the results again: it may have been removed"),
            WorkspaceError::Stopped(_) | WorkspaceError::Deliver(DeliverError::Stopped(_)) => {
                (ErrorCode::Internal, "try again")
            }
        };
        ErrorView::new(code, with_causes(&error)).hint(hint)
    }
}

/// Blocking work on a workspace; its errors as a person reads them.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&StopSign) -> Result<T, WorkspaceError> + Send + 'static,
) -> Result<T, ErrorView> {
    Ok(stoppable(work).await?)
}

/// An error with what caused it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}

/// A handle on the folder of one sandbox. Cheap to clone; clones share what scans have learnt.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    opened: Arc<Opened>,
}

#[derive(Debug)]
struct Opened {
    path: Utf8PathBuf,
    folder: Folder,
    /// Locked for the length of a scan, on blocking threads only.
    memory: Mutex<Memory>,
}

impl Workspace {
    /// Makes the folder of a sandbox and gives it to `owner`; where it is there already, opens it. May happen twice.
    pub(crate) async fn create(data_folder: Utf8PathBuf, sandbox: SandboxId, owner: Owner) -> Result<Self, ErrorView> {
        blocking(move |_| {
            let path = path_of(&data_folder, sandbox);
            let failed = |error| WorkspaceError::Folder(path.clone(), error);
            let data_folder = Folder::open(&data_folder).map_err(failed)?;
            let (workspaces, _) = data_folder.make_folder(WORKSPACES, Mode::RWXU).map_err(failed)?;
            let (folder, _) = workspaces.make_folder(&name_of(sandbox), Mode::RWXU).map_err(failed)?;
            give(&folder, owner.uid, owner.gid).map_err(|source| WorkspaceError::Owner {
                path: path.clone(),
                owner,
                source,
            })?;
            workspaces.sync().map_err(failed)?;
            Ok(Self::opened(path, folder))
        })
        .await
    }

    /// Opens the folder of a sandbox.
    pub(crate) async fn open(data_folder: Utf8PathBuf, sandbox: SandboxId) -> Result<Self, ErrorView> {
        blocking(move |_| {
            let path = path_of(&data_folder, sandbox);
            match Folder::open(&path) {
                Ok(folder) => Ok(Self::opened(path, folder)),
                Err(error) if walk::is_gone(&error) => Err(WorkspaceError::Missing(path)),
                Err(error) => Err(WorkspaceError::Folder(path, error)),
            }
        })
        .await
    }

    fn opened(path: Utf8PathBuf, folder: Folder) -> Self {
        Self { opened: Arc::new(Opened { path, folder, memory: Mutex::default() }) }
    }

    /// Where the folder is: to be mounted and to be shown, never to be read through.
    pub(crate) fn path(&self) -> &Utf8Path {
        &self.opened.path
    }

    /// Puts staged attachments in and gives them to `owner`. What lies under their names is replaced. May happen twice.
    ///
    /// # Cancel safety
    /// Dropped, it stops between two blocks; do it again.
    pub(crate) async fn write_attachments(
        &self,
        staging: Utf8PathBuf,
        files: Vec<StagedFile>,
        owner: Owner,
    ) -> Result<(), ErrorView> {
        let opened = Arc::clone(&self.opened);
        blocking(move |stop_sign| {
            if files.is_empty() {
                return Ok(());
            }
            let staging = Folder::open(&staging).map_err(|error| WorkspaceError::Folder(staging, error))?;
            Ok(deliver::deliver(&opened.folder, &staging, &files, owner, stop_sign)?)
        })
        .await
    }

    /// What is there now, to tell later what a step has changed. Hashes what is there: while nothing writes.
    ///
    /// # Cancel safety
    /// Dropped, it stops between two blocks.
    pub(crate) async fn baseline(&self) -> Result<Baseline, ErrorView> {
        let opened = Arc::clone(&self.opened);
        blocking(move |stop_sign| {
            let mut memory = opened.memory.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(scan::baseline(&opened.folder, &mut memory, stop_sign)?)
        })
        .await
    }

    /// Looks at everything and says what differs from `baseline`. One scan of a workspace runs at a time.
    ///
    /// # Cancel safety
    /// Dropped, it stops between two blocks; hashes that it computed are lost.
    pub(crate) async fn scan(&self, baseline: Arc<Baseline>, thoroughness: Thoroughness) -> Result<Scan, ErrorView> {
        let opened = Arc::clone(&self.opened);
        blocking(move |stop_sign| {
            let mut memory = opened.memory.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(scan::scan(&opened.folder, &mut memory, &baseline, thoroughness, stop_sign)?)
        })
        .await
    }

    /// How much disk it takes, in bytes as they are allocated.
    ///
    /// # Cancel safety
    /// Dropped, it stops between two names.
    pub(crate) async fn disk_bytes(&self) -> Result<u64, ErrorView> {
        let opened = Arc::clone(&self.opened);
        blocking(move |stop_sign| Ok(usage::disk_bytes(&opened.folder, stop_sign)?)).await
    }

    /// Reads a piece of a regular file by its key. `length` 0 stands for 256 KiB; more than 1 MiB is cut to it.
    pub(crate) async fn read(&self, key: String, offset: u64, length: u32) -> Result<Piece, ErrorView> {
        let opened = Arc::clone(&self.opened);
        blocking(move |_| {
            let path = BeneathPath::parse_key(&key)?;
            let shown = || percent_encoding::percent_decode_str(&key).collect::<Vec<u8>>();
            let failed = |error: io::Error| match error {
                gone if walk::is_gone(&gone) => WorkspaceError::NoSuchFile(shown()),
                error => WorkspaceError::Read(shown(), error),
            };
            let (folder, name) = opened.folder.parent_of(&path).map_err(failed)?;
            // Asked before it is opened as well: opening a FIFO or a device may do something.
            let kind = FileType::from_raw_mode(folder.stat(name).map_err(failed)?.st_mode);
            if kind != FileType::RegularFile {
                return Err(WorkspaceError::NotRegular(shown()));
            }
            let (file, stat) = regular_file_at(folder.as_fd(), name)
                .map_err(failed)?
                .map_err(|_kind| WorkspaceError::NotRegular(shown()))?;
            let length = if length == 0 { READ_BYTES_DEFAULT } else { length.min(READ_BYTES_MAX) };
            let mut bytes = vec![0; length as usize];
            let mut filled = 0;
            while filled < bytes.len() {
                match file.read_at(&mut bytes[filled..], offset.saturating_add(filled as u64)) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // An offset past what the system counts to: nothing is there.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
                    Err(error) => return Err(failed(error)),
                }
            }
            bytes.truncate(filled);
            Ok(Piece { bytes, offset, size_bytes: u64::try_from(stat.st_size).unwrap_or(0) })
        })
        .await
    }
}

fn path_of(data_folder: &Utf8Path, sandbox: SandboxId) -> Utf8PathBuf {
    let workspaces = WORKSPACES.to_str().expect("invariant: it is ASCII");
    data_folder.join(workspaces).join(sandbox.to_string())
}

fn name_of(sandbox: SandboxId) -> CString {
    CString::new(sandbox.to_string()).expect("invariant: an id has no NUL")
}

#[cfg(test)]
mod tests;
