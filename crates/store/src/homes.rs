//! Homes: which volume is whose, and where each stands.

use jiff::Timestamp;
use sqlx::{FromRow, Sqlite, Transaction};
use wire::{EventKind, ids::AgentId, secret::InsideLogin};

use crate::{
    column,
    database::Store,
    error::StoreError,
    events::{self, EventScope},
};

const TABLE: &str = "homes";

/// A home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeRecord {
    /// The volume, which is also its id.
    pub volume: String,
    /// Whose it is, or was.
    pub agent: AgentId,
    /// That agent's name, the last one where it is removed.
    pub agent_name: String,
    /// What that agent runs in.
    pub agent_image: String,
    /// When that agent was removed.
    pub agent_removed_at: Option<Timestamp>,
    /// Where it stands.
    pub state: HomeState,
    /// The name that the folder of the agent's memory has in it.
    pub memory: String,
    /// The image that seeded it; `None` where none has, or nobody wrote it down.
    pub image: Option<String>,
    /// The content-addressed id of that image.
    pub image_id: Option<String>,
    /// When it was named.
    pub created_at: Timestamp,
    /// When a sandbox began or ended in it last.
    pub used_at: Option<Timestamp>,
    /// How large it was found to be.
    pub size: Option<HomeSize>,
    /// To what its programs were signed in then.
    pub logins: Vec<InsideLogin>,
}

/// Where a home stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HomeState {
    /// Named; whatever its volume holds can be made again from the image.
    New,
    /// An import is on its way into it; it is nobody's home yet.
    Filling,
    /// An agent's.
    Ready,
    /// To be removed from the engine, then from here.
    Going,
}

impl HomeState {
    const ALL: [Self; 4] = [Self::New, Self::Filling, Self::Ready, Self::Going];

    const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Filling => "filling",
            Self::Ready => "ready",
            Self::Going => "going",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// How large a home was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeSize {
    /// Bytes on disk.
    pub size_bytes: u64,
    /// Files and folders.
    pub files: u64,
    /// When it was measured.
    pub measured_at: Timestamp,
}

/// What seeded a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeSeed {
    /// The name of the folder of the agent's memory.
    pub memory: String,
    /// The image as the agent names it; `None` for an import.
    pub image: Option<String>,
    /// Its content-addressed id.
    pub image_id: Option<String>,
}

/// A volume in the place of another.
#[derive(Clone, Debug, PartialEq)]
pub struct HomeChange {
    /// Whose home it is.
    pub agent: AgentId,
    /// The volume that was its home; it goes.
    pub old: String,
    /// The volume that becomes it.
    pub new: String,
    /// What is in the new one: `None` where it is to be seeded at its first use, else it is there and whole already.
    pub seed: Option<HomeSeed>,
    /// What is written down with it.
    pub events: Vec<EventKind>,
    /// When.
    pub at: Timestamp,
}

#[derive(FromRow)]
struct HomeRow {
    volume: String,
    agent: String,
    agent_name: String,
    agent_image: String,
    agent_removed_at: Option<i64>,
    state: String,
    memory: String,
    image: Option<String>,
    image_id: Option<String>,
    created_at: i64,
    used_at: Option<i64>,
    size_bytes: Option<i64>,
    files: Option<i64>,
    measured_at: Option<i64>,
    logins: String,
}

impl HomeRow {
    fn into_record(self) -> Result<HomeRecord, StoreError> {
        let size = match (self.size_bytes, self.files, self.measured_at) {
            (Some(size_bytes), Some(files), Some(measured_at)) => Some(HomeSize {
                size_bytes: column::to_u64(TABLE, size_bytes)?,
                files: column::to_u64(TABLE, files)?,
                measured_at: column::time(TABLE, measured_at)?,
            }),
            (_, _, _) => None,
        };
        Ok(HomeRecord {
            volume: self.volume,
            agent: column::id(TABLE, &self.agent)?,
            agent_name: self.agent_name,
            agent_image: self.agent_image,
            agent_removed_at: column::time_or_none(TABLE, self.agent_removed_at)?,
            state: HomeState::from_name(&self.state)
                .ok_or_else(|| StoreError::Row { table: TABLE, what: format!("state {:?}", self.state) })?,
            memory: self.memory,
            image: self.image,
            image_id: self.image_id,
            created_at: column::time(TABLE, self.created_at)?,
            used_at: column::time_or_none(TABLE, self.used_at)?,
            size,
            logins: column::json(TABLE, &self.logins)?,
        })
    }
}

/// A home with what its row only points to. Ends before the condition.
macro_rules! select_home {
    ($condition:literal) => {
        concat!(
            "SELECT homes.*, agents.name AS agent_name, agents.image AS agent_image,
                    agents.removed_at AS agent_removed_at
             FROM homes JOIN agents ON agents.id = homes.agent ",
            $condition
        )
    };
}

impl Store {
    /// All homes, those on their way in or out too, by the names of their agents.
    pub async fn homes(&self) -> Result<Vec<HomeRecord>, StoreError> {
        let rows: Vec<HomeRow> =
            sqlx::query_as(select_home!("ORDER BY agents.removed_at IS NOT NULL, agents.name, homes.created_at"))
                .fetch_all(self.read())
                .await?;
        rows.into_iter().map(HomeRow::into_record).collect()
    }

    /// A home by its volume.
    pub async fn home(&self, volume: &str) -> Result<HomeRecord, StoreError> {
        let row: Option<HomeRow> =
            sqlx::query_as(select_home!("WHERE homes.volume = ?1")).bind(volume).fetch_optional(self.read()).await?;
        row.ok_or_else(|| not_found(volume))?.into_record()
    }

    /// The home that an agent, a removed one too, has now.
    pub async fn home_of(&self, agent: AgentId) -> Result<HomeRecord, StoreError> {
        let row: Option<HomeRow> = sqlx::query_as(select_home!("WHERE agents.id = ?1 AND homes.volume = agents.home"))
            .bind(agent.to_string())
            .fetch_optional(self.read())
            .await?;
        row.ok_or_else(|| StoreError::NotFound { what: "home of the agent", key: agent.to_string() })?.into_record()
    }

    /// A home is seeded and laid out.
    pub async fn set_home_ready(&self, volume: &str, seed: &HomeSeed) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let updated = sqlx::query(
            "UPDATE homes SET state = 'ready', memory = ?2, image = ?3, image_id = ?4, size_bytes = NULL
             WHERE volume = ?1 AND state <> 'going'",
        )
        .bind(volume)
        .bind(&seed.memory)
        .bind(&seed.image)
        .bind(&seed.image_id)
        .execute(&mut *transaction)
        .await?;
        if updated.rows_affected() == 0 {
            return Err(not_found(volume));
        }
        Ok(transaction.commit().await?)
    }

    /// A sandbox begins or ends in the home of an agent.
    pub async fn use_home(&self, agent: AgentId, at: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE homes SET used_at = ?2 WHERE volume = (SELECT home FROM agents WHERE id = ?1)")
            .bind(agent.to_string())
            .bind(column::from_time(at))
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// The folder of the agent's memory has another name now.
    pub async fn set_home_memory(&self, volume: &str, memory: &str) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE homes SET memory = ?2 WHERE volume = ?1")
            .bind(volume)
            .bind(memory)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// A home was measured, and it was looked to what its programs are signed in.
    pub async fn set_home_size(&self, volume: &str, size: HomeSize, logins: &[InsideLogin]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE homes SET size_bytes = ?2, files = ?3, measured_at = ?4, logins = ?5 WHERE volume = ?1")
            .bind(volume)
            .bind(column::from_u64(size.size_bytes))
            .bind(column::from_u64(size.files))
            .bind(column::from_time(size.measured_at))
            .bind(column::to_json(TABLE, &logins)?)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// An import into a volume of its own is about to begin.
    pub async fn begin_filling(&self, volume: &str, agent: AgentId, at: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO homes (volume, agent, state, memory, created_at)
             SELECT ?1, id, 'filling', name, ?3 FROM agents WHERE id = ?2",
        )
        .bind(volume)
        .bind(agent.to_string())
        .bind(column::from_time(at))
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Puts one volume in the place of another, all at once: before it, the agent has the old home; after it, the new one.
    ///
    /// [`StoreError::NotFound`] where the old one is no longer the agent's home, and nothing has changed then.
    pub async fn replace_home(&self, change: HomeChange) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let moved = sqlx::query("UPDATE agents SET home = ?3 WHERE id = ?1 AND home = ?2")
            .bind(change.agent.to_string())
            .bind(&change.old)
            .bind(&change.new)
            .execute(&mut *transaction)
            .await?;
        if moved.rows_affected() == 0 {
            return Err(not_found(&change.old));
        }
        sqlx::query("UPDATE homes SET state = 'going' WHERE volume = ?1")
            .bind(&change.old)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO homes (volume, agent, state, memory, image, image_id, created_at)
             SELECT ?2, id, ?3, coalesce(?4, name), ?5, ?6, ?7 FROM agents WHERE id = ?1
             ON CONFLICT (volume) DO UPDATE SET state = excluded.state, memory = excluded.memory",
        )
        .bind(change.agent.to_string())
        .bind(&change.new)
        .bind(if change.seed.is_some() { HomeState::Ready.name() } else { HomeState::New.name() })
        .bind(change.seed.as_ref().map(|seed| &seed.memory))
        .bind(change.seed.as_ref().and_then(|seed| seed.image.as_ref()))
        .bind(change.seed.as_ref().and_then(|seed| seed.image_id.as_ref()))
        .bind(column::from_time(change.at))
        .execute(&mut *transaction)
        .await?;
        events::insert(&mut transaction, EventScope::default(), change.at, change.events).await?;
        Ok(transaction.commit().await?)
    }

    /// A home of a removed agent is to go.
    pub async fn let_home_go(&self, volume: &str, at: Timestamp, kinds: Vec<EventKind>) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let updated = sqlx::query("UPDATE homes SET state = 'going' WHERE volume = ?1")
            .bind(volume)
            .execute(&mut *transaction)
            .await?;
        if updated.rows_affected() == 0 {
            return Err(not_found(volume));
        }
        events::insert(&mut transaction, EventScope::default(), at, kinds).await?;
        Ok(transaction.commit().await?)
    }

    /// The volume is gone from the engine.
    pub async fn forget_home(&self, volume: &str) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM homes WHERE volume = ?1 AND state IN ('going', 'filling')")
            .bind(volume)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }
}

/// Writes the first home of a new agent down.
pub(crate) async fn insert_first(transaction: &mut Transaction<'_, Sqlite>, agent: AgentId) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO homes (volume, agent, state, memory, created_at)
         SELECT home, id, 'new', name, created_at FROM agents WHERE id = ?1",
    )
    .bind(agent.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn not_found(volume: &str) -> StoreError {
    StoreError::NotFound { what: "home", key: volume.to_owned() }
}
