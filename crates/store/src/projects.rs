//! Projects. A task is in one or in none, and what it costs counts towards it.

use jiff::Timestamp;
use sqlx::{FromRow, Sqlite, Transaction};
use wire::{
    EventKind,
    ids::{ProjectId, RunId},
    network::HostGrant,
};

use crate::{
    column,
    database::Store,
    error::{StoreError, is_unique_violation},
    events::{self, EventScope},
};

const TABLE: &str = "projects";

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRecord {
    /// Which.
    pub project: ProjectId,
    /// Its name; no two have the same.
    pub name: String,
    /// What its runs may reach beside what their agents may.
    pub hosts: Vec<HostGrant>,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many tasks are in it.
    pub tasks: u64,
    /// How many of them have not ended.
    pub tasks_open: u64,
}

/// What a run may reach beside what its agent may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunHosts {
    /// What is allowed to it alone.
    pub own: Vec<HostGrant>,
    /// The project of its task, by name.
    pub project: Option<String>,
    /// What is allowed to every run of that project.
    pub of_project: Vec<HostGrant>,
}

#[derive(FromRow)]
struct ProjectRow {
    id: String,
    name: String,
    hosts: String,
    created_at: i64,
    tasks: i64,
    tasks_open: i64,
}

impl ProjectRow {
    fn into_record(self) -> Result<ProjectRecord, StoreError> {
        Ok(ProjectRecord {
            project: column::id(TABLE, &self.id)?,
            name: self.name,
            hosts: column::json(TABLE, &self.hosts)?,
            created_at: column::time(TABLE, self.created_at)?,
            tasks: column::to_u64(TABLE, self.tasks)?,
            tasks_open: column::to_u64(TABLE, self.tasks_open)?,
        })
    }
}

/// The projects that are not removed, with how many tasks are in them. Ends before a further condition.
macro_rules! select_project {
    ($condition:literal) => {
        concat!(
            "SELECT id, name, hosts, created_at,
                    (SELECT count(*) FROM tasks WHERE tasks.project = projects.id) AS tasks,
                    (SELECT count(*) FROM tasks WHERE tasks.project = projects.id
                     AND tasks.phase NOT IN ('completed', 'failed', 'cancelled')) AS tasks_open
             FROM projects WHERE removed_at IS NULL ",
            $condition
        )
    };
}

impl Store {
    /// Adds a project. [`StoreError::ProjectNameTaken`] where there is one of that name.
    pub async fn create_project(
        &self,
        project: ProjectId,
        name: &str,
        at: Timestamp,
        kinds: Vec<EventKind>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO projects (id, name, created_at) VALUES (?1, ?2, ?3)")
            .bind(project.to_string())
            .bind(name)
            .bind(column::from_time(at))
            .execute(&mut *transaction)
            .await
            .map_err(|error| name_taken(error, name))?;
        events::insert(&mut transaction, EventScope::default(), at, kinds).await?;
        Ok(transaction.commit().await?)
    }

    /// The projects that are not removed, by name.
    pub async fn projects(&self) -> Result<Vec<ProjectRecord>, StoreError> {
        let rows: Vec<ProjectRow> = sqlx::query_as(select_project!("ORDER BY name")).fetch_all(self.read()).await?;
        rows.into_iter().map(ProjectRow::into_record).collect()
    }

    /// A project by its name, unless it is removed.
    pub async fn project_by_name(&self, name: &str) -> Result<ProjectRecord, StoreError> {
        let row: Option<ProjectRow> =
            sqlx::query_as(select_project!("AND name = ?1")).bind(name).fetch_optional(self.read()).await?;
        row.ok_or_else(|| StoreError::NotFound { what: "project", key: name.to_owned() })?.into_record()
    }

    /// Changes a project: its name, and what its runs may reach. [`StoreError::ProjectNameTaken`] where another has the name.
    pub async fn update_project(
        &self,
        project: ProjectId,
        name: &str,
        hosts: &[HostGrant],
        at: Timestamp,
        kinds: Vec<EventKind>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let updated = sqlx::query("UPDATE projects SET name = ?2, hosts = ?3 WHERE id = ?1 AND removed_at IS NULL")
            .bind(project.to_string())
            .bind(name)
            .bind(column::to_json(TABLE, &hosts)?)
            .execute(&mut *transaction)
            .await
            .map_err(|error| name_taken(error, name))?;
        if updated.rows_affected() == 0 {
            return Err(not_found(project));
        }
        events::insert(&mut transaction, EventScope::default(), at, kinds).await?;
        Ok(transaction.commit().await?)
    }

    /// What a run may reach beside what its agent may. A project that is removed gives nothing.
    pub async fn hosts_of_run(&self, run: RunId) -> Result<RunHosts, StoreError> {
        let row: Option<(String, Option<String>, Option<String>)> = sqlx::query_as(
            "SELECT runs.hosts, projects.name, projects.hosts FROM runs JOIN tasks ON tasks.id = runs.task
             LEFT JOIN projects ON projects.id = tasks.project AND projects.removed_at IS NULL
             WHERE runs.id = ?1",
        )
        .bind(run.to_string())
        .fetch_optional(self.read())
        .await?;
        let (own, project, of_project) =
            row.ok_or_else(|| StoreError::NotFound { what: "run", key: run.to_string() })?;
        Ok(RunHosts {
            own: column::json("runs", &own)?,
            project,
            of_project: of_project.map(|hosts| column::json(TABLE, &hosts)).transpose()?.unwrap_or_default(),
        })
    }

    /// Sets what a run alone may reach.
    pub async fn set_run_hosts(
        &self,
        run: RunId,
        hosts: &[HostGrant],
        scope: EventScope,
        at: Timestamp,
        kinds: Vec<EventKind>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let updated = sqlx::query("UPDATE runs SET hosts = ?2 WHERE id = ?1")
            .bind(run.to_string())
            .bind(column::to_json("runs", &hosts)?)
            .execute(&mut *transaction)
            .await?;
        if updated.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "run", key: run.to_string() });
        }
        events::insert(&mut transaction, scope, at, kinds).await?;
        Ok(transaction.commit().await?)
    }

    /// Removes a project. Its tasks go on naming it, and its name is free again. It has no budget any more.
    pub async fn remove_project(
        &self,
        project: ProjectId,
        at: Timestamp,
        kinds: Vec<EventKind>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let removed = sqlx::query("UPDATE projects SET removed_at = ?2 WHERE id = ?1 AND removed_at IS NULL")
            .bind(project.to_string())
            .bind(column::from_time(at))
            .execute(&mut *transaction)
            .await?;
        if removed.rows_affected() == 0 {
            return Err(not_found(project));
        }
        sqlx::query("DELETE FROM budgets WHERE kind = 'project' AND key = ?1")
            .bind(project.to_string())
            .execute(&mut *transaction)
            .await?;
        events::insert(&mut transaction, EventScope::default(), at, kinds).await?;
        Ok(transaction.commit().await?)
    }
}

/// Whether a task can be put into a project. [`StoreError::NotFound`] where it cannot.
pub(crate) async fn expect(transaction: &mut Transaction<'_, Sqlite>, project: ProjectId) -> Result<(), StoreError> {
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM projects WHERE id = ?1 AND removed_at IS NULL")
        .bind(project.to_string())
        .fetch_optional(&mut **transaction)
        .await?;
    found.map(drop).ok_or_else(|| not_found(project))
}

fn name_taken(error: sqlx::Error, name: &str) -> StoreError {
    if is_unique_violation(&error) { StoreError::ProjectNameTaken { name: name.to_owned() } } else { error.into() }
}

fn not_found(project: ProjectId) -> StoreError {
    StoreError::NotFound { what: "project", key: project.to_string() }
}
