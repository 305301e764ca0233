//! What a person does in the page with images and with what agents bring: a build before their eyes, one that fails, one that they end,
//! and an agent with instructions of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use berth_tests::{
    TestApp,
    binaries::assert_interface_is_built,
    browser::{Browser, Scheme},
    page::{Page, SEEN_TIME_MAX},
    until,
};
use camino_tempfile::Utf8TempDir;
use wire::{
    call::{ListAgents, ListImages, RemoveImage},
    image::ImageState,
    view::PersonaFile,
};

/// How long a build of these takes at most on a slow machine.
const BUILD_TIME_MAX: Duration = Duration::from_mins(5);

/// A folder with that Dockerfile, each line of which the engine has never seen.
fn folder(dockerfile: &str) -> Utf8TempDir {
    let folder = camino_tempfile::tempdir().unwrap();
    write(&folder, dockerfile);
    folder
}

fn write(folder: &Utf8TempDir, dockerfile: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    std::fs::write(folder.path().join("Dockerfile"), format!("FROM debian:bookworm-slim\nENV NOW={now}\n{dockerfile}"))
        .unwrap();
}

async fn enter(page: &Page, app: &TestApp, screen: &str) {
    page.client().goto(app.link()).await.unwrap();
    page.element("[data-test='screen-tasks']").await;
    page.element(&format!("a[href='/{screen}']")).await.click().await.unwrap();
    page.element(&format!("[data-test='screen-{screen}']")).await;
}

/// Adds the image in the Gallery by its folder, which selects it.
async fn add(page: &Page, name: &str, folder: &Utf8TempDir) {
    page.press("add-image").await;
    page.press("choose-folder").await;
    page.write("[data-test='add-folder']", folder.path().as_str()).await;
    page.write("[data-test='add-name']", name).await;
    page.press("add-yes").await;
    page.element(&format!("[data-test='build-pane'][data-name='{name}']")).await;
}

async fn badge_says(page: &Page, name: &str, word: &str) {
    let badge = format!("[data-test='own-image'][data-name='{name}'] [data-test='image-state']");
    until(&format!("{name} to be {word}"), BUILD_TIME_MAX, async || {
        (page.element(&badge).await.text().await.ok()? == word).then_some(())
    })
    .await;
}

async fn log_says(page: &Page, text: &str) {
    until(&format!("the log to say {text:?}"), BUILD_TIME_MAX, async || {
        page.element("[data-test='build-log']").await.text().await.ok()?.contains(text).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_from_a_folder_is_built_before_a_persons_eyes_and_its_log_stays() {
    assert_interface_is_built();
    let folder = folder("RUN echo planed board 1; sleep 5; echo planed board 2\nRUN touch /made\n");
    let (app, browser) = (TestApp::start().await, Browser::start().await);
    let body = async |page: &Page| {
        enter(page, &app, "images").await;
        add(page, "boards", &folder).await;
        page.element("[data-test='no-build']").await;
        page.press("pane-build").await;
        log_says(page, "planed board 1").await;
        page.element("[data-test='build-step'][data-state='running'][aria-current='step']").await;
        assert!(!page.has("[data-test='build-step'][data-state='failed']").await);
        badge_says(page, "boards", "Ready").await;
        log_says(page, "planed board 2").await;
        assert!(page.element("[data-test='build-when']").await.text().await.unwrap().starts_with("Built in "));
        assert!(!page.has("[data-test='build-step'][data-state='waiting']").await);
        page.client().refresh().await.unwrap();
        page.element("[data-test='own-image'][data-name='boards'] button").await.click().await.unwrap();
        log_says(page, "planed board 2").await;
    };
    browser.page(Scheme::Dark).await.test("image-built", body).await;
    app.call(RemoveImage { name: "boards".to_owned() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_shows_its_step_and_its_log_and_can_be_tried_again() {
    assert_interface_is_built();
    let folder = folder("RUN true\nRUN echo the plank is too short; exit 3\nRUN true\n");
    let (app, browser) = (TestApp::start().await, Browser::start().await);
    let body = async |page: &Page| {
        enter(page, &app, "images").await;
        add(page, "planks", &folder).await;
        page.press("pane-build").await;
        badge_says(page, "planks", "Build failed").await;
        page.element("[data-test='build-failed']").await;
        let failed = page.element("[data-test='build-step'][data-state='failed']").await.text().await.unwrap();
        assert!(failed.contains("the plank is too short"), "{failed}");
        log_says(page, "the plank is too short").await;
        write(&folder, "RUN echo long enough\n");
        // The key that the page names.
        page.script(
            "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'b', bubbles: true, cancelable: true }))",
        )
        .await;
        badge_says(page, "planks", "Ready").await;
        assert!(!page.has("[data-test='build-failed']").await);
        log_says(page, "long enough").await;
        assert!(
            !page.element("[data-test='build-log']").await.text().await.unwrap().contains("too short"),
            "another log"
        );
    };
    browser.page(Scheme::Light).await.test("image-failed", body).await;
    app.call(RemoveImage { name: "planks".to_owned() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_a_person_ends_is_no_failure() {
    assert_interface_is_built();
    let folder = folder("RUN echo the glue dries; sleep 600\n");
    let (app, browser) = (TestApp::start().await, Browser::start().await);
    let body = async |page: &Page| {
        enter(page, &app, "images").await;
        add(page, "glue", &folder).await;
        page.press("pane-build").await;
        log_says(page, "the glue dries").await;
        page.press("pane-cancel-build").await;
        badge_says(page, "glue", "Not built").await;
        let when = page.element("[data-test='build-when']").await.text().await.unwrap();
        assert!(when.starts_with("Cancelled after "), "{when}");
        assert!(!page.has("[data-test='build-failed']").await);
        assert!(!page.has("[data-test='build-pane'] .refusal").await, "an end that was asked for is no refusal");
        log_says(page, "the glue dries").await;
    };
    browser.page(Scheme::Light).await.test("image-cancelled", body).await;
    let images = app.call(ListImages {}).await.unwrap();
    let glue = images.iter().find(|image| image.name == "glue").unwrap();
    assert_eq!(glue.state, ImageState::NotBuilt);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_made_from_an_image_with_all_that_it_brings_and_shows_it() {
    assert_interface_is_built();
    let (app, browser) = (TestApp::start().await, Browser::start().await);
    let body = async |page: &Page| {
        enter(page, &app, "images").await;
        page.element("[data-test='image'][data-name='script'] button").await.click().await.unwrap();
        page.press("make-agent").await;
        page.element("[data-test='image-script'][aria-checked='true']").await;
        page.write("[data-test='new-agent-name']", "tiller").await;
        page.write("[data-test='edit-model']", "some-model").await;
        page.press("add-persona").await;
        page.write("[data-test='persona-text']", "Be brief.").await;
        page.drop_files(&[("House Style.md", b"# Style\n\nNo adverbs.\n")]).await;
        page.element("[data-test='persona-file']:nth-child(2)").await;
        assert!(!page.has("[data-test='new-task-dialog']").await, "the form takes the file, and nobody else");
        page.press("edit-memory-on").await;
        page.element("[data-test='fold-tools'] summary").await.click().await.unwrap();
        page.write("[data-test='tool-apt']", "jq").await;
        page.press("save-agent").await;
        page.element("[data-test='screen-agents']").await;
        page.element("[data-test='agent-row'][data-name='tiller'][aria-selected='true']").await;
        page.says("House-Style.md").await;
        page.says("some-model").await;
        assert_eq!(page.element("[data-test='agent-memory']").await.text().await.unwrap(), "off");
    };
    browser.page(Scheme::Light).await.test("agent-made", body).await;
    let agents = app.call(ListAgents {}).await.unwrap();
    let tiller = agents.iter().find(|agent| agent.name == "tiller").unwrap();
    let file = |name: &str, text: &str| PersonaFile { name: name.to_owned(), text: text.to_owned() };
    assert_eq!(tiller.persona, [file("persona.md", "Be brief."), file("House-Style.md", "# Style\n\nNo adverbs.\n")]);
    assert_eq!((tiller.model.as_deref(), tiller.has_memory), (Some("some-model"), false));
    assert_eq!(tiller.tools.apt, ["jq"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_nowhere_is_refused_in_the_dialog_that_asked_for_it() {
    assert_interface_is_built();
    let (app, browser) = (TestApp::start().await, Browser::start().await);
    let body = async |page: &Page| {
        enter(page, &app, "images").await;
        page.press("add-image").await;
        page.press("choose-folder").await;
        page.write("[data-test='add-folder']", "/nowhere/at-all").await;
        page.press("add-yes").await;
        until("the refusal", SEEN_TIME_MAX, async || {
            page.element("[data-test='dialog-error']")
                .await
                .text()
                .await
                .ok()?
                .contains("/nowhere/at-all")
                .then_some(())
        })
        .await;
        assert!(page.has("[data-test='add-image-dialog']").await);
    };
    browser.page(Scheme::Light).await.test("image-nowhere", body).await;
    let images = app.call(ListImages {}).await.unwrap();
    assert!(!images.iter().any(|image| image.name == "at-all"));
}
