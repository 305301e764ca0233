//! The owner of everything that lives.

use crate::{Api, Config};

/// A running Berth: one per data folder.
pub struct App {}

/// Why an app does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another Berth uses the data folder.
    #[error("another Berth uses `{folder}`")]
    InUse {
        /// The folder.
        folder: camino::Utf8PathBuf,
    },
}

impl App {
    /// Opens the data folder, takes its lock, reconciles what is there with what the engine has, and begins to work.
    pub async fn start(_config: Config) -> Result<Self, StartError> {
        unimplemented!()
    }

    /// A handle for a skin.
    pub fn api(&self) -> Api {
        unimplemented!()
    }

    /// Stops working and lets go of everything; sandboxes work on and are taken over at the next start.
    pub async fn shutdown(self) {
        unimplemented!()
    }
}
