//! What every [`Engine`] must hold, the real one and the scripted one alike: a suite of facts, each a test of its own.
//!
//! A crate that has an engine to test writes one function that makes a [`Subject`] and calls
//! [`contract_tests!`](crate::contract_tests) with it. Every check works on objects of its own, labelled with an installation
//! that no other check has, and all of them are removed at the end, also when the check fails.
//!
//! The programs that an engine's containers must be able to run for it, from the image of [`base_image_tar`], are: `true`, `cat`,
//! `sleep N`, and `sh -c` with `exit N`, `echo TEXT` or `echo TEXT >&2`.
//!
//! This module is made of assertions: it is for tests alone, behind the feature `contract`.

#![allow(clippy::missing_panics_doc, reason = "every function here is an assertion")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed check is a panic")]

pub mod checks;
pub mod hardening;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;

use crate::archive::ArchiveBody;
use crate::docker::DockerEngine;
use crate::find::{Environment, RealFiles, find};
use crate::spec::LoopbackV6;
use crate::{
    Container, ContainerId, ContainerName, ContainerSpec, Engine, Identity, Image, ImageRef, ImportRequest,
    LabelFilter, Limits, Log, Network, Ownership, Role, RootFilesystem, Seccomp, Tmpfs, VolumeName,
};

/// Bound on one check, its cleaning up apart.
const CHECK_BOUND: Duration = Duration::from_mins(2);
/// The static program that the base image of a real engine consists of.
const BUSYBOX: &str = "/bin/busybox";
/// The user that the checks' containers run as.
pub const UID: u32 = 1000;

/// An engine under test, with an installation of its own.
pub struct Subject {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Labels every object of this check.
    pub install: String,
    /// An image with the programs that the checks need; imported for this check alone.
    pub base: ImageRef,
}

impl Subject {
    /// Makes a subject on `engine` and imports `base_tar` (see [`base_image_tar`]) for it.
    pub async fn new(engine: Arc<dyn Engine>, base_tar: Bytes) -> Self {
        let install = unique("contract");
        let base = ImageRef::parse(format!("berth-contract/{install}:base")).unwrap();
        let request = ImportRequest {
            root: ArchiveBody::Bytes(base_tar),
            tag: base.clone(),
            ownership: Ownership::of_install(&install, Role::Image),
            labels: BTreeMap::new(),
            changes: vec!["ENV PATH=/bin".into(), "CMD [\"true\"]".into()],
        };
        engine.import(request).await.unwrap();
        Self { engine, install, base }
    }

    /// A subject on the engine that this machine has, found as the app finds it (any `DOCKER_HOST`). Says what is missing,
    /// and fails.
    pub async fn of_this_machine() -> Self {
        let candidates =
            find(&Environment::of_this_process(None), &RealFiles).unwrap_or_else(|error| panic!("{error}"));
        let engine = DockerEngine::connect_first(&candidates).await.unwrap_or_else(|error| panic!("{error}"));
        let busybox = std::fs::read(BUSYBOX)
            .unwrap_or_else(|error| panic!("{BUSYBOX} cannot be read ({error}): install the package busybox-static"));
        Self::new(Arc::new(engine), base_image_tar(&busybox)).await
    }

    /// Whose the objects of this check are.
    pub fn ownership(&self, role: Role) -> Ownership {
        Ownership {
            install: self.install.clone(),
            sandbox: Some("sandbox".into()),
            run: Some("run".into()),
            agent: Some("agent".into()),
            role,
        }
    }

    /// A hardened container that runs `argv`.
    pub fn spec(&self, argv: &[&str]) -> ContainerSpec {
        ContainerSpec {
            name: ContainerName::parse(unique("berth-contract")).unwrap(),
            image: self.base.clone(),
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
            env: BTreeMap::new(),
            identity: Identity::user(UID, UID).unwrap(),
            working_dir: "/".into(),
            hostname: "sandbox".into(),
            ownership: self.ownership(Role::Sandbox),
            mounts: Vec::new(),
            tmpfs: Tmpfs::usual(16 << 20),
            limits: Limits { memory_bytes: 64 << 20, cpu_milli: 1000, pids: 32, shm_bytes: 1 << 20 },
            network: Network::None { loopback_v6: LoopbackV6::On },
            log: Log::None,
            root_filesystem: RootFilesystem::ReadOnly,
            seccomp: Seccomp::EngineDefault,
            stop_timeout: Duration::from_secs(1),
        }
    }

    /// A volume of this check, which is there.
    pub async fn volume(&self) -> VolumeName {
        let name = VolumeName::parse(unique("berth-contract")).unwrap();
        self.engine.create_volume(&name, &self.ownership(Role::Home)).await.unwrap();
        name
    }

    /// Whose what serves the sandbox of that name alone is: networks are named after sandboxes, so each check needs its own.
    pub fn ownership_of(&self, sandbox: &str, role: Role) -> Ownership {
        Ownership { sandbox: Some(sandbox.to_owned()), ..self.ownership(role) }
    }

    /// A hardened container of that sandbox that runs `argv` on the sandbox's network, which is for the caller to make.
    pub fn spec_on_network(&self, sandbox: &str, argv: &[&str]) -> ContainerSpec {
        ContainerSpec {
            ownership: self.ownership_of(sandbox, Role::Sandbox),
            network: Network::OfSandbox { loopback_v6: LoopbackV6::On },
            ..self.spec(argv)
        }
    }

    /// A container of this check, created, and hardened or the check fails.
    pub async fn create(&self, spec: &ContainerSpec) -> ContainerId {
        let id = self.engine.create(spec).await.unwrap();
        let raw = self.engine.raw_inspect(&id).await.unwrap();
        let has_network = matches!(spec.network, Network::OfSandbox { .. });
        let declared = hardening::Declared {
            has_network,
            seccomp_sha256: spec.seccomp.sha256(),
            ..hardening::Declared::default()
        };
        assert_eq!(hardening::violations_of(&raw, &declared), Vec::<String>::new(), "{raw:#}");
        id
    }

    /// A container of this check that was started.
    pub async fn start(&self, argv: &[&str]) -> ContainerId {
        let id = self.create(&self.spec(argv)).await;
        self.engine.start(&id).await.unwrap();
        id
    }

    /// The container, which is there.
    pub async fn container(&self, id: &ContainerId) -> Container {
        self.engine.inspect(id).await.unwrap().unwrap()
    }

    /// The base image.
    pub async fn image(&self) -> Image {
        self.engine.image(&self.base).await.unwrap().unwrap()
    }
}

/// Runs one check within its bound and removes what it made, whatever became of it.
pub async fn run(subject: Subject, check: impl AsyncFnOnce(&Subject)) {
    let outcome = AssertUnwindSafe(tokio::time::timeout(CHECK_BOUND, check(&subject))).catch_unwind().await;
    let left = remove_everything(subject.engine.as_ref(), &subject.install).await;
    match outcome {
        Ok(in_time) => assert!(in_time.is_ok(), "the check did not end within {CHECK_BOUND:?}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
    assert_eq!(left, Vec::<String>::new(), "something could not be removed");
}

/// Removes every object of an installation; says what could not be removed.
pub async fn remove_everything(engine: &dyn Engine, install: &str) -> Vec<String> {
    let filter = LabelFilter::install(install);
    let mut left = Vec::new();
    let mut note = |outcome: crate::Result<()>| left.extend(outcome.err().map(|error| error.to_string()));
    for container in engine.containers(&filter).await.unwrap_or_default() {
        note(engine.remove(&container.id).await);
    }
    for network in engine.networks(&filter).await.unwrap_or_default() {
        note(engine.remove_network(&network.name).await);
    }
    for volume in engine.volumes(&filter).await.unwrap_or_default() {
        note(engine.remove_volume(&volume.name).await);
    }
    for image in engine.images(&filter).await.unwrap_or_default() {
        let tags =
            image.repo_tags.iter().filter(|tag| !tag.contains("<none>")).filter_map(|tag| ImageRef::parse(tag).ok());
        let names: Vec<ImageRef> = tags.collect();
        let names = if names.is_empty() { vec![image.id.into()] } else { names };
        for name in names {
            note(engine.remove_image(&name).await);
        }
    }
    left
}

/// A text that no other call on this machine returns.
pub fn unique(prefix: &str) -> String {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{prefix}-{:x}-{:x}-{:x}", since.as_nanos(), std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed))
}

/// The image of the checks: `busybox` (a static one), a few of its names in `/bin`, a user, a home with a file in it, and a
/// `/berth` of its own, as a hostile image might bring.
pub fn base_image_tar(busybox: &[u8]) -> Bytes {
    let mut tar = Tar::default().file("bin/busybox", 0o755, 0, busybox);
    for name in [
        "sh", "true", "cat", "sleep", "id", "ls", "stat", "tail", "nc", "hostname", "nslookup", "ping", "dd", "grep",
        "echo", "wget", "sed",
    ] {
        tar = tar.link(&format!("bin/{name}"), "/bin/busybox");
    }
    tar.folder("etc", 0o755, 0)
        .file("etc/passwd", 0o644, 0, b"root:x:0:0::/:/bin/sh\nagent:x:1000:1000::/home/agent:/bin/sh\n")
        .file("etc/group", 0o644, 0, b"root:x:0:\nagent:x:1000:\n")
        .folder("home/agent", 0o755, UID)
        .file("home/agent/from-image", 0o644, UID, b"image")
        .folder("berth", 0o755, 0)
        .file("berth/guest", 0o755, 0, b"hostile")
        .folder("tmp", 0o777, 0)
        .folder("run", 0o755, 0)
        .finish()
}

/// A tar in the making, with owners and modes said.
pub struct Tar(tar::Builder<Vec<u8>>);

impl Default for Tar {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl Tar {
    /// Adds a file owned by `owner` (user and group).
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, owner: u32, content: &[u8]) -> Self {
        let mut header = header(mode, owner, tar::EntryType::Regular);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, path, content).unwrap();
        self
    }

    /// Adds a folder.
    #[must_use]
    pub fn folder(mut self, path: &str, mode: u32, owner: u32) -> Self {
        let mut header = header(mode, owner, tar::EntryType::Directory);
        self.0.append_data(&mut header, path, std::io::empty()).unwrap();
        self
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(mut self, path: &str, target: &str) -> Self {
        let mut header = header(0o777, 0, tar::EntryType::Symlink);
        self.0.append_link(&mut header, path, target).unwrap();
        self
    }

    /// The whole.
    pub fn finish(self) -> Bytes {
        self.0.into_inner().unwrap().into()
    }
}

fn header(mode: u32, owner: u32, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner.into());
    header.set_gid(owner.into());
    header.set_mtime(1_700_000_000);
    header.set_size(0);
    header
}

/// What an engine would show for a container of `spec`, as far as the request decides it: for a scripted engine's
/// [`raw_inspect`](Engine::raw_inspect), so that its containers are held to the same rules as real ones.
pub fn inspect_json(spec: &ContainerSpec, image: &Image) -> crate::Result<serde_json::Value> {
    crate::docker::inspect_json(spec, image)
}

/// Makes a test of every check of the contract. `$subject` is an async function that makes a [`Subject`](contract::Subject).
#[macro_export]
macro_rules! contract_tests {
    ($subject:path) => {
        $crate::contract_tests! { $subject;
            facts::the_engine_answers_and_says_what_it_is,
            images::an_imported_image_carries_its_labels_and_changes,
            images::an_image_that_is_not_there_is_none_and_removing_it_succeeds,
            images::a_committed_image_keeps_the_base_and_adds_the_change,
            images::a_build_reports_its_steps_and_labels_its_image,
            images::a_failing_build_is_denied_with_what_the_instruction_said,
            images::a_build_takes_what_was_done_before_unless_it_shall_not,
            images::an_image_can_have_further_names,
            images::an_image_in_use_is_a_conflict,
            volumes::a_volume_is_made_once_and_found_by_its_labels,
            volumes::a_volume_of_another_owner_is_a_conflict,
            volumes::a_volume_in_use_is_a_conflict_and_an_absent_one_removed,
            volumes::an_empty_volume_takes_nothing_from_a_hostile_image,
            volumes::a_volume_may_start_as_a_copy_of_the_image,
            volumes::a_volume_that_the_image_declares_has_an_owner_and_goes_with_its_container,
            networks::a_network_is_made_once_and_found_by_its_labels,
            networks::those_who_make_one_at_once_make_one,
            networks::a_network_of_another_owner_is_a_conflict_and_nobody_elses_is_made,
            networks::a_network_in_use_is_a_conflict_and_an_absent_one_removed,
            networks::a_container_is_on_the_network_of_its_own_sandbox_and_no_other,
            networks::a_missing_network_is_gone_and_is_not_made,
            networks::a_container_whose_network_went_does_not_start,
            containers::a_created_container_is_inspected_listed_and_removed_twice,
            containers::every_kind_of_container_is_hardened,
            containers::a_profile_of_its_own_is_declared_by_its_hash,
            containers::a_refused_profile_is_told_from_other_refusals,
            containers::a_name_is_taken_once,
            containers::a_missing_image_is_gone,
            containers::a_missing_volume_is_gone_and_is_not_made,
            containers::root_inside_with_a_workspace_is_denied,
            containers::an_exit_code_is_kept,
            containers::waiting_for_one_that_never_started_returns_at_once,
            containers::starting_one_that_runs_is_success,
            containers::a_kill_is_137_and_not_out_of_memory,
            containers::a_signal_to_one_that_does_not_run_is_a_conflict,
            containers::stop_waits_for_its_grace_and_then_kills,
            containers::a_paused_one_is_shown_so_and_goes_on,
            containers::a_paused_one_can_be_ended,
            containers::removing_one_that_runs_ends_it,
            containers::a_program_that_is_not_there_is_told_at_start,
            containers::use_is_measured_while_it_runs_and_a_conflict_after,
            containers::events_tell_of_a_labelled_container,
            streams::attaching_before_start_misses_nothing,
            streams::every_byte_comes_back_through_cat,
            streams::standard_error_is_kept_apart,
            streams::attaching_to_nothing_is_gone,
            streams::an_exec_has_streams_and_an_exit_code,
            streams::an_exec_of_a_program_that_is_not_there_ends_with_126_or_127,
            streams::an_exec_where_nothing_runs_is_a_conflict,
            files::an_archive_keeps_owners_and_modes_in_a_container_that_never_starts,
            files::a_read_only_root_takes_no_archive,
            files::an_archive_out_is_bounded_and_a_missing_path_is_gone,
            files::the_empty_image_fills_a_volume,
        }
    };
    ($subject:path; $($group:ident::$check:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $check() {
                let subject = $subject().await;
                $crate::contract::run(subject, $crate::contract::checks::$group::$check).await;
            }
        )+
    };
}
