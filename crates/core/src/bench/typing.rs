//! A shell in a terminal of the engine's own: what typing through Berth is compared with.

use std::time::{Duration, Instant};

use engine::{Duplex, ExecSpec, Terminal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::inside::SAMPLE_WAIT_MAX;
use super::{BenchError, Rig, Warm};

/// The shells that are tried, as for Berth's own terminals.
const SHELL: [&str; 3] = ["/bin/sh", "-c", "if [ -x /bin/bash ]; then exec /bin/bash; else exec /bin/sh; fi"];
/// What is typed first, and what only a shell that is ready answers to it.
const GREETING: (&str, &[u8]) = ("echo ready-$((1+1))\n", b"ready-2");

/// An exec with a tty through the engine's API.
pub struct EngineTerminal {
    duplex: Duplex,
}

impl EngineTerminal {
    /// Opens a shell in that sandbox and waits until it answers.
    ///
    /// # Errors
    /// Where the engine does not open it, or the image has no shell.
    pub async fn open(rig: &Rig, warm: &Warm) -> Result<Self, BenchError> {
        let mut spec = ExecSpec::new(SHELL);
        spec.terminal = Terminal::Yes;
        spec.env.insert("TERM".to_owned(), "xterm-256color".to_owned());
        let mut terminal = Self { duplex: rig.engine().exec(&warm.container(), &spec).await?.duplex };
        terminal.exchange(GREETING.0.as_bytes(), GREETING.1).await?;
        Ok(terminal)
    }

    /// Types a key and waits for its echo.
    ///
    /// # Errors
    /// Where the shell is gone or does not echo.
    pub async fn keystroke(&mut self, key: u8) -> Result<Duration, BenchError> {
        let begun = Instant::now();
        self.exchange(&[key], &[key]).await?;
        Ok(begun.elapsed())
    }

    async fn exchange(&mut self, typed: &[u8], wanted: &[u8]) -> Result<(), BenchError> {
        let failed = || BenchError::io("typing into an exec");
        let exchanging = async {
            self.duplex.write_all(typed).await.map_err(failed())?;
            self.duplex.flush().await.map_err(failed())?;
            let mut seen = Vec::new();
            let mut piece = [0; 4096];
            while !seen.windows(wanted.len()).any(|window| window == wanted) {
                let length = self.duplex.read(&mut piece).await.map_err(failed())?;
                if length == 0 {
                    return Err(BenchError::Ended { what: "a shell" });
                }
                seen.extend_from_slice(&piece[..length]);
            }
            Ok(())
        };
        timeout(SAMPLE_WAIT_MAX, exchanging).await.unwrap_or(Err(BenchError::Timeout { what: "an echo" }))
    }
}
