//! What the server needs of the app: four calls. Split from [`Api`] so that the server is tested with a scripted one.

use async_trait::async_trait;
use berth_core::{Api, Stream};
use wire::{ErrorView, Request, stream::StreamTarget};

/// The app as the server sees it.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Answers one request with its reply as JSON.
    async fn dispatch(&self, request: Request) -> Result<serde_json::Value, ErrorView>;

    /// Takes a ticket, which is good once and not for long; `None` where it is neither.
    fn redeem(&self, ticket: &str) -> Option<StreamTarget>;

    /// Opens the stream of a redeemed ticket.
    async fn open_stream(&self, target: StreamTarget) -> Result<Stream, ErrorView>;

    /// Is told where WebSockets are served (`ws://127.0.0.1:4242`).
    fn set_stream_origin(&self, origin: String);
}

#[async_trait]
impl Backend for Api {
    async fn dispatch(&self, request: Request) -> Result<serde_json::Value, ErrorView> {
        Self::dispatch(self, request).await
    }

    fn redeem(&self, ticket: &str) -> Option<StreamTarget> {
        Self::redeem(self, ticket)
    }

    async fn open_stream(&self, target: StreamTarget) -> Result<Stream, ErrorView> {
        Self::open_stream(self, target).await
    }

    fn set_stream_origin(&self, origin: String) {
        Self::set_stream_origin(self, origin);
    }
}
