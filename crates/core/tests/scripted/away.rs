//! The engine away for long, and sandboxes that somebody else paused, ended or removed: what is shown is what happened.

use std::time::Duration;

use engine::{ContainerId, ContainerState, Engine, Exit};
use pipe::message::Signal;
use testkit::{Op, until};
use tokio::time::Instant;
use wire::{
    Action, ErrorCode, EventKind, Hold, Phase,
    call::{GrantSecret, SetSecret, Status, TaskCreated, UpdateAgent},
    network::{GrantReach, HostGrant, HostsPatch},
    secret::{Provider, SecretBinding, SecretPlace, SecretText},
    task::ReviewGate,
    view::EngineView,
};

use crate::guest::Misdeed;
use crate::scene::{BOUND, Scene};

/// The container in which a step's agent works.
async fn container(scene: &Scene, task: &TaskCreated) -> ContainerId {
    let name = scene.step(task).await.sandbox.unwrap().container;
    let id = engine::ContainerName::parse(name).unwrap().into();
    scene.engine.inspect(&id).await.unwrap().unwrap().id
}

fn exited(code: i64, oom_killed: bool) -> Exit {
    Exit { code: Some(code), oom_killed, finished_at: None, error: String::new() }
}

#[tokio::test]
async fn an_engine_that_is_gone_for_an_hour_is_waited_for_and_nothing_is_lost() {
    let scene = Scene::start().await;
    scene.agent("other", ReviewGate::Skip).await;
    let task = scene.task("Work on").await;
    let guest = scene.at_work(&task).await;
    guest.print("before, ");
    until("it is here", BOUND, async || scene.step(&task).await.output_bytes == 8).await;
    scene.engine.go_away();
    guest.cut();
    until("the step is held", BOUND, async || scene.step(&task).await.holds == [Hold::Engine]).await;
    let waiting = scene.task_of("other", "Begin", None).await;
    until("the next one is held", BOUND, async || scene.step(&waiting).await.holds == [Hold::Engine]).await;
    let asked = scene.engine.count(Op::Ping);
    for minute in 0..60 {
        scene.passes(Duration::from_mins(1)).await;
        let (one, other) = (scene.step(&task).await, scene.step(&waiting).await);
        assert_eq!((one.phase, one.holds, one.error), (Phase::Executing, vec![Hold::Engine], None), "{minute}");
        assert_eq!((other.phase, other.holds, other.error), (Phase::Queued, vec![Hold::Engine], None), "{minute}");
    }
    let EngineView::Down { since, error } = scene.api().call(Status {}).await.unwrap().engine else {
        panic!("it is away");
    };
    assert_eq!(error.code, ErrorCode::EngineUnreachable);
    let gone = scene.now().duration_since(since);
    assert!(gone.as_mins() >= 60, "{gone:?}");
    until("it is looked for again and again", BOUND, async || scene.engine.count(Op::Ping) > asked + 3).await;
    guest.print("meanwhile, ");
    scene.engine.come_back();
    let back = Instant::now();
    until("it is held no longer", BOUND, async || scene.step(&task).await.holds.is_empty()).await;
    assert!(back.elapsed() < Duration::from_secs(20), "{:?}", back.elapsed());
    until("the agent goes on", BOUND, async || guest.agent().unwrap().signals.last() == Some(&Signal::Continue)).await;
    guest.print("after");
    guest.exit_with(0);
    let step = scene.until_phase(&task, Phase::Completed).await;
    assert_eq!(scene.output(step.step, 0).await, b"before, meanwhile, after");
    assert_eq!(guest.agent().unwrap().made, 1);
    let events = scene.events(&task).await;
    let count = |wanted: &EventKind| events.iter().filter(|event| *event == wanted).count();
    let hold = Hold::Engine;
    assert_eq!((count(&EventKind::Held { hold }), count(&EventKind::Released { hold })), (1, 1), "{events:?}");
    scene.at_work(&waiting).await.exit_with(0);
    scene.until_phase(&waiting, Phase::Completed).await;
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_ended_while_the_engine_was_away_names_the_engine_and_no_wrong_cause() {
    let words = "The engine went away while the agent worked, and when it was back the sandbox had ended:";
    for (exit, how) in [
        (Some(exited(137, false)), format!("{words} it was killed from outside or by a limit.")),
        (Some(exited(143, false)), format!("{words} it was asked to end from outside.")),
        (
            None,
            "The engine went away while the agent worked, and when it was back it had no such sandbox any more."
                .to_owned(),
        ),
    ] {
        let scene = Scene::start().await;
        let task = scene.task("Be lost").await;
        let guest = scene.at_work(&task).await;
        let id = container(&scene, &task).await;
        guest.print("so far\n");
        until("it is here", BOUND, async || scene.step(&task).await.output_bytes == 7).await;
        scene.engine.go_away();
        guest.cut();
        until("the step is held", BOUND, async || scene.step(&task).await.holds == [Hold::Engine]).await;
        match exit {
            Some(exit) => scene.engine.end(&id, exit),
            None => scene.engine.lose(&id),
        }
        scene.engine.come_back();
        let step = scene.until_phase(&task, Phase::Failed).await;
        let error = step.error.unwrap();
        assert_eq!((error.code, error.message), (ErrorCode::SandboxLost, how));
        assert_eq!(error.detail, "so far");
        assert!(error.hint.contains("Retry"), "{}", error.hint);
        assert_eq!(scene.output(step.step, 0).await, b"so far\n");
        scene.nothing_is_left().await;
    }
}

/// Gives the agent a brokered secret.
async fn broker(scene: &Scene, binding: SecretBinding) {
    let value = SecretText::new("sk-of-a-test".to_owned());
    scene.api().call(SetSecret { name: "key".to_owned(), value, binding: Some(binding) }).await.unwrap();
    let grant = GrantSecret { secret: "key".to_owned(), agent: "own".to_owned(), way: None, variable: None };
    scene.api().call(grant).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_a_model_to_ask_rests_while_the_app_is_away() {
    let mut scene = Scene::start().await;
    broker(&scene, SecretBinding::key_of(Provider::Anthropic)).await;
    rests_while_the_app_is_away(&mut scene, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_a_host_that_is_read_rests_while_the_app_is_away() {
    let mut scene = Scene::start().await;
    let place = SecretPlace::Header { name: "Authorization".to_owned(), format: "token {}".to_owned() };
    broker(&scene, SecretBinding::Host { host: "api.example.com".to_owned(), port: None, place }).await;
    rests_while_the_app_is_away(&mut scene, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_a_host_on_its_list_rests_while_the_app_is_away_and_one_without_works_on() {
    let mut scene = Scene::start().await;
    let task = scene.task("Work on").await;
    let guest = scene.at_work(&task).await;
    scene.stop().await;
    assert_eq!(guest.agent().unwrap().signals, [], "nothing that it needs is away");
    scene.start_again().await;
    until("it is taken over", BOUND, async || scene.step(&task).await.sandbox.is_some_and(|sandbox| sandbox.connected))
        .await;
    guest.exit_with(0);
    scene.until_phase(&task, Phase::Completed).await;
    let allow = HostGrant { host: "example.com".to_owned(), port: None, reach: GrantReach::Public };
    let hosts = HostsPatch { allow: vec![allow], ..HostsPatch::default() };
    scene.api().call(UpdateAgent { agent: "own".to_owned(), hosts, ..UpdateAgent::default() }).await.unwrap();
    rests_while_the_app_is_away(&mut scene, 1).await;
}

async fn rests_while_the_app_is_away(scene: &mut Scene, rounds: u32) {
    for round in 0..rounds {
        let task = scene.task("Ask").await;
        let guest = scene.at_work(&task).await;
        guest.misbehave(Misdeed::SlowSignals(Duration::from_millis(200)));
        scene.stop().await;
        assert_eq!(guest.agent().unwrap().signals.last(), Some(&Signal::Stop), "{round}");
        scene.start_again().await;
        until("it goes on", BOUND, async || guest.agent().unwrap().signals.last() == Some(&Signal::Continue)).await;
        until("it is held no longer", BOUND, async || scene.step(&task).await.holds.is_empty()).await;
        guest.exit_with(0);
        scene.until_phase(&task, Phase::Completed).await;
    }
    scene.nothing_is_left().await;
}

/// An agent at work whose container was paused from outside, and the hold that says so.
async fn paused(scene: &Scene) -> (TaskCreated, crate::guest::Guest, ContainerId) {
    let task = scene.task("Be paused").await;
    let guest = scene.at_work(&task).await;
    guest.print("before, ");
    until("it is here", BOUND, async || scene.step(&task).await.output_bytes == 8).await;
    let id = container(scene, &task).await;
    scene.engine.pause(&id).await.unwrap();
    guest.cut();
    until("the step is held", BOUND, async || scene.step(&task).await.holds == [Hold::Person]).await;
    let notes = async || {
        let events = scene.events(&task).await;
        let is_note = |event: &&EventKind| matches!(event, EventKind::Note { text } if text.contains("paused outside"));
        events.iter().filter(is_note).count()
    };
    assert_eq!(notes().await, 1);
    // However often it is looked at, nothing more happens by itself.
    let looks = scene.engine.count(Op::Inspect);
    until("it is looked at again", BOUND, async || scene.engine.count(Op::Inspect) > looks + 5).await;
    let step = scene.step(&task).await;
    assert_eq!((step.phase, step.holds, notes().await), (Phase::Executing, vec![Hold::Person], 1));
    assert_eq!(scene.engine.count(Op::Unpause), 0);
    (task, guest, id)
}

async fn goes_on(scene: &Scene, task: &TaskCreated, guest: &crate::guest::Guest) {
    until("it is held no longer", BOUND, async || scene.step(task).await.holds.is_empty()).await;
    until("the agent goes on", BOUND, async || guest.agent().unwrap().signals.last() == Some(&Signal::Continue)).await;
    guest.print("after");
    guest.exit_with(0);
    let step = scene.until_phase(task, Phase::Completed).await;
    assert_eq!(scene.output(step.step, 0).await, b"before, after");
    assert_eq!(guest.agent().unwrap().made, 1);
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_sandbox_is_held_and_goes_on_when_it_is_let_go_on_outside() {
    let scene = Scene::start().await;
    let (task, guest, id) = paused(&scene).await;
    scene.engine.unpause(&id).await.unwrap();
    goes_on(&scene, &task, &guest).await;
    assert_eq!(scene.engine.count(Op::Unpause), 1, "the test's own");
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_lets_a_paused_sandbox_go_on() {
    let scene = Scene::start().await;
    let (task, guest, id) = paused(&scene).await;
    let step = scene.step(&task).await.step;
    scene.act(step, Action::Resume, "").await.unwrap();
    until("the container goes on", BOUND, async || {
        scene.engine.inspect(&id).await.unwrap().unwrap().state == ContainerState::Running
    })
    .await;
    goes_on(&scene, &task, &guest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_sandbox_is_found_so_by_the_next_app_and_resumed_by_it() {
    let mut scene = Scene::start().await;
    let (task, guest, _) = paused(&scene).await;
    scene.stop().await;
    scene.start_again().await;
    let looks = scene.engine.count(Op::Inspect);
    until("it is looked at again", BOUND, async || scene.engine.count(Op::Inspect) > looks + 5).await;
    let step = scene.step(&task).await;
    assert_eq!((step.phase, step.holds, step.error), (Phase::Executing, vec![Hold::Person], None));
    scene.act(step.step, Action::Resume, "").await.unwrap();
    goes_on(&scene, &task, &guest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_sandbox_is_paused_can_be_cancelled() {
    let scene = Scene::start().await;
    let (task, guest, _) = paused(&scene).await;
    scene.cancel(&task).await;
    let step = scene.until_phase(&task, Phase::Cancelled).await;
    assert_eq!(guest.agent().unwrap().ends, 1, "it was ended by its guest, once that could hear");
    assert_eq!(scene.output(step.step, 0).await, b"before, ");
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_s_own_pause_outlives_one_from_outside() {
    let scene = Scene::start().await;
    let task = scene.task("Be paused twice").await;
    let guest = scene.at_work(&task).await;
    let step = scene.step(&task).await.step;
    scene.act(step, Action::Pause, "").await.unwrap();
    until("the agent is stopped", BOUND, async || guest.agent().unwrap().signals.last() == Some(&Signal::Stop)).await;
    let id = container(&scene, &task).await;
    scene.engine.pause(&id).await.unwrap();
    guest.cut();
    let looks = scene.engine.count(Op::Inspect);
    until("it is looked at", BOUND, async || scene.engine.count(Op::Inspect) > looks + 5).await;
    scene.engine.unpause(&id).await.unwrap();
    until("the pipe is back", BOUND, async || scene.step(&task).await.sandbox.unwrap().connected).await;
    assert_eq!(scene.step(&task).await.holds, [Hold::Person]);
    scene.act(step, Action::Resume, "").await.unwrap();
    until("the agent goes on", BOUND, async || guest.agent().unwrap().signals.last() == Some(&Signal::Continue)).await;
    guest.exit_with(0);
    scene.until_phase(&task, Phase::Completed).await;
}
