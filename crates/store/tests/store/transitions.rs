use lifecycle::{Exit, Input, advance};
use store::{DiskUse, EventFilter, NewTask, StoreError, Transition};
use wire::{ErrorCode, ErrorView, EventKind, Hold, Phase, Priority};

use crate::fixture::{at, fixture, id, transition};

#[tokio::test]
async fn a_transition_takes_step_timeline_run_and_task_along() {
    let fixture = fixture().await;
    let (task, step, _) = fixture.task("Work").await;
    let run = fixture.store.task(task).await.unwrap().latest_run;
    let begun = fixture.advance(step, Input::SlotGranted, at(10)).await;
    assert_eq!((begun.revision, begun.run_phase), (1, Phase::Provisioning));
    fixture.advance(step, Input::Hold(Hold::Engine), at(11)).await;
    fixture.advance(step, Input::Provisioned, at(12)).await;

    let record = fixture.store.step(step).await.unwrap();
    assert_eq!((record.state.phase(), record.revision, record.entered_at), (Phase::Executing, 3, at(12)));
    assert_eq!(record.state.holds().iter().collect::<Vec<_>>(), [Hold::Engine]);
    assert_eq!(fixture.store.task(task).await.unwrap().phase, Phase::Executing);
    assert_eq!(fixture.store.run(run).await.unwrap().ended_at, None);

    fixture.advance(step, Input::AgentExited(Exit::Success), at(13)).await;
    fixture.advance(step, Input::RequestChanges, at(14)).await;
    fixture.advance(step, Input::Cancel, at(15)).await;
    assert_eq!(fixture.store.run(run).await.unwrap().ended_at, Some(at(15)));

    let timeline = fixture.store.timeline_of(run).await.unwrap().remove(&step).unwrap();
    let spans: Vec<_> = timeline.iter().map(|span| (span.phase, span.attempt, span.entered_at, span.left_at)).collect();
    assert_eq!(
        spans,
        [
            (Phase::Queued, 1, at(1), Some(at(10))),
            (Phase::Provisioning, 1, at(10), Some(at(12))),
            (Phase::Executing, 1, at(12), Some(at(13))),
            (Phase::AwaitingReview, 1, at(13), Some(at(14))),
            (Phase::Queued, 2, at(14), Some(at(15))),
            (Phase::Cancelled, 2, at(15), None),
        ]
    );
}

#[tokio::test]
async fn a_run_of_several_steps_follows_the_rule_and_ends_with_the_last() {
    let fixture = fixture().await;
    let new = fixture.new_task("Two steps", "", 2);
    let (first, second) = (new.run.steps[0].step, new.run.steps[1].step);
    let run = new.run.run;
    fixture.store.create_task(new).await.unwrap();
    let work = [Input::SlotGranted, Input::Provisioned, Input::AgentExited(Exit::Success), Input::Approve];

    fixture.advance_all(first, 10, &work).await;
    let between = fixture.store.run(run).await.unwrap();
    assert_eq!((between.phase, between.current_step, between.ended_at), (Phase::Queued, second, None));

    fixture.advance_all(second, 20, &work).await;
    let over = fixture.store.run(run).await.unwrap();
    assert_eq!((over.phase, over.current_step, over.ended_at), (Phase::Completed, second, Some(at(23))));
}

#[tokio::test]
async fn an_older_run_does_not_change_what_the_task_shows() {
    let fixture = fixture().await;
    let (task, step, _) = fixture.task("Old").await;
    let retry = fixture.new_run(1);
    fixture.store.add_run(task, &retry, Vec::new(), at(2)).await.unwrap();
    fixture.advance(step, Input::Cancel, at(3)).await;
    let shown = fixture.store.task(task).await.unwrap();
    assert_eq!((shown.latest_run, shown.phase), (retry.run, Phase::Queued));
}

#[tokio::test]
async fn who_decides_on_an_old_revision_is_refused_and_nothing_is_written() {
    let fixture = fixture().await;
    let (task, step, added) = fixture.task("Race").await;
    let before = fixture.store.step(step).await.unwrap();
    fixture.advance(step, Input::Hold(Hold::Person), at(2)).await;
    let state = advance(&before.state, Input::Cancel).unwrap().state;
    let late = transition(step, before.revision, before.state, state, at(3));
    let refused = fixture.store.transition(late.clone()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { expected: 0, found: 1, .. }), "{refused}");
    assert_eq!(fixture.store.step(step).await.unwrap().state.phase(), Phase::Queued);
    let after = EventFilter { task: Some(task), after_seq: added.events[0].seq, limit: 10 };
    assert_eq!(fixture.store.events(after).await.unwrap().len(), 1, "only the hold");

    let unknown = fixture.store.transition(Transition { step: id(), ..late }).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { what: "step", .. }), "{unknown}");
}

#[tokio::test]
async fn an_error_stays_with_the_step_until_the_next_transition() {
    let fixture = fixture().await;
    let (_, step, _) = fixture.task("Fails").await;
    fixture.advance_all(step, 2, &[Input::SlotGranted, Input::Provisioned]).await;
    let before = fixture.store.step(step).await.unwrap();
    let error = ErrorView::new(ErrorCode::AgentFailed, "The agent ended with status 3.").detail("last words");
    let state = advance(&before.state, Input::AgentExited(Exit::Failure)).unwrap().state;
    let failed =
        Transition { error: Some(error.clone()), ..transition(step, before.revision, before.state, state, at(5)) };
    fixture.store.transition(failed).await.unwrap();
    let record = fixture.store.step(step).await.unwrap();
    assert_eq!(record.error, Some(error));
    assert_eq!(record.state.failure(), Some(lifecycle::Failure::Agent));
}

#[tokio::test]
async fn events_come_back_as_they_were_written_and_in_order() {
    let fixture = fixture().await;
    let (task, step, added) = fixture.task("Events").await;
    let committed = fixture.advance(step, Input::SlotGranted, at(2)).await;
    let note = EventKind::Note { text: "a note".to_owned() };
    let scope = store::EventScope { task: Some(task), run: None, step: None };
    let noted = fixture.store.append_events(scope, at(3), vec![note.clone(), note]).await.unwrap();
    let elsewhere = fixture
        .store
        .append_events(store::EventScope::default(), at(4), vec![EventKind::Note { text: "x".to_owned() }])
        .await
        .unwrap();

    let written: Vec<_> = [added.events, committed.events, noted].concat();
    let all = |task, after_seq, limit| fixture.store.events(EventFilter { task, after_seq, limit });
    assert_eq!(all(Some(task), 0, 10).await.unwrap(), written);
    assert_eq!(all(Some(task), written[0].seq, 2).await.unwrap(), written[1..3]);
    assert_eq!(all(None, written[3].seq, 10).await.unwrap(), elsewhere);
    assert!(written.windows(2).all(|pair| pair[0].seq < pair[1].seq));
}

#[tokio::test]
async fn unfinished_steps_are_those_that_a_restart_takes_up() {
    let fixture = fixture().await;
    let (_, waiting, _) = fixture.task("Waits").await;
    let (_, over, _) = fixture.task("Over").await;
    let (_, at_work, _) = fixture.task("Works").await;
    fixture.advance(over, Input::Cancel, at(2)).await;
    fixture.advance_all(at_work, 3, &[Input::SlotGranted, Input::Provisioned, Input::Cancel]).await;
    let steps = fixture.store.unfinished_steps().await.unwrap();
    assert_eq!(steps.iter().map(|step| step.step).collect::<Vec<_>>(), [waiting, at_work]);
    assert_eq!(steps[1].state.ending(), Some(lifecycle::Ending::Cancel), "an ending survives");
    let live = fixture.store.steps_in(&[Phase::Executing]).await.unwrap();
    assert_eq!(live.iter().map(|step| step.step).collect::<Vec<_>>(), [at_work]);
}

#[tokio::test]
async fn a_priority_is_the_tasks_and_a_change_of_it_is_told_once() {
    let fixture = fixture().await;
    let (task, step, _) = fixture.task("one").await;
    assert!(fixture.store.set_priority(task, Priority::High, at(2)).await.unwrap());
    assert!(!fixture.store.set_priority(task, Priority::High, at(3)).await.unwrap());
    assert_eq!(fixture.store.task(task).await.unwrap().priority, Priority::High);
    assert_eq!(fixture.store.step(step).await.unwrap().priority, Priority::High);
    assert_eq!(fixture.store.listed_task(task).await.unwrap().priority, Priority::High);
    let filter = EventFilter { task: Some(task), after_seq: 0, limit: 10 };
    let events = fixture.store.events(filter).await.unwrap();
    let changes = events.iter().filter(|event| matches!(event.kind, EventKind::PriorityChanged { .. })).count();
    assert_eq!(changes, 1);
}

#[tokio::test]
async fn steps_stand_in_the_order_in_which_they_were_asked_for_whatever_the_clock_says() {
    let fixture = fixture().await;
    let mut asked = Vec::new();
    for seconds in [9, 5, 1] {
        let new = NewTask { at: at(seconds), ..fixture.new_task("t", "p", 2) };
        asked.extend(new.run.steps.iter().map(|step| step.step));
        fixture.store.create_task(new).await.unwrap();
    }
    let steps = fixture.store.unfinished_steps().await.unwrap();
    assert_eq!(steps.iter().map(|step| step.step).collect::<Vec<_>>(), asked);
    assert!(steps.is_sorted_by(|one, other| one.place < other.place));
}

#[tokio::test]
async fn time_for_which_an_agent_is_held_adds_up_and_another_attempt_begins_at_nothing() {
    let fixture = fixture().await;
    let (_, step, _) = fixture.task("one").await;
    // Held in the queue: there is no agent that could stand still.
    let pause = Input::Hold(Hold::Person);
    fixture.advance_all(step, 10, &[pause, Input::Release(Hold::Person), Input::SlotGranted, Input::Provisioned]).await;
    assert_eq!(fixture.store.step(step).await.unwrap().held_ms, 0);
    fixture.advance(step, pause, at(20)).await;
    fixture.advance(step, Input::Hold(Hold::Engine), at(21)).await;
    fixture.advance(step, Input::Release(Hold::Person), at(24)).await;
    let held = fixture.store.step(step).await.unwrap();
    assert_eq!((held.held_ms, held.held_at), (0, Some(at(20))), "one reason is left");
    fixture.advance(step, Input::Release(Hold::Engine), at(27)).await;
    let free = fixture.store.step(step).await.unwrap();
    assert_eq!((free.held_ms, free.held_at), (7_000, None));
    fixture.advance(step, pause, at(30)).await;
    // The clock was set back meanwhile.
    fixture.advance(step, Input::Release(Hold::Person), at(29)).await;
    fixture.advance(step, pause, at(40)).await;
    fixture.advance(step, Input::AgentExited(Exit::Success), at(41)).await;
    let over = fixture.store.step(step).await.unwrap();
    assert_eq!((over.held_ms, over.held_at), (8_000, None));
    let disk_use = DiskUse { step, disk_bytes: 7, home_bytes_before: Some(5) };
    fixture.store.set_disk_use(disk_use).await.unwrap();
    let measured = fixture.store.step(step).await.unwrap();
    assert_eq!((measured.disk_bytes, measured.home_bytes_before), (Some(7), Some(5)));
    fixture.advance(step, Input::RequestChanges, at(50)).await;
    let anew = fixture.store.step(step).await.unwrap();
    assert_eq!((anew.held_ms, anew.disk_bytes, anew.home_bytes_before), (0, None, None));
}
