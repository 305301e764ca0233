//! Takes the connections of programs inside and sends each request its way.

use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::ids::SandboxId;

use crate::activity::{Activity, Watched};
use crate::bounds::{Bounds, HEAD_BYTES_MAX, HEADERS_MAX};
use crate::connect::{self, Tunnel};
use crate::denied::Denied;
use crate::ledger::Ledger;
use crate::passage::{Asked, Passage, Rules};
use crate::respond::{self, Body};
use crate::upstream::{Dialer, Resolve, SystemResolver, TaskOwner, TrustError, client_config};
use crate::{forward, headers, model};

/// What a gateway is made with.
#[derive(Clone)]
pub struct Settings {
    /// Authorities beyond those that this machine trusts: certificates in PEM.
    pub extra_pem: Vec<u8>,
    /// How names are resolved.
    pub resolver: Arc<dyn Resolve>,
    /// How long and how much.
    pub bounds: Bounds,
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
#[error("the gateway cannot be set up")]
pub struct GatewayError(#[from] TrustError);

/// The way out of all sandboxes of an app. Ending it ends every connection that it made.
pub struct Gateway {
    pub(crate) bounds: Bounds,
    pub(crate) dialer: Dialer,
    /// Connections to hosts, and what the ledger writes down. Ended by `stopping`, all but the latter.
    pub(crate) owner: TaskOwner,
}

impl Default for Settings {
    fn default() -> Self {
        Self { extra_pem: Vec::new(), resolver: Arc::new(SystemResolver), bounds: Bounds::default() }
    }
}

impl Gateway {
    /// Sets up a gateway. Reads the machine's certificates from their files: not for a thread of the runtime.
    pub fn new(settings: Settings) -> Result<Self, GatewayError> {
        let Settings { extra_pem, resolver, bounds } = settings;
        let dialer = Dialer::new(resolver, client_config(&extra_pem)?, &bounds);
        let owner = TaskOwner { tasks: TaskTracker::new(), stopping: CancellationToken::new() };
        Ok(Self { bounds, dialer, owner })
    }

    /// The way out of one sandbox. Its rules are read from the channel for each request.
    pub fn passage(
        &self,
        sandbox: SandboxId,
        rules: watch::Receiver<Arc<Rules>>,
        ledger: Arc<dyn Ledger>,
    ) -> Arc<Passage> {
        Arc::new(Passage::new(sandbox, rules, ledger, self.owner.tasks.clone(), &self.bounds))
    }

    /// Serves one connection of a program inside until it ends, is idle for too long, or the gateway ends. How many there may be at once
    /// is for the caller to bound; how many requests may be open, the passage does.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection and ends its requests as cut.
    pub async fn serve<Io>(&self, io: Io, passage: Arc<Passage>)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new();
        let io = TokioIo::new(Watched::new(io, activity.clone()));
        let tunnel = Mutex::new(None);
        let service = service_fn(|request| {
            let answered = self.answer(request, &passage, &tunnel);
            async { Ok::<_, Infallible>(Box::pin(answered).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.bounds.head_time_max)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(io, service)
            .with_upgrades();
        let whole = async {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection from a sandbox broke off");
            }
            let tunnel = tunnel.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(tunnel) = tunnel {
                tunnel.run(self, &passage).await;
            }
        };
        let mut whole = pin!(whole);
        tokio::select! {
            () = &mut whole => {}
            () = activity.idle(self.bounds.idle_time_max) => tracing::debug!("a connection from a sandbox was idle"),
            () = self.owner.stopping.cancelled() => {}
        }
    }

    /// Ends every connection, and waits until what was begun is written down.
    pub async fn close(&self) {
        self.owner.stopping.cancel();
        self.owner.tasks.close();
        self.owner.tasks.wait().await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        passage: &Passage,
        tunnel: &Mutex<Option<Tunnel>>,
    ) -> Response<Body> {
        let asked = Asked::of(&request);
        let refuse = |denied: Denied| {
            let response = respond::plain(denied.status(), &denied.to_string());
            passage.refused(&asked, denied);
            response
        };
        let permit = match headers::check(&request).and_then(|()| passage.open()) {
            Ok(permit) => permit,
            Err(denied) => return refuse(denied),
        };
        let rules = passage.rules();
        if request.method() == Method::CONNECT {
            let answered = connect::answer(self, passage, &rules, request, permit).await;
            return answered.map_or_else(
                |stop| stop.respond(passage, &asked),
                |opened| {
                    *tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
                    Response::new(respond::body(Vec::new()))
                },
            );
        }
        if request.uri().scheme().is_some() {
            let answered = forward::answer(self, passage, &rules, request, permit).await;
            return answered.unwrap_or_else(|stop| stop.respond(passage, &asked));
        }
        match model::route_of(&rules, request.uri().path()) {
            Some(Ok((route, path))) => model::answer(self, passage, &rules, route, &path, request, permit).await,
            Some(Err(denied)) => refuse(denied),
            None => refuse(Denied::Nothing),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.owner.stopping.cancel();
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
