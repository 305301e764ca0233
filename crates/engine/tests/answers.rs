//! What becomes of odd answers: engines that are too old, silent, gone, or talk nonsense.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed check is a panic")]

use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use engine::docker::DockerEngine;
use engine::find::{Endpoint, Found, Source};
use engine::{ApiVersion, EngineError, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

struct OddEngine {
    folder: camino_tempfile::Utf8TempDir,
    path: Utf8PathBuf,
    listener: UnixListener,
}

impl OddEngine {
    fn new() -> Self {
        let folder = camino_tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        Self { folder, path, listener }
    }

    fn found(&self) -> Found {
        Found { endpoint: Endpoint::Unix(self.path.clone()), source: Source::Setting }
    }

    /// Answers every request alike, for ever.
    async fn answer(&self, status: u16, body: &str) -> ! {
        loop {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} Odd\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
        }
    }

    /// How connecting ends while it answers so.
    async fn refused(&self, status: u16, body: &str) -> EngineError {
        tokio::select! {
            outcome = DockerEngine::connect(self.found()) => outcome.err().expect("connecting should fail"),
            _ = self.answer(status, body) => unreachable!(),
        }
    }
}

#[tokio::test]
async fn an_engine_before_1_41_is_too_old_and_the_words_say_so() {
    let odd = OddEngine::new();
    let error = odd.refused(200, r#"{"Version":"19.03.15","ApiVersion":"1.40","MinAPIVersion":"1.12"}"#).await;
    let version = |minor| ApiVersion { major: 1, minor };
    assert_eq!(error.kind(), ErrorKind::TooOld { found: version(40), needed: version(41) });
    let text = error.to_string();
    assert!(text.contains("19.03.15") && text.contains("1.40") && text.contains("update the engine"), "{text}");
}

#[tokio::test]
async fn a_newer_engine_is_spoken_to_in_our_newest_version() {
    let odd = OddEngine::new();
    let engine = tokio::select! {
        outcome = DockerEngine::connect(odd.found()) => outcome.map_err(|error| error.to_string()),
        _ = odd.answer(200, r#"{"Version":"99.0","ApiVersion":"1.99","MinAPIVersion":"1.44"}"#) => unreachable!(),
    };
    assert_eq!(engine.map(|engine| engine.found().clone()), Ok(odd.found()));
}

#[tokio::test]
async fn nonsense_is_broken_and_an_overload_passes() {
    let odd = OddEngine::new();
    assert_eq!(odd.refused(200, "not json").await.kind(), ErrorKind::Broken);
    assert_eq!(odd.refused(200, r#"{"Version":"1"}"#).await.kind(), ErrorKind::Broken);
    assert_eq!(odd.refused(503, r#"{"message":"starting"}"#).await.kind(), ErrorKind::Transient);
}

#[tokio::test]
async fn a_dead_socket_is_passed_over_and_the_next_candidate_taken() {
    let odd = OddEngine::new();
    let dead = {
        let gone = OddEngine::new();
        let found = gone.found();
        drop(gone.listener);
        (found, gone.folder)
    };
    let missing = Found { endpoint: Endpoint::Unix("/no/such.sock".into()), source: Source::KnownSocket("Docker") };
    for nothing in [&dead.0, &missing] {
        let error = DockerEngine::connect(nothing.clone()).await.err().expect("nothing listens");
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    }
    let candidates = vec![missing, dead.0.clone(), odd.found()];
    let engine = tokio::select! {
        outcome = DockerEngine::connect_first(&candidates) => outcome.map_err(|error| error.to_string()),
        _ = odd.answer(200, r#"{"Version":"20.10.24","ApiVersion":"1.41"}"#) => unreachable!(),
    };
    assert_eq!(engine.map(|engine| engine.found().clone()), Ok(odd.found()));
}

#[tokio::test]
async fn an_engine_that_never_answers_is_given_up_soon() {
    let odd = OddEngine::new();
    let started = Instant::now();
    let error = DockerEngine::connect(odd.found()).await.err().expect("it never answers");
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
