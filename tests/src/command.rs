//! Programs run to their end, with a bound: above all `berth`, as a script calls it.

use std::{
    ffi::OsStr,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use camino::Utf8Path;
use serde::de::DeserializeOwned;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use crate::binaries;

/// Long enough for the first run of an agent on a slow machine, image build included.
pub const COMMAND_TIME_MAX: Duration = Duration::from_mins(4);

/// A command that ran.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
}

#[allow(clippy::return_self_not_must_use, reason = "`good` and `bad` are checks; what they return is a convenience")]
impl Ran {
    /// Itself, where it succeeded. To ignore it is fine: the check is made.
    ///
    /// # Panics
    /// Where it did not.
    #[track_caller]
    pub fn good(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// Itself, where it failed with an exit code, and not by a signal.
    ///
    /// # Panics
    /// Where it succeeded or was killed.
    #[track_caller]
    pub fn bad(self) -> Self {
        assert!(self.status.code().is_some_and(|code| code != 0), "{self}");
        self
    }

    /// What it wrote, as JSON.
    ///
    /// # Panics
    /// Where that is not JSON of this shape.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("no such JSON ({error}): {self}"))
    }

    /// What it wrote, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// What it complained about, as text.
    pub fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n-- stdout\n{}\n-- stderr\n{}", self.status, self.text(), self.complaint())
    }
}

/// `berth ARGS…` on that data folder. It is killed when the handle is dropped.
pub fn berth<A: AsRef<OsStr>>(home: &Utf8Path, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(binaries::program("berth"));
    command
        .args(arguments)
        .env("BERTH_HOME", home)
        .env("BERTH_GUEST", binaries::guest())
        .env("BERTH_KEYRING", "none")
        .kill_on_drop(true);
    command
}

/// Runs a command to its end, with that on its standard input.
///
/// # Panics
/// Where it cannot be started, or takes longer than [`COMMAND_TIME_MAX`].
pub async fn run(command: &mut Command, input: &[u8]) -> Ran {
    run_within(COMMAND_TIME_MAX, command, input).await
}

/// The same with another bound.
///
/// # Panics
/// Where it cannot be started, or takes longer.
pub async fn run_within(bound: Duration, command: &mut Command, input: &[u8]) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let shown = format!("{:?}", command.as_std());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown} does not start: {error}"));
    let mut stdin = child.stdin.take().expect("its input is piped");
    let feed = async move {
        // A command that refuses early closes its input: that is not the test's business.
        let _closed_early = stdin.write_all(input).await;
    };
    let ended = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = timeout(bound, ended)
        .await
        .unwrap_or_else(|_| panic!("{shown} takes longer than {bound:?}"))
        .unwrap_or_else(|error| panic!("{shown} cannot be read: {error}"));
    Ran { status: output.status, stdout: output.stdout, stderr: output.stderr }
}
