//! Puts staged attachments into a workspace, which may be hostile by then.
//!
//! Each file is written under a name of Berth's own and put in its place at once, so that a link that waits there is
//! replaced, never followed, and a second time is like the first.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io::{self, Read, Write},
};

use rustix::fs::Mode;
use sha2::{Digest, Sha256};

use super::{
    beneath::{Folder, Made, give, regular_file_at},
    digest::BLOCK_BYTES,
    path::{BeneathPath, PathProblem},
    stoppable::{StopSign, Stopped},
};
use crate::{escape::visible, intake::StagedFile, owner::Owner};
use rustix::fd::AsFd;

/// Names tried for a file on its way; another than the first is needed only where something made folders of them.
const NAMES_TRIED_MAX: u32 = 8;

const FOLDER_MODE: Mode = Mode::RWXU.union(Mode::RGRP).union(Mode::XGRP).union(Mode::ROTH).union(Mode::XOTH);
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::ROTH);

/// Why an attachment did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliverError {
    /// Its name is none.
    #[error("{:?} cannot be the name of an attachment", visible(.0.as_bytes()))]
    Name(String, #[source] PathProblem),
    /// The staged file is not what was staged.
    #[error("the staged copy of {} is not what it was when the task was taken in", visible(.0.as_bytes()))]
    Spoilt(String),
    /// Something stands in the way, or the disk is full.
    #[error("{} cannot be put into the workspace", visible(.0.as_bytes()))]
    Io(String, #[source] io::Error),
    /// Nobody waits any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Copies `files` from `staging` into `workspace`, checks each against its hash and gives it to `owner`.
pub(crate) fn deliver(
    workspace: &Folder,
    staging: &Folder,
    files: &[StagedFile],
    owner: Owner,
    stop_sign: &StopSign,
) -> Result<(), DeliverError> {
    for file in files {
        stop_sign.check()?;
        let path = BeneathPath::parse(file.name.as_bytes())
            .map_err(|problem| DeliverError::Name(file.name.clone(), problem))?;
        let failed = |error: io::Error| DeliverError::Io(file.name.clone(), error);
        let source = open_staged(staging, &path).map_err(failed)?;
        let folder = make_parents(workspace, &path, owner).map_err(failed)?;
        let (name_meanwhile, target) = new_file(&folder).map_err(failed)?;
        let copied = copy(&source, &target, file, stop_sign).and_then(|()| {
            give(&target, owner.uid, owner.gid).map_err(failed)?;
            folder.rename(&name_meanwhile, path.split_last().1).map_err(failed)
        });
        if let Err(error) = copied {
            // The first error is the one to tell.
            let _ = folder.remove_file(&name_meanwhile);
            return Err(error);
        }
    }
    Ok(())
}

fn open_staged(staging: &Folder, path: &BeneathPath) -> io::Result<File> {
    let (folder, name) = staging.parent_of(path)?;
    match regular_file_at(folder.as_fd(), name)? {
        Ok((file, _stat)) => Ok(file),
        Err(_kind) => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Makes the folders on the way to `path`.
pub(crate) fn make_parents(root: &Folder, path: &BeneathPath, owner: Owner) -> io::Result<Folder> {
    let mut folder = root.again()?;
    for part in path.split_last().0 {
        let (next, made) = folder.make_folder(part, FOLDER_MODE)?;
        if made == Made::New {
            give(&next, owner.uid, owner.gid)?;
        }
        folder = next;
    }
    Ok(folder)
}

fn new_file(folder: &Folder) -> io::Result<(CString, File)> {
    let mut last_error = io::Error::from(io::ErrorKind::AlreadyExists);
    for attempt in 0..NAMES_TRIED_MAX {
        let name = CString::new(format!(".berth-incoming-{attempt}")).expect("invariant: no NUL in it");
        // Left behind by a Berth that was killed.
        let _ = folder.remove_file(&name);
        match folder.new_file(&name, FILE_MODE) {
            Ok(file) => return Ok((name, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last_error = error,
            Err(error) => return Err(error),
        }
    }
    Err(last_error)
}

fn copy(mut source: &File, mut target: &File, staged: &StagedFile, stop_sign: &StopSign) -> Result<(), DeliverError> {
    let failed = |error: io::Error| DeliverError::Io(staged.name.clone(), error);
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        stop_sign.check()?;
        let read = match source.read(&mut block) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        hasher.update(&block[..read]);
        target.write_all(&block[..read]).map_err(failed)?;
    }
    if hex::encode(hasher.finalize()) == staged.sha256 {
        Ok(())
    } else {
        Err(DeliverError::Spoilt(staged.name.clone()))
    }
}

/// The name that folders of workspaces have in the data folder.
pub(super) const WORKSPACES: &CStr = c"workspaces";
