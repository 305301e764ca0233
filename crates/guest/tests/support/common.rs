//! What the tests of the guest share: a real guest as a child process, at the other end of a socket pair.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses its part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails a test")]

use std::future::Future;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pipe::ProcessId;
use pipe::host::{ExitRecord, Guest, Options, Output, OutputEvent, Start};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// No condition of these tests takes longer on a machine that works.
pub const BOUND: Duration = Duration::from_secs(30);

static NEXT: AtomicU32 = AtomicU32::new(1);

pub fn fresh_id() -> ProcessId {
    let number = u128::from(NEXT.fetch_add(1, Ordering::Relaxed));
    ProcessId::from((u128::from(std::process::id()) << 64) | number)
}

pub fn shell(script: &str) -> Start {
    let mut start = Start::new(fresh_id(), ["/bin/sh", "-c", script], "/");
    start.env = vec![("PATH".into(), PATH.into())];
    start
}

/// A guest that runs as a child of the test, with folders of its own.
pub struct TestGuest {
    pub child: Child,
    pub folder: PathBuf,
    stream: Option<StdStream>,
}

impl TestGuest {
    pub fn start(arguments: &[&str]) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("berth-guest-{}-{number}", std::process::id()));
        Self::start_in(folder, arguments)
    }

    pub fn start_in(folder: PathBuf, arguments: &[&str]) -> Self {
        std::fs::create_dir_all(folder.join("run")).unwrap();
        let (ours, theirs) = StdStream::pair().unwrap();
        let output = OwnedFd::from(theirs.try_clone().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_berth-guest"))
            .args(["init", "--spool", folder.join("run").to_str().unwrap()])
            .args(["--reports", folder.join("reports").to_str().unwrap()])
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(output))
            .spawn()
            .unwrap();
        Self { child, folder, stream: Some(ours) }
    }

    pub fn stream(&mut self) -> UnixStream {
        let stream = self.stream.take().expect("the guest has one connection");
        stream.set_nonblocking(true).unwrap();
        UnixStream::from_std(stream).unwrap()
    }

    pub async fn connect(&mut self) -> Guest {
        let stream = self.stream();
        Guest::connect(stream, Options::default()).await.unwrap()
    }

    pub fn spool(&self, id: ProcessId) -> PathBuf {
        self.folder.join("run").join(id.to_string())
    }

    /// The exit code, once the guest has ended.
    pub async fn ended(&mut self) -> Option<i32> {
        let mut code = None;
        let child = &mut self.child;
        until("the guest ends", || {
            let status = child.try_wait().unwrap();
            code = status.and_then(|status| status.code());
            status.is_some()
        })
        .await;
        code
    }
}

impl Drop for TestGuest {
    fn drop(&mut self) {
        // Told, not killed: it then ends what it runs, which would outlive it here, where it is no PID 1.
        if matches!(self.child.try_wait(), Ok(None)) {
            let pid = i32::try_from(self.child.id()).unwrap();
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Waits for a condition, looking again and again up to the bound.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {BOUND:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// The same for a condition that asks the guest.
pub async fn until_async<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + BOUND;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {BOUND:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A whole output and its exit.
#[derive(Debug)]
pub struct Whole {
    pub bytes: Vec<u8>,
    pub gaps: Vec<(u64, u64)>,
    pub exit: ExitRecord,
}

impl Whole {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

pub async fn read_all(output: &mut Output) -> Whole {
    timeout(BOUND, async {
        let (mut bytes, mut gaps) = (Vec::new(), Vec::new());
        loop {
            match output.next().await.unwrap().unwrap() {
                OutputEvent::Chunk { bytes: chunk, .. } => bytes.extend_from_slice(&chunk),
                OutputEvent::Gap { from, to } => gaps.push((from, to)),
                OutputEvent::Exited(exit) => return Whole { bytes, gaps, exit },
            }
        }
    })
    .await
    .expect("the output ends within the bound")
}

/// Reads until the output so far contains `text`.
pub async fn read_until(output: &mut Output, text: &str) -> String {
    timeout(BOUND, async {
        let mut seen = String::new();
        while !seen.contains(text) {
            match output.next().await.unwrap().unwrap() {
                OutputEvent::Chunk { bytes, .. } => seen.push_str(&String::from_utf8_lossy(&bytes)),
                event @ (OutputEvent::Gap { .. } | OutputEvent::Exited(_)) => {
                    panic!("{event:?} before {text:?}, after {seen:?}")
                }
            }
        }
        seen
    })
    .await
    .unwrap_or_else(|_| panic!("no {text:?} within the bound"))
}

pub async fn run(guest: &Guest, start: &Start) -> Whole {
    let (_, mut output) = guest.start_attached(start).await.unwrap();
    read_all(&mut output).await
}

pub fn exists(pid: i32) -> bool {
    // A zombie is there but no longer runs.
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}
