//! Connections from inside to the host: bounded in number, held while no host is connected.

use std::sync::Arc;
use std::time::Duration;

use pipe::PipeStream;
use pipe::guest::{OutwardError, OutwardOpener};
use pipe::limits::{OUTWARD_HOLD, OUTWARD_MAX};
use pipe::message::Refusal;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::sync::{Semaphore, watch};

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
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] std::io::Error),
}

/// The way out. Clones share the bounds.
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

    /// Carries one connection of a program inside to `target` by way of the host, until either side ends.
    ///
    /// # Errors
    /// [`OutwardRefused`] says what to tell the program, where nothing was carried.
    pub async fn carry<C>(&self, target: &str, mut connection: C) -> Result<(), OutwardRefused>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let _permit = self.permits.try_acquire().map_err(|_| OutwardRefused::TooMany)?;
        let mut stream = tokio::time::timeout(self.hold, self.open(target))
            .await
            .unwrap_or(Err(OutwardRefused::NoHost { held: self.hold }))?;
        copy_bidirectional(&mut connection, &mut stream).await.map(drop).map_err(OutwardRefused::Broken)
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
                // That host is gone; the next one may answer.
                Err(OutwardError::Pipe(_)) => {
                    if hosts.changed().await.is_err() {
                        return Err(OutwardRefused::NoHost { held: self.hold });
                    }
                }
            }
        }
    }
}
