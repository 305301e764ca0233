//! The cage (DESIGN §7): what `docker inspect` shows of every container that a run makes, and what a program inside finds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::{process::Stdio, time::Duration};

use berth_tests::{
    TestApp,
    binaries::repository,
    docker::{self, Kind, label, role},
    profiles, sample, until,
    witness::Sighting,
};
use camino::Utf8Path;
use engine::{Seccomp, contract::hardening};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    task::JoinSet,
};
use wire::{ErrorCode, Limits, Phase, view::RunSummary};

/// The labels that everything carries.
const LABELS: [&str; 5] = ["berth.install", "berth.sandbox", "berth.run", "berth.agent", "berth.role"];
/// How long the engine takes to say that it listens.
const LISTENS_TIME_MAX: Duration = Duration::from_secs(20);

/// Looks at every container of any install as soon as it is made, since some live for a moment only; and notes which are
/// started.
struct Watch {
    events: Child,
    looks: JoinSet<Seen>,
}

/// What was seen of all installs.
#[derive(Default)]
struct Seen {
    made: Vec<Value>,
    started: Vec<String>,
}

impl Watch {
    async fn begin() -> Self {
        let mut events = Command::new("docker")
            .args(["events", "--filter", "type=container", "--filter", "event=create", "--filter", "event=start"])
            .args(["--filter", "label=berth.install", "--format", "{{.Action}} {{.ID}}"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(events.stdout.take().unwrap()).lines();
        let mut looks = JoinSet::new();
        looks.spawn(async move {
            let mut seen = Seen::default();
            while let Ok(Some(line)) = lines.next_line().await {
                match line.split_once(' ') {
                    Some(("create", id)) => {
                        let id = id.to_owned();
                        let look = tokio::task::spawn_blocking(move || docker::inspect(Kind::Container, &id));
                        seen.made.extend(look.await.unwrap());
                    }
                    Some((_, id)) => seen.started.push(id.to_owned()),
                    None => panic!("docker events writes {line:?}"),
                }
            }
            seen
        });
        let watch = Self { events, looks };
        watch.listens().await;
        watch
    }

    /// `docker events` says nothing until there is something to say: that it has a connection shows that it listens.
    async fn listens(&self) {
        let pid = self.events.id().unwrap();
        until("docker events to be connected", LISTENS_TIME_MAX, async || {
            let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
            let mut targets = descriptors.flatten().filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
            targets.any(|target| target.to_string_lossy().starts_with("socket:")).then_some(())
        })
        .await;
    }

    async fn end(mut self, install: &str) -> Seen {
        self.events.kill().await.unwrap();
        let mut seen = self.looks.join_next().await.unwrap().unwrap();
        seen.made.retain(|container| label(container, "berth.install") == install);
        seen
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_container_of_a_run_is_made_as_the_design_says() {
    let app = TestApp::start().await;
    let watch = Watch::begin().await;
    let created = app.create(&sample::script(&["while [ ! -e go ]; do sleep 0.05; done"])).await;
    let view = app.reaches(&created, Phase::Executing).await;
    let workspace = app.workspace(&created).await;
    let sandbox = view.steps[0].sandbox.as_ref().unwrap();
    // The policy; whatever it is, there is no network card (below).
    assert_eq!(sandbox.network, "allowlist");
    for volume in app.volumes() {
        assert_eq!((&volume["Driver"], &volume["Options"]), (&"local".into(), &Value::Null), "{volume:#}");
        assert_has_labels(&volume, &volume["Labels"]);
    }
    sample::write(&workspace, "go", "");
    app.reaches(&created, Phase::Completed).await;
    app.is_swept().await;
    let seen = watch.end(app.install().unwrap()).await;
    let roles: Vec<&str> = seen.made.iter().map(role).collect();
    assert!(roles.contains(&"sandbox") && roles.contains(&"filler"), "{roles:?}");
    for container in &seen.made {
        let is_started = seen.started.iter().any(|id| id == docker::name(container));
        assert_eq!(is_started, role(container) == "sandbox", "a {} is started", role(container));
        let declared = hardening::Declared { is_never_started: !is_started, ..hardening::Declared::default() };
        let violations = hardening::violations_of(container, &declared);
        assert!(violations.is_empty(), "{}: {violations:#?}", role(container));
        assert_has_labels(container, &container["Config"]["Labels"]);
        let host = &container["HostConfig"];
        assert_eq!(host["NetworkMode"], "none", "{}", role(container));
        let binds: Vec<&str> = container["Mounts"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|mount| mount["Type"] == "bind")
            .filter_map(|mount| mount["Source"].as_str())
            .collect();
        let expected: &[&str] = if role(container) == "sandbox" { &[workspace.as_str()] } else { &[] };
        assert_eq!(binds, expected, "{}", role(container));
        assert!(!container.to_string().contains("docker.sock"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_of_the_containers_can_fail() {
    let app = TestApp::start().await;
    let created = app.create(&sample::script(&["while [ ! -e go ]; do sleep 0.05; done"])).await;
    app.reaches(&created, Phase::Executing).await;
    let mut container = app.containers().into_iter().find(|container| role(container) == "sandbox").unwrap();
    assert!(hardening::violations(&container).is_empty());
    for (field, weaker) in [
        ("Privileged", true.into()),
        ("ReadonlyRootfs", false.into()),
        ("PidsLimit", 0.into()),
        ("CapAdd", serde_json::json!(["SYS_ADMIN"])),
    ] {
        let before = std::mem::replace(&mut container["HostConfig"][field], weaker);
        assert!(!hardening::violations(&container).is_empty(), "{field}");
        container["HostConfig"][field] = before;
    }
    sample::write(&app.workspace(&created).await, "go", "");
    app.reaches(&created, Phase::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_system_calls_passes_where_an_image_declares_it_and_in_a_sandbox_alone() {
    let app = TestApp::start().await;
    let created = app.create(&sample::script(&["while [ ! -e go ]; do sleep 0.05; done"])).await;
    app.reaches(&created, Phase::Executing).await;
    let mut container = app.containers().into_iter().find(|container| role(container) == "sandbox").unwrap();
    assert_eq!(Sighting::of(&container).deviations, [""; 0]);
    let json = "{\"defaultAction\": \"SCMP_ACT_ALLOW\"}\n";
    let hash = Seccomp::Profile { json: json.to_owned() }.sha256().unwrap();
    container["HostConfig"]["SecurityOpt"] = serde_json::json!(["no-new-privileges", format!("seccomp={json}")]);
    assert_eq!(profiles::of_container(&container, &[hash.clone()].into()), Some(hash.clone()));
    assert_eq!(profiles::of_container(&container, &["0".repeat(64)].into()), None);
    let undeclared = Sighting::of(&container);
    assert!(!undeclared.has_profile && undeclared.deviations.len() == 1, "no image declares it: {undeclared:?}");
    let browser = repository().join("agent-images/browser/seccomp.json");
    let json = std::fs::read_to_string(browser).unwrap();
    container["HostConfig"]["SecurityOpt"] = serde_json::json!(["no-new-privileges", format!("seccomp={json}")]);
    let declared = Sighting::of(&container);
    assert!(declared.has_profile && declared.deviations.is_empty(), "{declared:?}");
    container["Config"]["Labels"]["berth.role"] = "filler".into();
    let elsewhere = Sighting::of(&container);
    assert!(!elsewhere.has_profile, "it is no sandbox: {elsewhere:?}");
    assert!(elsewhere.deviations.iter().any(|deviation| deviation.contains("seccomp")), "{elsewhere:?}");
    sample::write(&app.workspace(&created).await, "go", "");
    app.reaches(&created, Phase::Completed).await;
}

fn assert_has_labels(object: &Value, labels: &Value) {
    for name in LABELS {
        assert!(labels[name].is_string(), "no label {name}: {object:#}");
    }
}

/// What a program of the agent finds out about its surroundings, as JSON in `/workspace/facts.json`.
const LOOK_AROUND: &str = r#"
import errno, json, os, socket, subprocess
def read(path):
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20).decode(errors="replace")
    except OSError as error:
        return errno.errorcode[error.errno]
def attempt(action):
    try:
        action()
        return "done"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
def first(*paths):
    found = [read(path).strip() for path in paths]
    return next((text for text in found if text != "ENOENT"), None)
def connect(address, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(3)
        client.connect(address)
def loopback6():
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as server:
        server.bind(("::1", 0))
        server.listen()
        connect(server.getsockname()[:2], socket.AF_INET6)
status = dict(line.split(":\t", 1) for line in read("/proc/self/status").splitlines() if ":\t" in line)
mounts = [line.split() for line in read("/proc/self/mountinfo").splitlines()]
sockets = [os.path.join(at, name) for top in ("/run", "/var/run", "/tmp", "/berth", "/workspace", "/home")
           for at, _, names in os.walk(top) for name in names if "sock" in name]
facts = {
    "status": {name: status.get(name, "").split() for name in
               ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Groups")},
    "root": next(mount[5].split(",") for mount in mounts if mount[4] == "/"),
    "mounts": sorted(mount[4] for mount in mounts),
    "write": {place: attempt(lambda: open(place + "/probe", "w").close()) for place in
              ("/", "/usr/bin", "/etc", "/berth", "/tmp", "/run", "/workspace", "/home/agent")},
    "memory": first("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    "swap": first("/sys/fs/cgroup/memory.swap.max", "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"),
    "pids": first("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"),
    "cpu": first("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
    "cpu_period": first("/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    "interfaces": os.listdir("/sys/class/net"),
    "loopback6": attempt(loopback6),
    "own_name": attempt(lambda: socket.getaddrinfo(socket.gethostname(), 80)),
    "outside": {name: attempt(lambda: connect((name, 80))) for name in ("1.1.1.1", "169.254.169.254", "172.17.0.1", "192.168.65.7")},
    "guest": {name: attempt(lambda: os.listdir("/proc/1/" + name) if name == "fd" else open("/proc/1/" + name, "rb").read(1))
              for name in ("environ", "mem", "maps", "fd", "stack")},
    "guest_exe": attempt(lambda: os.readlink("/proc/1/exe")),
    "guest_program": attempt(lambda: open("/berth/berth-guest", "rb")),
    "kill_guest": attempt(lambda: [os.kill(1, number) for number in (15, 1, 2, 9)]),
    "sockets": sockets,
    "environment": dict(os.environ),
    "new_user_namespace": subprocess.run(["unshare", "--user", "true"], capture_output=True).returncode,
    "become_root": subprocess.run(["su", "-c", "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode,
    "devices": sorted(os.listdir("/dev")),
}
with open("/workspace/facts.json", "w") as file:
    json.dump(facts, file, indent=1)
"#;

/// A value that is in the environment of the app alone.
const CANARY: &str = "sk-canary-5d41402abc4b2a76b9719d911017c592";

fn python(block: &str, front_matter: &str) -> String {
    format!("---\n{front_matter}\n---\n# A look around\n\n```python\n{}\n```\n", block.trim())
}

async fn run_to_end(app: &TestApp, text: &str) -> RunSummary {
    let folder = camino_tempfile::tempdir().unwrap();
    let file = sample::write(folder.path(), "task.md", text);
    app.run(["run", file.as_str(), "--agent", "script", "--wait", "--json"]).await.json()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_inside_there_is_no_way_out_and_nothing_of_the_host() {
    let app = TestApp::start_with(&[("ANTHROPIC_API_KEY", CANARY), ("AWS_SECRET_ACCESS_KEY", CANARY)]).await;
    let text = python(LOOK_AROUND, "limits: {memory: 512MiB, cpus: 1.5, processes: 100}");
    let summary = run_to_end(&app, &text).await;
    assert_eq!(summary.phase, Phase::Completed, "{summary:#?}");
    let json = std::fs::read(Utf8Path::new(&summary.workspace.unwrap()).join("facts.json")).unwrap();
    let facts: Value = serde_json::from_slice(&json).unwrap();

    let status = &facts["status"];
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(words(&status[set]), ["0000000000000000"], "{set}");
    }
    assert_eq!((words(&status["NoNewPrivs"]), words(&status["Seccomp"])), (vec!["1"], vec!["2"]));
    let expected_uid = expected_uid().to_string();
    assert!(words(&status["Uid"]).iter().all(|uid| *uid == expected_uid), "{status:#}");
    assert!(!words(&status["Gid"]).contains(&"0") && !words(&status["Groups"]).contains(&"0"), "{status:#}");

    assert!(words(&facts["root"]).contains(&"ro"), "{:#}", facts["root"]);
    for (place, outcome) in facts["write"].as_object().unwrap() {
        let is_own = ["/tmp", "/run", "/workspace", "/home/agent"].contains(&place.as_str());
        assert_eq!(outcome == "done", is_own, "{place}: {outcome}");
    }

    assert_eq!(facts["memory"], (512_u64 << 20).to_string());
    assert_eq!(facts["pids"], "100");
    // "quota period" in cgroup v2, two files in v1.
    let cpu = format!("{} {}", facts["cpu"].as_str().unwrap(), facts["cpu_period"].as_str().unwrap_or_default());
    let cpu: Vec<u64> = cpu.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert_eq!(cpu[0] * 2, cpu[1] * 3, "1.5 processors");
    // cgroup v1 counts memory and swap together, v2 swap alone; without swap accounting there is nothing to read.
    if let Some(swap) = facts["swap"].as_str() {
        assert!([(512_u64 << 20).to_string().as_str(), "0"].contains(&swap), "{swap}");
    }

    assert_eq!(words(&facts["interfaces"]), ["lo"]);
    assert_eq!((&facts["loopback6"], &facts["own_name"]), (&"done".into(), &"done".into()));
    for (address, outcome) in facts["outside"].as_object().unwrap() {
        assert_eq!(outcome, "ENETUNREACH", "{address}");
    }

    for (name, outcome) in facts["guest"].as_object().unwrap() {
        assert!(["EACCES", "EPERM"].contains(&outcome.as_str().unwrap()), "/proc/1/{name}: {outcome}");
    }
    assert_eq!(facts["guest_exe"], "EACCES");
    assert_eq!(facts["guest_program"], "EACCES", "for whoever asks, by its own name");
    assert_eq!(words(&facts["sockets"]), Vec::<&str>::new());
    assert_ne!(facts["new_user_namespace"], 0);
    assert_ne!(facts["become_root"], 0);
    assert!(!facts.to_string().contains(CANARY), "{:#}", facts["environment"]);
    let known = [
        "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero", "console",
    ];
    for device in words(&facts["devices"]) {
        assert!(known.contains(&device), "/dev/{device}");
    }
}

/// Who an agent's processes are: whoever runs the app, and never root.
fn expected_uid() -> u32 {
    let own = nix::unistd::Uid::effective();
    if own.is_root() { 1000 } else { own.as_raw() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_the_apps_environment_is_nowhere() {
    let app = TestApp::start_with(&[("OPENAI_API_KEY", CANARY)]).await;
    let created = app.create(&sample::script(&["env > seen; while [ ! -e go ]; do sleep 0.05; done"])).await;
    app.reaches(&created, Phase::Executing).await;
    let workspace = app.workspace(&created).await;
    for object in app.containers().iter().chain(&app.volumes()) {
        assert!(!object.to_string().contains(CANARY), "{object:#}");
    }
    sample::write(&workspace, "go", "");
    app.reaches(&created, Phase::Completed).await;
    let mut looked_at = 0;
    for path in files(app.home()) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "{path}");
        looked_at += 1;
    }
    assert!(looked_at > 2, "there is a database, a log and a result to look at");
}

fn files(folder: &Utf8Path) -> Vec<camino::Utf8PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(entry.path()));
        } else if kind.is_file() {
            found.push(entry.path().to_owned());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mut app = TestApp::unstarted(&[]).await;
    std::fs::set_permissions(app.home(), std::fs::Permissions::from_mode(0o755)).unwrap();
    app.restart().await;
    assert_eq!(app.home().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let announcement = app.home().join("server.json").metadata().unwrap();
    assert_eq!(announcement.permissions().mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_reached_ends_the_step_by_name() {
    let app = TestApp::start().await;
    let cases = [
        ("limits: {time: 2s}", "while true; do sleep 1; done"),
        ("limits: {output: 1MB}", "head -c 3000000 /dev/zero | tr '\\0' 'x'; sleep 600"),
    ];
    for (limits, block) in cases {
        let summary = run_to_end(&app, &sample::script_with(limits, &[block])).await;
        let error = summary.error.unwrap_or_else(|| panic!("{limits}: {:?}", summary.phase));
        assert_eq!((summary.phase, error.code), (Phase::Failed, ErrorCode::LimitReached), "{limits}: {error:?}");
        app.is_swept().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_processes_run_out_inside_and_nowhere_else() {
    let app = TestApp::start().await;
    let eats = python("held = []\nwhile True:\n    held.append(bytearray(8 << 20))", "limits: {memory: 64MiB}");
    let summary = run_to_end(&app, &eats).await;
    assert_eq!(summary.phase, Phase::Failed, "{summary:#?}");
    let forks = "i=0; while [ $i -lt 200 ]; do sleep 30 & i=$((i+1)); done";
    let summary = run_to_end(&app, &sample::script_with("limits: {processes: 48}", &[forks])).await;
    assert_eq!(summary.phase, Phase::Failed, "{summary:#?}");
    let fine = run_to_end(&app, &sample::script(&["echo fine > fine"])).await;
    assert_eq!(fine.phase, Phase::Completed, "the app goes on: {fine:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_below_what_can_work_are_refused_with_their_range() {
    let app = TestApp::start().await;
    let folder = camino_tempfile::tempdir().unwrap();
    let text = sample::script_with("limits: {memory: 1MiB}", &["true"]);
    let file = sample::write(folder.path(), "task.md", text);
    let complaint = app.run(["run", file.as_str(), "--wait"]).await.bad().complaint();
    assert!(complaint.contains(&(Limits::MEMORY_BYTES_MIN >> 20).to_string()), "{complaint}");
}
