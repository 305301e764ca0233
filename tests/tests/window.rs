//! The desktop app in its real window, under an X server of the test's own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::{os::unix::fs::PermissionsExt, time::Duration};

use berth_tests::{
    TestApp,
    app::{Leftovers, RUN_TIME_MAX},
    binaries::assert_interface_is_built,
    client::Client,
    command::run_within,
    desk::Desk,
    notifications::Notifications,
    page::{Page, SEEN_TIME_MAX, screenshots},
    sample, until,
    window::{DragSource, Window, close, desktop},
};
use camino::Utf8Path;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testkit::{Act, ModelScript, ModelServer};
use tokio::{process::Child, time::timeout};
use wire::{
    MicroUsd, Phase,
    call::{
        CancelRun, CreateTask, GrantSecret, ListNews, ListProjects, ListTasks, SetBudget, SetNews, SetSecret,
        ShowCompute, ShowNewsSettings, ShowRun,
    },
    cost::BudgetScope,
    news::NewsKind,
    secret::{CredentialKind, Provider, SecretBinding, SecretText},
    task::NewTask,
};

/// The title of the app's window.
const TITLE: &str = "^Berth$";
/// How long the app takes to open its window on a machine that does other things.
const WINDOW_TIME_MAX: Duration = Duration::from_secs(40);
/// How long it takes to end in order.
const END_TIME_MAX: Duration = Duration::from_secs(20);

async fn set_up() -> (TestApp, Desk) {
    assert_interface_is_built();
    (TestApp::unstarted(&[]).await, Desk::new().await)
}

/// The client of the server inside the desktop app, once it serves.
async fn client(home: &Utf8Path) -> Client {
    until("the window's server", WINDOW_TIME_MAX, async || home.join("server.json").exists().then_some(())).await;
    Client::of(home)
}

fn task(prompt: String) -> CreateTask {
    let agent = Some("script".to_owned());
    let task = NewTask { prompt, agent, ..NewTask::default() };
    CreateTask { task }
}

async fn ends_well(mut child: Child) {
    let status = timeout(END_TIME_MAX, child.wait()).await.expect("it ends in time").unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_paints_the_task_list_and_follows_what_others_do() {
    let (app, desk) = set_up().await;
    let window = Window::open(&desk, app.home(), &[]).await;
    let body = async |page: &Page| {
        page.element_within(WINDOW_TIME_MAX, "[data-test='screen-tasks']").await;
        page.element("[data-test='engine'][data-state='up']").await;
        page.element("[data-test='no-tasks']").await;
        assert!(desk.window(TITLE).is_some(), "the window is on the screen");
        let text = sample::script_with("title: From a terminal", &["echo told > told"]);
        let folder = camino_tempfile::tempdir().unwrap();
        let file = sample::write(folder.path(), "task.md", text);
        app.run(["run", file.as_str(), "--wait", "--json"]).await.good();
        page.says("From a terminal").await;
        page.phase_within(SEEN_TIME_MAX, Phase::Completed).await;
        app.is_swept().await;
    };
    window.page.test("window-list", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_dragged_from_another_window_is_run_and_its_result_read() {
    let (app, desk) = set_up().await;
    let files = camino_tempfile::tempdir().unwrap();
    let text = sample::script_with(
        "title: By hand",
        &["sleep 0.2; awk '{ sum += $1 } END { print \"the sum is \" sum }' 'the numbers.csv' | tee sum.txt"],
    );
    let dragged =
        [sample::write(files.path(), "drop me.md", text), sample::write(files.path(), "the numbers.csv", "1\n2\n39\n")];
    let window = Window::open(&desk, app.home(), &[]).await;
    let body = async |page: &Page| {
        page.element_within(WINDOW_TIME_MAX, "[data-test='screen-tasks']").await;
        let source = DragSource::open(&desk, &dragged).await;
        let over = async || {
            page.element("[data-test='drop-overlay']").await;
            desk.picture(&screenshots().join("window-drag.png"));
        };
        source.drop_on(&desk, TITLE, over).await;
        page.element("[data-test='new-task-dialog']").await;
        page.element("[data-test='attachment'][data-name='the numbers.csv']").await;
        assert!(!page.has("[data-test='drop-overlay']").await);
        page.write("[data-test='agent']", "script").await;
        page.press("queue-and-watch").await;
        page.terminal_says_within(RUN_TIME_MAX, "the sum is 42").await;
        page.phase_within(RUN_TIME_MAX, Phase::Completed).await;
        page.says("By hand").await;
        page.press("tab-results").await;
        page.choose_result("sum.txt").await;
        page.says("the sum is 42").await;
        app.is_swept().await;
    };
    window.page.test("window-drop", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_the_place_and_replays_the_output() {
    let (app, desk) = set_up().await;
    let window = Window::open(&desk, app.home(), &[]).await;
    let body = async |page: &Page| {
        page.element_within(WINDOW_TIME_MAX, "[data-test='screen-tasks']").await;
        let client = client(app.home()).await;
        client.call(task(sample::script(&["echo said once"]))).await.unwrap();
        page.phase_within(RUN_TIME_MAX, Phase::Completed).await;
        page.element("[data-test='task-row'] a").await.click().await.unwrap();
        page.press("tab-terminal").await;
        page.terminal_says_within(SEEN_TIME_MAX, "said once").await;
        let before = page.path().await;
        page.client().refresh().await.unwrap();
        page.terminal_says_within(SEEN_TIME_MAX, "said once").await;
        assert_eq!(page.path().await, before);
        app.is_swept().await;
    };
    window.page.test("window-reload", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_given_at_the_start_opens_the_dialog() {
    let (app, desk) = set_up().await;
    let files = camino_tempfile::tempdir().unwrap();
    let file = sample::write(files.path(), "given.md", sample::script(&["echo given at the start"]));
    let window = Window::open(&desk, app.home(), &[&file]).await;
    let body = async |page: &Page| {
        page.element_within(WINDOW_TIME_MAX, "[data-test='new-task-dialog']").await;
        let prompt = "return document.querySelector(\"[data-test='prompt']\").value";
        until("the prompt", SEEN_TIME_MAX, async || {
            page.script(prompt).await.as_str()?.contains("given at the start").then_some(())
        })
        .await;
    };
    window.page.test("window-given", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_hands_its_file_to_the_first_and_ends() {
    let (app, desk) = set_up().await;
    let files = camino_tempfile::tempdir().unwrap();
    sample::write(files.path(), "second.md", sample::script(&["echo from the second"]));
    let window = Window::open(&desk, app.home(), &[]).await;
    let body = async |page: &Page| {
        page.element_within(WINDOW_TIME_MAX, "[data-test='screen-tasks']").await;
        let mut second = desktop(&desk, app.home(), &["second.md"]);
        second.current_dir(files.path());
        run_within(END_TIME_MAX, &mut second, b"").await.good();
        page.element("[data-test='new-task-dialog']").await;
        let prompt = "return document.querySelector(\"[data-test='prompt']\").value";
        until("the prompt", SEEN_TIME_MAX, async || {
            page.script(prompt).await.as_str()?.contains("from the second").then_some(())
        })
        .await;
    };
    window.page.test("window-second", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_window_leaves_the_sandbox_working_and_the_next_start_takes_it_over() {
    let (mut app, desk) = set_up().await;
    app.leaves(Leftovers::Sandboxes);
    let child = desktop(&desk, app.home(), &[]).spawn().unwrap();
    let title = until("the window", WINDOW_TIME_MAX, async || desk.window(TITLE)).await;
    let client = client(app.home()).await;
    let block = "echo once >> began; while [ ! -e go ]; do sleep 0.05; done; echo after > after";
    let created = client.call(task(sample::script(&[block]))).await.unwrap();
    let run = created.run.to_string();
    let workspace = until("the agent to begin", RUN_TIME_MAX, async || {
        let view = client.call(ShowRun { run: run.clone() }).await.unwrap();
        let workspace = view.steps[0].workspace.clone()?;
        Utf8Path::new(&workspace).join("began").exists().then_some(workspace)
    })
    .await;
    close(&desk, &title).await;
    ends_well(child).await;
    assert!(!app.home().join("server.json").exists(), "it left in order");
    let running = app.containers().iter().filter(|container| container["State"]["Running"] == true).count();
    assert_eq!(running, 1, "the sandbox works on");
    sample::write(Utf8Path::new(&workspace), "go", "");
    app.restart().await;
    app.reaches(&created, Phase::Completed).await;
    assert_eq!(std::fs::read_to_string(Utf8Path::new(&workspace).join("began")).unwrap(), "once\n");
    app.is_swept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_spent_is_told_by_the_desktop_and_so_is_a_task_that_is_held_for_it() {
    const KEY: &str = "sk-ant-desk";
    let server = ModelServer::start(KEY, ModelScript::new(Act::Ask { question: "Yes?".to_owned() })).await.unwrap();
    let (app, desk) = set_up().await;
    let mut notifications = Notifications::at(&desk).await;
    let child = desktop(&desk, app.home(), &[]).env("BERTH_KEYRING", "none").spawn().unwrap();
    let client = client(app.home()).await;
    let binding = SecretBinding::Provider {
        provider: Provider::Anthropic,
        base_url: Some(server.url()),
        credential: CredentialKind::Key,
    };
    let (secret, agent) = ("model-key".to_owned(), "script".to_owned());
    let value = SecretText::new(KEY.to_owned());
    client.call(SetSecret { name: secret.clone(), value, binding: Some(binding) }).await.unwrap();
    client.call(GrantSecret { secret, agent, way: None, variable: None }).await.unwrap();
    client.call(SetBudget { scope: BudgetScope::EachRun, limit: Some(MicroUsd(1)) }).await.unwrap();
    let prompt = "# Ask <b>twice</b>\n\n\
                  ```python\n\
                  import json, os, urllib.request, urllib.error\n\
                  body = {'model': 'claude-sonnet-4-5', 'max_tokens': 9, 'messages': [{'role': 'user', 'content': 'hello'}]}\n\
                  for _ in range(2):\n    \
                      request = urllib.request.Request(os.environ['ANTHROPIC_BASE_URL'] + '/v1/messages', json.dumps(body).encode(),\n        \
                          {'content-type': 'application/json', 'x-api-key': os.environ['ANTHROPIC_API_KEY']})\n    \
                      try:\n        \
                          urllib.request.urlopen(request).read()\n    \
                      except urllib.error.HTTPError as error:\n        \
                          print(error.code)\n\
                  ```\n";
    let created = client.call(task(prompt.to_owned())).await.unwrap();
    // A request that finds nothing left may be faster than the word that the one before it spent it.
    let mut both = [notifications.next(RUN_TIME_MAX).await, notifications.next(RUN_TIME_MAX).await];
    both.sort_by(|one, two| one.title.cmp(&two.title));
    let [spent, held] = both;
    assert_eq!((spent.app.as_str(), spent.title.as_str()), ("Berth", "A budget is spent"));
    assert!(
        spent.body.contains("budget of each run") && spent.body.contains(&format!("#{}", created.number)),
        "{spent:?}"
    );
    assert_eq!(held.title, "A task is held for its budget");
    for told in [&spent, &held] {
        assert!(!told.body.contains(['<', '>', '&']), "a title is no markup: {told:?}");
    }
    client.call(CancelRun { run: created.run.to_string() }).await.unwrap();
    // What a person wants to hear nothing of comes neither now nor late.
    client.call(SetNews { kinds: vec![NewsKind::BudgetSpent], is_silent: true }).await.unwrap();
    for _ in 0..2 {
        let created = client.call(task(prompt.to_owned())).await.unwrap();
        assert_eq!(notifications.next(RUN_TIME_MAX).await.title, "A task is held for its budget");
        client.call(CancelRun { run: created.run.to_string() }).await.unwrap();
    }
    let told = client.call(ListNews { after_seq: Some(0) }).await.unwrap().news;
    let spent: Vec<_> = told.iter().filter(|news| news.kind == NewsKind::BudgetSpent).collect();
    assert!(spent.len() == 3 && spent.iter().all(|news| news.is_silent), "the window still says it: {told:?}");
    app.is_swept().await;
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    ends_well(child).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_projects_and_notifications_are_changed_in_the_window_by_keys() {
    let (app, desk) = set_up().await;
    let window = Window::open(&desk, app.home(), &[]).await;
    let client = client(app.home()).await;
    let body = async |page: &Page| {
        page.element_within(WINDOW_TIME_MAX, "[data-test='screen-tasks']").await;
        let key = async |key: &str| {
            let event = format!("new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true, cancelable: true }})");
            page.script(&format!("document.body.dispatchEvent({event})")).await;
        };
        let show = async |path: &str| {
            let go = "window.dispatchEvent(new PopStateEvent('popstate'))";
            page.script(&format!("history.pushState(null, '', '{path}'); {go}")).await;
        };
        show("/costs").await;
        page.element("[data-test='set-rates']").await;
        key("r").await;
        page.write("[data-test='rate-cpu']", "0.05").await;
        page.press("rates-yes").await;
        until("the rates", SEEN_TIME_MAX, async || {
            let rates = client.call(ShowCompute::default()).await.unwrap().rates?;
            (rates.cpu == MicroUsd(50_000) && !page.has("[data-test='rates-dialog']").await).then_some(())
        })
        .await;
        page.picture("window-costs").await.unwrap();

        show("/settings/projects").await;
        page.element("[data-test='no-projects']").await;
        key("a").await;
        page.write("[data-test='project-name']", "site").await;
        page.press("project-yes").await;
        page.element("[data-test='project-row'][data-name='site']").await;
        until("the dialog to close", SEEN_TIME_MAX, async || {
            (!page.has("[data-test='project-dialog']").await).then_some(())
        })
        .await;
        key("e").await;
        page.write("[data-test='host-name']", "packages.example.org").await;
        page.press("add-host").await;
        page.press("project-yes").await;
        until("the project's host", SEEN_TIME_MAX, async || {
            let projects = client.call(ListProjects {}).await.unwrap();
            projects[0].hosts.iter().any(|grant| grant.host == "packages.example.org").then_some(())
        })
        .await;
        page.says("packages.example.org").await;

        show("/settings/notifications").await;
        page.element("[data-test='news-budget_spent']:checked").await;
        key("2").await;
        page.element("[data-test='news-budget_spent']:not(:checked)").await;
        let silent = client.call(ShowNewsSettings {}).await.unwrap().silent;
        assert_eq!(silent, [NewsKind::BudgetSpent]);
        page.picture("window-notifications").await.unwrap();
    };
    window.page.test("window-settings", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_app_in_order() {
    let (app, desk) = set_up().await;
    let child = desktop(&desk, app.home(), &[]).spawn().unwrap();
    client(app.home()).await.call(ListTasks::default()).await.unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    ends_well(child).await;
    assert!(!app.home().join("server.json").exists());
    let log = std::fs::read_to_string(app.home().join("logs/berth.log")).unwrap();
    assert!(log.contains("Berth starts") && log.contains("Berth stops"), "{log}");
    let others =
        log.lines().filter(|line| !["berth", "engine", "server", "store"].iter().any(|ours| line.contains(ours)));
    assert_eq!(others.count(), 0, "only our own crates log: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_berth_serves_without_a_window_a_start_opens_it_in_the_browser() {
    let (mut app, desk) = set_up().await;
    app.restart().await;
    let fake = desk.home().join("bin/xdg-open");
    std::fs::write(
        &fake,
        "#!/bin/sh\nprintf '%s' \"$1\" > \"$HOME/opened.part\" && mv \"$HOME/opened.part\" \"$HOME/opened\"\n",
    )
    .unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ran = run_within(END_TIME_MAX, &mut desktop(&desk, app.home(), &[]), b"").await.good();
    let opened = until("the browser to be opened", SEEN_TIME_MAX, async || {
        std::fs::read_to_string(desk.home().join("opened")).ok()
    })
    .await;
    assert!(opened.starts_with(&format!("{}/#code=", app.client().address)), "{opened}");
    assert!(ran.complaint().contains("already runs"), "{ran}");
    assert!(!ran.complaint().contains("code="), "the code is in no log: {ran}");
    app.call(ListTasks::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_cannot_start_says_why_in_a_dialog() {
    let (app, desk) = set_up().await;
    let no_folder = sample::write(app.home(), "a-file", "where a folder should be");
    let mut child = desktop(&desk, &no_folder, &[]).spawn().unwrap();
    until("the dialog", WINDOW_TIME_MAX, async || desk.window("^Berth cannot start$")).await;
    desk.picture(&screenshots().join("window-cannot-start.png"));
    child.kill().await.unwrap();
}
