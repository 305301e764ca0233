//! Descriptors and inotify used up, and there again.

use std::{
    io::Write as _,
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use berth_tests::{TestApp, client::Client, until};
use wire::{
    LimitsPatch, Phase,
    call::{ListResults, Status},
};

use crate::support::{BOUND, agent, no_notice, notice, output_file, start};

/// More than a limit that is set to what is in use leaves.
const CONNECTIONS: usize = 24;

fn descriptors_of(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Sets the soft limit of descriptors of a process, as `ulimit -n` would have.
fn limit_descriptors(pid: u32, soft: usize) {
    let status = Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--nofile={soft}:")]).status();
    assert!(status.unwrap().success(), "`prlimit` (util-linux) changes the limit of the test's own process");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_steps_work_on_and_calls_are_answered_once_there_are_some_again() {
    let app = TestApp::start().await;
    let ticks = "i=0; while [ ! -e stop ]; do i=$((i+1)); echo $i; sleep 0.05; done; echo end";
    agent(&app, "ticker", &["sh", "-c", ticks]).await;
    let created = start(&app, "ticker", LimitsPatch::default()).await;
    app.reaches(&created, Phase::Executing).await;
    let file = output_file(&app, &created).await;
    let workspace = app.workspace(&created).await;
    let address = app.client().address.trim_start_matches("http://").to_owned();

    limit_descriptors(app.pid(), descriptors_of(app.pid()) + 2);
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        // The kernel takes them, whether or not the app can.
        let mut connection = TcpStream::connect(&address).unwrap();
        connection.write_all(b"POST /api/call HTTP/1.1\r\n").unwrap();
        held.push(connection);
    }
    // Over the connection that the test has already.
    let said = notice(&app, "no descriptors left").await;
    assert!(said.contains("ulimit -n"), "{said}");
    let length = || std::fs::metadata(&file).unwrap().len();
    let before = length();
    until("output that goes on", BOUND, async || (length() > before + 100).then_some(())).await;

    drop(held);
    limit_descriptors(app.pid(), 4096);
    let began = Instant::now();
    let fresh = Client::of(app.home());
    fresh.call(Status {}).await.unwrap();
    eprintln!("a new connection was answered {:.1?} after descriptors came back", began.elapsed());
    no_notice(&app, "descriptors").await;
    std::fs::write(workspace.join("stop"), "").unwrap();
    app.reaches(&created, Phase::Completed).await;
    let printed = std::fs::read_to_string(&file).unwrap();
    let ticks = printed.lines().count() - 1;
    let expected: String = (1..=ticks).map(|tick| format!("{tick}\n")).chain(["end\n".to_owned()]).collect();
    assert_eq!(printed, expected);
    app.is_swept().await;
}

/// How many inotify instances there are in the user namespace of a process, where the test made that for it.
fn instances_in(pid: u32, count: u32) {
    let status = Command::new("nsenter")
        .args(["--user", "--target", &pid.to_string(), "sh", "-c"])
        .arg(format!("echo {count} > /proc/sys/user/max_inotify_instances"))
        .stdin(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "a user namespace of the test's own takes root on Linux");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_inotify_results_come_by_rescans_which_is_said_until_there_is_some_again() {
    let mut app = TestApp::unstarted(&[]).await;
    app.restart_in_user_namespace().await;
    instances_in(app.pid(), 0);
    let keeps = "while [ ! -e stop ]; do sleep 0.05; done";
    agent(&app, "waiter", &["sh", "-c", keeps]).await;
    let created = start(&app, "waiter", LimitsPatch::default()).await;
    app.reaches(&created, Phase::Executing).await;
    let said = notice(&app, "fs.inotify.max_user_instances").await;
    assert!(said.starts_with("Results appear up to 2 s late"), "{said}");
    let workspace = app.workspace(&created).await;
    let is_shown = async |name: &str| {
        std::fs::write(workspace.join(name), name).unwrap();
        let began = Instant::now();
        until("a result", BOUND, async || {
            let list = app.call(ListResults { run: created.run.to_string() }).await.unwrap();
            list.results.iter().any(|result| result.path == name).then_some(())
        })
        .await;
        began.elapsed()
    };
    let by_rescan = is_shown("one").await;
    instances_in(app.pid(), 128);
    no_notice(&app, "fs.inotify").await;
    let by_event = is_shown("two").await;
    eprintln!("a result was shown after {by_rescan:.1?} by rescan, after {by_event:.1?} by event");
    assert!(by_rescan < Duration::from_secs(30), "{by_rescan:?}");
    std::fs::write(workspace.join("stop"), "").unwrap();
    app.reaches(&created, Phase::Completed).await;
    app.is_swept().await;
}
