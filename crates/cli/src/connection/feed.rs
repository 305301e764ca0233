//! Streams, as a command reads them: from a WebSocket or from the core in this process.
//!
//! Nothing is read ahead. A command that waits (its output goes into a pager) lets the stream stand still; a server that
//! gives up on it meanwhile breaks the stream off, and whoever reads opens it again where it was.

use std::time::Duration;

use berth_core::Terminal;
use futures::{SinkExt, StreamExt};
use tokio::{sync::mpsc, time::timeout};
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};
use wire::{
    ErrorCode, ErrorView,
    stream::{CLOSE_REFUSED, TerminalInput, TerminalOutput, Update},
};

use super::remote::Socket;

/// How long the close may take that follows the last frame.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// What changed.
pub(crate) enum Updates {
    /// From the running Berth.
    Remote(Box<Socket>),
    /// From our own core.
    Local(mpsc::Receiver<Update>),
}

impl Updates {
    /// The next one; `None` where no more come.
    ///
    /// # Cancel safety
    /// An update is lost at most when the stream has ended anyway.
    pub(crate) async fn next(&mut self) -> Option<Update> {
        match self {
            Self::Local(updates) => updates.recv().await,
            Self::Remote(socket) => loop {
                match socket.next().await? {
                    Ok(Message::Text(json)) => return serde_json::from_str(&json).ok(),
                    Ok(Message::Ping(_) | Message::Pong(_)) => {}
                    Ok(Message::Binary(_) | Message::Close(_) | Message::Frame(_)) | Err(_) => return None,
                }
            },
        }
    }
}

/// The output of a step.
pub(crate) enum Output {
    /// From the running Berth.
    Remote(Box<Socket>),
    /// From our own core.
    Local(Terminal),
}

/// Why no more output comes although it has not ended.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The stream could not be opened.
    Refused(ErrorView),
    /// The connection is gone.
    Off,
}

impl Output {
    /// The next frame; after [`TerminalOutput::End`] there is none.
    pub(crate) async fn next(&mut self) -> Result<TerminalOutput, Broken> {
        match self {
            Self::Local(terminal) => terminal.output.recv().await.ok_or(Broken::Off),
            Self::Remote(socket) => loop {
                match socket.next().await {
                    Some(Ok(Message::Binary(frame))) => match TerminalOutput::decode(&frame) {
                        Ok(end @ TerminalOutput::End { .. }) => return after_end(socket, end).await,
                        Ok(frame) => return Ok(frame),
                        Err(_) => return Err(Broken::Off),
                    },
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(Some(close)))) if u16::from(close.code) == CLOSE_REFUSED => {
                        return Err(refused(&close.reason));
                    }
                    Some(Ok(Message::Text(_) | Message::Close(_) | Message::Frame(_)) | Err(_)) | None => {
                        return Err(Broken::Off);
                    }
                }
            },
        }
    }

    /// Says that everything before that offset is written.
    pub(crate) async fn ack(&mut self, offset: u64) {
        let ack = TerminalInput::Ack { offset };
        // Where nobody hears it any more, the next frame says so.
        match self {
            Self::Local(terminal) => drop(terminal.input.send(ack).await),
            Self::Remote(socket) => drop(socket.send(Message::Binary(ack.encode())).await),
        }
    }
}

/// The close behind the last frame tells a stream that ended from one that never began.
async fn after_end(socket: &mut Socket, end: TerminalOutput) -> Result<TerminalOutput, Broken> {
    match timeout(CLOSE_TIME_MAX, socket.next()).await {
        Ok(Some(Ok(Message::Close(Some(CloseFrame { code, reason }))))) if u16::from(code) == CLOSE_REFUSED => {
            Err(refused(&reason))
        }
        Ok(_) | Err(_) => Ok(end),
    }
}

fn refused(reason: &str) -> Broken {
    Broken::Refused(ErrorView::new(ErrorCode::NotNow, reason))
}
