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

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_of_its_own_sees_nobody_and_ends_with_all_it_had() {
    let engine = OwnEngine::start(LiveRestore::On).await;
    let folder = engine.socket().parent().unwrap().to_owned();
    assert_eq!(engine.docker().run(&["ps", "--all", "--quiet"]), "");
    engine.load(IMAGE);
    let id = engine.docker().run(&["run", "--detach", "--network", "none", IMAGE, "sleep", "3600"]);
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
        let command = ["run", "--detach", "--network", "none", "--name", "it-sleeps", "--init", IMAGE, "sleep", "3600"];
        engine.docker().run(&command);
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
    let fill = ["run", "--rm", "--network", "none", IMAGE, "dd", "if=/dev/zero", "of=/large", "bs=1M", "count=512"];
    let complaint = engine.docker().try_run(&fill).unwrap_err();
    assert!(complaint.contains("No space left on device"), "{complaint}");
}
