//! The core and its server, while the window is open.
//!
//! The core starts beside the window. Calls that come before it stands wait for it, with a bound; after it has failed or
//! left they are answered with why.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use berth_core::{Api, App, Config};
use server::{Server, ServerOptions};
use tauri::{AppHandle, Manager, async_runtime::JoinHandle};
use tokio::sync::watch;
use wire::{ErrorCode, ErrorView};

use crate::{browser, failure, news, window};

/// How long a call waits for the core to stand: far more than a start takes that succeeds.
const START_WAIT_MAX: Duration = Duration::from_mins(1);
/// How long leaving may take before the process ends all the same: what is on disk is consistent at any moment.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// The core and its server.
pub(crate) struct House {
    state: watch::Sender<State>,
    running: Mutex<Option<Running>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Clone)]
enum State {
    Starting,
    Open(Api),
    Closed(ErrorView),
}

/// What has to be shut down in order.
struct Running {
    app: App,
    server: Server,
}

impl Default for House {
    fn default() -> Self {
        Self { state: watch::Sender::new(State::Starting), running: Mutex::default(), tasks: Mutex::default() }
    }
}

impl House {
    /// The core's handle, once the core stands.
    ///
    /// # Errors
    /// Why the core does not stand: it failed, it left, or it takes longer than [`START_WAIT_MAX`].
    pub(crate) async fn api(&self) -> Result<Api, ErrorView> {
        let mut state = self.state.subscribe();
        let decided = state.wait_for(|state| !matches!(state, State::Starting));
        let starting =
            || ErrorView::new(ErrorCode::NotNow, "Berth is still starting.").hint("Wait a moment and try again.");
        let decided = tokio::time::timeout(START_WAIT_MAX, decided).await.map_err(|_| starting())?;
        match &*decided.map_err(|_| starting())? {
            State::Open(api) => Ok(api.clone()),
            State::Closed(error) => Err(error.clone()),
            State::Starting => Err(starting()),
        }
    }

    /// Starts the core and its server. Where another Berth has taken the data folder in the meantime, or where the core cannot
    /// start, the window closes and the app ends.
    pub(crate) fn enter(&self, handle: AppHandle, config: Config) {
        self.keep(tauri::async_runtime::spawn(async move {
            let house = handle.state::<Self>();
            let folder = config.data_folder.clone();
            let error = match start(config).await {
                Ok(running) => {
                    let api = running.app.api();
                    *house.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
                    house.keep(tauri::async_runtime::spawn(news::follow(api.clone())));
                    house.state.send_replace(State::Open(api));
                    return;
                }
                Err(error) => error,
            };
            window::hide(&handle);
            house.state.send_replace(State::Closed(error.clone()));
            if error.code == ErrorCode::DataFolderInUse && browser::open_running(&folder).await {
                handle.exit(0);
            } else {
                failure::show_and_exit(&handle, &error).await;
            }
        }));
    }

    /// Ends the app in order when the system asks: at logout, or by Ctrl-C in a terminal.
    pub(crate) fn end_on_signal(&self, handle: AppHandle) {
        self.keep(tauri::async_runtime::spawn(async move {
            match asked_to_end().await {
                Ok(()) => handle.exit(0),
                Err(error) => tracing::warn!(%error, "signals cannot be heard: a signal ends the app at once"),
            }
        }));
    }

    /// Lets go of everything in order; sandboxes work on and are taken over at the next start.
    pub(crate) fn leave(&self) {
        let gone = ErrorView::new(ErrorCode::NotNow, "Berth is closing.");
        self.state.send_replace(State::Closed(gone));
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { app, server }) = running {
            let left = async {
                server.shutdown().await;
                app.shutdown().await;
            };
            if tauri::async_runtime::block_on(async { tokio::time::timeout(LEAVE_MAX, left).await }).is_err() {
                tracing::warn!("Berth did not close in time; the next start takes over what is left");
            }
        }
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }

    fn keep(&self, task: JoinHandle<()>) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }
}

async fn start(config: Config) -> Result<Running, ErrorView> {
    let folder = config.data_folder.clone();
    let app = App::start(config).await.map_err(|error| error.view())?;
    match Server::start(app.api(), &folder, ServerOptions::default()).await {
        Ok(server) => Ok(Running { app, server }),
        Err(error) => {
            app.shutdown().await;
            Err(ErrorView::new(ErrorCode::Internal, failure::chain(&error)))
        }
    }
}

#[cfg(unix)]
async fn asked_to_end() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn asked_to_end() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
