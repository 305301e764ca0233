//! Archives in and out.

use std::io::Read;
use std::time::Duration;

use camino::Utf8Path;
use futures::{StreamExt, TryStreamExt};

use super::kind;
use crate::archive::empty_image_tar;
use crate::contract::{Subject, Tar, UID, unique};
use crate::spec::{Access, FirstUse};
use crate::{ContainerId, ErrorKind, ImageRef, ImportRequest, Mount, Ownership, Role, VolumeName};

/// How much of an archive the checks read.
const ARCHIVE_BYTES_MAX: u64 = 1 << 20;

/// Path, permissions, user, group and content of each entry that is a file.
async fn files(subject: &Subject, id: &ContainerId, path: &str) -> Vec<(String, u32, u64, u64, Vec<u8>)> {
    let stream = subject.engine.get_archive(id, Utf8Path::new(path), ARCHIVE_BYTES_MAX).await.unwrap();
    let bytes = stream.try_collect::<Vec<_>>().await.unwrap().concat();
    let mut found = Vec::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let header = entry.header();
            let owner = (header.mode().unwrap() & 0o7777, header.uid().unwrap(), header.gid().unwrap());
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.push((name, owner.0, owner.1, owner.2, content));
        }
    }
    found
}

fn mount(name: &VolumeName, access: Access) -> Mount {
    Mount::Volume { name: name.clone(), target: "/home/agent".into(), access, first_use: FirstUse::Empty }
}

/// This is how homes are seeded and the guest is laid down, without a helper that runs as root.
pub async fn an_archive_keeps_owners_and_modes_in_a_container_that_never_starts(subject: &Subject) {
    let volume = subject.volume().await;
    let mut spec = subject.spec(&["never-started"]);
    spec.mounts = vec![mount(&volume, Access::ReadWrite)];
    let filler = subject.create(&spec).await;
    let tar = Tar::default()
        .folder("clawvault", 0o750, UID)
        .file("clawvault/note", 0o640, UID, b"remember")
        .file("guest", 0o111, 0, b"program")
        .finish();
    for _ in 0..2 {
        subject.engine.put_archive(&filler, Utf8Path::new("/home/agent"), tar.clone().into()).await.unwrap();
    }
    subject.engine.remove(&filler).await.unwrap();

    let mut spec = subject.spec(&["never-started"]);
    spec.mounts = vec![mount(&volume, Access::ReadOnly)];
    let reader = subject.create(&spec).await;
    let uid = u64::from(UID);
    assert_eq!(
        files(subject, &reader, "/home/agent/clawvault").await,
        [("clawvault/note".to_owned(), 0o640, uid, uid, b"remember".to_vec())]
    );
    assert_eq!(
        files(subject, &reader, "/home/agent/guest").await,
        [("guest".to_owned(), 0o111, 0, 0, b"program".to_vec())]
    );
}

/// What cannot be written from inside cannot be written from outside either.
pub async fn a_read_only_root_takes_no_archive(subject: &Subject) {
    let volume = subject.volume().await;
    let mut spec = subject.spec(&["never-started"]);
    spec.mounts = vec![mount(&volume, Access::ReadOnly)];
    let id = subject.create(&spec).await;
    let tar = Tar::default().file("planted", 0o755, 0, b"x").finish();
    for path in ["/etc", "/home/agent"] {
        let outcome = subject.engine.put_archive(&id, Utf8Path::new(path), tar.clone().into()).await;
        // Newer engines refuse with 403; 20.10 answers 500, which nobody can tell from a failure.
        assert!(matches!(kind(outcome), ErrorKind::Denied | ErrorKind::Broken), "{path}");
        let planted = Utf8Path::new(path).join("planted");
        assert_eq!(kind(subject.engine.get_archive(&id, &planted, 1).await), ErrorKind::Gone);
    }
    let tar = Tar::default().file("planted", 0o755, 0, b"x").finish();
    let outcome = subject.engine.put_archive(&id, Utf8Path::new("/no/such/folder"), tar.into()).await;
    assert_eq!(kind(outcome), ErrorKind::Gone);
}

/// A sandbox cannot make the app read without end.
pub async fn an_archive_out_is_bounded_and_a_missing_path_is_gone(subject: &Subject) {
    let volume = subject.volume().await;
    let mut spec = subject.spec(&["never-started"]);
    spec.mounts = vec![mount(&volume, Access::ReadWrite)];
    let id = subject.create(&spec).await;
    let tar = Tar::default().file("large", 0o644, UID, &vec![7; 300_000]).finish();
    subject.engine.put_archive(&id, Utf8Path::new("/home/agent"), tar.into()).await.unwrap();
    let large = Utf8Path::new("/home/agent/large");
    let mut stream = subject.engine.get_archive(&id, large, 100_000).await.unwrap();
    let mut passed = 0;
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(chunk) => passed += chunk.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(passed <= 100_000, "{passed}");
    assert!(stream.next().await.is_none(), "after the refusal there is no more");

    let missing = Utf8Path::new("/home/agent/missing");
    assert_eq!(kind(subject.engine.get_archive(&id, missing, 1).await), ErrorKind::Gone);
    subject.engine.remove(&id).await.unwrap();
    assert_eq!(kind(subject.engine.get_archive(&id, large, 1).await), ErrorKind::Gone);
}

/// The guest's volume is filled without trusting any image: a container of nothing, never started.
pub async fn the_empty_image_fills_a_volume(subject: &Subject) {
    let tag = ImageRef::parse(format!("berth-contract/{}:empty", unique("image"))).unwrap();
    let request = ImportRequest {
        root: empty_image_tar(),
        tag: tag.clone(),
        ownership: Ownership::of_install(&subject.install, Role::Image),
        labels: std::collections::BTreeMap::new(),
        changes: Vec::new(),
    };
    subject.engine.import(request).await.unwrap();
    let volume = subject.volume().await;
    let mut spec = subject.spec(&["/never-started"]);
    spec.image = tag;
    spec.stop_timeout = Duration::ZERO;
    spec.mounts = vec![mount(&volume, Access::ReadWrite)];
    let filler = subject.create(&spec).await;
    let tar = Tar::default().file("berth-guest", 0o111, 0, b"program").finish();
    subject.engine.put_archive(&filler, Utf8Path::new("/home/agent"), tar.into()).await.unwrap();
    assert_eq!(
        files(subject, &filler, "/home/agent/berth-guest").await,
        [("berth-guest".to_owned(), 0o111, 0, 0, b"program".to_vec())]
    );
}
