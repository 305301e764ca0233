//! What agents bring along: instructions, a model, a memory, tools of their own on top of their image.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use berth_tests::{OwnImage, TestApp, app::RUN_TIME_MAX, docker::docker, sample, until};
use wire::{
    ErrorCode, Phase,
    call::{CreateAgent, UpdateAgent},
    image::Tools,
    task::{Launch, ReviewGate},
    view::PersonaFile,
};

fn list(packages: &[&str]) -> Vec<String> {
    packages.iter().map(|&package| package.to_owned()).collect()
}

fn agent(name: &str) -> CreateAgent {
    CreateAgent {
        name: name.to_owned(),
        image: "script".to_owned(),
        review: ReviewGate::Skip,
        ..CreateAgent::default()
    }
}

/// What it printed, once it is completed.
async fn completes(app: &TestApp, agent: &str, prompt: &str) -> String {
    let created = app.ask(agent, prompt).await;
    let (phase, printed) = app.ends(&created).await;
    let error = app.show(&created).await.summary.error;
    assert_eq!(phase, Phase::Completed, "{error:?}\n{printed}\n{}", app.log());
    printed
}

/// The images with tools that an install has.
fn images_of_tools(app: &TestApp) -> Vec<String> {
    let install = format!("label=berth.install={}", app.install().unwrap());
    let listed = docker(&["image", "ls", "--quiet", "--no-trunc", "--filter", &install, "berth/tools"]);
    listed.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_finds_its_instructions_its_model_and_its_memory() {
    let app = TestApp::start().await;
    let file = |name: &str, text: &str| PersonaFile { name: name.to_owned(), text: text.to_owned() };
    let persona = vec![file("one.md", "Be brief.\n"), file("two.md", "Grüße `$HOME`.\n")];
    app.call(CreateAgent { model: Some("model-1".to_owned()), persona, ..agent("ada") }).await.unwrap();
    let look = "echo \"model $BERTH_MODEL\"\ncat \"$BERTH_PERSONA\"\nstat -c '%a %u' \"$BERTH_PERSONA\" | sed \"s/$(id -u)$/own/\"\n\
        stat -f -c %T \"$BERTH_PERSONA\"\necho remember me > \"$BERTH_MEMORY/note\"\nls -d \"$BERTH_MEMORY\" \"$BERTH_MEMORY/../shared\"";
    let printed = completes(&app, "ada", &sample::script(&[look])).await;
    for line in ["model model-1", "Be brief.", "Grüße `$HOME`.", "400 own", "tmpfs", "/home/agent/clawvault/ada"] {
        assert!(printed.lines().any(|printed| printed == line), "{line}: {printed}");
    }

    app.call(UpdateAgent {
        agent: "ada".to_owned(),
        model: Some(String::new()),
        persona: Some(Vec::new()),
        has_memory: Some(false),
        ..UpdateAgent::default()
    })
    .await
    .unwrap();
    let look = "echo \"model ${BERTH_MODEL-none} persona ${BERTH_PERSONA-none} memory ${BERTH_MEMORY-none}\"\ncat ~/clawvault/ada/note";
    let printed = completes(&app, "ada", &sample::script(&[look])).await;
    assert!(printed.contains("model none persona none memory none"), "{printed}");
    assert!(printed.contains("remember me"), "what it has in its home stays: {printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_are_put_on_top_of_an_image_once_and_go_with_the_last_who_names_them() {
    let app = TestApp::start().await;
    let tools = Tools { apt: list(&["tree"]), pip: list(&["six==1.17.0"]), ..Tools::default() };
    app.call(CreateAgent { tools, ..agent("ada") }).await.unwrap();
    let look =
        "tree --version\npython3 -c 'import six, markdown_it; print(\"six\", six.__version__)'\nid -u\necho \"$PATH\"";
    let printed = completes(&app, "ada", &sample::script(&[look])).await;
    assert!(printed.contains("tree v") && printed.contains("six 1.17.0"), "{printed}");
    let first = images_of_tools(&app);
    assert_eq!(first.len(), 1, "{first:?}");

    completes(&app, "ada", &sample::script(&["tree --version"])).await;
    assert_eq!(images_of_tools(&app), first, "it is built once");

    let none = UpdateAgent { agent: "ada".to_owned(), tools: Some(Tools::default()), ..UpdateAgent::default() };
    app.call(none).await.unwrap();
    let printed = completes(&app, "ada", &sample::script(&["tree --version || echo no tree"])).await;
    assert!(printed.contains("no tree"), "{printed}");
    until("the image of tools to go", RUN_TIME_MAX, async || images_of_tools(&app).is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_of_npm_are_put_on_an_image_with_node() {
    let app = TestApp::start().await;
    let tools = Tools { npm: list(&["semver@7.7.2"]), ..Tools::default() };
    let launch = Launch::Command { argv: list(&["sh"]) };
    app.call(CreateAgent { tools, launch, image: "base".to_owned(), ..agent("ada") }).await.unwrap();
    // The prompt is what `sh` reads.
    let printed = completes(&app, "ada", "semver 1.2.3 -i minor\nid -u").await;
    assert!(printed.starts_with("1.3.0\n") && !printed.contains("\n0\n"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_that_cannot_be_installed_fail_the_step_and_say_why() {
    let app = TestApp::start().await;
    let missing = Tools { pip: list(&["no-such-package-of-berth"]), ..Tools::default() };
    app.call(CreateAgent { tools: missing, ..agent("ada") }).await.unwrap();
    let pattern = Tools { apt: list(&["libc.a"]), ..Tools::default() };
    app.call(CreateAgent { tools: pattern, ..agent("dot") }).await.unwrap();
    // As behind a proxy that is not there: the image's own variables hold in the build, too.
    let offline = OwnImage::build("offline", "FROM debian:bookworm-slim\nENV http_proxy=http://127.0.0.1:9\n");
    let bare = OwnImage::build_with(
        "bare",
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n",
        &[("busybox", "/bin/busybox")],
    );
    let own = |name: &str, image: &OwnImage, tools: Tools| CreateAgent {
        image: image.tag.clone(),
        launch: Launch::Command { argv: list(&["true"]) },
        tools,
        ..agent(name)
    };
    let tree = || Tools { apt: list(&["tree"]), ..Tools::default() };
    app.call(own("off", &offline, tree())).await.unwrap();
    app.call(own("bare", &bare, tree())).await.unwrap();
    app.call(own("node", &bare, Tools { npm: list(&["left-pad"]), ..Tools::default() })).await.unwrap();
    for (name, why) in [
        ("ada", "no-such-package-of-berth"),
        ("dot", "Unable to locate package libc.a"),
        ("off", "Could not connect to 127.0.0.1:9"),
        ("bare", "This image has no apt-get"),
        ("node", "This image has no npm"),
    ] {
        let created = app.ask(name, &sample::script(&["true"])).await;
        let (phase, _) = app.ends(&created).await;
        let error = app.show(&created).await.summary.error.unwrap();
        assert_eq!((phase, error.code), (Phase::Failed, ErrorCode::ImageMissing), "{name}: {error:?}");
        assert!(error.message.contains(name) && !error.hint.is_empty(), "{error:?}");
        let detail = &error.detail;
        assert!(detail.contains(why), "{name}: {detail}");
    }
}
