//! Tasks and runs: taking them in, finding them again.

use camino::Utf8PathBuf;
use jiff::Timestamp;
use lifecycle::{StepState, current_step, run_phase};
use sqlx::{FromRow, Sqlite, Transaction};
use wire::{
    EventKind, EventView, Limits, Phase, Priority,
    ids::{AgentId, ProjectId, RunId, StepId, TaskId},
    task::{Launch, ReviewGate},
};

use crate::{
    column,
    database::Store,
    error::StoreError,
    events::{self, EventScope},
    projects,
};

/// A task to take in, with its first run.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    /// Which.
    pub task: TaskId,
    /// Its title.
    pub title: String,
    /// What is asked for.
    pub prompt: String,
    /// The agent that is asked.
    pub agent: AgentId,
    /// The project that it is in.
    pub project: Option<ProjectId>,
    /// Its turn in the queue.
    pub priority: Priority,
    /// Files that come along; their bytes are already in place.
    pub attachments: Vec<AttachmentRecord>,
    /// Its first run.
    pub run: NewRun,
    /// What happened, as events of the task and its run.
    pub events: Vec<EventKind>,
    /// When.
    pub at: Timestamp,
}

/// A run to queue. Its steps begin as `StepState::new`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// Which.
    pub run: RunId,
    /// Its steps in order: at least one.
    pub steps: Vec<NewStep>,
}

/// A step of a new run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStep {
    /// Which.
    pub step: StepId,
    /// Its name.
    pub name: String,
    /// The agent that does it.
    pub agent: AgentId,
    /// What the agent runs in.
    pub image: String,
    /// Whether a person is asked at the end.
    pub review: ReviewGate,
    /// What it may use.
    pub limits: Limits,
    /// What is started in the image.
    pub launch: Launch,
}

/// A task was taken in.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskAdded {
    /// Its number.
    pub number: i64,
    /// The events as they were written.
    pub events: Vec<EventView>,
}

/// A run was added.
#[derive(Clone, Debug, PartialEq)]
pub struct RunAdded {
    /// Which run of the task, from 1.
    pub ordinal: u32,
    /// The events as they were written.
    pub events: Vec<EventView>,
}

/// A file that came with a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachmentRecord {
    /// Its name in the workspace, with `/` between folders.
    pub name: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Where its bytes are, below the data folder.
    pub stored_path: Utf8PathBuf,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRecord {
    /// Which.
    pub task: TaskId,
    /// The number a person says.
    pub number: i64,
    /// Its title.
    pub title: String,
    /// What is asked for.
    pub prompt: String,
    /// The agent that is asked.
    pub agent: AgentId,
    /// That agent's name.
    pub agent_name: String,
    /// The project's name.
    pub project: Option<String>,
    /// The run that it shows.
    pub latest_run: RunId,
    /// That run's phase.
    pub phase: Phase,
    /// Its turn in the queue.
    pub priority: Priority,
    /// When it was taken in.
    pub created_at: Timestamp,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// Which.
    pub run: RunId,
    /// Of which task.
    pub task: TaskId,
    /// That task's number.
    pub number: i64,
    /// Which run of the task, from 1.
    pub ordinal: u32,
    /// Its phase.
    pub phase: Phase,
    /// The step that speaks for it.
    pub current_step: StepId,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// The beginning of an id, as a person types it: 6 hex digits and more, with or without hyphens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdPrefix(String);

impl IdPrefix {
    /// The fewest digits that make one.
    pub const DIGITS_MIN: usize = 6;
    /// The digits of a whole id.
    pub const DIGITS_MAX: usize = 32;

    /// The prefix of that text, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex || digits.len() < Self::DIGITS_MIN || digits.len() > Self::DIGITS_MAX {
            return None;
        }
        let mut canonical = String::with_capacity(36);
        for (position, digit) in digits.chars().enumerate() {
            if matches!(position, 8 | 12 | 16 | 20) {
                canonical.push('-');
            }
            canonical.push(digit);
        }
        Some(Self(canonical))
    }

    /// The first text that is greater than every id with this beginning.
    fn end(&self) -> String {
        format!("{}g", self.0)
    }
}

#[derive(FromRow)]
struct TaskRow {
    id: String,
    number: i64,
    title: String,
    prompt: String,
    agent: String,
    agent_name: String,
    project: Option<String>,
    latest_run: String,
    phase: String,
    priority: String,
    created_at: i64,
}

impl TaskRow {
    fn into_record(self) -> Result<TaskRecord, StoreError> {
        const TABLE: &str = "tasks";
        Ok(TaskRecord {
            task: column::id(TABLE, &self.id)?,
            number: self.number,
            title: self.title,
            prompt: self.prompt,
            agent: column::id(TABLE, &self.agent)?,
            agent_name: self.agent_name,
            project: self.project,
            latest_run: column::id(TABLE, &self.latest_run)?,
            phase: column::phase(TABLE, &self.phase)?,
            priority: column::priority(TABLE, &self.priority)?,
            created_at: column::time(TABLE, self.created_at)?,
        })
    }
}

#[derive(FromRow)]
struct RunRow {
    id: String,
    task: String,
    number: i64,
    ordinal: i64,
    phase: String,
    current_step: String,
    created_at: i64,
    ended_at: Option<i64>,
}

impl RunRow {
    fn into_record(self) -> Result<RunRecord, StoreError> {
        const TABLE: &str = "runs";
        Ok(RunRecord {
            run: column::id(TABLE, &self.id)?,
            task: column::id(TABLE, &self.task)?,
            number: self.number,
            ordinal: column::to_u32(TABLE, self.ordinal)?,
            phase: column::phase(TABLE, &self.phase)?,
            current_step: column::id(TABLE, &self.current_step)?,
            created_at: column::time(TABLE, self.created_at)?,
            ended_at: column::time_or_none(TABLE, self.ended_at)?,
        })
    }
}

#[derive(FromRow)]
struct AttachmentRow {
    name: String,
    size_bytes: i64,
    sha256: String,
    stored_path: String,
}

/// A task with what its row only points to. Ends before the condition.
macro_rules! select_task {
    ($condition:literal) => {
        concat!(
            "SELECT tasks.id, tasks.number, tasks.title, prompts.prompt, tasks.agent, agents.name AS agent_name,
                    projects.name AS project, tasks.latest_run, tasks.phase, tasks.priority, tasks.created_at
             FROM tasks
             JOIN prompts ON prompts.task = tasks.id
             JOIN agents ON agents.id = tasks.agent
             LEFT JOIN projects ON projects.id = tasks.project ",
            $condition
        )
    };
}

/// A run with its task's number. Ends before the condition.
macro_rules! select_run {
    ($condition:literal) => {
        concat!(
            "SELECT runs.id, runs.task, tasks.number, runs.ordinal, runs.phase, runs.current_step, runs.created_at,
                    runs.ended_at
             FROM runs JOIN tasks ON tasks.id = runs.task ",
            $condition
        )
    };
}

impl Store {
    /// Takes a task in with its first run, its steps and what happened. The agent and the project must exist.
    pub async fn create_task(&self, new: NewTask) -> Result<TaskAdded, StoreError> {
        let mut transaction = self.write().await?;
        let agent_name: Option<String> = sqlx::query_scalar("SELECT name FROM agents WHERE id = ?1")
            .bind(new.agent.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        let agent_name =
            agent_name.ok_or_else(|| StoreError::NotFound { what: "agent", key: new.agent.to_string() })?;
        if let Some(project) = new.project {
            projects::expect(&mut transaction, project).await?;
        }
        let phase = first_phase(&new.run);
        let number: i64 = sqlx::query_scalar(
            "INSERT INTO tasks (id, title, agent, created_at, latest_run, phase, priority, project)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING number",
        )
        .bind(new.task.to_string())
        .bind(&new.title)
        .bind(new.agent.to_string())
        .bind(column::from_time(new.at))
        .bind(new.run.run.to_string())
        .bind(phase.name())
        .bind(new.priority.name())
        .bind(new.project.map(|project| project.to_string()))
        .fetch_one(&mut *transaction)
        .await?;
        sqlx::query("INSERT INTO prompts (task, prompt) VALUES (?1, ?2)")
            .bind(new.task.to_string())
            .bind(&new.prompt)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO task_search (rowid, title, prompt, agent) VALUES (?1, ?2, ?3, ?4)")
            .bind(number)
            .bind(&new.title)
            .bind(&new.prompt)
            .bind(&agent_name)
            .execute(&mut *transaction)
            .await?;
        for attachment in &new.attachments {
            insert_attachment(&mut transaction, new.task, attachment).await?;
        }
        insert_run(&mut transaction, new.task, 1, &new.run, new.at).await?;
        let scope = EventScope { task: Some(new.task), run: Some(new.run.run), step: None };
        let events = events::insert(&mut transaction, scope, new.at, new.events).await?;
        transaction.commit().await?;
        Ok(TaskAdded { number, events })
    }

    /// Adds a run to a task, which shows it from now on.
    pub async fn add_run(
        &self,
        task: TaskId,
        run: &NewRun,
        events: Vec<EventKind>,
        at: Timestamp,
    ) -> Result<RunAdded, StoreError> {
        let mut transaction = self.write().await?;
        let last: Option<i64> = sqlx::query_scalar("SELECT max(ordinal) FROM runs WHERE task = ?1")
            .bind(task.to_string())
            .fetch_one(&mut *transaction)
            .await?;
        let last = last.ok_or_else(|| StoreError::NotFound { what: "task", key: task.to_string() })?;
        let ordinal = column::to_u32("runs", last + 1)?;
        insert_run(&mut transaction, task, ordinal, run, at).await?;
        sqlx::query("UPDATE tasks SET latest_run = ?2, phase = ?3 WHERE id = ?1")
            .bind(task.to_string())
            .bind(run.run.to_string())
            .bind(first_phase(run).name())
            .execute(&mut *transaction)
            .await?;
        let scope = EventScope { task: Some(task), run: Some(run.run), step: None };
        let events = events::insert(&mut transaction, scope, at, events).await?;
        transaction.commit().await?;
        Ok(RunAdded { ordinal, events })
    }

    /// Changes a task's turn in the queue; `false`, and nothing written, where it is that already.
    pub async fn set_priority(&self, task: TaskId, priority: Priority, at: Timestamp) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let before: Option<String> = sqlx::query_scalar("SELECT priority FROM tasks WHERE id = ?1")
            .bind(task.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        let before = before.ok_or_else(|| StoreError::NotFound { what: "task", key: task.to_string() })?;
        let from = column::priority("tasks", &before)?;
        if from == priority {
            return Ok(false);
        }
        sqlx::query("UPDATE tasks SET priority = ?2 WHERE id = ?1")
            .bind(task.to_string())
            .bind(priority.name())
            .execute(&mut *transaction)
            .await?;
        let scope = EventScope { task: Some(task), run: None, step: None };
        let changed = EventKind::PriorityChanged { from, to: priority };
        events::insert(&mut transaction, scope, at, vec![changed]).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// A task by its id.
    pub async fn task(&self, task: TaskId) -> Result<TaskRecord, StoreError> {
        let row: Option<TaskRow> = sqlx::query_as(select_task!("WHERE tasks.id = ?1"))
            .bind(task.to_string())
            .fetch_optional(self.read())
            .await?;
        row.ok_or_else(|| StoreError::NotFound { what: "task", key: task.to_string() })?.into_record()
    }

    /// A task by its number.
    pub async fn task_by_number(&self, number: i64) -> Result<TaskRecord, StoreError> {
        let row: Option<TaskRow> =
            sqlx::query_as(select_task!("WHERE tasks.number = ?1")).bind(number).fetch_optional(self.read()).await?;
        row.ok_or_else(|| StoreError::NotFound { what: "task", key: format!("#{number}") })?.into_record()
    }

    /// The one task whose id begins so.
    pub async fn task_by_prefix(&self, prefix: &IdPrefix) -> Result<TaskRecord, StoreError> {
        let rows: Vec<TaskRow> = sqlx::query_as(select_task!("WHERE tasks.id >= ?1 AND tasks.id < ?2 LIMIT 2"))
            .bind(&prefix.0)
            .bind(prefix.end())
            .fetch_all(self.read())
            .await?;
        the_one("task", prefix, rows)?.into_record()
    }

    /// A run by its id.
    pub async fn run(&self, run: RunId) -> Result<RunRecord, StoreError> {
        let row: Option<RunRow> =
            sqlx::query_as(select_run!("WHERE runs.id = ?1")).bind(run.to_string()).fetch_optional(self.read()).await?;
        row.ok_or_else(|| StoreError::NotFound { what: "run", key: run.to_string() })?.into_record()
    }

    /// The one run whose id begins so.
    pub async fn run_by_prefix(&self, prefix: &IdPrefix) -> Result<RunRecord, StoreError> {
        let rows: Vec<RunRow> = sqlx::query_as(select_run!("WHERE runs.id >= ?1 AND runs.id < ?2 LIMIT 2"))
            .bind(&prefix.0)
            .bind(prefix.end())
            .fetch_all(self.read())
            .await?;
        the_one("run", prefix, rows)?.into_record()
    }

    /// The runs of a task, oldest first.
    pub async fn runs_of(&self, task: TaskId) -> Result<Vec<RunRecord>, StoreError> {
        let rows: Vec<RunRow> = sqlx::query_as(select_run!("WHERE runs.task = ?1 ORDER BY runs.ordinal"))
            .bind(task.to_string())
            .fetch_all(self.read())
            .await?;
        rows.into_iter().map(RunRow::into_record).collect()
    }

    /// The files that came with a task, by name.
    pub async fn attachments_of(&self, task: TaskId) -> Result<Vec<AttachmentRecord>, StoreError> {
        let rows: Vec<AttachmentRow> = sqlx::query_as(
            "SELECT name, size_bytes, sha256, stored_path FROM attachments WHERE task = ?1 ORDER BY name",
        )
        .bind(task.to_string())
        .fetch_all(self.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(AttachmentRecord {
                    name: row.name,
                    size_bytes: column::to_u64("attachments", row.size_bytes)?,
                    sha256: row.sha256,
                    stored_path: row.stored_path.into(),
                })
            })
            .collect()
    }
}

fn the_one<T>(what: &'static str, prefix: &IdPrefix, mut rows: Vec<T>) -> Result<T, StoreError> {
    match (rows.pop(), rows.pop()) {
        (Some(row), None) => Ok(row),
        (Some(_), Some(_)) => Err(StoreError::Ambiguous { prefix: prefix.0.clone() }),
        (None, _) => Err(StoreError::NotFound { what, key: prefix.0.clone() }),
    }
}

fn first_phases(run: &NewRun) -> Vec<Phase> {
    run.steps.iter().map(|step| StepState::new(step.review).phase()).collect()
}

fn first_phase(run: &NewRun) -> Phase {
    run_phase(&first_phases(run))
}

async fn insert_attachment(
    transaction: &mut Transaction<'_, Sqlite>,
    task: TaskId,
    attachment: &AttachmentRecord,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO attachments (task, name, size_bytes, sha256, stored_path) VALUES (?1, ?2, ?3, ?4, ?5)")
        .bind(task.to_string())
        .bind(&attachment.name)
        .bind(column::from_u64(attachment.size_bytes))
        .bind(&attachment.sha256)
        .bind(attachment.stored_path.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn insert_run(
    transaction: &mut Transaction<'_, Sqlite>,
    task: TaskId,
    ordinal: u32,
    run: &NewRun,
    at: Timestamp,
) -> Result<(), StoreError> {
    let phases = first_phases(run);
    let current = current_step(&phases).and_then(|index| run.steps.get(index)).ok_or(StoreError::NoSteps)?;
    sqlx::query(
        "INSERT INTO runs (id, task, ordinal, phase, current_step, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(run.run.to_string())
    .bind(task.to_string())
    .bind(ordinal)
    .bind(run_phase(&phases).name())
    .bind(current.step.to_string())
    .bind(column::from_time(at))
    .execute(&mut **transaction)
    .await?;
    for (step, ordinal) in run.steps.iter().zip(1_u32..) {
        insert_step(transaction, run.run, ordinal, step, at).await?;
    }
    Ok(())
}

async fn insert_step(
    transaction: &mut Transaction<'_, Sqlite>,
    run: RunId,
    ordinal: u32,
    step: &NewStep,
    at: Timestamp,
) -> Result<(), StoreError> {
    let columns = StepState::new(step.review).columns();
    sqlx::query(
        "INSERT INTO steps (id, run, ordinal, name, agent, image, limits, phase, attempt, review, holds, revision,
                            entered_at, output_bytes, last_line, result_count, created_at, launch, place)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12, 0, '', 0, ?12, ?13,
                 (SELECT coalesce(max(place), 0) + 1 FROM steps))",
    )
    .bind(step.step.to_string())
    .bind(run.to_string())
    .bind(ordinal)
    .bind(&step.name)
    .bind(step.agent.to_string())
    .bind(&step.image)
    .bind(column::to_json("steps", &step.limits)?)
    .bind(columns.phase.name())
    .bind(columns.attempt)
    .bind(column::from_review(columns.review))
    .bind(column::from_holds(columns.holds))
    .bind(column::from_time(at))
    .bind(column::to_json("steps", &step.launch)?)
    .execute(&mut **transaction)
    .await?;
    sqlx::query("INSERT INTO phase_spans (step, ordinal, phase, attempt, entered_at) VALUES (?1, 1, ?2, ?3, ?4)")
        .bind(step.step.to_string())
        .bind(columns.phase.name())
        .bind(columns.attempt)
        .bind(column::from_time(at))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
