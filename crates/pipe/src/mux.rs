//! Drives one yamux connection: opens streams when asked and hands over those that the peer opens.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use crate::guard::{Guarded, Seen, Unread};
use crate::limits::{
    CLOSE_WAIT_MAX, CONTROL_BYTES_MAX, SPLIT_BYTES, STREAMS_MAX, WINDOW_BYTES_MAX, WRITE_BUFFER_BYTES,
};
use crate::message::Control;
use crate::{PipeError, frame};

/// Openings that wait for the driver.
const OPENS_QUEUE_MAX: usize = 64;
/// Streams of the peer that wait to be taken; further ones are reset.
const INBOUND_QUEUE_MAX: usize = 64;

/// Who opened the connection: decides the numbering of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Host,
    Guest,
}

/// One stream of the pipe: raw bytes both ways, each way with a window of its own.
///
/// Shutting it down ends this side's half. Dropping it resets both. With the connection both end: what has come can be read, then
/// there is no more.
#[derive(Debug)]
pub struct PipeStream {
    inner: Compat<yamux::Stream>,
    id: u32,
    unread: Unread,
    /// One for each half, which may wait in tasks of their own. yamux wakes nobody where it is closed in order.
    read_over: Pin<Box<WaitForCancellationFutureOwned>>,
    write_over: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Keeps the count of own streams below the bound at which yamux would end the connection.
    _permit: Option<OwnedSemaphorePermit>,
}

impl PipeStream {
    fn new(
        stream: yamux::Stream,
        unread: Unread,
        over: &CancellationToken,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let id = stream.id().val();
        let (read_over, write_over) =
            (Box::pin(over.clone().cancelled_owned()), Box::pin(over.clone().cancelled_owned()));
        Self { inner: stream.compat(), id, unread, read_over, write_over, _permit: permit }
    }

    /// What the writing half makes of `waited`: an error once the connection is over, since nothing comes of waiting then.
    fn unless_over<R>(&mut self, cx: &mut Context<'_>, waited: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if waited.is_pending() && self.write_over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        waited
    }
}

impl Drop for PipeStream {
    fn drop(&mut self) {
        self.unread.clear(self.id);
    }
}

impl AsyncRead for PipeStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if read.is_ready() {
            return read;
        }
        this.unread.clear(this.id);
        ready!(this.read_over.as_mut().poll(cx));
        // What came in between is still there.
        let read = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if read.is_pending() { Poll::Ready(Ok(())) } else { read }
    }
}

impl AsyncWrite for PipeStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.unless_over(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        this.unless_over(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.unless_over(cx, shut)
    }
}

type Opening = oneshot::Sender<yamux::Stream>;

/// Opens streams.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    openings: mpsc::Sender<Opening>,
    permits: Arc<Semaphore>,
    unread: Unread,
    over: CancellationToken,
}

impl Opener {
    /// Opens a stream; waits while the bound of own streams is reached. `None` when the connection is gone.
    pub(crate) async fn open(&self) -> Option<PipeStream> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let (sender, receiver) = oneshot::channel();
        self.openings.send(sender).await.ok()?;
        let stream = receiver.await.ok()?;
        Some(PipeStream::new(stream, self.unread.clone(), &self.over, Some(permit)))
    }
}

/// A connection that is not driven yet.
#[derive(Debug)]
pub(crate) struct Driver<T> {
    connection: yamux::Connection<Compat<Guarded<BufWriter<T>>>>,
    openings: mpsc::Receiver<Opening>,
    inbound: mpsc::Sender<PipeStream>,
    seen: Seen,
    unread: Unread,
    over: CancellationToken,
    // Behind the connection: by then nothing more comes.
    _over_on_drop: DropGuard,
}

/// What a driver serves.
pub(crate) struct Mux<T> {
    pub(crate) driver: Driver<T>,
    pub(crate) opener: Opener,
    pub(crate) inbound: mpsc::Receiver<PipeStream>,
    pub(crate) seen: Seen,
}

/// Multiplexes `io`. Nothing happens until [`Driver::run`] runs.
pub(crate) fn multiplex<T>(io: T, end: End, own_streams_max: usize) -> Mux<T>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_MAX);
    config.set_max_connection_receive_window(Some(WINDOW_BYTES_MAX));
    config.set_split_send_size(SPLIT_BYTES);
    let mode = match end {
        End::Host => yamux::Mode::Client,
        End::Guest => yamux::Mode::Server,
    };
    // yamux writes a frame's header by itself; what carries the bytes (a pipe, an engine) should not see it come alone. It flushes
    // whenever it has no more to write.
    let (guarded, seen, unread) = Guarded::new(BufWriter::with_capacity(WRITE_BUFFER_BYTES, io));
    let connection = yamux::Connection::new(guarded.compat(), config, mode);
    let (openings_sender, openings) = mpsc::channel(OPENS_QUEUE_MAX);
    let (inbound_sender, inbound) = mpsc::channel(INBOUND_QUEUE_MAX);
    let permits = Arc::new(Semaphore::new(own_streams_max));
    let over = CancellationToken::new();
    let opener = Opener { openings: openings_sender, permits, unread: unread.clone(), over: over.clone() };
    let over_on_drop = over.clone().drop_guard();
    let driver = Driver {
        connection,
        openings,
        inbound: inbound_sender,
        seen: seen.clone(),
        unread,
        over,
        _over_on_drop: over_on_drop,
    };
    Mux { driver, opener, inbound, seen }
}

impl<T> Driver<T>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    /// Drives the connection until it ends or is cancelled, and says why it ended.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> PipeError {
        let ended = {
            let mut opening = None;
            tokio::select! {
                biased;
                () = cancel.cancelled() => None,
                error = poll_fn(|cx| self.poll(cx, &mut opening)) => Some(error),
            }
        };
        if let Some(error) = ended {
            return error;
        }
        // A peer that reads nothing must not keep this end from closing.
        let close = poll_fn(|cx| self.connection.poll_close(cx));
        if tokio::time::timeout(CLOSE_WAIT_MAX, close).await.is_err() {
            tracing::debug!("the peer did not take the close in time");
        }
        PipeError::Closed
    }

    fn poll(&mut self, cx: &mut Context<'_>, opening: &mut Option<Opening>) -> Poll<PipeError> {
        loop {
            let mut has_moved = false;
            match self.connection.poll_next_inbound(cx) {
                Poll::Ready(Some(Ok(stream))) => {
                    has_moved = true;
                    let stream = PipeStream::new(stream, self.unread.clone(), &self.over, None);
                    if self.inbound.try_send(stream).is_err() {
                        tracing::debug!("a stream of the peer was reset: too many wait");
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(self.reason(error)),
                Poll::Ready(None) => return Poll::Ready(PipeError::PeerClosed),
                Poll::Pending => {}
            }
            if opening.is_none()
                && let Poll::Ready(Some(next)) = self.openings.poll_recv(cx)
            {
                *opening = Some(next);
            }
            if let Some(next) = opening.take() {
                match self.connection.poll_new_outbound(cx) {
                    Poll::Ready(Ok(stream)) => {
                        has_moved = true;
                        // Whoever asked may have gone: the stream is then dropped and never appears on the wire.
                        drop(next.send(stream));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(self.reason(error)),
                    Poll::Pending => *opening = Some(next),
                }
            }
            if !has_moved {
                return Poll::Pending;
            }
        }
    }

    fn reason(&self, error: yamux::ConnectionError) -> PipeError {
        if let Some(what) = self.seen.flood() {
            return PipeError::Flood { what };
        }
        match error {
            yamux::ConnectionError::Io(error) | yamux::ConnectionError::Decode(yamux::FrameDecodeError::Io(error)) => {
                PipeError::from(error)
            }
            yamux::ConnectionError::Closed => PipeError::PeerClosed,
            // The foreign enum may grow; whatever else it says is a broken connection.
            error @ (yamux::ConnectionError::Decode(_)
            | yamux::ConnectionError::NoMoreStreamIds
            | yamux::ConnectionError::TooManyStreams
            | _) => PipeError::Multiplex { reason: error.to_string() },
        }
    }
}

/// Sends beats over the control stream and reads the peer's, until the connection counts as lost. Any byte of any
/// stream is a sign of life, so bulk that delays a beat does not look like silence.
pub(crate) async fn keep_alive(
    control: PipeStream,
    seen: &Seen,
    interval: Duration,
    silence_max: Duration,
) -> PipeError {
    let (mut reader, mut writer) = tokio::io::split(control);
    let listening = async {
        loop {
            match frame::read::<_, Control>(&mut reader, "a beat", CONTROL_BYTES_MAX).await {
                Ok(Some(Control::Beat | Control::Unknown)) => {}
                Ok(None) => return PipeError::PeerClosed,
                Err(error) => return error,
            }
        }
    };
    let beating = async {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = frame::write(&mut writer, &Control::Beat, CONTROL_BYTES_MAX).await {
                return error;
            }
        }
    };
    let watching = async {
        loop {
            let silent_at = seen.last() + silence_max;
            if silent_at <= Instant::now() {
                return PipeError::Silent { after: silence_max };
            }
            tokio::time::sleep_until(silent_at).await;
        }
    };
    tokio::select! {
        biased;
        error = listening => error,
        error = watching => error,
        error = beating => error,
    }
}

/// The first reason stands.
pub(crate) fn note_loss(loss: &watch::Sender<Option<PipeError>>, reason: PipeError) {
    loss.send_if_modified(|current| {
        let is_first = current.is_none();
        if is_first {
            *current = Some(reason);
        }
        is_first
    });
}
