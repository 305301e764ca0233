//! `berth`: the calls of [`wire`] from a terminal, and `berth serve`, which runs Berth without a window.
//!
//! A command is written once, over a [`connection::Connection`]: to the Berth that runs on the data folder, or, where none
//! does, to a core that is started for the command's own length. What is printed is decided in `show`; `--json` prints the
//! shapes of `wire` and nothing else.

use std::process::ExitCode;

use clap::Parser;

mod arguments;
mod clock;
mod commands;
mod connection;
mod exit;
mod log;
mod show;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    let printer = show::Printer::new(arguments.format());
    let ended = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(commands::carry_out(arguments, printer)),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => printer.failure(&error).into(),
    }
}
