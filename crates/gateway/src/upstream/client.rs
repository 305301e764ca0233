//! The client of a model's host: pooled connections, each made to a checked address of one endpoint.

use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Uri;
use hyper::body::Body;
use hyper::rt::Executor;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Dialer, UpstreamError};
use crate::bounds::HEADERS_MAX;
use crate::policy::Host;
use crate::route::{Endpoint, Security};

/// How long a connection is kept that nobody uses.
const POOL_IDLE_TIME_MAX: Duration = Duration::from_mins(1);
/// How many such connections are kept; of HTTP/2 there is one.
const POOL_IDLE_MAX: usize = 8;
/// How much of one reply a host may send before the client reads it.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// The same for all replies on one connection of HTTP/2.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// The largest head of a reply.
const REPLY_HEAD_BYTES_MAX: u32 = 64 << 10;
/// How often a connection of HTTP/2 is asked whether it is alive, and how long it may take to say so.
const ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const ALIVE_TIME_MAX: Duration = Duration::from_secs(20);

/// Sends requests to one endpoint.
pub(crate) type Client<Sent> = legacy::Client<Connector, Sent>;
/// The same, of bodies that are held whole.
pub(crate) type ModelClient = Client<Full<Bytes>>;

/// Runs what hyper wants run, as the gateway's own.
#[derive(Clone)]
pub(crate) struct TaskOwner {
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
}

impl<Work> Executor<Work> for TaskOwner
where
    Work: Future + Send + 'static,
    Work::Output: Send,
{
    fn execute(&self, work: Work) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move { stopping.run_until_cancelled(work).await.map(drop) });
    }
}

/// Connects to one endpoint, whatever the URL of a request says.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) dialer: Dialer,
    pub(crate) endpoint: Endpoint,
    pub(crate) owner: TaskOwner,
}

impl Connector {
    pub(crate) fn into_client<Sent>(self) -> Client<Sent>
    where
        Sent: Body + Send,
        Sent::Data: Send,
    {
        legacy::Client::builder(self.owner.clone())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIME_MAX)
            .pool_max_idle_per_host(POOL_IDLE_MAX)
            .http1_max_buf_size(REPLY_HEAD_BYTES_MAX as usize)
            .http1_max_headers(HEADERS_MAX)
            .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_header_list_size(REPLY_HEAD_BYTES_MAX)
            .http2_keep_alive_interval(ALIVE_INTERVAL)
            .http2_keep_alive_timeout(ALIVE_TIME_MAX)
            .build(self)
    }

    async fn connect(self) -> Result<TokioIo<Link>, UpstreamError> {
        let Endpoint { host, port, security, .. } = &self.endpoint;
        let allowed = self.endpoint.allowed()?;
        let addresses = self.dialer.resolve(host, &allowed).await?;
        let stream = self.dialer.connect(host, *port, &addresses).await?;
        let link = match security {
            Security::Plain => Link { io: Box::new(stream), is_http2: false },
            Security::Tls => {
                let stream = self.dialer.secure(host, stream).await?;
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                Link { io: Box::new(stream), is_http2 }
            }
        };
        Ok(TokioIo::new(link))
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Link>;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Link>, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}

/// What a connector said, where it was one: hyper's client wraps it.
pub(crate) fn reason_of(error: legacy::Error, host: &Host) -> UpstreamError {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(inner) = inner.downcast_ref::<UpstreamError>() {
            return inner.again();
        }
        source = inner.source();
    }
    UpstreamError::NoReply(host.clone(), Box::new(error))
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<Io: AsyncRead + AsyncWrite + Send + Unpin> Stream for Io {}

/// A connection, with TLS or without.
pub(crate) struct Link {
    io: Box<dyn Stream>,
    is_http2: bool,
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.is_http2 { connected.negotiated_h2() } else { connected }
    }
}

impl AsyncRead for Link {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
