//! What a person does in the page about projects, and about what runs may reach.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use berth_tests::{
    TestApp,
    app::RUN_TIME_MAX,
    binaries::assert_interface_is_built,
    browser::{Browser, Scheme},
    page::Page,
};
use camino::Utf8Path;
use testkit::{Act, ModelScript, ModelServer};
use wire::call::{ListTasks, ShowRun};

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_put_into_a_project_whose_runs_are_then_allowed_a_host() {
    assert_interface_is_built();
    let script = ModelScript::new(Act::Ask { question: "?".to_owned() });
    let host = ModelServer::start("sk-ant-nobody-has-it", script).await.unwrap();
    let (app, browser) = (TestApp::start().await, Browser::start().await);
    app.run(["projects", "create", "site"]).await.good();
    let prompt = format!(
        "```python\n\
         import os, time, urllib.request, urllib.error\n\
         def ask(name):\n    \
             try:\n        \
                 print(name, urllib.request.urlopen('http://0x7f000001:{port}/v1/models').status, flush=True)\n    \
             except urllib.error.HTTPError as error:\n        \
                 print(name, error.code, flush=True)\n\
         ask('first')\n\
         while not os.path.exists('go'):\n    time.sleep(0.05)\n\
         ask('then')\n\
         ```\n",
        port = host.port()
    );
    let body = async |page: &Page| {
        page.client().goto(app.link()).await.unwrap();
        page.element("[data-test='screen-tasks']").await;
        page.press("new-task").await;
        page.write("[data-test='prompt']", &prompt).await;
        page.write("[data-test='agent']", "script").await;
        page.element("[data-test='project'] option[value='site']").await;
        page.write("[data-test='project']", "site").await;
        page.press("queue-and-watch").await;
        page.terminal_says_within(RUN_TIME_MAX, "first 403").await;
        let rows = app.call(ListTasks::default()).await.unwrap().rows;
        assert_eq!(rows[0].project.as_deref(), Some("site"));

        page.press("tab-network").await;
        page.element("[data-test='ask']").await;
        page.press("allow").await;
        page.element("[data-test='choose-once'][aria-checked='true']").await;
        page.press("choose-project").await;
        page.press("allow-private").await;
        page.press("allow-yes").await;
        page.element("[data-test='reach']").await;
        page.says("allowed for the project site").await;
        let run = app.call(ShowRun { run: rows[0].number.to_string() }).await.unwrap();
        let workspace = run.summary.workspace.unwrap();
        std::fs::write(Utf8Path::new(&workspace).join("go"), b"").unwrap();
        page.press("tab-terminal").await;
        // The policy lets it through; without a key the server itself says no.
        page.terminal_says_within(RUN_TIME_MAX, "then 401").await;
    };
    browser.page(Scheme::Light).await.test("allow-for-a-project", body).await;
}
