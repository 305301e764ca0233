//! Pumps frames between a WebSocket and the app, and does nothing else: flow control is the app's, drawing the skin's.
//!
//! Both directions run side by side, so that a full one never stops the other: an ack that waits behind keys would
//! otherwise wait for the very output that waits for it. A stream ends when either side does, when the peer is silent for a
//! minute (it is pinged), when a frame cannot be sent for half a minute, or when the server stops.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code},
    },
    response::Response,
};
use berth_core::{Stream, Terminal};
use bytes::Bytes;
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, interval_at, timeout},
};
use wire::{
    ErrorView,
    stream::{CLOSE_REFUSED, FRAME_BYTES_MAX, StreamTarget, TerminalInput, TerminalOutput, Update},
};

use crate::server::Shared;

/// How often the peer is pinged.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long the peer may be silent, pongs included.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// How long one frame may take to be sent.
const SEND_TIME_MAX: Duration = Duration::from_secs(30);
/// What precedes the bytes in an output frame: the tag and the offset.
const OUTPUT_HEAD_BYTES: usize = 9;
/// The longest reason in a close frame (RFC 6455, 5.5: 125 bytes with the code).
const CLOSE_REASON_BYTES_MAX: usize = 123;

type Sink = SplitSink<WebSocket, Message>;
type Source = SplitStream<WebSocket>;

/// How a WebSocket ends.
struct Close {
    code: u16,
    reason: String,
}

/// The peer is gone, or as good as gone: there is nobody to say goodbye to.
struct Gone;

impl Close {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// Answers a redeemed ticket with the stream.
pub(crate) fn answer(
    shared: Arc<Shared>,
    upgrade: WebSocketUpgrade,
    target: StreamTarget,
    slot: OwnedSemaphorePermit,
) -> Response {
    let tasks = shared.tasks.clone();
    upgrade
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        // Every frame is flushed by itself: an echo does not wait for company.
        .write_buffer_size(0)
        .max_write_buffer_size(2 * FRAME_BYTES_MAX)
        .on_upgrade(move |socket| {
            tasks.track_future(async move {
                let _slot = slot;
                serve(&shared, socket, target).await;
            })
        })
}

async fn serve(shared: &Shared, socket: WebSocket, target: StreamTarget) {
    let is_terminal = match &target {
        StreamTarget::Updates | StreamTarget::ExportHome { .. } | StreamTarget::ImportHome { .. } => false,
        StreamTarget::Output { .. } | StreamTarget::Shell { .. } => true,
    };
    let (mut sink, mut source) = socket.split();
    let pumped = tokio::select! {
        pumped = open_and_pump(shared, target, is_terminal, &mut sink, &mut source) => pumped,
        () = shared.stop.cancelled() => Ok(Close::new(close_code::AWAY, "Berth stops.")),
    };
    if let Ok(close) = pumped {
        goodbye(sink, source, close).await;
    }
}

async fn open_and_pump(
    shared: &Shared,
    target: StreamTarget,
    is_terminal: bool,
    sink: &mut Sink,
    source: &mut Source,
) -> Result<Close, Gone> {
    if is_archive(&target) {
        return Ok(Close::new(CLOSE_REFUSED, "An archive is no WebSocket: it goes through /api/archive."));
    }
    match shared.backend.open_stream(target).await {
        Ok(Stream::Updates(updates)) => tokio::select! {
            ended = send_updates(sink, updates) => ended,
            ended = ignore_input(source) => ended,
        },
        Ok(Stream::Terminal(Terminal { output, input })) => tokio::select! {
            ended = send_output(sink, output) => ended,
            ended = receive_input(source, input) => ended,
        },
        Ok(Stream::Download(_) | Stream::Upload(_)) => Ok(Close::new(CLOSE_REFUSED, "This is no stream of frames.")),
        Err(error) => {
            if is_terminal {
                send(sink, binary(&TerminalOutput::End { reason: words(&error) })).await?;
            }
            Ok(Close::new(CLOSE_REFUSED, words(&error)))
        }
    }
}

/// Whether a ticket is for an archive, which is one request and no WebSocket.
pub(crate) fn is_archive(target: &StreamTarget) -> bool {
    match target {
        StreamTarget::ExportHome { .. } | StreamTarget::ImportHome { .. } => true,
        StreamTarget::Updates | StreamTarget::Output { .. } | StreamTarget::Shell { .. } => false,
    }
}

async fn send_updates(sink: &mut Sink, mut updates: mpsc::Receiver<Update>) -> Result<Close, Gone> {
    let mut pings = pings();
    loop {
        let message = tokio::select! {
            update = updates.recv() => match update.map(|update| serde_json::to_string(&update)) {
                Some(Ok(json)) => Message::Text(json.into()),
                Some(Err(error)) => return Ok(Close::new(close_code::ERROR, error.to_string())),
                None => return Ok(Close::new(close_code::NORMAL, "")),
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        send(sink, message).await?;
    }
}

async fn send_output(sink: &mut Sink, mut output: mpsc::Receiver<TerminalOutput>) -> Result<Close, Gone> {
    let mut pings = pings();
    loop {
        tokio::select! {
            frame = output.recv() => match frame {
                Some(TerminalOutput::Output { offset, bytes }) => send_bytes(sink, offset, bytes).await?,
                Some(frame @ (TerminalOutput::Gap { .. } | TerminalOutput::Live | TerminalOutput::End { .. })) => {
                    send(sink, binary(&frame)).await?;
                }
                None => return Ok(Close::new(close_code::NORMAL, "")),
            },
            _ = pings.tick() => send(sink, Message::Ping(Bytes::new())).await?,
        }
    }
}

/// Sends output in frames that the peer takes.
async fn send_bytes(sink: &mut Sink, mut offset: u64, mut bytes: Bytes) -> Result<(), Gone> {
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(FRAME_BYTES_MAX - OUTPUT_HEAD_BYTES));
        let length = piece.len() as u64;
        send(sink, binary(&TerminalOutput::Output { offset, bytes: piece })).await?;
        offset += length;
    }
    Ok(())
}

async fn receive_input(source: &mut Source, input: mpsc::Sender<TerminalInput>) -> Result<Close, Gone> {
    loop {
        match receive(source).await? {
            Message::Binary(frame) => match TerminalInput::decode(&frame) {
                // A shell that reads no more ends by its output; what is typed until then goes nowhere.
                Ok(frame) => drop(input.send(frame).await),
                Err(error) => return Ok(Close::new(close_code::INVALID, error.to_string())),
            },
            Message::Text(_) => return Ok(Close::new(close_code::UNSUPPORTED, "terminals speak binary frames")),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return Ok(Close::new(close_code::NORMAL, "")),
        }
    }
}

async fn ignore_input(source: &mut Source) -> Result<Close, Gone> {
    loop {
        match receive(source).await? {
            Message::Close(_) => return Ok(Close::new(close_code::NORMAL, "")),
            Message::Text(_) | Message::Binary(_) => {
                return Ok(Close::new(close_code::UNSUPPORTED, "nothing is read from this stream"));
            }
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
}

async fn receive(source: &mut Source) -> Result<Message, Gone> {
    match timeout(SILENCE_MAX, source.next()).await {
        Ok(Some(Ok(message))) => Ok(message),
        Ok(Some(Err(_)) | None) | Err(_) => Err(Gone),
    }
}

async fn send(sink: &mut Sink, message: Message) -> Result<(), Gone> {
    match timeout(SEND_TIME_MAX, sink.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Gone),
    }
}

/// Says why, and waits a moment for the peer to have heard it: a socket that is closed with unread bytes in it is reset,
/// and what was sent last is lost with it.
async fn goodbye(mut sink: Sink, mut source: Source, Close { code, mut reason }: Close) {
    reason.truncate(reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX));
    let frame = CloseFrame { code, reason: Utf8Bytes::from(reason) };
    let farewell = async {
        if sink.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = source.next().await {}
        }
    };
    // A peer that does not answer has had its chance.
    let _ = timeout(crate::server::GOODBYE_TIME_MAX, farewell).await;
}

fn binary(frame: &TerminalOutput) -> Message {
    Message::Binary(frame.encode())
}

fn pings() -> tokio::time::Interval {
    interval_at(Instant::now() + PING_EVERY, PING_EVERY)
}

fn words(error: &ErrorView) -> String {
    if error.hint.is_empty() { error.message.clone() } else { format!("{} {}", error.message, error.hint) }
}
