//! A `berth serve` of the test's own.

use std::{
    io::Read,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    process::Stdio,
    sync::OnceLock,
    time::Duration,
};

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::timeout,
};
use wire::{
    Call, ErrorView, Phase,
    call::{CreateTask, ListRequests, ShowRun, TaskCreated},
    network::RequestView,
    task::NewTask,
    view::RunView,
};

use crate::{
    client::Client,
    command::{Ran, berth, run},
    docker::{self, Docker, Kind},
    own_engine::OwnEngine,
    slot::Slot,
    wait::{settles, until},
};

/// How long an app takes to serve.
const START_TIME_MAX: Duration = Duration::from_mins(1);
/// How long an orderly stop takes.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
/// How long after a run's end its sandbox may still be there.
const REMOVAL_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a run of a test takes at most, the first build of its image included.
pub const RUN_TIME_MAX: Duration = Duration::from_mins(4);

/// What may be left in the engine when a test ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    /// Nothing but homes and the guest: every sandbox has been removed by the app itself.
    None,
    /// Sandboxes too, because the test ends while they work, or without an app.
    Sandboxes,
}

/// The first line that `berth serve --json` writes.
#[derive(Debug, Clone, Deserialize)]
pub struct Serving {
    /// Host and port.
    pub address: String,
    /// The address with a one-time code.
    pub link: String,
}

/// A `berth serve` with a data folder of its own.
#[derive(Debug)]
pub struct TestApp {
    home: Utf8TempDir,
    environment: Vec<(String, String)>,
    /// For the engine that its containers are on.
    docker: Docker,
    serving: Option<(Child, Serving, Client)>,
    leftovers: Leftovers,
    install: OnceLock<String>,
    _slot: Slot,
}

impl TestApp {
    /// Starts one on the engine of this machine.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with more in its environment.
    pub async fn start_with(environment: &[(&str, &str)]) -> Self {
        let mut app = Self::unstarted(environment).await;
        app.restart().await;
        app
    }

    /// Starts one on an engine of the test's own, which has to outlive it.
    pub async fn start_on(engine: &OwnEngine) -> Self {
        let mut app = Self::unstarted(&[("BERTH_ENGINE", &engine.address())]).await;
        app.docker = engine.docker();
        app.restart().await;
        app
    }

    /// Its data folder, with nothing running on it yet.
    ///
    /// # Panics
    /// Where no folder can be made.
    pub async fn unstarted(environment: &[(&str, &str)]) -> Self {
        let slot = Slot::take().await;
        let home = camino_tempfile::tempdir().expect("a folder for a test can be made");
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(home.path(), private).expect("the folder is the test's own");
        let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (docker, leftovers) = (Docker::of_this_machine(), Leftovers::None);
        Self { home, environment, docker, serving: None, leftovers, install: OnceLock::new(), _slot: slot }
    }

    /// Its data folder.
    pub fn home(&self) -> &Utf8Path {
        self.home.path()
    }

    /// The process of `berth serve`.
    ///
    /// # Panics
    /// Where none runs.
    pub fn pid(&self) -> u32 {
        self.serving().0.id().expect("it has not ended")
    }

    /// The client of the running server.
    ///
    /// # Panics
    /// Where none runs.
    pub fn client(&self) -> &Client {
        &self.serving().2
    }

    /// The link that it printed.
    ///
    /// # Panics
    /// Where none runs.
    pub fn link(&self) -> &str {
        &self.serving().1.link
    }

    fn serving(&self) -> &(Child, Serving, Client) {
        self.serving.as_ref().expect("the test has not stopped the app")
    }

    /// What the next start has in its environment, in place of what it was made with.
    pub fn set_environment(&mut self, environment: &[(&str, &str)]) {
        self.environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    }

    /// What may be left in the engine when the test ends.
    pub fn leaves(&mut self, leftovers: Leftovers) {
        self.leftovers = leftovers;
    }

    /// `berth ARGS…` on the same data folder.
    pub fn berth<A: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = berth(self.home(), arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `berth ARGS…` to its end.
    pub async fn run<A: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        run(&mut self.berth(arguments), b"").await
    }

    /// Starts `berth serve`, for the first time or again.
    ///
    /// # Panics
    /// Where it does not come to serve in time.
    pub async fn restart(&mut self) {
        assert!(self.try_restart().await, "it was killed before it served; its log:\n{}", self.log());
    }

    /// The same; `false` where it is killed before it serves.
    ///
    /// # Panics
    /// Where it ends otherwise, or does not come to serve in time.
    pub async fn try_restart(&mut self) -> bool {
        let command = self.berth(["serve", "--json"]);
        self.serve(command, Stdio::null(), async |_| ()).await
    }

    /// The same in a user namespace of its own, which has all users of this machine and its own bounds in `/proc/sys/user`.
    ///
    /// # Panics
    /// Where it does not come to serve in time, or this user may not map others (not root).
    pub async fn restart_in_user_namespace(&mut self) {
        let berth = self.berth(["serve", "--json"]);
        let berth = berth.as_std();
        let mut command = Command::new("unshare");
        // Who becomes root in it by a mapping has root's rights from the next program on.
        command
            .args(["--user", "sh", "-c", "read go && exec \"$0\" \"$@\""])
            .arg(berth.get_program())
            .args(berth.get_args());
        command.envs(berth.get_envs().filter_map(|(name, value)| Some((name, value?)))).kill_on_drop(true);
        let is_up = self.serve(command, Stdio::piped(), async |child| {
            let pid = child.id().expect("it has not ended");
            until("a user namespace", START_TIME_MAX, async || {
                let map = |file: &str| std::fs::write(format!("/proc/{pid}/{file}"), "0 0 4294967295").is_ok();
                (map("uid_map") && map("gid_map")).then_some(())
            })
            .await;
            child.stdin.take().expect("its input is piped").write_all(b"go\n").await.expect("it reads");
        });
        assert!(is_up.await, "it was killed before it served; its log:\n{}", self.log());
    }

    /// Whether it serves; `false` where it is killed before it does.
    async fn serve(&mut self, mut command: Command, stdin: Stdio, begin: impl AsyncFnOnce(&mut Child)) -> bool {
        assert!(self.serving.is_none(), "it still serves");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("the test's folder is writable");
        command.stdin(stdin).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("`berth` starts");
        begin(&mut child).await;
        let stdout = child.stdout.take().expect("its output is piped");
        let mut line = String::new();
        timeout(START_TIME_MAX, BufReader::new(stdout).read_line(&mut line))
            .await
            .unwrap_or_else(|_| panic!("it does not serve after {START_TIME_MAX:?}; its log:\n{}", self.log()))
            .unwrap_or_else(|error| panic!("`berth serve` cannot be read: {error}"));
        if line.is_empty() {
            let status = child.wait().await.expect("it is the test's own process");
            self.assert_killed(status);
            return false;
        }
        let serving: Serving = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the first line is {line:?} ({error}); its log:\n{}", self.log()));
        let client = Client::of(self.home());
        self.serving = Some((child, serving, client));
        true
    }

    /// Whether it has been killed, by itself or from outside.
    ///
    /// # Panics
    /// Where it has ended otherwise.
    pub fn is_dead(&mut self) -> bool {
        let Some((child, _, _)) = &mut self.serving else { return true };
        let Some(status) = child.try_wait().expect("it is the test's own process") else { return false };
        self.serving = None;
        self.assert_killed(status);
        true
    }

    fn assert_killed(&self, status: std::process::ExitStatus) {
        let is_killed = status.signal() == Some(Signal::SIGKILL as i32);
        assert!(is_killed, "it ended with {status}; its log:\n{}", self.log());
    }

    fn log_path(&self) -> Utf8PathBuf {
        self.home().join("test.log")
    }

    /// What `berth serve` has complained about so far.
    pub fn log(&self) -> String {
        std::fs::read(self.log_path()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Kills it as the kernel does: at once, without a word.
    ///
    /// # Panics
    /// Where none runs.
    pub async fn kill(&mut self) {
        let (mut child, _, _) = self.serving.take().expect("the test has not stopped the app");
        child.kill().await.expect("it is the test's own process");
    }

    /// Has it crash as a fault of its own would: by the signal with which Rust and the C library abort, and for which a system leaves a
    /// core file where it may.
    ///
    /// # Panics
    /// Where none runs, or it does not end by that.
    pub async fn crash(&mut self) {
        let (mut child, _, _) = self.serving.take().expect("the test has not stopped the app");
        let pid = Pid::from_raw(i32::try_from(child.id().expect("it has not ended")).expect("a pid is small"));
        kill(pid, Signal::SIGABRT).expect("it is the test's own process");
        let status = child.wait().await.expect("it is the test's own process");
        assert_eq!(status.signal(), Some(Signal::SIGABRT as i32), "it ended with {status}");
        assert!(!status.core_dumped(), "what it had in memory is in a file now");
    }

    /// Stops it in order.
    ///
    /// # Panics
    /// Where it does not end well, and in time.
    pub async fn stop(&mut self) {
        let (mut child, _, _) = self.serving.take().expect("the test has not stopped the app");
        let pid = Pid::from_raw(i32::try_from(child.id().expect("it has not ended")).expect("a pid is small"));
        kill(pid, Signal::SIGTERM).expect("it is the test's own process");
        let status = timeout(STOP_TIME_MAX, child.wait())
            .await
            .unwrap_or_else(|_| panic!("it has not stopped after {STOP_TIME_MAX:?}; its log:\n{}", self.log()))
            .expect("it is the test's own process");
        assert!(status.success(), "it stopped with {status}; its log:\n{}", self.log());
    }

    /// Makes a call to it.
    ///
    /// # Errors
    /// What it answers in place of a reply.
    pub async fn call<C: Call>(&self, call: C) -> Result<C::Reply, ErrorView> {
        self.client().call(call).await
    }

    /// Starts a task with that prompt for the agent `script`.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn create(&self, prompt: &str) -> TaskCreated {
        self.ask("script", prompt).await
    }

    /// Starts a task with that prompt for that agent.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn ask(&self, agent: &str, prompt: &str) -> TaskCreated {
        let task = NewTask { prompt: prompt.to_owned(), agent: Some(agent.to_owned()), ..NewTask::default() };
        self.call(CreateTask { task }).await.unwrap_or_else(|error| panic!("the task is refused: {error:?}"))
    }

    /// A run as it stands.
    ///
    /// # Panics
    /// Where it is not known.
    pub async fn show(&self, created: &TaskCreated) -> RunView {
        let run = created.run.to_string();
        self.call(ShowRun { run }).await.unwrap_or_else(|error| panic!("the run is not known: {error:?}"))
    }

    /// How a run ended, once it has, and what it printed.
    ///
    /// # Panics
    /// Where it does not end in time.
    pub async fn ends(&self, created: &TaskCreated) -> (Phase, String) {
        let phase = until("the run to end", RUN_TIME_MAX, async || {
            let phase = self.show(created).await.summary.phase;
            phase.is_final().then_some(phase)
        })
        .await;
        (phase, self.run(["logs", &created.run.to_string()]).await.good().text())
    }

    /// What a run asked the gateway for, oldest first.
    ///
    /// # Panics
    /// Where that is not known.
    pub async fn requests(&self, created: &TaskCreated) -> Vec<RequestView> {
        let list = ListRequests { run: Some(created.run), ..ListRequests::default() };
        let mut requests =
            self.call(list).await.unwrap_or_else(|error| panic!("its requests are not known: {error:?}"));
        requests.reverse();
        requests
    }

    /// The run once it is in that phase.
    ///
    /// # Panics
    /// Where it ends in another, or does not come there in time.
    pub async fn reaches(&self, created: &TaskCreated, phase: Phase) -> RunView {
        until(&format!("{phase:?}"), RUN_TIME_MAX, async || {
            let view = self.show(created).await;
            if view.summary.phase == phase {
                return Some(view);
            }
            assert!(!view.summary.phase.is_final(), "it ended otherwise: {view:#?}\n{}", self.log());
            None
        })
        .await
    }

    /// The folder of a run's results, once there is one.
    ///
    /// # Panics
    /// Where the run ends without, or it does not come in time.
    pub async fn workspace(&self, created: &TaskCreated) -> Utf8PathBuf {
        until("a workspace", RUN_TIME_MAX, async || {
            let view = self.show(created).await;
            let steps = view.steps.iter().find_map(|step| step.workspace.clone());
            let workspace = view.summary.workspace.clone().or(steps).map(Utf8PathBuf::from);
            assert!(
                workspace.is_some() || !view.summary.phase.is_final(),
                "it ended without: {view:#?}\n{}",
                self.log()
            );
            workspace
        })
        .await
    }

    /// The workspace of a run, once its agent has left a file of that name in it.
    ///
    /// # Panics
    /// Where the run ends without, or it does not come in time.
    pub async fn leaves_file(&self, created: &TaskCreated, name: &str) -> Utf8PathBuf {
        let workspace = self.workspace(created).await;
        until(&format!("`{name}` in the workspace"), RUN_TIME_MAX, async || {
            if workspace.join(name).exists() {
                return Some(());
            }
            let view = self.show(created).await;
            let ended = view.summary.phase.is_final() && !workspace.join(name).exists();
            assert!(!ended, "it ended without `{name}`: {view:#?}\n{}", self.log());
            None
        })
        .await;
        workspace
    }

    /// The install's id, as the labels in the engine have it; `None` where it has none yet.
    pub fn install(&self) -> Option<&str> {
        if self.install.get().is_none()
            && let Some(install) = install_of(self.home())
        {
            let _same_id = self.install.set(install);
        }
        self.install.get().map(String::as_str)
    }

    /// Docker's command line for the engine that it uses.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The containers of this install, as `docker inspect` shows them.
    pub fn containers(&self) -> Vec<Value> {
        self.install().map(|install| self.docker.objects(Kind::Container, install)).unwrap_or_default()
    }

    /// The volumes of this install, as `docker inspect` shows them.
    pub fn volumes(&self) -> Vec<Value> {
        self.install().map(|install| self.docker.objects(Kind::Volume, install)).unwrap_or_default()
    }

    /// The networks of this install, as `docker inspect` shows them.
    pub fn networks(&self) -> Vec<Value> {
        self.install().map(|install| self.docker.objects(Kind::Network, install)).unwrap_or_default()
    }

    /// What is in the engine and serves one sandbox only: it has to go with it.
    pub fn of_sandboxes(&self) -> Vec<String> {
        let is_of_one = |volume: &Value| !matches!(docker::role(volume), "home" | "guest");
        let spools: Vec<_> = self.volumes().into_iter().filter(is_of_one).collect();
        let describe = |object: &Value| format!("{} {}", docker::role(object), docker::name(object));
        let objects = [self.containers(), self.networks(), spools].concat();
        objects.iter().map(describe).chain(self.nameless()).collect()
    }

    /// Images without a name, which a build leaves that was not finished.
    fn nameless(&self) -> Vec<String> {
        let Some(install) = self.install() else { return Vec::new() };
        let label = format!("label=berth.install={install}");
        let images = self.docker.run(&["image", "ls", "--quiet", "--filter", "dangling=true", "--filter", &label]);
        images.lines().map(|id| format!("nameless image {id}")).collect()
    }

    /// Waits until nothing of any sandbox is left in the engine.
    ///
    /// # Panics
    /// Where something stays.
    pub async fn is_swept(&self) {
        until("every sandbox to be removed", REMOVAL_TIME_MAX, async || self.of_sandboxes().is_empty().then_some(()))
            .await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            eprintln!("-- the log of `berth serve`\n{}", self.log());
        }
        // While it serves it may still be removing the sandbox of a run that has just ended.
        let must_be_swept = !failed && self.leftovers == Leftovers::None;
        let swept = !must_be_swept || settles(REMOVAL_TIME_MAX, || self.of_sandboxes().is_empty());
        let left = if swept { Vec::new() } else { self.of_sandboxes() };
        if let Some((child, _, _)) = &mut self.serving {
            let _already_gone = child.start_kill();
            let _gone = settles(STOP_TIME_MAX, || matches!(child.try_wait(), Ok(Some(_)) | Err(_)));
        }
        // An engine of the test's own takes all of it along, and may be away or hang just now.
        if self.docker == Docker::of_this_machine()
            && let Some(install) = self.install()
        {
            self.docker.remove_all(install);
        }
        assert!(swept, "left behind in the engine: {left:?}");
    }
}

/// The id of the install whose data folder that is: the one row of the database's table `install`, read with Python's SQLite,
/// since no crate but `store` may know how.
pub fn install_of(home: &Utf8Path) -> Option<String> {
    let database = std::fs::read_dir(home).ok()?.flatten().map(|entry| entry.path()).find(|path| {
        let mut magic = [0; 15];
        let opened = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
        opened.is_ok() && &magic == b"SQLite format 3"
    })?;
    let output = std::process::Command::new("python3")
        .args(["-c", READ_INSTALL, database.to_str()?])
        .output()
        .expect("`python3` is installed");
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!id.is_empty()).then_some(id)
}

/// Prints the install's id, or nothing.
const READ_INSTALL: &str = r#"
import sqlite3, sys
try:
    rows = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=5).execute("SELECT id FROM install").fetchall()
except sqlite3.OperationalError:
    rows = []
print(rows[0][0] if rows else "")
"#;
