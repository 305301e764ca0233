//! Serves one connection: a task per stream, each one question.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal as Number;
use pipe::guest::{Connection, read_ask, write};
use pipe::limits::{FOLDERS_MAX, GATHER_BYTES, GATHER_WAIT, HOST_STREAMS_MAX, SPLIT_BYTES, STDIN_BYTES_MAX};
use pipe::message::{Answer, Ask, Event, Refusal, RefusalCode, Signal, StartAsk, Started, StdinAsk, Target};
use pipe::record::{self, DataRecord, Record};
use pipe::{PipeError, PipeStream, ProcessId};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::keep::Kind;
use crate::outward::WayOut;
use crate::ports::Listening;
use crate::process::Process;
use crate::table::Table;
use crate::{cgroup, diagnostic, disk};

/// How often listening ports are looked at while someone is subscribed. A look costs microseconds.
const PORTS_INTERVAL: Duration = Duration::from_millis(100);
/// Longest wait for a connection inside.
const DIAL_WAIT_MAX: Duration = Duration::from_secs(10);
/// Buffers of a dialled connection, in bytes: towards the host a frame's worth. Pages that are never filled cost nothing.
const COPY_OUT_BYTES: usize = SPLIT_BYTES;
const COPY_IN_BYTES: usize = 32 * 1024;
/// Standard input read at once, in bytes.
const STDIN_READ_BYTES: usize = 16 * 1024;

/// What every connection serves.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) table: Table,
    /// The port by which programs inside reach the host.
    pub(crate) way_out: WayOut,
    /// The host said that the guest may go.
    pub(crate) finish: CancellationToken,
}

/// Serves until the connection is lost or `replaced`.
pub(crate) async fn serve(connection: &mut Connection, world: &World, replaced: &CancellationToken) {
    let mut handlers = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = replaced.cancelled() => break,
            Some(_) = handlers.join_next(), if !handlers.is_empty() => {}
            stream = connection.next() => match stream {
                // Beyond the bound the stream is dropped, which resets it.
                Some(stream) if handlers.len() < HOST_STREAMS_MAX => {
                    let world = world.clone();
                    // What a stream's loss means is for the host to say; here it ends the task.
                    handlers.spawn(async move { drop(handle(&world, stream).await) });
                }
                Some(_) => {}
                None => break,
            },
        }
    }
    handlers.shutdown().await;
}

async fn handle(world: &World, mut stream: PipeStream) -> Result<(), PipeError> {
    let table = &world.table;
    match read_ask(&mut stream).await? {
        Ask::Start { start, attach } => start_one(world, stream, start, attach).await,
        Ask::Attach { id, from } => match table.get(id).and_then(|process| check_offset(process, from)) {
            Ok(process) => {
                write(&mut stream, &Answer::Done(())).await?;
                send_output(&process, from, stream).await
            }
            Err(refusal) => answer::<()>(stream, Err(refusal)).await,
        },
        Ask::Acknowledge { id, offset } => {
            let done = table.get(id);
            let done = done.and_then(|process| if process.acknowledge(offset) { Ok(()) } else { Err(beyond_end()) });
            answer(stream, done).await
        }
        Ask::AcknowledgeExit { id } => answer(stream, table.acknowledge_exit(id)).await,
        Ask::Stdin { id } => {
            let done = feed(table, id, &mut stream).await;
            answer(stream, done).await
        }
        Ask::CloseStdin { id } => {
            let done = match table.get(id) {
                Ok(process) => process.close_input().await.map_err(|error| no_stdin(&error)),
                Err(refusal) => Err(refusal),
            };
            answer(stream, done).await
        }
        Ask::Resize { id, columns, rows } => {
            answer(stream, table.get(id).and_then(|process| process.resize(columns, rows))).await
        }
        Ask::Signal { id, signal } => answer(stream, table.get(id).map(|process| process.signal(number(signal)))).await,
        Ask::End { id, grace_ms } => {
            let done = match table.get(id) {
                Ok(process) if process.end(Duration::from_millis(grace_ms)).await => Ok(()),
                Ok(_) => Err(Refusal::new(RefusalCode::Other, "a process does not die")),
                Err(refusal) => Err(refusal),
            };
            answer(stream, done).await
        }
        Ask::Count { id } => answer(stream, table.get(id).map(|process| process.count())).await,
        Ask::Processes => {
            let processes = table.all();
            write(&mut stream, &Answer::Done(processes.len())).await?;
            for process in processes {
                write(&mut stream, &process.listed()).await?;
            }
            finish(stream).await
        }
        Ask::Dial { target } => dial(stream, target).await,
        Ask::WayOut { port } => answer(stream, world.way_out.open(port).await).await,
        Ask::Events => send_events(world, stream).await,
        Ask::Stats => answer(stream, Ok(cgroup::stats())).await,
        Ask::DiskUse { folders } if folders.len() <= FOLDERS_MAX => {
            answer(stream, Ok(disk::usage(&folders).await)).await
        }
        Ask::DiskUse { .. } => answer::<()>(stream, Err(Refusal::new(RefusalCode::TooLong, "folders"))).await,
        Ask::Finish => {
            let answered = answer(stream, Ok(())).await;
            world.finish.cancel();
            answered
        }
        Ask::Control | Ask::Unknown => unknown(stream).await,
    }
}

async fn unknown(stream: PipeStream) -> Result<(), PipeError> {
    answer::<()>(stream, Err(Refusal::new(RefusalCode::UnknownAsk, ""))).await
}

async fn answer<A: Serialize + Sync>(mut stream: PipeStream, done: Result<A, Refusal>) -> Result<(), PipeError> {
    let answer = match done {
        Ok(done) => Answer::Done(done),
        Err(refusal) => Answer::Refused(refusal),
    };
    write(&mut stream, &answer).await?;
    finish(stream).await
}

async fn finish(mut stream: PipeStream) -> Result<(), PipeError> {
    stream.shutdown().await?;
    Ok(())
}

async fn start_one(world: &World, mut stream: PipeStream, start: StartAsk, attach: bool) -> Result<(), PipeError> {
    let stdin = match start.stdin {
        StdinAsk::Bytes { bytes } if bytes <= STDIN_BYTES_MAX as u64 => read_exactly(&mut stream, bytes).await?,
        StdinAsk::Bytes { .. } => return answer::<()>(stream, Err(Refusal::new(RefusalCode::TooLong, "input"))).await,
        StdinAsk::Null | StdinAsk::Open => Vec::new(),
    };
    if world.finish.is_cancelled() {
        return answer::<()>(stream, Err(Refusal::new(RefusalCode::Finishing, ""))).await;
    }
    match world.table.start(start, stdin).await {
        Ok((process, how)) if attach => {
            write(&mut stream, &Answer::Done(Started { how })).await?;
            send_output(&process, 0, stream).await
        }
        Ok((_, how)) => answer(stream, Ok(Started { how })).await,
        Err(refusal) => {
            diagnostic::note(&format!("not started: {refusal}"));
            answer::<()>(stream, Err(refusal)).await
        }
    }
}

async fn read_exactly(stream: &mut PipeStream, bytes: u64) -> Result<Vec<u8>, PipeError> {
    let mut read = Vec::new();
    stream.take(bytes).read_to_end(&mut read).await?;
    if read.len() as u64 == bytes { Ok(read) } else { Err(PipeError::Cut { what: "standard input" }) }
}

fn check_offset(process: Arc<Process>, from: u64) -> Result<Arc<Process>, Refusal> {
    if from <= process.end_offset() { Ok(process) } else { Err(beyond_end()) }
}

fn beyond_end() -> Refusal {
    Refusal::new(RefusalCode::BeyondEnd, "")
}

/// Sends what is kept from an offset on, then what comes, then the exit record.
async fn send_output(process: &Process, from: u64, stream: PipeStream) -> Result<(), PipeError> {
    let (mut host, mut stream) = tokio::io::split(stream);
    let mut changes = process.changes();
    let mut next = from;
    let mut record = DataRecord::default();
    // Until when a small piece waits.
    let mut gathered_at: Option<Instant> = None;
    loop {
        changes.mark_unchanged();
        // Asked before the bytes: with an exit record, what is kept is all there will be.
        let exit = process.exit();
        match process.read(next, &mut record) {
            // A program that writes byte by byte must not become a flood of records.
            Kind::Bytes(length)
                if length < GATHER_BYTES && exit.is_none() && gathered_at.is_some_and(|at| Instant::now() < at) =>
            {
                sleep_until(gathered_at.unwrap_or_else(Instant::now)).await;
                gathered_at = None;
            }
            Kind::Bytes(length) => {
                gathered_at = Some(Instant::now() + GATHER_WAIT);
                next += length as u64;
                record.write(&mut stream).await?;
            }
            Kind::Gap(to) => {
                record::write(&mut stream, &Record::Gap { from: next, to }).await?;
                next = to;
            }
            Kind::End => {
                if let Some(exit) = exit {
                    record::write(&mut stream, &Record::Exit(exit)).await?;
                    stream.shutdown().await?;
                    return Ok(());
                }
                record.clear();
                let mut nothing = [0; 1];
                tokio::select! {
                    biased;
                    // The process is this task's as long as it waits, so the sender is there.
                    _ = changes.changed() => {}
                    // A host that is no longer interested resets the stream.
                    _ = host.read(&mut nothing) => return Ok(()),
                }
            }
        }
    }
}

async fn feed(table: &Table, id: ProcessId, stream: &mut PipeStream) -> Result<(), Refusal> {
    let process = table.get(id)?;
    let feeding = async {
        let input = process.input().await;
        let Some(input) = &*input else { return Err(Refusal::new(RefusalCode::NoStdin, "")) };
        let mut buffer = vec![0; STDIN_READ_BYTES];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => return Ok(()),
                Ok(count) => input.write_all(&buffer[..count]).await.map_err(|error| no_stdin(&error))?,
                Err(error) => return Err(no_stdin(&error)),
            }
        }
    };
    tokio::select! {
        biased;
        fed = feeding => fed,
        () = process.gone() => Err(Refusal::new(RefusalCode::NoStdin, "the process has ended")),
    }
}

fn no_stdin(error: &io::Error) -> Refusal {
    Refusal::new(RefusalCode::NoStdin, error.to_string())
}

async fn dial(mut stream: PipeStream, target: Target) -> Result<(), PipeError> {
    let connecting = async {
        match &target {
            Target::Port { port } => match TcpStream::connect(("127.0.0.1", *port)).await {
                Ok(inside) => Ok(Inside::Tcp(inside)),
                Err(_) => TcpStream::connect(("::1", *port)).await.map(Inside::Tcp),
            },
            Target::Socket { path } => UnixStream::connect(path).await.map(Inside::Unix),
        }
    };
    let connected = timeout(DIAL_WAIT_MAX, connecting).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()));
    let inside = match connected {
        Ok(inside) => inside,
        Err(error) => {
            let code = if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) {
                RefusalCode::NotListening
            } else if error.kind() == io::ErrorKind::PermissionDenied {
                RefusalCode::PermissionDenied
            } else {
                RefusalCode::Other
            };
            return answer::<()>(stream, Err(Refusal::new(code, error.to_string()))).await;
        }
    };
    write(&mut stream, &Answer::Done(())).await?;
    match inside {
        Inside::Tcp(mut inside) => {
            // Small pieces are keystrokes and requests; where it cannot be set they are only slower.
            drop(inside.set_nodelay(true));
            copy_bidirectional_with_sizes(&mut stream, &mut inside, COPY_IN_BYTES, COPY_OUT_BYTES).await?;
        }
        Inside::Unix(mut inside) => {
            copy_bidirectional_with_sizes(&mut stream, &mut inside, COPY_IN_BYTES, COPY_OUT_BYTES).await?;
        }
    }
    Ok(())
}

enum Inside {
    Tcp(TcpStream),
    Unix(UnixStream),
}

async fn send_events(world: &World, mut stream: PipeStream) -> Result<(), PipeError> {
    let table = &world.table;
    write(&mut stream, &Answer::Done(())).await?;
    let (mut host, mut stream) = tokio::io::split(stream);
    let listening = Listening::new();
    let mut told = None;
    // What ended before the subscription is told too: nobody may have been listening then.
    let mut seen = 0;
    let mut exit_count = table.exit_count();
    let mut looks = interval(PORTS_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut nothing = [0; 1];
    loop {
        exit_count.mark_unchanged();
        let (exits, count) = table.exits_after(seen);
        seen = count;
        for (id, status) in exits {
            send_event(&mut stream, &Event::Ended { id, status }).await?;
        }
        tokio::select! {
            biased;
            // The table is there as long as the guest.
            _ = exit_count.changed() => {}
            _ = host.read(&mut nothing) => return Ok(()),
            _ = looks.tick() => {
                let mut ports = listening.now();
                // The guest's own is nobody's server.
                ports.retain(|port| Some(port.port) != world.way_out.port());
                if told.as_ref() != Some(&ports) {
                    send_event(&mut stream, &Event::Ports { ports: ports.clone() }).await?;
                    told = Some(ports);
                }
            }
        }
    }
}

async fn send_event(stream: &mut tokio::io::WriteHalf<PipeStream>, event: &Event) -> Result<(), PipeError> {
    pipe::frame::write(stream, event, pipe::limits::FRAME_FROM_GUEST_BYTES_MAX).await
}

fn number(signal: Signal) -> Number {
    match signal {
        Signal::Hangup => Number::SIGHUP,
        Signal::Interrupt => Number::SIGINT,
        Signal::Quit => Number::SIGQUIT,
        Signal::Terminate => Number::SIGTERM,
        Signal::Kill => Number::SIGKILL,
        Signal::User1 => Number::SIGUSR1,
        Signal::User2 => Number::SIGUSR2,
        Signal::WindowChanged => Number::SIGWINCH,
        Signal::Stop => Number::SIGSTOP,
        Signal::Continue => Number::SIGCONT,
    }
}
