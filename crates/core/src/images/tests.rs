//! Against the engine that this machine has.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use camino::Utf8PathBuf;
use engine::docker::DockerEngine;
use engine::find::{Environment, RealFiles};
use engine::{ContainerName, ContainerSpec, Identity, Limits, Log, Network, RootFilesystem, Seccomp, spec::LoopbackV6};
use futures::TryStreamExt as _;

use wire::image::BuildStepState;

use super::catalogue::find;
use super::*;
use crate::certificates::{self, HostTrust};
use crate::clock::{SystemClock, Time};

const MANIFEST: &str = r#"
name = "trial"
call_sign = "T1"
title = "Trial"
description = "For a test."
revision = 1
base = "debian:bookworm-slim"

[headless]
command = ["cat"]
prompt = "stdin"
"#;

fn file(path: &str, content: &str) -> (String, Vec<u8>) {
    (path.to_owned(), content.as_bytes().to_vec())
}

fn manifest(name: &str, base: &str) -> String {
    MANIFEST.replace("\"trial\"", &format!("{name:?}")).replace("debian:bookworm-slim", base)
}

/// Images as folders: name, base, Dockerfile.
fn images_of(folders: &[(&str, &str, &str)], pins: &str) -> Vec<Arc<AgentImage>> {
    let read = |(name, base, dockerfile): &(&str, &str, &str)| {
        let files = vec![file("Dockerfile", dockerfile), file("tool", "#!/bin/sh\necho tool\n")];
        ((*name).to_owned(), catalogue::read(name, &manifest(name, base), files).unwrap())
    };
    catalogue::joined(folders.iter().map(read).collect(), versions::read(pins).unwrap()).unwrap()
}

fn trial(dockerfile: &str) -> Arc<AgentImage> {
    images_of(&[("trial", "debian:bookworm-slim", dockerfile)], "").remove(0)
}

/// Takes every image as it is.
struct Good;

#[async_trait]
impl Trial for Good {
    async fn run(&self, _: &Recipe, _: &Image, _: &Recorder) -> Result<(), ImageError> {
        Ok(())
    }
}

/// Refuses every image.
struct Bad;

#[async_trait]
impl Trial for Bad {
    async fn run(&self, recipe: &Recipe, _: &Image, _: &Recorder) -> Result<(), ImageError> {
        Err(ImageError::Smoke { name: recipe.name.clone(), tried: 2, failed: vec!["git".to_owned()] })
    }
}

fn authority() -> Vec<ExtraCertificate> {
    let path = Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/images/tests/authority.pem"));
    certificates::find(&[path], &HostTrust::nowhere().read()).unwrap()
}

/// An installation of the test's own on the shared engine; what it made goes when it does, also when the test fails.
struct Bench {
    engine: DockerEngine,
    install: String,
}

async fn connect() -> DockerEngine {
    let candidates = engine::find::find(&Environment::of_this_process(None), &RealFiles).unwrap();
    DockerEngine::connect_first(&candidates).await.unwrap()
}

impl Drop for Bench {
    fn drop(&mut self) {
        // The test's own runtime cannot be waited for from inside it.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let engine = connect().await;
                    for container in engine.containers(&LabelFilter::install(&self.install)).await.unwrap() {
                        engine.remove(&container.id).await.unwrap();
                    }
                    for image in engine.images(&LabelFilter::install(&self.install)).await.unwrap() {
                        engine.remove_image(&image.id.into()).await.unwrap();
                    }
                });
            });
        });
    }
}

impl Bench {
    async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        let install = format!("test-{}-{now}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { engine: connect().await, install }
    }

    fn images(&self, certificates: Vec<ExtraCertificate>) -> Images {
        Images::new(&self.install, certificates)
    }

    async fn make(&self, image: &Arc<AgentImage>, trial: &dyn Trial) -> (Result<ImageRef, ImageError>, Recorder) {
        let images = self.images(Vec::new());
        let recipe = images.recipe(image);
        let record = Recorder::begin(&Time::new(SystemClock), &recipe.name);
        let made = images.make(&self.engine, &recipe, Freshness::Cached, &record, trial).await;
        (made.map(|()| recipe.reference), record)
    }

    async fn ensure(&self, image: &Arc<AgentImage>) -> (Result<ImageRef, ImageError>, Recorder) {
        self.make(image, &Good).await
    }

    async fn mine(&self) -> Vec<engine::Image> {
        self.engine.images(&LabelFilter::install(&self.install)).await.unwrap()
    }

    /// Reads a file of an image through a container that never runs.
    async fn read(&self, image: ImageRef, path: &str) -> Vec<u8> {
        let spec = ContainerSpec {
            name: ContainerName::parse(format!("berth-{}", self.install)).unwrap(),
            image,
            argv: vec!["/never".into()],
            env: BTreeMap::new(),
            identity: Identity::user(1000, 1000).unwrap(),
            working_dir: "/".into(),
            hostname: "trial".into(),
            ownership: Ownership::of_install(&self.install, Role::Filler),
            mounts: Vec::new(),
            tmpfs: Vec::new(),
            limits: Limits { memory_bytes: 16 << 20, cpu_milli: 100, pids: 16, shm_bytes: 1 << 20 },
            network: Network::None { loopback_v6: LoopbackV6::Engine },
            log: Log::None,
            root_filesystem: RootFilesystem::ReadOnly,
            seccomp: Seccomp::EngineDefault,
            stop_timeout: Duration::from_secs(1),
        };
        let id = self.engine.create(&spec).await.unwrap();
        let stream = self.engine.get_archive(&id, path.into(), 1 << 20).await.unwrap();
        let bytes = stream.try_fold(Vec::new(), async |mut all, part| {
            all.extend_from_slice(&part);
            Ok(all)
        });
        let bytes = bytes.await.unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut archive.entries().unwrap().next().unwrap().unwrap(), &mut content).unwrap();
        content
    }
}

fn steps(record: &Recorder) -> Vec<(String, BuildStepState, bool)> {
    record.look(|record| record.page(0)).steps.into_iter().map(|step| (step.text, step.state, step.is_cached)).collect()
}

#[tokio::test]
async fn an_image_is_built_once_and_found_afterwards() {
    let bench = Bench::new().await;
    let image = trial("ARG BASE\nFROM ${BASE}\nCOPY tool /tool\nRUN /tool > /said\n");
    let (first, record) = bench.ensure(&image).await;
    let reference = first.unwrap();
    let steps = steps(&record);
    let texts: Vec<_> = steps.iter().map(|(text, ..)| text.split(' ').next().unwrap()).collect();
    assert_eq!(texts, ["ARG", "FROM", "LABEL", "COPY", "RUN", "Label", "Try", "Take"]);
    assert!(steps[..7].iter().all(|(_, state, _)| *state == BuildStepState::Done), "{steps:?}");
    let (second, record) = bench.ensure(&image).await;
    assert_eq!(second.unwrap(), reference);
    assert_eq!(record.look(|record| record.page(0)).lines, 0);
    let built = bench.engine.image(&reference).await.unwrap().unwrap();
    assert_eq!(built.ownership(), Some(Ownership::of_install(&bench.install, Role::Image)));
    assert_eq!(built.labels[NAME_LABEL], "trial");
    assert!(reference.as_str().ends_with(&built.labels[HASH_LABEL][..12]));
    assert_eq!(built.repo_tags, [reference.as_str()]);
    assert_eq!(bench.read(reference, "/said").await, b"tool\n");
}

#[tokio::test]
async fn a_changed_image_takes_the_place_of_the_one_before_and_what_did_not_change_is_not_done_again() {
    let bench = Bench::new().await;
    let dockerfile = |value| format!("ARG BASE\nFROM ${{BASE}}\nRUN echo {} > /mark\nENV A={value}\n", bench.install);
    let (before, _) = bench.ensure(&trial(&dockerfile(1))).await;
    let (after, record) = bench.ensure(&trial(&dockerfile(2))).await;
    assert_eq!(bench.engine.image(&before.unwrap()).await.unwrap(), None);
    assert!(bench.engine.image(&after.unwrap()).await.unwrap().is_some());
    assert_eq!(bench.mine().await.len(), 1);
    let steps = steps(&record);
    let run = steps.iter().find(|(text, ..)| text.starts_with("RUN")).unwrap();
    assert!(run.2, "{steps:?}");
    assert!(!steps.iter().find(|(text, ..)| text.starts_with("ENV")).unwrap().2, "{steps:?}");
}

#[tokio::test]
async fn a_failing_instruction_is_named_and_leaves_nothing_behind_but_what_was_there_before() {
    let bench = Bench::new().await;
    let mark = &bench.install;
    let good = trial(&format!("ARG BASE\nFROM ${{BASE}}\nLABEL mark={mark}\n"));
    let before = bench.ensure(&good).await.0.unwrap();
    let image = trial(&format!(
        "ARG BASE\nFROM ${{BASE}}\nLABEL mark={mark}\nRUN touch /half\nRUN echo the last words && exit 7\n"
    ));
    let (built, record) = bench.ensure(&image).await;
    let Err(ImageError::Build { step: Some(step), source, .. }) = built else { panic!("{built:?}") };
    assert_eq!(step.text, "RUN echo the last words && exit 7");
    assert!(source.detail().contains("the last words"), "{source}");
    let page = record.look(|record| record.page(0));
    assert!(page.log.iter().any(|line| line.text == "the last words"), "{:?}", page.log);
    let marked = bench.engine.images(&LabelFilter::default().with("mark", mark)).await.unwrap();
    let names: Vec<_> = marked.iter().flat_map(|image| &image.repo_tags).collect();
    assert_eq!(names, [before.as_str()]);
}

#[tokio::test]
async fn an_image_that_fails_when_it_is_tried_never_gets_its_name() {
    let bench = Bench::new().await;
    let before = bench.ensure(&trial("ARG BASE\nFROM ${BASE}\n")).await.0.unwrap();
    let image = trial(&format!("ARG BASE\nFROM ${{BASE}}\nRUN echo {} > /mark\n", bench.install));
    let (made, _) = bench.make(&image, &Bad).await;
    assert!(matches!(made, Err(ImageError::Smoke { tried: 2, .. })), "{made:?}");
    let mine = bench.mine().await;
    let names: Vec<_> = mine.iter().flat_map(|image| &image.repo_tags).collect();
    assert_eq!(names, [before.as_str()]);
}

#[tokio::test]
async fn an_image_starts_from_another_of_berths() {
    let bench = Bench::new().await;
    let pins = "[inner]\nTOOL = { from = \"npm:tool\", version = \"2.1.0\" }\n";
    let inner = "ARG BASE\nFROM ${BASE}\nARG TOOL\nRUN echo inner $TOOL > /inner\n";
    let outer = "ARG BASE\nFROM ${BASE}\nRUN cat /inner > /outer\n";
    let images = images_of(&[("inner", "debian:bookworm-slim", inner), ("outer", "berth/inner", outer)], pins);
    let reference = bench.ensure(&images[0]).await.0.unwrap();
    assert!(reference.as_str().starts_with("berth/inner:2.1.0-"), "{reference}");
    let reference = bench.ensure(&images[1]).await.0.unwrap();
    assert_eq!(bench.read(reference, "/outer").await, b"inner 2.1.0\n");
}

#[tokio::test]
async fn a_missing_base_says_how_to_get_it() {
    let bench = Bench::new().await;
    let image = images_of(&[("trial", "berth.invalid/none:1", "ARG BASE\nFROM ${BASE}\n")], "").remove(0);
    let (built, record) = bench.ensure(&image).await;
    let error = built.unwrap_err();
    assert!(matches!(error, ImageError::BaseMissing { .. }), "{error:?}");
    assert!(error.to_string().contains("docker pull berth.invalid/none:1"), "{error}");
    assert_eq!(steps(&record)[0], ("Fetch berth.invalid/none:1".to_owned(), BuildStepState::Running, false));
}

#[tokio::test]
async fn two_that_want_the_same_image_build_it_once() {
    let bench = Bench::new().await;
    let image = trial("ARG BASE\nFROM ${BASE}\nRUN cat /proc/sys/kernel/random/uuid > /id\n");
    let images = bench.images(Vec::new());
    let recipe = images.recipe(&image);
    let record = || Recorder::begin(&Time::new(SystemClock), "trial");
    let (first, second) = (record(), record());
    let (one, two) = tokio::join!(
        images.make(&bench.engine, &recipe, Freshness::Cached, &first, &Good),
        images.make(&bench.engine, &recipe, Freshness::Cached, &second, &Good),
    );
    one.unwrap();
    two.unwrap();
    assert_eq!(bench.mine().await.len(), 1);
    let waited =
        |record: &Recorder| record.look(|record| record.page(0)).log.iter().any(|line| line.text.starts_with("Waits"));
    assert!(!waited(&first) && waited(&second));
}

#[tokio::test]
async fn an_extra_authority_is_trusted_in_the_script_image() {
    let bench = Bench::new().await;
    let images = bench.images(authority());
    let recipe = images.recipe(find("script").unwrap());
    let record = Recorder::begin(&Time::new(SystemClock), "script");
    images.make(&bench.engine, &recipe, Freshness::Cached, &record, &Good).await.unwrap();
    let bundle = bench.read(recipe.reference, "/etc/ssl/certs/ca-certificates.crt").await;
    assert!(String::from_utf8(bundle).unwrap().contains(authority()[0].pem.trim_end()));
}

#[test]
fn every_embedded_image_can_be_read_and_keeps_the_rules_of_dockerfiles() {
    assert!(find("script").is_some());
    let mut call_signs = std::collections::BTreeSet::new();
    for image in catalogue::catalogue() {
        let name = &image.name;
        assert!(call_signs.insert(image.call_sign().to_owned()), "{name}: another image has its call sign");
        let instructions = dockerfile::instructions(image.dockerfile());
        assert_eq!(instructions[..2], ["ARG BASE", "FROM ${BASE}"], "{name}");
        assert!(!instructions.iter().any(|line| line.contains("--mount") || line.contains("--chmod")), "{name}");
        assert!(!instructions.iter().any(|line| line.starts_with("ENTRYPOINT")), "{name}");
        assert!(image.is_part() || image.launch().is_some(), "{name}: nothing could be started");
        let left_out = |path: &str| path.ends_with("_test.py") || path.contains("__pycache__");
        assert!(!image.files.iter().any(|(path, _)| left_out(path)), "{name}");
    }
}

mod contract;
mod made_of;
mod taken_down;
