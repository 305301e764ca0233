//! Programs that a measurement runs in a sandbox.

use std::time::{Duration, Instant};

use newtype_uuid::GenericUuid as _;
use pipe::{
    ProcessId,
    host::{Guest, Output, OutputEvent, Start, Stdin},
};
use tokio::time::timeout;
use wire::ids::ProcessKind;

use super::BenchError;
use crate::clock::new_id;
use crate::sandbox::WORKSPACE_FOLDER;

/// Longest wait for one sample.
pub(super) const SAMPLE_WAIT_MAX: Duration = Duration::from_secs(30);

/// A start of that program in the workspace.
pub(super) fn program(argv: &[&str]) -> Start {
    let id = ProcessId::from_bytes(*new_id::<ProcessKind>().into_untyped_uuid().as_bytes());
    let mut start = Start::new(id, argv.iter().copied(), WORKSPACE_FOLDER);
    start.env.push(("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()));
    start
}

/// From the request to the first byte of output. The rest is read, and the process forgotten, off the clock.
pub(super) async fn first_byte(guest: &Guest, start: &Start) -> Result<Duration, BenchError> {
    let sample = async {
        let begun = Instant::now();
        let (_, mut output) = guest.start_attached(start).await?;
        let elapsed = loop {
            match output.next().await? {
                Some(OutputEvent::Chunk { .. }) => break begun.elapsed(),
                Some(OutputEvent::Gap { .. }) => {}
                Some(OutputEvent::Exited(_)) | None => return Err(BenchError::Ended { what: "a program" }),
            }
        };
        drain(&mut output).await?;
        guest.acknowledge_exit(start.id).await?;
        Ok(elapsed)
    };
    timeout(SAMPLE_WAIT_MAX, sample).await.unwrap_or(Err(BenchError::Timeout { what: "the output of a program" }))
}

async fn drain(output: &mut Output) -> Result<(), BenchError> {
    while output.next().await?.is_some() {}
    Ok(())
}

/// A program that does something for each line it reads. It ends with its sandbox.
pub(super) struct Obedient {
    guest: Guest,
    id: ProcessId,
}

impl Obedient {
    pub(super) async fn start(guest: &Guest, argv: &[&str]) -> Result<Self, BenchError> {
        let mut start = program(argv);
        start.stdin = Stdin::Open;
        guest.start(&start).await?;
        Ok(Self { guest: guest.clone(), id: start.id })
    }

    /// Gives it a line; returns when its standard input has taken it.
    pub(super) async fn tell(&self, line: &str) -> Result<(), BenchError> {
        Ok(self.guest.write_stdin(self.id, format!("{line}\n").as_bytes()).await?)
    }
}
