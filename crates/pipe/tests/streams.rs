//! How many streams there may be: all that both ends are allowed fit into one connection, and no flood of more ends it.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::similar_names, reason = "a test, with what it shares")]
#![allow(missing_docs, reason = "a test")]

#[path = "support/raw.rs"]
mod raw;

use std::time::Duration;

use pipe::guest::{Connection, Facts, Options as GuestOptions};
use pipe::host::{Guest, Options, Target};
use pipe::limits::{HOST_STREAMS_MAX, OUTWARD_MAX};
use pipe::message::Answer;
use raw::{ACK, RST, SYN, against_raw, data};
use tokio::io::duplex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

const BOUND: Duration = Duration::from_secs(30);

async fn pair() -> (Guest, Connection) {
    let (host, guest) = duplex(256 * 1024);
    let facts = Facts { version: "test".into(), boot: "boot".into() };
    let (host, guest) = tokio::join!(
        Guest::connect(host, Options::default()),
        Connection::accept(guest, &facts, GuestOptions::default())
    );
    (host.unwrap(), guest.unwrap())
}

/// Says yes to every question, and keeps its stream.
async fn agree_to_all(mut guest: Connection, count: watch::Sender<usize>) {
    let mut kept = Vec::new();
    while let Some(mut stream) = guest.next().await {
        pipe::guest::read_ask(&mut stream).await.unwrap();
        pipe::guest::write(&mut stream, &Answer::Done(())).await.unwrap();
        kept.push(stream);
        count.send_replace(kept.len());
    }
}

#[tokio::test]
async fn all_streams_that_both_ends_may_open_fit_into_one_connection() {
    let (host, guest) = pair().await;
    let mut wanted = host.outward().unwrap();
    let opener = guest.outward();
    let (count, _) = watch::channel(0);
    let mut tasks = JoinSet::new();
    tasks.spawn(agree_to_all(guest, count));
    tasks.spawn(async move {
        let mut taken = Vec::new();
        while let Some(outward) = wanted.next().await {
            taken.push(outward.accept().await.unwrap());
        }
    });
    let mut opened = (Vec::new(), Vec::new());
    // The control stream is one of the host's.
    for _ in 1..HOST_STREAMS_MAX {
        let dialled = timeout(BOUND, host.dial(Target::Port { port: 80 })).await.unwrap();
        opened.0.push(dialled.unwrap());
    }
    for _ in 0..OUTWARD_MAX {
        opened.1.push(timeout(BOUND, opener.open("x:1")).await.unwrap().unwrap());
    }
    assert!(host.loss().is_none(), "{:?}", host.loss());
    // Room for one more question, and an answer to it, as soon as one stream has gone.
    opened.0.pop();
    timeout(BOUND, host.dial(Target::Port { port: 80 })).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_flood_of_outward_connections_waits_inside_and_ends_nothing() {
    let (host, guest) = pair().await;
    let mut wanted = host.outward().unwrap();
    let opener = guest.outward();
    let mut floods = JoinSet::new();
    for _ in 0..4_000 {
        let opener = opener.clone();
        floods.spawn(async move { opener.open("x:1").await });
    }
    let mut taken = Vec::new();
    while taken.len() < OUTWARD_MAX {
        let outward = timeout(BOUND, wanted.next()).await.unwrap().expect("the connection lives");
        // Those that nobody took in time were refused, and made room for others: only the accepted ones stay.
        if let Ok(stream) = outward.accept().await {
            taken.push(stream);
        }
    }
    // All the room is taken: whoever else wants out waits inside, where a stream is not even opened.
    let (count, _) = watch::channel(0);
    let mut tasks = JoinSet::new();
    tasks.spawn(agree_to_all(guest, count));
    timeout(BOUND, host.dial(Target::Port { port: 80 })).await.unwrap().unwrap();
    tokio::select! {
        biased;
        further = wanted.next() => assert!(further.is_none(), "more than {OUTWARD_MAX} at once"),
        dialled = host.dial(Target::Port { port: 80 }) => drop(dialled.unwrap()),
    }
    assert!(host.loss().is_none(), "{:?}", host.loss());
}

#[tokio::test]
async fn streams_that_never_say_where_to_are_reset_beyond_the_bound() {
    let (host, mut reader, mut writer) = against_raw(Options::default()).await;
    let beyond = 100;
    let streams = u32::try_from(OUTWARD_MAX + beyond).unwrap();
    for number in 1..=streams {
        // A frame that begins and never ends.
        assert!(writer.send(&data(SYN, number * 2, &[0])).await, "the connection lives");
    }
    let mut reset = 0;
    while reset < beyond {
        // Well before those that are waited for are given up.
        let frame = timeout(pipe::limits::HELLO_WAIT_MAX / 2, reader.until(|frame| frame.flags & RST != 0)).await;
        assert!(frame.expect("it is reset").expect("the connection lives").stream.is_multiple_of(2));
        reset += 1;
    }
    let answering = async {
        let stream = reader.asked().await.unwrap();
        writer.say(ACK, stream, r#"{"done":null}"#).await
    };
    let (dialled, _) =
        timeout(BOUND, async { tokio::join!(host.dial(Target::Port { port: 80 }), answering) }).await.unwrap();
    dialled.unwrap();
}
