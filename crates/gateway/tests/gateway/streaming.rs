//! Replies pass piece by piece, no faster than they are read, and end once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway::usage::Certainty;
use gateway::{Bounds, Family, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::hosts::read_request;
use crate::world::{BOUND, PLACEHOLDER, World, only, post, routed, status, until};

const BODY: &str = r#"{"model":"m","max_tokens":5,"stream":true,"messages":[]}"#;
const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

async fn read_until(program: &mut DuplexStream, text: &str) -> String {
    let mut read = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&read).contains(text) {
            assert_ne!(program.read_buf(&mut read).await.unwrap(), 0, "it ended before `{text}`");
        }
    };
    tokio::time::timeout(BOUND, reading).await.unwrap_or_else(|_| panic!("`{text}` does not come"));
    String::from_utf8(read).unwrap()
}

/// A program that asked a model, and the provider that read it and has not answered yet.
async fn asked(bounds: Bounds) -> (World, DuplexStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let world = World::with(routed(Family::Anthropic, &base), bounds, &[], Vec::new());
    let mut program = world.connect();
    let request = post("/model/provider/v1/messages", &format!("x-api-key: {PLACEHOLDER}\r\n"), BODY);
    program.write_all(request.as_bytes()).await.unwrap();
    let (mut provider, _) = tokio::time::timeout(BOUND, listener.accept()).await.unwrap().unwrap();
    read_request(&mut provider).await;
    (world, program, provider)
}

#[tokio::test]
async fn a_stream_arrives_as_it_is_said() {
    let (world, mut program, mut provider) = asked(Bounds::default()).await;
    provider.write_all(STREAM).await.unwrap();
    for event in ["event: ping\ndata: {\"n\":1}\n\n", "event: ping\ndata: {\"n\":2}\n\n"] {
        // The next is said only once this one was heard.
        provider.write_all(chunk(event).as_bytes()).await.unwrap();
        read_until(&mut program, event).await;
    }
    provider.write_all(b"0\r\n\r\n").await.unwrap();
    read_until(&mut program, "0\r\n\r\n").await;
    assert_eq!(world.ended().await[0].outcome, Outcome::Whole);
}

#[tokio::test]
async fn a_program_that_leaves_ends_its_request_once_and_the_providers_work() {
    for pipe_breaks in [false, true] {
        let (world, mut program, mut provider) = asked(Bounds::default()).await;
        provider.write_all(STREAM).await.unwrap();
        provider.write_all(chunk("event: ping\ndata: {}\n\n").as_bytes()).await.unwrap();
        read_until(&mut program, "ping").await;
        if pipe_breaks {
            world.break_pipe();
        } else {
            drop(program);
        }
        // The provider sees it, however long it says nothing.
        assert_eq!(tokio::time::timeout(BOUND, provider.read(&mut [0; 8])).await.unwrap().unwrap_or(0), 0);
        let ended = world.ended().await;
        assert_eq!(ended.len(), 1);
        assert!(matches!(&ended[0].outcome, Outcome::Cut { .. }), "{ended:?}");
        assert_eq!((ended[0].status, ended[0].down_bytes), (Some(200), 22));
    }
}

#[tokio::test]
async fn a_program_that_leaves_before_the_reply_ends_its_request_too() {
    let (world, program, mut provider) = asked(Bounds::default()).await;
    drop(program);
    assert_eq!(tokio::time::timeout(BOUND, provider.read(&mut [0; 8])).await.unwrap().unwrap_or(0), 0);
    let ended = world.ended().await.remove(0);
    assert!(matches!(ended.outcome, Outcome::Cut { .. }) && ended.status.is_none(), "{ended:?}");
    // The provider may charge for the whole of it.
    let metered = ended.metered.expect("it is not free");
    assert_eq!((metered.model.as_str(), metered.certainty), ("m", Certainty::AtLeast));
}

#[tokio::test]
async fn a_provider_that_gives_no_reply_may_charge_all_the_same() {
    let bounds = Bounds { reply_time_max: Duration::from_millis(200), ..Bounds::default() };
    let (world, mut program, mut late) = asked(bounds).await;
    let mut reply = String::new();
    tokio::time::timeout(BOUND, program.read_to_string(&mut reply)).await.unwrap().unwrap();
    assert_eq!(status(&reply), 504, "{reply}");
    assert!(world.ended().await.remove(0).metered.is_some(), "it may have been answered");
    assert_eq!(late.read(&mut [0; 8]).await.unwrap_or(0), 0);

    let (world, _program, provider) = asked(Bounds::default()).await;
    drop(provider);
    assert!(world.ended().await.remove(0).metered.is_some(), "it may have been read");
}

#[tokio::test]
async fn a_provider_that_is_not_reached_charges_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let world = World::new(routed(Family::Anthropic, &format!("http://127.0.0.1:{port}")));
    let reply = world.ask(post("/model/provider/v1/messages", &format!("x-api-key: {PLACEHOLDER}\r\n"), BODY)).await;
    assert_eq!(status(&reply), 502, "{reply}");
    assert_eq!(world.ended().await.remove(0).metered, None);
}

#[tokio::test]
async fn a_provider_that_breaks_off_is_not_taken_for_one_that_is_done() {
    let (world, mut program, mut provider) = asked(Bounds::default()).await;
    provider.write_all(STREAM).await.unwrap();
    provider.write_all(chunk("event: ping\ndata: {}\n\n").as_bytes()).await.unwrap();
    drop(provider);
    let mut reply = String::new();
    program.read_to_string(&mut reply).await.unwrap();
    assert!(reply.contains("ping") && !reply.ends_with("0\r\n\r\n"), "{reply}");
    assert!(matches!(world.ended().await[0].outcome, Outcome::Cut { .. }));
}

#[tokio::test]
async fn a_provider_that_falls_silent_is_left() {
    let bounds = Bounds { silence_time_max: Duration::from_millis(200), ..Bounds::default() };
    let (world, mut program, mut provider) = asked(bounds).await;
    provider.write_all(STREAM).await.unwrap();
    let mut reply = String::new();
    tokio::time::timeout(BOUND, program.read_to_string(&mut reply)).await.unwrap().unwrap();
    let ended = world.ended().await.remove(0);
    assert!(matches!(&ended.outcome, Outcome::Cut { why } if why.contains("silent")), "{ended:?}");

    let bounds = Bounds { reply_time_max: Duration::from_millis(200), ..Bounds::default() };
    let (_world, mut program, _provider) = asked(bounds).await;
    let reply = read_until(&mut program, "timeout_error").await;
    assert!(reply.starts_with("HTTP/1.1 504"), "{reply}");
}

#[tokio::test]
async fn a_gateway_that_ends_ends_what_is_open() {
    let (world, mut program, _provider) = asked(Bounds::default()).await;
    tokio::time::timeout(BOUND, world.gateway.close()).await.unwrap();
    assert_eq!(program.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(world.ended().await.len(), 1);
}

/// As much as buffers of sockets may take; the reply is far larger.
const IN_FLIGHT_BYTES_MAX: usize = 16 << 20;
const REPLY_BYTES: usize = 96 << 20;

#[tokio::test]
async fn a_program_that_does_not_read_stops_the_host() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(8).unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = Arc::new(AtomicUsize::new(0));
    let mut host = JoinSet::new();
    let counted = sent.clone();
    host.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {REPLY_BYTES}\r\n\r\n").as_bytes()).await.unwrap();
        let piece = vec![b'x'; 64 << 10];
        for _ in 0..REPLY_BYTES / piece.len() {
            stream.write_all(&piece).await.unwrap();
            counted.fetch_add(piece.len(), Ordering::Relaxed);
        }
        stream.shutdown().await.unwrap();
    });
    let world = World::new(only("127.0.0.1", port));
    let mut program = world.connect();
    let request = format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\nConnection: close\r\n\r\n");
    program.write_all(request.as_bytes()).await.unwrap();

    let (mut last, mut same) = (0, 0);
    until(|| {
        let now = sent.load(Ordering::Relaxed);
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
        // Not a byte for a second.
        (same >= 200).then_some(())
    })
    .await;
    assert!(last < IN_FLIGHT_BYTES_MAX, "{last} bytes were sent to a program that reads none");

    let mut read = 0;
    let mut piece = vec![0; 64 << 10];
    loop {
        match tokio::time::timeout(BOUND, program.read(&mut piece)).await.unwrap().unwrap() {
            0 => break,
            count => read += count,
        }
    }
    assert!(read > REPLY_BYTES);
    assert_eq!(world.ended().await[0].down_bytes, REPLY_BYTES as u64);
}
