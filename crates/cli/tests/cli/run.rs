//! Handing tasks in, and how waiting for them ends.

use std::time::Duration;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};
use wire::{
    LimitsPatch, Phase, Request,
    stream::TerminalOutput,
    task::{AttachmentContent, NewTask, TaskSource},
};

use crate::scripted::{Berth, Ended, berth, command, end, output};

/// The source that was previewed, and the task that was created.
fn handed_in(berth: &Berth) -> (TaskSource, NewTask) {
    let asked = berth.script.asked.lock().unwrap();
    let source = asked.iter().find_map(|request| match request {
        Request::PreviewTask(preview) => Some(preview.source.clone()),
        _other => None,
    });
    let task = asked.iter().find_map(|request| match request {
        Request::CreateTask(create) => Some(create.task.clone()),
        _other => None,
    });
    (source.unwrap(), task.unwrap())
}

#[tokio::test]
async fn a_task_of_files_is_handed_in_by_absolute_paths() {
    let berth = Berth::start().await;
    let ended = berth.berth(&["run", "task.md", "/data/more.csv"]).await.well();
    let (source, task) = handed_in(&berth);
    let here = std::env::current_dir().unwrap().join("task.md").into_os_string().into_string().unwrap();
    assert_eq!(source, TaskSource::Paths { paths: vec![here, "/data/more.csv".to_owned()] });
    assert_eq!(task.title.as_deref(), Some("Say hello"));
    assert_eq!(task.attachments.len(), 1);
    assert_eq!(task.limits, None);
    assert_eq!(ended.stderr, "warning: The front matter has a key that means nothing: `colour`.\n");
}

#[tokio::test]
async fn what_is_typed_wins_over_what_the_file_says() {
    let berth = Berth::start().await;
    let arguments =
        ["run", "x.md", "--agent", "other", "--project", "p", "--title", "T", "--time", "90s", "--memory", "1G"];
    berth.berth(&arguments).await.well();
    let (_, task) = handed_in(&berth);
    assert_eq!((task.agent.as_deref(), task.project.as_deref()), (Some("other"), Some("p")));
    assert_eq!(task.title.as_deref(), Some("T"));
    let typed = LimitsPatch { wall_clock_s: Some(90), memory_bytes: Some(1 << 30), ..LimitsPatch::default() };
    assert_eq!(task.limits, Some(typed));
}

#[tokio::test]
async fn limits_that_are_not_typed_are_left_to_the_agent() {
    let berth = Berth::start().await;
    berth.berth(&["run", "x.md", "--time", "90s"]).await.well();
    let (_, task) = handed_in(&berth);
    assert_eq!(task.limits, Some(LimitsPatch { wall_clock_s: Some(90), ..LimitsPatch::default() }));
}

#[tokio::test]
async fn a_task_comes_on_standard_input_with_files_behind_it() {
    let scripted = Berth::start().await;
    let file = scripted.folder.path().join("data.bin");
    std::fs::write(&file, b"abc").unwrap();
    berth(scripted.folder.path(), &["run", "-", file.as_str()], "Sag Grüße.".as_bytes()).await.well();
    let (source, task) = handed_in(&scripted);
    assert_eq!(source, TaskSource::Text { text: "Sag Grüße.".to_owned() });
    let last = task.attachments.last().unwrap();
    assert_eq!((last.name.as_str(), last.size_bytes), ("data.bin", 3));
    assert_eq!(last.content, AttachmentContent::Path { path: file.into_string() });
}

#[tokio::test]
async fn bad_standard_input_is_refused_with_a_way_out() {
    let scripted = Berth::start().await;
    let home = scripted.folder.path();
    let huge = vec![b'x'; 2 << 20];
    for (input, message) in [
        (b"\xff\xfe".as_slice(), "error: The task on standard input is not UTF-8 text."),
        (&huge, "error: The task on standard input is longer than 1 MiB."),
    ] {
        let ended = berth(home, &["run", "-"], input).await;
        assert_eq!(ended.status, 1);
        assert!(ended.stderr.starts_with(message) && ended.stderr.contains("hint: "), "{}", ended.stderr);
    }
    let folder = berth(home, &["run", "-", home.as_str()], b"x").await;
    assert!(folder.stderr.contains("is not a file that can go along"), "{}", folder.stderr);
    assert!(scripted.script.asked.lock().unwrap().is_empty());
}

async fn waited(phases: &[Phase]) -> Ended {
    let berth = Berth::start().await;
    berth.phases(phases.iter().copied());
    berth.berth(&["run", "task.md", "--wait"]).await
}

#[tokio::test]
async fn waiting_ends_as_the_run_does() {
    use Phase::{AwaitingReview, Cancelled, Completed, Executing, Failed, Provisioning, Queued};

    for (last, status) in [(Completed, 0), (AwaitingReview, 0), (Failed, 3), (Cancelled, 4)] {
        let ended = waited(&[Queued, Provisioning, Executing, last]).await;
        assert_eq!(ended.status, status, "{}", ended.stderr);
        assert!(ended.text().starts_with(&format!("#12 {}\n", last.word())), "{}", ended.text());
        let told: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(told.len(), 4, "each phase is told once: {told:?}");
    }
}

#[tokio::test]
async fn following_prints_the_output_and_then_how_it_came_out() {
    let berth = Berth::start().await;
    berth.phases([Phase::Queued, Phase::Executing, Phase::Executing, Phase::Completed]);
    let ended = berth.berth(&["run", "task.md", "--follow"]).await.well();
    assert!(ended.text().starts_with("hello\n#12 Completed\n"), "{}", ended.text());
}

#[tokio::test]
async fn following_for_a_script_keeps_the_output_off_stdout() {
    let berth = Berth::start().await;
    berth.phases([Phase::Executing, Phase::Executing, Phase::Completed]);
    berth.outputs([vec![output(0, b"\x1b]52;c;x\x07hello\n"), TerminalOutput::Live, end()]]);
    let ended = berth.berth(&["run", "task.md", "--follow", "--json"]).await.well();
    let _summary: wire::view::RunSummary = ended.json();
    assert!(ended.stderr.contains("hello\n") && !ended.stderr.contains('\u{1b}'), "{:?}", ended.stderr);
}

#[tokio::test]
async fn an_interrupted_wait_says_that_the_run_goes_on() {
    let berth = Berth::start().await;
    berth.phases([Phase::Executing]);
    let mut child = command(berth.folder.path(), &["run", "task.md", "--wait"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut next = async || timeout(Duration::from_secs(20), lines.next_line()).await.unwrap().unwrap().unwrap();
    while next().await != "#12 Executing" {}
    kill(Pid::from_raw(child.id().unwrap().try_into().unwrap()), Signal::SIGINT).unwrap();
    let farewell = next().await;
    assert!(farewell.starts_with("#12 goes on: the Berth at http://127.0.0.1:"), "{farewell}");
    let status = timeout(Duration::from_secs(20), child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130));
}
