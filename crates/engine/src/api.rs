//! The trait that everything above the engine speaks.
//!
//! Every call is bounded in time, except those whose whole point is to last (`wait`, `events`, an open [`Duplex`](crate::Duplex)),
//! which end when their future or stream is dropped. Every call that changes something may be made twice: the second time it
//! finds its work done and says so with success where that is the same outcome (`create_volume`, `create_network`, `start`,
//! `remove`), or with
//! [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) where it may not be (`create`).

use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8Path;
use futures::stream::BoxStream;
use tokio::sync::mpsc;

use crate::archive::{ArchiveBody, ArchiveStream};
use crate::{
    Attached, BridgeNetwork, BuildRequest, Container, ContainerId, ContainerSpec, ContainerState, EngineFacts, Event,
    Exec, ExecId, ExecSpec, ExecState, Image, ImageId, ImageRef, ImportRequest, LabelFilter, NetworkName, Ownership,
    Progress, Result, Stats, Volume, VolumeName,
};

/// A container engine. Held as `Arc<dyn Engine>`.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Whether the engine answers at all. [`Unreachable`](crate::ErrorKind::Unreachable) when it does not.
    async fn ping(&self) -> Result<()>;

    /// What the engine and its machine are.
    async fn facts(&self) -> Result<EngineFacts>;

    /// One image, or `None` where the engine does not have it. Never pulls.
    async fn image(&self, reference: &ImageRef) -> Result<Option<Image>>;

    /// The images that carry all labels of `filter`.
    async fn images(&self, filter: &LabelFilter) -> Result<Vec<Image>>;

    /// Builds an image from a tar context with the classic builder. Dropping the future ends the build.
    ///
    /// `progress` must be drained while the call runs, or dropped: a full channel holds the build back.
    /// [`Denied`](crate::ErrorKind::Denied) carries what the failing instruction said.
    async fn build(&self, request: BuildRequest, progress: mpsc::Sender<Progress>) -> Result<ImageId>;

    /// Makes an image of one layer from a root file system in a tar.
    async fn import(&self, request: ImportRequest) -> Result<ImageId>;

    /// Makes an image from a container's file system, with the container's image as its base.
    async fn commit(&self, container: &ContainerId, tag: &ImageRef, ownership: &Ownership) -> Result<ImageId>;

    /// Gives an image one more name. An image that had the name loses it. [`Gone`](crate::ErrorKind::Gone) where there is no such image.
    async fn tag(&self, image: &ImageId, name: &ImageRef) -> Result<()>;

    /// Removes a tag, and the image with its last one. An image that is not there is success;
    /// one that a container uses is a [`Conflict`](crate::ErrorKind::Conflict).
    async fn remove_image(&self, reference: &ImageRef) -> Result<()>;

    /// Fetches an image from its registry. The rules for `progress` are those of [`Engine::build`].
    async fn pull(&self, reference: &ImageRef, progress: mpsc::Sender<Progress>) -> Result<()>;

    /// Makes a volume, or finds the one that is there. One with another owner is a [`Conflict`](crate::ErrorKind::Conflict).
    async fn create_volume(&self, name: &VolumeName, ownership: &Ownership) -> Result<Volume>;

    /// One volume, or `None`.
    async fn volume(&self, name: &VolumeName) -> Result<Option<Volume>>;

    /// The volumes that carry all labels of `filter`.
    async fn volumes(&self, filter: &LabelFilter) -> Result<Vec<Volume>>;

    /// Removes a volume and what is in it. Absent is success; in use is a [`Conflict`](crate::ErrorKind::Conflict).
    async fn remove_volume(&self, name: &VolumeName) -> Result<()>;

    /// Makes the network of the sandbox that `ownership` names, or finds the one that is there: of two that were made at once the older
    /// stays. One with another owner is a [`Conflict`](crate::ErrorKind::Conflict); [`Exhausted`](crate::ErrorKind::Exhausted) where
    /// the engine has no addresses left to give to one, [`Denied`](crate::ErrorKind::Denied) where no sandbox is named.
    async fn create_network(&self, ownership: &Ownership) -> Result<BridgeNetwork>;

    /// The networks that carry all labels of `filter`.
    async fn networks(&self, filter: &LabelFilter) -> Result<Vec<BridgeNetwork>>;

    /// Removes a network. Absent is success; one with a running container on it is a [`Conflict`](crate::ErrorKind::Conflict).
    async fn remove_network(&self, name: &NetworkName) -> Result<()>;

    /// Makes a container that does not run yet. [`Conflict`](crate::ErrorKind::Conflict) where the name is taken,
    /// [`Gone`](crate::ErrorKind::Gone) where the image, a volume or its sandbox's network is missing,
    /// [`Denied`](crate::ErrorKind::Denied) where the specification breaks a rule of [`ContainerSpec::check`].
    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId>;

    /// Starts a container; one that runs already is success. A program that cannot be executed is
    /// [`Denied`](crate::ErrorKind::Denied) with the engine's words.
    async fn start(&self, id: &ContainerId) -> Result<()>;

    /// Sends a signal to PID 1. One that does not run is a [`Conflict`](crate::ErrorKind::Conflict).
    async fn kill(&self, id: &ContainerId, signal: Signal) -> Result<()>;

    /// Freezes every process of a running container, as a person does from outside; one that is frozen is success. Berth itself
    /// never does: an agent is stopped by its guest, so that the person's terminal goes on.
    async fn pause(&self, id: &ContainerId) -> Result<()>;

    /// Lets a frozen container go on; one that runs is success. [`Conflict`](crate::ErrorKind::Conflict) where it has ended.
    async fn unpause(&self, id: &ContainerId) -> Result<()>;

    /// TERM, then after `grace` KILL. One that does not run is success. Returns when the container has stopped.
    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<()>;

    /// Removes a container together with the nameless volumes that only it had, ending it first if it runs. Absent is success.
    async fn remove(&self, id: &ContainerId) -> Result<()>;

    /// One container, or `None`.
    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>>;

    /// The engine's own JSON for a container, for tests of what was really asked for. [`Gone`](crate::ErrorKind::Gone) if absent.
    async fn raw_inspect(&self, id: &ContainerId) -> Result<serde_json::Value>;

    /// The containers, in any state, that carry all labels of `filter`.
    async fn containers(&self, filter: &LabelFilter) -> Result<Vec<Container>>;

    /// Returns when the container does not run, with its state then: at once for one that never started
    /// ([`ContainerState::Created`]) or has ended. [`Gone`](crate::ErrorKind::Gone) where it is removed meanwhile.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect on the container; call again.
    async fn wait(&self, id: &ContainerId) -> Result<ContainerState>;

    /// Opens standard input and output of PID 1. May be called before `start`, and then misses nothing.
    ///
    /// Ends with end of file when the container ends. Standard error goes to [`Attached::diagnostics`].
    async fn attach(&self, id: &ContainerId) -> Result<Attached>;

    /// Runs another program in a running container. [`Conflict`](crate::ErrorKind::Conflict) where it does not run or is paused.
    /// A program that is not there has a stream that ends, with the engine's words in it, and exit code 126 or 127.
    async fn exec(&self, id: &ContainerId, spec: &ExecSpec) -> Result<Exec>;

    /// Whether an exec's program runs still, and how it ended.
    async fn exec_state(&self, id: &ExecId) -> Result<ExecState>;

    /// Unpacks a tar into the folder `path` of a container, running or not, with the owners and modes in the tar.
    async fn put_archive(&self, id: &ContainerId, path: &Utf8Path, body: ArchiveBody) -> Result<()>;

    /// Reads `path` (a file or a folder) of a container as a tar. The stream ends with a
    /// [`Denied`](crate::ErrorKind::Denied) error when it would pass `bytes_max`. Entries are hostile: they are the sandbox's.
    async fn get_archive(&self, id: &ContainerId, path: &Utf8Path, bytes_max: u64) -> Result<ArchiveStream>;

    /// One sample of what a running container uses.
    async fn stats(&self, id: &ContainerId) -> Result<Stats>;

    /// Changes to objects that carry all labels of `filter`: a reason to look again, never the truth.
    /// The stream ends when the connection does; open it again and look at everything.
    async fn events(&self, filter: &LabelFilter) -> Result<BoxStream<'static, Result<Event>>>;
}

/// The signals that are sent to a container's first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Ask to end.
    Term,
    /// End now.
    Kill,
    /// Look again (the guest flushes).
    Hangup,
    /// As a person's Ctrl-C.
    Interrupt,
}

impl Signal {
    /// The name that engines take.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Kill => "SIGKILL",
            Self::Hangup => "SIGHUP",
            Self::Interrupt => "SIGINT",
        }
    }
}
