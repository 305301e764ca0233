//! What was in a workspace when a step began, to tell later what the step has changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::view::ResultChange;

/// The files of a workspace at one moment. It is kept with the step (as JSON), since the app may not live as long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// By the key of the path. At most [`super::scan::LISTED_MAX`].
    pub(super) files: BTreeMap<String, Was>,
}

/// What a file was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Was {
    /// Its kind.
    pub(super) kind: Kind,
    /// Its size in bytes.
    pub(super) size_bytes: u64,
    /// When it was changed, by its own word, in nanoseconds since 1970.
    pub(super) modified_ns: i64,
    /// SHA-256 in hex: of its content; of the target of a link; `None` where it could not be known.
    #[serde(default)]
    pub(super) sha256: Option<String>,
}

/// What kind of thing lies under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A character or block device.
    Device,
    /// A folder that may not be entered.
    ClosedFolder,
    /// Something that this system does not name.
    Unknown,
}

/// How something compares with what was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The same.
    Same,
    /// Different.
    Different(ResultChange),
    /// Only its hash can tell, and that is not there yet.
    Undecided,
}

impl Baseline {
    pub(super) fn compare(&self, key: &str, now: &Was) -> Comparison {
        let Some(was) = self.files.get(key) else {
            return Comparison::Different(ResultChange::New);
        };
        if was.kind != now.kind || (was.kind == Kind::File && was.size_bytes != now.size_bytes) {
            return Comparison::Different(ResultChange::Changed);
        }
        match (&was.sha256, &now.sha256) {
            (Some(before), Some(after)) if before == after => Comparison::Same,
            // The time is the file's own word, but all there is.
            (None, None) if was.modified_ns == now.modified_ns => Comparison::Same,
            (Some(_), Some(_)) | (None, None) => Comparison::Different(ResultChange::Changed),
            (Some(_), None) | (None, Some(_)) => Comparison::Undecided,
        }
    }
}
