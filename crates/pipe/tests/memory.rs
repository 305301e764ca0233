//! What a hostile guest can make the app hold in memory: measured, in a process that does nothing else. One test at a time.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::similar_names, reason = "a test, with what it shares")]
#![allow(missing_docs, reason = "a test")]

#[path = "support/raw.rs"]
mod raw;

use std::time::Duration;

use pipe::PipeError;
use pipe::host::{Guest, Options, Target};
use pipe::limits::{HOST_STREAMS_MAX, OUTWARD_QUEUE_MAX, TINY_FRAMES_UNREAD_MAX};
use raw::{ACK, PING, Reader, SYN, Writer, against_raw, data, header};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

const BOUND: Duration = Duration::from_mins(2);
/// Every stream's window, until the multiplexer measures that a larger one pays.
const WINDOW_BYTES: usize = 256 * 1024;
/// An answer, and what stands around it.
const SAID_BYTES_MAX: usize = 64;
const MIB: usize = 1024 * 1024;
/// What a process grows by beyond what is counted: the allocator's own, in MiB.
const SLACK_MIB: usize = 64;
/// Memory is one number for the whole process.
static ALONE: Mutex<()> = Mutex::const_new(());

/// What the process has in memory, in MiB (proc_pid_statm(5)).
fn resident_mib() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096 / MIB
}

/// As many connections inside as the app may have open, none of them read.
async fn dial_all(host: &Guest, reader: &mut Reader, writer: &mut Writer) -> Vec<pipe::PipeStream> {
    let mut dials = JoinSet::new();
    // The control stream is one of the host's.
    for _ in 1..HOST_STREAMS_MAX {
        let host = host.clone();
        dials.spawn(async move { host.dial(Target::Port { port: 80 }).await });
    }
    for _ in 1..HOST_STREAMS_MAX {
        let stream = reader.asked().await.unwrap();
        assert!(writer.say(ACK, stream, r#"{"done":null}"#).await);
    }
    dials.join_all().await.into_iter().map(Result::unwrap).collect()
}

/// Reads on, so that the host is never held up, and counts its answers to pings: what was sent before one has been taken in.
async fn swallow(mut reader: Reader, pongs: watch::Sender<usize>) {
    while reader.until(|frame| frame.tag == PING && frame.flags & ACK != 0).await.is_some() {
        pongs.send_modify(|count| *count += 1);
    }
}

/// Waits until the host has taken in all that was sent, or has closed.
async fn taken_in(writer: &mut Writer, pongs: &mut watch::Receiver<usize>) {
    let before = *pongs.borrow_and_update();
    if writer.send(&header(PING, SYN, 0, 7)).await {
        let waiting = timeout(BOUND, pongs.wait_for(|count| *count > before)).await;
        drop(waiting.expect("the host reads on"));
    }
}

#[tokio::test]
async fn windows_that_are_filled_and_never_read_cost_their_sum_and_no_more() {
    let _alone = ALONE.lock().await;
    // This guest sends no beats.
    let options = Options { silence_max: 2 * BOUND, ..Options::default() };
    let (host, mut reader, mut writer) = against_raw(options).await;
    let dials = dial_all(&host, &mut reader, &mut writer).await;
    let before = resident_mib();
    let (sender, mut pongs) = watch::channel(0);
    let mut tasks = JoinSet::new();
    tasks.spawn(swallow(reader, sender));
    let half = vec![b'x'; WINDOW_BYTES / 2];
    // What was said on each stream before has taken of its window.
    let rest = vec![b'x'; WINDOW_BYTES / 2 - SAID_BYTES_MAX];
    for number in 1..HOST_STREAMS_MAX {
        let stream = u32::try_from(number * 2 + 1).unwrap();
        assert!(writer.send(&data(0, stream, &half)).await && writer.send(&data(0, stream, &rest)).await);
    }
    // Those that the guest opens: they say where to, and wait for somebody who takes them.
    for number in 1..=OUTWARD_QUEUE_MAX {
        let stream = u32::try_from(number * 2).unwrap();
        assert!(writer.say(SYN, stream, r#"{"target":"x:1"}"#).await);
        assert!(writer.send(&data(0, stream, &half)).await);
    }
    taken_in(&mut writer, &mut pongs).await;
    let grown = resident_mib().saturating_sub(before);
    let sum = (HOST_STREAMS_MAX * WINDOW_BYTES + OUTWARD_QUEUE_MAX * WINDOW_BYTES / 2) / MIB;
    println!("{} streams filled: {grown} MiB; their windows: {sum} MiB", dials.len() + OUTWARD_QUEUE_MAX);
    assert!(grown > sum / 2, "{grown} MiB: the windows were not filled");
    assert!(grown < sum + SLACK_MIB, "{grown} MiB for windows of {sum} MiB");
    assert!(host.loss().is_none(), "{:?}", host.loss());

    // What goes beyond a window is thrown away.
    for _ in 0..256 {
        assert!(writer.send(&data(0, 3, &half)).await);
    }
    taken_in(&mut writer, &mut pongs).await;
    let beyond = resident_mib().saturating_sub(before).saturating_sub(grown);
    println!("32 MiB beyond a window: {beyond} MiB");
    assert!(beyond < 16, "{beyond} MiB");
}

#[tokio::test]
async fn single_bytes_on_streams_that_nobody_reads_end_the_connection_before_they_cost_much() {
    let _alone = ALONE.lock().await;
    let options = Options { silence_max: 2 * BOUND, ..Options::default() };
    let (host, mut reader, mut writer) = against_raw(options).await;
    let _dials = dial_all(&host, &mut reader, &mut writer).await;
    let before = resident_mib();
    let (sender, _) = watch::channel(0);
    let mut tasks = JoinSet::new();
    tasks.spawn(swallow(reader, sender));
    let flood = data(0, 3, b"x").repeat(1024);
    let mut sent: u32 = 0;
    // A stream after the other, so that no window is the bound that is met.
    'flood: for number in 1..HOST_STREAMS_MAX {
        let stream = u32::try_from(number * 2 + 1).unwrap();
        let mut flood = flood.clone();
        flood.chunks_mut(13).for_each(|frame| frame[4..8].copy_from_slice(&stream.to_be_bytes()));
        for _ in 0..64 {
            if !writer.send(&flood).await {
                break 'flood;
            }
            sent += 1024;
        }
    }
    let reason = timeout(BOUND, host.closed()).await.unwrap();
    assert!(matches!(reason, PipeError::Flood { what: "tiny frames that nobody reads" }), "{reason} after {sent}");
    let grown = resident_mib().saturating_sub(before);
    println!("{sent} frames of a byte each: {grown} MiB");
    // With room for what was under way.
    assert!(sent < TINY_FRAMES_UNREAD_MAX + 65_536, "{sent}");
    assert!(grown < SLACK_MIB, "{grown} MiB");
}

#[tokio::test]
async fn a_guest_that_never_reads_makes_its_own_callers_wait_and_nothing_grow() {
    let _alone = ALONE.lock().await;
    let options = Options {
        beat_interval: Duration::from_millis(100),
        silence_max: Duration::from_secs(2),
        ..Options::default()
    };
    let (host, _reader, mut writer) = against_raw(options).await;
    let before = resident_mib();
    // What the app would say to it: large, and all at once. And what it says itself, without reading: pings ask for answers.
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let host = host.clone();
        calls.spawn(async move { host.write_stdin(pipe::ProcessId::from(1), &vec![b'x'; MIB / 4]).await.is_ok() });
    }
    let pings = header(PING, SYN, 0, 7).repeat(1000);
    let pinging = async {
        while writer.send(&pings).await {}
        // Held up, for nobody reads the answers: from here on there is silence.
    };
    let reason = timeout(BOUND, async {
        tokio::select! {
            () = pinging => host.closed().await,
            reason = host.closed() => reason,
        }
    });
    let reason = reason.await.expect("silence ends the connection");
    assert!(matches!(reason, PipeError::Silent { .. } | PipeError::Flood { .. }), "{reason}");
    assert!(!calls.join_all().await.contains(&true), "nobody was told that it was taken");
    let grown = resident_mib().saturating_sub(before);
    println!("200 callers of a guest that never reads: {grown} MiB");
    // Each caller's own words, and two windows of what is on the way.
    assert!(grown < 50 + SLACK_MIB, "{grown} MiB");
}
