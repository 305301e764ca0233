//! Images that lack what a sandbox needs, and images that have something in its way.

use std::collections::BTreeMap;

use camino::Utf8Path;
use engine::{Engine, ImageRef, ImportRequest, LabelFilter, Ownership, Role};
use futures::TryStreamExt;
use testkit::{Op, until};
use wire::{
    ErrorCode, Phase,
    call::CreateAgent,
    task::{Launch, ReviewGate},
};

use crate::scene::{BOUND, Scene};

/// Makes an image of these files and links, and an agent `of` that runs in it.
async fn agent_of(scene: &Scene, of: &str, image: &str, entries: &[(&str, tar::EntryType, &str)]) {
    let mut root = tar::Builder::new(Vec::new());
    for (path, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        if *kind == tar::EntryType::Symlink {
            header.set_size(0);
            root.append_link(&mut header, path, content).unwrap();
        } else {
            header.set_size(content.len() as u64);
            root.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
    }
    let import = ImportRequest {
        root: root.into_inner().unwrap().into(),
        tag: ImageRef::parse(image).unwrap(),
        ownership: Ownership::of_install("somebody-else", Role::Image),
        labels: BTreeMap::new(),
        changes: Vec::new(),
    };
    scene.engine.import(import).await.unwrap();
    let create = CreateAgent {
        name: of.to_owned(),
        image: image.to_owned(),
        launch: Launch::Command { argv: vec!["agent".to_owned()] },
        limits: wire::Limits::default(),
        review: ReviewGate::Skip,
        ..CreateAgent::default()
    };
    scene.api().call(create).await.unwrap();
}

fn adapted() -> LabelFilter {
    LabelFilter::any_install().role(Role::Adapted)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_a_line_for_the_user_is_adapted_once_and_goes_with_its_base() {
    let scene = Scene::without_agent().await;
    let passwd =
        [("etc/", tar::EntryType::Directory, ""), ("etc/passwd", tar::EntryType::Regular, "root:x:0:0::/:/bin/sh\n")];
    agent_of(&scene, "one", "old/image:1", &passwd).await;
    agent_of(&scene, "two", "old/image:1", &passwd).await;
    let base = scene.engine.image(&ImageRef::parse("old/image:1").unwrap()).await.unwrap().unwrap();
    let tasks = [scene.task_of("one", "Work", None).await, scene.task_of("two", "Work", None).await];
    let uid = user();
    for task in &tasks {
        scene.at_work(task).await;
    }
    assert_eq!(scene.engine.count(Op::Commit), 1);
    let images = scene.engine.images(&adapted()).await.unwrap();
    let digest = base.id.as_str().trim_start_matches("sha256:");
    assert_eq!(images[0].repo_tags, [format!("berth/adapted:{digest}-{uid}")]);
    for task in &tasks {
        let name = scene.step(task).await.sandbox.unwrap().container;
        let id = engine::ContainerName::parse(name).unwrap().into();
        let shown = scene.engine.inspect(&id).await.unwrap().unwrap();
        assert_eq!(shown.image, images[0].id.as_str());
        let archive = scene.engine.get_archive(&id, Utf8Path::new("/etc/passwd"), 1 << 20).await.unwrap();
        let archive = archive.try_collect::<Vec<_>>().await.unwrap().concat();
        let text = String::from_utf8_lossy(&archive).into_owned();
        assert!(text.contains("root:x:0:0::/:/bin/sh\nagent:x:"), "{text}");
    }
    // Nothing but the adapted image keeps the base.
    scene.engine.remove_image(&ImageRef::parse("old/image:1").unwrap()).await.unwrap();
    assert_eq!(scene.engine.images(&adapted()).await.unwrap().len(), 1, "it is in use");
    for task in &tasks {
        scene.at_work(task).await.exit_with(0);
        scene.until_phase(task, Phase::Completed).await;
    }
    until("the adapted image to go", BOUND, async || scene.engine.images(&adapted()).await.unwrap().is_empty()).await;
    scene.nothing_is_left().await;
}

/// Whom sandboxes run as (DESIGN §7).
fn user() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    let own = std::fs::metadata("/proc/self").map(|own| own.uid()).unwrap_or_default();
    if own == 0 { 1000 } else { own }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_knows_the_user_is_taken_as_it_is() {
    let scene = Scene::without_agent().await;
    let line = format!("somebody:x:{}:100::/:/bin/sh\n", user());
    let files = [("etc/", tar::EntryType::Directory, ""), ("etc/passwd", tar::EntryType::Regular, line.as_str())];
    agent_of(&scene, "knows", "knowing/image:1", &files).await;
    for _ in 0..2 {
        let task = scene.task_of("knows", "Work", None).await;
        scene.at_work(&task).await.exit_with(0);
        scene.until_phase(&task, Phase::Completed).await;
    }
    assert_eq!(scene.engine.count(Op::Commit), 0);
    let looks =
        scene.engine.calls().into_iter().filter(|call| call.op == Op::GetArchive && call.about == "/etc/passwd");
    assert_eq!(looks.count(), 1, "what was found is remembered");
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_with_something_in_the_way_of_a_mount_is_refused_by_name() {
    let ways = [
        ("berth", tar::EntryType::Symlink, "/workspace", "a link"),
        ("berth", tar::EntryType::Regular, "content", "a file"),
        ("workspace", tar::EntryType::Symlink, "/etc", "a link"),
        ("home", tar::EntryType::Symlink, "/workspace", "a link"),
        ("tmp", tar::EntryType::Regular, "", "a file"),
    ];
    for (number, (path, kind, content, what)) in ways.into_iter().enumerate() {
        let scene = Scene::without_agent().await;
        agent_of(&scene, "odd", &format!("odd/image:{number}"), &[(path, kind, content)]).await;
        let task = scene.task_of("odd", "Work", None).await;
        let error = scene.until_phase(&task, Phase::Failed).await.error.unwrap();
        assert_eq!(error.code, ErrorCode::ImageUnusable, "{error:?}");
        assert!(error.message.contains(what) && error.message.contains(&format!("`/{path}`")), "{error:?}");
        assert_eq!(scene.engine.count(Op::Start), 0);
        scene.nothing_is_left().await;
    }
}
