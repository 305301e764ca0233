//! CONNECT.

use std::time::Duration;

use gateway::policy::{Policy, Reach};
use gateway::{Bounds, Family, Outcome, Rules};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpListener;

use crate::hosts::Host;
use crate::secure::Authority;
use crate::world::{BOUND, World, grant, here, only, routed, status};

const OPENED: &str = "HTTP/1.1 200 OK\r\n";

/// Reads the head of a reply and nothing beyond it.
pub(crate) async fn head(program: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::time::timeout(BOUND, program.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn connected(world: &World, host: &str, port: u16) -> DuplexStream {
    let mut program = world.connect();
    program
        .write_all(format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let head = head(&mut program).await;
    assert!(head.starts_with(OPENED), "{head}");
    program
}

#[tokio::test]
async fn a_granted_port_passes_bytes_whoever_speaks_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::new(only("127.0.0.1", port));
    let mut program = connected(&world, "127.0.0.1", port).await;
    let (mut host, _) = listener.accept().await.unwrap();
    host.write_all(b"220 hello").await.unwrap();
    let mut greeting = [0; 9];
    program.read_exact(&mut greeting).await.unwrap();
    program.write_all(b"QUIT").await.unwrap();
    // One side may end before the other has said everything.
    program.shutdown().await.unwrap();
    let mut said = String::new();
    tokio::time::timeout(BOUND, host.read_to_string(&mut said)).await.unwrap().unwrap();
    host.write_all(b"bye").await.unwrap();
    drop(host);
    let mut rest = String::new();
    tokio::time::timeout(BOUND, program.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert_eq!((&greeting, said.as_str(), rest.as_str()), (b"220 hello", "QUIT", "bye"));
    let ended = world.ended().await.remove(0);
    assert_eq!((ended.up_bytes, ended.down_bytes, ended.outcome), (4, 12, Outcome::Whole));
}

#[tokio::test]
async fn a_host_may_end_before_the_program_does() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::new(only("127.0.0.1", port));
    let mut program = connected(&world, "127.0.0.1", port).await;
    let (mut host, _) = listener.accept().await.unwrap();
    host.shutdown().await.unwrap();
    assert_eq!(tokio::time::timeout(BOUND, program.read(&mut [0; 8])).await.expect("the end is passed on").unwrap(), 0);
    program.write_all(b"still here").await.unwrap();
    program.shutdown().await.unwrap();
    let mut said = String::new();
    tokio::time::timeout(BOUND, host.read_to_string(&mut said)).await.unwrap().unwrap();
    assert_eq!(said, "still here");
    assert_eq!(world.ended().await[0].outcome, Outcome::Whole);
}

#[tokio::test]
async fn mail_and_shells_are_refused() {
    let world = World::new(Rules { policy: Policy::Open(Vec::new()), routes: Vec::new(), inspected: Vec::new() });
    for port in [22, 25, 0, 8080] {
        let reply = world.ask(format!("CONNECT anything.test:{port} HTTP/1.1\r\n\r\n")).await;
        assert!(status(&reply) == 403 && reply.contains(&format!("port {port} of")), "{reply}");
    }
    for target in ["anything.test", "anything.test:", "a@b.test:443", "anything.test:99999", "/"] {
        let reply = world.ask(format!("CONNECT {target} HTTP/1.1\r\n\r\n")).await;
        assert_eq!(status(&reply), 400, "{target}: {reply}");
    }
    assert!(world.names.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_host_with_a_route_is_reached_by_the_route_only() {
    let host = Host::new("").await;
    let mut rules = routed(Family::Anthropic, "https://api.model.test");
    rules.policy = Policy::Open(vec![grant("127.0.0.1", host.port, Reach::Private)]);
    let world = World::new(rules);
    for request in [
        "CONNECT api.model.test:443 HTTP/1.1",
        "CONNECT API.Model.test.:443 HTTP/1.1",
        "GET http://api.model.test/v1/messages HTTP/1.1",
    ] {
        let reply = world.ask(format!("{request}\r\nConnection: close\r\n\r\n")).await;
        assert!(status(&reply) == 403 && reply.contains("base URL"), "{request}: {reply}");
    }
}

#[tokio::test]
async fn tls_for_the_host_that_was_asked_for_passes() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::with(only("web.test", port), Bounds::default(), &[("web.test", &[here()])], Vec::new());
    let program = connected(&world, "WEB.test", port).await;
    let serving = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = authority.acceptor("web.test", &[]).accept(stream).await.unwrap();
        let mut said = [0; 4];
        stream.read_exact(&mut said).await.unwrap();
        stream.write_all(&said).await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let asking = async {
        let mut stream = authority.connector().connect("web.test".try_into().unwrap(), program).await.unwrap();
        stream.write_all(b"echo").await.unwrap();
        let mut echo = String::new();
        stream.read_to_string(&mut echo).await.unwrap();
        echo
    };
    let both = async { tokio::join!(serving, asking) };
    let ((), echo) = tokio::time::timeout(BOUND, both).await.unwrap();
    assert_eq!(echo, "echo");
    assert_eq!(world.ended().await[0].outcome, Outcome::Whole);
}

#[tokio::test]
async fn tls_for_another_host_is_closed_before_the_host_sees_any_of_it() {
    let authority = Authority::new();
    for (asked, named, reason) in [
        ("web.test", Some("evil.test"), "opens TLS for `evil.test`"),
        ("web.test", None, "without a server name"),
        ("127.0.0.1", Some("web.test"), "opens TLS for `web.test`"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let world = World::with(only(asked, port), Bounds::default(), &[("web.test", &[here()])], Vec::new());
        let program = connected(&world, asked, port).await;
        let name = named.unwrap_or("10.0.0.1").try_into().unwrap();
        let connecting = authority.connector().connect(name, program);
        assert!(tokio::time::timeout(BOUND, connecting).await.expect("the tunnel is closed").is_err());
        let ended = world.ended().await.remove(0);
        let Outcome::Refused { why } = &ended.outcome else { panic!("{ended:?}") };
        assert!(why.contains(reason), "{why}");
        assert_eq!(ended.up_bytes, 0);
        let (mut host, _) = listener.accept().await.unwrap();
        assert_eq!(host.read(&mut [0; 8]).await.unwrap_or(0), 0);
    }
}

#[tokio::test]
async fn what_begins_like_tls_must_go_on_like_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let bounds = Bounds { hello_time_max: Duration::from_millis(200), ..Bounds::default() };
    let world = World::with(only("127.0.0.1", port), bounds, &[], Vec::new());
    for (opening, reason) in [(&b"\x16nonsense"[..], "cannot be read"), (b"\x16\x03\x01\x02\x00", "in time")] {
        let mut program = connected(&world, "127.0.0.1", port).await;
        program.write_all(opening).await.unwrap();
        assert_eq!(tokio::time::timeout(BOUND, program.read(&mut [0; 8])).await.unwrap().unwrap(), 0);
        let ended = world.ended().await.pop().unwrap();
        assert!(matches!(&ended.outcome, Outcome::Refused { why } if why.contains(reason)), "{ended:?}");
    }
}

#[tokio::test]
async fn a_tunnel_that_nobody_uses_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let bounds = Bounds { idle_time_max: Duration::from_millis(200), ..Bounds::default() };
    let world = World::with(only("127.0.0.1", port), bounds, &[], Vec::new());
    let mut program = connected(&world, "127.0.0.1", port).await;
    assert_eq!(tokio::time::timeout(BOUND, program.read(&mut [0; 8])).await.unwrap().unwrap(), 0);
    assert!(matches!(world.ended().await[0].outcome, Outcome::Cut { .. }));
}
