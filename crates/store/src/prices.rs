//! Prices of a person's own, which go before those of the table that comes along.

use jiff::Timestamp;
use sqlx::FromRow;
use wire::{EventKind, cost::Rates};

use crate::{
    column,
    database::Store,
    error::StoreError,
    events::{self, EventScope},
};

const TABLE: &str = "prices";

/// What a model costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceRecord {
    /// The model by its name; every name that begins so where it ends in a star.
    pub model: String,
    /// What it costs.
    pub rates: Rates,
    /// When a person said so.
    pub set_at: Timestamp,
}

#[derive(FromRow)]
struct PriceRow {
    model: String,
    rates: String,
    set_at: i64,
}

impl Store {
    /// Sets the price of a model, or takes it away. What was spent before stays what it was.
    pub async fn set_price(
        &self,
        model: &str,
        rates: Option<Rates>,
        at: Timestamp,
        kinds: Vec<EventKind>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        match rates {
            Some(rates) => {
                sqlx::query(
                    "INSERT INTO prices (model, rates, set_at) VALUES (?1, ?2, ?3)
                     ON CONFLICT (model) DO UPDATE SET rates = excluded.rates, set_at = excluded.set_at",
                )
                .bind(model)
                .bind(column::to_json(TABLE, &rates)?)
                .bind(column::from_time(at))
                .execute(&mut *transaction)
                .await?;
            }
            None => {
                sqlx::query("DELETE FROM prices WHERE model = ?1").bind(model).execute(&mut *transaction).await?;
            }
        }
        events::insert(&mut transaction, EventScope::default(), at, kinds).await?;
        Ok(transaction.commit().await?)
    }

    /// The prices, by the models' names.
    pub async fn prices(&self) -> Result<Vec<PriceRecord>, StoreError> {
        let rows: Vec<PriceRow> = sqlx::query_as("SELECT * FROM prices ORDER BY model").fetch_all(self.read()).await?;
        let price = |row: PriceRow| {
            Ok(PriceRecord {
                model: row.model,
                rates: column::json(TABLE, &row.rates)?,
                set_at: column::time(TABLE, row.set_at)?,
            })
        };
        rows.into_iter().map(price).collect()
    }
}
