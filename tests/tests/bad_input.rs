//! Bad input gets a clear error, and loses nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::time::{Duration, Instant};

use berth_tests::{
    TestApp,
    app::{Leftovers, RUN_TIME_MAX},
    client::Client,
    command::{Ran, run_within},
    docker, sample, until,
};
use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};
use wire::{
    ErrorCode, ErrorView, Hold, Phase,
    call::{CreateAgent, CreateTask, ListTasks, ReadResult, ShowRun, Status},
    task::{Launch, NewTask, PROMPT_BYTES_MAX, ReviewGate},
    view::{EngineView, ResultList, RunSummary},
};

/// How long anything takes that starts no sandbox.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

fn folder() -> Utf8TempDir {
    camino_tempfile::tempdir().unwrap()
}

/// What a person is told says what happened and what to do, in words.
#[track_caller]
fn assert_is_clear(error: &ErrorView) {
    assert!(error.message.len() > 10 && !error.hint.is_empty(), "{error:#?}");
    let said = format!("{} {}", error.message, error.hint);
    for raw in ["Some(", "Err(", "{ ", "panicked", "\u{1b}"] {
        assert!(!said.contains(raw), "{said}");
    }
}

async fn wait_for(app: &TestApp, file: &Utf8Path) -> (Ran, RunSummary) {
    let ran = app.run(["run", file.as_str(), "--wait", "--json"]).await;
    let summary = ran.json();
    (ran, summary)
}

async fn task_count(app: &TestApp) -> u64 {
    app.call(ListTasks::default()).await.unwrap().total
}

// The engine.

async fn engine_error(app: &TestApp) -> ErrorView {
    until("the engine to be known as down", ANSWER_TIME_MAX, async || match app.call(Status {}).await.unwrap().engine {
        EngineView::Down { error, .. } => Some(error),
        EngineView::Unknown => None,
        EngineView::Up { .. } => panic!("there is no such engine"),
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_engine_a_task_is_kept_and_held() {
    let mut app = TestApp::start_with(&[("BERTH_ENGINE", "unix:///nonexistent/docker.sock")]).await;
    let error = engine_error(&app).await;
    assert_eq!(error.code, ErrorCode::EngineUnreachable);
    assert_is_clear(&error);
    let created = app.create(&sample::script(&["echo at last > at-last"])).await;
    let view = until("the hold", ANSWER_TIME_MAX, async || {
        let view = app.show(&created).await;
        view.steps[0].holds.contains(&Hold::Engine).then_some(view)
    })
    .await;
    assert_eq!(view.summary.phase, Phase::Queued);
    let doctor = app.run(["doctor"]).await.bad();
    assert!(doctor.text().contains("/nonexistent/docker.sock"), "{doctor}");
    // The next start finds an engine, and the task goes on.
    app.kill().await;
    app.set_environment(&[]);
    app.restart().await;
    let view = app.reaches(&created, Phase::Completed).await;
    assert!(Utf8Path::new(&view.summary.workspace.unwrap()).join("at-last").exists());
}

/// Answers as a Docker Engine of 2015 would.
async fn ancient_engine() -> (String, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let mut owner = JoinSet::new();
    owner.spawn(async move {
        let mut answers = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            answers.spawn(async move {
                let mut head = vec![0; 16 << 10];
                let Ok(length) = stream.read(&mut head).await else { return };
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let body = if head.contains("/version") {
                    r#"{"Version":"1.12.6","ApiVersion":"1.24","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64"}"#
                } else {
                    "OK"
                };
                let reply = format!(
                    "HTTP/1.1 200 OK\r\nApi-Version: 1.24\r\nServer: Docker/1.12.6 (linux)\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _client_gone = stream.write_all(reply.as_bytes()).await;
            });
        }
    });
    (address, owner)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_too_old_is_named_with_what_is_needed() {
    let (address, _engine) = ancient_engine().await;
    let app = TestApp::start_with(&[("BERTH_ENGINE", &address)]).await;
    let error = engine_error(&app).await;
    assert_eq!(error.code, ErrorCode::EngineTooOld, "{error:#?}");
    assert_is_clear(&error);
    let said = format!("{} {}", error.message, error.hint);
    assert!(said.contains("1.24") && said.contains("1.41"), "{said}");
}

// Images.

async fn make_agent(app: &TestApp, name: &str, image: &str, launch: Launch) -> Result<(), ErrorView> {
    let agent = CreateAgent {
        name: name.to_owned(),
        image: image.to_owned(),
        launch,
        limits: wire::Limits::default(),
        review: ReviewGate::Skip,
        ..CreateAgent::default()
    };
    app.call(agent).await.map(drop)
}

async fn run_with_agent(app: &TestApp, agent: &str) -> Result<RunSummary, ErrorView> {
    let task = NewTask {
        title: None,
        prompt: "Anything at all.".to_owned(),
        agent: Some(agent.to_owned()),
        project: None,
        limits: None,
        review: None,
        priority: None,
        attachments: Vec::new(),
    };
    let created = app.call(CreateTask { task }).await?;
    let run = created.run.to_string();
    Ok(until("the run to end", RUN_TIME_MAX, async || {
        let summary = app.call(ShowRun { run: run.clone() }).await.unwrap().summary;
        summary.phase.is_final().then_some(summary)
    })
    .await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_missing_is_named() {
    let app = TestApp::start().await;
    let image = "localhost/berth-test/nobody-made-this:1";
    let error = match make_agent(&app, "lost", image, Launch::Entrypoint).await {
        Err(refused) => refused,
        Ok(()) => run_with_agent(&app, "lost").await.unwrap().error.unwrap(),
    };
    assert_eq!(error.code, ErrorCode::ImageMissing, "{error:#?}");
    assert_is_clear(&error);
    assert!(error.message.contains(image), "{error:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entrypoint_that_exits_at_once_fails_its_step_with_exit_code_and_last_words() {
    let app = TestApp::start().await;
    // The image has to be there: its first user builds it.
    let first = app.create(&sample::script(&["true"])).await;
    let image = app.reaches(&first, Phase::Completed).await.steps[0].image.clone();
    let image = docker::image_of(&image);
    let argv = ["sh", "-c", "echo no more to say; exit 42"].map(str::to_owned).to_vec();
    make_agent(&app, "hasty", &image, Launch::Command { argv }).await.unwrap();
    let summary = run_with_agent(&app, "hasty").await.unwrap();
    let error = summary.error.unwrap();
    assert_eq!((summary.phase, error.code), (Phase::Failed, ErrorCode::AgentFailed), "{error:#?}");
    let said = format!("{} {}", error.message, error.detail);
    assert!(said.contains("42") && said.contains("no more to say"), "{error:#?}");

    make_agent(&app, "absent", &image, Launch::Command { argv: vec!["/no/such/program".to_owned()] }).await.unwrap();
    let error = run_with_agent(&app, "absent").await.unwrap().error.unwrap();
    assert_eq!(error.code, ErrorCode::AgentNotStarted, "{error:#?}");
    assert!(error.message.contains("/no/such/program"), "{error:#?}");
}

// Task files.

#[tokio::test(flavor = "multi_thread")]
async fn a_task_file_that_is_none_is_refused_with_the_reason() {
    let app = TestApp::start().await;
    let folder = folder();
    let huge = vec![b'x'; PROMPT_BYTES_MAX + 1];
    let cases: [(&str, &[u8], &str); 8] = [
        ("empty.md", b"", "empty"),
        ("blank.md", b"---\ntitle: Nothing\n---\n \n\t\n", "empty"),
        ("huge.md", &huge, "large"),
        ("binary.md", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", "binary"),
        ("nul.md", b"# A task\n\nwith a \0 in it\n", "binary"),
        ("latin1.md", b"# Caf\xe9\n\nA prompt.\n", "UTF-8"),
        ("utf16.md", b"\xff\xfe#\0 \0a\0", "UTF-16"),
        ("unclosed.md", b"---\ntitle: No end\n\nA prompt.\n", "front matter"),
    ];
    for (name, content, reason) in cases {
        let file = sample::write(folder.path(), name, content);
        let ran = app.run(["run", file.as_str(), "--wait"]).await.bad();
        let complaint = ran.complaint();
        assert!(complaint.contains(reason), "{name}: {complaint}");
        assert!(complaint.contains(name), "{name}: {complaint}");
        assert!(!complaint.contains('\0') && !complaint.contains('\u{1b}'), "{name}: {complaint:?}");
    }
    assert_eq!(task_count(&app).await, 0, "nothing was taken in");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_front_matter_is_a_warning_with_its_line_and_the_task_runs() {
    let app = TestApp::start().await;
    let folder = folder();
    let text = sample::script_with("title: Odd\nagnet: script\nwhatever: 1", &["echo ran > ran"]);
    let file = sample::write(folder.path(), "task.md", text);
    let (ran, summary) = wait_for(&app, &file).await;
    assert_eq!(summary.phase, Phase::Completed, "{ran}");
    let complaint = ran.complaint();
    for part in ["agnet", "agent", "whatever"] {
        assert!(complaint.contains(part), "{part} is missing: {complaint}");
    }
    let wrong = sample::write(folder.path(), "wrong.md", sample::script_with("limits: {memory: plenty}", &["true"]));
    let complaint = app.run(["run", wrong.as_str(), "--wait"]).await.bad().complaint();
    assert!(complaint.contains("line 2"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_exist_is_refused_with_those_that_do() {
    let app = TestApp::start().await;
    let folder = folder();
    let file = sample::write(folder.path(), "task.md", sample::script(&["true"]));
    let ran = app.run(["run", file.as_str(), "--agent", "nobody", "--wait"]).await.bad();
    let complaint = ran.complaint();
    assert!(complaint.contains("nobody") && complaint.contains("script"), "{complaint}");
    assert_eq!(task_count(&app).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_there_is_refused_by_name() {
    let app = TestApp::start().await;
    let complaint = app.run(["run", "/nonexistent/task.md", "--wait"]).await.bad().complaint();
    assert!(complaint.contains("/nonexistent/task.md"), "{complaint}");
}

// One data folder, one app.

#[tokio::test(flavor = "multi_thread")]
async fn a_second_app_on_one_data_folder_leads_to_the_first_which_works_on() {
    let app = TestApp::start().await;
    let ran = run_within(ANSWER_TIME_MAX, &mut app.berth(["serve"]), b"").await;
    let said = format!("{}{}", ran.text(), ran.complaint());
    assert!(said.contains("already runs") && said.contains(&app.client().address), "{ran}");
    assert_eq!(Client::of(app.home()).pid, app.pid(), "there is one app still");
    let folder = folder();
    let (ran, summary) = wait_for(&app, &sample::write(folder.path(), "task.md", sample::script(&["true"]))).await;
    assert_eq!(summary.phase, Phase::Completed, "{ran}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_app_beside_a_command_that_brought_its_own_is_refused() {
    let app = TestApp::unstarted(&[]).await;
    let folder = folder();
    let block = "touch began; while [ ! -e go ]; do sleep 0.05; done";
    let file = sample::write(folder.path(), "task.md", sample::script(&[block]));
    let mut alone = app.berth(["run", file.as_str(), "--wait", "--json"]);
    let works = run_within(RUN_TIME_MAX, &mut alone, b"");
    let second = async {
        let began = until("the agent to begin", RUN_TIME_MAX, async || {
            let workspaces = app.home().join("workspaces").read_dir_utf8().ok()?;
            workspaces.flatten().map(|entry| entry.path().join("began")).find(|began| began.exists())
        })
        .await;
        let ran = run_within(ANSWER_TIME_MAX, &mut app.berth(["serve"]), b"").await;
        sample::write(began.parent().unwrap(), "go", "");
        ran
    };
    let (first, second) = tokio::join!(works, second);
    assert_eq!(first.good().json::<RunSummary>().phase, Phase::Completed);
    let complaint = second.bad().complaint();
    assert!(complaint.contains(app.home().as_str()) && complaint.contains("BERTH_HOME"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_of_a_killed_app_can_be_used_again_at_once() {
    let mut app = TestApp::start().await;
    app.kill().await;
    app.restart().await;
    assert_eq!(task_count(&app).await, 0);
}

// What a sandbox leaves.

/// Names, links and special files that an agent may leave. Python writes them, since a shell cannot spell them all.
const ODD_FILES: &str = r#"
import os
os.chdir(b"/workspace")
for name in (b"new\nline", b"\x1b[31mred\x1b[0m", b"not-utf8-\xff\xfe", b"tab\tand\rreturn", b"right\xe2\x80\xaeleft", b"  spaces  ", b"-rf", b"%2e%2e", b"a" * 255):
    with open(name, "wb") as file:
        file.write(b"content of " + name)
os.symlink(b"/etc/passwd", b"link-out")
os.symlink(b"link-loop", b"link-loop")
os.symlink(b"new\nline", b"link-in")
os.mkfifo(b"fifo")
os.mkdir(b"folder")
os.symlink(b"/", b"folder/root")
os.link(b"-rf", b"folder/hard")
os.makedirs(b"/".join([b"deep"] * 40))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_links_and_fifos_among_the_results_are_shown_safely() {
    let app = TestApp::start().await;
    let folder = folder();
    let text = format!("# Odd files\n\n```python\n{}\n```\n", ODD_FILES.trim());
    let (ran, summary) = wait_for(&app, &sample::write(folder.path(), "task.md", text)).await;
    assert_eq!(summary.phase, Phase::Completed, "{ran}");
    let run = summary.run.to_string();
    let list: ResultList = app.run(["results", &run, "--json"]).await.good().json();
    for result in &list.results {
        let unsafe_to_show = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!result.path.contains(unsafe_to_show), "{:?}", result.path);
        assert!(result.key.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", result.key);
        let content = app.call(ReadResult { run: run.clone(), key: result.key.clone(), offset: 0, length: 0 }).await;
        let special = ["link-", "fifo", "folder/root"].iter().any(|name| result.path.starts_with(name));
        assert_eq!(content.is_err(), special, "{}: {content:?}", result.path);
        assert_eq!(result.unreadable.is_some(), special, "{result:?}");
        assert_eq!(result.sha256.is_none(), special, "{result:?}");
    }
    let regular = list.results.iter().filter(|result| result.unreadable.is_none()).count();
    assert_eq!(regular, 10, "{list:#?}");
    assert!(list.results.iter().any(|result| result.path.starts_with("fifo")), "{list:#?}");
    // As a person sees them: one line each, and nothing that the terminal obeys.
    let table = app.run(["results", &run]).await.good().text();
    assert!(!table.contains('\u{1b}') && !table.contains('\u{202e}') && !table.contains('\r'), "{table:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_never_leads_out_of_the_workspace() {
    let app = TestApp::start().await;
    let created = app.create(&sample::script(&["echo here > here; mkdir in; ln -s / in/out"])).await;
    app.reaches(&created, Phase::Completed).await;
    let run = created.run.to_string();
    let keys = [
        "../../server.json",
        "..%2f..%2fserver.json",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "in/out/etc/passwd",
        "in/../../../server.json",
        "",
        ".",
        "here%00",
        "here/",
        "%zz",
    ];
    for key in keys {
        let read = app.call(ReadResult { run: run.clone(), key: key.to_owned(), offset: 0, length: 0 }).await;
        assert!(read.is_err(), "{key}: {read:?}");
    }
    let here = app.call(ReadResult { run, key: "here".to_owned(), offset: 0, length: 0 }).await.unwrap();
    assert_eq!(here.size_bytes, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_that_is_swapped_for_links_while_it_is_read_gives_nothing_away() {
    let app = TestApp::start().await;
    let blocks = ["i=0; while [ $i -lt 300 ]; do
           mkdir -p d; echo x > d/passwd; rm -rf d; ln -s /etc d; rm d; i=$((i+1));
         done; echo done > done"];
    let created = app.create(&sample::script(&blocks)).await;
    let run = created.run.to_string();
    let workspace = app.workspace(&created).await;
    let mut read = 0_u32;
    until("the swapping to end", RUN_TIME_MAX, async || {
        let content = app.call(ReadResult { run: run.clone(), key: "d/passwd".to_owned(), offset: 0, length: 0 }).await;
        if let Ok(content) = content {
            read += 1;
            // It is empty between being made and being written.
            assert!(matches!(content.size_bytes, 0 | 2), "only the file of the workspace itself: {content:?}");
        }
        workspace.join("done").exists().then_some(())
    })
    .await;
    eprintln!("{read} reads found the file");
    app.reaches(&created, Phase::Completed).await;
}

// Output.

/// One GB (10^9 bytes) of output.
const FLOOD_BYTES: usize = 1_000_000_000;
/// Well below the flood: the app keeps what it was told on disk, not in memory.
const APP_MEMORY_MAX_KIB: u64 = 400 << 10;
/// 1 GB at the rate of a slow machine that does other things.
const FLOOD_TIME_MAX: Duration = Duration::from_mins(5);

/// The largest resident size that a process has had, in KiB (`VmHWM`, proc(5)).
fn peak_memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte_of_output_is_kept_whole_and_the_app_stays_small() {
    let app = TestApp::start().await;
    let block = format!(
        r#"
import hashlib, sys
line = b"0123456789abcdef" * 62 + b"1234567\n"
digest, out = hashlib.sha256(), sys.stdout.buffer
for _ in range({}):
    out.write(line * 100)
    digest.update(line * 100)
out.flush()
open("/workspace/sha256", "w").write(digest.hexdigest())
"#,
        FLOOD_BYTES / 100_000
    );
    let text = format!("---\nlimits: {{output: 2GB}}\n---\n# A flood\n\n```python\n{}\n```\n", block.trim());
    let folder = folder();
    let file = sample::write(folder.path(), "task.md", text);
    let began = Instant::now();
    let mut command = app.berth(["run", file.as_str(), "--wait", "--json"]);
    let ran = run_within(FLOOD_TIME_MAX, &mut command, b"").await.good();
    eprintln!("the flood took {:?}", began.elapsed());
    let summary: RunSummary = ran.json();
    let peak = peak_memory_kib(app.pid());
    assert!(peak < APP_MEMORY_MAX_KIB, "the app took {peak} KiB");
    // Asked for once more, piece by piece, through the command line.
    let log = folder.path().join("log");
    let output = std::fs::File::create(&log).unwrap();
    let mut logs = app.berth(["logs", &summary.run.to_string()]);
    logs.stdout(output);
    let status = tokio::time::timeout(FLOOD_TIME_MAX, logs.status()).await.unwrap().unwrap();
    assert!(status.success());
    let said = std::fs::read_to_string(Utf8Path::new(&summary.workspace.unwrap()).join("sha256")).unwrap();
    assert_eq!(flood_in(&log), (FLOOD_BYTES, said));
    let peak = peak_memory_kib(app.pid());
    assert!(peak < APP_MEMORY_MAX_KIB, "the app took {peak} KiB");
}

/// Length and SHA-256 of the lines of the flood in a log, without what else is in it and without carriage returns.
fn flood_in(log: &Utf8PathBuf) -> (usize, String) {
    use std::io::BufRead;
    let mut reader = std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(log).unwrap());
    let (mut digest, mut length, mut line) = (Sha256::new(), 0, Vec::new());
    while {
        line.clear();
        reader.read_until(b'\n', &mut line).unwrap() > 0
    } {
        line.retain(|&byte| byte != b'\r');
        if line.starts_with(b"0123456789abcdef") {
            digest.update(&line);
            length += line.len();
        }
    }
    (length, hex::encode(digest.finalize()))
}

// Ending.

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ignores_term_is_ended_and_nothing_of_it_stays() {
    let app = TestApp::start().await;
    // Three that ignore TERM: the block, a child in a session of its own, and one that is stopped.
    let block = r#"
trap '' TERM HUP INT
setsid sh -c 'trap "" TERM HUP INT; echo $$ > /workspace/second; while true; do sleep 1; done' &
sh -c 'trap "" TERM; kill -STOP $$; true' &
touch /workspace/stubborn
while true; do sleep 1; done"#;
    let created = app.create(&sample::script(&[block])).await;
    for name in ["stubborn", "second"] {
        app.leaves_file(&created, name).await;
    }
    let container = app.containers().into_iter().find(|object| docker::role(object) == "sandbox").unwrap();
    let processes = docker::docker(&["top", docker::name(&container), "-eo", "pid"]);
    let processes: Vec<u32> = processes.lines().skip(1).filter_map(|pid| pid.trim().parse().ok()).collect();
    assert!(processes.len() >= 4, "{processes:?}");
    app.run(["cancel", &created.run.to_string()]).await.good();
    app.reaches(&created, Phase::Cancelled).await;
    app.is_swept().await;
    let alive: Vec<&u32> = processes.iter().filter(|pid| Utf8Path::new(&format!("/proc/{pid}")).exists()).collect();
    assert!(alive.is_empty(), "{alive:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_has_nothing_of_a_task_that_was_cancelled_before_it_began() {
    let mut app = TestApp::start_with(&[("BERTH_ENGINE", "unix:///nonexistent/docker.sock")]).await;
    let created = app.create(&sample::script(&["true"])).await;
    app.run(["cancel", &created.run.to_string()]).await.good();
    app.reaches(&created, Phase::Cancelled).await;
    app.leaves(Leftovers::None);
    assert!(app.of_sandboxes().is_empty());
}
