//! A shell in a terminal of the engine's own: what typing in the window is compared with.

use std::time::{Duration, Instant};

use engine::{
    ContainerId, Duplex, Engine as _, ExecSpec, Terminal,
    docker::DockerEngine,
    find::{Environment, RealFiles, find},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

/// Longest wait for one echo.
const ECHO_TIME_MAX: Duration = Duration::from_secs(30);
/// The same as Berth's own terminals try.
const SHELL: [&str; 3] = ["/bin/sh", "-c", "if [ -x /bin/bash ]; then exec /bin/bash; else exec /bin/sh; fi"];
/// What is typed first, and what only a shell that is ready answers to it.
const GREETING: (&str, &[u8]) = ("echo ready-$((1+1))\n", b"ready-2");
/// A key that no prompt has.
const KEY: &[u8] = b"Q";

/// An exec with a tty through the engine's API.
pub(super) struct EngineShell {
    duplex: Duplex,
}

impl EngineShell {
    /// Opens one in that container and waits until it answers.
    pub(super) async fn open(container: &str) -> Self {
        let candidates = find(&Environment::of_this_process(None), &RealFiles).expect("an engine is known");
        let engine = DockerEngine::connect_first(&candidates).await.expect("the engine answers");
        let mut spec = ExecSpec::new(SHELL);
        spec.terminal = Terminal::Yes;
        spec.env.insert("TERM".to_owned(), "xterm-256color".to_owned());
        let container = ContainerId::parse(container).expect("the engine's own id");
        let mut shell = Self { duplex: engine.exec(&container, &spec).await.expect("an exec").duplex };
        shell.exchange(GREETING.0.as_bytes(), GREETING.1).await;
        shell
    }

    /// Types a key and waits for its echo.
    pub(super) async fn key(&mut self) -> Duration {
        let begun = Instant::now();
        self.exchange(KEY, KEY).await;
        begun.elapsed()
    }

    async fn exchange(&mut self, typed: &[u8], wanted: &[u8]) {
        let exchanging = async {
            self.duplex.write_all(typed).await.unwrap();
            self.duplex.flush().await.unwrap();
            let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
            while !seen.windows(wanted.len()).any(|window| window == wanted) {
                let length = self.duplex.read(&mut piece).await.unwrap();
                assert!(length > 0, "the shell ended");
                seen.extend_from_slice(&piece[..length]);
            }
        };
        timeout(ECHO_TIME_MAX, exchanging).await.expect("an echo in time");
    }
}
