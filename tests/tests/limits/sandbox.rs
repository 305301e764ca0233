//! Memory, processes and processor of one sandbox: reached, named, and nobody else's trouble.

use std::time::{Duration, Instant};

use berth_tests::{TestApp, docker, until};
use wire::{
    ErrorCode, ErrorView, LimitsPatch, Phase,
    call::{CancelRun, TaskCreated},
};

use crate::support::{BOUND, Calls, Times, agent, events, python, start};

/// What a call takes at most, nineteen times out of twenty, whatever a sandbox does. A machine that does much else is slow.
const CALL_TIME_MAX: Duration = Duration::from_secs(2);
/// How often the other sandbox's step is run.
const NEIGHBOURS: usize = 5;

fn memory(mebibytes: u64) -> LimitsPatch {
    LimitsPatch { memory_bytes: Some(mebibytes << 20), ..LimitsPatch::default() }
}

async fn fails(app: &TestApp, created: &TaskCreated) -> ErrorView {
    app.reaches(created, Phase::Failed).await.summary.error.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_limit_is_named_where_the_agent_a_part_of_it_or_the_whole_sandbox_was_killed_for_it() {
    let app = TestApp::start().await;
    python(&app, "eater", "keep = bytearray(b'x' * (1 << 30))").await;
    let error = fails(&app, &start(&app, "eater", memory(64)).await).await;
    assert_eq!(error.code, ErrorCode::LimitReached);
    assert!(error.message.starts_with("The memory limit of 64 MiB was reached"), "{error:?}");
    assert!(error.hint.contains("limits: memory:"), "{error:?}");

    let part = "import subprocess, sys
subprocess.run([sys.executable, '-c', 'keep = bytearray(b\"x\" * (1 << 30))'])
sys.exit(3)";
    python(&app, "parent", part).await;
    let error = fails(&app, &start(&app, "parent", memory(64)).await).await;
    assert_eq!(error.code, ErrorCode::AgentFailed);
    assert!(error.message.contains("exit code 3") && error.message.contains("memory limit of 64 MiB"), "{error:?}");

    // Shared memory outlives whoever made it: killing the agent frees nothing, and the guest goes too.
    let whole = "import ctypes
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
print('begun', flush=True)
while True:
    segment = libc.shmget(0, ctypes.c_size_t(4 << 20), 0o1600)
    ctypes.memset(libc.shmat(segment, None, 0), 1, 4 << 20)";
    python(&app, "hoarder", whole).await;
    let created = start(&app, "hoarder", memory(64)).await;
    let error = fails(&app, &created).await;
    assert_eq!(error.code, ErrorCode::LimitReached, "{error:?}");
    assert!(error.message.contains("memory limit of 64 MiB was reached"), "{error:?}");
    assert_eq!(app.run(["logs", &created.run.to_string()]).await.good().text(), "begun\n");
    app.is_swept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_processes_limit_is_named_and_what_the_agent_says_itself_stays() {
    let app = TestApp::start().await;
    let program = "import subprocess, sys, time
sleepers = []
try:
    for number in range(200):
        sleepers.append(subprocess.Popen(['sleep', '600']))
except OSError as error:
    print('only', len(sleepers), error)
    sys.exit(4)";
    python(&app, "breeder", program).await;
    let limits = LimitsPatch { pids: Some(64), ..LimitsPatch::default() };
    let error = fails(&app, &start(&app, "breeder", limits).await).await;
    assert!(error.message.contains("exit code 4"), "{error:?}");
    assert!(error.message.contains("limit of 64 processes was reached"), "{error:?}");
    assert!(error.hint.contains("limits: processes:") && error.detail.contains("only"), "{error:?}");
    app.is_swept().await;
}

/// How long a step takes in a sandbox of its own, from being asked for to being completed.
async fn neighbours(app: &TestApp, what: &str) -> Times {
    let mut times = Vec::new();
    for _ in 0..NEIGHBOURS {
        let began = Instant::now();
        let created = start(app, "neighbour", LimitsPatch::default()).await;
        app.reaches(&created, Phase::Completed).await;
        times.push(began.elapsed());
    }
    Times::of(times).print(&format!("another step {what}"))
}

/// A sandbox at its limits, another one beside it meanwhile, and its end by a person.
async fn beside(app: &TestApp, alone: Times, bully: &str, limits: LimitsPatch) {
    let created = start(app, bully, limits).await;
    app.reaches(&created, Phase::Executing).await;
    until("a bully at work", BOUND, async || (app.show(&created).await.steps[0].output_bytes > 0).then_some(())).await;
    let calls = Calls::begin(app);
    let times = neighbours(app, &format!("beside {bully}")).await;
    let calls = calls.end(&format!("beside {bully}")).await;
    assert!(calls.p95 < CALL_TIME_MAX, "calls take {calls:?}");
    // The machine is shared by all tests: a factor, and what a slow moment of it takes.
    let bound = alone.p95 * 4 + Duration::from_secs(10);
    assert!(times.p95 < bound, "another step takes {times:?}, alone {alone:?}");
    assert_eq!(app.show(&created).await.summary.phase, Phase::Executing);
    let began = Instant::now();
    app.call(CancelRun { run: created.run.to_string() }).await.unwrap();
    app.reaches(&created, Phase::Cancelled).await;
    eprintln!("{bully} was ended within {:.1?}", began.elapsed());
    let said = events(app, &created).await;
    app.is_swept().await;
    assert!(!said.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_or_a_busy_processor_leaves_the_app_and_other_sandboxes_as_they_are() {
    let app = TestApp::start().await;
    agent(&app, "neighbour", &["sh", "-c", "echo here"]).await;
    // By itself it forks once, before there is a bomb: a shell that cannot fork ends.
    agent(&app, "fork-bomb", &["sh", "-c", "echo begun; bomb() { bomb | bomb & }; bomb 2>/dev/null; exec sleep 600"])
        .await;
    let burn = "for i in 1 2 3 4 5 6 7 8; do while :; do :; done & done; echo begun; wait";
    agent(&app, "burner", &["sh", "-c", burn]).await;
    let first = start(&app, "neighbour", LimitsPatch::default()).await;
    app.reaches(&first, Phase::Completed).await;
    let alone = neighbours(&app, "alone").await;
    beside(&app, alone, "fork-bomb", LimitsPatch { pids: Some(128), cpu_milli: Some(500), ..LimitsPatch::default() })
        .await;
    beside(&app, alone, "burner", LimitsPatch { cpu_milli: Some(500), ..LimitsPatch::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_processor_limit_holds_whatever_the_agent_starts() {
    let app = TestApp::start().await;
    let program = "import os, time
for _ in range(4):
    if os.fork() == 0:
        while True: pass
began, used = time.monotonic(), lambda: int(open('/sys/fs/cgroup/cpuacct/cpuacct.usage').read()) / 1e9 \\
    if os.path.exists('/sys/fs/cgroup/cpuacct/cpuacct.usage') \\
    else int(open('/sys/fs/cgroup/cpu.stat').read().split()[1]) / 1e6
before = used()
time.sleep(5)
print((used() - before) / (time.monotonic() - began))";
    python(&app, "burner", program).await;
    let limits = LimitsPatch { cpu_milli: Some(250), ..LimitsPatch::default() };
    let created = start(&app, "burner", limits).await;
    app.reaches(&created, Phase::Completed).await;
    let cores: f64 = app.run(["logs", &created.run.to_string()]).await.good().text().trim().parse().unwrap();
    eprintln!("four busy processes at a limit of 0.25 cores used {cores:.3}");
    assert!(cores < 0.3, "{cores} cores");
    app.is_swept().await;
    assert_eq!(app.containers().iter().map(docker::name).count(), 0);
}
