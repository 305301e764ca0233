//! The identity of the data folder, and the settings.

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use wire::{EventKind, EventView, ids::InstallId};

use crate::{
    column,
    database::Store,
    error::StoreError,
    events::{self, EventScope},
};

impl Store {
    /// This data folder's identity: the one that is there, else the one that is offered. It never changes.
    pub async fn install_id(&self, offered: InstallId, at: Timestamp) -> Result<InstallId, StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO install (only_row, id, created_at) VALUES (1, ?1, ?2) ON CONFLICT DO NOTHING")
            .bind(offered.to_string())
            .bind(column::from_time(at))
            .execute(&mut *transaction)
            .await?;
        let id: String = sqlx::query_scalar("SELECT id FROM install").fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        column::id("install", &id)
    }

    /// A setting; `None` where nobody set it.
    pub async fn setting<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let value: Option<String> = sqlx::query_scalar("SELECT value FROM settings WHERE key = ?1")
            .bind(key)
            .fetch_optional(self.read())
            .await?;
        value.map(|value| column::json("settings", &value)).transpose()
    }

    /// Sets a setting.
    pub async fn set_setting<T: Serialize + Sync>(&self, key: &str, value: &T) -> Result<(), StoreError> {
        self.change_setting(key, value, Vec::new(), Timestamp::UNIX_EPOCH).await.map(|_none| ())
    }

    /// Sets a setting, and writes down what happened with it.
    pub async fn change_setting<T: Serialize + Sync>(
        &self,
        key: &str,
        value: &T,
        events: Vec<EventKind>,
        at: Timestamp,
    ) -> Result<Vec<EventView>, StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .bind(key)
        .bind(column::to_json("settings", value)?)
        .execute(&mut *transaction)
        .await?;
        let events = events::insert(&mut transaction, EventScope::default(), at, events).await?;
        transaction.commit().await?;
        Ok(events)
    }
}
