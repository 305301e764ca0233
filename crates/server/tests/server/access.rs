//! Who gets in.

use reqwest::StatusCode;
use serde_json::json;
use server::Announcement;

use crate::scripted::{Bench, status};

const HELLO: &str = r#"{"call":"hello","args":{}}"#;

#[tokio::test]
async fn a_code_is_exchanged_for_the_token_once() {
    let bench = Bench::start().await;
    let client = reqwest::Client::new();
    let body = json!({ "code": bench.code() });
    let first = client.post(bench.url("/api/session")).json(&body).send().await.unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(first.headers()["cache-control"], "no-store");
    assert!(first.headers().get("set-cookie").is_none());
    let token = first.json::<serde_json::Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    assert_eq!(token, bench.token);
    let second = client.post(bench.url("/api/session")).json(&body).send().await.unwrap();
    assert_eq!(second.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn guessing_codes_is_bounded() {
    let bench = Bench::start().await;
    let client = reqwest::Client::new();
    let mut statuses = Vec::new();
    for guess in 0..40 {
        let body = json!({ "code": format!("guess-{guess}") });
        statuses.push(client.post(bench.url("/api/session")).json(&body).send().await.unwrap().status());
    }
    assert_eq!(statuses[..30], [StatusCode::UNAUTHORIZED; 30]);
    assert_eq!(statuses[30..], [StatusCode::TOO_MANY_REQUESTS; 10]);
    // Not even the right one is looked at then.
    let right = client.post(bench.url("/api/session")).json(&json!({ "code": bench.code() })).send().await.unwrap();
    assert_eq!(right.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_call_needs_the_token() {
    let bench = Bench::start().await;
    let client = reqwest::Client::new();
    let call = || client.post(bench.url("/api/call")).header("content-type", "application/json").body(HELLO);
    assert_eq!(call().send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(call().bearer_auth("wrong").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let longer = format!("{}x", bench.token);
    assert_eq!(call().bearer_auth(longer).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(call().basic_auth("berth", Some(&bench.token)).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let in_query = client.post(bench.url(&format!("/api/call?token={}", bench.token)));
    let in_query = in_query.header("content-type", "application/json").body(HELLO).send().await.unwrap();
    assert_eq!(in_query.status(), StatusCode::UNAUTHORIZED);
    let in_cookie = call().header("cookie", format!("token={}", bench.token)).send().await.unwrap();
    assert_eq!(in_cookie.status(), StatusCode::UNAUTHORIZED);
    assert!(bench.script.asked.lock().unwrap().is_empty());
    assert_eq!(call().bearer_auth(&bench.token).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(bench.script.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_link_needs_the_token_and_is_fresh_each_time() {
    let bench = Bench::start().await;
    let client = reqwest::Client::new();
    let ask = || client.post(bench.url("/api/link"));
    assert_eq!(ask().send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let mut links = Vec::new();
    for _ in 0..2 {
        let answer = ask().bearer_auth(&bench.token).send().await.unwrap();
        links.push(answer.json::<wire::session::LinkReply>().await.unwrap());
    }
    assert_ne!(links[0].link, links[1].link);
    assert_eq!(links[0].address, bench.server.address());
    assert!(links[0].link.starts_with(&format!("{}/#code=", bench.server.address())));
}

/// With the token and all: the guard alone turns these away.
#[tokio::test]
async fn a_foreign_page_is_turned_away_whatever_it_knows() {
    let bench = Bench::start().await;
    let host = bench.host();
    let port = host.rsplit_once(':').unwrap().1.to_owned();
    let own = format!("Host: {host}");
    let json = "Content-Type: application/json".to_owned();
    let token = format!("Authorization: Bearer {}", bench.token);
    let attacks = [
        ("DNS rebinding", vec![format!("Host: evil.example:{port}")]),
        (
            "DNS rebinding, Origin alike",
            vec![format!("Host: evil.example:{port}"), format!("Origin: http://evil.example:{port}")],
        ),
        ("foreign Origin", vec![own.clone(), "Origin: https://evil.example".to_owned()]),
        ("opaque Origin", vec![own.clone(), "Origin: null".to_owned()]),
        ("another port's Origin", vec![own.clone(), "Origin: http://127.0.0.1:9".to_owned()]),
        ("cross-site", vec![own.clone(), "Sec-Fetch-Site: cross-site".to_owned()]),
        ("same-site", vec![own.clone(), "Sec-Fetch-Site: same-site".to_owned()]),
        ("two hosts", vec![own.clone(), format!("Host: evil.example:{port}")]),
        ("two origins", vec![own.clone(), format!("Origin: http://{host}"), "Origin: https://evil.example".to_owned()]),
    ];
    for (attack, mut headers) in attacks {
        headers.extend([json.clone(), token.clone()]);
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let status = bench.post("/api/call", &headers, HELLO).await;
        assert!(matches!(status, 400 | 403), "{attack}: {status}");
    }
    assert!(bench.script.asked.lock().unwrap().is_empty());
    let own_page = [own.as_str(), &format!("Origin: http://{host}"), "Sec-Fetch-Site: same-origin", &json, &token];
    assert_eq!(bench.post("/api/call", &own_page, HELLO).await, 200);
}

#[tokio::test]
async fn a_simple_request_of_a_form_is_no_call() {
    let bench = Bench::start().await;
    let own = format!("Host: {}", bench.host());
    let token = format!("Authorization: Bearer {}", bench.token);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let kind = format!("Content-Type: {kind}");
        assert_eq!(bench.post("/api/call", &[&own, &token, &kind], HELLO).await, 415);
        assert_eq!(bench.post("/api/session", &[&own, &kind], r#"{"code":"x"}"#).await, 415);
    }
    assert_eq!(bench.post("/api/call", &[&own, &token], HELLO).await, 415);
    assert!(bench.script.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_preflight_gets_no_permission() {
    let bench = Bench::start().await;
    for origin in ["https://evil.example".to_owned(), bench.server.address(), "tauri://localhost".to_owned()] {
        let request = format!(
            "OPTIONS /api/call HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n\r\n",
            bench.host()
        );
        let answer = bench.raw(&request).await;
        assert!(matches!(status(&answer), 403 | 405), "{answer}");
        assert!(!answer.to_lowercase().contains("access-control-allow"), "{answer}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_protect_a_browser() {
    let bench = Bench::start().await;
    let own = bench.host();
    for (path, host) in [("/", own.as_str()), ("/api/nothing", own.as_str()), ("/", "evil.example")] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = bench.raw(&request).await.to_lowercase();
        for expected in [
            "content-security-policy: default-src 'none'; script-src 'self' 'wasm-unsafe-eval'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-opener-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
            "cache-control: no-",
        ] {
            assert!(answer.contains(expected), "{path} at {host} lacks {expected}: {answer}");
        }
        assert!(!answer.contains("set-cookie"));
        assert!(!answer.contains("access-control-allow"));
    }
}

#[tokio::test]
async fn the_announcement_is_private_and_goes_with_the_server() {
    let bench = Bench::start().await;
    let announcement = Announcement::read(bench.folder.path()).unwrap().unwrap();
    assert_eq!(announcement.address, bench.server.address());
    assert_eq!(announcement.pid, std::process::id());
    let ws = bench.server.address().replace("http", "ws");
    assert_eq!(bench.script.origin.lock().unwrap().as_deref(), Some(ws.as_str()));
    let host = bench.host();
    bench.server.shutdown().await;
    assert!(Announcement::read(bench.folder.path()).unwrap().is_none());
    assert!(tokio::net::TcpStream::connect(host).await.is_err());
}
