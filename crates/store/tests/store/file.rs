use std::{
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use camino::{Utf8Path, Utf8PathBuf};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use store::{Kit, Store, StoreError};

use crate::fixture::{agent, fixture};

/// Where the file is that a child process of a test works on.
pub(crate) const CHILD_PATH: &str = "BERTH_STORE_TEST_CHILD";

/// Runs one test of this binary in a process of its own, on that file. A child without the variable does nothing.
pub(crate) fn child(test: &str, path: &Utf8Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD_PATH, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The file of a child, in the child.
pub(crate) fn child_path() -> Option<Utf8PathBuf> {
    std::env::var(CHILD_PATH).ok().map(Utf8PathBuf::from)
}

/// What a child has to say, one line at a time.
pub(crate) fn say(line: &str) {
    // Past the test harness, which may hold back what is printed.
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "child: {line}").unwrap();
    stdout.flush().unwrap();
}

pub(crate) fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.split_once("child: ").map(|(_, line)| line.to_owned()))
}

async fn execute(path: &Utf8Path, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn what_was_written_is_there_after_the_next_start() {
    let fixture = fixture().await;
    let (task, ..) = fixture.task("Kept").await;
    fixture.store.close().await;
    let store = Store::open(&fixture.folder.path().join("berth.db")).await.unwrap();
    assert_eq!(store.task(task).await.unwrap().title, "Kept");
}

#[tokio::test]
async fn an_agent_of_an_older_berth_has_a_memory_and_nothing_more() {
    let fixture = fixture().await;
    fixture.store.close().await;
    let path = fixture.folder.path().join("berth.db");
    // As a Berth wrote it that knew of no more.
    execute(
        &path,
        "INSERT INTO agents (id, name, image, launch, limits, review, home, created_at)
         SELECT '0195510f-5a00-7000-8000-000000000009', 'old', image, launch, limits, review, 'old-home', created_at FROM agents LIMIT 1",
    )
    .await;
    let store = Store::open(&path).await.unwrap();
    let old = store.agent_by_name("old").await.unwrap();
    assert_eq!(old.kit, Kit::default());
    assert!(old.kit.has_memory);
}

#[tokio::test]
async fn a_file_of_a_newer_berth_is_refused_and_stays_as_it_is() {
    let fixture = fixture().await;
    let path = fixture.folder.path().join("berth.db");
    fixture.store.close().await;
    execute(
        &path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, x'00', 0)",
    )
    .await;
    let before = std::fs::read(&path).unwrap();
    let refused = Store::open(&path).await.unwrap_err();
    assert!(matches!(refused, StoreError::Newer { migration: 9999, .. }), "{refused:?}");
    assert!(refused.to_string().contains("newer Berth"), "{refused}");
    assert!(std::fs::read(&path).unwrap() == before, "the file was changed");
}

#[tokio::test]
async fn somebody_elses_database_is_refused_and_stays_as_it_is() {
    let folder = camino_tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    execute(&path, "CREATE TABLE recipes (name TEXT)").await;
    let before = std::fs::read(&path).unwrap();
    let refused = Store::open(&path).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotBerth { .. }), "{refused:?}");
    assert!(std::fs::read(&path).unwrap() == before, "the file was changed");
}

#[tokio::test]
async fn an_empty_file_becomes_a_store() {
    let folder = camino_tempfile::tempdir().unwrap();
    let path = folder.path().join("berth.db");
    std::fs::write(&path, b"").unwrap();
    Store::open(&path).await.unwrap().create_agent(&agent("ada")).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_called_damaged_and_stays_as_it_is() {
    let folder = camino_tempfile::tempdir().unwrap();
    let path = folder.path().join("berth.db");
    let garbage = b"This is no database. ".repeat(1_000);
    std::fs::write(&path, &garbage).unwrap();
    let refused = Store::open(&path).await.unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
    assert!(std::fs::read(&path).unwrap() == garbage, "the file was changed");
}

#[tokio::test]
async fn a_file_with_damaged_pages_is_called_damaged() {
    let fixture = fixture().await;
    let path = fixture.folder.path().join("berth.db");
    fixture.task("Soon lost").await;
    fixture.store.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 8 << 10);
    // All but the first page, where the header is.
    bytes[4 << 10..].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    let damaged = match Store::open(&path).await {
        Ok(store) => store.agents().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(damaged, StoreError::Corrupt(_)), "{damaged:?}");
}

#[tokio::test]
async fn a_page_of_zeros_and_a_cut_off_end_are_found_at_the_start_and_the_file_stays_as_it_is() {
    let fixture = fixture().await;
    let path = fixture.folder.path().join("berth.db");
    fixture.task("Soon lost").await;
    fixture.store.close().await;
    let whole = std::fs::read(&path).unwrap();
    let mut zeros = whole.clone();
    zeros[8 << 10..12 << 10].fill(0);
    for bytes in [zeros, whole[..whole.len() - (8 << 10)].to_vec()] {
        std::fs::write(&path, &bytes).unwrap();
        let refused = Store::open(&path).await.unwrap_err();
        assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
        assert!(std::fs::read(&path).unwrap() == bytes, "the file was changed");
    }
}

#[tokio::test]
async fn a_log_that_was_taken_away_from_an_open_file_is_missed_and_a_closed_file_needs_none() {
    let fixture = fixture().await;
    let folder = fixture.folder.path();
    let (task, ..) = fixture.task("In the log").await;
    let elsewhere = camino_tempfile::tempdir().unwrap();
    let copy = |name: &str| std::fs::copy(folder.join(name), elsewhere.path().join(name)).unwrap();
    for name in ["berth.db", "berth.db-open"] {
        copy(name);
    }
    let path = elsewhere.path().join("berth.db");
    let before = std::fs::read(&path).unwrap();
    let refused = Store::open(&path).await.unwrap_err();
    assert!(matches!(refused, StoreError::LogMissing { .. }), "{refused:?}");
    assert!(std::fs::read(&path).unwrap() == before, "the file was changed");
    copy("berth.db-wal");
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.task(task).await.unwrap().title, "In the log");

    store.close().await;
    assert!(!elsewhere.path().join("berth.db-open").exists() && !elsewhere.path().join("berth.db-wal").exists());
    Store::open(&path).await.unwrap().close().await;
}

#[tokio::test]
async fn another_process_that_holds_the_file_is_named_and_waited_for() {
    let fixture = fixture().await;
    let path = fixture.folder.path().join("berth.db");
    fixture.store.close().await;
    let mut other = child("file::child_that_locks_the_file", &path);
    let mut said = lines(&mut other);
    assert_eq!(said.next().as_deref(), Some("locked"));
    let refused = Store::open(&path).await.unwrap_err();
    assert!(matches!(refused, StoreError::Locked(_)), "{refused:?}");
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    assert_eq!(Store::open(&path).await.unwrap().agents().await.unwrap().len(), 1);
}

#[tokio::test]
async fn child_that_locks_the_file() {
    let Some(path) = child_path() else { return };
    let options = SqliteConnectOptions::new().filename(&path).pragma("locking_mode", "EXCLUSIVE");
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("BEGIN EXCLUSIVE; DELETE FROM settings").execute(&mut connection).await.unwrap();
    say("locked");
    // Until the parent closes it.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[tokio::test]
async fn a_file_or_folder_that_cannot_be_written_is_named() {
    let folder = camino_tempfile::tempdir().unwrap();
    let mode = |path: &Utf8Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(folder.path(), 0o755);
    let file = folder.path().join("file");
    let shut = folder.path().join("shut");
    for place in [&file, &shut] {
        std::fs::create_dir(place).unwrap();
        Store::open(&place.join("berth.db")).await.unwrap().close().await;
        mode(&place.join("berth.db"), 0o444);
    }
    mode(&file, 0o777);
    mode(&shut, 0o555);
    for (path, verdict) in
        [(file.join("berth.db"), "ReadOnly"), (shut.join("berth.db"), "ReadOnly"), (shut.join("missing.db"), "Io")]
    {
        let mut other = child("file::child_that_may_not_write", &path);
        let mut said = lines(&mut other);
        assert_eq!(said.next().as_deref(), Some(verdict), "{path}");
        assert!(other.wait().unwrap().success());
    }
    mode(&shut, 0o755);
}

#[tokio::test]
async fn child_that_may_not_write() {
    const NOBODY: u32 = 65_534;
    let Some(path) = child_path() else { return };
    if nix::unistd::geteuid().is_root() {
        nix::unistd::setuid(NOBODY.into()).unwrap();
    }
    let error = match Store::open(&path).await {
        Ok(store) => store.create_agent(&agent("nobody")).await.unwrap_err(),
        Err(error) => error,
    };
    let is_read_only = matches!(error, StoreError::ReadOnly(_));
    assert!(is_read_only || matches!(error, StoreError::Io(_)), "{error:?}");
    say(if is_read_only { "ReadOnly" } else { "Io" });
}
