//! Fetching from a registry that wants to know who asks: a small one of the test's own, which the real engine talks to.
//!
//! Engines speak plain HTTP with registries on loopback (Docker Engine's default for 127.0.0.0/8).
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camino::{Utf8Path, Utf8PathBuf};
use engine::contract::{Tar, unique};
use engine::docker::DockerEngine;
use engine::find::{Environment, RealFiles, find};
use engine::{Engine as _, EngineError, ImageRef};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// It has letters of which base64 makes what the alphabets write differently.
const PASSWORD: &str = "p>>?~:ass>>>???~~~ä";

/// What it has, and who may have it (OCI Distribution Specification 1.1; Docker Image Manifest V2, Schema 2).
struct Registry {
    address: String,
    /// The heads that asked for something, without what they brought.
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

struct Content {
    manifest: Bytes,
    config: Bytes,
    layer: Bytes,
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

impl Content {
    fn new() -> Self {
        let layer = Tar::default().file("hello", 0o644, 0, unique("hello").as_bytes()).finish();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        });
        let config = Bytes::from(config.to_string());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(), "digest": digest(&config),
            },
            "layers": [{
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": layer.len(), "digest": digest(&layer),
            }],
        });
        Self { manifest: Bytes::from(manifest.to_string()), config, layer }
    }
}

const MANIFEST_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";

impl Registry {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let content = Arc::new(Content::new());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut serving = JoinSet::new();
        let notes = asked.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (content, notes) = (content.clone(), notes.clone());
                connections.spawn(async move {
                    let service = hyper::service::service_fn(|request: Request<Incoming>| {
                        notes.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
                        let answer = answer(&content, &request);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    // The engine tries TLS first, which this does not speak.
                    let _ended = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, asked, _serving: serving }
    }

    fn image(&self) -> ImageRef {
        ImageRef::parse(format!("{}/private/hello:1", self.address)).unwrap()
    }
}

fn answer(content: &Content, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let known = format!("Basic {}", STANDARD.encode(format!("ada:{PASSWORD}")));
    let is_known = request.headers().get(AUTHORIZATION).is_some_and(|value| value.as_bytes() == known.as_bytes());
    if !is_known {
        return Response::builder()
            .status(StatusCode::UNAUTHORIZED)
            .header(WWW_AUTHENTICATE, "Basic realm=\"berth\"")
            .body(Full::from(r#"{"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]}"#))
            .unwrap();
    }
    let path = request.uri().path();
    let found = match path.rsplit('/').next().unwrap_or_default() {
        "" => Some(("application/json", Bytes::from("{}"))),
        "1" => Some((MANIFEST_TYPE, content.manifest.clone())),
        name if name == digest(&content.manifest) => Some((MANIFEST_TYPE, content.manifest.clone())),
        name if name == digest(&content.config) => Some(("application/octet-stream", content.config.clone())),
        name if name == digest(&content.layer) => Some(("application/octet-stream", content.layer.clone())),
        _ => None,
    };
    match found {
        Some((kind, bytes)) => Response::builder()
            .header(CONTENT_TYPE, kind)
            .header("Docker-Content-Digest", digest(&bytes))
            .body(Full::from(bytes))
            .unwrap(),
        None => Response::builder().status(StatusCode::NOT_FOUND).body(Full::default()).unwrap(),
    }
}

/// The engine of this machine, with docker's configuration as a person would have it.
async fn engine_with(config: &str, folder: &Utf8Path) -> DockerEngine {
    std::fs::write(folder.join("config.json"), config).unwrap();
    let candidates = find(&Environment::of_this_process(None), &RealFiles).unwrap();
    DockerEngine::connect_first(&candidates).await.unwrap().with_docker_config(folder.to_owned())
}

async fn pull(engine: &DockerEngine, image: &ImageRef) -> Result<(), EngineError> {
    let (progress, mut told) = tokio::sync::mpsc::channel(64);
    let (pulled, ()) = tokio::join!(engine.pull(image, progress), async { while told.recv().await.is_some() {} });
    pulled
}

#[tokio::test]
async fn an_image_is_fetched_with_what_docker_login_left() {
    let registry = Registry::start().await;
    let folder = camino_tempfile::tempdir().unwrap();
    let image = registry.image();
    let nobody = engine_with("{}", folder.path()).await;
    let refused = pull(&nobody, &image).await.unwrap_err();
    assert!(nobody.image(&image).await.unwrap().is_none(), "{refused}");

    let auth = STANDARD.encode(format!("ada:{PASSWORD}"));
    let config = json!({ "auths": { &registry.address: { "auth": auth } } }).to_string();
    let ada = engine_with(&config, folder.path()).await;
    pull(&ada, &image).await.unwrap();
    let found = ada.image(&image).await.unwrap();
    ada.remove_image(&image).await.unwrap();
    assert!(found.is_some());
    let asked = registry.asked.lock().unwrap().clone();
    assert!(asked.iter().any(|asked| asked.contains("/blobs/")), "{asked:?}");

    let wrong = STANDARD.encode("ada:hunter2");
    let config = json!({ "auths": { &registry.address: { "auth": wrong } } }).to_string();
    let error = pull(&engine_with(&config, folder.path()).await, &image).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

/// Programs are looked for in this process's `PATH`, so this runs in a process of its own ([`child_with_a_helper`]).
#[test]
fn a_helper_is_asked_and_one_that_fails_is_named() {
    let folder = camino_tempfile::tempdir().unwrap();
    for (name, script) in [
        (
            "works",
            format!(
                "#!/bin/sh\nread server\nprintf '{{\"ServerURL\":\"%s\",\"Username\":\"ada\",\"Secret\":\"{PASSWORD}\"}}' \"$server\"\n"
            ),
        ),
        ("fails", "#!/bin/sh\nread server\necho 'the keyring is locked' >&2\nexit 1\n".to_owned()),
        ("nothing", "#!/bin/sh\nread server\necho 'credentials not found in native keychain'\nexit 1\n".to_owned()),
    ] {
        let path = folder.path().join(format!("docker-credential-{name}"));
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", folder.path(), std::env::var("PATH").unwrap_or_default());
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_with_a_helper", "--nocapture"])
        .env("PATH", path)
        .env("BERTH_TEST_CHILD", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("helpers were asked"), "{said}");
}

#[tokio::test]
async fn child_with_a_helper() {
    let Some(folder) = std::env::var("BERTH_TEST_CHILD").ok().map(Utf8PathBuf::from) else { return };
    let registry = Registry::start().await;
    let image = registry.image();
    for (helper, named) in [("fails", "the keyring is locked"), ("missing", "cannot be run"), ("nothing", "")] {
        let config = json!({ "credsStore": helper }).to_string();
        let error = pull(&engine_with(&config, &folder).await, &image).await.unwrap_err();
        assert!(error.to_string().contains(named), "{helper}: {error}");
        assert_eq!(error.to_string().contains("helper"), helper != "nothing", "{helper}: {error}");
    }
    let config = json!({ "credHelpers": { &registry.address: "works" }, "credsStore": "fails" }).to_string();
    let ada = engine_with(&config, &folder).await;
    pull(&ada, &image).await.unwrap();
    ada.remove_image(&image).await.unwrap();
    println!("helpers were asked");
}
