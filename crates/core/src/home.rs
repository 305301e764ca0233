//! An agent's home: a volume that outlives its runs, with the layout that every agent finds.
//!
//! ```text
//! /home/agent/clawvault/<agent>/     what it remembers
//! /home/agent/clawvault/shared/      what all remember
//! /home/agent/project-workspace/     the repository
//! /home/agent/run-workspace          → /workspace
//! /home/agent/task-workspaces/       worktrees that outlive a run
//! ```
//!
//! A home is named when its agent is made, and made of the agent's image at its first use. Which volume it is stands in the store;
//! a reset or an import makes another volume, and one transaction puts it in the place of the old one:
//!
//! ```text
//! new ──first use──▶ ready ──reset, import, delete──▶ going ──▶ (removed from the engine, then from the store)
//! filling ──the import is whole──▶ ready        filling ──it is not──▶ (removed)
//! ```
//!
//! So a crash at any point leaves the agent a whole home, the old one or the new one. What a home holds is written through
//! containers that never run, and each archive on its way goes through `archive`: no root inside, ever.

mod archive;
mod browse;
mod change;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod list;
mod reader;
mod transfer;
mod work;

use std::sync::Arc;

use bytes::Bytes;
use camino::Utf8Path;
use engine::{
    ContainerId, ContainerName, ContainerSpec, Engine, EngineError, Image, Mount, Ownership, Role, VolumeName,
    archive::{ArchiveBody, ArchiveStream},
    spec::{Access, FirstUse},
};
use futures::StreamExt as _;
use pipe::browse::Renaming;
use store::{HomeRecord, HomeSeed, HomeState, StoreError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wire::{
    ErrorCode, ErrorView, EventKind,
    ids::{AgentId, InstallId},
    stream::Update,
};

pub(crate) use self::browse::{browse, read};
pub use self::change::{Download, Upload};
pub(crate) use self::change::{delete, export, import, reset, sweep};
pub(crate) use self::list::{cancel, list, measure, signed_in};
pub(crate) use self::reader::Readable;
pub(crate) use self::work::{Homes, in_work};

use self::archive::{ArchiveError, Beginning, Carried, Memory, Route};
use self::transfer::Inlet;
use crate::engine_link::Up;
use crate::fault_points::{Point, around};
use crate::guest_volume::{empty_image, filler_name, filler_of, make_filler, remove_filler};
use crate::house::House;
use crate::{faults, sandbox};

/// Where it is mounted.
pub(crate) const HOME_FOLDER: &str = "/home/agent";
/// The folder of memories: one for its agent, and `shared`.
pub(crate) const MEMORY_FOLDER: &str = "/home/agent/clawvault";
/// The same as archives of its folder begin.
const HOME_STRIP: &str = "agent";
/// The same as archives for its container begin.
const HOME_PREFIX: &str = "home/agent";
/// Most bytes that an image may bring as a home.
const SEED_BYTES_MAX: u64 = 32 << 30;

/// The first volume of an agent's home.
pub(crate) fn volume_name(agent: AgentId) -> VolumeName {
    VolumeName::parse(format!("berth-home-{agent}")).expect("invariant: hex digits and dashes are a volume's name")
}

/// Why there is no home.
#[derive(Debug)]
pub(crate) enum HomeFault {
    /// The engine's.
    Engine(EngineError),
    /// The store's.
    Store(StoreError),
    /// What is in the image, or in the home, is of no use.
    Unusable(ErrorView),
}

impl From<EngineError> for HomeFault {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for HomeFault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The agent's home, ready for a sandbox: seeded from `image` where it is new or lost, its memory under the agent's present name. The
/// caller's step is live already, so nothing else begins to be done to it; what is being done is waited for.
///
/// # Cancel safety
/// Safe: the next call finds what this one left.
pub(crate) async fn ready(
    house: &Arc<House>,
    up: &Up,
    agent: AgentId,
    image_name: &str,
    image: &Image,
) -> Result<VolumeName, HomeFault> {
    house.homes.free(agent).await;
    let home = house.store.home_of(agent).await?;
    let volume = parsed(&home.volume)?;
    let is_there = home.state == HomeState::Ready && up.engine.volume(&volume).await?.is_some();
    if !is_there {
        if home.state == HomeState::Ready {
            warn!(home = %volume, "a home is gone from the engine; a new one takes its place");
            let text = format!(
                "The home of {} was no longer in the engine: something else removed it. A new one was made.",
                home.agent_name
            );
            let events = vec![EventKind::Note { text }];
            house.store.append_events(store::EventScope::default(), house.time.now(), events).await?;
        }
        seed(house, up.engine.as_ref(), &home, &volume, image_name, image).await?;
    } else if home.memory != home.agent_name {
        bring_memory_along(house, up, &home, &volume).await?;
    }
    around(Point::HomeUseRecord, house.store.use_home(agent, house.time.now())).await?;
    house.tell(Update::Homes);
    Ok(volume)
}

/// Makes a new home of what the image has in its place, whatever an earlier try has left.
async fn seed(
    house: &Arc<House>,
    engine: &dyn Engine,
    home: &HomeRecord,
    volume: &VolumeName,
    image_name: &str,
    image: &Image,
) -> Result<(), HomeFault> {
    engine.remove(&filler_name(volume).into()).await?;
    sandbox::remove_volume(engine, volume).await?;
    let home_ownership = ownership(house.install, home.agent, Role::Home);
    around(Point::HomeCreate, engine.create_volume(volume, &home_ownership)).await?;

    let source = source_of(house, home, volume, image);
    let source = make_filler(engine, &source).await?;
    let stream = match engine.get_archive(&source, Utf8Path::new(HOME_FOLDER), SEED_BYTES_MAX).await {
        Ok(stream) => Some(stream),
        // The image has nothing there. Where the container itself is gone, the next try makes another.
        Err(error) if error.is_gone() && engine.inspect(&source).await?.is_some() => None,
        Err(error) => {
            remove_filler(engine, &source).await?;
            return Err(error.into());
        }
    };
    let route = Route {
        strip: Some(HOME_STRIP),
        prefix: HOME_PREFIX,
        owner: house.owner,
        memory: Memory::Kept,
        bytes_max: SEED_BYTES_MAX,
    };
    let from = stream.map(|stream| pumped(house, stream, house.stop.child_token()));
    let filled = fill(house, engine, home.agent, volume, from, route, beginning(&home.agent_name), None).await;
    remove_filler(engine, &source).await?;
    match filled {
        Ok(carried) => info!(home = %volume, entries = carried.entries, bytes = carried.bytes, "seeded a home"),
        Err(FillError::Engine(error)) => return Err(error.into()),
        Err(FillError::Archive(error)) => {
            let message = format!("What the image `{image_name}` has at {HOME_FOLDER} cannot be made a home: {error}.");
            let view = ErrorView::new(ErrorCode::ImageUnusable, message)
                .hint("Mend the image, or give the agent another one.")
                .detail(faults::chain(&error));
            return Err(HomeFault::Unusable(view));
        }
    }
    let seed = HomeSeed {
        memory: home.agent_name.clone(),
        image: Some(image_name.to_owned()),
        image_id: Some(image.id.as_str().to_owned()),
    };
    Ok(around(Point::HomeRecord, house.store.set_home_ready(volume.as_str(), &seed)).await?)
}

/// The agent has another name than the folder of its memory.
async fn bring_memory_along(
    house: &Arc<House>,
    up: &Up,
    home: &HomeRecord,
    volume: &VolumeName,
) -> Result<(), HomeFault> {
    let readable = Readable { agent: home.agent, volume: volume.clone() };
    let renaming = reader::rename_memory(house, up, &readable, &home.memory, &home.agent_name).await;
    match renaming.map_err(HomeFault::Unusable)? {
        Renaming::Done => info!(home = %volume, "the folder of an agent's memory has its new name"),
        Renaming::Nothing => info!(home = %volume, "there was no folder of an agent's memory to rename"),
        Renaming::Taken => {
            warn!(home = %volume, "something else has the name of the agent's memory; both stay");
        }
    }
    Ok(house.store.set_home_memory(volume.as_str(), &home.agent_name).await?)
}

/// What every home has.
fn beginning(agent_name: &str) -> Beginning {
    let memory = format!("clawvault/{agent_name}");
    let folders = ["", "clawvault", &memory, "clawvault/shared", "project-workspace", "task-workspaces"];
    Beginning {
        comment: None,
        folders: folders.map(str::to_owned).to_vec(),
        links: vec![("run-workspace".to_owned(), sandbox::WORKSPACE_FOLDER.to_owned())],
    }
}

/// Why a volume was not filled.
enum FillError {
    Engine(EngineError),
    Archive(ArchiveError),
}

/// Fills a volume with the beginning and what comes in, through a container that never runs.
#[expect(clippy::too_many_arguments, reason = "each is another thing, and there are two callers")]
async fn fill(
    house: &Arc<House>,
    engine: &dyn Engine,
    agent: AgentId,
    volume: &VolumeName,
    from: Option<transfer::Source>,
    route: Route,
    beginning: Beginning,
    work: Option<Arc<work::Work>>,
) -> Result<Carried, FillError> {
    let filler = filler_of(volume, mounted(volume), empty_image(), ownership(house.install, agent, Role::Filler));
    let filler = make_filler(engine, &filler).await.map_err(FillError::Engine)?;
    let transfer::Carrying { mut chunks, done } = transfer::begin(house, from, route, beginning, work);
    let body = futures::stream::poll_fn(move |context| chunks.poll_recv(context)).map(Ok).boxed();
    let filling = engine.put_archive(&filler, Utf8Path::new("/"), ArchiveBody::Stream(body));
    let put = around(Point::HomeLayOut, filling).await;
    let carried = done.await.unwrap_or_else(|error| Err(ArchiveError::Carry(std::io::Error::other(error))));
    let removed = remove_filler(engine, &filler).await;
    match (put, carried) {
        // Where the engine gave up, there was nobody to carry to.
        (Err(error), Ok(_) | Err(ArchiveError::Carry(_))) => Err(FillError::Engine(error)),
        (_, Err(error)) => Err(FillError::Archive(error)),
        (Ok(()), Ok(carried)) => removed.map(|()| carried).map_err(FillError::Engine),
    }
}

/// An engine's archive as an archive's reader takes it.
fn pumped(house: &House, mut stream: ArchiveStream, cancel: CancellationToken) -> transfer::Source {
    let (inlet, source) = transfer::inlet();
    house.tasks.spawn(async move {
        let over = async |inlet: &Inlet, error| drop(inlet.send(Err(std::io::Error::other(error))).await);
        loop {
            let chunk: Option<Result<Bytes, EngineError>> = tokio::select! {
                () = cancel.cancelled() => return over(&inlet, "it was cancelled".into()).await,
                () = inlet.closed() => return,
                chunk = stream.next() => chunk,
            };
            match chunk {
                Some(Ok(chunk)) => {
                    if inlet.send(Ok(chunk)).await.is_err() {
                        return;
                    }
                }
                Some(Err(error)) => {
                    let error: Box<dyn std::error::Error + Send + Sync> = error.into();
                    return over(&inlet, error).await;
                }
                None => return,
            }
        }
    });
    source
}

fn mounted(volume: &VolumeName) -> Mount {
    Mount::Volume {
        name: volume.clone(),
        target: HOME_FOLDER.into(),
        access: Access::ReadWrite,
        first_use: FirstUse::Empty,
    }
}

/// A container of the agent's image that never runs: what the image has at its home is read from it.
fn source_of(house: &House, home: &HomeRecord, volume: &VolumeName, image: &Image) -> ContainerSpec {
    let ownership = ownership(house.install, home.agent, Role::Filler);
    let name = ContainerName::parse(format!("{volume}-source")).expect("invariant: a volume's name and letters");
    ContainerSpec { name, mounts: Vec::new(), ..filler_of(volume, mounted(volume), image.id.clone().into(), ownership) }
}

fn ownership(install: InstallId, agent: AgentId, role: Role) -> Ownership {
    Ownership { agent: Some(agent.to_string()), ..Ownership::of_install(install.to_string(), role) }
}

fn parsed(volume: &str) -> Result<VolumeName, HomeFault> {
    VolumeName::parse(volume).map_err(|error| {
        let view = faults::internal("understand the name of a home", &error);
        HomeFault::Unusable(view)
    })
}

/// A container through which a home is read as an archive.
async fn outlet(
    engine: &dyn Engine,
    house: &House,
    home: &HomeRecord,
    volume: &VolumeName,
) -> Result<ContainerId, EngineError> {
    let ownership = ownership(house.install, home.agent, Role::Filler);
    make_filler(engine, &filler_of(volume, mounted(volume), empty_image(), ownership)).await
}

/// What goes between a home's archive and a skin: bounded.
fn chunks<T>() -> (mpsc::Sender<T>, mpsc::Receiver<T>) {
    const CHUNKS_MAX: usize = 8;
    mpsc::channel(CHUNKS_MAX)
}
