//! Looks at what a sandbox uses of the machine, as the engine counts it: what the guest says of itself is the agent's word.
//!
//! CPU time is a counter of the container's, so each look knows all of it until then, and few are needed: one at the beginning, one
//! once the agent has ended, and between them ever more seldom, so that many idle sandboxes cost next to nothing. What was used after
//! the last look is lost where the sandbox goes before there is another: then it has used at least that much.

use std::sync::Arc;
use std::time::Duration;

use engine::ContainerId;
use store::{ComputeLook, ComputeSample};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::attempt::Brief;
use crate::house::House;

/// Before the first look: the agent begins undisturbed.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// Between two looks at most; until then each rest is twice the one before.
const LOOK_SELDOM: Duration = Duration::from_mins(15);
/// How long an agent's end waits for the last look.
const LAST_LOOK_MAX: Duration = Duration::from_secs(2);

/// Looks for as long as it lives.
pub(super) struct ComputeWatch {
    end: CancellationToken,
    looking: JoinSet<()>,
}

impl ComputeWatch {
    /// Begins to look at a container that runs.
    pub(super) fn start(house: &Arc<House>, brief: &Arc<Brief>, container: &ContainerId) -> Self {
        let end = CancellationToken::new();
        let mut looking = JoinSet::new();
        looking.spawn(look(house.clone(), brief.clone(), container.clone(), end.clone()));
        Self { end, looking }
    }

    /// The agent has ended, and its container is there still: looks once more.
    pub(super) async fn finish(mut self) {
        self.end.cancel();
        match timeout(LAST_LOOK_MAX, self.looking.join_next()).await {
            Ok(Some(Err(error))) => warn!(%error, "looking at what a sandbox uses ended badly"),
            Ok(Some(Ok(())) | None) => {}
            Err(_late) => debug!("the last look at what a sandbox uses takes too long"),
        }
    }
}

async fn look(house: Arc<House>, brief: Arc<Brief>, container: ContainerId, end: CancellationToken) {
    let mut started_at = None;
    let mut rest = FIRST_LOOK;
    loop {
        let which = tokio::select! {
            biased;
            () = end.cancelled() => ComputeLook::Last,
            () = sleep(rest) => ComputeLook::OneOfSeveral,
        };
        rest = (rest * 2).min(LOOK_SELDOM);
        if let Ok(up) = house.link.up() {
            if started_at.is_none() {
                // By the app's own clock, which another machine's may not agree with; a sandbox that was taken over is older than
                // this process.
                let placed = house.store.placement_of(brief.step).await;
                started_at = placed.ok().flatten().map(|placement| placement.placed_at);
            }
            let used = up.engine.stats(&container).await;
            let until = house.time.now();
            let cpu_us = match used {
                Ok(used) => Some(used.cpu_total_ns / 1_000),
                Err(error) => {
                    debug!(%error, step = %brief.step, "what a sandbox uses is not known");
                    None
                }
            };
            let sample = ComputeSample {
                step: brief.step,
                attempt: brief.attempt,
                started_at: *started_at.get_or_insert(until),
                until,
                cpu_us,
                memory_bytes: brief.limits.memory_bytes,
                // An end that the engine said nothing of is not known to be all.
                look: if cpu_us.is_some() { which } else { ComputeLook::OneOfSeveral },
            };
            if let Err(error) = house.store.note_compute(&sample).await {
                warn!(%error, step = %brief.step, "what a sandbox uses could not be written down");
            }
        }
        if which == ComputeLook::Last {
            return;
        }
    }
}
