//! Who has a home: a task's step, or one of the things that are done to homes. Never both.
//!
//! A step says that it is live, then looks whether something is being done to its home, and waits. Who wants to do something says so,
//! then looks whether a step is live, and goes without. So at least one of the two sees the other, whatever comes first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use wire::{
    ErrorCode, ErrorView,
    ids::AgentId,
    stream::Update,
    view::{HomeWorkKind, HomeWorkView},
};

use super::reader::Readers;
use crate::dispatch;
use crate::house::House;

/// How long the sandbox of a step that has just ended may take to be gone.
const SANDBOX_GONE_MAX: Duration = Duration::from_secs(30);
/// How often to look whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How many bytes go by between two tellings.
const TELL_EVERY_BYTES: u64 = 8 << 20;

/// Everything that is going on with homes beside tasks.
#[derive(Default)]
pub(crate) struct Homes {
    // A std mutex: held for a map operation, never over an await.
    works: Mutex<HashMap<AgentId, Arc<Work>>>,
    /// Counts changes of `works`.
    changed: watch::Sender<u64>,
    pub(crate) readers: Readers,
    pub(crate) is_measuring: AtomicBool,
}

/// Something that is being done to a home.
pub(crate) struct Work {
    kind: HomeWorkKind,
    since: Timestamp,
    done_bytes: AtomicU64,
    told_bytes: AtomicU64,
    total_bytes: Option<u64>,
    /// A person has had enough, or the app stops.
    pub(crate) cancel: CancellationToken,
    house: std::sync::Weak<House>,
}

/// Holds a home for as long as it lives.
pub(crate) struct Hold {
    house: Arc<House>,
    agent: AgentId,
    pub(crate) work: Arc<Work>,
}

impl Work {
    /// So many more bytes are done.
    pub(crate) fn add(&self, bytes: u64) {
        let done = self.done_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let told = self.told_bytes.load(Ordering::Relaxed);
        if done - told >= TELL_EVERY_BYTES
            && self.told_bytes.compare_exchange(told, done, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            && let Some(house) = self.house.upgrade()
        {
            house.tell(Update::Homes);
        }
    }

    fn can_be_cancelled(&self) -> bool {
        matches!(self.kind, HomeWorkKind::Export | HomeWorkKind::Import)
    }

    pub(crate) fn view(&self) -> HomeWorkView {
        HomeWorkView {
            kind: self.kind,
            since: self.since,
            done_bytes: self.done_bytes.load(Ordering::Relaxed),
            total_bytes: self.total_bytes,
            can_be_cancelled: self.can_be_cancelled(),
        }
    }
}

impl Homes {
    fn works(&self) -> MutexGuard<'_, HashMap<AgentId, Arc<Work>>> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is being done to an agent's home.
    pub(crate) fn work(&self, agent: AgentId) -> Option<Arc<Work>> {
        self.works().get(&agent).cloned()
    }

    /// The agents whose homes no step gets now.
    pub(crate) fn in_work(&self) -> Vec<AgentId> {
        self.works().keys().copied().collect()
    }

    /// Returns when nothing is being done to an agent's home.
    pub(crate) async fn free(&self, agent: AgentId) {
        let mut changed = self.changed.subscribe();
        while self.work(agent).is_some() {
            // The sender lives in `self`.
            let _ = changed.changed().await;
        }
    }

    /// Ends what is being done to an agent's home. What was there before stays.
    pub(crate) fn cancel(&self, agent: AgentId) -> Result<(), ErrorView> {
        match self.work(agent) {
            Some(work) if work.can_be_cancelled() => {
                work.cancel.cancel();
                Ok(())
            }
            Some(_) => Err(ErrorView::new(ErrorCode::NotNow, "This takes but a moment and cannot be cancelled.")),
            None => Err(ErrorView::new(ErrorCode::NotNow, "Nothing is being done to this home.")),
        }
    }
}

/// Takes hold of an agent's home to do something to it, unless a step or something else has it.
pub(crate) async fn hold(
    house: &Arc<House>,
    agent: AgentId,
    kind: HomeWorkKind,
    total_bytes: Option<u64>,
) -> Result<Hold, ErrorView> {
    let work = Arc::new(Work {
        kind,
        since: house.time.now(),
        done_bytes: AtomicU64::new(0),
        told_bytes: AtomicU64::new(0),
        total_bytes,
        cancel: house.stop.child_token(),
        house: Arc::downgrade(house),
    });
    {
        let mut works = house.homes.works();
        if let Some(other) = works.get(&agent) {
            return Err(in_work(other.kind));
        }
        works.insert(agent, work.clone());
    }
    // From here on it is let go of however this ends.
    let hold = Hold { house: house.clone(), agent, work };
    if let Some(step) = live_step(house, agent) {
        let task = house.store.task(step.task).await.map_err(|error| dispatch::of_store(&error))?;
        return Err(in_use(task.number));
    }
    let give_up_at = Instant::now() + SANDBOX_GONE_MAX;
    while has_sandbox(house, agent).await? {
        if timeout_at(give_up_at, tokio::time::sleep(LOOK_EVERY)).await.is_err() {
            return Err(ErrorView::new(ErrorCode::NotNow, "The last sandbox in this home is still being taken away.")
                .hint("Try again in a moment."));
        }
    }
    house.tell(Update::Homes);
    Ok(hold)
}

/// The step that is at work in an agent's home.
pub(crate) fn live_step(house: &House, agent: AgentId) -> Option<crate::runner::handle::StepHandle> {
    house.steps().into_iter().find(|step| step.agent == agent && step.state().phase().is_live())
}

/// Whether a sandbox of the agent is not gone yet.
async fn has_sandbox(house: &House, agent: AgentId) -> Result<bool, ErrorView> {
    for live in house.store.live_sandboxes().await.map_err(|error| dispatch::of_store(&error))? {
        let Some(placement) = live.placement else { continue };
        if house.store.step(placement.step).await.is_ok_and(|step| step.agent == agent) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Why nothing else can be done to a home.
pub(crate) fn in_work(kind: HomeWorkKind) -> ErrorView {
    ErrorView::new(ErrorCode::NotNow, in_work_words(kind)).hint("Wait until that is over, or cancel it.")
}

pub(crate) fn in_work_words(kind: HomeWorkKind) -> String {
    let doing = match kind {
        HomeWorkKind::Reset => "reset",
        HomeWorkKind::Export => "exported",
        HomeWorkKind::Import => "replaced by an import",
        HomeWorkKind::Rename => "given its agent's new name",
    };
    format!("It is being {doing} now.")
}

fn in_use(number: i64) -> ErrorView {
    ErrorView::new(ErrorCode::NotNow, format!("The home is in use by #{number}."))
        .hint(format!("Wait until #{number} is over, or stop it (`berth cancel {number}`)."))
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.house.homes.works().remove(&self.agent);
        self.house.homes.changed.send_modify(|count| *count += 1);
        self.house.queue_nudge.notify_one();
        self.house.tell(Update::Homes);
    }
}
