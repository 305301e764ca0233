//! The way out: a port on loopback whose connections are carried to the host, bounded in number, held while no host is connected.
//!
//! What passes here is bytes: what they ask for, and whether they may, is the host's to say. Only where there is no host does the
//! guest answer by itself, and then in HTTP, since that is what programs speak with a proxy.
//!
//! ```text
//! program ── connects to 127.0.0.1:port ──▶ held ── host comes ──▶ carried until either side ends
//!                                             ├── too many, or nobody for OUTWARD_HOLD ──▶ 503 with the reason
//!                                             └── the program leaves ──▶ forgotten
//! ```

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pipe::PipeStream;
use pipe::guest::{OutwardError, OutwardOpener};
use pipe::limits::{GATEWAY_TARGET, OUTWARD_HOLD, OUTWARD_MAX, SPLIT_BYTES};
use pipe::message::{Refusal, RefusalCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, Ready, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::diagnostic;

/// How long a stream that breaks may be ahead of the news that its connection is lost.
const LOSS_WAIT_MAX: Duration = Duration::from_secs(2);
/// How often it is looked whether a program whose connection is held is still there.
const LEFT_INTERVAL: Duration = Duration::from_secs(1);
/// Between two tries to accept where the descriptors have run out.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How long a program may take to read why it was refused, and to say the rest of what it has to say.
const REFUSAL_WAIT_MAX: Duration = Duration::from_secs(5);
/// What of a refused request is read over, in bytes, so that the reason arrives: a connection closed on unread bytes is reset.
const REFUSED_BYTES_MAX: u64 = 1024 * 1024;
/// Buffers of a carried connection, in bytes: towards the host a frame's worth. Pages that are never filled cost nothing.
const COPY_OUT_BYTES: usize = SPLIT_BYTES;
const COPY_IN_BYTES: usize = 32 * 1024;

/// Why an outward connection ended without having been one.
#[derive(Debug, thiserror::Error)]
pub enum OutwardRefused {
    /// The bound of simultaneous ones is reached.
    #[error("too many outward connections")]
    TooMany,
    /// No host came within the time that a connection is held.
    #[error("Berth is not running: no host for {} s", held.as_secs())]
    NoHost {
        /// How long it was held.
        held: Duration,
    },
    /// The host refused it.
    #[error("the host refused the connection")]
    Refused(#[source] Refusal),
}

/// A connection to the host. It counts until it is dropped.
#[derive(Debug)]
pub struct Outward {
    stream: PipeStream,
    _permit: OwnedSemaphorePermit,
}

impl Outward {
    /// Carries a program's connection until either side ends.
    pub async fn carry<C>(&mut self, connection: &mut C) -> io::Result<()>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        copy_bidirectional_with_sizes(connection, &mut self.stream, COPY_OUT_BYTES, COPY_IN_BYTES).await.map(drop)
    }
}

/// The connections to the host. Clones share the bounds.
#[derive(Debug, Clone)]
pub struct Outwards {
    permits: Arc<Semaphore>,
    host: Arc<watch::Sender<Option<OutwardOpener>>>,
    hold: Duration,
}

impl Default for Outwards {
    fn default() -> Self {
        Self::new(OUTWARD_MAX, OUTWARD_HOLD)
    }
}

impl Outwards {
    /// At most `count_max` connections, each held for at most `hold`.
    pub fn new(count_max: usize, hold: Duration) -> Self {
        Self { permits: Arc::new(Semaphore::new(count_max)), host: Arc::new(watch::Sender::new(None)), hold }
    }

    /// A host is connected, or none any more.
    pub fn set_host(&self, host: Option<OutwardOpener>) {
        self.host.send_replace(host);
    }

    /// A way to `target` by the host, once there is one.
    ///
    /// # Errors
    /// [`OutwardRefused`] says what to tell the program.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn connect(&self, target: &str) -> Result<Outward, OutwardRefused> {
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| OutwardRefused::TooMany)?;
        let opened = timeout(self.hold, self.open(target)).await;
        let stream = opened.unwrap_or(Err(OutwardRefused::NoHost { held: self.hold }))?;
        Ok(Outward { stream, _permit: permit })
    }

    /// Asks each host that comes until one answers.
    async fn open(&self, target: &str) -> Result<PipeStream, OutwardRefused> {
        let mut hosts = self.host.subscribe();
        loop {
            let host = hosts.wait_for(Option::is_some).await.ok().and_then(|host| host.clone());
            let Some(host) = host else { return Err(OutwardRefused::NoHost { held: self.hold }) };
            match host.open(target).await {
                Ok(stream) => return Ok(stream),
                Err(OutwardError::Refused(refusal)) => return Err(OutwardRefused::Refused(refusal)),
                // Either that host is gone, which is told within moments, and the next one may answer; or it reset this stream alone.
                Err(OutwardError::Pipe(_)) => match timeout(LOSS_WAIT_MAX, hosts.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(OutwardRefused::NoHost { held: self.hold }),
                    Err(_elapsed) => {
                        let reset = Refusal::new(RefusalCode::TooMany, "Berth takes no further connections now");
                        return Err(OutwardRefused::Refused(reset));
                    }
                },
            }
        }
    }
}

/// The port inside, once it is asked for. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct WayOut {
    outwards: Outwards,
    port: Arc<Mutex<Option<u16>>>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl WayOut {
    pub(crate) fn new(outwards: Outwards, tasks: TaskTracker, cancel: CancellationToken) -> Self {
        Self { outwards, port: Arc::default(), tasks, cancel }
    }

    /// The port, where it is open.
    pub(crate) fn port(&self) -> Option<u16> {
        *self.port.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens on a port of loopback from now on. Asked for again it is done already; another port is refused.
    pub(crate) async fn open(&self, port: u16) -> Result<(), Refusal> {
        match self.port() {
            Some(open) if open == port => return Ok(()),
            Some(open) => return Err(Refusal::new(RefusalCode::Invalid, format!("the way out is port {open}"))),
            None => {}
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.map_err(|error| Refusal::new(RefusalCode::Other, error.to_string()))?;
        // A sandbox without IPv6 has the first alone.
        let second = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await.ok();
        {
            let mut open = self.port.lock().unwrap_or_else(PoisonError::into_inner);
            if open.is_some() {
                // Asked for twice at once: the other has it.
                return Ok(());
            }
            *open = Some(port);
        }
        for listener in [Some(listener), second].into_iter().flatten() {
            let way_out = self.clone();
            self.tasks.spawn(async move { way_out.receive(&listener).await });
        }
        Ok(())
    }

    async fn receive(&self, listener: &TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((connection, _)) => {
                    let (outwards, cancel) = (self.outwards.clone(), self.cancel.clone());
                    self.tasks.spawn(async move {
                        tokio::select! {
                            biased;
                            () = cancel.cancelled() => {}
                            () = carry(&outwards, connection) => {}
                        }
                    });
                }
                Err(error) => {
                    diagnostic::note(&format!("cannot accept an outward connection: {error}"));
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
}

/// Carries one connection of a program inside; says why where that is not possible.
async fn carry(outwards: &Outwards, mut connection: TcpStream) {
    // Small pieces are tokens of a reply; where it cannot be set they are only slower.
    drop(connection.set_nodelay(true));
    let outward = tokio::select! {
        biased;
        outward = outwards.connect(GATEWAY_TARGET) => outward,
        () = left(&connection) => return,
    };
    match outward {
        // Either side may go at any time, which tells the other.
        Ok(mut outward) => drop(outward.carry(&mut connection).await),
        Err(refused) => refuse(connection, &refused).await,
    }
}

/// Resolves when the program has closed its side: nobody waits for an answer any more.
async fn left(connection: &TcpStream) {
    let mut looks = interval(LEFT_INTERVAL);
    loop {
        // What is readable stays so while nobody reads it: without the tick this would be a busy loop.
        looks.tick().await;
        let readiness = connection.ready(Interest::READABLE).await;
        if readiness.is_ok_and(Ready::is_read_closed) {
            return;
        }
    }
}

/// Answers in HTTP (RFC 9110 §15.6.4) that nothing can be carried now.
async fn refuse(mut connection: TcpStream, refused: &OutwardRefused) {
    let reason = match refused {
        OutwardRefused::TooMany => {
            "Too many connections to the outside at once. Close some, then try again.".to_owned()
        }
        OutwardRefused::NoHost { held } => {
            format!(
                "Berth is not running: nobody took this connection for {} s. Start Berth, then try again.",
                held.as_secs()
            )
        }
        OutwardRefused::Refused(refusal) => format!("Berth refused the connection: {}", refusal.detail),
    };
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{reason}\n",
        reason.len() + 1
    );
    let answering = async {
        connection.write_all(answer.as_bytes()).await?;
        connection.shutdown().await?;
        tokio::io::copy(&mut (&mut connection).take(REFUSED_BYTES_MAX), &mut tokio::io::sink()).await
    };
    drop(timeout(REFUSAL_WAIT_MAX, answering).await);
}
