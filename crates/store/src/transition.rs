//! A step's new state with what follows from it and the events that tell of it: one transaction.

use jiff::Timestamp;
use lifecycle::{StepState, current_step, run_phase};
use sqlx::{FromRow, Sqlite, Transaction as SqlTransaction};
use wire::{
    ErrorView, EventKind, EventView, Phase,
    ids::{RunId, StepId, TaskId},
};

use crate::{
    column,
    database::Store,
    error::StoreError,
    events::{self, EventScope},
    steps::{StateRow, not_found},
};

const TABLE: &str = "steps";

/// A new state to write down.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// Of which step.
    pub step: StepId,
    /// The revision that the caller's decision was made on.
    pub expected: i64,
    /// The new state.
    pub state: StepState,
    /// Why it failed; takes the place of what was there.
    pub error: Option<ErrorView>,
    /// What happened, as events of the step.
    pub events: Vec<EventKind>,
    /// When. A phase that is entered or left is so now.
    pub at: Timestamp,
}

/// What a transition came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// The revision that the next transition has to name.
    pub revision: i64,
    /// The phase of the run now.
    pub run_phase: Phase,
    /// The events as they were written.
    pub events: Vec<EventView>,
}

#[derive(FromRow)]
struct BeforeRow {
    run: String,
    task: String,
    revision: i64,
    held_ms: i64,
    held_at: Option<i64>,
    #[sqlx(flatten)]
    state: StateRow,
}

/// How long the agent was stopped by holds in this attempt.
struct Held {
    /// Without the hold that lasts.
    ms: i64,
    /// Since when one lasts, in microseconds.
    at: Option<i64>,
}

#[derive(FromRow)]
struct SiblingRow {
    id: String,
    phase: String,
}

impl Store {
    /// Writes a step's new state down, with its timeline, its run's and its task's phase, and the events.
    ///
    /// [`StoreError::Conflict`] where the step is at another revision than expected.
    pub async fn transition(&self, transition: Transition) -> Result<Committed, StoreError> {
        let Transition { step, expected, state, error, events, at } = transition;
        let mut transaction = self.write().await?;
        let before: Option<BeforeRow> = sqlx::query_as(
            "SELECT steps.run, runs.task, steps.revision, steps.held_ms, steps.held_at, steps.phase, steps.attempt,
                    steps.review, steps.holds, steps.ending, steps.failure
             FROM steps JOIN runs ON runs.id = steps.run WHERE steps.id = ?1",
        )
        .bind(step.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
        let before = before.ok_or_else(|| not_found(step))?;
        if before.revision != expected {
            return Err(StoreError::Conflict { step, expected, found: before.revision });
        }
        let run: RunId = column::id(TABLE, &before.run)?;
        let task: TaskId = column::id(TABLE, &before.task)?;
        let held = Held { ms: before.held_ms, at: before.held_at };
        let from = before.state.into_state(step)?;
        let revision = expected + 1;
        update_step(&mut transaction, step, &state, error.as_ref(), revision).await?;
        let is_begun_anew = from.attempt() != state.attempt();
        if is_begun_anew {
            forget_disk_use(&mut transaction, step).await?;
        }
        update_held(&mut transaction, step, held.after(is_begun_anew, state.is_agent_held(), at)).await?;
        if (from.phase(), from.attempt()) != (state.phase(), state.attempt()) {
            enter_phase(&mut transaction, step, &state, at).await?;
        }
        let run_phase = update_run(&mut transaction, task, run, at).await?;
        let scope = EventScope { task: Some(task), run: Some(run), step: Some(step) };
        let events = events::insert(&mut transaction, scope, at, events).await?;
        transaction.commit().await?;
        Ok(Committed { revision, run_phase, events })
    }
}

impl Held {
    /// What it comes to once the agent is held, or no longer.
    fn after(self, is_begun_anew: bool, is_held: bool, at: Timestamp) -> Self {
        let now = column::from_time(at);
        let before = if is_begun_anew { Self { ms: 0, at: None } } else { self };
        match (before.at, is_held) {
            (Some(_), true) | (None, false) => before,
            (None, true) => Self { at: Some(now), ..before },
            // A clock that was set back takes nothing away.
            (Some(since), false) => Self { ms: before.ms + (now - since).max(0) / 1_000, at: None },
        }
    }
}

async fn update_held(transaction: &mut SqlTransaction<'_, Sqlite>, step: StepId, held: Held) -> Result<(), StoreError> {
    sqlx::query("UPDATE steps SET held_ms = ?2, held_at = ?3 WHERE id = ?1 AND (held_ms <> ?2 OR held_at IS NOT ?3)")
        .bind(step.to_string())
        .bind(held.ms)
        .bind(held.at)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Another attempt is measured anew.
async fn forget_disk_use(transaction: &mut SqlTransaction<'_, Sqlite>, step: StepId) -> Result<(), StoreError> {
    sqlx::query("UPDATE steps SET disk_bytes = NULL, home_bytes_before = NULL WHERE id = ?1")
        .bind(step.to_string())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn update_step(
    transaction: &mut SqlTransaction<'_, Sqlite>,
    step: StepId,
    state: &StepState,
    error: Option<&ErrorView>,
    revision: i64,
) -> Result<(), StoreError> {
    let columns = state.columns();
    sqlx::query(
        "UPDATE steps SET phase = ?2, attempt = ?3, review = ?4, holds = ?5, ending = ?6, failure = ?7, error = ?8,
                          revision = ?9
         WHERE id = ?1",
    )
    .bind(step.to_string())
    .bind(columns.phase.name())
    .bind(columns.attempt)
    .bind(column::from_review(columns.review))
    .bind(column::from_holds(columns.holds))
    .bind(columns.ending.map(lifecycle::Ending::name))
    .bind(columns.failure.map(lifecycle::Failure::name))
    .bind(error.map(|error| column::to_json(TABLE, error)).transpose()?)
    .bind(revision)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Closes the open span of the timeline and begins the next.
async fn enter_phase(
    transaction: &mut SqlTransaction<'_, Sqlite>,
    step: StepId,
    state: &StepState,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE steps SET entered_at = ?2 WHERE id = ?1")
        .bind(step.to_string())
        .bind(column::from_time(at))
        .execute(&mut **transaction)
        .await?;
    sqlx::query("UPDATE phase_spans SET left_at = ?2 WHERE step = ?1 AND left_at IS NULL")
        .bind(step.to_string())
        .bind(column::from_time(at))
        .execute(&mut **transaction)
        .await?;
    sqlx::query(
        "INSERT INTO phase_spans (step, ordinal, phase, attempt, entered_at)
         SELECT ?1, coalesce(max(ordinal), 0) + 1, ?2, ?3, ?4 FROM phase_spans WHERE step = ?1",
    )
    .bind(step.to_string())
    .bind(state.phase().name())
    .bind(state.attempt())
    .bind(column::from_time(at))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Brings the run, and the task where it shows that run, to the phase that follows from the steps.
async fn update_run(
    transaction: &mut SqlTransaction<'_, Sqlite>,
    task: TaskId,
    run: RunId,
    at: Timestamp,
) -> Result<Phase, StoreError> {
    let siblings: Vec<SiblingRow> = sqlx::query_as("SELECT id, phase FROM steps WHERE run = ?1 ORDER BY ordinal")
        .bind(run.to_string())
        .fetch_all(&mut **transaction)
        .await?;
    let phases = siblings.iter().map(|sibling| column::phase(TABLE, &sibling.phase)).collect::<Result<Vec<_>, _>>()?;
    let current = current_step(&phases).and_then(|index| siblings.get(index)).ok_or(StoreError::NoSteps)?;
    let phase = run_phase(&phases);
    sqlx::query(
        "UPDATE runs SET phase = ?2, current_step = ?3, ended_at = CASE WHEN ?4 THEN coalesce(ended_at, ?5) END
         WHERE id = ?1",
    )
    .bind(run.to_string())
    .bind(phase.name())
    .bind(&current.id)
    .bind(phase.is_final())
    .bind(column::from_time(at))
    .execute(&mut **transaction)
    .await?;
    sqlx::query("UPDATE tasks SET phase = ?3 WHERE id = ?1 AND latest_run = ?2 AND phase <> ?3")
        .bind(task.to_string())
        .bind(run.to_string())
        .bind(phase.name())
        .execute(&mut **transaction)
        .await?;
    Ok(phase)
}
