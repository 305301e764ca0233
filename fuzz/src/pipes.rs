//! Both ends of the pipe, and the records of an output.
//!
//! The bytes of a pipe are multiplexed, and random ones are refused by their first header. So an input is read as steps: most
//! make a frame that holds together, on a stream of the input's choice, with a body that is the input's; some lie about their
//! length; some are no frames at all. Time is the runtime's own: where nothing moves it jumps, so that a minute of silence costs
//! nothing.

use std::time::Duration;

use pipe::browse::{Browser, DEPTH_MAX, Name, PAGE_ENTRIES_MAX, TARGET_BYTES_MAX, read_ask as read_question};
use pipe::guest::{Connection, Facts, Options as GuestOptions, read_ask};
use pipe::host::{Guest, Options, OutputEvent, Refusal, RefusalCode, Start, Target};
use pipe::limits::RECORD_BYTES_MAX;
use pipe::message::Answer;
use pipe::record::{Record, RecordReader};
use pipe::{PipeError, ProcessId};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::target::Input;

/// Bytes between the two ends.
const BUFFER: usize = 64 * 1024;
/// By the runtime's clock. Nobody waits longer for a peer that has fallen silent.
const END_WAIT_MAX: Duration = Duration::from_mins(10);
/// Events of one stream that are read.
const EVENTS_MAX: usize = 10_000;

const DATA: u8 = 0;
const WINDOW: u8 = 1;
const PING: u8 = 2;
const GO_AWAY: u8 = 3;
const SYN: u16 = 1;
const ACK: u16 = 2;

const HELLO: &str = r#"{"protocol":{"min":1,"max":1},"version":"x","boot":"y","architecture":"z"}"#;
/// What an honest guest says at one time or another.
const WORDS: [&str; 12] = [
    r#"{"done":null}"#,
    r#"{"done":{"how":"new"}}"#,
    r#"{"done":1}"#,
    r#"{"refused":{"code":"invalid","detail":"d"}}"#,
    r#"{"id":"00000000000000000000000000000001","state":{"state":"running"},"acknowledged":0,"end":9}"#,
    r#"{"event":"ports","ports":[{"port":80,"address":"127.0.0.1"}]}"#,
    r#"{"event":"ended","id":"00000000000000000000000000000001","status":{"status":"exited","code":0}}"#,
    r#"{"control":"beat"}"#,
    r#"{"target":"model.example:443"}"#,
    r#"{"done":{"memory_bytes":1}}"#,
    HELLO,
    r#"{"done":4000000000}"#,
];
/// What an honest host asks.
const QUESTIONS: [&str; 8] = [
    r#"{"ask":"control"}"#,
    HELLO,
    r#"{"control":"beat"}"#,
    r#"{"ask":"start","id":"00000000000000000000000000000001","argv":["a"],"cwd":"/","stdio":{"stdio":"pipes"},"stdin":{"stdin":"bytes","bytes":3},"keep":{"keep":"ends"}}"#,
    r#"{"ask":"attach","id":"00000000000000000000000000000001","from":0}"#,
    r#"{"ask":"dial","target":{"target":"port","port":80}}"#,
    r#"{"done":null}"#,
    r#"{"ask":"finish"}"#,
];

/// What an honest guest answers about a home.
const ANSWERS: [&str; 6] = [
    r#"{"answer":"listing","entries":[{"name":"63","kind":"link","size_bytes":0,"mode":511,"modified_s":-1,"target":"2f"}],"total":1,"has_more":false}"#,
    r#"{"answer":"content","size_bytes":9,"length":3}"#,
    r#"{"answer":"measured","size_bytes":1,"files":1,"is_done":false}"#,
    r#"{"answer":"measured","size_bytes":1,"files":1,"is_done":true}"#,
    r#"{"answer":"renamed","how":"done"}"#,
    r#"{"answer":"failed","why":"gone"}"#,
];

fn header(tag: u8, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    let mut bytes = vec![0, tag];
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes
}

fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("an input is short")
}

fn data(flags: u16, stream: u32, body: &[u8]) -> Vec<u8> {
    [header(DATA, flags, stream, length_of(body)), body.to_vec()].concat()
}

fn framed(json: &str) -> Vec<u8> {
    [&length_of(json.as_bytes()).to_be_bytes(), json.as_bytes()].concat()
}

/// The next step of an input, as bytes on the wire.
fn step(input: &mut Input<'_>, words: &[&str]) -> Vec<u8> {
    let kind = input.byte();
    // Stream and flags in one byte: the first few streams of either end, and the flags that there are.
    let place = input.byte();
    let (stream, flags) = (u32::from(place & 0x0f), u16::from(place >> 4));
    match kind % 8 {
        0 => {
            let length = usize::from(input.byte());
            data(flags, stream, input.bytes(length))
        }
        1 | 2 => data(flags, stream, &framed(words[usize::from(input.byte()) % words.len()])),
        3 => {
            let body = record(input);
            data(flags, stream, &body)
        }
        4 => header(WINDOW, flags, stream, input.number()),
        5 => header(if input.byte().is_multiple_of(2) { PING } else { GO_AWAY }, flags, stream, input.number()),
        // A frame that says how long it is, and is not.
        6 => header(DATA, flags, stream, input.number()),
        _ => {
            let length = usize::from(input.byte());
            input.bytes(length).to_vec()
        }
    }
}

/// A record of an output: its kind, where it stands and what it holds are the input's; what it says of its length is true.
fn record(input: &mut Input<'_>) -> Vec<u8> {
    let (kind, offset, length) = (input.byte() % 6, u64::from(input.number()), usize::from(input.byte()));
    let body = input.bytes(length);
    [&[kind][..], &offset.to_be_bytes(), &length_of(body).to_be_bytes(), body].concat()
}

/// Sends what an input makes, reads whatever comes, and falls silent.
async fn play(io: DuplexStream, bytes: Vec<Vec<u8>>) {
    let (mut reader, mut writer) = split(io);
    let writing = async {
        for step in bytes {
            if writer.write_all(&step).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    };
    let mut sink = vec![0; BUFFER];
    let reading = async { while reader.read(&mut sink).await.is_ok_and(|count| count > 0) {} };
    tokio::select! {
        () = writing => {}
        () = reading => {}
    }
}

fn script(data: &[u8], greeting: Vec<u8>, words: &[&str]) -> Vec<Vec<u8>> {
    let mut input = Input::new(data);
    let mut steps = Vec::new();
    if input.byte().is_multiple_of(8) {
        // Not even a greeting.
    } else {
        steps.push(greeting);
    }
    while !input.is_empty() {
        steps.push(step(&mut input, words));
    }
    steps
}

fn run(scene: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        timeout(END_WAIT_MAX, scene).await.expect("a peer that has fallen silent holds nobody up");
    });
}

/// The app's end against a guest.
pub(crate) fn host(bytes: &[u8]) {
    let steps = script(bytes, data(ACK, 1, &framed(HELLO)), &WORDS);
    run(async {
        let (ours, theirs) = duplex(BUFFER);
        let mut player = JoinSet::new();
        player.spawn(play(theirs, steps));
        let Ok(guest) = Guest::connect(ours, Options::default()).await else { return };
        assert!(guest.hello().version.chars().all(|character| !character.is_control()));
        let mut outward = guest.outward().expect("nobody has taken it");
        let calls = async {
            tokio::join!(
                output(&guest),
                async { drop(guest.processes().await) },
                async {
                    let Ok(mut events) = guest.events().await else { return };
                    for _ in 0..EVENTS_MAX {
                        if events.next().await.is_err() {
                            return;
                        }
                    }
                },
                async {
                    let Ok(mut stream) = guest.dial(Target::Port { port: 80 }).await else { return };
                    drop(stream.write_all(&[7; 1_000]).await);
                    drop(stream.read_to_end(&mut Vec::new()).await);
                },
                async { drop(guest.stats().await) },
                async { drop(guest.write_stdin(ProcessId::from(1), &[7; 1_000]).await) },
                async {
                    let mut is_wanted = true;
                    while let Some(outward) = outward.next().await {
                        assert!(outward.target().bytes().all(|byte| byte.is_ascii_graphic()));
                        is_wanted = !is_wanted;
                        if is_wanted {
                            drop(outward.accept().await);
                        } else {
                            drop(outward.refuse(Refusal::new(RefusalCode::TooMany, "no")).await);
                        }
                    }
                },
            );
        };
        calls.await;
        guest.closed().await;
        guest.close().await;
    });
}

/// What is read of an output is in order, and no byte comes twice.
async fn output(guest: &Guest) {
    let start = Start::new(ProcessId::from(1), ["a"], "/");
    let Ok((_, mut output)) = guest.start_attached(&start).await else { return };
    let mut next = 0;
    for _ in 0..EVENTS_MAX {
        match output.next().await {
            Ok(Some(OutputEvent::Chunk { offset, bytes })) => {
                assert_eq!(offset, next);
                assert!(!bytes.is_empty() && bytes.len() <= RECORD_BYTES_MAX);
                next += bytes.len() as u64;
            }
            Ok(Some(OutputEvent::Gap { from, to })) => {
                assert!(from == next && to > from);
                next = to;
            }
            Ok(Some(OutputEvent::Exited(exit))) => assert_eq!(exit.end, next),
            Ok(None) | Err(_) => return,
        }
    }
}

/// The guest's end against whoever has its socket.
pub(crate) fn guest(bytes: &[u8]) {
    let greeting = [header(WINDOW, SYN, 1, 0), data(0, 1, &framed(QUESTIONS[0])), data(0, 1, &framed(HELLO))];
    let steps = script(bytes, greeting.concat(), &QUESTIONS);
    run(async {
        let (ours, theirs) = duplex(BUFFER);
        let mut player = JoinSet::new();
        player.spawn(play(theirs, steps));
        let facts = Facts { version: "x".into(), boot: "y".into() };
        let Ok(mut connection) = Connection::accept(ours, &facts, GuestOptions::default()).await else { return };
        let mut tasks = JoinSet::new();
        let opener = connection.outward();
        tasks.spawn(async move { drop(opener.open("x:1").await) });
        while let Some(mut stream) = connection.next().await {
            tasks.spawn(async move {
                let Ok(ask) = read_ask(&mut stream).await else { return };
                // As long as it came, and no longer.
                assert!(serde_json::to_vec(&ask).is_ok());
                drop(pipe::guest::write(&mut stream, &Answer::Done(())).await);
                drop(stream.read_to_end(&mut Vec::new()).await);
            });
        }
        assert!(connection.loss().is_some());
        connection.close().await;
        while tasks.join_next().await.is_some() {}
    });
}

/// The records of an output, as they are read off a stream.
pub(crate) fn records(bytes: &[u8]) {
    run(async {
        let mut input = Input::new(bytes);
        let from = u64::from(input.number());
        let mut stream = input.bytes(bytes.len());
        let (mut reader, mut next, mut read) = (RecordReader::new(from), from, 0);
        loop {
            match reader.read(&mut stream).await {
                Ok(Record::Data { offset, bytes }) => {
                    assert_eq!(offset, next);
                    read += bytes.len();
                    next += bytes.len() as u64;
                }
                Ok(Record::Gap { from, to }) => {
                    assert!(from == next && to > next);
                    next = to;
                }
                Ok(Record::Exit(exit)) => {
                    assert_eq!(exit.end, next);
                    break;
                }
                Err(PipeError::Io(_) | PipeError::Closed | PipeError::PeerClosed | PipeError::Silent { .. }) => {
                    panic!("nothing of the kind happened")
                }
                Err(_) => break,
            }
            assert_eq!(reader.offset(), next);
        }
        assert!(read <= bytes.len(), "more than there was");
    });
}

/// A home that is looked into: the app's end, and the guest's, which reads the same bytes as questions.
pub(crate) fn browse(bytes: &[u8]) {
    let mut questions = bytes;
    while let Ok(Some(_)) = read_question(&mut questions) {}
    run(async {
        let mut input = Input::new(bytes);
        let mut steps = Vec::new();
        while !input.is_empty() {
            let (kind, length) = (input.byte(), usize::from(input.byte()));
            steps.push(match kind % 4 {
                0 => input.bytes(length).to_vec(),
                1 => framed(ANSWERS[length % ANSWERS.len()]),
                _ => {
                    let body = input.bytes(length);
                    [&length_of(body).to_be_bytes(), body].concat()
                }
            });
        }
        let (ours, theirs) = duplex(BUFFER);
        let mut player = JoinSet::new();
        player.spawn(play(theirs, steps));
        let mut browser = Browser::new(ours);
        let name = Name::new("b").expect("a name");
        // Nobody answers for ever: whoever asks in earnest waits for so long and no longer.
        let asked = timeout(END_WAIT_MAX / 2, async {
            let page = browser.list(vec![name.clone()], Some(name.clone()), PAGE_ENTRIES_MAX).await;
            if let Ok(page) = page {
                assert!(page.entries.len() <= PAGE_ENTRIES_MAX as usize);
                assert!(page.entries.iter().all(|entry| entry.name > name));
                let targets = page.entries.iter().filter_map(|entry| entry.target.as_ref());
                targets.for_each(|target| assert!(target.0.len() <= TARGET_BYTES_MAX));
            }
            if let Ok(piece) = browser.read(vec![name.clone(); DEPTH_MAX], 0, 1_000).await {
                assert!(piece.bytes.len() <= 1_000);
            }
            drop(browser.rename(Vec::new(), name.clone(), name).await);
            if browser.measure().await.is_ok() {
                while browser.measured().await.is_ok_and(|(_, _, is_done)| !is_done) {}
            }
        });
        drop(asked.await);
    });
}

/// A conversation for each word, and for each call that reads more than one.
pub(crate) fn host_seeds() -> Vec<Vec<u8>> {
    // The host opens 3, 5, 7 … in the order of its calls.
    let mut seeds: Vec<Vec<u8>> = (0..12).map(|word| vec![1, 1, 0x23, word, 1, 0x05, word, 1, 0x07, word]).collect();
    let mut printing = vec![1, 1, 0x23, 1];
    for (offset, text) in [(0, "abc"), (3, "defg")] {
        printing.extend([3, 0x03, 1, 0, 0, 0, offset, u8::try_from(text.len()).expect("short")]);
        printing.extend_from_slice(text.as_bytes());
    }
    let exit = br#"{"status":{"status":"exited","code":0},"end":7}"#;
    printing.extend([3, 0x03, 4, 0, 0, 0, 7, u8::try_from(exit.len()).expect("short")]);
    printing.extend_from_slice(exit);
    seeds.push(printing);
    seeds.push(vec![1, 1, 0x12, 8, 1, 0x14, 8, 4, 0x03, 0, 0, 0, 9, 5, 0x10, 0, 0, 0, 0, 1]);
    seeds.push(vec![1, 6, 0x03, 0xff, 0xff, 0xff, 0xff]);
    seeds
}

pub(crate) fn guest_seeds() -> Vec<Vec<u8>> {
    (0..8).map(|word| vec![1, 1, 0x13, word, 0, 0x03, 3, b'a', b'b', b'c', 1, 0x15, word, 1, 0x02, 6]).collect()
}

pub(crate) fn browse_seeds() -> Vec<Vec<u8>> {
    let whole = [1, 0, 1, 1, 0, 3, b'a', b'b', b'c', 1, 4, 1, 2, 1, 3].to_vec();
    let question = framed(r#"{"ask":"read","path":["62"],"offset":0,"length":1}"#);
    let words = ANSWERS.map(|answer| [&[2, u8::try_from(answer.len()).unwrap_or(u8::MAX)], answer.as_bytes()].concat());
    words.into_iter().chain([whole, question]).collect()
}

pub(crate) fn record_seeds() -> Vec<Vec<u8>> {
    let from = [0, 0, 0, 0];
    let mut all = from.to_vec();
    for step in [
        [&[1, 0, 0, 0, 0, 3][..], b"abc"].concat(),
        [&[2, 0, 0, 0, 3, 8][..], &9_u64.to_be_bytes()].concat(),
        [&[3, 0, 0, 0, 9, 2][..], b"ok"].concat(),
        [&[4, 0, 0, 0, 9, 47][..], br#"{"status":{"status":"exited","code":0},"end":9}"#].concat(),
    ] {
        all.extend(record(&mut Input::new(&step)));
    }
    vec![all]
}
