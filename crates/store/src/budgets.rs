//! Budgets, and how far a person was told that they are used up. What they mean for a request is not known here.

use jiff::Timestamp;
use sqlx::{FromRow, Sqlite, Transaction};
use wire::{
    EventKind, EventView,
    ids::{AgentId, ProjectId, RunId},
    money::MicroUsd,
};

use crate::{
    column,
    database::Store,
    error::StoreError,
    events::{self, EventScope},
};

const TABLE: &str = "budgets";

/// What a budget is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BudgetKey {
    /// Each run.
    EachRun,
    /// That run.
    Run(RunId),
    /// That agent.
    Agent(AgentId),
    /// That project.
    Project(ProjectId),
}

/// A budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetRecord {
    /// What it is for.
    pub budget: BudgetKey,
    /// That by name: the agent, the project, or the title of the run's task; empty for each run.
    pub name: String,
    /// The number of the run's task.
    pub number: Option<i64>,
    /// The limit.
    pub limit: MicroUsd,
    /// When it was set.
    pub set_at: Timestamp,
}

/// Of which of the spans that a budget holds for something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BudgetSpan {
    /// Of that run.
    Run(RunId),
    /// Of the month that began then.
    Since(Timestamp),
}

/// That a person is told how far a budget is used up.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetWarning {
    /// Which.
    pub budget: BudgetKey,
    /// Of which span.
    pub span: BudgetSpan,
    /// How far, in percent of the limit.
    pub percent: u32,
    /// What the events belong to.
    pub scope: EventScope,
    /// How they are told.
    pub events: Vec<EventKind>,
    /// When.
    pub at: Timestamp,
}

impl BudgetSpan {
    fn column(self) -> String {
        match self {
            Self::Run(run) => run.to_string(),
            Self::Since(at) => column::from_time(at).to_string(),
        }
    }
}

#[derive(FromRow)]
struct BudgetRow {
    kind: String,
    key: String,
    name: String,
    number: Option<i64>,
    limit_micro_usd: i64,
    set_at: i64,
}

impl BudgetRow {
    fn into_record(self) -> Result<BudgetRecord, StoreError> {
        let budget = match self.kind.as_str() {
            kind::EACH_RUN => BudgetKey::EachRun,
            kind::RUN => BudgetKey::Run(column::id(TABLE, &self.key)?),
            kind::AGENT => BudgetKey::Agent(column::id(TABLE, &self.key)?),
            kind::PROJECT => BudgetKey::Project(column::id(TABLE, &self.key)?),
            unknown => return Err(StoreError::Row { table: TABLE, what: format!("kind {unknown:?}") }),
        };
        Ok(BudgetRecord {
            budget,
            name: self.name,
            number: self.number,
            limit: MicroUsd(self.limit_micro_usd),
            set_at: column::time(TABLE, self.set_at)?,
        })
    }
}

/// The names in data of what a budget is for.
mod kind {
    pub(super) const EACH_RUN: &str = "each_run";
    pub(super) const RUN: &str = "run";
    pub(super) const AGENT: &str = "agent";
    pub(super) const PROJECT: &str = "project";
}

/// A budget with what its row only points to. Ends before the condition.
macro_rules! select_budget {
    ($condition:literal) => {
        concat!(
            "SELECT budgets.kind, budgets.key, budgets.limit_micro_usd, budgets.set_at, tasks.number,
                    coalesce(agents.name, projects.name, tasks.title, '') AS name
             FROM budgets
             LEFT JOIN agents ON budgets.kind = 'agent' AND agents.id = budgets.key
             LEFT JOIN projects ON budgets.kind = 'project' AND projects.id = budgets.key
             LEFT JOIN runs ON budgets.kind = 'run' AND runs.id = budgets.key
             LEFT JOIN tasks ON tasks.id = runs.task
             WHERE ",
            $condition,
            " ORDER BY budgets.kind = 'run', budgets.kind = 'project', budgets.kind = 'agent', name, tasks.number"
        )
    };
}

impl Store {
    /// Sets the limit of a budget, or takes the budget away. What a person was told of it before counts no more.
    pub async fn set_budget(
        &self,
        budget: &BudgetKey,
        limit: Option<MicroUsd>,
        at: Timestamp,
        kinds: Vec<EventKind>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let (kind, key) = columns(&mut transaction, budget).await?;
        // Its warnings go along.
        sqlx::query("DELETE FROM budgets WHERE kind = ?1 AND key = ?2")
            .bind(kind)
            .bind(&key)
            .execute(&mut *transaction)
            .await?;
        if let Some(limit) = limit {
            sqlx::query("INSERT INTO budgets (kind, key, limit_micro_usd, set_at) VALUES (?1, ?2, ?3, ?4)")
                .bind(kind)
                .bind(&key)
                .bind(limit.0)
                .bind(column::from_time(at))
                .execute(&mut *transaction)
                .await?;
        }
        events::insert(&mut transaction, EventScope::default(), at, kinds).await?;
        Ok(transaction.commit().await?)
    }

    /// All budgets but those of runs that have ended: that of each run, then those of agents, projects and runs.
    pub async fn budgets(&self) -> Result<Vec<BudgetRecord>, StoreError> {
        let rows: Vec<BudgetRow> =
            sqlx::query_as(select_budget!("runs.ended_at IS NULL")).fetch_all(self.read()).await?;
        rows.into_iter().map(BudgetRow::into_record).collect()
    }

    /// The budgets that there are for a request of that agent in that run: of each run, of that run, of that agent, and of the
    /// project of the run's task. Which of them hold is the caller's to say.
    pub async fn budgets_of(&self, run: RunId, agent: AgentId) -> Result<Vec<BudgetRecord>, StoreError> {
        let rows: Vec<BudgetRow> = sqlx::query_as(select_budget!(
            "budgets.kind = 'each_run' OR (budgets.kind = 'run' AND budgets.key = ?1)
             OR (budgets.kind = 'agent' AND budgets.key = ?2)
             OR (budgets.kind = 'project' AND budgets.key =
                 (SELECT its.project FROM runs AS the JOIN tasks AS its ON its.id = the.task WHERE the.id = ?1))"
        ))
        .bind(run.to_string())
        .bind(agent.to_string())
        .fetch_all(self.read())
        .await?;
        rows.into_iter().map(BudgetRow::into_record).collect()
    }

    /// Writes down that a person is told how far a budget is used up. Does nothing, and says so with `None`, where they were told
    /// as much or more of the same span, or the budget is gone.
    pub async fn warn_of_budget(&self, warning: BudgetWarning) -> Result<Option<Vec<EventView>>, StoreError> {
        let mut transaction = self.write().await?;
        let (kind, key) = match columns(&mut transaction, &warning.budget).await {
            Ok(columns) => columns,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let written = sqlx::query(
            "INSERT INTO budget_warnings (kind, key, span, percent, at)
             SELECT kind, key, ?3, ?4, ?5 FROM budgets WHERE kind = ?1 AND key = ?2
             ON CONFLICT DO UPDATE SET percent = excluded.percent, at = excluded.at WHERE percent < excluded.percent",
        )
        .bind(kind)
        .bind(&key)
        .bind(warning.span.column())
        .bind(warning.percent)
        .bind(column::from_time(warning.at))
        .execute(&mut *transaction)
        .await?;
        if written.rows_affected() == 0 {
            return Ok(None);
        }
        let events = events::insert(&mut transaction, warning.scope, warning.at, warning.events).await?;
        transaction.commit().await?;
        Ok(Some(events))
    }
}

/// The columns that a budget is known by. [`StoreError::NotFound`] where there is no such run, agent or project.
async fn columns(
    transaction: &mut Transaction<'_, Sqlite>,
    budget: &BudgetKey,
) -> Result<(&'static str, String), StoreError> {
    let (kind, statement, key) = match budget {
        BudgetKey::EachRun => return Ok((kind::EACH_RUN, String::new())),
        BudgetKey::Run(run) => (kind::RUN, "SELECT id FROM runs WHERE id = ?1", run.to_string()),
        BudgetKey::Agent(agent) => {
            (kind::AGENT, "SELECT id FROM agents WHERE id = ?1 AND removed_at IS NULL", agent.to_string())
        }
        BudgetKey::Project(project) => {
            (kind::PROJECT, "SELECT id FROM projects WHERE id = ?1 AND removed_at IS NULL", project.to_string())
        }
    };
    let found: Option<String> = sqlx::query_scalar(statement).bind(&key).fetch_optional(&mut **transaction).await?;
    Ok((kind, found.ok_or(StoreError::NotFound { what: kind, key })?))
}
