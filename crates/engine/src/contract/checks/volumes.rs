//! Volumes.

use std::collections::BTreeMap;

use camino::Utf8Path;
use futures::TryStreamExt;

use super::kind;
use crate::contract::hardening::volume_violations;
use crate::contract::{Subject, Tar, unique};
use crate::spec::{Access, FirstUse};
use crate::{ContainerId, ErrorKind, ImageRef, ImportRequest, LabelFilter, Mount, Role, VolumeName};

async fn can_read(subject: &Subject, container: &ContainerId, path: &str) -> bool {
    match subject.engine.get_archive(container, Utf8Path::new(path), 1 << 20).await {
        Ok(archive) => archive.try_collect::<Vec<_>>().await.is_ok(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
            false
        }
    }
}

/// Making it again finds it; lists by label have it.
pub async fn a_volume_is_made_once_and_found_by_its_labels(subject: &Subject) {
    let name = subject.volume().await;
    let again = subject.engine.create_volume(&name, &subject.ownership(Role::Home)).await.unwrap();
    assert_eq!(volume_violations(&again), Vec::<String>::new());
    assert_eq!(subject.engine.volume(&name).await.unwrap(), Some(again.clone()));
    assert_eq!(again.ownership(), Some(subject.ownership(Role::Home)));
    let filter = LabelFilter::install(&subject.install).role(Role::Home);
    assert_eq!(subject.engine.volumes(&filter).await.unwrap(), [again]);
    let other = LabelFilter::install(&subject.install).role(Role::Spool);
    assert_eq!(subject.engine.volumes(&other).await.unwrap(), []);
}

/// A name that somebody else uses is not taken over.
pub async fn a_volume_of_another_owner_is_a_conflict(subject: &Subject) {
    let name = subject.volume().await;
    let mut other = subject.ownership(Role::Home);
    other.agent = Some("another".into());
    assert_eq!(kind(subject.engine.create_volume(&name, &other).await), ErrorKind::Conflict);
}

/// What a container mounts stays; what is not there is gone already.
pub async fn a_volume_in_use_is_a_conflict_and_an_absent_one_removed(subject: &Subject) {
    let name = subject.volume().await;
    let mut spec = subject.spec(&["true"]);
    spec.mounts = vec![mount(&name, "/home/agent", FirstUse::Empty)];
    let container = subject.create(&spec).await;
    assert_eq!(kind(subject.engine.remove_volume(&name).await), ErrorKind::Conflict);
    subject.engine.remove(&container).await.unwrap();
    assert!(subject.engine.volume(&name).await.unwrap().is_some(), "a named volume outlives its containers");
    subject.engine.remove_volume(&name).await.unwrap();
    subject.engine.remove_volume(&name).await.unwrap();
    assert_eq!(subject.engine.volume(&name).await.unwrap(), None);
}

fn mount(name: &VolumeName, target: &str, first_use: FirstUse) -> Mount {
    Mount::Volume { name: name.clone(), target: target.into(), access: Access::ReadWrite, first_use }
}

/// One hostile image must not replace the guest of all.
pub async fn an_empty_volume_takes_nothing_from_a_hostile_image(subject: &Subject) {
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let name = subject.volume().await;
        let mut spec = subject.spec(&["true"]);
        spec.mounts = vec![Mount::Volume { name, target: "/berth".into(), access, first_use: FirstUse::Empty }];
        let container = subject.create(&spec).await;
        subject.engine.start(&container).await.unwrap();
        subject.engine.wait(&container).await.unwrap();
        assert!(!can_read(subject, &container, "/berth/guest").await, "{access:?}");
    }
}

/// Where that is wanted, the image's content comes along.
pub async fn a_volume_may_start_as_a_copy_of_the_image(subject: &Subject) {
    let name = subject.volume().await;
    let mut spec = subject.spec(&["true"]);
    spec.mounts = vec![mount(&name, "/home/agent", FirstUse::CopyImage)];
    let container = subject.create(&spec).await;
    subject.engine.start(&container).await.unwrap();
    subject.engine.wait(&container).await.unwrap();
    assert!(can_read(subject, &container, "/home/agent/from-image").await);
}

/// Nothing without an owner appears, and nothing stays behind.
pub async fn a_volume_that_the_image_declares_has_an_owner_and_goes_with_its_container(subject: &Subject) {
    let tag = ImageRef::parse(format!("berth-contract/{}:declares", unique("image"))).unwrap();
    let request = ImportRequest {
        root: Tar::default().folder("data", 0o755, 0).finish().into(),
        tag: tag.clone(),
        ownership: subject.ownership(Role::Image),
        labels: BTreeMap::new(),
        changes: vec!["VOLUME [\"/data\", \"/tmp\", \"/home/agent\"]".into()],
    };
    subject.engine.import(request).await.unwrap();
    let home = subject.volume().await;
    let mut spec = subject.spec(&["never-started"]);
    spec.image = tag;
    spec.mounts = vec![mount(&home, "/home/agent", FirstUse::Empty)];
    let container = subject.create(&spec).await;

    let filter = LabelFilter::install(&subject.install);
    let during = subject.engine.volumes(&filter).await.unwrap();
    assert_eq!(during.len(), 2, "the home, and one for /data: {during:?}");
    for volume in &during {
        assert_eq!(volume_violations(volume), Vec::<String>::new());
    }
    subject.engine.remove(&container).await.unwrap();
    let after = subject.engine.volumes(&filter).await.unwrap();
    assert_eq!(after.iter().map(|volume| &volume.name).collect::<Vec<_>>(), [&home]);
}
