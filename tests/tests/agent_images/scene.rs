//! What every agent must do.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_tests::{TestApp, app::RUN_TIME_MAX, canary, command::run_within, until};
use serde::Deserialize;
use testkit::{Act, ModelFault, ModelScript, ModelServer};
use wire::{
    Action, Phase,
    call::{Act as Do, CreateAgent, GrantSecret, ReadHome, SetSecret, TaskCreated},
    cost::TokenCounts,
    secret::{CredentialKind, Provider, SecretBinding, SecretText, SecretWay},
    task::Launch,
};

use super::agent::{Agent, Edits};

/// What is looked for everywhere. Nothing else on this machine has it.
pub(crate) const KEY: &str = "sk-canary-of-the-images-8Vq3/Tz+Lk5=YwB2nHd";
/// Longer than any image takes to build from nothing on a slow line.
const BUILD_TIME_MAX: Duration = Duration::from_mins(20);
const FIRST: &str = "Write the file hello.txt, please; the password of this conversation is periwinkle.";

/// What an agent's own program says of its use, as `berth-agent` keeps it.
#[derive(Debug, Deserialize)]
struct Said {
    session: Option<String>,
    usage: Used,
}

#[derive(Debug, Deserialize)]
struct Used {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
}

/// An app with the agent's image, a key that opens a scripted server, and an agent that has it.
pub(crate) async fn app_with(agent: &Agent, server: &ModelServer) -> TestApp {
    app_that_starts(agent, server, Launch::Image).await
}

/// The same with an agent whose tasks start something else.
pub(crate) async fn app_that_starts(agent: &Agent, server: &ModelServer, launch: Launch) -> TestApp {
    let app = TestApp::start_with(&[("BERTH_LOG", "trace")]).await;
    run_within(BUILD_TIME_MAX, &mut app.berth(["images", "build", agent.image]), b"").await.good();
    let (name, image) = ("worker".to_owned(), agent.image.to_owned());
    let create = CreateAgent { name, image, launch, ..CreateAgent::default() };
    app.call(create).await.unwrap();
    let base_url = Some(match agent.provider {
        Provider::Openai => format!("{}/v1", server.url()),
        Provider::Anthropic | Provider::Gemini => server.url(),
    });
    let binding = Some(SecretBinding::Provider { provider: agent.provider, base_url, credential: CredentialKind::Key });
    let value = SecretText::new(KEY.to_owned());
    app.call(SetSecret { name: "model-key".to_owned(), value, binding }).await.unwrap();
    let (secret, to) = ("model-key".to_owned(), "worker".to_owned());
    app.call(GrantSecret { secret, agent: to, way: Some(SecretWay::Brokered), variable: None }).await.unwrap();
    app
}

async fn said(app: &TestApp, created: &TaskCreated, attempt: u32) -> Said {
    let step = app.show(created).await.steps[0].step;
    let read =
        ReadHome { home: "worker".to_owned(), key: format!(".berth/runs/{step}-{attempt}.json"), offset: 0, length: 0 };
    let content = app.call(read).await.unwrap();
    serde_json::from_slice(&STANDARD.decode(&content.base64).unwrap()).unwrap()
}

async fn counted(app: &TestApp, created: &TaskCreated, agent: &Agent) -> TokenCounts {
    let mut sum = TokenCounts::default();
    for usage in app.requests(created).await.iter().filter_map(|request| request.usage.as_ref()) {
        assert!(!usage.is_at_least && usage.cost.is_some() == agent.is_priced, "{usage:?}");
        sum.input += usage.tokens.input;
        sum.output += usage.tokens.output;
        sum.cache_read += usage.tokens.cache_read;
        sum.cache_write += usage.tokens.cache_write;
    }
    sum
}

fn is_same(said: &Used, counted: &TokenCounts, agent: &Agent) {
    let pairs = if agent.tells_cached {
        pairs(said, counted)
    } else {
        let read = said.input + said.cache_read + said.cache_write;
        vec![
            ("read", read, counted.input + counted.cache_read + counted.cache_write),
            ("output", said.output, counted.output),
        ]
    };
    for (name, said, counted) in pairs {
        assert_eq!(said, counted, "{}: {name}, as it says and as the gateway counts", agent.image);
    }
}

fn pairs(said: &Used, counted: &TokenCounts) -> Vec<(&'static str, u64, u64)> {
    vec![
        ("input", said.input, counted.input),
        ("output", said.output, counted.output),
        ("cache_read", said.cache_read, counted.cache_read),
        ("cache_write", said.cache_write, counted.cache_write),
    ]
}

pub(crate) async fn works_and_goes_on(agent: &Agent) {
    let server = ModelServer::start(KEY, ModelScript::new(agent.edits.act("from a model"))).await.unwrap();
    let app = app_with(agent, &server).await;
    let created = app.ask("worker", FIRST).await;
    app.reaches(&created, Phase::AwaitingReview).await;
    let file = app.workspace(&created).await.join("hello.txt");
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let printed = app.run(["logs", &created.run.to_string()]).await.good().text();
    assert_eq!(written.trim_end(), "from a model", "{printed}\n{:#?}", server.requests().first());
    let first = said(&app, &created, 1).await;
    is_same(&first.usage, &counted(&app, &created, agent).await, agent);
    assert!(server.requests().iter().all(|request| request.had_expected_key), "the gateway put the key in");
    canary::is_nowhere(&app, &created, KEY).await;

    let before = server.requests().len();
    server.set_script(ModelScript::new(Act::Ask { question: "It is as you want it.".to_owned() }));
    let step = app.show(&created).await.steps[0].step;
    let comment = "Say the password of this conversation.".to_owned();
    app.call(Do { step, action: Action::RequestChanges, comment }).await.unwrap();
    until("the second attempt to be done", RUN_TIME_MAX, async || {
        let view = app.show(&created).await;
        (view.summary.phase == Phase::AwaitingReview && view.steps[0].attempt == 2).then_some(())
    })
    .await;
    let printed = app.run(["logs", &created.run.to_string()]).await.good().text();
    let asked = server.requests();
    let later = asked[before..].iter().find(|request| request.body.to_string().contains("Say the password"));
    let later = later.unwrap_or_else(|| panic!("{}: the changes were not asked for\n{printed}", agent.image));
    // What it said and did in the first attempt, which the prompt of the second does not have.
    let remembered = match agent.edits {
        Edits::Tool => "Done.",
        Edits::Blocks => "from a model",
    };
    let body = later.body.to_string();
    assert!(body.contains("periwinkle") && body.contains(remembered), "{}: {body}\n{printed}", agent.image);
    assert!(printed.contains("as you want it"), "{}: {printed}", agent.image);
    let second = said(&app, &created, 2).await;
    assert_eq!(first.session, second.session, "{}", agent.image);
    app.call(Do { step, action: Action::Approve, comment: String::new() }).await.unwrap();
    assert_eq!(app.ends(&created).await.0, Phase::Completed);
}

pub(crate) async fn is_cancelled(agent: &Agent) {
    let script = match agent.edits {
        Edits::Tool => ModelScript::new(Act::RunLong { seconds: 600 }),
        Edits::Blocks => {
            ModelScript::new(agent.edits.act("slow")).with_fault(ModelFault::SlowStream(Duration::from_mins(10)))
        }
    };
    let server = ModelServer::start(KEY, script).await.unwrap();
    let app = app_with(agent, &server).await;
    let created = app.ask("worker", "Run something long.").await;
    until("the model to be asked", RUN_TIME_MAX, async || {
        let view = app.show(&created).await;
        assert!(!view.summary.phase.is_final(), "{view:#?}");
        (!server.requests().is_empty()).then_some(())
    })
    .await;
    if matches!(agent.edits, Edits::Tool) {
        let container = app.containers()[0]["Id"].as_str().unwrap().to_owned();
        until("the tool to run", RUN_TIME_MAX, async || {
            let listed = app.docker().try_run(&["top", &container, "-eo", "pid,args"]).unwrap_or_default();
            listed.contains("sleep 600").then_some(())
        })
        .await;
    }
    app.run(["cancel", &created.run.to_string()]).await.good();
    assert_eq!(app.ends(&created).await.0, Phase::Cancelled);
    until("the sandbox to be gone", RUN_TIME_MAX, async || app.of_sandboxes().is_empty().then_some(())).await;
}

pub(crate) async fn says_what_the_model_refused(agent: &Agent) {
    let refused = ModelFault::Status { status: 401, times: usize::MAX, retry_after: None };
    let script = ModelScript::new(agent.edits.act("never")).with_fault(refused);
    let server = ModelServer::start(KEY, script).await.unwrap();
    let app = app_with(agent, &server).await;
    let created = app.ask("worker", "Write the file hello.txt.").await;
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Failed, "{printed}");
    let error = app.show(&created).await.summary.error.unwrap();
    let title = format!("{} {}", error.message, error.detail.lines().next().unwrap_or_default());
    assert!(title.contains("(401)"), "{error:#?}\n{printed}");
}
