//! The runner, from a call of the API to the last row, on an engine in memory with a guest that does as it is told.
//!
//! Everything but the engine and what runs in its containers is real: the store, the queue, the actors, the pipe. What the real guest
//! and a real engine do beyond this is tested with them, in `tests/`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and so do its helpers; its numbers are printed"
)]

mod adapted;
mod agents;
mod away;
mod bridge;
mod chance;
mod compute;
mod faults;
mod guest;
mod hostile;
mod images;
mod life;
mod lost;
mod projects;
mod queue;
mod review;
mod scene;
mod way_in;
