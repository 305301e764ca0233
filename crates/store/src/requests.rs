//! What sandboxes asked the gateway for, and what requests to models used.
//!
//! A request is written down before anything of it leaves ([`Store::begin_request`]), and once more when it has ended
//! ([`Store::end_request`]), with what it used in the same transaction. What it used stays when the request is taken out of the
//! list: it is money.

use jiff::Timestamp;
use sqlx::{FromRow, Sqlite, Transaction};
use wire::{
    EventKind, EventView,
    cost::{TokenCounts, UsageView},
    ids::{AgentId, RunId, SandboxId, StepId, TaskId},
    money::MicroUsd,
    network::{RequestKind, RequestOutcome, RequestView},
    secret::CredentialKind,
};

use crate::{
    column,
    database::Store,
    error::StoreError,
    events::{self, EventScope},
};

const TABLE: &str = "requests";
const USAGE: &str = "usage";

/// How many requests of a run are kept, and those that go on: the newest. A sandbox may ask as often as it likes.
pub const REQUESTS_PER_RUN_MAX: u32 = 10_000;
/// More tokens of a kind than any reply has. What a reply claims goes into sums, which have an end.
const TOKENS_MAX: u64 = 1 << 40;
/// More than any reply costs, for the same reason: about nine million dollars.
const COST_MAX: MicroUsd = MicroUsd(1 << 43);

/// A request that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRequest {
    /// When.
    pub at: Timestamp,
    /// From which sandbox.
    pub sandbox: SandboxId,
    /// Of which task.
    pub task: TaskId,
    /// Of which run.
    pub run: RunId,
    /// Of which step.
    pub step: StepId,
    /// Of which agent.
    pub agent: AgentId,
    /// In what form it was asked.
    pub kind: RequestKind,
    /// The method.
    pub method: String,
    /// The host, in the form in which it is compared.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path, without its query.
    pub path: String,
    /// What becomes of it.
    pub start: RequestStart,
}

/// What becomes of a request that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestStart {
    /// It is let through.
    Passed {
        /// The secret that is put into it, by name.
        secret: Option<String>,
        /// The model that it asks for.
        model: Option<String>,
        /// What budgets set aside for it until it ends.
        reserved: MicroUsd,
        /// What pays for it: what it comes to under a subscription is a list price, and no money.
        credential: CredentialKind,
    },
    /// Nothing of it leaves. It has ended.
    Refused {
        /// Why, as a sentence for a person.
        reason: String,
        /// The status that it is answered with.
        status: Option<u16>,
    },
}

/// A request was written down.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestBegun {
    /// Its place in the order of all requests.
    pub seq: i64,
    /// What happened besides: for the first time, older requests of its run were taken out of the list.
    pub events: Vec<EventView>,
}

/// How a request that was let through has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestEnd {
    /// When.
    pub at: Timestamp,
    /// How.
    pub ending: RequestEnding,
    /// The status that it was answered with.
    pub status: Option<u16>,
    /// Bytes that went out.
    pub sent_bytes: u64,
    /// Bytes that came back.
    pub received_bytes: u64,
    /// What it used, where it went to a model that said so or was counted.
    pub usage: Option<UsageView>,
}

/// The ways in which a request can end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestEnding {
    /// It was carried to its end.
    Done,
    /// It broke off.
    Cut {
        /// How, in words.
        reason: String,
    },
    /// It turned out that the policy says no.
    Refused {
        /// Why, as a sentence for a person.
        reason: String,
    },
}

impl RequestEnding {
    fn outcome(&self) -> RequestOutcome {
        match self {
            Self::Done => RequestOutcome::Done,
            Self::Cut { reason } => RequestOutcome::Cut { reason: reason.clone() },
            Self::Refused { reason } => RequestOutcome::Refused { reason: reason.clone() },
        }
    }
}

/// Which requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// Only those of this task.
    pub task: Option<TaskId>,
    /// Only those of this run; the task does not matter then.
    pub run: Option<RunId>,
    /// Only those before this one; the newest where it is `None`.
    pub before_seq: Option<i64>,
    /// How many at most.
    pub limit: u32,
}

#[derive(FromRow)]
struct RequestRow {
    seq: i64,
    at: i64,
    sandbox: String,
    task: String,
    run: String,
    step: String,
    agent: String,
    kind: String,
    method: String,
    host: String,
    port: i64,
    path: String,
    outcome: String,
    reason: Option<String>,
    status: Option<i64>,
    sent_bytes: i64,
    received_bytes: i64,
    ended_at: Option<i64>,
    secret: Option<String>,
    used_model: Option<String>,
    input: Option<i64>,
    cache_read: Option<i64>,
    cache_write: Option<i64>,
    output: Option<i64>,
    reasoning: Option<i64>,
    is_at_least: Option<bool>,
    cost_micro_usd: Option<i64>,
    is_list_price: bool,
}

impl RequestRow {
    fn into_view(self) -> Result<RequestView, StoreError> {
        let usage = self.usage()?;
        Ok(RequestView {
            seq: self.seq,
            at: column::time(TABLE, self.at)?,
            sandbox: column::id(TABLE, &self.sandbox)?,
            task: column::id(TABLE, &self.task)?,
            run: column::id(TABLE, &self.run)?,
            step: column::id(TABLE, &self.step)?,
            agent: column::id(TABLE, &self.agent)?,
            kind: column::named(TABLE, &self.kind, RequestKind::from_name)?,
            method: self.method,
            host: self.host,
            port: column::to_u16(TABLE, self.port)?,
            path: self.path,
            outcome: outcome(&self.outcome, self.reason)?,
            status: self.status.map(|status| column::to_u16(TABLE, status)).transpose()?,
            sent_bytes: column::to_u64(TABLE, self.sent_bytes)?,
            received_bytes: column::to_u64(TABLE, self.received_bytes)?,
            // Nothing, where the clock was set back meanwhile.
            duration_ms: self.ended_at.map(|ended_at| u64::try_from((ended_at - self.at) / 1_000).unwrap_or_default()),
            secret: self.secret,
            usage,
        })
    }

    fn usage(&self) -> Result<Option<UsageView>, StoreError> {
        let Some(model) = self.used_model.clone() else { return Ok(None) };
        let count = |value: Option<i64>| column::to_u64(USAGE, value.unwrap_or_default());
        Ok(Some(UsageView {
            model,
            tokens: TokenCounts {
                input: count(self.input)?,
                cache_read: count(self.cache_read)?,
                cache_write: count(self.cache_write)?,
                output: count(self.output)?,
                reasoning: count(self.reasoning)?,
            },
            is_at_least: self.is_at_least.unwrap_or_default(),
            cost: self.cost_micro_usd.map(MicroUsd),
            is_list_price: self.is_list_price,
        }))
    }
}

fn outcome(name: &str, reason: Option<String>) -> Result<RequestOutcome, StoreError> {
    let reason = reason.unwrap_or_default();
    let outcomes = [
        RequestOutcome::Open,
        RequestOutcome::Done,
        RequestOutcome::Cut { reason: reason.clone() },
        RequestOutcome::Refused { reason },
    ];
    column::named(TABLE, name, |name| outcomes.into_iter().find(|outcome| outcome.name() == name))
}

/// Requests with what they used. Ends before the condition.
macro_rules! select_requests {
    ($condition:literal) => {
        select_requests!("", $condition)
    };
    ($index:literal, $condition:literal) => {
        concat!(
            "SELECT requests.*, usage.model AS used_model, usage.input, usage.cache_read, usage.cache_write, usage.output,
                    usage.reasoning, usage.is_at_least, usage.cost_micro_usd
             FROM requests ",
            $index,
            " LEFT JOIN usage ON usage.request = requests.seq WHERE ",
            $condition
        )
    };
}

const OF_RUN: &str = select_requests!("requests.run = ?3 AND seq < ?1 ORDER BY seq DESC LIMIT ?2");
const OF_TASK: &str = select_requests!("requests.task = ?3 AND seq < ?1 ORDER BY seq DESC LIMIT ?2");
const OF_ALL: &str = select_requests!("seq < ?1 ORDER BY seq DESC LIMIT ?2");
/// SQLite does not know how few have no end, and would look through all of them.
const OPEN: &str = select_requests!("INDEXED BY requests_open", "requests.ended_at IS NULL ORDER BY seq");
const OPEN_KINDS: &str =
    "SELECT seq, kind, model FROM requests INDEXED BY requests_open WHERE ended_at IS NULL ORDER BY seq";
const CUT_OPEN: &str = "UPDATE requests INDEXED BY requests_open SET ended_at = ?1, outcome = ?2, reason = ?3
     WHERE ended_at IS NULL";
/// Beyond which a run's requests are taken out of the list.
const OLDEST_KEPT: &str = "SELECT seq FROM requests WHERE run = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2";

impl Store {
    /// Writes a request down that has come. One that is refused has ended at once. The oldest of its run make room for it where
    /// there are more than [`REQUESTS_PER_RUN_MAX`]; for the first time an event says so.
    pub async fn begin_request(&self, new: &NewRequest) -> Result<RequestBegun, StoreError> {
        let mut transaction = self.write().await?;
        let (outcome, status, secret, model, reserved, credential) = match &new.start {
            RequestStart::Passed { secret, model, reserved, credential } => {
                (RequestOutcome::Open, None, secret.as_deref(), model.as_deref(), *reserved, *credential)
            }
            RequestStart::Refused { reason, status } => {
                let outcome = RequestOutcome::Refused { reason: reason.clone() };
                (outcome, *status, None, None, MicroUsd(0), CredentialKind::Key)
            }
        };
        let at = column::from_time(new.at);
        let seq: i64 = sqlx::query_scalar(
            "INSERT INTO requests (at, sandbox, task, run, step, agent, kind, method, host, port, path, outcome, reason,
                                   status, ended_at, secret, model, reserved_micro_usd, is_list_price)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) RETURNING seq",
        )
        .bind(at)
        .bind(new.sandbox.to_string())
        .bind(new.task.to_string())
        .bind(new.run.to_string())
        .bind(new.step.to_string())
        .bind(new.agent.to_string())
        .bind(new.kind.name())
        .bind(&new.method)
        .bind(&new.host)
        .bind(new.port)
        .bind(&new.path)
        .bind(outcome.name())
        .bind(outcome.reason())
        .bind(status)
        .bind((outcome != RequestOutcome::Open).then_some(at))
        .bind(secret)
        .bind(model)
        .bind(reserved.0.clamp(0, COST_MAX.0))
        .bind(!credential.is_key())
        .fetch_one(&mut *transaction)
        .await?;
        let events = leave_out(&mut transaction, new).await?;
        transaction.commit().await?;
        Ok(RequestBegun { seq, events })
    }

    /// Writes down how a request has ended, and what it used. Says whether it went on until then: a second end changes nothing.
    ///
    /// What a reply claims beyond all reason is cut to what sums can hold, and marked as possibly more; a cost below nothing is no
    /// known cost.
    pub async fn end_request(&self, seq: i64, end: &RequestEnd) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let outcome = end.ending.outcome();
        let ended = sqlx::query(
            "UPDATE requests SET ended_at = ?2, outcome = ?3, reason = ?4, status = ?5, sent_bytes = ?6, received_bytes = ?7
             WHERE seq = ?1 AND ended_at IS NULL",
        )
        .bind(seq)
        .bind(column::from_time(end.at))
        .bind(outcome.name())
        .bind(outcome.reason())
        .bind(end.status)
        .bind(column::from_u64(end.sent_bytes))
        .bind(column::from_u64(end.received_bytes))
        .execute(&mut *transaction)
        .await?;
        if ended.rows_affected() == 0 {
            return Ok(false);
        }
        if let Some(usage) = &end.usage {
            insert_usage(&mut transaction, seq, usage).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Requests, newest first.
    pub async fn requests(&self, filter: &RequestFilter) -> Result<Vec<RequestView>, StoreError> {
        let (statement, key) = match (filter.run, filter.task) {
            (Some(run), _) => (OF_RUN, Some(run.to_string())),
            (None, Some(task)) => (OF_TASK, Some(task.to_string())),
            (None, None) => (OF_ALL, None),
        };
        let mut query =
            sqlx::query_as::<_, RequestRow>(statement).bind(filter.before_seq.unwrap_or(i64::MAX)).bind(filter.limit);
        if let Some(key) = key {
            query = query.bind(key);
        }
        query.fetch_all(self.read()).await?.into_iter().map(RequestRow::into_view).collect()
    }

    /// How many requests of a run were taken out of the list to make room for newer ones.
    pub async fn requests_left_out(&self, run: RunId) -> Result<u64, StoreError> {
        let count: Option<i64> = sqlx::query_scalar("SELECT requests_left_out FROM runs WHERE id = ?1")
            .bind(run.to_string())
            .fetch_optional(self.read())
            .await?;
        column::to_u64("runs", count.ok_or_else(|| StoreError::NotFound { what: "run", key: run.to_string() })?)
    }

    /// Requests that have no end, oldest first: they go on, or Berth ended before they did.
    pub async fn open_requests(&self) -> Result<Vec<RequestView>, StoreError> {
        let rows: Vec<RequestRow> = sqlx::query_as(OPEN).fetch_all(self.read()).await?;
        rows.into_iter().map(RequestRow::into_view).collect()
    }

    /// Ends all requests that have no end, as broken off, and says how many there were. To be called when none can be under way any
    /// more: at the start, before a gateway is there.
    ///
    /// What a request to a model used then is unknown: not nothing, and not what was set aside for it either, which is the most that
    /// it could have been. So it gets a usage of the model that it asked for, without tokens, as possibly more and without a known
    /// cost, and every sum that it is in says `at least`.
    pub async fn cut_open_requests(&self, at: Timestamp, reason: &str) -> Result<u64, StoreError> {
        let mut transaction = self.write().await?;
        let open: Vec<(i64, String, Option<String>)> = sqlx::query_as(OPEN_KINDS).fetch_all(&mut *transaction).await?;
        for (seq, kind, model) in &open {
            if kind == RequestKind::Model.name() {
                let model = model.clone().unwrap_or_default();
                let (tokens, is_list_price) = (TokenCounts::default(), false);
                let usage = UsageView { model, tokens, is_at_least: true, cost: None, is_list_price };
                insert_usage(&mut transaction, *seq, &usage).await?;
            }
        }
        let cut = RequestOutcome::Cut { reason: reason.to_owned() };
        let ended = sqlx::query(CUT_OPEN)
            .bind(column::from_time(at))
            .bind(cut.name())
            .bind(cut.reason())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(ended.rows_affected())
    }
}

/// Takes the oldest requests of a run out of the list where there are too many. One that goes on stays.
async fn leave_out(transaction: &mut Transaction<'_, Sqlite>, new: &NewRequest) -> Result<Vec<EventView>, StoreError> {
    let oldest: Option<i64> = sqlx::query_scalar(OLDEST_KEPT)
        .bind(new.run.to_string())
        .bind(REQUESTS_PER_RUN_MAX)
        .fetch_optional(&mut **transaction)
        .await?;
    let Some(oldest) = oldest else { return Ok(Vec::new()) };
    let deleted = sqlx::query("DELETE FROM requests WHERE run = ?1 AND seq <= ?2 AND ended_at IS NOT NULL")
        .bind(new.run.to_string())
        .bind(oldest)
        .execute(&mut **transaction)
        .await?
        .rows_affected();
    if deleted == 0 {
        return Ok(Vec::new());
    }
    let left_out: i64 = sqlx::query_scalar(
        "UPDATE runs SET requests_left_out = requests_left_out + ?2 WHERE id = ?1 RETURNING requests_left_out",
    )
    .bind(new.run.to_string())
    .bind(column::from_u64(deleted))
    .fetch_one(&mut **transaction)
    .await?;
    if left_out > column::from_u64(deleted) {
        return Ok(Vec::new());
    }
    let text =
        format!("Of this run's requests the last {REQUESTS_PER_RUN_MAX} are kept; what older ones cost still counts");
    let scope = EventScope { task: Some(new.task), run: Some(new.run), step: Some(new.step) };
    events::insert(transaction, scope, new.at, vec![EventKind::Note { text }]).await
}

/// Writes down what a request used; whether that is money says its own row. Its task's project is that of now. What was set aside for it stays so where it was not counted whole
/// or has no known price.
async fn insert_usage(
    transaction: &mut Transaction<'_, Sqlite>,
    seq: i64,
    usage: &UsageView,
) -> Result<(), StoreError> {
    let UsageView { model, tokens, is_at_least, cost, is_list_price: _ } = usage;
    let counts = [tokens.input, tokens.cache_read, tokens.cache_write, tokens.output, tokens.reasoning];
    let is_cut = counts.into_iter().any(|count| count > TOKENS_MAX) || cost.is_some_and(|cost| cost > COST_MAX);
    let mut query = sqlx::query(
        "INSERT INTO usage (request, at, task, run, step, agent, project, model, is_at_least, cost_micro_usd,
                            withheld_micro_usd, input, cache_read, cache_write, output, reasoning, is_list_price)
         SELECT seq, at, task, run, step, requests.agent, tasks.project, ?2, ?3, ?4,
                CASE WHEN ?3 OR ?4 IS NULL THEN max(0, reserved_micro_usd - coalesce(?4, 0)) ELSE 0 END, ?5, ?6, ?7, ?8, ?9,
                is_list_price
         FROM requests JOIN tasks ON tasks.id = requests.task WHERE seq = ?1",
    )
    .bind(seq)
    .bind(model)
    .bind(*is_at_least || is_cut)
    .bind(cost.filter(|cost| cost.0 >= 0).map(|cost| cost.min(COST_MAX).0));
    for count in counts {
        query = query.bind(column::from_u64(count.min(TOKENS_MAX)));
    }
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// Takes the requests of a run that have ended out of the list. What they used stays.
pub(crate) async fn forget_ended(transaction: &mut Transaction<'_, Sqlite>, run: RunId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM requests WHERE run = ?1 AND ended_at IS NOT NULL")
        .bind(run.to_string())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_of_requests_reads_no_more_than_itself() {
        let folder = camino_tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("berth.db")).await.unwrap();
        for (statement, way) in [
            (OF_RUN, "requests_by_run (run=? AND seq<?)"),
            (OF_TASK, "requests_by_task (task=? AND seq<?)"),
            (OF_ALL, "INTEGER PRIMARY KEY (rowid<?)"),
            (OLDEST_KEPT, "COVERING INDEX requests_by_run (run=?)"),
            (OPEN, "requests_open"),
            (OPEN_KINDS, "requests_open"),
            (CUT_OPEN, "requests_open"),
        ] {
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
                    .fetch_all(store.read())
                    .await
                    .unwrap();
            assert!(plan[0].3.contains(way), "{plan:?}: {statement}");
            let is_sorted = plan.iter().any(|(.., step)| step.contains("ORDER BY"));
            assert!(!is_sorted || way == "requests_open", "{plan:?}: {statement}");
        }
    }
}
