//! A terminal in a step's sandbox, for a person: a shell to look around, or the agent itself to speak with. It ends with its stream; the
//! agent at work and its output have nothing to do with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::{Image, ImageRef};
use newtype_uuid::GenericUuid as _;
use pipe::host::{Guest, Keep, Output, OutputEvent, Report, Start, StartError, Stdin, Stdio};
use pipe::limits::FILES_PROTOCOL;
use store::{SandboxRecord, StepRecord, StoreError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use wire::{
    ErrorCode, ErrorView,
    ids::{ProcessKind, StepId},
    stream::{ShellProgram, TerminalOutput},
};

use crate::access::Permit;
use crate::clock::new_id;
use crate::house::House;
use crate::runner::surroundings::{Surroundings, Whose};
use crate::terminal::{self, Gone, Terminal, TerminalEnd, Typed};
use crate::{dispatch, escape, faults, images, sandbox};

/// What a terminal of the interface understands.
const TERMINAL: &str = "xterm-256color";
/// The shells that are tried, best first.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];
/// Pieces of output between the pipe and the stream.
const PIECES_MAX: usize = 8;
/// Pieces of input that may wait for a program that does not read.
const KEYS_MAX: usize = 16;
/// Between TERM and KILL, when its stream is closed.
const END_GRACE: Duration = Duration::from_millis(500);

/// How wide and high a terminal is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) columns: u16,
    pub(crate) rows: u16,
}

/// Starts a shell, or the agent for a person.
pub(crate) async fn open(
    house: &Arc<House>,
    step: StepId,
    program: ShellProgram,
    size: Size,
) -> Result<Terminal, ErrorView> {
    let record = house.store.step(step).await.map_err(|error| dispatch::of_store(&error))?;
    let Some(guest) = house.guest(step) else {
        let message = if record.state.phase().is_live() {
            "The sandbox cannot be reached at the moment."
        } else {
            "There is no sandbox to open a shell in: the step is not executing."
        };
        return Err(ErrorView::new(ErrorCode::NotNow, message).hint("Open it while the step is executing."));
    };
    let stdio = Stdio::Pty { columns: size.columns.clamp(2, 1000), rows: size.rows.clamp(2, 1000) };
    let Around { programs, surroundings } = match program {
        ShellProgram::Shell => of_shell(house, &record, &guest).await?,
        ShellProgram::Agent => of_agent(house, &record).await?,
    };
    let (process, output) = start(&guest, stdio, program, programs, surroundings).await?;
    let (terminal, end) = terminal::pair(0);
    house.tasks.spawn(serve(guest, process, output, end, house.stop.clone()));
    Ok(terminal)
}

/// What is started, and what it finds around it.
struct Around {
    /// The first of them that is there.
    programs: Vec<Vec<String>>,
    surroundings: Surroundings,
}

async fn of_shell(house: &House, record: &StepRecord, guest: &Guest) -> Result<Around, ErrorView> {
    let (permit, sandbox) = permit_of(house, record).await?;
    // A person may look around without an image, too: it can be gone from the engine while its containers are there.
    let image = image_of(house, &sandbox).await.ok().flatten();
    let env = image.map(|image| image.env).unwrap_or_default();
    let mut surroundings = Surroundings::of_shell(house, &Whose::of(record), &env, &permit).await?;
    if guest.protocol() < FILES_PROTOCOL {
        // The guest is an older Berth's. Without them TLS to the hosts of brokered secrets fails, and all else works.
        surroundings.files.clear();
    }
    Ok(Around { programs: SHELLS.map(|shell| vec![shell.to_owned()]).into(), surroundings })
}

async fn of_agent(house: &House, record: &StepRecord) -> Result<Around, ErrorView> {
    let Some(argv) = images::catalogue::find(&record.image).and_then(|image| image.interactive()) else {
        let shown = escape::visible(record.image.as_bytes());
        let message = format!("The image `{shown}` does not say how a person speaks with its agent in a terminal.");
        return Err(ErrorView::new(ErrorCode::NotNow, message)
            .hint("Open a shell instead; what the agent's image brings can be started there by hand."));
    };
    let (permit, sandbox) = permit_of(house, record).await?;
    permit.check(&record.agent_name)?;
    let image = image_of(house, &sandbox).await?.ok_or_else(|| {
        ErrorView::new(ErrorCode::ImageMissing, "The engine no longer has the image that this sandbox was made of.")
            .hint("Open a shell instead, or retry the task.")
    })?;
    let kit = house.store.agent(record.agent).await.map_err(|error| dispatch::of_store(&error))?.kit;
    let surroundings = Surroundings::of_agent(house, &Whose::of(record), &image, &permit, &kit).await?;
    Ok(Around { programs: vec![argv], surroundings })
}

/// What the agent may do in the sandbox that it has, and that sandbox.
async fn permit_of(house: &House, record: &StepRecord) -> Result<(Permit, SandboxRecord), ErrorView> {
    let read = async {
        let placement = house.store.placement_of(record.step).await?;
        let Some(placement) = placement else { return Ok(None) };
        let sandbox = house.store.sandbox(placement.sandbox).await?;
        let permit = Permit::of(house, record.agent, record.run).await?.within(&sandbox.network);
        Ok(Some((permit, sandbox)))
    };
    let found = read.await.map_err(|error: StoreError| faults::of_storage("read what the agent may do", &error))?;
    found.ok_or_else(|| ErrorView::new(ErrorCode::NotNow, "The step has no sandbox yet."))
}

/// The image that a sandbox was made of.
async fn image_of(house: &House, sandbox: &SandboxRecord) -> Result<Option<Image>, ErrorView> {
    let up = house.link.up()?;
    let Ok(reference) = ImageRef::parse(sandbox.image_id.as_str()) else { return Ok(None) };
    up.engine.image(&reference).await.map_err(|error| faults::of_engine(&error))
}

async fn start(
    guest: &Guest,
    stdio: Stdio,
    program: ShellProgram,
    programs: Vec<Vec<String>>,
    mut surroundings: Surroundings,
) -> Result<(pipe::ProcessId, Output), ErrorView> {
    surroundings.set("TERM", TERMINAL);
    let mut last = None;
    for argv in programs {
        let id = pipe::ProcessId::from_bytes(*new_id::<ProcessKind>().into_untyped_uuid().as_bytes());
        let start = Start {
            id,
            argv,
            env: surroundings.variables.clone(),
            cwd: sandbox::WORKSPACE_FOLDER.to_owned(),
            stdio,
            stdin: Stdin::Open,
            keep: Keep::Ends,
            wall_clock: None,
            report: Report::None,
            files: surroundings.files.clone(),
        };
        match guest.start_attached(&start).await {
            Ok((_, output)) => return Ok((id, output)),
            Err(error @ StartError::ProgramNotFound { .. }) => last = Some(error),
            Err(error) => {
                let words = escape::visible(error.to_string().as_bytes());
                let what = match program {
                    ShellProgram::Shell => "A shell",
                    ShellProgram::Agent => "The agent",
                };
                return Err(ErrorView::new(ErrorCode::NotNow, format!("{what} could not be started: {words}."))
                    .hint("Close other terminals of this sandbox, or give the task more processes.")
                    .detail(faults::chain(&error)));
            }
        }
    }
    let detail = last.map(|error| faults::chain(&error)).unwrap_or_default();
    let message = match program {
        ShellProgram::Shell => "This image has no shell.",
        ShellProgram::Agent => "The program that this image names for a person's terminal is not in it.",
    };
    Err(ErrorView::new(ErrorCode::NotNow, message).detail(detail))
}

async fn serve(guest: Guest, process: pipe::ProcessId, output: Output, mut end: TerminalEnd, stop: CancellationToken) {
    // Whatever may wait for the sandbox has a task of its own: neither a program that reads no keys nor a slow guest holds back
    // what is drawn. All end with this future.
    let mut around = JoinSet::new();
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    around.spawn(pump(output, sender));
    let (keys, typed) = mpsc::channel(KEYS_MAX);
    around.spawn(type_in(guest.clone(), process, typed));
    let (drawn, acknowledged) = watch::channel(0);
    around.spawn(acknowledge(guest.clone(), process, acknowledged));

    let reason = draw(&guest, process, pieces, keys, drawn, &mut end, &stop).await;
    drop(around);
    if let Some(reason) = reason {
        end.end(reason).await;
    }
    if let Err(error) = guest.end(process, END_GRACE).await {
        debug!(%error, "a shell was not ended");
    }
    if let Err(error) = guest.acknowledge_exit(process).await {
        debug!(%error, "the end of a shell was not acknowledged");
    }
}

/// Reads what the shell prints, which is not cancel safe.
async fn pump(mut output: Output, pieces: mpsc::Sender<OutputEvent>) {
    while let Ok(Some(event)) = output.next().await {
        if pieces.send(event).await.is_err() {
            return;
        }
    }
}

/// Types one piece of input after the other.
async fn type_in(guest: Guest, process: pipe::ProcessId, mut typed: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = typed.recv().await {
        if let Err(error) = guest.write_stdin(process, &bytes).await {
            debug!(%error, "keys were not taken");
            return;
        }
    }
}

/// Tells the guest what is drawn, the latest only: nobody attaches to a shell again.
async fn acknowledge(guest: Guest, process: pipe::ProcessId, mut drawn: watch::Receiver<u64>) {
    while drawn.changed().await.is_ok() {
        let offset = *drawn.borrow_and_update();
        if let Err(error) = guest.acknowledge(process, offset).await {
            debug!(%error, "an acknowledgement did not arrive");
        }
    }
}

/// Passes output and keys on until one side ends; says why, where the skin is still there to hear it.
async fn draw(
    guest: &Guest,
    process: pipe::ProcessId,
    mut pieces: mpsc::Receiver<OutputEvent>,
    keys: mpsc::Sender<Bytes>,
    drawn: watch::Sender<u64>,
    end: &mut TerminalEnd,
    stop: &CancellationToken,
) -> Option<&'static str> {
    if end.frame(TerminalOutput::Live).await.is_err() {
        return None;
    }
    loop {
        let has_credit = end.has_credit();
        tokio::select! {
            () = stop.cancelled() => return Some("Berth was closed."),
            // With that many keys unread, even acks wait.
            typed = end.typed(), if keys.capacity() > 0 || keys.is_closed() => match typed {
                Ok(Some(Typed::Input(bytes))) => {
                    if keys.try_send(bytes).is_err() {
                        return Some("The shell has ended.");
                    }
                }
                Ok(Some(Typed::Resize { columns, rows })) => {
                    if let Err(error) = guest.resize(process, columns, rows).await {
                        debug!(%error, "a shell was not resized");
                    }
                }
                Ok(None) => {}
                Err(Gone) => return None,
            },
            piece = pieces.recv(), if has_credit => {
                let sent = match piece {
                    Some(OutputEvent::Chunk { offset, bytes }) => {
                        let to = offset + bytes.len() as u64;
                        let sent = end.send(offset, bytes).await;
                        drawn.send_replace(to);
                        sent
                    }
                    Some(OutputEvent::Gap { from, to }) => end.frame(TerminalOutput::Gap { from, to }).await,
                    Some(OutputEvent::Exited(_)) => return Some("The shell has ended."),
                    None => return Some("The sandbox cannot be reached any more."),
                };
                if sent.is_err() {
                    return None;
                }
            }
        }
    }
}
