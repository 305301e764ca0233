//! What it takes to write a step's new state down before anything is done about it.

use std::time::Instant;

use lifecycle::{Input, StepState, advance};
use store::{AgentRecord, NewRun, NewStep, NewTask, Store, Transition};
use wire::view::AgentColour;
use wire::{
    EventKind, Limits, Phase,
    bench::{BenchRow, BenchUnit},
    ids::StepId,
    task::{Launch, ReviewGate},
};

use super::pair::{alone, ms};
use super::{BenchError, Rig};
use crate::clock::new_id;

/// The store of its own, on the same disk, in which nobody else writes.
const FILE: &str = "commit.db";

pub(super) async fn commit(rig: &Rig, n: u32) -> Result<BenchRow, BenchError> {
    let store = Store::open(&rig.data_folder().join(FILE)).await?;
    let figures = measure(&store, rig.house().time.now(), n).await;
    store.close().await;
    let what = "a step's transition committed (state and event, synchronous=FULL)";
    Ok(BenchRow::new("warm", what, BenchUnit::Milliseconds, figures?))
}

async fn measure(store: &Store, at: jiff::Timestamp, n: u32) -> Result<wire::bench::BenchFigures, BenchError> {
    let step = write_task(store, at).await?;
    let queued = StepState::new(ReviewGate::Skip);
    let granted = advance(&queued, Input::SlotGranted).map_or(queued, |advanced| advanced.state);
    let mut revision = store.step(step).await?.revision;
    let mut states = [(queued, granted), (granted, queued)].into_iter().cycle();
    alone(n, async || {
        let (before, state) = states.next().unwrap_or((queued, granted));
        let changed = EventKind::PhaseChanged { from: before.phase(), to: state.phase(), attempt: 1, error: None };
        let begun = Instant::now();
        let transition = Transition { step, expected: revision, state, error: None, events: vec![changed], at };
        revision = store.transition(transition).await?.revision;
        Ok(ms(begun.elapsed()))
    })
    .await
}

async fn write_task(store: &Store, at: jiff::Timestamp) -> Result<StepId, BenchError> {
    let agent = AgentRecord {
        agent: new_id(),
        name: "bench".to_owned(),
        image: "script".to_owned(),
        launch: Launch::Image,
        limits: Limits::default(),
        review: ReviewGate::Skip,
        home: "none".to_owned(),
        colour: AgentColour::default(),
        network: wire::network::NetworkPolicy::default(),
        kit: store::Kit::default(),
        created_at: at,
        removed_at: None,
    };
    store.create_agent(&agent).await?;
    let step = NewStep {
        step: new_id(),
        name: Phase::Executing.name().to_owned(),
        agent: agent.agent,
        image: agent.image.clone(),
        review: agent.review,
        limits: agent.limits,
        launch: agent.launch.clone(),
    };
    let id = step.step;
    let task = NewTask {
        task: new_id(),
        title: "bench".to_owned(),
        prompt: "bench".to_owned(),
        agent: agent.agent,
        project: None,
        priority: wire::Priority::Normal,
        attachments: Vec::new(),
        run: NewRun { run: new_id(), steps: vec![step] },
        events: Vec::new(),
        at,
    };
    store.create_task(task).await?;
    Ok(id)
}
