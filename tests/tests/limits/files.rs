//! A workspace with more in it than anybody wants to see.

use std::time::{Duration, Instant};

use berth_tests::{TestApp, until};
use wire::{LimitsPatch, Phase, call::ListResults, view::ResultList};

use crate::support::{BOUND, Calls, memory_of, notice, python, start};

/// Files in one folder; `BERTH_TEST_FILES` asks for more.
const FILES: u64 = 100_000;
/// What the app may have in memory at most.
const MEMORY_BYTES_MAX: u64 = 400 << 20;
/// What a call takes at most, nineteen times out of twenty.
const CALL_TIME_MAX: Duration = Duration::from_secs(3);

/// Leaves all of it, says so, and goes on changing one file until it is told to stop.
const PROGRAM: &str = "
import os, time
os.chdir('/workspace')
with open('sparse', 'wb') as sparse:
    sparse.truncate(1 << 40)
with open('n' * 255, 'w') as long:
    long.write('long')
top = os.open('.', os.O_RDONLY)
for _ in range(2000):
    os.mkdir('d')
    os.chdir('d')
open('bottom', 'w').close()
os.fchdir(top)
for folder in range(FILES // 100000 or 1):
    os.mkdir(f'many-{folder}')
    for number in range(min(FILES, 100000)):
        os.close(os.open(f'many-{folder}/{number:06}', os.O_CREAT | os.O_WRONLY))
print('made', flush=True)
round = 0
while not os.path.exists('stop'):
    round += 1
    with open('changing', 'r+b' if os.path.exists('changing') else 'wb') as changing:
        changing.truncate(round % 7 * 1000000)
        changing.seek(0)
        changing.write(os.urandom(1 << 20))
";

async fn results(app: &TestApp, run: &str) -> ResultList {
    app.call(ListResults { run: run.to_owned() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_files_deep_folders_and_huge_sizes_are_listed_within_bounds_and_the_rest_is_counted() {
    let files = std::env::var("BERTH_TEST_FILES").ok().map_or(FILES, |number| number.parse().unwrap());
    let app = TestApp::start().await;
    python(&app, "litterer", &PROGRAM.replace("FILES", &files.to_string())).await;
    let limits = LimitsPatch { wall_clock_s: Some(7_200), ..LimitsPatch::default() };
    let created = start(&app, "litterer", limits).await;
    app.reaches(&created, Phase::Executing).await;
    let calls = Calls::begin(&app);
    let run = created.run.to_string();
    until("everything made", 4 * BOUND, async || {
        let view = app.show(&created).await;
        assert!(!view.summary.phase.is_final(), "{view:#?}");
        (view.steps[0].output_bytes > 0).then_some(())
    })
    .await;
    let began = Instant::now();
    let said = notice(&app, "left out").await;
    eprintln!("{files} files: said {:.1?} after the last was made: {said}", began.elapsed());
    until("a list with its rest", BOUND, async || (results(&app, &run).await.left_out > 0).then_some(())).await;
    let (now, most) = memory_of(app.pid());
    let times = calls.end(&format!("beside {files} files")).await;
    eprintln!("{files} files: {} MiB in memory at most, {} MiB now", most >> 20, now >> 20);
    assert!(most < MEMORY_BYTES_MAX, "{} MiB in memory", most >> 20);
    assert!(times.p95 < CALL_TIME_MAX, "calls take {times:?}");

    let workspace = app.show(&created).await.steps[0].workspace.clone().unwrap();
    std::fs::write(format!("{workspace}/stop"), "").unwrap();
    let ended = Instant::now();
    let view = app.reaches(&created, Phase::Completed).await;
    eprintln!("{files} files: completed {:.1?} after the agent was told to end", ended.elapsed());
    // It stays said after the end.
    let list = results(&app, &run).await;
    assert!(list.results.iter().all(|result| result.is_final));
    let shown = list.results.len() as u64;
    assert!((9_000..=10_000).contains(&shown), "{shown} are shown");
    assert!(shown + list.left_out >= files.min(900_000), "{shown} and {} left out", list.left_out);
    let printed = app.run(["results", &run]).await.good().text();
    assert!(printed.contains(&list.left_out.to_string()), "the rest is not named: {}", &printed[printed.len() - 300..]);
    let of_task = app.call(wire::call::ListTasks::default()).await.unwrap().rows;
    assert_eq!(of_task[0].results, shown + list.left_out, "{view:#?}");
    app.is_swept().await;
    // Deeper than what removes a temporary folder can go.
    let removed = tokio::process::Command::new("rm").args(["-rf", &workspace]).status().await.unwrap();
    assert!(removed.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_files_are_results_that_say_why_there_is_nothing_to_read() {
    let app = TestApp::start().await;
    python(&app, "litterer", &PROGRAM.replace("FILES", "10")).await;
    let created = start(&app, "litterer", LimitsPatch::default()).await;
    app.reaches(&created, Phase::Executing).await;
    let workspace = app.workspace(&created).await;
    app.leaves_file(&created, "changing").await;
    std::fs::write(workspace.join("stop"), "").unwrap();
    app.reaches(&created, Phase::Completed).await;
    let list = results(&app, &created.run.to_string()).await;
    let find =
        |path: &str| list.results.iter().find(|result| result.path == path).unwrap_or_else(|| panic!("no {path}"));
    let sparse = find("sparse");
    assert_eq!(sparse.size_bytes, 1 << 40);
    assert!(sparse.unreadable.as_ref().is_some_and(|reason| reason.contains("too large to hash")), "{sparse:?}");
    assert_eq!(find(&"n".repeat(255)).size_bytes, 4);
    assert!(find("changing").sha256.is_some(), "it rests now");
    assert!(list.left_out > 0, "the bottom is too deep: {:?}", list.left_out);
    app.is_swept().await;
    let removed = tokio::process::Command::new("rm").args(["-rf", workspace.as_str()]).status().await.unwrap();
    assert!(removed.success());
}
