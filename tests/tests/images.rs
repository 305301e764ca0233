//! Images of a person's own: what they bring cannot change what Berth does, and what they lack is not needed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::time::Duration;

use berth_tests::{TestApp, docker::docker, until};
use camino::Utf8PathBuf;
use camino_tempfile::Utf8TempDir;
use wire::{
    Phase,
    call::{CreateAgent, CreateTask, ShowRun},
    task::{Launch, NewTask, ReviewGate},
    view::RunSummary,
};

/// Far more than a run of these takes.
const RUN_TIME_MAX: Duration = Duration::from_mins(1);

/// An image that is made for one test and removed with it.
struct OwnImage {
    tag: String,
    _context: Utf8TempDir,
}

impl OwnImage {
    fn build(name: &str, dockerfile: &str) -> Self {
        let context = camino_tempfile::tempdir().unwrap();
        std::fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
        let tag = format!("berth-test/{name}:{}", std::process::id());
        docker(&["build", "--quiet", "--network", "none", "--tag", &tag, context.path().as_str()]);
        Self { tag, _context: context }
    }
}

impl Drop for OwnImage {
    fn drop(&mut self) {
        docker(&["rmi", "--force", &self.tag]);
    }
}

async fn run(app: &TestApp, image: &str, launch: Launch) -> (RunSummary, String) {
    let name = "own".to_owned();
    let limits = wire::Limits::default();
    let agent = CreateAgent { name: name.clone(), image: image.to_owned(), launch, limits, review: ReviewGate::Skip };
    app.call(agent).await.unwrap();
    let task = NewTask {
        title: None,
        prompt: "anything".to_owned(),
        agent: Some(name),
        project: None,
        limits: None,
        review: None,
        priority: None,
        attachments: Vec::new(),
    };
    let run = app.call(CreateTask { task }).await.unwrap().run.to_string();
    let summary = until("the run to end", RUN_TIME_MAX, async || {
        let summary = app.call(ShowRun { run: run.clone() }).await.unwrap().summary;
        summary.phase.is_final().then_some(summary)
    })
    .await;
    let printed = app.run(["logs", &run]).await.good().text();
    (summary, printed)
}

fn command(argv: &[&str]) -> Launch {
    Launch::Command { argv: argv.iter().map(|&argument| argument.to_owned()).collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_with_its_own_berth_folder_cannot_replace_the_guest() {
    let app = TestApp::start().await;
    let hostile = OwnImage::build(
        "hostile",
        "FROM debian:bookworm-slim\n\
         RUN mkdir -p /berth/run && printf '#!/bin/sh\\necho gotcha\\n' > /berth/berth-guest && chmod 0777 /berth/berth-guest && touch /berth/trap\n\
         ENTRYPOINT [\"/bin/sh\", \"-c\", \"echo gotcha\"]\n",
    );
    let (summary, printed) = run(&app, &hostile.tag, command(&["/bin/ls", "-ln", "/berth"])).await;
    assert_eq!(summary.phase, Phase::Completed, "{summary:#?}");
    assert!(!printed.contains("gotcha") && !printed.contains("trap"), "{printed}");
    // Execute-only, and root's: the guest and not the image's script.
    let guest: Vec<_> =
        printed.lines().find(|line| line.ends_with("berth-guest")).unwrap().split_whitespace().collect();
    assert_eq!(guest[..4], ["---x--x--x", "1", "0", "0"], "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_a_shell_or_any_other_file_is_a_sandbox_too() {
    let app = TestApp::start().await;
    let (summary, printed) = run(&app, "berth/empty:1", command(&["/berth/berth-guest", "version"])).await;
    assert_eq!(summary.phase, Phase::Completed, "{summary:#?}");
    assert!(printed.starts_with("berth-guest "), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_with_odd_habits_runs_as_any_other() {
    let app = TestApp::start().await;
    let odd = OwnImage::build(
        "odd",
        "FROM debian:bookworm-slim\n\
         USER nobody\nWORKDIR /var/lib/odd\nVOLUME [\"/data\", \"/workspace/inner\"]\n\
         HEALTHCHECK --interval=1s CMD exit 1\nSTOPSIGNAL SIGUSR1\nENTRYPOINT [\"/bin/sh\", \"-c\"]\nCMD [\"id -u; pwd\"]\n",
    );
    let (summary, printed) = run(&app, &odd.tag, Launch::Entrypoint).await;
    assert_eq!(summary.phase, Phase::Completed, "{summary:#?}");
    assert_eq!(printed.lines().last(), Some("/workspace"), "{printed}");
    assert!(!printed.starts_with("0\n") && !printed.starts_with("65534\n"), "{printed}");
}

/// A certificate made for this test alone.
const AUTHORITY: &str = include_str!("data/authority.pem");

#[tokio::test(flavor = "multi_thread")]
async fn an_extra_authority_reaches_sandboxes_of_any_image() {
    let folder = camino_tempfile::tempdir().unwrap();
    let path: Utf8PathBuf = folder.path().join("authority.pem");
    std::fs::write(&path, AUTHORITY).unwrap();
    let app = TestApp::start_with(&[("BERTH_EXTRA_CERTIFICATES", path.as_str())]).await;
    let (summary, printed) = run(
        &app,
        "debian:bookworm-slim",
        command(&["/bin/sh", "-c", "cat \"$SSL_CERT_FILE\" && test -r \"$NODE_EXTRA_CA_CERTS\""]),
    )
    .await;
    assert_eq!(summary.phase, Phase::Completed, "{summary:#?}");
    let body = |pem: &str| pem.lines().filter(|line| !line.starts_with("-----")).collect::<String>();
    let trusted: Vec<String> = printed.split("-----BEGIN CERTIFICATE-----").map(body).collect();
    assert!(trusted.contains(&body(AUTHORITY)), "{} certificates, ours is none of them", trusted.len());
}
