//! The cheap handle that every skin calls.

use tokio::sync::mpsc;
use wire::{
    Call, ErrorView, Request,
    stream::{StreamTarget, TerminalInput, TerminalOutput, Update},
};

/// Everything that can be asked of a running [`App`](crate::App).
#[derive(Clone)]
pub struct Api {}

/// An open stream.
pub enum Stream {
    /// What changed, as it changes. Ends when the app does.
    Updates(mpsc::Receiver<Update>),
    /// A terminal.
    Terminal(Terminal),
}

/// Both directions of a terminal. Flow control is done on this side of the channels: a skin only pumps frames.
/// Dropping it closes the stream.
pub struct Terminal {
    /// To be drawn. Ends after [`TerminalOutput::End`].
    pub output: mpsc::Receiver<TerminalOutput>,
    /// Keys, sizes and acks.
    pub input: mpsc::Sender<TerminalInput>,
}

impl Api {
    /// Answers one request with its reply as JSON.
    pub async fn dispatch(&self, _request: Request) -> Result<serde_json::Value, ErrorView> {
        unimplemented!()
    }

    /// Answers one call with its typed reply.
    pub async fn call<C: Call>(&self, _call: C) -> Result<C::Reply, ErrorView> {
        unimplemented!()
    }

    /// Takes a ticket, which is good once.
    pub fn redeem(&self, _ticket: &str) -> Option<StreamTarget> {
        unimplemented!()
    }

    /// Opens a stream; a skin that is reached over the network calls it only with a redeemed ticket.
    pub async fn open_stream(&self, _target: StreamTarget) -> Result<Stream, ErrorView> {
        unimplemented!()
    }

    /// Says where WebSockets are served, for `Hello`.
    pub fn set_stream_origin(&self, _origin: String) {
        unimplemented!()
    }
}
