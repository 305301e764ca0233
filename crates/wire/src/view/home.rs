//! Homes as a person sees them: what there is, and what is in one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::AgentColour;
use crate::{
    ids::{AgentId, TaskId},
    secret::InsideLogin,
};

/// A home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeView {
    /// The volume, which is also its id in calls.
    pub home: String,
    /// What a person calls it, and types to reset or delete it: its agent's name.
    pub name: String,
    /// Whose it is, or was.
    pub agent: AgentId,
    /// Whether that agent is deleted: then nothing uses it, and it can be exported or deleted.
    pub is_orphan: bool,
    /// Two letters for the agent's image.
    pub call_sign: String,
    /// The colour of the agent's plate.
    #[serde(default)]
    pub colour: AgentColour,
    /// Whether anything was ever put into it: until then it is a name, and is made of the agent's image at its first use.
    pub is_new: bool,
    /// The image that seeded it, as its agent named it; `None` where an import did, or nobody wrote it down.
    #[serde(default)]
    pub image: Option<String>,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// When a sandbox began or ended in it last.
    #[serde(default)]
    pub used_at: Option<Timestamp>,
    /// How large it was found to be; `None` where nobody looked yet.
    #[serde(default)]
    pub size: Option<HomeSizeView>,
    /// What was found then that its programs are signed in to.
    #[serde(default)]
    pub logins: Vec<InsideLogin>,
    /// The task that uses it now.
    #[serde(default)]
    pub task: Option<HomeTask>,
    /// What is being done to it now, other than by a task.
    #[serde(default)]
    pub work: Option<HomeWorkView>,
    /// What a person can do to it now, and why not the rest.
    pub actions: Vec<HomeActionView>,
}

/// The task that uses a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeTask {
    /// Which.
    pub task: TaskId,
    /// Its number.
    pub number: i64,
}

/// How large a home was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeSizeView {
    /// Bytes on disk; a file with several names counts once.
    pub size_bytes: u64,
    /// Files and folders.
    pub files: u64,
    /// When it was measured.
    pub measured_at: Timestamp,
}

/// What is being done to a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HomeWorkKind {
    /// It is put in the place of another.
    Reset,
    /// It is written to an archive.
    Export,
    /// Another is being filled from an archive, and takes its place when it is whole.
    Import,
    /// The folder of its agent's memory gets the agent's new name.
    Rename,
}

impl HomeWorkKind {
    /// What a person reads.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reset => "Being reset",
            Self::Export => "Being exported",
            Self::Import => "Being imported",
            Self::Rename => "Being renamed",
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeWorkView {
    /// What.
    pub kind: HomeWorkKind,
    /// Since when.
    pub since: Timestamp,
    /// Bytes so far.
    pub done_bytes: u64,
    /// Bytes in all, where that is known.
    #[serde(default)]
    pub total_bytes: Option<u64>,
    /// Whether it can be cancelled.
    pub can_be_cancelled: bool,
}

/// Something a person can do to a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HomeAction {
    /// Look into it.
    Browse,
    /// Write it to an archive.
    Export,
    /// Put what an archive holds in its place.
    Import,
    /// Put a new one, made of the agent's image, in its place.
    Reset,
    /// Remove it: a home of a deleted agent.
    Delete,
}

impl HomeAction {
    /// Every action, in the order in which they are drawn.
    pub const ALL: [Self; 5] = [Self::Browse, Self::Export, Self::Import, Self::Reset, Self::Delete];

    /// The label of its button.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Browse => "Browse",
            Self::Export => "Export",
            Self::Import => "Import",
            Self::Reset => "Reset",
            Self::Delete => "Delete",
        }
    }

    /// The key that does the same.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Browse => "B",
            Self::Export => "E",
            Self::Import => "I",
            Self::Reset => "R",
            Self::Delete => "⇧X",
        }
    }
}

/// An action as it stands now for one home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeActionView {
    /// Which.
    pub action: HomeAction,
    /// Why it cannot be done now; `None` where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<String>,
}

/// What a folder of a home holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderView {
    /// The folder as it can be shown, below the home; empty for the home itself.
    pub path: String,
    /// The same for calls.
    pub key: String,
    /// Its entries, by name, from the one that was asked for on.
    pub entries: Vec<FolderEntry>,
    /// How many entries the folder has, as far as they were counted.
    pub total: u64,
    /// Where the next page begins, in [`BrowseHome::after`](crate::call::BrowseHome::after); `None` at the end.
    #[serde(default)]
    pub next: Option<String>,
}

/// Something in a folder of a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderEntry {
    /// Its name as it can be shown: control characters and invalid UTF-8 are escaped.
    pub name: String,
    /// Its path below the home for calls: percent-encoded bytes (RFC 3986).
    pub key: String,
    /// What it is.
    pub kind: EntryKind,
    /// Of a file, its size in bytes; else 0.
    pub size_bytes: u64,
    /// Its permissions as the sandbox sees them, such as `0o644`.
    pub mode: u32,
    /// When it was changed, by its own word.
    #[serde(default)]
    pub modified_at: Option<Timestamp>,
    /// Of a link, where it points, by its own word and as it can be shown. Nobody follows it.
    #[serde(default)]
    pub target: Option<String>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A folder: it can be looked into.
    Folder,
    /// A file: it can be read.
    File,
    /// A link: shown, never followed.
    Link,
    /// A FIFO, a socket, a device: shown only.
    Special,
}
