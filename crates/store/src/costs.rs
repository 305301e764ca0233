//! What was spent, summed up.
//!
//! Sums are kept by the day (UTC), and by the run, in the transaction that writes a usage down. A span of time is made of whole days
//! from there and, at its two ends, of single usages: it is exact, and the number of usages hardly matters.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::{Executor, FromRow, Sqlite};
use wire::{
    cost::{CostKey, ListPrice, Spent, TokenCounts},
    ids::{AgentId, ProjectId, RunId},
    money::MicroUsd,
};

use crate::{column, database::Store, error::StoreError};

const TABLE: &str = "usage";
/// A day (UTC) in microseconds.
const DAY_MICROSECONDS: i64 = 86_400_000_000;

/// Whose spending is summed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostScope {
    /// That of a run.
    Run(RunId),
    /// That of an agent, in whatever run.
    Agent {
        /// The agent.
        agent: AgentId,
        /// From when on.
        since: Timestamp,
    },
    /// That of a project's tasks.
    Project {
        /// The project.
        project: ProjectId,
        /// From when on.
        since: Timestamp,
    },
    /// All of it.
    All {
        /// From when on.
        since: Timestamp,
    },
}

/// What was spent, and what may be on top of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// By requests that have ended.
    pub spent: Spent,
    /// What was set aside for those that have not, whenever they came.
    pub reserved: MicroUsd,
    /// What was set aside for those that have ended and were not counted whole, beyond what was counted of them: they may have cost that
    /// much more. An agent that breaks its replies off does not get it back.
    pub withheld: MicroUsd,
}

/// A span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostSpan {
    /// From when on; `None` for everything.
    pub from: Option<Timestamp>,
    /// Before when.
    pub until: Option<Timestamp>,
}

/// Sums by some key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// In all, with what is in none of the lines.
    pub total: Spent,
    /// The sums, dearest first; the latest days, in order.
    pub lines: Vec<CostSum>,
    /// How many lines there are in all.
    pub lines_total: u64,
}

/// Which of the sums by some key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostOf {
    /// That of an agent.
    Agent(AgentId),
    /// That of a project's tasks; of those in none.
    Project(Option<ProjectId>),
    /// That of a model; empty for those whose name is not known.
    Model(String),
    /// All of it.
    All,
}

/// One sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostSum {
    /// The id of the agent, the project or the run, the model's name, the day counted from 1970; empty for no project and no model.
    pub key: String,
    /// The agent's, project's or model's name, the title of the run's task, or the day as `2026-11-21`; `None` for no project, and
    /// for a model whose name is not known.
    pub label: Option<String>,
    /// When the agent or the project was removed: another may have its name.
    pub removed_at: Option<Timestamp>,
    /// The latest run in it.
    pub run: RunId,
    /// That run's task, by number.
    pub task: i64,
    /// The sum.
    pub spent: Spent,
}

#[derive(FromRow)]
struct SpentRow {
    amount_micro_usd: i64,
    requests: i64,
    unpriced: i64,
    at_least: i64,
    input: i64,
    cache_read: i64,
    cache_write: i64,
    output: i64,
    reasoning: i64,
    list_micro_usd: i64,
    list_requests: i64,
    list_unpriced: i64,
    list_at_least: i64,
}

impl SpentRow {
    fn into_spent(self) -> Result<Spent, StoreError> {
        Ok(Spent {
            amount: MicroUsd(self.amount_micro_usd),
            requests: column::to_u64(TABLE, self.requests)?,
            unpriced: column::to_u64(TABLE, self.unpriced)?,
            at_least: column::to_u64(TABLE, self.at_least)?,
            tokens: TokenCounts {
                input: column::to_u64(TABLE, self.input)?,
                cache_read: column::to_u64(TABLE, self.cache_read)?,
                cache_write: column::to_u64(TABLE, self.cache_write)?,
                output: column::to_u64(TABLE, self.output)?,
                reasoning: column::to_u64(TABLE, self.reasoning)?,
            },
            list_price: ListPrice {
                amount: MicroUsd(self.list_micro_usd),
                requests: column::to_u64(TABLE, self.list_requests)?,
                unpriced: column::to_u64(TABLE, self.list_unpriced)?,
                at_least: column::to_u64(TABLE, self.list_at_least)?,
            },
        })
    }
}

#[derive(FromRow)]
struct RunSpentRow {
    run: String,
    #[sqlx(flatten)]
    spent: SpentRow,
}

#[derive(FromRow)]
struct SumRow {
    key: String,
    label: Option<String>,
    removed_at: Option<i64>,
    run: String,
    task: i64,
    #[sqlx(flatten)]
    spent: SpentRow,
    lines_total: i64,
}

impl SumRow {
    fn into_record(self) -> Result<CostSum, StoreError> {
        Ok(CostSum {
            key: self.key,
            label: self.label,
            removed_at: column::time_or_none(TABLE, self.removed_at)?,
            run: column::id(TABLE, &self.run)?,
            task: self.task,
            spent: self.spent.into_spent()?,
        })
    }
}

/// A span of time as the statements need it, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    /// The first whole day, counted from 1970, and the one after the last.
    days: (i64, i64),
    /// What is before the first whole day; nothing where the end is not after the beginning.
    head: (i64, i64),
    /// What is after the last one.
    tail: (i64, i64),
}

impl Parts {
    const NOTHING: (i64, i64) = (0, 0);

    fn new(span: CostSpan) -> Self {
        let from = span.from.map(column::from_time);
        let until = span.until.map(column::from_time);
        let first = from.map_or(i64::MIN, |from| {
            from.div_euclid(DAY_MICROSECONDS) + i64::from(from.rem_euclid(DAY_MICROSECONDS) > 0)
        });
        let end = until.map_or(i64::MAX, |until| until.div_euclid(DAY_MICROSECONDS));
        match (from, until) {
            (Some(from), Some(until)) if first > end => {
                Self { days: Self::NOTHING, head: (from, until), tail: Self::NOTHING }
            }
            (from, until) => Self {
                days: (first, end),
                head: from.map_or(Self::NOTHING, |from| (from, first * DAY_MICROSECONDS)),
                tail: until.map_or(Self::NOTHING, |until| (end * DAY_MICROSECONDS, until)),
            },
        }
    }

    fn since(since: Timestamp) -> Self {
        Self::new(CostSpan { from: Some(since), until: None })
    }
}

/// The sums, of parts of a sum.
macro_rules! sums {
    () => {
        "coalesce(sum(amount_micro_usd), 0) AS amount_micro_usd, coalesce(sum(requests), 0) AS requests,
         coalesce(sum(unpriced), 0) AS unpriced, coalesce(sum(at_least), 0) AS at_least,
         coalesce(sum(input), 0) AS input, coalesce(sum(cache_read), 0) AS cache_read,
         coalesce(sum(cache_write), 0) AS cache_write, coalesce(sum(output), 0) AS output,
         coalesce(sum(reasoning), 0) AS reasoning, coalesce(sum(list_micro_usd), 0) AS list_micro_usd,
         coalesce(sum(list_requests), 0) AS list_requests, coalesce(sum(list_unpriced), 0) AS list_unpriced,
         coalesce(sum(list_at_least), 0) AS list_at_least"
    };
}

/// A usage as a part of a sum. What a subscription pays for is in the sums of money nowhere.
macro_rules! one {
    () => {
        "coalesce(cost_micro_usd, 0) * NOT is_list_price AS amount_micro_usd, 1 AS requests,
         cost_micro_usd IS NULL AND NOT is_list_price AS unpriced, is_at_least AND NOT is_list_price AS at_least, input,
         cache_read, cache_write, output, reasoning, coalesce(cost_micro_usd, 0) * is_list_price AS list_micro_usd,
         is_list_price AS list_requests, cost_micro_usd IS NULL AND is_list_price AS list_unpriced,
         is_at_least AND is_list_price AS list_at_least"
    };
}

/// The parts of the sum of a span: `?1` to `?6` are [`Parts`]. `$days` is the table that has the days.
macro_rules! parts {
    ($days:literal, $kept:literal, $single:literal) => {
        concat!(
            "SELECT ",
            $kept,
            ", amount_micro_usd, requests, unpriced, at_least, input, cache_read, cache_write, output, reasoning,
               list_micro_usd, list_requests, list_unpriced, list_at_least FROM ",
            $days,
            " WHERE day >= ?1 AND day < ?2 UNION ALL ",
            parts!(single $single, "?3", "?4"),
            " UNION ALL ",
            parts!(single $single, "?5", "?6")
        )
    };
    (single $single:literal, $from:literal, $until:literal) => {
        concat!(
            "SELECT ",
            $single,
            ", ",
            one!(),
            " FROM usage WHERE at >= ",
            $from,
            " AND at < ",
            $until
        )
    };
}

/// A sum of what one condition lets through: `?7`.
macro_rules! select_spent {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            sums!(),
            " FROM (",
            parts!("usage_days", "agent, project", "agent, coalesce(project, '')"),
            ") WHERE ",
            $condition
        )
    };
}

const SPENT_IN_RUN: &str = concat!("SELECT ", sums!(), " FROM usage_runs WHERE run = ?1");
const SPENT_BY_AGENT: &str = select_spent!("agent = ?7");
const SPENT_IN_PROJECT: &str = select_spent!("project = ?7");
const SPENT: &str = select_spent!("?7 IS NULL");
const SPENT_IN_RUNS: &str =
    concat!("SELECT run, ", sums!(), " FROM usage_runs WHERE run IN (SELECT value FROM json_each(?1)) GROUP BY run");

/// Sums by a key, `?7` lines of them. Only these lines are looked up in other tables.
macro_rules! select_lines {
    ($days:literal, $key:literal, $kept:literal, $single:literal, $label:literal, $removed:literal, $join:literal, $order:literal) => {
        concat!(
            "WITH sums AS (SELECT ",
            $key,
            " AS key, max(run) AS run, ",
            sums!(),
            " FROM (",
            parts!($days, $kept, $single),
            ") GROUP BY key),
             shown AS MATERIALIZED (SELECT *, count(*) OVER () AS lines_total FROM sums ORDER BY ",
            $order,
            " LIMIT ?7)
             SELECT ",
            $label,
            " AS label, ",
            $removed,
            " AS removed_at, CAST(shown.key AS TEXT) AS key, shown.run, tasks.number AS task, amount_micro_usd, requests, unpriced, at_least,
              input, cache_read, cache_write, output, reasoning, list_micro_usd, list_requests, list_unpriced, list_at_least,
              lines_total
              FROM shown JOIN runs ON runs.id = shown.run JOIN tasks ON tasks.id = runs.task ",
            $join,
            " ORDER BY ",
            $order
        )
    };
}

/// What is unpriced may be the dearest of all, so it goes before what is free.
macro_rules! select_dearest {
    ($days:literal, $key:literal, $kept:literal, $single:literal, $label:literal, $removed:literal, $join:literal) => {
        select_lines!(
            $days,
            $key,
            $kept,
            $single,
            $label,
            $removed,
            $join,
            "amount_micro_usd DESC, unpriced DESC, list_micro_usd DESC, key DESC"
        )
    };
}

const LINES_BY_AGENT: &str = select_dearest!(
    "usage_days",
    "agent",
    "agent, run",
    "agent, run",
    "agents.name",
    "agents.removed_at",
    "LEFT JOIN agents ON agents.id = shown.key"
);
const LINES_BY_PROJECT: &str = select_dearest!(
    "usage_days",
    "project",
    "project, run",
    "coalesce(project, ''), run",
    "projects.name",
    "projects.removed_at",
    "LEFT JOIN projects ON projects.id = shown.key"
);
const LINES_BY_MODEL: &str =
    select_dearest!("usage_days", "model", "model, run", "model, run", "nullif(shown.key, '')", "NULL", "");
const LINES_BY_RUN: &str = select_dearest!("usage_runs", "run", "run", "run", "tasks.title", "NULL", "");
const LINES_BY_DAY: &str = select_lines!(
    "usage_days",
    "day",
    "day, run",
    "at / 86400000000, run",
    "date(shown.key * 86400, 'unixepoch')",
    "NULL",
    "",
    "key DESC"
);

/// The runs behind a sum that a condition lets through (`?4`), from `?1` to `?2`, `?3` of them.
macro_rules! select_runs {
    ($condition:literal) => {
        concat!(
            "WITH sums AS (SELECT run AS key, run, ",
            sums!(),
            " FROM (",
            single_usages!($condition),
            ") GROUP BY key),
             shown AS MATERIALIZED (SELECT *, count(*) OVER () AS lines_total FROM sums
                                    ORDER BY amount_micro_usd DESC, unpriced DESC, list_micro_usd DESC, key DESC LIMIT ?3)
             SELECT tasks.title AS label, NULL AS removed_at, shown.key, shown.run, tasks.number AS task, amount_micro_usd,
                    requests, unpriced, at_least, input, cache_read, cache_write, output, reasoning, list_micro_usd,
                    list_requests, list_unpriced, list_at_least, lines_total
             FROM shown JOIN runs ON runs.id = shown.run JOIN tasks ON tasks.id = runs.task
             ORDER BY amount_micro_usd DESC, unpriced DESC, list_micro_usd DESC, key DESC"
        )
    };
}

/// What those runs come to.
macro_rules! select_runs_total {
    ($condition:literal) => {
        concat!("SELECT ", sums!(), " FROM (", single_usages!($condition), ") WHERE ?3 IS NOT NULL")
    };
}

/// The usages that a condition lets through, as parts of a sum.
macro_rules! single_usages {
    ($condition:literal) => {
        concat!("SELECT run, ", one!(), " FROM usage WHERE at >= ?1 AND at < ?2 AND ", $condition)
    };
}

/// The statements of the runs and of their sum.
const fn runs_of(of: &CostOf) -> (&'static str, &'static str) {
    match of {
        CostOf::Agent(_) => RUNS_OF_AGENT,
        CostOf::Project(Some(_)) => RUNS_OF_PROJECT,
        CostOf::Project(None) => RUNS_OF_NO_PROJECT,
        CostOf::Model(_) => RUNS_OF_MODEL,
        CostOf::All => RUNS_OF_ALL,
    }
}

const RUNS_OF_AGENT: (&str, &str) = (select_runs!("agent = ?4"), select_runs_total!("agent = ?4"));
const RUNS_OF_PROJECT: (&str, &str) = (select_runs!("project = ?4"), select_runs_total!("project = ?4"));
const RUNS_OF_NO_PROJECT: (&str, &str) =
    (select_runs!("project IS NULL AND ?4 IS NULL"), select_runs_total!("project IS NULL AND ?4 IS NULL"));
const RUNS_OF_MODEL: (&str, &str) = (select_runs!("model = ?4"), select_runs_total!("model = ?4"));
const RUNS_OF_ALL: (&str, &str) = (select_runs!("?4 IS NULL"), select_runs_total!("?4 IS NULL"));

const fn lines_by(key: CostKey) -> &'static str {
    match key {
        CostKey::Agent => LINES_BY_AGENT,
        CostKey::Project => LINES_BY_PROJECT,
        CostKey::Model => LINES_BY_MODEL,
        CostKey::Run => LINES_BY_RUN,
        CostKey::Day => LINES_BY_DAY,
    }
}

/// What was set aside for requests that have not ended and that a condition lets through.
macro_rules! select_reserved {
    ($condition:literal) => {
        concat!("SELECT coalesce(sum(reserved_micro_usd), 0) FROM requests WHERE ended_at IS NULL AND ", $condition)
    };
}

const RESERVED_IN_RUN: &str = select_reserved!("run = ?1");
const RESERVED_BY_AGENT: &str = select_reserved!("agent = ?1");
const RESERVED_IN_PROJECT: &str =
    select_reserved!("(SELECT tasks.project FROM tasks WHERE tasks.id = requests.task) = ?1");
const RESERVED: &str = select_reserved!("?1 IS NULL");

/// What is held back for requests that were not counted whole and that a condition lets through.
macro_rules! select_withheld {
    ($condition:literal) => {
        concat!(
            "SELECT coalesce(sum(withheld_micro_usd), 0) FROM usage WHERE withheld_micro_usd > 0 AND at >= ?2 AND ",
            $condition
        )
    };
}

const WITHHELD_IN_RUN: &str = select_withheld!("run = ?1");
const WITHHELD_BY_AGENT: &str = select_withheld!("agent = ?1");
const WITHHELD_IN_PROJECT: &str = select_withheld!("project = ?1");
const WITHHELD: &str = select_withheld!("?1 IS NULL");

impl Store {
    /// What was spent.
    pub async fn spent(&self, scope: &CostScope) -> Result<Spent, StoreError> {
        spent(self.read(), scope).await
    }

    /// What was spent and what is set aside, both of the same moment: a request that ends meanwhile is in one of them.
    pub async fn used(&self, scope: &CostScope) -> Result<Used, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let spent = spent(&mut *snapshot, scope).await?;
        let (reserved, withheld, key, since) = match scope {
            CostScope::Run(run) => (RESERVED_IN_RUN, WITHHELD_IN_RUN, Some(run.to_string()), None),
            CostScope::Agent { agent, since } => {
                (RESERVED_BY_AGENT, WITHHELD_BY_AGENT, Some(agent.to_string()), Some(*since))
            }
            CostScope::Project { project, since } => {
                (RESERVED_IN_PROJECT, WITHHELD_IN_PROJECT, Some(project.to_string()), Some(*since))
            }
            CostScope::All { since } => (RESERVED, WITHHELD, None, Some(*since)),
        };
        let reserved: i64 = sqlx::query_scalar(reserved).bind(key.clone()).fetch_one(&mut *snapshot).await?;
        let withheld: i64 = sqlx::query_scalar(withheld)
            .bind(key)
            .bind(since.map_or(i64::MIN, column::from_time))
            .fetch_one(&mut *snapshot)
            .await?;
        Ok(Used { spent, reserved: MicroUsd(reserved), withheld: MicroUsd(withheld) })
    }

    /// What was spent by each of these runs. A run that asked no model is not among them.
    pub async fn spent_by_runs(&self, runs: &[RunId]) -> Result<HashMap<RunId, Spent>, StoreError> {
        let runs: Vec<_> = runs.iter().map(ToString::to_string).collect();
        let rows: Vec<RunSpentRow> =
            sqlx::query_as(SPENT_IN_RUNS).bind(column::to_json(TABLE, &runs)?).fetch_all(self.read()).await?;
        rows.into_iter().map(|row| Ok((column::id(TABLE, &row.run)?, row.spent.into_spent()?))).collect()
    }

    /// What was spent in a span of time, by a key, in at most so many lines.
    pub async fn spent_by(&self, by: CostKey, span: CostSpan, limit: u32) -> Result<Costs, StoreError> {
        let parts = Parts::new(span);
        let mut snapshot = self.snapshot().await?;
        let total = bound(sqlx::query_as::<_, SpentRow>(SPENT), parts)
            .bind(None::<String>)
            .fetch_one(&mut *snapshot)
            .await?
            .into_spent()?;
        // A page without a line would not say how many there are.
        let rows = bound(sqlx::query_as::<_, SumRow>(lines_by(by)), parts)
            .bind(limit.max(1))
            .fetch_all(&mut *snapshot)
            .await?;
        let lines_total = rows.first().map_or(Ok(0), |row| column::to_u64(TABLE, row.lines_total))?;
        let mut lines = rows.into_iter().map(SumRow::into_record).collect::<Result<Vec<_>, _>>()?;
        if by == CostKey::Day {
            lines.reverse();
        }
        Ok(Costs { total, lines, lines_total })
    }

    /// The runs behind a sum of a span of time, in at most so many lines. It looks at each usage of the sum: for who asks.
    pub async fn spent_in_runs(&self, of: &CostOf, span: CostSpan, limit: u32) -> Result<Costs, StoreError> {
        let (lines, total) = runs_of(of);
        let from = span.from.map_or(i64::MIN, column::from_time);
        let until = span.until.map_or(i64::MAX, column::from_time);
        let key = match of {
            CostOf::Agent(agent) => Some(agent.to_string()),
            CostOf::Project(project) => project.map(|project| project.to_string()),
            CostOf::Model(model) => Some(model.clone()),
            CostOf::All => None,
        };
        let mut snapshot = self.snapshot().await?;
        let total = sqlx::query_as::<_, SpentRow>(total).bind(from).bind(until).bind(limit).bind(&key);
        let total = total.fetch_one(&mut *snapshot).await?.into_spent()?;
        let rows = sqlx::query_as::<_, SumRow>(lines).bind(from).bind(until).bind(limit.max(1)).bind(&key);
        let rows = rows.fetch_all(&mut *snapshot).await?;
        let lines_total = rows.first().map_or(Ok(0), |row| column::to_u64(TABLE, row.lines_total))?;
        let lines = rows.into_iter().map(SumRow::into_record).collect::<Result<Vec<_>, _>>()?;
        Ok(Costs { total, lines, lines_total })
    }

    /// Whether any request to a model was ever metered.
    pub async fn is_anything_metered(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM usage)").fetch_one(self.read()).await?)
    }
}

async fn spent(reader: impl Executor<'_, Database = Sqlite>, scope: &CostScope) -> Result<Spent, StoreError> {
    let query = match scope {
        CostScope::Run(run) => sqlx::query_as::<_, SpentRow>(SPENT_IN_RUN).bind(run.to_string()),
        CostScope::Agent { agent, since } => {
            bound(sqlx::query_as(SPENT_BY_AGENT), Parts::since(*since)).bind(agent.to_string())
        }
        CostScope::Project { project, since } => {
            bound(sqlx::query_as(SPENT_IN_PROJECT), Parts::since(*since)).bind(project.to_string())
        }
        CostScope::All { since } => bound(sqlx::query_as(SPENT), Parts::since(*since)).bind(None::<String>),
    };
    query.fetch_one(reader).await?.into_spent()
}

type Query<Row> = sqlx::query::QueryAs<'static, Sqlite, Row, sqlx::sqlite::SqliteArguments>;

/// Binds `?1` to `?6`.
fn bound<Row>(query: Query<Row>, parts: Parts) -> Query<Row> {
    let Parts { days, head, tail } = parts;
    query.bind(days.0).bind(days.1).bind(head.0).bind(head.1).bind(tail.0).bind(tail.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_whole_days_and_what_is_left_at_its_ends() {
        let day = DAY_MICROSECONDS;
        let at = |microseconds| Some(Timestamp::from_microsecond(microseconds).unwrap());
        let parts = |from, until| {
            let Parts { days, head, tail } = Parts::new(CostSpan { from, until });
            (days, head, tail)
        };
        let nothing = Parts::NOTHING;
        assert_eq!(parts(None, None), ((i64::MIN, i64::MAX), nothing, nothing));
        assert_eq!(parts(at(2 * day), at(5 * day)), ((2, 5), (2 * day, 2 * day), (5 * day, 5 * day)));
        assert_eq!(parts(at(2 * day + 1), at(5 * day + 1)), ((3, 5), (2 * day + 1, 3 * day), (5 * day, 5 * day + 1)));
        assert_eq!(parts(at(2 * day + 1), at(2 * day + 9)), (nothing, (2 * day + 1, 2 * day + 9), nothing));
        assert_eq!(parts(at(2 * day + 1), at(3 * day)), ((3, 3), (2 * day + 1, 3 * day), (3 * day, 3 * day)));
        assert_eq!(parts(at(1), None), ((1, i64::MAX), (1, day), nothing));
    }

    #[tokio::test]
    async fn no_sum_reads_all_usages_or_all_requests() {
        let folder = camino_tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("berth.db")).await.unwrap();
        let lines = CostKey::ALL.map(lines_by);
        let spent = [SPENT_IN_RUN, SPENT_BY_AGENT, SPENT_IN_PROJECT, SPENT, SPENT_IN_RUNS];
        let reserved = [RESERVED_IN_RUN, RESERVED_BY_AGENT, RESERVED_IN_PROJECT, RESERVED];
        let withheld = [WITHHELD_IN_RUN, WITHHELD_BY_AGENT, WITHHELD_IN_PROJECT, WITHHELD];
        let runs = [RUNS_OF_AGENT, RUNS_OF_PROJECT, RUNS_OF_NO_PROJECT, RUNS_OF_MODEL, RUNS_OF_ALL];
        let runs = runs.into_iter().flat_map(|(lines, total)| [lines, total]);
        for statement in lines.into_iter().chain(spent).chain(reserved).chain(withheld).chain(runs) {
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
                    .fetch_all(store.read())
                    .await
                    .unwrap();
            for (.., step) in plan {
                let is_bounded = if step.contains("requests") {
                    step.contains("INDEX requests_open")
                } else {
                    !step.starts_with("SCAN usage")
                        || step.starts_with("SCAN usage_")
                        || step.contains("INDEX usage_withheld")
                };
                assert!(is_bounded, "{step}: {statement}");
            }
        }
    }
}
