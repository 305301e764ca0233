//! Why a row has no numbers.

use std::io;

use engine::EngineError;
use pipe::{
    PipeError,
    host::{CallError, DialError, StartError as ProcessError},
};
use store::StoreError;
use wire::ErrorView;

use crate::app::StartError;

/// Why a row has no numbers.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// There is no engine, or none that could be asked.
    #[error("the engine cannot be used")]
    Engine(#[from] EngineError),
    /// No engine was found.
    #[error("no engine was found")]
    Find(#[from] engine::find::FindError),
    /// The engine does not have the image.
    #[error("the engine has no image `{image}`")]
    NoImage {
        /// The image that was asked for.
        image: String,
    },
    /// The app on the folder of its own did not start.
    #[error("the app did not start")]
    App(#[from] StartError),
    /// A call of the app's failed.
    #[error("{}", _0.message)]
    Call(ErrorView),
    /// A process in a sandbox did not start.
    #[error("a process in the sandbox did not start")]
    Process(#[from] ProcessError),
    /// A guest did not do what it was asked.
    #[error("the guest did not do what it was asked")]
    Guest(#[from] CallError),
    /// Nothing could be connected to inside.
    #[error("nothing could be connected to in the sandbox")]
    Dial(#[from] DialError),
    /// The pipe was lost.
    #[error("the pipe was lost")]
    Pipe(#[from] PipeError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The system failed.
    #[error("{what} failed")]
    Io {
        /// What was tried.
        what: &'static str,
        /// How it failed.
        #[source]
        source: io::Error,
    },
    /// It took longer than anything that is worth measuring.
    #[error("waited in vain for {what}")]
    Timeout {
        /// For what.
        what: &'static str,
    },
    /// A program said something else than what was measured.
    #[error("{what} said: {words:?}")]
    Said {
        /// Which.
        what: &'static str,
        /// Its words.
        words: String,
    },
    /// Something ended before it did what was to be measured.
    #[error("{what} ended too early")]
    Ended {
        /// What.
        what: &'static str,
    },
}

impl From<ErrorView> for BenchError {
    fn from(view: ErrorView) -> Self {
        Self::Call(view)
    }
}

impl BenchError {
    /// For `map_err` of something that the system did not do.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
