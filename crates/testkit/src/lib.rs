//! For tests alone: a container engine in memory and a model server on loopback that do as they are told, and waiting for a
//! condition instead of for time; and a session bus with a real keyring.
//!
//! [`ScriptedEngine`] passes the same contract as the real one (`engine::contract`), and can be made to fail, stall, lose its
//! answer or vanish at any call. [`ModelServer`] speaks as the providers of models do, well enough for the real command lines. It
//! never ships, and depends on nothing that knows tasks.

mod bus;
mod model;
mod scripted;
mod until;

pub use bus::Bus;
pub use model::{Act, CallUsage, ModelFault, ModelScript, ModelServer, ModelUsage, SeenRequest};
pub use scripted::{Call, Fault, Gate, Op, Process, ScriptedEngine};
pub use until::until;
