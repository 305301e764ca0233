//! What to start.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Keep, StdinAsk, Stdio};
use crate::ProcessId;

/// What to start, as it stands in a frame.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartAsk {
    /// The name of this start.
    pub id: ProcessId,
    /// Program and arguments; the program is looked for in the environment's `PATH`.
    pub argv: Vec<String>,
    /// The whole environment.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Absolute working directory.
    pub cwd: String,
    /// Where output goes and input comes from.
    pub stdio: Stdio,
    /// Standard input.
    pub stdin: StdinAsk,
    /// What of the output the guest keeps.
    #[serde(default)]
    pub keep: Keep,
    /// After this long the guest ends the tree by itself, in milliseconds.
    #[serde(default)]
    pub wall_clock_ms: Option<u64>,
    /// Give the process a file to write a report to.
    #[serde(default)]
    pub report: bool,
    /// Files that the process finds in memory; known since protocol 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<GivenFile>,
}

/// A file that a process finds in memory, which its own user alone may read. It goes with the process.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenFile {
    /// Its name: letters, digits, `-`, `_` and `.`, at most [`crate::limits::FILE_NAME_BYTES_MAX`] of them, the first no dot.
    pub name: String,
    /// The variables of the process's environment that name its path, whatever they held otherwise.
    #[serde(default)]
    pub variables: Vec<String>,
    /// What it holds; it may be a secret.
    pub text: String,
}

impl fmt::Debug for GivenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenFile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Secrets may stand in the environment: its names are shown, and none of its values.
impl fmt::Debug for StartAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, argv, env, cwd, stdio, stdin, keep, wall_clock_ms, report, files } = self;
        f.debug_struct("StartAsk")
            .field("id", id)
            .field("argv", argv)
            .field("env", &Names(env))
            .field("cwd", cwd)
            .field("stdio", stdio)
            .field("stdin", stdin)
            .field("keep", keep)
            .field("wall_clock_ms", wall_clock_ms)
            .field("report", report)
            .field("files", files)
            .finish()
    }
}

/// The names of an environment.
pub(crate) struct Names<'a>(pub(crate) &'a [(String, String)]);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Start;

    #[test]
    fn the_values_of_an_environment_are_never_printed() {
        let secret = ("KEY".to_owned(), "hunter2".to_owned());
        let id = ProcessId::from(1_u128);
        let start = Start { env: vec![secret.clone()], ..Start::new(id, ["agent"], "/workspace") };
        let ask = StartAsk {
            id,
            argv: start.argv.clone(),
            env: vec![secret],
            cwd: start.cwd.clone(),
            stdio: Stdio::Pipes,
            stdin: StdinAsk::Null,
            keep: Keep::default(),
            wall_clock_ms: None,
            report: false,
            files: Vec::new(),
        };
        for shown in [
            format!("{start:?}"),
            format!("{ask:#?}"),
            format!("{:?}", crate::message::Ask::Start { start: ask.clone(), attach: false }),
        ] {
            assert!(shown.contains("KEY") && shown.contains("agent") && !shown.contains("hunter2"), "{shown}");
        }
    }
}
