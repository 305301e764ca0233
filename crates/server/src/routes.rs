//! The routes. Each takes what it needs out of the request, asks the backend, and says what came.

use std::{sync::Arc, time::Instant};

use axum::{
    Json, Router,
    extract::{Query, State, WebSocketUpgrade, rejection::QueryRejection, ws::rejection::WebSocketUpgradeRejection},
    http::StatusCode,
    middleware::from_fn_with_state,
    response::Response,
    routing::{any, get, post},
};
use serde::Deserialize;
use wire::{
    ErrorCode, ErrorView, Request,
    session::{LinkReply, SessionReply, SessionRequest},
};

use crate::{
    archive,
    extract::{Bearer, Words},
    guard::guard,
    interface,
    refusal::Refusal,
    server::Shared,
    stream,
};

/// Where archives go out and come in.
pub(crate) const ARCHIVE_PATH: &str = "/api/archive";
/// Where streams are.
pub(crate) const STREAM_PATH: &str = "/api/stream";

/// The longest body of a call: a task with its files inline.
const CALL_BYTES_MAX: usize = 32 << 20;
/// The longest body that a caller without the token may send.
const SESSION_BYTES_MAX: usize = 1 << 10;

/// Query of the stream route.
#[derive(Deserialize)]
pub(crate) struct StreamQuery {
    pub(crate) ticket: String,
}

/// All routes behind the guard.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api/session", post(session))
        .route("/api/call", post(call))
        .route("/api/link", post(link))
        .route(STREAM_PATH, get(open_stream))
        .route(ARCHIVE_PATH, get(archive::export).post(archive::import))
        .route("/api", any(unknown))
        .route("/api/", any(unknown))
        .route("/api/{*rest}", any(unknown))
        .fallback(get(interface::serve))
        .layer(from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

async fn session(
    State(shared): State<Arc<Shared>>,
    Words(request): Words<SessionRequest, SESSION_BYTES_MAX>,
) -> Result<Json<SessionReply>, Refusal> {
    shared.codes().redeem(&request.code, Instant::now())?;
    Ok(Json(SessionReply { token: shared.token.reveal().to_owned() }))
}

async fn call(
    _: Bearer,
    State(shared): State<Arc<Shared>>,
    Words(request): Words<Request, CALL_BYTES_MAX>,
) -> Result<Json<serde_json::Value>, Refusal> {
    let slot = shared.call_slots.clone().try_acquire_owned().map_err(|_| Refusal::busy("calls"))?;
    let backend = shared.backend.clone();
    // A call that was taken is carried out, even if its caller hangs up in the middle of it.
    let answered = shared.tasks.spawn(async move {
        let _slot = slot;
        backend.dispatch(request).await
    });
    let fault = || ErrorView::new(ErrorCode::Internal, "Berth broke off in the middle of this call.");
    Ok(Json(answered.await.map_err(|_| fault())??))
}

async fn link(_: Bearer, State(shared): State<Arc<Shared>>) -> Result<Json<LinkReply>, Refusal> {
    Ok(Json(LinkReply { address: shared.address(), link: shared.link()? }))
}

async fn open_stream(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<StreamQuery>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let Query(query) = query.map_err(|_| Refusal::ticket())?;
    let upgrade = upgrade.map_err(|_| Refusal::malformed(StatusCode::UPGRADE_REQUIRED, "A stream is a WebSocket."))?;
    let slot = shared.stream_slots.clone().try_acquire_owned().map_err(|_| Refusal::busy("streams"))?;
    let target = shared.backend.redeem(&query.ticket).ok_or_else(Refusal::ticket)?;
    Ok(stream::answer(shared, upgrade, target, slot))
}

async fn unknown() -> Refusal {
    ErrorView::new(ErrorCode::NotFound, "There is no such call.").into()
}
