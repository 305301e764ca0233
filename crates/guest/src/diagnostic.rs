//! The guest's log: standard error, bounded in all, and never waited for.

use std::error::Error;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// All that a guest ever writes to its log, in bytes.
const LOG_BYTES_MAX: usize = 64 * 1024;

static WRITTEN: AtomicUsize = AtomicUsize::new(0);

/// Keeps a log that nobody reads from stopping the guest.
pub(crate) fn never_wait() {
    let standard_error = std::io::stderr();
    if let Ok(flags) = fcntl(&standard_error, FcntlArg::F_GETFL) {
        let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
        // Without it the log may wait; there is nowhere to say so.
        let _ = fcntl(&standard_error, FcntlArg::F_SETFL(flags));
    }
}

/// Writes one line, unless the bound is reached or nobody reads.
pub(crate) fn note(text: &str) {
    let line = format!("berth-guest: {}\n", text.escape_debug());
    if WRITTEN.fetch_add(line.len(), Ordering::Relaxed).saturating_add(line.len()) <= LOG_BYTES_MAX {
        let _ = nix::unistd::write(std::io::stderr(), line.as_bytes());
    }
}

/// Writes an answer of the command line to standard output.
pub(crate) fn answer(text: &str) {
    let _ = nix::unistd::write(std::io::stdout(), text.as_bytes());
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String does not fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
