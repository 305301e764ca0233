//! Images of a person's own folder, from the call to the sandbox: built with all that is known of it, tried, cancelled, lost, removed.

use std::sync::Arc;

use camino::Utf8PathBuf;
use camino_tempfile::Utf8TempDir;
use engine::contract::hardening::{Declared, violations_of};
use engine::{Engine, ErrorKind, ImageRef, LabelFilter, Role};
use testkit::{Fault, Gate, Op, until};
use wire::{
    ErrorCode, ErrorView, Phase,
    call::{
        AddImage, BuildImage, CancelBuild, CreateAgent, Doctor, ImageSource, ListImages, RemoveImage, ShowBuild,
        SmokeImage,
    },
    image::{BuildOutcome, BuildStepState, BuildView, ImageAction, ImageOrigin, ImageState, ImageView},
    task::{Launch, ReviewGate},
};

use crate::scene::{BOUND, Scene};

/// A person's folder, and the image `mine` of it.
struct Mine {
    scene: Scene,
    folder: Utf8TempDir,
}

const GOOD: &str = "FROM own/image:1\nRUN echo hello\nENV A=1\n";

impl Mine {
    async fn of(dockerfile: &str) -> Self {
        let scene = Scene::without_agent().await;
        let folder = camino_tempfile::tempdir().unwrap();
        let mine = Self { scene, folder };
        mine.write(dockerfile);
        let path = mine.folder.path().to_string();
        let source = ImageSource::Folder { path };
        mine.scene.api().call(AddImage { name: "mine".to_owned(), source }).await.unwrap();
        mine
    }

    fn write(&self, dockerfile: &str) {
        std::fs::write(self.folder.path().join("Dockerfile"), dockerfile).unwrap();
    }

    async fn build(&self) -> Result<ImageView, ErrorView> {
        self.scene.api().call(BuildImage { name: "mine".to_owned(), is_fresh: false }).await
    }

    async fn view(&self) -> ImageView {
        let all = self.scene.api().call(ListImages {}).await.unwrap();
        all.into_iter().find(|image| image.name == "mine").unwrap()
    }

    async fn log(&self) -> BuildView {
        self.scene.api().call(ShowBuild { name: "mine".to_owned(), from_line: 0 }).await.unwrap()
    }

    async fn agent(&self) {
        let create = CreateAgent {
            name: "worker".to_owned(),
            image: "mine".to_owned(),
            launch: Launch::Command { argv: vec!["agent".to_owned()] },
            review: ReviewGate::Skip,
            ..CreateAgent::default()
        };
        self.scene.api().call(create).await.unwrap();
    }

    /// The names of all that Berth built.
    async fn built(&self) -> Vec<String> {
        let images = self.scene.engine.images(&LabelFilter::any_install().role(Role::Image)).await.unwrap();
        let tags = images.into_iter().filter(|image| image.labels.contains_key("berth.image"));
        tags.flat_map(|image| if image.repo_tags.is_empty() { vec!["<none>".to_owned()] } else { image.repo_tags })
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_folder_is_built_with_its_steps_its_log_and_its_test() {
    let mine = Mine::of(GOOD).await;
    assert_eq!(mine.view().await.state, ImageState::NotBuilt);
    assert!(matches!(mine.view().await.origin, ImageOrigin::Folder { .. }));
    mine.scene.guests.set_smoke("ok git\nok node\n", 0);
    let view = mine.build().await.unwrap();
    assert!(matches!(view.state, ImageState::Ready { built_at: Some(_), .. }), "{view:?}");
    let smoke = view.smoke.unwrap();
    assert_eq!((smoke.passed, smoke.tried), (true, 2));
    let log = mine.log().await;
    assert!(matches!(log.ended.as_ref().unwrap().outcome, BuildOutcome::Built { .. }), "{log:?}");
    assert!(log.steps.iter().all(|step| step.state == BuildStepState::Done && step.took_ms.is_some()), "{log:?}");
    assert!(log.steps.iter().any(|step| step.text == "RUN echo hello"), "{log:?}");
    assert!(log.log.iter().any(|line| line.text == "hello"), "{log:?}");
    mine.scene.nothing_is_left().await;
    let built = mine.built().await;
    assert_eq!(built.len(), 1);
    assert!(built[0].starts_with("berth/own-mine:1-"), "{built:?}");

    mine.agent().await;
    let task = mine.scene.task_of("worker", "Work", None).await;
    mine.scene.at_work(&task).await.exit_with(0);
    mine.scene.until_phase(&task, Phase::Completed).await;
    assert_eq!(mine.scene.engine.count(Op::Build), 1, "it was there");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_tried_in_a_sandbox_like_any_other_that_nobody_takes_for_a_leftover() {
    let mine = Arc::new(Mine::of(GOOD).await);
    mine.scene.guests.set_smoke("ok git\n", 0);
    let gate = Gate::default();
    mine.scene.engine.fault(Op::Start, 1, Fault::Stall(gate.clone()));
    let api = mine.scene.api();
    let mut asked = tokio::task::JoinSet::new();
    asked.spawn(async move { api.call(BuildImage { name: "mine".to_owned(), is_fresh: false }).await });
    until("the sandbox to be started", BOUND, async || gate.is_awaited()).await;
    let sandboxes = LabelFilter::any_install().role(Role::Sandbox);
    let found = mine.scene.engine.containers(&sandboxes).await.unwrap();
    assert_eq!(found.len(), 1);
    let shown = mine.scene.engine.raw_inspect(&found[0].id).await.unwrap();
    assert_eq!(violations_of(&shown, &Declared::default()), [""; 0]);
    let report = mine.scene.api().call(Doctor::default()).await.unwrap();
    let names: Vec<_> = report.findings.iter().map(|finding| finding.name.as_str()).collect();
    assert!(!names.contains(&found[0].name.as_str()), "{names:?}");
    gate.open();
    asked.join_next().await.unwrap().unwrap().unwrap();
    mine.scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_folder_is_outdated_until_the_next_task_builds_it() {
    let mine = Mine::of(GOOD).await;
    mine.build().await.unwrap();
    let before = mine.built().await;
    mine.write("FROM own/image:1\nRUN echo hello\nENV A=2\n");
    assert!(matches!(mine.view().await.state, ImageState::Outdated { .. }), "{:?}", mine.view().await.state);
    mine.agent().await;
    let task = mine.scene.task_of("worker", "Work", None).await;
    mine.scene.at_work(&task).await.exit_with(0);
    mine.scene.until_phase(&task, Phase::Completed).await;
    let after = mine.built().await;
    assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_build_names_its_step_keeps_its_log_over_a_restart_and_leaves_what_was_there() {
    let mut mine = Mine::of(GOOD).await;
    mine.build().await.unwrap();
    let before = mine.built().await;
    mine.write("FROM own/image:1\nRUN echo the reason && exit 3\n");
    let error = mine.build().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ImageMissing);
    assert!(error.message.contains("RUN echo the reason && exit 3"), "{error:?}");
    assert!(error.detail.contains("the reason"), "{error:?}");
    assert_eq!(mine.built().await, before);
    mine.scene.stop().await;
    mine.scene.start_again().await;
    let log = mine.log().await;
    assert!(log.log.iter().any(|line| line.text == "the reason"), "{log:?}");
    let failed: Vec<_> = log.steps.iter().filter(|step| step.state == BuildStepState::Failed).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].text, "RUN echo the reason && exit 3");
    assert!(log.last_took_ms.is_some());
    assert!(matches!(mine.view().await.state, ImageState::Failed { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_fails_its_test_is_not_used() {
    let mine = Mine::of(GOOD).await;
    mine.scene.guests.set_smoke("ok git\nFAILED node: not found\n", 1);
    mine.agent().await;
    let task = mine.scene.task_of("worker", "Work", None).await;
    let error = mine.scene.until_phase(&task, Phase::Failed).await.error.unwrap();
    assert_eq!(error.code, ErrorCode::ImageUnusable, "{error:?}");
    assert!(error.detail.contains("node: not found"), "{error:?}");
    assert_eq!(mine.built().await, [""; 0]);
    mine.scene.nothing_is_left().await;

    mine.scene.guests.set_smoke("ok git\n", 0);
    mine.build().await.unwrap();
    mine.scene.guests.set_smoke("FAILED git\n", 0);
    let view = mine.scene.api().call(SmokeImage { name: "mine".to_owned() }).await.unwrap();
    assert_eq!(view.smoke.unwrap().failed, ["git"]);
    mine.scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_cancels_a_build_and_the_step_that_waits_for_it_fails_and_can_be_retried() {
    let mine = Mine::of(GOOD).await;
    let gate = Gate::default();
    mine.scene.engine.fault(Op::Build, 1, Fault::Stall(gate.clone()));
    mine.agent().await;
    let task = mine.scene.task_of("worker", "Work", None).await;
    until("a build that is stalled", BOUND, async || gate.is_awaited()).await;
    let view = mine.view().await;
    assert!(matches!(view.state, ImageState::Building { began_at: Some(_), .. }), "{view:?}");
    let is_allowed =
        |view: &ImageView, action| view.actions.iter().any(|of| of.action == action && of.denied.is_none());
    assert!(is_allowed(&view, ImageAction::Cancel) && !is_allowed(&view, ImageAction::Build), "{view:?}");
    let view = mine.scene.api().call(CancelBuild { name: "mine".to_owned() }).await.unwrap();
    assert_eq!(view.state, ImageState::NotBuilt);
    let step = mine.scene.until_phase(&task, Phase::Failed).await;
    let error = step.error.unwrap();
    assert!(error.message.contains("was cancelled"), "{error:?}");
    assert!(!gate.is_awaited(), "the engine's own build was dropped");
    assert_eq!(mine.log().await.ended.unwrap().outcome, BuildOutcome::Cancelled);
    assert_eq!(mine.built().await, [""; 0]);
    let error = mine.scene.api().call(CancelBuild { name: "mine".to_owned() }).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotNow);

    mine.scene.act(step.step, wire::Action::Retry, "").await.unwrap();
    let is_at_work = |guests: &[crate::guest::Guest]| {
        guests.iter().any(|guest| guest.agent().is_some_and(|agent| agent.start.argv == ["agent"]))
    };
    until("the agent to be at work after all", BOUND, async || is_at_work(&mine.scene.guests.all())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_only_a_cancelled_step_waited_for_ends_and_one_that_a_person_asked_for_goes_on() {
    let mine = Arc::new(Mine::of(GOOD).await);
    mine.agent().await;
    let gate = Gate::default();
    mine.scene.engine.fault(Op::Build, 1, Fault::Stall(gate.clone()));
    let task = mine.scene.task_of("worker", "Work", None).await;
    until("a build that is stalled", BOUND, async || gate.is_awaited()).await;
    mine.scene.cancel(&task).await;
    until("a build that nobody waits for to end", BOUND, async || !gate.is_awaited()).await;

    let gate = Gate::default();
    mine.scene.engine.fault(Op::Build, 2, Fault::Stall(gate.clone()));
    let api = mine.scene.api();
    let mut asked = tokio::task::JoinSet::new();
    asked.spawn(async move { api.call(BuildImage { name: "mine".to_owned(), is_fresh: false }).await });
    until("a build that is stalled", BOUND, async || gate.is_awaited()).await;
    asked.shutdown().await;
    gate.open();
    until("the image", BOUND, async || matches!(mine.view().await.state, ImageState::Ready { .. })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_want_one_image_wait_for_one_build_and_an_engine_that_is_lost_in_the_middle_holds_them() {
    let mine = Mine::of(GOOD).await;
    mine.agent().await;
    let create = CreateAgent {
        name: "other".to_owned(),
        image: "mine".to_owned(),
        launch: Launch::Command { argv: vec!["agent".to_owned()] },
        review: ReviewGate::Skip,
        ..CreateAgent::default()
    };
    mine.scene.api().call(create).await.unwrap();
    mine.scene.engine.fault(Op::Build, 1, Fault::Fail(ErrorKind::Unreachable));
    let tasks = [mine.scene.task_of("worker", "Work", None).await, mine.scene.task_of("other", "Work", None).await];
    for task in &tasks {
        mine.scene.at_work(task).await.exit_with(0);
        mine.scene.until_phase(task, Phase::Completed).await;
    }
    assert!(mine.scene.engine.count(Op::Build) <= 3, "{}", mine.scene.engine.count(Op::Build));
    assert_eq!(mine.built().await.len(), 1);
    mine.scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_done_anew_is_done_anew() {
    let mine = Mine::of(GOOD).await;
    mine.build().await.unwrap();
    let cached = |log: &BuildView| log.steps.iter().filter(|step| step.is_cached).count();
    mine.write("FROM own/image:1\nRUN echo hello\nENV A=1\nENV B=2\n");
    mine.build().await.unwrap();
    let name = "mine".to_owned();
    mine.scene.api().call(BuildImage { name, is_fresh: true }).await.unwrap();
    assert_eq!(mine.scene.engine.count(Op::Build), 3);
    assert_eq!(cached(&mine.log().await), 0);
    assert_eq!(mine.built().await.len(), 1);
    let same = mine.build().await.unwrap();
    assert!(matches!(same.state, ImageState::Ready { .. }));
    assert_eq!(mine.scene.engine.count(Op::Build), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_is_fetched_when_it_is_needed_and_layers_are_shown() {
    let scene = Scene::without_agent().await;
    scene.import_image("registry.example/team/tools:2").await;
    let reference = ImageRef::parse("registry.example/team/tools:2").unwrap();
    scene.engine.publish(&reference).unwrap();
    let source = ImageSource::Reference { reference: reference.to_string() };
    let view = scene.api().call(AddImage { name: "tools".to_owned(), source: source.clone() }).await.unwrap();
    assert_eq!(view.state, ImageState::NotBuilt);
    let again = scene.api().call(AddImage { name: "tools".to_owned(), source }).await.unwrap_err();
    assert_eq!(again.code, ErrorCode::InvalidArgument);
    let create = CreateAgent {
        name: "worker".to_owned(),
        image: "tools".to_owned(),
        launch: Launch::Command { argv: vec!["agent".to_owned()] },
        review: ReviewGate::Skip,
        ..CreateAgent::default()
    };
    scene.api().call(create).await.unwrap();
    let task = scene.task_of("worker", "Work", None).await;
    scene.at_work(&task).await.exit_with(0);
    scene.until_phase(&task, Phase::Completed).await;
    assert_eq!(scene.engine.count(Op::Pull), 1);
    let log = scene.api().call(ShowBuild { name: "tools".to_owned(), from_line: 0 }).await.unwrap();
    assert_eq!(log.steps[0].text, "Fetch registry.example/team/tools:2");

    let remove = || RemoveImage { name: "tools".to_owned() };
    let error = scene.api().call(remove()).await.unwrap_err();
    assert!(error.message.contains("worker"), "{error:?}");
    assert!(scene.engine.image(&reference).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_no_registry_has_says_what_to_look_at() {
    let scene = Scene::without_agent().await;
    let source = ImageSource::Reference { reference: "nowhere.example/none:1".to_owned() };
    scene.api().call(AddImage { name: "none".to_owned(), source }).await.unwrap();
    let error = scene.api().call(BuildImage { name: "none".to_owned(), is_fresh: false }).await.unwrap_err();
    assert!(error.message.contains("nowhere.example/none:1") && error.hint.contains("docker login"), "{error:?}");
    scene.api().call(RemoveImage { name: "none".to_owned() }).await.unwrap();
    let error = scene.api().call(BuildImage { name: "none".to_owned(), is_fresh: false }).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_image_is_removed_with_its_builds_and_what_is_known_of_them() {
    let mine = Mine::of(GOOD).await;
    mine.build().await.unwrap();
    mine.scene.api().call(RemoveImage { name: "mine".to_owned() }).await.unwrap();
    assert_eq!(mine.built().await, [""; 0]);
    let all = mine.scene.api().call(ListImages {}).await.unwrap();
    assert!(!all.iter().any(|image| image.name == "mine"));
    assert!(mine.scene.api().call(ShowBuild { name: "mine".to_owned(), from_line: 0 }).await.is_err());
    let own = ImageRef::parse("own/image:1").unwrap();
    assert!(mine.scene.engine.image(&own).await.unwrap().is_some(), "what Berth did not make stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_folders_that_are_none_are_refused() {
    let scene = Scene::without_agent().await;
    let folder = |path: Utf8PathBuf| ImageSource::Folder { path: path.into_string() };
    let empty = camino_tempfile::tempdir().unwrap();
    let reference = || ImageSource::Reference { reference: "debian:bookworm-slim".to_owned() };
    for (name, source) in [
        ("script", reference()),
        ("Upper", reference()),
        ("../etc", reference()),
        ("", reference()),
        ("fine", folder(empty.path().to_owned())),
        ("fine", ImageSource::Reference { reference: "a b".to_owned() }),
    ] {
        let error = scene.api().call(AddImage { name: name.to_owned(), source }).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{name}: {error:?}");
    }
}
