//! What happened, in one order.

use jiff::Timestamp;
use sqlx::{FromRow, Sqlite, Transaction};
use wire::{
    EventKind, EventView,
    ids::{RunId, StepId, TaskId},
};

use crate::{column, database::Store, error::StoreError};

/// How many events at most are looked through for news: what is older than them is none.
const NEWS_EVENTS_MAX: i64 = 10_000;

/// What an event belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventScope {
    /// The task.
    pub task: Option<TaskId>,
    /// The run.
    pub run: Option<RunId>,
    /// The step.
    pub step: Option<StepId>,
}

/// Which events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those of this task.
    pub task: Option<TaskId>,
    /// Only those after this one; 0 for all.
    pub after_seq: i64,
    /// How many at most.
    pub limit: u32,
}

#[derive(FromRow)]
struct EventRow {
    seq: i64,
    at: i64,
    task: Option<String>,
    run: Option<String>,
    step: Option<String>,
    kind: String,
}

impl EventRow {
    fn into_view(self) -> Result<EventView, StoreError> {
        const TABLE: &str = "events";
        let kind: EventKind = column::json(TABLE, &self.kind)?;
        Ok(EventView {
            seq: self.seq,
            at: column::time(TABLE, self.at)?,
            task: column::id_or_none(TABLE, self.task.as_deref())?,
            run: column::id_or_none(TABLE, self.run.as_deref())?,
            step: column::id_or_none(TABLE, self.step.as_deref())?,
            text: kind.sentence(),
            kind,
        })
    }
}

impl Store {
    /// Writes events down that tell of no change of state.
    pub async fn append_events(
        &self,
        scope: EventScope,
        at: Timestamp,
        kinds: Vec<EventKind>,
    ) -> Result<Vec<EventView>, StoreError> {
        let mut transaction = self.write().await?;
        let events = insert(&mut transaction, scope, at, kinds).await?;
        transaction.commit().await?;
        Ok(events)
    }

    /// The place of the last event, and, of those after another, the newest that tell of a budget: at most so many, oldest first.
    pub async fn news(&self, after_seq: Option<i64>, limit: u32) -> Result<(i64, Vec<EventView>), StoreError> {
        let mut snapshot = self.snapshot().await?;
        let last: i64 =
            sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM events").fetch_one(&mut *snapshot).await?;
        let Some(after_seq) = after_seq else { return Ok((last, Vec::new())) };
        let rows: Vec<EventRow> = sqlx::query_as(
            "SELECT * FROM events WHERE seq > ?1 AND (json_extract(kind, '$.type') = 'budget_used'
                 OR (json_extract(kind, '$.type') = 'held' AND json_extract(kind, '$.hold') = 'budget'))
             ORDER BY seq DESC LIMIT ?2",
        )
        .bind(after_seq.max(last.saturating_sub(NEWS_EVENTS_MAX)))
        .bind(limit)
        .fetch_all(&mut *snapshot)
        .await?;
        Ok((last, rows.into_iter().rev().map(EventRow::into_view).collect::<Result<_, _>>()?))
    }

    /// Events, oldest first.
    pub async fn events(&self, filter: EventFilter) -> Result<Vec<EventView>, StoreError> {
        let rows: Vec<EventRow> = match filter.task {
            Some(task) => {
                sqlx::query_as("SELECT * FROM events WHERE task = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2")
                    .bind(filter.after_seq)
                    .bind(filter.limit)
                    .bind(task.to_string())
                    .fetch_all(self.read())
                    .await?
            }
            None => {
                sqlx::query_as("SELECT * FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")
                    .bind(filter.after_seq)
                    .bind(filter.limit)
                    .fetch_all(self.read())
                    .await?
            }
        };
        rows.into_iter().map(EventRow::into_view).collect()
    }
}

/// Writes events as part of a larger transaction.
pub(crate) async fn insert(
    transaction: &mut Transaction<'_, Sqlite>,
    scope: EventScope,
    at: Timestamp,
    kinds: Vec<EventKind>,
) -> Result<Vec<EventView>, StoreError> {
    let mut events = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let seq: i64 = sqlx::query_scalar(
            "INSERT INTO events (at, task, run, step, kind) VALUES (?1, ?2, ?3, ?4, ?5) RETURNING seq",
        )
        .bind(column::from_time(at))
        .bind(scope.task.map(|task| task.to_string()))
        .bind(scope.run.map(|run| run.to_string()))
        .bind(scope.step.map(|step| step.to_string()))
        .bind(column::to_json("events", &kind)?)
        .fetch_one(&mut **transaction)
        .await?;
        let text = kind.sentence();
        let EventScope { task, run, step } = scope;
        events.push(EventView { seq, at: column::stored_time(at), task, run, step, kind, text });
    }
    Ok(events)
}
