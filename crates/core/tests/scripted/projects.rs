//! Projects, and hosts that are allowed to an agent, to a project's runs or to one run.

use futures::future::join_all;
use wire::{
    Action, ErrorCode, ErrorView, EventKind, MicroUsd, Phase,
    call::{
        AllowHost, CreateProject, CreateTask, DeleteProject, ListAgents, ListProjects, ListTasks, SetBudget, ShowReach,
        ShowTask, TaskCreated, UpdateAgent, UpdateProject,
    },
    cost::BudgetScope,
    network::{GrantReach, GrantScope, HostGrant, HostsPatch, NetworkPolicy},
    task::NewTask,
};

use crate::scene::Scene;

async fn task_in(scene: &Scene, project: &str) -> Result<TaskCreated, ErrorView> {
    let task = NewTask {
        prompt: "Work".to_owned(),
        agent: Some("own".to_owned()),
        project: Some(project.to_owned()),
        ..NewTask::default()
    };
    scene.api().call(CreateTask { task }).await
}

async fn create(scene: &Scene, name: &str) {
    scene.api().call(CreateProject { name: name.to_owned() }).await.unwrap();
}

fn host(host: &str) -> HostGrant {
    HostGrant { host: host.to_owned(), port: None, reach: GrantReach::Public }
}

async fn allow(scene: &Scene, name: &str, scope: GrantScope) -> Result<(), ErrorView> {
    scene.api().call(AllowHost { agent: "own".to_owned(), grant: host(name), scope }).await.map(drop)
}

fn names(hosts: &[HostGrant]) -> Vec<&str> {
    let mut names: Vec<_> = hosts.iter().map(|grant| grant.host.as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_put_into_a_project_that_is_there_and_into_no_other() {
    let scene = Scene::start().await;
    create(&scene, "books").await;
    let refused = task_in(&scene, "site").await.unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), (ErrorCode::NotFound, "There is no project named `site`."));
    let hint = "Choose one of these: books; `berth projects create site` makes it.";
    assert_eq!(refused.hint, hint);
    assert_eq!(scene.api().call(ListTasks::default()).await.unwrap().total, 0);

    let task = task_in(&scene, "books").await.unwrap();
    let guest = scene.at_work(&task).await;
    let shown = scene.api().call(ShowTask { task: task.number.to_string() }).await.unwrap();
    assert_eq!(shown.row.project.as_deref(), Some("books"));
    let twice = scene.api().call(CreateProject { name: "books".to_owned() }).await.unwrap_err();
    assert_eq!(twice.code, ErrorCode::InvalidArgument);
    for name in ["", "a/b", "x\ny", "../up"] {
        let refused = scene.api().call(CreateProject { name: name.to_owned() }).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidArgument, "{name:?}");
    }

    let delete = |confirm: &str| DeleteProject { project: "library".to_owned(), confirm: confirm.to_owned() };
    let rename =
        UpdateProject { project: "books".to_owned(), name: Some("library".to_owned()), ..UpdateProject::default() };
    let renamed = scene.api().call(rename).await.unwrap();
    assert_eq!((renamed.name.as_str(), renamed.tasks, renamed.tasks_open), ("library", 1, 1));
    assert!(renamed.delete_denied.is_some());
    assert_eq!(scene.api().call(delete("library")).await.unwrap_err().code, ErrorCode::NotNow, "a task works in it");
    guest.exit_with(0);
    scene.until_phase(&task, Phase::Completed).await;
    assert_eq!(scene.api().call(delete("books")).await.unwrap_err().code, ErrorCode::InvalidArgument);
    scene.api().call(delete("library")).await.unwrap();
    assert_eq!(scene.api().call(ListProjects {}).await.unwrap(), []);
    let shown = scene.api().call(ShowTask { task: task.number.to_string() }).await.unwrap();
    assert_eq!(shown.row.project.as_deref(), Some("library"), "the task goes on naming it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_of_a_project_is_set_shown_and_stays_with_it_under_another_name() {
    let scene = Scene::start().await;
    let budget = |project: &str| SetBudget {
        scope: BudgetScope::Project { project: project.to_owned() },
        limit: Some(MicroUsd(5_000_000)),
    };
    let refused = scene.api().call(budget("site")).await.unwrap_err();
    assert!(refused.hint.contains("berth projects create site"), "{}", refused.hint);
    create(&scene, "site").await;
    scene.api().call(budget("site")).await.unwrap();
    let rename =
        UpdateProject { project: "site".to_owned(), name: Some("harbour".to_owned()), ..UpdateProject::default() };
    scene.api().call(rename).await.unwrap();
    let costs = scene.api().call(wire::call::ShowCosts::default()).await.unwrap();
    assert_eq!(costs.budgets.len(), 1);
    assert_eq!(costs.budgets[0].scope, BudgetScope::Project { project: "harbour".to_owned() });
    assert_eq!(costs.budgets[0].label, "Month's budget of the project harbour");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_hosts_that_are_allowed_at_once_none_is_lost() {
    const AT_ONCE: usize = 16;
    let scene = Scene::start().await;
    create(&scene, "site").await;
    let task = task_in(&scene, "site").await.unwrap();
    let guest = scene.at_work(&task).await;
    let run = || task.run.to_string();
    for scope in [GrantScope::Agent, GrantScope::Project { project: "site".to_owned() }, GrantScope::Run { run: run() }]
    {
        let all = (0..AT_ONCE).map(|number| {
            let (scene, scope) = (&scene, scope.clone());
            async move { allow(scene, &format!("h{number}.example"), scope).await }
        });
        for allowed in join_all(all).await {
            allowed.unwrap();
        }
    }
    // What else is changed of the agent meanwhile takes nothing off its list.
    let colour = UpdateAgent { agent: "own".to_owned(), name: Some("other".to_owned()), ..UpdateAgent::default() };
    let own = || AllowHost { agent: "own".to_owned(), grant: host("last.example"), scope: GrantScope::Agent };
    let (allowed, renamed) = futures::future::join(scene.api().call(own()), scene.api().call(colour)).await;
    renamed.unwrap();
    let is_allowed = allowed.is_ok();
    let reach = scene.api().call(ShowReach { run: run() }).await.unwrap();
    assert_eq!((reach.agent.as_str(), reach.project.as_deref()), ("other", Some("site")));
    assert_eq!(reach.network.hosts().len(), AT_ONCE + usize::from(is_allowed));
    assert_eq!((reach.project_hosts.len(), reach.run_hosts.len()), (AT_ONCE, AT_ONCE));
    guest.exit_with(0);
    scene.until_phase(&task, Phase::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_are_put_onto_a_list_and_taken_off_it_at_once_lose_each_other_nowhere() {
    const AT_ONCE: usize = 12;
    let scene = Scene::start().await;
    create(&scene, "site").await;
    let named = |letter: char| (0..AT_ONCE).map(move |number| host(&format!("{letter}{number}.example")));
    let of_agent = |hosts| UpdateAgent { agent: "own".to_owned(), hosts, ..UpdateAgent::default() };
    let of_project = |patch| UpdateProject { project: "site".to_owned(), patch, ..UpdateProject::default() };
    let all = HostsPatch { allow: named('a').collect(), ..HostsPatch::default() };
    scene.api().call(of_agent(all.clone())).await.unwrap();
    scene.api().call(of_project(all)).await.unwrap();
    let patches = named('a').zip(named('b')).map(|(gone, new)| HostsPatch { allow: vec![new], disallow: vec![gone] });
    let changed = join_all(patches.map(|patch| {
        let scene = &scene;
        async move {
            let (agent, project) = (of_agent(patch.clone()), of_project(patch));
            futures::future::join(scene.api().call(agent), scene.api().call(project)).await
        }
    }));
    for (agent, project) in changed.await {
        agent.unwrap();
        project.unwrap();
    }
    let projects = scene.api().call(ListProjects {}).await.unwrap();
    let reach = scene.api().call(ListAgents {}).await.unwrap();
    let agent = reach.iter().find(|agent| agent.name == "own").unwrap();
    let mut expected: Vec<_> = named('b').map(|grant| grant.host).collect();
    expected.sort_unstable();
    assert_eq!(names(agent.network.hosts()), expected);
    assert_eq!(names(&projects[0].hosts), expected);
    let gone = HostsPatch { disallow: vec![host("a0.example")], ..HostsPatch::default() };
    let refused = scene.api().call(of_project(gone)).await.unwrap_err();
    assert_eq!((refused.code, refused.message.contains("is not on the project's list")), (ErrorCode::NotFound, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_allowed_once_is_so_until_the_run_ends() {
    let scene = Scene::start().await;
    create(&scene, "site").await;
    let task = task_in(&scene, "site").await.unwrap();
    let guest = scene.at_work(&task).await;
    let once = |run: &TaskCreated| GrantScope::Run { run: run.run.to_string() };
    let project = || GrantScope::Project { project: "site".to_owned() };
    allow(&scene, "Once.example.", once(&task)).await.unwrap();
    allow(&scene, "site.example", project()).await.unwrap();
    let reach = scene.api().call(ShowReach { run: task.run.to_string() }).await.unwrap();
    assert_eq!((names(&reach.run_hosts), names(&reach.project_hosts)), (vec!["once.example"], vec!["site.example"]));
    assert_eq!(reach.network, NetworkPolicy::default(), "the agent has neither");
    let is_told = |kind: &EventKind| kind.sentence() == "once.example is allowed for this run";
    assert!(scene.events(&task).await.iter().any(is_told));
    guest.exit_with(0);
    let step = scene.until_phase(&task, Phase::Completed).await;
    let late = allow(&scene, "late.example", once(&task)).await.unwrap_err();
    assert_eq!((late.code, late.message), (ErrorCode::NotNow, format!("The run of #{} has ended.", task.number)));

    scene.act(step.step, Action::Retry, "").await.unwrap();
    let retried = scene.api().call(ShowReach { run: task.number.to_string() }).await.unwrap();
    assert_eq!((names(&retried.run_hosts), names(&retried.project_hosts)), (vec![], vec!["site.example"]));
    let closed =
        UpdateAgent { agent: "own".to_owned(), network: Some(NetworkPolicy::Closed), ..UpdateAgent::default() };
    scene.api().call(closed).await.unwrap();
    for scope in [GrantScope::Agent, project()] {
        assert_eq!(allow(&scene, "x.example", scope).await.unwrap_err().code, ErrorCode::NotNow);
    }
    scene.cancel(&TaskCreated { run: retried_run(&scene, &task).await, ..task }).await;
}

async fn retried_run(scene: &Scene, task: &TaskCreated) -> wire::ids::RunId {
    scene.api().call(ShowTask { task: task.number.to_string() }).await.unwrap().runs.last().unwrap().summary.run
}
