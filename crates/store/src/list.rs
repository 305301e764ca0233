//! The task list: a page of it with all that a row shows, and how many there are.
//!
//! Made for 100,000 tasks: numbers are found in narrow indexes first, and only the rows of the page are read.

use jiff::Timestamp;
use sqlx::{FromRow, Sqlite, Transaction};
use wire::{
    ErrorView, Phase,
    ids::{RunId, StepId, TaskId},
    view::PhaseCount,
};

use crate::{
    column,
    database::Store,
    error::StoreError,
    search::{self, Search},
};
use lifecycle::Holds;

const TABLE: &str = "tasks";

/// Up to how many finds of a search are counted; past it a person refines the search rather than reads on.
pub const SEARCH_TOTAL_MAX: u32 = 10_000;

/// Which tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only those in these phases; all where it is empty.
    pub phases: Vec<Phase>,
    /// Only those whose title, prompt or agent has words that begin so.
    pub search: String,
    /// How many rows at most.
    pub limit: u32,
    /// How many to pass over.
    pub offset: u64,
}

/// Some rows of the task list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPage {
    /// The rows, newest first.
    pub rows: Vec<ListedTask>,
    /// How many there are in all under this filter. A search is counted up to [`SEARCH_TOTAL_MAX`].
    pub total: u64,
}

/// A task with its latest run and the step that speaks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTask {
    /// Which.
    pub task: TaskId,
    /// The number a person says.
    pub number: i64,
    /// Its title.
    pub title: String,
    /// The agent's name.
    pub agent_name: String,
    /// The project's name.
    pub project: Option<String>,
    /// When it was taken in.
    pub created_at: Timestamp,
    /// The latest run.
    pub run: RunId,
    /// That run's phase.
    pub phase: Phase,
    /// The step that speaks for the run.
    pub step: StepId,
    /// What that step's agent runs in.
    pub image: String,
    /// Why it does not go on.
    pub holds: Holds,
    /// Its attempt, from 1.
    pub attempt: u32,
    /// When its phase was entered.
    pub entered_at: Timestamp,
    /// Why it failed.
    pub error: Option<ErrorView>,
    /// The last line of its output.
    pub last_line: String,
    /// When its output came last.
    pub output_at: Option<Timestamp>,
    /// Results of all steps of the run that are new or changed.
    pub result_count: u64,
}

#[derive(FromRow)]
struct ListedRow {
    id: String,
    number: i64,
    title: String,
    agent_name: String,
    project: Option<String>,
    created_at: i64,
    run: String,
    phase: String,
    step: String,
    image: String,
    holds: String,
    attempt: i64,
    entered_at: i64,
    error: Option<String>,
    last_line: String,
    output_at: Option<i64>,
    result_count: i64,
}

impl ListedRow {
    fn into_record(self) -> Result<ListedTask, StoreError> {
        Ok(ListedTask {
            task: column::id(TABLE, &self.id)?,
            number: self.number,
            title: self.title,
            agent_name: self.agent_name,
            project: self.project,
            created_at: column::time(TABLE, self.created_at)?,
            run: column::id(TABLE, &self.run)?,
            phase: column::phase(TABLE, &self.phase)?,
            step: column::id(TABLE, &self.step)?,
            image: self.image,
            holds: column::holds(TABLE, &self.holds)?,
            attempt: column::to_u32(TABLE, self.attempt)?,
            entered_at: column::time(TABLE, self.entered_at)?,
            error: self.error.map(|error| column::json(TABLE, &error)).transpose()?,
            last_line: self.last_line,
            output_at: column::time_or_none(TABLE, self.output_at)?,
            result_count: column::to_u64(TABLE, self.result_count)?,
        })
    }
}

/// The columns and joins of a row of the list.
macro_rules! select_listed {
    ($source:literal) => {
        concat!(
            "SELECT tasks.id, tasks.number, tasks.title, agents.name AS agent_name, projects.name AS project,
                    tasks.created_at, runs.id AS run, tasks.phase, steps.id AS step, steps.image, steps.holds,
                    steps.attempt, steps.entered_at, steps.error, steps.last_line, steps.output_at,
                    (SELECT sum(result_count) FROM steps AS every WHERE every.run = runs.id) AS result_count
             FROM ",
            $source,
            " JOIN agents ON agents.id = tasks.agent
              LEFT JOIN projects ON projects.id = tasks.project
              JOIN runs ON runs.id = tasks.latest_run
              JOIN steps ON steps.id = runs.current_step
              ORDER BY tasks.number DESC"
        )
    };
}

impl Store {
    /// A page of the task list, newest first.
    pub async fn list_tasks(&self, filter: &TaskFilter) -> Result<TaskPage, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let phases = if filter.phases.is_empty() { &Phase::ALL[..] } else { &filter.phases };
        let (numbers, total) = match search::parse(&filter.search) {
            Search::Everything => (page(&mut snapshot, phases, filter).await?, total(&mut snapshot, phases).await?),
            Search::Nothing => (Vec::new(), 0),
            Search::Query(query) if filter.phases.is_empty() => found(&mut snapshot, &query, filter).await?,
            Search::Query(query) => found_in(&mut snapshot, &query, filter).await?,
        };
        let rows: Vec<ListedRow> =
            sqlx::query_as(select_listed!("json_each(?1) AS page CROSS JOIN tasks ON tasks.number = page.value"))
                .bind(column::to_json(TABLE, &numbers)?)
                .fetch_all(&mut *snapshot)
                .await?;
        let rows = rows.into_iter().map(ListedRow::into_record).collect::<Result<Vec<_>, _>>()?;
        Ok(TaskPage { rows, total })
    }

    /// One task as the list shows it.
    pub async fn listed_task(&self, task: TaskId) -> Result<ListedTask, StoreError> {
        let row: Option<ListedRow> =
            sqlx::query_as(select_listed!("(SELECT ?1 AS id) AS wanted CROSS JOIN tasks ON tasks.id = wanted.id"))
                .bind(task.to_string())
                .fetch_optional(self.read())
                .await?;
        row.ok_or_else(|| StoreError::NotFound { what: "task", key: task.to_string() })?.into_record()
    }

    /// How many tasks are in each phase, every phase once.
    pub async fn phase_counts(&self) -> Result<Vec<PhaseCount>, StoreError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT phase, tasks FROM phase_counts").fetch_all(self.read()).await?;
        let mut counts = Phase::ALL.map(|phase| PhaseCount { phase, count: 0 });
        for (name, tasks) in rows {
            let phase = column::phase("phase_counts", &name)?;
            for count in counts.iter_mut().filter(|count| count.phase == phase) {
                count.count = column::to_u64("phase_counts", tasks)?;
            }
        }
        Ok(counts.to_vec())
    }
}

/// The numbers of a page without a search. Each arm reads an index in order, and SQLite merges them, so that only the
/// entries up to the end of the page are looked at.
async fn page(
    snapshot: &mut Transaction<'_, Sqlite>,
    phases: &[Phase],
    filter: &TaskFilter,
) -> Result<Vec<i64>, StoreError> {
    let mut query = sqlx::query_scalar(
        "SELECT number FROM tasks WHERE phase = ?1 UNION ALL SELECT number FROM tasks WHERE phase = ?2
         UNION ALL SELECT number FROM tasks WHERE phase = ?3 UNION ALL SELECT number FROM tasks WHERE phase = ?4
         UNION ALL SELECT number FROM tasks WHERE phase = ?5 UNION ALL SELECT number FROM tasks WHERE phase = ?6
         UNION ALL SELECT number FROM tasks WHERE phase = ?7
         ORDER BY number DESC LIMIT ?8 OFFSET ?9",
    );
    // An arm without a phase finds nothing.
    for phase in Phase::ALL {
        query = query.bind(phases.contains(&phase).then_some(phase.name()));
    }
    Ok(query.bind(filter.limit).bind(column::from_u64(filter.offset)).fetch_all(&mut **snapshot).await?)
}

async fn total(snapshot: &mut Transaction<'_, Sqlite>, phases: &[Phase]) -> Result<u64, StoreError> {
    let total: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(tasks), 0) FROM phase_counts WHERE phase IN (SELECT value FROM json_each(?1))",
    )
    .bind(names(phases)?)
    .fetch_one(&mut **snapshot)
    .await?;
    column::to_u64("phase_counts", total)
}

/// The numbers of a page of a search, and how many it finds.
async fn found(
    snapshot: &mut Transaction<'_, Sqlite>,
    query: &str,
    filter: &TaskFilter,
) -> Result<(Vec<i64>, u64), StoreError> {
    let numbers = sqlx::query_scalar(
        "SELECT rowid FROM task_search WHERE task_search MATCH ?1 ORDER BY rowid DESC LIMIT ?2 OFFSET ?3",
    )
    .bind(query)
    .bind(filter.limit)
    .bind(column::from_u64(filter.offset))
    .fetch_all(&mut **snapshot)
    .await?;
    let total: i64 =
        sqlx::query_scalar("SELECT count(*) FROM (SELECT 1 FROM task_search WHERE task_search MATCH ?1 LIMIT ?2)")
            .bind(query)
            .bind(SEARCH_TOTAL_MAX)
            .fetch_one(&mut **snapshot)
            .await?;
    Ok((numbers, column::to_u64("task_search", total)?))
}

/// The same among the tasks in some phases.
async fn found_in(
    snapshot: &mut Transaction<'_, Sqlite>,
    query: &str,
    filter: &TaskFilter,
) -> Result<(Vec<i64>, u64), StoreError> {
    let phases = names(&filter.phases)?;
    let numbers = sqlx::query_scalar(
        "SELECT task_search.rowid FROM task_search
         WHERE task_search MATCH ?1
           AND (SELECT phase FROM tasks WHERE number = task_search.rowid) IN (SELECT value FROM json_each(?2))
         ORDER BY task_search.rowid DESC LIMIT ?3 OFFSET ?4",
    )
    .bind(query)
    .bind(&phases)
    .bind(filter.limit)
    .bind(column::from_u64(filter.offset))
    .fetch_all(&mut **snapshot)
    .await?;
    let total: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT 1 FROM task_search
             WHERE task_search MATCH ?1
               AND (SELECT phase FROM tasks WHERE number = task_search.rowid) IN (SELECT value FROM json_each(?2))
             LIMIT ?3)",
    )
    .bind(query)
    .bind(&phases)
    .bind(SEARCH_TOTAL_MAX)
    .fetch_one(&mut **snapshot)
    .await?;
    Ok((numbers, column::to_u64("task_search", total)?))
}

fn names(phases: &[Phase]) -> Result<String, StoreError> {
    let names: Vec<_> = phases.iter().map(|phase| phase.name()).collect();
    column::to_json(TABLE, &names)
}
