//! Grants slots to steps that wait, whenever something changes and every few seconds besides.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use lifecycle::Input;
use tracing::debug;
use wire::{Hold, Phase, ids::StepId, view::EngineView};

use crate::house::House;
use crate::queue::{Plan, Waiting, default_slots, plan};

/// How often to look even though nothing was heard.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How many sandboxes work at once.
pub(crate) fn slots(house: &House) -> usize {
    let by_machine = || house.link.up().map_or(1, |up| default_slots(up.facts.cpus, up.facts.memory_bytes));
    house.slots.get().copied().unwrap_or_else(by_machine)
}

/// What would happen now.
pub(crate) fn look(house: &House) -> Plan {
    let steps = house.steps();
    let live: Vec<_> = steps.iter().filter(|step| step.state().phase().is_live()).collect();
    let homes_in_use: HashSet<_> = live.iter().map(|step| step.agent).chain(house.homes.in_work()).collect();
    let mut waiting: Vec<Waiting> = steps
        .iter()
        .filter(|step| {
            let state = step.state();
            state.phase() == Phase::Queued && state.holds().is_empty()
        })
        .map(|step| Waiting { step: step.step, agent: step.agent })
        .collect();
    // Ids sort by when they were made: first come, first served.
    waiting.sort_by_key(|waiting| waiting.step);
    let slots_free =
        if house.link.up().is_ok() && !house.disks.is_short() { slots(house).saturating_sub(live.len()) } else { 0 };
    plan(slots_free, &homes_in_use, &waiting)
}

/// Grants slots until the app stops.
pub(crate) async fn run(house: Arc<House>) {
    let mut link = house.link.follow();
    loop {
        hold_for_engine(&house).await;
        for step in look(&house).start {
            grant(&house, step).await;
        }
        tokio::select! {
            () = house.stop.cancelled() => return,
            () = house.queue_nudge.notified() => {}
            changed = link.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
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

async fn grant(house: &House, step: StepId) {
    let Some(handle) = house.step(step) else { return };
    match handle.input(Input::SlotGranted, String::new()).await {
        Ok(Ok(())) => debug!(%step, "slot granted"),
        Ok(Err(denied)) => debug!(%step, ?denied, "the step does not take a slot"),
        Err(away) => debug!(%step, ?away, "the step is over"),
    }
}
