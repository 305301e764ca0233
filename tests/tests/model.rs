//! Model access: an agent in a sandbox without a network card asks a model through the gateway, and never holds the key.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, and so do its helpers")]

use std::time::Duration;

use berth_tests::{
    OwnImage, TestApp,
    app::RUN_TIME_MAX,
    canary,
    claude::{claude, make_agent, reported},
    until,
};
use testkit::{Act, Bus, CallUsage, ModelFault, ModelScript, ModelServer, ModelUsage};
use wire::{
    EventKind, Hold, MicroUsd, Phase,
    call::{
        AllowHost, GrantSecret, ListEvents, RevokeSecret, SetBudget, SetSecret, ShowCosts, ShowRun, TaskCreated,
        UpdateAgent,
    },
    cost::{BudgetScope, CostKey, TokenCounts},
    network::{GrantReach, GrantScope, HostGrant, NetworkPolicy, RequestKind, RequestOutcome},
    secret::{CredentialKind, Provider, SecretBinding, SecretText, SecretWay},
    task::Launch,
};

/// What is looked for everywhere. Nothing else on this machine has it.
const KEY: &str = "sk-ant-canary-7Jq2/Zt+Rk9=XwP4vLm";
/// Of the model that the scripted server is asked for; the table has its price.
const MODEL: &str = "claude-sonnet-4-5";

/// An app with a key that opens a scripted server, and an agent that has it.
async fn app_with_key(server: &ModelServer, way: SecretWay) -> TestApp {
    let app = TestApp::start_with(&[("BERTH_LOG", "trace")]).await;
    grant(&app, server, way).await;
    app
}

async fn grant(app: &TestApp, server: &ModelServer, way: SecretWay) {
    let binding = SecretBinding::Provider {
        provider: Provider::Anthropic,
        base_url: Some(server.url()),
        credential: CredentialKind::Key,
    };
    let set =
        SetSecret { name: "model-key".to_owned(), value: SecretText::new(KEY.to_owned()), binding: Some(binding) };
    app.call(set).await.unwrap();
    give(app, "script", way).await;
}

async fn give(app: &TestApp, agent: &str, way: SecretWay) {
    let (secret, agent) = ("model-key".to_owned(), agent.to_owned());
    app.call(GrantSecret { secret, agent, way: Some(way), variable: None }).await.unwrap();
}

fn says(text: &str) -> ModelScript {
    ModelScript::new(Act::Ask { question: text.to_owned() })
}

/// A task that asks a model once, as a program does that knows only its environment.
fn asks_once(more: &str) -> String {
    format!(
        "```python\n\
         import json, os, urllib.request, urllib.error\n\
         def ask(path='/v1/messages', key=None):\n    \
             body = {{'model': '{MODEL}', 'max_tokens': 100, 'messages': [{{'role': 'user', 'content': 'hello'}}]}}\n    \
             request = urllib.request.Request(os.environ['ANTHROPIC_BASE_URL'] + path, json.dumps(body).encode(),\n        \
                 {{'content-type': 'application/json', 'anthropic-version': '2023-06-01', 'x-api-key': key or os.environ['ANTHROPIC_API_KEY']}})\n    \
             try:\n        \
                 reply = urllib.request.urlopen(request)\n        \
                 print(reply.status, reply.read().decode(), flush=True)\n    \
             except urllib.error.HTTPError as error:\n        \
                 print(error.code, error.read().decode(), flush=True)\n\
         ask()\n\
         {more}\n\
         ```\n"
    )
}

fn has_it(bytes: &[u8]) -> Option<&'static str> {
    canary::found(KEY, bytes)
}

async fn is_nowhere(app: &TestApp, created: &TaskCreated) {
    canary::is_nowhere(app, created, KEY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brokered_key_reaches_the_model_and_is_found_nowhere_else() {
    let server = ModelServer::start(KEY, says("What else?")).await.unwrap();
    let app = app_with_key(&server, SecretWay::Brokered).await;
    // All that a program inside could look at.
    let look = "import glob\n\
                open('look.txt', 'w').write(json.dumps(dict(os.environ)))\n\
                for path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):\n    \
                    try:\n        \
                        open('look.txt', 'ab').write(open(path, 'rb').read())\n    \
                    except OSError:\n        \
                        pass\n\
                open('ready', 'w').close()\n\
                while not os.path.exists('go'):\n    \
                    __import__('time').sleep(0.05)";
    let created = app.ask("script", &asks_once(look)).await;
    let workspace = app.leaves_file(&created, "ready").await;
    for container in app.containers() {
        assert_eq!(has_it(container.to_string().as_bytes()), None, "in a container's configuration");
    }
    is_nowhere(&app, &created).await;
    std::fs::write(workspace.join("go"), b"").unwrap();
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    assert!(printed.contains("What else?"), "{printed}");
    let seen = server.requests();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    assert!(seen[0].had_expected_key, "the gateway put the key in the placeholder's place");
    is_nowhere(&app, &created).await;
    let look = std::fs::read_to_string(workspace.join("look.txt")).unwrap();
    assert!(look.contains("sk-ant-api03-"), "the placeholder has the provider's shape: {look}");

    let requests = app.requests(&created).await;
    assert_eq!(requests.len(), 1, "{requests:#?}");
    let request = &requests[0];
    assert_eq!(
        (request.kind, &request.outcome, request.status),
        (RequestKind::Model, &RequestOutcome::Done, Some(200))
    );
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/model/anthropic/v1/messages"));
    assert_eq!(request.secret.as_deref(), Some("model-key"));
    // As the scripted server says it of a last turn, and by the table's price: $3 and $15 for a million, $0.30 from a cache.
    let usage = request.usage.as_ref().unwrap();
    let tokens = usage.tokens;
    let last = ModelUsage::default().last_turn;
    assert_eq!(
        tokens,
        TokenCounts {
            input: last.input,
            cache_read: last.cache_read,
            cache_write: last.cache_write,
            output: last.output,
            reasoning: 0
        }
    );
    let tenths = tokens.input * 30 + tokens.cache_read * 3 + tokens.output * 150;
    // Kept for five minutes: a quarter more than read anew.
    let hundredths = tenths * 10 + tokens.cache_write * 375;
    assert_eq!(usage.cost, Some(MicroUsd(i64::try_from(hundredths.div_ceil(100)).unwrap())), "{usage:?}");
    let costs = app.call(ShowCosts { by: CostKey::Agent, ..ShowCosts::default() }).await.unwrap();
    assert_eq!(costs.total.amount, usage.cost.unwrap());
    assert_eq!(costs.lines[0].label, "script");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_opens_the_inference_api_alone_and_only_with_the_placeholder() {
    let server = ModelServer::start(KEY, says("Yes?")).await.unwrap();
    let app = app_with_key(&server, SecretWay::Brokered).await;
    let more = "ask('/v1/files')\nask('/v1/messages/batches')\nask('/v1/organizations/api_keys')\nask('/v1/messages', 'sk-ant-of-somebody-else')";
    let created = app.ask("script", &asks_once(more)).await;
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    let codes: Vec<u16> = printed.lines().filter_map(|line| line.split_once(' ')?.0.parse().ok()).collect();
    assert_eq!(codes, [200, 403, 403, 403, 401], "{printed}");
    assert_eq!(server.requests().len(), 1, "nothing else left");
    let requests = app.requests(&created).await;
    let refused = requests.iter().filter(|request| matches!(request.outcome, RequestOutcome::Refused { .. })).count();
    assert_eq!(refused, 4, "{requests:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_value_or_none_reaches_a_running_sandbox_at_its_next_request() {
    let server = ModelServer::start(KEY, says("Yes?")).await.unwrap();
    let app = app_with_key(&server, SecretWay::Brokered).await;
    let set = |value: &str| SetSecret {
        name: "model-key".to_owned(),
        value: SecretText::new(value.to_owned()),
        binding: None,
    };
    app.call(set("sk-ant-another-key")).await.unwrap();
    let more = "import time\n\
                for step in ['one', 'two']:\n    \
                    open('asked-' + step, 'w').close()\n    \
                    while not os.path.exists('go-' + step):\n        \
                        time.sleep(0.05)\n    \
                    ask()";
    let created = app.ask("script", &asks_once(more)).await;
    let workspace = app.leaves_file(&created, "asked-one").await;
    app.call(set(KEY)).await.unwrap();
    std::fs::write(workspace.join("go-one"), b"").unwrap();
    app.leaves_file(&created, "asked-two").await;
    app.call(RevokeSecret { secret: "model-key".to_owned(), agent: "script".to_owned() }).await.unwrap();
    std::fs::write(workspace.join("go-two"), b"").unwrap();
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    let codes: Vec<u16> = printed.lines().filter_map(|line| line.split_once(' ')?.0.parse().ok()).collect();
    assert_eq!(codes[..2], [401, 200], "{printed}");
    assert!(codes[2] >= 400, "{printed}");
    let had: Vec<_> = server.requests().iter().map(|request| request.had_expected_key).collect();
    assert_eq!(had, [false, true], "the third did not leave");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_kept_by_the_keyring_over_a_restart_and_waited_for_while_it_is_locked() {
    let bus = Bus::with_keyring().unwrap();
    let server = ModelServer::start(KEY, says("Yes?")).await.unwrap();
    let mut environment = vec![("BERTH_LOG", "trace"), ("BERTH_KEYRING", "system"), ("DISPLAY", "")];
    environment.extend(bus.environment());
    let mut app = TestApp::start_with(&environment).await;
    grant(&app, &server, SecretWay::Brokered).await;
    let doctor = async |app: &TestApp| app.run(["doctor"]).await.text();
    assert!(doctor(&app).await.contains("kept in this system's keyring"));
    app.stop().await;
    bus.lock().unwrap();
    app.restart().await;
    let more = "import time\n\
                open('asked', 'w').close()\n\
                while not os.path.exists('go'):\n    \
                    time.sleep(0.05)\n\
                ask()";
    let created = app.ask("script", &asks_once(more)).await;
    let workspace = app.leaves_file(&created, "asked").await;
    let told = doctor(&app).await;
    assert!(told.contains("The keyring is locked"), "{told}");
    bus.unlock().unwrap();
    std::fs::write(workspace.join("go"), b"").unwrap();
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    let lines: Vec<_> = printed.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).collect();
    assert!(lines[0].starts_with("403") && lines[0].contains("keyring is locked"), "{printed}");
    assert!(lines[1].starts_with("200"), "{printed}");
    let told = doctor(&app).await;
    assert!(!told.contains("is locked"), "{told}");
    assert_eq!(server.requests().len(), 1, "nothing left while it was locked");
    is_nowhere(&app, &created).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_injected_value_is_the_processs_alone() {
    let server = ModelServer::start(KEY, says("Yes?")).await.unwrap();
    let app = app_with_key(&server, SecretWay::Injected).await;
    let prompt = "```sh\n\
                  test \"$ANTHROPIC_API_KEY\" = \"$(printf '%s' 'sk-ant-canary-7Jq2/Zt' '+Rk9=XwP4vLm')\" && echo it is there\n\
                  test -z \"$ANTHROPIC_BASE_URL\" && echo no route\n\
                  touch ready; while [ ! -e go ]; do sleep 0.05; done\n\
                  ```\n";
    let created = app.ask("script", prompt).await;
    let workspace = app.leaves_file(&created, "ready").await;
    let containers = app.containers();
    assert_eq!(containers.len(), 1);
    assert_eq!(has_it(containers[0].to_string().as_bytes()), None, "in the container's configuration");
    std::fs::write(workspace.join("go"), b"").unwrap();
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    assert!(printed.contains("it is there") && printed.contains("no route"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_refused_until_a_person_allows_it_which_the_next_request_has() {
    let server = ModelServer::start(KEY, says("Yes?")).await.unwrap();
    let app = TestApp::start().await;
    let prompt = format!(
        "```python\n\
         import os, time, urllib.request, urllib.error\n\
         def get():\n    \
             try:\n        \
                 return urllib.request.urlopen('http://0x7f000001:{port}/v1/models').status\n    \
             except urllib.error.HTTPError as error:\n        \
                 return error.code\n    \
             except OSError as error:\n        \
                 return repr(error)\n\
         print('first', get(), flush=True)\n\
         open('asked', 'w').close()\n\
         while not os.path.exists('go'):\n    time.sleep(0.05)\n\
         print('then', get(), flush=True)\n\
         ```\n",
        port = server.port()
    );
    let created = app.ask("script", &prompt).await;
    let workspace = app.leaves_file(&created, "asked").await;
    let refused = until("the refusal to be listed", RUN_TIME_MAX, async || app.requests(&created).await.pop()).await;
    assert!(
        matches!(&refused.outcome, RequestOutcome::Refused { reason } if reason.contains("not on this agent's list")),
        "{refused:?}"
    );
    assert_eq!(refused.host, "127.0.0.1", "as it is compared, so that whoever allows it finds it allowed");
    let grant = HostGrant { host: refused.host.clone(), port: Some(refused.port), reach: GrantReach::Private };
    let agent = app
        .call(AllowHost { agent: "script".to_owned(), grant: grant.clone(), scope: GrantScope::Agent })
        .await
        .unwrap();
    assert_eq!(agent.network.hosts(), [HostGrant { host: "127.0.0.1".to_owned(), ..grant }], "as it is compared");
    std::fs::write(workspace.join("go"), b"").unwrap();
    let (_, printed) = app.ends(&created).await;
    assert!(printed.contains("first 403"), "{printed}");
    // The policy lets it through now; without a key the server itself says no.
    assert!(printed.contains("then 401"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_agent_has_no_gateway_at_all() {
    let app = TestApp::start().await;
    let change =
        UpdateAgent { agent: "script".to_owned(), network: Some(NetworkPolicy::Closed), ..UpdateAgent::default() };
    app.call(change).await.unwrap();
    let prompt = "```sh\nenv | grep -ic proxy || true\npython3 -c \"import socket; print(socket.socket().connect_ex(('127.0.0.1', 7817)))\"\n```\n";
    let created = app.ask("script", prompt).await;
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    // ECONNREFUSED.
    assert!(printed.lines().any(|line| line == "0") && printed.lines().any(|line| line == "111"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_a_reply_leaves_no_key_behind() {
    let slow = says("Yes?").with_fault(ModelFault::SlowStream(Duration::from_secs(5)));
    let server = ModelServer::start(KEY, slow).await.unwrap();
    let mut app = app_with_key(&server, SecretWay::Brokered).await;
    let created = app.ask("script", &asks_once("")).await;
    until("the reply to begin", RUN_TIME_MAX, async || (!server.requests().is_empty()).then_some(())).await;
    app.crash().await;
    app.restart().await;
    let (phase, printed) = app.ends(&created).await;
    // The program inside is told that its reply broke off, and does not try again.
    assert_eq!(phase, Phase::Failed, "{printed}");
    is_nowhere(&app, &created).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_holds_the_step_and_a_raised_one_lets_it_go_on() {
    let server = ModelServer::start(KEY, says("Yes?")).await.unwrap();
    let app = app_with_key(&server, SecretWay::Brokered).await;
    let budget = |limit| SetBudget { scope: BudgetScope::EachRun, limit: Some(MicroUsd(limit)) };
    app.call(budget(1)).await.unwrap();
    // Tries again where it is told to, as the providers' own libraries do.
    let more = "import time\n\
                for _ in range(100):\n    \
                    try:\n        \
                        urllib.request.urlopen(urllib.request.Request(os.environ['ANTHROPIC_BASE_URL'] + '/v1/messages', json.dumps({'model': 'claude-sonnet-4-5', 'max_tokens': 100, 'messages': []}).encode(), {'content-type': 'application/json', 'x-api-key': os.environ['ANTHROPIC_API_KEY']}))\n        \
                        print('went on', flush=True)\n        \
                        break\n    \
                    except urllib.error.HTTPError as error:\n        \
                        print('told', error.code, error.read().decode(), flush=True)\n        \
                        time.sleep(0.2)";
    let created = app.ask("script", &asks_once(more)).await;
    let run = created.run.to_string();
    until("the step to be held", RUN_TIME_MAX, async || {
        let view = app.call(ShowRun { run: run.clone() }).await.unwrap();
        view.steps[0].holds.contains(&Hold::Budget).then_some(())
    })
    .await;
    assert_eq!(server.requests().len(), 1, "the first was let through, since nothing was spent; the second was not");
    app.call(budget(100_000_000)).await.unwrap();
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    assert!(printed.contains("told 429") && printed.contains("budget of each run is spent"), "{printed}");
    assert!(printed.contains("went on"), "{printed}");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_hangs_up_before_its_reply_gets_round_no_budget() {
    let server = ModelServer::start(KEY, says("Yes?").with_fault(ModelFault::SlowFirstByte(Duration::from_mins(5))))
        .await
        .unwrap();
    let app = app_with_key(&server, SecretWay::Brokered).await;
    app.call(SetBudget { scope: BudgetScope::EachRun, limit: Some(MicroUsd(1)) }).await.unwrap();
    let hangs_up = "```python\n\
         import http.client, json, os, urllib.parse\n\
         url = urllib.parse.urlsplit(os.environ['ANTHROPIC_BASE_URL'])\n\
         body = json.dumps({'model': 'claude-sonnet-4-5', 'max_tokens': 100, 'messages': []})\n\
         for asked in ['asked-one', 'asked-two']:\n    \
             connection = http.client.HTTPConnection(url.hostname, url.port)\n    \
             connection.request('POST', url.path + '/v1/messages', body, {'content-type': 'application/json', 'x-api-key': os.environ['ANTHROPIC_API_KEY']})\n    \
             open(asked, 'w').close()\n    \
             while not os.path.exists('go-' + asked):\n        \
                 os.stat('.')\n    \
             connection.close()\n\
         ```\n";
    let created = app.ask("script", hangs_up).await;
    let workspace = app.leaves_file(&created, "asked-one").await;
    until("the request to be under way", RUN_TIME_MAX, async || {
        (app.requests(&created).await.len() == 1).then_some(())
    })
    .await;
    std::fs::write(workspace.join("go-asked-one"), b"").unwrap();
    until("the second one to find nothing left", RUN_TIME_MAX, async || {
        let view = app.call(ShowRun { run: created.run.to_string() }).await.unwrap();
        view.steps[0].holds.contains(&Hold::Budget).then_some(())
    })
    .await;
    let requests = app.requests(&created).await;
    let usage = requests[0].usage.as_ref().expect("it may have been charged");
    assert!(usage.is_at_least && matches!(requests[0].outcome, RequestOutcome::Cut { .. }), "{requests:?}");
    app.run(["cancel", &created.run.to_string()]).await.good();
    assert_eq!(app.ends(&created).await.0, Phase::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_wait_for_each_others_room_and_hold_nothing() {
    let used = CallUsage { input: 10, cache_read: 0, cache_write: 0, output: 5, reasoning: 0 };
    let script = says("Yes?")
        .with_usage(ModelUsage { last_turn: used, ..ModelUsage::default() })
        .with_fault(ModelFault::SlowFirstByte(Duration::from_secs(1)));
    let server = ModelServer::start(KEY, script).await.unwrap();
    let app = app_with_key(&server, SecretWay::Brokered).await;
    // Each may cost some 1,800 micro-dollars, and costs 105.
    app.call(SetBudget { scope: BudgetScope::EachRun, limit: Some(MicroUsd(1_000)) }).await.unwrap();
    let more = "import threading\n\
                threads = [threading.Thread(target=ask) for _ in range(3)]\n\
                [thread.start() for thread in threads]\n\
                [thread.join() for thread in threads]";
    let created = app.ask("script", &asks_once(more)).await;
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    let codes: Vec<_> = printed.lines().filter_map(|line| line.split_once(' ')?.0.parse::<u16>().ok()).collect();
    assert_eq!(codes, [200; 4], "{printed}");
    let events = app.call(ListEvents { task: Some(created.task), after_seq: 0, limit: 1_000 }).await.unwrap();
    assert!(!events.iter().any(|event| matches!(event.kind, EventKind::Held { .. })), "{events:?}");
    let costs = app.call(ShowCosts::default()).await.unwrap();
    assert_eq!(costs.total.amount, MicroUsd(4 * 105));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_names_a_model_without_a_price_costs_what_was_asked_for() {
    let server = ModelServer::start(KEY, says("Yes?").answering_as("nobody-sells-this")).await.unwrap();
    let app = app_with_key(&server, SecretWay::Brokered).await;
    let created = app.ask("script", &asks_once("")).await;
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    let costs = app.call(ShowCosts::default()).await.unwrap();
    assert!(costs.total.unpriced == 0 && costs.total.amount > MicroUsd(0), "{:?}", costs.total);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_a_price_is_unknown_and_blocks_a_budget() {
    let server = ModelServer::start(KEY, says("Yes?")).await.unwrap();
    let app = app_with_key(&server, SecretWay::Brokered).await;
    let prompt = asks_once("").replace(MODEL, "nobody-sells-this");
    let created = app.ask("script", &prompt).await;
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    let costs = app.call(ShowCosts::default()).await.unwrap();
    assert_eq!((costs.total.unpriced, costs.total.to_string().as_str()), (1, "price unknown"));
    app.call(SetBudget { scope: BudgetScope::EachRun, limit: Some(MicroUsd(100_000_000)) }).await.unwrap();
    let created = app.ask("script", &prompt).await;
    until("the step to be held", RUN_TIME_MAX, async || {
        let view = app.call(ShowRun { run: created.run.to_string() }).await.unwrap();
        view.steps[0].holds.contains(&Hold::Budget).then_some(())
    })
    .await;
    assert_eq!(server.requests().len(), 1, "nothing of it left");
    app.run(["cancel", &created.run.to_string()]).await.good();
    assert_eq!(app.ends(&created).await.0, Phase::Cancelled);
}

/// The agent `claude` with the key. What it runs in goes with what is returned.
async fn claude_agent(app: &TestApp, name: &str) -> (OwnImage, Launch) {
    let program = claude(name);
    make_agent(app, &program).await;
    give(app, "claude", SecretWay::Brokered).await;
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_claude_works_without_a_network_and_its_own_count_is_the_gateways() {
    let write = || Act::WriteFile { path: "/workspace/hello.txt".to_owned(), content: "from a model".to_owned() };
    let server = ModelServer::start(KEY, ModelScript::new(write())).await.unwrap();
    let app = app_with_key(&server, SecretWay::Brokered).await;
    let _image = claude_agent(&app, "claude-counts").await;
    let created = app.ask("claude", "Write hello.txt.").await;
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
    let workspace = app.workspace(&created).await;
    assert_eq!(std::fs::read_to_string(workspace.join("hello.txt")).unwrap(), "from a model");
    let result = reported(&printed);
    let requests = app.requests(&created).await;
    let (mut tokens, mut cost) = (TokenCounts::default(), 0);
    for usage in requests.iter().filter_map(|request| request.usage.as_ref()) {
        tokens.input += usage.tokens.input;
        tokens.output += usage.tokens.output;
        tokens.cache_read += usage.tokens.cache_read;
        tokens.cache_write += usage.tokens.cache_write;
        cost += usage.cost.unwrap().0;
    }
    let own = &result["modelUsage"];
    let sum = |key: &str| own.as_object().unwrap().values().map(|model| model[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(tokens.input, sum("inputTokens"), "{result}");
    assert_eq!(tokens.output, sum("outputTokens"), "{result}");
    assert_eq!(tokens.cache_read, sum("cacheReadInputTokens"), "{result}");
    assert_eq!(tokens.cache_write, sum("cacheCreationInputTokens"), "{result}");
    let dollars = result["total_cost_usd"].as_f64().unwrap();
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let ours = cost as f64 / 1e6;
    assert!((ours - dollars).abs() < 1e-4, "{ours} {dollars}");
    is_nowhere(&app, &created).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_claude_gets_over_refusals_cuts_and_slowness() {
    let server = ModelServer::start(KEY, says("Which one?")).await.unwrap();
    let app = app_with_key(&server, SecretWay::Brokered).await;
    let _image = claude_agent(&app, "claude-gets-over").await;
    let status = |status| ModelFault::Status { status, times: 2, retry_after: Some(Duration::from_secs(1)) };
    for (name, fault) in [
        ("429", status(429)),
        ("529", status(529)),
        ("slow first byte", ModelFault::SlowFirstByte(Duration::from_secs(3))),
    ] {
        server.set_script(says("Which one?").with_fault(fault));
        let created = app.ask("claude", "Which?").await;
        let (phase, printed) = app.ends(&created).await;
        assert_eq!(phase, Phase::Completed, "{name}: {printed}");
        assert_eq!(reported(&printed)["result"], "Which one?", "{name}");
    }
    // A stream that breaks off: what was seen is counted as at least that much, and nobody waits for ever.
    server.set_script(says("Which one?").with_fault(ModelFault::CutAfter { bytes: 700 }));
    let created = app.ask("claude", "Which?").await;
    let cut = until("a cut reply to be listed", RUN_TIME_MAX, async || {
        let requests = app.requests(&created).await;
        requests.into_iter().find(|request| matches!(request.outcome, RequestOutcome::Cut { .. }))
    })
    .await;
    assert!(cut.usage.as_ref().is_some_and(|usage| usage.is_at_least), "{cut:#?}");
    server.set_script(says("Which one?"));
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_claude_goes_on_after_berth_was_closed_or_killed_in_the_middle_of_a_reply() {
    let slow = || says("Which one?").with_fault(ModelFault::SlowStream(Duration::from_secs(2)));
    let server = ModelServer::start(KEY, slow()).await.unwrap();
    let mut app = TestApp::start_with(&[("BERTH_LOG", "trace")]).await;
    grant(&app, &server, SecretWay::Brokered).await;
    let _image = claude_agent(&app, "claude-goes-on").await;
    for how in ["closed", "killed"] {
        server.set_script(slow());
        let before = server.requests().len();
        let created = app.ask("claude", "Which?").await;
        until("the reply to begin", RUN_TIME_MAX, async || (server.requests().len() > before).then_some(())).await;
        if how == "closed" {
            app.stop().await;
        } else {
            app.kill().await;
        }
        server.set_script(says("Which one?"));
        app.restart().await;
        // A keyring of the session's is gone with it.
        let binding = SecretBinding::Provider {
            provider: Provider::Anthropic,
            base_url: Some(server.url()),
            credential: CredentialKind::Key,
        };
        let value = SecretText::new(KEY.to_owned());
        app.call(SetSecret { name: "model-key".to_owned(), value, binding: Some(binding) }).await.unwrap();
        let (phase, printed) = app.ends(&created).await;
        assert_eq!(phase, Phase::Completed, "{how}: {printed}");
        assert_eq!(reported(&printed)["result"], "Which one?", "{how}");
    }
    let app = &app;
    let costs = app.call(ShowCosts::default()).await.unwrap();
    assert!(costs.total.is_at_least(), "what broke off with Berth is not known: {:?}", costs.total);
}

#[tokio::test(flavor = "multi_thread")]
async fn room_that_is_given_while_a_step_is_about_to_be_held_is_not_missed() {
    const ROUNDS: usize = 12;
    // Every minute it is looked anyway.
    const LET_GO_TIME_MAX: Duration = Duration::from_secs(30);
    let server = ModelServer::start(KEY, says("Yes?")).await.unwrap();
    let app = app_with_key(&server, SecretWay::Brokered).await;
    let budget = |limit: Option<i64>| SetBudget { scope: BudgetScope::EachRun, limit: limit.map(MicroUsd) };
    let more = format!("for round in range({ROUNDS}):\n    open(f'asks-{{round}}', 'w').close()\n    ask()");
    let created = app.ask("script", &asks_once(&more)).await;
    let workspace = app.leaves_file(&created, "asks-0").await;
    // Taken away and given back for as long as it asks: however the two meet, nothing stays held.
    while !workspace.join(format!("asks-{}", ROUNDS - 1)).exists() {
        app.call(budget(Some(0))).await.unwrap();
        tokio::task::yield_now().await;
        app.call(budget(None)).await.unwrap();
        until("the step to be let go", LET_GO_TIME_MAX, async || {
            let view = app.call(ShowRun { run: created.run.to_string() }).await.unwrap();
            view.steps[0].holds.is_empty().then_some(())
        })
        .await;
    }
    let (phase, printed) = app.ends(&created).await;
    assert_eq!(phase, Phase::Completed, "{printed}");
}
