//! The sandbox's end of the pipe, without the processes: those are the crate `guest`.
//!
//! [`Connection::accept`] greets a host; [`Connection::next`] then gives the streams that it opens, one per question.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::limits::{
    BEAT_INTERVAL, FRAME_FROM_GUEST_BYTES_MAX, FRAME_FROM_HOST_BYTES_MAX, HELLO_WAIT_MAX, OUTWARD_MAX, PROTOCOL,
    SILENCE_MAX,
};
use crate::message::{Answer, Ask, Hello, OutwardAsk, ProtocolRange, Refusal};
use crate::mux::{End, Mux, Opener, PipeStream, keep_alive, multiplex};
use crate::{PipeError, frame};

/// How a guest end behaves. The default is what the guest uses; tests shorten the times.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The protocols that this end speaks.
    pub protocol: ProtocolRange,
    /// How often a beat is sent.
    pub beat_interval: Duration,
    /// With nothing received for this long, the connection is lost.
    pub silence_max: Duration,
    /// Longest wait for the host's hello.
    pub hello_wait_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            protocol: PROTOCOL,
            beat_interval: BEAT_INTERVAL,
            silence_max: SILENCE_MAX,
            hello_wait_max: HELLO_WAIT_MAX,
        }
    }
}

/// What a guest says of itself.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The guest's version.
    pub version: String,
    /// Chosen at random each time that the guest starts.
    pub boot: String,
}

/// A connected host.
#[derive(Debug)]
pub struct Connection {
    inbound: mpsc::Receiver<PipeStream>,
    outward: OutwardOpener,
    loss: watch::Receiver<Option<PipeError>>,
    tasks: TaskTracker,
    cancel: CancellationToken,
    _cancel_on_drop: DropGuard,
}

/// Opens outward connections over one connection; clones share it.
#[derive(Debug, Clone)]
pub struct OutwardOpener {
    opener: Opener,
}

/// Why an outward connection was not opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OutwardError {
    /// The host refused it.
    #[error("the host refused the connection")]
    Refused(#[source] Refusal),
    /// The pipe failed.
    #[error("the pipe failed")]
    Pipe(#[from] PipeError),
}

impl Connection {
    /// Greets the host at the other end of `io` and agrees on a protocol.
    ///
    /// # Errors
    /// Any [`PipeError`]; with [`PipeError::Protocol`] the host has been told this end's range.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn accept<T>(io: T, facts: &Facts, options: Options) -> Result<Self, PipeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Mux { driver, opener, mut inbound, seen } = multiplex(io, End::Guest, OUTWARD_MAX);
        let cancel = CancellationToken::new();
        let cancel_on_drop = cancel.clone().drop_guard();
        let tasks = TaskTracker::new();
        let (loss_sender, loss) = watch::channel(None);
        let loss_sender = Arc::new(loss_sender);

        let (driver_cancel, driver_loss) = (cancel.clone(), Arc::clone(&loss_sender));
        tasks.spawn(async move {
            let reason = driver.run(driver_cancel.clone()).await;
            crate::mux::note_loss(&driver_loss, reason);
            driver_cancel.cancel();
        });

        let greeting = greet(&mut inbound, facts, options.protocol);
        let greeted = timeout(options.hello_wait_max, greeting).await;
        let greeted =
            greeted.unwrap_or(Err(PipeError::Timeout { what: "the greeting", after: options.hello_wait_max }));
        let control = match greeted {
            Ok(control) => control,
            Err(error) => {
                // Closed in order, so that the host still reads this end's range.
                cancel.cancel();
                tasks.close();
                tasks.wait().await;
                return Err(error);
            }
        };

        let beat_cancel = cancel.clone();
        tasks.spawn(async move {
            let ended = tokio::select! {
                biased;
                () = beat_cancel.cancelled() => None,
                reason = keep_alive(control, &seen, options.beat_interval, options.silence_max) => Some(reason),
            };
            if let Some(reason) = ended {
                crate::mux::note_loss(&loss_sender, reason);
                beat_cancel.cancel();
            }
        });
        tasks.close();
        let outward = OutwardOpener { opener };
        Ok(Self { inbound, outward, loss, tasks, cancel, _cancel_on_drop: cancel_on_drop })
    }

    /// The next stream that the host opens; `None` when the connection is lost.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn next(&mut self) -> Option<PipeStream> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            stream = self.inbound.recv() => stream,
        }
    }

    /// Opens outward connections, for as long as this connection lasts.
    pub fn outward(&self) -> OutwardOpener {
        self.outward.clone()
    }

    /// Why the connection is lost; `None` while it is not.
    pub fn loss(&self) -> Option<PipeError> {
        self.loss.borrow().clone()
    }

    /// Closes the connection and waits for its tasks.
    pub async fn close(&self) {
        self.cancel.cancel();
        self.tasks.wait().await;
    }
}

impl OutwardOpener {
    /// Asks the host for a connection to `target`. At most [`OUTWARD_MAX`] are open at once; further ones wait.
    pub async fn open(&self, target: &str) -> Result<PipeStream, OutwardError> {
        let mut stream = self.opener.open().await.ok_or(PipeError::PeerClosed)?;
        frame::write(&mut stream, &OutwardAsk { target: target.to_owned() }, FRAME_FROM_GUEST_BYTES_MAX).await?;
        let answer = frame::read(&mut stream, "an outward answer", FRAME_FROM_HOST_BYTES_MAX).await?;
        match answer {
            Some(Answer::Done(())) => Ok(stream),
            Some(Answer::Refused(refusal)) => Err(OutwardError::Refused(refusal)),
            None => Err(PipeError::Cut { what: "an outward answer" }.into()),
        }
    }
}

/// Reads the question that a stream starts with.
pub async fn read_ask(stream: &mut PipeStream) -> Result<Ask, PipeError> {
    frame::read(stream, "a question", FRAME_FROM_HOST_BYTES_MAX).await?.ok_or(PipeError::Cut { what: "a question" })
}

/// Writes an answer, or any other frame of a guest.
pub async fn write<M: Serialize + Sync>(stream: &mut PipeStream, message: &M) -> Result<(), PipeError> {
    frame::write(stream, message, FRAME_FROM_GUEST_BYTES_MAX).await
}

async fn greet(
    inbound: &mut mpsc::Receiver<PipeStream>,
    facts: &Facts,
    protocol: ProtocolRange,
) -> Result<PipeStream, PipeError> {
    let mut control = inbound.recv().await.ok_or(PipeError::PeerClosed)?;
    if read_ask(&mut control).await? != Ask::Control {
        return Err(PipeError::Violation { what: "a first stream that is not the control stream" });
    }
    let theirs: Hello = frame::read(&mut control, "the hello", FRAME_FROM_HOST_BYTES_MAX)
        .await?
        .ok_or(PipeError::Cut { what: "the hello" })?;
    let ours = Hello {
        protocol,
        version: facts.version.clone(),
        boot: facts.boot.clone(),
        architecture: std::env::consts::ARCH.to_owned(),
    };
    write(&mut control, &ours).await?;
    if protocol.common(theirs.protocol).is_none() {
        return Err(PipeError::Protocol { ours: protocol, theirs: theirs.protocol });
    }
    Ok(control)
}
