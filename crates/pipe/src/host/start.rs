//! Starting a process.

use std::fmt;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::{Guest, Output};
use crate::limits::{ANSWER_WAIT_MAX, FILES_PROTOCOL, STDIN_BYTES_MAX};
use crate::message::{Ask, GivenFile, Keep, Names, Refusal, RefusalCode, StartAsk, Started, StdinAsk, Stdio};
use crate::{PipeError, PipeStream, ProcessId};

/// What to start.
#[derive(Clone, PartialEq, Eq)]
pub struct Start {
    /// The name of this start. The guest runs an id once, however often it is told to.
    pub id: ProcessId,
    /// Program and arguments; a program without `/` is looked for in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Absolute working directory.
    pub cwd: String,
    /// Terminal or pipes.
    pub stdio: Stdio,
    /// Standard input.
    pub stdin: Stdin,
    /// What of the output the guest keeps until it is acknowledged.
    pub keep: Keep,
    /// After this long the guest ends the tree, with or without a host.
    pub wall_clock: Option<Duration>,
    /// Whether the process gets a file for a report.
    pub report: Report,
    /// Files that it finds in memory; they and all else of a start fit into [`crate::limits::FRAME_FROM_HOST_BYTES_MAX`].
    pub files: Vec<GivenFile>,
}

impl Start {
    /// A start with pipes, an empty environment, no input, all output kept, no wall clock, no report and no files.
    pub fn new<A>(id: ProcessId, argv: impl IntoIterator<Item = A>, cwd: impl Into<String>) -> Self
    where
        A: Into<String>,
    {
        Self {
            id,
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: cwd.into(),
            stdio: Stdio::Pipes,
            stdin: Stdin::Null,
            keep: Keep::default(),
            wall_clock: None,
            report: Report::None,
            files: Vec::new(),
        }
    }
}

/// Secrets may stand in the environment: its names are shown, and none of its values.
impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, argv, env, cwd, stdio, stdin, keep, wall_clock, report, files } = self;
        f.debug_struct("Start")
            .field("id", id)
            .field("argv", argv)
            .field("env", &Names(env))
            .field("cwd", cwd)
            .field("stdio", stdio)
            .field("stdin", stdin)
            .field("keep", keep)
            .field("wall_clock", wall_clock)
            .field("report", report)
            .field("files", files)
            .finish()
    }
}

/// Standard input of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing.
    Null,
    /// These bytes, at most [`STDIN_BYTES_MAX`], then the end.
    Bytes(Vec<u8>),
    /// Open for [`Guest::write_stdin`] until [`Guest::close_stdin`]. A terminal's input is always open.
    Open,
}

/// Whether a process gets a file for a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// It does not.
    None,
    /// `BERTH_REPORT` names a file; its first [`crate::limits::REPORT_BYTES_MAX`] bytes come with the exit.
    Wanted,
}

/// Why a process was not started.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// The program, or the interpreter that its first line names, does not exist.
    #[error("the program does not exist: {program}")]
    ProgramNotFound {
        /// The first argument of the start.
        program: String,
    },
    /// The program may not be executed.
    #[error("the program may not be executed: {program}")]
    PermissionDenied {
        /// The first argument of the start.
        program: String,
    },
    /// The program is no format that this machine executes.
    #[error("not a program for this machine: {program}")]
    NotExecutable {
        /// The first argument of the start.
        program: String,
    },
    /// The working directory does not exist or may not be entered.
    #[error("the working directory cannot be entered: {cwd}")]
    NoSuchDirectory {
        /// The directory of the start.
        cwd: String,
    },
    /// Arguments, environment or input are longer than is allowed.
    #[error("arguments, environment or input are too long")]
    TooLong,
    /// The sandbox's limit of processes, or the guest's own, is reached.
    #[error("the sandbox has too many processes")]
    TooManyProcesses,
    /// The id ran already, and its exit was acknowledged or belongs to an earlier boot of the guest.
    #[error("process {id} has already run and ended")]
    AlreadyEnded {
        /// The name of the start.
        id: ProcessId,
    },
    /// The guest is an older Berth's, which would start the process without its files.
    #[error("the sandbox is of an older Berth, and cannot be given files")]
    NoFiles,
    /// The spool cannot be written, so that output would be lost.
    #[error("the sandbox cannot keep the output")]
    SpoolUnwritable(#[source] Refusal),
    /// Any other reason.
    #[error("the guest refused to start the process")]
    Refused(#[source] Refusal),
    /// The pipe failed; start the same id again to learn whether it runs.
    #[error("the pipe failed")]
    Pipe(#[from] PipeError),
}

impl Guest {
    /// Starts a process. Saying it again with the same id is safe: the guest answers with the existing process.
    ///
    /// # Cancel safety
    /// After the future was dropped the process may run or not; start the same id again.
    pub async fn start(&self, start: &Start) -> Result<Started, StartError> {
        let (started, _) = self.start_on_stream(start, false).await?;
        Ok(started)
    }

    /// Starts a process and attaches to its output from the first byte, in one round trip.
    ///
    /// # Cancel safety
    /// As [`Guest::start`].
    pub async fn start_attached(&self, start: &Start) -> Result<(Started, Output), StartError> {
        let (started, stream) = self.start_on_stream(start, true).await?;
        Ok((started, Output::new(self.clone(), stream, 0)))
    }

    async fn start_on_stream(&self, start: &Start, attach: bool) -> Result<(Started, PipeStream), StartError> {
        let (stdin, stdin_bytes) = match &start.stdin {
            Stdin::Null => (StdinAsk::Null, &[][..]),
            Stdin::Bytes(bytes) => (StdinAsk::Bytes { bytes: bytes.len() as u64 }, bytes.as_slice()),
            Stdin::Open => (StdinAsk::Open, &[][..]),
        };
        if stdin_bytes.len() > STDIN_BYTES_MAX {
            return Err(StartError::TooLong);
        }
        if !start.files.is_empty() && self.protocol() < FILES_PROTOCOL {
            return Err(StartError::NoFiles);
        }
        let ask = StartAsk {
            id: start.id,
            argv: start.argv.clone(),
            env: start.env.clone(),
            cwd: start.cwd.clone(),
            stdio: start.stdio,
            stdin,
            keep: start.keep,
            wall_clock_ms: start.wall_clock.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            report: start.report == Report::Wanted,
            files: start.files.clone(),
        };
        let asked = self.ask(&Ask::Start { start: ask, attach }).await;
        let mut stream = match asked {
            Err(PipeError::FrameTooLong { .. }) => return Err(StartError::TooLong),
            asked => asked?,
        };
        // A refusal resets the stream; the answer then says why.
        if let Err(error) = stream.write_all(stdin_bytes).await {
            tracing::trace!(%error, "standard input was not taken");
        }
        let answer = self.answer_within(&mut stream, "a start", ANSWER_WAIT_MAX).await?;
        match answer {
            Ok(started) => Ok((started, stream)),
            Err(refusal) => Err(refused(start, refusal)),
        }
    }
}

fn refused(start: &Start, refusal: Refusal) -> StartError {
    let program = || start.argv.first().cloned().unwrap_or_default();
    match refusal.code {
        RefusalCode::ProgramNotFound => StartError::ProgramNotFound { program: program() },
        RefusalCode::PermissionDenied => StartError::PermissionDenied { program: program() },
        RefusalCode::NotExecutable => StartError::NotExecutable { program: program() },
        RefusalCode::NoSuchDirectory => StartError::NoSuchDirectory { cwd: start.cwd.clone() },
        RefusalCode::TooLong => StartError::TooLong,
        RefusalCode::TooManyProcesses => StartError::TooManyProcesses,
        RefusalCode::AlreadyEnded => StartError::AlreadyEnded { id: start.id },
        RefusalCode::SpoolUnwritable => StartError::SpoolUnwritable(refusal),
        RefusalCode::OutOfResources
        | RefusalCode::UnknownProcess
        | RefusalCode::BeyondEnd
        | RefusalCode::NoStdin
        | RefusalCode::NoTerminal
        | RefusalCode::NotListening
        | RefusalCode::TooMany
        | RefusalCode::Invalid
        | RefusalCode::Finishing
        | RefusalCode::UnknownAsk
        | RefusalCode::Other => StartError::Refused(refusal),
    }
}
