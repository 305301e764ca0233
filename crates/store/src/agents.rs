//! Agents.

use jiff::Timestamp;
use sqlx::FromRow;
use wire::{
    EventKind, Limits,
    ids::AgentId,
    image::Tools,
    network::NetworkPolicy,
    task::{Launch, ReviewGate},
    view::{AgentColour, PersonaFile},
};

use crate::{
    column,
    database::Store,
    error::{StoreError, is_unique_violation},
    events::{self, EventScope},
    homes,
};

/// What an agent brings along. Each attempt goes by what it is when the attempt begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kit {
    /// The model that it uses; `None` for the image's own choice.
    pub model: Option<String>,
    /// Its standing instructions.
    pub persona: Vec<PersonaFile>,
    /// Whether it has a memory.
    pub has_memory: bool,
    /// Packages on top of its image.
    pub tools: Tools,
}

impl Default for Kit {
    /// Nothing but a memory.
    fn default() -> Self {
        Self { model: None, persona: Vec::new(), has_memory: true, tools: Tools::default() }
    }
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRecord {
    /// Which.
    pub agent: AgentId,
    /// Its name; no two have the same.
    pub name: String,
    /// Its image by short name or reference.
    pub image: String,
    /// What is started in it.
    pub launch: Launch,
    /// What its steps may use.
    pub limits: Limits,
    /// Whether a person is asked at the end of its steps.
    pub review: ReviewGate,
    /// The volume that is its home.
    pub home: String,
    /// The colour of its plate.
    pub colour: AgentColour,
    /// What it may reach.
    pub network: NetworkPolicy,
    /// What it brings along.
    pub kit: Kit,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was removed.
    pub removed_at: Option<Timestamp>,
}

/// What becomes of a home whose agent is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HomeFate {
    /// It stays, as the home of a deleted agent.
    Kept,
    /// It goes too.
    Gone,
}

/// What can be changed of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentChange {
    /// Its name; no two have the same.
    pub name: String,
    /// Its image by short name or reference.
    pub image: String,
    /// What is started in it.
    pub launch: Launch,
    /// What its steps may use.
    pub limits: Limits,
    /// Whether a person is asked at the end of its steps.
    pub review: ReviewGate,
    /// The colour of its plate.
    pub colour: AgentColour,
    /// What it may reach.
    pub network: NetworkPolicy,
    /// What it brings along.
    pub kit: Kit,
}

#[derive(FromRow)]
struct AgentRow {
    id: String,
    name: String,
    image: String,
    launch: String,
    limits: String,
    review: String,
    home: String,
    colour: String,
    network: String,
    model: Option<String>,
    persona: String,
    has_memory: bool,
    tools: String,
    created_at: i64,
    removed_at: Option<i64>,
}

impl AgentRow {
    fn into_record(self) -> Result<AgentRecord, StoreError> {
        const TABLE: &str = "agents";
        Ok(AgentRecord {
            agent: column::id(TABLE, &self.id)?,
            name: self.name,
            image: self.image,
            launch: column::json(TABLE, &self.launch)?,
            limits: column::json(TABLE, &self.limits)?,
            review: column::review(TABLE, &self.review)?,
            home: self.home,
            colour: AgentColour::from_name(&self.colour).unwrap_or_default(),
            network: column::json(TABLE, &self.network)?,
            kit: Kit {
                model: self.model,
                persona: column::json(TABLE, &self.persona)?,
                has_memory: self.has_memory,
                tools: column::json(TABLE, &self.tools)?,
            },
            created_at: column::time(TABLE, self.created_at)?,
            removed_at: column::time_or_none(TABLE, self.removed_at)?,
        })
    }
}

impl Store {
    /// Adds an agent with a home that is to be made. [`StoreError::NameTaken`] where there is one of that name.
    pub async fn create_agent(&self, agent: &AgentRecord) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO agents (id, name, image, launch, limits, review, home, created_at, colour, network, model, persona,
                has_memory, tools)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )
        .bind(agent.agent.to_string())
        .bind(&agent.name)
        .bind(&agent.image)
        .bind(column::to_json("agents", &agent.launch)?)
        .bind(column::to_json("agents", &agent.limits)?)
        .bind(column::from_review(agent.review))
        .bind(&agent.home)
        .bind(column::from_time(agent.created_at))
        .bind(agent.colour.name())
        .bind(column::to_json("agents", &agent.network)?)
        .bind(&agent.kit.model)
        .bind(column::to_json("agents", &agent.kit.persona)?)
        .bind(agent.kit.has_memory)
        .bind(column::to_json("agents", &agent.kit.tools)?)
        .execute(&mut *transaction)
        .await
        .map_err(|error| name_taken(error, &agent.name))?;
        homes::insert_first(&mut transaction, agent.agent).await?;
        Ok(transaction.commit().await?)
    }

    /// The agents that are not removed, by name.
    pub async fn agents(&self) -> Result<Vec<AgentRecord>, StoreError> {
        let rows: Vec<AgentRow> = sqlx::query_as("SELECT * FROM agents WHERE removed_at IS NULL ORDER BY name")
            .fetch_all(self.read())
            .await?;
        rows.into_iter().map(AgentRow::into_record).collect()
    }

    /// An agent by its id, a removed one too.
    pub async fn agent(&self, agent: AgentId) -> Result<AgentRecord, StoreError> {
        let row: Option<AgentRow> = sqlx::query_as("SELECT * FROM agents WHERE id = ?1")
            .bind(agent.to_string())
            .fetch_optional(self.read())
            .await?;
        row.ok_or_else(|| not_found(agent))?.into_record()
    }

    /// An agent by its name, unless it is removed.
    pub async fn agent_by_name(&self, name: &str) -> Result<AgentRecord, StoreError> {
        let row: Option<AgentRow> = sqlx::query_as("SELECT * FROM agents WHERE name = ?1 AND removed_at IS NULL")
            .bind(name)
            .fetch_optional(self.read())
            .await?;
        row.ok_or_else(|| StoreError::NotFound { what: "agent", key: name.to_owned() })?.into_record()
    }

    /// Changes an agent. Steps that were asked for before keep what they were given. [`StoreError::NameTaken`] where another
    /// has the name.
    pub async fn update_agent(
        &self,
        agent: AgentId,
        change: &AgentChange,
        at: Timestamp,
        kinds: Vec<EventKind>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let updated = sqlx::query(
            "UPDATE agents SET image = ?2, limits = ?3, review = ?4, launch = ?5, name = ?6, colour = ?7, network = ?8,
                model = ?9, persona = ?10, has_memory = ?11, tools = ?12
             WHERE id = ?1 AND removed_at IS NULL",
        )
        .bind(agent.to_string())
        .bind(&change.image)
        .bind(column::to_json("agents", &change.limits)?)
        .bind(column::from_review(change.review))
        .bind(column::to_json("agents", &change.launch)?)
        .bind(&change.name)
        .bind(change.colour.name())
        .bind(column::to_json("agents", &change.network)?)
        .bind(&change.kit.model)
        .bind(column::to_json("agents", &change.kit.persona)?)
        .bind(change.kit.has_memory)
        .bind(column::to_json("agents", &change.kit.tools)?)
        .execute(&mut *transaction)
        .await
        .map_err(|error| name_taken(error, &change.name))?;
        if updated.rows_affected() == 0 {
            return Err(not_found(agent));
        }
        events::insert(&mut transaction, EventScope::default(), at, kinds).await?;
        Ok(transaction.commit().await?)
    }

    /// Removes an agent. Its tasks go on naming it, and its name is free again. It has no secrets and no budget any more.
    pub async fn remove_agent(
        &self,
        agent: AgentId,
        fate: HomeFate,
        at: Timestamp,
        kinds: Vec<EventKind>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let updated = sqlx::query("UPDATE agents SET removed_at = ?2 WHERE id = ?1 AND removed_at IS NULL")
            .bind(agent.to_string())
            .bind(column::from_time(at))
            .execute(&mut *transaction)
            .await?;
        if updated.rows_affected() == 0 {
            return Err(not_found(agent));
        }
        // A home that nothing was ever put into is no loss, and nothing to keep.
        let going = match fate {
            HomeFate::Kept => "UPDATE homes SET state = 'going' WHERE agent = ?1 AND state = 'new'",
            HomeFate::Gone => "UPDATE homes SET state = 'going' WHERE agent = ?1",
        };
        sqlx::query(going).bind(agent.to_string()).execute(&mut *transaction).await?;
        let its_own = ["DELETE FROM grants WHERE agent = ?1", "DELETE FROM budgets WHERE kind = 'agent' AND key = ?1"];
        for forgetting in its_own {
            sqlx::query(forgetting).bind(agent.to_string()).execute(&mut *transaction).await?;
        }
        events::insert(&mut transaction, EventScope::default(), at, kinds).await?;
        Ok(transaction.commit().await?)
    }
}

fn name_taken(error: sqlx::Error, name: &str) -> StoreError {
    if is_unique_violation(&error) { StoreError::NameTaken { name: name.to_owned() } } else { error.into() }
}

fn not_found(agent: AgentId) -> StoreError {
    StoreError::NotFound { what: "agent", key: agent.to_string() }
}
