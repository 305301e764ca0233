//! A program that asks a model, and measures by its own clock: the same one in a sandbox and beside it.

use std::process::Stdio;
use std::time::Duration;

use pipe::{
    ProcessId,
    host::{Guest, Output, OutputEvent, Stdin},
};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::BenchError;
use super::far_end::{MODEL, reply_bytes_min};
use super::inside::{SAMPLE_WAIT_MAX, program};

/// Its text; it takes Python 3.
pub(super) const PROGRAM: &str = include_str!("asker.py");
/// About how long a prompt is, in bytes: some turns of an agent's conversation.
pub(super) const PROMPT_BYTES: usize = 32 << 10;
/// Longest line that it says, in bytes.
const LINE_BYTES_MAX: usize = 4 << 10;
/// What it is called where it fails.
const WHAT: &str = "the program that asks a model";

/// Where it asks.
pub(super) struct Address {
    /// On loopback, as the program sees it.
    pub(super) port: u16,
    pub(super) path: String,
    pub(super) key: String,
}

/// On what a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// A connection that is made for it.
    Own,
    /// The one of the request before; made by the first.
    Kept,
}

/// How long a reply took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    /// From before it connected, or sent where it was connected, until the first event was there.
    pub(super) first: Duration,
    /// From then to the last byte.
    pub(super) rest: Duration,
    /// How many bytes came in that time.
    pub(super) rest_bytes: u64,
    /// How many it was together, the head included.
    pub(super) bytes: u64,
}

/// The program at work. It ends with its sandbox, or when it is dropped.
pub(super) struct Asker {
    way: Way,
    /// What it said beyond its last whole line.
    said: Vec<u8>,
}

enum Way {
    Inside { guest: Guest, id: ProcessId, output: Output },
    Beside { stdin: ChildStdin, stdout: ChildStdout, child: Child },
}

impl Asker {
    /// In a sandbox.
    pub(super) async fn inside(guest: &Guest, address: &Address) -> Result<Self, BenchError> {
        let mut start = program(&["python3", "-c", PROGRAM]);
        start.stdin = Stdin::Open;
        let (_, output) = guest.start_attached(&start).await?;
        Self::told(Way::Inside { guest: guest.clone(), id: start.id, output }, address).await
    }

    /// By a command that runs [`PROGRAM`].
    pub(super) async fn beside(mut command: Command, address: &Address) -> Result<Self, BenchError> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().map_err(BenchError::io("starting the program that asks a model"))?;
        let missing = BenchError::Ended { what: WHAT };
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else { return Err(missing) };
        Self::told(Way::Beside { stdin, stdout, child }, address).await
    }

    async fn told(way: Way, address: &Address) -> Result<Self, BenchError> {
        let Address { port, path, key } = address;
        let mut asker = Self { way, said: Vec::new() };
        let where_to = json!({ "port": port, "path": path, "key": key, "model": MODEL, "prompt_bytes": PROMPT_BYTES });
        asker.tell(&where_to.to_string()).await?;
        Ok(asker)
    }

    /// Has it ask once.
    pub(super) async fn ask(&mut self, connection: Connection, tokens: u64) -> Result<Took, BenchError> {
        let how = match connection {
            Connection::Own => "own",
            Connection::Kept => "kept",
        };
        let asking = async {
            self.tell(&format!("{how} {tokens}")).await?;
            self.line().await
        };
        let line = timeout(SAMPLE_WAIT_MAX, asking).await.unwrap_or(Err(BenchError::Timeout { what: WHAT }))?;
        let took = took(&line).filter(|took| took.bytes >= reply_bytes_min(tokens));
        took.ok_or(BenchError::Said { what: WHAT, words: line })
    }

    /// Ends it.
    pub(super) async fn end(self) -> Result<(), BenchError> {
        match self.way {
            Way::Inside { guest, id, output: _ } => guest.close_stdin(id).await?,
            Way::Beside { stdin, stdout: _, mut child } => {
                drop(stdin);
                let ended = timeout(SAMPLE_WAIT_MAX, child.wait()).await;
                ended.map_err(|_| BenchError::Timeout { what: WHAT })?.map_err(BenchError::io(WHAT))?;
            }
        }
        Ok(())
    }

    async fn tell(&mut self, line: &str) -> Result<(), BenchError> {
        let line = format!("{line}\n");
        match &mut self.way {
            Way::Inside { guest, id, .. } => Ok(guest.write_stdin(*id, line.as_bytes()).await?),
            Way::Beside { stdin, .. } => stdin.write_all(line.as_bytes()).await.map_err(BenchError::io(WHAT)),
        }
    }

    async fn line(&mut self) -> Result<String, BenchError> {
        loop {
            if let Some(end) = self.said.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.said.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim().to_owned());
            }
            if self.said.len() > LINE_BYTES_MAX || !self.read().await? {
                let words = String::from_utf8_lossy(&self.said).trim().to_owned();
                return Err(BenchError::Said { what: WHAT, words });
            }
        }
    }

    /// Reads on; `false` where it has ended.
    async fn read(&mut self) -> Result<bool, BenchError> {
        match &mut self.way {
            Way::Inside { output, .. } => match output.next().await? {
                Some(OutputEvent::Chunk { bytes, .. }) => self.said.extend_from_slice(&bytes),
                Some(OutputEvent::Gap { .. }) => {}
                Some(OutputEvent::Exited(_)) | None => return Ok(false),
            },
            Way::Beside { stdout, .. } => {
                let length = stdout.read_buf(&mut self.said).await.map_err(BenchError::io(WHAT))?;
                return Ok(length > 0);
            }
        }
        Ok(true)
    }
}

fn took(line: &str) -> Option<Took> {
    let numbers: Option<Vec<u64>> = line.split(' ').map(|number| number.parse().ok()).collect();
    match numbers?.as_slice() {
        &[first, rest, rest_bytes, bytes] => {
            Some(Took { first: Duration::from_nanos(first), rest: Duration::from_nanos(rest), rest_bytes, bytes })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::far_end::{FarEnd, KEY};
    use super::*;

    async fn asker(model: &FarEnd, key: &str) -> Asker {
        let mut command = Command::new("python3");
        command.args(["-c", PROGRAM]);
        let address = Address { port: model.port(), path: "/v1/messages".to_owned(), key: key.to_owned() };
        Asker::beside(command, &address).await.unwrap()
    }

    #[tokio::test]
    async fn a_reply_is_read_to_its_end_whatever_its_length_and_connection() {
        let model = FarEnd::start().await.unwrap();
        let mut asker = asker(&model, KEY).await;
        for tokens in [0, 1, 255, 256, 1_000] {
            for connection in [Connection::Own, Connection::Kept, Connection::Kept] {
                let took = asker.ask(connection, tokens).await.unwrap();
                // The head, the frames, and the events before and after the tokens.
                let more = took.bytes - reply_bytes_min(tokens);
                assert!((500..2_000).contains(&more), "{more} bytes more than {tokens} tokens are");
                assert!(took.rest_bytes < took.bytes);
                assert!(took.first > Duration::ZERO && took.first < SAMPLE_WAIT_MAX);
            }
        }
        asker.end().await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_that_is_no_stream_is_no_sample() {
        let model = FarEnd::start().await.unwrap();
        let mut asker = asker(&model, "another").await;
        let error = asker.ask(Connection::Own, 1).await.unwrap_err();
        assert!(matches!(&error, BenchError::Said { words, .. } if words.contains("401")), "{error}");
    }

    #[test]
    fn only_four_numbers_are_a_sample() {
        assert!(took("1 2 3 4").is_some());
        for line in ["", "1 2 3", "1 2 3 4 5", "a b c d", "-1 2 3 4"] {
            assert!(took(line).is_none(), "{line}");
        }
    }
}
