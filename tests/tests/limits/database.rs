//! A database that is locked, damaged, newer, cut off, or on a disk that takes nothing.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use berth_tests::{TestApp, app::Leftovers, berth, command, until};
use camino::Utf8Path;
use camino_tempfile::Utf8TempDir;
use wire::{
    ErrorCode, EventKind, LimitsPatch, Phase,
    call::{CreateTask, ListResults},
    task::NewTask,
};

use crate::support::{BOUND, Calls, SmallDisk, agent, events, no_notice, notice, output_file, start, status};

/// How long the database is held.
const HELD: Duration = Duration::from_secs(30);

/// Holds a database as another program does, until its input is closed.
struct Holder(Child);

impl Holder {
    fn of(home: &Utf8Path) -> Self {
        let program = "import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
other.execute('BEGIN EXCLUSIVE')
print('held', flush=True)
sys.stdin.read()
other.execute('ROLLBACK')";
        let mut child = Command::new("python3")
            .args(["-c", program, home.join("berth.db").as_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "held\n");
        Self(child)
    }

    fn let_go(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// Executes a statement as another program does.
fn execute(home: &Utf8Path, statement: &str) {
    let program = "import sqlite3, sys
other = sqlite3.connect(sys.argv[1])
other.execute(sys.argv[2])
other.commit()";
    let status =
        Command::new("python3").args(["-c", program, home.join("berth.db").as_str(), statement]).status().unwrap();
    assert!(status.success());
}

/// The database with what lies beside it.
fn files(home: &Utf8Path) -> BTreeMap<String, Vec<u8>> {
    let names = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // The index of the log is made anew at each opening.
    let of_store = names.filter(|name| name.starts_with("berth.db") && !name.ends_with("-shm"));
    of_store.map(|name| (name.clone(), std::fs::read(home.join(name)).unwrap())).collect()
}

/// A data folder with a history, copied while Berth ran on it and after it had stopped.
async fn data_folders() -> (Utf8TempDir, Utf8TempDir) {
    let copy = |from: &Utf8Path| {
        let folder = camino_tempfile::tempdir().unwrap();
        let status = Command::new("cp").args(["-a", &format!("{from}/."), folder.path().as_str()]).status().unwrap();
        assert!(status.success());
        folder
    };
    let mut app = TestApp::start().await;
    agent(&app, "quick", &["sh", "-c", "echo kept > kept; echo done"]).await;
    let created = start(&app, "quick", LimitsPatch::default()).await;
    app.reaches(&created, Phase::Completed).await;
    app.is_swept().await;
    app.leaves(Leftovers::Sandboxes);
    app.kill().await;
    let open = copy(app.home());
    app.restart().await;
    status(&app).await;
    app.stop().await;
    (open, copy(app.home()))
}

/// `berth serve` does not start on that folder, says all of these words, and changes nothing.
async fn refuses(home: &Utf8Path, words: &[&str]) {
    let before = files(home);
    let refused = command::run(&mut berth(home, ["serve"]), b"").await.bad().complaint();
    for word in words {
        assert!(refused.contains(word), "{word:?} is not in: {refused}");
    }
    assert_eq!(files(home).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{refused}");
    assert!(files(home) == before, "the database was changed: {refused}");
}

fn damage(home: &Utf8Path, change: impl FnOnce(&mut Vec<u8>)) {
    let path = home.join("berth.db");
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_newer_or_incomplete_database_is_refused_with_what_to_do_and_kept() {
    let (open, closed) = data_folders().await;
    let whole = std::fs::read(closed.path().join("berth.db")).unwrap();
    assert!(whole.len() > 64 << 10);

    let kept = ["is damaged", "kept as it is", ".recover", "copy"];
    damage(closed.path(), |bytes| bytes[..100].fill(0xA5));
    refuses(closed.path(), &kept).await;
    damage(closed.path(), |bytes| *bytes = whole[..whole.len() / 2].to_vec());
    refuses(closed.path(), &kept).await;
    damage(closed.path(), |bytes| {
        *bytes = whole.clone();
        bytes[16 << 10..20 << 10].fill(0);
    });
    refuses(closed.path(), &kept).await;
    damage(closed.path(), Vec::clear);
    refuses(closed.path(), &["is empty, although the folder is not", "remove `berth.db`"]).await;

    damage(closed.path(), |bytes| *bytes = whole.clone());
    execute(
        closed.path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, '', 1, x'00', 0)",
    );
    refuses(closed.path(), &["newer Berth", "Update Berth"]).await;

    // Killed while it was open: all of it is in the log, which is damaged, and then gone.
    let log = std::fs::read(open.path().join("berth.db-wal")).unwrap();
    std::fs::write(open.path().join("berth.db-wal"), vec![0; log.len()]).unwrap();
    refuses(open.path(), &kept).await;
    std::fs::remove_file(open.path().join("berth.db-wal")).unwrap();
    refuses(open.path(), &["berth.db-wal", "is gone", "berth.db-open", "Put it back"]).await;

    // With the log again it is whole.
    std::fs::write(open.path().join("berth.db-wal"), log).unwrap();
    let listed = command::run(&mut berth(open.path(), ["ls"]), b"").await.good().text();
    assert!(listed.contains("Completed"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_on_a_disk_that_is_read_only_is_refused_with_what_to_do() {
    let mut app = TestApp::unstarted(&[]).await;
    let disk = SmallDisk::over(app.home(), 64);
    app.restart().await;
    // It hears signals by the time it answers.
    status(&app).await;
    app.stop().await;
    disk.read_only();
    refuses(app.home(), &["cannot be used", "read-only", "BERTH_HOME"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_a_program_that_holds_the_database_and_then_refuses_with_what_to_do() {
    let mut app = TestApp::start().await;
    status(&app).await;
    app.stop().await;
    let holder = Holder::of(app.home());
    let refused = app.run(["serve"]).await.bad().complaint();
    assert!(refused.contains("Another program holds the database"), "{refused}");
    assert!(refused.contains("Close it"), "{refused}");
    holder.let_go();
    app.restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_held_for_half_a_minute_loses_nothing() {
    let app = TestApp::start().await;
    let ticks = "i=0; while [ ! -e stop ]; do i=$((i+1)); echo $i; sleep 0.05; done; echo end; echo kept > kept";
    agent(&app, "ticker", &["sh", "-c", ticks]).await;
    agent(&app, "second", &["sh", "-c", "echo second"]).await;
    let created = start(&app, "ticker", LimitsPatch::default()).await;
    app.reaches(&created, Phase::Executing).await;
    let file = output_file(&app, &created).await;
    let workspace = app.show(&created).await.steps[0].workspace.clone().unwrap();
    // It is being made while the database is taken away.
    let second = start(&app, "second", LimitsPatch::default()).await;

    let holder = Holder::of(app.home());
    let began = Instant::now();
    let calls = Calls::begin(&app);
    let length = |file: &Utf8Path| std::fs::metadata(file).map_or(0, |found| found.len());
    let before = length(&file);
    until("output that goes on", BOUND, async || (length(&file) > before + 100).then_some(())).await;
    let task = NewTask {
        title: None,
        prompt: "Work".to_owned(),
        agent: Some("second".to_owned()),
        project: None,
        limits: None,
        review: None,
        priority: None,
        attachments: Vec::new(),
    };
    let refused = app.call(CreateTask { task }).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Storage);
    assert!(refused.message.contains("Another program") && refused.hint.contains("Close it"), "{refused:?}");
    // It ends meanwhile, and waits with saying so.
    std::fs::write(format!("{workspace}/stop"), "").unwrap();
    let said = notice(&app, "cannot write to its data folder").await;
    assert!(said.contains("locked"), "{said}");
    until("half a minute", HELD + BOUND, async || (began.elapsed() > HELD).then_some(())).await;
    calls.end("with the database held").await;
    assert_eq!(app.show(&created).await.summary.phase, Phase::Executing);
    holder.let_go();

    app.reaches(&created, Phase::Completed).await;
    app.reaches(&second, Phase::Completed).await;
    let printed = std::fs::read_to_string(&file).unwrap();
    let ticks = printed.lines().count() - 1;
    let expected: String = (1..=ticks).map(|tick| format!("{tick}\n")).chain(["end\n".to_owned()]).collect();
    assert_eq!(printed, expected);
    let results = app.call(ListResults { run: created.run.to_string() }).await.unwrap().results;
    assert!(results.iter().any(|result| result.path == "kept" && result.is_final), "{results:#?}");
    // By then all is written down.
    app.is_swept().await;
    for task in [&created, &second] {
        let events = events(&app, task).await;
        let count = |of: fn(&EventKind) -> bool| events.iter().filter(|event| of(event)).count();
        assert_eq!(count(|event| matches!(event, EventKind::Provisioned { .. })), 6, "{events:#?}");
        assert_eq!(count(|event| matches!(event, EventKind::AgentExited { .. })), 1, "{events:#?}");
        assert_eq!(count(|event| matches!(event, EventKind::ResultsFinal { .. })), 1, "{events:#?}");
    }
    no_notice(&app, "data folder").await;
    app.is_swept().await;
}
