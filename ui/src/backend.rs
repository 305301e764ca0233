//! The only place that knows how the core is reached: over Tauri's command in Berth's own window, over HTTP and WebSockets in a
//! browser. Everything else of the face speaks `wire` through [`call`] and [`Stream`].

pub mod archive;
pub mod desktop;
pub mod files;
mod http;
pub mod session;
mod stream;

use wire::{Call, ErrorView, Request};

pub use stream::{Stream, StreamEvent};

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The core answered with an error.
    #[error("{0}")]
    Refused(ErrorView),
    /// Nobody answered.
    #[error("Berth does not answer")]
    Away,
    /// Somebody answered, but not in our words.
    #[error("Berth answered with something else than what was asked: {0}")]
    Garbled(String),
    /// The token is gone or not accepted; [`session`] has been told.
    #[error("this window is no longer signed in")]
    SignedOut,
}

impl CallError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> &str {
        match self {
            Self::Refused(error) => &error.hint,
            Self::Away => "Start Berth, or run `berth serve`; this page connects again by itself.",
            Self::Garbled(_) => "Reload the page: it may be older than the Berth that serves it.",
            Self::SignedOut => "",
        }
    }
}

/// Asks the core.
pub async fn call<C: Call>(call: C) -> Result<C::Reply, CallError> {
    let request: Request = call.into();
    let request = serde_json::to_string(&request).map_err(|error| CallError::Garbled(error.to_string()))?;
    let reply = if desktop::is_desktop() { desktop::call(&request).await? } else { http::call(&request).await? };
    serde_json::from_str(&reply).map_err(|error| CallError::Garbled(error.to_string()))
}

/// An error as the core writes it.
fn refused(body: &str) -> CallError {
    match serde_json::from_str::<ErrorView>(body) {
        Ok(error) => CallError::Refused(error),
        Err(error) => CallError::Garbled(error.to_string()),
    }
}
