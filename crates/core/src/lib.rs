//! Joins the house: intake, queue, runner, homes, workspaces, review, reconcile.
//!
//! [`App`] owns everything that lives (the store, the engine, the runner's actors) and is started once per data folder;
//! [`Api`] is the cheap handle that every skin calls. It names neither Tauri nor axum, neither bollard nor sqlx.
//!
//! ```text
//! api ─▶ dispatch ─▶ intake ─▶ store ─▶ runner (schedule, step, attempt) ─▶ engine, pipe
//!            └─────▶ views ◀── store                 │
//!  terminal ◀── output ◀─────────────────────────────┘
//! ```

mod access;
mod agents;
mod api;
mod app;
pub mod bench;
mod blocking;
mod certificates;
mod clock;
mod config;
mod descriptors;
mod disk;
mod dispatch;
mod doctor;
mod engine_link;
mod escape;
mod fault_points;
mod faults;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gallery;
mod guest_volume;
mod home;
mod house;
mod images;
mod intake;
mod line;
pub mod log;
mod news;
mod output;
mod owner;
mod projects;
mod queue;
mod results;
mod retention;
mod runner;
mod sandbox;
mod shell;
mod terminal;
mod tickets;
mod upkeep;
mod views;
mod workspace;

pub use api::{Api, Stream};
pub use app::{App, StartError};
pub use certificates::HostTrust;
pub use clock::{Clock, SystemClock};
pub use config::{Config, ConfigError};
pub use disk::FREE_BYTES_MIN_DEFAULT;
pub use engine_link::{Connected, Connector};
#[cfg(debug_assertions)]
pub use fault_points::list as fault_points;
pub use home::{Download, Upload};
pub use terminal::Terminal;
pub use vault::Use as KeyringUse;
