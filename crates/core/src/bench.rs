//! The numbers of `berth bench`: each row of the design measured beside its baseline, in turns, in one run.
//!
//! Everything here goes through the parts that the app itself uses: a whole [`App`](crate::App) on a data folder of its own,
//! real steps in real sandboxes, the same pipe, store and watcher. What is compared with (an exec over the engine's API, a
//! plain `docker run`) runs on the same engine, one after the other with Berth's own, never before or after all of it.
//!
//! ```text
//! Rig::start ─▶ rows, each with its own sandboxes ─▶ Rig::close: everything of this install id is removed
//! ```
//!
//! Nothing is waited for by time: a measurement ends when the thing itself is seen. It knows no table and no command line.

mod asker;
mod bulk;
mod commit;
mod error;
mod far_end;
mod fresh;
mod gateway;
mod idle;
mod images;
mod inside;
mod pair;
mod past;
mod ports;
mod processes;
mod results;
mod rig;
mod typing;
mod warm;

pub use bulk::bulk;
pub use error::BenchError;
pub use fresh::fresh;
pub use gateway::gateway;
pub use idle::idle;
pub use images::images;
pub use pair::{Pair, in_turns};
pub use past::past;
pub use ports::ports;
pub use results::results;
pub use rig::{Rig, Warm};
pub use typing::EngineTerminal;
pub use warm::warm;

/// The fewest samples that a row is made of.
pub const SAMPLES_MIN: u32 = 30;
