//! The far end of a model route: a server on loopback that answers each call of Anthropic's Messages API with a stream of as many
//! tokens as were asked for at most, as fast as it is read.
//!
//! What it deliberately is not: the scripted model of the tests, which speaks for three providers and never ships. It knows one
//! reply, and does nothing for a request but to read it, so that what is measured is the way there and back.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::BenchError;

/// The key that it wants; of nobody.
pub(super) const KEY: &str = "sk-ant-bench-of-nobody";
/// A model with a price, so that a reply is metered to the end.
pub(super) const MODEL: &str = "claude-sonnet-4-5";
/// At once; more wait.
const CONNECTIONS_MAX: usize = 256;
/// Of a request's head, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Of a request's body, in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Tokens that are written at once.
const PIECE_TOKENS: u64 = 256;

/// An event for each token, as Anthropic sends them. <https://docs.anthropic.com/en/docs/build-with-claude/streaming>
const TOKEN: &str = "event: content_block_delta\n\
                     data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" word\"}}\n\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const NO_KEY: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";

/// The server. It ends when it is dropped, and every connection with it.
pub(super) struct FarEnd {
    port: u16,
    _running: JoinSet<()>,
}

/// What a request asks for.
struct Asked {
    has_key: bool,
    tokens: u64,
}

impl FarEnd {
    /// A server on a free port of `127.0.0.1`.
    pub(super) async fn start() -> Result<Self, BenchError> {
        let failed = || BenchError::io("serving a model's replies");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed())?;
        let port = listener.local_addr().map_err(failed())?.port();
        let mut running = JoinSet::new();
        running.spawn(accept(listener));
        Ok(Self { port, _running: running })
    }

    /// Its port on loopback.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Its address, as a secret is bound to it.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn accept(listener: TcpListener) {
    let piece: Arc<[u8]> = chunk(&TOKEN.repeat(usize::try_from(PIECE_TOKENS).unwrap_or(1))).into();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        let Ok((stream, _)) = listener.accept().await else { return };
        let piece = piece.clone();
        connections.spawn(async move {
            // Who asked knows that it broke off.
            let _ended = converse(stream, &piece).await;
        });
    }
}

/// Answers one request after the other until the client hangs up.
async fn converse(mut stream: TcpStream, piece: &[u8]) -> io::Result<()> {
    // The first event must not wait for more.
    stream.set_nodelay(true)?;
    let mut waiting = Vec::new();
    while let Some(asked) = next(&mut stream, &mut waiting).await? {
        if !asked.has_key {
            stream.write_all(NO_KEY.as_bytes()).await?;
            continue;
        }
        let mut first = OK.as_bytes().to_vec();
        first.extend(chunk(&beginning()));
        stream.write_all(&first).await?;
        for _ in 0..asked.tokens / PIECE_TOKENS {
            stream.write_all(piece).await?;
        }
        let rest = usize::try_from(asked.tokens % PIECE_TOKENS).unwrap_or(0);
        let mut last = chunk(&(TOKEN.repeat(rest) + &end(asked.tokens)));
        last.extend(b"0\r\n\r\n");
        stream.write_all(&last).await?;
    }
    Ok(())
}

/// The next request, whole; `None` where the client has hung up. What came beyond it stays in `waiting`.
async fn next(stream: &mut TcpStream, waiting: &mut Vec<u8>) -> io::Result<Option<Asked>> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidData, "a request is too long");
    let head_end = loop {
        if let Some(at) = waiting.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if waiting.len() > HEAD_BYTES_MAX {
            return Err(too_long());
        }
        if stream.read_buf(waiting).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&waiting[..head_end]).into_owned();
    let length = field(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0_usize);
    if length > BODY_BYTES_MAX {
        return Err(too_long());
    }
    while waiting.len() < head_end + length {
        if stream.read_buf(waiting).await? == 0 {
            return Ok(None);
        }
    }
    let body: Value = serde_json::from_slice(&waiting[head_end..head_end + length]).unwrap_or_default();
    waiting.drain(..head_end + length);
    let has_key = field(&head, "x-api-key") == Some(KEY);
    Ok(Some(Asked { has_key, tokens: body["max_tokens"].as_u64().unwrap_or(0) }))
}

fn field<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
}

fn beginning() -> String {
    format!(
        "event: message_start\n\
         data: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\
         \"model\":\"{MODEL}\",\"content\":[],\"stop_reason\":null,\"usage\":{{\"input_tokens\":1,\"output_tokens\":1}}}}}}\n\n\
         event: content_block_start\n\
         data: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}\n\n"
    )
}

fn end(tokens: u64) -> String {
    format!(
        "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":0}}\n\n\
         event: message_delta\n\
         data: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"max_tokens\"}},\"usage\":{{\"output_tokens\":{tokens}}}}}\n\n\
         event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
    )
}

/// A piece of a body (RFC 9112, section 7.1).
fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// How long a reply of so many tokens is at least, in bytes.
pub(super) fn reply_bytes_min(tokens: u64) -> u64 {
    tokens * TOKEN.len() as u64
}
