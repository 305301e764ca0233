//! What sandboxes used of the machine: a row for each attempt, written anew with each look at it.

use jiff::Timestamp;
use sqlx::FromRow;
use wire::{
    compute::ComputeUse,
    cost::CostKey,
    ids::{RunId, StepId},
};

use crate::{column, costs::CostSpan, database::Store, error::StoreError};

const TABLE: &str = "compute";
/// The most CPU time that one attempt is taken to have used, in microseconds: a thousand years. A sum stays one.
const CPU_US_MAX: u64 = 31_557_600_000_000_000;

/// What was seen of an attempt's container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComputeSample {
    /// Of which step.
    pub step: StepId,
    /// Of which of its attempts.
    pub attempt: u32,
    /// When the sandbox was made.
    pub started_at: Timestamp,
    /// When it was looked at.
    pub until: Timestamp,
    /// CPU time used so far, in microseconds, where the engine said.
    pub cpu_us: Option<u64>,
    /// What memory it was given.
    pub memory_bytes: u64,
    /// Whether more is to come.
    pub look: ComputeLook,
}

/// Which look at a container it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeLook {
    /// Its agent is at work.
    OneOfSeveral,
    /// Its agent has ended.
    Last,
}

/// Sums by some key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComputeSums {
    /// In all.
    pub total: ComputeUse,
    /// The sums, longest first; the latest days, in order.
    pub lines: Vec<ComputeSum>,
    /// How many there are in all.
    pub lines_total: u64,
}

/// One sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeSum {
    /// The id of the agent, the project or the run, the day counted from 1970; empty for no project.
    pub key: String,
    /// The agent's or project's name, the title of the run's task, or the day as `2026-11-21`; `None` for no project.
    pub label: Option<String>,
    /// When the agent or the project was removed.
    pub removed_at: Option<Timestamp>,
    /// The latest run in it.
    pub run: RunId,
    /// That run's task, by number.
    pub task: i64,
    /// The sum.
    pub used: ComputeUse,
}

#[derive(FromRow)]
struct UseRow {
    container_ms: i64,
    cpu_ms: i64,
    memory_mib_s: i64,
    attempts: i64,
    at_least: i64,
}

impl UseRow {
    fn into_use(self) -> Result<ComputeUse, StoreError> {
        Ok(ComputeUse {
            container_ms: column::to_u64(TABLE, self.container_ms)?,
            cpu_ms: column::to_u64(TABLE, self.cpu_ms)?,
            memory_mib_s: column::to_u64(TABLE, self.memory_mib_s)?,
            attempts: column::to_u64(TABLE, self.attempts)?,
            at_least: column::to_u64(TABLE, self.at_least)?,
        })
    }
}

#[derive(FromRow)]
struct SumRow {
    key: String,
    label: Option<String>,
    removed_at: Option<i64>,
    run: String,
    task: i64,
    #[sqlx(flatten)]
    used: UseRow,
    lines_total: i64,
}

/// The sums of rows. What the engine never said is counted as nothing and as not known.
macro_rules! sums {
    () => {
        "coalesce(sum((until - started_at) / 1000), 0) AS container_ms, coalesce(sum(cpu_us) / 1000, 0) AS cpu_ms,
         coalesce(sum((memory_bytes >> 20) * ((until - started_at) / 1000) / 1000), 0) AS memory_mib_s,
         count(*) AS attempts, coalesce(sum(is_whole = 0 OR cpu_us IS NULL), 0) AS at_least"
    };
}

/// Sums by a key in a span (`?1` to `?2`), `?3` lines of them.
macro_rules! select_lines {
    ($key:literal, $label:literal, $removed:literal, $join:literal, $order:literal) => {
        concat!(
            "WITH sums AS (SELECT ",
            $key,
            " AS key, max(run) AS run, ",
            sums!(),
            " FROM compute WHERE started_at >= ?1 AND started_at < ?2 GROUP BY key),
             shown AS MATERIALIZED (SELECT *, count(*) OVER () AS lines_total FROM sums ORDER BY ",
            $order,
            " LIMIT ?3)
             SELECT ",
            $label,
            " AS label, ",
            $removed,
            " AS removed_at, CAST(shown.key AS TEXT) AS key, shown.run, tasks.number AS task, container_ms, cpu_ms, memory_mib_s, attempts, at_least, lines_total
              FROM shown JOIN runs ON runs.id = shown.run JOIN tasks ON tasks.id = runs.task ",
            $join,
            " ORDER BY ",
            $order
        )
    };
}

const LINES_BY_AGENT: &str = select_lines!(
    "agent",
    "agents.name",
    "agents.removed_at",
    "LEFT JOIN agents ON agents.id = shown.key",
    "container_ms DESC, key DESC"
);
const LINES_BY_PROJECT: &str = select_lines!(
    "coalesce(project, '')",
    "projects.name",
    "projects.removed_at",
    "LEFT JOIN projects ON projects.id = shown.key",
    "container_ms DESC, key DESC"
);
const LINES_BY_RUN: &str = select_lines!("run", "tasks.title", "NULL", "", "container_ms DESC, key DESC");
const LINES_BY_DAY: &str =
    select_lines!("started_at / 86400000000", "date(shown.key * 86400, 'unixepoch')", "NULL", "", "key DESC");
const IN_ALL: &str = concat!("SELECT ", sums!(), " FROM compute WHERE started_at >= ?1 AND started_at < ?2");

const fn lines_by(by: CostKey) -> Option<&'static str> {
    match by {
        CostKey::Agent => Some(LINES_BY_AGENT),
        CostKey::Project => Some(LINES_BY_PROJECT),
        CostKey::Run => Some(LINES_BY_RUN),
        CostKey::Day => Some(LINES_BY_DAY),
        // A sandbox is no model's.
        CostKey::Model => None,
    }
}

impl Store {
    /// Writes down what was seen of a container. What was seen before stays where it was more: a sample may come twice, and late.
    pub async fn note_compute(&self, sample: &ComputeSample) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO compute (step, attempt, run, agent, project, started_at, until, cpu_us, memory_bytes, is_whole)
             SELECT steps.id, ?2, steps.run, steps.agent, tasks.project, ?3, max(?3, ?4), ?5, ?6, ?7
             FROM steps JOIN runs ON runs.id = steps.run JOIN tasks ON tasks.id = runs.task WHERE steps.id = ?1
             ON CONFLICT (step, attempt) DO UPDATE SET
                 until = max(until, excluded.until), is_whole = max(is_whole, excluded.is_whole),
                 cpu_us = CASE WHEN cpu_us IS NULL OR excluded.cpu_us > cpu_us THEN coalesce(excluded.cpu_us, cpu_us) ELSE cpu_us END",
        )
        .bind(sample.step.to_string())
        .bind(sample.attempt)
        .bind(column::from_time(sample.started_at))
        .bind(column::from_time(sample.until))
        .bind(sample.cpu_us.map(|cpu_us| column::from_u64(cpu_us.min(CPU_US_MAX))))
        .bind(column::from_u64(sample.memory_bytes))
        .bind(sample.look == ComputeLook::Last)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// What a step's sandboxes used, all attempts together; `None` where none was looked at yet.
    pub async fn compute_of(&self, step: StepId) -> Result<Option<ComputeUse>, StoreError> {
        let row: UseRow = sqlx::query_as(concat!("SELECT ", sums!(), " FROM compute WHERE step = ?1"))
            .bind(step.to_string())
            .fetch_one(self.read())
            .await?;
        let used = row.into_use()?;
        Ok((used.attempts > 0).then_some(used))
    }

    /// What sandboxes used that were started in a span of time, by a key, in at most so many lines.
    pub async fn compute_by(&self, by: CostKey, span: CostSpan, limit: u32) -> Result<ComputeSums, StoreError> {
        let from = span.from.map_or(i64::MIN, column::from_time);
        let until = span.until.map_or(i64::MAX, column::from_time);
        let mut snapshot = self.snapshot().await?;
        let total: UseRow = sqlx::query_as(IN_ALL).bind(from).bind(until).fetch_one(&mut *snapshot).await?;
        let mut sums = ComputeSums { total: total.into_use()?, ..ComputeSums::default() };
        let Some(statement) = lines_by(by) else { return Ok(sums) };
        let rows: Vec<SumRow> =
            sqlx::query_as(statement).bind(from).bind(until).bind(limit.max(1)).fetch_all(&mut *snapshot).await?;
        for row in rows {
            sums.lines_total = column::to_u64(TABLE, row.lines_total)?;
            sums.lines.push(ComputeSum {
                key: row.key,
                label: row.label,
                removed_at: column::time_or_none(TABLE, row.removed_at)?,
                run: column::id(TABLE, &row.run)?,
                task: row.task,
                used: row.used.into_use()?,
            });
        }
        if by == CostKey::Day {
            sums.lines.reverse();
        }
        sums.lines.truncate(limit as usize);
        Ok(sums)
    }
}
