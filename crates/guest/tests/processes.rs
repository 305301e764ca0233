//! Starting, watching and ending processes, over a real pipe to a real guest.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::similar_names, reason = "a test, with what it shares")]

#[path = "support/common.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{TestGuest, exists, fresh_id, read_all, read_until, run, shell, until, until_async};
use pipe::host::{
    CallError, DialError, ExitStatus, GivenFile, GuestEvent, Keep, OutputEvent, ProcessState, Report, Signal, Start,
    StartError, StartedHow, Stdin, Stdio, Target,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// SIGPIPE, the 13th, in the masks of `/proc/self/status`.
const SIGPIPE_BIT: u64 = 1 << 12;

#[tokio::test]
async fn output_and_errors_arrive_as_one_in_the_order_of_writing_with_the_exit_code() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let whole = run(&guest, &shell("echo one; echo two >&2; echo three; exit 7")).await;
    assert_eq!(whole.text(), "one\ntwo\nthree\n");
    assert_eq!(whole.exit.status, ExitStatus::Exited { code: 7 });
    assert_eq!(whole.exit.end, 14);
}

#[tokio::test]
async fn a_death_by_signal_is_told_as_one() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    assert_eq!(run(&guest, &shell("kill -9 $$")).await.exit.status, ExitStatus::Signaled { number: 9 });
}

#[tokio::test]
async fn environment_and_directory_are_what_the_start_says_and_nothing_else() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let mut start = Start::new(fresh_id(), ["env"], "/usr");
    start.env = vec![("PATH".into(), common::PATH.into()), ("A".into(), "b c".into())];
    assert_eq!(run(&guest, &start).await.text(), format!("PATH={}\nA=b c\n", common::PATH));
    let mut start = Start::new(fresh_id(), ["pwd"], "/usr");
    start.env = vec![("PATH".into(), common::PATH.into())];
    assert_eq!(run(&guest, &start).await.text(), "/usr\n");
}

#[tokio::test]
async fn a_program_finds_its_signals_untouched_and_no_descriptor_of_the_guest() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let whole = run(&guest, &shell("grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | wc -l")).await;
    let text = whole.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "SigBlk:\t0000000000000000");
    let ignored = u64::from_str_radix(lines[1].trim_start_matches("SigIgn:\t"), 16).unwrap();
    assert_eq!(ignored & SIGPIPE_BIT, 0, "the Rust runtime ignores SIGPIPE; a program must not");
    // ls itself opens one more than the three standard streams.
    assert_eq!(lines[2], "4");
}

#[tokio::test]
async fn each_reason_not_to_start_has_an_error_of_its_own() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start = |argv: &str, cwd: &str| Start::new(fresh_id(), [argv], cwd);
    let failed = async |start: Start| guest.start(&start).await.unwrap_err();
    assert!(matches!(failed(start("/no/such/program", "/")).await, StartError::ProgramNotFound { .. }));
    assert!(matches!(failed(start("no-such-program", "/")).await, StartError::ProgramNotFound { .. }));
    assert!(matches!(failed(start("/etc/passwd", "/")).await, StartError::PermissionDenied { .. }));
    assert!(matches!(failed(start("/bin/true", "/no/such/place")).await, StartError::NoSuchDirectory { .. }));
    assert!(matches!(failed(start("/bin/true", "relative")).await, StartError::NoSuchDirectory { .. }));
    let empty = test.folder.join("empty");
    std::fs::write(&empty, [1, 2, 3]).unwrap();
    std::fs::set_permissions(&empty, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert!(matches!(failed(start(empty.to_str().unwrap(), "/")).await, StartError::NotExecutable { .. }));
    let mut long = start("/bin/true", "/");
    long.argv.push("x".repeat(1024 * 1024));
    assert!(matches!(failed(long).await, StartError::TooLong));
    let mut long = start("/bin/true", "/");
    long.stdin = Stdin::Bytes(vec![0; 1024 * 1024 + 1]);
    assert!(matches!(failed(long).await, StartError::TooLong));
    assert_eq!(guest.processes().await.unwrap(), [], "a start that failed leaves nothing");
}

#[tokio::test]
async fn an_id_that_is_started_again_finds_its_process_and_runs_once() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let counter = test.folder.join("counter");
    let start = shell(&format!("echo x >> {}", counter.display()));
    let (first, second) = tokio::join!(guest.start(&start), guest.start(&start));
    let mut how = [first.unwrap().how, second.unwrap().how];
    how.sort_by_key(|how| *how == StartedHow::Existing);
    assert_eq!(how, [StartedHow::New, StartedHow::Existing]);
    let (again, mut output) = guest.start_attached(&start).await.unwrap();
    assert_eq!(again.how, StartedHow::Existing);
    read_all(&mut output).await;
    assert_eq!(std::fs::read_to_string(&counter).unwrap(), "x\n");
    guest.acknowledge_exit(start.id).await.unwrap();
    until_async("the process is forgotten", async || guest.processes().await.unwrap().is_empty()).await;
    assert!(matches!(guest.start(&start).await, Err(StartError::AlreadyEnded { .. })));
    assert_eq!(std::fs::read_to_string(&counter).unwrap(), "x\n");
}

#[tokio::test]
async fn an_id_of_an_earlier_boot_does_not_run_again() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start = shell("true");
    run(&guest, &start).await;
    guest.finish().await.unwrap();
    assert_eq!(test.ended().await, Some(0));
    let folder = test.folder.clone();
    let mut later = TestGuest::start_in(folder, &[]);
    let guest = later.connect().await;
    assert!(matches!(guest.start(&start).await, Err(StartError::AlreadyEnded { .. })));
}

#[tokio::test]
async fn input_that_comes_with_the_start_is_fed_and_then_ends() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let mut start = shell("wc -c");
    start.stdin = Stdin::Bytes(vec![b'x'; 1024 * 1024]);
    assert_eq!(run(&guest, &start).await.text().trim(), "1048576");
    let mut start = shell("wc -c");
    start.stdin = Stdin::Null;
    assert_eq!(run(&guest, &start).await.text().trim(), "0");
}

#[tokio::test]
async fn open_input_is_written_until_it_is_closed() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let mut start = shell("cat; echo over");
    start.stdin = Stdin::Open;
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    guest.write_stdin(start.id, b"first\n").await.unwrap();
    assert_eq!(read_until(&mut output, "first\n").await, "first\n");
    guest.write_stdin(start.id, b"second\n").await.unwrap();
    guest.close_stdin(start.id).await.unwrap();
    assert_eq!(read_all(&mut output).await.text(), "second\nover\n");
    let refused = guest.write_stdin(start.id, b"late").await.unwrap_err();
    assert!(matches!(refused, CallError::Refused(_)), "{refused}");
}

#[tokio::test]
async fn a_terminal_echoes_has_a_size_and_takes_another() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let mut start =
        shell("trap 'stty size' WINCH; stty size; echo ready; while read line; do echo got $line; done; exit 3");
    start.stdio = Stdio::Pty { columns: 80, rows: 24 };
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    assert!(read_until(&mut output, "ready").await.contains("24 80"));
    guest.write_stdin(start.id, b"hello\n").await.unwrap();
    assert!(read_until(&mut output, "got hello").await.contains("hello\r\n"));
    guest.resize(start.id, 132, 43).await.unwrap();
    guest.write_stdin(start.id, b"\n").await.unwrap();
    read_until(&mut output, "43 132").await;
    guest.close_stdin(start.id).await.unwrap();
    assert_eq!(read_all(&mut output).await.exit.status, ExitStatus::Exited { code: 3 });
}

#[tokio::test]
async fn the_last_bytes_of_a_terminal_are_not_lost() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    for _ in 0..30 {
        let mut start = shell("printf '%02000d' 7");
        start.stdio = Stdio::Pty { columns: 80, rows: 24 };
        assert_eq!(run(&guest, &start).await.bytes.len(), 2000);
    }
}

#[tokio::test]
async fn a_tree_that_ignores_term_is_dead_after_the_grace() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start =
        shell("trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $$ $!; while :; do sleep 1; done");
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    let pids = read_until(&mut output, "\n").await;
    let pids: Vec<i32> = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    guest.end(start.id, Duration::from_millis(300)).await.unwrap();
    assert!(pids.iter().all(|pid| !exists(*pid)), "{pids:?}");
    assert_eq!(guest.count(start.id).await.unwrap(), 0);
    assert_eq!(read_all(&mut output).await.exit.status, ExitStatus::Signaled { number: 9 });
}

#[tokio::test]
async fn a_tree_that_is_ended_is_over_when_all_of_it_is_gone_and_not_with_its_main_program() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start = shell("(trap '' TERM; exec sh -c 'echo $$; exec sleep 1000') & sleep 1000");
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    let child: i32 = read_until(&mut output, "\n").await.trim().parse().unwrap();
    let (ended, whole) = tokio::join!(guest.end(start.id, Duration::from_millis(500)), async {
        let whole = read_all(&mut output).await;
        assert!(!exists(child), "the exit is told while a child still lives");
        whole
    });
    ended.unwrap();
    assert_eq!(whole.exit.status, ExitStatus::Signaled { number: 15 });
}

#[tokio::test]
async fn a_tree_that_obeys_term_is_not_killed() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start = shell("trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done");
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    read_until(&mut output, "up").await;
    guest.end(start.id, Duration::from_secs(20)).await.unwrap();
    let whole = read_all(&mut output).await;
    assert!(whole.text().contains("bye"));
    assert_eq!(whole.exit.status, ExitStatus::Exited { code: 5 });
}

#[tokio::test]
async fn a_daemon_that_forked_away_twice_is_counted_and_ended_with_its_tree() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let other = shell("exec sleep 1000");
    guest.start(&other).await.unwrap();
    let start = shell("(setsid sh -c 'sleep 1000 & echo $!' &) ; sleep 0.2; exit 0");
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    let whole = read_all(&mut output).await;
    let daemon: i32 = whole.text().trim().parse().unwrap();
    assert_eq!(whole.exit.status, ExitStatus::Exited { code: 0 });
    until_async("only the daemon is left", async || guest.count(start.id).await.unwrap() == 1).await;
    assert!(exists(daemon));
    guest.end(start.id, Duration::from_secs(5)).await.unwrap();
    assert!(!exists(daemon));
    assert_eq!(guest.count(other.id).await.unwrap(), 1, "another tree is untouched");
}

#[tokio::test]
async fn a_fork_storm_is_ended() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    // Each process leaves a successor and goes: no list of pids is ever up to date.
    let start = shell("f() { sh -c 'sleep 0.01' & }; trap '' TERM; echo up; while :; do f; f; sleep 0.02; done");
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    read_until(&mut output, "up").await;
    guest.end(start.id, Duration::from_millis(100)).await.unwrap();
    assert_eq!(guest.count(start.id).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stopped_tree_rests_and_goes_on() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let ticks = test.folder.join("ticks");
    let start = shell(&format!("(while :; do echo t >> {0}; sleep 0.01; done) & wait", ticks.display()));
    guest.start(&start).await.unwrap();
    let length = || std::fs::metadata(&ticks).map_or(0, |file| file.len());
    until("it ticks", || length() > 4).await;
    guest.stop(start.id).await.unwrap();
    let stopped_at = length();
    // Time in which it would tick twenty times: that nothing happens has no condition to wait for.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(length(), stopped_at);
    assert!(guest.count(start.id).await.unwrap() >= 2, "what rests is counted");
    guest.cont(start.id).await.unwrap();
    until("it ticks again", || length() > stopped_at + 4).await;
    guest.stop(start.id).await.unwrap();
    guest.end(start.id, Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_killed_shim_ends_its_start_and_leaves_nothing() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start = shell("sleep 1000 & echo $PPID $!; sleep 1000");
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    let pids = read_until(&mut output, "\n").await;
    let pids: Vec<i32> = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    let other = shell("exec sleep 1000");
    guest.start(&other).await.unwrap();
    std::process::Command::new("kill").args(["-9", &pids[0].to_string()]).status().unwrap();
    assert_eq!(read_all(&mut output).await.exit.status, ExitStatus::Lost);
    until("what it left is gone", || !exists(pids[1])).await;
    assert_eq!(guest.count(other.id).await.unwrap(), 1);
}

#[tokio::test]
async fn a_shim_that_is_told_to_rest_or_to_go_does_neither() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start = shell("kill -STOP $PPID; kill -TERM $PPID; kill -INT $PPID; exit 4");
    assert_eq!(run(&guest, &start).await.exit.status, ExitStatus::Exited { code: 4 });
}

#[tokio::test]
async fn the_wall_clock_runs_without_a_host() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let mut start = shell("echo $$; exec sleep 1000");
    start.wall_clock = Some(Duration::from_millis(300));
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    let pid: i32 = read_until(&mut output, "\n").await.trim().parse().unwrap();
    drop(output);
    guest.close().await;
    drop(guest);
    until("the process is gone", || !exists(pid)).await;
    let exit = test.spool(start.id).join(pipe::spool::EXIT_FILE);
    until("its exit is written", || exit.exists()).await;
    assert!(std::fs::read_to_string(exit).unwrap().contains("wall_clock"));
}

#[tokio::test]
async fn the_wall_clock_stands_still_while_the_tree_rests() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let limit = Duration::from_secs(2);
    let mut start = shell("echo begun; sleep 100");
    start.wall_clock = Some(limit);
    let began = Instant::now();
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    read_until(&mut output, "begun").await;
    // Twice, and a stop of what is stopped already: only the time between counts.
    guest.stop(start.id).await.unwrap();
    let worked = began.elapsed();
    tokio::time::sleep(limit).await;
    guest.stop(start.id).await.unwrap();
    tokio::time::sleep(limit).await;
    assert_eq!(guest.processes().await.unwrap()[0].state, ProcessState::Running, "it rests past its limit");
    let gone_on_at = Instant::now();
    guest.cont(start.id).await.unwrap();
    let whole = timeout(Duration::from_mins(1), read_all(&mut output)).await.unwrap();
    assert_eq!(whole.exit.status, ExitStatus::WallClock);
    assert!(worked + gone_on_at.elapsed() >= limit, "what was left of its time was given to it");
}

#[tokio::test]
async fn a_tree_that_is_being_ended_is_not_stopped_any_more() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start = shell("trap 'sleep 0.3; exit 4' TERM; echo ready; while :; do sleep 0.05; done");
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    read_until(&mut output, "ready").await;
    guest.stop(start.id).await.unwrap();
    let began = Instant::now();
    let grace = Duration::from_secs(30);
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        guest.stop(start.id).await
    };
    let (ended, stopped) = tokio::join!(guest.end(start.id, grace), stopping);
    ended.unwrap();
    stopped.unwrap();
    assert!(began.elapsed() < grace, "a stop in the middle of an end does not outlast the grace");
    assert_eq!(read_all(&mut output).await.exit.status, ExitStatus::Exited { code: 4 });
}

#[tokio::test]
async fn while_a_tree_rests_another_start_works() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let resting = shell("echo begun; while :; do sleep 0.01; done");
    let (_, mut output) = guest.start_attached(&resting).await.unwrap();
    read_until(&mut output, "begun").await;
    guest.stop(resting.id).await.unwrap();
    // A person's terminal, beside the agent that is held.
    let mut terminal = Start::new(fresh_id(), ["sh"], "/");
    terminal.env = vec![("PATH".into(), common::PATH.into())];
    (terminal.stdio, terminal.stdin) = (Stdio::Pty { columns: 80, rows: 24 }, Stdin::Open);
    let (_, mut screen) = guest.start_attached(&terminal).await.unwrap();
    guest.write_stdin(terminal.id, b"echo $((6 * 7))\n").await.unwrap();
    read_until(&mut screen, "42").await;
    assert_eq!(guest.processes().await.unwrap().len(), 2);
    guest.end(resting.id, Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn the_use_of_disk_follows_no_link_and_counts_a_file_once() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let root = test.folder.join("measured");
    std::fs::create_dir_all(root.join("deep/er")).unwrap();
    std::fs::write(root.join("deep/er/file"), vec![1; 1 << 20]).unwrap();
    std::fs::hard_link(root.join("deep/er/file"), root.join("again")).unwrap();
    std::os::unix::fs::symlink("/usr", root.join("away")).unwrap();
    // A hole takes no disk.
    std::fs::File::create(root.join("sparse")).unwrap().set_len(1 << 30).unwrap();
    let folders = vec![root.to_str().unwrap().to_owned()];
    let used = guest.disk_use(folders.clone()).await.unwrap();
    assert!(used.is_whole);
    assert!(((1 << 20)..(2 << 20)).contains(&used.bytes), "{used:?}");
    std::fs::remove_file(root.join("again")).unwrap();
    let missing = guest.disk_use(vec!["/no/such/folder".to_owned()]).await.unwrap();
    assert_eq!((missing.bytes, missing.is_whole), (0, false));
    assert!(matches!(guest.disk_use(vec!["/".to_owned(); 17]).await, Err(CallError::Refused(_))));
}

#[tokio::test]
async fn a_report_comes_with_the_exit_cut_to_its_bound_and_never_through_a_link() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let report = async |script: &str| {
        let mut start = shell(script);
        start.report = Report::Wanted;
        run(&guest, &start).await.exit.report
    };
    assert_eq!(report("printf done > $BERTH_REPORT").await.as_deref(), Some(&b"done"[..]));
    assert_eq!(report("head -c 100000 /dev/zero > $BERTH_REPORT").await.map(|report| report.len()), Some(65536));
    assert_eq!(report("ln -s /etc/passwd $BERTH_REPORT").await, None);
    assert_eq!(report("mkfifo $BERTH_REPORT").await, None);
    assert_eq!(report("mkdir $BERTH_REPORT").await, None);
    assert_eq!(report("true").await, None);
    assert_eq!(run(&guest, &shell("echo ${BERTH_REPORT-unset}")).await.text(), "unset\n");
}

#[tokio::test]
async fn a_port_that_listens_is_told_and_can_be_dialled() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let mut events = guest.events().await.unwrap();
    assert!(matches!(events.next().await.unwrap(), GuestEvent::Ports { .. }));
    let listener = tokio::net::TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = async |events: &mut pipe::host::Events, is_added: bool| {
        timeout(common::BOUND, async {
            loop {
                if let GuestEvent::Ports { added, removed, .. } = events.next().await.unwrap() {
                    let changed = if is_added { added } else { removed };
                    if changed.iter().any(|changed| changed.port == port) {
                        return;
                    }
                }
            }
        })
        .await
        .unwrap();
    };
    told(&mut events, true).await;
    // Nothing listens on 127.0.0.1, so the dial falls back to ::1.
    let (mut dialled, (mut accepted, _)) =
        tokio::try_join!(async { Ok(guest.dial(Target::Port { port }).await.unwrap()) }, listener.accept()).unwrap();
    dialled.write_all(b"ping").await.unwrap();
    let mut bytes = [0; 4];
    accepted.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ping");
    accepted.write_all(b"pong").await.unwrap();
    drop(accepted);
    let mut answer = Vec::new();
    dialled.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"pong");
    drop(listener);
    told(&mut events, false).await;
    let refused = guest.dial(Target::Port { port }).await;
    assert!(matches!(refused, Err(DialError::NotListening)));
}

#[tokio::test]
async fn a_socket_inside_can_be_dialled() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let path = test.folder.join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let target = Target::Socket { path: path.to_str().unwrap().to_owned() };
    let mut dialled = guest.dial(target).await.unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    dialled.write_all(b"x").await.unwrap();
    dialled.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    accepted.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"x");
    let nowhere = guest.dial(Target::Socket { path: "/no/such/socket".into() }).await;
    assert!(matches!(nowhere, Err(DialError::NotListening)));
}

#[tokio::test]
async fn an_end_is_an_event_also_for_whoever_subscribes_later() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start = shell("exit 9");
    run(&guest, &start).await;
    let mut events = guest.events().await.unwrap();
    let status = ExitStatus::Exited { code: 9 };
    assert_eq!(events.next().await.unwrap(), GuestEvent::Ended { id: start.id, status });
    let listed = guest.processes().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].state, ProcessState::Ended { status });
}

#[tokio::test]
async fn a_signal_reaches_the_whole_tree() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start = shell(
        "(trap 'echo child; exit' USR1; echo a; while :; do sleep 0.02; done) & trap 'echo parent' USR1; echo b; wait; wait",
    );
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    let mut seen = read_until(&mut output, "a\n").await;
    if !seen.contains("b\n") {
        seen = read_until(&mut output, "b\n").await;
    }
    assert!(seen.contains("b\n"));
    guest.signal(start.id, Signal::User1).await.unwrap();
    let text = read_all(&mut output).await.text();
    assert!(text.contains("child") && text.contains("parent"), "{text}");
}

#[tokio::test]
async fn more_processes_than_the_guest_keeps_are_refused() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    for _ in 0..pipe::limits::PROCESSES_MAX {
        let mut start = Start::new(fresh_id(), ["/bin/true"], "/");
        start.keep = Keep::Ends;
        guest.start(&start).await.unwrap();
    }
    let refused = guest.start(&Start::new(fresh_id(), ["/bin/true"], "/")).await;
    assert!(matches!(refused, Err(StartError::TooManyProcesses)), "{refused:?}");
    assert_eq!(guest.processes().await.unwrap().len(), pipe::limits::PROCESSES_MAX);
    let stats = guest.stats().await.unwrap();
    assert!(stats.memory_bytes.is_some() || stats.cpu_us.is_some(), "{stats:?}");
}

#[tokio::test]
async fn the_first_output_of_a_start_comes_within_milliseconds() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let mut took = Vec::new();
    for _ in 0..100 {
        let start = Start::new(fresh_id(), ["/bin/echo", "x"], "/");
        let at = Instant::now();
        let (_, mut output) = guest.start_attached(&start).await.unwrap();
        assert!(matches!(output.next().await.unwrap(), Some(OutputEvent::Chunk { .. })));
        took.push(at.elapsed());
        read_all(&mut output).await;
        guest.acknowledge_exit(start.id).await.unwrap();
    }
    took.sort();
    println!("start to first output, n=100: p50 {:?} p95 {:?} p99 {:?}", took[50], took[95], took[99]);
    assert!(took[50] < Duration::from_millis(100), "{:?}", took[50]);
}

/// A guest whose processes' files are where they are in a sandbox: in memory.
fn in_memory() -> (TestGuest, std::path::PathBuf) {
    let place = std::path::Path::new("/dev/shm").join(format!("berth-guest-{}", fresh_id()));
    (TestGuest::start(&["--reports", place.to_str().unwrap()]), place)
}

fn file(name: &str, variables: &[&str], text: &str) -> GivenFile {
    let variables = variables.iter().map(|&variable| variable.to_owned()).collect();
    GivenFile { name: name.to_owned(), variables, text: text.to_owned() }
}

#[tokio::test]
async fn a_file_is_in_memory_for_the_process_alone_and_goes_with_it() {
    let (mut test, place) = in_memory();
    let guest = test.connect().await;
    let mut start = shell(
        "stat -c %a \"$KEY_FILE\"; stat -f -c %T \"$KEY_FILE\"; grep -c canary \"$KEY_FILE\"; cat \"$OTHER\"; echo; env | grep -c ^OTHER=; \
         echo told; read go",
    );
    start.env.push(("OTHER".into(), "what it was before".into()));
    start.stdin = Stdin::Open;
    start.report = Report::Wanted;
    start.files = vec![file("key", &["KEY_FILE"], "a canary"), file("other.pem", &["OTHER", "ANOTHER"], "two")];
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    let said = read_until(&mut output, "told").await;
    assert_eq!(said, "400\ntmpfs\n1\ntwo\n1\ntold\n");
    let folder = place.join(format!("{}.given", start.id));
    assert_eq!(std::fs::read_to_string(folder.join("key")).unwrap(), "a canary");
    assert!(!format!("{start:?}").contains("a canary"), "it prints as nothing");
    guest.close_stdin(start.id).await.unwrap();
    read_all(&mut output).await;
    until("the files are gone", || !folder.exists()).await;
    // Nothing of it is in the spool, which is on a disk.
    for entry in std::fs::read_dir(test.spool(start.id)).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let shown = String::from_utf8_lossy(&bytes);
        assert!(!shown.contains("canary"), "{shown}");
    }
    std::fs::remove_dir_all(place).unwrap();
}

#[tokio::test]
async fn files_of_a_start_that_fails_do_not_stay() {
    let (mut test, place) = in_memory();
    let guest = test.connect().await;
    let mut start = Start::new(fresh_id(), ["/no/such/program"], "/");
    start.files = vec![file("key", &[], "value")];
    assert!(matches!(guest.start(&start).await, Err(StartError::ProgramNotFound { .. })));
    until("the files are gone", || std::fs::read_dir(&place).unwrap().next().is_none()).await;
    std::fs::remove_dir_all(place).unwrap();
}

#[tokio::test]
async fn a_file_is_never_put_onto_a_disk_or_behind_a_link() {
    let link = std::env::temp_dir().join(format!("berth-guest-link-{}", std::process::id()));
    std::os::unix::fs::symlink("/dev/shm", &link).unwrap();
    for place in ["/proc", link.to_str().unwrap()] {
        let mut test = TestGuest::start(&["--reports", place]);
        let guest = test.connect().await;
        let mut start = shell("true");
        start.files = vec![file("key", &[], "value")];
        assert!(matches!(guest.start(&start).await, Err(StartError::Refused(_))), "{place}");
    }
    std::fs::remove_file(link).unwrap();
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_refused() {
    let (mut test, _) = in_memory();
    let guest = test.connect().await;
    for name in ["", ".", "..", "../key", "a/b", ".hidden", "a\0b", &"x".repeat(101)] {
        let mut start = shell("true");
        start.files = vec![file(name, &[], "value")];
        assert!(matches!(guest.start(&start).await, Err(StartError::Refused(_))), "{name:?}");
    }
}
