//! The life of a step, from a slot to its end.
//!
//! - [`step`]: the actor that owns a step's state. It asks `lifecycle`, writes down, then acts.
//! - [`attempt`]: one attempt at work; [`provision`] makes its sandbox, [`exit`] reads how it ended.
//! - [`schedule`]: grants slots.
//! - [`reconcile`]: compares what the engine has with what is known, at the start and from time to time.

pub(crate) mod attempt;
pub(crate) mod exit;
pub(crate) mod provision;
pub(crate) mod reconcile;
pub(crate) mod report;
pub(crate) mod schedule;
mod spool;
pub(crate) mod step;
