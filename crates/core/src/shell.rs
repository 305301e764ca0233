//! An interactive shell in a step's sandbox, for a person who wants to look around. It ends with its stream; the agent and
//! its output have nothing to do with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use newtype_uuid::GenericUuid as _;
use pipe::host::{Guest, Keep, Output, OutputEvent, Report, Start, StartError, Stdin, Stdio};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use wire::{
    ErrorCode, ErrorView,
    ids::{ProcessKind, StepId},
    stream::TerminalOutput,
};

use crate::clock::new_id;
use crate::house::House;
use crate::terminal::{self, Gone, Terminal, TerminalEnd, Typed};
use crate::{dispatch, escape, faults, home, sandbox};

/// The shells that are tried, best first.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];
/// Pieces of output between the pipe and the stream.
const PIECES_MAX: usize = 8;
/// Pieces of input that may wait for a program that does not read.
const KEYS_MAX: usize = 16;
/// Between TERM and KILL, when its stream is closed.
const END_GRACE: Duration = Duration::from_millis(500);

/// Starts a shell.
pub(crate) async fn open(house: &Arc<House>, step: StepId, columns: u16, rows: u16) -> Result<Terminal, ErrorView> {
    let record = house.store.step(step).await.map_err(|error| dispatch::of_store(&error))?;
    let Some(guest) = house.guest(step) else {
        let message = if record.state.phase().is_live() {
            "The sandbox cannot be reached at the moment."
        } else {
            "There is no sandbox to open a shell in: the step is not executing."
        };
        return Err(ErrorView::new(ErrorCode::NotNow, message).hint("Open it while the step is executing."));
    };
    let stdio = Stdio::Pty { columns: columns.clamp(2, 1000), rows: rows.clamp(2, 1000) };
    let (process, output) = start(&guest, stdio).await?;
    let (terminal, end) = terminal::pair(0);
    house.tasks.spawn(serve(guest, process, output, end, house.stop.clone()));
    Ok(terminal)
}

async fn start(guest: &Guest, stdio: Stdio) -> Result<(pipe::ProcessId, Output), ErrorView> {
    let mut last = None;
    for shell in SHELLS {
        let id = pipe::ProcessId::from_bytes(*new_id::<ProcessKind>().into_untyped_uuid().as_bytes());
        let env = [
            ("HOME", home::HOME_FOLDER),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("TERM", "xterm-256color"),
            ("LANG", "C.UTF-8"),
            ("USER", "agent"),
        ];
        let start = Start {
            id,
            argv: vec![shell.to_owned()],
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            cwd: sandbox::WORKSPACE_FOLDER.to_owned(),
            stdio,
            stdin: Stdin::Open,
            keep: Keep::Ends,
            wall_clock: None,
            report: Report::None,
            files: Vec::new(),
        };
        match guest.start_attached(&start).await {
            Ok((_, output)) => return Ok((id, output)),
            Err(error @ StartError::ProgramNotFound { .. }) => last = Some(error),
            Err(error) => {
                let words = escape::visible(error.to_string().as_bytes());
                return Err(ErrorView::new(ErrorCode::NotNow, format!("A shell could not be started: {words}."))
                    .hint("Close other terminals of this sandbox, or give the task more processes.")
                    .detail(faults::chain(&error)));
            }
        }
    }
    let detail = last.map(|error| faults::chain(&error)).unwrap_or_default();
    Err(ErrorView::new(ErrorCode::NotNow, "This image has no shell.").detail(detail))
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
