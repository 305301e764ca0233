//! The program's log, as the command line asks for it.

use berth_core::log::{self, Verbosity};
use camino::Utf8Path;

use crate::show::warn;

/// Logs to stderr alone, if that many `-v` ask for it: for a command that asks a running Berth.
pub(crate) fn to_stderr(verbose: u8) {
    log::to_stderr(verbosity(verbose));
}

/// Logs to the data folder as well: for a command that runs the core.
pub(crate) fn to_folder(data_folder: &Utf8Path, verbose: u8) {
    if let Err(error) = log::to_folder(data_folder, verbosity(verbose)) {
        warn(&format!("There is no log: its folder cannot be written: {error}"));
    }
}

const fn verbosity(verbose: u8) -> Verbosity {
    match verbose {
        0 => Verbosity::Silent,
        1 => Verbosity::Info,
        2 => Verbosity::Debug,
        3.. => Verbosity::Trace,
    }
}
