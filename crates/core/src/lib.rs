//! Joins the house: intake, queue, runner, homes, workspaces, review, reconcile.
//!
//! [`App`] owns everything that lives (the store, the engine, the runner's actors) and is started once per data folder;
//! [`Api`] is the cheap handle that every skin calls. It names neither Tauri nor axum, neither bollard nor sqlx.

mod api;
mod app;
mod config;
mod escape;
mod intake;
mod workspace;

pub use api::{Api, Stream, Terminal};
pub use app::{App, StartError};
pub use config::Config;
