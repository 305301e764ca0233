//! For tests alone: a container engine in memory that does as it is told, and waiting for a condition instead of for time.
//!
//! [`ScriptedEngine`] passes the same contract as the real one (`engine::contract`), and can be made to fail, stall, lose its
//! answer or vanish at any call. It never ships, and depends on nothing that knows tasks.

mod scripted;
mod until;

pub use scripted::{Call, Fault, Gate, Op, Process, ScriptedEngine};
pub use until::until;
