//! What is kept of runs that have ended: who has looked at it, how much it is, and that it goes.
//!
//! Rows of tasks, runs and steps stay for ever, and so does what was spent; what goes is what lies in folders, and the rows of
//! requests. It is written down first ([`Store::take`]), then deleted by the caller, then noted as gone ([`Store::taken`]).

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::FromRow;
use wire::{
    EventKind, EventView,
    ids::{RunId, SandboxId, StepId, TaskId},
    upkeep::Sight,
};

use crate::{
    column,
    database::Store,
    error::StoreError,
    events::{self, EventScope},
    requests,
};

const TABLE: &str = "runs";

/// What is kept of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRun {
    /// Which.
    pub run: RunId,
    /// Its task.
    pub task: TaskId,
    /// The task's number.
    pub number: i64,
    /// The task's title.
    pub title: String,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it takes in bytes; `None` where that was not measured yet.
    pub size_bytes: Option<u64>,
    /// Whether a person has looked at it since.
    pub sight: Sight,
}

/// That the data of a run was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// When that was decided.
    pub at: Timestamp,
    /// Why.
    pub why: String,
}

/// Where the data of a run lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Its steps, which have outputs.
    pub steps: Vec<StepId>,
    /// The folders that are workspaces of it alone, by their names.
    pub folders: Vec<String>,
}

/// Everything that a folder in the data folder may belong to.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// Names of workspaces.
    pub folders: HashSet<String>,
    /// Steps.
    pub steps: HashSet<StepId>,
    /// Tasks.
    pub tasks: HashSet<TaskId>,
}

/// What is written down of the last attempt of a step that is over and whose data is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptStep {
    /// Which.
    pub step: StepId,
    /// Its run.
    pub run: RunId,
    /// Its task.
    pub task: TaskId,
    /// That task's number.
    pub number: i64,
    /// Its last attempt.
    pub attempt: u32,
    /// How much output that attempt has, in bytes.
    pub output_bytes: u64,
    /// Its workspace's name, where it came to have one.
    pub folder: Option<String>,
    /// The sandbox that it ended in.
    pub sandbox: Option<SandboxId>,
}

#[derive(FromRow)]
struct KeptRow {
    id: String,
    task: String,
    number: i64,
    title: String,
    ended_at: i64,
    kept_bytes: Option<i64>,
    is_seen: bool,
}

impl KeptRow {
    fn into_record(self) -> Result<KeptRun, StoreError> {
        Ok(KeptRun {
            run: column::id(TABLE, &self.id)?,
            task: column::id(TABLE, &self.task)?,
            number: self.number,
            title: self.title,
            ended_at: column::time(TABLE, self.ended_at)?,
            size_bytes: self.kept_bytes.map(|bytes| column::to_u64(TABLE, bytes)).transpose()?,
            sight: if self.is_seen { Sight::Seen } else { Sight::Unseen },
        })
    }
}

#[derive(FromRow)]
struct StepRow {
    id: String,
    run: String,
    task: String,
    number: i64,
    attempt: i64,
    output_bytes: i64,
    folder: Option<String>,
    sandbox: Option<String>,
}

impl Store {
    /// Notes that a person has opened a task: whatever of it has ended was looked at. Says how many runs nobody had looked at.
    pub async fn mark_seen(&self, task: TaskId, at: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.write().await?;
        let marked = sqlx::query(
            "UPDATE runs SET seen_at = max(?2, ended_at)
             WHERE task = ?1 AND ended_at IS NOT NULL AND (seen_at IS NULL OR seen_at < ended_at)",
        )
        .bind(task.to_string())
        .bind(column::from_time(at))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(marked.rows_affected())
    }

    /// Runs that have ended and whose data is kept, the one that ended first before the others. What a person stopped, approved
    /// or turned down was looked at as well.
    pub async fn kept_runs(&self) -> Result<Vec<KeptRun>, StoreError> {
        let rows: Vec<KeptRow> = sqlx::query_as(
            "SELECT runs.id, runs.task, tasks.number, tasks.title, runs.ended_at, runs.kept_bytes,
                    (coalesce(runs.seen_at >= runs.ended_at, 0) OR runs.phase = 'cancelled'
                     OR (steps.review = 'ask' AND (steps.phase = 'completed' OR coalesce(steps.failure, '') = 'rejected')))
                    AS is_seen
             FROM runs JOIN tasks ON tasks.id = runs.task JOIN steps ON steps.id = runs.current_step
             WHERE runs.ended_at IS NOT NULL AND runs.taken_at IS NULL
             ORDER BY runs.ended_at, runs.id",
        )
        .fetch_all(self.read())
        .await?;
        rows.into_iter().map(KeptRow::into_record).collect()
    }

    /// Writes down what is kept of a run, in bytes.
    pub async fn set_kept_bytes(&self, run: RunId, bytes: u64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE runs SET kept_bytes = ?2 WHERE id = ?1")
            .bind(run.to_string())
            .bind(column::from_u64(bytes))
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Where the data of a run lies. A folder that another run's step works or worked in is not its own, unless that one's is gone.
    pub async fn places_of(&self, run: RunId) -> Result<Places, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let steps: Vec<String> = sqlx::query_scalar("SELECT id FROM steps WHERE run = ?1 ORDER BY ordinal")
            .bind(run.to_string())
            .fetch_all(&mut *snapshot)
            .await?;
        let folders: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT sandboxes.folder
             FROM steps JOIN placements ON placements.step = steps.id JOIN sandboxes ON sandboxes.id = placements.sandbox
             WHERE steps.run = ?1 AND NOT EXISTS (
                 SELECT 1 FROM sandboxes AS same JOIN placements AS other ON other.sandbox = same.id
                     JOIN steps AS others ON others.id = other.step JOIN runs ON runs.id = others.run
                 WHERE same.folder = sandboxes.folder AND runs.id <> ?1 AND runs.taken_at IS NULL)
             ORDER BY sandboxes.folder",
        )
        .bind(run.to_string())
        .fetch_all(&mut *snapshot)
        .await?;
        let steps = steps.iter().map(|step| column::id("steps", step)).collect::<Result<_, _>>()?;
        Ok(Places { steps, folders })
    }

    /// Writes down that the data of a run goes, and why; its results say so from now on, and its requests are gone. Does nothing,
    /// and says so with `None`, where the run has not ended or its data goes already.
    pub async fn take(&self, run: RunId, why: &str, at: Timestamp) -> Result<Option<Vec<EventView>>, StoreError> {
        let mut transaction = self.write().await?;
        let task: Option<String> = sqlx::query_scalar(
            "UPDATE runs SET taken_at = ?2, taken_why = ?3
             WHERE id = ?1 AND ended_at IS NOT NULL AND taken_at IS NULL RETURNING task",
        )
        .bind(run.to_string())
        .bind(column::from_time(at))
        .bind(why)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(task) = task else { return Ok(None) };
        sqlx::query(
            "UPDATE results SET unreadable = ?2
             WHERE step IN (SELECT id FROM steps WHERE run = ?1) AND change <> 'deleted'",
        )
        .bind(run.to_string())
        .bind(format!("deleted: {why}"))
        .execute(&mut *transaction)
        .await?;
        requests::forget_ended(&mut transaction, run).await?;
        let scope = EventScope { task: Some(column::id(TABLE, &task)?), run: Some(run), step: None };
        let text = format!("What this run printed and left was deleted: {why}");
        let events = events::insert(&mut transaction, scope, at, vec![EventKind::Note { text }]).await?;
        transaction.commit().await?;
        Ok(Some(events))
    }

    /// Notes that nothing is left of the data of a run.
    pub async fn taken(&self, run: RunId) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let updated = sqlx::query("UPDATE runs SET is_taken = 1 WHERE id = ?1 AND taken_at IS NOT NULL")
            .bind(run.to_string())
            .execute(&mut *transaction)
            .await?;
        if updated.rows_affected() > 0 {
            // Those that had no end yet when the rest went.
            requests::forget_ended(&mut transaction, run).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Runs whose data goes, of which something may be left.
    pub async fn half_taken(&self) -> Result<Vec<RunId>, StoreError> {
        let runs: Vec<String> =
            sqlx::query_scalar("SELECT id FROM runs WHERE taken_at IS NOT NULL AND is_taken = 0 ORDER BY taken_at, id")
                .fetch_all(self.read())
                .await?;
        runs.iter().map(|run| column::id(TABLE, run)).collect()
    }

    /// That the data of a step's run was taken; `None` where it is kept.
    pub async fn taken_of(&self, step: StepId) -> Result<Option<Taken>, StoreError> {
        let row: Option<(i64, Option<String>)> = sqlx::query_as(
            "SELECT runs.taken_at, runs.taken_why FROM steps JOIN runs ON runs.id = steps.run
             WHERE steps.id = ?1 AND runs.taken_at IS NOT NULL",
        )
        .bind(step.to_string())
        .fetch_optional(self.read())
        .await?;
        row.map(|(at, why)| Ok(Taken { at: column::time(TABLE, at)?, why: why.unwrap_or_default() })).transpose()
    }

    /// Everything that a folder may belong to. What was taken owns nothing any more.
    pub async fn owners(&self) -> Result<Owners, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let folders: Vec<String> = sqlx::query_scalar(
            "SELECT sandboxes.folder FROM sandboxes
             WHERE NOT EXISTS (SELECT 1 FROM placements WHERE placements.sandbox = sandboxes.id)
             UNION
             SELECT sandboxes.folder FROM sandboxes JOIN placements ON placements.sandbox = sandboxes.id
                 JOIN steps ON steps.id = placements.step JOIN runs ON runs.id = steps.run WHERE runs.is_taken = 0",
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let steps: Vec<String> =
            sqlx::query_scalar("SELECT steps.id FROM steps JOIN runs ON runs.id = steps.run WHERE runs.is_taken = 0")
                .fetch_all(&mut *snapshot)
                .await?;
        let tasks: Vec<String> = sqlx::query_scalar("SELECT id FROM tasks").fetch_all(&mut *snapshot).await?;
        Ok(Owners {
            folders: folders.into_iter().collect(),
            steps: steps.iter().map(|step| column::id("steps", step)).collect::<Result<_, _>>()?,
            tasks: tasks.iter().map(|task| column::id("tasks", task)).collect::<Result<_, _>>()?,
        })
    }

    /// The steps of runs that have ended and whose data is kept, the latest first, at most so many.
    pub async fn kept_steps(&self, limit: u32) -> Result<Vec<KeptStep>, StoreError> {
        let rows: Vec<StepRow> = sqlx::query_as(
            "SELECT steps.id, steps.run, runs.task, tasks.number, steps.attempt, steps.output_bytes,
                    sandboxes.folder, sandboxes.id AS sandbox
             FROM runs JOIN steps ON steps.run = runs.id JOIN tasks ON tasks.id = runs.task
             LEFT JOIN placements ON placements.step = steps.id AND placements.attempt = steps.attempt
             LEFT JOIN sandboxes ON sandboxes.id = placements.sandbox
             WHERE runs.ended_at IS NOT NULL AND runs.taken_at IS NULL
             ORDER BY runs.ended_at DESC LIMIT ?1",
        )
        .bind(limit)
        .fetch_all(self.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(KeptStep {
                    step: column::id("steps", &row.id)?,
                    run: column::id(TABLE, &row.run)?,
                    task: column::id("tasks", &row.task)?,
                    number: row.number,
                    attempt: column::to_u32("steps", row.attempt)?,
                    output_bytes: column::to_u64("steps", row.output_bytes)?,
                    folder: row.folder,
                    sandbox: column::id_or_none("sandboxes", row.sandbox.as_deref())?,
                })
            })
            .collect()
    }

    /// Brings what is written down of a step's output in line with what there is, and says so in an event.
    pub async fn correct_output(
        &self,
        kept: &KeptStep,
        output_bytes: u64,
        text: String,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE steps SET output_bytes = ?2 WHERE id = ?1")
            .bind(kept.step.to_string())
            .bind(column::from_u64(output_bytes))
            .execute(&mut *transaction)
            .await?;
        let scope = EventScope { task: Some(kept.task), run: Some(kept.run), step: Some(kept.step) };
        events::insert(&mut transaction, scope, at, vec![EventKind::Note { text }]).await?;
        Ok(transaction.commit().await?)
    }
}
