//! Programs inside that break the rules of HTTP, or wear the gateway down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use gateway::{Bounds, Family};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::hosts::{Host, read_request};
use crate::world::{BOUND, KEY, PLACEHOLDER, World, only, post, routed, status};

const REPLY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn malformed_requests_go_no_further() {
    let host = Host::new(REPLY).await;
    let world = World::new(only("127.0.0.1", host.port));
    let to = format!("http://127.0.0.1:{}/", host.port);
    for (what, request) in [
        ("a folded field", format!("GET {to} HTTP/1.1\r\nX-A: b\r\n c\r\n\r\n")),
        ("a space before the colon", format!("POST {to} HTTP/1.1\r\nContent-Length : 5\r\n\r\nhello")),
        ("lengths that differ", format!("POST {to} HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")),
        ("a list of lengths", format!("POST {to} HTTP/1.1\r\nContent-Length: 5, 6\r\n\r\nhello!")),
        ("a signed length", format!("POST {to} HTTP/1.1\r\nContent-Length: +5\r\n\r\nhello")),
        ("another coding last", format!("POST {to} HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n")),
        ("another coding first", format!("POST {to} HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")),
        (
            "chunked twice",
            format!("POST {to} HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        ("a coding that looks like one", format!("POST {to} HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")),
        ("a coding in HTTP/1.0", format!("POST {to} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("two hosts", format!("GET {to} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")),
        ("a NUL in a field", format!("GET {to} HTTP/1.1\r\nX-A: b\0c\r\n\r\n")),
        ("a bare CR in a field", format!("GET {to} HTTP/1.1\r\nX-A: b\rX-B: c\r\n\r\n")),
        ("a space in the target", format!("GET {to}a b HTTP/1.1\r\n\r\n")),
        ("another version", format!("GET {to} HTTP/3.7\r\n\r\n")),
        ("a body of CONNECT", format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd", host.port)),
        ("TLS", "\x16\x03\x01\x02\x00\r\n\r\n".to_owned()),
    ] {
        let reply = world.ask(&request).await;
        assert_eq!(status(&reply), 400, "{what}: {reply}");
    }
    // HTTP/2, unasked.
    assert_eq!(world.ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, "");
    let long = format!("GET {to} HTTP/1.1\r\nX-A: {}\r\n\r\n", "a".repeat(70 << 10));
    let many = format!("GET {to} HTTP/1.1\r\n{}\r\n", "X-A: b\r\n".repeat(200));
    for request in [long, many] {
        let mut program = world.connect();
        // It may be closed before all of it is sent.
        let _ = program.write_all(request.as_bytes()).await;
        let mut reply = String::new();
        let _ = tokio::time::timeout(BOUND, program.read_to_string(&mut reply)).await.unwrap();
        assert_eq!(status(&reply), 431, "{reply}");
    }
    assert!(world.begun().is_empty());
    assert_eq!(host.seen_so_far(), 0);
}

#[tokio::test]
async fn a_request_with_two_framings_is_one_request_with_one() {
    let body = "5\r\nhello\r\n0\r\n\r\nGET http://smuggled.test/ HTTP/1.1\r\n\r\n";
    for fields in
        ["Content-Length: 60\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 3"]
    {
        let host = Host::new(REPLY).await;
        let world = World::new(only("127.0.0.1", host.port));
        let reply = world.ask(format!("POST http://127.0.0.1:{}/ HTTP/1.1\r\n{fields}\r\n\r\n{body}", host.port)).await;
        assert_eq!(status(&reply), 200, "{reply}");
        let seen = host.seen(1).await.remove(0);
        assert!(seen.contains("transfer-encoding: chunked") && !seen.contains("content-length"), "{seen}");
        assert!(seen.ends_with("5\r\nhello\r\n0\r\n\r\n"), "{seen}");
        // What follows is not read: the connection is closed.
        assert!(reply.ends_with("ok") && world.refused().is_empty() && world.names.asked.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_chunk_that_lies_is_cut_off() {
    let host = Host::new(REPLY).await;
    let world = World::new(routed(Family::Anthropic, &host.base()));
    for chunks in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
    ] {
        let request = format!(
            "POST /model/provider/v1/messages HTTP/1.1\r\nHost: localhost\r\nx-api-key: {PLACEHOLDER}\r\nTransfer-Encoding: \
             chunked\r\n\r\n{chunks}"
        );
        let reply = world.ask(request).await;
        assert!(reply.is_empty() || status(&reply) == 400, "{chunks:?}: {reply}");
    }
    assert!(world.begun().is_empty());
    assert_eq!(host.seen_so_far(), 0);
}

#[tokio::test]
async fn no_field_is_put_in_by_a_program() {
    let host = Host::new(REPLY).await;
    let world = World::new(routed(Family::Anthropic, &host.base()));
    for path in ["v1/models/a%0d%0aX-Evil:%201", "v1/models?limit=1%0d%0aX-Evil:1&x=%0d%0a"] {
        let request = format!(
            "GET /model/provider/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nx-api-key: {PLACEHOLDER}\r\n\r\n"
        );
        assert_eq!(status(&world.ask(request).await), 403, "{path}");
    }
    // The key's own header cannot be named as one of this hop, so that it goes missing, nor the host.
    let request = post(
        "/model/provider/v1/messages",
        &format!("x-api-key: {PLACEHOLDER}\r\nConnection: x-api-key, host, content-length, accept-encoding\r\n"),
        r#"{"model":"m","max_tokens":1,"messages":[]}"#,
    );
    assert_eq!(status(&world.ask(request).await), 200);
    let seen = host.seen(1).await.remove(0);
    for field in [&format!("x-api-key: {KEY}"), "host: 127.0.0.1", "content-length: ", "accept-encoding: identity"] {
        assert!(seen.contains(field), "{seen}");
    }
}

#[tokio::test]
async fn a_request_that_drips_is_left() {
    let host = Host::new(REPLY).await;
    let short = Duration::from_millis(300);
    let bounds = Bounds { head_time_max: short, body_time_max: short, ..Bounds::default() };
    let world = World::with(routed(Family::Anthropic, &host.base()), bounds, &[], Vec::new());
    let head = format!(
        "POST /model/provider/v1/messages HTTP/1.1\r\nHost: localhost\r\nx-api-key: {PLACEHOLDER}\r\ncontent-length: 1000\r\n\r\n"
    );
    for (begun, code) in [("GET http://a.test/ HTTP/1.1\r\nX-A", None), ("", None), (head.as_str(), Some(408))] {
        let (mut read, mut write) = tokio::io::split(world.connect());
        write.write_all(begun.as_bytes()).await.unwrap();
        let dripping = async {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if begun.is_empty() || write.write_all(b"a").await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let mut reply = String::new();
        let since = Instant::now();
        tokio::select! {
            () = dripping => {}
            _ended = read.read_to_string(&mut reply) => {}
            () = tokio::time::sleep(BOUND) => panic!("it is still waited for"),
        }
        assert!(since.elapsed() >= short / 2);
        assert_eq!(code, (!reply.is_empty()).then(|| status(&reply)), "{reply}");
    }
    assert_eq!(host.seen_so_far(), 0);
}

const AT_ONCE: usize = 1_000;
const OPEN_MAX: usize = 64;

#[tokio::test]
async fn of_a_thousand_at_once_a_bounded_number_is_served_and_the_rest_hears_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let go = Arc::new(Semaphore::new(0));
    let mut host = JoinSet::new();
    let gate = go.clone();
    host.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let gate = gate.clone();
            connections.spawn(async move {
                read_request(&mut stream).await;
                let _open = gate.acquire().await.unwrap();
                stream.write_all(REPLY.as_bytes()).await.unwrap();
            });
        }
    });
    let bounds = Bounds { open_requests_max: OPEN_MAX, ..Bounds::default() };
    let world = World::with(only("127.0.0.1", port), bounds, &[], Vec::new());
    let request = format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\nConnection: close\r\n\r\n");
    let asking = join_all((0..AT_ONCE).map(|_| world.ask(&request)));
    let releasing = async {
        // Nobody is answered by the host before all the others were told.
        crate::world::until(|| (world.refused().len() == AT_ONCE - OPEN_MAX).then_some(())).await;
        go.add_permits(OPEN_MAX);
    };
    let (replies, ()) = tokio::join!(asking, releasing);
    let served = replies.iter().filter(|reply| status(reply) == 200).count();
    let refused = replies.iter().filter(|reply| status(reply) == 503 && reply.contains("too many")).count();
    assert_eq!((served, refused), (OPEN_MAX, AT_ONCE - OPEN_MAX));
    assert_eq!(world.ended().await.len(), OPEN_MAX);
    // And then there is room again.
    go.add_permits(1);
    assert_eq!(status(&world.ask(&request).await), 200);
}
