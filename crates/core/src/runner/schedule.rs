//! Grants slots to steps that wait, whenever something changes and every few seconds besides.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lifecycle::Input;
use tracing::debug;
use wire::{
    Hold, Phase,
    ids::StepId,
    queue::{QueueState, Slots},
    view::EngineView,
};

use crate::house::House;
use crate::queue::{Gate, Occupant, Plan, Waiting, default_slots, plan};

/// How often to look even though nothing was heard.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How many sandboxes work at once.
pub(crate) fn slots(house: &House) -> u32 {
    match house.line.rules().slots {
        Slots::Auto => slots_auto(house),
        Slots::Fixed { count } => count,
    }
}

/// How many it would be if nobody had set a number.
pub(crate) fn slots_auto(house: &House) -> u32 {
    house.link.up().map_or(1, |up| default_slots(up.facts.cpus, up.facts.memory_bytes))
}

/// What would happen now.
pub(crate) fn look(house: &House) -> Plan {
    let steps = house.steps();
    let live: Vec<_> = steps.iter().filter(|step| step.state().phase().is_live()).collect();
    let in_work = house.homes.in_work().into_iter().map(|agent| (agent, Occupant::Work));
    let homes_in_use: HashMap<_, _> =
        in_work.chain(live.iter().map(|step| (step.agent, Occupant::Step(step.step)))).collect();
    let waiting: Vec<Waiting> = steps
        .iter()
        .filter(|step| {
            let state = step.state();
            state.phase() == Phase::Queued && state.holds().is_empty()
        })
        .map(|step| Waiting { step: step.step, agent: step.agent, priority: step.priority(), place: step.place })
        .collect();
    let gate = match house.line.rules().state {
        QueueState::Paused => Gate::Paused,
        QueueState::Open if house.link.up().is_err() => Gate::EngineAway,
        QueueState::Open if house.disks.is_short() => Gate::DiskShort,
        QueueState::Open => {
            let slots = usize::try_from(slots(house)).unwrap_or(usize::MAX);
            Gate::Open { slots_free: slots.saturating_sub(live.len()) }
        }
    };
    plan(gate, &homes_in_use, waiting)
}

/// Grants slots until the app stops.
pub(crate) async fn run(house: Arc<House>) {
    let mut link = house.link.follow();
    loop {
        hold_for_engine(&house).await;
        // One at a time, and a new look before each: what changed meanwhile counts.
        while grant_next(&house).await == Granted::One {}
        tokio::select! {
            () = house.stop.cancelled() => return,
            () = house.queue_nudge.notified() => {}
            changed = link.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// What a look at the queue came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Granted {
    /// A step has its slot.
    One,
    /// None has.
    None,
}

/// Grants the first in line its slot, if there is one for it.
async fn grant_next(house: &House) -> Granted {
    let _turn = house.line.turn().await;
    for step in look(house).start {
        if house.stop.is_cancelled() {
            break;
        }
        if grant(house, step).await == Granted::One {
            return Granted::One;
        }
    }
    Granted::None
}

/// Holds the steps that wait while the engine does not answer, and lets go of them once it does. Those that are at work see it
/// for themselves.
async fn hold_for_engine(house: &House) {
    let input = match house.link.view() {
        EngineView::Unknown => return,
        EngineView::Up { .. } => Input::Release(Hold::Engine),
        EngineView::Down { .. } => Input::Hold(Hold::Engine),
    };
    for handle in house.steps() {
        let state = handle.state();
        let is_held = state.holds().contains(Hold::Engine);
        if state.phase() == Phase::Queued && is_held == matches!(input, Input::Release(_)) {
            match handle.input(input, String::new()).await {
                Ok(Ok(())) => {}
                Ok(Err(denied)) => debug!(step = %handle.step, ?denied, "the step is not held or released"),
                Err(away) => debug!(step = %handle.step, ?away, "the step is over"),
            }
        }
    }
}

async fn grant(house: &House, step: StepId) -> Granted {
    let Some(handle) = house.step(step) else { return Granted::None };
    match handle.input(Input::SlotGranted, String::new()).await {
        Ok(Ok(())) => {
            debug!(%step, "slot granted");
            return Granted::One;
        }
        // It was held or ended since the look: the next one in line has its turn.
        Ok(Err(denied)) => debug!(%step, ?denied, "the step does not take a slot"),
        Err(away) => debug!(%step, ?away, "the step is over"),
    }
    Granted::None
}
