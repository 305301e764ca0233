//! Every process that the guest keeps, by the id that the host gave it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipe::ProcessId;
use pipe::limits::{PROCESSES_MAX, STDIN_BYTES_MAX};
use pipe::message::{Answer, ExitStatus, Refusal, RefusalCode, StartAsk, StartedHow, StdinAsk, Stdio};
use pipe::spool::StartNote;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::fd::Fd;
use crate::given::Given;
use crate::keep::Kept;
use crate::process::{Input, Process, Running};
use crate::reaper::Shims;
use crate::report::ReportPlace;
use crate::spawn::{ChildStdio, Program, Spawned, c_string, is_path, open_terminal, spawn};
use crate::{cgroup, keep};

/// Where programs are looked for when the environment does not say.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Folders of a `PATH` that are tried.
const PATH_FOLDERS_MAX: usize = 64;
/// Exits that a subscriber may lag behind without missing one.
const EXITS_MAX: usize = PROCESSES_MAX;

/// Every process that the guest keeps. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    spool: PathBuf,
    reports: PathBuf,
    boot: String,
    shims: Shims,
    tasks: TaskTracker,
    entries: Mutex<BTreeMap<ProcessId, Entry>>,
    exits: Mutex<Exits>,
    /// The number of exits so far.
    exit_count: watch::Sender<u64>,
}

#[derive(Debug, Clone)]
struct Entry {
    process: Arc<Process>,
    /// Whether the program was executed; `None` until that is known.
    executed: watch::Receiver<Option<Answer<()>>>,
}

#[derive(Debug, Default)]
struct Exits {
    count: u64,
    last: VecDeque<(ProcessId, ExitStatus)>,
}

impl Table {
    pub(crate) fn new(spool: PathBuf, reports: PathBuf, boot: String, shims: Shims, tasks: TaskTracker) -> Self {
        let inner = Inner {
            spool,
            reports,
            boot,
            shims,
            tasks,
            entries: Mutex::default(),
            exits: Mutex::default(),
            exit_count: watch::Sender::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Starts a process, or finds the one that an earlier start with the same id made. The start goes on when the
    /// future is dropped.
    pub(crate) async fn start(&self, ask: StartAsk, stdin: Vec<u8>) -> Result<(Arc<Process>, StartedHow), Refusal> {
        let existing = self.entries().get(&ask.id).cloned();
        let (entry, how) = match existing {
            Some(entry) => (entry, StartedHow::Existing),
            None => (self.make(&ask, stdin)?, StartedHow::New),
        };
        let mut executed = entry.executed.clone();
        let answer = executed.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        match answer {
            Some(Answer::Done(())) => Ok((entry.process, how)),
            Some(Answer::Refused(refusal)) => Err(refusal),
            None => Err(Refusal::new(RefusalCode::Finishing, "the guest is ending")),
        }
    }

    pub(crate) fn get(&self, id: ProcessId) -> Result<Arc<Process>, Refusal> {
        let entry = self.entries().get(&id).map(|entry| Arc::clone(&entry.process));
        entry.ok_or_else(|| Refusal::new(RefusalCode::UnknownProcess, id.to_string()))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Process>> {
        self.entries().values().map(|entry| Arc::clone(&entry.process)).collect()
    }

    pub(crate) fn acknowledge_exit(&self, id: ProcessId) -> Result<(), Refusal> {
        if self.get(id)?.acknowledge_exit()? {
            self.entries().remove(&id);
        }
        Ok(())
    }

    /// Ends every tree, telling in each exit record why.
    pub(crate) async fn end_all(&self, ending: ExitStatus, grace: Duration) {
        let mut endings = JoinSet::new();
        for process in self.all() {
            if process.exit().is_none() || process.count() > 0 {
                endings.spawn(async move { process.end_because(ending, grace).await });
            }
        }
        drop(endings.join_all().await);
    }

    /// The number of exits so far; changes with each.
    pub(crate) fn exit_count(&self) -> watch::Receiver<u64> {
        self.inner.exit_count.subscribe()
    }

    /// The exits after the first `seen`, as far as they are remembered, and the number of all.
    pub(crate) fn exits_after(&self, seen: u64) -> (Vec<(ProcessId, ExitStatus)>, u64) {
        let exits = self.inner.exits.lock().unwrap_or_else(PoisonError::into_inner);
        let new = usize::try_from(exits.count.saturating_sub(seen)).unwrap_or(usize::MAX).min(exits.last.len());
        (exits.last.iter().skip(exits.last.len() - new).copied().collect(), exits.count)
    }

    fn make(&self, ask: &StartAsk, stdin: Vec<u8>) -> Result<Entry, Refusal> {
        if self.entries().len() >= PROCESSES_MAX {
            return Err(Refusal::new(RefusalCode::TooManyProcesses, "the guest keeps no more"));
        }
        if keep::is_known(&self.inner.spool, ask.id) {
            return Err(Refusal::new(RefusalCode::AlreadyEnded, ask.id.to_string()));
        }
        let report = if ask.report {
            Some(ReportPlace::create(&self.inner.reports, ask.id).map_err(|error| unwritable(&error))?)
        } else {
            None
        };
        let given = Given::create(&self.inner.reports, ask.id, &ask.files)?;
        let mut ours: Vec<_> = given.iter().flat_map(Given::variables).cloned().collect();
        ours.extend(report.as_ref().and_then(ReportPlace::variable));
        let program = program(ask, &ours)?;
        let streams =
            Streams::open(ask).map_err(|error| Refusal::new(RefusalCode::OutOfResources, error.to_string()))?;
        let note = StartNote {
            program: ask.argv.first().cloned().unwrap_or_default(),
            boot: self.inner.boot.clone(),
            started_unix_ms: unix_ms(),
        };
        let kept = Kept::create(&self.inner.spool, ask.id, ask.keep, &note).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                Refusal::new(RefusalCode::AlreadyEnded, ask.id.to_string())
            } else {
                unwritable(&error)
            }
        })?;
        let kills_before = cgroup::kills();
        let refused_before = cgroup::refused_processes();
        let started = spawn(&program, streams.child).and_then(|spawned| {
            let Spawned { shim, failure, status } = spawned;
            Ok((shim, Fd::new(failure)?, Fd::new(status)?))
        });
        let (shim, failure, status) = match started {
            Ok(started) => started,
            Err(error) => {
                kept.remove();
                let is_limit = error.kind() == io::ErrorKind::WouldBlock;
                let code = if is_limit { RefusalCode::TooManyProcesses } else { RefusalCode::OutOfResources };
                return Err(Refusal::new(code, error.to_string()));
            }
        };
        let shim_end = self.inner.shims.watch(shim);
        let process = Arc::new(Process::new(ask.id, shim, kept, streams.input, streams.terminal));
        let running = Running {
            output: streams.output,
            failure,
            status,
            shim_end,
            shims: self.inner.shims.clone(),
            started_at: Instant::now(),
            wall_clock: ask.wall_clock_ms.map(Duration::from_millis),
            report,
            _given: given,
            kills_before,
            refused_before,
            tasks: self.inner.tasks.clone(),
        };
        let (executed_sender, executed) = watch::channel(None);
        let entry = Entry { process: Arc::clone(&process), executed };
        self.entries().insert(ask.id, entry.clone());
        let table = self.clone();
        self.inner.tasks.spawn(table.run(process, running, executed_sender, ask.stdin, stdin));
        Ok(entry)
    }

    async fn run(
        self,
        process: Arc<Process>,
        running: Running,
        executed: watch::Sender<Option<Answer<()>>>,
        stdin: StdinAsk,
        stdin_bytes: Vec<u8>,
    ) {
        let id = process.id();
        if let Err(refusal) = Process::executed(&running).await {
            process.undo();
            self.entries().remove(&id);
            if let Some(report) = &running.report {
                report.take();
            }
            executed.send_replace(Some(Answer::Refused(refusal)));
            return;
        }
        executed.send_replace(Some(Answer::Done(())));
        if let StdinAsk::Bytes { .. } = stdin {
            self.inner.tasks.spawn(Arc::clone(&process).feed(stdin_bytes));
        }
        process.run(running, |status| self.note_exit(id, status)).await;
        if process.is_exit_acknowledged() {
            self.entries().remove(&id);
        }
    }

    fn note_exit(&self, id: ProcessId, status: ExitStatus) {
        let mut exits = self.inner.exits.lock().unwrap_or_else(PoisonError::into_inner);
        exits.count += 1;
        exits.last.push_back((id, status));
        if exits.last.len() > EXITS_MAX {
            exits.last.pop_front();
        }
        self.inner.exit_count.send_replace(exits.count);
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<ProcessId, Entry>> {
        self.inner.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both ends of a process's standard streams.
struct Streams {
    child: ChildStdio,
    output: Arc<Fd>,
    input: Option<Input>,
    terminal: Option<Arc<Fd>>,
}

impl Streams {
    fn open(ask: &StartAsk) -> io::Result<Self> {
        match ask.stdio {
            Stdio::Pty { columns, rows } => {
                let (master, slave) = open_terminal(columns, rows)?;
                let master = Arc::new(Fd::new(master)?);
                Ok(Self {
                    child: ChildStdio::Terminal { slave },
                    output: Arc::clone(&master),
                    input: Some(Input::Terminal(Arc::clone(&master))),
                    terminal: Some(master),
                })
            }
            Stdio::Pipes => {
                let (output, output_writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
                let (stdin, input) = match ask.stdin {
                    // A pipe without a writer ends at once, and needs no /dev.
                    StdinAsk::Null => (closed_pipe()?, None),
                    StdinAsk::Bytes { .. } | StdinAsk::Open => {
                        let (stdin, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
                        (stdin, Some(Input::Pipe(Fd::new(writer)?)))
                    }
                };
                let child = ChildStdio::Pipes { stdin, output: output_writer };
                Ok(Self { child, output: Arc::new(Fd::new(output)?), input, terminal: None })
            }
        }
    }
}

fn closed_pipe() -> io::Result<OwnedFd> {
    let (reader, _writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    Ok(reader)
}

/// What is executed. What the guest itself puts into the environment stands there in place of what the host says.
fn program(ask: &StartAsk, ours: &[(String, String)]) -> Result<Program, Refusal> {
    let invalid = |what: &str| Refusal::new(RefusalCode::Invalid, what);
    if !ask.cwd.starts_with('/') {
        return Err(Refusal::new(RefusalCode::NoSuchDirectory, "the working directory is not absolute"));
    }
    if let StdinAsk::Bytes { bytes } = ask.stdin
        && bytes > STDIN_BYTES_MAX as u64
    {
        return Err(Refusal::new(RefusalCode::TooLong, "standard input"));
    }
    let strings = |texts: Vec<String>| texts.iter().map(|text| c_string(text)).collect::<Option<Vec<_>>>();
    let argv = strings(ask.argv.clone()).ok_or_else(|| invalid("a zero byte in an argument"))?;
    let name = argv.first().ok_or_else(|| invalid("no program"))?;
    let is_theirs = |(name, _): &&(String, String)| !ours.iter().any(|(known, _)| known == name);
    let variables = ask.env.iter().filter(is_theirs).chain(ours);
    let variables = variables.map(|(name, value)| format!("{name}={value}")).collect();
    let env = strings(variables).ok_or_else(|| invalid("a zero byte in the environment"))?;
    let candidates = if is_path(name) || ask.argv[0].is_empty() {
        vec![name.clone()]
    } else {
        let path = ask.env.iter().find(|(name, _)| name == "PATH").map_or(PATH_DEFAULT, |(_, path)| path);
        let folders = path.split(':').filter(|folder| folder.starts_with('/')).take(PATH_FOLDERS_MAX);
        folders.filter_map(|folder| c_string(&format!("{folder}/{}", ask.argv[0]))).collect()
    };
    let cwd = c_string(&ask.cwd).ok_or_else(|| invalid("a zero byte in the working directory"))?;
    Ok(Program { candidates, argv, env, cwd })
}

fn unwritable(error: &io::Error) -> Refusal {
    Refusal::new(RefusalCode::SpoolUnwritable, error.to_string())
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
