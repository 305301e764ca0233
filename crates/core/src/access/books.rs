//! The books of one sandbox's way out: each request written down before it leaves and when it has ended, its key fetched, its cost
//! set aside and counted.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gateway::price::Sale;
use gateway::usage::{Certainty, Metered};
use gateway::{
    Authority, Begun, CredentialMissing, Ended, Ledger, ModelCall, NamedSecret, Outcome, RefusedRequest, Stopped,
    Ticket, Way,
};
use store::{NewRequest, RequestEnd, RequestEnding, RequestStart, StoreError};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};
use vault::secrecy::SecretString;
use wire::{
    MicroUsd,
    cost::{TokenCounts, UsageView},
    ids::{SandboxId, SecretId},
    network::RequestKind,
    secret::CredentialKind,
    stream::Update,
};

use super::budgets::{self, Verdict, Whose};
use super::secrets::of_vault;
use crate::escape;
use crate::house::House;
use crate::runner::attempt::Brief;

/// Requests of a sandbox whose refusal or end is not yet written down; what comes beyond them is not listed, so that a flood of refusals
/// costs neither memory nor disk.
const UNWRITTEN_MAX: u32 = 512;
/// Refusals of one sandbox that are listed in a minute. Each is a transaction on the disk, and an agent can cause thousands.
const REFUSALS_PER_MINUTE_MAX: u32 = 240;
/// The span in which they are counted.
const REFUSALS_SPAN: Duration = Duration::from_mins(1);
/// How often an end is tried to be written down. Then it stays open until the next start, which says that it is not known.
const WRITE_TRIES: u32 = 60;
/// Between two tries.
const WRITE_RETRY: Duration = Duration::from_secs(1);
/// How long a request waits for room that requests under way have.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(30);
/// That a secret was used is written down once in that time: it is a line in a list, and each is a transaction on the disk.
const NOTE_USED_EVERY: Duration = Duration::from_mins(1);

/// Keeps the books of a sandbox.
pub(super) struct Books {
    house: Arc<House>,
    brief: Arc<Brief>,
    sandbox: SandboxId,
    unwritten: Arc<AtomicU32>,
    /// The requests to models that are under way. A std mutex: held for a map operation, never over an await.
    calls: Mutex<HashMap<i64, ModelCall>>,
    /// When each secret's use was last written down. As above.
    noted: Mutex<HashMap<SecretId, Instant>>,
    /// Since when refusals are counted, and how many were listed since. As above.
    refusals: Mutex<(Instant, u32)>,
}

impl Books {
    pub(super) fn new(house: Arc<House>, brief: Arc<Brief>, sandbox: SandboxId) -> Self {
        Self {
            house,
            brief,
            sandbox,
            unwritten: Arc::default(),
            calls: Mutex::default(),
            noted: Mutex::default(),
            refusals: Mutex::new((Instant::now(), 0)),
        }
    }

    fn whose(&self) -> Whose {
        Whose { task: self.brief.task, run: self.brief.run, step: self.brief.step, agent: self.brief.agent }
    }

    fn record(&self, asked: &Asked, start: RequestStart) -> NewRequest {
        let shown = |text: &str| escape::visible(text.as_bytes());
        NewRequest {
            at: self.house.time.now(),
            sandbox: self.sandbox,
            task: self.brief.task,
            run: self.brief.run,
            step: self.brief.step,
            agent: self.brief.agent,
            kind: asked.kind,
            method: shown(&asked.method),
            host: shown(&asked.host),
            port: asked.port,
            path: shown(&asked.path),
            start,
        }
    }

    async fn write(&self, record: &NewRequest) -> Result<Ticket, Stopped> {
        match self.house.store.begin_request(record).await {
            Ok(begun) => {
                self.house.tell(Update::Requests { task: self.brief.task });
                Ok(Ticket(begun.seq))
            }
            Err(error) => {
                warn!(%error, "a request cannot be written down, so it does not leave");
                self.house.store_refused(&error);
                Err(Stopped::NotWritten {
                    reason: "Berth cannot write this request down now, so it was not sent.".to_owned(),
                })
            }
        }
    }

    /// A request to a model: what it may cost is set aside, if every budget has room.
    async fn begin_model(&self, asked: Asked, call: ModelCall, secret: Option<NamedSecret>) -> Result<Ticket, Stopped> {
        let secret = secret.map(|secret| secret.name);
        let wait_until = Instant::now() + ROOM_WAIT_MAX;
        let verdict = loop {
            let mut given_back = pin!(self.house.access.given_back.notified());
            // From here on none is missed.
            given_back.as_mut().enable();
            match self.try_begin(&asked, &call, secret.clone()).await? {
                Ok(ticket) => return Ok(ticket),
                Err(verdict @ Verdict::SetAside { .. }) => {
                    let is_given_back = tokio::select! {
                        () = self.house.stop.cancelled() => false,
                        waited = timeout_at(wait_until, given_back) => waited.is_ok(),
                    };
                    if !is_given_back {
                        break verdict;
                    }
                }
                Err(verdict) => break verdict,
            }
        };
        // The agent rests before it reads why: a step that is held spends neither time nor patience on trying again.
        budgets::hold(&self.house, &self.whose(), &call, &verdict).await;
        let stopped = verdict.for_client();
        if self.takes_refusal() {
            let status = Some(stopped.status().as_u16());
            let start = RequestStart::Refused { reason: verdict.for_person(), status };
            self.write(&self.record(&asked, start)).await?;
        }
        Err(stopped)
    }

    /// Sets aside what a call may cost, and writes it down; or says why not.
    async fn try_begin(
        &self,
        asked: &Asked,
        call: &ModelCall,
        secret: Option<String>,
    ) -> Result<Result<Ticket, Verdict>, Stopped> {
        let demand = budgets::demand(&self.house, call).await;
        let _purse = self.house.access.purse.lock().await;
        let reserved = match budgets::judge(&self.house, &self.whose(), &demand).await {
            Ok(reserved) => reserved,
            Err(verdict) => return Ok(Err(verdict)),
        };
        let model = call.demand.as_ref().map(|demand| escape::visible(demand.model.as_bytes()));
        let start = RequestStart::Passed { secret, model, reserved, credential: call.credential };
        let ticket = self.write(&self.record(asked, start)).await?;
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).insert(ticket.0, call.clone());
        Ok(Ok(ticket))
    }

    /// Whether it is time to write down that a secret is used.
    fn notes_use(&self, secret: SecretId) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if noted.get(&secret).is_some_and(|last| now.duration_since(*last) < NOTE_USED_EVERY) {
            return false;
        }
        noted.insert(secret, now);
        true
    }

    /// Whether one more refusal is listed in this minute.
    fn takes_refusal(&self) -> bool {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.0.elapsed() >= REFUSALS_SPAN {
            *refusals = (Instant::now(), 0);
        }
        refusals.1 = refusals.1.saturating_add(1);
        refusals.1 <= REFUSALS_PER_MINUTE_MAX
    }

    /// Runs on, whoever goes, and counts as unwritten until it is done.
    fn write_later<F>(&self, writing: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let unwritten = self.unwritten.clone();
        unwritten.fetch_add(1, Ordering::Relaxed);
        self.house.tasks.spawn(async move {
            writing.await;
            unwritten.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// What was asked for, as it is listed.
struct Asked {
    kind: RequestKind,
    method: String,
    host: String,
    port: u16,
    path: String,
}

#[async_trait]
impl Ledger for Books {
    async fn credential(&self, secret: SecretId) -> Result<SecretString, CredentialMissing> {
        let vault = self.house.access.vault(self.house.install).await;
        match vault.get(secret).await {
            Ok(value) => {
                self.house.notice("keyring", None);
                if self.notes_use(secret) {
                    super::note_used(&self.house, secret).await;
                }
                Ok(value)
            }
            Err(error) => {
                let name = self.house.store.secret(secret).await.map_or_else(|_| String::new(), |secret| secret.name);
                let view = of_vault(&name, &error);
                self.house.notice("keyring", Some(format!("{} {}", view.message, view.hint)));
                Err(CredentialMissing { reason: view.message })
            }
        }
    }

    async fn authority(&self) -> Result<Arc<Authority>, CredentialMissing> {
        let authority = self.house.access.authority(&self.house).await;
        authority.map_err(|view| CredentialMissing { reason: view.message })
    }

    async fn begin(&self, request: Begun) -> Result<Ticket, Stopped> {
        let Begun { host, port, method, path, way, secret, .. } = request;
        let asked = |kind| Asked { kind, method, host, port, path };
        match way {
            Way::Model(call) => self.begin_model(asked(RequestKind::Model), call, secret).await,
            Way::Tunnel => self.write(&self.record(&asked(RequestKind::Tunnel), passed(secret))).await,
            Way::Forward => self.write(&self.record(&asked(RequestKind::Http), passed(secret))).await,
            Way::Inspected => self.write(&self.record(&asked(RequestKind::Inspected), passed(secret))).await,
        }
    }

    fn end(&self, ticket: Ticket, ended: Ended) {
        let (house, whose) = (self.house.clone(), self.whose());
        let call = self.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&ticket.0);
        self.write_later(async move {
            let end = end_of(&house, call.as_ref(), ended).await;
            for _ in 0..WRITE_TRIES {
                match house.store.end_request(ticket.0, &end).await {
                    Ok(_) => {
                        house.tell(Update::Requests { task: whose.task });
                        if call.is_some() {
                            house.access.given_back.notify_waiters();
                        }
                        if end.usage.is_some() {
                            house.access.is_metered.store(true, Ordering::Relaxed);
                            house.tell(Update::Status);
                            budgets::warn(&house, &whose).await;
                        }
                        return;
                    }
                    Err(error) if error.is_passing() => {
                        house.store_refused(&error);
                        tokio::select! {
                            // The next start ends it.
                            () = house.stop.cancelled() => break,
                            () = tokio::time::sleep(WRITE_RETRY) => {}
                        }
                    }
                    Err(error) => return warn!(%error, "how a request ended cannot be written down"),
                }
            }
            warn!(seq = ticket.0, "how a request ended was not written down in time");
        });
    }

    fn refused(&self, refused: RefusedRequest) {
        if self.unwritten.load(Ordering::Relaxed) >= UNWRITTEN_MAX || !self.takes_refusal() {
            debug!("a refusal is not listed: too many at once");
            return;
        }
        let (kind, usual_port) = match refused.method.as_str() {
            _ if refused.is_inspected => (RequestKind::Inspected, 443),
            "CONNECT" => (RequestKind::Tunnel, 443),
            _ if refused.path.starts_with("/model/") => (RequestKind::Model, 443),
            _ => (RequestKind::Http, 80),
        };
        let asked = Asked {
            kind,
            host: refused.host.unwrap_or_default(),
            port: refused.port.unwrap_or(usual_port),
            method: refused.method,
            path: refused.path,
        };
        let status = Some(refused.why.status().as_u16());
        let reason = escape::visible(refused.why.to_string().as_bytes());
        let record = self.record(&asked, RequestStart::Refused { reason, status });
        let (house, task) = (self.house.clone(), self.brief.task);
        self.write_later(async move {
            match house.store.begin_request(&record).await {
                Ok(_) => house.tell(Update::Requests { task }),
                Err(error) => note_unlisted(&house, &error),
            }
        });
    }
}

/// What goes through and costs nothing.
fn passed(secret: Option<NamedSecret>) -> RequestStart {
    let secret = secret.map(|secret| secret.name);
    RequestStart::Passed { secret, model: None, reserved: MicroUsd(0), credential: CredentialKind::Key }
}

/// Nothing left, so nothing is lost but a line of a list.
fn note_unlisted(house: &House, error: &StoreError) {
    debug!(%error, "a refusal could not be listed");
    if error.is_passing() {
        house.store_refused(error);
    }
}

/// How a request ended, with what it cost.
async fn end_of(house: &House, call: Option<&ModelCall>, ended: Ended) -> RequestEnd {
    let shown = |text: String| escape::visible(text.as_bytes());
    let ending = match ended.outcome {
        Outcome::Whole => RequestEnding::Done,
        Outcome::Cut { why } => RequestEnding::Cut { reason: shown(why) },
        Outcome::Refused { why } => RequestEnding::Refused { reason: shown(why) },
    };
    let usage = match (ended.metered, call) {
        (Some(metered), Some(call)) => Some(usage_of(house, call, metered).await),
        (Some(_) | None, _) => None,
    };
    RequestEnd {
        at: house.time.now(),
        ending,
        status: ended.status,
        sent_bytes: ended.up_bytes,
        received_bytes: ended.down_bytes,
        usage,
    }
}

/// What was used and what it costs: at the price of the model that the reply names, else, where that has none, of the one that was
/// asked for, under whose price it was let through.
async fn usage_of(house: &House, call: &ModelCall, metered: Metered) -> UsageView {
    let (provider, at) = (budgets::table_name_of(&call.route), house.time.now());
    let replied = Sale { provider, model: &metered.model, service_tier: metered.service_tier.as_deref(), at };
    let asked = call.demand.as_ref().map(|demand| Sale {
        model: &demand.model,
        service_tier: metered.service_tier.as_deref().or(demand.service_tier.as_deref()),
        ..replied
    });
    let cost = budgets::prices(house).await.and_then(|prices| {
        let cost = |sale: &Sale<'_>| prices.cost(sale, &metered.tokens);
        cost(&replied).or_else(|| cost(asked.as_ref()?))
    });
    let tokens = &metered.tokens;
    UsageView {
        model: escape::visible(metered.model.as_bytes()),
        tokens: TokenCounts {
            input: tokens.input,
            cache_read: tokens.cache_read,
            cache_write: tokens.cache_write,
            output: tokens.output,
            reasoning: tokens.reasoning,
        },
        is_at_least: metered.certainty == Certainty::AtLeast,
        cost,
        is_list_price: !call.credential.is_key(),
    }
}
