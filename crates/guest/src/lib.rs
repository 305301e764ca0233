//! The program that is PID 1 in every sandbox.
//!
//! ```text
//! berth-guest init [--spool DIR] [--reports DIR] [--wall-clock-s N] [--lonely-s N]
//! berth-guest connect
//! berth-guest browse FOLDER
//! berth-guest version
//! ```
//!
//! `init` serves the pipe: first over its own standard input and output (the container's attach stream), later over
//! connections that `connect`, run as [`CONNECT_UID`], makes to its abstract socket. It runs processes, each under a
//! shim of its own, keeps their output in the spool, and tells which ports listen. The protocol is `pipe`'s.
//!
//! ```text
//!  host ══ pipe ══ init (PID 1): one thread, no blocking pool
//!                   ├─ reaper      owns waitpid(-1) and the signals
//!                   ├─ table       process id → process
//!                   ├─ shim ── agent ── whatever it starts      one shim per start, subreaper
//!                   └─ shim ── shell
//! ```
//!
//! It deliberately has no second thread: a fork is safe, and at the sandbox's limit of processes it goes on working.
//! Nothing here makes the guest trustworthy to the host: a process inside has its uid. What is kept from such a
//! process is the guest's memory, its socket, and its life.
//!
//! `browse` is PID 1 of a container in which nothing else ever runs: it shows what a folder holds, see `browse.rs`.
//!
//! Exit codes of `init`: 0 told to finish, 2 cannot start, 4 wall clock, 5 no pipe for too long, 143 TERM from outside.

#![cfg(target_os = "linux")]

mod arguments;
mod browse;
mod cgroup;
mod connect;
mod diagnostic;
mod disk;
mod fd;
mod given;
mod harden;
mod init;
mod keep;
mod outward;
mod ports;
mod process;
mod reaper;
mod report;
mod serve;
mod spawn;
mod table;
mod tree;

use std::process::ExitCode;

pub use outward::{Outward, OutwardRefused, Outwards};

/// The only uid whose connections the guest takes: nothing inside can become it.
pub const CONNECT_UID: u32 = 64_000;
/// The guest's abstract socket, without the leading zero byte.
pub const SOCKET_NAME: &str = "berth-guest";

const EXIT_UNUSABLE: u8 = 2;

/// What `berth-guest` does with its arguments (its own name left out).
pub fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let done = match arguments::parse(arguments) {
        Ok(arguments::Command::Init(settings)) => init::run(&settings).map(ExitCode::from),
        Ok(arguments::Command::Connect) => connect::run().map(|()| ExitCode::SUCCESS),
        Ok(arguments::Command::Browse(folder)) => browse::run(&folder).map(|()| ExitCode::SUCCESS),
        Ok(arguments::Command::Version) => {
            diagnostic::answer(concat!("berth-guest ", env!("CARGO_PKG_VERSION"), "\n"));
            return ExitCode::SUCCESS;
        }
        Err(error) => Err(error.into()),
    };
    done.unwrap_or_else(|error| {
        diagnostic::note(&diagnostic::chain(error.as_ref()));
        ExitCode::from(EXIT_UNUSABLE)
    })
}
