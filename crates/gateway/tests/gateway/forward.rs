//! Plain HTTP through the proxy.

use std::sync::Arc;

use gateway::policy::{Policy, Reach};
use gateway::{Bounds, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::hosts::Host;
use crate::world::{World, grant, here, only, status, until};

const HELLO: &str =
    "HTTP/1.1 200 OK\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nX-End: 1\r\nContent-Length: 5\r\n\r\nhello";

#[tokio::test]
async fn a_request_goes_on_without_what_is_of_one_hop() {
    let host = Host::new(HELLO).await;
    let world = World::with(only("web.test", host.port), Bounds::default(), &[("web.test", &[here()])], Vec::new());
    let reply = world
        .ask(format!(
            "PUT http://WEB.test:{}/a/b?q=hidden HTTP/1.1\r\nHost: elsewhere.test\r\nConnection: close, x-mine\r\nX-Mine: 1\r\n\
             Proxy-Authorization: Basic eA==\r\nTE: trailers\r\nKeep-Alive: 5\r\nX-Kept: 1\r\nContent-Length: 3\r\n\r\nabc",
            host.port
        ))
        .await;
    assert_eq!(status(&reply), 200, "{reply}");
    assert!(reply.ends_with("hello") && reply.contains("x-end: 1") && !reply.contains("x-hop"), "{reply}");

    let seen = host.seen(1).await.remove(0);
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("PUT /a/b?q=hidden HTTP/1.1\r\n"), "{head}");
    let mut fields: Vec<&str> = head.lines().skip(1).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["content-length: 3", &format!("host: web.test:{}", host.port), "x-kept: 1"]);
    assert_eq!(body, "abc");

    let ended = world.ended().await.remove(0);
    assert_eq!((ended.status, ended.up_bytes, ended.down_bytes), (Some(200), 3, 5));
    assert_eq!(ended.outcome, Outcome::Whole);
    let begun = world.begun().remove(0);
    assert_eq!((begun.host.as_str(), begun.path.as_str(), begun.method.as_str()), ("web.test", "/a/b", "PUT"));
    assert!(!format!("{begun:?}").contains("hidden"));
}

#[tokio::test]
async fn a_reply_without_a_body_is_whole() {
    let host = Host::new("HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n").await;
    let world = World::new(only("127.0.0.1", host.port));
    let reply = world.ask(format!("HEAD http://127.0.0.1:{}/ HTTP/1.1\r\nConnection: close\r\n\r\n", host.port)).await;
    assert!(reply.contains("content-length: 700"), "{reply}");
    assert_eq!(world.ended().await[0].outcome, Outcome::Whole);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let host = Host::new("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n").await;
    let world = World::new(only("127.0.0.1", host.port));
    let reply = world.ask(format!("GET http://127.0.0.1:{}/ HTTP/1.1\r\nConnection: close\r\n\r\n", host.port)).await;
    assert!(status(&reply) == 302 && reply.contains("location: http://169.254.169.254/"), "{reply}");
    assert_eq!(world.ended().await.len(), 1);
    // The client that follows it asks again.
    assert_eq!(status(&world.ask("GET http://169.254.169.254/ HTTP/1.1\r\nConnection: close\r\n\r\n").await), 403);
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_with_the_reason() {
    let world = World::with(only("web.test", 80), Bounds::default(), &[], Vec::new());
    for (request, code, reason) in [
        ("GET http://other.test/ HTTP/1.1", 403, "`other.test` is not on this agent's list"),
        ("GET http://web.test:22/ HTTP/1.1", 403, "port 22 of `web.test` is not on this agent's list"),
        ("GET http://web.test@evil.test/ HTTP/1.1", 400, "no user"),
        ("GET https://web.test/ HTTP/1.1", 400, "CONNECT"),
        ("GET ftp://web.test/ HTTP/1.1", 400, "only http"),
        ("GET http://127.1/ HTTP/1.1", 403, "`127.0.0.1` is not on"),
        ("GET / HTTP/1.1\r\nHost: web.test", 404, "this is Berth's gateway"),
        ("GET /model/none/v1/models HTTP/1.1\r\nHost: localhost", 404, "no model route"),
        ("GET http://web.test/ HTTP/1.1", 502, "does not resolve"),
    ] {
        let reply = world.ask(format!("{request}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(status(&reply), code, "{request}: {reply}");
        assert!(reply.contains(reason) && reply.contains("x-berth-refused: "), "{request}: {reply}");
        assert!(world.refused().last().unwrap().contains(reason), "{request}");
    }
    assert!(world.begun().is_empty());
    // No name was asked for before it was judged.
    assert_eq!(*world.names.asked.lock().unwrap(), ["web.test"]);
}

#[tokio::test]
async fn a_name_is_resolved_once_and_reached_there() {
    let host = Host::new(HELLO).await;
    let rules = only("web.test", host.port);
    let answers: &[(&str, &[std::net::IpAddr])] =
        &[("web.test", &[here()]), ("web.test", &["169.254.169.254".parse().unwrap()])];
    let world = World::with(rules, Bounds::default(), answers, Vec::new());
    let request = format!("GET http://web.test:{}/ HTTP/1.1\r\nConnection: close\r\n\r\n", host.port);
    assert_eq!(status(&world.ask(&request).await), 200);
    assert_eq!(world.names.asked.lock().unwrap().len(), 1);
    let second = world.ask(&request).await;
    assert!(status(&second) == 403 && second.contains("link-local"), "{second}");
    assert_eq!(host.seen(1).await.len(), 1);
}

#[tokio::test]
async fn a_public_name_that_points_inwards_is_refused() {
    let host = Host::new(HELLO).await;
    let mut rules = only("web.test", host.port);
    rules.policy = Policy::Allowlist(vec![grant("web.test", host.port, Reach::Public)]);
    let world = World::with(rules, Bounds::default(), &[("web.test", &[here()])], Vec::new());
    for request in [
        format!("GET http://web.test:{}/ HTTP/1.1\r\nConnection: close\r\n\r\n", host.port),
        format!("CONNECT web.test:{} HTTP/1.1\r\n\r\n", host.port),
    ] {
        let reply = world.ask(request).await;
        assert!(status(&reply) == 403 && reply.contains("this machine itself"), "{reply}");
    }
    assert_eq!(host.seen_so_far(), 0);
}

#[tokio::test]
async fn a_change_of_rules_reaches_the_next_request_of_a_connection() {
    let host = Host::new(HELLO).await;
    let world = World::new(only("127.0.0.1", host.port));
    let request = format!("GET http://127.0.0.1:{}/ HTTP/1.1\r\n\r\n", host.port);
    let mut program = world.connect();
    program.write_all(request.as_bytes()).await.unwrap();
    let mut reply = vec![0; 4096];
    let mut length = 0;
    while !reply[..length].ends_with(b"hello") {
        length += program.read(&mut reply[length..]).await.unwrap();
    }
    let closed = gateway::Rules { policy: Policy::Closed, routes: Vec::new(), inspected: Vec::new() };
    world.rules.send_replace(Arc::new(closed));
    program.write_all(request.as_bytes()).await.unwrap();
    let mut second = String::new();
    program.read_to_string(&mut second).await.unwrap();
    assert!(status(&second) == 403 && second.contains("reaches no host"), "{second}");
}

#[tokio::test]
async fn a_host_that_is_not_there_is_said_to_be_so() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let world = World::new(only("127.0.0.1", port));
    let reply = world.ask(format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\nConnection: close\r\n\r\n")).await;
    assert!(status(&reply) == 502 && reply.contains("cannot be connected to"), "{reply}");
    let ended = until(|| world.books.written.lock().unwrap().ended.pop()).await;
    assert!(matches!(ended.1.outcome, Outcome::Cut { .. }));
}
