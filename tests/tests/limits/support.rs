//! A small disk, an agent that is one command, and the clock on calls.

use std::{
    fs::File,
    io::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use berth_tests::{TestApp, client::Client, until};
use camino::{Utf8Path, Utf8PathBuf};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use wire::{
    EventKind, Hold, Limits, LimitsPatch,
    call::{CreateAgent, CreateTask, ListEvents, ListTasks, Status, TaskCreated},
    task::{Launch, NewTask, ReviewGate},
    view::{RunView, StatusView},
};

/// Everything that a test waits for comes within this, on a machine that does much else.
pub(crate) const BOUND: Duration = Duration::from_mins(4);

/// A disk in memory over a folder, gone with this.
pub(crate) struct SmallDisk {
    folder: Utf8PathBuf,
}

impl SmallDisk {
    /// Mounts one.
    ///
    /// # Panics
    /// Where this user may not.
    pub(crate) fn over(folder: &Utf8Path, mebibytes: u32) -> Self {
        let options = format!("size={mebibytes}m,mode=0700");
        mount(Some("limits"), folder.as_std_path(), Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
            .unwrap_or_else(|error| panic!("a disk of the test's own takes root (CAP_SYS_ADMIN) on Linux: {error}"));
        Self { folder: folder.to_owned() }
    }

    /// Makes it larger or smaller.
    pub(crate) fn resize(&self, mebibytes: u32) {
        self.remount(MsFlags::empty(), &format!("size={mebibytes}m"));
    }

    /// Lets nobody write on it.
    pub(crate) fn read_only(&self) {
        self.remount(MsFlags::MS_RDONLY, "");
    }

    fn remount(&self, flags: MsFlags, options: &str) {
        let flags = flags | MsFlags::MS_REMOUNT;
        mount(None::<&str>, self.folder.as_std_path(), None::<&str>, flags, Some(options)).unwrap();
    }

    /// Has a file of that size on it. It is cut or added to: never is there more room meanwhile than before and after.
    pub(crate) fn filler(&self, mebibytes: u64) {
        let mut filler = File::options().create(true).append(true).open(self.folder.join("filler")).unwrap();
        let (now, wanted) = (filler.metadata().unwrap().len(), mebibytes << 20);
        filler.set_len(now.min(wanted)).unwrap();
        let more = usize::try_from(wanted.saturating_sub(now)).unwrap();
        filler.write_all(&vec![1; more]).unwrap();
    }

    /// Fills it to the last byte.
    pub(crate) fn fill_up(&self) {
        let mut filler = File::create(self.folder.join("filler")).unwrap();
        while filler.write_all(&[1; 4096]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What still has it open keeps it, unseen, for as long as that.
        umount2(self.folder.as_std_path(), MntFlags::MNT_DETACH).unwrap();
    }
}

/// Makes an agent that is one command in the image of the agent `script`.
pub(crate) async fn agent(app: &TestApp, name: &str, argv: &[&str]) {
    let create = CreateAgent {
        name: name.to_owned(),
        image: "script".to_owned(),
        launch: Launch::Command { argv: argv.iter().map(|&part| part.to_owned()).collect() },
        limits: Limits::default(),
        review: ReviewGate::Skip,
        ..CreateAgent::default()
    };
    app.call(create).await.unwrap();
}

/// The same with a program in Python.
pub(crate) async fn python(app: &TestApp, name: &str, program: &str) {
    agent(app, name, &["python3", "-u", "-c", program]).await;
}

/// Starts a task for an agent.
pub(crate) async fn start(app: &TestApp, agent: &str, limits: LimitsPatch) -> TaskCreated {
    let task = NewTask {
        title: None,
        prompt: format!("Work, {agent}."),
        agent: Some(agent.to_owned()),
        project: None,
        limits: Some(limits),
        review: None,
        priority: None,
        attachments: Vec::new(),
    };
    app.call(CreateTask { task }).await.unwrap()
}

/// The run once its only step is held for want of disk space, or is not any more.
pub(crate) async fn is_held(app: &TestApp, created: &TaskCreated, held: bool) -> RunView {
    until(if held { "a step that is held" } else { "a step that goes on" }, BOUND, async || {
        let view = app.show(created).await;
        assert!(!held || !view.summary.phase.is_final(), "it ended: {view:#?}");
        (view.steps[0].holds.contains(&Hold::DiskSpace) == held).then_some(view)
    })
    .await
}

/// What the app says of itself.
pub(crate) async fn status(app: &TestApp) -> StatusView {
    app.call(Status {}).await.unwrap()
}

/// A notice with that in it, once there is one.
pub(crate) async fn notice(app: &TestApp, words: &str) -> String {
    until(&format!("a notice about {words:?}"), BOUND, async || {
        status(app).await.notices.into_iter().find(|notice| notice.contains(words))
    })
    .await
}

/// Waits until there is no notice with that in it.
pub(crate) async fn no_notice(app: &TestApp, words: &str) {
    until(&format!("no notice about {words:?}"), BOUND, async || {
        let notices = status(app).await.notices;
        (!notices.iter().any(|notice| notice.contains(words))).then_some(())
    })
    .await;
}

/// What happened to a task.
pub(crate) async fn events(app: &TestApp, created: &TaskCreated) -> Vec<EventKind> {
    let list = ListEvents { task: Some(created.task), after_seq: 0, limit: 1_000 };
    app.call(list).await.unwrap().into_iter().map(|event| event.kind).collect()
}

/// Where the app keeps what the only step of a run has printed.
pub(crate) async fn output_file(app: &TestApp, created: &TaskCreated) -> Utf8PathBuf {
    let step = app.show(created).await.steps.remove(0);
    app.home().join("outputs").join(step.step.to_string()).join("1.log")
}

/// Compares a file with what a command of the shell writes, byte by byte.
///
/// # Panics
/// Where they differ.
pub(crate) async fn assert_same_bytes(file: &Utf8Path, command: &str) {
    let compare = format!("{command} | cmp - '{file}'");
    let output = tokio::process::Command::new("sh").args(["-c", &compare]).output().await.unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
    );
}

/// Resident memory of a process in bytes: now, and the most it ever was.
pub(crate) fn memory_of(pid: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kibibytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    };
    (kibibytes("VmRSS") << 10, kibibytes("VmHWM") << 10)
}

/// Makes calls for as long as it lives, and times each.
pub(crate) struct Calls {
    calls: JoinSet<()>,
    times: Arc<Mutex<Vec<Duration>>>,
}

/// Half of them took at most `p50`, nineteen of twenty at most `p95`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) count: usize,
    pub(crate) p50: Duration,
    pub(crate) p95: Duration,
}

impl Times {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "nothing was timed");
        times.sort_unstable();
        let at = |hundredths: usize| times[(times.len() * hundredths / 100).min(times.len() - 1)];
        Self { count: times.len(), p50: at(50), p95: at(95) }
    }

    /// Prints them.
    pub(crate) fn print(self, what: &str) -> Self {
        let Self { count, p50, p95 } = self;
        eprintln!("{what}: p50 {p50:.1?}, p95 {p95:.1?}, n {count}");
        self
    }
}

impl Calls {
    /// Begins: a list and a look at the whole, ten times a second.
    pub(crate) fn begin(app: &TestApp) -> Self {
        let times = Arc::new(Mutex::new(Vec::new()));
        let (client, noted) = (Client::of(app.home()), times.clone());
        let mut calls = JoinSet::new();
        calls.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                for is_list in [true, false] {
                    let began = Instant::now();
                    if is_list {
                        client.call(ListTasks { search: "work".to_owned(), ..ListTasks::default() }).await.unwrap();
                    } else {
                        client.call(Status {}).await.unwrap();
                    }
                    noted.lock().unwrap().push(began.elapsed());
                }
            }
        });
        Self { calls, times }
    }

    /// Ends, and prints how long they took.
    ///
    /// # Panics
    /// Where one failed.
    pub(crate) async fn end(mut self, what: &str) -> Times {
        self.calls.abort_all();
        if let Some(Err(error)) = self.calls.join_next().await {
            assert!(error.is_cancelled(), "{what}: a call failed: {error}");
        }
        let times = std::mem::take(&mut *self.times.lock().unwrap());
        Times::of(times).print(&format!("calls {what}"))
    }
}
