//! Forks, executes, and the few calls that have no safe form: the only `unsafe` code of the house.
//!
//! ```text
//! guest ── fork ──▶ shim (subreaper): waits for all its children, tells how the first one ended,
//!                    │                goes when none is left. Blocks every signal.
//!                    └─ fork ──▶ session of its own, stdio, directory, execve
//! ```
//!
//! The shim is no second program: it is the forked guest, which costs no exec and shares its pages. It inherits that the
//! guest is not dumpable, and closes every descriptor of the guest before it does anything else.

#![expect(
    unsafe_code,
    reason = "fork, ioctl, waitpid and AsyncFd::register have no safe form; nothing else of the house needs one"
)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::signalfd::SignalFd;
use nix::unistd::{ForkResult, Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, execve, fork, setsid, write};
use tokio::io::unix::AsyncFd;

/// What a process is to be.
#[derive(Debug)]
pub(crate) struct Program {
    /// Paths to try, in order.
    pub(crate) candidates: Vec<CString>,
    pub(crate) argv: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: CString,
}

/// The child's end of its standard streams.
#[derive(Debug)]
pub(crate) enum ChildStdio {
    Terminal { slave: OwnedFd },
    Pipes { stdin: OwnedFd, output: OwnedFd },
}

/// A shim that runs.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) shim: Pid,
    /// Ends when the program is executed; brings [`SpawnFailure`] bytes where it is not.
    pub(crate) failure: OwnedFd,
    /// Brings the [`RawStatus`] of the program; ends without one where the shim is killed.
    pub(crate) status: OwnedFd,
}

/// Where a start failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Fork,
    Setup,
    Directory,
    Execute,
}

/// Why a start failed, as it comes over [`Spawned::failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpawnFailure {
    pub(crate) stage: Stage,
    pub(crate) errno: Errno,
}

/// How a child ended, as `waitpid` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawStatus {
    Exited(i32),
    Signaled(i32),
}

/// One message of `waitpid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    Ended { pid: Pid, status: RawStatus },
    Stopped { pid: Pid },
    Nothing,
    NoChildren,
}

/// Where a kernel cannot close a range: how many descriptors are closed one by one.
const DESCRIPTORS_MAX: RawFd = 65_536;
pub(crate) const FAILURE_BYTES: usize = 5;
pub(crate) const STATUS_BYTES: usize = 5;

impl SpawnFailure {
    fn to_bytes(self) -> [u8; FAILURE_BYTES] {
        let stage = match self.stage {
            Stage::Fork => 0,
            Stage::Setup => 1,
            Stage::Directory => 2,
            Stage::Execute => 3,
        };
        tagged(stage, self.errno as i32)
    }

    pub(crate) fn from_bytes(bytes: [u8; FAILURE_BYTES]) -> Self {
        let (stage, errno) = untagged(bytes);
        let stage = match stage {
            0 => Stage::Fork,
            1 => Stage::Setup,
            2 => Stage::Directory,
            _ => Stage::Execute,
        };
        Self { stage, errno: Errno::from_raw(errno) }
    }
}

impl RawStatus {
    fn to_bytes(self) -> [u8; STATUS_BYTES] {
        match self {
            Self::Exited(code) => tagged(0, code),
            Self::Signaled(number) => tagged(1, number),
        }
    }

    pub(crate) fn from_bytes(bytes: [u8; STATUS_BYTES]) -> Self {
        match untagged(bytes) {
            (0, code) => Self::Exited(code),
            (_, number) => Self::Signaled(number),
        }
    }
}

fn tagged(tag: u8, value: i32) -> [u8; 5] {
    let [a, b, c, d] = value.to_be_bytes();
    [tag, a, b, c, d]
}

fn untagged([tag, a, b, c, d]: [u8; 5]) -> (u8, i32) {
    (tag, i32::from_be_bytes([a, b, c, d]))
}

/// Starts a program under a shim of its own.
///
/// # Errors
/// What `pipe2` or the first `fork` say. What fails later comes over [`Spawned::failure`].
pub(crate) fn spawn(program: &Program, stdio: ChildStdio) -> io::Result<Spawned> {
    let (failure, failure_writer) = pipe()?;
    let (status, status_writer) = pipe()?;
    // SAFETY: the guest has one thread, so the child may go on with anything.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            // The output ends when the child's side is closed everywhere, here too.
            drop(stdio);
            Ok(Spawned { shim: child, failure, status })
        }
        ForkResult::Child => {
            be_shim(program, &stdio, &failure_writer, &status_writer);
            // SAFETY: ends this process without running what the guest registered for its own end.
            unsafe { libc::_exit(0) }
        }
    }
}

/// Lives until no child is left. What fails here has nobody to tell but the two pipes.
fn be_shim(program: &Program, stdio: &ChildStdio, failure: &OwnedFd, status: &OwnedFd) {
    let prepared = prctl::set_child_subreaper(true)
        .and_then(|()| prctl::set_pdeathsig(Signal::SIGKILL))
        .and_then(|()| prctl::set_name(c"berth-shim"));
    if let Err(errno) = prepared {
        tell(failure, SpawnFailure { stage: Stage::Setup, errno });
        return;
    }
    // SAFETY: still one thread.
    let main = match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => child,
        Ok(ForkResult::Child) => {
            let failed = be_program(program, stdio);
            tell(failure, failed);
            // SAFETY: as in `spawn`.
            unsafe { libc::_exit(127) }
        }
        Err(errno) => {
            tell(failure, SpawnFailure { stage: Stage::Fork, errno });
            return;
        }
    };
    close_all_but(status.as_raw_fd());
    loop {
        match wait_any(Wait::UntilOneEnds) {
            Waited::Ended { pid, status: raw } if pid == main => {
                let _ = write(status, &raw.to_bytes());
            }
            Waited::Ended { .. } | Waited::Stopped { .. } | Waited::Nothing => {}
            Waited::NoChildren => return,
        }
    }
}

/// Returns only where it fails.
fn be_program(program: &Program, stdio: &ChildStdio) -> SpawnFailure {
    let setup = |errno| SpawnFailure { stage: Stage::Setup, errno };
    if let Err(errno) = set_up(stdio) {
        return setup(errno);
    }
    if let Err(errno) = chdir(program.cwd.as_c_str()) {
        return SpawnFailure { stage: Stage::Directory, errno };
    }
    let mut worst = Errno::ENOENT;
    for candidate in &program.candidates {
        let Err(errno) = execve(candidate, &program.argv, &program.env);
        // As a shell does: look further, and remember that something was there.
        if errno == Errno::EACCES {
            worst = errno;
        } else if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR) {
            return SpawnFailure { stage: Stage::Execute, errno };
        }
    }
    SpawnFailure { stage: Stage::Execute, errno: worst }
}

fn set_up(stdio: &ChildStdio) -> Result<(), Errno> {
    setsid()?;
    match stdio {
        ChildStdio::Terminal { slave } => {
            // SAFETY: takes an integer, and the descriptor is open.
            Errno::result(unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) })?;
            standard_streams(slave.as_fd(), slave.as_fd())?;
        }
        ChildStdio::Pipes { stdin, output } => standard_streams(stdin.as_fd(), output.as_fd())?,
    }
    // What the Rust runtime ignores and the guest blocks, a program expects untouched.
    // SAFETY: the default action is no handler.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    // Every descriptor of the guest closes on exec; this is for those that it was itself started with. Kernels before
    // 5.11 cannot, and PID 1 is started with none.
    // SAFETY: takes integers.
    let _ = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Ok(())
}

fn standard_streams(stdin: BorrowedFd<'_>, output: BorrowedFd<'_>) -> Result<(), Errno> {
    dup2_stdin(stdin)?;
    dup2_stdout(output)?;
    dup2_stderr(output)
}

fn tell(failure: &OwnedFd, what: SpawnFailure) {
    let _ = write(failure, &what.to_bytes());
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?)
}

/// Closes every descriptor but one.
fn close_all_but(kept: RawFd) {
    let kept_unsigned = libc::c_uint::try_from(kept).unwrap_or_default();
    let close = |first: libc::c_uint, last: libc::c_uint| {
        // SAFETY: the shim uses none of the closed descriptors again and drops no owner of one: it leaves by `_exit`.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }
    };
    let below = if kept_unsigned > 0 { close(0, kept_unsigned - 1) } else { 0 };
    if below == 0 && close(kept_unsigned + 1, libc::c_uint::MAX) == 0 {
        return;
    }
    // Before Linux 5.9.
    for fd in (0..DESCRIPTORS_MAX).filter(|fd| *fd != kept) {
        // SAFETY: as above.
        unsafe { libc::close(fd) };
    }
}

/// Whether `waitpid` waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Not,
    UntilOneEnds,
}

/// `waitpid(-1)`. In the guest only the reaper may call it. (nix's form fails on a child that a real-time signal ended.)
pub(crate) fn wait_any(wait: Wait) -> Waited {
    let options = match wait {
        Wait::Not => libc::WNOHANG | libc::WUNTRACED,
        Wait::UntilOneEnds => 0,
    };
    let mut status = 0;
    // SAFETY: `status` is a valid place for an integer.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, options) };
    match pid {
        -1 if Errno::last() == Errno::ECHILD => Waited::NoChildren,
        -1 | 0 => Waited::Nothing,
        pid if libc::WIFSTOPPED(status) => Waited::Stopped { pid: Pid::from_raw(pid) },
        pid if libc::WIFSIGNALED(status) => {
            Waited::Ended { pid: Pid::from_raw(pid), status: RawStatus::Signaled(libc::WTERMSIG(status)) }
        }
        pid => Waited::Ended { pid: Pid::from_raw(pid), status: RawStatus::Exited(libc::WEXITSTATUS(status)) },
    }
}

/// Opens a terminal; both ends close on exec.
pub(crate) fn open_terminal(columns: u16, rows: u16) -> io::Result<(OwnedFd, OwnedFd)> {
    let size = window(columns, rows);
    let ends = nix::pty::openpty(&size, None)?;
    for end in [&ends.master, &ends.slave] {
        nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    }
    Ok((ends.master, ends.slave))
}

/// Tells a terminal another size; its foreground programs get SIGWINCH.
pub(crate) fn resize_terminal(master: &OwnedFd, columns: u16, rows: u16) -> io::Result<()> {
    let size = window(columns, rows);
    // SAFETY: `size` is a valid `winsize`, and the descriptor is open.
    let done = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    Errno::result(done).map(drop).map_err(io::Error::from)
}

fn window(columns: u16, rows: u16) -> nix::pty::Winsize {
    nix::pty::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// A text without a zero byte, as the kernel takes it.
pub(crate) fn c_string(text: &str) -> Option<CString> {
    CString::new(text).ok()
}

/// Whether a path needs no search.
pub(crate) fn is_path(program: &CStr) -> bool {
    program.to_bytes().contains(&b'/')
}

/// Owns its descriptor, the same one until it is dropped.
pub(crate) trait OwnsDescriptor: AsRawFd {}
impl OwnsDescriptor for OwnedFd {}
impl OwnsDescriptor for SignalFd {}

/// Puts a descriptor on the runtime.
pub(crate) fn register<T: OwnsDescriptor>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: by `OwnsDescriptor` the descriptor stays open and the same for as long as the `AsyncFd` has its owner.
    Ok(unsafe { AsyncFd::register(owner) }?)
}
