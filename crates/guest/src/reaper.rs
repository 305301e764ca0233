//! The one owner of `waitpid(-1)`, and of the signals that reach the guest.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getpid};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::spawn::{RawStatus, Wait, Waited, wait_any};
use crate::{diagnostic, spawn, tree};

/// `si_code` of a signal sent by `kill`: the kernel filled in the sender. Every other code can be forged.
const SI_USER: i32 = 0;

/// Tells who waits for a shim that it has gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shims {
    shims: Arc<Mutex<BTreeMap<i32, watch::Sender<Option<ShimEnd>>>>>,
}

/// How a shim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShimEnd {
    /// Nothing was left below it.
    Empty,
    /// Something killed it; what was below it is now the guest's own.
    Killed,
}

impl Shims {
    /// Watches a shim. Must be called before the runtime runs again, so that its end is not missed.
    pub(crate) fn watch(&self, shim: Pid) -> watch::Receiver<Option<ShimEnd>> {
        let (sender, receiver) = watch::channel(None);
        self.shims.lock().unwrap_or_else(PoisonError::into_inner).insert(shim.as_raw(), sender);
        receiver
    }

    /// Kills what killed shims left, and says how many there were: look again until there is none.
    pub(crate) fn kill_strangers(&self) -> usize {
        tree::kill_strangers(getpid(), |pid| self.is_shim(pid))
    }

    fn is_shim(&self, pid: Pid) -> bool {
        self.shims.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&pid.as_raw())
    }

    fn take(&self, pid: Pid) -> Option<watch::Sender<Option<ShimEnd>>> {
        self.shims.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid.as_raw())
    }
}

/// Reaps until cancelled; cancels `told_to_end` when TERM comes from outside the sandbox.
pub(crate) async fn reap(
    signals: SigSet,
    shims: Shims,
    told_to_end: CancellationToken,
    cancel: CancellationToken,
) -> io::Result<()> {
    let descriptor = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let descriptor = spawn::register(descriptor)?;
    loop {
        let mut guard = tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(()),
            guard = descriptor.readable() => guard?,
        };
        match guard.get_inner().read_signal() {
            Ok(Some(info)) if info.ssi_signo == Signal::SIGTERM as u32 => {
                if is_from_outside(info.ssi_code, info.ssi_pid) {
                    told_to_end.cancel();
                }
            }
            // Signals of one kind are merged, so each is a reason to look, not a count.
            Ok(Some(_)) => reap_all(&shims),
            Ok(None) => guard.clear_ready(),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A sender in an outer pid namespace has no pid in this one. In a test the guest is no PID 1 and its parent is outside.
fn is_from_outside(code: i32, sender: u32) -> bool {
    let is_parent = || u32::try_from(nix::unistd::getppid().as_raw()) == Ok(sender);
    code == SI_USER && (sender == 0 || (getpid().as_raw() != 1 && is_parent()))
}

fn reap_all(shims: &Shims) {
    loop {
        match wait_any(Wait::Not) {
            Waited::Ended { pid, status } => {
                let Some(shim) = shims.take(pid) else { continue };
                let end = match status {
                    RawStatus::Exited(_) => ShimEnd::Empty,
                    RawStatus::Signaled(_) => {
                        diagnostic::note("a shim was killed; what it left is ended too");
                        ShimEnd::Killed
                    }
                };
                shim.send_replace(Some(end));
            }
            Waited::Stopped { pid } => {
                if shims.is_shim(pid) {
                    tree::cont(pid);
                }
            }
            Waited::Nothing | Waited::NoChildren => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_kill_without_a_pid_comes_from_outside() {
        const SI_QUEUE: i32 = -1;
        const SI_TKILL: i32 = -6;
        assert!(is_from_outside(SI_USER, 0));
        assert!(!is_from_outside(SI_USER, 99_999_999));
        assert!(!is_from_outside(SI_QUEUE, 0));
        assert!(!is_from_outside(SI_TKILL, 0));
    }
}
