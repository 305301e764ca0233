//! What a handler asks of a request before it runs: the token, then a body of bounded size that came in bounded time.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{HttpBody, to_bytes},
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;

use crate::{refusal::Refusal, server::Shared};

/// How long a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// Proof that the caller sent the token.
pub(crate) struct Bearer;

/// A JSON body of at most that many bytes.
///
/// It must call itself `application/json`: a page of another site cannot send that without asking first, and nobody answers.
pub(crate) struct Words<T, const BYTES_MAX: usize>(pub(crate) T);

impl FromRequestParts<Arc<Shared>> for Bearer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let presented = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match presented.and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) if shared.token.matches(token) => Ok(Self),
            Some(_) | None => Err(Refusal::unauthorized()),
        }
    }
}

impl<T: DeserializeOwned, const BYTES_MAX: usize> FromRequest<Arc<Shared>> for Words<T, BYTES_MAX> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _shared: &Arc<Shared>) -> Result<Self, Refusal> {
        if !is_json(request.headers()) {
            let message = "The body must be application/json.";
            return Err(Refusal::malformed(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let body = request.into_body();
        let too_long = || {
            let message = format!("The body is longer than {BYTES_MAX} bytes, or broke off.");
            Refusal::malformed(StatusCode::PAYLOAD_TOO_LARGE, message)
        };
        // What it says of its length is enough to refuse it.
        if body.size_hint().lower() > BYTES_MAX as u64 {
            return Err(too_long());
        }
        let bytes = match tokio::time::timeout(BODY_TIME_MAX, to_bytes(body, BYTES_MAX)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(_)) => return Err(too_long()),
            Err(_) => {
                return Err(Refusal::malformed(StatusCode::REQUEST_TIMEOUT, "The body took too long to arrive."));
            }
        };
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Refusal::malformed(StatusCode::BAD_REQUEST, format!("The body makes no sense: {error}.")))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}
