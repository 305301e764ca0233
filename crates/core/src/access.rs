//! What leaves a sandbox: who may reach what, with which secret, and what it costs.
//!
//! ```text
//! agent's program ─▶ guest's port ─▶ pipe ─▶ attend ─▶ gateway ─▶ outside
//!                                                        │ asks and tells
//!                                                        ▼
//!            store ◀── requests, usage ── books ── credentials ─▶ vault
//!                                           └── budgets ─▶ the step is held
//! ```
//!
//! Rules are what the store says of an agent, read anew whenever a person changes something, and taken up by the gateway at the next
//! request.

mod attend;
mod authority;
mod binding;
mod books;
pub(crate) mod bridge;
pub(crate) mod budgets;
pub(crate) mod compute;
pub(crate) mod costs;
mod env_file;
mod placeholder;
pub(crate) mod reach;
mod remembered;
pub(crate) mod requests;
pub(crate) mod rules;
pub(crate) mod secrets;
pub(crate) mod variables;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use gateway::price::Prices;
use gateway::{Authority, Gateway, GatewayError, Rules, Settings};
use lifecycle::Input;
use pipe::host::GivenFile;
use store::{GrantedSecret, StoreError};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard, Notify, OnceCell, watch};
use tokio::time::timeout;
use tracing::{debug, warn};
use vault::{Use, Vault};
use wire::{
    ErrorView, Hold,
    ids::{AgentId, InstallId, RunId, SecretId, StepId},
    network::NetworkPolicy,
};

use crate::blocking;
use crate::guest_volume::AUTHORITIES_KEY_STORE;
use crate::house::House;
use crate::runner::handle::Away;
use crate::sandbox::Card;

use remembered::Remembered;

pub(crate) use attend::{Attending, attend};
pub(crate) use authority::{AUTHORITY_SETTINGS, AUTHORITY_VARIABLES};
pub(crate) use variables::GATEWAY_PORT;

/// How long a step may take to be held before the app stops.
const HOLD_TIME_MAX: Duration = Duration::from_secs(3);

/// What the app holds of it.
pub(crate) struct Access {
    wanted: Use,
    /// PEM beyond what this machine trusts.
    extra_pem: Vec<u8>,
    vault: OnceCell<Vault>,
    gateway: OnceCell<Arc<Gateway>>,
    /// What vouches for inspected hosts; made or fetched by whoever needs it first.
    authority: OnceCell<Arc<Authority>>,
    /// The rules of the steps whose guests are connected. A std mutex: held for a map operation, never over an await.
    attended: Mutex<HashMap<StepId, Attended>>,
    /// Held from a look at what an agent may do until its steps go by it: of two changes at once the later counts.
    rules_turn: AsyncMutex<()>,
    /// Held from a look at a list of hosts until it is written anew: of two hosts allowed at once none is lost. Taken before
    /// `rules_turn`.
    policy_turn: AsyncMutex<()>,
    prices: Remembered<Prices>,
    /// The steps that a budget holds, with the model that has no price where that is why. As above.
    held: Mutex<HashMap<StepId, Option<String>>>,
    /// Whether anything was ever metered. Until then nobody asks the database what was spent.
    is_metered: AtomicBool,
    /// Held from the look at the budgets until what a request may cost is set aside.
    purse: AsyncMutex<()>,
    /// A request to a model has ended: what is left of what was set aside for it is there again.
    given_back: Notify,
    /// Held over each change of secrets, in the store and in the vault: of two at once the later counts, whole.
    secrets_turn: AsyncMutex<()>,
}

/// A step whose guest is connected.
#[derive(Clone)]
struct Attended {
    agent: AgentId,
    run: RunId,
    /// By which the gateway goes.
    rules: watch::Sender<Arc<Rules>>,
}

/// What an agent may do, as the store says it.
pub(crate) struct Permit {
    network: NetworkPolicy,
    granted: Vec<GrantedSecret>,
}

/// What an agent's process is given at its start, beside what every process finds. Nothing keeps it but that process.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) files: Vec<GivenFile>,
}

impl Access {
    pub(crate) fn new(wanted: Use, extra_pem: Vec<u8>) -> Self {
        Self {
            wanted,
            extra_pem,
            vault: OnceCell::new(),
            gateway: OnceCell::new(),
            authority: OnceCell::new(),
            attended: Mutex::default(),
            rules_turn: AsyncMutex::default(),
            policy_turn: AsyncMutex::default(),
            prices: Remembered::new(),
            held: Mutex::default(),
            is_metered: AtomicBool::new(false),
            purse: AsyncMutex::default(),
            given_back: Notify::new(),
            secrets_turn: AsyncMutex::default(),
        }
    }

    /// The vault; opened by whoever needs it first, since a keyring may ask the person for a password.
    pub(crate) async fn vault(&self, install: InstallId) -> &Vault {
        self.vault.get_or_init(|| Vault::open(install, self.wanted)).await
    }

    /// The gateway; set up by whoever needs it first.
    async fn gateway(&self) -> Result<Arc<Gateway>, GatewayError> {
        let made = self.gateway.get_or_try_init(|| async {
            let settings = Settings { extra_pem: self.extra_pem.clone(), ..Settings::default() };
            // It reads the machine's certificates.
            match blocking::off_runtime(move || Gateway::new(settings)).await {
                Ok(made) => made.map(Arc::new),
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            }
        });
        made.await.cloned()
    }

    /// Ends every connection to the outside, and waits until what was begun is written down.
    pub(crate) async fn close(&self) {
        if let Some(gateway) = self.gateway.get() {
            gateway.close().await;
        }
    }

    /// The turn of whoever changes a list of hosts that they have read.
    pub(crate) async fn policy_turn(&self) -> MutexGuard<'_, ()> {
        self.policy_turn.lock().await
    }

    /// Whether anything was ever metered.
    pub(crate) fn is_metered(&self) -> bool {
        self.is_metered.load(Ordering::Relaxed)
    }

    /// The steps whose guests are connected and that reach something by the gateway: a model, a host that is read, any other host.
    fn in_need(&self) -> Vec<StepId> {
        let attended = self.attended.lock().unwrap_or_else(PoisonError::into_inner);
        let is_in_need = |attended: &Attended| rules::is_of_use(&attended.rules.borrow());
        attended.iter().filter(|(_, attended)| is_in_need(attended)).map(|(step, _)| *step).collect()
    }
}

impl Permit {
    /// As it stands now, for one of its runs: what is the agent's own, and what is allowed to the run or to all of its project.
    pub(crate) async fn of(house: &House, agent: AgentId, run: RunId) -> Result<Self, StoreError> {
        let beside = house.store.hosts_of_run(run).await?;
        let network = house.store.agent(agent).await?.network;
        let network = rules::widened(network, beside.of_project.into_iter().chain(beside.own));
        let granted = house.store.secrets_of(agent).await?;
        Ok(Self { network, granted })
    }

    /// As it holds in a sandbox that was made under the policy of that name. A card is neither put into a sandbox nor taken out of it:
    /// one that has none gets no network when its agent's policy becomes `bridge`, and nothing holds back one that has, so that
    /// a gateway would only seem to.
    pub(crate) fn within(self, made_under: &str) -> Self {
        let network = match (Card::of(made_under), self.network) {
            (Card::Bridge, _) => NetworkPolicy::Bridge,
            (Card::None, NetworkPolicy::Bridge) => NetworkPolicy::Closed,
            (Card::None, network) => network,
        };
        Self { network, ..self }
    }

    /// Why no agent can be started so: what is brokered to it would be of no use, and it would find that out only by failing.
    ///
    /// # Errors
    /// A secret that is brokered to an agent on a network of its own.
    pub(crate) fn check(&self, agent: &str) -> Result<(), ErrorView> {
        bridge::refuse_granted(agent, &self.network, &self.granted)
    }

    /// Whether there is a gateway at all.
    pub(crate) fn has_gateway(&self) -> bool {
        match self.network {
            NetworkPolicy::Closed | NetworkPolicy::Bridge => false,
            NetworkPolicy::Allowlist { .. } | NetworkPolicy::Open { .. } => true,
        }
    }

    /// The policy in a word, as it is written down with a sandbox.
    pub(crate) fn name(&self) -> &'static str {
        self.network.name()
    }

    /// What an agent's process is given at its start: how it reaches the gateway, whom it believes there, and its secrets.
    pub(crate) async fn given(&self, house: &House) -> Result<Given, ErrorView> {
        let key_store = house.authorities.as_ref().map(|_| AUTHORITIES_KEY_STORE);
        let injected = variables::injected(house, &self.granted).await?;
        let variables = variables::of_gateway(&self.network, &self.granted, key_store);
        let variables = variables.into_iter().chain(injected.variables).collect();
        self.with_authorities(house, Given { variables, files: injected.files }).await
    }

    /// What a person's shell in its sandbox is given: the same way out, and no value of a secret.
    pub(crate) async fn given_to_shell(&self, house: &House) -> Result<Given, ErrorView> {
        let key_store = house.authorities.as_ref().map(|_| AUTHORITIES_KEY_STORE);
        let variables = variables::of_gateway(&self.network, &self.granted, key_store);
        self.with_authorities(house, Given { variables, files: Vec::new() }).await
    }

    /// Whom to believe, where one of its hosts is inspected.
    async fn with_authorities(&self, house: &House, mut given: Given) -> Result<Given, ErrorView> {
        let inspected = self.rules().inspected;
        if !inspected.is_empty() {
            given.files.push(authority::bundle(house, &inspected).await?);
        }
        Ok(given)
    }

    fn rules(&self) -> Rules {
        rules::rules_of(&self.network, &self.granted)
    }
}

/// What an earlier process had begun and not ended cannot be ended any more, and what it had not forgotten yet is forgotten.
pub(crate) async fn begin(house: &Arc<House>) -> Result<(), StoreError> {
    let cut = house.store.cut_open_requests(house.time.now(), "Berth ended before it did").await?;
    if cut > 0 {
        warn!(cut, "requests were under way when Berth ended: what they used is not known");
    }
    house.access.is_metered.store(house.store.is_anything_metered().await?, Ordering::Relaxed);
    for secret in house.store.removed_secrets().await? {
        let owner = house.clone();
        house.tasks.spawn(async move { secrets::forget(&owner, secret).await });
    }
    Ok(())
}

/// The app is about to stop in order: agents that reach something by the gateway rest until it is back, since nobody would answer them.
pub(crate) async fn hold_while_away(house: &House) {
    let asked = house.access.in_need().into_iter().filter_map(|step| house.step(step)).map(|handle| async move {
        let input = Input::Hold(Hold::AppAway);
        match timeout(HOLD_TIME_MAX, handle.input(input, String::new())).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(denied))) => debug!(step = %handle.step, ?denied, "the step is not held"),
            Ok(Err(Away)) => debug!(step = %handle.step, "the step is over"),
            Err(_elapsed) => warn!(step = %handle.step, "the step could not be held in time; its requests wait inside"),
        }
    });
    asked.collect::<FuturesUnordered<_>>().for_each(async |()| {}).await;
}

/// A person changed something: whoever is at work goes by it from the next request on.
pub(crate) async fn rules_changed(house: &House) {
    let attended: Vec<Attended> = {
        let attended = house.access.attended.lock().unwrap_or_else(PoisonError::into_inner);
        attended.values().cloned().collect()
    };
    let _turn = house.access.rules_turn.lock().await;
    for Attended { agent, run, rules } in attended {
        rules.send_replace(Arc::new(rules_now(house, agent, run).await));
    }
}

/// What a run of an agent may reach, as the store says it now; nothing, where it cannot say.
async fn rules_now(house: &House, agent: AgentId, run: RunId) -> Rules {
    match Permit::of(house, agent, run).await {
        Ok(permit) => permit.rules(),
        Err(error) => {
            warn!(%error, %agent, "what an agent may reach cannot be read; it reaches nothing until it can");
            rules::nothing()
        }
    }
}

/// Notes that a secret was used. What cannot be noted is only a time in a list.
async fn note_used(house: &House, secret: SecretId) {
    if let Err(error) = house.store.note_secrets_used(&[secret], house.time.now()).await {
        warn!(%error, "when a secret was used cannot be written down");
    }
}
