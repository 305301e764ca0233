//! Archives of homes: out as a file to be saved, in as the body of a request. Chunk by chunk, as fast as the slower side.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, BodyDataStream},
    extract::{Query, Request, State, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use berth_core::{Download, Stream, Upload};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::timeout;
use wire::{ErrorCode, ErrorView, call::HomeImported, stream::StreamTarget};

use crate::{refusal::Refusal, routes::StreamQuery, server::Shared, stream::is_archive};

/// How long a sender may be silent in the middle of an archive.
const SILENCE_MAX: Duration = Duration::from_mins(2);

/// How long what is still to come of an archive is read over after the answer: until the sender has heard it.
const LINGER_MAX: Duration = Duration::from_secs(10);

type Asked = Result<Query<StreamQuery>, QueryRejection>;

/// What a ticket is for; one for a WebSocket is used up all the same.
fn target(shared: &Shared, query: Asked) -> Result<StreamTarget, Refusal> {
    let Query(query) = query.map_err(|_| Refusal::ticket())?;
    shared.backend.redeem(&query.ticket).filter(is_archive).ok_or_else(Refusal::ticket)
}

fn other_way() -> Refusal {
    let message = "This archive goes the other way.";
    Refusal::malformed(StatusCode::METHOD_NOT_ALLOWED, message)
}

/// `GET /api/archive?ticket=…`
pub(crate) async fn export(State(shared): State<Arc<Shared>>, query: Asked) -> Result<Response, Refusal> {
    let slot = shared.stream_slots.clone().try_acquire_owned().map_err(|_| Refusal::busy("archives"))?;
    let target = target(&shared, query)?;
    if !matches!(target, StreamTarget::ExportHome { .. }) {
        return Err(other_way());
    }
    let Stream::Download(Download { file_name, mut chunks }) = shared.backend.open_stream(target).await? else {
        return Err(other_way());
    };
    // What cannot even begin is an answer and no broken file.
    let first = chunks.recv().await.unwrap_or_else(|| Err(broken()))?;
    let state = Some((first, chunks, slot));
    let body = futures::stream::unfold(state, |state| async move {
        let (chunk, mut chunks, slot) = state?;
        // The empty chunk is the end: without it the file is not whole, and its taker must see that.
        if chunk.is_empty() {
            return None;
        }
        match chunks.recv().await.unwrap_or_else(|| Err(broken())) {
            Ok(next) => Some((Ok(chunk), Some((next, chunks, slot)))),
            Err(error) => {
                tracing::warn!(error = %error.message, "an archive broke off");
                Some((Err(io::Error::other(error.message)), None))
            }
        }
    });
    let mut response = Body::from_stream(body.map(|chunk: io::Result<Bytes>| chunk)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    let plain: String = file_name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).collect();
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{plain}\""));
    headers.insert(header::CONTENT_DISPOSITION, disposition.expect("invariant: letters, digits, dashes and dots"));
    Ok(response)
}

/// `POST /api/archive?ticket=…` with the archive as its body.
pub(crate) async fn import(
    State(shared): State<Arc<Shared>>,
    query: Asked,
    request: Request,
) -> Result<Json<HomeImported>, Refusal> {
    let mut body: BodyDataStream = request.into_body().into_data_stream();
    let imported = take_in(&shared, query, &mut body).await;
    // A connection that is closed on what nobody has read is reset, and the sender would not hear the answer (RFC 9112, section 9.6).
    let stop = shared.stop.clone();
    shared.tasks.spawn(async move {
        let rest = async { while body.next().await.is_some_and(|chunk| chunk.is_ok()) {} };
        // Whoever goes on sending for longer than that hears nothing.
        let _heard = stop.run_until_cancelled(timeout(LINGER_MAX, rest)).await;
    });
    imported.map(Json)
}

async fn take_in(shared: &Shared, query: Asked, body: &mut BodyDataStream) -> Result<HomeImported, Refusal> {
    let _slot = shared.stream_slots.clone().try_acquire_owned().map_err(|_| Refusal::busy("archives"))?;
    let target = target(shared, query)?;
    if !matches!(target, StreamTarget::ImportHome { .. }) {
        return Err(other_way());
    }
    let Stream::Upload(Upload { chunks, mut done }) = shared.backend.open_stream(target).await? else {
        return Err(other_way());
    };
    let sending = async {
        loop {
            let chunk = match timeout(SILENCE_MAX, body.next()).await {
                Ok(Some(Ok(chunk))) => Ok(chunk),
                Ok(Some(Err(error))) => Err(io::Error::other(error)),
                Ok(None) => return,
                Err(_elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, "the sender is silent")),
            };
            let is_over = chunk.is_err();
            if chunks.send(chunk).await.is_err() || is_over {
                return;
            }
        }
    };
    // An archive that is refused is refused at once, however much of it is still to come.
    let early = tokio::select! {
        () = sending => None,
        done = &mut done => Some(done),
    };
    drop(chunks);
    let done = match early {
        Some(done) => done,
        None => done.await,
    };
    Ok(done.unwrap_or_else(|_| Err(broken()))?)
}

fn broken() -> ErrorView {
    ErrorView::new(ErrorCode::Internal, "Berth broke off in the middle of this archive.").hint("Try again.")
}
