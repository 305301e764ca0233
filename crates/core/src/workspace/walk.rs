//! Walks a hostile folder: depth first, a single open descriptor per level, within bounds, through no link.
//!
//! Memory does not grow with what is in there: names are read and handed on one at a time. The order is the file
//! system's own.

use std::{ffi::CStr, io};

use rustix::{
    fd::BorrowedFd,
    fs::{Dir, FileType},
};

use super::{
    beneath::{Folder, folder_at, stat_at},
    path::{DEPTH_MAX, PATH_BYTES_MAX},
    stoppable::{StopSign, Stopped},
};

/// Names looked at in one walk, listed or not; about two seconds' worth. Past it the walk ends.
pub(crate) const WALK_NAMES_MAX: u64 = 1_000_000;

/// What the walk came upon.
pub(crate) struct Sight<'walk> {
    /// The folder it lies in.
    pub(crate) folder: BorrowedFd<'walk>,
    /// Its name there.
    pub(crate) name: &'walk CStr,
    /// Its path below where the walk began.
    pub(crate) path: &'walk [u8],
    /// What kind of thing it is.
    pub(crate) kind: SightKind,
}

/// What kind of thing the walk came upon.
pub(crate) enum SightKind {
    /// Anything but a folder, links included.
    Entry,
    /// A folder, entered next if the visitor says so.
    Folder,
    /// A folder that could not be entered.
    Closed(io::Error),
    /// Something too deep down or with too long a path.
    TooFar,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Go on, into the folder if it is one.
    On,
    /// End the walk.
    End,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WalkEnd {
    /// Everything was seen.
    Whole,
    /// The visitor ended it, or [`WALK_NAMES_MAX`] was reached.
    Cut,
}

/// Why a walk failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    /// The folder itself cannot be read, or descriptors have run out.
    #[error("the folder cannot be read")]
    Io(#[from] io::Error),
    /// Nobody waits any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

struct Level {
    names: Dir,
    path_bytes: usize,
}

/// Walks everything beneath `root`.
pub(crate) fn walk<E: From<WalkError>>(
    root: &Folder,
    stop_sign: &StopSign,
    mut visit: impl FnMut(Sight<'_>) -> Result<Next, E>,
) -> Result<WalkEnd, E> {
    let mut path = Vec::new();
    let mut levels = vec![Level { names: root.names().map_err(WalkError::from)?, path_bytes: 0 }];
    let mut names_seen = 0_u64;
    loop {
        let depth = levels.len().saturating_sub(1);
        let Some(level) = levels.last_mut() else { break };
        stop_sign.check().map_err(WalkError::from)?;
        path.truncate(level.path_bytes);
        let Some(entry) = level.names.read() else {
            levels.pop();
            continue;
        };
        // A folder that goes away while it is read ends there.
        let Ok(entry) = entry else {
            levels.pop();
            continue;
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        names_seen += 1;
        if names_seen > WALK_NAMES_MAX {
            return Ok(WalkEnd::Cut);
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());

        let folder = level.names.fd().map_err(io::Error::from).map_err(WalkError::from)?;
        let mut file_type = entry.file_type();
        if file_type == FileType::Unknown {
            // Some file systems do not say.
            let Ok(stat) = stat_at(folder, name) else { continue };
            file_type = FileType::from_raw_mode(stat.st_mode);
        }
        let is_folder = file_type == FileType::Directory;
        let kind = if path.len() > PATH_BYTES_MAX || (is_folder && depth >= DEPTH_MAX) {
            SightKind::TooFar
        } else if is_folder {
            SightKind::Folder
        } else {
            SightKind::Entry
        };
        let is_entered = matches!(kind, SightKind::Folder);
        if visit(Sight { folder, name, path: &path, kind })? == Next::End {
            return Ok(WalkEnd::Cut);
        }
        if !is_entered {
            continue;
        }
        match folder_at(folder, name).and_then(Folder::into_names) {
            Ok(names) => levels.push(Level { names, path_bytes: path.len() }),
            Err(error) if is_gone(&error) => {}
            Err(error) if is_exhausted(&error) => return Err(WalkError::from(error).into()),
            Err(error) => {
                if visit(Sight { folder, name, path: &path, kind: SightKind::Closed(error) })? == Next::End {
                    return Ok(WalkEnd::Cut);
                }
            }
        }
    }
    Ok(WalkEnd::Whole)
}

/// The name is gone, or is another thing by now.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::MLINK))
}

/// The app has run out of descriptors or memory: nothing is known about the name.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}
