//! Who works when.

use testkit::until;
use wire::{
    Phase,
    call::{ListTasks, OpenStream, Status},
    stream::StreamTarget,
    task::ReviewGate,
};

use crate::scene::{BOUND, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn one_step_at_a_time_works_in_a_home_and_the_rest_say_what_they_wait_for() {
    let scene = Scene::start().await;
    let first = scene.task("First").await;
    let guest = scene.at_work(&first).await;
    let second = scene.task("Second").await;
    let note = async |number: i64| {
        let list = scene.api().call(ListTasks::default()).await.unwrap();
        list.rows.into_iter().find(|row| row.number == number).unwrap().note
    };
    until("the second waits", BOUND, async || note(second.number).await == "Waits for own's home, which is in use")
        .await;
    assert_eq!(scene.step(&second).await.phase, Phase::Queued);
    guest.exit_with(0);
    scene.until_phase(&first, Phase::Completed).await;
    scene.at_work(&second).await.exit_with(0);
    scene.until_phase(&second, Phase::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_sandboxes_work_at_once_than_there_are_slots() {
    let scene = Scene::without_agent().await;
    let mut tasks = Vec::new();
    for number in 0..6 {
        let name = format!("agent-{number}");
        scene.agent(&name, ReviewGate::Skip).await;
        tasks.push(scene.task_of(&name, "Work", None).await);
    }
    // Four cores and eight GiB, as the scripted engine says: four slots.
    for task in &tasks[..4] {
        scene.at_work(task).await;
    }
    let status = scene.api().call(Status {}).await.unwrap();
    assert_eq!((status.slots_used, status.slots_max), (4, 4));
    let list = scene.api().call(ListTasks::default()).await.unwrap();
    let notes: Vec<_> = list.rows.iter().take(2).map(|row| row.note.as_str()).collect();
    assert_eq!(notes, ["1 before it in line", "Next when a slot is free"]);
    for task in &tasks {
        scene.at_work(task).await.exit_with(0);
        scene.until_phase(task, Phase::Completed).await;
    }
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_its_stream_once() {
    let scene = Scene::start().await;
    let ticket = scene.api().call(OpenStream { target: StreamTarget::Updates }).await.unwrap().ticket;
    assert_eq!(scene.api().redeem(&ticket), Some(StreamTarget::Updates));
    assert_eq!(scene.api().redeem(&ticket), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_ends_although_a_window_reads_nothing() {
    let mut scene = Scene::start().await;
    let task = scene.task("Print").await;
    let guest = scene.at_work(&task).await;
    let step = scene.step(&task).await.step;
    let _updates = scene.api().open_stream(StreamTarget::Updates).await.unwrap();
    let _output = scene.api().open_stream(StreamTarget::Output { step, from: 0 }).await.unwrap();
    for _ in 0..40 {
        guest.print(vec![b'x'; 100_000]);
    }
    until("all is here", BOUND, async || scene.step(&task).await.output_bytes == 4_000_000).await;
    for number in 0..100 {
        scene.agent(&format!("a{number}"), ReviewGate::Skip).await;
        scene.task_of(&format!("a{number}"), "Wait", None).await;
    }
    scene.stop().await;
}
