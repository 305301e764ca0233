//! A folder held open, and everything beneath it reached from there, one name at a time, never through a link.
//!
//! Every step is an `openat` with `O_NOFOLLOW` of a single name on the descriptor of the folder before, so neither a
//! link nor `..` nor a folder that is moved meanwhile leads out, on every Unix and kernel alike (`openat2` would save
//! calls on paths of many parts, but needs a second way for kernels and systems without it).
//! It does not decide what may be read or for how long; it only keeps inside.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
};

use camino::Utf8Path;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid},
};

use super::path::BeneathPath;

/// A folder held open.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
}

/// Flags for whatever a sandbox may have put there: no link is followed, no FIFO is waited for, no terminal is taken.
const NO_SURPRISE: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Folder {
    /// Opens a folder of Berth's own; its last part may not be a link.
    pub(crate) fn open(path: &Utf8Path) -> io::Result<Self> {
        let fd = rustix::fs::open(path.as_std_path(), OFlags::RDONLY | OFlags::DIRECTORY | NO_SURPRISE, Mode::empty())?;
        Ok(Self { fd })
    }

    /// A second handle on the same folder.
    pub(crate) fn again(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()? })
    }

    /// Opens a folder in this one.
    pub(crate) fn folder(&self, name: &CStr) -> io::Result<Self> {
        folder_at(self.fd.as_fd(), name)
    }

    /// Reads the names in this folder, from the beginning.
    pub(crate) fn names(&self) -> io::Result<Dir> {
        Ok(Dir::read_from(&self.fd)?)
    }

    /// Turns the handle into the names in this folder.
    pub(crate) fn into_names(self) -> io::Result<Dir> {
        Ok(Dir::new(self.fd)?)
    }

    /// Makes a folder in this one, or opens it where there is one; `Made` tells which.
    pub(crate) fn make_folder(&self, name: &CStr, mode: Mode) -> io::Result<(Self, Made)> {
        let novelty = match rustix::fs::mkdirat(&self.fd, name, mode) {
            Ok(()) => Made::New,
            Err(rustix::io::Errno::EXIST) => Made::Before,
            Err(errno) => return Err(errno.into()),
        };
        Ok((self.folder(name)?, novelty))
    }

    /// Makes a new file in this folder.
    pub(crate) fn new_file(&self, name: &CStr, mode: Mode) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | NO_SURPRISE;
        Ok(File::from(rustix::fs::openat(&self.fd, name, flags, mode)?))
    }

    /// What a name in this folder is; of a link, the link itself.
    pub(crate) fn stat(&self, name: &CStr) -> io::Result<Stat> {
        stat_at(self.fd.as_fd(), name)
    }

    /// Puts `from` in the place of `to`, both in this folder, at once.
    pub(crate) fn rename(&self, from: &CStr, to: &CStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Moves `from` in this folder to `to` in another one of the same file system.
    pub(crate) fn move_to(&self, from: &CStr, other: &Self, to: &CStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, from, &other.fd, to)?)
    }

    /// Takes an empty folder out of this folder.
    pub(crate) fn remove_folder(&self, name: &CStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// Takes a file or link out of this folder.
    pub(crate) fn remove_file(&self, name: &CStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Waits until the names in this folder are on disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// The folder that holds the last part of `path`, and that part.
    pub(crate) fn parent_of<'path>(&self, path: &'path BeneathPath) -> io::Result<(Self, &'path CStr)> {
        let (folders, name) = path.split_last();
        let mut folder = self.again()?;
        for part in folders {
            folder = folder.folder(part)?;
        }
        Ok((folder, name))
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether something was made now or had been there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// Made now.
    New,
    /// There before.
    Before,
}

/// Opens a folder by a single name in another.
pub(crate) fn folder_at(folder: BorrowedFd<'_>, name: &CStr) -> io::Result<Folder> {
    debug_assert!(is_single_name(name));
    let fd = rustix::fs::openat(folder, name, OFlags::RDONLY | OFlags::DIRECTORY | NO_SURPRISE, Mode::empty())?;
    Ok(Folder { fd })
}

/// Opens a file by a single name in a folder, if it is a regular one, with what it is.
///
/// The kind is asked of the open descriptor, so that it is the kind of what will be read. `Ok(Err(kind))`: no regular file.
pub(crate) fn regular_file_at(folder: BorrowedFd<'_>, name: &CStr) -> io::Result<Result<(File, Stat), FileType>> {
    debug_assert!(is_single_name(name));
    let fd = match rustix::fs::openat(folder, name, OFlags::RDONLY | NO_SURPRISE, Mode::empty()) {
        Ok(fd) => fd,
        // `O_NOFOLLOW` on a link; FreeBSD says `EMLINK`.
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::MLINK) => return Ok(Err(FileType::Symlink)),
        // A socket, or a FIFO or device with nobody behind it.
        Err(rustix::io::Errno::NXIO) => return Ok(Err(FileType::Socket)),
        Err(errno) => return Err(errno.into()),
    };
    let stat = rustix::fs::fstat(&fd)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    Ok(if kind == FileType::RegularFile { Ok((File::from(fd), stat)) } else { Err(kind) })
}

/// What a name in a folder is; of a link, the link itself.
pub(crate) fn stat_at(folder: BorrowedFd<'_>, name: &CStr) -> io::Result<Stat> {
    debug_assert!(is_single_name(name));
    Ok(rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Where a link points to, by its own word.
pub(crate) fn link_target_at(folder: BorrowedFd<'_>, name: &CStr) -> io::Result<CString> {
    debug_assert!(is_single_name(name));
    Ok(rustix::fs::readlinkat(folder, name, Vec::new())?)
}

/// Gives an open file or folder to a user, unless it is theirs.
pub(crate) fn give(what: impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    let stat = rustix::fs::fstat(&what)?;
    if stat.st_uid != uid || stat.st_gid != gid {
        rustix::fs::fchown(what, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    Ok(())
}

fn is_single_name(name: &CStr) -> bool {
    let bytes = name.to_bytes();
    !bytes.is_empty() && !bytes.contains(&b'/') && bytes != b"." && bytes != b".."
}
