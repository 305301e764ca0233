//! The engine stops, is killed and hangs under agents at work, with live-restore and without: each agent goes on, or its run's
//! error says what happened. On engines of the tests' own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::time::Duration;

use berth_tests::{OwnEngine, TestApp, app::Leftovers, own_engine::LiveRestore, until};
use wire::{
    ErrorCode, ErrorView, EventKind, Hold, Limits, Phase,
    call::{Act, CreateAgent, CreateTask, ListEvents, TaskCreated},
    task::{Launch, NewTask, ReviewGate},
    view::StepView,
};

const IMAGE: &str = "debian:bookworm-slim";
/// Everything that a test waits for comes within this.
const BOUND: Duration = Duration::from_mins(3);
/// Prints numbered lines until it is told to end, and notes each time that it is started.
const COUNTS: &str = "echo once >>began; n=0; \
    while [ ! -e go ]; do echo \"line $n\"; n=$((n+1)); if [ $n -ge 2000 ]; then sleep 0.05; fi; done; echo end";
/// Words of causes that are none of these tests'.
const WRONG_CAUSES: [&str; 5] = ["memory", "time was up", "exit code", "removed", "broke the protocol"];

async fn app_on(engine: &OwnEngine) -> TestApp {
    engine.load(IMAGE);
    let app = TestApp::start_on(engine).await;
    agent(&app).await;
    app
}

async fn agent(app: &TestApp) {
    let argv = ["/bin/sh", "-c", COUNTS].map(str::to_owned).to_vec();
    let (name, image, limits) = ("counter".to_owned(), IMAGE.to_owned(), Limits::default());
    let create = CreateAgent {
        name,
        image,
        launch: Launch::Command { argv },
        limits,
        review: ReviewGate::Skip,
        ..CreateAgent::default()
    };
    app.call(create).await.unwrap();
}

/// Begins a task whose agent prints, and waits until it has printed for a while.
async fn begin(app: &TestApp) -> TaskCreated {
    let task = NewTask {
        title: None,
        prompt: "Count".to_owned(),
        agent: Some("counter".to_owned()),
        project: None,
        limits: None,
        review: None,
        attachments: Vec::new(),
        priority: None,
    };
    let created = app.call(CreateTask { task }).await.unwrap();
    app.reaches(&created, Phase::Executing).await;
    prints_past(app, &created, 20_000).await;
    created
}

async fn step(app: &TestApp, task: &TaskCreated) -> StepView {
    app.show(task).await.steps.remove(0)
}

async fn prints_past(app: &TestApp, task: &TaskCreated, bytes: u64) {
    until("more output", BOUND, async || (step(app, task).await.output_bytes > bytes).then_some(())).await;
}

async fn is_held_for(app: &TestApp, task: &TaskCreated, holds: &[Hold]) {
    until(&format!("holds of {holds:?}"), BOUND, async || (step(app, task).await.holds == holds).then_some(())).await;
}

/// All lines of an output, which must be those that the agent prints, from the first one on and without a gap.
async fn lines(app: &TestApp, task: &TaskCreated) -> Vec<String> {
    let text = app.run(["logs", &task.run.to_string()]).await.good().text();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // What was lost with the agent may begin in the middle of a line.
    if !text.ends_with('\n') {
        lines.pop();
    }
    let numbered = lines.iter().filter(|line| *line != "end");
    for (number, line) in numbered.enumerate() {
        assert_eq!(*line, format!("line {number}"));
    }
    lines
}

async fn completes(app: &TestApp, task: &TaskCreated) {
    let workspace = app.workspace(task).await;
    std::fs::write(workspace.join("go"), "").unwrap();
    app.reaches(task, Phase::Completed).await;
    assert_eq!(lines(app, task).await.last().map(String::as_str), Some("end"));
    assert_eq!(std::fs::read_to_string(workspace.join("began")).unwrap(), "once\n", "it was started once");
    app.is_swept().await;
}

/// How a step that is lost says that it is.
async fn is_lost(app: &TestApp, task: &TaskCreated) -> ErrorView {
    let view = app.reaches(task, Phase::Failed).await;
    let error = view.steps[0].error.clone().unwrap();
    assert_eq!(error.code, ErrorCode::SandboxLost, "{error:?}");
    for wrong in WRONG_CAUSES {
        assert!(!error.message.contains(wrong), "{error:?}");
    }
    let lines = lines(app, task).await;
    assert!(lines.len() > 2_000, "{} lines are kept", lines.len());
    // The last lines that the error quotes are the last that are kept.
    let quoted = error.detail.lines().last().unwrap_or_default().to_owned();
    assert!(lines[lines.len() - 2..].contains(&quoted), "{quoted:?} of {:?}", lines.last());
    app.is_swept().await;
    error
}

async fn adoptions(app: &TestApp, task: &TaskCreated) -> usize {
    let list = ListEvents { task: Some(task.task), after_seq: 0, limit: 1_000 };
    let events = app.call(list).await.unwrap();
    events.iter().filter(|event| matches!(event.kind, EventKind::Adopted { .. })).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_live_restore_an_agent_outlives_the_engine_stopped_killed_and_hung() {
    let mut engine = OwnEngine::start(LiveRestore::On).await;
    let app = app_on(&engine).await;
    let task = begin(&app).await;
    for round in ["stopped", "killed", "hung"] {
        match round {
            "stopped" => engine.stop().await,
            "killed" => engine.kill().await,
            _ => engine.freeze().await,
        }
        is_held_for(&app, &task, &[Hold::Engine]).await;
        let printed = step(&app, &task).await.output_bytes;
        match round {
            "hung" => engine.thaw().await,
            _ => engine.come_back().await,
        }
        is_held_for(&app, &task, &[]).await;
        prints_past(&app, &task, printed).await;
    }
    assert_eq!(adoptions(&app, &task).await, 0, "the same app made it");
    completes(&app, &task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_live_restore_kept_is_adopted_by_an_app_that_was_away_as_well() {
    let mut engine = OwnEngine::start(LiveRestore::On).await;
    let mut app = app_on(&engine).await;
    let task = begin(&app).await;
    app.kill().await;
    engine.kill().await;
    // The app is back first: it waits for its engine.
    app.restart().await;
    is_held_for(&app, &task, &[Hold::Engine]).await;
    engine.come_back().await;
    is_held_for(&app, &task, &[]).await;
    let printed = step(&app, &task).await.output_bytes;
    prints_past(&app, &task, printed).await;
    assert_eq!(adoptions(&app, &task).await, 1);
    completes(&app, &task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_live_restore_the_run_says_that_the_engine_went_away() {
    let mut engine = OwnEngine::start(LiveRestore::Off).await;
    let app = app_on(&engine).await;
    for round in ["stopped", "killed"] {
        let task = begin(&app).await;
        match round {
            "stopped" => engine.stop().await,
            _ => engine.kill().await,
        }
        is_held_for_or_over(&app, &task).await;
        engine.come_back().await;
        let error = is_lost(&app, &task).await;
        assert!(error.message.contains("The engine went away while the agent worked"), "{round}: {error:?}");
        assert!(error.hint.contains("live-restore"), "{round}: {error:?}");
    }
    // And it is as good as new.
    let task = begin(&app).await;
    completes(&app, &task).await;
}

/// The end of a sandbox may be known before the engine is back, where its guest said so in time.
async fn is_held_for_or_over(app: &TestApp, task: &TaskCreated) {
    until("a hold of the engine, or the end", BOUND, async || {
        let step = step(app, task).await;
        (step.holds == [Hold::Engine] || step.phase.is_final()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_live_restore_an_app_that_was_away_as_well_tells_of_an_end_from_outside() {
    let mut engine = OwnEngine::start(LiveRestore::Off).await;
    let mut app = app_on(&engine).await;
    let task = begin(&app).await;
    app.kill().await;
    engine.stop().await;
    engine.come_back().await;
    app.restart().await;
    let error = is_lost(&app, &task).await;
    assert!(error.message.contains("the engine or the machine was stopped, or someone stopped"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_killed_stopped_or_removed_by_someone_is_called_so() {
    let app = TestApp::start().await;
    agent(&app).await;
    for (command, words) in [
        (
            ["kill", "--signal=KILL"],
            "The sandbox ended while the agent worked: it was killed from outside or by a limit.",
        ),
        (
            ["stop", "--time=10"],
            "The sandbox was ended from outside while the agent worked: the engine or the machine was stopped, or someone stopped the container.",
        ),
        (["rm", "--force"], "The sandbox was removed from outside while the agent worked."),
    ] {
        let task = begin(&app).await;
        let name = step(&app, &task).await.sandbox.unwrap().container;
        app.docker().run(&[command[0], command[1], &name]);
        let view = app.reaches(&task, Phase::Failed).await;
        let error = view.steps[0].error.clone().unwrap();
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::SandboxLost, words));
        assert!(lines(&app, &task).await.len() > 2_000);
        app.is_swept().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_of_a_sandbox_that_was_removed_while_no_app_ran_is_read_from_its_spool() {
    let mut app = TestApp::start().await;
    agent(&app).await;
    let task = begin(&app).await;
    let workspace = app.workspace(&task).await;
    let name = step(&app, &task).await.sandbox.unwrap().container;
    app.kill().await;
    std::fs::write(workspace.join("go"), "").unwrap();
    // Nobody reads what it prints any more; that it is done is seen by its processes.
    until("the agent to end", BOUND, async || {
        let processes = app.docker().run(&["top", &name, "-eo", "pid,args"]);
        (!processes.contains("began")).then_some(())
    })
    .await;
    app.docker().run(&["rm", "--force", &name]);
    app.leaves(Leftovers::None);
    app.restart().await;
    app.reaches(&task, Phase::Completed).await;
    assert_eq!(lines(&app, &task).await.last().map(String::as_str), Some("end"));
    app.is_swept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_paused_by_someone_is_shown_so_and_resumed_by_either() {
    let app = TestApp::start().await;
    agent(&app).await;
    let task = begin(&app).await;
    let view = step(&app, &task).await;
    let name = view.sandbox.unwrap().container;
    for is_resumed_here in [false, true] {
        app.docker().run(&["pause", &name]);
        is_held_for(&app, &task, &[Hold::Person]).await;
        let printed = step(&app, &task).await.output_bytes;
        if is_resumed_here {
            let resume = Act { step: view.step, action: wire::Action::Resume, comment: String::new() };
            app.call(resume).await.unwrap();
        } else {
            app.docker().run(&["unpause", &name]);
        }
        is_held_for(&app, &task, &[]).await;
        prints_past(&app, &task, printed).await;
    }
    completes(&app, &task).await;
}
