//! Containers, volumes, networks and images in our own words.
//!
//! [`Engine`] is the trait, [`docker::DockerEngine`] drives any Docker-compatible engine (API 1.41 and newer), and the scripted
//! fake in `testkit` is the same in memory; the `contract` feature holds the suite of facts that both pass.
//! [`find`] says which engine this machine has. Only hardened containers can be spelled ([`spec::ContainerSpec`]).
//!
//! This crate deliberately knows nothing of tasks, steps or pipes: it moves bytes and objects and says what went wrong.
//! Nobody outside this crate names the client library.

pub mod archive;
pub mod container;
#[cfg(feature = "contract")]
pub mod contract;
pub mod docker;
pub mod error;
pub mod facts;
pub mod find;
pub mod image;
pub mod labels;
pub mod names;
pub mod network;
pub mod spec;
pub mod stream;
pub mod volume;

mod api;

pub use api::{Engine, Signal};
pub use container::{Container, ContainerState, Event, EventObject, ExecSpec, ExecState, Exit, Stats, Terminal};
pub use error::{EngineError, ErrorKind, Result};
pub use facts::{ApiVersion, CgroupVersion, EngineFacts, Product};
pub use image::{BuildRequest, Image, ImportRequest, Progress};
pub use labels::{LabelFilter, Ownership, Role};
pub use names::{ContainerId, ContainerName, ExecId, ImageId, ImageRef, NetworkName, VolumeName};
pub use network::BridgeNetwork;
pub use spec::{ContainerSpec, Identity, Limits, Log, Mount, Network, RootFilesystem, Seccomp, Tmpfs};
pub use stream::{Attached, Diagnostics, Duplex, Exec};
pub use volume::Volume;
