//! The protocol of the pipe between app and sandbox, and both of its ends.
//!
//! The pipe is one byte stream (the attach stream of a container's PID 1, or an exec of `berth-guest connect`)
//! that carries many: it is multiplexed with [yamux](https://github.com/hashicorp/yamux/blob/master/spec.md).
//! The host opens one stream per call, so a slow reader of one never stands in the way of another.
//!
//! ```text
//! control stream (the first):  Hello →  ← Hello,  then a beat from both ends every BEAT_INTERVAL
//! one stream per call:         Ask →    ← Answer
//!   start, stdin               Ask →  raw bytes →  ← Answer
//!   attach                     Ask →    ← Answer  ← records (data, gap, report, exit), see `record`
//!   dial                       Ask →    ← Answer  ↔ raw bytes
//!   events                     Ask →    ← Answer  ← Event*
//! guest to host:               Outward →  ← Answer  ↔ raw bytes
//! ```
//!
//! Frames are JSON behind a big-endian `u32` length, at most [`limits::FRAME_FROM_GUEST_BYTES_MAX`] from a guest.
//! Unknown fields and kinds are ignored, so that the protocol can grow; the first frame carries the range of
//! protocols that its sender speaks. Everything that comes from a guest is hostile: lengths, offsets, names and rates
//! are checked here, and a guest that breaks the rules yields a [`PipeError`], never a panic or unbounded memory.
//!
//! - [`host`]: the app's end. Start at [`host::Guest::connect`].
//! - [`guest`]: the sandbox's end, without the processes: those are the crate `guest`.
//! - [`browse`]: how a home is looked into: a small protocol of its own, with a guest that runs nothing.
//! - [`spool`]: the files in which a guest keeps output, and how to read them from a dead container.
//!
//! What this crate does not know: Docker, tasks, or what the bytes mean.

pub mod browse;
mod error;
pub mod frame;
mod guard;
pub mod guest;
pub mod host;
mod id;
pub mod limits;
pub mod message;
mod mux;
pub mod record;
pub mod spool;

pub use error::PipeError;
pub use id::{ProcessId, ProcessIdError};
pub use mux::PipeStream;
