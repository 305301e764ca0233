//! What all parts of the core share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pipe::host::Guest;
use store::{OutputProgress, Store, StoreError};
use tokio::sync::{Mutex as AsyncMutex, Notify, RwLock, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;
use wire::{
    ids::{InstallId, SandboxId, StepId},
    stream::Update,
};

use crate::access::Access;
use crate::clock::Time;
use crate::config::Config;
use crate::disk::{self, Disks};
use crate::engine_link::EngineLink;
use crate::gallery::Builds;
use crate::guest_volume::{self, GuestBinary, GuestVolumeError};
use crate::home::Homes;
use crate::images::Images;
use crate::images::fit::Fitting;
use crate::line::Line;
use crate::output::Outputs;
use crate::owner::Owner;
use crate::runner::attempt::Brief;
use crate::runner::handle::StepHandle;
use crate::tickets::Tickets;

/// Updates that a slow listener may lag behind, before it is told to look at everything.
pub(crate) const UPDATES_MAX: usize = 1024;

/// What all parts of the core share. Owned by the [`App`](crate::App), lent to everything else.
pub(crate) struct House {
    pub(crate) config: Config,
    pub(crate) install: InstallId,
    pub(crate) owner: Owner,
    pub(crate) time: Time,
    pub(crate) store: Store,
    pub(crate) link: EngineLink,
    pub(crate) outputs: Outputs,
    pub(crate) disks: Disks,
    pub(crate) images: Images,
    pub(crate) builds: Builds,
    /// What is being done to homes beside tasks, and who looks into them.
    pub(crate) homes: Homes,
    /// Gives images what a sandbox needs.
    pub(crate) fitting: Fitting,
    /// What leaves sandboxes.
    pub(crate) access: Access,
    /// The bundle of authorities that sandboxes trust, where this machine trusts more than its distribution does.
    pub(crate) authorities: Option<String>,
    pub(crate) tickets: Tickets,
    pub(crate) stream_origin: OnceLock<String>,
    /// The queue as a person has set it.
    pub(crate) line: Line,
    pub(crate) updates: broadcast::Sender<Update>,
    /// Something changed that may let a step start.
    pub(crate) queue_nudge: Notify,
    /// A step is over: what it left half-way can be looked for.
    pub(crate) compare_nudge: Notify,
    /// What is kept of runs may be over its bounds.
    pub(crate) retention_nudge: Notify,
    /// Held from a look at what the desktop tells until that is written anew.
    pub(crate) news_turn: AsyncMutex<()>,
    /// Read while volumes are filled, through containers that belong to nothing that is written down; whoever takes such
    /// containers away for leftovers has it for writing.
    pub(crate) filling: RwLock<()>,
    /// Everything that runs on its own; awaited at the end.
    pub(crate) tasks: TaskTracker,
    /// The app stops: sandboxes work on.
    pub(crate) stop: CancellationToken,
    /// The actors of the steps that are not over. A std mutex: held for a map operation, never over an await.
    pub(crate) steps: Mutex<HashMap<StepId, StepHandle>>,
    /// The guests that the app is connected to. As above.
    guests: Mutex<HashMap<StepId, (SandboxId, Guest)>>,
    /// Things a person should know, by what they are about.
    notices: Mutex<HashMap<String, String>>,
}

/// What a [`House`] is built of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) install: InstallId,
    pub(crate) time: Time,
    pub(crate) store: Store,
    pub(crate) line: Line,
    pub(crate) link: EngineLink,
    pub(crate) images: Images,
    pub(crate) access: Access,
    pub(crate) authorities: Option<String>,
}

impl House {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let outputs = Outputs::below(&parts.config.data_folder);
        let disks = Disks::new(parts.config.free_bytes_min);
        Arc::new(Self {
            config: parts.config,
            install: parts.install,
            owner: Owner::of_this_process(),
            time: parts.time,
            store: parts.store,
            link: parts.link,
            outputs,
            disks,
            images: parts.images,
            builds: Builds::default(),
            homes: Homes::default(),
            fitting: Fitting::default(),
            access: parts.access,
            authorities: parts.authorities,
            tickets: Tickets::default(),
            stream_origin: OnceLock::new(),
            line: parts.line,
            updates: broadcast::channel(UPDATES_MAX).0,
            queue_nudge: Notify::new(),
            compare_nudge: Notify::new(),
            retention_nudge: Notify::new(),
            news_turn: AsyncMutex::default(),
            filling: RwLock::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            steps: Mutex::default(),
            guests: Mutex::default(),
            notices: Mutex::default(),
        })
    }

    /// Tells the skins that something changed.
    pub(crate) fn tell(&self, update: Update) {
        // Nobody may listen.
        let _ = self.updates.send(update);
    }

    /// The handle of a step that is not over.
    pub(crate) fn step(&self, step: StepId) -> Option<StepHandle> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).get(&step).cloned()
    }

    /// The handles of all steps that are not over.
    pub(crate) fn steps(&self) -> Vec<StepHandle> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Notes that the guest of a step is connected.
    pub(crate) fn enter(&self, step: StepId, sandbox: SandboxId, guest: Guest) {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner).insert(step, (sandbox, guest));
    }

    /// Notes that it no longer is.
    pub(crate) fn leave(&self, step: StepId) {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner).remove(&step);
    }

    /// The guest of a step, while it is connected.
    pub(crate) fn guest(&self, step: StepId) -> Option<Guest> {
        let guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        guests.get(&step).map(|(_, guest)| guest.clone())
    }

    /// The guest's program for an engine of that architecture.
    pub(crate) fn guest_binary(&self, architecture: &str) -> Result<GuestBinary, GuestVolumeError> {
        GuestBinary::read(
            &guest_volume::locate(self.config.guest_binary.as_deref(), architecture)?,
            self.authorities.as_deref(),
        )
    }

    /// Writes down how far a step's output is, and tells of it. A failure is a lagging row, not lost output.
    pub(crate) async fn note_output(&self, brief: &Brief, output_bytes: u64, last_line: String) {
        let progress = OutputProgress { step: brief.step, output_bytes, output_at: self.time.now(), last_line };
        if let Err(error) = self.store.set_output_progress(&[progress]).await {
            warn!(%error, step = %brief.step, "how far the output is could not be written down");
        }
        self.tell(Update::Task { task: brief.task });
    }

    /// Whether the data folder's disk is full; then everything that writes to it waits.
    pub(crate) async fn is_full(&self) -> bool {
        let folder = self.config.data_folder.clone();
        let looked = tokio::task::spawn_blocking(move || disk::is_full(&folder)).await;
        let is_full = looked.unwrap_or(false);
        if is_full {
            self.disks.refuse();
        }
        is_full
    }

    /// The database did not take a write that is tried again: says so, and makes room where that is why.
    pub(crate) fn store_refused(&self, error: &StoreError) {
        if matches!(error, StoreError::Full(_)) {
            self.disks.refuse();
        }
        self.notice("store", Some(format!("Berth cannot write to its data folder: {error}. It goes on trying.")));
    }

    /// Sets or takes back something that a person should know.
    pub(crate) fn notice(&self, about: &str, words: Option<String>) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = match words {
            Some(words) => notices.insert(about.to_owned(), words.clone()) != Some(words),
            None => notices.remove(about).is_some(),
        };
        drop(notices);
        if changed {
            self.tell(Update::Status);
        }
    }

    /// All that a person should know.
    pub(crate) fn notices(&self) -> Vec<String> {
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = notices.values().cloned().collect();
        all.sort();
        all
    }
}
