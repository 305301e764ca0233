//! Archives, as a command takes and gives them: from the running Berth or from the core in this process.

use std::io;

use berth_core::Download;
use bytes::Bytes;
use reqwest::Response;
use tokio::sync::mpsc;
use wire::{ErrorCode, ErrorView};

/// What a command sends.
pub(crate) type Chunks = mpsc::Receiver<io::Result<Bytes>>;

/// A home on its way out.
pub(crate) enum Archive {
    /// From the running Berth.
    Remote(Box<Response>),
    /// From our own core.
    Local(Download),
}

impl Archive {
    /// The next chunk; `None` at the end of a whole archive, and there alone.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ErrorView> {
        match self {
            Self::Remote(response) => response.chunk().await.map_err(|_| broken()),
            Self::Local(download) => match download.chunks.recv().await {
                Some(Ok(chunk)) if chunk.is_empty() => Ok(None),
                Some(Ok(chunk)) => Ok(Some(chunk)),
                Some(Err(error)) => Err(error),
                None => Err(broken()),
            },
        }
    }
}

fn broken() -> ErrorView {
    ErrorView::new(ErrorCode::NotNow, "The export broke off, so what was written is not whole.")
        .hint("It was cancelled, or Berth or its engine ended: try again.")
}
