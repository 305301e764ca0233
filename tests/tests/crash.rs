//! The app is killed in the middle of the work. Nothing is lost, nothing is done twice, nothing is left behind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use berth_tests::{TestApp, app::RUN_TIME_MAX, docker, sample, until};
use camino::Utf8Path;
use sha2::{Digest, Sha256};
use wire::{Phase, call::TaskCreated, event::EventKind, view::TaskList};

/// Output of a witness: half before the kill, half after it. Below what a guest spools for an app that is away.
const MEBIBYTES: u32 = 16;

/// What the agent says it wrote, what Berth kept of it, and how often the agent was started.
async fn assert_nothing_was_lost_or_done_twice(app: &TestApp, created: &TaskCreated, workspace: &Utf8Path) {
    let view = app.reaches(created, Phase::Completed).await;
    let output = app.run(["logs", &created.run.to_string()]).await.good().stdout;
    let kept = sample::witnessed(&output);
    let said = std::fs::read_to_string(workspace.join("sha256")).unwrap();
    assert_eq!(hex::encode(Sha256::digest(&kept)), said, "{} bytes of output were kept", kept.len());
    assert!(kept.len() > (MEBIBYTES as usize) << 20);
    assert_eq!(std::fs::read_to_string(workspace.join("began")).unwrap(), "once\n");
    assert_eq!(view.steps[0].attempt, 1);
    let executing = view.steps[0].timeline.iter().filter(|span| span.phase == Phase::Executing).count();
    assert_eq!(executing, 1, "{:#?}", view.steps[0].timeline);
    app.is_swept().await;
}

async fn adoptions(app: &TestApp, created: &TaskCreated) -> usize {
    let events =
        app.call(wire::call::ListEvents { task: Some(created.task), after_seq: 0, limit: 1_000 }).await.unwrap();
    events.iter().filter(|event| matches!(event.kind, EventKind::Adopted { .. })).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_goes_on_after_the_app_was_killed_and_started_again() {
    let mut app = TestApp::start().await;
    let created = app.create(&sample::witness(1, MEBIBYTES)).await;
    let workspace = app.leaves_file(&created, "half").await;
    app.kill().await;
    app.restart().await;
    app.reaches(&created, Phase::Executing).await;
    sample::write(&workspace, "go", "");
    assert_nothing_was_lost_or_done_twice(&app, &created, &workspace).await;
    assert_eq!(adoptions(&app, &created).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_ends_while_the_app_is_away_is_accounted_for() {
    let mut app = TestApp::start().await;
    let created = app.create(&sample::witness(2, MEBIBYTES)).await;
    let workspace = app.leaves_file(&created, "half").await;
    app.kill().await;
    sample::write(&workspace, "go", "");
    until("the agent to end", RUN_TIME_MAX, async || workspace.join("sha256").exists().then_some(())).await;
    app.restart().await;
    assert_nothing_was_lost_or_done_twice(&app, &created, &workspace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_leaves_the_sandbox_working() {
    let mut app = TestApp::start().await;
    let created = app.create(&sample::witness(3, MEBIBYTES)).await;
    let workspace = app.leaves_file(&created, "half").await;
    app.stop().await;
    let running = app.containers().iter().filter(|container| container["State"]["Running"] == true).count();
    assert_eq!(running, 1, "the sandbox works on");
    sample::write(&workspace, "go", "");
    app.restart().await;
    assert_nothing_was_lost_or_done_twice(&app, &created, &workspace).await;
}

/// The app is killed at ever later moments, from the moment the task is taken in to the middle of the work. Whatever it was
/// doing then, the run completes and its agent was started once.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_of_provisioning_loses_nothing() {
    let mut app = TestApp::start().await;
    // The image is there, so that what follows is provisioning and no build.
    let first = app.create(&sample::script(&["true"])).await;
    app.reaches(&first, Phase::Completed).await;
    for containers_seen in 0..3 {
        let created = app.create(&sample::script(&["echo once >> began"])).await;
        until("that much of the sandbox", RUN_TIME_MAX, async || {
            let made = app.containers().len();
            (made >= containers_seen || app.show(&created).await.summary.phase.is_final()).then_some(())
        })
        .await;
        app.kill().await;
        app.restart().await;
        let view = app.reaches(&created, Phase::Completed).await;
        let began = Utf8Path::new(view.summary.workspace.as_deref().unwrap()).join("began");
        assert_eq!(std::fs::read_to_string(began).unwrap(), "once\n", "killed with {containers_seen} containers");
        app.is_swept().await;
    }
    let list: TaskList = app.run(["ls", "--json"]).await.good().json();
    assert!(list.rows.iter().all(|row| row.phase == Phase::Completed), "{list:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_was_removed_while_the_app_was_away_fails_its_step_with_the_reason() {
    let mut app = TestApp::start().await;
    let created = app.create(&sample::script(&["echo kept > kept", "sleep 600"])).await;
    app.leaves_file(&created, "kept").await;
    app.kill().await;
    for container in app.containers() {
        docker::docker(&["container", "rm", "--force", docker::name(&container)]);
    }
    app.restart().await;
    let view = app.reaches(&created, Phase::Failed).await;
    assert_eq!(view.summary.error.unwrap().code, wire::ErrorCode::SandboxLost);
    let results = app.call(wire::call::ListResults { run: created.run.to_string() }).await.unwrap();
    assert!(results.results.iter().any(|result| result.path == "kept" && result.is_final));
    app.is_swept().await;
}
