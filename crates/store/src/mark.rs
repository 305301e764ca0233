//! A mark beside the file, there for as long as the file is open: a Berth that ended without closing it leaves the mark, and
//! SQLite's log with what was written last. Where the mark is there and the log is not, somebody has taken the log away.

use std::fs::File;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};

/// The mark of an open file. Dropping it takes it away.
#[derive(Debug)]
pub(crate) struct Mark {
    path: Utf8PathBuf,
}

impl Mark {
    /// Sets it. To be done once the log is there.
    pub(crate) fn set(file: &Utf8Path) -> io::Result<Self> {
        let path = path_of(file);
        let mut options = File::options();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path)?.sync_all()?;
        Ok(Self { path })
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // A mark that stays is a log that will be looked for, and is there.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Where the mark of a file is.
pub(crate) fn path_of(file: &Utf8Path) -> Utf8PathBuf {
    format!("{file}-open").into()
}

/// Where SQLite's log of a file is.
pub(crate) fn log_of(file: &Utf8Path) -> Utf8PathBuf {
    format!("{file}-wal").into()
}

/// Whether the file was open when its Berth ended.
pub(crate) fn is_set(file: &Utf8Path) -> bool {
    path_of(file).exists()
}

/// Takes away the mark of a Berth that has ended.
pub(crate) fn clear(file: &Utf8Path) -> io::Result<()> {
    match std::fs::remove_file(path_of(file)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
