use jiff::Timestamp;
use lifecycle::{Exit, Input};
use store::{EventFilter, Placement, Places, SandboxRecord, SandboxStage};
use wire::{
    ids::{RunId, StepId, TaskId},
    upkeep::Sight,
};

use crate::{
    fixture::{Fixture, at, fixture, id},
    records::result,
};

/// A task whose step went through these inputs, the last of them at `end`.
async fn task(fixture: &Fixture, title: &str, inputs: &[Input], end: i64) -> (TaskId, RunId, StepId) {
    let (task, step, _) = fixture.task(title).await;
    let from = end + 1 - i64::try_from(inputs.len()).unwrap();
    fixture.advance_all(step, from, inputs).await;
    (task, fixture.store.task(task).await.unwrap().latest_run, step)
}

const REVIEWED: [Input; 3] = [Input::SlotGranted, Input::Provisioned, Input::AgentExited(Exit::Success)];
const FAILED: [Input; 3] = [Input::SlotGranted, Input::Provisioned, Input::AgentExited(Exit::Failure)];

async fn sandbox(fixture: &Fixture, step: StepId, folder: &str, at: Timestamp) {
    let sandbox = SandboxRecord {
        sandbox: id(),
        container: format!("berth-{step}-{folder}-{at}"),
        image_id: "sha256:1".to_owned(),
        folder: folder.to_owned(),
        network: "closed".to_owned(),
        user: "1000:1000".to_owned(),
        stage: SandboxStage::Removed,
        created_at: at,
        removed_at: Some(at),
    };
    let placement =
        Placement { step, attempt: 1, sandbox: sandbox.sandbox, subpath: String::new(), process: id(), placed_at: at };
    fixture.store.create_sandbox(&sandbox, &placement, Vec::new()).await.unwrap();
}

async fn kept(fixture: &Fixture) -> Vec<(RunId, Sight)> {
    fixture.store.kept_runs().await.unwrap().into_iter().map(|kept| (kept.run, kept.sight)).collect()
}

#[tokio::test]
async fn kept_runs_come_oldest_first_and_what_a_person_decided_was_seen() {
    let fixture = fixture().await;
    let decided = |last| [REVIEWED.to_vec(), vec![last]].concat();
    let (_, approved, _) = task(&fixture, "approved", &decided(Input::Approve), 50).await;
    let (_, rejected, _) = task(&fixture, "rejected", &decided(Input::Reject), 40).await;
    let (_, cancelled, _) = task(&fixture, "cancelled", &[Input::Cancel], 30).await;
    let (_, failed, _) = task(&fixture, "failed", &FAILED, 20).await;
    task(&fixture, "waits for review", &REVIEWED, 10).await;
    let expected =
        [(failed, Sight::Unseen), (cancelled, Sight::Seen), (rejected, Sight::Seen), (approved, Sight::Seen)];
    assert_eq!(kept(&fixture).await, expected);
}

#[tokio::test]
async fn opening_a_task_makes_seen_what_has_ended_and_not_what_comes_after() {
    let fixture = fixture().await;
    let (task, first, _) = task(&fixture, "twice", &FAILED, 20).await;
    assert_eq!(fixture.store.mark_seen(task, at(30)).await.unwrap(), 1);
    assert_eq!(fixture.store.mark_seen(task, at(31)).await.unwrap(), 0, "seen already");
    let again = fixture.new_run(1);
    let (second, step) = (again.run, again.steps[0].step);
    fixture.store.add_run(task, &again, Vec::new(), at(32)).await.unwrap();
    assert_eq!(fixture.store.mark_seen(task, at(33)).await.unwrap(), 0, "it has not ended");
    fixture.advance_all(step, 40, &FAILED).await;
    assert_eq!(kept(&fixture).await, [(first, Sight::Seen), (second, Sight::Unseen)]);
    // A clock that was set back makes nothing unseen again.
    assert_eq!(fixture.store.mark_seen(task, at(5)).await.unwrap(), 1);
    assert_eq!(kept(&fixture).await, [(first, Sight::Seen), (second, Sight::Seen)]);
}

#[tokio::test]
async fn what_is_taken_is_written_down_first_and_is_half_taken_until_it_is_gone() {
    let fixture = fixture().await;
    let (task, run, step) = task(&fixture, "old", &FAILED, 20).await;
    fixture.store.replace_results(step, &[result(b"a"), result(b"b")], 0).await.unwrap();
    fixture.store.set_kept_bytes(run, 77).await.unwrap();
    assert_eq!(fixture.store.kept_runs().await.unwrap()[0].size_bytes, Some(77));
    assert_eq!(fixture.store.taken_of(step).await.unwrap(), None);

    let events = fixture.store.take(run, "it ended long ago", at(60)).await.unwrap().unwrap();
    assert_eq!(fixture.store.take(run, "once more", at(61)).await.unwrap(), None);
    assert_eq!((fixture.store.half_taken().await.unwrap(), kept(&fixture).await), (vec![run], Vec::new()));
    let taken = fixture.store.taken_of(step).await.unwrap().unwrap();
    assert_eq!((taken.at, taken.why.as_str()), (at(60), "it ended long ago"));
    let results = fixture.store.results_of(step, 10).await.unwrap().results;
    assert!(results.iter().all(|result| result.unreadable.as_deref() == Some("deleted: it ended long ago")));
    let filter = EventFilter { task: Some(task), after_seq: 0, limit: 100 };
    assert_eq!(fixture.store.events(filter).await.unwrap().last(), events.last());

    fixture.store.taken(run).await.unwrap();
    assert_eq!(fixture.store.half_taken().await.unwrap(), []);
}

#[tokio::test]
async fn what_has_not_ended_cannot_be_taken() {
    let fixture = fixture().await;
    let (_, run, _) = task(&fixture, "waits for review", &REVIEWED, 20).await;
    assert_eq!(fixture.store.take(run, "no", at(60)).await.unwrap(), None);
    fixture.store.taken(run).await.unwrap();
    assert_eq!(fixture.store.half_taken().await.unwrap(), []);
}

#[tokio::test]
async fn a_folder_that_two_runs_worked_in_goes_with_the_last() {
    let fixture = fixture().await;
    let (_, first, first_step) = task(&fixture, "first", &FAILED, 20).await;
    let (_, second, second_step) = task(&fixture, "second", &FAILED, 30).await;
    sandbox(&fixture, first_step, "shared", at(15)).await;
    sandbox(&fixture, second_step, "shared", at(25)).await;
    let none = |step| Places { steps: vec![step], folders: Vec::new() };
    assert_eq!(fixture.store.places_of(first).await.unwrap(), none(first_step));
    fixture.store.take(second, "old", at(60)).await.unwrap();
    assert_eq!(fixture.store.places_of(second).await.unwrap(), none(second_step));
    let all = Places { steps: vec![first_step], folders: vec!["shared".to_owned()] };
    assert_eq!(fixture.store.places_of(first).await.unwrap(), all);
}

#[tokio::test]
async fn what_was_taken_owns_nothing_once_it_is_gone() {
    let fixture = fixture().await;
    let (task, run, step) = task(&fixture, "old", &FAILED, 20).await;
    sandbox(&fixture, step, "one", at(15)).await;
    let owns = async || {
        let owners = fixture.store.owners().await.unwrap();
        (owners.folders.contains("one"), owners.steps.contains(&step), owners.tasks.contains(&task))
    };
    assert_eq!(owns().await, (true, true, true));
    fixture.store.take(run, "old", at(60)).await.unwrap();
    assert_eq!(owns().await, (true, true, true), "something may be left");
    fixture.store.taken(run).await.unwrap();
    assert_eq!(owns().await, (false, false, true));
}

#[tokio::test]
async fn a_kept_step_says_where_its_files_are_and_its_output_can_be_corrected() {
    let fixture = fixture().await;
    let (_, run, step) = task(&fixture, "kept", &FAILED, 20).await;
    sandbox(&fixture, step, "one", at(15)).await;
    let kept = fixture.store.kept_steps(10).await.unwrap();
    assert_eq!((kept[0].step, kept[0].run, kept[0].attempt, kept[0].folder.as_deref()), (step, run, 1, Some("one")));
    fixture.store.correct_output(&kept[0], 12, "12 are there".to_owned(), at(70)).await.unwrap();
    assert_eq!(fixture.store.kept_steps(10).await.unwrap()[0].output_bytes, 12);
    assert_eq!(fixture.store.kept_steps(0).await.unwrap(), []);
}
