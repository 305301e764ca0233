//! Connections, faults and the providers' errors.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri,
    body::{Frame, Incoming},
    header::{CONTENT_TYPE, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    Act, ModelFault, ModelScript, REQUESTS_KEPT_MAX, Reply, SeenRequest, Shared, Turn, anthropic, chat, gemini,
    request::{Endpoint, Protocol, Provider, endpoint, model, results_of_tools},
    responses, tools,
};

/// At once; more wait.
const CONNECTIONS_MAX: usize = 256;
/// Of a request. Bytes.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Within this a request's head must have come.
const HEAD_BOUND: Duration = Duration::from_secs(30);
/// Between what is still sent and the end of a connection that breaks: hyper throws away what it has not written by then.
const CUT_PAUSE: Duration = Duration::from_millis(50);

/// In which headers clients send a key.
const CREDENTIALS: [&str; 5] = ["authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie"];

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A reply before it is sent.
struct Answer {
    status: StatusCode,
    content_type: &'static str,
    retry_after: Option<Duration>,
    pieces: Vec<Bytes>,
}

/// Takes connections until it is dropped, and all of them with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        let Ok((stream, _)) = listener.accept().await else { return };
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, shared.clone()));
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD_BOUND);
            // How it ended, the client knows.
            let _ended = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null),
        Err(_) => Value::Null,
    };
    let had_expected_key = has_key(&parts.headers, &parts.uri, &shared.expected_key);
    let (script, answer) = decide(&shared, &parts.uri, &parts.headers, &body, had_expected_key);
    {
        let mut state = shared.state();
        if state.requests.len() < REQUESTS_KEPT_MAX {
            state.requests.push(SeenRequest {
                method: parts.method.to_string(),
                path: parts.uri.path().to_owned(),
                headers: without_credentials(&parts.headers, &shared.expected_key),
                had_expected_key,
                body,
                status: answer.status.as_u16(),
            });
        }
    }
    if let Some(ModelFault::SlowFirstByte(pause)) = script.fault {
        tokio::time::sleep(pause).await;
    }
    Ok(response(answer, script.fault))
}

/// What to answer, by the script as it is now.
fn decide(shared: &Shared, uri: &Uri, headers: &HeaderMap, body: &Value, had_key: bool) -> (ModelScript, Answer) {
    let (provider, endpoint) = endpoint(uri);
    let mut state = shared.state();
    let script = state.script.clone();
    if !had_key {
        return (script, refusal(provider, StatusCode::UNAUTHORIZED, None));
    }
    let protocol = match endpoint {
        Endpoint::Call(protocol) => protocol,
        Endpoint::Models => return (script, document(&models(provider))),
        Endpoint::CountTokens => {
            let count = script.usage.tool_turn.input;
            return (script, document(&json!({"input_tokens": count, "totalTokens": count})));
        }
        Endpoint::Nothing => return (script, refusal(provider, StatusCode::NOT_FOUND, None)),
    };
    if let Some(ModelFault::Status { status, retry_after, .. }) = script.fault
        && state.failures_left > 0
    {
        state.failures_left -= 1;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return (script, refusal(provider, status, retry_after));
    }
    state.calls += 1;
    let number = state.calls;
    drop(state);
    let turn = match script.act {
        Act::Echo => Turn::Say(echo(headers)),
        Act::WriteFile { .. } | Act::Loop { .. } | Act::RunLong { .. } | Act::Ask { .. } => {
            tools::turn(&script.act, protocol, body, results_of_tools(protocol, body), number)
        }
    };
    let usage = match turn {
        Turn::Call(_) => script.usage.tool_turn,
        Turn::Say(_) => script.usage.last_turn,
    };
    let model = script.answers_as.clone().unwrap_or_else(|| model(protocol, uri, body));
    let answer = said(protocol, body, &Reply { number, model: &model, turn: &turn, usage });
    (script, answer)
}

fn said(protocol: Protocol, body: &Value, reply: &Reply<'_>) -> Answer {
    let is_stream = body["stream"] == true;
    match protocol {
        Protocol::AnthropicMessages if is_stream => events(anthropic::stream(reply)),
        Protocol::AnthropicMessages => document(&anthropic::document(reply)),
        Protocol::OpenAiChat if is_stream => {
            let is_asked = body["stream_options"]["include_usage"] == true;
            events(chat::stream(reply, if is_asked { chat::Counts::Yes } else { chat::Counts::No }))
        }
        Protocol::OpenAiChat => document(&chat::document(reply)),
        Protocol::OpenAiResponses if is_stream => events(responses::stream(reply)),
        Protocol::OpenAiResponses => document(&responses::document(reply)),
        Protocol::GeminiGenerate => document(&gemini::document(reply)),
        Protocol::GeminiStream { as_events: true } => events(gemini::events(reply)),
        Protocol::GeminiStream { as_events: false } => {
            Answer { content_type: "application/json", ..events(gemini::array(reply)) }
        }
    }
}

fn events(pieces: Vec<Bytes>) -> Answer {
    Answer { status: StatusCode::OK, content_type: "text/event-stream", retry_after: None, pieces }
}

fn document(json: &Value) -> Answer {
    Answer { content_type: "application/json", ..events(vec![json.to_string().into()]) }
}

/// An error as the provider words it.
fn refusal(provider: Provider, status: StatusCode, retry_after: Option<Duration>) -> Answer {
    let code = status.as_u16();
    let message = match code {
        // By these words clients tell it from other requests that are not valid.
        401 if matches!(provider, Provider::OpenAi) => "Incorrect API key provided",
        401 => "the key is not valid",
        404 => "there is nothing here",
        429 => "too many requests",
        529 => "overloaded",
        _ => "it failed, as the script says",
    };
    let body = match provider {
        Provider::Anthropic => {
            let kind = match code {
                401 => "authentication_error",
                404 => "not_found_error",
                429 => "rate_limit_error",
                529 => "overloaded_error",
                _ => "api_error",
            };
            json!({"type": "error", "error": {"type": kind, "message": message}})
        }
        Provider::OpenAi => {
            let (kind, name) = match code {
                401 => ("invalid_request_error", "invalid_api_key"),
                404 => ("invalid_request_error", "not_found"),
                429 => ("requests", "rate_limit_exceeded"),
                _ => ("server_error", "server_error"),
            };
            json!({"error": {"message": message, "type": kind, "param": null, "code": name}})
        }
        Provider::Gemini => {
            let name = match code {
                401 => "UNAUTHENTICATED",
                404 => "NOT_FOUND",
                429 => "RESOURCE_EXHAUSTED",
                503 | 529 => "UNAVAILABLE",
                _ => "INTERNAL",
            };
            json!({"error": {"code": code, "message": message, "status": name}})
        }
    };
    Answer { status, retry_after, ..document(&body) }
}

fn models(provider: Provider) -> Value {
    match provider {
        Provider::Gemini => json!({"models": [{"name": "models/gemini-2.5-flash"}]}),
        // Either takes the other's.
        Provider::Anthropic | Provider::OpenAi => json!({"object": "list", "has_more": false, "data": [
            {"id": "claude-sonnet-4-5", "type": "model", "object": "model", "owned_by": "script"},
            {"id": "gpt-5", "type": "model", "object": "model", "owned_by": "script"},
        ]}),
    }
}

/// Sends an answer, as slowly and as far as the fault says.
fn response(answer: Answer, fault: Option<ModelFault>) -> Response<Body> {
    let Answer { status, content_type, retry_after, pieces } = answer;
    let body = match fault {
        Some(ModelFault::CutAfter { bytes }) => cut(&pieces.concat(), bytes),
        Some(ModelFault::SlowStream(pause)) => {
            let pieces = stream::iter(pieces).then(move |piece| async move {
                tokio::time::sleep(pause).await;
                Ok(Frame::data(piece))
            });
            BodyExt::boxed_unsync(StreamBody::new(pieces))
        }
        Some(ModelFault::Status { .. } | ModelFault::SlowFirstByte(_)) | None if content_type == "application/json" => {
            Full::new(pieces.concat().into()).map_err(|never| match never {}).boxed_unsync()
        }
        Some(ModelFault::Status { .. } | ModelFault::SlowFirstByte(_)) | None => {
            BodyExt::boxed_unsync(StreamBody::new(stream::iter(pieces).map(|piece| Ok(Frame::data(piece)))))
        }
    };
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, content_type);
    if let Some(pause) = retry_after {
        response = response.header(RETRY_AFTER, pause.as_secs());
    }
    response.body(body).expect("invariant: every header is well formed")
}

/// The beginning of a body, behind which the connection breaks; the whole of it, in order, if it is shorter.
fn cut(body: &[u8], bytes: usize) -> Body {
    let sent = Bytes::copy_from_slice(&body[..bytes.min(body.len())]);
    let broken = stream::iter((bytes < body.len()).then_some(())).then(|()| async {
        tokio::time::sleep(CUT_PAUSE).await;
        Err(io::Error::other("cut, as the script says"))
    });
    BodyExt::boxed_unsync(StreamBody::new(stream::iter([Ok(Frame::data(sent))]).chain(broken)))
}

fn has_key(headers: &HeaderMap, uri: &Uri, key: &str) -> bool {
    let in_header = |name: &str| headers.get(name).is_some_and(|value| value.as_bytes() == key.as_bytes());
    let bearer =
        headers.get("authorization").is_some_and(|value| value.as_bytes() == format!("Bearer {key}").as_bytes());
    let in_query = uri.query().is_some_and(|query| query.split('&').any(|pair| pair.strip_prefix("key=") == Some(key)));
    bearer || in_query || ["x-api-key", "x-goog-api-key", "api-key"].into_iter().any(in_header)
}

fn without_credentials(headers: &HeaderMap, key: &str) -> Vec<(String, String)> {
    let seen = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let is_credential = CREDENTIALS.contains(&name.as_str()) || (!key.is_empty() && value.contains(key));
        (name.to_string(), if is_credential { "(a credential)".to_owned() } else { value })
    });
    seen.collect()
}

/// Every header as it came.
fn echo(headers: &HeaderMap) -> String {
    let lines = headers.iter().map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    lines.collect()
}
