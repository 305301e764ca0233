//! Containers as an engine shows them, and what can be run in them.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use jiff::Timestamp;

use crate::{ContainerId, Identity, Ownership};

/// A container as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: ContainerId,
    /// Its name, without the engine's leading slash.
    pub name: String,
    /// What it does.
    pub state: ContainerState,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The image as it was named at creation.
    pub image: String,
    /// When it was created. `None` in a list on some engines.
    pub created_at: Option<Timestamp>,
    /// When it last started. `None` in a list, or where it never did.
    pub started_at: Option<Timestamp>,
}

impl Container {
    /// Whose it is; `None` where it is not Berth's.
    pub fn ownership(&self) -> Option<Ownership> {
        Ownership::from_labels(&self.labels)
    }
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Running.
    Running,
    /// Frozen; a new exec is refused, `kill` works.
    Paused,
    /// On its way to run again.
    Restarting,
    /// On its way out.
    Removing,
    /// Ended.
    Exited(Exit),
    /// The engine gave up on it while ending it.
    Dead,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Exit code of PID 1, 128 + n where signal n ended it. `None` in a list that does not tell.
    pub code: Option<i64>,
    /// Whether the kernel ended it at its memory limit. An exit code of 137 alone does not say so.
    pub oom_killed: bool,
    /// When.
    pub finished_at: Option<Timestamp>,
    /// The engine's own words where it could not run the program; empty otherwise.
    pub error: String,
}

impl ContainerState {
    /// Whether its processes exist.
    pub fn is_alive(&self) -> bool {
        match self {
            Self::Running | Self::Paused | Self::Restarting => true,
            Self::Created | Self::Removing | Self::Exited(_) | Self::Dead => false,
        }
    }
}

/// Another program in a running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecSpec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// As whom; `None` is the container's own user.
    pub identity: Option<Identity>,
    /// Added to the container's environment.
    pub env: BTreeMap<String, String>,
    /// Where; `None` is the container's own.
    pub working_dir: Option<Utf8PathBuf>,
    /// Whether it gets a terminal.
    pub terminal: Terminal,
}

impl ExecSpec {
    /// A program without a terminal, as the container's user.
    pub fn new(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            identity: None,
            env: BTreeMap::new(),
            working_dir: None,
            terminal: Terminal::No,
        }
    }
}

/// Whether a program gets a terminal of the engine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// Pipes; standard output and error apart.
    No,
    /// One terminal, for baselines of benchmarks: Berth's own terminals go through the pipe. A chunk of output that begins with a
    /// byte 0, 1 or 2 is misread by the client library in this mode.
    Yes,
}

/// How an exec's program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecState {
    /// It runs, or is about to.
    Running,
    /// It ended.
    Exited {
        /// Exit code, 128 + n where signal n ended it.
        code: i64,
    },
}

/// One sample of what a container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Memory in use, in bytes, page cache that could be given back taken off where the engine tells.
    pub memory_bytes: u64,
    /// The memory limit, in bytes.
    pub memory_limit_bytes: u64,
    /// CPU time used so far, in nanoseconds.
    pub cpu_total_ns: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// A change to an object: a reason to look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind of object.
    pub object: EventObject,
    /// Its id, or its name for a volume.
    pub id: String,
    /// What happened, in the engine's word: `start`, `die`, `destroy`, …
    pub action: String,
}

/// The kind of object that an [`Event`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventObject {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A volume.
    Volume,
    /// Anything else.
    Other,
}
