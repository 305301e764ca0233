//! The server as its owner sees it: started, asked for links, shut down.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use camino::{Utf8Path, Utf8PathBuf};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    announcement::{Announcement, AnnouncementError},
    backend::Backend,
    codes::Codes,
    connections,
    guard::Guard,
    routes::router,
    token::{RandomError, Token},
};

/// How long a peer may take to finish what it is at when the server stops.
pub(crate) const GOODBYE_TIME_MAX: Duration = Duration::from_secs(2);
/// How long [`Server::shutdown`] takes at most.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(5);
/// How many calls may be going on at once.
const CALLS_MAX: usize = 64;
/// How many WebSockets there may be at once.
const STREAMS_MAX: usize = 256;

/// What a server is started with.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// The port on 127.0.0.1; 0 for any that is free.
    pub port: u16,
}

/// Why a server does not start or cannot make a link.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port cannot be listened on.
    #[error("127.0.0.1:{port} cannot be listened on")]
    Bind {
        /// The port that was asked for.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `server.json` cannot be written.
    #[error("the server cannot be announced")]
    Announce(#[source] AnnouncementError),
    /// There is no randomness for a token or a code.
    #[error("no token can be made")]
    Random(#[from] RandomError),
}

/// A running server. Dropped, it stops at once; [`shutdown`](Self::shutdown) is the polite way.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    announcement: Announcement,
    data_folder: Utf8PathBuf,
    _stop_on_drop: DropGuard,
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) guard: Guard,
    pub(crate) token: Token,
    pub(crate) call_slots: Arc<Semaphore>,
    pub(crate) stream_slots: Arc<Semaphore>,
    /// Owns the accepting loop, the calls that are going on, and the streams.
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    codes: Mutex<Codes>,
    address: SocketAddr,
}

impl Server {
    /// Listens on 127.0.0.1, tells the backend where its streams are, and announces itself in the data folder.
    pub async fn start(
        backend: impl Backend,
        data_folder: &Utf8Path,
        options: ServerOptions,
    ) -> Result<Self, ServerError> {
        let ServerOptions { port } = options;
        let bind_error = |source| ServerError::Bind { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        let shared = Arc::new(Shared {
            backend: Arc::new(backend),
            guard: Guard::new(address.port()),
            token: Token::fresh()?,
            call_slots: Arc::new(Semaphore::new(CALLS_MAX)),
            stream_slots: Arc::new(Semaphore::new(STREAMS_MAX)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            codes: Mutex::default(),
            address,
        });
        let announcement = Announcement {
            address: shared.address(),
            token: shared.token.clone(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        announcement.write(data_folder).map_err(ServerError::Announce)?;
        shared.backend.set_stream_origin(format!("ws://{address}"));
        shared.tasks.spawn(connections::serve(listener, router(shared.clone()), shared.stop.clone()));
        tracing::info!(%address, "serving");
        Ok(Self {
            _stop_on_drop: shared.stop.clone().drop_guard(),
            shared,
            announcement,
            data_folder: data_folder.to_owned(),
        })
    }

    /// Scheme, host and port: `http://127.0.0.1:4242`.
    pub fn address(&self) -> String {
        self.shared.address()
    }

    /// The address with a fresh one-time code in its fragment; good for one browser within ten minutes.
    pub fn link(&self) -> Result<String, ServerError> {
        Ok(self.shared.link()?)
    }

    /// Takes no more requests, says goodbye on every stream, and returns when all is quiet, or after five seconds.
    pub async fn shutdown(self) {
        self.announcement.remove(&self.data_folder);
        self.shared.stop.cancel();
        self.shared.tasks.close();
        if timeout(SHUTDOWN_TIME_MAX, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.shared.tasks.len(), "stopped in the middle of calls");
        }
    }
}

impl Shared {
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn link(&self) -> Result<String, RandomError> {
        let code = self.codes().issue(Instant::now())?;
        Ok(format!("{}/#code={}", self.address(), code.reveal()))
    }

    pub(crate) fn codes(&self) -> MutexGuard<'_, Codes> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("address", &self.address).finish_non_exhaustive()
    }
}
