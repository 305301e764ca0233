//! The task list: a page of it with all that a row shows, and how many there are.
//!
//! Made for 100,000 tasks: numbers are found in narrow indexes first, and only the rows of the page are read.

use jiff::Timestamp;
use sqlx::{Executor, FromRow, Sqlite, Transaction};
use wire::{
    ErrorView, Phase, Priority,
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
/// A page without a row, as JSON.
const NONE: &str = "[]";

/// Up to how many finds of a search are counted and can be paged to; past it a person refines the search rather than reads on.
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
    /// Its turn in the queue.
    pub priority: Priority,
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
    priority: String,
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
            priority: column::priority(TABLE, &self.priority)?,
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
                    tasks.created_at, tasks.priority, runs.id AS run, tasks.phase, steps.id AS step, steps.image, steps.holds,
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
        let counts = counts(&mut *snapshot).await?;
        let (numbers, total) = match search::parse(&filter.search) {
            Search::Everything => page(&mut snapshot, &counts, filter).await?,
            Search::Nothing => (NONE.to_owned(), 0),
            Search::Query(query) => found(&mut snapshot, &query, &counts, filter).await?,
        };
        let rows: Vec<ListedRow> =
            sqlx::query_as(select_listed!("json_each(?1) AS page CROSS JOIN tasks ON tasks.number = page.value"))
                .bind(numbers)
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
        Ok(counts(self.read()).await?.to_vec())
    }
}

async fn counts(reader: impl Executor<'_, Database = Sqlite>) -> Result<[PhaseCount; Phase::ALL.len()], StoreError> {
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT phase, tasks FROM phase_counts").fetch_all(reader).await?;
    let mut counts = Phase::ALL.map(|phase| PhaseCount { phase, count: 0 });
    for (name, tasks) in rows {
        let phase = column::phase("phase_counts", &name)?;
        for count in counts.iter_mut().filter(|count| count.phase == phase) {
            count.count = column::to_u64("phase_counts", tasks)?;
        }
    }
    Ok(counts)
}

impl TaskFilter {
    fn has(&self, phase: Phase) -> bool {
        self.phases.is_empty() || self.phases.contains(&phase)
    }
}

/// Each arm reads an index in order, and SQLite merges them, so that only the entries up to the end of the page are looked at.
macro_rules! select_numbers {
    ($order:literal) => {
        concat!(
            "SELECT json_group_array(number) FROM (
                 SELECT number FROM tasks WHERE phase = ?1 UNION ALL SELECT number FROM tasks WHERE phase = ?2
                 UNION ALL SELECT number FROM tasks WHERE phase = ?3 UNION ALL SELECT number FROM tasks WHERE phase = ?4
                 UNION ALL SELECT number FROM tasks WHERE phase = ?5 UNION ALL SELECT number FROM tasks WHERE phase = ?6
                 UNION ALL SELECT number FROM tasks WHERE phase = ?7
                 ORDER BY number ",
            $order,
            " LIMIT ?8 OFFSET ?9)"
        )
    };
}

/// The numbers of a page without a search, and how many tasks there are. What comes before a page has to be walked over: a page
/// in the older half is reached from the oldest.
async fn page(
    snapshot: &mut Transaction<'_, Sqlite>,
    counts: &[PhaseCount],
    filter: &TaskFilter,
) -> Result<(String, u64), StoreError> {
    let total = counts.iter().filter(|count| filter.has(count.phase)).map(|count| count.count).sum::<u64>();
    let rows = u64::from(filter.limit).min(total.saturating_sub(filter.offset));
    if rows == 0 {
        return Ok((NONE.to_owned(), total));
    }
    let older = total - filter.offset - rows;
    let (numbers, passed_over) =
        if older < filter.offset { (select_numbers!("ASC"), older) } else { (select_numbers!("DESC"), filter.offset) };
    let mut query = sqlx::query_scalar(numbers);
    // An arm without a phase finds nothing.
    for phase in Phase::ALL {
        query = query.bind(filter.has(phase).then_some(phase.name()));
    }
    let query = query.bind(column::from_u64(rows)).bind(column::from_u64(passed_over));
    Ok((query.fetch_one(&mut **snapshot).await?, total))
}

/// The finds are gone through once, for the page and for how many there are.
macro_rules! select_found {
    ($condition:literal) => {
        concat!(
            "WITH found (number) AS MATERIALIZED (
                 SELECT rowid FROM task_search WHERE task_search MATCH ?1 ",
            $condition,
            " ORDER BY rowid DESC LIMIT ?2)
             SELECT (SELECT json_group_array(number) FROM (SELECT number FROM found LIMIT ?3 OFFSET ?4)),
                    (SELECT count(*) FROM found)"
        )
    };
}

/// The numbers of a page of a search, and how many it finds.
///
/// Whether a find is in the phases asked for is looked up in a list of numbers made for the question: of the tasks that are in
/// them, or of those that are not, whichever are fewer. The `+` keeps SQLite from searching anew for each number of the list.
async fn found(
    snapshot: &mut Transaction<'_, Sqlite>,
    query: &str,
    counts: &[PhaseCount],
    filter: &TaskFilter,
) -> Result<(String, u64), StoreError> {
    let (within, beyond): (Vec<_>, Vec<_>) = counts.iter().partition(|count| filter.has(count.phase));
    let size = |part: &[&PhaseCount]| part.iter().map(|count| count.count).sum::<u64>();
    let (statement, listed) = if beyond.is_empty() {
        (select_found!(""), &beyond)
    } else if size(&within) <= size(&beyond) {
        (
            select_found!("AND +rowid IN (SELECT number FROM tasks WHERE phase IN (SELECT value FROM json_each(?5)))"),
            &within,
        )
    } else {
        (
            select_found!(
                "AND +rowid NOT IN (SELECT number FROM tasks WHERE phase IN (SELECT value FROM json_each(?5)))"
            ),
            &beyond,
        )
    };
    let listed: Vec<_> = listed.iter().map(|count| count.phase.name()).collect();
    let mut found = sqlx::query_as::<_, (String, i64)>(statement)
        .bind(query)
        .bind(SEARCH_TOTAL_MAX)
        .bind(filter.limit)
        .bind(column::from_u64(filter.offset));
    if !listed.is_empty() {
        found = found.bind(column::to_json(TABLE, &listed)?);
    }
    let (numbers, total) = found.fetch_one(&mut **snapshot).await?;
    Ok((numbers, column::to_u64("task_search", total)?))
}
