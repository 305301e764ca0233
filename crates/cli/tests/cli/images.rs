//! What a person does with images.

use wire::{
    Request,
    call::ImageSource,
    image::{BuildView, ImageView},
};

use crate::scripted::Berth;

fn asked<T>(berth: &Berth, of: impl Fn(&Request) -> Option<T>) -> Vec<T> {
    berth.script.asked.lock().unwrap().iter().filter_map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_printed_whole_with_what_is_not_kept_and_how_it_ended() {
    let berth = Berth::start().await;
    let ran = berth.berth(&["images", "log", "script"]).await.well();
    assert!(!ran.text().contains('\u{1b}'));
    insta::assert_snapshot!("words_images_log", format!("{}---\n{}", ran.text(), ran.stderr));
    let ran = berth.berth(&["images", "log", "script", "--json"]).await.well();
    let build: BuildView = serde_json::from_str(ran.text()).unwrap();
    assert_eq!((build.log.len(), build.from_line, build.lines), (3, 0, 91));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_images_are_built_and_one_that_fails_is_said_at_its_place() {
    let berth = Berth::start().await;
    let ran = berth.berth(&["images", "build", "script", "codex", "agent", "--fresh", "--json"]).await;
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let lines: Vec<ImageView> = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert!(ran.stderr.contains("No space left."), "{}", ran.stderr);
    let builds = asked(&berth, |request| match request {
        Request::BuildImage(build) => Some((build.name.clone(), build.is_fresh)),
        _ => None,
    });
    assert_eq!(builds, ["script", "codex", "agent"].map(|name| (name.to_owned(), true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_are_those_that_are_not_built_as_they_would_be_now() {
    let berth = Berth::start().await;
    let _one_fails = berth.berth(&["images", "build", "--all"]).await;
    let builds = asked(&berth, |request| match request {
        Request::BuildImage(build) => Some(build.name.clone()),
        _ => None,
    });
    assert_eq!(builds, ["agent", "toolbox", "browser", "codex"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_failed_is_an_exit_status_and_names_what_failed() {
    let berth = Berth::start().await;
    let ran = berth.berth(&["images", "smoke", "agent"]).await;
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("FAILED node: not found") && !ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_image_is_a_reference_or_a_folder_and_not_both() {
    let berth = Berth::start().await;
    let folder = camino_tempfile::tempdir().unwrap();
    berth.berth(&["images", "add", "slim", "--reference", "debian:bookworm-slim"]).await.well();
    berth.berth(&["images", "add", "mine", "--folder", folder.path().as_str()]).await.well();
    let sources = asked(&berth, |request| match request {
        Request::AddImage(add) => Some(add.source.clone()),
        _ => None,
    });
    let path = folder.path().canonicalize_utf8().unwrap().into_string();
    let reference = ImageSource::Reference { reference: "debian:bookworm-slim".to_owned() };
    assert_eq!(sources, [reference, ImageSource::Folder { path }]);
    let both = ["images", "add", "x", "--folder", "/", "--reference", "a"];
    for wrong in [["images", "add", "x"].as_slice(), &both, &["images", "build"]] {
        assert_eq!(berth.berth(wrong).await.status, 2, "{wrong:?}");
    }
    berth.berth(&["images", "cancel", "toolbox"]).await.well();
    berth.berth(&["images", "remove", "script"]).await.well();
}
