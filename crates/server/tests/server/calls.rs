//! Calls: what goes in, what comes out, and what happens to those that are too much.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::scripted::{Bench, soon, status};

async fn call(bench: &Bench, body: &Value) -> reqwest::Response {
    Client::new().post(bench.url("/api/call")).bearer_auth(&bench.token).json(body).send().await.unwrap()
}

#[tokio::test]
async fn an_error_has_its_kind_its_hint_and_a_status() {
    let bench = Bench::start().await;
    let answer = call(&bench, &json!({ "call": "show_run", "args": { "run": "12" } })).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    let error: wire::ErrorView = answer.json().await.unwrap();
    assert_eq!(error.code, wire::ErrorCode::NotFound);
    assert_eq!(error.hint, "Look at `berth ls`.");
}

#[tokio::test]
async fn what_is_no_call_is_refused_with_a_reason() {
    let bench = Bench::start().await;
    for body in [json!({ "call": "format_disk", "args": {} }), json!({ "call": "show_run", "args": {} }), json!(7)] {
        let answer = call(&bench, &body).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        let error: wire::ErrorView = answer.json().await.unwrap();
        assert_eq!(error.code, wire::ErrorCode::InvalidArgument);
    }
    assert!(bench.script.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn unknown_calls_and_other_methods_are_answered_in_json() {
    let bench = Bench::start().await;
    let client = Client::new();
    for path in ["/api", "/api/", "/api/nothing", "/api/call/more"] {
        let answer = client.post(bench.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.json::<wire::ErrorView>().await.unwrap().code, wire::ErrorCode::NotFound);
    }
    assert_eq!(client.get(bench.url("/api/call")).send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_task_with_its_files_fits_and_more_does_not() {
    let bench = Bench::start().await;
    let fitting = "x".repeat((32 << 20) - 100);
    let answer = call(&bench, &json!({ "call": "show_task", "args": { "task": fitting } })).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let too_long = "x".repeat(32 << 20);
    let body = json!({ "call": "show_task", "args": { "task": too_long } }).to_string();
    let head = [
        format!("Host: {}", bench.host()),
        format!("Authorization: Bearer {}", bench.token),
        "Content-Type: application/json".to_owned(),
        format!("Content-Length: {}", body.len()),
    ];
    // The whole body is never sent: what it says of its length is enough.
    let request = format!("POST /api/call HTTP/1.1\r\nConnection: close\r\n{}\r\n\r\n", head.join("\r\n"));
    let answer = bench.raw(&request).await;
    assert_eq!(status(&answer), 413);
    assert_eq!(bench.script.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_caller_without_token_cannot_send_much() {
    let bench = Bench::start().await;
    let long = json!({ "code": "x".repeat(2_000) });
    let session = Client::new().post(bench.url("/api/session")).json(&long).send().await.unwrap();
    assert_eq!(session.status(), StatusCode::PAYLOAD_TOO_LARGE);
    // A call is refused by its head; its body is not waited for.
    let request = format!(
        "POST /api/call HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: 1000000\r\n\r\n",
        bench.host()
    );
    assert_eq!(status(&bench.raw(&request).await), 401);
}

#[tokio::test]
async fn an_endless_head_is_cut_off() {
    let bench = Bench::start().await;
    let mut socket = TcpStream::connect(bench.host()).await.unwrap();
    let line = format!("X-Endless: {}\r\n", "x".repeat(1_000));
    socket.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut sent = 0;
    // The server stops reading at its bound and says so, or resets what goes on coming.
    while sent < 10_000 && socket.write_all(line.as_bytes()).await.is_ok() {
        sent += 1;
    }
    assert!(sent < 10_000, "10 MB of head were taken");
}

#[tokio::test]
async fn a_call_is_finished_even_if_its_caller_hangs_up() {
    let bench = Bench::start().await;
    let gate = bench.script.doctor.lock().await;
    let body = r#"{"call":"doctor","args":{}}"#;
    let mut socket = TcpStream::connect(bench.host()).await.unwrap();
    let request = format!(
        "POST /api/call HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        bench.host(),
        bench.token,
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    soon(bench.script.doctor_moved.notified()).await;
    drop(socket);
    // Another whole request shows that the server has had the time to notice.
    call(&bench, &json!({ "call": "hello", "args": {} })).await;
    drop(gate);
    soon(bench.script.doctor_moved.notified()).await;
}

#[tokio::test]
async fn a_shutdown_lets_a_running_call_finish() {
    let bench = Bench::start().await;
    let script = bench.script.clone();
    let gate = script.doctor.lock().await;
    let (url, token) = (bench.url("/api/call"), bench.token.clone());
    let calling = async move {
        let body = json!({ "call": "doctor", "args": {} });
        Client::new().post(url).bearer_auth(token).json(&body).send().await.unwrap().status()
    };
    let stopping = async {
        soon(script.doctor_moved.notified()).await;
        let shutdown = bench.server.shutdown();
        drop(gate);
        shutdown.await;
    };
    let (answered, ()) = tokio::join!(calling, stopping);
    assert_eq!(answered, StatusCode::OK);
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_keep_a_shutdown_waiting() {
    let bench = Bench::start().await;
    let mut idle = TcpStream::connect(bench.host()).await.unwrap();
    call(&bench, &json!({ "call": "hello", "args": {} })).await;
    soon(bench.server.shutdown()).await;
    let mut rest = Vec::new();
    let _ = soon(idle.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
}
