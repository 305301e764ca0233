//! Secrets by name, and which agents have them. Their values are in the vault and nowhere here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::FromRow;
use wire::{
    EventKind,
    ids::{AgentId, SecretId},
    secret::{GrantView, SecretBinding, SecretWay},
};

use crate::{
    column,
    database::Store,
    error::{StoreError, is_unique_violation},
    events::{self, EventScope},
};

const TABLE: &str = "secrets";
const GRANTS: &str = "grants";

/// A secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRecord {
    /// Which; the vault knows its value by this.
    pub secret: SecretId,
    /// Its name; no two have the same.
    pub name: String,
    /// What it opens.
    pub binding: SecretBinding,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its value was typed last.
    pub replaced_at: Timestamp,
    /// When it was last used.
    pub used_at: Option<Timestamp>,
}

/// A secret with who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSecret {
    /// The secret.
    pub secret: SecretRecord,
    /// Who has it, by the agents' names.
    pub grants: Vec<GrantView>,
}

/// That an agent has a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// The secret.
    pub secret: SecretId,
    /// The agent.
    pub agent: AgentId,
    /// How it gets it.
    pub way: SecretWay,
    /// The variable that has the placeholder, or the value.
    pub variable: String,
    /// What its sandboxes have in the value's place.
    pub placeholder: String,
    /// When.
    pub granted_at: Timestamp,
}

/// A secret that an agent has, with all that is needed when its process is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedSecret {
    /// The secret.
    pub secret: SecretId,
    /// Its name.
    pub name: String,
    /// What it opens.
    pub binding: SecretBinding,
    /// How the agent gets it.
    pub way: SecretWay,
    /// The variable that has the placeholder, or the value.
    pub variable: String,
    /// What its sandboxes have in the value's place.
    pub placeholder: String,
}

#[derive(FromRow)]
struct SecretRow {
    id: String,
    name: String,
    binding: String,
    created_at: i64,
    replaced_at: i64,
    used_at: Option<i64>,
}

impl SecretRow {
    fn into_record(self) -> Result<SecretRecord, StoreError> {
        Ok(SecretRecord {
            secret: column::id(TABLE, &self.id)?,
            name: self.name,
            binding: column::json(TABLE, &self.binding)?,
            created_at: column::time(TABLE, self.created_at)?,
            replaced_at: column::time(TABLE, self.replaced_at)?,
            used_at: column::time_or_none(TABLE, self.used_at)?,
        })
    }
}

#[derive(FromRow)]
struct GrantRow {
    secret: String,
    agent: String,
    agent_name: String,
    way: String,
    variable: String,
}

#[derive(FromRow)]
struct GrantedRow {
    id: String,
    name: String,
    binding: String,
    way: String,
    variable: String,
    placeholder: String,
}

impl Store {
    /// Adds a secret that nobody has yet. [`StoreError::SecretNameTaken`] where there is one of that name.
    pub async fn create_secret(&self, secret: &SecretRecord, kinds: Vec<EventKind>) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO secrets (id, name, binding, created_at, replaced_at) VALUES (?1, ?2, ?3, ?4, ?5)")
            .bind(secret.secret.to_string())
            .bind(&secret.name)
            .bind(column::to_json(TABLE, &secret.binding)?)
            .bind(column::from_time(secret.created_at))
            .bind(column::from_time(secret.replaced_at))
            .execute(&mut *transaction)
            .await
            .map_err(|error| name_taken(error, &secret.name))?;
        events::insert(&mut transaction, EventScope::default(), secret.created_at, kinds).await?;
        Ok(transaction.commit().await?)
    }

    /// Notes that the value of a secret was typed anew, and what it opens. Who has it keeps it.
    pub async fn replace_secret(
        &self,
        secret: SecretId,
        binding: &SecretBinding,
        at: Timestamp,
        kinds: Vec<EventKind>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let updated =
            sqlx::query("UPDATE secrets SET binding = ?2, replaced_at = ?3 WHERE id = ?1 AND removed_at IS NULL")
                .bind(secret.to_string())
                .bind(column::to_json(TABLE, binding)?)
                .bind(column::from_time(at))
                .execute(&mut *transaction)
                .await?;
        if updated.rows_affected() == 0 {
            return Err(not_found(secret));
        }
        events::insert(&mut transaction, EventScope::default(), at, kinds).await?;
        Ok(transaction.commit().await?)
    }

    /// Gives a secret another name. [`StoreError::SecretNameTaken`] where another has it.
    pub async fn rename_secret(
        &self,
        secret: SecretId,
        name: &str,
        at: Timestamp,
        kinds: Vec<EventKind>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let updated = sqlx::query("UPDATE secrets SET name = ?2 WHERE id = ?1 AND removed_at IS NULL")
            .bind(secret.to_string())
            .bind(name)
            .execute(&mut *transaction)
            .await
            .map_err(|error| name_taken(error, name))?;
        if updated.rows_affected() == 0 {
            return Err(not_found(secret));
        }
        events::insert(&mut transaction, EventScope::default(), at, kinds).await?;
        Ok(transaction.commit().await?)
    }

    /// Removes a secret and takes it from all who have it. Its name is free again. Its value is to be taken out of the vault, and
    /// then [`forget_secret`](Self::forget_secret) is to be called.
    pub async fn remove_secret(
        &self,
        secret: SecretId,
        at: Timestamp,
        kinds: Vec<EventKind>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let updated = sqlx::query("UPDATE secrets SET removed_at = ?2 WHERE id = ?1 AND removed_at IS NULL")
            .bind(secret.to_string())
            .bind(column::from_time(at))
            .execute(&mut *transaction)
            .await?;
        if updated.rows_affected() == 0 {
            return Err(not_found(secret));
        }
        sqlx::query("DELETE FROM grants WHERE secret = ?1").bind(secret.to_string()).execute(&mut *transaction).await?;
        events::insert(&mut transaction, EventScope::default(), at, kinds).await?;
        Ok(transaction.commit().await?)
    }

    /// Secrets that are removed and whose value may still be in the vault.
    pub async fn removed_secrets(&self) -> Result<Vec<SecretId>, StoreError> {
        let secrets: Vec<String> =
            sqlx::query_scalar("SELECT id FROM secrets WHERE removed_at IS NOT NULL ORDER BY removed_at, id")
                .fetch_all(self.read())
                .await?;
        secrets.iter().map(|secret| column::id(TABLE, secret)).collect()
    }

    /// Notes that the value of a removed secret is gone from the vault. One that is not removed stays.
    pub async fn forget_secret(&self, secret: SecretId) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM secrets WHERE id = ?1 AND removed_at IS NOT NULL")
            .bind(secret.to_string())
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// The secrets that are not removed, by name, with who has them.
    pub async fn secrets(&self) -> Result<Vec<ListedSecret>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let rows: Vec<SecretRow> = sqlx::query_as("SELECT * FROM secrets WHERE removed_at IS NULL ORDER BY name")
            .fetch_all(&mut *snapshot)
            .await?;
        let grants: Vec<GrantRow> = sqlx::query_as(
            "SELECT grants.secret, grants.agent, agents.name AS agent_name, grants.way, grants.variable
             FROM grants JOIN agents ON agents.id = grants.agent ORDER BY agents.name",
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let mut grants_of: BTreeMap<SecretId, Vec<GrantView>> = BTreeMap::new();
        for grant in grants {
            grants_of.entry(column::id(GRANTS, &grant.secret)?).or_default().push(GrantView {
                agent: column::id(GRANTS, &grant.agent)?,
                agent_name: grant.agent_name,
                way: column::named(GRANTS, &grant.way, SecretWay::from_name)?,
                variable: grant.variable,
            });
        }
        let listed = |row: SecretRow| {
            let secret = row.into_record()?;
            let grants = grants_of.remove(&secret.secret).unwrap_or_default();
            Ok(ListedSecret { secret, grants })
        };
        rows.into_iter().map(listed).collect()
    }

    /// A secret by its id, unless it is removed.
    pub async fn secret(&self, secret: SecretId) -> Result<SecretRecord, StoreError> {
        let row: Option<SecretRow> = sqlx::query_as("SELECT * FROM secrets WHERE id = ?1 AND removed_at IS NULL")
            .bind(secret.to_string())
            .fetch_optional(self.read())
            .await?;
        row.ok_or_else(|| not_found(secret))?.into_record()
    }

    /// A secret by its name, unless it is removed.
    pub async fn secret_by_name(&self, name: &str) -> Result<SecretRecord, StoreError> {
        let row: Option<SecretRow> = sqlx::query_as("SELECT * FROM secrets WHERE name = ?1 AND removed_at IS NULL")
            .bind(name)
            .fetch_optional(self.read())
            .await?;
        row.ok_or_else(|| StoreError::NotFound { what: "secret", key: name.to_owned() })?.into_record()
    }

    /// Gives an agent a secret, or gives it in another way. Says which placeholder holds: the one that it had, where it had the
    /// secret, else the one that is offered. [`StoreError::VariableTaken`] where it has another secret in that variable.
    pub async fn grant_secret(&self, grant: &GrantRecord, kinds: Vec<EventKind>) -> Result<String, StoreError> {
        let mut transaction = self.write().await?;
        let placeholder: Option<String> = sqlx::query_scalar(
            "INSERT INTO grants (secret, agent, way, variable, placeholder, granted_at)
             SELECT secrets.id, agents.id, ?3, ?4, ?5, ?6 FROM secrets JOIN agents ON agents.id = ?2
             WHERE secrets.id = ?1 AND secrets.removed_at IS NULL AND agents.removed_at IS NULL
             ON CONFLICT (secret, agent) DO UPDATE
             SET way = excluded.way, variable = excluded.variable, granted_at = excluded.granted_at
             RETURNING placeholder",
        )
        .bind(grant.secret.to_string())
        .bind(grant.agent.to_string())
        .bind(grant.way.name())
        .bind(&grant.variable)
        .bind(&grant.placeholder)
        .bind(column::from_time(grant.granted_at))
        .fetch_optional(&mut *transaction)
        .await
        .map_err(|error| variable_taken(error, &grant.variable))?;
        let placeholder = placeholder.ok_or_else(|| StoreError::NotFound {
            what: "secret or agent",
            key: format!("{} or {}", grant.secret, grant.agent),
        })?;
        events::insert(&mut transaction, EventScope::default(), grant.granted_at, kinds).await?;
        transaction.commit().await?;
        Ok(placeholder)
    }

    /// Takes a secret from an agent. Its placeholder is good for nothing from now on.
    pub async fn revoke_secret(
        &self,
        secret: SecretId,
        agent: AgentId,
        at: Timestamp,
        kinds: Vec<EventKind>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let deleted = sqlx::query("DELETE FROM grants WHERE secret = ?1 AND agent = ?2")
            .bind(secret.to_string())
            .bind(agent.to_string())
            .execute(&mut *transaction)
            .await?;
        if deleted.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "grant", key: format!("of {secret} to {agent}") });
        }
        events::insert(&mut transaction, EventScope::default(), at, kinds).await?;
        Ok(transaction.commit().await?)
    }

    /// The secrets that an agent has, by name.
    pub async fn secrets_of(&self, agent: AgentId) -> Result<Vec<GrantedSecret>, StoreError> {
        let rows: Vec<GrantedRow> = sqlx::query_as(
            "SELECT secrets.id, secrets.name, secrets.binding, grants.way, grants.variable, grants.placeholder
             FROM grants JOIN secrets ON secrets.id = grants.secret WHERE grants.agent = ?1 ORDER BY secrets.name",
        )
        .bind(agent.to_string())
        .fetch_all(self.read())
        .await?;
        let granted = |row: GrantedRow| {
            Ok(GrantedSecret {
                secret: column::id(TABLE, &row.id)?,
                name: row.name,
                binding: column::json(TABLE, &row.binding)?,
                way: column::named(GRANTS, &row.way, SecretWay::from_name)?,
                variable: row.variable,
                placeholder: row.placeholder,
            })
        };
        rows.into_iter().map(granted).collect()
    }

    /// Notes that secrets were used. A clock that was set back makes none seem unused for longer.
    pub async fn note_secrets_used(&self, secrets: &[SecretId], at: Timestamp) -> Result<(), StoreError> {
        if secrets.is_empty() {
            return Ok(());
        }
        let secrets: Vec<_> = secrets.iter().map(ToString::to_string).collect();
        let mut transaction = self.write().await?;
        sqlx::query(
            "UPDATE secrets SET used_at = max(coalesce(used_at, ?2), ?2) WHERE id IN (SELECT value FROM json_each(?1))",
        )
        .bind(column::to_json(TABLE, &secrets)?)
        .bind(column::from_time(at))
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }
}

fn name_taken(error: sqlx::Error, name: &str) -> StoreError {
    if is_unique_violation(&error) { StoreError::SecretNameTaken { name: name.to_owned() } } else { error.into() }
}

fn variable_taken(error: sqlx::Error, variable: &str) -> StoreError {
    if is_unique_violation(&error) { StoreError::VariableTaken { variable: variable.to_owned() } } else { error.into() }
}

fn not_found(secret: SecretId) -> StoreError {
    StoreError::NotFound { what: "secret", key: secret.to_string() }
}
