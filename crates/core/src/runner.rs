//! The life of a step, from a slot to its end.
//!
//! - [`step`]: the actor that owns a step's state. It asks `lifecycle`, writes down, then acts.
//! - [`handle`]: what others hold of it.
//! - [`attempt`]: one attempt; [`provision`] makes its sandbox, `drive` follows its agent, [`exit`] reads how it ended.
//! - [`surroundings`]: what processes find in their sandbox.
//! - [`lost`] and [`paused`]: what the engine, or somebody else, did to a sandbox meanwhile.
//! - [`written`]: brings output into its file, on a full disk too.
//! - [`schedule`]: grants slots.
//! - [`reconcile`]: compares what the engine has with what is known, at the start and from time to time.

pub(crate) mod attempt;
mod compute;
mod disk;
mod drive;
pub(crate) mod exit;
pub(crate) mod handle;
mod lost;
mod paused;
pub(crate) mod provision;
mod pumped;
pub(crate) mod reconcile;
mod recover;
pub(crate) mod report;
pub(crate) mod schedule;
mod silence;
pub(crate) mod spool;
pub(crate) mod step;
pub(crate) mod surroundings;
mod telling;
mod written;
