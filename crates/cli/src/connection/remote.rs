//! A running Berth, over HTTP and WebSockets on loopback.

use std::time::Duration;

use camino::Utf8Path;
use nix::{sys::signal::kill, unistd::Pid};
use reqwest::{Body, Client, Response, redirect};
use serde::de::DeserializeOwned;
use server::Announcement;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{self, protocol::WebSocketConfig},
};
use wire::{
    Call, ErrorCode, ErrorView, Request,
    call::{Hello, HomeImported, OpenStream},
    session::LinkReply,
    stream::{FRAME_BYTES_MAX, StreamTarget},
};

use super::archive::Chunks;

/// A WebSocket to the running Berth.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long a Berth may take to say hello before it counts as gone.
const HELLO_TIME_MAX: Duration = Duration::from_secs(3);
/// How long the connection to a port of this machine may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// A running Berth.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    announcement: Announcement,
    client: Client,
}

impl Remote {
    /// The Berth that is announced in that folder, if it answers.
    pub(crate) async fn find(data_folder: &Utf8Path) -> Option<Self> {
        let announcement = match Announcement::read(data_folder) {
            Ok(announcement) => announcement?,
            Err(error) => {
                tracing::warn!(%error, "the announcement is passed over");
                return None;
            }
        };
        // A dead process's port may have been taken by another one, which must not get to see the token.
        if !is_alive(announcement.pid) {
            return None;
        }
        // Neither a proxy nor a redirect has any business between us and a port of this machine.
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIME_MAX)
            .build()
            .ok()?;
        let remote = Self { announcement, client };
        timeout(HELLO_TIME_MAX, remote.call(Hello {})).await.ok()?.ok()?;
        Some(remote)
    }

    /// Scheme, host and port.
    pub(crate) fn address(&self) -> &str {
        &self.announcement.address
    }

    /// Answers one call. It may take as long as it takes: building an image does.
    pub(crate) async fn call<C: Call + Send>(&self, call: C) -> Result<C::Reply, ErrorView> {
        let request: Request = call.into();
        let sent = self.post("/api/call").json(&request).send().await;
        self.reply(sent).await
    }

    /// A fresh link to the interface.
    pub(crate) async fn link(&self) -> Result<LinkReply, ErrorView> {
        let sent = self.post("/api/link").send().await;
        self.reply(sent).await
    }

    /// Opens the WebSocket of that target.
    pub(crate) async fn stream(&self, target: StreamTarget) -> Result<Box<Socket>, ErrorView> {
        let ticket = self.call(OpenStream { target }).await?.ticket;
        let host = self.address().strip_prefix("http://").unwrap_or_default();
        let config =
            WebSocketConfig::default().max_message_size(Some(FRAME_BYTES_MAX)).max_frame_size(Some(FRAME_BYTES_MAX));
        let url = format!("ws://{host}/api/stream?ticket={ticket}");
        let connecting = connect_async_with_config(url, Some(config), true);
        match timeout(CONNECT_TIME_MAX, connecting).await {
            Ok(Ok((socket, _))) => Ok(Box::new(socket)),
            Ok(Err(tungstenite::Error::Http(response))) => Err(self.refusal(response.body().as_deref().unwrap_or(&[]))),
            Ok(Err(_)) | Err(_) => Err(self.gone()),
        }
    }

    /// Opens a home's way out.
    pub(crate) async fn download(&self, target: StreamTarget) -> Result<Response, ErrorView> {
        let ticket = self.call(OpenStream { target }).await?.ticket;
        let url = format!("{}/api/archive?ticket={ticket}", self.address());
        let Ok(response) = self.client.get(url).send().await else { return Err(self.gone()) };
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(&response.bytes().await.unwrap_or_default()))
    }

    /// Sends a home in.
    pub(crate) async fn upload(&self, target: StreamTarget, mut chunks: Chunks) -> Result<HomeImported, ErrorView> {
        let ticket = self.call(OpenStream { target }).await?.ticket;
        let url = format!("{}/api/archive?ticket={ticket}", self.address());
        let body = Body::wrap_stream(futures::stream::poll_fn(move |context| chunks.poll_recv(context)));
        let sent = self.client.post(url).body(body).send().await;
        self.reply(sent).await
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{path}", self.address())).bearer_auth(self.announcement.token.reveal())
    }

    async fn reply<T: DeserializeOwned>(&self, sent: reqwest::Result<Response>) -> Result<T, ErrorView> {
        let Ok(response) = sent else { return Err(self.gone()) };
        let is_reply = response.status().is_success();
        let Ok(body) = response.bytes().await else { return Err(self.gone()) };
        if is_reply {
            serde_json::from_slice(&body).map_err(|_| self.misunderstood())
        } else {
            Err(self.refusal(&body))
        }
    }

    fn refusal(&self, body: &[u8]) -> ErrorView {
        serde_json::from_slice(body).unwrap_or_else(|_| self.misunderstood())
    }

    fn gone(&self) -> ErrorView {
        let message = format!("The Berth at {} no longer answers.", self.address());
        ErrorView::new(ErrorCode::Internal, message).hint("See whether it still runs, or start `berth serve`.")
    }

    fn misunderstood(&self) -> ErrorView {
        let version = &self.announcement.version;
        let message = format!("The Berth at {} answers in other words than ours.", self.address());
        ErrorView::new(ErrorCode::Internal, message)
            .hint(format!("It is version {version}, this command is {}: use the same.", env!("CARGO_PKG_VERSION")))
    }
}

/// Whether a process of that id lives that we may signal: our Berth is our own process.
fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| pid > 0 && kill(Pid::from_raw(pid), None).is_ok())
}
