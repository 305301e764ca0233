//! Images: what a container's file system starts as.

use std::collections::BTreeMap;

use crate::archive::ArchiveBody;
use crate::{ImageId, ImageRef, Ownership};

/// An image as the engine has it. What its maker wrote into it (environment, entrypoint, labels) is hostile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its content-addressed id.
    pub id: ImageId,
    /// The architecture by Rust's names: `x86_64`, `aarch64`. Empty in a list.
    pub architecture: String,
    /// `NAME=value` as the image sets them. Empty in a list.
    pub env: Vec<String>,
    /// The user it would run as, in the image's words; empty means root.
    pub user: String,
    /// Where it would start; empty means `/`.
    pub working_dir: String,
    /// Its entrypoint, which Berth never runs by itself.
    pub entrypoint: Vec<String>,
    /// Its default command.
    pub cmd: Vec<String>,
    /// The paths that it declares as volumes.
    pub volumes: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Size of all its layers, in bytes.
    pub size_bytes: u64,
    /// Names that point at it.
    pub repo_tags: Vec<String>,
}

impl Image {
    /// Whose it is; `None` where it is not Berth's.
    pub fn ownership(&self) -> Option<Ownership> {
        Ownership::from_labels(&self.labels)
    }
}

/// What to build.
#[derive(Debug)]
pub struct BuildRequest {
    /// The context as a tar, with a `Dockerfile` at its root.
    pub context: ArchiveBody,
    /// The name of the result.
    pub tag: ImageRef,
    /// Whose the result is; becomes its labels.
    pub ownership: Ownership,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
    /// Values of the Dockerfile's `ARG`s. Visible in the image's history: never a secret.
    pub build_args: BTreeMap<String, String>,
    /// The network of `RUN` instructions.
    pub network: BuildNetwork,
    /// Whether what the engine has done before is taken.
    pub cache: BuildCache,
}

/// What becomes of instructions that an engine has carried out before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildCache {
    /// Their results are taken.
    Use,
    /// Each is carried out anew.
    Ignore,
}

/// What `RUN` instructions of a build may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildNetwork {
    /// The engine's usual network: package registries can be reached.
    Usual,
    /// Nothing.
    None,
}

/// A root file system that becomes an image.
#[derive(Debug)]
pub struct ImportRequest {
    /// The root file system as a tar.
    pub root: ArchiveBody,
    /// The name of the result.
    pub tag: ImageRef,
    /// Whose the result is; becomes its labels.
    pub ownership: Ownership,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
    /// Dockerfile instructions applied to the result, such as `ENV PATH=/bin`.
    pub changes: Vec<String>,
}

/// How a build or a pull goes on. Texts are what the image's maker wrote: escape before showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The next instruction of a build.
    Step {
        /// Counted from one.
        number: u32,
        /// How many there are.
        of: u32,
        /// The instruction.
        text: String,
    },
    /// A line (or part of one) that an instruction wrote.
    Log(String),
    /// A layer on its way.
    Layer {
        /// The layer's short id; empty for the image as a whole.
        id: String,
        /// What happens to it.
        status: String,
        /// Bytes so far.
        done_bytes: u64,
        /// Bytes in all; zero where unknown.
        total_bytes: u64,
    },
}
