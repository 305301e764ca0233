//! What one sandbox may do, as it stands now.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::task::TaskTracker;
use wire::ids::SandboxId;

use crate::bounds::Bounds;
use crate::denied::Denied;
use crate::inspect::Inspected;
use crate::ledger::{Ledger, RefusedRequest};
use crate::policy::{Host, Policy};
use crate::route::{Endpoint, Route};
use crate::target::Target;
use crate::upstream::{Connector, ModelClient};

/// How many bytes one permit for a held body stands for.
const HELD_UNIT_BYTES: usize = 4 << 10;

/// What a sandbox may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Through the proxy. [`Policy::Closed`] closes the routes too.
    pub policy: Policy,
    /// The model routes, by their names.
    pub routes: Vec<Route>,
    /// The hosts whose requests are read, each host and port once. Allowed by being here, as a route is.
    pub inspected: Vec<Inspected>,
}

impl Rules {
    pub(crate) fn inspected_at(&self, target: &Target) -> Option<&Inspected> {
        self.inspected.iter().find(|inspected| inspected.is_at(target))
    }
}

/// A sandbox's way out. Its rules are read anew for each request, so that a change reaches the next one; connections to models are its
/// own, so that a sandbox that does not read its replies holds up no other.
pub struct Passage {
    pub(crate) sandbox: SandboxId,
    pub(crate) ledger: Arc<dyn Ledger>,
    /// Belong to the gateway.
    pub(crate) tasks: TaskTracker,
    rules: watch::Receiver<Arc<Rules>>,
    open_requests: Arc<Semaphore>,
    held_bytes: Arc<Semaphore>,
    /// Invariant: has none but those of the rules' routes after each look.
    clients: Mutex<HashMap<Endpoint, ModelClient>>,
}

impl Passage {
    pub(crate) fn new(
        sandbox: SandboxId,
        rules: watch::Receiver<Arc<Rules>>,
        ledger: Arc<dyn Ledger>,
        tasks: TaskTracker,
        bounds: &Bounds,
    ) -> Self {
        Self {
            sandbox,
            ledger,
            tasks,
            rules,
            open_requests: Arc::new(Semaphore::new(bounds.open_requests_max)),
            held_bytes: Arc::new(Semaphore::new(bounds.held_bytes_max / HELD_UNIT_BYTES)),
            clients: Mutex::default(),
        }
    }

    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.borrow().clone()
    }

    /// Whether a route is still there, its secret and its address as they were.
    pub(crate) fn still_has(&self, route: &Route) -> bool {
        let rules = self.rules();
        rules.policy != Policy::Closed && rules.routes.contains(route)
    }

    pub(crate) fn open(&self) -> Result<OwnedSemaphorePermit, Denied> {
        self.open_requests.clone().try_acquire_owned().map_err(|_| Denied::TooMany)
    }

    /// Room for the bytes of a body; `held` grows by it.
    pub(crate) fn hold(&self, held: &mut Option<OwnedSemaphorePermit>, size_bytes: usize) -> Result<(), Denied> {
        let units = size_bytes.div_ceil(HELD_UNIT_BYTES);
        let missing = units.saturating_sub(held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        let missing = u32::try_from(missing).map_err(|_| Denied::TooLarge)?;
        if missing == 0 {
            return Ok(());
        }
        let more = self.held_bytes.clone().try_acquire_many_owned(missing).map_err(|_| Denied::TooMuchHeld)?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }

    /// The client of an endpoint: its pooled connections were made to checked addresses of this endpoint alone.
    pub(crate) fn client(
        &self,
        rules: &Rules,
        endpoint: &Endpoint,
        connector: impl FnOnce() -> Connector,
    ) -> ModelClient {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|known, _| rules.routes.iter().any(|route| route.endpoint() == known));
        clients.entry(endpoint.clone()).or_insert_with(|| connector().into_client()).clone()
    }

    pub(crate) fn refused(&self, asked: &Asked, why: Denied) {
        let Asked { host, port, method, path, is_inspected } = asked.clone();
        self.ledger.refused(RefusedRequest { sandbox: self.sandbox, host, port, method, path, is_inspected, why });
    }
}

/// What a request asks for, as it is written down.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Whether it came within TLS that the gateway reads.
    pub(crate) is_inspected: bool,
}

/// The longest method, host or path that is written down, in characters.
const WRITTEN_LENGTH_MAX: usize = 1_024;

impl Asked {
    pub(crate) fn of(request: &hyper::Request<hyper::body::Incoming>) -> Self {
        let uri = request.uri();
        Self {
            // In the form in which it is compared: a person who allows it finds it in the list of what is allowed.
            host: uri.host().map(|host| host.parse::<Host>().map_or_else(|_| shortened(host), |host| host.to_string())),
            port: uri.port_u16(),
            method: shortened(request.method().as_str()),
            path: shortened(uri.path()),
            is_inspected: false,
        }
    }
}

pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(WRITTEN_LENGTH_MAX).collect()
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passage").field("sandbox", &self.sandbox).field("rules", &self.rules()).finish_non_exhaustive()
    }
}
