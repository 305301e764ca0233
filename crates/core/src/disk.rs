//! Room on the disks: the data folder's, and the engine's where it is one of this machine.
//!
//! ```text
//!            less than the floor free, or a write refused
//!   room ──────────────────────────────────────────────────▶ short: nothing new starts, every step is held
//!    ▲                                                         │
//!    └── a quarter more than the floor free, the reserve made ─┘
//! ```
//!
//! Looked at on a timer and whenever a write is refused; what is seen then is the truth, never what was heard. On a disk that is
//! full to the last byte the holds themselves could not be written down: for that, and for what a person decides meanwhile, a
//! reserve lies in the data folder that is let go while writes are refused. Output waits until it is there again.

mod reserve;

use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use camino::{Utf8Path, Utf8PathBuf};
use engine::EngineFacts;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use lifecycle::Input;
use tokio::sync::{Notify, watch};
use tracing::{debug, error, info, warn};
use wire::{Hold, Phase};

use crate::house::House;
use crate::runner::handle::StepHandle;

pub(crate) use self::reserve::let_go as let_reserve_go;

/// The floor where none is set: enough for the output and the results of a busy minute.
pub const FREE_BYTES_MIN_DEFAULT: u64 = 1 << 30;
/// Files that can still be made, below which a disk counts as short.
const FREE_FILES_MIN: u64 = 256;
/// A disk with less free is full, whatever the floor is.
const FULL_BYTES: u64 = 1 << 20;
/// How often to look although nothing was heard.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a step may take to write down that it is held, before the others are asked again.
const HOLD_TIME_MAX: Duration = Duration::from_secs(5);
/// Between two tries at a write that was refused.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What is known of the disks.
pub(crate) struct Disks {
    free_bytes_min: u64,
    room: watch::Sender<Room>,
    nudge: Notify,
}

/// How much room there is, as far as it decides anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Why the data folder has too little; `None` where it has enough.
    pub(crate) data: Option<Shortage>,
    /// The same for the engine's disk, where it is one of this machine and not the data folder's.
    pub(crate) engine: Option<Shortage>,
    /// The data folder refused a write, and has not been found to take any again.
    pub(crate) is_refused: bool,
}

/// Too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// Bytes, with those that are free.
    Bytes(u64),
    /// Names for files (inodes).
    Files,
    /// There should be enough, but a write was refused: a quota.
    Refused,
}

/// What a file system says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Free {
    /// For this user, in bytes.
    pub(crate) bytes: u64,
    /// Files that can still be made; `None` where there is no bound.
    files: Option<u64>,
    /// All of it, in bytes.
    pub(crate) total_bytes: u64,
    /// Which file system it is.
    id: u64,
}

impl Room {
    /// Whether there is too little anywhere.
    pub(crate) fn is_short(&self) -> bool {
        self.data.is_some() || self.engine.is_some()
    }
}

/// Whether that says that there is no room, and nothing else.
pub(crate) fn says_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

impl Disks {
    pub(crate) fn new(free_bytes_min: u64) -> Self {
        Self { free_bytes_min, room: watch::channel(Room::default()).0, nudge: Notify::new() }
    }

    /// The least that is kept free, in bytes.
    pub(crate) fn free_bytes_min(&self) -> u64 {
        self.free_bytes_min
    }

    /// How much room there is, as last seen.
    pub(crate) fn room(&self) -> Room {
        self.room.borrow().clone()
    }

    /// Whether nothing new may start.
    pub(crate) fn is_short(&self) -> bool {
        self.room.borrow().is_short()
    }

    /// Whether output has to wait.
    pub(crate) fn is_refused(&self) -> bool {
        self.room.borrow().is_refused
    }

    /// The data folder refused a write: it is full ([`says_full`]).
    pub(crate) fn refuse(&self) {
        self.room.send_if_modified(|room| {
            let is_news = !room.is_refused;
            room.is_refused = true;
            room.data = room.data.or(Some(Shortage::Refused));
            is_news
        });
        self.nudge.notify_one();
    }

    /// Waits until a write that was refused is worth another try.
    ///
    /// # Cancel safety
    /// Safe: it only waits.
    pub(crate) async fn taken_again(&self) {
        let mut follow = self.room.subscribe();
        tokio::time::sleep(RETRY_DELAY).await;
        // The sender lives in `self`.
        let _ = follow.wait_for(|room| !room.is_refused).await;
    }

    /// Looks, and says whether anything has changed.
    async fn look(&self, data_folder: &Utf8Path, engine_folder: Option<Utf8PathBuf>) -> bool {
        let (before, floor, folder) = (self.room(), self.free_bytes_min, data_folder.to_owned());
        let seen = tokio::task::spawn_blocking(move || see(&before, floor, &folder, engine_folder.as_deref())).await;
        let Ok(now) = seen.inspect_err(|error| error!(%error, "looking at the disks broke down")) else { return false };
        self.room.send_if_modified(|room| {
            // A write that was refused while one looked counts.
            let now = if room.is_refused && !now.was_refused { return false } else { now.room };
            let is_news = *room != now;
            *room = now;
            is_news
        })
    }
}

struct Seen {
    room: Room,
    /// Whether it was known, when the look began, that writes are refused.
    was_refused: bool,
}

/// Looks at the disks. Lets the reserve go where writes are refused, and makes it where they are not.
fn see(before: &Room, floor: u64, data_folder: &Utf8Path, engine_folder: Option<&Utf8Path>) -> Seen {
    let free = free(data_folder);
    let mut room = Room::default();
    if let Some(free) = free {
        room.data = shortage(before.data, free, floor);
        if before.is_refused {
            // What is free while the reserve is not there has to be more than the reserve itself.
            let has_room = room.data.is_none() && free.bytes >= 2 * reserve::bytes(free.total_bytes);
            let was_there = reserve::let_go(data_folder);
            room.is_refused = was_there || !has_room || !reserve::make(data_folder, free);
            if room.is_refused {
                room.data = room.data.or(Some(Shortage::Refused));
            }
        } else if room.data.is_none() && !reserve::make(data_folder, free) {
            // Whatever the floor is: a disk without room for that is full.
            room.data = Some(Shortage::Refused);
        }
    }
    if let Some(engine_folder) = engine_folder
        && let Some(of_engine) = self::free(engine_folder)
        && free.is_none_or(|free| free.id != of_engine.id)
    {
        room.engine = shortage(before.engine, of_engine, floor);
    }
    Seen { room, was_refused: before.is_refused }
}

/// Whether there is too little, with a quarter of the floor between holding and letting go.
fn shortage(before: Option<Shortage>, free: Free, floor: u64) -> Option<Shortage> {
    let (bytes_min, files_min) = match before {
        None => (floor.max(FULL_BYTES), FREE_FILES_MIN),
        Some(_) => (enough(floor).max(2 * FULL_BYTES), 2 * FREE_FILES_MIN),
    };
    if free.bytes < bytes_min {
        Some(Shortage::Bytes(free.bytes))
    } else if free.files.is_some_and(|files| files < files_min) {
        Some(Shortage::Files)
    } else {
        None
    }
}

/// What has to be free before anything goes on, in bytes.
const fn enough(floor: u64) -> u64 {
    floor.saturating_add(floor / 4)
}

/// What is free where that folder is; `None` where the system does not say.
pub(crate) fn free(folder: &Utf8Path) -> Option<Free> {
    #[cfg(unix)]
    {
        let stat = rustix::fs::statvfs(folder.as_std_path()).ok()?;
        Some(Free {
            bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            // Some file systems count none, and make as many as fit.
            files: (stat.f_files > 0).then_some(stat.f_favail),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            id: stat.f_fsid,
        })
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

/// Whether nothing worth mentioning can be written where that folder is.
pub(crate) fn is_full(folder: &Utf8Path) -> bool {
    free(folder).is_some_and(|free| free.bytes < FULL_BYTES || free.files == Some(0))
}

/// Where the engine keeps images, containers and volumes, where that is a folder of this machine.
pub(crate) fn engine_folder(facts: &EngineFacts) -> Option<Utf8PathBuf> {
    #[cfg(unix)]
    {
        // An engine in a virtual machine or elsewhere names a folder of its own machine.
        let is_here = nix::unistd::gethostname().is_ok_and(|here| here.to_str() == Some(&facts.machine_name));
        facts.root_folder.clone().filter(|folder| is_here && free(folder).is_some())
    }
    #[cfg(not(unix))]
    {
        let _ = facts;
        None
    }
}

/// Looks once, before anything starts.
pub(crate) async fn look_first(house: &House) {
    house.disks.look(&house.config.data_folder, None).await;
}

/// Looks until the app stops, and holds and lets go of steps by what is seen.
pub(crate) async fn run(house: Arc<House>) {
    loop {
        let engine_folder = house.link.up().ok().and_then(|up| engine_folder(&up.facts));
        let is_news = house.disks.look(&house.config.data_folder, engine_folder.clone()).await;
        let room = house.disks.room();
        house.notice("disk", words(&room, &house, engine_folder.as_deref()));
        if is_news {
            if room.is_short() {
                warn!(?room, "a disk is short of room: steps are held");
            } else {
                info!("the disks have room again");
            }
            house.queue_nudge.notify_one();
        }
        tokio::select! {
            () = house.stop.cancelled() => return,
            () = hold(&house, &room) => {}
        }
        tokio::select! {
            () = house.stop.cancelled() => return,
            () = house.disks.nudge.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Holds every step that could go on, or lets go of them, so that they agree with the room there is.
async fn hold(house: &House, room: &Room) {
    let input = if room.is_short() { Input::Hold(Hold::DiskSpace) } else { Input::Release(Hold::DiskSpace) };
    let asked: FuturesUnordered<_> = house
        .steps()
        .into_iter()
        .filter(|handle| differs(handle, room))
        .map(|handle| async move {
            match tokio::time::timeout(HOLD_TIME_MAX, handle.input(input, String::new())).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(denied))) => debug!(step = %handle.step, ?denied, "the step is not held or released"),
                Ok(Err(away)) => debug!(step = %handle.step, ?away, "the step is over"),
                // It is carried out all the same, once it can be written down.
                Err(_) => debug!(step = %handle.step, "the step cannot write down yet that it is held"),
            }
        })
        .collect();
    asked.for_each(async |()| {}).await;
}

fn differs(handle: &StepHandle, room: &Room) -> bool {
    let state = handle.state();
    let can_be_held = state.phase() == Phase::Queued || (state.phase().is_live() && state.ending().is_none());
    can_be_held && handle.is_idle() && state.holds().contains(Hold::DiskSpace) != room.is_short()
}

/// What a person should know; `None` where there is room.
fn words(room: &Room, house: &House, engine_folder: Option<&Utf8Path>) -> Option<String> {
    let floor = house.disks.free_bytes_min;
    let data = room.data.map(|shortage| sentence(shortage, "the data folder", &house.config.data_folder, floor));
    let engine = room
        .engine
        .zip(engine_folder)
        .map(|(shortage, folder)| sentence(shortage, "the engine's folder", folder, floor));
    let what = [data, engine].into_iter().flatten().collect::<Vec<_>>().join(" ");
    (!what.is_empty()).then(|| format!("{what} {}", hint(floor)))
}

fn sentence(shortage: Shortage, what: &str, folder: &Utf8Path, floor: u64) -> String {
    match shortage {
        Shortage::Bytes(free) if free < FULL_BYTES => format!("The disk of {what} `{folder}` is full."),
        Shortage::Bytes(free) => format!(
            "The disk of {what} `{folder}` has {} free; the floor is {}.",
            ByteSize(free).display().iec(),
            ByteSize(floor).display().iec(),
        ),
        Shortage::Files => format!("The disk of {what} `{folder}` has hardly a file left that can be made (inodes)."),
        Shortage::Refused => format!("The disk of {what} `{folder}` is full: a write was refused."),
    }
}

/// What it means and what to do.
pub(crate) fn hint(floor: u64) -> String {
    let until = match floor {
        0 => String::new(),
        floor => format!(" with {} free", ByteSize(enough(floor)).display().iec()),
    };
    format!(
        "Nothing new starts and running steps are held; nothing is lost. Free some space: Berth goes on by itself{until}. \
         `BERTH_FREE_BYTES_MIN` sets the floor."
    )
}

#[cfg(test)]
mod tests;
