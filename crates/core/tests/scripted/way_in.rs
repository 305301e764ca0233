//! How a sandbox is made and entered, so that what is inside cannot get at its guest: as the engine was asked for it.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8Path;
use engine::spec::{Access, FirstUse, LoopbackV6};
use engine::{
    ContainerId, ContainerName, ContainerSpec, Engine, Identity, ImageRef, LabelFilter, Limits, Log, Mount, Network,
    Ownership, Role, RootFilesystem, Seccomp, VolumeName,
};
use futures::TryStreamExt as _;
use serde_json::Value;
use testkit::{Op, until};
use wire::{Phase, call::TaskCreated};

use crate::scene::{BOUND, Scene};

/// The mounts of a task's sandbox, by where they are.
async fn mounts(scene: &Scene, task: &TaskCreated) -> BTreeMap<String, Value> {
    let id = scene.container(task).await;
    let shown = scene.engine.raw_inspect(&id).await.unwrap();
    let mounts = shown["HostConfig"]["Mounts"].as_array().unwrap().iter();
    mounts.map(|mount| (mount["Target"].as_str().unwrap().to_owned(), mount.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guests_volume_is_mounted_read_only_and_takes_nothing_from_an_image() {
    let scene = Scene::start().await;
    let task = scene.task("Look").await;
    scene.at_work(&task).await;
    let guest = &mounts(&scene, &task).await["/berth"];
    assert_eq!((&guest["ReadOnly"], &guest["VolumeOptions"]["NoCopy"]), (&true.into(), &true.into()), "{guest:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sandbox_keeps_its_output_in_a_volume_of_its_own() {
    let scene = Scene::start().await;
    scene.agent("other", wire::task::ReviewGate::Skip).await;
    let (one, other) = (scene.task("One").await, scene.task_of("other", "Other", None).await);
    let mut sources = Vec::new();
    for task in [&one, &other] {
        scene.at_work(task).await;
        let mounts = mounts(&scene, task).await;
        assert_eq!(mounts["/berth/run"]["VolumeOptions"]["NoCopy"], true);
        sources.extend(["/berth/run", "/berth"].map(|target| mounts[target]["Source"].clone()));
    }
    assert_ne!(sources[0], sources[2], "one spool for two sandboxes");
    assert!(sources[0] != sources[1] && sources[2] != sources[3], "a spool in the volume of the guest's program");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_connection_is_the_attach_stream_and_later_ones_are_execs_of_the_connector() {
    let scene = Scene::start().await;
    let task = scene.task("Go in").await;
    let guest = scene.at_work(&task).await;
    assert_eq!(scene.engine.count(Op::Exec), 0, "nothing is exec'd to begin with");
    let calls = scene.engine.calls();
    let last = |op| calls.iter().rposition(|call| call.op == op).unwrap();
    assert!(last(Op::Attach) < last(Op::Start), "attached before the start");
    guest.cut();
    until("it is entered again", BOUND, async || {
        scene.engine.count(Op::Exec) > 0 && scene.step(&task).await.sandbox.is_some_and(|sandbox| sandbox.connected)
    })
    .await;
    assert_eq!(scene.engine.count(Op::Attach), 1, "PID 1's own streams carry one connection");
    guest.exit_with(0);
    scene.until_phase(&task, Phase::Completed).await;
}

/// The guest's volume, and what its program is now.
async fn guest_program(scene: &Scene) -> (VolumeName, Vec<u8>) {
    let volumes = scene.engine.volumes(&LabelFilter::any_install().role(Role::Guest)).await.unwrap();
    let [volume] = &volumes[..] else { panic!("{volumes:?}") };
    let id = through(scene, &volume.name).await;
    let stream = scene.engine.get_archive(&id, Utf8Path::new("/berth/berth-guest"), 1 << 20).await.unwrap();
    let archive: Vec<u8> = stream.try_collect::<Vec<_>>().await.unwrap().concat();
    scene.engine.remove(&id).await.unwrap();
    let mut archive = tar::Archive::new(archive.as_slice());
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut archive.entries().unwrap().next().unwrap().unwrap(), &mut bytes).unwrap();
    (volume.name.clone(), bytes)
}

/// Somebody's container that has that volume, and can write to it.
async fn through(scene: &Scene, volume: &VolumeName) -> ContainerId {
    let target = "/berth".into();
    let spec = ContainerSpec {
        name: ContainerName::parse("somebody").unwrap(),
        image: ImageRef::parse("own/image:1").unwrap(),
        argv: vec!["true".to_owned()],
        env: BTreeMap::new(),
        identity: Identity::user(1000, 1000).unwrap(),
        working_dir: "/".into(),
        hostname: "somebody".to_owned(),
        ownership: Ownership::of_install("somebody-else", Role::Filler),
        mounts: vec![Mount::Volume {
            name: volume.clone(),
            target,
            access: Access::ReadWrite,
            first_use: FirstUse::Empty,
        }],
        tmpfs: Vec::new(),
        limits: Limits { memory_bytes: 16 << 20, cpu_milli: 100, pids: 16, shm_bytes: 1 << 20 },
        network: Network::None { loopback_v6: LoopbackV6::Engine },
        log: Log::None,
        root_filesystem: RootFilesystem::Writable { reason: "a test".to_owned() },
        seccomp: Seccomp::EngineDefault,
        stop_timeout: Duration::from_secs(1),
    };
    scene.engine.create(&spec).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_was_replaced_in_its_volume_is_put_right_at_the_next_start() {
    let mut scene = Scene::start().await;
    let task = scene.task("First").await;
    scene.at_work(&task).await.exit_with(0);
    scene.until_phase(&task, Phase::Completed).await;
    scene.nothing_is_left().await;
    let (volume, honest) = guest_program(&scene).await;
    scene.stop().await;

    let id = through(&scene, &volume).await;
    let mut header = tar::Header::new_gnu();
    let replaced = vec![b'#'; honest.len()];
    header.set_mode(0o111);
    header.set_size(replaced.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "berth-guest", replaced.as_slice()).unwrap();
    let archive = archive.into_inner().unwrap().into();
    scene.engine.put_archive(&id, Utf8Path::new("/berth"), archive).await.unwrap();
    scene.engine.remove(&id).await.unwrap();
    assert_eq!(guest_program(&scene).await.1, replaced);

    scene.start_again().await;
    let task = scene.task("Second").await;
    scene.at_work(&task).await.exit_with(0);
    scene.until_phase(&task, Phase::Completed).await;
    assert_eq!(guest_program(&scene).await.1, honest);
}
