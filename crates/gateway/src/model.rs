//! Model routes: what a provider's inference API is, who may call it, and what a call uses.
//!
//! ```text
//! /model/<route>/<path> ─▶ operation: the table of the provider's inference API
//!                       ─▶ credential: the placeholder, exactly, in the bound header; every other credential is taken out
//!                       ─▶ body, whole ─▶ usage::prepare ─▶ Ledger::credential ─▶ Ledger::begin
//!                       ─▶ the key in the placeholder's place ─▶ the provider ─▶ reply: key out, usage read
//! ```

mod body;
mod credential;
mod operation;
mod redact;
mod shape;

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN,
};
use hyper::http::request::Parts as Head;
use hyper::{Method, Request, Response, Uri, Version};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::denied::{Denied, Foreign};
use crate::headers::{strip_for_model, strip_hop_by_hop};
use crate::ledger::{Begun, ModelCall, Operation, Way};
use crate::open::Open;
use crate::passage::{Asked, Passage, Rules};
use crate::policy::{Host, NotPublic, Policy, Refusal, not_public};
use crate::reply::{Reading, Reply, Usage};
use crate::respond::Body;
use crate::route::Route;
use crate::serve::Gateway;
use crate::stop::Stop;
use crate::upstream::{Connector, UpstreamError, reason_of};
use crate::usage::{Certainty, Meter, Metered, Tokens};

use body::Sent;
pub(crate) use credential::TAKEN_OUT;
use credential::{Key, Presented};
use operation::Call;
pub(crate) use redact::Redactor;

/// Where routes are.
const PREFIX: &str = "/model/";

/// The route of a path and what is below it, still to be read; nothing where the path is no route's.
pub(crate) fn route_of<'a>(rules: &'a Rules, path: &str) -> Option<Result<(&'a Route, String), Denied>> {
    let (name, below) = path.strip_prefix(PREFIX)?.split_once('/')?;
    let route = rules.routes.iter().find(|route| route.name() == name).ok_or(Denied::NoRoute);
    Some(route.map(|route| (route, format!("/{below}"))))
}

/// Answers in the provider's own shape, whatever happens: the client's library shows its reason then.
pub(crate) async fn answer(
    gateway: &Gateway,
    passage: &Passage,
    rules: &Arc<Rules>,
    route: &Route,
    path: &str,
    request: Request<Incoming>,
    permit: OwnedSemaphorePermit,
) -> Response<Body> {
    let endpoint = route.endpoint();
    let asked = Asked { host: Some(endpoint.host.to_string()), port: Some(endpoint.port), ..Asked::of(&request) };
    let answered = exchange(gateway, passage, rules, route, path, request, permit).await;
    answered.unwrap_or_else(|stop| {
        let (status, reason) = stop.told(passage, &asked);
        shape::error(route.family(), status, &reason)
    })
}

async fn exchange(
    gateway: &Gateway,
    passage: &Passage,
    rules: &Rules,
    route: &Route,
    path: &str,
    request: Request<Incoming>,
    permit: OwnedSemaphorePermit,
) -> Result<Response<Body>, Stop> {
    if rules.policy == Policy::Closed {
        return Err(Denied::Policy(Refusal::Closed).into());
    }
    from_inside(request.headers())?;
    let call = Call::read(route.family(), request.method(), path, request.uri().query())?;
    let presented = Presented::read(route, request.headers(), call.key_in_query.as_deref())?;
    let (head, body) = request.into_parts();
    let is_plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !head.headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Err(Denied::Encoded.into());
    }
    let (body, share) = body::read(passage, &gateway.bounds, body, &head.headers).await?;
    let sent = Sent::prepare(route, &call, body).await?;
    let uri = call.uri(route)?;
    let key = presented.key(passage).await?;

    let begun = Begun {
        sandbox: passage.sandbox,
        host: route.endpoint().host.to_string(),
        port: route.endpoint().port,
        method: head.method.to_string(),
        path: crate::passage::shortened(head.uri.path()),
        way: Way::Model(sent.call.clone()),
        secret: key.as_ref().map(Key::named),
    };
    let mut open = Open::begin(passage, begun, permit).await?;
    // The body may have taken a minute to arrive, and the books their time.
    if !passage.still_has(route) {
        return Err(Stop::withdrawn(open, &Denied::Changed));
    }
    open.up.add(sent.body.len());
    open.stake(unread(&sent.call));

    let head = onward(head, uri, key.as_ref());
    let request = Request::from_parts(head, Full::new(sent.body.clone()));
    let connector = || Connector {
        dialer: gateway.dialer.clone(),
        endpoint: route.endpoint().clone(),
        owner: gateway.owner.clone(),
    };
    let client = passage.client(rules, route.endpoint(), connector);
    let replied = timeout(gateway.bounds.reply_time_max, client.request(request)).await;
    drop(share);
    let response = match replied {
        Ok(Ok(response)) if !response.status().is_informational() => response,
        Ok(Ok(_)) => {
            let error = std::io::Error::other("it wants to speak something else than HTTP").into();
            return Err(Stop::failed(open, &UpstreamError::NoReply(route.endpoint().host.clone(), error)));
        }
        Ok(Err(error)) => return Err(Stop::failed(open, &reason_of(error, &route.endpoint().host))),
        Err(_elapsed) => {
            return Err(Stop::failed(open, &UpstreamError::RepliedTooLate(route.endpoint().host.clone())));
        }
    };
    Ok(reply(gateway, response, open, &sent, key.as_ref()))
}

/// The head of a request as the provider gets it.
fn onward(mut head: Head, uri: Uri, key: Option<&Key>) -> Head {
    head.uri = uri;
    head.version = Version::HTTP_11;
    head.extensions.clear();
    strip_for_model(&mut head.headers);
    // A reply that is packed cannot be metered.
    head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if head.method == Method::GET {
        head.headers.remove(CONTENT_TYPE);
    }
    if let Some(key) = key {
        key.put(&mut head.headers);
    }
    head
}

fn reply(
    gateway: &Gateway,
    response: Response<Incoming>,
    mut open: Open,
    sent: &Sent,
    key: Option<&Key>,
) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let status = head.status.as_u16();
    open.answered(status);
    strip_hop_by_hop(&mut head.headers);
    head.version = Version::HTTP_11;
    head.extensions.clear();
    // What is taken out of a reply, or put in, changes its length.
    head.headers.remove(CONTENT_LENGTH);
    if let Some(key) = key {
        key.redact(&mut head.headers);
    }
    let is_packed = head.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    let is_event_stream = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream"));
    let usage = match (sent.call.operation, &sent.prepared) {
        (Operation::Inference(api), Some(prepared)) if !is_packed => {
            Usage::Read(Box::new(Meter::new(api, prepared, status, is_event_stream)))
        }
        (Operation::Inference(_) | Operation::Embeddings, _) if head.status.is_success() => {
            unread(&sent.call).map_or(Usage::None, Usage::Unread)
        }
        (Operation::Inference(_) | Operation::Embeddings | Operation::CountTokens | Operation::Models, _) => {
            Usage::None
        }
    };
    let reading = Reading::Model { redactor: key.map(Key::redactor), usage };
    Response::from_parts(head, Reply::body(body, open, reading, gateway.bounds.silence_time_max))
}

/// What is used is not known, but that something is.
fn unread(call: &ModelCall) -> Option<Metered> {
    call.demand.as_ref().map(|demand| Metered {
        model: demand.model.clone(),
        service_tier: demand.service_tier.clone(),
        tokens: Tokens::default(),
        certainty: Certainty::AtLeast,
    })
}

/// A route is on loopback inside, where a web page can reach it too: by a name that it makes resolve there, or by a request that a browser
/// sends without asking.
fn from_inside(headers: &HeaderMap) -> Result<(), Denied> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).and_then(|host| host.parse::<Uri>().ok());
    if !host.as_ref().and_then(Uri::host).is_some_and(is_this_machine) {
        return Err(Denied::Foreign(Foreign::Host));
    }
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|origin| url::Url::parse(origin).ok());
    // What is no URL (`null`) may be any page; another scheme is that of a program with a browser in it.
    let is_fine = origin.is_some_and(|origin| match origin.scheme() {
        "http" | "https" => origin.host_str().is_some_and(is_this_machine),
        _ => true,
    });
    if is_fine { Ok(()) } else { Err(Denied::Foreign(Foreign::Origin)) }
}

fn is_this_machine(host: &str) -> bool {
    match host.parse() {
        Ok(Host::Name(name)) => name == "localhost" || name.ends_with(".localhost"),
        Ok(Host::Address(address)) => not_public(address) == Some(NotPublic::Loopback),
        Err(_) => false,
    }
}
