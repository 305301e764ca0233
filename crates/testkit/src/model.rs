//! A model server on loopback that does as it is told.
//!
//! It speaks as Anthropic (`/v1/messages`), OpenAI (`/v1/chat/completions`, `/v1/responses`) and Gemini
//! (`:generateContent`, `:streamGenerateContent`) do, streamed or not, well enough for the real command lines: in its first turn it
//! calls the client's own tool, whose schema it reads from the request, and after the tool's result it says that it is done.
//!
//! What it says that was used is fixed by its script, so that a test can compare sums to the token. It checks the key and remembers
//! every request, but never a credential.
//!
//! What it deliberately is not: a model, a check of what clients send, or a TLS server.

mod anthropic;
mod chat;
mod gemini;
mod request;
mod responses;
mod serve;
#[cfg(test)]
mod tests;
mod tools;

use std::{
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

/// No more requests than this are remembered; later ones are answered all the same.
pub(crate) const REQUESTS_KEPT_MAX: usize = 10_000;

/// What a model server does.
#[derive(Clone, Debug)]
pub struct ModelScript {
    /// What it has the client do.
    pub act: Act,
    /// What goes wrong.
    pub fault: Option<ModelFault>,
    /// What it says that was used.
    pub usage: ModelUsage,
    /// The model that its replies name; the one that was asked for where it is `None`.
    pub answers_as: Option<String>,
}

/// What a model server has a client do.
#[derive(Clone, Debug)]
pub enum Act {
    /// To write a file by the client's own tool, then it is done.
    WriteFile {
        /// Where, as the tool takes it.
        path: String,
        /// What.
        content: String,
    },
    /// To call a tool so many times, one call a turn.
    Loop {
        /// How many times.
        turns: usize,
    },
    /// To run a command for so long, then it is done.
    RunLong {
        /// How long.
        seconds: u32,
    },
    /// To answer a question; it calls no tool.
    Ask {
        /// The question.
        question: String,
    },
    /// Nothing: it says which headers the request had, credentials included.
    Echo,
}

/// What goes wrong with a model server's replies.
#[derive(Clone, Copy, Debug)]
pub enum ModelFault {
    /// The next calls get that status, in the provider's own words; then it goes on.
    Status {
        /// `429`, `500`, `529` or any.
        status: u16,
        /// How many calls.
        times: usize,
        /// What `retry-after` says.
        retry_after: Option<Duration>,
    },
    /// The connection breaks after so many bytes of every reply's body.
    CutAfter {
        /// How many.
        bytes: usize,
    },
    /// No reply begins before so long.
    SlowFirstByte(Duration),
    /// So long between the pieces of a reply.
    SlowStream(Duration),
}

/// What a model server says that calls used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelUsage {
    /// A call that ends in the call of a tool.
    pub tool_turn: CallUsage,
    /// Any other.
    pub last_turn: CallUsage,
}

/// What one call used, in tokens, each counted once. Every provider says it in its own words: OpenAI's and Gemini's input includes
/// what came from a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallUsage {
    /// Read anew.
    pub input: u64,
    /// Read from a cache.
    pub cache_read: u64,
    /// Written to a cache. Anthropic alone says so.
    pub cache_write: u64,
    /// Made.
    pub output: u64,
    /// Of `output`, what was thought. Anthropic does not say so.
    pub reasoning: u64,
}

/// A request that a model server got.
#[derive(Clone, Debug)]
pub struct SeenRequest {
    /// `POST`, mostly.
    pub method: String,
    /// Without its query.
    pub path: String,
    /// Its headers in order, the values of credentials left out.
    pub headers: Vec<(String, String)>,
    /// Whether it had the key that is expected.
    pub had_expected_key: bool,
    /// Its body; `null` where it is no JSON.
    pub body: Value,
    /// What it got.
    pub status: u16,
}

/// A model server on loopback; see the module. It ends when it is dropped.
pub struct ModelServer {
    port: u16,
    shared: Arc<Shared>,
    /// What answers; ended with it.
    _running: JoinSet<()>,
}

/// What the server and its connections have in common.
struct Shared {
    expected_key: String,
    state: Mutex<State>,
}

struct State {
    script: ModelScript,
    /// How many calls are still to fail.
    failures_left: usize,
    /// How many calls there were.
    calls: usize,
    requests: Vec<SeenRequest>,
}

/// What a model does in a turn.
#[derive(Clone, Debug, PartialEq)]
enum Turn {
    /// It says something, and that is the end of it.
    Say(String),
    /// It calls a tool.
    Call(ToolCall),
}

/// A call of a client's tool.
#[derive(Clone, Debug, PartialEq)]
struct ToolCall {
    id: String,
    name: String,
    /// The group that the tool belongs to, where the request groups tools.
    namespace: Option<String>,
    input: ToolInput,
}

#[derive(Clone, Debug, PartialEq)]
enum ToolInput {
    /// By the tool's schema.
    Arguments(Value),
    /// OpenAI's custom tools take text.
    Text(String),
}

/// A turn as it is sent.
struct Reply<'a> {
    /// The number of the call, for ids.
    number: usize,
    model: &'a str,
    turn: &'a Turn,
    usage: CallUsage,
}

impl Default for ModelUsage {
    fn default() -> Self {
        let tool_turn = CallUsage { input: 1234, cache_read: 500, cache_write: 100, output: 56, reasoning: 10 };
        Self { tool_turn, last_turn: CallUsage { input: 2345, output: 67, ..tool_turn } }
    }
}

impl ModelScript {
    /// A script without a fault.
    pub fn new(act: Act) -> Self {
        Self { act, fault: None, usage: ModelUsage::default(), answers_as: None }
    }

    /// With that fault.
    #[must_use]
    pub fn with_fault(self, fault: ModelFault) -> Self {
        Self { fault: Some(fault), ..self }
    }

    /// With that usage.
    #[must_use]
    pub fn with_usage(self, usage: ModelUsage) -> Self {
        Self { usage, ..self }
    }

    /// Whose replies name that model.
    #[must_use]
    pub fn answering_as(self, model: &str) -> Self {
        Self { answers_as: Some(model.to_owned()), ..self }
    }

    fn failures(&self) -> usize {
        match self.fault {
            Some(ModelFault::Status { times, .. }) => times,
            Some(ModelFault::CutAfter { .. } | ModelFault::SlowFirstByte(_) | ModelFault::SlowStream(_)) | None => 0,
        }
    }
}

impl ModelServer {
    /// A server on a free port of `127.0.0.1` that takes calls with that key alone.
    pub async fn start(expected_key: &str, script: ModelScript) -> io::Result<Self> {
        Self::start_at(0, expected_key, script).await
    }

    /// A server on that port.
    pub async fn start_at(port: u16, expected_key: &str, script: ModelScript) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let state = State { failures_left: script.failures(), script, calls: 0, requests: Vec::new() };
        let shared = Arc::new(Shared { expected_key: expected_key.to_owned(), state: Mutex::new(state) });
        let mut running = JoinSet::new();
        running.spawn(serve::accept(listener, shared.clone()));
        Ok(Self { port, shared, _running: running })
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is, as clients take a base URL: `http://127.0.0.1:PORT`, to which OpenAI's clients add `/v1`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every request so far, in the order in which they were answered.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared.state().requests.clone()
    }

    /// Does something else from the next call on.
    pub fn set_script(&self, script: ModelScript) {
        let mut state = self.shared.state();
        state.failures_left = script.failures();
        state.script = script;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Text in pieces, as a stream brings it.
fn in_pieces(text: &str) -> Vec<String> {
    /// Characters.
    const PIECE: usize = 24;
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(PIECE).map(|piece| piece.iter().collect()).collect()
}

/// A server-sent event with a name.
fn named_event(event: &Value) -> Bytes {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or("message")).into()
}

/// A server-sent event without one.
fn event(event: &Value) -> Bytes {
    format!("data: {event}\n\n").into()
}
