//! Sandboxes, and which attempt of which step works in which.

use jiff::Timestamp;
use sqlx::{FromRow, Sqlite, Transaction};
use wire::{
    EventKind, EventView,
    ids::{ProcessId, SandboxId, StepId},
};

use crate::{
    column,
    database::Store,
    error::StoreError,
    events::{self, EventScope},
    steps::not_found,
};

const TABLE: &str = "sandboxes";

/// A sandbox. Written down before its container is made, so that there never is a container without an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxRecord {
    /// Which.
    pub sandbox: SandboxId,
    /// The container's name in the engine.
    pub container: String,
    /// The image that it is made of, by the engine's id.
    pub image_id: String,
    /// The folder that it has as workspace, below the data folder.
    pub folder: String,
    /// The network policy in a word.
    pub network: String,
    /// The user and group inside: `1000:1000`.
    pub user: String,
    /// How far it is.
    pub stage: SandboxStage,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When all of it was gone.
    pub removed_at: Option<Timestamp>,
}

/// How far a sandbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SandboxStage {
    /// Its container may exist or not.
    Making,
    /// Its container runs and its guest has answered.
    Ready,
    /// It is needed no longer; parts of it may still exist.
    Removing,
    /// Nothing of it exists.
    Removed,
}

/// Which attempt of which step works in which sandbox, and as which process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The step.
    pub step: StepId,
    /// Its attempt, from 1.
    pub attempt: u32,
    /// The sandbox.
    pub sandbox: SandboxId,
    /// The step's part of the sandbox's folder; empty for all of it.
    pub subpath: String,
    /// The agent's process, as the guest knows it. Given before it is started, so that it is started once.
    pub process: ProcessId,
    /// When.
    pub placed_at: Timestamp,
}

/// A sandbox that is not removed, with who was placed in it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSandbox {
    /// The sandbox.
    pub sandbox: SandboxRecord,
    /// The last placement; `None` for one that was made in advance.
    pub placement: Option<Placement>,
}

impl SandboxStage {
    /// Every stage.
    pub const ALL: [Self; 4] = [Self::Making, Self::Ready, Self::Removing, Self::Removed];

    /// The name in data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Making => "making",
            Self::Ready => "ready",
            Self::Removing => "removing",
            Self::Removed => "removed",
        }
    }

    /// The stage of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

#[derive(FromRow)]
struct SandboxRow {
    id: String,
    container: String,
    image_id: String,
    folder: String,
    network: String,
    user: String,
    stage: String,
    created_at: i64,
    removed_at: Option<i64>,
}

impl SandboxRow {
    fn into_record(self) -> Result<SandboxRecord, StoreError> {
        let stage = SandboxStage::from_name(&self.stage)
            .ok_or_else(|| StoreError::Row { table: TABLE, what: format!("stage {:?}", self.stage) })?;
        Ok(SandboxRecord {
            sandbox: column::id(TABLE, &self.id)?,
            container: self.container,
            image_id: self.image_id,
            folder: self.folder,
            network: self.network,
            user: self.user,
            stage,
            created_at: column::time(TABLE, self.created_at)?,
            removed_at: column::time_or_none(TABLE, self.removed_at)?,
        })
    }
}

#[derive(FromRow)]
struct PlacementRow {
    step: String,
    attempt: i64,
    sandbox: String,
    subpath: String,
    process: String,
    placed_at: i64,
}

impl PlacementRow {
    fn into_record(self) -> Result<Placement, StoreError> {
        const TABLE: &str = "placements";
        Ok(Placement {
            step: column::id(TABLE, &self.step)?,
            attempt: column::to_u32(TABLE, self.attempt)?,
            sandbox: column::id(TABLE, &self.sandbox)?,
            subpath: self.subpath,
            process: column::id(TABLE, &self.process)?,
            placed_at: column::time(TABLE, self.placed_at)?,
        })
    }
}

impl Store {
    /// Writes a sandbox down that is about to be made for a step, with what happened.
    pub async fn create_sandbox(
        &self,
        sandbox: &SandboxRecord,
        placement: &Placement,
        events: Vec<EventKind>,
    ) -> Result<Vec<EventView>, StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO sandboxes (id, container, image_id, folder, network, user, stage, created_at, removed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .bind(sandbox.sandbox.to_string())
        .bind(&sandbox.container)
        .bind(&sandbox.image_id)
        .bind(&sandbox.folder)
        .bind(&sandbox.network)
        .bind(&sandbox.user)
        .bind(sandbox.stage.name())
        .bind(column::from_time(sandbox.created_at))
        .bind(sandbox.removed_at.map(column::from_time))
        .execute(&mut *transaction)
        .await?;
        insert_placement(&mut transaction, placement).await?;
        let scope = scope_of(&mut transaction, placement.step).await?;
        let events = events::insert(&mut transaction, scope, sandbox.created_at, events).await?;
        transaction.commit().await?;
        Ok(events)
    }

    /// Places another attempt, or another step, in a sandbox that is there.
    pub async fn place(&self, placement: &Placement, events: Vec<EventKind>) -> Result<Vec<EventView>, StoreError> {
        let mut transaction = self.write().await?;
        insert_placement(&mut transaction, placement).await?;
        let scope = scope_of(&mut transaction, placement.step).await?;
        let events = events::insert(&mut transaction, scope, placement.placed_at, events).await?;
        transaction.commit().await?;
        Ok(events)
    }

    /// Writes down how far a sandbox is, with what happened, as events of the step that was placed in it last.
    ///
    /// [`StoreError::Removed`] where it is removed already, so that this cannot bring it back.
    pub async fn set_sandbox_stage(
        &self,
        sandbox: SandboxId,
        stage: SandboxStage,
        events: Vec<EventKind>,
        at: Timestamp,
    ) -> Result<Vec<EventView>, StoreError> {
        let mut transaction = self.write().await?;
        let before: Option<String> = sqlx::query_scalar("SELECT stage FROM sandboxes WHERE id = ?1")
            .bind(sandbox.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        let before = before.ok_or_else(|| StoreError::NotFound { what: "sandbox", key: sandbox.to_string() })?;
        if before == SandboxStage::Removed.name() {
            return Err(StoreError::Removed { sandbox });
        }
        sqlx::query("UPDATE sandboxes SET stage = ?2, removed_at = CASE WHEN ?3 THEN ?4 END WHERE id = ?1")
            .bind(sandbox.to_string())
            .bind(stage.name())
            .bind(stage == SandboxStage::Removed)
            .bind(column::from_time(at))
            .execute(&mut *transaction)
            .await?;
        let scope = scope_of_sandbox(&mut transaction, sandbox).await?;
        let events = events::insert(&mut transaction, scope, at, events).await?;
        transaction.commit().await?;
        Ok(events)
    }

    /// Writes down under which network policy a sandbox will be made whose container is not there yet, with what happened, as events of
    /// the step that was placed in it last.
    ///
    /// [`StoreError::NotFound`] where none is being made: one that is there stays what it was made as.
    pub async fn set_sandbox_network(
        &self,
        sandbox: SandboxId,
        network: &str,
        events: Vec<EventKind>,
        at: Timestamp,
    ) -> Result<Vec<EventView>, StoreError> {
        let mut transaction = self.write().await?;
        let updated = sqlx::query("UPDATE sandboxes SET network = ?2 WHERE id = ?1 AND stage = ?3")
            .bind(sandbox.to_string())
            .bind(network)
            .bind(SandboxStage::Making.name())
            .execute(&mut *transaction)
            .await?;
        if updated.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "sandbox in the making", key: sandbox.to_string() });
        }
        let scope = scope_of_sandbox(&mut transaction, sandbox).await?;
        let events = events::insert(&mut transaction, scope, at, events).await?;
        transaction.commit().await?;
        Ok(events)
    }

    /// The sandboxes of which something may exist, the oldest first.
    pub async fn live_sandboxes(&self) -> Result<Vec<LiveSandbox>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let rows: Vec<SandboxRow> =
            sqlx::query_as("SELECT * FROM sandboxes WHERE removed_at IS NULL ORDER BY created_at, id")
                .fetch_all(&mut *snapshot)
                .await?;
        let mut live = Vec::with_capacity(rows.len());
        for row in rows {
            let placement: Option<PlacementRow> =
                sqlx::query_as("SELECT * FROM placements WHERE sandbox = ?1 ORDER BY placed_at DESC LIMIT 1")
                    .bind(&row.id)
                    .fetch_optional(&mut *snapshot)
                    .await?;
            live.push(LiveSandbox {
                sandbox: row.into_record()?,
                placement: placement.map(PlacementRow::into_record).transpose()?,
            });
        }
        Ok(live)
    }

    /// A sandbox by its id, a removed one too.
    pub async fn sandbox(&self, sandbox: SandboxId) -> Result<SandboxRecord, StoreError> {
        let row: Option<SandboxRow> = sqlx::query_as("SELECT * FROM sandboxes WHERE id = ?1")
            .bind(sandbox.to_string())
            .fetch_optional(self.read())
            .await?;
        row.ok_or_else(|| StoreError::NotFound { what: "sandbox", key: sandbox.to_string() })?.into_record()
    }

    /// Where the last attempt of a step that got so far was placed.
    pub async fn placement_of(&self, step: StepId) -> Result<Option<Placement>, StoreError> {
        let row: Option<PlacementRow> =
            sqlx::query_as("SELECT * FROM placements WHERE step = ?1 ORDER BY attempt DESC LIMIT 1")
                .bind(step.to_string())
                .fetch_optional(self.read())
                .await?;
        row.map(PlacementRow::into_record).transpose()
    }
}

async fn insert_placement(transaction: &mut Transaction<'_, Sqlite>, placement: &Placement) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO placements (step, attempt, sandbox, subpath, process, placed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(placement.step.to_string())
    .bind(placement.attempt)
    .bind(placement.sandbox.to_string())
    .bind(&placement.subpath)
    .bind(placement.process.to_string())
    .bind(column::from_time(placement.placed_at))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// What belongs to a sandbox belongs to the step that was placed in it last.
async fn scope_of_sandbox(
    transaction: &mut Transaction<'_, Sqlite>,
    sandbox: SandboxId,
) -> Result<EventScope, StoreError> {
    let step: Option<String> =
        sqlx::query_scalar("SELECT step FROM placements WHERE sandbox = ?1 ORDER BY placed_at DESC LIMIT 1")
            .bind(sandbox.to_string())
            .fetch_optional(&mut **transaction)
            .await?;
    match step {
        Some(step) => scope_of(transaction, column::id("placements", &step)?).await,
        None => Ok(EventScope::default()),
    }
}

async fn scope_of(transaction: &mut Transaction<'_, Sqlite>, step: StepId) -> Result<EventScope, StoreError> {
    let row: Option<(String, String)> =
        sqlx::query_as("SELECT runs.task, runs.id FROM steps JOIN runs ON runs.id = steps.run WHERE steps.id = ?1")
            .bind(step.to_string())
            .fetch_optional(&mut **transaction)
            .await?;
    let (task, run) = row.ok_or_else(|| not_found(step))?;
    Ok(EventScope { task: Some(column::id("runs", &task)?), run: Some(column::id("runs", &run)?), step: Some(step) })
}
