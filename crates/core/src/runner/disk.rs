//! Looks at how much disk a step takes: all that lies in its workspace, and what its home has grown by in this attempt.
//!
//! Engines have no quotas on volumes and host folders, so this is a look every few seconds: the host's at the workspace, the
//! guest's at the home, which the host cannot see. A guest that lies, or an agent that locks folders away from itself, hides a home's
//! growth; the floor of free space is what holds then. Where the agent has ended there is a last look at the workspace, so that what
//! is shown of a short run is not what there was at its beginning.

use std::sync::Arc;
use std::time::Duration;

use pipe::host::Guest;
use store::DiskUse;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use wire::{ErrorCode, ErrorView};

use super::attempt::Brief;
use super::exit;
use crate::home::HOME_FOLDER;
use crate::house::House;
use crate::workspace::Workspace;

/// Between two looks at least.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two looks while nothing changes: each time twice as long as before, up to this. Many idle sandboxes shall cost next to nothing.
const LOOK_SELDOM: Duration = Duration::from_secs(30);
/// How long an agent's start waits for what its home holds. A larger home is measured beside its work.
const BEFORE_WAIT_MAX: Duration = Duration::from_millis(250);
/// Between two looks while the guest is not connected yet.
const LOOK_SOON: Duration = Duration::from_millis(200);
/// How long an agent's end waits for the last look.
const LAST_LOOK_MAX: Duration = Duration::from_secs(2);
/// A rest is at least this many times as long as the look before it.
const REST_FACTOR: u32 = 4;

/// Looks for as long as it lives.
pub(super) struct DiskWatch {
    over: watch::Receiver<Option<u64>>,
    end: CancellationToken,
    looking: JoinSet<()>,
}

impl DiskWatch {
    /// Begins to look. `home_bytes` is what the home held before the agent was started, where that was measured.
    pub(super) fn start(house: &Arc<House>, brief: &Arc<Brief>, workspace: Workspace, home_bytes: Option<u64>) -> Self {
        let (over_tx, over) = watch::channel(None);
        let end = CancellationToken::new();
        let mut looking = JoinSet::new();
        looking.spawn(look(house.clone(), brief.clone(), workspace, home_bytes, over_tx, end.clone()));
        Self { over, end, looking }
    }

    /// The agent has ended: looks once more.
    pub(super) async fn finish(mut self) {
        self.end.cancel();
        match timeout(LAST_LOOK_MAX, self.looking.join_next()).await {
            Ok(Some(Err(error))) => warn!(%error, "looking at the disk ended badly"),
            Ok(Some(Ok(())) | None) => {}
            Err(_late) => debug!("the last look at the disk takes too long"),
        }
    }

    /// Waits until it takes more than it may; how much, in bytes.
    ///
    /// # Cancel safety
    /// Safe: what was seen is seen again.
    pub(super) async fn over(&mut self) -> u64 {
        match self.over.wait_for(Option::is_some).await.map(|over| *over) {
            Ok(Some(bytes)) => bytes,
            // Whoever looked has ended without having seen anything.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

/// The error of a step that took so many bytes.
pub(super) fn too_much(brief: &Brief, bytes: u64) -> ErrorView {
    let (took, limit) = (exit::bytes(bytes), exit::bytes(brief.limits.disk_bytes));
    let message = format!("The agent's files came to {took} of disk, and it may take {limit}, so it was ended.");
    ErrorView::new(ErrorCode::LimitReached, message)
        .hint("What it wrote is kept. Give the task more (`limits: disk:` in its file) and retry it.")
}

/// What the home holds before the agent is started; `None` where that takes longer than a start may wait.
///
/// # Cancel safety
/// Yes.
pub(super) async fn home_bytes(guest: &Guest) -> Option<u64> {
    match timeout(BEFORE_WAIT_MAX, guest.disk_use(vec![HOME_FOLDER.to_owned()])).await {
        Ok(Ok(used)) => Some(used.bytes),
        Ok(Err(error)) => {
            debug!(%error, "the home cannot be measured");
            None
        }
        Err(_late) => None,
    }
}

async fn look(
    house: Arc<House>,
    brief: Arc<Brief>,
    workspace: Workspace,
    home_bytes: Option<u64>,
    over: watch::Sender<Option<u64>>,
    end: CancellationToken,
) {
    let mut home_bytes_before = match house.store.step(brief.step).await {
        // What an earlier process measured was before the agent's start.
        Ok(step) => step.home_bytes_before.or(home_bytes),
        Err(error) => {
            warn!(%error, step = %brief.step, "how much the home held is not known");
            home_bytes
        }
    };
    let mut home_growth = 0;
    let mut noted = None;
    let mut rest = LOOK_EVERY;
    loop {
        let is_last = end.is_cancelled();
        let began = Instant::now();
        let workspace_bytes = match workspace.disk_bytes().await {
            Ok(bytes) => bytes,
            Err(error) => {
                debug!(error = %error.message, step = %brief.step, "the workspace cannot be measured");
                0
            }
        };
        let looked = began.elapsed();
        let home = if workspace_bytes > brief.limits.disk_bytes {
            // A guest may be slow to say what the home holds: that is no reason to wait with what is seen from here.
            Home::Unknown
        } else {
            Home::measure(&house, &brief).await
        };
        // Where it cannot be seen now, what was seen last counts on.
        if let Home::Bytes(bytes) = home {
            home_growth = bytes.saturating_sub(*home_bytes_before.get_or_insert(bytes));
        }
        let disk_use =
            DiskUse { step: brief.step, disk_bytes: workspace_bytes.saturating_add(home_growth), home_bytes_before };
        rest = (rest * 2).min(LOOK_SELDOM);
        if noted != Some(disk_use) {
            rest = LOOK_EVERY;
            match house.store.set_disk_use(disk_use).await {
                Ok(()) => noted = Some(disk_use),
                Err(error) => warn!(%error, step = %brief.step, "how much disk a step takes could not be written down"),
            }
        }
        if disk_use.disk_bytes > brief.limits.disk_bytes {
            over.send_replace(Some(disk_use.disk_bytes));
            return;
        }
        if is_last {
            return;
        }
        let least = if matches!(home, Home::NotConnected) { LOOK_SOON } else { rest };
        // The guest rests by itself between its looks.
        tokio::select! {
            () = end.cancelled() => {}
            () = sleep(least.max(looked * REST_FACTOR)) => {}
        }
    }
}

/// What the home holds.
enum Home {
    Bytes(u64),
    NotConnected,
    /// The guest is an older Berth's, or did not answer.
    Unknown,
}

impl Home {
    async fn measure(house: &House, brief: &Brief) -> Self {
        let Some(guest) = house.guest(brief.step) else { return Self::NotConnected };
        match guest.disk_use(vec![HOME_FOLDER.to_owned()]).await {
            Ok(used) => Self::Bytes(used.bytes),
            Err(error) => {
                debug!(%error, step = %brief.step, "the home cannot be measured");
                Self::Unknown
            }
        }
    }
}
