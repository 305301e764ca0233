//! A host that was refused is allowed: to one run, to all of a project, to the agent. What is allowed holds from the next request on,
//! and for nobody else.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use berth_tests::{TestApp, app::RUN_TIME_MAX, until};
use camino::Utf8PathBuf;
use testkit::{Act, ModelScript, ModelServer};
use wire::{
    call::{AllowHost, CreateTask, ListRequests, TaskCreated},
    network::{GrantReach, GrantScope, HostGrant},
    task::NewTask,
};

/// A host to reach, on this machine.
async fn host() -> ModelServer {
    ModelServer::start("sk-ant-nobody-has-it", ModelScript::new(Act::Ask { question: "?".to_owned() })).await.unwrap()
}

/// A task that asks that host once, and once more for each file `go-1`, `go-2` that it is given.
async fn asks(app: &TestApp, host: &ModelServer, project: Option<&str>) -> (TaskCreated, Utf8PathBuf) {
    let prompt = format!(
        "```python\n\
         import os, time, urllib.request, urllib.error\n\
         def get(name):\n    \
             try:\n        \
                 print(name, urllib.request.urlopen('http://0x7f000001:{port}/v1/models').status, flush=True)\n    \
             except urllib.error.HTTPError as error:\n        \
                 print(name, error.code, flush=True)\n    \
             except OSError as error:\n        \
                 print(name, repr(error), flush=True)\n\
         get('first')\n\
         open('asked', 'w').close()\n\
         while not os.path.exists('go'):\n    time.sleep(0.05)\n\
         get('then')\n\
         ```\n",
        port = host.port()
    );
    let task = NewTask { prompt, project: project.map(str::to_owned), ..NewTask::default() };
    let created = app.call(CreateTask { task }).await.unwrap();
    let workspace = app.leaves_file(&created, "asked").await;
    (created, workspace)
}

/// Lets the task ask again, and says what it printed.
async fn goes_on(app: &TestApp, created: &TaskCreated, workspace: &Utf8PathBuf) -> String {
    std::fs::write(workspace.join("go"), b"").unwrap();
    app.ends(created).await.1
}

async fn allow(app: &TestApp, created: &TaskCreated, scope: GrantScope) {
    let list = ListRequests { run: Some(created.run), ..ListRequests::default() };
    let refused =
        until("the refusal to be listed", RUN_TIME_MAX, async || app.call(list.clone()).await.unwrap().pop()).await;
    let grant = HostGrant { host: refused.host, port: Some(refused.port), reach: GrantReach::Private };
    app.call(AllowHost { agent: "script".to_owned(), grant, scope }).await.unwrap();
}

/// The policy lets it through; without a key the server itself says no.
const REACHED: &str = "401";
const REFUSED: &str = "403";

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_allowed_to_one_run_or_to_a_project_is_so_to_nobody_else() {
    let host = host().await;
    let app = TestApp::start().await;
    app.run(["projects", "create", "site"]).await.good();

    let (once, workspace) = asks(&app, &host, Some("site")).await;
    allow(&app, &once, GrantScope::Run { run: once.run.to_string() }).await;
    let printed = goes_on(&app, &once, &workspace).await;
    assert!(printed.contains(&format!("first {REFUSED}")) && printed.contains(&format!("then {REACHED}")), "{printed}");

    let (again, workspace) = asks(&app, &host, Some("site")).await;
    allow(&app, &again, GrantScope::Project { project: "site".to_owned() }).await;
    let printed = goes_on(&app, &again, &workspace).await;
    assert!(printed.contains(&format!("first {REFUSED}")), "once was once: {printed}");
    assert!(printed.contains(&format!("then {REACHED}")), "{printed}");

    let (within, workspace) = asks(&app, &host, Some("site")).await;
    let shown = app.run(["allow", &within.number.to_string()]).await.good().text();
    assert!(shown.contains("127.0.0.1") && shown.contains("the project site"), "{shown}");
    let printed = goes_on(&app, &within, &workspace).await;
    assert!(printed.contains(&format!("first {REACHED}")), "{printed}");

    let (beside, workspace) = asks(&app, &host, None).await;
    let printed = goes_on(&app, &beside, &workspace).await;
    assert!(printed.contains(&format!("first {REFUSED}")), "another project's hosts are no concern of this: {printed}");
    assert!(printed.contains(&format!("then {REFUSED}")), "{printed}");
}
