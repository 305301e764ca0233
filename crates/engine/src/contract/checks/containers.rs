//! Containers from creation to removal.

use std::time::Duration;

use camino::Utf8Path;
use futures::StreamExt;

use super::{ended, kind};
use crate::container::EventObject;
use crate::contract::hardening::{Declared, ON_PURPOSE, violations, violations_of};
use crate::contract::{Subject, unique};
use crate::spec::{Access, FirstUse, HostFolder, HostRules};
use crate::{
    ContainerState, ErrorKind, ExecSpec, Identity, ImageRef, LabelFilter, Log, Mount, Role, RootFilesystem, Seccomp,
    Signal, VolumeName,
};

/// A profile that lets programs run; over several lines, as in a file.
const ALLOWING: &str = "{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\",\n  \"syscalls\": [\n    {\"names\": [\"ptrace\"], \"action\": \"SCMP_ACT_ERRNO\"}\n  ]\n}\n";

/// Bound on what an engine reports of its own accord.
const EVENT_BOUND: Duration = Duration::from_secs(20);

/// Inspect, list and removal agree on what there is.
pub async fn a_created_container_is_inspected_listed_and_removed_twice(subject: &Subject) {
    let spec = subject.spec(&["true"]);
    let id = subject.create(&spec).await;
    let container = subject.container(&id).await;
    assert_eq!(container.state, ContainerState::Created);
    assert_eq!(container.name, spec.name.as_str());
    assert_eq!(container.image, spec.image.as_str());
    assert_eq!(container.ownership(), Some(subject.ownership(Role::Sandbox)));
    assert_eq!((container.created_at.is_some(), container.started_at), (true, None));
    assert_eq!(subject.container(&spec.name.into()).await.id, id, "a name finds it too");

    let filter = LabelFilter::install(&subject.install).role(Role::Sandbox).sandbox("sandbox");
    let listed = subject.engine.containers(&filter).await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(
        (&listed[0].id, &listed[0].state, listed[0].ownership()),
        (&id, &ContainerState::Created, container.ownership())
    );
    assert!(subject.engine.containers(&filter.sandbox("another")).await.unwrap().is_empty());

    subject.engine.remove(&id).await.unwrap();
    subject.engine.remove(&id).await.unwrap();
    assert_eq!(subject.engine.inspect(&id).await.unwrap(), None);
    assert_eq!(kind(subject.engine.raw_inspect(&id).await), ErrorKind::Gone);
}

/// What can be spelled is hardened, and what is declared is seen as declared and no more.
pub async fn every_kind_of_container_is_hardened(subject: &Subject) {
    let volume = subject.volume().await;
    let mounts = vec![Mount::Volume {
        name: volume,
        target: "/home/agent".into(),
        access: Access::ReadWrite,
        first_use: FirstUse::CopyImage,
    }];
    let mut spec = subject.spec(&["true"]);
    spec.log = Log::Rotated;
    spec.mounts.clone_from(&mounts);
    subject.create(&spec).await;

    let mut writable = subject.spec(&["true"]);
    writable.ownership.run = Some(ON_PURPOSE.into());
    writable.root_filesystem = RootFilesystem::Writable { reason: "its image says why".into() };
    let id = subject.engine.create(&writable).await.unwrap();
    let raw = subject.engine.raw_inspect(&id).await.unwrap();
    assert_eq!(violations(&raw), ["the root file system is writable"]);
    let declared = Declared { writable_root: true, ..Declared::default() };
    assert_eq!(violations_of(&raw, &declared), Vec::<String>::new());
    let declared = Declared { is_never_started: true, ..Declared::default() };
    assert_eq!(violations_of(&raw, &declared), Vec::<String>::new());

    let mut root_inside = subject.spec(&["true"]);
    root_inside.ownership.run = Some(ON_PURPOSE.into());
    root_inside.identity = Identity::RootInside;
    root_inside.mounts = mounts;
    let id = subject.engine.create(&root_inside).await.unwrap();
    let raw = subject.engine.raw_inspect(&id).await.unwrap();
    assert_eq!(violations(&raw).len(), 2, "capabilities and user: {:?}", violations(&raw));
    let declared = Declared { root_inside: true, ..Declared::default() };
    assert_eq!(violations_of(&raw, &declared), Vec::<String>::new());
}

/// The engine shows it as it was asked for, so that its hash says which it is; and a container with it runs.
pub async fn a_profile_of_its_own_is_declared_by_its_hash(subject: &Subject) {
    let mut spec = subject.spec(&["true"]);
    spec.ownership.run = Some(ON_PURPOSE.into());
    spec.limits.shm_bytes = 2 << 20;
    spec.seccomp = Seccomp::Profile { json: ALLOWING.into() };
    let id = subject.create(&spec).await;
    let raw = subject.engine.raw_inspect(&id).await.unwrap();
    assert_eq!(raw["HostConfig"]["ShmSize"], 2 << 20);
    assert_eq!(violations(&raw).len(), 1, "{:?}", violations(&raw));
    let other = Declared { seccomp_sha256: Some("0".repeat(64)), ..Declared::default() };
    assert_eq!(violations_of(&raw, &other).len(), 1, "another profile was declared");
    subject.engine.start(&id).await.unwrap();
    assert_eq!(ended(subject.engine.wait(&id).await.unwrap()).code, Some(0));
}

/// Whoever asks for a weaker one instead must know that it was the profile.
pub async fn a_refused_profile_is_told_from_other_refusals(subject: &Subject) {
    let mut spec = subject.spec(&["true"]);
    spec.ownership.run = Some(ON_PURPOSE.into());
    spec.seccomp = Seccomp::Profile { json: r#"{"defaultAction":"SCMP_ACT_NONSENSE"}"#.into() };
    // Engines differ in when they look at it.
    let error = match subject.engine.create(&spec).await {
        Ok(id) => subject.engine.start(&id).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::ProfileRefused, "{error}");
    let mut missing = subject.spec(&["no-such-seccomp-program"]);
    missing.ownership.run = Some(ON_PURPOSE.into());
    let id = subject.engine.create(&missing).await.unwrap();
    assert_eq!(kind(subject.engine.start(&id).await), ErrorKind::Denied, "it has the engine's own profile");
    for profile in ["unconfined", "/etc/passwd", "[]", ""] {
        let mut spec = subject.spec(&["true"]);
        spec.seccomp = Seccomp::Profile { json: profile.into() };
        assert_eq!(kind(subject.engine.create(&spec).await), ErrorKind::Denied, "{profile:?}");
    }
}

/// The second of a name is refused, and the first is as it was.
pub async fn a_name_is_taken_once(subject: &Subject) {
    let spec = subject.spec(&["true"]);
    let id = subject.create(&spec).await;
    assert_eq!(kind(subject.engine.create(&spec).await), ErrorKind::Conflict);
    assert_eq!(subject.container(&spec.name.into()).await.id, id);
}

/// Nothing is pulled behind anyone's back.
pub async fn a_missing_image_is_gone(subject: &Subject) {
    let mut spec = subject.spec(&["true"]);
    spec.image = ImageRef::parse(format!("berth-contract/{}:absent", unique("image"))).unwrap();
    let error = subject.engine.create(&spec).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
    assert!(error.to_string().contains(spec.image.as_str()), "{error}");
}

/// A lost home does not come back empty and unnoticed.
pub async fn a_missing_volume_is_gone_and_is_not_made(subject: &Subject) {
    let name = VolumeName::parse(unique("berth-contract")).unwrap();
    let mut spec = subject.spec(&["true"]);
    let access = Access::ReadWrite;
    spec.mounts =
        vec![Mount::Volume { name: name.clone(), target: "/home/agent".into(), access, first_use: FirstUse::Empty }];
    let error = subject.engine.create(&spec).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
    assert!(error.to_string().contains(name.as_str()), "{error}");
    assert_eq!(subject.engine.volume(&name).await.unwrap(), None);
}

/// Root inside could leave a setuid file in a host folder.
pub async fn root_inside_with_a_workspace_is_denied(subject: &Subject) {
    let folder = std::env::temp_dir().canonicalize().unwrap().join(unique("berth-contract"));
    std::fs::create_dir(&folder).unwrap();
    let path = Utf8Path::from_path(&folder).unwrap();
    let workspace = HostFolder::check(path, HostRules::default()).unwrap();
    let mut spec = subject.spec(&["true"]);
    spec.identity = Identity::RootInside;
    spec.mounts = vec![Mount::Workspace { folder: workspace, target: "/workspace".into() }];
    let outcome = subject.engine.create(&spec).await;
    std::fs::remove_dir(&folder).unwrap();
    assert_eq!(kind(outcome), ErrorKind::Denied);
    assert_eq!(subject.engine.inspect(&spec.name.into()).await.unwrap(), None);
}

/// The code is PID 1's own.
pub async fn an_exit_code_is_kept(subject: &Subject) {
    for (argv, code) in [(vec!["true"], 0), (vec!["sh", "-c", "exit 7"], 7)] {
        let id = subject.start(&argv).await;
        let exit = ended(subject.engine.wait(&id).await.unwrap());
        assert_eq!((exit.code, exit.oom_killed), (Some(code), false), "{argv:?}");
        assert!(exit.finished_at.is_some());
        let container = subject.container(&id).await;
        assert_eq!(container.state, ContainerState::Exited(exit));
        assert!(container.started_at.is_some());
    }
}

/// It is not running: there is nothing to wait for, and nobody may take it for success.
pub async fn waiting_for_one_that_never_started_returns_at_once(subject: &Subject) {
    let id = subject.create(&subject.spec(&["true"])).await;
    assert_eq!(subject.engine.wait(&id).await.unwrap(), ContainerState::Created);
    subject.engine.remove(&id).await.unwrap();
    assert_eq!(kind(subject.engine.wait(&id).await), ErrorKind::Gone);
}

/// Every effect may run twice.
pub async fn starting_one_that_runs_is_success(subject: &Subject) {
    let id = subject.start(&["sleep", "600"]).await;
    let before = subject.container(&id).await;
    assert_eq!(before.state, ContainerState::Running);
    subject.engine.start(&id).await.unwrap();
    assert_eq!(subject.container(&id).await, before);
}

/// 137 says KILL, and only the kernel's word says memory.
pub async fn a_kill_is_137_and_not_out_of_memory(subject: &Subject) {
    let id = subject.start(&["sleep", "600"]).await;
    let waiting = subject.engine.wait(&id);
    let killing = subject.engine.kill(&id, Signal::Kill);
    let (state, killed) = tokio::join!(waiting, killing);
    killed.unwrap();
    let exit = ended(state.unwrap());
    assert_eq!((exit.code, exit.oom_killed), (Some(137), false));
}

/// The caller learns that nobody got it.
pub async fn a_signal_to_one_that_does_not_run_is_a_conflict(subject: &Subject) {
    let id = subject.create(&subject.spec(&["true"])).await;
    assert_eq!(kind(subject.engine.kill(&id, Signal::Term).await), ErrorKind::Conflict);
    subject.engine.remove(&id).await.unwrap();
    assert_eq!(kind(subject.engine.kill(&id, Signal::Term).await), ErrorKind::Gone);
}

/// PID 1 without a handler ignores TERM: only KILL ends it. A second stop finds its work done.
pub async fn stop_waits_for_its_grace_and_then_kills(subject: &Subject) {
    let id = subject.start(&["sleep", "600"]).await;
    let started = std::time::Instant::now();
    subject.engine.stop(&id, Duration::from_secs(1)).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(ended(subject.container(&id).await.state).code, Some(137));
    subject.engine.stop(&id, Duration::from_secs(1)).await.unwrap();
}

/// No second call is needed to be rid of it.
pub async fn removing_one_that_runs_ends_it(subject: &Subject) {
    let id = subject.start(&["sleep", "600"]).await;
    subject.engine.remove(&id).await.unwrap();
    assert_eq!(subject.engine.inspect(&id).await.unwrap(), None);
}

/// The engine's words reach the caller, and the container can still be looked at and removed.
pub async fn a_program_that_is_not_there_is_told_at_start(subject: &Subject) {
    let id = subject.create(&subject.spec(&["no-such-program"])).await;
    let error = subject.engine.start(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.detail().contains("no-such-program"), "{error}");
    assert!(!subject.container(&id).await.state.is_alive());
    subject.engine.remove(&id).await.unwrap();
}

/// A sample of nothing is no sample.
pub async fn use_is_measured_while_it_runs_and_a_conflict_after(subject: &Subject) {
    let id = subject.start(&["sleep", "600"]).await;
    let stats = subject.engine.stats(&id).await.unwrap();
    assert_eq!((stats.memory_limit_bytes, stats.pids), (64 << 20, 1), "{stats:?}");
    assert!(stats.memory_bytes < stats.memory_limit_bytes, "{stats:?}");
    let later = subject.engine.stats(&id).await.unwrap();
    assert!(
        0 < stats.cpu_total_ns && stats.cpu_total_ns <= later.cpu_total_ns,
        "a counter of the container's: {stats:?} {later:?}"
    );
    subject.engine.kill(&id, Signal::Kill).await.unwrap();
    subject.engine.wait(&id).await.unwrap();
    assert_eq!(kind(subject.engine.stats(&id).await), ErrorKind::Conflict);
}

/// A start after the subscription is heard of; what carries another label is not.
pub async fn events_tell_of_a_labelled_container(subject: &Subject) {
    let mut events = subject.engine.events(&LabelFilter::install(&subject.install).role(Role::Spool)).await.unwrap();
    subject.start(&["true"]).await;
    let mut spec = subject.spec(&["true"]);
    spec.ownership = subject.ownership(Role::Spool);
    let id = subject.create(&spec).await;
    subject.engine.start(&id).await.unwrap();
    loop {
        let event = tokio::time::timeout(EVENT_BOUND, events.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(event.id, id.as_str(), "{event:?}");
        if event.object == EventObject::Container && event.action == "start" {
            break;
        }
    }
}

/// Frozen it is alive and takes no exec; both calls may be made twice.
pub async fn a_paused_one_is_shown_so_and_goes_on(subject: &Subject) {
    let id = subject.start(&["sleep", "600"]).await;
    subject.engine.unpause(&id).await.unwrap();
    for _ in 0..2 {
        subject.engine.pause(&id).await.unwrap();
        assert_eq!(subject.container(&id).await.state, ContainerState::Paused);
    }
    assert!(subject.container(&id).await.state.is_alive());
    assert_eq!(kind(subject.engine.exec(&id, &ExecSpec::new(["true"])).await), ErrorKind::Conflict);
    for _ in 0..2 {
        subject.engine.unpause(&id).await.unwrap();
        assert_eq!(subject.container(&id).await.state, ContainerState::Running);
    }
    subject.engine.exec(&id, &ExecSpec::new(["true"])).await.unwrap();
    subject.engine.kill(&id, Signal::Kill).await.unwrap();
    subject.engine.wait(&id).await.unwrap();
    assert_eq!(kind(subject.engine.unpause(&id).await), ErrorKind::Conflict);
    subject.engine.remove(&id).await.unwrap();
    assert_eq!(kind(subject.engine.unpause(&id).await), ErrorKind::Gone);
    assert_eq!(kind(subject.engine.pause(&id).await), ErrorKind::Gone);
}

/// A frozen process dies of KILL all the same.
pub async fn a_paused_one_can_be_ended(subject: &Subject) {
    let id = subject.start(&["sleep", "600"]).await;
    subject.engine.pause(&id).await.unwrap();
    subject.engine.kill(&id, Signal::Kill).await.unwrap();
    assert_eq!(ended(subject.engine.wait(&id).await.unwrap()).code, Some(137));
    let id = subject.start(&["sleep", "600"]).await;
    subject.engine.pause(&id).await.unwrap();
    subject.engine.remove(&id).await.unwrap();
    assert_eq!(subject.engine.inspect(&id).await.unwrap(), None);
}
