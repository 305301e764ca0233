//! What runs in the scripted engine's containers: closures by the program's name, and a few that are built in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::{ContainerId, Diagnostics, Duplex, Identity, Signal};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

/// One process in a container of the scripted engine. Dropping `stdio` closes its input and output.
pub struct Process {
    /// The container that it runs in.
    pub container: ContainerId,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Its environment, the image's apart.
    pub env: BTreeMap<String, String>,
    /// As whom.
    pub identity: Identity,
    /// Standard input (read) and output (write).
    pub stdio: Duplex,
    /// Standard error.
    pub stderr: Diagnostics,
    /// What is sent to it, KILL apart: that ends its future. Only PID 1 gets any.
    pub signals: mpsc::Receiver<Signal>,
}

type Run = Arc<dyn Fn(Process) -> BoxFuture<'static, i64> + Send + Sync>;

#[derive(Default)]
pub(super) struct Programs {
    taught: Mutex<BTreeMap<String, Run>>,
}

impl Programs {
    pub(super) fn add<F>(&self, name: &str, run: impl Fn(Process) -> F + Send + Sync + 'static)
    where
        F: Future<Output = i64> + Send + 'static,
    {
        let run: Run = Arc::new(move |process| run(process).boxed());
        self.taught.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), run);
    }

    /// What `name` runs; `None` where there is no such program.
    pub(super) fn find(&self, name: &str) -> Option<Run> {
        let taught = self.taught.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        taught.or_else(|| {
            let is_built_in = matches!(name, "true" | "cat" | "sleep" | "sh");
            is_built_in.then(|| Arc::new(|process| built_in(process).boxed()) as Run)
        })
    }
}

/// `true`, `cat`, `sleep N`, and `sh -c` with these, `echo TEXT`, `echo TEXT >&2` and `exit N`, joined by `&&`.
async fn built_in(mut process: Process) -> i64 {
    let words: Vec<&str> = process.argv.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["true"] => 0,
        ["cat"] => {
            let (mut input, mut output) = tokio::io::split(process.stdio);
            match tokio::io::copy(&mut input, &mut output).await {
                Ok(_) => 0,
                Err(_) => 1,
            }
        }
        ["sleep", seconds] => {
            tokio::time::sleep(Duration::from_secs(seconds.parse().unwrap_or_default())).await;
            0
        }
        ["sh", "-c", script] => {
            let spoken = interpret(script);
            process.stderr.push(spoken.errors.as_bytes());
            match process.stdio.write_all(spoken.output.as_bytes()).await {
                Ok(()) => spoken.code,
                Err(_) => 1,
            }
        }
        _ => 127,
    }
}

/// What a script writes, and its exit code.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) output: String,
    pub(super) errors: String,
    pub(super) code: i64,
}

pub(super) fn interpret(script: &str) -> Spoken {
    let mut spoken = Spoken::default();
    for command in script.split("&&").map(str::trim) {
        if let Some(text) = command.strip_prefix("echo ") {
            match text.strip_suffix(">&2") {
                Some(text) => spoken.errors.extend([text.trim_end(), "\n"]),
                None => spoken.output.extend([text, "\n"]),
            }
        } else if let Some(code) = command.strip_prefix("exit ") {
            spoken.code = code.parse().unwrap_or(2);
        } else if command != "true" {
            spoken.errors.extend([command, ": not found\n"]);
            spoken.code = 127;
        }
        if spoken.code != 0 {
            break;
        }
    }
    spoken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_ends_at_its_first_failure() {
        let spoken = |output: &str, errors: &str, code| Spoken { output: output.into(), errors: errors.into(), code };
        assert_eq!(interpret("true && echo a b && exit 3 && echo c"), spoken("a b\n", "", 3));
        assert_eq!(interpret("echo a >&2"), spoken("", "a\n", 0));
        assert_eq!(interpret("make"), spoken("", "make: not found\n", 127));
    }
}
