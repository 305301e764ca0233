//! What a person's window does: it reads outputs and types into shells, over WebSockets.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};
use wire::{
    call::OpenStream,
    ids::StepId,
    stream::{ACK_EVERY_BYTES, StreamTarget, TerminalInput, TerminalOutput},
};

use crate::client::{CallError, Client};

/// Far longer than a shell takes to answer.
const SHELL_MAX: Duration = Duration::from_mins(2);

/// How a stream ended too early.
#[derive(Debug)]
pub enum Cut {
    /// The connection broke, or the app said that it leaves.
    Away,
    /// It said why it ends.
    Ended(String),
    /// What was waited for did not come.
    Silent(String),
}

/// A terminal with its flow control.
pub struct Screen {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    acknowledged: u64,
}

impl Screen {
    /// Opens a stream.
    ///
    /// # Errors
    /// Where it is refused, or the app is away.
    pub async fn open(client: &Client, target: StreamTarget) -> Result<Self, Cut> {
        let ticket = match client.try_call(OpenStream { target }).await {
            Ok(ticket) => ticket.ticket,
            Err(CallError::Away(_)) => return Err(Cut::Away),
            Err(CallError::Refused(error)) => return Err(Cut::Ended(error.message)),
        };
        let host = client.address.trim_start_matches("http://");
        let (socket, _) =
            connect_async(format!("ws://{host}/api/stream?ticket={ticket}")).await.map_err(|_| Cut::Away)?;
        Ok(Self { socket, acknowledged: 0 })
    }

    /// The next piece of output.
    ///
    /// # Errors
    /// The end of the stream, and why.
    pub async fn next(&mut self) -> Result<Vec<u8>, Cut> {
        loop {
            let Some(Ok(message)) = self.socket.next().await else { return Err(Cut::Away) };
            let frame = match message {
                Message::Binary(frame) => frame,
                Message::Ping(_) | Message::Pong(_) => continue,
                Message::Text(_) | Message::Close(_) | Message::Frame(_) => return Err(Cut::Away),
            };
            match TerminalOutput::decode(&frame) {
                Ok(TerminalOutput::Output { offset, bytes }) => {
                    let to = offset + bytes.len() as u64;
                    if to >= self.acknowledged + ACK_EVERY_BYTES {
                        self.acknowledged = to;
                        self.send(&TerminalInput::Ack { offset: to }).await?;
                    }
                    return Ok(bytes.to_vec());
                }
                Ok(TerminalOutput::Gap { .. } | TerminalOutput::Live) => {}
                Ok(TerminalOutput::End { reason }) if reason.contains("closed") => return Err(Cut::Away),
                Ok(TerminalOutput::End { reason }) => return Err(Cut::Ended(reason)),
                Err(error) => return Err(Cut::Silent(error.to_string())),
            }
        }
    }

    /// Sends keys, a size or an acknowledgement.
    ///
    /// # Errors
    /// Where the connection broke.
    pub async fn send(&mut self, input: &TerminalInput) -> Result<(), Cut> {
        self.socket.send(Message::Binary(input.encode())).await.map_err(|_| Cut::Away)
    }

    /// Types a line, and waits for that answer.
    ///
    /// # Errors
    /// Where it does not come.
    pub async fn exchange(&mut self, line: &str, answer: &str) -> Result<(), Cut> {
        let exchanging = async {
            self.send(&TerminalInput::Input(line.as_bytes().to_vec().into())).await?;
            let mut seen = Vec::new();
            loop {
                seen.extend(self.next().await?);
                if seen.windows(answer.len()).any(|window| window == answer.as_bytes()) {
                    return Ok(());
                }
                // Only what could be the beginning of it is looked at again.
                seen.drain(..seen.len().saturating_sub(answer.len() - 1));
            }
        };
        match timeout(SHELL_MAX, exchanging).await {
            Ok(exchanged) => exchanged,
            Err(_) => Err(Cut::Silent(format!("no answer to {line:?} after {SHELL_MAX:?}"))),
        }
    }
}

/// The whole output of a step that has ended, from its first byte.
///
/// # Errors
/// Where it cannot be read to its end.
pub async fn whole_output(client: &Client, step: StepId) -> Result<Vec<u8>, Cut> {
    let mut screen = Screen::open(client, StreamTarget::Output { step, from: 0 }).await?;
    let mut output = Vec::new();
    loop {
        match screen.next().await {
            Ok(bytes) => output.extend(bytes),
            Err(Cut::Ended(_)) => return Ok(output),
            Err(cut) => return Err(cut),
        }
    }
}
