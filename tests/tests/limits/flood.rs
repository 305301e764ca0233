//! Output without measure: one line as long as a disk, and lines without end.

use std::time::{Duration, Instant};

use berth_tests::{TestApp, command::run_within, until};
use wire::{ErrorCode, LimitsPatch, Phase, call::ShowTask};

use crate::support::{Calls, agent, assert_same_bytes, memory_of, output_file, start};

/// What the app may have in memory at most, whatever is printed. Idle it has some 40 MiB.
const MEMORY_BYTES_MAX: u64 = 320 << 20;
/// What a call takes at most, nineteen times out of twenty.
const CALL_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a flood takes at most.
const FLOOD_TIME_MAX: Duration = Duration::from_mins(30);
/// How much is printed, in MiB; `BERTH_TEST_FLOOD_MIB` asks for more.
const FLOOD_MIB: u64 = 256;

fn flood_bytes() -> u64 {
    std::env::var("BERTH_TEST_FLOOD_MIB").ok().map_or(FLOOD_MIB, |number| number.parse().unwrap()) << 20
}

/// Runs a flood to its end, and asserts that nobody but the disk noticed.
async fn flood(name: &str, prints: &str, bytes: u64) {
    let app = TestApp::start().await;
    agent(&app, "warm", &["true"]).await;
    let warm = start(&app, "warm", LimitsPatch::default()).await;
    app.reaches(&warm, Phase::Completed).await;
    agent(&app, "flood", &["sh", "-c", prints]).await;
    let began = Instant::now();
    let limits = LimitsPatch { output_bytes: Some(bytes + 1), wall_clock_s: Some(7_200), ..LimitsPatch::default() };
    let created = start(&app, "flood", limits).await;
    app.reaches(&created, Phase::Executing).await;
    let calls = Calls::begin(&app);
    // Somebody follows it, and somebody only wants a look at the last line.
    let run = created.run.to_string();
    let following = app.berth(["logs", &run, "--follow", "--raw"]).stdout(std::process::Stdio::null()).spawn();
    let mut following = following.unwrap();
    let view = until("the end of the flood", FLOOD_TIME_MAX, async || {
        let view = app.show(&created).await;
        let task = app.call(ShowTask { task: created.task.to_string() }).await.unwrap();
        assert!(task.row.note.chars().count() <= 250, "a note of {} characters", task.row.note.chars().count());
        view.summary.phase.is_final().then_some(view)
    })
    .await;
    assert_eq!(view.summary.phase, Phase::Completed, "{view:#?}");
    let took = began.elapsed();
    let times = calls.end(&format!("beside {name}")).await;
    let (now, most) = memory_of(app.pid());
    eprintln!(
        "{name}: {} MB/s, {} MiB in memory at most, {} MiB after it",
        u128::from(bytes) / took.as_micros().max(1),
        most >> 20,
        now >> 20
    );
    assert!(most < MEMORY_BYTES_MAX, "{} MiB in memory", most >> 20);
    assert!(times.p95 < CALL_TIME_MAX, "calls take {times:?}");
    let file = output_file(&app, &created).await;
    assert_eq!(std::fs::metadata(&file).unwrap().len(), bytes);
    assert_same_bytes(&file, prints).await;
    // It reads as fast as it can, which is nobody else's trouble.
    assert!(following.try_wait().unwrap().is_none_or(|status| status.success()));
    following.kill().await.unwrap();
    // What is shown of it afterwards is as small.
    for arguments in [["show", run.as_str()], ["results", run.as_str()]] {
        let ran = run_within(Duration::from_mins(1), &mut app.berth(arguments), b"").await.good();
        assert!(ran.stdout.len() < 64 << 10, "{} bytes", ran.stdout.len());
    }
    app.is_swept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_line_of_any_length_arrives_whole_and_nothing_grows_with_it() {
    let bytes = flood_bytes();
    let prints = format!("head -c {bytes} /dev/zero | tr '\\0' x");
    flood(&format!("a line of {} MiB", bytes >> 20), &prints, bytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_lines_arrives_whole_where_the_limit_lets_it() {
    let bytes = flood_bytes();
    let prints = format!("yes 'a line that is printed again and again, for gigabytes' | head -c {bytes}");
    flood(&format!("{} MiB of lines", bytes >> 20), &prints, bytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_past_its_limit_ends_the_agent_and_the_error_names_it() {
    let app = TestApp::start().await;
    agent(&app, "flood", &["yes", "never ending"]).await;
    let limits = LimitsPatch { output_bytes: Some(200 << 20), ..LimitsPatch::default() };
    let created = start(&app, "flood", limits).await;
    let error = app.reaches(&created, Phase::Failed).await.summary.error.unwrap();
    assert_eq!(error.code, ErrorCode::LimitReached);
    assert!(error.message.contains("200 MiB") && error.hint.contains("limits: output:"), "{error:?}");
    let file = output_file(&app, &created).await;
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 200 << 20);
    assert_same_bytes(&file, "yes 'never ending' | head -c 209715200").await;
    app.is_swept().await;
}
