//! What a process wrote, from an offset on, and how it ended.

use bytes::Bytes;

use super::call::refused;
use super::{CallError, Guest};
use crate::limits::ANSWER_WAIT_MAX;
use crate::message::{Ask, ExitRecord};
use crate::record::{Record, RecordReader};
use crate::{PipeError, PipeStream, ProcessId};

/// One piece of a process's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputEvent {
    /// What the process wrote, at most [`crate::limits::RECORD_BYTES_MAX`] bytes.
    Chunk {
        /// Where the bytes stand in the output.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// Bytes that the guest no longer has: acknowledged ones, or the middle of a `Keep::Ends`.
    Gap {
        /// The first of them.
        from: u64,
        /// The first that it has again.
        to: u64,
    },
    /// The process ended; nothing follows.
    Exited(ExitRecord),
}

/// A process's output. A reader that does not read makes only this stream wait.
#[derive(Debug)]
pub struct Output {
    guest: Guest,
    stream: PipeStream,
    reader: RecordReader,
    is_over: bool,
}

impl Output {
    pub(super) fn new(guest: Guest, stream: PipeStream, from: u64) -> Self {
        Self { guest, stream, reader: RecordReader::new(from), is_over: false }
    }

    /// The next piece; `None` after [`OutputEvent::Exited`].
    ///
    /// # Errors
    /// The loss of the pipe, or what the guest did wrong. The output is then of no more use: attach again from
    /// [`Output::offset`].
    ///
    /// # Cancel safety
    /// None: after dropping the future in the middle, attach again. To wait for several things at once give the
    /// output a task of its own.
    pub async fn next(&mut self) -> Result<Option<OutputEvent>, PipeError> {
        if self.is_over {
            return Ok(None);
        }
        let record = self.reader.read(&mut self.stream).await.map_err(|error| self.guest.explain(error))?;
        Ok(Some(match record {
            Record::Data { offset, bytes } => OutputEvent::Chunk { offset, bytes },
            Record::Gap { from, to } => OutputEvent::Gap { from, to },
            Record::Exit(exit) => {
                self.is_over = true;
                OutputEvent::Exited(exit)
            }
        }))
    }

    /// The offset behind everything read so far.
    pub fn offset(&self) -> u64 {
        self.reader.offset()
    }
}

impl Guest {
    /// Attaches to a process's output from an offset on. Several may be attached at once.
    ///
    /// # Errors
    /// [`CallError::UnknownProcess`]; [`CallError::Refused`] with `BeyondEnd` for an offset that was never reached.
    pub async fn attach(&self, id: ProcessId, from: u64) -> Result<Output, CallError> {
        let mut stream = self.ask(&Ask::Attach { id, from }).await?;
        let answer = self.answer_within::<()>(&mut stream, "an attach", ANSWER_WAIT_MAX).await?;
        answer.map_err(|refusal| refused(Some(id), refusal))?;
        Ok(Output::new(self.clone(), stream, from))
    }
}
