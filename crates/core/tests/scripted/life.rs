//! A step's life when all goes well, and when a person interferes.

use engine::{Engine as _, ImageRef, LabelFilter, Role};
use pipe::message::{ExitStatus, Signal};
use testkit::{Fault, Gate, Op, until};
use wire::{Action, ErrorCode, EventKind, Hold, LimitsPatch, Phase};

use crate::guest::Misdeed;
use crate::scene::{BOUND, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn a_task_runs_to_its_end_and_its_output_is_byte_for_byte_what_was_printed() {
    let scene = Scene::start().await;
    let task = scene.task("Say hello").await;
    let guest = scene.at_work(&task).await;
    let agent = guest.agent().unwrap();
    assert_eq!(agent.prompt, "Say hello");
    assert_eq!(agent.start.argv, ["agent"]);
    assert!(agent.start.env.contains(&("COLOUR".to_owned(), "blue".to_owned())));
    let step = scene.step(&task).await.step;

    let printed: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let live = async {
        for piece in printed.chunks(70_000) {
            guest.print(piece);
            tokio::task::yield_now().await;
        }
        until("all is acknowledged", BOUND, async || guest.agent().unwrap().acknowledged == printed.len() as u64).await;
        guest.exit_with(0);
    };
    let (live_bytes, ()) = tokio::join!(scene.output(step, 0), live);
    assert!(live_bytes == printed, "{} bytes of {}", live_bytes.len(), printed.len());

    let step = scene.until_phase(&task, Phase::Completed).await;
    assert_eq!(step.output_bytes, printed.len() as u64);
    assert!(scene.output(step.step, 0).await == printed, "the replay differs");
    assert!(scene.output(step.step, 1_000_001).await == printed[1_000_001..], "the replay from the middle differs");
    assert_eq!(scene.run(&task).await.summary.error, None);
    scene.nothing_is_left().await;
    let events = scene.events(&task).await;
    assert!(
        events.iter().any(|event| matches!(event, EventKind::AgentExited { how } if how == "ended with exit code 0"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_fails_says_why_in_its_report() {
    let scene = Scene::start().await;
    let task = scene.task("Fail").await;
    let guest = scene.at_work(&task).await;
    guest.print("some words\n");
    let report = r#"{"error":{"title":"block 2 failed","detail":"line one"}}"#;
    guest.exit(ExitStatus::Exited { code: 3 }, Some(report));
    let error = scene.until_phase(&task, Phase::Failed).await.error.unwrap();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::AgentFailed, "The agent failed: block 2 failed."));
    assert_eq!(error.detail, "line one");
    assert_eq!(scene.run(&task).await.summary.error, Some(error));
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_cancelled_at_any_stage_of_making_its_sandbox() {
    for (op, nth) in [
        (Op::Image, 1),
        (Op::CreateVolume, 1),
        (Op::PutArchive, 1),
        (Op::PutArchive, 2),
        (Op::PutArchive, 3),
        (Op::Create, 4),
        (Op::Start, 1),
    ] {
        let scene = Scene::start().await;
        let gate = Gate::default();
        let before = scene.engine.count(op);
        scene.engine.fault(op, before + nth, Fault::Stall(gate.clone()));
        let task = scene.task("Never begins").await;
        until(&format!("{op:?} {nth} stalls"), BOUND, async || gate.is_awaited()).await;
        scene.cancel(&task).await;
        scene.until_phase(&task, Phase::Cancelled).await;
        gate.open();
        scene.nothing_is_left().await;
        assert!(scene.guests.all().is_empty(), "no agent was started");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_at_work_is_ended_when_its_step_is_cancelled() {
    let scene = Scene::start().await;
    let task = scene.task("Work").await;
    let guest = scene.at_work(&task).await;
    guest.print("half");
    scene.cancel(&task).await;
    let step = scene.until_phase(&task, Phase::Cancelled).await;
    assert_eq!(guest.agent().unwrap().ends, 1);
    assert_eq!(scene.output(step.step, 0).await, b"half");
    scene.nothing_is_left().await;
}

/// As `docker system prune --all --volumes` does, of what no container uses.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_prunes_from_the_engine_is_made_again() {
    let scene = Scene::start().await;
    let first = scene.task("Work").await;
    scene.at_work(&first).await.exit_with(0);
    scene.until_phase(&first, Phase::Completed).await;
    scene.nothing_is_left().await;
    scene.engine.remove_image(&ImageRef::parse("berth/empty:1").unwrap()).await.unwrap();
    for volume in scene.engine.volumes(&LabelFilter::any_install().role(Role::Guest)).await.unwrap() {
        scene.engine.remove_volume(&volume.name).await.unwrap();
    }
    let second = scene.task("Work again").await;
    scene.at_work(&second).await.exit_with(0);
    scene.until_phase(&second, Phase::Completed).await;
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_ignores_its_end_is_killed_with_its_container() {
    let scene = Scene::start().await;
    let task = scene.task("Hang on").await;
    let guest = scene.at_work(&task).await;
    guest.misbehave(Misdeed::IgnoreEnd);
    scene.cancel(&task).await;
    scene.until_phase(&task, Phase::Cancelled).await;
    assert_eq!(scene.engine.count(Op::Kill), 1);
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_pauses_and_resumes() {
    let scene = Scene::start().await;
    let task = scene.task("Rest").await;
    let guest = scene.at_work(&task).await;
    let step = scene.step(&task).await.step;
    for _ in 0..20 {
        assert_eq!(scene.act(step, Action::Pause, "").await.unwrap().holds, [Hold::Person]);
        assert_eq!(scene.act(step, Action::Resume, "").await.unwrap().holds, []);
    }
    scene.act(step, Action::Pause, "").await.unwrap();
    until("the agent is stopped", BOUND, async || guest.agent().unwrap().signals.last() == Some(&Signal::Stop)).await;

    // A pipe that is lost must not let it go on.
    guest.cut();
    until("it is stopped again", BOUND, async || {
        guest.agent().unwrap().signals.ends_with(&[Signal::Stop, Signal::Stop])
    })
    .await;
    let refused = scene.act(step, Action::Pause, "").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotNow);
    scene.act(step, Action::Resume, "").await.unwrap();
    until("the agent goes on", BOUND, async || guest.agent().unwrap().signals.last() == Some(&Signal::Continue)).await;
    guest.exit_with(0);
    scene.until_phase(&task, Phase::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_prints_too_much_is_ended_and_what_it_may_print_is_kept() {
    let scene = Scene::start().await;
    let limits = LimitsPatch { output_bytes: Some(100_000), ..LimitsPatch::default() };
    let task = scene.task_of("own", "Print", Some(limits)).await;
    let guest = scene.at_work(&task).await;
    guest.print(vec![b'x'; 300_000]);
    let step = scene.until_phase(&task, Phase::Failed).await;
    let error = step.error.unwrap();
    assert_eq!(error.code, ErrorCode::LimitReached);
    assert_eq!(error.message, "The agent printed more than 97.6 KiB, so it was ended.");
    assert_eq!(scene.output(step.step, 0).await.len(), 100_000);
    assert_eq!(step.limits.memory_bytes, wire::Limits::default().memory_bytes);
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_time_is_up_failed_for_that_reason() {
    let scene = Scene::start().await;
    let limits = LimitsPatch { wall_clock_s: Some(90), ..LimitsPatch::default() };
    let task = scene.task_of("own", "Work long", Some(limits)).await;
    let guest = scene.at_work(&task).await;
    assert_eq!(guest.agent().unwrap().start.wall_clock_ms, Some(90_000));
    guest.exit(ExitStatus::WallClock, None);
    let error = scene.until_phase(&task, Phase::Failed).await.error.unwrap();
    assert_eq!(error.code, ErrorCode::LimitReached);
    assert_eq!(error.message, "The agent was ended after 90 seconds: its time was up.");
    scene.nothing_is_left().await;
}
