//! A guest that lies, floods or is silent yields an error, never a panic, a hang or unbounded memory.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::similar_names, reason = "a test, with what it shares")]
#![allow(missing_docs, reason = "a test")]

use std::time::Duration;

use pipe::guest::{Connection, Facts, Options as GuestOptions};
use pipe::host::{CallError, GivenFile, Guest, Options, Start, StartError, Target};
use pipe::message::{Answer, ProtocolRange};
use pipe::{PipeError, PipeStream, ProcessId};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

const BOUND: Duration = Duration::from_secs(20);
const BUFFER: usize = 256 * 1024;

fn facts() -> Facts {
    Facts { version: "test\x1b[31m".into(), boot: "boot".into() }
}

fn impatient() -> Options {
    Options {
        beat_interval: Duration::from_millis(50),
        silence_max: Duration::from_millis(400),
        hello_wait_max: Duration::from_millis(400),
        ..Options::default()
    }
}

async fn pair() -> (Guest, Connection) {
    let (host, guest) = duplex(BUFFER);
    let facts = facts();
    let (host, guest) = tokio::join!(
        Guest::connect(host, Options::default()),
        Connection::accept(guest, &facts, GuestOptions::default())
    );
    (host.unwrap(), guest.unwrap())
}

/// What connecting to `bytes`, and nothing more, ends in.
async fn against(bytes: Vec<u8>) -> PipeError {
    let (host, mut guest) = duplex(BUFFER);
    let connecting = Guest::connect(host, impatient());
    let lying = async {
        // The host opens its stream first, so that the lie is an answer to something.
        let mut sink = [0; 1024];
        let _ = guest.read(&mut sink).await;
        // The host may close before it has taken everything.
        let _ = guest.write_all(&bytes).await;
        while guest.read(&mut sink).await.is_ok_and(|count| count > 0) {}
        std::future::pending::<()>().await;
    };
    let connected = timeout(BOUND, async {
        tokio::select! {
            connected = connecting => connected,
            () = lying => unreachable!("it waits for ever"),
        }
    });
    connected.await.expect("within the bound").expect_err("no guest spoke")
}

fn header(tag: u8, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    let mut bytes = vec![0, tag];
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes
}

#[tokio::test]
async fn a_text_of_a_shell_is_no_guest() {
    let error = against(b"sh: berth-guest: not found\n".to_vec()).await;
    assert!(matches!(error, PipeError::Multiplex { .. }), "{error}");
}

#[tokio::test]
async fn silence_before_the_hello_ends_in_a_timeout() {
    assert!(matches!(against(Vec::new()).await, PipeError::Timeout { .. }));
}

#[tokio::test]
async fn half_a_header_ends_in_a_timeout() {
    assert!(matches!(against(vec![0, 0, 0]).await, PipeError::Timeout { .. }));
}

#[tokio::test]
async fn a_wire_frame_of_a_gigabyte_is_refused_by_its_header() {
    let error = against(header(0, 0, 1, 1 << 30)).await;
    assert!(matches!(error, PipeError::Multiplex { .. }), "{error}");
}

#[tokio::test]
async fn a_control_stream_that_ends_before_the_hello_is_no_guest() {
    // The connection itself stays.
    for end_or_reset in [4, 8] {
        let error = against(header(1, end_or_reset, 1, 0)).await;
        assert!(matches!(error, PipeError::Cut { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_hello_that_announces_four_gigabytes_is_refused() {
    let mut bytes = header(0, 0, 1, 4);
    bytes.extend_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(against(bytes).await, PipeError::FrameTooLong { .. }));
}

#[tokio::test]
async fn a_hello_that_is_no_json_is_malformed() {
    let mut bytes = header(0, 0, 1, 7);
    bytes.extend_from_slice(b"\0\0\0\x03\xff\xfe{");
    assert!(matches!(against(bytes).await, PipeError::Malformed { what: "the hello", .. }));
}

#[tokio::test]
async fn a_flood_of_streams_ends_the_connection() {
    let flood = (1..3000_u32).flat_map(|number| header(1, 1, number * 2, 0)).collect();
    let error = against(flood).await;
    assert!(matches!(error, PipeError::Flood { .. } | PipeError::Multiplex { .. }), "{error}");
}

#[tokio::test]
async fn a_flood_of_tiny_frames_ends_the_connection() {
    let mut one = header(0, 0, 1, 1);
    one.push(0);
    let error = against(one.repeat(2_000_000)).await;
    assert!(!matches!(error, PipeError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn a_flood_of_pings_ends_the_connection() {
    let error = against(header(2, 1, 0, 7).repeat(2_000_000)).await;
    assert!(matches!(error, PipeError::Flood { .. }), "{error}");
}

#[tokio::test]
async fn an_honest_hello_is_shown_without_escapes() {
    let (host, _guest) = pair().await;
    assert_eq!(host.hello().version, "test\u{fffd}[31m");
    assert_eq!(host.protocol(), 2);
}

#[tokio::test]
async fn ranges_without_a_common_protocol_are_told_to_both_ends() {
    let (host, guest) = duplex(BUFFER);
    let facts = facts();
    let newer = GuestOptions { protocol: ProtocolRange { min: 7, max: 9 }, ..GuestOptions::default() };
    let (host, guest) =
        tokio::join!(Guest::connect(host, Options::default()), Connection::accept(guest, &facts, newer));
    assert!(matches!(host, Err(PipeError::Protocol { theirs: ProtocolRange { min: 7, max: 9 }, .. })), "{host:?}");
    assert!(matches!(guest, Err(PipeError::Protocol { .. })));
}

#[tokio::test]
async fn an_older_guest_is_spoken_to_in_its_protocol() {
    let (host, guest) = duplex(BUFFER);
    let facts = facts();
    let older = GuestOptions { protocol: ProtocolRange { min: 1, max: 1 }, ..GuestOptions::default() };
    let (host, _guest) =
        tokio::join!(Guest::connect(host, Options::default()), Connection::accept(guest, &facts, older));
    let host = host.unwrap();
    assert_eq!(host.protocol(), 1);
    // It would start the process without them.
    let mut start = Start::new(ProcessId::from(1), ["true"], "/");
    start.files = vec![GivenFile { name: "key".into(), variables: vec!["KEY_FILE".into()], text: "value".into() }];
    assert!(matches!(host.start(&start).await, Err(StartError::NoFiles)));
}

/// Carries bytes between two streams until told to hold its breath, keeping both open.
async fn carry(mut one: DuplexStream, mut other: DuplexStream, mut hold: tokio::sync::watch::Receiver<bool>) {
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut one, &mut other) => {}
        _ = hold.wait_for(|is_held| *is_held) => {}
    }
    std::future::pending::<()>().await;
}

/// Both ends of a connection that falls silent when told to, for as long as the tasks are kept.
async fn pair_to_silence() -> (Guest, Connection, tokio::sync::watch::Sender<bool>, tokio::task::JoinSet<()>) {
    let (host, host_side) = duplex(BUFFER);
    let (guest_side, guest) = duplex(BUFFER);
    let (hold, held) = tokio::sync::watch::channel(false);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(carry(host_side, guest_side, held));
    let facts = facts();
    let options = GuestOptions {
        beat_interval: Duration::from_millis(50),
        silence_max: Duration::from_millis(400),
        ..GuestOptions::default()
    };
    let (host, guest) = tokio::join!(Guest::connect(host, impatient()), Connection::accept(guest, &facts, options));
    (host.unwrap(), guest.unwrap(), hold, tasks)
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_lost_at_both_ends() {
    let (host, mut guest, hold, _tasks) = pair_to_silence().await;
    // Longer than the bound of silence: beats alone keep an idle connection.
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(host.loss().is_none() && guest.loss().is_none());
    hold.send(true).unwrap();
    let reason = timeout(BOUND, host.closed()).await.unwrap();
    assert!(matches!(reason, PipeError::Silent { .. }), "{reason}");
    assert!(timeout(BOUND, guest.next()).await.unwrap().is_none());
    assert!(matches!(guest.loss(), Some(PipeError::Silent { .. })));
    timeout(BOUND, async { tokio::join!(host.close(), guest.close()) }).await.unwrap();
}

/// Reads a stream on which nothing comes, and writes more than a window, which nobody reads: until both have ended.
async fn wait_both_ways(stream: PipeStream) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let more_than_a_window = vec![7; 4 * BUFFER];
    let mut nothing = Vec::new();
    let (read, written) = tokio::join!(reader.read_to_end(&mut nothing), writer.write_all(&more_than_a_window));
    assert!(nothing.is_empty() && written.is_err(), "{read:?}, {written:?}");
}

#[tokio::test]
async fn streams_that_wait_end_with_a_connection_that_falls_silent_or_is_closed() {
    for is_closed in [false, true] {
        let (host, mut guest, hold, _tasks) = pair_to_silence().await;
        let (mut outside, mut inside) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let taking = async {
                let mut stream = guest.next().await.unwrap();
                pipe::guest::read_ask(&mut stream).await.unwrap();
                pipe::guest::write(&mut stream, &Answer::Done(())).await.unwrap();
                stream
            };
            let (dialled, taken) = tokio::join!(host.dial(Target::Port { port: 80 }), taking);
            outside.push(dialled.unwrap());
            inside.push(taken);
        }
        // One end of each stream waits, in a task that nothing else wakes; the other lies idle.
        let mut waiting = tokio::task::JoinSet::new();
        waiting.spawn(wait_both_ways(outside.remove(0)));
        waiting.spawn(wait_both_ways(inside.remove(1)));
        tokio::task::yield_now().await;
        if is_closed {
            host.close().await;
        } else {
            hold.send(true).unwrap();
        }
        for _ in 0..2 {
            let waited = timeout(BOUND, waiting.join_next()).await;
            waited.unwrap_or_else(|_| panic!("somebody is left waiting; closed: {is_closed}")).unwrap().unwrap();
        }
        timeout(BOUND, async { tokio::join!(host.close(), guest.close()) }).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_waits_at_a_stream_when_its_connection_falls_silent_is_told() {
    let (host, host_side) = duplex(BUFFER);
    let (guest_side, guest) = duplex(BUFFER);
    let (hold, held) = tokio::sync::watch::channel(false);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(carry(host_side, guest_side, held));
    let facts = facts();
    let options = GuestOptions {
        beat_interval: Duration::from_millis(50),
        silence_max: Duration::from_millis(400),
        ..GuestOptions::default()
    };
    let (host, guest) = tokio::join!(Guest::connect(host, impatient()), Connection::accept(guest, &facts, options));
    let (host, mut guest) = (host.unwrap(), guest.unwrap());
    let answering = async {
        let mut stream = guest.next().await.unwrap();
        pipe::guest::read_ask(&mut stream).await.unwrap();
        pipe::guest::write(&mut stream, &Answer::Done(())).await.unwrap();
        stream
    };
    let (output, mut stream) = tokio::join!(host.attach(pipe::ProcessId::from_bytes([7; 16]), 0), answering);
    let mut output = output.unwrap();
    hold.send(true).unwrap();
    // Neither end has anything to do with the other any more, and both would otherwise wait for ever.
    let mut byte = [0];
    let waiting = async { tokio::join!(output.next(), stream.read(&mut byte)) };
    let (output, read) = timeout(BOUND, waiting).await.expect("both are told");
    let reason = output.unwrap_err();
    assert!(matches!(reason, PipeError::Silent { .. }), "{reason}");
    assert!(!matches!(read, Ok(1..)), "{read:?}");
}

#[tokio::test]
async fn a_list_longer_than_a_guest_may_keep_is_a_violation() {
    let (host, mut guest) = pair().await;
    let lying = async {
        let mut stream = guest.next().await.unwrap();
        pipe::guest::read_ask(&mut stream).await.unwrap();
        pipe::guest::write(&mut stream, &Answer::Done(4_000_000_000_u64)).await.unwrap();
        stream
    };
    let (listed, _stream) = tokio::join!(host.processes(), lying);
    assert!(matches!(listed, Err(CallError::Pipe(PipeError::Violation { .. }))), "{listed:?}");
    assert!(host.loss().is_none(), "a lie on one stream costs that stream");
}

#[tokio::test]
async fn an_answer_longer_than_a_frame_is_refused() {
    let (host, mut guest) = pair().await;
    let lying = async {
        let mut stream = guest.next().await.unwrap();
        pipe::guest::read_ask(&mut stream).await.unwrap();
        let endless = vec![b' '; 1024];
        stream.write_all(&(10_000_000_u32).to_be_bytes()).await.unwrap();
        while stream.write_all(&endless).await.is_ok() {}
    };
    let (answer, ()) = timeout(BOUND, async { tokio::join!(host.stats(), lying) }).await.unwrap();
    assert!(matches!(answer, Err(CallError::Pipe(PipeError::FrameTooLong { .. }))), "{answer:?}");
}

#[tokio::test]
async fn outward_connections_reach_the_host_and_can_be_refused() {
    let (host, guest) = pair().await;
    let mut wanted = host.outward().unwrap();
    assert!(host.outward().is_none(), "there is one taker");
    let opener = guest.outward();
    let asking = opener.open("model.example:443");
    let taking = async {
        let outward = wanted.next().await.unwrap();
        assert_eq!(outward.target(), "model.example:443");
        outward.accept().await.unwrap()
    };
    let (inside, mut outside) = tokio::join!(asking, taking);
    let mut inside = inside.unwrap();
    inside.write_all(b"hello").await.unwrap();
    let mut bytes = [0; 5];
    outside.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hello");
    for target in ["", "two words", "new\nline", &"x".repeat(5000)] {
        let refused = timeout(BOUND, opener.open(target)).await.unwrap();
        assert!(matches!(refused, Err(pipe::guest::OutwardError::Refused(_))), "{target:?}: {refused:?}");
    }
}

#[tokio::test]
async fn outward_connections_that_nobody_takes_are_refused_beyond_the_bound() {
    let (host, guest) = pair().await;
    let opener = guest.outward();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..pipe::limits::OUTWARD_QUEUE_MAX {
        let opener = opener.clone();
        waiting.spawn(async move { opener.open("x:1").await });
    }
    let refused = timeout(BOUND, async {
        loop {
            // The queue fills in any order; the first one beyond it is refused.
            let opener = opener.clone();
            waiting.spawn(async move { opener.open("x:1").await });
            if let Some(answer) = waiting.join_next().await {
                return answer.unwrap();
            }
        }
    })
    .await
    .unwrap();
    assert!(matches!(refused, Err(pipe::guest::OutwardError::Refused(_))), "{refused:?}");
    host.close().await;
}
