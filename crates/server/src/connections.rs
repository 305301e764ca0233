//! Takes connections, no more than a bound, and gives each bounded time to say what it wants.
//!
//! `axum::serve` would do, but has no time limit for headers: a few hundred connections that never finish their first line
//! would keep everyone else out.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::server::GOODBYE_TIME_MAX;

/// How many connections there may be at once, WebSockets aside.
const CONNECTIONS_MAX: usize = 256;
/// How long a request's head may take, and how long a connection may idle between two.
const HEAD_TIME_MAX: Duration = Duration::from_secs(15);
/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// The most header fields in a request.
const HEAD_FIELDS_MAX: usize = 64;
/// How long to wait when there are no descriptors left to accept with.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until told to stop, then lets running requests finish for a moment.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    while let Some((socket, slot)) = stop.run_until_cancelled(accept(&listener, &slots)).await {
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(socket, router.clone(), stop.clone(), slot));
    }
    drop(listener);
    // Each connection ends by itself within a bound; see `connection`.
    while connections.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let slot = slots.clone().acquire_owned().await.expect("invariant: the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return (socket, slot),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, router: Router, stop: CancellationToken, slot: OwnedSemaphorePermit) {
    let _slot = slot;
    // Keys and echoes are small and must not wait for more.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY is not set");
    }
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEAD_FIELDS_MAX)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router))
        .with_upgrades();
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            timeout(GOODBYE_TIME_MAX, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}
