//! Files that a process finds in memory, from its start until nothing of its tree is left.
//!
//! They may hold secrets. So they are never on a disk: a place that is not in memory is refused, whoever put it there, and no link is
//! followed on the way. What of memory is swapped out is the machine's business.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use pipe::ProcessId;
use pipe::limits::{FILE_NAME_BYTES_MAX, FILES_MAX};
use pipe::message::{GivenFile, Refusal, RefusalCode};

/// One process's files. Dropping it takes them away.
#[derive(Debug)]
pub(crate) struct Given {
    folder: PathBuf,
    /// `NAME=path`, of every variable that names one.
    variables: Vec<(String, String)>,
}

impl Given {
    /// Writes them; nothing where there are none.
    pub(crate) fn create(root: &Path, id: ProcessId, files: &[GivenFile]) -> Result<Option<Self>, Refusal> {
        if files.is_empty() {
            return Ok(None);
        }
        if files.len() > FILES_MAX || !files.iter().all(|file| is_name(&file.name)) {
            return Err(Refusal::new(RefusalCode::Invalid, "files"));
        }
        let written = Self::write(root, id, files);
        written
            .map(Some)
            .map_err(|error| Refusal::new(RefusalCode::OutOfResources, format!("files in memory: {error}")))
    }

    fn write(root: &Path, id: ProcessId, files: &[GivenFile]) -> io::Result<Self> {
        let name = format!("{id}.given");
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        let root_fd = open_root(root)?;
        is_in_memory(&root_fd)?;
        mkdirat(&root_fd, name.as_str(), Mode::S_IRWXU)?;
        // From here on a failure takes it away again.
        let mut given = Self { folder: root.join(&name), variables: Vec::new() };
        let folder: OwnedFd =
            openat(&root_fd, name.as_str(), OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
        is_in_memory(&folder)?;
        for file in files {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let opened = openat(&folder, file.name.as_str(), flags, Mode::S_IRUSR)?;
            File::from(opened).write_all(file.text.as_bytes())?;
            let path = given.folder.join(&file.name).into_os_string().into_string();
            let path = path.map_err(|_| io::Error::from(io::ErrorKind::InvalidFilename))?;
            given.variables.extend(file.variables.iter().map(|variable| (variable.clone(), path.clone())));
        }
        Ok(given)
    }

    /// The variables that name the files, with their paths.
    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        // What is gone already was the process's to remove.
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn open_root(root: &Path) -> io::Result<File> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(root)
}

fn is_in_memory(folder: impl AsFd) -> io::Result<()> {
    if fstatfs(folder)?.filesystem_type() == TMPFS_MAGIC {
        return Ok(());
    }
    Err(io::Error::other("the place for them is not in memory"))
}

fn is_name(name: &str) -> bool {
    (1..=FILE_NAME_BYTES_MAX).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
