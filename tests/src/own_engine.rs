//! An engine of the test's own, which can be stopped, killed, filled and broken without anybody else noticing.
//!
//! ```text
//! unshare ── PID 1 of a machine of its own (processes, network, mounts)
//!              ├── containerd ── shims ── containers
//!              └── dockerd      on a socket, a data root and an exec root in one folder
//! tests ──▶ witness ──▶ dockerd.sock
//! ```
//!
//! Its network has no card, not even a bridge, and no rule of the host's firewall is touched. All of it ends with one process:
//! PID 1 of the machine, which the kernel ends everything with. Images get in by [`OwnEngine::load`].
//!
//! Needs Linux, Docker's daemon, and root (or `sudo` that asks for nothing).

use std::{
    fmt::Write as _,
    fs::File,
    process::{Command as StdCommand, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use nix::unistd::geteuid;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    docker::Docker,
    wait::{settles, until},
    witness::{Report, Witness},
};

/// How long the daemon takes to answer, containers of an earlier one taken over.
const UP_TIME_MAX: Duration = Duration::from_mins(1);
/// How long it takes to end in order: it gives its containers fifteen seconds.
const STOP_TIME_MAX: Duration = Duration::from_mins(1);
/// How long the whole machine takes to end, once it was killed.
const END_TIME_MAX: Duration = Duration::from_secs(20);
/// The file to which what the witness saw is appended, for the report over a whole part of the suite.
const SIGHTINGS_VARIABLE: &str = "BERTH_SIGHTINGS";
/// Where the kernel's control groups are.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";
/// PID 1 of the machine. It waits until the test's end of its input is gone, however the test ended, and meanwhile for every
/// process that nobody else waits for.
const FIRST_PROCESS: &str =
    "set -e; [ -z \"$1\" ] || mount -t tmpfs -o \"size=$1\" own-engine \"$2\"; echo ready; cat >/dev/null";

/// Whether containers outlive their daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveRestore {
    /// They work on, and the next daemon takes them over.
    On,
    /// An orderly stop ends them; what a killed daemon left, the next one ends.
    Off,
}

/// Where images, volumes and the containers' file systems are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataRoot {
    /// In the engine's folder.
    Folder,
    /// In an empty folder of the test's, on whatever file system it is. Nothing of it is removed.
    At(Utf8PathBuf),
    /// In memory, as large as that, so that it can be filled. Nobody outside of the engine's machine sees it: look with
    /// [`OwnEngine::inside`].
    InMemory {
        /// How large.
        size_bytes: u64,
    },
}

/// An engine of the test's own. It ends with all of its containers when dropped: declare it before the app that uses it.
#[derive(Debug)]
pub struct OwnEngine {
    folder: Utf8TempDir,
    live_restore: LiveRestore,
    data_root: Utf8PathBuf,
    name: String,
    /// PID 1 of the machine, as the host counts.
    first: String,
    daemon: Option<Child>,
    /// What others connect to. Gone while the daemon is.
    witness: Witness,
    _containerd: Child,
    machine: Child,
}

impl OwnEngine {
    /// Starts one.
    pub async fn start(live_restore: LiveRestore) -> Self {
        Self::start_on(live_restore, DataRoot::Folder).await
    }

    /// Starts one that keeps its data there.
    ///
    /// # Panics
    /// Where this machine cannot run one: no Linux, no Docker daemon, not root.
    pub async fn start_on(live_restore: LiveRestore, data_root: DataRoot) -> Self {
        // `/var/tmp` is a disk where `/tmp` may be memory; a socket's path has to be short.
        let folder = camino_tempfile::Builder::new().prefix("berth-engine-").tempdir_in("/var/tmp");
        let folder = folder.expect("a folder for an engine can be made");
        for name in ["data", "exec", "containerd"] {
            std::fs::create_dir(folder.path().join(name)).expect("the folder is the test's own");
        }
        let (data_root, size) = match data_root {
            DataRoot::Folder => (folder.path().join("data"), String::new()),
            DataRoot::At(path) => (path, String::new()),
            DataRoot::InMemory { size_bytes } => (folder.path().join("data"), size_bytes.to_string()),
        };
        let mut command = as_root("unshare");
        command.args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child", "--"]);
        command.args(["sh", "-c", FIRST_PROCESS, "sh", &size, data_root.as_str()]);
        let mut machine =
            spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log_of(folder.path(), "machine")));
        let stdout = machine.stdout.take().expect("its output is piped");
        let mut said = String::new();
        let read = timeout(UP_TIME_MAX, BufReader::new(stdout).read_line(&mut said)).await;
        assert!(
            matches!(read, Ok(Ok(_))) && said == "ready\n",
            "an engine of the test's own needs root (or sudo that asks for nothing) and Linux: {}",
            read_log(folder.path(), "machine")
        );
        let first = first_process(&machine);
        let name = unique();
        let containerd = spawn(
            inside(&first)
                .args(["containerd", "--config", &containerd_config(folder.path()), "--log-level", "warn"])
                .stderr(log_of(folder.path(), "containerd")),
        );
        let witness = Witness::begin(&folder.path().join("docker.sock"), &folder.path().join("dockerd.sock"));
        witness.close();
        let mut engine = Self {
            folder,
            live_restore,
            data_root,
            name,
            first,
            daemon: None,
            witness,
            _containerd: containerd,
            machine,
        };
        let socket = engine.folder.path().join("containerd.sock");
        until("containerd to listen", UP_TIME_MAX, async || socket.exists().then_some(())).await;
        engine.come_back().await;
        engine
    }

    /// Its address, as `DOCKER_HOST` and `BERTH_ENGINE` take it.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket())
    }

    /// Its socket.
    pub fn socket(&self) -> Utf8PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Docker's own command line for it.
    pub fn docker(&self) -> Docker {
        Docker::at(self.address())
    }

    /// Brings in an image that the engine of this machine has, under the same name.
    ///
    /// # Panics
    /// Where that one does not have it, or this one does not take it.
    pub fn load(&self, image: &str) {
        let mut save = Docker::of_this_machine()
            .command(&["save", image])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the `docker` command is installed");
        let tar = save.stdout.take().expect("its output is piped");
        let loaded = self.docker().command(&["load", "--quiet"]).stdin(tar).output().expect("`docker` is there");
        let saved = save.wait().expect("it is the test's own process");
        assert!(
            saved.success() && loaded.status.success(),
            "`{image}` cannot be copied: {}",
            String::from_utf8_lossy(&loaded.stderr)
        );
    }

    /// What its witness saw so far, which counts no more: for tests of the witness.
    pub fn forget_sightings(&self) -> Report {
        self.witness.forget()
    }

    /// A command in the engine's machine, with its processes, its mounts and its network.
    pub fn inside<'argument>(&self, argv: impl IntoIterator<Item = &'argument str>) -> Command {
        let mut command = inside(&self.first);
        command.args(argv);
        command
    }

    /// Stops the daemon as a service manager does.
    ///
    /// # Panics
    /// Where it does not run, or does not end.
    pub async fn stop(&mut self) {
        self.end("TERM").await;
    }

    /// Kills the daemon: at once, without a word.
    ///
    /// # Panics
    /// Where it does not run, or does not end.
    pub async fn kill(&mut self) {
        self.end("KILL").await;
    }

    /// Lets the daemon hang: it holds its connections and answers nothing, until [`Self::thaw`].
    ///
    /// # Panics
    /// Where it does not run.
    pub async fn freeze(&self) {
        self.signal("STOP").await;
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// Where it does not run.
    pub async fn thaw(&self) {
        self.signal("CONT").await;
    }

    async fn end(&mut self, signal: &str) {
        // A daemon that is told to end takes no new connections from then on, and keeps those that are open.
        self.witness.close();
        self.signal(signal).await;
        let mut daemon = self.daemon.take().expect("the daemon runs");
        let ended = timeout(STOP_TIME_MAX, daemon.wait()).await;
        assert!(ended.is_ok(), "the daemon has not ended after {STOP_TIME_MAX:?}:\n{}", self.log());
    }

    async fn signal(&self, signal: &str) {
        assert!(self.daemon.is_some(), "the daemon does not run");
        let pid = std::fs::read_to_string(self.pid_file()).expect("a daemon that runs has its pid in a file");
        let status = self.inside(["kill", "-s", signal, pid.trim()]).status().await.expect("`kill` is installed");
        assert!(status.success(), "the daemon cannot be sent {signal}");
    }

    fn pid_file(&self) -> Utf8PathBuf {
        self.folder.path().join("docker.pid")
    }

    /// Starts the daemon again, with the same data.
    ///
    /// # Panics
    /// Where it runs already, or does not come to answer.
    pub async fn come_back(&mut self) {
        assert!(self.daemon.is_none(), "the daemon runs already");
        // One that was killed left its own behind, and pids come back in a small machine.
        let _none_left = std::fs::remove_file(self.pid_file());
        let folder = self.folder.path();
        let mut command = inside(&self.first);
        command.args(["dockerd", "--log-level", "warn", "--bridge", "none", "--iptables=false", "--ip6tables=false"]);
        command.args(["--ip-forward=false", "--ip-masq=false", "--exec-opt", "native.cgroupdriver=cgroupfs"]);
        let parts = [
            ("--host", format!("unix://{}", folder.join("dockerd.sock"))),
            ("--data-root", self.data_root.to_string()),
            ("--exec-root", folder.join("exec").to_string()),
            ("--pidfile", self.pid_file().to_string()),
            ("--containerd", folder.join("containerd.sock").to_string()),
            ("--cgroup-parent", format!("/{}", self.name)),
            ("--config-file", folder.join("daemon.json").to_string()),
        ];
        std::fs::write(folder.join("daemon.json"), "{}").expect("the folder is the test's own");
        command.args(parts.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
        if self.live_restore == LiveRestore::On {
            command.arg("--live-restore");
        }
        self.daemon = Some(spawn(command.stdout(Stdio::null()).stderr(log_of(folder, "dockerd"))));
        let back = Docker::at(format!("unix://{}", folder.join("dockerd.sock")));
        until("the engine to answer", UP_TIME_MAX, async || {
            if let Ok(Some(status)) = self.daemon.as_mut().expect("it was just started").try_wait() {
                panic!("the daemon ended ({status}):\n{}", self.log());
            }
            back.try_run(&["version"]).ok()
        })
        .await;
        self.witness.open();
        let docker = self.docker();
        until("the witness to listen", UP_TIME_MAX, async || docker.try_run(&["version"]).ok()).await;
    }

    /// What the daemon and its parts have complained about so far.
    pub fn log(&self) -> String {
        let mut text = String::new();
        for part in ["machine", "containerd", "dockerd"] {
            let _infallible = write!(text, "-- {part}\n{}", read_log(self.folder.path(), part));
        }
        text
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            eprintln!("-- the logs of the engine\n{}", self.log());
        }
        let complaints = self.witness.report().complaints();
        if let Some(file) = std::env::var_os(SIGHTINGS_VARIABLE) {
            let file = Utf8PathBuf::from_path_buf(file.into()).expect("a path that the suite made");
            self.witness.append_to(&file).expect("the suite's own file is writable");
        }
        // The kernel ends every process of a machine with its first.
        let _already_gone = blocking_as_root("kill").args(["-s", "KILL", &self.first]).output();
        let ended = settles(END_TIME_MAX, || matches!(self.machine.try_wait(), Ok(Some(_)) | Err(_)));
        // Its mounts went with it, but its control groups are the host's.
        let swept = settles(END_TIME_MAX, || {
            let _gone_in_parts = blocking_as_root("find")
                .args([CONTROL_GROUPS, "-depth", "-type", "d", "-path", &format!("*/{}*", self.name), "-delete"])
                .output();
            !any_control_group(&self.name)
        });
        // What the engine made is root's; the temporary folder removes itself where that is this test's own user.
        let _reported_below =
            blocking_as_root("rm").args(["-rf", "--one-file-system", self.folder.path().as_str()]).output();
        if !(ended && swept && !self.folder.path().exists()) {
            eprintln!("an engine of a test left something behind: {}, {}", self.folder.path(), self.name);
        }
        assert!(failed || complaints.is_empty(), "containers that are not as they should be: {complaints:#?}");
    }
}

fn any_control_group(name: &str) -> bool {
    let controllers = std::fs::read_dir(CONTROL_GROUPS).into_iter().flatten().flatten();
    let mut places = controllers.map(|entry| entry.path()).chain([CONTROL_GROUPS.into()]);
    places.any(|place| place.join(name).exists())
}

/// A command as root, which the engine needs to be.
fn as_root(program: &str) -> Command {
    let mut command = Command::from(blocking_as_root(program));
    command.kill_on_drop(true);
    command
}

fn blocking_as_root(program: &str) -> StdCommand {
    let mut command = if geteuid().is_root() {
        StdCommand::new(program)
    } else {
        let mut command = StdCommand::new("sudo");
        command.args(["--non-interactive", program]);
        command
    };
    command.stdin(Stdio::null());
    command
}

fn inside(first: &str) -> Command {
    let mut command = as_root("nsenter");
    command.args(["--target", first, "--net", "--pid", "--mount", "--"]);
    command
}

fn spawn(command: &mut Command) -> Child {
    let shown = format!("{:?}", command.as_std());
    command.spawn().unwrap_or_else(|error| panic!("{shown} does not start: {error}"))
}

/// The only child of `unshare`, itself perhaps a child of `sudo`: the last of the line.
fn first_process(machine: &Child) -> String {
    let mut pid = machine.id().expect("it runs").to_string();
    loop {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let Some(child) = children.split_whitespace().next() else {
            panic!("there is no process behind `unshare`");
        };
        child.clone_into(&mut pid);
        // Of the processes in the line it alone has a number of its own in its machine, and that is 1.
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        if numbers.split_whitespace().last() == Some("1") {
            return pid;
        }
    }
}

fn containerd_config(folder: &Utf8Path) -> String {
    let path = folder.join("containerd.toml");
    let text = format!(
        "version = 2\nroot = \"{folder}/containerd/root\"\nstate = \"{folder}/containerd/state\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{folder}/containerd.sock\"\n"
    );
    std::fs::write(&path, text).expect("the folder is the test's own");
    path.into_string()
}

fn log_of(folder: &Utf8Path, part: &str) -> File {
    let path = folder.join(format!("{part}.log"));
    File::options().create(true).append(true).open(path).expect("the folder is the test's own")
}

fn read_log(folder: &Utf8Path, part: &str) -> String {
    let bytes = std::fs::read(folder.join(format!("{part}.log"))).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A name for control groups that no other engine on this machine has.
fn unique() -> String {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    format!("berth-test-engine-{}-{}", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed))
}
