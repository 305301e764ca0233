//! Steps as they stand, and how far their output is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lifecycle::{Columns, Ending, Failure, StepState};
use sqlx::FromRow;
use wire::{
    ErrorView, Limits, Phase, Priority,
    ids::{AgentId, RunId, StepId, TaskId},
    task::Launch,
    view::PhaseSpan,
};

use crate::{column, database::Store, error::StoreError};

const TABLE: &str = "steps";

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRecord {
    /// Which.
    pub step: StepId,
    /// Of which run.
    pub run: RunId,
    /// Of which task.
    pub task: TaskId,
    /// That task's number.
    pub number: i64,
    /// That task's turn in the queue.
    pub priority: Priority,
    /// Its place in the order in which steps were asked for, from 1. Clocks may go back, this does not.
    pub place: i64,
    /// Its place in the run, from 1.
    pub ordinal: u32,
    /// Its name.
    pub name: String,
    /// The agent that does it.
    pub agent: AgentId,
    /// That agent's name.
    pub agent_name: String,
    /// What the agent runs in.
    pub image: String,
    /// What it may use.
    pub limits: Limits,
    /// What is started in the image; `None` in a step of before this was written down.
    pub launch: Option<Launch>,
    /// Where it is.
    pub state: StepState,
    /// Counts the transitions; the next one has to name it.
    pub revision: i64,
    /// When this phase of this attempt began.
    pub entered_at: Timestamp,
    /// How long holds have kept its agent stopped in this attempt, in milliseconds, without the one that lasts.
    pub held_ms: u64,
    /// Since when its agent is stopped, while a hold lasts.
    pub held_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<ErrorView>,
    /// Bytes of disk that count towards its limit, when it was last looked at in this attempt.
    pub disk_bytes: Option<u64>,
    /// What its home held when the attempt began.
    pub home_bytes_before: Option<u64>,
    /// Bytes of output so far.
    pub output_bytes: u64,
    /// When output came last.
    pub output_at: Option<Timestamp>,
    /// The last line of output.
    pub last_line: String,
    /// Results that are new or changed.
    pub result_count: u64,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// How much disk a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskUse {
    /// The step.
    pub step: StepId,
    /// What counts towards its limit.
    pub disk_bytes: u64,
    /// What its home held when the attempt began; `None` where that is not known yet.
    pub home_bytes_before: Option<u64>,
}

/// How far the output of a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputProgress {
    /// The step.
    pub step: StepId,
    /// Bytes so far.
    pub output_bytes: u64,
    /// When the last of them came.
    pub output_at: Timestamp,
    /// The last line.
    pub last_line: String,
}

#[derive(FromRow)]
struct StepRow {
    id: String,
    run: String,
    task: String,
    number: i64,
    priority: String,
    place: i64,
    ordinal: i64,
    name: String,
    agent: String,
    agent_name: String,
    image: String,
    limits: String,
    launch: Option<String>,
    #[sqlx(flatten)]
    state: StateRow,
    revision: i64,
    entered_at: i64,
    held_ms: i64,
    held_at: Option<i64>,
    error: Option<String>,
    disk_bytes: Option<i64>,
    home_bytes_before: Option<i64>,
    output_bytes: i64,
    output_at: Option<i64>,
    last_line: String,
    result_count: i64,
    created_at: i64,
}

/// The columns of a step's state.
#[derive(FromRow)]
pub(crate) struct StateRow {
    phase: String,
    attempt: i64,
    review: String,
    holds: String,
    ending: Option<String>,
    failure: Option<String>,
}

impl StateRow {
    pub(crate) fn into_state(self, step: StepId) -> Result<StepState, StoreError> {
        let columns = Columns {
            phase: column::phase(TABLE, &self.phase)?,
            attempt: column::to_u32(TABLE, self.attempt)?,
            review: column::review(TABLE, &self.review)?,
            holds: column::holds(TABLE, &self.holds)?,
            ending: column::named_or_none(TABLE, self.ending.as_deref(), Ending::from_name)?,
            failure: column::named_or_none(TABLE, self.failure.as_deref(), Failure::from_name)?,
        };
        StepState::restore(columns).map_err(|source| StoreError::State { step, source })
    }
}

impl StepRow {
    fn into_record(self) -> Result<StepRecord, StoreError> {
        let step = column::id(TABLE, &self.id)?;
        Ok(StepRecord {
            step,
            run: column::id(TABLE, &self.run)?,
            task: column::id(TABLE, &self.task)?,
            number: self.number,
            priority: column::priority(TABLE, &self.priority)?,
            place: self.place,
            ordinal: column::to_u32(TABLE, self.ordinal)?,
            name: self.name,
            agent: column::id(TABLE, &self.agent)?,
            agent_name: self.agent_name,
            image: self.image,
            limits: column::json(TABLE, &self.limits)?,
            launch: self.launch.map(|launch| column::json(TABLE, &launch)).transpose()?,
            state: self.state.into_state(step)?,
            revision: self.revision,
            entered_at: column::time(TABLE, self.entered_at)?,
            held_ms: column::to_u64(TABLE, self.held_ms)?,
            held_at: column::time_or_none(TABLE, self.held_at)?,
            error: self.error.map(|error| column::json(TABLE, &error)).transpose()?,
            disk_bytes: self.disk_bytes.map(|bytes| column::to_u64(TABLE, bytes)).transpose()?,
            home_bytes_before: self.home_bytes_before.map(|bytes| column::to_u64(TABLE, bytes)).transpose()?,
            output_bytes: column::to_u64(TABLE, self.output_bytes)?,
            output_at: column::time_or_none(TABLE, self.output_at)?,
            last_line: self.last_line,
            result_count: column::to_u64(TABLE, self.result_count)?,
            created_at: column::time(TABLE, self.created_at)?,
        })
    }
}

#[derive(FromRow)]
struct SpanRow {
    step: String,
    phase: String,
    attempt: i64,
    entered_at: i64,
    left_at: Option<i64>,
}

/// A step with what its row only points to. Ends before the condition.
macro_rules! select_step {
    ($condition:literal) => {
        concat!(
            "SELECT steps.*, runs.task, tasks.number, tasks.priority, agents.name AS agent_name
             FROM steps JOIN runs ON runs.id = steps.run JOIN tasks ON tasks.id = runs.task
             JOIN agents ON agents.id = steps.agent ",
            $condition
        )
    };
}

impl Store {
    /// A step by its id.
    pub async fn step(&self, step: StepId) -> Result<StepRecord, StoreError> {
        let row: Option<StepRow> = sqlx::query_as(select_step!("WHERE steps.id = ?1"))
            .bind(step.to_string())
            .fetch_optional(self.read())
            .await?;
        row.ok_or_else(|| not_found(step))?.into_record()
    }

    /// The steps of a run, in order.
    pub async fn steps_of(&self, run: RunId) -> Result<Vec<StepRecord>, StoreError> {
        let rows: Vec<StepRow> = sqlx::query_as(select_step!("WHERE steps.run = ?1 ORDER BY steps.ordinal"))
            .bind(run.to_string())
            .fetch_all(self.read())
            .await?;
        rows.into_iter().map(StepRow::into_record).collect()
    }

    /// The steps that are in one of these phases, in the order in which they were asked for: what a start of the app has to take up.
    pub async fn steps_in(&self, phases: &[Phase]) -> Result<Vec<StepRecord>, StoreError> {
        let names: Vec<_> = phases.iter().map(|phase| phase.name()).collect();
        let rows: Vec<StepRow> =
            sqlx::query_as(select_step!("WHERE steps.phase IN (SELECT value FROM json_each(?1)) ORDER BY steps.place"))
                .bind(column::to_json(TABLE, &names)?)
                .fetch_all(self.read())
                .await?;
        rows.into_iter().map(StepRow::into_record).collect()
    }

    /// The steps that are not over, the oldest first.
    pub async fn unfinished_steps(&self) -> Result<Vec<StepRecord>, StoreError> {
        let unfinished: Vec<_> = Phase::ALL.into_iter().filter(|phase| !phase.is_final()).collect();
        self.steps_in(&unfinished).await
    }

    /// The phases that the steps of a run went through, oldest first.
    pub async fn timeline_of(&self, run: RunId) -> Result<BTreeMap<StepId, Vec<PhaseSpan>>, StoreError> {
        let rows: Vec<SpanRow> = sqlx::query_as(
            "SELECT phase_spans.step, phase_spans.phase, phase_spans.attempt, phase_spans.entered_at,
                    phase_spans.left_at
             FROM steps JOIN phase_spans ON phase_spans.step = steps.id
             WHERE steps.run = ?1 ORDER BY phase_spans.step, phase_spans.ordinal",
        )
        .bind(run.to_string())
        .fetch_all(self.read())
        .await?;
        let mut timeline = BTreeMap::<_, Vec<_>>::new();
        for row in rows {
            let span = PhaseSpan {
                phase: column::phase("phase_spans", &row.phase)?,
                attempt: column::to_u32("phase_spans", row.attempt)?,
                entered_at: column::time("phase_spans", row.entered_at)?,
                left_at: column::time_or_none("phase_spans", row.left_at)?,
            };
            timeline.entry(column::id("phase_spans", &row.step)?).or_default().push(span);
        }
        Ok(timeline)
    }

    /// Writes down how much disk a step takes.
    pub async fn set_disk_use(&self, disk_use: DiskUse) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE steps SET disk_bytes = ?2, home_bytes_before = ?3 WHERE id = ?1")
            .bind(disk_use.step.to_string())
            .bind(column::from_u64(disk_use.disk_bytes))
            .bind(disk_use.home_bytes_before.map(column::from_u64))
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Writes down how far the output of some steps is. For many at once, so that a flood costs few transactions.
    pub async fn set_output_progress(&self, progress: &[OutputProgress]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for progress in progress {
            sqlx::query("UPDATE steps SET output_bytes = ?2, output_at = ?3, last_line = ?4 WHERE id = ?1")
                .bind(progress.step.to_string())
                .bind(column::from_u64(progress.output_bytes))
                .bind(column::from_time(progress.output_at))
                .bind(&progress.last_line)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }
}

pub(crate) fn not_found(step: StepId) -> StoreError {
    StoreError::NotFound { what: "step", key: step.to_string() }
}
