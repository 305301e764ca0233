//! What a container shall be. Only hardened containers can be spelled here (DESIGN §7).
//!
//! What is not in [`ContainerSpec`] cannot be asked for: privileges, devices, published ports, host namespaces, an engine's
//! socket. What every container gets without being asked: all capabilities dropped, `no-new-privileges`, no swap beyond memory,
//! no health check of the image's, no restart policy, no init of the engine's.

pub mod host_folder;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use sha2::{Digest as _, Sha256};

pub use self::host_folder::{HostFolder, HostRules, RefusedFolder};
use crate::{ContainerName, EngineError, ErrorKind, ImageRef, NetworkName, Ownership, Result, Role, VolumeName};

/// The capabilities that root inside gets, and no other: enough to install packages.
pub const ROOT_INSIDE_CAPABILITIES: [&str; 5] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"];

/// The least memory that engines accept, in bytes (6 MiB).
pub const MEMORY_BYTES_MIN: u64 = 6 * 1024 * 1024;

/// The largest profile of system calls, in bytes: Docker's own has 14 KiB.
pub const PROFILE_BYTES_MAX: usize = 256 * 1024;

/// Longest accepted host name, in bytes (Linux `HOST_NAME_MAX`).
const HOSTNAME_BYTES_MAX: usize = 64;

/// A hardened container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Its name; unique on the engine.
    pub name: ContainerName,
    /// What its file system starts as. Never pulled.
    pub image: ImageRef,
    /// Program and arguments of PID 1. The image's own entrypoint and command never run.
    pub argv: Vec<String>,
    /// Environment of PID 1, on top of the image's. Shown by `inspect`: never a secret.
    pub env: BTreeMap<String, String>,
    /// As whom PID 1 runs.
    pub identity: Identity,
    /// Where PID 1 starts.
    pub working_dir: Utf8PathBuf,
    /// Its host name.
    pub hostname: String,
    /// Whose it is; becomes its labels, and those of nameless volumes that the image declares.
    pub ownership: Ownership,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// File systems in memory. [`Tmpfs::usual`] is what a read-only root needs.
    pub tmpfs: Vec<Tmpfs>,
    /// What it may use.
    pub limits: Limits,
    /// What it is connected to.
    pub network: Network,
    /// What the engine keeps of PID 1's output.
    pub log: Log,
    /// Whether its root file system can be written.
    pub root_filesystem: RootFilesystem,
    /// Which system calls it may make.
    pub seccomp: Seccomp,
    /// How long after TERM the engine waits before KILL, when the engine itself stops it.
    pub stop_timeout: Duration,
}

/// As whom a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// An ordinary user.
    User {
        /// User id.
        uid: NonZeroU32,
        /// Group id.
        gid: NonZeroU32,
    },
    /// Root with [`ROOT_INSIDE_CAPABILITIES`] alone, for agents that must install packages. Never together with a workspace
    /// on the host: root inside could leave a setuid file there.
    RootInside,
}

impl Identity {
    /// An ordinary user; `None` where either is root's.
    pub fn user(uid: u32, gid: u32) -> Option<Self> {
        Some(Self::User { uid: NonZeroU32::new(uid)?, gid: NonZeroU32::new(gid)? })
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User { uid, gid } => write!(f, "{uid}:{gid}"),
            Self::RootInside => f.write_str("0:0"),
        }
    }
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// A named volume that exists.
    Volume {
        /// Its name.
        name: VolumeName,
        /// Where, inside.
        target: Utf8PathBuf,
        /// Whether it can be written.
        access: Access,
        /// Whether an empty volume takes over what the image has at `target`.
        first_use: FirstUse,
    },
    /// A folder of the host's, the one that results are watched in. Writable.
    Workspace {
        /// Where, outside: checked when made and again at creation.
        folder: HostFolder,
        /// Where, inside.
        target: Utf8PathBuf,
    },
}

impl Mount {
    /// Where it is mounted.
    pub fn target(&self) -> &Utf8Path {
        match self {
            Self::Volume { target, .. } | Self::Workspace { target, .. } => target,
        }
    }
}

/// Whether a mount can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It can.
    ReadWrite,
    /// It cannot.
    ReadOnly,
}

/// What an empty volume becomes when it is first mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstUse {
    /// It stays empty. The only safe choice for a volume that others trust: an image could bring its own content.
    Empty,
    /// The engine copies what the image has at the target, owners included.
    CopyImage,
}

/// A file system in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// Where.
    pub target: Utf8PathBuf,
    /// Its bound, in bytes. What is in it counts against the memory limit.
    pub size_bytes: u64,
    /// Permissions of its root, such as `0o1777`.
    pub mode: u32,
    /// Whether programs in it can be executed.
    pub programs: Programs,
}

/// Whether files of a file system can be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    /// They can (compilers and package managers run what they put into `/tmp`).
    Run,
    /// They cannot.
    Refused,
}

impl Tmpfs {
    /// `/tmp` of `tmp_bytes` in which programs run, and `/run` of 16 MiB in which they do not.
    pub fn usual(tmp_bytes: u64) -> Vec<Self> {
        vec![
            Self { target: "/tmp".into(), size_bytes: tmp_bytes, mode: 0o1777, programs: Programs::Run },
            Self { target: "/run".into(), size_bytes: 16 << 20, mode: 0o1777, programs: Programs::Refused },
        ]
    }
}

/// What a container may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes, at least [`MEMORY_BYTES_MIN`]. Swap is the same number: none beyond it.
    pub memory_bytes: u64,
    /// Thousandths of a processor.
    pub cpu_milli: u32,
    /// Processes and threads.
    pub pids: u32,
    /// Size of `/dev/shm` in bytes; it counts against memory.
    pub shm_bytes: u64,
}

/// What a container is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Its own loopback, and nothing else.
    None {
        /// Whether `::1` answers.
        loopback_v6: LoopbackV6,
    },
    /// The network of the sandbox that its [`Ownership`] names, which exists and which nobody else is on. Through it a container
    /// reaches whatever this machine reaches, and what this machine offers to its networks.
    OfSandbox {
        /// Whether `::1` answers.
        loopback_v6: LoopbackV6,
    },
}

/// IPv6 on the loopback of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopbackV6 {
    /// On, by sysctl. Otherwise `::1` is refused although `/etc/hosts` names it.
    On,
    /// As the engine leaves it, for hosts whose kernel has no IPv6: there the sysctl would keep the container from starting.
    Engine,
}

/// What the engine keeps of PID 1's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Nothing: the attach stream has it.
    None,
    /// The last 30 MB, in three files.
    Rotated,
}

/// Whether the root file system can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootFilesystem {
    /// It cannot.
    ReadOnly,
    /// It can, which an image must declare.
    Writable {
        /// Why, for a person.
        reason: String,
    },
}

/// Which system calls a container may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seccomp {
    /// The engine's default profile.
    EngineDefault,
    /// Our own profile, given inline; tests compare it by hash.
    Profile {
        /// The profile, an object in JSON of at most [`PROFILE_BYTES_MAX`] bytes.
        json: String,
    },
}

impl Seccomp {
    /// SHA-256, in hex, by which a declared profile is known; `None` for the engine's own.
    pub fn sha256(&self) -> Option<String> {
        match self {
            Self::EngineDefault => None,
            Self::Profile { json } => Some(hex::encode(Sha256::digest(json))),
        }
    }
}

impl ContainerSpec {
    /// Checks what types alone cannot hold: every path inside is absolute and used once, limits are above the least, `/dev/shm` is a part of
    /// memory, a profile of system calls is one, the program is named, root inside has no workspace on the host, the workspace still is the folder that was checked, and whoever is on the
    /// network of a sandbox is one.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] with what is wrong.
    pub fn check(&self) -> Result<()> {
        let denied = |detail: String| {
            Err(EngineError::new(ErrorKind::Denied, format!("create container {}", self.name), detail))
        };
        if self.argv.first().is_none_or(String::is_empty) {
            return denied("no program is named".into());
        }
        if let Some(text) = self.argv.iter().chain(self.env.values()).find(|text| text.contains('\0')) {
            return denied(format!("an argument or variable holds a zero byte: {text:?}"));
        }
        if let Some(name) = self.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            return denied(format!("{name:?} is not a variable's name"));
        }
        let hostname_ok = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if self.hostname.is_empty()
            || self.hostname.len() > HOSTNAME_BYTES_MAX
            || !self.hostname.bytes().all(hostname_ok)
        {
            return denied(format!("{:?} is not a host name", self.hostname));
        }
        if self.limits.memory_bytes < MEMORY_BYTES_MIN {
            return denied(format!("{} bytes of memory are fewer than an engine accepts", self.limits.memory_bytes));
        }
        if self.limits.cpu_milli == 0 || self.limits.pids == 0 {
            return denied("a limit of zero would mean no limit".into());
        }
        if !is_plain_absolute(&self.working_dir) {
            return denied(format!("the working directory {:?} is not a plain absolute path", self.working_dir));
        }
        if self.limits.shm_bytes == 0 || self.limits.shm_bytes > self.limits.memory_bytes {
            return denied(format!("{} bytes for /dev/shm are none, or more than all memory", self.limits.shm_bytes));
        }
        if let Seccomp::Profile { json } = &self.seccomp {
            // A name instead of a profile would be one of the engine's words: `unconfined`.
            let is_object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json).is_ok();
            if json.len() > PROFILE_BYTES_MAX || !is_object {
                return denied("the profile of system calls is no object in JSON of a sensible size".into());
            }
        }
        self.network_name()?;
        self.check_targets()?;
        self.check_workspaces()
    }

    /// The network that must exist: the one of its own sandbox. `None` where it is on none.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] where it is to be on one, and is no sandbox.
    pub fn network_name(&self) -> Result<Option<NetworkName>> {
        let Network::OfSandbox { .. } = self.network else { return Ok(None) };
        let sandbox = self.ownership.sandbox.as_deref().filter(|_| self.ownership.role == Role::Sandbox);
        let name = sandbox.and_then(NetworkName::of_sandbox);
        name.map(Some).ok_or_else(|| {
            let detail = "only a sandbox has a network, and only its own";
            EngineError::new(ErrorKind::Denied, format!("create container {}", self.name), detail)
        })
    }

    fn check_targets(&self) -> Result<()> {
        let denied = |detail: String| {
            Err(EngineError::new(ErrorKind::Denied, format!("create container {}", self.name), detail))
        };
        let mut seen = Vec::new();
        for target in self.mounts.iter().map(Mount::target).chain(self.tmpfs.iter().map(|tmpfs| tmpfs.target.as_path()))
        {
            if !is_plain_absolute(target)
                || target == "/"
                || ["/proc", "/sys", "/dev"].iter().any(|kernel| target.starts_with(kernel))
            {
                return denied(format!("nothing is mounted at {target:?}"));
            }
            if seen.contains(&target) {
                return denied(format!("two things would be mounted at {target:?}"));
            }
            seen.push(target);
        }
        if let Some(tmpfs) = self.tmpfs.iter().find(|tmpfs| tmpfs.size_bytes == 0) {
            return denied(format!("the file system in memory at {:?} has no bound", tmpfs.target));
        }
        Ok(())
    }

    fn check_workspaces(&self) -> Result<()> {
        let doing = || format!("create container {}", self.name);
        let mut folders = self.mounts.iter().filter_map(|mount| match mount {
            Mount::Workspace { folder, .. } => Some(folder),
            Mount::Volume { .. } => None,
        });
        let Some(folder) = folders.next() else { return Ok(()) };
        if folders.next().is_some() {
            return Err(EngineError::new(ErrorKind::Denied, doing(), "a sandbox has one workspace"));
        }
        if self.identity == Identity::RootInside {
            let detail = "root inside never has a workspace on the host: it could leave a setuid file there";
            return Err(EngineError::new(ErrorKind::Denied, doing(), detail));
        }
        folder.check_again().map_err(|refused| EngineError::new(ErrorKind::Denied, doing(), refused.to_string()))
    }
}

/// Absolute, without `.`, `..`, control characters, or what the engine's own notations split at.
pub(crate) fn is_plain_absolute(path: &Utf8Path) -> bool {
    path.as_str().starts_with('/')
        && !path.as_str().chars().any(|c| c.is_control() || c == ',')
        && path.components().all(|part| matches!(part, Utf8Component::RootDir | Utf8Component::Normal(_)))
}
