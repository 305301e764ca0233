//! Pipes, engines, containers and the app itself go away, and nothing is lost with them.

use camino::Utf8Path;
use engine::{Engine, Exit};
use pipe::message::{ExitRecord, ExitStatus, OutOfMemory, OutOfProcesses, Signal};
use pipe::spool;
use testkit::{Fault, Gate, Op, until};
use wire::{Action, ErrorCode, EventKind, Hold, LimitsPatch, Phase, task::ReviewGate};

use crate::guest::Guest;
use crate::scene::{BOUND, Scene};

/// The container in which a step's agent works.
async fn container(scene: &Scene, task: &wire::call::TaskCreated) -> engine::ContainerId {
    let name = scene.step(task).await.sandbox.unwrap().container;
    let id = engine::ContainerName::parse(name).unwrap().into();
    scene.engine.inspect(&id).await.unwrap().unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_is_cut_again_and_again_loses_and_repeats_nothing() {
    let scene = Scene::start().await;
    let task = scene.task("Print a lot").await;
    let guest = scene.at_work(&task).await;
    let step = scene.step(&task).await.step;
    let printed: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
    let mut sent = 0;
    for piece in printed.chunks(100_000) {
        guest.print(piece);
        // Somewhere in the middle of it.
        until("a part of it is here", BOUND, async || scene.step(&task).await.output_bytes > sent).await;
        guest.cut();
        sent += piece.len() as u64;
        until("all of it is here", BOUND, async || scene.step(&task).await.output_bytes == sent).await;
    }
    guest.exit_with(0);
    scene.until_phase(&task, Phase::Completed).await;
    assert!(scene.output(step, 0).await == printed);
    assert_eq!(guest.agent().unwrap().made, 1);
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_away_holds_the_step_until_it_is_back() {
    let scene = Scene::start().await;
    let task = scene.task("Work on").await;
    let guest = scene.at_work(&task).await;
    guest.print("before, ");
    scene.engine.go_away();
    guest.cut();
    until("the step is held", BOUND, async || scene.step(&task).await.holds == [Hold::Engine]).await;
    guest.print("meanwhile, ");
    scene.engine.come_back();
    until("it is held no longer", BOUND, async || scene.step(&task).await.holds.is_empty()).await;
    until("the agent goes on", BOUND, async || guest.agent().unwrap().signals.last() == Some(&Signal::Continue)).await;
    guest.print("after");
    guest.exit_with(0);
    let step = scene.until_phase(&task, Phase::Completed).await;
    assert_eq!(scene.output(step.step, 0).await, b"before, meanwhile, after");
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_of_the_engine_does_not_outlive_it_when_the_app_was_closed_meanwhile() {
    let mut scene = Scene::start().await;
    let task = scene.task("Work on").await;
    let guest = scene.at_work(&task).await;
    scene.engine.go_away();
    guest.cut();
    until("the step is held", BOUND, async || scene.step(&task).await.holds == [Hold::Engine]).await;
    scene.stop().await;
    scene.engine.come_back();
    scene.start_again().await;
    until("it is held no longer", BOUND, async || scene.step(&task).await.holds.is_empty()).await;
    until("the agent goes on", BOUND, async || guest.agent().unwrap().signals.last() == Some(&Signal::Continue)).await;
    guest.exit_with(0);
    scene.until_phase(&task, Phase::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_was_closed_takes_its_agents_over_and_starts_nothing_twice() {
    let mut scene = Scene::start().await;
    let task = scene.task("Work on").await;
    let guest = scene.at_work(&task).await;
    guest.print("one ");
    until("a part is here", BOUND, async || scene.step(&task).await.output_bytes == 4).await;
    scene.stop().await;
    guest.print("two ");
    // The image is not needed to take over what runs.
    let images = scene.engine.count(Op::Image);
    scene.engine.fault(Op::Image, images + 1, Fault::Fail(engine::ErrorKind::Broken));
    scene.start_again().await;
    scene.at_work(&task).await;
    guest.print("three");
    guest.exit_with(0);
    let step = scene.until_phase(&task, Phase::Completed).await;
    assert_eq!(scene.output(step.step, 0).await, b"one two three");
    assert_eq!(scene.guests.all().len(), 1);
    assert_eq!((guest.agent().unwrap().made, scene.engine.count(Op::Start)), (1, 1));
    let events = scene.events(&task).await;
    let adopted = events.iter().filter(|event| matches!(event, EventKind::Adopted { .. })).count();
    assert_eq!(adopted, 1);
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_was_being_provisioned_goes_on_after_a_restart() {
    for op in [Op::Image, Op::Create, Op::Start, Op::Attach] {
        let mut scene = Scene::start().await;
        let gate = Gate::default();
        let before = scene.engine.count(op);
        scene.engine.fault(op, before + 1, Fault::Stall(gate.clone()));
        let task = scene.task("Begin").await;
        until("the engine stalls", BOUND, async || gate.is_awaited()).await;
        scene.stop().await;
        gate.open();
        scene.start_again().await;
        let guest = scene.at_work(&task).await;
        guest.print("done");
        guest.exit_with(0);
        let step = scene.until_phase(&task, Phase::Completed).await;
        assert_eq!(scene.output(step.step, 0).await, b"done");
        assert_eq!(scene.guests.all().len(), 1, "{op:?}");
        scene.nothing_is_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_being_ended_when_the_app_was_closed_is_ended_after_it() {
    let mut scene = Scene::start().await;
    let task = scene.task("Hang on").await;
    let guest = scene.at_work(&task).await;
    guest.misbehave(crate::guest::Misdeed::IgnoreEnd);
    scene.cancel(&task).await;
    until("it was told to end", BOUND, async || guest.agent().unwrap().ends == 1).await;
    scene.stop().await;
    guest.print("last words");
    scene.start_again().await;
    let step = scene.until_phase(&task, Phase::Cancelled).await;
    assert_eq!(scene.output(step.step, 0).await, b"last words");
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_wrote_down_before_its_container_died_counts() {
    what_was_written_down_counts(async |scene, id| scene.engine.end(&id, killed())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_wrote_down_before_its_container_was_removed_counts() {
    what_was_written_down_counts(async |scene, id| scene.engine.remove(&id).await.unwrap()).await;
}

/// The spool outlives the container: it is a volume.
async fn what_was_written_down_counts(happens: impl AsyncFnOnce(&Scene, engine::ContainerId)) {
    let scene = Scene::start().await;
    let task = scene.task("Die").await;
    let guest = scene.at_work(&task).await;
    guest.print("first ");
    until("a part is here", BOUND, async || scene.step(&task).await.output_bytes == 6).await;
    let id = leaves_spool(&scene, &task, &guest, (3, b"st second"), 12).await;
    happens(&scene, id).await;
    let step = scene.until_phase(&task, Phase::Completed).await;
    assert_eq!(scene.output(step.step, 0).await, b"first second");
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_lies_past_the_output_that_is_left_is_no_good_end() {
    let scene = Scene::start().await;
    let task = scene.task("Die").await;
    let guest = scene.at_work(&task).await;
    guest.print("first ");
    until("a part is here", BOUND, async || scene.step(&task).await.output_bytes == 6).await;
    dies_with_spool(&scene, &task, &guest, (6, b"second"), 20).await;
    let step = scene.until_phase(&task, Phase::Failed).await;
    let error = step.error.unwrap();
    assert_eq!(error.code, ErrorCode::SandboxLost);
    assert_eq!(error.message, "The sandbox ended before the last 8 bytes of the agent's output had arrived.");
    assert_eq!(scene.output(step.step, 0).await, b"first second");
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_lies_before_the_output_that_is_there_is_no_good_end() {
    let scene = Scene::start().await;
    let task = scene.task("Die").await;
    let guest = scene.at_work(&task).await;
    guest.print("first ");
    until("a part is here", BOUND, async || scene.step(&task).await.output_bytes == 6).await;
    dies_with_spool(&scene, &task, &guest, (0, b"fir"), 3).await;
    let step = scene.until_phase(&task, Phase::Failed).await;
    assert_eq!(step.error.unwrap().code, ErrorCode::SandboxLost);
    assert_eq!(scene.output(step.step, 0).await, b"first ");
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_with_more_than_a_step_may_print_is_cut_at_the_limit() {
    let scene = Scene::start().await;
    let limits = LimitsPatch { output_bytes: Some(8), ..LimitsPatch::default() };
    let task = scene.task_of("own", "Die", Some(limits)).await;
    let guest = scene.at_work(&task).await;
    guest.print("first ");
    until("a part is here", BOUND, async || scene.step(&task).await.output_bytes == 6).await;
    dies_with_spool(&scene, &task, &guest, (6, b"second"), 12).await;
    let step = scene.until_phase(&task, Phase::Failed).await;
    assert_eq!(step.error.unwrap().code, ErrorCode::LimitReached);
    assert_eq!(scene.output(step.step, 0).await, b"first se");
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_out_of_reach_for_longer_than_its_agent_may_work_is_ended_and_called_so() {
    for is_restarted in [false, true] {
        let mut scene = Scene::start().await;
        let limits = LimitsPatch { wall_clock_s: Some(3_600), ..LimitsPatch::default() };
        let task = scene.task_of("own", "Hide", Some(limits)).await;
        let guest = scene.at_work(&task).await;
        guest.print("so far\n");
        until("it is here", BOUND, async || scene.step(&task).await.output_bytes == 7).await;
        guest.shut();
        until("the guest is away", BOUND, async || !scene.step(&task).await.sandbox.unwrap().connected).await;
        if is_restarted {
            scene.stop().await;
            scene.start_again().await;
        }
        let execs = scene.engine.count(Op::Exec);
        until("it was looked for in vain", BOUND, async || scene.engine.count(Op::Exec) > execs + 2).await;
        scene.pass(std::time::Duration::from_hours(1));
        let execs = scene.engine.count(Op::Exec);
        until("it is still looked for", BOUND, async || scene.engine.count(Op::Exec) > execs + 2).await;
        assert_eq!(scene.step(&task).await.phase, Phase::Executing, "its time and a grace are not over");
        scene.pass(std::time::Duration::from_mins(2));
        let step = scene.until_phase(&task, Phase::Failed).await;
        let error = step.error.unwrap();
        assert_eq!(error.code, ErrorCode::SandboxLost);
        assert!(error.message.starts_with("Berth ended the sandbox: it was out of reach for 62 min"), "{error:?}");
        assert_eq!(error.detail, "so far");
        assert_eq!(scene.output(step.step, 0).await, b"so far\n");
        assert!(scene.engine.count(Op::Kill) >= 1);
        scene.nothing_is_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_out_of_reach_after_a_restart_is_no_broken_one_and_can_be_cancelled() {
    let mut scene = Scene::start().await;
    let task = scene.task("Hide").await;
    let guest = scene.at_work(&task).await;
    guest.shut();
    scene.stop().await;
    let execs = scene.engine.count(Op::Exec);
    scene.start_again().await;
    // More often than a guest may fail that never worked.
    until("it is looked for", BOUND, async || scene.engine.count(Op::Exec) > execs + 8).await;
    assert_eq!(scene.step(&task).await.phase, Phase::Executing);
    scene.cancel(&task).await;
    scene.until_phase(&task, Phase::Cancelled).await;
    assert!(scene.engine.count(Op::Kill) >= 1);
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_of_an_earlier_attempt_does_not_stay_while_a_later_one_works() {
    let mut scene = Scene::without_agent().await;
    scene.agent("own", ReviewGate::Ask).await;
    let task = scene.task("Work").await;
    let guest = scene.at_work(&task).await;
    // The first sandbox is not taken away before the app ends.
    let gate = Gate::default();
    scene.engine.fault(Op::Remove, scene.engine.count(Op::Remove) + 1, Fault::Stall(gate.clone()));
    guest.exit_with(0);
    let step = scene.until_phase(&task, Phase::AwaitingReview).await.step;
    until("the removal stalls", BOUND, async || gate.is_awaited()).await;
    scene.act(step, Action::RequestChanges, "More").await.unwrap();
    scene.at_work(&task).await;
    scene.stop().await;
    scene.start_again().await;
    let any = engine::LabelFilter::any_install;
    until("the first sandbox is gone", BOUND, async || scene.engine.containers(&any()).await.unwrap().len() == 1).await;
    let second = scene.at_work(&task).await;
    second.exit_with(0);
    scene.until_phase(&task, Phase::AwaitingReview).await;
    scene.act(step, Action::Approve, "").await.unwrap();
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_died_without_a_word_loses_the_step_and_keeps_its_output() {
    let scene = Scene::start().await;
    let task = scene.task("Die").await;
    let guest = scene.at_work(&task).await;
    guest.print("so far\n");
    until("it is here", BOUND, async || scene.step(&task).await.output_bytes == 7).await;
    scene.engine.end(&container(&scene, &task).await, killed());
    let step = scene.until_phase(&task, Phase::Failed).await;
    let error = step.error.unwrap();
    assert_eq!(error.code, ErrorCode::SandboxLost);
    assert_eq!(error.message, "The sandbox ended while the agent worked: it was killed from outside or by a limit.");
    assert_eq!(error.detail, "so far");
    assert_eq!(scene.output(step.step, 0).await, b"so far\n");
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_was_removed_from_outside_is_called_so() {
    let scene = Scene::start().await;
    let task = scene.task("Vanish").await;
    scene.at_work(&task).await;
    scene.engine.remove(&container(&scene, &task).await).await.unwrap();
    let error = scene.until_phase(&task, Phase::Failed).await.error.unwrap();
    assert_eq!(error.code, ErrorCode::SandboxLost);
    assert_eq!(error.message, "The sandbox was removed from outside while the agent worked.");
    scene.nothing_is_left().await;
}

/// The container of a step's agent ends. Its spool holds a segment, where it stands, and an exit that says where the output ended.
pub(crate) async fn dies_with_spool(
    scene: &Scene,
    task: &wire::call::TaskCreated,
    guest: &Guest,
    segment: (u64, &[u8]),
    end: u64,
) {
    let id = leaves_spool(scene, task, guest, segment, end).await;
    scene.engine.end(&id, killed());
}

/// A guest writes a segment of output down, and that its agent ended well at `end`.
async fn leaves_spool(
    scene: &Scene,
    task: &wire::call::TaskCreated,
    guest: &Guest,
    (offset, segment): (u64, &[u8]),
    end: u64,
) -> engine::ContainerId {
    let id = container(scene, task).await;
    let status = ExitStatus::Exited { code: 0 };
    let record = ExitRecord {
        status,
        end,
        ran_ms: 1,
        out_of_memory: OutOfMemory::No,
        out_of_processes: OutOfProcesses::No,
        report: None,
    };
    let record = serde_json::to_vec(&record).unwrap();
    let folder = guest.process().unwrap().to_string();
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in [(spool::segment_name(offset), segment), (spool::EXIT_FILE.to_owned(), &record)] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(bytes.len() as u64);
        header.set_uid(1000);
        header.set_gid(1000);
        tar.append_data(&mut header, format!("{folder}/{name}"), bytes).unwrap();
    }
    let archive = tar.into_inner().unwrap().into();
    scene.engine.put_archive(&id, Utf8Path::new("/berth/run"), archive).await.unwrap();
    id
}

fn killed() -> Exit {
    Exit { code: Some(137), oom_killed: false, finished_at: None, error: String::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_does_not_wait_for_an_engine_that_stalls() {
    let mut scene = Scene::start().await;
    let task = scene.task("Work on").await;
    let guest = scene.at_work(&task).await;
    guest.print("kept");
    until("it is here", BOUND, async || scene.step(&task).await.output_bytes == 4).await;
    let gate = Gate::default();
    let next = scene.engine.count(Op::GetArchive) + 1;
    scene.engine.fault(Op::GetArchive, next, Fault::Stall(gate.clone()));
    let container = container(&scene, &task).await;
    scene.engine.kill(&container, engine::Signal::Kill).await.unwrap();
    until("what was printed is read from the dead container", BOUND, async || gate.is_awaited()).await;
    let stop_time_max = std::time::Duration::from_secs(5);
    tokio::time::timeout(stop_time_max, scene.stop()).await.expect("nothing waits for the engine");
    gate.open();
    scene.start_again().await;
    let step = scene.until_phase(&task, Phase::Failed).await;
    assert_eq!(step.error.unwrap().code, ErrorCode::SandboxLost);
    assert_eq!(scene.output(step.step, 0).await, b"kept");
}
