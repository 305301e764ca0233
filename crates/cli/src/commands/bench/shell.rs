//! A shell in a sandbox over a real WebSocket, as the interface has it.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use wire::{
    ids::StepId,
    stream::{ACK_EVERY_BYTES, ShellProgram, StreamTarget, TerminalInput, TerminalOutput},
};

use crate::connection::{Remote, Socket};

/// Longest wait for one echo.
const ECHO_WAIT_MAX: Duration = Duration::from_secs(30);
/// A wide terminal: what is typed stays on its line.
const COLUMNS: u16 = 1_000;
const ROWS: u16 = 40;
/// What is typed first, and what only a shell that is ready answers to it.
const GREETING: (&str, &[u8]) = ("echo ready-$((1+1))\n", b"ready-2");

/// A shell with its flow control.
pub(super) struct Shell {
    socket: Box<Socket>,
    acknowledged: u64,
    /// Bytes of output so far.
    pub(super) received: u64,
}

impl Shell {
    /// Opens one and waits until it answers.
    pub(super) async fn open(remote: &Remote, step: StepId) -> anyhow::Result<Self> {
        let target = StreamTarget::Shell { step, columns: COLUMNS, rows: ROWS, program: ShellProgram::Shell };
        let mut shell = Self { socket: remote.stream(target).await?, acknowledged: 0, received: 0 };
        shell.exchange(GREETING.0.as_bytes(), GREETING.1).await?;
        Ok(shell)
    }

    /// Types a key and waits for its echo.
    pub(super) async fn keystroke(&mut self, key: u8) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        self.exchange(&[key], &[key]).await?;
        Ok(begun.elapsed())
    }

    /// Types a line and does not wait for anything.
    pub(super) async fn type_line(&mut self, line: &str) -> anyhow::Result<()> {
        self.send(TerminalInput::Input(format!("{line}\n").into_bytes().into())).await
    }

    /// The next piece of output; acknowledged, as a terminal does that has drawn it.
    ///
    /// # Cancel safety
    /// A piece is lost at most where the future is dropped while it acknowledges it.
    pub(super) async fn next(&mut self) -> anyhow::Result<Vec<u8>> {
        loop {
            match self.socket.next().await.context("the stream ended")?? {
                Message::Binary(frame) => match TerminalOutput::decode(&frame)? {
                    TerminalOutput::Output { offset, bytes } => {
                        self.received += bytes.len() as u64;
                        let to = offset + bytes.len() as u64;
                        if to - self.acknowledged >= ACK_EVERY_BYTES {
                            self.acknowledged = to;
                            self.send(TerminalInput::Ack { offset: to }).await?;
                        }
                        return Ok(bytes.to_vec());
                    }
                    TerminalOutput::Gap { .. } | TerminalOutput::Live => {}
                    TerminalOutput::End { reason } => bail!("the shell ended: {reason}"),
                },
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Text(_) | Message::Close(_) | Message::Frame(_) => bail!("the stream was closed"),
            }
        }
    }

    async fn exchange(&mut self, typed: &[u8], wanted: &[u8]) -> anyhow::Result<()> {
        ensure!(!wanted.is_empty(), "nothing to wait for");
        let exchanging = async {
            self.send(TerminalInput::Input(typed.to_vec().into())).await?;
            let mut seen = Vec::new();
            loop {
                seen.extend(self.next().await?);
                if seen.windows(wanted.len()).any(|window| window == wanted) {
                    return Ok(());
                }
                // Only what could be the beginning of it is looked at again.
                seen.drain(..seen.len().saturating_sub(wanted.len() - 1));
            }
        };
        timeout(ECHO_WAIT_MAX, exchanging).await.context("waited in vain for an echo")?
    }

    async fn send(&mut self, input: TerminalInput) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::Binary(input.encode())).await?)
    }
}
