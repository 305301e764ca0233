//! Images on the real engine, from outside: built with their progress and their log, failed with their step named, cancelled without a
//! trace, built anew when they change, tried in a hardened sandbox, reclaimed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::time::Duration;

use berth_tests::{
    TestApp,
    client::CallError,
    docker::{Docker, docker},
    own_image::user,
    until,
};
use camino_tempfile::Utf8TempDir;
use tokio::task::JoinSet;
use wire::{
    ErrorCode, ErrorView,
    call::{AddImage, BuildImage, CancelBuild, Doctor, ImageSource, ListImages, ShowBuild, SmokeImage},
    image::{BuildOutcome, BuildStepState, BuildStepView, BuildView, ImageState, ImageView},
    upkeep::{PlanReclaim, Reclaim},
};

/// Far more than any of these builds takes.
const BUILD_TIME_MAX: Duration = Duration::from_mins(2);

/// An app with an image of its own folder.
struct Mine {
    app: TestApp,
    folder: Utf8TempDir,
}

impl Mine {
    async fn of(dockerfile: &str) -> Self {
        let mine = Self { app: TestApp::start().await, folder: camino_tempfile::tempdir().unwrap() };
        mine.write("Dockerfile", dockerfile);
        let source = ImageSource::Folder { path: mine.folder.path().to_string() };
        mine.app.call(AddImage { name: "mine".to_owned(), source }).await.unwrap();
        mine
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    async fn build(&self) -> Result<ImageView, ErrorView> {
        self.app.call(BuildImage { name: "mine".to_owned(), is_fresh: false }).await
    }

    /// Has somebody ask for it, once its last instruction, `RUN sleep 600`, runs; the call goes on until it is answered or dropped.
    async fn begins(&self) -> JoinSet<Result<ImageView, CallError>> {
        let client = self.app.client().clone();
        let mut asked = JoinSet::new();
        asked.spawn(async move { client.try_call(BuildImage { name: "mine".to_owned(), is_fresh: false }).await });
        until("the last instruction to run", BUILD_TIME_MAX, async || {
            (self.runs("RUN sleep 600").await && !self.left(&["container", "ls"]).is_empty()).then_some(())
        })
        .await;
        asked
    }

    async fn log(&self) -> BuildView {
        self.app.call(ShowBuild { name: "mine".to_owned(), from_line: 0 }).await.unwrap()
    }

    /// Whether that instruction runs now.
    async fn runs(&self, instruction: &str) -> bool {
        let build = self.app.call(ShowBuild { name: "mine".to_owned(), from_line: 0 }).await;
        let is_it = |step: &BuildStepView| step.text == instruction && step.state == BuildStepState::Running;
        build.is_ok_and(|build| build.steps.iter().any(is_it))
    }

    async fn state(&self) -> ImageState {
        let all = self.app.call(ListImages {}).await.unwrap();
        all.into_iter().find(|image| image.name == "mine").unwrap().state
    }

    /// The ids of all images, layers without a name among them, and all containers that an engine has of this install.
    fn left(&self, what: &[&str]) -> Vec<String> {
        let install = format!("label=berth.install={}", self.app.install().unwrap());
        // A copy that was adapted has the labels of what it is a copy of.
        let name = ["--filter", "label=berth.image=mine", "--filter", "label=berth.role=image"];
        let listed = docker(&[what, &["--quiet", "--no-trunc", "--filter", &install], &name].concat());
        listed.lines().map(str::to_owned).collect()
    }

    fn images(&self) -> Vec<String> {
        self.left(&["image", "ls"])
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        for image in self.images() {
            let _in_use = Docker::of_this_machine().try_run(&["image", "rm", "--force", &image]);
        }
    }
}

/// A text that no other build has, so that nothing of it was done before.
fn mark(app: &TestApp) -> String {
    app.install().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_built_with_progress_and_log_tried_and_built_anew_when_it_changes() {
    let mine = Mine::of("FROM debian:bookworm-slim\n").await;
    let mark = mark(&mine.app);
    let user = user();
    let dockerfile = |value: &str| {
        format!(
            "FROM debian:bookworm-slim\nRUN echo {mark} && echo the words && useradd --uid {user} agent\nCOPY smoke /usr/local/share/berth/smoke\nENV A={value}\n"
        )
    };
    let smoke = "#!/bin/sh\n\
        touch \"$HOME/a\" /workspace/b /tmp/c && echo ok writes || echo FAILED writes\n\
        [ \"$(ls /sys/class/net)\" = lo ] && echo ok alone || echo FAILED alone\n\
        touch /d 2>/dev/null && echo FAILED root || echo ok root\n\
        [ \"$(id -u)\" != 0 ] && echo ok user || echo FAILED user\n";
    mine.write("smoke", smoke);
    mine.write("Dockerfile", &dockerfile("1"));
    std::fs::set_permissions(mine.folder.path().join("smoke"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let view = mine.build().await.unwrap();
    let ImageState::Ready { size_bytes, built_at: Some(_) } = view.state else { panic!("{view:?}") };
    assert!(size_bytes > 10 << 20, "{size_bytes}");
    let smoke = view.smoke.unwrap();
    assert_eq!((smoke.passed, smoke.tried, smoke.failed), (true, 4, Vec::new()));
    let log = mine.log().await;
    assert!(log.log.iter().any(|line| line.text == "the words"), "{log:#?}");
    assert!(log.steps.iter().all(|step| step.state == BuildStepState::Done), "{log:#?}");
    let run = log.steps.iter().position(|step| step.text.starts_with("RUN")).unwrap();
    assert!(!log.steps[run].is_cached && log.steps[run].took_ms.is_some(), "{log:#?}");
    assert!(matches!(log.ended.unwrap().outcome, BuildOutcome::Built { .. }));
    let first = mine.images();
    assert_eq!(first.len(), 1);
    mine.app.is_swept().await;

    mine.write("Dockerfile", &dockerfile("2"));
    assert!(matches!(mine.state().await, ImageState::Outdated { .. }));
    mine.build().await.unwrap();
    let log = mine.log().await;
    assert!(log.steps[run].is_cached, "{log:#?}");
    assert!(log.last_took_ms.is_some());
    let second = mine.images();
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");

    let tried = mine.app.call(SmokeImage { name: "mine".to_owned() }).await.unwrap();
    assert_eq!(tried.smoke.unwrap().tried, 4);
    mine.app.is_swept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_build_names_its_step_keeps_its_log_and_leaves_what_was_there() {
    let mut mine = Mine::of("FROM debian:bookworm-slim\n").await;
    mine.build().await.unwrap();
    let before = mine.images();
    let mark = mark(&mine.app);
    mine.write(
        "Dockerfile",
        &format!("FROM debian:bookworm-slim\nRUN echo {mark} > /half\nRUN echo why it fails && exit 7\n"),
    );
    let error = mine.build().await.unwrap_err();
    assert!(error.message.contains("RUN echo why it fails && exit 7"), "{error:?}");
    assert!(error.detail.contains("why it fails"), "{error:?}");
    assert_eq!(mine.images(), before);
    mine.app.kill().await;
    mine.app.restart().await;
    assert!(mine.log().await.log.iter().any(|line| line.text == "why it fails"));
    let printed = mine.app.run(["images", "log", "mine"]).await.good().text();
    assert!(printed.contains("why it fails"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_build_leaves_nothing() {
    let mine = Mine::of("FROM debian:bookworm-slim\n").await;
    let mark = mark(&mine.app);
    mine.write("Dockerfile", &format!("FROM debian:bookworm-slim\nRUN echo {mark}\nRUN sleep 600\n"));
    let mut asked = mine.begins().await;
    assert!(matches!(mine.state().await, ImageState::Building { .. }));
    mine.app.call(CancelBuild { name: "mine".to_owned() }).await.unwrap();
    assert_eq!(mine.left(&["container", "ls", "--all"]), [""; 0]);
    assert_eq!(mine.images(), [""; 0]);
    assert_eq!(mine.state().await, ImageState::NotBuilt);
    assert_eq!(mine.log().await.ended.unwrap().outcome, BuildOutcome::Cancelled);
    let told = asked.join_next().await.unwrap().unwrap();
    assert!(matches!(&told, Err(CallError::Refused(error)) if error.message.contains("cancelled")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_app_left_of_a_build_is_reported_and_reclaimed_by_its_label() {
    let mut mine = Mine::of("FROM debian:bookworm-slim\n").await;
    let mark = mark(&mine.app);
    mine.write("Dockerfile", &format!("FROM debian:bookworm-slim\nRUN echo {mark} > /half\nRUN sleep 600\n"));
    let _asked = mine.begins().await;
    mine.app.kill().await;
    until("the engine to end the build", BUILD_TIME_MAX, async || {
        mine.left(&["container", "ls"]).is_empty().then_some(())
    })
    .await;
    let foreign = docker(&["image", "inspect", "--format", "{{.Id}}", "debian:bookworm-slim"]);
    mine.app.restart().await;
    let left = mine.images();
    assert!(!left.is_empty(), "a layer without a name");
    let report = mine.app.call(Doctor::default()).await.unwrap();
    let key = |image: &String| format!("image:{image}");
    assert!(left.iter().all(|image| report.findings.iter().any(|finding| finding.key == key(image))), "{report:#?}");
    let plan = mine.app.call(PlanReclaim::default()).await.unwrap();
    assert!(left.iter().all(|image| plan.caches.iter().any(|finding| finding.key == key(image))), "{plan:#?}");
    let keys = left.iter().map(key).collect();
    mine.app.call(Reclaim { keys, ..Reclaim::default() }).await.unwrap();
    assert_eq!(mine.images(), [""; 0]);
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", "debian:bookworm-slim"]), foreign);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_builds_prints_and_removes() {
    let mine = Mine::of(&format!("FROM debian:bookworm-slim\nRUN useradd --uid {} agent\n", user())).await;
    let built = mine.app.run(["images", "build", "mine", "--json"]).await.good();
    let image: ImageView = serde_json::from_str(&built.text()).unwrap();
    assert!(matches!(image.state, ImageState::Ready { .. }));
    let table = mine.app.run(["images"]).await.good().text();
    assert!(table.lines().any(|line| line.starts_with("mine") && line.contains("ready")), "{table}");
    let other = camino_tempfile::tempdir().unwrap();
    let refused = mine.app.run(["images", "add", "other", "--folder", other.path().as_str()]).await;
    assert!(!refused.status.success());
    mine.app.run(["images", "add", "slim", "--reference", "debian:bookworm-slim"]).await.good();
    mine.app.run(["images", "build", "slim"]).await.good();
    mine.app.run(["images", "remove", "slim"]).await.good();
    mine.app.run(["images", "remove", "mine"]).await.good();
    assert_eq!(mine.images(), [""; 0]);
    assert!(!docker(&["image", "ls", "--quiet", "debian:bookworm-slim"]).trim().is_empty(), "a person's own stays");
    let gone = mine.app.call(ShowBuild { name: "mine".to_owned(), from_line: 0 }).await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::NotFound);
}
