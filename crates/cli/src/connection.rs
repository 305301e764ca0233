//! Who answers: the Berth that runs on the data folder, or a core started for this command alone.
//!
//! A running one is found by its announcement, which a killed one leaves behind: it counts only if its process lives and
//! the server behind it answers to the token. The truth is the data folder's lock, which the core takes when it starts.

use std::time::Duration;

use berth_core::{App, Config, StartError, Stream};
use tokio::time::{Instant, sleep};
use wire::{Call, ErrorCode, ErrorView, call::HomeImported, stream::StreamTarget};

mod archive;
mod feed;
mod remote;

pub(crate) use archive::{Archive, Chunks};
pub(crate) use feed::{Broken, Output, Updates};
pub(crate) use remote::{Remote, Socket};

/// How long a Berth that holds the lock may take until it answers: it may just be starting.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// How often it is looked for meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Who answers.
pub(crate) enum Connection {
    /// The Berth that runs on the data folder.
    Remote(Remote),
    /// A core of our own.
    Local(App),
}

impl Connection {
    /// The running Berth, or a core of our own where none runs.
    pub(crate) async fn open(config: &Config, verbose: u8) -> anyhow::Result<Self> {
        if let Some(remote) = Self::running(config).await {
            crate::log::to_stderr(verbose);
            return Ok(Self::Remote(remote));
        }
        crate::log::to_folder(&config.data_folder, verbose);
        match App::start(config.clone()).await {
            Ok(app) => Ok(Self::Local(app)),
            Err(error) => Self::after_failed_start(config, error).await.map(Self::Remote),
        }
    }

    /// The running Berth, if there is one that answers.
    pub(crate) async fn running(config: &Config) -> Option<Remote> {
        Remote::find(&config.data_folder).await
    }

    /// The Berth that was in the way of our own start, once it answers.
    pub(crate) async fn after_failed_start(config: &Config, error: StartError) -> anyhow::Result<Remote> {
        if !matches!(error, StartError::InUse { .. }) {
            return Err(error.view().into());
        }
        let give_up_at = Instant::now() + ANSWER_TIME_MAX;
        while Instant::now() < give_up_at {
            if let Some(remote) = Self::running(config).await {
                return Ok(remote);
            }
            sleep(LOOK_EVERY).await;
        }
        let message = format!("Another Berth uses {} and does not answer.", config.data_folder);
        let hint = "Close it, or set BERTH_HOME to another folder.";
        Err(ErrorView::new(ErrorCode::DataFolderInUse, message).hint(hint).into())
    }

    /// Answers one call.
    pub(crate) async fn call<C: Call + Send>(&self, call: C) -> Result<C::Reply, ErrorView> {
        match self {
            Self::Remote(remote) => remote.call(call).await,
            Self::Local(app) => app.api().call(call).await,
        }
    }

    /// What changed, as it changes.
    pub(crate) async fn updates(&self) -> Result<Updates, ErrorView> {
        match self {
            Self::Remote(remote) => remote.stream(StreamTarget::Updates).await.map(Updates::Remote),
            Self::Local(app) => match app.api().open_stream(StreamTarget::Updates).await? {
                Stream::Updates(updates) => Ok(Updates::Local(updates)),
                Stream::Terminal(_) | Stream::Download(_) | Stream::Upload(_) => Err(unexpected_stream()),
            },
        }
    }

    /// The stream of that target, which is a terminal's.
    pub(crate) async fn output(&self, target: StreamTarget) -> Result<Output, ErrorView> {
        match self {
            Self::Remote(remote) => remote.stream(target).await.map(Output::Remote),
            Self::Local(app) => match app.api().open_stream(target).await? {
                Stream::Terminal(terminal) => Ok(Output::Local(terminal)),
                Stream::Updates(_) | Stream::Download(_) | Stream::Upload(_) => Err(unexpected_stream()),
            },
        }
    }

    /// A home on its way out.
    pub(crate) async fn download(&self, target: StreamTarget) -> Result<Archive, ErrorView> {
        match self {
            Self::Remote(remote) => remote.download(target).await.map(|response| Archive::Remote(Box::new(response))),
            Self::Local(app) => match app.api().open_stream(target).await? {
                Stream::Download(download) => Ok(Archive::Local(download)),
                Stream::Updates(_) | Stream::Terminal(_) | Stream::Upload(_) => Err(unexpected_stream()),
            },
        }
    }

    /// A home on its way in, chunk by chunk.
    pub(crate) async fn upload(&self, target: StreamTarget, mut chunks: Chunks) -> Result<HomeImported, ErrorView> {
        match self {
            Self::Remote(remote) => remote.upload(target, chunks).await,
            Self::Local(app) => {
                let Stream::Upload(upload) = app.api().open_stream(target).await? else {
                    return Err(unexpected_stream());
                };
                while let Some(chunk) = chunks.recv().await {
                    if upload.chunks.send(chunk).await.is_err() {
                        break;
                    }
                }
                drop(upload.chunks);
                upload.done.await.unwrap_or_else(|_| Err(unexpected_stream()))
            }
        }
    }

    /// Lets go. A core of our own is shut down: its sandboxes work on and are taken over at the next start.
    pub(crate) async fn close(self) {
        match self {
            Self::Remote(_) => {}
            Self::Local(app) => app.shutdown().await,
        }
    }
}

fn unexpected_stream() -> ErrorView {
    ErrorView::new(ErrorCode::Internal, "Berth opened another stream than the one that was asked for.")
}
