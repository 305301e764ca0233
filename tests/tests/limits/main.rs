//! What happens where something runs out: disks, the database, memory, processes, patience with output and files, descriptors.
//!
//! Each test really fills or floods it, on a disk, in a namespace or in a sandbox of its own. What they measure they print.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and so do its helpers; numbers go to standard error"
)]

mod database;
mod descriptors;
mod disk;
mod engine_disk;
mod files;
mod flood;
mod sandbox;
mod support;
