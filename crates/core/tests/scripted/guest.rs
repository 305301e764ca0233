//! The sandbox's end of the pipe without processes: what an agent prints, and how it ends, is what a test says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use engine::{ContainerId, Duplex, Signal as Outside};
use pipe::{
    PipeError, PipeStream, ProcessId,
    guest::{Connection, Facts, Options, read_ask, write},
    message::{
        Answer, Ask, DiskUse, ExitRecord, ExitStatus, OutOfMemory, OutOfProcesses, Refusal, RefusalCode, Signal,
        StartAsk, Started, StartedHow, StdinAsk,
    },
    record::{self, Record},
};
use serde::Serialize;
use testkit::Process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The longest piece that is sent at once, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// As whom a connector runs: nothing inside can become that.
const CONNECT_IDENTITY: &str = "64000:64000";

/// What a guest does that none should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misdeed {
    /// Output with bytes left out.
    Hole,
    /// An end that is not where the output ends.
    WrongEnd,
    /// Output dropped that nobody acknowledged.
    Gap,
    /// Bytes that are no record.
    Garbage,
    /// Output without end.
    Flood,
    /// An order to end is taken and never answered.
    IgnoreEnd,
    /// A signal takes it that long. No guest's fault, but that of a machine with much to do.
    SlowSignals(Duration),
    /// Its agent fills the home as it starts, with that many bytes. No guest's fault, but as early.
    FillHome(u64),
    /// A connection that is none, or that keeps no rule of the pipe.
    Wire(Wire),
}

/// What comes over a connection instead of the pipe's protocol, from its first byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// A shell's complaint.
    Text,
    /// A frame of the multiplexer that says it is a gigabyte long.
    LongFrame,
    /// A greeting that says it is four gigabytes long.
    LongHello,
    /// A greeting that is no JSON.
    NoHello,
    /// A greeting in a protocol of its own.
    Protocol,
    /// A header that never ends, byte by byte.
    EndlessHeader,
    /// Streams, opened as fast as they can be.
    Streams,
    /// Pings, each of which asks for an answer, and none of which is read.
    Pings,
    /// Nothing at all.
    Silence,
}

/// The 12 bytes before each frame of the multiplexer (<https://github.com/hashicorp/yamux/blob/master/spec.md>).
fn header(tag: u8, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    let mut bytes = vec![0, tag];
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes
}

/// Bytes on the control stream, which is the host's first.
fn on_control(body: &[u8]) -> Vec<u8> {
    let mut bytes = header(0, 2, 1, u32::try_from(body.len()).expect("a short text"));
    bytes.extend_from_slice(body);
    bytes
}

fn framed(text: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(text.len()).expect("a short text").to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

impl Wire {
    /// Speaks like that until the other end has gone.
    async fn speak(self, stdio: Duplex) {
        let (mut reader, mut writer) = tokio::io::split(stdio);
        let mut sink = vec![0; PIECE_BYTES];
        if self != Self::Text {
            // The host speaks first: what follows is an answer to something.
            let _ = reader.read(&mut sink).await;
        }
        let speaking = async {
            match self {
                Self::Text => writer.write_all(b"sh: 1: /berth/berth-guest: not found\n").await?,
                Self::LongFrame => writer.write_all(&header(0, 0, 1, 1 << 30)).await?,
                Self::LongHello => writer.write_all(&on_control(&u32::MAX.to_be_bytes())).await?,
                Self::NoHello => writer.write_all(&on_control(&framed("{no hello"))).await?,
                Self::Protocol => {
                    let hello = framed(r#"{"protocol":{"min":900,"max":901},"version":"x","boot":"y"}"#);
                    writer.write_all(&on_control(&hello)).await?;
                }
                Self::EndlessHeader => {
                    writer.write_all(&on_control(&60_000_u32.to_be_bytes())).await?;
                    loop {
                        writer.write_all(&on_control(b" ")).await?;
                        writer.flush().await?;
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    }
                }
                Self::Streams => {
                    for number in 1.. {
                        writer.write_all(&header(1, 1, number * 2, 0)).await?;
                    }
                }
                Self::Pings => {
                    let pings = header(2, 1, 0, 7).repeat(1_000);
                    loop {
                        writer.write_all(&pings).await?;
                    }
                }
                Self::Silence => {}
            }
            writer.flush().await
        };
        // The host has closed where this fails.
        if speaking.await.is_ok() && self != Self::Pings {
            while reader.read(&mut sink).await.is_ok_and(|count| count > 0) {}
        }
    }
}

/// Every guest of a scripted engine, by its container.
#[derive(Clone, Default)]
pub(crate) struct Guests {
    inner: Arc<Mutex<HashMap<ContainerId, Guest>>>,
    /// What those do that are not there yet.
    misdeed: Arc<Mutex<Option<Misdeed>>>,
    /// What the test of an image prints and with which code it ends; none where images bring no test.
    smoke: Smoke,
}

type Smoke = Arc<Mutex<Option<(String, i32)>>>;

/// The test of an image.
const SMOKE: &str = "/usr/local/share/berth/smoke";

impl Guests {
    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Guest>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest of a container.
    pub(crate) fn of(&self, container: &ContainerId) -> Guest {
        let misdeed = *self.misdeed.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let guest = Guest::of(self.smoke.clone());
            if let Some(misdeed) = misdeed {
                guest.misbehave(misdeed);
            }
            guest
        };
        self.lock().entry(container.clone()).or_insert_with(new).clone()
    }

    /// From now on, those that are made do that from their first connection on.
    pub(crate) fn misbehave(&self, misdeed: Option<Misdeed>) {
        *self.misdeed.lock().unwrap_or_else(PoisonError::into_inner) = misdeed;
    }

    /// From now on images bring a test, which prints that and ends with that code.
    pub(crate) fn set_smoke(&self, output: &str, code: i32) {
        *self.smoke.lock().unwrap_or_else(PoisonError::into_inner) = Some((output.to_owned(), code));
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Forgets those that there were.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    /// Those in which an agent was started, in no order.
    pub(crate) fn all(&self) -> Vec<Guest> {
        self.lock().values().filter(|guest| guest.agent().is_some()).cloned().collect()
    }

    /// What `berth-guest` does in a scripted container.
    pub(crate) async fn run(self, process: Process) -> i64 {
        let guest = self.of(&process.container);
        let is_init = process.argv.get(1).is_some_and(|command| command == "init");
        // The real one lets nobody else in.
        if !is_init && process.identity.to_string() != CONNECT_IDENTITY {
            return 2;
        }
        guest.clone().serve(process.stdio).await;
        if !is_init {
            return 0;
        }
        let mut signals = process.signals;
        loop {
            match signals.recv().await {
                Some(Outside::Term) => return 143,
                Some(Outside::Kill | Outside::Hangup | Outside::Interrupt) => {}
                None => std::future::pending().await,
            }
        }
    }
}

/// One guest: it outlives its connections, as PID 1 does.
#[derive(Clone)]
pub(crate) struct Guest {
    inner: Arc<Inner>,
}

struct Inner {
    state: watch::Sender<State>,
    /// Counts up each time that connections are cut.
    cut: watch::Sender<u64>,
    smoke: Smoke,
}

#[derive(Default)]
struct State {
    agents: HashMap<ProcessId, Agent>,
    last: Option<ProcessId>,
    misdeed: Option<Misdeed>,
    is_silent: bool,
    home_bytes: u64,
    is_shut: bool,
    has_way_out: bool,
}

/// What was started.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    /// What was asked for.
    pub(crate) start: StartAsk,
    /// What it got on standard input.
    pub(crate) prompt: String,
    /// How often it was made: more than once is a fault.
    pub(crate) made: usize,
    /// The signals it got.
    pub(crate) signals: Vec<Signal>,
    /// How often it was told to end.
    pub(crate) ends: usize,
    /// The first offset that is not acknowledged.
    pub(crate) acknowledged: u64,
    output: Vec<u8>,
    exit: Option<ExitRecord>,
}

impl Agent {
    /// Whether it has printed anything.
    pub(crate) fn has_printed(&self) -> bool {
        !self.output.is_empty()
    }
}

impl Guest {
    fn of(smoke: Smoke) -> Self {
        Self { inner: Arc::new(Inner { state: watch::Sender::default(), cut: watch::Sender::default(), smoke }) }
    }
}

impl Guest {
    /// The agent, once it was started.
    pub(crate) fn agent(&self) -> Option<Agent> {
        let state = self.inner.state.borrow();
        state.last.and_then(|last| state.agents.get(&last).cloned())
    }

    /// The id of the agent's process.
    pub(crate) fn process(&self) -> Option<ProcessId> {
        self.inner.state.borrow().last
    }

    /// Whether it was told to let programs out to the gateway.
    pub(crate) fn has_way_out(&self) -> bool {
        self.inner.state.borrow().has_way_out
    }

    fn change(&self, change: impl FnOnce(&mut Agent)) {
        self.inner.state.send_modify(|state| {
            let last = state.last.expect("an agent was started");
            change(state.agents.get_mut(&last).expect("it is there"));
        });
    }

    /// The agent prints.
    pub(crate) fn print(&self, bytes: impl AsRef<[u8]>) {
        self.change(|agent| agent.output.extend_from_slice(bytes.as_ref()));
    }

    /// The agent ends.
    pub(crate) fn exit(&self, status: ExitStatus, report: Option<&str>) {
        self.change(|agent| {
            let end = agent.output.len() as u64;
            let report = report.map(|report| report.as_bytes().to_vec());
            let (out_of_memory, out_of_processes) = (OutOfMemory::No, OutOfProcesses::No);
            agent.exit = Some(ExitRecord { status, end, ran_ms: 1, out_of_memory, out_of_processes, report });
        });
    }

    /// The agent ends with that code.
    pub(crate) fn exit_with(&self, code: i32) {
        self.exit(ExitStatus::Exited { code }, None);
    }

    /// From now on it does what none should.
    pub(crate) fn misbehave(&self, misdeed: Misdeed) {
        self.inner.state.send_modify(|state| state.misdeed = Some(misdeed));
    }

    /// From now on new connections get no hello.
    pub(crate) fn fall_silent(&self) {
        self.inner.state.send_modify(|state| state.is_silent = true);
    }

    /// What lies in the home from now on.
    pub(crate) fn fill_home(&self, home_bytes: u64) {
        self.inner.state.send_modify(|state| state.home_bytes = home_bytes);
    }

    /// From now on new connections end at once; what runs goes on.
    pub(crate) fn shut(&self) {
        self.inner.state.send_modify(|state| state.is_shut = true);
        self.cut();
    }

    /// All connections end; what runs goes on.
    pub(crate) fn cut(&self) {
        self.inner.cut.send_modify(|count| *count += 1);
    }

    async fn serve(self, stdio: Duplex) {
        // The newest connection wins.
        self.cut();
        let mut cut = self.inner.cut.subscribe();
        if self.inner.state.borrow().is_silent {
            std::future::pending::<()>().await;
        }
        let misdeed = self.inner.state.borrow().misdeed;
        if let Some(Misdeed::Wire(wire)) = misdeed {
            return wire.speak(stdio).await;
        }
        if self.inner.state.borrow().is_shut {
            return;
        }
        let facts = Facts { version: "scripted".to_owned(), boot: "1".to_owned() };
        let accepted = tokio::select! {
            _ = cut.changed() => return,
            accepted = Connection::accept(stdio, &facts, Options::default()) => accepted,
        };
        let Ok(mut connection) = accepted else { return };
        let mut handlers = JoinSet::new();
        loop {
            tokio::select! {
                _ = cut.changed() => return,
                Some(_) = handlers.join_next(), if !handlers.is_empty() => {}
                stream = connection.next() => match stream {
                    Some(stream) => {
                        let guest = self.clone();
                        // The loss of a stream is the host's to see.
                        handlers.spawn(async move { drop(guest.handle(stream).await) });
                    }
                    None => return,
                },
            }
        }
    }

    async fn handle(self, mut stream: PipeStream) -> Result<(), PipeError> {
        match read_ask(&mut stream).await? {
            Ask::Start { start, attach } => {
                let mut prompt = Vec::new();
                if let StdinAsk::Bytes { bytes } = start.stdin {
                    (&mut stream).take(bytes).read_to_end(&mut prompt).await?;
                }
                let is_smoke = start.argv.first().is_some_and(|program| program == SMOKE);
                let smoke = self.inner.smoke.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if is_smoke && smoke.is_none() {
                    return refuse(stream, RefusalCode::ProgramNotFound).await;
                }
                let (id, how) = self.start(start, prompt);
                if let Some((output, code)) = smoke.filter(|_| is_smoke) {
                    self.print(output);
                    self.exit_with(code);
                }
                write(&mut stream, &Answer::Done(Started { how })).await?;
                if attach { self.send_output(id, 0, stream).await } else { finish(stream).await }
            }
            Ask::Attach { id, from } => {
                let end = self.inner.state.borrow().agents.get(&id).map(|agent| agent.output.len() as u64);
                match end {
                    Some(end) if from <= end => {
                        write(&mut stream, &Answer::Done(())).await?;
                        self.send_output(id, from, stream).await
                    }
                    Some(_) => refuse(stream, RefusalCode::BeyondEnd).await,
                    None => refuse(stream, RefusalCode::UnknownProcess).await,
                }
            }
            Ask::Acknowledge { id, offset } => {
                self.change_one(id, |agent| agent.acknowledged = agent.acknowledged.max(offset));
                done(stream, ()).await
            }
            Ask::Signal { id, signal } => {
                let misdeed = self.inner.state.borrow().misdeed;
                if let Some(Misdeed::SlowSignals(time)) = misdeed {
                    tokio::time::sleep(time).await;
                }
                self.change_one(id, |agent| agent.signals.push(signal));
                done(stream, ()).await
            }
            Ask::End { id, .. } => {
                let is_ignored = self.inner.state.borrow().misdeed == Some(Misdeed::IgnoreEnd);
                self.change_one(id, |agent| agent.ends += 1);
                if is_ignored {
                    std::future::pending::<()>().await;
                }
                self.exit(ExitStatus::Signaled { number: 15 }, None);
                done(stream, ()).await
            }
            Ask::DiskUse { .. } => {
                let bytes = self.inner.state.borrow().home_bytes;
                done(stream, DiskUse { bytes, is_whole: true }).await
            }
            Ask::WayOut { .. } => {
                self.inner.state.send_modify(|state| state.has_way_out = true);
                done(stream, ()).await
            }
            Ask::Control
            | Ask::AcknowledgeExit { .. }
            | Ask::Stdin { .. }
            | Ask::CloseStdin { .. }
            | Ask::Resize { .. }
            | Ask::Count { .. }
            | Ask::Processes
            | Ask::Dial { .. }
            | Ask::Events
            | Ask::Stats
            | Ask::Finish
            | Ask::Unknown => refuse(stream, RefusalCode::UnknownAsk).await,
        }
    }

    fn change_one(&self, id: ProcessId, change: impl FnOnce(&mut Agent)) {
        self.inner.state.send_modify(|state| {
            if let Some(agent) = state.agents.get_mut(&id) {
                change(agent);
            }
        });
    }

    fn start(&self, start: StartAsk, prompt: Vec<u8>) -> (ProcessId, StartedHow) {
        let id = start.id;
        let mut how = StartedHow::Existing;
        self.inner.state.send_modify(|state| {
            state.last = Some(id);
            if let Some(Misdeed::FillHome(bytes)) = state.misdeed {
                state.home_bytes = bytes;
            }
            state.agents.entry(id).or_insert_with(|| {
                how = StartedHow::New;
                Agent {
                    start,
                    prompt: String::from_utf8(prompt).expect("a prompt is text"),
                    made: 1,
                    signals: Vec::new(),
                    ends: 0,
                    acknowledged: 0,
                    output: Vec::new(),
                    exit: None,
                }
            });
        });
        (id, how)
    }

    async fn send_output(&self, id: ProcessId, from: u64, mut stream: PipeStream) -> Result<(), PipeError> {
        let mut changes = self.inner.state.subscribe();
        let mut next = from;
        loop {
            let (piece, exit, misdeed) = {
                let state = changes.borrow_and_update();
                let Some(agent) = state.agents.get(&id) else { return Ok(()) };
                let at = usize::try_from(next).expect("a test's output is short");
                let rest = agent.output.get(at..).unwrap_or_default();
                let piece = Bytes::copy_from_slice(&rest[..rest.len().min(PIECE_BYTES)]);
                (piece, agent.exit.clone(), state.misdeed)
            };
            match misdeed {
                Some(Misdeed::Hole) => {
                    let bytes = Bytes::from_static(b"after a hole");
                    record::write(&mut stream, &Record::Data { offset: next + 7, bytes }).await?;
                }
                Some(Misdeed::WrongEnd) => {
                    let status = ExitStatus::Exited { code: 0 };
                    let (out_of_memory, out_of_processes) = (OutOfMemory::No, OutOfProcesses::No);
                    let end = next + 9;
                    let exit = ExitRecord { status, end, ran_ms: 1, out_of_memory, out_of_processes, report: None };
                    record::write(&mut stream, &Record::Exit(exit)).await?;
                }
                Some(Misdeed::Gap) => {
                    record::write(&mut stream, &Record::Gap { from: next, to: next + 100 }).await?;
                }
                Some(Misdeed::Garbage) => stream.write_all(&[0xee; 64]).await?,
                Some(Misdeed::Flood) => {
                    let bytes = Bytes::from_static(&[b'x'; PIECE_BYTES]);
                    let length = bytes.len() as u64;
                    record::write(&mut stream, &Record::Data { offset: next, bytes }).await?;
                    next += length;
                    self.change_one(id, |agent| {
                        let longer = agent.output.len().max(usize::try_from(next).unwrap_or(usize::MAX));
                        agent.output.resize(longer, b'x');
                    });
                    continue;
                }
                Some(Misdeed::IgnoreEnd | Misdeed::SlowSignals(_) | Misdeed::FillHome(_) | Misdeed::Wire(_)) | None
                    if !piece.is_empty() =>
                {
                    let offset = next;
                    next += piece.len() as u64;
                    record::write(&mut stream, &Record::Data { offset, bytes: piece }).await?;
                    continue;
                }
                Some(Misdeed::IgnoreEnd | Misdeed::SlowSignals(_) | Misdeed::FillHome(_) | Misdeed::Wire(_)) | None => {
                    if let Some(exit) = exit {
                        record::write(&mut stream, &Record::Exit(exit)).await?;
                        return finish(stream).await;
                    }
                }
            }
            // The state lives as long as the guest.
            let _ = changes.changed().await;
        }
    }
}

async fn done<A: Serialize + Sync>(mut stream: PipeStream, answer: A) -> Result<(), PipeError> {
    write(&mut stream, &Answer::Done(answer)).await?;
    finish(stream).await
}

async fn refuse(mut stream: PipeStream, code: RefusalCode) -> Result<(), PipeError> {
    write(&mut stream, &Answer::<()>::Refused(Refusal::new(code, ""))).await?;
    finish(stream).await
}

async fn finish(mut stream: PipeStream) -> Result<(), PipeError> {
    stream.shutdown().await?;
    Ok(())
}
