use newtype_uuid::TypedUuid;
use store::{AttachmentRecord, EventFilter, IdPrefix, StoreError};
use wire::{EventKind, Phase, ids::TaskId};

use crate::fixture::{at, fixture, id};

#[tokio::test]
async fn a_task_comes_with_its_run_its_steps_and_its_event() {
    let fixture = fixture().await;
    let mut new = fixture.new_task("Tidy up", "Sort the shelf.", 2);
    let attachment = AttachmentRecord {
        name: "shelf/list.txt".to_owned(),
        size_bytes: 12,
        sha256: "ab".repeat(32),
        stored_path: "attachments/1".into(),
    };
    new.attachments.push(attachment.clone());
    let added = fixture.store.create_task(new.clone()).await.unwrap();

    let task = fixture.store.task(new.task).await.unwrap();
    assert_eq!((task.number, task.title.as_str(), task.prompt.as_str()), (added.number, "Tidy up", "Sort the shelf."));
    assert_eq!((task.agent, task.agent_name.as_str(), task.phase), (fixture.agent, "ada", Phase::Queued));
    assert_eq!((task.latest_run, task.project, task.created_at), (new.run.run, None, at(1)));
    assert_eq!(fixture.store.attachments_of(new.task).await.unwrap(), [attachment]);

    let runs = fixture.store.runs_of(new.task).await.unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].run, runs[0].ordinal, runs[0].phase), (new.run.run, 1, Phase::Queued));
    assert_eq!((runs[0].current_step, runs[0].ended_at), (new.run.steps[0].step, None));
    assert_eq!(fixture.store.run(new.run.run).await.unwrap(), runs[0]);

    let steps = fixture.store.steps_of(new.run.run).await.unwrap();
    assert_eq!(
        steps.iter().map(|step| (step.ordinal, step.step)).collect::<Vec<_>>(),
        [(1, new.run.steps[0].step), (2, new.run.steps[1].step)]
    );
    assert!(steps.iter().all(|step| step.task == new.task && step.revision == 0 && step.entered_at == at(1)));

    assert_eq!(added.events.len(), 1);
    assert_eq!((added.events[0].task, added.events[0].run), (Some(new.task), Some(new.run.run)));
    let filter = EventFilter { task: Some(new.task), after_seq: 0, limit: 10 };
    assert_eq!(fixture.store.events(filter).await.unwrap(), added.events);
}

#[tokio::test]
async fn a_task_of_no_known_agent_or_without_steps_leaves_nothing_behind() {
    let fixture = fixture().await;
    let mut unknown = fixture.new_task("Lost", "", 1);
    unknown.agent = id();
    let refused = fixture.store.create_task(unknown.clone()).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotFound { what: "agent", .. }), "{refused}");

    let empty = fixture.new_task("Empty", "", 0);
    assert!(matches!(fixture.store.create_task(empty.clone()).await.unwrap_err(), StoreError::NoSteps));
    for task in [unknown.task, empty.task] {
        assert!(matches!(fixture.store.task(task).await.unwrap_err(), StoreError::NotFound { what: "task", .. }));
    }
    assert!(fixture.store.events(EventFilter { task: None, after_seq: 0, limit: 10 }).await.unwrap().is_empty());
}

#[tokio::test]
async fn numbers_count_up_and_lead_to_their_task() {
    let fixture = fixture().await;
    let (first, _, one) = fixture.task("One").await;
    let (second, _, two) = fixture.task("Two").await;
    assert_eq!((one.number, two.number), (1, 2));
    assert_eq!(fixture.store.task_by_number(1).await.unwrap().task, first);
    assert_eq!(fixture.store.task_by_number(2).await.unwrap().task, second);
    assert!(matches!(fixture.store.task_by_number(3).await.unwrap_err(), StoreError::NotFound { .. }));
}

#[tokio::test]
async fn a_retry_is_a_new_run_that_the_task_shows() {
    let fixture = fixture().await;
    let (task, step, _) = fixture.task("Again").await;
    fixture.advance(step, lifecycle::Input::Cancel, at(2)).await;
    assert_eq!(fixture.store.task(task).await.unwrap().phase, Phase::Cancelled);

    let run = fixture.new_run(1);
    let note = EventKind::Note { text: "once more".to_owned() };
    let added = fixture.store.add_run(task, &run, vec![note], at(3)).await.unwrap();
    assert_eq!((added.ordinal, added.events[0].run), (2, Some(run.run)));
    let shown = fixture.store.task(task).await.unwrap();
    assert_eq!((shown.latest_run, shown.phase), (run.run, Phase::Queued));

    let missing = fixture.store.add_run(id(), &fixture.new_run(1), Vec::new(), at(3)).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { what: "task", .. }));
}

#[tokio::test]
async fn the_beginning_of_an_id_finds_the_one_that_it_fits() {
    let fixture = fixture().await;
    let ids = [0x0192_aaaa_0001, 0x0192_aaaa_0002, 0x0192_aaab_0001_u128];
    for number in ids {
        let mut new = fixture.new_task("Found", "", 1);
        new.task = TaskId::from_u128(number << 80);
        new.run.run = TypedUuid::from_u128(number << 80);
        fixture.store.create_task(new).await.unwrap();
    }
    let find = |text: &str| IdPrefix::parse(text).unwrap();
    let one = TaskId::from_u128(0x0192_aaaa_0002 << 80);
    for text in ["0192aaaa0002", "0192AAAA-0002", &one.to_string(), &one.to_string().replace('-', "")] {
        assert_eq!(fixture.store.task_by_prefix(&find(text)).await.unwrap().task, one, "{text}");
        assert_eq!(fixture.store.run_by_prefix(&find(text)).await.unwrap().task, one, "{text}");
    }
    let several = fixture.store.task_by_prefix(&find("0192aaaa")).await.unwrap_err();
    assert!(matches!(several, StoreError::Ambiguous { .. }), "{several}");
    let none = fixture.store.run_by_prefix(&find("ffffff")).await.unwrap_err();
    assert!(matches!(none, StoreError::NotFound { what: "run", .. }), "{none}");
    for text in ["", "01923", "0192g0", "%%%%%%", &"0".repeat(33)] {
        assert_eq!(IdPrefix::parse(text), None, "{text}");
    }
}
