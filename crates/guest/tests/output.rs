//! Output: numbered, kept, acknowledged, and the same bytes whatever happens to connection, host or guest.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::similar_names, reason = "a test, with what it shares")]

#[path = "support/common.rs"]
mod common;

use std::fs;
use std::time::Duration;

use common::{TestGuest, Whole, read_all, read_until, run, shell, until, until_async};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pipe::host::{CallError, Guest, Keep, Options, OutputEvent, RefusalCode, Start, StartError};
use pipe::spool::{EXIT_FILE, Piece, Recovery};
use pipe::{PipeError, ProcessId};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

/// Numbers, so that every piece of the output differs from every other.
fn counting(last: u64) -> (Start, Vec<u8>) {
    let expected = (1..=last).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    (shell(&format!("seq 1 {last}")), expected)
}

fn hash(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn spooled(test: &TestGuest, id: ProcessId) -> u64 {
    let Ok(files) = fs::read_dir(test.spool(id)) else { return 0 };
    files
        .flatten()
        .filter(|file| file.file_name().to_string_lossy().starts_with("output."))
        .filter_map(|file| file.metadata().ok())
        .map(|file| file.len())
        .sum()
}

#[tokio::test]
async fn an_output_read_again_from_any_offset_is_the_same() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let (start, expected) = counting(300_000);
    assert_eq!(hash(&run(&guest, &start).await.bytes), hash(&expected));
    for from in [0, 1, 128 * 1024, expected.len() - 1, expected.len()] {
        let mut output = guest.attach(start.id, from as u64).await.unwrap();
        assert_eq!(hash(&read_all(&mut output).await.bytes), hash(&expected[from..]), "from {from}");
    }
    let beyond = guest.attach(start.id, expected.len() as u64 + 1).await.unwrap_err();
    assert!(matches!(beyond, CallError::Refused(refusal) if refusal.code == RefusalCode::BeyondEnd));
    let unknown = guest.attach(ProcessId::from(7), 0).await.unwrap_err();
    assert!(matches!(unknown, CallError::UnknownProcess { .. }));
}

#[tokio::test]
async fn only_acknowledged_output_is_dropped_and_the_exit_stays_until_it_is_acknowledged() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let (start, expected) = counting(2_000_000);
    let whole = run(&guest, &start).await;
    let kept = spooled(&test, start.id);
    assert_eq!(kept, expected.len() as u64);
    guest.acknowledge(start.id, 9 * 1024 * 1024).await.unwrap();
    assert!(spooled(&test, start.id) < kept);
    let mut output = guest.attach(start.id, 9 * 1024 * 1024).await.unwrap();
    let rest: Whole = read_all(&mut output).await;
    assert_eq!(hash(&rest.bytes), hash(&expected[9 * 1024 * 1024..]));
    assert_eq!(rest.gaps, []);
    assert_eq!(rest.exit, whole.exit);
    let mut output = guest.attach(start.id, 0).await.unwrap();
    assert!(matches!(output.next().await.unwrap(), Some(OutputEvent::Gap { from: 0, to }) if to <= 9 * 1024 * 1024));
    let lie = guest.acknowledge(start.id, u64::MAX).await.unwrap_err();
    assert!(matches!(lie, CallError::Refused(refusal) if refusal.code == RefusalCode::BeyondEnd));
    guest.acknowledge_exit(start.id).await.unwrap();
    until("the output is dropped", || spooled(&test, start.id) == 0).await;
    until_async("the process is forgotten", async || {
        matches!(guest.attach(start.id, 0).await, Err(CallError::UnknownProcess { .. }))
    })
    .await;
}

#[tokio::test]
async fn an_exit_is_not_acknowledged_before_there_is_one() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start = shell("exec sleep 1000");
    guest.start(&start).await.unwrap();
    assert!(matches!(guest.acknowledge_exit(start.id).await, Err(CallError::Refused(_))));
}

#[tokio::test]
async fn at_the_bound_the_process_waits_and_nothing_is_lost() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let (mut start, expected) = counting(1_000_000);
    let bound = 1024 * 1024;
    start.keep = Keep::All { bytes_max: bound };
    guest.start(&start).await.unwrap();
    until("the bound is reached", || spooled(&test, start.id) == bound).await;
    // That it stays there has no condition to wait for: time in which it would pass the bound a hundred times.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(spooled(&test, start.id), bound);
    assert!(guest.count(start.id).await.unwrap() > 0, "it waits, it has not ended");
    let mut output = guest.attach(start.id, 0).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        match timeout(common::BOUND, output.next()).await.unwrap().unwrap().unwrap() {
            OutputEvent::Chunk { offset, bytes: chunk } => {
                bytes.extend_from_slice(&chunk);
                guest.acknowledge(start.id, offset + chunk.len() as u64).await.unwrap();
            }
            OutputEvent::Gap { from, to } => panic!("lost {from} to {to}"),
            OutputEvent::Exited(_) => break,
        }
    }
    assert_eq!(hash(&bytes), hash(&expected));
}

#[tokio::test]
async fn of_an_extra_terminal_the_ends_stay_and_the_gap_is_marked() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let (mut start, expected) = counting(1_500_000);
    start.keep = Keep::Ends;
    guest.start(&start).await.unwrap();
    until("it has ended", || test.spool(start.id).join(EXIT_FILE).exists()).await;
    let mut output = guest.attach(start.id, 0).await.unwrap();
    let whole = read_all(&mut output).await;
    let [(from, to)] = whole.gaps[..] else { panic!("{:?}", whole.gaps) };
    let (from, to) = (usize::try_from(from).unwrap(), usize::try_from(to).unwrap());
    assert!(from >= 1024 * 1024 && expected.len() - to >= 1024 * 1024);
    assert_eq!(hash(&whole.bytes), hash(&[&expected[..from], &expected[to..]].concat()));
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_nobody_up() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let (start, expected) = counting(2_000_000);
    let (_, mut slow) = guest.start_attached(&start).await.unwrap();
    until("all of it is spooled", || test.spool(start.id).join(EXIT_FILE).exists()).await;
    assert_eq!(run(&guest, &shell("echo quick")).await.text(), "quick\n");
    let mut second = guest.attach(start.id, 0).await.unwrap();
    assert_eq!(hash(&read_all(&mut second).await.bytes), hash(&expected));
    assert_eq!(hash(&read_all(&mut slow).await.bytes), hash(&expected));
}

#[tokio::test]
async fn a_guest_that_is_killed_leaves_a_spool_that_reads() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let (done, expected) = counting(500_000);
    run(&guest, &done).await;
    let running = shell("echo begun; exec sleep 20");
    let (_, mut output) = guest.start_attached(&running).await.unwrap();
    read_until(&mut output, "begun").await;
    test.child.kill().unwrap();
    assert!(matches!(guest.closed().await, PipeError::PeerClosed | PipeError::Io(_)));
    assert!(matches!(output.next().await, Err(PipeError::PeerClosed | PipeError::Io(_))));
    assert!(matches!(guest.start(&shell("true")).await, Err(StartError::Pipe(_))));
    let mut recovery = Recovery::new(100 * 1024 * 1024);
    for id in [done.id, running.id] {
        for file in fs::read_dir(test.spool(id)).unwrap().flatten() {
            let path = format!("run/{id}/{}", file.file_name().to_str().unwrap());
            recovery.add(&path, fs::File::open(file.path()).unwrap()).unwrap();
        }
    }
    let found = recovery.finish();
    let bytes = |id: ProcessId| -> Vec<u8> {
        found[&id]
            .output(0)
            .flat_map(|piece| match piece {
                Piece::Bytes { bytes, .. } => bytes.to_vec(),
                Piece::Gap { from, to } => panic!("a gap from {from} to {to}"),
            })
            .collect()
    };
    assert_eq!(hash(&bytes(done.id)), hash(&expected));
    assert!(found[&done.id].exit.is_some());
    assert_eq!(bytes(running.id), b"begun\n");
    assert_eq!(found[&running.id].exit, None, "it did not end by itself");
    assert_eq!(found[&running.id].start.as_ref().unwrap().program, "/bin/sh");
}

#[tokio::test]
async fn a_guest_that_is_told_to_finish_ends_what_runs_notes_it_and_goes() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start = shell("trap 'echo cleaned; exit 0' TERM; echo up; while :; do sleep 0.02; done");
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    read_until(&mut output, "up").await;
    guest.finish().await.unwrap();
    assert_eq!(test.ended().await, Some(0));
    assert!(matches!(guest.closed().await, PipeError::PeerClosed | PipeError::Io(_)));
    assert!(fs::read_to_string(test.spool(start.id).join(EXIT_FILE)).unwrap().contains("guest_ended"));
}

#[tokio::test]
async fn on_term_from_outside_the_guest_notes_what_ran_and_ends() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start = shell("trap '' TERM; echo up; while :; do sleep 0.02; done");
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    read_until(&mut output, "up").await;
    kill(Pid::from_raw(i32::try_from(test.child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(test.ended().await, Some(143));
    assert!(fs::read_to_string(test.spool(start.id).join(EXIT_FILE)).unwrap().contains("guest_ended"));
}

#[tokio::test]
async fn term_from_inside_is_ignored() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let pid = test.child.id();
    run(&guest, &shell(&format!("kill -TERM {pid}; kill -INT {pid}; kill -HUP {pid}; kill -USR1 {pid}"))).await;
    assert_eq!(run(&guest, &shell("echo alive")).await.text(), "alive\n");
}

#[tokio::test]
async fn a_guest_without_a_pipe_ends_by_itself() {
    let mut test = TestGuest::start(&["--lonely-s", "1"]);
    let guest = test.connect().await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(guest.count(ProcessId::from(1)).await.is_err() && guest.loss().is_none(), "with a pipe it stays");
    guest.close().await;
    assert_eq!(test.ended().await, Some(5));
}

#[tokio::test]
async fn a_guest_past_its_wall_clock_ends_by_itself_with_what_runs() {
    let mut test = TestGuest::start(&["--wall-clock-s", "1"]);
    let guest = test.connect().await;
    let start = shell("exec sleep 1000");
    guest.start(&start).await.unwrap();
    assert_eq!(test.ended().await, Some(4));
    assert!(fs::read_to_string(test.spool(start.id).join(EXIT_FILE)).unwrap().contains("wall_clock"));
}

#[tokio::test]
async fn a_host_of_another_protocol_learns_both_ranges() {
    let mut test = TestGuest::start(&[]);
    let options = Options { protocol: pipe::message::ProtocolRange { min: 900, max: 901 }, ..Options::default() };
    let error = Guest::connect(test.stream(), options).await.unwrap_err();
    assert!(matches!(error, PipeError::Protocol { ours, theirs } if ours.min == 900 && theirs.max < 900), "{error}");
}

#[tokio::test]
async fn bulk_moves_at_a_rate_worth_printing() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let mut start = shell("head -c 200000000 /dev/zero");
    start.keep = Keep::All { bytes_max: 64 * 1024 * 1024 };
    let at = std::time::Instant::now();
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    let mut count = 0;
    let mut acknowledged = 0;
    while let Some(event) = timeout(common::BOUND, output.next()).await.unwrap().unwrap() {
        if let OutputEvent::Chunk { bytes, .. } = event {
            count += bytes.len() as u64;
            if count - acknowledged > 8 * 1024 * 1024 {
                acknowledged = count;
                guest.acknowledge(start.id, count).await.unwrap();
            }
        }
    }
    assert_eq!(count, 200_000_000);
    println!("bulk through spool and pipe: {:.0} MB/s (this build)", 200.0 / at.elapsed().as_secs_f64());
}

#[tokio::test]
async fn a_program_that_writes_byte_by_byte_is_no_flood() {
    let mut test = TestGuest::start(&[]);
    let guest = test.connect().await;
    let start = shell("dd if=/dev/zero bs=1 count=300000 2> /dev/null");
    let (_, mut output) = guest.start_attached(&start).await.unwrap();
    let (mut records, mut count) = (0, 0);
    while let Some(event) = timeout(common::BOUND, output.next()).await.unwrap().unwrap() {
        if let OutputEvent::Chunk { bytes, .. } = event {
            records += 1;
            count += bytes.len();
        }
    }
    assert_eq!(count, 300_000);
    assert!(records < 30_000, "{records} records");
}
