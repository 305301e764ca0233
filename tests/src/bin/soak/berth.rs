//! The Berth that is soaked: its process, which comes and goes, and calls that wait for it to be there.

use std::{
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use berth_tests::{
    app::install_of,
    client::{CallError, Client},
    command,
    docker::{self, Docker, Kind},
};
use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
    sync::watch,
    time::timeout,
};
use wire::{
    Call, ErrorView, Phase,
    call::{CreateAgent, ListTasks},
    limits::Limits,
    task::{Launch, ReviewGate},
};

use crate::bounds::{SANDBOXES, START_MAX, STOP_MAX, SWEEP_MAX};

/// What the sandboxes may use: little, there are many.
const MEMORY_BYTES: u64 = 256 << 20;
/// How long to wait before a call is made again.
const CALL_AGAIN: Duration = Duration::from_millis(200);
/// How often an ending is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One process of the app, from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    /// How it ended, in a word; empty while it lives.
    pub(crate) ended: &'static str,
    /// How long it took to end in order, where it was asked to.
    pub(crate) stop_took: Duration,
}

/// The Berth with its data folder.
pub(crate) struct Berth {
    home: Utf8TempDir,
    child: Option<Child>,
    client: watch::Sender<Option<Arc<Client>>>,
    lives: Vec<Life>,
}

/// What is known of it by those who only call it.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) home: Utf8PathBuf,
    client: watch::Receiver<Option<Arc<Client>>>,
}

impl Berth {
    pub(crate) fn new() -> Result<Self, String> {
        let home = camino_tempfile::tempdir().map_err(|error| format!("no folder can be made: {error}"))?;
        Ok(Self { home, child: None, client: watch::channel(None).0, lives: Vec::new() })
    }

    pub(crate) fn home(&self) -> &Utf8Path {
        self.home.path()
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch { home: self.home().to_owned(), client: self.client.subscribe() }
    }

    pub(crate) fn lives(&self) -> Vec<Life> {
        self.lives.clone()
    }

    /// Builds the image that the agents run in, makes the agents, and lets as many work at once as there are.
    pub(crate) async fn prepare(&mut self) -> Result<(), String> {
        let ran = command::run(&mut command::berth(self.home(), ["images", "build", "script"]), b"").await;
        if !ran.status.success() {
            return Err(format!("the image `script` cannot be built: {ran}"));
        }
        self.start().await?;
        let watch = self.watch();
        for number in 0..SANDBOXES {
            let agent = CreateAgent {
                name: agent_name(number),
                image: "script".to_owned(),
                launch: Launch::Image,
                limits: Limits { memory_bytes: MEMORY_BYTES, cpu_milli: 500, pids: 64, ..Limits::default() },
                review: ReviewGate::Skip,
                ..CreateAgent::default()
            };
            watch.call(agent).await.map_err(|error| format!("an agent is refused: {error:?}"))?;
        }
        let slots = SANDBOXES.to_string();
        let ran = command::run(&mut command::berth(self.home(), ["queue", "slots", &slots]), b"").await;
        if !ran.status.success() {
            return Err(format!("{slots} sandboxes at once are refused: {ran}"));
        }
        self.stop().await.map(drop)
    }

    pub(crate) async fn start(&mut self) -> Result<(), String> {
        let failed = |what: &str| format!("`berth serve` {what}");
        let log = std::fs::File::options().create(true).append(true).open(self.home().join("soak.log"));
        let mut serve = command::berth(self.home(), ["serve", "--json"]);
        serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.map_err(|error| failed(&error.to_string()))?);
        let mut child = serve.spawn().map_err(|error| failed(&error.to_string()))?;
        let Some(stdout) = child.stdout.take() else { return Err(failed("has no output")) };
        let mut line = String::new();
        match timeout(START_MAX, BufReader::new(stdout).read_line(&mut line)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) => return Err(failed("ended at once")),
            Err(_) => return Err(failed(&format!("does not serve after {START_MAX:?}"))),
        }
        self.child = Some(child);
        self.client.send_replace(Some(Arc::new(Client::of(self.home()))));
        self.lives.push(Life { ended: "", stop_took: Duration::ZERO });
        Ok(())
    }

    /// Ends it as the kernel does.
    pub(crate) async fn kill(&mut self) -> Result<(), String> {
        let mut child = self.gone("killed")?;
        child.kill().await.map_err(|error| format!("`berth serve` cannot be killed: {error}"))
    }

    /// Asks it to end. One that does not in time is killed; what is wrong with that is returned.
    pub(crate) async fn stop(&mut self) -> Result<Option<String>, String> {
        let asked = Instant::now();
        let mut child = self.gone("stopped")?;
        let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else {
            return Err("`berth serve` had ended by itself".to_owned());
        };
        kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(|error| format!("`berth serve` had gone: {error}"))?;
        let ended = timeout(STOP_MAX, child.wait()).await;
        if let Some(life) = self.lives.last_mut() {
            life.stop_took = asked.elapsed();
        }
        match ended {
            Ok(Ok(status)) if status.success() => Ok(None),
            Ok(ended) => Ok(Some(format!("`berth serve` stopped with {ended:?}"))),
            Err(_) => {
                child.kill().await.map_err(|error| format!("`berth serve` cannot be killed: {error}"))?;
                Ok(Some(format!("`berth serve` had not stopped after {STOP_MAX:?}")))
            }
        }
    }

    fn gone(&mut self, how: &'static str) -> Result<Child, String> {
        self.client.send_replace(None);
        let mut child = self.child.take().ok_or("`berth serve` does not run")?;
        if let Some(life) = self.lives.last_mut() {
            life.ended = how;
        }
        match child.try_wait() {
            Ok(None) => Ok(child),
            ended => Err(format!("`berth serve` had ended by itself: {ended:?}")),
        }
    }

    /// Waits until nothing of any sandbox is in the engine; what is there after the bound.
    pub(crate) async fn sweep(&self) -> Result<Vec<String>, String> {
        let install = install_of(self.home()).ok_or("the data folder has no install")?;
        let began = Instant::now();
        loop {
            let asked = install.clone();
            let left =
                tokio::task::spawn_blocking(move || of_sandboxes(&asked)).await.map_err(|error| error.to_string())?;
            if left.is_empty() || began.elapsed() > SWEEP_MAX {
                return Ok(left);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How many tasks have not come to an end.
    pub(crate) async fn unfinished(&self) -> Result<u64, String> {
        let phases = Phase::ALL.into_iter().filter(|phase| !phase.is_final()).collect();
        let list = ListTasks { phases, search: String::new(), limit: 1, offset: 0 };
        self.watch().call(list).await.map(|list| list.total).map_err(|error| format!("{error:?}"))
    }

    /// What it complained about on its standard error: nothing, where all is well.
    pub(crate) fn log_worries(&self) -> Vec<String> {
        let text = std::fs::read(self.home().join("soak.log")).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
    }

    /// Takes everything away that the soak made. The data folder stays where something is to be looked for in it.
    pub(crate) async fn clean(self, is_good: bool) {
        if let Some(install) = install_of(self.home()) {
            let removed = tokio::task::spawn_blocking(move || Docker::of_this_machine().remove_all(&install)).await;
            if let Err(error) = removed {
                eprintln!("the engine's objects could not be taken away: {error}");
            }
        }
        if !is_good {
            println!("the data folder stays: {}", self.home.keep());
        }
    }
}

/// The agent of a worker. One home each, since a home serves one step at a time.
pub(crate) fn agent_name(number: usize) -> String {
    format!("soak-{number}")
}

/// What is in the engine and serves one sandbox only.
fn of_sandboxes(install: &str) -> Vec<String> {
    let describe = |object: &serde_json::Value| format!("{} {}", docker::role(object), docker::name(object));
    let containers = Docker::of_this_machine().objects(Kind::Container, install);
    let volumes = Docker::of_this_machine().objects(Kind::Volume, install);
    let spools = volumes.iter().filter(|volume| !matches!(docker::role(volume), "home" | "guest"));
    containers.iter().map(describe).chain(spools.map(describe)).collect()
}

impl Watch {
    /// The process that serves now, if one does.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.client.borrow().as_ref().map(|client| client.pid)
    }

    /// The client of the process that serves, once one does.
    pub(crate) async fn client(&self) -> Arc<Client> {
        let mut client = self.client.clone();
        let there = client.wait_for(Option::is_some).await.map(|client| client.clone());
        match there {
            Ok(Some(client)) => client,
            // The Berth itself is gone: nothing will be called any more.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Makes a call that may be made twice, and waits for the app to be there.
    pub(crate) async fn call<C: Call + Clone>(&self, call: C) -> Result<C::Reply, ErrorView> {
        loop {
            match self.client().await.try_call(call.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(CallError::Refused(error)) => return Err(error),
                Err(CallError::Away(_)) => tokio::time::sleep(CALL_AGAIN).await,
            }
        }
    }

    /// Makes a call once; `None` where nobody knows whether it arrived.
    pub(crate) async fn call_once<C: Call>(&self, call: C) -> Option<Result<C::Reply, ErrorView>> {
        match self.client().await.try_call(call).await {
            Ok(reply) => Some(Ok(reply)),
            Err(CallError::Refused(error)) => Some(Err(error)),
            Err(CallError::Away(_)) => None,
        }
    }
}
