//! The main job, from a terminal: a task goes in, an agent works, the result comes out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use berth_tests::{
    TestApp,
    app::RUN_TIME_MAX,
    binaries::repository,
    command::{Ran, run, run_within},
    sample, until,
};
use camino::Utf8Path;
use camino_tempfile::Utf8TempDir;
use sha2::{Digest, Sha256};
use wire::{
    ErrorCode, Phase,
    call::ShowRun,
    view::{ResultChange, ResultList, ResultView, RunSummary, RunView, TaskList},
};

fn folder() -> Utf8TempDir {
    camino_tempfile::tempdir().unwrap()
}

fn sha256(path: &Utf8Path) -> String {
    hex::encode(Sha256::digest(std::fs::read(path).unwrap()))
}

fn named<'list>(list: &'list ResultList, path: &str) -> &'list ResultView {
    let found = list.results.iter().find(|result| result.path == path);
    found.unwrap_or_else(|| panic!("no result {path}: {list:#?}"))
}

/// `berth run FILE --wait --json`, and what it printed.
async fn wait_for(app: &TestApp, file: &Utf8Path) -> (Ran, RunSummary) {
    let ran = app.run(["run", file.as_str(), "--wait", "--json"]).await;
    let summary = ran.json();
    (ran, summary)
}

async fn results(app: &TestApp, summary: &RunSummary) -> ResultList {
    app.run(["results", &summary.run.to_string(), "--json"]).await.good().json()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_task_completes_and_its_results_carry_their_hashes() {
    let app = TestApp::start().await;
    let (ran, summary) = wait_for(&app, &repository().join("docs/samples/hello.md")).await;
    assert_eq!((summary.phase, &summary.error), (Phase::Completed, &None), "{ran}");
    ran.good();
    let workspace = Utf8Path::new(summary.workspace.as_deref().unwrap()).to_owned();
    let list = results(&app, &summary).await;
    for (path, media_type) in [("primes.csv", "text/csv"), ("spiral.png", "image/png"), ("report.md", "text/markdown")]
    {
        let result = named(&list, path);
        let file = workspace.join(path);
        assert_eq!(result.sha256.as_deref(), Some(sha256(&file).as_str()), "{path}");
        assert_eq!(result.size_bytes, file.metadata().unwrap().len(), "{path}");
        assert_eq!(result.media_type, media_type, "{path}");
        assert_eq!(result.change, ResultChange::New, "{path}");
        assert!(result.is_final, "{path}");
    }
    assert_eq!((list.results.len(), list.left_out), (3, 0), "{list:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_on_standard_input_is_a_task() {
    let app = TestApp::start().await;
    let prompt = sample::script(&["echo from standard input > said"]);
    let mut command = app.berth(["run", "-", "--agent", "script", "--wait", "--json"]);
    let summary: RunSummary = run(&mut command, prompt.as_bytes()).await.good().json();
    assert_eq!(summary.phase, Phase::Completed);
    let said = Utf8Path::new(&summary.workspace.unwrap()).join("said");
    assert_eq!(std::fs::read_to_string(said).unwrap(), "from standard input\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_brings_its_task_file_and_the_rest_along() {
    let app = TestApp::start().await;
    let folder = folder();
    std::fs::create_dir(folder.path().join("pictures")).unwrap();
    sample::write(folder.path(), "pictures/one.bin", [0, 159, 146, 150]);
    sample::write(folder.path(), "data.csv", "a,b\n1,2\n");
    sample::write(folder.path(), "task.md", sample::script(&["sha256sum data.csv pictures/one.bin > sums"]));
    let (ran, summary) = wait_for(&app, folder.path()).await;
    assert_eq!(summary.phase, Phase::Completed, "{ran}");
    let sums = std::fs::read_to_string(Utf8Path::new(&summary.workspace.unwrap()).join("sums")).unwrap();
    for name in ["data.csv", "pictures/one.bin"] {
        assert!(sums.contains(&format!("{}  {name}", sha256(&folder.path().join(name)))), "{sums}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_changed_and_deleted_files_are_told_apart() {
    let app = TestApp::start().await;
    let folder = folder();
    for name in ["kept", "changed", "deleted"] {
        sample::write(folder.path(), name, name);
    }
    let text = sample::script_with(
        "files: [kept, changed, deleted]",
        &["cat kept; echo more >> changed; rm deleted; echo new > new"],
    );
    let file = sample::write(folder.path(), "task.md", text);
    let (ran, summary) = wait_for(&app, &file).await;
    assert_eq!(summary.phase, Phase::Completed, "{ran}");
    let list = results(&app, &summary).await;
    let mut changes: Vec<_> = list.results.iter().map(|result| (result.path.as_str(), result.change)).collect();
    changes.sort_by_key(|change| change.0);
    assert_eq!(
        changes,
        [("changed", ResultChange::Changed), ("deleted", ResultChange::Deleted), ("new", ResultChange::New)]
    );
    assert_eq!(named(&list, "deleted").sha256, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_block_ends_the_run_with_block_exit_code_and_last_words() {
    let app = TestApp::start().await;
    let folder = folder();
    let blocks = ["echo one > one", "echo the last words; exit 7", "echo never > never"];
    let file = sample::write(folder.path(), "task.md", sample::script(&blocks));
    let (ran, summary) = wait_for(&app, &file).await;
    assert_eq!(summary.phase, Phase::Failed, "{ran}");
    ran.bad();
    let error = summary.error.unwrap();
    assert_eq!(error.code, ErrorCode::AgentFailed, "{error:#?}");
    let said = format!("{} {} {}", error.message, error.hint, error.detail);
    for part in ["block 2", "7", "the last words"] {
        assert!(said.contains(part), "{part} is missing: {error:#?}");
    }
    let workspace = Utf8Path::new(summary.workspace.as_deref().unwrap()).to_owned();
    assert!(workspace.join("one").exists() && !workspace.join("never").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn ls_and_show_know_the_run() {
    let app = TestApp::start().await;
    let folder = folder();
    let text = sample::script_with("title: Known by its title", &["echo here > here"]);
    let (_, summary) = wait_for(&app, &sample::write(folder.path(), "task.md", text)).await;
    let list: TaskList = app.run(["ls", "--json"]).await.good().json();
    let row = list.rows.iter().find(|row| row.run == summary.run).unwrap();
    assert_eq!((row.title.as_str(), row.agent.as_str(), row.phase), ("Known by its title", "script", Phase::Completed));
    assert_eq!((list.total, row.results), (1, 1));
    let run = summary.run.to_string();
    let by_number = summary.number.to_string();
    for name in [run.as_str(), by_number.as_str()] {
        let view: RunView = app.run(["show", name, "--json"]).await.good().json();
        assert_eq!(view.summary.run, summary.run);
        let phases: Vec<Phase> = view.steps[0].timeline.iter().map(|span| span.phase).collect();
        assert_eq!(phases, [Phase::Queued, Phase::Provisioning, Phase::Executing, Phase::Completed], "by {name}");
    }
    let table = app.run(["ls"]).await.good().text();
    assert!(table.contains("Known by its title") && table.contains("Completed"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_follow_the_output_while_it_comes_and_end_with_the_run() {
    let app = TestApp::start().await;
    let block = "echo the beginning; while [ ! -e go ]; do sleep 0.05; done; echo the end";
    let created = app.create(&sample::script(&[block])).await;
    let workspace = app.workspace(&created).await;
    let run = created.run.to_string();
    let mut command = app.berth(["logs", &run, "--follow"]);
    let follows = run_within(RUN_TIME_MAX, &mut command, b"");
    let lets_go = async {
        until("the first output", RUN_TIME_MAX, async || {
            let view = app.call(ShowRun { run: run.clone() }).await.unwrap();
            (view.steps[0].output_bytes > 0).then_some(())
        })
        .await;
        sample::write(&workspace, "go", "");
    };
    let (ran, ()) = tokio::join!(follows, lets_go);
    let text = ran.good().text();
    assert!(text.contains("the beginning") && text.contains("the end"), "{text}");
    app.reaches(&created, Phase::Completed).await;
    let again = app.run(["logs", &run]).await.good().text();
    assert_eq!(again, text, "what was followed is what is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_ends_and_keeps_what_it_left() {
    let app = TestApp::start().await;
    let created = app.create(&sample::script(&["echo early > early", "sleep 600"])).await;
    app.leaves_file(&created, "early").await;
    app.run(["cancel", &created.run.to_string(), "--json"]).await.good();
    let view = app.reaches(&created, Phase::Cancelled).await;
    let list: ResultList = app.run(["results", &view.summary.run.to_string(), "--json"]).await.good().json();
    assert!(named(&list, "early").is_final);
    app.is_swept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_survives_runs_and_has_its_layout() {
    let app = TestApp::start().await;
    let folder = folder();
    let first = "cd /home/agent; for d in clawvault/script clawvault/shared project-workspace task-workspaces; do [ -d $d ]; done
        [ \"$(readlink run-workspace)\" = /workspace ]; echo remembered > memory; stat -c %u memory > /workspace/owner";
    let (ran, summary) = wait_for(&app, &sample::write(folder.path(), "1.md", sample::script(&[first]))).await;
    assert_eq!(summary.phase, Phase::Completed, "{ran}");
    let second = sample::write(folder.path(), "2.md", sample::script(&["cp /home/agent/memory /workspace"]));
    let (ran, summary) = wait_for(&app, &second).await;
    assert_eq!(summary.phase, Phase::Completed, "{ran}");
    let memory = Utf8Path::new(&summary.workspace.unwrap()).join("memory");
    assert_eq!(std::fs::read_to_string(memory).unwrap(), "remembered\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_app_a_waited_run_brings_its_own() {
    let app = TestApp::unstarted(&[]).await;
    let folder = folder();
    let file = sample::write(folder.path(), "task.md", sample::script(&["echo alone > alone"]));
    let (ran, summary) = wait_for(&app, &file).await;
    assert_eq!(summary.phase, Phase::Completed, "{ran}");
    assert!(Utf8Path::new(&summary.workspace.unwrap()).join("alone").exists());
    let shown: RunView = app.run(["show", &summary.run.to_string(), "--json"]).await.good().json();
    assert_eq!(shown.summary.phase, Phase::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_app_a_run_that_is_not_waited_for_is_refused_with_the_two_ways_out() {
    let app = TestApp::unstarted(&[]).await;
    let folder = folder();
    let file = sample::write(folder.path(), "task.md", sample::script(&["true"]));
    let ran = app.run(["run", file.as_str()]).await.bad();
    let complaint = ran.complaint();
    assert!(complaint.contains("--wait") && complaint.contains("serve"), "{complaint}");
    let list: TaskList = app.run(["ls", "--json"]).await.good().json();
    assert_eq!(list.total, 0, "nothing was taken in");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_this_machine_well() {
    let app = TestApp::start().await;
    let ran = app.run(["doctor"]).await.good();
    assert!(!ran.text().trim().is_empty());
    let report: wire::view::DoctorReport = app.run(["doctor", "--json"]).await.good().json();
    assert!(!report.checks.is_empty());
    assert!(report.checks.iter().all(|check| check.verdict != wire::view::Verdict::Bad), "{report:#?}");
}
