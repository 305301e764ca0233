//! A process that commits in a loop is killed at whatever point it is; what it said was written is there, and the state
//! agrees with the events.

use lifecycle::{Exit, Input};
use store::{EventFilter, Store, TaskFilter};
use wire::{EventKind, Hold, ids::StepId};

use crate::{
    file::{child, child_path, lines, say},
    fixture::{Fixture, agent, at, fixture},
};

/// After how many commits a child is killed, one round each.
const ROUNDS: [usize; 6] = [1, 2, 7, 23, 40, 61];

#[tokio::test]
async fn after_a_kill_the_state_agrees_with_the_events() {
    let fixture = fixture().await;
    let path = fixture.folder.path().join("berth.db");
    fixture.store.close().await;
    for commits in ROUNDS {
        let mut killed = child("crash::child_that_commits_until_it_is_killed", &path);
        let said: Vec<(StepId, i64)> = lines(&mut killed)
            .take(commits)
            .map(|line| {
                let (step, revision) = line.split_once(' ').unwrap();
                (step.parse().unwrap(), revision.parse().unwrap())
            })
            .collect();
        killed.kill().unwrap();
        assert!(!killed.wait().unwrap().success(), "it ended by itself");
        assert_eq!(said.len(), commits);

        let store = Store::open(&path).await.unwrap();
        for (step, revision) in said {
            assert!(store.step(step).await.unwrap().revision >= revision, "a commit is lost");
        }
        check(&store).await;
        store.close().await;
    }
}

/// Every step is where its events say, and so are its timeline, its run and its task.
async fn check(store: &Store) {
    let all = TaskFilter { limit: 10_000, ..TaskFilter::default() };
    let page = store.list_tasks(&all).await.unwrap();
    assert_eq!(page.total, page.rows.len() as u64);
    assert!(page.total > 0);
    for row in page.rows {
        let step = store.step(row.step).await.unwrap();
        let filter = EventFilter { task: Some(row.task), after_seq: 0, limit: 1_000 };
        let events = store.events(filter).await.unwrap();
        let changes: Vec<_> = events
            .iter()
            .filter_map(|event| {
                let EventKind::PhaseChanged { to, attempt, .. } = &event.kind else { return None };
                Some((*to, *attempt))
            })
            .collect();
        assert_eq!(step.revision, i64::try_from(changes.len()).unwrap());
        let now = (step.state.phase(), step.state.attempt());
        assert_eq!(changes.last().copied().unwrap_or((wire::Phase::Queued, 1)), now);
        let timeline = store.timeline_of(row.run).await.unwrap().remove(&row.step).unwrap();
        let open: Vec<_> = timeline.iter().filter(|span| span.left_at.is_none()).collect();
        assert_eq!(open.iter().map(|span| (span.phase, span.attempt)).collect::<Vec<_>>(), [now]);
        let run = store.run(row.run).await.unwrap();
        assert_eq!((run.phase, row.phase), (now.0, now.0));
        assert_eq!(run.ended_at.is_some(), now.0.is_final());
    }
}

#[tokio::test]
async fn child_that_commits_until_it_is_killed() {
    let Some(path) = child_path() else { return };
    let store = Store::open(&path).await.unwrap();
    let agent = store.agent_by_name(&agent("ada").name).await.unwrap().agent;
    let fixture = Fixture { folder: camino_tempfile::tempdir().unwrap(), store, agent };
    loop {
        let (_, step, _) = fixture.task("Until killed").await;
        for input in [
            Input::SlotGranted,
            Input::Hold(Hold::Person),
            Input::Provisioned,
            Input::Release(Hold::Person),
            Input::AgentExited(Exit::Success),
            Input::RequestChanges,
            Input::SlotGranted,
            Input::Cancel,
            Input::Ended,
        ] {
            let committed = fixture.advance(step, input, at(5)).await;
            say(&format!("{step} {}", committed.revision));
        }
    }
}
