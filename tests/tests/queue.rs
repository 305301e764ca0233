//! Who works when, and what a person can do about it: pause and resume, the queue, cancel, retry, limits of time and disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::time::{Duration, Instant};

use berth_tests::{TestApp, app::RUN_TIME_MAX, sample, until};
use camino::Utf8Path;
use wire::{
    ErrorCode, Phase, Priority,
    call::TaskCreated,
    queue::{QueueState, QueueView, Wait},
    view::{RunSummary, RunView, TaskRow},
};

/// An agent that is told to end has ten seconds, then its container as many; the rest is the engine's and this machine's.
const CANCEL_TIME_MAX: Duration = Duration::from_mins(1);
/// Something that happens ten times a second has stopped when it has not happened for so long.
const STILL: Duration = Duration::from_secs(2);

fn length(file: &Utf8Path) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

/// Waits until a file that grew has not grown for a while.
async fn stands_still(file: &Utf8Path) -> u64 {
    let mut last = (length(file), Instant::now());
    until("the file to stand still", RUN_TIME_MAX, async || {
        let now = length(file);
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > STILL).then_some(now)
    })
    .await
}

/// A task of a file, handed in without waiting.
async fn hand_in(app: &TestApp, folder: &Utf8Path, name: &str, text: &str, more: &[&str]) -> RunSummary {
    let file = sample::write(folder, name, text);
    let arguments = ["run", file.as_str(), "--json"].into_iter().chain(more.iter().copied());
    app.run(arguments).await.good().json()
}

fn created(summary: &RunSummary) -> TaskCreated {
    TaskCreated { task: summary.task, number: summary.number, run: summary.run }
}

/// Processes of this machine with that word among their arguments.
fn processes_with(word: &str) -> usize {
    let folders = std::fs::read_dir("/proc").unwrap().flatten();
    folders
        .filter_map(|folder| std::fs::read(folder.path().join("cmdline")).ok())
        .filter(|arguments| arguments.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()))
        .count()
}

const TICKS: &str = "while :; do echo t >> ticks; sleep 0.1; done";

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_rests_over_a_restart_keeps_its_time_and_goes_on() {
    let mut app = TestApp::start().await;
    let folder = camino_tempfile::tempdir().unwrap();
    let text = sample::script_with("limits: {time: 8s}\nagent: script", &[TICKS]);
    let summary = hand_in(&app, folder.path(), "task.md", &text, &[]).await;
    let created = created(&summary);
    let number = summary.number.to_string();
    let ticks = app.leaves_file(&created, "ticks").await.join("ticks");
    app.run(["pause", &number]).await.good();
    let rested = stands_still(&ticks).await;
    let list = app.run(["ls"]).await.good().text();
    assert!(list.contains("paused by you"), "{list}");
    app.kill().await;
    app.restart().await;
    // Longer than its limit, all of it held.
    let began = Instant::now();
    until("its time to be up, were it not held", RUN_TIME_MAX, async || {
        (began.elapsed() > Duration::from_secs(9)).then_some(())
    })
    .await;
    let view: RunView = app.run(["show", &number, "--json"]).await.good().json();
    assert_eq!(view.summary.phase, Phase::Executing, "{view:#?}");
    assert!(view.steps[0].held_since.is_some());
    assert_eq!(length(&ticks), rested, "nothing of it worked meanwhile");
    app.run(["resume", &number]).await.good();
    until("it to go on", RUN_TIME_MAX, async || (length(&ticks) > rested).then_some(())).await;
    let view = app.reaches(&created, Phase::Failed).await;
    let error = view.summary.error.unwrap();
    assert_eq!(error.code, ErrorCode::LimitReached);
    assert_eq!(error.message, "The agent was ended after 8 seconds: its time was up.");
    assert!(view.steps[0].held_ms >= 9_000, "{}", view.steps[0].held_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_says_why_and_goes_on_by_priority() {
    let app = TestApp::start().await;
    let folder = camino_tempfile::tempdir().unwrap();
    let paused: QueueView = app.run(["queue", "pause", "--json"]).await.good().json();
    assert_eq!(paused.state, QueueState::Paused);
    let low = sample::script_with("priority: low\nagent: script", &["true"]);
    let normal = sample::script_with("agent: script", &["true"]);
    let low = hand_in(&app, folder.path(), "low.md", &low, &[]).await;
    let normal = hand_in(&app, folder.path(), "normal.md", &normal, &[]).await;
    let high = sample::script(&["true"]);
    let high = hand_in(&app, folder.path(), "high.md", &high, &["--agent", "script", "--priority", "high"]).await;
    let view: QueueView = app.run(["queue", "--json"]).await.good().json();
    let line: Vec<_> = view.waiting.iter().map(|row| row.number).collect();
    assert_eq!(line, [high.number, normal.number, low.number]);
    assert_eq!(view.waiting[2].wait, Some(Wait::Paused { before: 2 }));
    let words = app.run(["queue"]).await.good().text();
    assert!(words.contains("The queue is paused") && words.contains("first in line"), "{words}");
    let raised: TaskRow = app.run(["priority", &low.number.to_string(), "high", "--json"]).await.good().json();
    assert_eq!((raised.priority, raised.wait), (Priority::High, Some(Wait::Paused { before: 0 })));
    app.run(["queue", "resume"]).await.good();
    let mut began = Vec::new();
    for summary in [&low, &high, &normal] {
        let view = app.reaches(&created(summary), Phase::Completed).await;
        let provisioned = view.steps[0].timeline.iter().find(|span| span.phase == Phase::Provisioning).unwrap();
        began.push(provisioned.entered_at);
    }
    // One home, so one after another.
    assert!(began.is_sorted(), "{began:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_tree_that_does_all_it_can_to_stay_outlives_a_cancel() {
    let app = TestApp::start().await;
    let word = format!("98765.{}", std::process::id());
    let stubborn = format!(
        r#"
import os, signal, subprocess, sys, time
def forked(work):
    if os.fork() == 0:
        work()
        os._exit(0)
def stay():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.execvp("sleep", ["sleep", "{word}"])
def daemon():
    os.setsid()
    forked(stay)
def stopped():
    os.setsid()
    pid = os.fork()
    if pid == 0:
        stay()
    time.sleep(0.5)
    os.kill(pid, signal.SIGSTOP)
forked(stay)
forked(daemon)
forked(stopped)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(1)
open("/workspace/ready", "w").close()
time.sleep(600)
"#
    );
    let created = app.create(&format!("# Stay\n\n```python\n{}\n```\n", stubborn.trim())).await;
    app.leaves_file(&created, "ready").await;
    until("all three to be there", RUN_TIME_MAX, async || (processes_with(&word) == 3).then_some(())).await;
    // Held, so that the end meets a tree that rests.
    app.run(["pause", &created.number.to_string()]).await.good();
    let began = Instant::now();
    app.run(["cancel", &created.number.to_string()]).await.good();
    app.reaches(&created, Phase::Cancelled).await;
    assert_eq!(processes_with(&word), 0, "when it is called cancelled nothing of it is left");
    assert!(began.elapsed() < CANCEL_TIME_MAX, "it took {:?}", began.elapsed());
    app.is_swept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cancelled_right_after_the_app_was_killed_and_came_back() {
    let mut app = TestApp::start().await;
    let word = format!("98764.{}", std::process::id());
    let created = app.create(&sample::script(&[&format!("trap '' TERM; touch ready; sleep {word}")])).await;
    app.leaves_file(&created, "ready").await;
    app.kill().await;
    app.restart().await;
    // While the sandbox is being taken over.
    app.run(["cancel", &created.number.to_string()]).await.good();
    app.reaches(&created, Phase::Cancelled).await;
    assert_eq!(processes_with(&word), 0);
    app.is_swept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_grows_past_the_limit_of_disk_ends_the_step_and_a_retry_has_its_files() {
    let app = TestApp::start().await;
    let folder = camino_tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data.csv"), "a,b\n").unwrap();
    let block = "cp data.csv copy; dd if=/dev/zero of=/home/agent/big bs=1M count=24 status=none; sync; sleep 600";
    let text = sample::script_with("files: [data.csv]\nagent: script\nlimits: {disk: 16MiB}", &[block]);
    let summary = hand_in(&app, folder.path(), "task.md", &text, &[]).await;
    let view = app.reaches(&created(&summary), Phase::Failed).await;
    let error = view.summary.error.unwrap();
    assert_eq!(error.code, ErrorCode::LimitReached);
    assert!(error.message.contains("16 MiB"), "{}", error.message);
    assert!(view.steps[0].disk_bytes.unwrap() > 24 << 20, "{:?}", view.steps[0].disk_bytes);
    let again: RunSummary = app.run(["retry", &summary.number.to_string(), "--json"]).await.good().json();
    assert_ne!(again.run, summary.run);
    // What the home held at its start does not count against it.
    let workspace = app.leaves_file(&created(&again), "copy").await;
    assert_eq!(std::fs::read_to_string(workspace.join("copy")).unwrap(), "a,b\n");
    app.run(["cancel", &again.run.to_string()]).await.good();
    app.reaches(&created(&again), Phase::Cancelled).await;
}
