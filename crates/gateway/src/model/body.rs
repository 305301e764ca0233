//! The body of a request to a model, whole, and what it may use.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderMap};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::operation::Call;
use crate::bounds::{BODY_BYTES_MAX, Bounds};
use crate::denied::Denied;
use crate::ledger::{ModelCall, Operation};
use crate::passage::Passage;
use crate::route::Route;
use crate::usage::{self, Demand, Prepared, Unreadable};

/// Bodies up to that size are read on the runtime's own threads: it takes less than handing them over.
const READ_AT_ONCE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a body that are one token at the least, as in [`usage::prepare`].
const BYTES_PER_TOKEN: u64 = 3;

/// Reads a body whole, within the sandbox's share of what is held. The permit is that share.
pub(super) async fn read(
    passage: &Passage,
    bounds: &Bounds,
    mut body: Incoming,
    headers: &HeaderMap,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Denied> {
    // Refused before it is sent, where the client waits to be told.
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(Denied::TooLarge);
    }
    let mut held = None;
    let whole = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame.map_err(|_| Denied::BrokeOff)?.into_data() else { continue };
            if whole.len() + piece.len() > BODY_BYTES_MAX {
                return Err(Denied::TooLarge);
            }
            passage.hold(&mut held, whole.len() + piece.len())?;
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    };
    let whole = timeout(bounds.body_time_max, whole).await.map_err(|_elapsed| Denied::TooSlow)??;
    Ok((whole, held))
}

/// A request as it goes on.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) body: Bytes,
    pub(super) prepared: Option<Prepared>,
    pub(super) call: ModelCall,
}

impl Sent {
    pub(super) async fn prepare(route: &Route, call: &Call, body: Bytes) -> Result<Self, Denied> {
        let credential = route.credential().map(|credential| credential.kind).unwrap_or_default();
        let called =
            |demand| ModelCall { route: route.name().to_owned(), operation: call.operation, demand, credential };
        match call.operation {
            Operation::Inference(api) => {
                let path = call.path().to_owned();
                let prepared = off_the_runtime(body, move |body| usage::prepare(api, &path, body)).await?;
                let call = called(Some(prepared.demand()));
                Ok(Self { body: prepared.body.clone(), prepared: Some(prepared), call })
            }
            Operation::Embeddings => {
                let in_path = call.model_in_path();
                let input = body.len() as u64 / BYTES_PER_TOKEN + 1;
                let (model, body) = match in_path {
                    Some(model) => (model, body),
                    None => off_the_runtime(body, |body| Ok((named(body)?, body.clone()))).await?,
                };
                let demand = Demand {
                    model,
                    service_tier: None,
                    input_tokens_max: input,
                    output_tokens_max: Some(0),
                    answers: 1,
                };
                Ok(Self { body, prepared: None, call: called(Some(demand)) })
            }
            Operation::CountTokens => Ok(Self { body, prepared: None, call: called(None) }),
            // Asked for without a body; one that came all the same goes no further.
            Operation::Models => Ok(Self { body: Bytes::new(), prepared: None, call: called(None) }),
        }
    }
}

#[derive(Deserialize)]
struct Named {
    model: Option<String>,
}

fn named(body: &Bytes) -> Result<String, Unreadable> {
    let named: Named = serde_json::from_slice(body).map_err(Unreadable::NotAnObject)?;
    named.model.ok_or(Unreadable::NoModel)
}

async fn off_the_runtime<T: Send + 'static>(
    body: Bytes,
    read: impl FnOnce(&Bytes) -> Result<T, Unreadable> + Send + 'static,
) -> Result<T, Denied> {
    if body.len() <= READ_AT_ONCE_BYTES_MAX {
        return Ok(read(&body)?);
    }
    match tokio::task::spawn_blocking(move || read(&body)).await {
        Ok(outcome) => Ok(outcome?),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is being shut down.
            Err(_cancelled) => Err(Denied::BrokeOff),
        },
    }
}
