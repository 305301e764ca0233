//! The guest as PID 1 of real containers: hardened as every sandbox is, with an attacker of its own uid inside.
//!
//! Needs a Docker-compatible engine and its command line. The guest comes from `BERTH_GUEST`, else it is built.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::similar_names, reason = "a test, with what it shares")]

#[path = "support/common.rs"]
mod common;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::{BOUND, fresh_id, read_all, read_until, run, shell, until, until_async};
use pipe::PipeError;
use pipe::host::{ExitStatus, Guest, Options, OutOfMemory, OutputEvent, Start, StartError, Stdin};
use pipe::spool::{Piece, Recovery};
use sha2::{Digest, Sha256};
use tokio::process::{Child, Command as AsyncCommand};
use tokio::time::timeout;

const IMAGE: &str = "debian:bookworm-slim";
const GUEST: &str = "/berth/berth-guest";

struct Programs {
    guest: PathBuf,
    attacker: PathBuf,
}

/// The guest as it ships, and the attacker, both static.
fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let target = "x86_64-unknown-linux-musl";
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "guest", "--profile", "guest", "--target", target])
            .args(["--bin", "berth-guest", "--example", "attacker"])
            .status()
            .unwrap();
        assert!(built.success(), "the guest does not build");
        let tests = std::env::current_exe().unwrap();
        let target_folder = tests.ancestors().find(|folder| folder.join(target).is_dir());
        let folder = target_folder.expect("the target folder").join(target).join("guest");
        let guest = std::env::var_os("BERTH_GUEST").map_or_else(|| folder.join("berth-guest"), PathBuf::from);
        println!("guest: {} bytes", std::fs::metadata(&guest).unwrap().len());
        Programs { guest, attacker: folder.join("examples/attacker") }
    })
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn docker_with_input(arguments: &[&str], input: &[u8]) -> String {
    let mut child =
        Command::new("docker").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn entry(archive: &mut tar::Builder<Vec<u8>>, path: &str, kind: tar::EntryType, mode: u32, uid: u64, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(uid);
    header.set_gid(uid);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path, bytes).unwrap();
}

/// Says that a container is not what the app would make: it brings an attacker, and tries one protection at a time.
const ON_PURPOSE: &str = "berth.run=deviates-on-purpose";

/// One sandbox, with volumes, image and label of its own.
struct Sandbox {
    name: String,
    empty_image: String,
    attached: Option<Child>,
}

impl Sandbox {
    /// `image`: `None` is an empty one, without a shell or anything else.
    fn create(image: Option<&str>, more: &[&str]) -> Self {
        Self::create_with(image, more, &[("berth-guest", 0o111, &programs().guest)])
    }

    /// With these programs beside each other in the guest's volume, root's, of those modes.
    fn create_with(image: Option<&str>, more: &[&str], in_volume: &[(&str, u32, &Path)]) -> Self {
        let programs = programs();
        let name = format!("berth-test-{}", fresh_id());
        let label = format!("berth.install={name}");
        let empty = tar::Builder::new(Vec::new()).into_inner().unwrap();
        let empty_image = format!("{name}:empty");
        docker_with_input(&["import", "--change", &format!("LABEL {label}"), "-", &empty_image], &empty);
        for volume in ["guest", "spool"] {
            docker(&["volume", "create", "--label", &label, &format!("{name}-{volume}")]);
        }
        // Filled through a container that never runs.
        let filler = format!("{name}-filler");
        let (guest_volume, spool_volume) = (format!("{name}-guest"), format!("{name}-spool"));
        let mounts = [format!("{guest_volume}:/berth:nocopy"), format!("{spool_volume}:/spool:nocopy")];
        docker(&[
            "create",
            "--name",
            &filler,
            "--label",
            &label,
            "--label",
            ON_PURPOSE,
            "-v",
            &mounts[0],
            "-v",
            &mounts[1],
            &empty_image,
            "x",
        ]);
        let mut archive = tar::Builder::new(Vec::new());
        for (program, mode, file) in in_volume {
            let bytes = std::fs::read(file).unwrap();
            entry(&mut archive, &format!("berth/{program}"), tar::EntryType::Regular, *mode, 0, &bytes);
        }
        entry(&mut archive, "berth/run/", tar::EntryType::Directory, 0o755, 0, &[]);
        entry(&mut archive, "spool/", tar::EntryType::Directory, 0o700, 1000, &[]);
        docker_with_input(&["cp", "-", &format!("{filler}:/")], &archive.into_inner().unwrap());
        docker(&["rm", &filler]);

        let attacker = format!("{}:/attacker:ro", programs.attacker.display());
        let guest_mount = format!("type=volume,src={guest_volume},dst=/berth,readonly,volume-nocopy");
        let spool_mount = format!("type=volume,src={spool_volume},dst=/berth/run,volume-nocopy");
        let mut arguments = vec!["create", "--name", &name, "--label", &label, "--label", ON_PURPOSE];
        arguments.extend(["-i", "--log-driver", "none"]);
        arguments.extend(["--network", "none", "--read-only", "--cap-drop", "ALL", "--user", "1000:1000"]);
        arguments.extend(["--security-opt", "no-new-privileges", "--tmpfs", "/tmp", "--tmpfs", "/run:mode=1777"]);
        arguments.extend(["--mount", &guest_mount, "--mount", &spool_mount, "-v", &attacker, "--entrypoint", GUEST]);
        arguments.extend(more);
        arguments.extend([image.unwrap_or(&empty_image), "init"]);
        docker(&arguments);
        Self { name, empty_image, attached: None }
    }

    /// Attaches to PID 1 and starts it: the first connection.
    async fn start(&mut self) -> Guest {
        self.connect(&["start", "-ai", &self.name.clone()]).await.unwrap()
    }

    /// A later connection.
    async fn enter(&mut self) -> Guest {
        self.try_enter().await.unwrap()
    }

    async fn try_enter(&mut self) -> Result<Guest, pipe::PipeError> {
        self.connect(&["exec", "-i", "--user", "64000:64000", &self.name.clone(), GUEST, "connect"]).await
    }

    async fn connect(&mut self, arguments: &[&str]) -> Result<Guest, pipe::PipeError> {
        let mut child = AsyncCommand::new("docker")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let io = tokio::io::join(child.stdout.take().unwrap(), child.stdin.take().unwrap());
        self.attached = Some(child);
        Guest::connect(io, Options::default()).await
    }

    fn inspect(&self, format: &str) -> String {
        docker(&["inspect", "--format", format, &self.name])
    }

    fn recovered(&self) -> Recovery {
        let source = format!("{}:/berth/run", self.name);
        let output = Command::new("docker").args(["cp", &source, "-"]).output().unwrap();
        assert!(output.status.success());
        let mut recovery = Recovery::new(256 * 1024 * 1024);
        let mut archive = tar::Archive::new(output.stdout.as_slice());
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            if entry.header().entry_type().is_file() {
                let path = entry.path().unwrap().to_str().unwrap().to_owned();
                recovery.add(&path, entry).unwrap();
            }
        }
        recovery
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let remove = |arguments: &[&str]| {
            let _ = Command::new("docker").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        };
        remove(&["rm", "-f", "-v", &self.name]);
        remove(&["volume", "rm", &format!("{}-guest", self.name), &format!("{}-spool", self.name)]);
        remove(&["rmi", &self.empty_image]);
    }
}

fn hash(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[tokio::test]
async fn an_attacker_of_the_guests_uid_gets_nowhere() {
    let mut sandbox = Sandbox::create(Some(IMAGE), &[]);
    let guest = sandbox.start().await;
    let boot = guest.hello().boot.clone();
    let whole = run(&guest, &Start::new(fresh_id(), ["/attacker"], "/")).await;
    let text = whole.text();
    println!("{text}");
    assert_eq!(whole.exit.status, ExitStatus::Exited { code: 0 }, "{text}");
    assert!(text.lines().count() >= 24 && text.contains("signalled the guest"), "{text}");
    assert!(!text.contains("BROKEN"), "{text}");
    assert_eq!(run(&guest, &shell("echo alive")).await.text(), "alive\n");
    assert!(guest.loss().is_none());
    let later = sandbox.enter().await;
    assert_eq!(later.hello().boot, boot, "it is the same guest");
    let state = run(&later, &shell("grep State /proc/1/status; id -u")).await.text();
    // Awake or asleep, but neither stopped nor traced.
    assert!(["State:\tS (sleeping)\n1000\n", "State:\tR (running)\n1000\n"].contains(&state.as_str()), "{state}");
}

/// The lines of an attacker that say what it could do.
fn broken(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("BROKEN ")).collect()
}

/// `PR_SET_DUMPABLE` by itself: this guest's file is open to everyone, so that nothing else makes it undumpable.
#[tokio::test]
async fn a_guest_whose_program_may_be_read_closes_its_memory_itself() {
    let mut sandbox = Sandbox::create_with(Some(IMAGE), &[], &[("berth-guest", 0o755, &programs().guest)]);
    let guest = sandbox.start().await;
    let text = run(&guest, &Start::new(fresh_id(), ["/attacker"], "/")).await.text();
    // Of a file that may be read, and of nothing else.
    assert_eq!(broken(&text), ["read the guest's program"], "{text}");
    // The kernel gives what it keeps of a process to root where the process cannot be dumped (proc(5)).
    let owners = run(&guest, &shell("stat -c %u /proc/1/environ /proc/$PPID/environ /proc/self/environ")).await.text();
    assert_eq!(owners, "0\n0\n1000\n", "guest, shim, and the program itself");
    let later = sandbox.enter().await;
    let connectors =
        "for one in $(grep -lE '^Uid:.64000' /proc/[0-9]*/status); do stat -c %u ${one%status}environ; done";
    let owners = run(&later, &shell(connectors)).await.text();
    assert!(!owners.is_empty() && owners.lines().all(|owner| owner == "0"), "connect: {owners}");
}

/// Mode 0111 by itself: these programs do nothing for their own safety, and one of them may not be read.
#[tokio::test]
async fn a_program_that_may_not_be_read_is_closed_from_its_first_instruction() {
    let Programs { guest, attacker } = programs();
    let in_volume: [(&str, u32, &Path); 3] =
        [("berth-guest", 0o111, guest), ("hidden", 0o111, attacker), ("shown", 0o755, attacker)];
    let mut sandbox = Sandbox::create_with(Some(IMAGE), &[], &in_volume);
    let guest = sandbox.start().await;
    let attack = async |program: &str| {
        let mut victim = Start::new(fresh_id(), [program, "victim"], "/");
        victim.stdin = Stdin::Open;
        let (_, mut output) = guest.start_attached(&victim).await.unwrap();
        let pid = read_until(&mut output, "\n").await;
        let text = run(&guest, &Start::new(fresh_id(), ["/attacker", "against", pid.trim()], "/")).await.text();
        guest.close_stdin(victim.id).await.unwrap();
        text
    };
    let hidden = attack("/berth/hidden").await;
    assert!(broken(&hidden).is_empty() && hidden.lines().count() >= 7, "{hidden}");
    // What the attacker gets of one that may be read: that it is held above is the mode's doing.
    assert!(broken(&attack("/berth/shown").await).contains(&"victim: read environment"));
}

#[tokio::test]
async fn who_took_the_sockets_name_before_the_guest_is_not_spoken_to() {
    // No guest here: something else is PID 1, and what has the name is not even that.
    let sandbox = Sandbox::create(Some(IMAGE), &["--entrypoint", "/attacker"]);
    docker(&["start", &sandbox.name]);
    docker(&["exec", "-d", &sandbox.name, "/attacker", "impostor"]);
    let listens = || {
        let mut look = Command::new("docker");
        look.args(["exec", &sandbox.name, "grep", "@berth-guest", "/proc/net/unix"]).stdout(Stdio::null());
        look.status().unwrap().success()
    };
    until("the impostor listens", listens).await;
    let refused = Command::new("docker")
        .args(["exec", "-i", "--user", "64000:64000", &sandbox.name, GUEST, "connect"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("not to PID 1"), "{said}");
}

#[tokio::test]
async fn no_signal_from_inside_ends_the_guest_however_its_sender_is_forged() {
    let mut sandbox = Sandbox::create(Some(IMAGE), &[]);
    let guest = sandbox.start().await;
    // rt_sigqueueinfo(2), 129 on x86_64: a siginfo whose sender has no pid here, as one from outside has none.
    let forged = "for my $signal (1, 2, 10, 12, 15, 17) {\
                  \n  my $info = pack('i6', $signal, 0, -1, 0, 0, 0) . (\"\\0\" x 104);\
                  \n  print syscall(129, 1, $signal, $info), ' ';\n}";
    let sent = run(&guest, &Start::new(fresh_id(), ["/usr/bin/perl", "-e", forged], "/")).await.text();
    assert_eq!(sent, "0 ".repeat(6), "each was queued");
    assert_eq!(run(&guest, &shell("kill -TERM 1; kill -KILL 1; echo alive")).await.text(), "alive\n");
    assert_eq!(sandbox.inspect("{{.State.Running}}"), "true");
    assert!(guest.loss().is_none());
}

#[tokio::test]
async fn an_image_with_nothing_in_it_runs_the_guest() {
    let mut sandbox = Sandbox::create(None, &[]);
    let guest = sandbox.start().await;
    let whole = run(&guest, &Start::new(fresh_id(), [GUEST, "version"], "/")).await;
    assert!(whole.text().starts_with("berth-guest "), "{}", whole.text());
    let missing = guest.start(&Start::new(fresh_id(), ["sh"], "/")).await;
    assert!(matches!(missing, Err(StartError::ProgramNotFound { .. })));
    assert!(guest.stats().await.unwrap().memory_bytes.is_some());
}

#[tokio::test]
async fn only_the_connectors_uid_gets_in() {
    let mut sandbox = Sandbox::create(Some(IMAGE), &[]);
    let guest = sandbox.start().await;
    let refused = Command::new("docker")
        .args(["exec", "-i", "--user", "1000:1000", &sandbox.name, GUEST, "connect"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let io = {
        let mut refused = AsyncCommand::new("docker");
        refused.args(["exec", "-i", "--user", "1000:1000", &sandbox.name, GUEST, "connect"]);
        let mut child = refused.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let io = tokio::io::join(child.stdout.take().unwrap(), child.stdin.take().unwrap());
        (io, child)
    };
    let error = Guest::connect(io.0, Options::default()).await.unwrap_err();
    assert!(matches!(error, PipeError::PeerClosed | PipeError::Io(_)), "{error}");
    let output = refused.wait_with_output().unwrap();
    assert!(output.stdout.is_empty());
    assert!(guest.loss().is_none(), "the one who may is undisturbed");
}

#[tokio::test]
async fn the_newest_connection_wins_and_the_output_goes_on_where_it_was() {
    let mut sandbox = Sandbox::create(Some(IMAGE), &[]);
    let first = sandbox.start().await;
    let start = shell("seq 1 400000; echo half; sleep 1; seq 400001 800000");
    let (_, mut output) = first.start_attached(&start).await.unwrap();
    let mut bytes = Vec::new();
    while bytes.len() < 100_000 {
        if let Some(OutputEvent::Chunk { bytes: chunk, .. }) = output.next().await.unwrap() {
            bytes.extend_from_slice(&chunk);
        }
    }
    let mut left = sandbox.attached.take();
    let second = sandbox.enter().await;
    let reason = timeout(BOUND, first.closed()).await.expect("the older connection is closed");
    assert!(matches!(reason, PipeError::PeerClosed | PipeError::Io(_)), "{reason}");
    // The host of the second goes without a word; a third comes.
    let mut killed = sandbox.attached.take().unwrap();
    let mut output = second.attach(start.id, bytes.len() as u64).await.unwrap();
    if let Some(OutputEvent::Chunk { bytes: chunk, .. }) = output.next().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    killed.kill().await.unwrap();
    let third = sandbox.enter().await;
    let mut output = third.attach(start.id, bytes.len() as u64).await.unwrap();
    bytes.extend_from_slice(&read_all(&mut output).await.bytes);
    let mut expected: Vec<u8> = (1..=400_000).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    expected.extend_from_slice(b"half\n");
    expected.extend((400_001..=800_000).flat_map(|number| format!("{number}\n").into_bytes()));
    assert_eq!(hash(&bytes), hash(&expected));
    if let Some(left) = &mut left {
        left.kill().await.unwrap();
    }
    assert_eq!(third.processes().await.unwrap().len(), 1);
}

#[tokio::test]
async fn at_the_limit_of_processes_the_guest_works_and_can_be_entered() {
    let mut sandbox = Sandbox::create(Some(IMAGE), &["--pids-limit", "12"]);
    let guest = sandbox.start().await;
    let mut started = Vec::new();
    let refused = loop {
        let start = Start::new(fresh_id(), ["sleep", "1000"], "/");
        match guest.start(&start).await {
            Ok(_) => started.push(start.id),
            Err(error) => break error,
        }
        assert!(started.len() < 12);
    };
    assert!(matches!(refused, StartError::TooManyProcesses), "{refused:?}");
    // The runtime's own helpers count against the limit while they enter, and sometimes lose: the host tries again, as it does
    // whenever a pipe is lost.
    let entering = async {
        loop {
            match sandbox.try_enter().await {
                Ok(guest) => break guest,
                Err(error) => eprintln!("not entered yet: {error}"),
            }
        }
    };
    let later = tokio::time::timeout(Duration::from_secs(30), entering).await.unwrap();
    assert_eq!(later.processes().await.unwrap().len(), started.len());
    for id in started {
        later.end(id, Duration::from_secs(5)).await.unwrap();
    }
    assert_eq!(run(&later, &shell("echo room")).await.text(), "room\n");
}

#[tokio::test]
async fn an_engine_that_stops_the_container_leaves_a_spool_that_tells_all() {
    let mut sandbox = Sandbox::create(Some(IMAGE), &[]);
    let guest = sandbox.start().await;
    let start = shell("trap 'echo cleaned; exit 0' TERM; seq 1 100000; echo up; while :; do sleep 0.05; done");
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    let seen = read_until(&mut output, "up\n").await;
    docker(&["stop", "-t", "10", &sandbox.name]);
    assert_eq!(sandbox.inspect("{{.State.ExitCode}}"), "143");
    let found = sandbox.recovered().finish();
    let process = &found[&start.id];
    assert_eq!(process.exit.as_ref().unwrap().status, ExitStatus::GuestEnded);
    let bytes: Vec<u8> = process
        .output(0)
        .flat_map(|piece| match piece {
            Piece::Bytes { bytes, .. } => bytes.to_vec(),
            Piece::Gap { from, to } => panic!("a gap from {from} to {to}"),
        })
        .collect();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with(&seen), "what was sent is what was kept");
    assert!(text.ends_with("cleaned\n"), "what the end itself wrote is kept too");
}

#[tokio::test]
async fn a_container_that_is_killed_leaves_what_was_sent() {
    let mut sandbox = Sandbox::create(Some(IMAGE), &[]);
    let guest = sandbox.start().await;
    let start = shell("seq 1 200000; echo up; exec sleep 1000");
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    let seen = read_until(&mut output, "up\n").await;
    docker(&["kill", &sandbox.name]);
    guest.closed().await;
    let found = sandbox.recovered().finish();
    assert_eq!(found[&start.id].exit, None);
    assert_eq!(found[&start.id].end(), seen.len() as u64);
}

#[tokio::test]
async fn a_guest_that_is_told_to_finish_exits_zero() {
    let mut sandbox = Sandbox::create(Some(IMAGE), &[]);
    let guest = sandbox.start().await;
    guest.start(&shell("exec sleep 1000")).await.unwrap();
    guest.finish().await.unwrap();
    until("the container has ended", || sandbox.inspect("{{.State.Status}}") == "exited").await;
    assert_eq!(sandbox.inspect("{{.State.ExitCode}}"), "0");
}

#[tokio::test]
async fn a_process_that_dies_for_want_of_memory_says_so() {
    let mut sandbox = Sandbox::create(Some(IMAGE), &["--memory", "48m", "--memory-swap", "48m"]);
    let guest = sandbox.start().await;
    // A pipe cannot be sought in, so tail must hold it all.
    let exit = run(&guest, &shell("head -c 200000000 /dev/zero | tail -c 200000000 > /dev/null")).await.exit;
    assert_eq!(exit.status, ExitStatus::Exited { code: 137 });
    assert_eq!(exit.out_of_memory, OutOfMemory::Happened);
    let exit = run(&guest, &shell("kill -9 $$")).await.exit;
    assert_eq!(exit.out_of_memory, OutOfMemory::No);
}

#[tokio::test]
async fn processes_of_the_connector_do_not_pile_up() {
    let mut sandbox = Sandbox::create(Some(IMAGE), &[]);
    let first = sandbox.start().await;
    let mut left = vec![sandbox.attached.take()];
    for _ in 0..3 {
        let guest = sandbox.enter().await;
        assert_eq!(guest.hello().boot, first.hello().boot);
        left.push(sandbox.attached.take());
    }
    let guest = sandbox.enter().await;
    let count = async || {
        let start = shell("grep -lE '^Uid:.64000' /proc/[0-9]*/status 2> /dev/null | wc -l");
        let count = run(&guest, &start).await.text().trim().parse::<usize>().unwrap();
        guest.acknowledge_exit(start.id).await.unwrap();
        count
    };
    until_async("only the newest is left", async || count().await == 1).await;
}

#[tokio::test]
async fn the_first_output_comes_sooner_than_an_exec() {
    let mut sandbox = Sandbox::create(Some(IMAGE), &[]);
    let guest = sandbox.start().await;
    let mut pipe = Vec::new();
    for _ in 0..50 {
        let start = Start::new(fresh_id(), ["/bin/echo", "x"], "/");
        let at = Instant::now();
        let (_, mut output) = guest.start_attached(&start).await.unwrap();
        assert!(matches!(output.next().await.unwrap(), Some(OutputEvent::Chunk { .. })));
        pipe.push(at.elapsed());
        read_all(&mut output).await;
        guest.acknowledge_exit(start.id).await.unwrap();
    }
    let mut exec = Vec::new();
    for _ in 0..15 {
        let at = Instant::now();
        docker(&["exec", &sandbox.name, "/bin/echo", "x"]);
        exec.push(at.elapsed());
    }
    pipe.sort();
    exec.sort();
    println!(
        "start to first output: pipe p50 {:?} p95 {:?} (n=50), docker exec p50 {:?} (n=15)",
        pipe[25], pipe[47], exec[7]
    );
    let memory = Path::new("/proc").join(sandbox.inspect("{{.State.Pid}}")).join("status");
    let status = std::fs::read_to_string(memory).unwrap_or_default();
    println!(
        "{}",
        status
            .lines()
            .filter(|line| line.starts_with("Rss") || line.starts_with("VmRSS"))
            .collect::<Vec<_>>()
            .join(" ")
    );
    assert!(pipe[25] < exec[7]);
}
