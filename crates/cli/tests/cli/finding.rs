//! Finding the running Berth, and what happens where there is none.

use camino::Utf8Path;
use tokio::{io::AsyncReadExt, net::TcpListener};
use wire::session::LinkReply;

use crate::scripted::{Berth, berth};

/// A process that is long gone.
async fn dead_pid() -> u32 {
    let mut child = tokio::process::Command::new("true").spawn().unwrap();
    let pid = child.id().unwrap();
    child.wait().await.unwrap();
    pid
}

fn announce(folder: &Utf8Path, address: &str, pid: u32) {
    let announcement = serde_json::json!({
        "address": address, "token": "token-of-a-dead-berth", "pid": pid, "version": "0.1.0",
    });
    std::fs::write(folder.join("server.json"), announcement.to_string()).unwrap();
}

#[tokio::test]
async fn a_task_that_nobody_would_do_is_refused_with_the_two_ways_out() {
    let folder = camino_tempfile::tempdir().unwrap();
    let ended = berth(folder.path(), &["run", "task.md"], b"").await;
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("--wait") && ended.stderr.contains("berth serve"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_killed_berth_does_not_count_as_running() {
    let folder = camino_tempfile::tempdir().unwrap();
    announce(folder.path(), "http://127.0.0.1:1", dead_pid().await);
    let ended = berth(folder.path(), &["open"], b"").await;
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.starts_with("error: No Berth runs on "), "{}", ended.stderr);
}

#[tokio::test]
async fn a_program_on_a_dead_berths_port_does_not_get_its_token() {
    let folder = camino_tempfile::tempdir().unwrap();
    let squatter = TcpListener::bind("127.0.0.1:0").await.unwrap();
    announce(folder.path(), &format!("http://{}", squatter.local_addr().unwrap()), dead_pid().await);
    let told = async {
        let (mut socket, _) = squatter.accept().await.unwrap();
        let mut bytes = Vec::new();
        let _ = socket.read_to_end(&mut bytes).await;
        bytes
    };
    tokio::select! {
        ended = berth(folder.path(), &["open"], b"") => assert_eq!(ended.status, 1),
        bytes = told => panic!("it was asked: {}", String::from_utf8_lossy(&bytes)),
    }
}

#[tokio::test]
async fn a_live_process_that_does_not_answer_does_not_count_as_running() {
    let folder = camino_tempfile::tempdir().unwrap();
    announce(folder.path(), "http://127.0.0.1:1", std::process::id());
    assert_eq!(berth(folder.path(), &["open"], b"").await.status, 1);
}

#[tokio::test]
async fn an_announcement_that_is_none_is_passed_over() {
    let folder = camino_tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("server.json"), "{").unwrap();
    let ended = berth(folder.path(), &["open"], b"").await;
    assert!(ended.stderr.starts_with("error: No Berth runs on "), "{}", ended.stderr);
}

#[tokio::test]
async fn open_prints_a_fresh_link_each_time() {
    let running = Berth::start().await;
    let first: LinkReply = running.berth(&["open", "--print", "--json"]).await.well().json();
    let second: LinkReply = running.berth(&["open", "--print", "--json"]).await.well().json();
    assert_eq!(first.address, running.server.address());
    assert!(first.link.starts_with(&format!("{}/#code=", first.address)));
    assert_ne!(first.link, second.link);
}

#[tokio::test]
async fn version_asks_nobody() {
    let folder = camino_tempfile::tempdir().unwrap();
    let ended = berth(&folder.path().join("not/there"), &["version"], b"").await.well();
    assert_eq!(ended.text(), concat!("berth ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(!folder.path().join("not").exists());
}
