//! Images of a person's own, and how images did in their smoke tests.

use jiff::Timestamp;
use sqlx::FromRow;
use wire::{call::ImageSource, image::SmokeView};

use crate::{
    column,
    database::Store,
    error::{StoreError, is_unique_violation},
};

const TABLE: &str = "own_images";
const SMOKE_TABLE: &str = "smoke_tests";

/// An image of a person's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnImageRecord {
    /// Its name; no two have the same.
    pub name: String,
    /// Where it comes from.
    pub source: ImageSource,
    /// When it was added.
    pub added_at: Timestamp,
}

/// How an image did in its smoke test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmokeRecord {
    /// The image by its short name.
    pub image: String,
    /// Which build of it, by the engine's id.
    pub image_id: String,
    /// How it did.
    pub view: SmokeView,
}

#[derive(FromRow)]
struct OwnImageRow {
    name: String,
    kind: String,
    source: String,
    added_at: i64,
}

impl OwnImageRow {
    fn into_record(self) -> Result<OwnImageRecord, StoreError> {
        let Self { name, kind, source, added_at } = self;
        let source = column::named(TABLE, &kind, |kind| match kind {
            "reference" => Some(ImageSource::Reference { reference: source }),
            "folder" => Some(ImageSource::Folder { path: source }),
            _other => None,
        })?;
        Ok(OwnImageRecord { name, source, added_at: column::time(TABLE, added_at)? })
    }
}

#[derive(FromRow)]
struct SmokeRow {
    image: String,
    image_id: String,
    passed: bool,
    tried: i64,
    failed: String,
    at: i64,
}

impl SmokeRow {
    fn into_record(self) -> Result<SmokeRecord, StoreError> {
        let view = SmokeView {
            passed: self.passed,
            tried: u32::try_from(self.tried).unwrap_or_default(),
            failed: column::json(SMOKE_TABLE, &self.failed)?,
            at: column::time(SMOKE_TABLE, self.at)?,
        };
        Ok(SmokeRecord { image: self.image, image_id: self.image_id, view })
    }
}

impl Store {
    /// Adds an image of a person's own. [`StoreError::ImageNameTaken`] where there is one of that name.
    pub async fn add_image(&self, record: &OwnImageRecord) -> Result<(), StoreError> {
        let (kind, source) = match &record.source {
            ImageSource::Reference { reference } => ("reference", reference),
            ImageSource::Folder { path } => ("folder", path),
        };
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO own_images (name, kind, source, added_at) VALUES (?1, ?2, ?3, ?4)")
            .bind(&record.name)
            .bind(kind)
            .bind(source)
            .bind(column::from_time(record.added_at))
            .execute(&mut *transaction)
            .await
            .map_err(|error| {
                if is_unique_violation(&error) {
                    StoreError::ImageNameTaken { name: record.name.clone() }
                } else {
                    error.into()
                }
            })?;
        Ok(transaction.commit().await?)
    }

    /// The images of a person's own, by name.
    pub async fn own_images(&self) -> Result<Vec<OwnImageRecord>, StoreError> {
        let rows: Vec<OwnImageRow> =
            sqlx::query_as("SELECT name, kind, source, added_at FROM own_images ORDER BY name")
                .fetch_all(self.read())
                .await?;
        rows.into_iter().map(OwnImageRow::into_record).collect()
    }

    /// An image of a person's own; `None` where there is none of that name.
    pub async fn own_image(&self, name: &str) -> Result<Option<OwnImageRecord>, StoreError> {
        let row: Option<OwnImageRow> =
            sqlx::query_as("SELECT name, kind, source, added_at FROM own_images WHERE name = ?1")
                .bind(name)
                .fetch_optional(self.read())
                .await?;
        row.map(OwnImageRow::into_record).transpose()
    }

    /// Takes an image of a person's own off the list. One that is not there is success.
    pub async fn remove_image(&self, name: &str) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for statement in ["DELETE FROM own_images WHERE name = ?1", "DELETE FROM smoke_tests WHERE image = ?1"] {
            sqlx::query(statement).bind(name).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Writes down how an image did, in the place of what was known of it.
    pub async fn set_smoke(&self, record: &SmokeRecord) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO smoke_tests (image, image_id, passed, tried, failed, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (image) DO UPDATE SET image_id = excluded.image_id, passed = excluded.passed,
                 tried = excluded.tried, failed = excluded.failed, at = excluded.at",
        )
        .bind(&record.image)
        .bind(&record.image_id)
        .bind(record.view.passed)
        .bind(i64::from(record.view.tried))
        .bind(column::to_json(SMOKE_TABLE, &record.view.failed)?)
        .bind(column::from_time(record.view.at))
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// How images did last, one each.
    pub async fn smokes(&self) -> Result<Vec<SmokeRecord>, StoreError> {
        let rows: Vec<SmokeRow> = sqlx::query_as("SELECT image, image_id, passed, tried, failed, at FROM smoke_tests")
            .fetch_all(self.read())
            .await?;
        rows.into_iter().map(SmokeRow::into_record).collect()
    }
}
