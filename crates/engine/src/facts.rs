//! What an engine and its machine are.

use std::fmt;

use camino::Utf8PathBuf;

/// The oldest API that Berth speaks (Docker Engine 20.10, December 2020).
pub const API_VERSION_MIN: ApiVersion = ApiVersion { major: 1, minor: 41 };

/// What an engine says about itself. Level, not promise: a person may reconfigure it at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFacts {
    /// Whose engine it is.
    pub product: Product,
    /// The product's own version, such as `20.10.24`.
    pub version: String,
    /// The API version that was agreed on.
    pub api_version: ApiVersion,
    /// `linux` or `windows`: what its containers are.
    pub os: String,
    /// The machine's architecture by Rust's names: `x86_64`, `aarch64`.
    pub architecture: String,
    /// The kernel's release, such as `6.18.44`.
    pub kernel: String,
    /// Which generation of control groups limits its containers.
    pub cgroup: CgroupVersion,
    /// Whether the engine runs as an ordinary user; bind mounts then show shifted owners.
    pub is_rootless: bool,
    /// Whether containers outlive the engine's restart.
    pub is_live_restore: bool,
    /// Memory of the engine's machine, in bytes.
    pub memory_bytes: u64,
    /// Processors of the engine's machine.
    pub cpus: u32,
    /// How layers are stored, such as `overlay2`.
    pub storage_driver: String,
    /// Where it keeps images, containers and volumes, on its own machine; `None` where it does not say.
    pub root_folder: Option<Utf8PathBuf>,
    /// What its machine calls itself.
    pub machine_name: String,
    /// What it applies by default, such as `name=seccomp,profile=default`.
    pub security_options: Vec<String>,
}

/// Whose engine it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Product {
    /// Docker Engine, Docker Desktop, Colima, OrbStack and others that run moby.
    Docker,
    /// Podman's Docker-compatible service.
    Podman,
    /// Another, by the name that it gives.
    Other(String),
}

/// Which generation of control groups an engine uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupVersion {
    /// One tree per controller.
    V1,
    /// The unified tree.
    V2,
    /// The engine does not say.
    Unknown,
}

/// A version of the Docker Engine API, such as 1.41.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiVersion {
    /// The part before the point.
    pub major: u16,
    /// The part after the point.
    pub minor: u16,
}

impl ApiVersion {
    /// Reads `1.41`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        assert!(ApiVersion::parse("1.9").unwrap() < API_VERSION_MIN);
        assert_eq!(ApiVersion::parse("1.41"), Some(API_VERSION_MIN));
        assert!(ApiVersion::parse("1.100").unwrap() > API_VERSION_MIN);
        assert_eq!(ApiVersion::parse("one"), None);
    }
}
