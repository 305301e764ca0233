//! Builds what the skins show from what the store and the actors know.

use std::cell::OnceCell;
use std::collections::HashMap;

use lifecycle::Holds;
use store::{CostScope, ListedTask, ResultRecord, RunRecord, StepRecord, StoreError, TaskRecord};
use wire::{
    Phase,
    cost::Spent,
    ids::{RunId, StepId},
    queue::Wait,
    view::{
        LiveStep, ResultList, ResultView, RunSummary, RunView, SandboxView, StatusView, StepView, TaskRow, TaskView,
    },
};

use crate::access::{budgets, compute};
use crate::house::House;
use crate::images::catalogue;
use crate::queue::{Occupant, Wait as InLine};
use crate::runner::schedule;
use crate::{escape, gallery, results};

/// Live steps that a status names.
const LIVE_MAX: usize = 20;
/// Results that a list names.
const RESULTS_MAX: u32 = 10_000;

/// The whole app at a glance.
pub(crate) async fn status(house: &House) -> Result<StatusView, StoreError> {
    let tasks = house.store.phase_counts().await?;
    let mut live = Vec::new();
    let mut memory_used_bytes = 0;
    for record in house.store.steps_in(&[Phase::Provisioning, Phase::Executing]).await? {
        memory_used_bytes += record.limits.memory_bytes;
        let task = house.store.task(record.task).await?;
        live.push(LiveStep {
            task: task.task,
            number: task.number,
            title: task.title,
            phase: record.state.phase(),
            since: record.entered_at,
        });
    }
    live.sort_by_key(|step| step.since);
    let cost_today = if house.access.is_metered() {
        Some(house.store.spent(&CostScope::All { since: budgets::day_of(house.time.now()) }).await?)
    } else {
        None
    };
    let slots_used = u32::try_from(live.len()).unwrap_or(u32::MAX);
    live.truncate(LIVE_MAX);
    Ok(StatusView {
        engine: house.link.view(),
        slots_used,
        slots_max: schedule::slots(house),
        queue: house.line.rules().state,
        memory_used_bytes,
        memory_bytes: house.link.up().map_or(0, |up| up.facts.memory_bytes),
        tasks,
        live,
        cost_today,
        data_folder: house.config.data_folder.to_string(),
        notices: house.notices(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// What those wait for that wait for a slot. Planned once for a whole list, and only where a task of it waits.
type Waits = OnceCell<HashMap<StepId, InLine>>;

/// Rows of the list.
pub(crate) async fn rows(house: &House, listed: Vec<ListedTask>) -> Result<Vec<TaskRow>, StoreError> {
    let runs: Vec<_> = listed.iter().map(|listed| listed.run).collect();
    let spent = spent_in(house, &runs).await?;
    let waits = Waits::new();
    Ok(listed.into_iter().map(|listed| row_of(house, listed, &spent, &waits)).collect())
}

/// One row of the list.
pub(crate) async fn row(house: &House, listed: ListedTask) -> Result<TaskRow, StoreError> {
    let spent = spent_in(house, &[listed.run]).await?;
    Ok(row_of(house, listed, &spent, &Waits::new()))
}

async fn spent_in(house: &House, runs: &[RunId]) -> Result<HashMap<RunId, Spent>, StoreError> {
    if house.access.is_metered() { house.store.spent_by_runs(runs).await } else { Ok(HashMap::new()) }
}

fn row_of(house: &House, listed: ListedTask, spent: &HashMap<RunId, Spent>, waits: &Waits) -> TaskRow {
    let wait =
        (listed.phase == Phase::Queued).then(|| wait(house, listed.step, listed.holds, &listed.agent_name, waits));
    let note = wait.as_ref().map_or_else(|| note(house, &listed), Wait::sentence);
    TaskRow {
        task: listed.task,
        number: listed.number,
        title: listed.title,
        agent: listed.agent_name,
        call_sign: gallery::call_sign(&listed.image),
        project: listed.project,
        run: listed.run,
        phase: listed.phase,
        holds: listed.holds.iter().collect(),
        attempt: listed.attempt,
        priority: listed.priority,
        wait,
        note,
        created_at: listed.created_at,
        since: listed.entered_at,
        output_at: listed.output_at,
        results: listed.result_count,
        cost: spent.get(&listed.run).copied(),
    }
}

/// How a task that has had its slot stands, in a line.
fn note(house: &House, listed: &ListedTask) -> String {
    if listed.phase.is_live()
        && let Some(hold) = listed.holds.iter().next()
    {
        return format!("Held: {}", hold.word());
    }
    match listed.phase {
        Phase::Queued => String::new(),
        Phase::Provisioning => house
            .step(listed.step)
            .and_then(|handle| handle.snapshot.borrow().stage_view())
            .map_or_else(String::new, |stage| format!("{} ({} of {})", stage.stage, stage.number, stage.of)),
        Phase::Executing => match house.step(listed.step) {
            Some(handle) if handle.state().ending().is_some() => "Stopping the agent".to_owned(),
            Some(handle) if !handle.snapshot.borrow().is_connected => "Reaching the sandbox".to_owned(),
            Some(_) | None => listed.last_line.clone(),
        },
        Phase::AwaitingReview | Phase::Completed => match listed.result_count {
            0 if listed.last_line.is_empty() => "No results".to_owned(),
            0 => listed.last_line.clone(),
            1 => "1 result".to_owned(),
            count => format!("{count} results"),
        },
        Phase::Failed => listed.error.as_ref().map_or_else(String::new, |error| error.message.clone()),
        Phase::Cancelled => "Stopped by you".to_owned(),
    }
}

/// Why a queued step does not start.
fn wait(house: &House, step: StepId, holds: Holds, agent: &str, waits: &Waits) -> Wait {
    if !holds.is_empty() {
        return Wait::Held { holds: holds.iter().collect() };
    }
    let count = |before: usize| u32::try_from(before).unwrap_or(u32::MAX);
    let waits = waits.get_or_init(|| schedule::look(house).wait.into_iter().collect());
    match waits.get(&step).copied() {
        Some(InLine::Home { by }) => {
            let number = match by {
                Occupant::Step(step) => house.step(step).map(|step| step.number),
                Occupant::Work => None,
            };
            Wait::Home { agent: agent.to_owned(), number }
        }
        Some(InLine::Slot { before }) => Wait::Slot { before: count(before) },
        Some(InLine::Paused { before }) => Wait::Paused { before: count(before) },
        Some(InLine::Engine) => Wait::Engine,
        Some(InLine::Disk) => Wait::Disk,
        None => Wait::Nothing,
    }
}

/// A task with all its runs.
pub(crate) async fn task(house: &House, record: TaskRecord) -> Result<TaskView, StoreError> {
    let listed = house.store.listed_task(record.task).await?;
    let mut runs = Vec::new();
    for run in house.store.runs_of(record.task).await? {
        runs.push(self::run(house, run).await?);
    }
    Ok(TaskView { row: row(house, listed).await?, prompt: record.prompt, runs })
}

/// A run with its steps.
pub(crate) async fn run(house: &House, record: RunRecord) -> Result<RunView, StoreError> {
    let mut timelines = house.store.timeline_of(record.run).await?;
    let mut steps = Vec::new();
    for step_record in house.store.steps_of(record.run).await? {
        let timeline = timelines.remove(&step_record.step).unwrap_or_default();
        steps.push(step(house, step_record, timeline).await?);
    }
    let speaking = steps.iter().find(|step| step.step == record.current_step).or(steps.last());
    let summary = RunSummary {
        run: record.run,
        task: record.task,
        number: record.number,
        phase: record.phase,
        workspace: speaking.and_then(|step| step.workspace.clone()),
        error: steps.iter().find_map(|step| step.error.clone()),
    };
    Ok(RunView { summary, ordinal: record.ordinal, created_at: record.created_at, ended_at: record.ended_at, steps })
}

/// One step.
pub(crate) async fn step(
    house: &House,
    record: StepRecord,
    timeline: Vec<wire::view::PhaseSpan>,
) -> Result<StepView, StoreError> {
    let handle = house.step(record.step);
    let snapshot = handle.as_ref().map(|handle| handle.snapshot.borrow().clone());
    let placement = house.store.placement_of(record.step).await?;
    let mut workspace = None;
    let mut sandbox = None;
    if let Some(placement) = placement {
        let made = house.store.sandbox(placement.sandbox).await?;
        let is_kept = house.store.taken_of(record.step).await?.is_none();
        workspace = is_kept.then(|| house.config.data_folder.join("workspaces").join(&made.folder).to_string());
        sandbox = Some(SandboxView {
            sandbox: made.sandbox,
            container: made.container,
            created_at: made.created_at,
            network: made.network,
            user: made.user,
            connected: snapshot.as_ref().is_some_and(|snapshot| snapshot.is_connected),
        });
    }
    let wait = (record.state.phase() == Phase::Queued)
        .then(|| wait(house, record.step, record.state.holds(), &record.agent_name, &Waits::new()));
    // The file is ahead of the row.
    let output_bytes = house.outputs.length(record.step, record.state.attempt()).await.max(record.output_bytes);
    Ok(StepView {
        step: record.step,
        ordinal: record.ordinal,
        name: record.name,
        agent: record.agent_name,
        is_interactive: catalogue::find(&record.image).is_some_and(|image| image.interactive().is_some()),
        image: record.image,
        phase: record.state.phase(),
        holds: record.state.holds().iter().collect(),
        attempt: record.state.attempt(),
        review: record.state.review(),
        wait,
        held_ms: record.held_ms,
        held_since: record.held_at,
        timeline,
        progress: snapshot.and_then(|snapshot| snapshot.stage_view()),
        sandbox,
        workspace,
        limits: record.limits,
        output_bytes,
        disk_bytes: record.disk_bytes,
        compute: compute::of_step(house, record.step).await?,
        output_at: record.output_at,
        error: record.error,
        actions: lifecycle::actions(&record.state),
    })
}

/// The results of a run, all steps together.
pub(crate) async fn result_list(house: &House, run: RunId) -> Result<ResultList, StoreError> {
    let mut list = ResultList { results: Vec::new(), left_out: 0, workspace: None };
    for step in house.store.steps_of(run).await? {
        let page = house.store.results_of(step.step, RESULTS_MAX).await?;
        list.left_out += page.left_out;
        let is_over = !step.state.phase().is_live();
        list.results.extend(page.results.into_iter().map(|record| result(record, is_over)));
        if let Some(folder) = results::folder_of(house, step.step).await?
            && house.store.taken_of(step.step).await?.is_none()
        {
            let folder = folder.to_string();
            list.workspace = Some(house.config.data_folder.join("workspaces").join(folder).to_string());
        }
    }
    Ok(list)
}

fn result(record: ResultRecord, is_over: bool) -> ResultView {
    ResultView {
        path: escape::visible(&record.path),
        key: percent_encoding::percent_encode(&record.path, KEY).to_string(),
        change: record.change,
        size_bytes: record.size_bytes,
        sha256: record.sha256,
        media_type: record.media_type,
        modified_at: record.modified_at,
        is_final: record.is_final && is_over,
        unreadable: record.unreadable,
    }
}

/// What stays as it is in a key: the unreserved characters of RFC 3986, and `/`.
const KEY: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
