//! An agent that a subscription pays for: its token is brokered as a key is, and what it uses is a list price and no money.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use berth_tests::{
    TestApp,
    app::RUN_TIME_MAX,
    canary,
    claude::{claude, make_agent, reported},
    until,
};
use testkit::{Act, ModelScript, ModelServer};
use wire::{
    ErrorCode, MicroUsd, Phase,
    call::{GrantSecret, ListAgents, ListSecrets, SetBudget, SetSecret, ShowCosts},
    cost::{BudgetScope, CostsView},
    network::RequestOutcome,
    secret::{CredentialKind, InsideLogin, Provider, SecretBinding, SecretText},
};

/// What is looked for everywhere. Nothing else on this machine has it.
const TOKEN: &str = "sk-ant-oat01-canary-9Wd4/Lq+Tm2=BzY7hKs";
const SECRET: &str = "CLAUDE_CODE_OAUTH_TOKEN";

async fn app_with_token(server: &ModelServer, agent: &str) -> TestApp {
    let app = TestApp::start_with(&[("BERTH_LOG", "trace")]).await;
    give(&app, server, agent).await;
    app
}

/// Nobody says that it is a token: its shape does.
async fn give(app: &TestApp, server: &ModelServer, agent: &str) {
    let credential = CredentialKind::Key;
    let binding = SecretBinding::Provider { provider: Provider::Anthropic, base_url: Some(server.url()), credential };
    let set = SetSecret { name: SECRET.to_owned(), value: SecretText::new(TOKEN.to_owned()), binding: Some(binding) };
    let kept = app.call(set).await.unwrap();
    let SecretBinding::Provider { credential, .. } = kept.binding else { panic!("it is a provider's") };
    assert_eq!(credential, CredentialKind::Subscription);
    let (secret, agent) = (SECRET.to_owned(), agent.to_owned());
    let granted = app.call(GrantSecret { secret, agent, way: None, variable: None }).await.unwrap();
    assert_eq!(granted.grants[0].variable, SECRET, "where its program looks for it");
}

async fn costs(app: &TestApp) -> CostsView {
    app.call(ShowCosts::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_claude_works_by_a_subscription_whose_token_is_found_nowhere_and_costs_no_money() {
    let write = Act::WriteFile { path: "/workspace/hello.txt".to_owned(), content: "from a model".to_owned() };
    let server = ModelServer::start(TOKEN, ModelScript::new(write)).await.unwrap();
    let app = TestApp::start_with(&[("BERTH_LOG", "trace")]).await;
    let program = claude("claude-subscription");
    make_agent(&app, &program).await;
    give(&app, &server, "claude").await;
    // Of money, there is none.
    app.call(SetBudget { scope: BudgetScope::EachRun, limit: Some(MicroUsd(0)) }).await.unwrap();
    let created = app.ask("claude", "Write hello.txt.").await;
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    let workspace = app.workspace(&created).await;
    assert_eq!(std::fs::read_to_string(workspace.join("hello.txt")).unwrap(), "from a model");
    assert_eq!(reported(&printed)["is_error"], false, "{printed}");
    let seen = server.requests();
    assert!(seen.len() > 1 && seen.iter().all(|request| request.had_expected_key), "{seen:#?}");
    for request in &seen {
        let header =
            |name: &str| request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        assert!(header("anthropic-beta").unwrap().contains("oauth-2025-04-20"), "as the vendor wants it: {request:?}");
        assert_eq!(header("x-api-key"), None);
    }

    let requests = app.requests(&created).await;
    let used: Vec<_> = requests.iter().filter_map(|request| request.usage.as_ref()).collect();
    assert!(!used.is_empty() && used.iter().all(|usage| usage.is_list_price && usage.cost > Some(MicroUsd(0))));
    let total = costs(&app).await.total;
    let listed: i64 = used.iter().map(|usage| usage.cost.unwrap().0).sum();
    assert_eq!((total.amount, total.list_price.amount), (MicroUsd(0), MicroUsd(listed)));
    assert_eq!((total.requests, total.list_price.requests), (used.len() as u64, used.len() as u64));
    let said = app.run(["costs"]).await.good().text();
    assert!(said.contains("list price $") && said.contains("no money"), "{said}");
    let csv = app.run(["costs", "--csv"]).await.good().text();
    let line = csv.lines().nth(1).unwrap();
    assert!(
        line.contains(",0.000000,") && line.ends_with(&format!(".{:06},{}", listed % 1_000_000, used.len())),
        "{csv}"
    );
    let said = app.run(["requests", &created.run.to_string()]).await.good().text();
    assert!(said.contains("list price $"), "{said}");
    canary::is_nowhere(&app, &created, TOKEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_the_inference_api_alone_and_as_a_bearer_alone() {
    let server = ModelServer::start(TOKEN, ModelScript::new(Act::Ask { question: "Yes?".to_owned() })).await.unwrap();
    let app = app_with_token(&server, "script").await;
    let prompt = "```python\n\
        import json, os, urllib.request, urllib.error\n\
        token = os.environ['CLAUDE_CODE_OAUTH_TOKEN']\n\
        print('shape', token.startswith('sk-ant-oat01-'), 'ANTHROPIC_API_KEY' in os.environ)\n\
        def ask(path, headers):\n    \
            body = {'model': 'claude-sonnet-4-5', 'max_tokens': 100, 'messages': [{'role': 'user', 'content': 'hello'}]}\n    \
            request = urllib.request.Request(os.environ['ANTHROPIC_BASE_URL'] + path, json.dumps(body).encode(),\n        \
                {'content-type': 'application/json', 'anthropic-version': '2023-06-01', **headers})\n    \
            try:\n        \
                print(urllib.request.urlopen(request).status, flush=True)\n    \
            except urllib.error.HTTPError as error:\n        \
                print(error.code, error.read().decode(), flush=True)\n\
        bearer = {'authorization': 'Bearer ' + token}\n\
        ask('/v1/messages', bearer)\n\
        ask('/v1/messages', {'x-api-key': token})\n\
        for path in ['/api/oauth/usage', '/api/oauth/profile', '/v1/oauth/token', '/v1/files']:\n    \
            ask(path, bearer)\n\
        ```\n";
    let created = app.ask("script", prompt).await;
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    assert!(printed.contains("shape True False"), "{printed}");
    let codes: Vec<u16> = printed.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
    assert_eq!(codes, [200, 401, 403, 403, 403, 403], "{printed}");
    assert!(printed.contains("/api/oauth/usage") && printed.contains("permission_error"), "it says what: {printed}");
    assert_eq!(server.requests().len(), 1, "nothing else left");
    let refused = app.requests(&created).await;
    let refused = refused.iter().filter(|request| matches!(request.outcome, RequestOutcome::Refused { .. })).count();
    assert_eq!(refused, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_becomes_no_token_in_the_hands_of_an_agent_that_has_it() {
    let server = ModelServer::start(TOKEN, ModelScript::new(Act::Ask { question: "Yes?".to_owned() })).await.unwrap();
    let app = app_with_token(&server, "script").await;
    let set = |value: &str, binding| {
        app.call(SetSecret { name: SECRET.to_owned(), value: SecretText::new(value.to_owned()), binding })
    };
    let refused = set("sk-ant-api03-abc", None).await.unwrap_err();
    assert!(refused.message.contains("has `CLAUDE_CODE_OAUTH_TOKEN` brokered"), "{refused:?}");
    set(&format!("{TOKEN}-another"), None).await.unwrap();
    let of = |provider| SecretBinding::Provider { provider, base_url: None, credential: CredentialKind::Subscription };
    for (value, provider, why) in [
        ("sk-ant-api03-abc", Provider::Anthropic, "is a key"),
        ("abc", Provider::Openai, "issues no token of a subscription"),
        ("abc", Provider::Gemini, "issues no token of a subscription"),
    ] {
        let (name, value) = ("other".to_owned(), SecretText::new(value.to_owned()));
        let refused = app.call(SetSecret { name, value, binding: Some(of(provider)) }).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidArgument);
        assert!(refused.message.contains(why), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_done_inside_is_known_by_its_files_name_and_stays_inside() {
    let app = TestApp::start_with(&[("BERTH_LOG", "trace")]).await;
    assert_eq!(app.call(ListSecrets {}).await.unwrap().inside, []);
    // The task is kept, so the value comes in two parts. A folder and a link of those names are no login.
    let prompt = "```sh\n\
        cd ~; mkdir -p .claude .codex/auth.json .gemini; touch .claude/.credentials.jso .claude/.credentials.json5\n\
        printf '{\"token\": \"%s%s\"}' sk-ant-oat01-canary -9Wd4/Lq+Tm2=BzY7hKs > .claude/.credentials.json\n\
        ln -s ../.claude/.credentials.json .gemini/oauth_creds.json\n\
        ```\n";
    let created = app.ask("script", prompt).await;
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    let inside = until("the home to be looked at", RUN_TIME_MAX, async || {
        Some(app.call(ListSecrets {}).await.unwrap().inside).filter(|inside| !inside.is_empty())
    })
    .await;
    let found: Vec<_> = inside.iter().map(|one| (one.agent_name.as_str(), one.logins.as_slice())).collect();
    assert_eq!(found, [("script", &[InsideLogin::ClaudeCode][..])]);
    let agents = app.call(ListAgents {}).await.unwrap();
    assert_eq!(agents[0].logins, [InsideLogin::ClaudeCode]);
    let said = app.run(["secrets"]).await.good().text();
    assert!(said.contains("script is signed in inside the sandbox: Claude Code."), "{said}");
    let said = app.run(["agents", "show", "script"]).await.good().text();
    assert!(said.contains("signed in inside: Claude Code"), "{said}");
    canary::is_nowhere(&app, &created, TOKEN).await;

    let again = app.ask("script", "```sh\nrm ~/.claude/.credentials.json\n```\n").await;
    assert_eq!(app.ends(&again).await.0, Phase::Completed);
    until("the home to be looked at again", RUN_TIME_MAX, async || {
        app.call(ListSecrets {}).await.unwrap().inside.is_empty().then_some(())
    })
    .await;
}
