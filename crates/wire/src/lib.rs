//! The words spoken between core, interface, command line and REST.
//!
//! One closed set of calls ([`Request`], each with a typed reply), the views they answer with, the frames of the two
//! kinds of stream, and the vocabulary below them: ids, phases, holds, error codes.
//!
//! A type here is a promise: old clients and old rows speak it. Fields are added with defaults, never repurposed.
//!
//! Invariant: no I/O, no clock, no randomness, no async. Everything here also compiles to wasm.

pub mod action;
pub mod bench;
pub mod call;
pub mod compute;
pub mod cost;
pub mod error;
pub mod event;
pub mod ids;
pub mod image;
pub mod limits;
pub mod money;
pub mod network;
pub mod news;
pub mod phase;
pub mod project;
pub mod queue;
pub mod secret;
pub mod session;
pub mod stream;
pub mod task;
pub mod upkeep;
pub mod view;

pub use action::{Action, ActionView};
pub use call::{Call, Request};
pub use error::{ErrorCode, ErrorView};
pub use event::{EventKind, EventView};
pub use limits::{Limits, LimitsPatch};
pub use money::MicroUsd;
pub use phase::{Hold, Phase};
pub use queue::Priority;
