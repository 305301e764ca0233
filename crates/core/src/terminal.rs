//! Terminals for the skins: a step's output from any offset on and then live, or an interactive shell in its sandbox.
//!
//! Flow control is here: nothing is sent past [`UNACKNOWLEDGED_BYTES_MAX`] beyond what the skin says it has drawn, so that a
//! slow window holds back its own terminal and nothing else.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use wire::{
    ids::StepId,
    stream::{TerminalInput, TerminalOutput, UNACKNOWLEDGED_BYTES_MAX},
};

use crate::output::Outputs;

/// Frames that may wait for a skin.
const FRAMES_MAX: usize = 16;
/// Longest frame of output.
const FRAME_BYTES: usize = 64 << 10;
/// How long a skin may leave everything undrawn before its stream is closed: it has gone.
const ACK_WAIT_MAX: Duration = Duration::from_mins(10);

/// How long the last frame may wait for the skin.
const END_WAIT_MAX: Duration = Duration::from_secs(1);

/// Both directions of a terminal. Flow control is done on this side of the channels: a skin only pumps frames.
/// Dropping it closes the stream.
pub struct Terminal {
    /// To be drawn. Ends after [`TerminalOutput::End`].
    pub output: mpsc::Receiver<TerminalOutput>,
    /// Keys, sizes and acks.
    pub input: mpsc::Sender<TerminalInput>,
}

/// The other side of a [`Terminal`].
pub(crate) struct TerminalEnd {
    output: mpsc::Sender<TerminalOutput>,
    input: mpsc::Receiver<TerminalInput>,
    /// What was typed while a frame waited to be sent; at most [`FRAMES_MAX`].
    backlog: VecDeque<Typed>,
    acknowledged: u64,
    sent: u64,
}

/// What comes in besides acks, which are kept here.
pub(crate) enum Typed {
    /// Keys.
    Input(Bytes),
    /// A new size.
    Resize { columns: u16, rows: u16 },
}

/// The skin has gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

/// A terminal that begins at an offset.
pub(crate) fn pair(from: u64) -> (Terminal, TerminalEnd) {
    let (output, output_rx) = mpsc::channel(FRAMES_MAX);
    let (input_tx, input) = mpsc::channel(FRAMES_MAX);
    (
        Terminal { output: output_rx, input: input_tx },
        TerminalEnd { output, input, backlog: VecDeque::new(), acknowledged: from, sent: from },
    )
}

impl TerminalEnd {
    /// Whether more may be sent now.
    pub(crate) fn has_credit(&self) -> bool {
        self.sent.saturating_sub(self.acknowledged) < UNACKNOWLEDGED_BYTES_MAX
    }

    /// Sends output that stands at an offset.
    pub(crate) async fn send(&mut self, offset: u64, mut bytes: Bytes) -> Result<(), Gone> {
        let mut offset = offset;
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(FRAME_BYTES));
            let length = piece.len() as u64;
            self.frame(TerminalOutput::Output { offset, bytes: piece }).await?;
            offset += length;
            self.sent = offset;
        }
        Ok(())
    }

    /// Sends any other frame. Acks are taken in meanwhile: a skin that waits for its ack to be taken before it takes the next
    /// frame must not be waited for in turn.
    pub(crate) async fn frame(&mut self, frame: TerminalOutput) -> Result<(), Gone> {
        if let TerminalOutput::Gap { to, .. } = frame {
            self.sent = to;
        }
        let mut is_input_open = true;
        loop {
            let has_room = is_input_open && self.backlog.len() < FRAMES_MAX;
            let input = tokio::select! {
                biased;
                permit = self.output.reserve() => {
                    permit.map_err(|_| Gone)?.send(frame);
                    return Ok(());
                }
                input = self.input.recv(), if has_room => input,
            };
            match input.map(|input| self.take(input)) {
                Some(Some(typed)) => self.backlog.push_back(typed),
                Some(None) => {}
                None => is_input_open = false,
            }
        }
    }

    /// The next thing typed. Acks are taken in on the way, and `Ok(None)` says that one came.
    ///
    /// # Cancel safety
    /// Safe: nothing is taken from the channel unless it is returned.
    pub(crate) async fn typed(&mut self) -> Result<Option<Typed>, Gone> {
        if let Some(typed) = self.backlog.pop_front() {
            return Ok(Some(typed));
        }
        let input = self.input.recv().await.ok_or(Gone)?;
        Ok(self.take(input))
    }

    /// Notes an ack; gives back anything else.
    fn take(&mut self, input: TerminalInput) -> Option<Typed> {
        match input {
            TerminalInput::Input(bytes) => Some(Typed::Input(bytes)),
            TerminalInput::Resize { columns, rows } => {
                Some(Typed::Resize { columns: columns.clamp(2, 1000), rows: rows.clamp(2, 1000) })
            }
            TerminalInput::Ack { offset } => {
                self.acknowledged = self.acknowledged.max(offset.min(self.sent));
                None
            }
        }
    }

    /// Says why nothing follows. A skin that takes nothing for a while is not waited for.
    pub(crate) async fn end(mut self, reason: &str) {
        let _ = timeout(END_WAIT_MAX, self.frame(TerminalOutput::End { reason: reason.to_owned() })).await;
    }
}

/// How far a step's output has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The attempt whose output it is.
    pub(crate) attempt: u32,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Whether no more comes in this attempt.
    pub(crate) is_over: bool,
}

/// Streams a step's output until it is over. `progress` closing means that the step has ended.
pub(crate) async fn stream_output(
    outputs: Outputs,
    step: StepId,
    attempt: u32,
    from: u64,
    progress: Option<watch::Receiver<Progress>>,
    mut end: TerminalEnd,
    closing: CancellationToken,
) {
    let streamed = tokio::select! {
        biased;
        () = closing.cancelled() => Ok("Berth was closed; the step works on."),
        streamed = stream_until_over(&outputs, step, attempt, from, progress, &mut end) => streamed,
    };
    if let Ok(reason) = streamed {
        end.end(reason).await;
    }
}

/// Returns why nothing follows.
async fn stream_until_over(
    outputs: &Outputs,
    step: StepId,
    attempt: u32,
    from: u64,
    mut progress: Option<watch::Receiver<Progress>>,
    end: &mut TerminalEnd,
) -> Result<&'static str, Gone> {
    let mut attempt = attempt;
    let mut from = from;
    let mut is_live_said = false;
    let mut reader = None;
    loop {
        if reader.is_none() {
            reader = match outputs.read(step, attempt, from).await {
                Ok(reader) => reader,
                Err(error) => {
                    debug!(%error, "output cannot be read");
                    return Ok("The output cannot be read: the data folder does not give it.");
                }
            };
        }
        // What there is.
        let mut is_at_end = true;
        if let Some(reader) = &mut reader {
            match reader.next().await {
                Ok(Some((offset, bytes))) => {
                    is_at_end = false;
                    from = offset + bytes.len() as u64;
                    end.send(offset, bytes).await?;
                }
                Ok(None) => {}
                Err(error) => {
                    debug!(%error, "output cannot be read");
                    return Ok("The output cannot be read: the data folder does not give it.");
                }
            }
        }
        if !is_at_end {
            wait_for_credit(end).await?;
            continue;
        }
        let Some(follow) = &mut progress else { return Ok("The step has ended.") };
        let now = *follow.borrow_and_update();
        if now.attempt > attempt {
            // Another attempt has begun: its output is one of its own.
            attempt = now.attempt;
            from = 0;
            reader = None;
            end.frame(TerminalOutput::Gap { from: 0, to: 0 }).await?;
            continue;
        }
        if now.length > from {
            continue;
        }
        if now.is_over {
            return Ok("The agent has ended.");
        }
        if !is_live_said {
            is_live_said = true;
            end.frame(TerminalOutput::Live).await?;
        }
        let changed = tokio::select! {
            changed = follow.changed() => Some(changed),
            typed = end.typed() => match typed {
                Ok(_) => None,
                Err(Gone) => return Err(Gone),
            },
        };
        if let Some(Err(_)) = changed {
            // The step's actor is gone: look once more, then end.
            progress = None;
        }
    }
}

async fn wait_for_credit(end: &mut TerminalEnd) -> Result<(), Gone> {
    while !end.has_credit() {
        tokio::select! {
            typed = end.typed() => { typed?; }
            () = tokio::time::sleep(ACK_WAIT_MAX) => return Err(Gone),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_skin_that_acks_every_small_frame_before_it_takes_the_next_is_not_waited_for_in_turn() {
        let frames = 20 * FRAMES_MAX as u64;
        let bound = Duration::from_secs(10);
        let (mut terminal, mut end) = pair(0);
        let sending = async {
            for offset in 0..frames {
                end.send(offset, Bytes::from_static(b"x")).await.unwrap();
            }
            while end.typed().await.is_ok() {}
        };
        let drawing = async {
            for _ in 0..frames {
                let Some(TerminalOutput::Output { offset, .. }) = terminal.output.recv().await else {
                    panic!("no output")
                };
                for _ in 0..2 {
                    terminal.input.send(TerminalInput::Ack { offset: offset + 1 }).await.unwrap();
                }
            }
        };
        let both = async {
            tokio::select! {
                () = sending => panic!("the skin has gone"),
                () = drawing => {}
            }
        };
        timeout(bound, both).await.unwrap();
    }
}
