//! The engine that other tests stop and fill is a machine of its own, and leaves nothing behind.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use berth_tests::{
    OwnEngine,
    docker::Docker,
    own_engine::{DataRoot, LiveRestore},
};

/// An image that every machine with Berth on it has.
const IMAGE: &str = "debian:bookworm-slim";
/// Says that a container is not what the app would make.
const ON_PURPOSE: &str = "berth.run=deviates-on-purpose";

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_of_its_own_sees_nobody_and_ends_with_all_it_had() {
    let engine = OwnEngine::start(LiveRestore::On).await;
    let folder = engine.socket().parent().unwrap().to_owned();
    assert_eq!(engine.docker().run(&["ps", "--all", "--quiet"]), "");
    engine.load(IMAGE);
    let id =
        engine.docker().run(&["run", "--label", ON_PURPOSE, "--detach", "--network", "none", IMAGE, "sleep", "3600"]);
    assert!(Docker::of_this_machine().try_run(&["container", "inspect", id.trim()]).is_err());
    let network = async |path: &str| std::fs::read_link(path).unwrap();
    let said = engine.inside(["readlink", "/proc/self/ns/net"]).output().await.unwrap().stdout;
    assert_ne!(String::from_utf8(said).unwrap().trim(), network("/proc/self/ns/net").await.to_str().unwrap());
    assert!(mentions(&folder.join("containerd.sock")) > 0, "its processes name it");
    drop(engine);
    assert_eq!(mentions(&folder.join("containerd.sock")), 0, "its processes are gone");
    assert!(!folder.exists());
}

/// How many processes have that among their arguments.
fn mentions(path: &camino::Utf8Path) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let argvs = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    argvs.filter(|argv| String::from_utf8_lossy(argv).contains(path.as_str())).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_outlive_a_killed_daemon_with_live_restore_and_not_without() {
    for (live_restore, left) in [(LiveRestore::On, "running"), (LiveRestore::Off, "exited")] {
        let mut engine = OwnEngine::start(live_restore).await;
        engine.load(IMAGE);
        let command = ["run", "--label", ON_PURPOSE, "--detach", "--network", "none", "--name", "it-sleeps", "--init"];
        engine.docker().run(&[&command[..], &[IMAGE, "sleep", "3600"]].concat());
        engine.kill().await;
        engine.docker().try_run(&["version"]).unwrap_err();
        engine.come_back().await;
        let state = engine.docker().run(&["container", "inspect", "--format", "{{.State.Status}}", "it-sleeps"]);
        assert_eq!(state.trim(), left, "{live_restore:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_root_in_memory_is_full_when_its_size_is_used_up() {
    let engine = OwnEngine::start_on(LiveRestore::Off, DataRoot::InMemory { size_bytes: 256 << 20 }).await;
    engine.load(IMAGE);
    let run = ["run", "--label", ON_PURPOSE, "--rm", "--network", "none", IMAGE];
    let fill = ["dd", "if=/dev/zero", "of=/large", "bs=1M", "count=512"];
    let complaint = engine.docker().try_run(&[&run[..], &fill].concat()).unwrap_err();
    assert!(complaint.contains("No space left on device"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_not_as_it_should_be_is_seen_even_if_it_is_gone_at_once() {
    let engine = OwnEngine::start(LiveRestore::Off).await;
    engine.load(IMAGE);
    let label = "berth.install=of-a-test";
    let docker = engine.docker();
    docker.run(&["create", "--label", label, "--label", "berth.role=filler", "--name", "weak", IMAGE, "true"]);
    docker.run(&["start", "weak"]);
    docker.run(&["rm", "--force", "weak"]);
    docker.run(&["create", "--name", "nobodys", IMAGE, "true"]);
    docker.run(&["rm", "nobodys"]);
    docker.run(&["create", "--label", ON_PURPOSE, "--name", "meant", IMAGE, "true"]);
    let report = engine.forget_sightings();
    assert_eq!(report.seen.len(), 3);
    assert!(!report.is_good());
    let complaints = report.complaints();
    for wrong in ["filler weak", "CapDrop", "there is no limit of processor time", "it was started", "none nobodys"] {
        assert!(complaints.iter().any(|complaint| complaint.contains(wrong)), "{wrong:?}: {complaints:#?}");
    }
    assert!(!complaints.iter().any(|complaint| complaint.contains("meant")), "{complaints:#?}");
    assert!(!engine.forget_sightings().is_good(), "who sees nothing has not looked");
}
