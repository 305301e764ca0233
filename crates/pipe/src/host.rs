//! The app's end of the pipe.
//!
//! ```no_run
//! # async fn example(io: tokio::io::DuplexStream) -> Result<(), Box<dyn std::error::Error>> {
//! use pipe::host::{Guest, Options, OutputEvent, Start};
//!
//! let guest = Guest::connect(io, Options::default()).await?;
//! let start = Start::new(pipe::ProcessId::from(1), ["/bin/echo", "hello"], "/workspace");
//! let (_, mut output) = guest.start_attached(&start).await?;
//! while let Some(event) = output.next().await? {
//!     match event {
//!         OutputEvent::Chunk { offset, bytes } => { /* make durable, then */
//!             guest.acknowledge(start.id, offset + bytes.len() as u64).await?;
//!         }
//!         OutputEvent::Gap { .. } => {}
//!         OutputEvent::Exited(_exit) => guest.acknowledge_exit(start.id).await?,
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! A [`Guest`] is cheap to clone. When the connection is lost every call and stream ends with a [`PipeError`];
//! what runs inside goes on. Connect again, list [`Guest::processes`], and attach from the last durable offset.

mod call;
mod events;
mod output;
mod outward;
mod start;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::limits::{
    BEAT_INTERVAL, CLOSE_WAIT_MAX, FRAME_FROM_GUEST_BYTES_MAX, FRAME_FROM_HOST_BYTES_MAX, HELLO_WAIT_MAX,
    HOST_STREAMS_MAX, OUTWARD_QUEUE_MAX, PROTOCOL, SILENCE_MAX,
};
use crate::message::{Ask, Hello, ProtocolRange, tame};
use crate::mux::{End, Opener, PipeStream, keep_alive, multiplex, note_loss};
use crate::{PipeError, frame};

pub use call::{CallError, DialError};
pub use events::{Events, GuestEvent};
pub use output::{Output, OutputEvent};
pub use outward::{Outward, OutwardConnections};
pub use start::{Report, Start, StartError, Stdin};

pub use crate::message::{
    ExitRecord, ExitStatus, GivenFile, Keep, OutOfMemory, OutOfProcesses, Port, Process, ProcessState, Refusal,
    RefusalCode, Signal, Started, StartedHow, Stats, Stdio, Target,
};

/// How a host end behaves. The default is what the app uses; tests shorten the times.
#[derive(Debug, Clone)]
pub struct Options {
    /// The protocols that this end speaks.
    pub protocol: ProtocolRange,
    /// This end's version, told to the guest for its log.
    pub version: String,
    /// How often a beat is sent.
    pub beat_interval: Duration,
    /// With nothing received for this long, the connection is lost.
    pub silence_max: Duration,
    /// Longest wait for the guest's hello.
    pub hello_wait_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            beat_interval: BEAT_INTERVAL,
            silence_max: SILENCE_MAX,
            hello_wait_max: HELLO_WAIT_MAX,
        }
    }
}

/// A connected guest. Clones share the connection; it is closed by [`Guest::close`] or with the last clone.
#[derive(Debug, Clone)]
pub struct Guest {
    connection: Arc<Connection>,
}

#[derive(Debug)]
struct Connection {
    hello: Hello,
    protocol: u16,
    opener: Opener,
    /// Holds the reason from the moment the connection is lost.
    loss: watch::Receiver<Option<PipeError>>,
    outward: Mutex<Option<mpsc::Receiver<Outward>>>,
    tasks: TaskTracker,
    cancel: CancellationToken,
    _cancel_on_drop: DropGuard,
}

impl Guest {
    /// Speaks with the guest at the other end of `io` and agrees on a protocol.
    ///
    /// # Errors
    /// Any [`PipeError`]; notably [`PipeError::Protocol`] where the ends have none in common and
    /// [`PipeError::Timeout`] where no hello comes.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn connect<T>(io: T, options: Options) -> Result<Self, PipeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mux = multiplex(io, End::Host, HOST_STREAMS_MAX);
        let cancel = CancellationToken::new();
        let cancel_on_drop = cancel.clone().drop_guard();
        let tasks = TaskTracker::new();
        let (loss_sender, loss) = watch::channel(None);
        let loss_sender = Arc::new(loss_sender);

        let (driver, driver_cancel, driver_loss) = (mux.driver, cancel.clone(), Arc::clone(&loss_sender));
        tasks.spawn(async move {
            let reason = driver.run(driver_cancel.clone()).await;
            note_loss(&driver_loss, reason);
            driver_cancel.cancel();
        });

        // Not raced against the loss: a guest that says its hello and closes has said its hello.
        let greeting = greet(&mux.opener, &options);
        let greeted = tokio::time::timeout(options.hello_wait_max, greeting).await;
        let greeted =
            greeted.unwrap_or(Err(PipeError::Timeout { what: "the greeting", after: options.hello_wait_max }));
        let (control, hello, protocol) = match greeted {
            Ok(greeted) => greeted,
            // The stream ended because the connection did: that reason says more. Or a guest ended the stream alone.
            Err(error @ (PipeError::Cut { .. } | PipeError::Io(_) | PipeError::PeerClosed)) => {
                return Err(tokio::time::timeout(CLOSE_WAIT_MAX, wait_for_loss(loss)).await.unwrap_or(error));
            }
            Err(error) => return Err(error),
        };

        let (outward_sender, outward) = mpsc::channel(OUTWARD_QUEUE_MAX);
        tasks.spawn(outward::receive(mux.inbound, outward_sender, cancel.clone()));
        let (seen, beat_cancel) = (mux.seen, cancel.clone());
        tasks.spawn(async move {
            let ended = tokio::select! {
                biased;
                () = beat_cancel.cancelled() => None,
                reason = keep_alive(control, &seen, options.beat_interval, options.silence_max) => Some(reason),
            };
            if let Some(reason) = ended {
                note_loss(&loss_sender, reason);
                beat_cancel.cancel();
            }
        });
        tasks.close();

        let connection = Connection {
            hello,
            protocol,
            opener: mux.opener,
            loss,
            outward: Mutex::new(Some(outward)),
            tasks,
            cancel,
            _cancel_on_drop: cancel_on_drop,
        };
        Ok(Self { connection: Arc::new(connection) })
    }

    /// What the guest said of itself. Its texts are hostile but bounded, and free of control characters.
    pub fn hello(&self) -> &Hello {
        &self.connection.hello
    }

    /// The protocol that both ends speak.
    pub fn protocol(&self) -> u16 {
        self.connection.protocol
    }

    /// Resolves when the connection is lost or closed, with the reason.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn closed(&self) -> PipeError {
        wait_for_loss(self.connection.loss.clone()).await
    }

    /// Why the connection is lost; `None` while it is not.
    pub fn loss(&self) -> Option<PipeError> {
        self.connection.loss.borrow().clone()
    }

    /// Closes the connection and waits for its tasks. What runs inside goes on.
    pub async fn close(&self) {
        self.connection.cancel.cancel();
        self.connection.tasks.wait().await;
    }

    /// The connections that programs inside want to the outside. The first caller has them; later ones get `None`.
    /// Until someone takes them they wait, and what comes beyond the bound is refused.
    pub fn outward(&self) -> Option<OutwardConnections> {
        let mut outward = self.connection.outward.lock().unwrap_or_else(PoisonError::into_inner);
        outward.take().map(OutwardConnections::new)
    }

    /// Opens a stream and asks.
    async fn ask(&self, ask: &Ask) -> Result<PipeStream, PipeError> {
        let Some(mut stream) = self.connection.opener.open().await else { return Err(self.closed().await) };
        frame::write(&mut stream, ask, FRAME_FROM_HOST_BYTES_MAX).await.map_err(|error| self.explain(error))?;
        Ok(stream)
    }

    /// The loss of the connection, where that is why a stream failed.
    fn explain(&self, error: PipeError) -> PipeError {
        match (&error, self.loss()) {
            (PipeError::Io(_) | PipeError::Cut { .. }, Some(loss)) => loss,
            _ => error,
        }
    }
}

async fn wait_for_loss(mut loss: watch::Receiver<Option<PipeError>>) -> PipeError {
    let reason = loss.wait_for(Option::is_some).await.map(|reason| reason.clone());
    reason.ok().flatten().unwrap_or(PipeError::Closed)
}

async fn greet(opener: &Opener, options: &Options) -> Result<(PipeStream, Hello, u16), PipeError> {
    let mut control = opener.open().await.ok_or(PipeError::PeerClosed)?;
    let ours = Hello {
        protocol: options.protocol,
        version: options.version.clone(),
        boot: String::new(),
        architecture: std::env::consts::ARCH.to_owned(),
    };
    let mut greeting = frame::encode(&Ask::Control, FRAME_FROM_HOST_BYTES_MAX)?;
    greeting.extend_from_slice(&frame::encode(&ours, FRAME_FROM_HOST_BYTES_MAX)?);
    control.write_all(&greeting).await?;
    control.flush().await?;
    let theirs: Hello = frame::read(&mut control, "the hello", FRAME_FROM_GUEST_BYTES_MAX)
        .await?
        .ok_or(PipeError::Cut { what: "the hello" })?;
    let protocol = options
        .protocol
        .common(theirs.protocol)
        .ok_or(PipeError::Protocol { ours: options.protocol, theirs: theirs.protocol })?;
    let hello = Hello {
        protocol: theirs.protocol,
        version: tame(&theirs.version),
        boot: tame(&theirs.boot),
        architecture: tame(&theirs.architecture),
    };
    Ok((control, hello, protocol))
}
