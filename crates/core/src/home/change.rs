//! What is done to homes: reset, export, import, delete, and the sweeping up after all of them.
//!
//! Each is written down first. A home that is replaced goes in the same transaction in which the new one becomes the agent's; what goes
//! is removed from the engine afterwards, here or by the next look of any later process.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use camino::Utf8Path;
use engine::{ContainerId, EngineError, ErrorKind, VolumeName};
use newtype_uuid::GenericUuid as _;
use store::{HomeChange, HomeRecord, HomeSeed, HomeState, StoreError};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};
use wire::{
    ErrorCode, ErrorView, EventKind,
    call::{Deleted, HomeImported},
    ids::AgentKind,
    stream::Update,
    view::{HomeView, HomeWorkKind},
};

use super::archive::{ArchiveError, Beginning, Memory, Route, comment_of};
use super::list::{find, view};
use super::work::{Hold, hold};
use super::{
    FillError, HOME_FOLDER, HOME_PREFIX, HOME_STRIP, beginning, chunks, fill, outlet, ownership, pumped, transfer,
};
use crate::clock::new_id;
use crate::engine_link::Up;
use crate::house::House;
use crate::{dispatch, escape, faults, guest_volume, sandbox};

/// Most bytes of a home's archive, either way.
const HOME_BYTES_MAX: u64 = 1 << 40;

/// A home on its way out.
pub struct Download {
    /// What to call the file.
    pub file_name: String,
    /// The archive. It is whole when an empty chunk has come; one that ends before is not.
    pub chunks: mpsc::Receiver<Result<Bytes, ErrorView>>,
}

/// A home on its way in.
pub struct Upload {
    /// Takes the archive; dropped at its end. One that is dropped before changes nothing.
    pub chunks: mpsc::Sender<io::Result<Bytes>>,
    /// How it came out.
    pub done: oneshot::Receiver<Result<HomeImported, ErrorView>>,
}

/// Puts a new home in the place of an agent's.
pub(crate) async fn reset(house: &Arc<House>, name: &str, typed: &str) -> Result<HomeView, ErrorView> {
    let home = find(house, name).await?;
    confirmed(&home, typed, "reset")?;
    has_agent(&home)?;
    if home.state == HomeState::New {
        return Err(ErrorView::new(ErrorCode::NotNow, format!("The home of `{}` is new already.", home.agent_name)));
    }
    let held = hold(house, home.agent, HomeWorkKind::Reset, None).await?;
    // Looked at again: it may have been replaced while it was waited for.
    let home = house.store.home_of(home.agent).await.map_err(|error| dispatch::of_store(&error))?;
    let text = format!("The home of {} was reset", home.agent_name);
    replace(house, &home, new_volume().as_str(), None, text).await?;
    info!(home = %home.volume, agent = %home.agent, "a home was reset");
    let home = house.store.home_of(home.agent).await.map_err(|error| dispatch::of_store(&error))?;
    drop(held);
    Ok(view(house, home).await)
}

/// Removes the home of a deleted agent.
pub(crate) async fn delete(house: &Arc<House>, name: &str, typed: &str) -> Result<Deleted, ErrorView> {
    let home = find(house, name).await?;
    confirmed(&home, typed, "deleted")?;
    if home.agent_removed_at.is_none() {
        let message = format!("This is the home of the agent `{}`, which needs one.", home.agent_name);
        return Err(ErrorView::new(ErrorCode::NotNow, message)
            .hint("Reset it for a new one, or delete the agent together with its home."));
    }
    let _hold = hold(house, home.agent, HomeWorkKind::Reset, None).await?;
    let events =
        vec![EventKind::Note { text: format!("The home of the deleted agent {} was deleted", home.agent_name) }];
    let gone = house.store.let_home_go(&home.volume, house.time.now(), events).await;
    gone.map_err(|error| dispatch::of_store(&error))?;
    house.compare_nudge.notify_one();
    house.tell(Update::Homes);
    Ok(Deleted {})
}

/// Writes a home to an archive.
pub(crate) async fn export(house: &Arc<House>, name: &str) -> Result<Download, ErrorView> {
    let home = find(house, name).await?;
    if home.state == HomeState::New {
        let message = format!("The home of `{}` holds nothing yet: it is made at its first use.", home.agent_name);
        return Err(ErrorView::new(ErrorCode::NotNow, message).hint("Give the agent a task first."));
    }
    let up = house.link.up()?;
    let total_bytes = home.size.map(|size| size.size_bytes);
    let hold = hold(house, home.agent, HomeWorkKind::Export, total_bytes).await?;
    let home = house.store.home_of(home.agent).await.map_err(|error| dispatch::of_store(&error))?;
    let (sender, receiver) = chunks();
    let file_name = format!("{}-home.tar", home.agent_name);
    let owner = house.clone();
    house.tasks.spawn(async move {
        let last = match carry_out(&owner, &up, &home, &hold, &sender).await {
            Ok(()) => Ok(Bytes::new()),
            Err(error) => Err(error),
        };
        drop(hold);
        // Whoever takes it may have gone.
        let _ = sender.send(last).await;
    });
    Ok(Download { file_name, chunks: receiver })
}

async fn carry_out(
    house: &Arc<House>,
    up: &Up,
    home: &HomeRecord,
    hold: &Hold,
    sender: &mpsc::Sender<Result<Bytes, ErrorView>>,
) -> Result<(), ErrorView> {
    let volume = volume_of(home)?;
    let engine = up.engine.as_ref();
    let of_engine = |error: EngineError| faults::of_engine(&error);
    // Until it is carried: reconcile would take its container for a leftover.
    let _filling = house.filling.read().await;
    guest_volume::ensure_empty_image(engine, &house.install.to_string()).await.map_err(of_engine)?;
    let outlet = outlet(engine, house, home, &volume).await.map_err(of_engine)?;
    let carried = async {
        let stream =
            engine.get_archive(&outlet, Utf8Path::new(HOME_FOLDER), HOME_BYTES_MAX).await.map_err(of_engine)?;
        let route = Route {
            strip: Some(HOME_STRIP),
            prefix: "",
            owner: house.owner,
            memory: Memory::Kept,
            bytes_max: HOME_BYTES_MAX,
        };
        let beginning = Beginning { comment: Some(comment_of(&home.memory)), ..Beginning::default() };
        let from = pumped(house, stream, hold.work.cancel.clone());
        let transfer::Carrying { mut chunks, done } =
            transfer::begin(house, Some(from), route, beginning, Some(hold.work.clone()));
        while let Some(chunk) = chunks.recv().await {
            let sent = tokio::select! {
                () = hold.work.cancel.cancelled() => return Err(cancelled()),
                sent = sender.send(Ok(chunk)) => sent,
            };
            if sent.is_err() {
                return Err(cancelled());
            }
        }
        match done.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) if hold.work.cancel.is_cancelled() => Err(cancelled()),
            Ok(Err(error)) => Err(of_archive("exported", &error)),
            Err(error) => Err(faults::internal("export a home", &error)),
        }
    };
    let carried = carried.await;
    engine.remove(&outlet).await.map_err(of_engine)?;
    carried
}

/// Begins to take an archive in. It becomes the home when it is whole.
pub(crate) async fn import(
    house: &Arc<House>,
    name: &str,
    typed: &str,
    size_bytes: Option<u64>,
) -> Result<Upload, ErrorView> {
    let home = find(house, name).await?;
    confirmed(&home, typed, "replaced")?;
    has_agent(&home)?;
    let up = house.link.up()?;
    let hold = hold(house, home.agent, HomeWorkKind::Import, size_bytes).await?;
    let (inlet, source) = transfer::inlet();
    let (answer, done) = oneshot::channel();
    let owner = house.clone();
    house.tasks.spawn(async move {
        let imported = carry_in(&owner, &up, &home, &hold, source).await;
        drop(hold);
        owner.compare_nudge.notify_one();
        let imported = match imported {
            Ok(reply) => match owner.store.home_of(home.agent).await {
                Ok(now) => Ok(HomeImported { home: view(&owner, now).await, ..reply }),
                Err(error) => Err(dispatch::of_store(&error)),
            },
            Err(error) => Err(error),
        };
        // Whoever sent it may have gone.
        let _ = answer.send(imported);
    });
    Ok(Upload { chunks: inlet, done })
}

async fn carry_in(
    house: &Arc<House>,
    up: &Up,
    home: &HomeRecord,
    hold: &Hold,
    source: transfer::Source,
) -> Result<HomeImported, ErrorView> {
    let home = house.store.home_of(home.agent).await.map_err(|error| dispatch::of_store(&error))?;
    let volume = new_volume();
    let filling = house.store.begin_filling(volume.as_str(), home.agent, house.time.now()).await;
    filling.map_err(|error| dispatch::of_store(&error))?;
    let filled = take_in(house, up, &home, &volume, hold, source).await;
    let kept = match filled {
        Ok(reply) => {
            let seed = HomeSeed { memory: home.agent_name.clone(), image: None, image_id: None };
            let text = format!("The home of {} was imported: {} entries", home.agent_name, reply.entries);
            replace(house, &home, volume.as_str(), Some(seed), text).await.map(|()| reply)
        }
        Err(error) => Err(error),
    };
    // A commit whose answer was lost may have made it the home.
    if kept.is_err() && is_filling(house, volume.as_str()).await {
        discard(house, up, &volume).await;
    }
    kept
}

/// Whether a volume is one that an import has begun, and no more: as it is now, whatever an earlier look has said.
async fn is_filling(house: &House, volume: &str) -> bool {
    house.store.home(volume).await.is_ok_and(|now| now.state == HomeState::Filling)
}

async fn take_in(
    house: &Arc<House>,
    up: &Up,
    home: &HomeRecord,
    volume: &VolumeName,
    hold: &Hold,
    source: transfer::Source,
) -> Result<HomeImported, ErrorView> {
    let engine = up.engine.as_ref();
    let of_engine = |error: EngineError| faults::of_engine(&error);
    let _filling = house.filling.read().await;
    guest_volume::ensure_empty_image(engine, &house.install.to_string()).await.map_err(of_engine)?;
    let ownership = ownership(house.install, home.agent, engine::Role::Home);
    engine.create_volume(volume, &ownership).await.map_err(of_engine)?;
    let route = Route {
        strip: None,
        prefix: HOME_PREFIX,
        owner: house.owner,
        memory: Memory::Of(home.agent_name.clone()),
        bytes_max: HOME_BYTES_MAX,
    };
    let (checked, from) = transfer::inlet();
    let cancel = hold.work.cancel.clone();
    house.tasks.spawn(until_cancelled(source, checked, cancel.clone()));
    let work = Some(hold.work.clone());
    let filled = fill(house, engine, home.agent, volume, Some(from), route, beginning(&home.agent_name), work).await;
    if cancel.is_cancelled() {
        return Err(cancelled());
    }
    match filled {
        Ok(carried) => Ok(HomeImported {
            home: view(house, home.clone()).await,
            entries: carried.entries,
            size_bytes: carried.bytes,
            left_out: carried.left_out,
            left_out_total: carried.left_out_total,
        }),
        Err(FillError::Engine(error)) => {
            let view = faults::of_engine(&error);
            Err(ErrorView { message: format!("{} The home is as it was.", view.message), ..view })
        }
        Err(FillError::Archive(error)) => Err(of_archive("imported", &error)),
    }
}

/// Passes an archive on until somebody has had enough.
async fn until_cancelled(
    mut source: transfer::Source,
    inlet: transfer::Inlet,
    cancel: tokio_util::sync::CancellationToken,
) {
    loop {
        let chunk = tokio::select! {
            () = cancel.cancelled() => {
                // Its taker may have gone.
                let _ = inlet.send(Err(io::Error::other("it was cancelled"))).await;
                return;
            }
            () = inlet.closed() => return,
            chunk = source.recv() => chunk,
        };
        let Some(chunk) = chunk else { return };
        if inlet.send(chunk).await.is_err() {
            return;
        }
    }
}

/// Puts another volume in the place of a home, in one transaction; what was there goes.
async fn replace(
    house: &Arc<House>,
    home: &HomeRecord,
    new: &str,
    seed: Option<HomeSeed>,
    text: String,
) -> Result<(), ErrorView> {
    house.homes.readers.end(&volume_of(home)?).await;
    let change = HomeChange {
        agent: home.agent,
        old: home.volume.clone(),
        new: new.to_owned(),
        seed,
        events: vec![EventKind::Note { text }],
        at: house.time.now(),
    };
    house.store.replace_home(change).await.map_err(|error| dispatch::of_store(&error))?;
    house.compare_nudge.notify_one();
    house.tell(Update::Homes);
    house.tell(Update::Agents);
    Ok(())
}

/// Takes away what an import has left that came to nothing. What cannot be taken away now goes with a later look.
async fn discard(house: &House, up: &Up, volume: &VolumeName) {
    match sandbox::remove_volume(up.engine.as_ref(), volume).await {
        Ok(()) => {
            if let Err(error) = house.store.forget_home(volume.as_str()).await {
                warn!(%error, home = %volume, "an import that came to nothing is forgotten later");
            }
        }
        Err(error) => warn!(%error, home = %volume, "what an import has left is taken away later"),
    }
}

/// Removes what is to go, and what an import has left that no process is at work on any more.
pub(crate) async fn sweep(house: &House, up: &Up) -> Result<(), EngineError> {
    let homes = match house.store.homes().await {
        Ok(homes) => homes,
        Err(error) => {
            warn!(%error, "which homes are to go is not known");
            return Ok(());
        }
    };
    let mut is_any_gone = false;
    for home in homes {
        let is_to_go = match home.state {
            HomeState::Going => true,
            HomeState::Filling => house.homes.work(home.agent).is_none() && is_filling(house, &home.volume).await,
            HomeState::New | HomeState::Ready => false,
        };
        let Some(volume) = VolumeName::parse(home.volume.as_str()).ok().filter(|_| is_to_go) else { continue };
        house.homes.readers.end(&volume).await;
        let filler: ContainerId = guest_volume::filler_name(&volume).into();
        up.engine.remove(&filler).await?;
        match up.engine.remove_volume(&volume).await {
            Ok(()) => {
                info!(home = %volume, "took away a home that was replaced or deleted");
                forget(house, &volume).await;
                is_any_gone = true;
            }
            // The sandbox that was in it last is being taken away just now.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    if is_any_gone {
        house.tell(Update::Homes);
    }
    Ok(())
}

async fn forget(house: &House, volume: &VolumeName) {
    match house.store.forget_home(volume.as_str()).await {
        Ok(()) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => warn!(%error, home = %volume, "a home that is gone is forgotten later"),
    }
}

fn new_volume() -> VolumeName {
    super::volume_name(wire::ids::AgentId::from_untyped_uuid(new_id::<AgentKind>().into_untyped_uuid()))
}

fn volume_of(home: &HomeRecord) -> Result<VolumeName, ErrorView> {
    VolumeName::parse(home.volume.as_str()).map_err(|error| faults::internal("understand the name of a home", &error))
}

/// What cannot be undone needs the name, in the call itself.
fn confirmed(home: &HomeRecord, typed: &str, done: &str) -> Result<(), ErrorView> {
    if typed == home.agent_name {
        return Ok(());
    }
    let name = &home.agent_name;
    let message = if typed.is_empty() {
        format!("The home of `{name}` is {done} only when its name is given once more: what is in it is lost.")
    } else {
        let shown = escape::visible(typed.as_bytes());
        format!("`{shown}` is not the name of this home, so nothing was {done}.")
    };
    Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint(format!("Its name is `{name}`.")))
}

fn has_agent(home: &HomeRecord) -> Result<(), ErrorView> {
    if home.agent_removed_at.is_none() {
        return Ok(());
    }
    Err(ErrorView::new(
        ErrorCode::NotNow,
        format!("The agent `{}` is deleted; only its home is left.", home.agent_name),
    )
    .hint("Export it, or delete it."))
}

fn cancelled() -> ErrorView {
    ErrorView::new(ErrorCode::NotNow, "It was cancelled. The home is as it was.")
}

fn of_archive(done: &str, error: &ArchiveError) -> ErrorView {
    let hint = match error {
        ArchiveError::Cut { .. } | ArchiveError::Carry(_) => {
            "Try again; if it breaks off at the same place, so does the archive."
        }
        ArchiveError::NotTar { .. } | ArchiveError::Damaged { .. } => {
            "Give a tar archive, as `berth homes export` writes it."
        }
        ArchiveError::LeadsOut { .. } => "Do not trust this archive. An export of Berth's never holds such an entry.",
        ArchiveError::TooMuch { .. } => "Make a smaller archive of what is needed.",
    };
    let view =
        ErrorView::new(ErrorCode::InvalidArgument, format!("Nothing was {done}, and the home is as it was: {error}."));
    // Only what could not be carried has a cause that the words do not tell.
    let detail = if matches!(error, ArchiveError::Carry(_)) { faults::chain(error) } else { String::new() };
    view.hint(hint).detail(detail)
}
