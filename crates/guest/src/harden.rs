//! What keeps a process of the same uid out of the guest's memory, and lets the guest choose its signals.

use std::io;

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

/// Why the guest is not safe to run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HardenError {
    #[error("cannot keep the guest from being dumped")]
    Dumpable(#[source] io::Error),
    #[error("the guest is still dumpable: its memory would be open to the agent")]
    StillDumpable,
    #[error("cannot choose signals")]
    Signals(#[source] io::Error),
    #[error("cannot become the parent of orphans")]
    Subreaper(#[source] io::Error),
}

/// Makes the process not dumpable: not traceable, `/proc/<pid>/mem` closed to its own uid, no core.
pub(crate) fn close_memory() -> Result<(), HardenError> {
    prctl::set_dumpable(false).map_err(|error| HardenError::Dumpable(error.into()))?;
    // No core is a second bolt on the same door; where it cannot be had the first one holds.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    match prctl::get_dumpable() {
        Ok(false) => Ok(()),
        Ok(true) => Err(HardenError::StillDumpable),
        Err(error) => Err(HardenError::Dumpable(error.into())),
    }
}

/// Blocks every signal, so that only those that the reaper takes have an effect, and returns those.
pub(crate) fn take_signals() -> Result<SigSet, HardenError> {
    let blocked = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None);
    blocked.map_err(|error| HardenError::Signals(error.into()))?;
    Ok(SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM]))
}

/// Lets orphans become the guest's children where it is not PID 1 (in tests).
pub(crate) fn adopt_orphans() -> Result<(), HardenError> {
    prctl::set_child_subreaper(true).map_err(|error| HardenError::Subreaper(error.into()))
}
