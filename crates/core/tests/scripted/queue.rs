//! Who works when.

use testkit::until;
use wire::{
    Action, ErrorCode, EventKind, Hold, LimitsPatch, Phase, Priority,
    call::{
        ChangeQueue, CreateTask, ListEvents, ListTasks, OpenStream, SetPriority, ShowQueue, ShowTask, Status,
        TaskCreated,
    },
    queue::{QueueState, QueueView, Slots, Wait},
    stream::StreamTarget,
    task::{Attachment, AttachmentContent, NewTask, ReviewGate},
};

use crate::guest::Misdeed;
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
    until("the second waits", BOUND, async || {
        note(second.number).await == format!("Waits for own's home, which #{} uses", first.number)
    })
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

/// A scene with one slot and as many agents, so that homes keep nobody waiting.
async fn one_slot(agents: usize) -> Scene {
    let scene = Scene::without_agent().await;
    for number in 0..agents {
        scene.agent(&format!("agent-{number}"), ReviewGate::Skip).await;
    }
    change(&scene, ChangeQueue { slots: Some(Slots::Fixed { count: 1 }), state: None }).await;
    scene
}

async fn change(scene: &Scene, change: ChangeQueue) -> QueueView {
    scene.api().call(change).await.unwrap()
}

async fn task_with(scene: &Scene, agent: usize, priority: Priority) -> TaskCreated {
    let task = NewTask {
        prompt: format!("{priority:?}"),
        agent: Some(format!("agent-{agent}")),
        priority: Some(priority),
        ..NewTask::default()
    };
    scene.api().call(CreateTask { task }).await.unwrap()
}

/// The numbers of those that wait, the first in line first.
async fn line(scene: &Scene) -> Vec<i64> {
    scene.api().call(ShowQueue {}).await.unwrap().waiting.iter().map(|row| row.number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_priority_starts_first_and_can_be_changed_while_it_waits() {
    let scene = one_slot(5).await;
    let first = task_with(&scene, 0, Priority::Low).await;
    let guest = scene.at_work(&first).await;
    let low = task_with(&scene, 1, Priority::Low).await;
    let normal = task_with(&scene, 2, Priority::Normal).await;
    let high = task_with(&scene, 3, Priority::High).await;
    let late = task_with(&scene, 4, Priority::Normal).await;
    assert_eq!(line(&scene).await, [high.number, normal.number, late.number, low.number]);
    let raised = SetPriority { task: low.number.to_string(), priority: Priority::High };
    let row = scene.api().call(raised).await.unwrap();
    // It was asked for before the other one.
    assert_eq!((row.priority, row.wait), (Priority::High, Some(Wait::Slot { before: 0 })));
    assert_eq!(line(&scene).await, [low.number, high.number, normal.number, late.number]);
    guest.exit_with(0);
    for task in [&low, &high, &normal, &late] {
        scene.at_work(task).await.exit_with(0);
        scene.until_phase(task, Phase::Completed).await;
    }
    let events = scene.events(&low).await;
    let changed = EventKind::PriorityChanged { from: Priority::Low, to: Priority::High };
    assert!(events.contains(&changed), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_starts_nothing_over_a_restart_and_what_works_works_on() {
    let mut scene = one_slot(2).await;
    let working = task_with(&scene, 0, Priority::Normal).await;
    scene.at_work(&working).await;
    let view =
        change(&scene, ChangeQueue { state: Some(QueueState::Paused), slots: Some(Slots::Fixed { count: 3 }) }).await;
    assert_eq!((view.state, view.slots_max, view.slots_used), (QueueState::Paused, 3, 1));
    let waiting = task_with(&scene, 1, Priority::High).await;
    scene.stop().await;
    scene.start_again().await;
    let guest = scene.at_work(&working).await;
    let status = scene.api().call(Status {}).await.unwrap();
    assert_eq!((status.queue, status.slots_max), (QueueState::Paused, 3));
    guest.exit_with(0);
    scene.until_phase(&working, Phase::Completed).await;
    let step = scene.step(&waiting).await;
    assert_eq!((step.phase, step.wait), (Phase::Queued, Some(Wait::Paused { before: 0 })));
    change(&scene, ChangeQueue { state: Some(QueueState::Open), slots: None }).await;
    scene.at_work(&waiting).await.exit_with(0);
    scene.until_phase(&waiting, Phase::Completed).await;
    let all = scene.api().call(ListEvents { limit: 1_000, ..ListEvents::default() }).await.unwrap();
    let changes = all.iter().filter_map(|event| {
        if let EventKind::QueueChanged { state, slots } = event.kind { Some((state, slots)) } else { None }
    });
    let three = Slots::Fixed { count: 3 };
    let expected =
        [(QueueState::Open, Slots::Fixed { count: 1 }), (QueueState::Paused, three), (QueueState::Open, three)];
    assert_eq!(changes.collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_out_of_range_are_refused_and_fewer_than_are_at_work_end_nothing() {
    let scene = one_slot(3).await;
    for count in [0, 65] {
        let refused = scene.api().call(ChangeQueue { slots: Some(Slots::Fixed { count }), state: None }).await;
        assert_eq!(refused.unwrap_err().code, ErrorCode::InvalidArgument);
    }
    change(&scene, ChangeQueue { slots: Some(Slots::Fixed { count: 2 }), state: None }).await;
    let tasks = [task_with(&scene, 0, Priority::Normal).await, task_with(&scene, 1, Priority::Normal).await];
    let guests = [scene.at_work(&tasks[0]).await, scene.at_work(&tasks[1]).await];
    let view = change(&scene, ChangeQueue { slots: Some(Slots::Fixed { count: 1 }), state: None }).await;
    assert_eq!((view.slots_used, view.slots_max, view.slots_auto), (2, 1, 4));
    let third = task_with(&scene, 2, Priority::High).await;
    guests[0].exit_with(0);
    scene.until_phase(&tasks[0], Phase::Completed).await;
    assert_eq!(scene.step(&third).await.wait, Some(Wait::Slot { before: 0 }));
    guests[1].exit_with(0);
    scene.at_work(&third).await.exit_with(0);
    scene.until_phase(&third, Phase::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_step_keeps_its_slot_and_its_home_and_a_held_one_in_line_lets_others_pass() {
    let scene = one_slot(3).await;
    let working = task_with(&scene, 0, Priority::Normal).await;
    let guest = scene.at_work(&working).await;
    let first = task_with(&scene, 1, Priority::Normal).await;
    let second = task_with(&scene, 2, Priority::Normal).await;
    let held = scene.act(scene.step(&first).await.step, Action::Pause, "").await.unwrap();
    assert_eq!(held.wait, Some(Wait::Held { holds: vec![Hold::Person] }));
    let paused = scene.act(scene.step(&working).await.step, Action::Pause, "").await.unwrap();
    assert_eq!((paused.phase, paused.held_ms), (Phase::Executing, 0));
    assert!(paused.held_since.is_some(), "its time stands still");
    assert_eq!(scene.api().call(ShowQueue {}).await.unwrap().slots_used, 1);
    assert_eq!(line(&scene).await, [second.number, first.number]);
    let resumed = scene.act(paused.step, Action::Resume, "").await.unwrap();
    assert_eq!(resumed.held_since, None);
    guest.exit_with(0);
    scene.at_work(&second).await.exit_with(0);
    scene.until_phase(&second, Phase::Completed).await;
    assert_eq!(scene.step(&first).await.phase, Phase::Queued);
    scene.act(held.step, Action::Resume, "").await.unwrap();
    scene.at_work(&first).await.exit_with(0);
    scene.until_phase(&first, Phase::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_a_new_run_with_the_same_files_and_turn_and_there_is_one_at_a_time() {
    let scene = one_slot(1).await;
    let content = AttachmentContent::Inline { base64: "YSxi".to_owned() };
    let task = NewTask {
        prompt: "Again".to_owned(),
        agent: Some("agent-0".to_owned()),
        priority: Some(Priority::High),
        attachments: vec![Attachment { name: "data.csv".to_owned(), size_bytes: 3, content }],
        ..NewTask::default()
    };
    let task = scene.api().call(CreateTask { task }).await.unwrap();
    scene.at_work(&task).await.exit_with(1);
    let failed = scene.until_phase(&task, Phase::Failed).await;
    let (one, other) =
        tokio::join!(scene.act(failed.step, Action::Retry, ""), scene.act(failed.step, Action::Retry, ""));
    let refused = [&one, &other].into_iter().find_map(|answer| answer.as_ref().err()).expect("one is refused");
    assert_eq!(refused.code, ErrorCode::NotNow);
    let again = one.or(other).unwrap();
    let view = scene.api().call(ShowTask { task: task.number.to_string() }).await.unwrap();
    assert_eq!((view.runs.len(), view.row.priority), (2, Priority::High));
    let run = view.runs.last().unwrap();
    assert_eq!(run.steps[0].step, again.step);
    let created = TaskCreated { run: run.summary.run, ..task };
    let guest = scene.at_work(&created).await;
    let workspace = scene.step(&created).await.workspace.unwrap();
    assert_ne!(Some(&workspace), failed.workspace.as_ref());
    assert_eq!(std::fs::read_to_string(format!("{workspace}/data.csv")).unwrap(), "a,b");
    assert_eq!(guest.agent().unwrap().prompt, "Again");
    guest.exit_with(0);
    scene.until_phase(&created, Phase::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_takes_more_disk_than_it_may_is_ended_with_both_numbers() {
    let scene = Scene::start().await;
    let limits = LimitsPatch { disk_bytes: Some(4 << 20), ..LimitsPatch::default() };
    let task = scene.task_of("own", "Fill it", Some(limits)).await;
    scene.at_work(&task).await;
    let workspace = scene.step(&task).await.workspace.unwrap();
    std::fs::write(format!("{workspace}/hole"), b"").unwrap();
    std::fs::File::create(format!("{workspace}/sparse")).unwrap().set_len(1 << 40).unwrap();
    std::fs::write(format!("{workspace}/large"), vec![1; 6 << 20]).unwrap();
    let step = scene.until_phase(&task, Phase::Failed).await;
    let error = step.error.unwrap();
    assert_eq!(error.code, ErrorCode::LimitReached);
    assert!(error.message.ends_with("of disk, and it may take 4 MiB, so it was ended."), "{}", error.message);
    assert!(step.disk_bytes.is_some_and(|bytes| ((6 << 20)..(7 << 20)).contains(&bytes)), "{:?}", step.disk_bytes);
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_home_has_grown_by_counts_also_over_a_restart() {
    let mut scene = Scene::start().await;
    let limits = LimitsPatch { disk_bytes: Some(4 << 20), ..LimitsPatch::default() };
    let task = scene.task_of("own", "Fill the home", Some(limits)).await;
    let guest = scene.at_work(&task).await;
    until("it is measured", BOUND, async || scene.step(&task).await.disk_bytes.is_some()).await;
    scene.stop().await;
    guest.fill_home(3 << 20);
    scene.start_again().await;
    scene.at_work(&task).await;
    let has_grown = async || scene.step(&task).await.disk_bytes.is_some_and(|bytes| bytes >= 3 << 20);
    until("the growth is seen", BOUND, has_grown).await;
    guest.fill_home(5 << 20);
    let error = scene.until_phase(&task, Phase::Failed).await.error.unwrap();
    assert_eq!(error.code, ErrorCode::LimitReached);
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_writes_in_its_last_moment_is_measured_too() {
    let scene = Scene::start().await;
    let task = scene.task("Write and end").await;
    let guest = scene.at_work(&task).await;
    until("it is measured", BOUND, async || scene.step(&task).await.disk_bytes.is_some()).await;
    let workspace = scene.step(&task).await.workspace.unwrap();
    std::fs::write(format!("{workspace}/result"), vec![1; 1 << 20]).unwrap();
    guest.exit_with(0);
    let step = scene.until_phase(&task, Phase::Completed).await;
    assert!(step.disk_bytes.is_some_and(|bytes| bytes >= 1 << 20), "{:?}", step.disk_bytes);
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_writes_into_its_home_in_its_first_moment_counts() {
    let scene = Scene::start().await;
    scene.guests.misbehave(Some(Misdeed::FillHome(6 << 20)));
    let limits = LimitsPatch { disk_bytes: Some(4 << 20), ..LimitsPatch::default() };
    let task = scene.task_of("own", "Fill the home", Some(limits)).await;
    let error = scene.until_phase(&task, Phase::Failed).await.error.unwrap();
    assert_eq!(error.code, ErrorCode::LimitReached);
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
