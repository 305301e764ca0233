//! Against the engine that this machine has.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use camino::Utf8PathBuf;
use engine::docker::DockerEngine;
use engine::find::{Environment, RealFiles};
use engine::{ContainerName, ContainerSpec, Identity, Limits, Log, Network, RootFilesystem, Seccomp, spec::LoopbackV6};
use futures::TryStreamExt as _;

use super::*;
use crate::certificates::{self, HostTrust};

const MANIFEST: &str = r#"
name = "trial"
call_sign = "T1"
title = "Trial"
description = "For a test."
version = "1"
base = "debian:bookworm-slim"

[headless]
command = ["cat"]
prompt = "stdin"
"#;

fn trial(dockerfile: &'static str) -> AgentImage {
    catalogue::read("trial", MANIFEST, vec![("Dockerfile", dockerfile.as_bytes()), ("tool", b"#!/bin/sh\necho tool\n")])
        .unwrap()
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

    async fn ensure(&self, image: &AgentImage) -> (Result<ImageRef, ImageError>, Vec<Progress>) {
        let (told, mut telling) = mpsc::channel(1);
        let heard = async {
            let mut heard = Vec::new();
            while let Some(message) = telling.recv().await {
                heard.push(message);
            }
            heard
        };
        let images = self.images(Vec::new());
        tokio::join!(images.ensure_image(&self.engine, image, told), heard)
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

#[tokio::test]
async fn an_image_is_built_once_and_found_afterwards() {
    let bench = Bench::new().await;
    let image = trial("FROM debian:bookworm-slim\nCOPY tool /tool\nRUN /tool > /said\n");
    let (first, heard) = bench.ensure(&image).await;
    let reference = first.unwrap();
    assert!(
        heard.iter().any(|message| matches!(message, Progress::Step { text, .. } if text.starts_with("COPY tool")))
    );
    let (second, heard) = bench.ensure(&image).await;
    assert_eq!(second.unwrap(), reference);
    assert_eq!(heard, []);
    let built = bench.engine.image(&reference).await.unwrap().unwrap();
    assert_eq!(built.ownership(), Some(Ownership::of_install(&bench.install, Role::Image)));
    assert_eq!(built.labels[NAME_LABEL], "trial");
    assert!(reference.as_str().ends_with(&built.labels[HASH_LABEL][..12]));
    assert_eq!(bench.read(reference, "/said").await, b"tool\n");
}

#[tokio::test]
async fn a_changed_image_takes_the_place_of_the_one_before() {
    let bench = Bench::new().await;
    let (before, _) = bench.ensure(&trial("FROM debian:bookworm-slim\nENV A=1\n")).await;
    let (after, _) = bench.ensure(&trial("FROM debian:bookworm-slim\nENV A=2\n")).await;
    assert_eq!(bench.engine.image(&before.unwrap()).await.unwrap(), None);
    assert!(bench.engine.image(&after.unwrap()).await.unwrap().is_some());
    assert_eq!(bench.mine().await.len(), 1);
}

#[tokio::test]
async fn a_failing_instruction_is_named_and_leaves_nothing_behind() {
    let bench = Bench::new().await;
    let mark = &bench.install;
    let dockerfile =
        format!("FROM debian:bookworm-slim\nLABEL mark={mark}\nRUN touch /half\nRUN echo the last words && exit 7\n");
    let image = trial(dockerfile.leak());
    let (built, _) = bench.ensure(&image).await;
    let Err(ImageError::Build { step: Some(step), source, .. }) = built else { panic!("{built:?}") };
    assert_eq!(step.text, "RUN echo the last words && exit 7");
    assert!(source.detail().contains("the last words"), "{source}");
    let marked = bench.engine.images(&LabelFilter::default().with("mark", mark)).await.unwrap();
    assert_eq!(marked, []);
}

#[tokio::test]
async fn a_missing_base_says_how_to_get_it() {
    let bench = Bench::new().await;
    let mut image = trial("FROM berth.invalid/none:1\n");
    image.base = ImageRef::parse("berth.invalid/none:1").unwrap();
    let (built, _) = bench.ensure(&image).await;
    let error = built.unwrap_err();
    assert!(matches!(error, ImageError::BaseMissing { .. }), "{error:?}");
    assert!(error.to_string().contains("docker pull berth.invalid/none:1"), "{error}");
}

#[tokio::test]
async fn two_that_want_the_same_image_build_it_once() {
    let bench = Bench::new().await;
    let image = trial("FROM debian:bookworm-slim\nRUN cat /proc/sys/kernel/random/uuid > /id\n");
    let images = bench.images(Vec::new());
    let (told, telling) = mpsc::channel(1);
    drop(telling);
    let (one, two) = tokio::join!(
        images.ensure_image(&bench.engine, &image, told.clone()),
        images.ensure_image(&bench.engine, &image, told),
    );
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(bench.mine().await.len(), 1);
}

#[tokio::test]
async fn an_unknown_name_is_said_so() {
    let bench = Bench::new().await;
    let (told, _telling) = mpsc::channel(1);
    let error = bench.images(Vec::new()).ensure(&bench.engine, "none", told).await.unwrap_err();
    assert!(matches!(error, ImageError::Unknown { name } if name == "none"));
}

#[tokio::test]
async fn an_extra_authority_is_trusted_in_the_script_image() {
    let bench = Bench::new().await;
    let images = bench.images(authority());
    let (told, telling) = mpsc::channel(1);
    drop(telling);
    let reference = images.ensure(&bench.engine, "script", told).await.unwrap();
    let bundle = String::from_utf8(bench.read(reference, "/etc/ssl/certs/ca-certificates.crt").await).unwrap();
    assert!(bundle.contains(authority()[0].pem.trim_end()));
}

#[test]
fn every_embedded_image_can_be_read_and_starts_from_its_base() {
    assert!(find("script").is_some());
    for image in catalogue::catalogue() {
        let (_, dockerfile) = image.files.iter().find(|(path, _)| *path == context::DOCKERFILE).expect(image.name);
        let dockerfile = std::str::from_utf8(dockerfile).unwrap();
        assert!(dockerfile.lines().any(|line| line == format!("FROM {}", image.base)), "{}", image.name);
        let left_out = |path: &str| path.ends_with("_test.py") || path.contains("__pycache__");
        assert!(!image.files.iter().any(|(path, _)| left_out(path)), "{}", image.name);
    }
}

#[test]
fn a_manifest_with_a_wrong_or_unknown_field_is_refused() {
    let refused = |from: &str, to: &str| {
        let text = MANIFEST.replace(from, to);
        assert_ne!(text, MANIFEST, "{from:?} is not in the manifest");
        catalogue::read("trial", &text, Vec::new()).is_err()
    };
    assert!(refused("name = \"trial\"", "name = \"other\""));
    assert!(refused("\"T1\"", "\"T12\""));
    assert!(refused("version = \"1\"", "version = \"v1\""));
    assert!(refused("debian:bookworm-slim", "debian bookworm"));
    assert!(refused("[\"cat\"]", "[]"));
    assert!(refused("prompt = ", "promt = "));
    assert!(refused("title = \"Trial\"", "title = \"Trial\"\nsubtitle = \"\""));
    assert!(refused("prompt = \"stdin\"", "prompt = \"telepathy\""));
    assert!(refused("title = \"Trial\"\n", ""));
}

#[test]
fn the_hash_follows_content_names_and_certificates_and_nothing_else() {
    let hash = |files: Vec<(&'static str, &'static [u8])>, certificates: &[ExtraCertificate]| {
        context::hash(&catalogue::read("trial", MANIFEST, files).unwrap(), certificates)
    };
    let plain = hash(vec![("a", b"1"), ("b", b"2")], &[]);
    assert_eq!(plain, hash(vec![("a", b"1"), ("b", b"2")], &[]));
    assert_ne!(plain, hash(vec![("a", b"1"), ("b", b"3")], &[]));
    assert_ne!(plain, hash(vec![("a", b"1"), ("c", b"2")], &[]));
    assert_ne!(plain, hash(vec![("a", b"1b2")], &[]));
    assert_ne!(plain, hash(vec![("a", b"1"), ("b", b"2")], &authority()));
}

#[test]
fn a_context_has_executable_tools_its_labels_and_always_the_certificates_folder() {
    let entries = |certificates: &[ExtraCertificate]| {
        let labels = BTreeMap::from([("berth.install".to_owned(), "i1".to_owned())]);
        let bytes = context::tar(&trial("# about\nFROM debian:bookworm-slim\nUSER agent\n"), certificates, &labels);
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let (path, mode) = (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap());
            let mut content = String::new();
            std::io::Read::read_to_string(&mut entry, &mut content).unwrap();
            (path, mode, content)
        });
        entries.collect::<Vec<_>>()
    };
    let dockerfile = "# about\nFROM debian:bookworm-slim\nLABEL berth.install=\"i1\"\nUSER agent\n";
    let plain = [
        ("Dockerfile".to_owned(), 0o644, dockerfile.to_owned()),
        ("tool".to_owned(), 0o755, "#!/bin/sh\necho tool\n".to_owned()),
        ("certs/".to_owned(), 0o755, String::new()),
    ];
    assert_eq!(entries(&[]), plain);
    let trusting = entries(&authority());
    assert_eq!(trusting[..3], plain);
    assert_eq!(trusting[3].0, format!("certs/berth-{}.crt", &authority()[0].sha256[..16]));
    assert_eq!(trusting[3].2, authority()[0].pem);
}
