//! The desktop skin: one window over a core that runs in the same process.
//!
//! It deliberately decides nothing. The page asks through the one command [`call`](command::call), which hands the request
//! to the core and its answer back; terminals and updates come over the WebSockets of `server`, which runs on loopback
//! here as it does under `berth serve`. So the page is the same in a browser, and that is where most of it is tested.
//!
//! # What the page and the shell say to each other
//!
//! | who | what | when |
//! |---|---|---|
//! | page | command `call` with `{request}` | any time; resolves to the call's reply, rejects with an `ErrorView` |
//! | page | event `berth://ready`, no payload | once it listens for the two events below, after each load |
//! | shell | event `berth://open-paths`, payload `{"paths": [absolute path, …]}` | paths came as arguments, of this start or of a second one; those that came before `berth://ready` are kept for it |
//! | Tauri | event `tauri://drag-drop`, payload `{"paths": […], "position": {"x", "y"}}` | files were dropped on the window |
//!
//! # Starting and ending
//!
//! ```text
//! second start, same data folder ──▶ the first window is shown, gets the arguments; exit 0      (single instance, D-Bus)
//! `berth serve` has the data folder ─▶ its address opens in the browser; exit 0                  (server.json)
//! otherwise ──▶ window and core start side by side ──▶ calls wait until the core stands
//!                                     └─▶ the core cannot start: a dialog says why; exit 1
//! last window closed, TERM, INT ──▶ orderly shutdown of server and core; sandboxes work on
//! ```

mod browser;
mod command;
mod failure;
mod handover;
mod house;
mod news;
mod window;

use berth_core::log::{self, Verbosity};
use tauri::{Manager, RunEvent};

use crate::{handover::Handover, house::House};

/// Runs the desktop app until it is closed. Never returns on platforms whose event loop ends the process.
///
/// # Panics
/// Where there is no display to open a window on.
pub fn run() {
    let config = berth_core::Config::from_environment();
    begin_log(config.as_ref().ok());
    let single_instance = tauri_plugin_single_instance::Builder::new()
        .dbus_id(handover::bus_name(config.as_ref().ok()))
        .callback(|app, arguments, folder| {
            window::show(app);
            app.state::<Handover>().arrive(app, handover::absolute_paths(&arguments, &folder));
        })
        .build();
    let app = tauri::Builder::default()
        // First, so that a second start ends before it opens anything.
        .plugin(single_instance)
        .manage(Handover::default())
        .manage(House::default())
        .invoke_handler(tauri::generate_handler![command::call])
        .setup(move |app| {
            window::begin(app.handle(), config);
            Ok(())
        })
        .build(tauri::generate_context!())
        .expect("invariant: the embedded configuration is valid and there is a display");
    app.run(|app, event| {
        if let RunEvent::Exit = event {
            app.state::<House>().leave();
        }
    });
}

/// Logs into the data folder, where there is one, and to stderr.
fn begin_log(config: Option<&berth_core::Config>) {
    let verbosity = match std::env::var("BERTH_LOG").as_deref() {
        Ok("debug") => Verbosity::Debug,
        Ok("trace") => Verbosity::Trace,
        _ => Verbosity::Info,
    };
    let Some(config) = config else { return log::to_stderr(verbosity) };
    if let Err(error) = log::to_folder(&config.data_folder, verbosity) {
        tracing::warn!(%error, "there is no log in the data folder");
    }
}
