//! `server.json` in the data folder: how the command line finds a running Berth and shows that it may call.
//!
//! It holds the token, so it is readable by its owner alone and gone when the server is. A Berth that was killed leaves
//! it behind: whoever reads it must be ready to find nobody there.

use std::{
    fs,
    io::{self, Write},
};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::token::Token;

/// The file's name in the data folder.
const FILE_NAME: &str = "server.json";
/// The longest file that is read.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// Where a running server is, and what opens it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Announcement {
    /// Scheme, host and port: `http://127.0.0.1:4242`.
    pub address: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Token,
    /// The process that serves.
    pub pid: u32,
    /// Its version.
    pub version: String,
}

/// Why an announcement cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AnnouncementError {
    /// The file cannot be read.
    #[error("`{path}` cannot be read")]
    Read {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not one that a server wrote.
    #[error("`{path}` is not a server's announcement")]
    Malformed {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The file cannot be written.
    #[error("`{path}` cannot be written")]
    Write {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Announcement {
    /// The announcement in that data folder; `None` where there is none.
    pub fn read(data_folder: &Utf8Path) -> Result<Option<Self>, AnnouncementError> {
        let path = data_folder.join(FILE_NAME);
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(AnnouncementError::Read { path, source }),
        };
        let mut text = String::new();
        if let Err(source) = io::Read::read_to_string(&mut io::Read::take(file, FILE_BYTES_MAX), &mut text) {
            return Err(AnnouncementError::Read { path, source });
        }
        serde_json::from_str(&text).map(Some).map_err(|source| AnnouncementError::Malformed { path, source })
    }

    /// Writes it whole or not at all, for its owner's eyes.
    pub(crate) fn write(&self, data_folder: &Utf8Path) -> Result<(), AnnouncementError> {
        let path = data_folder.join(FILE_NAME);
        let draft = data_folder.join(format!("{FILE_NAME}.{}", self.pid));
        let written = serde_json::to_vec(self)
            .map_err(io::Error::from)
            .and_then(|json| write_private(&draft, &json))
            .and_then(|()| fs::rename(&draft, &path));
        written.map_err(|source| AnnouncementError::Write { path, source })
    }

    /// Removes it, unless another server has put its own in its place.
    pub(crate) fn remove(&self, data_folder: &Utf8Path) {
        if let Ok(Some(current)) = Self::read(data_folder)
            && current.token.matches(self.token.reveal())
            && let Err(error) = fs::remove_file(data_folder.join(FILE_NAME))
        {
            tracing::warn!(%error, "the server's announcement stays behind");
        }
    }
}

/// Writes a file that only its owner can read. A draft that a killed process left under the same name is replaced: opening
/// it would keep whatever mode it has.
fn write_private(path: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement() -> Announcement {
        Announcement {
            address: "http://127.0.0.1:1".to_owned(),
            token: Token::fresh().unwrap(),
            pid: 1,
            version: "0.1.0".to_owned(),
        }
    }

    #[test]
    fn it_reads_as_it_was_written_and_is_private() {
        let folder = camino_tempfile::tempdir().unwrap();
        assert!(Announcement::read(folder.path()).unwrap().is_none());
        let written = announcement();
        written.write(folder.path()).unwrap();
        let read = Announcement::read(folder.path()).unwrap().unwrap();
        assert_eq!(read.address, written.address);
        assert!(read.token.matches(written.token.reveal()));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(folder.path().join(FILE_NAME)).unwrap());
            assert_eq!(mode & 0o777, 0o600);
        }
        written.remove(folder.path());
        assert!(Announcement::read(folder.path()).unwrap().is_none());
    }

    #[test]
    fn a_server_does_not_remove_what_another_wrote() {
        let folder = camino_tempfile::tempdir().unwrap();
        let (old, new) = (announcement(), announcement());
        old.write(folder.path()).unwrap();
        new.write(folder.path()).unwrap();
        old.remove(folder.path());
        assert!(Announcement::read(folder.path()).unwrap().is_some());
    }

    #[test]
    fn a_draft_of_a_killed_process_does_not_keep_its_mode() {
        let folder = camino_tempfile::tempdir().unwrap();
        fs::write(folder.path().join("server.json.1"), "old").unwrap();
        announcement().write(folder.path()).unwrap();
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(folder.path().join(FILE_NAME)).unwrap());
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn what_is_no_announcement_is_an_error() {
        let folder = camino_tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), "{\"address\":").unwrap();
        assert!(matches!(Announcement::read(folder.path()), Err(AnnouncementError::Malformed { .. })));
    }
}
