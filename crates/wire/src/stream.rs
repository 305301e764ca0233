//! The frames of the two kinds of WebSocket: updates (JSON text), and terminals (binary both ways).
//!
//! A terminal frame is one tag byte, then:
//!
//! ```text
//! app → skin   0 output   offset u64 BE, bytes         skin → app   0 input   bytes
//!              1 gap      from u64 BE, to u64 BE                    1 resize  columns u16 BE, rows u16 BE
//!              2 live                                               2 ack     offset u64 BE
//!              3 end      UTF-8 words on why
//! ```
//!
//! Flow control: the app sends at most [`UNACKNOWLEDGED_BYTES_MAX`] past the last ack; a skin acks once the bytes are
//! drawn, at least every [`ACK_EVERY_BYTES`].

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::ids::{StepId, TaskId};

/// How far output may run ahead of what was drawn.
pub const UNACKNOWLEDGED_BYTES_MAX: u64 = 1 << 20;
/// How often a skin acks at least.
pub const ACK_EVERY_BYTES: u64 = 128 << 10;
/// The longest frame either side sends or takes.
pub const FRAME_BYTES_MAX: usize = 256 << 10;
/// The code with which a WebSocket is closed whose stream could not be opened; the reason says why (RFC 6455, 7.4.2: 4000 and
/// up are an application's own).
pub const CLOSE_REFUSED: u16 = 4000;

/// What to stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StreamTarget {
    /// What changed, as it changes: [`Update`]s.
    Updates,
    /// A step's own output from an offset on, then live.
    Output {
        /// The step.
        step: StepId,
        /// Where to begin.
        #[serde(default)]
        from: u64,
    },
    /// A new interactive shell in the step's sandbox; it ends with the WebSocket.
    Shell {
        /// The step.
        step: StepId,
        /// Columns, 2 to 1,000.
        columns: u16,
        /// Rows, 2 to 1,000.
        rows: u16,
        /// What is started.
        #[serde(default)]
        program: ShellProgram,
    },
    /// A home on its way out, as a tar: `GET /api/archive`, not a WebSocket.
    ExportHome {
        /// As in [`ResetHome`](crate::call::ResetHome).
        home: String,
    },
    /// A tar on its way in that takes the place of a home when it is whole: `POST /api/archive`, not a WebSocket.
    ImportHome {
        /// As in [`ResetHome`](crate::call::ResetHome).
        home: String,
        /// Its name as the person typed it.
        confirm: String,
        /// How long the archive is, where that is known.
        #[serde(default)]
        size_bytes: Option<u64>,
    },
}

/// What a person speaks with in a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShellProgram {
    /// The image's shell, with the agent's way out and no value of a secret.
    #[default]
    Shell,
    /// The agent itself as its image runs it for a person, with all that the agent is given.
    Agent,
}

/// Something changed: a reason to look again, never the truth itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "topic", rename_all = "snake_case")]
pub enum Update {
    /// Everything may have changed: the stream begins, or it fell behind.
    All,
    /// The engine, the slots, the counts.
    Status,
    /// A task, its runs or its steps.
    Task {
        /// Which.
        task: TaskId,
    },
    /// The results of a step.
    Results {
        /// Of which task.
        task: TaskId,
    },
    /// An image is being built, or is built.
    Images,
    /// The agents.
    Agents,
    /// The homes.
    Homes,
    /// The secrets.
    Secrets,
    /// What sandboxes asked the gateway for, or what that cost.
    Requests {
        /// Of which task.
        task: TaskId,
    },
    /// Budgets, prices.
    Costs,
    /// The projects.
    Projects,
}

/// From the app to a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalOutput {
    /// Bytes of output, with where they stand in all of it.
    Output {
        /// Of the first byte.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// Bytes that are gone for good.
    Gap {
        /// The first that is gone.
        from: u64,
        /// The first after them.
        to: u64,
    },
    /// What follows happens now; all before was replay.
    Live,
    /// Nothing follows.
    End {
        /// Why, in words.
        reason: String,
    },
}

/// From a terminal to the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalInput {
    /// Keys.
    Input(Bytes),
    /// A new size.
    Resize {
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
    /// Everything before this offset is drawn.
    Ack {
        /// The offset.
        offset: u64,
    },
}

/// A frame that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is empty or longer than [`FRAME_BYTES_MAX`].
    #[error("terminal frame of {0} bytes")]
    Length(usize),
    /// Its first byte means nothing.
    #[error("terminal frame with unknown tag {0}")]
    Tag(u8),
    /// What follows the tag is not of that tag's form.
    #[error("terminal frame with tag {0} is malformed")]
    Body(u8),
}

impl TerminalOutput {
    /// The frame as bytes.
    pub fn encode(&self) -> Bytes {
        let mut frame = BytesMut::with_capacity(17);
        match self {
            Self::Output { offset, bytes } => {
                frame.put_u8(0);
                frame.put_u64(*offset);
                frame.extend_from_slice(bytes);
            }
            Self::Gap { from, to } => {
                frame.put_u8(1);
                frame.put_u64(*from);
                frame.put_u64(*to);
            }
            Self::Live => frame.put_u8(2),
            Self::End { reason } => {
                frame.put_u8(3);
                frame.extend_from_slice(reason.as_bytes());
            }
        }
        frame.freeze()
    }

    /// The frame of these bytes.
    pub fn decode(frame: &Bytes) -> Result<Self, FrameError> {
        let (tag, body) = split(frame)?;
        match tag {
            0 if body.len() >= 8 => Ok(Self::Output { offset: u64_at(&body, 0), bytes: body.slice(8..) }),
            1 if body.len() == 16 => Ok(Self::Gap { from: u64_at(&body, 0), to: u64_at(&body, 8) }),
            2 if body.is_empty() => Ok(Self::Live),
            3 => match std::str::from_utf8(&body) {
                Ok(reason) => Ok(Self::End { reason: reason.to_owned() }),
                Err(_) => Err(FrameError::Body(tag)),
            },
            0..=2 => Err(FrameError::Body(tag)),
            4.. => Err(FrameError::Tag(tag)),
        }
    }
}

impl TerminalInput {
    /// The frame as bytes.
    pub fn encode(&self) -> Bytes {
        let mut frame = BytesMut::with_capacity(9);
        match self {
            Self::Input(bytes) => {
                frame.put_u8(0);
                frame.extend_from_slice(bytes);
            }
            Self::Resize { columns, rows } => {
                frame.put_u8(1);
                frame.put_u16(*columns);
                frame.put_u16(*rows);
            }
            Self::Ack { offset } => {
                frame.put_u8(2);
                frame.put_u64(*offset);
            }
        }
        frame.freeze()
    }

    /// The frame of these bytes.
    pub fn decode(frame: &Bytes) -> Result<Self, FrameError> {
        let (tag, body) = split(frame)?;
        match tag {
            0 => Ok(Self::Input(body)),
            1 if body.len() == 4 => Ok(Self::Resize {
                columns: u16::from_be_bytes([body[0], body[1]]),
                rows: u16::from_be_bytes([body[2], body[3]]),
            }),
            2 if body.len() == 8 => Ok(Self::Ack { offset: u64_at(&body, 0) }),
            1..=2 => Err(FrameError::Body(tag)),
            3.. => Err(FrameError::Tag(tag)),
        }
    }
}

fn split(frame: &Bytes) -> Result<(u8, Bytes), FrameError> {
    match frame.first() {
        Some(tag) if frame.len() <= FRAME_BYTES_MAX => Ok((*tag, frame.slice(1..))),
        Some(_) | None => Err(FrameError::Length(frame.len())),
    }
}

fn u64_at(body: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&body[at..at + 8]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_output_frame_reads_as_it_was_written(offset: u64, bytes: Vec<u8>, from: u64, to: u64, reason: String) {
            for frame in [
                TerminalOutput::Output { offset, bytes: bytes.clone().into() },
                TerminalOutput::Gap { from, to },
                TerminalOutput::Live,
                TerminalOutput::End { reason: reason.clone() },
            ] {
                prop_assert_eq!(TerminalOutput::decode(&frame.encode()), Ok(frame));
            }
        }

        #[test]
        fn an_input_frame_reads_as_it_was_written(bytes: Vec<u8>, columns: u16, rows: u16, offset: u64) {
            for frame in [
                TerminalInput::Input(bytes.clone().into()),
                TerminalInput::Resize { columns, rows },
                TerminalInput::Ack { offset },
            ] {
                prop_assert_eq!(TerminalInput::decode(&frame.encode()), Ok(frame));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            let _ = TerminalInput::decode(&bytes);
            let _ = TerminalOutput::decode(&bytes);
        }
    }

    #[test]
    fn a_frame_past_the_bound_is_refused() {
        let long = Bytes::from(vec![0; FRAME_BYTES_MAX + 1]);
        assert_eq!(TerminalInput::decode(&long), Err(FrameError::Length(FRAME_BYTES_MAX + 1)));
        assert_eq!(TerminalOutput::decode(&Bytes::new()), Err(FrameError::Length(0)));
    }
}
