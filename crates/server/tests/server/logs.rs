//! What opens something is never in a log, at any level, of any crate on the way.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;
use wire::stream::StreamTarget;

use crate::scripted::Bench;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'writer> MakeWriter<'writer> for Captured {
    type Writer = Self;

    fn make_writer(&'writer self) -> Self {
        self.clone()
    }
}

/// One thread, so that the subscriber of this test hears the server's tasks too.
#[tokio::test]
async fn no_code_token_or_ticket_is_logged() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(captured.clone())
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let bench = Bench::start().await;
    let code = bench.code();
    // The client is raw: what a client of the test's own logs is not what is asked here.
    let host = format!("Host: {}", bench.host());
    let kind = "Content-Type: application/json";
    let body = json!({ "code": code }).to_string();
    assert_eq!(bench.post("/api/session", &[&host, kind], &body).await, 200);
    assert_eq!(bench.post("/api/session", &[&host, kind], &body).await, 401);
    let bearer = format!("Authorization: Bearer {}", bench.token);
    assert_eq!(bench.post("/api/call", &[&host, kind, &bearer], r#"{"call":"hello","args":{}}"#).await, 200);
    bench.ticket("ticket-to-be-kept-secret", StreamTarget::Updates);
    for origin in ["https://evil.example".to_owned(), bench.server.address()] {
        let request = format!(
            "GET /api/stream?ticket=ticket-to-be-kept-secret HTTP/1.1\r\n{host}\r\nOrigin: {origin}\r\n\
             Connection: close\r\n\r\n"
        );
        bench.raw(&request).await;
    }
    let token = bench.token.clone();
    bench.server.shutdown().await;

    let log = String::from_utf8_lossy(&captured.0.lock().unwrap()).into_owned();
    assert!(log.contains("serving"), "the log was captured: {log}");
    assert!(log.contains("request turned away"), "the log was captured: {log}");
    for secret in [code.as_str(), token.as_str(), "ticket-to-be-kept-secret"] {
        assert!(!log.contains(secret), "{secret} in: {log}");
    }
}
