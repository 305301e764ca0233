//! The file in which a process may leave a report, and taking it when the process has ended.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use pipe::ProcessId;
use pipe::limits::REPORT_BYTES_MAX;

use crate::keep::read_regular;

/// The variable that names the file.
pub(crate) const VARIABLE: &str = "BERTH_REPORT";

/// One process's place for a report. Everything there is the process's; it goes when the report is taken.
#[derive(Debug)]
pub(crate) struct ReportPlace {
    folder: PathBuf,
}

impl ReportPlace {
    pub(crate) fn create(root: &Path, id: ProcessId) -> io::Result<Self> {
        let folder = root.join(id.to_string());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder })
    }

    /// `BERTH_REPORT` and the path.
    pub(crate) fn variable(&self) -> Option<(String, String)> {
        let path: OsString = self.file().into();
        path.into_string().ok().map(|path| (VARIABLE.to_owned(), path))
    }

    /// The report, cut to its bound; `None` where there is no regular file.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        let report = read_regular(&self.file(), REPORT_BYTES_MAX).ok();
        drop(fs::remove_dir_all(&self.folder));
        report
    }

    fn file(&self) -> PathBuf {
        self.folder.join("report")
    }
}
