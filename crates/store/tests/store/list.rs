use lifecycle::{Exit, Input};
use store::{ListedTask, OutputProgress, TaskFilter, TaskPage};
use wire::{Hold, Phase};

use crate::fixture::{Fixture, agent, at, fixture};

async fn list(fixture: &Fixture, phases: &[Phase], search: &str) -> TaskPage {
    let filter = TaskFilter { phases: phases.to_vec(), search: search.to_owned(), limit: 100, ..TaskFilter::default() };
    fixture.store.list_tasks(&filter).await.unwrap()
}

fn titles(page: &TaskPage) -> Vec<&str> {
    page.rows.iter().map(|row| row.title.as_str()).collect()
}

#[tokio::test]
async fn a_row_has_all_that_the_list_shows() {
    let fixture = fixture().await;
    let (task, step, added) = fixture.task("Shown").await;
    fixture.advance_all(step, 10, &[Input::SlotGranted, Input::Provisioned, Input::Hold(Hold::Person)]).await;
    let progress = OutputProgress { step, output_bytes: 42, output_at: at(20), last_line: "half way".to_owned() };
    fixture.store.set_output_progress(&[progress]).await.unwrap();
    let page = list(&fixture, &[], "").await;
    assert_eq!(page.total, 1);
    let row = &page.rows[0];
    assert_eq!((row.task, row.number, row.step), (task, added.number, step));
    assert_eq!((row.agent_name.as_str(), row.image.as_str(), row.last_line.as_str()), ("ada", "script", "half way"));
    assert_eq!((row.phase, row.attempt, row.entered_at), (Phase::Executing, 1, at(11)));
    assert_eq!((row.created_at, row.output_at, row.result_count), (at(1), Some(at(20)), 0));
    assert_eq!(row.holds.iter().collect::<Vec<_>>(), [Hold::Person]);
    assert_eq!(&fixture.store.listed_task(task).await.unwrap(), row);
    assert_eq!(fixture.store.step(step).await.unwrap().output_bytes, 42);
}

#[tokio::test]
async fn pages_are_newest_first_and_know_how_many_there_are() {
    let fixture = fixture().await;
    for number in 1..=7 {
        fixture.task(&format!("t{number}")).await;
    }
    let page = |offset, limit| {
        let filter = TaskFilter { offset, limit, ..TaskFilter::default() };
        let store = fixture.store.clone();
        async move { store.list_tasks(&filter).await.unwrap() }
    };
    assert_eq!(titles(&page(0, 3).await), ["t7", "t6", "t5"]);
    assert_eq!(titles(&page(6, 3).await), ["t1"]);
    let beyond = page(7, 3).await;
    assert_eq!((beyond.rows.len(), beyond.total), (0, 7));
}

#[tokio::test]
async fn pages_put_together_are_the_whole_list_under_every_filter() {
    let fixture = fixture().await;
    let work = [Input::SlotGranted, Input::Provisioned, Input::AgentExited(Exit::Success)];
    for number in 1..=23 {
        let (_, step, _) = fixture.task(&format!("odd{} all{number}", number % 2)).await;
        // Two thirds go on, so that some phases have more than half of the tasks and some have less.
        fixture.advance_all(step, 10, &work[..number % 3]).await;
    }
    let (few, many) = ([Phase::Queued], [Phase::Provisioning, Phase::Executing]);
    for (phases, search) in [(&[][..], ""), (&few, ""), (&many, ""), (&[], "all"), (&few, "odd1"), (&many, "odd1")] {
        let whole = list(&fixture, phases, search).await;
        assert!(whole.rows.len() > 2, "{phases:?} {search}: there is something to page through");
        let mut rows = Vec::new();
        for offset in (0..whole.total).step_by(3) {
            let (phases, search) = (phases.to_vec(), search.to_owned());
            let filter = TaskFilter { phases, search, limit: 3, offset };
            let page = fixture.store.list_tasks(&filter).await.unwrap();
            assert_eq!(page.total, whole.total, "{offset}");
            rows.extend(page.rows);
        }
        assert_eq!(rows, whole.rows, "{phases:?} {search}");
        let is_wanted =
            |row: &ListedTask| (phases.is_empty() || phases.contains(&row.phase)) && row.title.contains(search);
        assert!(whole.rows.iter().all(is_wanted));
        assert!(whole.rows.is_sorted_by(|one, other| one.number > other.number), "newest first");
        let everything = list(&fixture, &[], "").await.rows;
        assert_eq!(everything.iter().filter(|row| is_wanted(row)).count() as u64, whole.total);
    }
}

#[tokio::test]
async fn phases_filter_and_counts_agree_with_the_rows() {
    let fixture = fixture().await;
    let (_, done, _) = fixture.task("Done").await;
    let (_, waits, _) = fixture.task("Reviewed").await;
    fixture.task("Queued").await;
    let work = [Input::SlotGranted, Input::Provisioned, Input::AgentExited(Exit::Success)];
    for step in [done, waits] {
        fixture.advance_all(step, 10, &work).await;
    }
    fixture.advance(done, Input::Approve, at(20)).await;
    assert_eq!(titles(&list(&fixture, &[Phase::AwaitingReview], "").await), ["Reviewed"]);
    assert_eq!(titles(&list(&fixture, &[Phase::Completed, Phase::Queued], "").await), ["Queued", "Done"]);
    assert_eq!(titles(&list(&fixture, &[Phase::Completed, Phase::Queued], "done").await), ["Done"]);
    assert_eq!(list(&fixture, &[Phase::Failed], "").await, TaskPage { rows: Vec::new(), total: 0 });
    let counts = fixture.store.phase_counts().await.unwrap();
    assert_eq!(counts.iter().map(|count| count.phase).collect::<Vec<_>>(), Phase::ALL);
    for count in counts {
        let page = list(&fixture, &[count.phase], "").await;
        assert_eq!((count.count, page.total), (page.rows.len() as u64, page.rows.len() as u64), "{:?}", count.phase);
    }
}

#[tokio::test]
async fn a_search_finds_words_of_title_prompt_and_agent_by_their_beginnings() {
    let fixture = fixture().await;
    for (title, prompt) in [("Fix the login page", "It says Größe."), ("Write a haiku", "About harbours, please.")] {
        fixture.store.create_task(fixture.new_task(title, prompt, 1)).await.unwrap();
    }
    let grace = agent("grace");
    fixture.store.create_agent(&grace).await.unwrap();
    let mut hers = fixture.new_task("Compile", "All of it.", 1);
    hers.agent = grace.agent;
    fixture.store.create_task(hers).await.unwrap();
    for (search, found) in [
        ("login", &["Fix the login page"][..]),
        ("LOG pag", &["Fix the login page"]),
        ("grosse", &[]),
        ("große", &["Fix the login page"]),
        ("grö", &["Fix the login page"]),
        ("gro", &["Fix the login page"]),
        ("harbours haiku", &["Write a haiku"]),
        ("haiku login", &[]),
        ("grace", &["Compile"]),
        ("ada", &["Write a haiku", "Fix the login page"]),
        ("  ", &["Compile", "Write a haiku", "Fix the login page"]),
        ("***", &[]),
        ("NEAR(\"login\" OR title:haiku", &[]),
    ] {
        let page = list(&fixture, &[], search).await;
        assert_eq!(titles(&page), found, "{search:?}");
        assert_eq!(page.total, found.len() as u64, "{search:?}");
    }
}

#[tokio::test]
async fn the_row_is_of_the_step_that_speaks_and_counts_the_results_of_all() {
    let fixture = fixture().await;
    let new = fixture.new_task("Two", "", 2);
    let steps = [new.run.steps[0].step, new.run.steps[1].step];
    fixture.store.create_task(new).await.unwrap();
    for step in steps {
        fixture
            .store
            .replace_results(step, &[crate::records::result(b"a.txt"), crate::records::result(b"b.txt")], 0)
            .await
            .unwrap();
    }
    let work = [Input::SlotGranted, Input::Provisioned, Input::AgentExited(Exit::Success), Input::Approve];
    fixture.advance_all(steps[0], 10, &work).await;
    let page = list(&fixture, &[], "").await;
    assert_eq!((page.rows[0].step, page.rows[0].phase, page.rows[0].result_count), (steps[1], Phase::Queued, 4));
}
