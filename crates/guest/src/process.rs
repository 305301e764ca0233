//! One started process: its output flows into the spool, its input from the pipe, and its end into an exit record.
//!
//! ```text
//! executing ─▶ running ─▶ ended (exit record written) ─▶ gone (nothing of its tree is left)
//! ```
//!
//! The output ends with the main process: what others of its tree still write is read and thrown away, so that they
//! do not stop, until the tree is gone.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use pipe::ProcessId;
use pipe::limits::RECORD_BYTES_MAX;
use pipe::message::{
    ExitRecord, ExitStatus, OutOfMemory, OutOfProcesses, Process as Listed, ProcessState, Refusal, RefusalCode,
};
use pipe::record::DataRecord;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use crate::fd::{Fd, Got};
use crate::given::Given;
use crate::keep::{Kept, Kind};
use crate::reaper::{ShimEnd, Shims};
use crate::report::ReportPlace;
use crate::spawn::{FAILURE_BYTES, RawStatus, STATUS_BYTES, SpawnFailure, Stage};
use crate::{cgroup, diagnostic, spawn, tree};

/// Read from a process at once, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// Read after the main process has ended, in bytes: more than a pipe or a terminal holds.
const DRAIN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A terminal hands its last bytes over late: how long nothing must come until nothing will.
const TERMINAL_QUIET: Duration = Duration::from_millis(50);
/// How often a spool that cannot be written is tried again.
const SPOOL_RETRY: Duration = Duration::from_secs(1);
/// Between TERM and KILL when the wall clock runs out.
const WALL_CLOCK_GRACE: Duration = Duration::from_secs(10);
/// Between two rounds of killing a tree.
const KILL_INTERVAL: Duration = Duration::from_millis(20);
/// Rounds of killing. A process that rests in the kernel dies when it wakes, so after these nobody waits for it.
const KILL_ROUNDS_MAX: usize = 500;
/// What ends the input of a terminal.
const END_OF_TRANSMISSION: &[u8] = &[4];

/// A started process.
#[derive(Debug)]
pub(crate) struct Process {
    id: ProcessId,
    shim: Pid,
    state: Mutex<State>,
    /// Says that output, end or acknowledgement are others than before.
    changed: watch::Sender<()>,
    /// Locked while someone writes, so that inputs do not mix.
    input: tokio::sync::Mutex<Option<Input>>,
    terminal: Option<Arc<Fd>>,
    /// How long the host has kept the tree stopped.
    rest: watch::Sender<Rest>,
    /// Whether nothing of the tree is left.
    gone: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    kept: Kept,
    exit: Option<ExitRecord>,
    /// Why the guest ends it, where it does.
    ending: Option<ExitStatus>,
    is_exit_acknowledged: bool,
    /// What is being ended is not stopped any more: a stopped process would outlast the grace.
    is_being_ended: bool,
}

/// How long a tree was kept stopped. Its wall clock stands still meanwhile.
#[derive(Debug, Clone, Copy, Default)]
struct Rest {
    /// Without the rest that lasts.
    total: Duration,
    /// Since when it lasts.
    since: Option<Instant>,
}

impl Rest {
    fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    fn end(&mut self) {
        if let Some(since) = self.since.take() {
            self.total += since.elapsed();
        }
    }

    /// When a wall clock that would have run out at that moment does; `None` while it stands still.
    fn shift(self, at: Instant) -> Option<Instant> {
        if self.since.is_some() { None } else { Some(at + self.total) }
    }
}

/// The guest's end of a standard input.
#[derive(Debug)]
pub(crate) enum Input {
    Pipe(Fd),
    Terminal(Arc<Fd>),
}

impl Input {
    pub(crate) async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Pipe(fd) => fd.write_all(bytes).await,
            Self::Terminal(fd) => fd.write_all(bytes).await,
        }
    }
}

/// What only the task that runs a process holds.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) output: Arc<Fd>,
    pub(crate) failure: Fd,
    pub(crate) status: Fd,
    pub(crate) shim_end: watch::Receiver<Option<ShimEnd>>,
    pub(crate) shims: Shims,
    pub(crate) started_at: Instant,
    pub(crate) wall_clock: Option<Duration>,
    pub(crate) report: Option<ReportPlace>,
    /// Goes when nothing of the tree is left.
    pub(crate) _given: Option<Given>,
    pub(crate) kills_before: Option<u64>,
    /// The same of refused processes; `None` where it cannot be read.
    pub(crate) refused_before: Option<u64>,
    pub(crate) tasks: TaskTracker,
}

impl Process {
    pub(crate) fn new(id: ProcessId, shim: Pid, kept: Kept, input: Option<Input>, terminal: Option<Arc<Fd>>) -> Self {
        let state = State { kept, exit: None, ending: None, is_exit_acknowledged: false, is_being_ended: false };
        Self {
            id,
            shim,
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
            input: tokio::sync::Mutex::new(input),
            terminal,
            rest: watch::Sender::default(),
            gone: watch::Sender::new(false),
        }
    }

    pub(crate) fn id(&self) -> ProcessId {
        self.id
    }

    pub(crate) fn listed(&self) -> Listed {
        let state = self.state();
        let process_state = match &state.exit {
            None => ProcessState::Running,
            Some(exit) => ProcessState::Ended { status: exit.status },
        };
        Listed { id: self.id, state: process_state, acknowledged: state.kept.acknowledged(), end: state.kept.end() }
    }

    /// Ask before looking, so that no change is missed.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn read(&self, offset: u64, record: &mut DataRecord) -> Kind {
        self.state().kept.read(offset, record)
    }

    pub(crate) fn end_offset(&self) -> u64 {
        self.state().kept.end()
    }

    pub(crate) fn exit(&self) -> Option<ExitRecord> {
        self.state().exit.clone()
    }

    pub(crate) fn acknowledge(&self, offset: u64) -> bool {
        let is_sound = self.state().kept.acknowledge(offset);
        self.changed.send_replace(());
        is_sound
    }

    /// Forgets the output of a process that has ended. Says whether nothing else of it is left.
    pub(crate) fn acknowledge_exit(&self) -> Result<bool, Refusal> {
        let mut state = self.state();
        if state.exit.is_none() {
            return Err(Refusal::new(RefusalCode::Invalid, "the process has not ended"));
        }
        state.is_exit_acknowledged = true;
        state.kept.forget();
        Ok(*self.gone.borrow())
    }

    pub(crate) fn is_exit_acknowledged(&self) -> bool {
        self.state().is_exit_acknowledged
    }

    pub(crate) async fn input(&self) -> tokio::sync::MutexGuard<'_, Option<Input>> {
        self.input.lock().await
    }

    /// Closes the input: a pipe is closed, a terminal is told that nothing more comes.
    pub(crate) async fn close_input(&self) -> io::Result<()> {
        match self.input.lock().await.take() {
            Some(Input::Terminal(terminal)) => terminal.write_all(END_OF_TRANSMISSION).await,
            Some(Input::Pipe(_)) | None => Ok(()),
        }
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) -> Result<(), Refusal> {
        let terminal = self.terminal.as_ref();
        let terminal = terminal.ok_or_else(|| Refusal::new(RefusalCode::NoTerminal, "it was started with pipes"))?;
        spawn::resize_terminal(terminal.get(), columns, rows)
            .map_err(|error| Refusal::new(RefusalCode::Other, error.to_string()))
    }

    pub(crate) fn count(&self) -> usize {
        if *self.gone.borrow() { 0 } else { tree::count(self.shim) }
    }

    /// Sends a signal to the whole tree. A stop also stops its wall clock, until it is continued.
    pub(crate) fn signal(&self, signal: Signal) {
        if *self.gone.borrow() || (signal == Signal::SIGSTOP && self.state().is_being_ended) {
            return;
        }
        tree::signal(self.shim, signal);
        if signal == Signal::SIGSTOP {
            self.rest.send_modify(Rest::begin);
        } else if signal == Signal::SIGCONT {
            self.rest.send_modify(Rest::end);
        }
    }

    /// TERM, KILL after the grace; returns when nothing of the tree is left. `false`: something does not die.
    pub(crate) async fn end(&self, grace: Duration) -> bool {
        self.state().is_being_ended = true;
        self.signal(Signal::SIGTERM);
        // A stopped process takes the TERM only when it goes on.
        self.signal(Signal::SIGCONT);
        if timeout(grace, self.gone()).await.is_ok() {
            return true;
        }
        for _ in 0..KILL_ROUNDS_MAX {
            if !*self.gone.borrow() {
                tree::kill_all(self.shim);
            }
            if timeout(KILL_INTERVAL, self.gone()).await.is_ok() {
                return true;
            }
        }
        diagnostic::note("a process does not die");
        false
    }

    /// As [`Process::end`]; the exit record tells why the guest did it.
    pub(crate) async fn end_because(&self, ending: ExitStatus, grace: Duration) -> bool {
        self.state().ending.get_or_insert(ending);
        self.end(grace).await
    }

    pub(crate) async fn gone(&self) {
        // The sender is this process's own, so it is there as long as someone asks.
        drop(self.gone.subscribe().wait_for(|is_gone| *is_gone).await);
    }

    /// Waits until the program is executed.
    pub(crate) async fn executed(running: &Running) -> Result<(), Refusal> {
        let mut bytes = [0; FAILURE_BYTES];
        match read_message(&running.failure, &mut bytes).await {
            None => Ok(()),
            Some(()) => Err(refusal(SpawnFailure::from_bytes(bytes))),
        }
    }

    /// Carries the process from its execution until its tree is gone. `ended` is told when the exit record stands.
    pub(crate) async fn run(self: &Arc<Self>, mut running: Running, ended: impl FnOnce(ExitStatus)) {
        let raw = self.pump(&running).await;
        self.drain(&running.output).await;
        // Who asked for the end is told that it is over when nothing is left, whoever of the tree went first.
        let is_being_ended = self.state().is_being_ended;
        if is_being_ended {
            self.outlive(&mut running).await;
        }
        let exit = self.exit_record(raw, &running);
        let status = exit.status;
        {
            let mut state = self.state();
            if let Err(error) = state.kept.write_exit(&exit) {
                diagnostic::note(&format!("an exit record cannot be written: {error}"));
            }
            state.exit = Some(exit);
        }
        self.changed.send_replace(());
        ended(status);
        if !is_being_ended {
            self.outlive(&mut running).await;
        }
        self.gone.send_replace(true);
    }

    /// Feeds the input that came with the start.
    pub(crate) async fn feed(self: Arc<Self>, bytes: Vec<u8>) {
        let feeding = async {
            if let Some(input) = &*self.input.lock().await {
                input.write_all(&bytes).await?;
            }
            self.close_input().await
        };
        tokio::select! {
            biased;
            () = self.gone() => {}
            // A process that does not want its input has closed it: its own business.
            _ = feeding => {}
        }
    }

    /// Moves output into the spool until the main process ends.
    async fn pump(self: &Arc<Self>, running: &Running) -> Option<RawStatus> {
        let mut changes = self.changes();
        let mut wall_clock = running.wall_clock.map(|limit| running.started_at + limit);
        let mut rests = self.rest.subscribe();
        // Read but not yet in the spool: it cannot be written just now.
        let mut pending: Vec<u8> = Vec::new();
        // One for all reads: a fresh one is mapped and unmapped each time. Pages that are never filled cost nothing.
        let mut buffer = vec![0; READ_BYTES];
        let mut is_over = false;
        loop {
            let room = self.state().kept.room();
            let may_read = room > 0 && pending.is_empty() && !is_over;
            let mut status = [0; STATUS_BYTES];
            let runs_out_at = wall_clock.and_then(|at| rests.borrow_and_update().shift(at));
            tokio::select! {
                biased;
                message = read_message(&running.status, &mut status) => {
                    self.keep(&pending).await;
                    return message.map(|()| RawStatus::from_bytes(status));
                }
                () = sleep_until(runs_out_at.unwrap_or(running.started_at)), if runs_out_at.is_some() => {
                    wall_clock = None;
                    let process = Arc::clone(self);
                    running.tasks.spawn(async move {
                        process.end_because(ExitStatus::WallClock, WALL_CLOCK_GRACE).await;
                    });
                }
                readable = running.output.readable(), if may_read => {
                    let got = readable.and_then(|()| self.take(&running.output, room, &mut buffer));
                    match got {
                        Ok(Taken::Kept) => {}
                        Ok(Taken::Unkept(bytes)) => pending = bytes,
                        Ok(Taken::End) | Err(_) => is_over = true,
                    }
                }
                () = sleep(SPOOL_RETRY), if !pending.is_empty() => {
                    if self.append(&pending) {
                        pending.clear();
                    }
                }
                _ = changes.changed(), if room == 0 => {}
                _ = rests.changed(), if wall_clock.is_some() => {}
            }
        }
    }

    /// One read into the spool.
    fn take(&self, output: &Fd, room: u64, buffer: &mut [u8]) -> io::Result<Taken> {
        let wanted = usize::try_from(room).unwrap_or(READ_BYTES).min(READ_BYTES);
        match output.try_read(&mut buffer[..wanted])? {
            Got::Nothing => Ok(Taken::Kept),
            Got::End => Ok(Taken::End),
            Got::Bytes(count) if self.append(&buffer[..count]) => Ok(Taken::Kept),
            Got::Bytes(count) => Ok(Taken::Unkept(buffer[..count].to_vec())),
        }
    }

    fn append(&self, bytes: &[u8]) -> bool {
        let appended = self.state().kept.append(bytes);
        if let Err(error) = &appended {
            diagnostic::note(&format!("output cannot be kept: {error}"));
        }
        self.changed.send_replace(());
        appended.is_ok()
    }

    /// Puts bytes into the spool, however long that takes: nobody is told of an end before all that came first is kept. Gives them up where
    /// the process is being ended.
    async fn keep(&self, bytes: &[u8]) {
        while !bytes.is_empty() && !self.append(bytes) && !self.state().is_being_ended {
            sleep(SPOOL_RETRY).await;
        }
    }

    /// Takes what the main process left in its pipe or terminal, over the bound if need be.
    async fn drain(&self, output: &Fd) {
        let mut drained = 0;
        let mut buffer = vec![0; READ_BYTES];
        while drained < DRAIN_BYTES_MAX {
            match output.read_now(&mut buffer) {
                Ok(Got::Bytes(count)) => {
                    drained += count;
                    self.keep(&buffer[..count]).await;
                }
                Ok(Got::Nothing) if self.terminal.is_some() => {
                    if timeout(TERMINAL_QUIET, self.wait_readable(output)).await.is_err() {
                        return;
                    }
                }
                Ok(Got::Nothing | Got::End) | Err(_) => return,
            }
        }
    }

    async fn wait_readable(&self, output: &Fd) {
        // The runtime may still think that an emptied terminal is readable: one read that finds nothing corrects it.
        drop(output.readable().await);
        let mut nothing = [0; 0];
        drop(output.try_read(&mut nothing));
    }

    fn exit_record(&self, raw: Option<RawStatus>, running: &Running) -> ExitRecord {
        let state = self.state();
        let status = match (state.ending, raw) {
            (Some(ending), _) => ending,
            (None, Some(RawStatus::Exited(code))) => ExitStatus::Exited { code },
            (None, Some(RawStatus::Signaled(number))) => ExitStatus::Signaled { number },
            (None, None) => ExitStatus::Lost,
        };
        let out_of_memory = match running.kills_before {
            None => OutOfMemory::Unknown,
            before => cgroup::compare(before, cgroup::kills()),
        };
        let out_of_processes = match running.refused_before {
            None => OutOfProcesses::Unknown,
            before => cgroup::compare_refused(before, cgroup::refused_processes()),
        };
        ExitRecord {
            status,
            end: state.kept.end(),
            ran_ms: u64::try_from(running.started_at.elapsed().as_millis()).unwrap_or(u64::MAX),
            out_of_memory,
            out_of_processes,
            report: running.report.as_ref().and_then(ReportPlace::take),
        }
    }

    /// Reads and throws away what the rest of the tree writes, until it is gone.
    async fn outlive(&self, running: &mut Running) {
        let mut is_over = false;
        let end = loop {
            tokio::select! {
                biased;
                end = running.shim_end.wait_for(Option::is_some) => break end.ok().and_then(|end| *end),
                readable = running.output.readable(), if !is_over => {
                    let mut buffer = [0; RECORD_BYTES_MAX / 32];
                    is_over = !matches!(
                        readable.and_then(|()| running.output.try_read(&mut buffer)),
                        Ok(Got::Bytes(_) | Got::Nothing)
                    );
                }
            }
        };
        if end == Some(ShimEnd::Empty) {
            return;
        }
        for _ in 0..KILL_ROUNDS_MAX {
            if running.shims.kill_strangers() == 0 {
                return;
            }
            sleep(KILL_INTERVAL).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Undoes a start that executed nothing.
    pub(crate) fn undo(&self) {
        self.state().kept.remove();
        self.gone.send_replace(true);
    }
}

/// What one read from a process came to.
#[derive(Debug)]
enum Taken {
    Kept,
    Unkept(Vec<u8>),
    End,
}

/// One whole message of a shim; `None` at the end. Messages are written at once and shorter than a pipe's atomic size.
///
/// # Cancel safety
/// Yes.
async fn read_message(fd: &Fd, message: &mut [u8]) -> Option<()> {
    loop {
        fd.readable().await.ok()?;
        match fd.try_read(message) {
            Ok(Got::Bytes(count)) if count == message.len() => return Some(()),
            Ok(Got::Nothing) => {}
            Ok(Got::Bytes(_) | Got::End) | Err(_) => return None,
        }
    }
}

fn refusal(failure: SpawnFailure) -> Refusal {
    let code = match (failure.stage, failure.errno) {
        (_, Errno::EAGAIN) => RefusalCode::TooManyProcesses,
        (_, Errno::ENOMEM | Errno::ENFILE | Errno::EMFILE) => RefusalCode::OutOfResources,
        (Stage::Directory, _) => RefusalCode::NoSuchDirectory,
        (Stage::Execute, Errno::ENOENT) => RefusalCode::ProgramNotFound,
        (Stage::Execute, Errno::EACCES | Errno::EPERM) => RefusalCode::PermissionDenied,
        (Stage::Execute, Errno::ENOEXEC | Errno::EISDIR | Errno::EINVAL | Errno::ELIBBAD) => RefusalCode::NotExecutable,
        (Stage::Execute, Errno::E2BIG | Errno::ENAMETOOLONG) => RefusalCode::TooLong,
        (Stage::Fork | Stage::Setup | Stage::Execute, _) => RefusalCode::Other,
    };
    Refusal::new(code, failure.errno.desc())
}
