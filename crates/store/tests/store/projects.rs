use lifecycle::Input;
use store::{EventFilter, EventScope, NewTask, ProjectRecord, RunHosts, StoreError};
use wire::{
    EventKind,
    network::{GrantReach, HostGrant},
};

use crate::fixture::{at, fixture, id};

fn host(host: &str) -> HostGrant {
    HostGrant { host: host.to_owned(), port: Some(8443), reach: GrantReach::Private }
}

fn note(text: &str) -> Vec<EventKind> {
    vec![EventKind::Note { text: text.to_owned() }]
}

#[tokio::test]
async fn a_project_is_made_changed_and_removed_and_its_tasks_go_on_naming_it() {
    let fixture = fixture().await;
    let store = &fixture.store;
    let (site, books) = (id(), id());
    store.create_project(site, "site", at(2), note("made")).await.unwrap();
    store.create_project(books, "books", at(3), Vec::new()).await.unwrap();
    let taken = store.create_project(id(), "site", at(4), note("lost")).await.unwrap_err();
    assert!(matches!(taken, StoreError::ProjectNameTaken { ref name } if name == "site"), "{taken}");

    let task = NewTask { project: Some(site), ..fixture.new_task("In it", "", 1) };
    let step = task.run.steps[0].step;
    let task = (task.task, store.create_task(task).await.unwrap()).0;
    let listed = store.projects().await.unwrap();
    let names: Vec<_> =
        listed.iter().map(|project| (project.name.as_str(), project.tasks, project.tasks_open)).collect();
    assert_eq!(names, [("books", 0, 0), ("site", 1, 1)]);
    fixture.advance(step, Input::Cancel, at(5)).await;
    let found = store.project_by_name("site").await.unwrap();
    let expected = ProjectRecord {
        project: site,
        name: "site".to_owned(),
        hosts: Vec::new(),
        created_at: at(2),
        tasks: 1,
        tasks_open: 0,
    };
    assert_eq!(found, expected);

    let taken = store.update_project(site, "books", &[], at(6), note("lost")).await.unwrap_err();
    assert!(matches!(taken, StoreError::ProjectNameTaken { .. }), "{taken}");
    store.update_project(site, "harbour", &[host("a.example")], at(6), note("changed")).await.unwrap();
    assert_eq!(store.project_by_name("harbour").await.unwrap().hosts, [host("a.example")]);
    assert_eq!(store.task(task).await.unwrap().project.as_deref(), Some("harbour"));
    assert_eq!(store.listed_task(task).await.unwrap().project.as_deref(), Some("harbour"));

    store.remove_project(site, at(7), note("removed")).await.unwrap();
    assert_eq!(store.task(task).await.unwrap().project.as_deref(), Some("harbour"));
    store.create_project(id(), "harbour", at(8), Vec::new()).await.expect("its name is free again");
    for refused in [
        store.remove_project(site, at(9), note("lost")).await,
        store.update_project(site, "x", &[], at(9), note("lost")).await,
        store.create_task(NewTask { project: Some(site), ..fixture.new_task("Late", "", 1) }).await.map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::NotFound { what: "project", .. })), "{refused:?}");
    }
    let events = store.events(EventFilter { task: None, after_seq: 0, limit: 100 }).await.unwrap();
    let told: Vec<_> = events.iter().filter(|event| event.task.is_none()).map(|event| event.text.as_str()).collect();
    assert_eq!(told, ["made", "changed", "removed"]);
}

#[tokio::test]
async fn a_run_may_reach_what_its_project_may_and_what_it_alone_may() {
    let fixture = fixture().await;
    let store = &fixture.store;
    let site = fixture.project("site").await;
    let new = NewTask { project: Some(site), ..fixture.new_task("In it", "", 1) };
    let (task, run) = (new.task, new.run.run);
    store.create_task(new).await.unwrap();
    let of_site = |own: Vec<HostGrant>, of_project| RunHosts { own, project: Some("site".to_owned()), of_project };
    assert_eq!(store.hosts_of_run(run).await.unwrap(), of_site(vec![], vec![]));
    store.update_project(site, "site", &[host("a.example")], at(3), Vec::new()).await.unwrap();
    let scope = EventScope { task: Some(task), run: Some(run), step: None };
    store.set_run_hosts(run, &[host("b.example")], scope, at(4), note("once")).await.unwrap();
    assert_eq!(store.hosts_of_run(run).await.unwrap(), of_site(vec![host("b.example")], vec![host("a.example")]));
    let events = store.events(EventFilter { task: Some(task), after_seq: 0, limit: 100 }).await.unwrap();
    assert_eq!(events.last().map(|event| event.text.as_str()), Some("once"));

    let retry = fixture.new_run(1);
    store.add_run(task, &retry, Vec::new(), at(5)).await.unwrap();
    assert_eq!(store.hosts_of_run(retry.run).await.unwrap(), of_site(vec![], vec![host("a.example")]), "once is once");

    let (_, step, _) = fixture.task("In none").await;
    let alone = store.step(step).await.unwrap().run;
    assert_eq!(store.hosts_of_run(alone).await.unwrap(), RunHosts::default());
    store.remove_project(site, at(6), Vec::new()).await.unwrap();
    let left = RunHosts { own: vec![host("b.example")], ..RunHosts::default() };
    assert_eq!(store.hosts_of_run(run).await.unwrap(), left, "what is removed allows nothing");
    for refused in
        [store.hosts_of_run(id()).await.map(drop), store.set_run_hosts(id(), &[], scope, at(7), Vec::new()).await]
    {
        assert!(matches!(refused, Err(StoreError::NotFound { what: "run", .. })), "{refused:?}");
    }
}
