//! The files that a step left.

use jiff::Timestamp;
use sqlx::{FromRow, Sqlite, Transaction};
use wire::{ids::StepId, view::ResultChange};

use crate::{column, database::Store, error::StoreError, steps::not_found};

const TABLE: &str = "results";

/// A file that a step left, changed or took away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultRecord {
    /// The path below the workspace, as the file system has it. Hostile: not even text.
    pub path: Vec<u8>,
    /// New, changed or deleted.
    pub change: ResultChange,
    /// Size in bytes.
    pub size_bytes: u64,
    /// SHA-256 in hex; `None` where there is no content.
    pub sha256: Option<String>,
    /// The media type.
    pub media_type: String,
    /// When the file was changed, by its own word.
    pub modified_at: Option<Timestamp>,
    /// Whether the step has ended, so that this stays as it is.
    pub is_final: bool,
    /// Why there is no content to read.
    pub unreadable: Option<String>,
}

/// Some results of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultsPage {
    /// The files, by path.
    pub results: Vec<ResultRecord>,
    /// How many there are beyond these.
    pub left_out: u64,
}

#[derive(FromRow)]
struct ResultRow {
    path: Vec<u8>,
    change: String,
    size_bytes: i64,
    sha256: Option<String>,
    media_type: String,
    modified_at: Option<i64>,
    is_final: bool,
    unreadable: Option<String>,
}

impl ResultRow {
    fn into_record(self) -> Result<ResultRecord, StoreError> {
        Ok(ResultRecord {
            path: self.path,
            change: change(&self.change)?,
            size_bytes: column::to_u64(TABLE, self.size_bytes)?,
            sha256: self.sha256,
            media_type: self.media_type,
            modified_at: column::time_or_none(TABLE, self.modified_at)?,
            is_final: self.is_final,
            unreadable: self.unreadable,
        })
    }
}

impl Store {
    /// Makes these the results of the step, all of them but `left_out`, which are too many to list.
    pub async fn replace_results(
        &self,
        step: StepId,
        results: &[ResultRecord],
        left_out: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM results WHERE step = ?1").bind(step.to_string()).execute(&mut *transaction).await?;
        insert(&mut transaction, step, results).await?;
        count(&mut transaction, step, left_out).await?;
        Ok(transaction.commit().await?)
    }

    /// Puts these in the place of what is known of the same paths, and forgets the paths that are as they were before
    /// the step again. `left_out` as in [`Store::replace_results`].
    pub async fn update_results(
        &self,
        step: StepId,
        results: &[ResultRecord],
        forgotten: &[Vec<u8>],
        left_out: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for path in forgotten {
            sqlx::query("DELETE FROM results WHERE step = ?1 AND path = ?2")
                .bind(step.to_string())
                .bind(path)
                .execute(&mut *transaction)
                .await?;
        }
        insert(&mut transaction, step, results).await?;
        count(&mut transaction, step, left_out).await?;
        Ok(transaction.commit().await?)
    }

    /// The results of a step by path: at most so many, and how many there are beyond.
    pub async fn results_of(&self, step: StepId, limit: u32) -> Result<ResultsPage, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let rows: Vec<ResultRow> = sqlx::query_as("SELECT * FROM results WHERE step = ?1 ORDER BY path LIMIT ?2")
            .bind(step.to_string())
            .bind(limit)
            .fetch_all(&mut *snapshot)
            .await?;
        let total: i64 = sqlx::query_scalar("SELECT count(*) FROM results WHERE step = ?1")
            .bind(step.to_string())
            .fetch_one(&mut *snapshot)
            .await?;
        let results = rows.into_iter().map(ResultRow::into_record).collect::<Result<Vec<_>, _>>()?;
        let unlisted: Option<i64> = sqlx::query_scalar("SELECT results_left_out FROM steps WHERE id = ?1")
            .bind(step.to_string())
            .fetch_optional(&mut *snapshot)
            .await?;
        let beyond = column::to_u64(TABLE, total)?.saturating_sub(results.len() as u64);
        let left_out = beyond + column::to_u64("steps", unlisted.unwrap_or(0))?;
        Ok(ResultsPage { results, left_out })
    }

    /// One result of a step by its path.
    pub async fn result(&self, step: StepId, path: &[u8]) -> Result<ResultRecord, StoreError> {
        let row: Option<ResultRow> = sqlx::query_as("SELECT * FROM results WHERE step = ?1 AND path = ?2")
            .bind(step.to_string())
            .bind(path)
            .fetch_optional(self.read())
            .await?;
        row.ok_or_else(|| StoreError::NotFound { what: "result", key: path.escape_ascii().to_string() })?.into_record()
    }
}

async fn insert(
    transaction: &mut Transaction<'_, Sqlite>,
    step: StepId,
    results: &[ResultRecord],
) -> Result<(), StoreError> {
    for result in results {
        sqlx::query(
            "INSERT OR REPLACE INTO results
                 (step, path, change, size_bytes, sha256, media_type, modified_at, is_final, unreadable)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .bind(step.to_string())
        .bind(&result.path)
        .bind(from_change(result.change))
        .bind(column::from_u64(result.size_bytes))
        .bind(&result.sha256)
        .bind(&result.media_type)
        .bind(result.modified_at.map(column::from_time))
        .bind(result.is_final)
        .bind(&result.unreadable)
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// Keeps the number that lists show: what is there, listed or left out.
async fn count(transaction: &mut Transaction<'_, Sqlite>, step: StepId, left_out: u64) -> Result<(), StoreError> {
    let updated = sqlx::query(
        "UPDATE steps
         SET result_count = ?3 + (SELECT count(*) FROM results WHERE step = ?1 AND change <> ?2), results_left_out = ?3
         WHERE id = ?1",
    )
    .bind(step.to_string())
    .bind(from_change(ResultChange::Deleted))
    .bind(column::from_u64(left_out))
    .execute(&mut **transaction)
    .await?;
    if updated.rows_affected() == 0 { Err(not_found(step)) } else { Ok(()) }
}

const fn from_change(change: ResultChange) -> &'static str {
    match change {
        ResultChange::New => "new",
        ResultChange::Changed => "changed",
        ResultChange::Deleted => "deleted",
    }
}

fn change(name: &str) -> Result<ResultChange, StoreError> {
    [ResultChange::New, ResultChange::Changed, ResultChange::Deleted]
        .into_iter()
        .find(|change| from_change(*change) == name)
        .ok_or_else(|| StoreError::Row { table: TABLE, what: format!("change {name:?}") })
}
