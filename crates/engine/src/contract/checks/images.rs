//! Images.

use std::collections::BTreeMap;

use camino::Utf8Path;
use futures::TryStreamExt;
use tokio::sync::mpsc;

use super::kind;
use crate::contract::{Subject, Tar, UID, unique};
use crate::image::{BuildCache, BuildNetwork};
use crate::{BuildRequest, ErrorKind, Image, ImageRef, ImportRequest, LabelFilter, Progress, Result, Role};

fn tag() -> ImageRef {
    ImageRef::parse(format!("berth-contract/{}:made", unique("image"))).unwrap()
}

/// The labels, the environment and the command are those of the request, and a list by label has it.
pub async fn an_imported_image_carries_its_labels_and_changes(subject: &Subject) {
    let tag = tag();
    let odd = "a \"quoted\" $HOME \\ value".to_owned();
    let request = ImportRequest {
        root: Tar::default().folder("empty", 0o755, 0).finish().into(),
        tag: tag.clone(),
        ownership: subject.ownership(Role::Image),
        labels: BTreeMap::from([("contract.odd".to_owned(), odd.clone())]),
        changes: vec!["ENV COLOUR=blue".into(), "WORKDIR /empty".into(), "CMD [\"one\", \"two\"]".into()],
    };
    let id = subject.engine.import(request).await.unwrap();
    let image = subject.engine.image(&tag).await.unwrap().unwrap();
    assert_eq!(image.id, id);
    assert_eq!(image.ownership(), Some(subject.ownership(Role::Image)));
    assert_eq!(image.labels.get("contract.odd"), Some(&odd));
    assert!(image.env.contains(&"COLOUR=blue".to_owned()), "{image:?}");
    assert_eq!((image.working_dir.as_str(), image.cmd.clone()), ("/empty", vec!["one".to_owned(), "two".to_owned()]));
    let by_id = subject.engine.image(&id.clone().into()).await.unwrap().unwrap();
    assert_eq!(by_id.id, id);
    let listed = subject.engine.images(&LabelFilter::install(&subject.install)).await.unwrap();
    assert!(listed.iter().any(|listed| listed.id == id && listed.labels == image.labels), "{listed:?}");
    assert!(subject.engine.images(&LabelFilter::install(&unique("nobody"))).await.unwrap().is_empty());
}

/// Absence is an answer and no error.
pub async fn an_image_that_is_not_there_is_none_and_removing_it_succeeds(subject: &Subject) {
    let absent = tag();
    assert_eq!(subject.engine.image(&absent).await.unwrap(), None);
    subject.engine.remove_image(&absent).await.unwrap();
}

/// A file put into a created container is in the image; entrypoint, command, user and environment are the base's.
pub async fn a_committed_image_keeps_the_base_and_adds_the_change(subject: &Subject) {
    let mut spec = subject.spec(&["cat"]);
    spec.ownership = subject.ownership(Role::Filler);
    spec.root_filesystem = crate::RootFilesystem::Writable { reason: "the image is adapted".into() };
    spec.env.insert("SECRET_OF_THE_FILLER".into(), "x".into());
    let filler = subject.engine.create(&spec).await.unwrap();
    let tar = Tar::default().file("adapted", 0o644, 0, b"line").finish();
    subject.engine.put_archive(&filler, Utf8Path::new("/etc"), tar.into()).await.unwrap();
    let tag = tag();
    let id = subject.engine.commit(&filler, &tag, &subject.ownership(Role::Adapted)).await.unwrap();

    let base = subject.image().await;
    let image = subject.engine.image(&tag).await.unwrap().unwrap();
    assert_eq!(image.id, id);
    assert_eq!(image.ownership(), Some(subject.ownership(Role::Adapted)));
    let of_container = |image: &Image| (image.entrypoint.clone(), image.cmd.clone(), image.volumes.clone());
    assert_eq!(of_container(&image), of_container(&base));
    assert!(matches!(image.user.as_str(), "" | "0:0"), "{image:?}");
    assert!(base.env.iter().all(|variable| image.env.contains(variable)), "{image:?}");

    let mut spec = subject.spec(&["cat"]);
    spec.image = tag;
    let container = subject.create(&spec).await;
    let archive = subject.engine.get_archive(&container, Utf8Path::new("/etc/adapted"), 1 << 20).await.unwrap();
    let bytes = archive.try_collect::<Vec<_>>().await.unwrap().concat();
    assert!(bytes.windows(4).any(|window| window == b"line"));
}

async fn build(subject: &Subject, tag: &ImageRef, dockerfile: &str) -> (Result<crate::ImageId>, Vec<Progress>) {
    build_with(subject, tag, dockerfile, BuildCache::Use).await
}

async fn build_with(
    subject: &Subject,
    tag: &ImageRef,
    dockerfile: &str,
    cache: BuildCache,
) -> (Result<crate::ImageId>, Vec<Progress>) {
    let context = Tar::default()
        .file("Dockerfile", 0o644, 0, dockerfile.as_bytes())
        .file("file", 0o644, UID, b"content")
        .finish();
    let request = BuildRequest {
        context: context.into(),
        tag: tag.clone(),
        ownership: subject.ownership(Role::Image),
        labels: BTreeMap::from([("contract.extra".to_owned(), "yes".to_owned())]),
        build_args: BTreeMap::from([("COLOUR".to_owned(), "green".to_owned())]),
        network: BuildNetwork::None,
        cache,
    };
    let (tx, mut rx) = mpsc::channel(1);
    let mut progress = Vec::new();
    let collect = async {
        while let Some(item) = rx.recv().await {
            progress.push(item);
        }
    };
    let (outcome, ()) = tokio::join!(subject.engine.build(request, tx), collect);
    (outcome, progress)
}

/// Each instruction is announced with its number, and the result is labelled.
pub async fn a_build_reports_its_steps_and_labels_its_image(subject: &Subject) {
    let tag = tag();
    let dockerfile = format!("FROM {}\nARG COLOUR\nENV COLOUR=$COLOUR\nCOPY file /file\nRUN true\n", subject.base);
    let (outcome, progress) = build(subject, &tag, &dockerfile).await;
    let id = outcome.unwrap();
    let image = subject.engine.image(&tag).await.unwrap().unwrap();
    assert_eq!(image.id, id);
    assert_eq!(image.ownership(), Some(subject.ownership(Role::Image)));
    assert_eq!(image.labels.get("contract.extra").map(String::as_str), Some("yes"));
    assert!(image.env.contains(&"COLOUR=green".to_owned()), "{image:?}");
    let is_run =
        |item: &Progress| matches!(item, Progress::Step { number: 5, of, text } if *of >= 5 && text == "RUN true");
    assert!(progress.iter().any(is_run), "{progress:?}");
}

/// The error holds the end of the log, and there is no image.
pub async fn a_failing_build_is_denied_with_what_the_instruction_said(subject: &Subject) {
    let tag = tag();
    let dockerfile = format!("FROM {}\nRUN echo the reason && exit 3\n", subject.base);
    let (outcome, progress) = build(subject, &tag, &dockerfile).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.detail().contains("the reason"), "{error}");
    assert!(progress.contains(&Progress::Log("the reason".into())), "{progress:?}");
    assert_eq!(subject.engine.image(&tag).await.unwrap(), None);
}

/// What was done before is taken, and said to be, unless everything is to be done anew.
pub async fn a_build_takes_what_was_done_before_unless_it_shall_not(subject: &Subject) {
    let tag = tag();
    let dockerfile = format!("FROM {}\nENV MARK={}\nRUN echo done now\n", subject.base, tag.as_str().replace(':', "-"));
    let said = |progress: &[Progress]| {
        let has = |text: &str| progress.iter().any(|item| matches!(item, Progress::Log(line) if line.trim() == text));
        (has("done now"), has("---> Using cache"))
    };
    let (first, progress) = build(subject, &tag, &dockerfile).await;
    first.unwrap();
    assert_eq!(said(&progress), (true, false), "{progress:?}");
    let (again, progress) = build(subject, &tag, &dockerfile).await;
    again.unwrap();
    assert_eq!(said(&progress), (false, true), "{progress:?}");
    let (anew, progress) = build_with(subject, &tag, &dockerfile, BuildCache::Ignore).await;
    anew.unwrap();
    assert_eq!(said(&progress), (true, false), "{progress:?}");
    subject.engine.remove_image(&tag).await.unwrap();
}

/// An image has each name that it was given until that is taken away, and a name is that of one image.
pub async fn an_image_can_have_further_names(subject: &Subject) {
    let (first, second, name) = (tag(), tag(), tag());
    let dockerfile = |mark: &str| format!("FROM {}\nENV MARK={mark}\n", subject.base);
    let one = build(subject, &first, &dockerfile("one")).await.0.unwrap();
    let other = build(subject, &second, &dockerfile("other")).await.0.unwrap();
    let id_of = async |name: &ImageRef| subject.engine.image(name).await.unwrap().map(|image| image.id);
    subject.engine.tag(&one, &name).await.unwrap();
    subject.engine.tag(&one, &name).await.unwrap();
    assert_eq!(id_of(&name).await, Some(one.clone()));
    subject.engine.tag(&other, &name).await.unwrap();
    assert_eq!(id_of(&name).await, Some(other));
    assert_eq!(id_of(&first).await, Some(one.clone()));
    subject.engine.remove_image(&name).await.unwrap();
    assert_eq!(id_of(&name).await, None);
    subject.engine.remove_image(&second).await.unwrap();
    subject.engine.remove_image(&first).await.unwrap();
    assert_eq!(id_of(&one.clone().into()).await, None);
    assert_eq!(kind(subject.engine.tag(&one, &name).await), ErrorKind::Gone);
}

/// While a container uses it, its last name cannot be taken away.
pub async fn an_image_in_use_is_a_conflict(subject: &Subject) {
    let container = subject.start(&["sleep", "600"]).await;
    assert_eq!(kind(subject.engine.remove_image(&subject.base).await), ErrorKind::Conflict);
    subject.engine.remove(&container).await.unwrap();
    subject.engine.remove_image(&subject.base).await.unwrap();
    assert_eq!(subject.engine.image(&subject.base).await.unwrap(), None);
}
