//! Connections to the outside: a name is resolved once, each of its addresses is checked, and the connection is made to one of them and
//! to nothing else.

mod client;
mod trust;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::bounds::Bounds;
use crate::policy::{Allowed, Host, Refusal};

pub(crate) use client::{Client, Connector, ModelClient, TaskOwner, reason_of};
pub use trust::machine_trusts;
pub(crate) use trust::{TrustError, client_config};

/// The most addresses of one name that are tried, one after the other.
const ADDRESSES_TRIED_MAX: usize = 4;

/// Resolves names, on the host.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a name, best first.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// Resolves names as this machine does.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Why a host is not reached.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The addresses are none that may be connected to.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The name did not resolve.
    #[error("the name `{0}` does not resolve")]
    Unresolved(Host, #[source] io::Error),
    /// The resolver did not answer.
    #[error("the name `{0}` did not resolve in time")]
    ResolvedTooLate(Host),
    /// No connection.
    #[error("`{0}` cannot be connected to")]
    Unconnected(Host, #[source] io::Error),
    /// No connection in time.
    #[error("`{0}` did not take the connection in time")]
    ConnectedTooLate(Host),
    /// No TLS.
    #[error("TLS with `{0}` failed")]
    NoTls(Host, #[source] io::Error),
    /// The host does not speak HTTP, or stopped to.
    #[error("`{0}` gave no reply")]
    NoReply(Host, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The reply did not begin in time.
    #[error("`{0}` gave no reply in time")]
    RepliedTooLate(Host),
}

impl UpstreamError {
    /// The same, out of a borrowed one: a client of hyper's gives no other. What is inside of an error becomes words.
    pub(crate) fn again(&self) -> Self {
        let words = |error: &io::Error| io::Error::new(error.kind(), crate::respond::chain(error));
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.clone()),
            Self::Unresolved(host, error) => Self::Unresolved(host.clone(), words(error)),
            Self::ResolvedTooLate(host) => Self::ResolvedTooLate(host.clone()),
            Self::Unconnected(host, error) => Self::Unconnected(host.clone(), words(error)),
            Self::ConnectedTooLate(host) => Self::ConnectedTooLate(host.clone()),
            Self::NoTls(host, error) => Self::NoTls(host.clone(), words(error)),
            Self::NoReply(host, error) => Self::NoReply(host.clone(), crate::respond::chain(error.as_ref()).into()),
            Self::RepliedTooLate(host) => Self::RepliedTooLate(host.clone()),
        }
    }

    /// Whether the host may have read the request, so that a model may charge for it.
    pub(crate) fn may_have_been_sent(&self) -> bool {
        match self {
            Self::NoReply(..) | Self::RepliedTooLate(_) => true,
            Self::Refused(_)
            | Self::Unresolved(..)
            | Self::ResolvedTooLate(_)
            | Self::Unconnected(..)
            | Self::ConnectedTooLate(_)
            | Self::NoTls(..) => false,
        }
    }

    pub(crate) fn status(&self) -> hyper::StatusCode {
        match self {
            Self::Refused(_) => hyper::StatusCode::FORBIDDEN,
            Self::ResolvedTooLate(_) | Self::ConnectedTooLate(_) | Self::RepliedTooLate(_) => {
                hyper::StatusCode::GATEWAY_TIMEOUT
            }
            Self::Unresolved(..) | Self::Unconnected(..) | Self::NoTls(..) | Self::NoReply(..) => {
                hyper::StatusCode::BAD_GATEWAY
            }
        }
    }
}

/// Addresses that were checked; the best first.
#[derive(Clone, Debug)]
pub(crate) struct Checked(Vec<IpAddr>);

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) resolve_time_max: Duration,
    pub(crate) connect_time_max: Duration,
}

impl Dialer {
    pub(crate) fn new(resolver: Arc<dyn Resolve>, tls: ClientConfig, bounds: &Bounds) -> Self {
        let Bounds { resolve_time_max, connect_time_max, .. } = *bounds;
        Self { resolver, tls: Arc::new(tls), resolve_time_max, connect_time_max }
    }

    /// The addresses of a host, once.
    pub(crate) async fn resolve(&self, host: &Host, allowed: &Allowed) -> Result<Checked, UpstreamError> {
        let addresses = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => timeout(self.resolve_time_max, self.resolver.resolve(name))
                .await
                .map_err(|_elapsed| UpstreamError::ResolvedTooLate(host.clone()))?
                .map_err(|error| UpstreamError::Unresolved(host.clone(), error))?,
        };
        // One that may not be reached refuses all, so each that is left of them may be.
        let first = allowed.choose(&addresses)?;
        let others = addresses.iter().map(IpAddr::to_canonical).filter(|address| *address != first);
        Ok(Checked(std::iter::once(first).chain(others).take(ADDRESSES_TRIED_MAX).collect()))
    }

    pub(crate) async fn connect(&self, host: &Host, port: u16, to: &Checked) -> Result<TcpStream, UpstreamError> {
        let mut last = UpstreamError::ConnectedTooLate(host.clone());
        for address in &to.0 {
            match timeout(self.connect_time_max, TcpStream::connect((*address, port))).await {
                Ok(Ok(stream)) => {
                    // Pieces of a stream must not wait for more.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY is not set");
                    }
                    return Ok(stream);
                }
                Ok(Err(error)) => last = UpstreamError::Unconnected(host.clone(), error),
                Err(_elapsed) => last = UpstreamError::ConnectedTooLate(host.clone()),
            }
        }
        Err(last)
    }

    async fn secure(&self, host: &Host, stream: TcpStream) -> Result<TlsStream<TcpStream>, UpstreamError> {
        let name = match host {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|error| UpstreamError::NoTls(host.clone(), io::Error::other(error)))?,
        };
        let connector = tokio_rustls::TlsConnector::from(self.tls.clone());
        timeout(self.connect_time_max, connector.connect(name, stream))
            .await
            .map_err(|_elapsed| UpstreamError::ConnectedTooLate(host.clone()))?
            .map_err(|error| UpstreamError::NoTls(host.clone(), error))
    }
}
