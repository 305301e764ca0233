//! Calls that are one question and one answer, and connections to something inside.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::Guest;
use crate::limits::{ANSWER_WAIT_MAX, FRAME_FROM_GUEST_BYTES_MAX, PROCESSES_MAX};
use crate::message::{Answer, Ask, DiskUse, Process, Refusal, RefusalCode, Signal, Stats, Target};
use crate::{PipeError, PipeStream, ProcessId, frame};

/// Longest wait for the use of disk: a million names on a slow disk.
const DISK_USE_WAIT_MAX: Duration = Duration::from_mins(2);

/// Why a call did nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The guest has no such process: it never started, or its exit was acknowledged.
    #[error("the guest has no process {id}")]
    UnknownProcess {
        /// The name that was asked for.
        id: ProcessId,
    },
    /// The guest refused.
    #[error("the guest refused")]
    Refused(#[source] Refusal),
    /// The pipe failed; whether the guest acted is unknown.
    #[error("the pipe failed")]
    Pipe(#[from] PipeError),
}

/// Why nothing inside was connected.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DialError {
    /// Nothing listens there.
    #[error("nothing listens there")]
    NotListening,
    /// The guest refused.
    #[error("the guest refused")]
    Refused(#[source] Refusal),
    /// The pipe failed.
    #[error("the pipe failed")]
    Pipe(#[from] PipeError),
}

impl Guest {
    /// Says that all output before `offset` is durable: the guest may drop it.
    pub async fn acknowledge(&self, id: ProcessId, offset: u64) -> Result<(), CallError> {
        self.call(Some(id), "an acknowledgement", &Ask::Acknowledge { id, offset }).await
    }

    /// Says that the exit of a process is durable: the guest forgets the process and its output.
    pub async fn acknowledge_exit(&self, id: ProcessId) -> Result<(), CallError> {
        self.call(Some(id), "an acknowledgement", &Ask::AcknowledgeExit { id }).await
    }

    /// Writes to standard input; returns when the process's pipe or terminal has taken all of it, which waits for as
    /// long as the process does not read.
    ///
    /// # Cancel safety
    /// Dropping the future may leave a part of `bytes` written.
    pub async fn write_stdin(&self, id: ProcessId, bytes: &[u8]) -> Result<(), CallError> {
        let mut stream = self.ask(&Ask::Stdin { id }).await?;
        let writing = async {
            stream.write_all(bytes).await?;
            stream.shutdown().await
        };
        // A refusal resets the stream; the answer then says why.
        if let Err(error) = writing.await {
            tracing::trace!(%error, "standard input was not taken");
        }
        self.answer(&mut stream, "standard input").await?.map_err(|refusal| refused(Some(id), refusal))
    }

    /// Closes standard input.
    pub async fn close_stdin(&self, id: ProcessId) -> Result<(), CallError> {
        self.call(Some(id), "a close of standard input", &Ask::CloseStdin { id }).await
    }

    /// Tells a process's terminal another size.
    pub async fn resize(&self, id: ProcessId, columns: u16, rows: u16) -> Result<(), CallError> {
        self.call(Some(id), "a resize", &Ask::Resize { id, columns, rows }).await
    }

    /// Sends a signal to every process of the tree.
    pub async fn signal(&self, id: ProcessId, signal: Signal) -> Result<(), CallError> {
        self.call(Some(id), "a signal", &Ask::Signal { id, signal }).await
    }

    /// Stops the tree; it rests, keeping its memory, until [`Guest::cont`] or [`Guest::end`].
    pub async fn stop(&self, id: ProcessId) -> Result<(), CallError> {
        self.signal(id, Signal::Stop).await
    }

    /// Continues a stopped tree.
    pub async fn cont(&self, id: ProcessId) -> Result<(), CallError> {
        self.signal(id, Signal::Continue).await
    }

    /// Ends the tree: TERM, and KILL to what is left after `grace`. Returns when nothing of it is left.
    pub async fn end(&self, id: ProcessId, grace: Duration) -> Result<(), CallError> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.call_within(Some(id), "an end", &Ask::End { id, grace_ms }, grace.saturating_add(ANSWER_WAIT_MAX)).await
    }

    /// Has programs inside connect to the host by a port of loopback, from now on for as long as the guest is there. What comes is
    /// in [`Guest::outward`].
    pub async fn open_way_out(&self, port: u16) -> Result<(), CallError> {
        self.call(None, "a way out", &Ask::WayOut { port }).await
    }

    /// How many processes the tree has; 0 when nothing is left.
    pub async fn count(&self, id: ProcessId) -> Result<u32, CallError> {
        self.call(Some(id), "a count", &Ask::Count { id }).await
    }

    /// The processes that the guest keeps: those that run, and those whose exit is not acknowledged.
    pub async fn processes(&self) -> Result<Vec<Process>, CallError> {
        let mut stream = self.ask(&Ask::Processes).await?;
        let count: usize = self.answer(&mut stream, "a list").await?.map_err(|refusal| refused(None, refusal))?;
        if count > PROCESSES_MAX {
            return Err(PipeError::Violation { what: "more processes than a guest may keep" }.into());
        }
        let listing = async {
            let mut processes = Vec::with_capacity(count);
            for _ in 0..count {
                let process = frame::read(&mut stream, "a process", FRAME_FROM_GUEST_BYTES_MAX).await?;
                processes.push(process.ok_or(PipeError::Cut { what: "a list" })?);
            }
            Ok(processes)
        };
        let listed = timeout(ANSWER_WAIT_MAX, listing).await;
        let listed = listed.unwrap_or(Err(PipeError::Timeout { what: "a list", after: ANSWER_WAIT_MAX }));
        listed.map_err(|error| self.explain(error).into())
    }

    /// Connects to a port or socket inside; the stream is the connection.
    pub async fn dial(&self, target: Target) -> Result<PipeStream, DialError> {
        let mut stream = self.ask(&Ask::Dial { target }).await?;
        match self.answer_within::<()>(&mut stream, "a dial", ANSWER_WAIT_MAX).await? {
            Ok(()) => Ok(stream),
            Err(refusal) if refusal.code == RefusalCode::NotListening => Err(DialError::NotListening),
            Err(refusal) => Err(DialError::Refused(refusal)),
        }
    }

    /// What the sandbox uses now.
    pub async fn stats(&self) -> Result<Stats, CallError> {
        self.call(None, "the stats", &Ask::Stats).await
    }

    /// How much disk these folders inside take, all together. Refused with [`RefusalCode::UnknownAsk`] by a guest of an older Berth.
    pub async fn disk_use(&self, folders: Vec<String>) -> Result<DiskUse, CallError> {
        self.call_within(None, "the use of disk", &Ask::DiskUse { folders }, DISK_USE_WAIT_MAX).await
    }

    /// Tells the guest that it may go: it ends everything, flushes and exits 0. Returns when it has agreed;
    /// [`Guest::closed`] then resolves.
    pub async fn finish(&self) -> Result<(), CallError> {
        self.call(None, "a finish", &Ask::Finish).await
    }

    async fn call<A>(&self, id: Option<ProcessId>, what: &'static str, ask: &Ask) -> Result<A, CallError>
    where
        A: DeserializeOwned,
    {
        self.call_within(id, what, ask, ANSWER_WAIT_MAX).await
    }

    async fn call_within<A>(
        &self,
        id: Option<ProcessId>,
        what: &'static str,
        ask: &Ask,
        wait_max: Duration,
    ) -> Result<A, CallError>
    where
        A: DeserializeOwned,
    {
        let mut stream = self.ask(ask).await?;
        let answer = self.answer_within(&mut stream, what, wait_max).await?;
        answer.map_err(|refusal| refused(id, refusal))
    }

    pub(super) async fn answer_within<A>(
        &self,
        stream: &mut PipeStream,
        what: &'static str,
        wait_max: Duration,
    ) -> Result<Result<A, Refusal>, PipeError>
    where
        A: DeserializeOwned,
    {
        let answer = timeout(wait_max, self.answer(stream, what)).await;
        answer.unwrap_or(Err(PipeError::Timeout { what, after: wait_max }))
    }

    pub(super) async fn answer<A>(
        &self,
        stream: &mut PipeStream,
        what: &'static str,
    ) -> Result<Result<A, Refusal>, PipeError>
    where
        A: DeserializeOwned,
    {
        let answer =
            frame::read(stream, what, FRAME_FROM_GUEST_BYTES_MAX).await.map_err(|error| self.explain(error))?;
        match answer {
            Some(Answer::Done(answer)) => Ok(Ok(answer)),
            Some(Answer::Refused(refusal)) => Ok(Err(refusal.tamed())),
            None => Err(self.explain(PipeError::Cut { what })),
        }
    }
}

pub(super) fn refused(id: Option<ProcessId>, refusal: Refusal) -> CallError {
    match (id, refusal.code) {
        (Some(id), RefusalCode::UnknownProcess) => CallError::UnknownProcess { id },
        _ => CallError::Refused(refusal),
    }
}
