//! Work that waits for a person.

use wire::{Action, ErrorCode, EventKind, Phase, call::ShowTask, task::ReviewGate};

use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_are_requested_reach_the_next_attempt() {
    let scene = Scene::without_agent().await;
    scene.agent("own", ReviewGate::Ask).await;
    let task = scene.task("Paint it").await;
    let guest = scene.at_work(&task).await;
    guest.print("red");
    guest.exit_with(0);
    let step = scene.until_phase(&task, Phase::AwaitingReview).await;
    assert_eq!(scene.output(step.step, 0).await, b"red");
    let error = scene.act(step.step, Action::RequestChanges, " ").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);

    scene.act(step.step, Action::RequestChanges, "Blue, please").await.unwrap();
    let second = scene.at_work(&task).await;
    let agent = second.agent().unwrap();
    assert_eq!(agent.prompt, "Paint it\n\n## Changes requested\n\nBlue, please");
    second.print("blue");
    second.exit_with(0);
    let step = scene.until_phase(&task, Phase::AwaitingReview).await;
    assert_eq!(step.attempt, 2);
    assert_eq!(scene.output(step.step, 0).await, b"blue");
    let step = scene.act(step.step, Action::Approve, "").await.unwrap();
    assert_eq!(step.phase, Phase::Completed);
    let refused = scene.act(step.step, Action::Reject, "").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotNow);
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_waits_through_a_restart_and_an_output_without_a_byte_has_an_end() {
    let mut scene = Scene::without_agent().await;
    scene.agent("own", ReviewGate::Ask).await;
    let task = scene.task("Say nothing").await;
    scene.at_work(&task).await.exit_with(0);
    scene.until_phase(&task, Phase::AwaitingReview).await;
    scene.stop().await;
    scene.start_again().await;
    let step = scene.step(&task).await;
    assert_eq!(step.phase, Phase::AwaitingReview);
    assert_eq!(scene.output(step.step, 0).await, b"");
    let step = scene.act(step.step, Action::Reject, "too quiet").await.unwrap();
    let error = step.error.unwrap();
    assert_eq!((error.code, error.detail.as_str()), (ErrorCode::Rejected, "too quiet"));
    let rejected = EventKind::Rejected { comment: "too quiet".to_owned() };
    assert_eq!(scene.events(&task).await.into_iter().filter(|event| *event == rejected).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_a_new_run() {
    let scene = Scene::start().await;
    let task = scene.task("Try").await;
    scene.at_work(&task).await.exit_with(1);
    let step = scene.until_phase(&task, Phase::Failed).await;
    let again = scene.act(step.step, Action::Retry, "").await.unwrap();
    assert_ne!(again.step, step.step);
    let view = scene.api().call(ShowTask { task: task.number.to_string() }).await.unwrap();
    assert_eq!(view.runs.len(), 2);
    let second = wire::call::TaskCreated { run: view.runs[1].summary.run, ..task.clone() };
    scene.at_work(&second).await.exit_with(0);
    scene.until_phase(&second, Phase::Completed).await;
    assert_eq!(scene.step(&task).await.phase, Phase::Failed);
    scene.nothing_is_left().await;
}
