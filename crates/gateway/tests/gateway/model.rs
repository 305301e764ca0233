//! Model routes.

use std::sync::Arc;

use gateway::policy::{Policy, Reach};
use gateway::{Bounds, Family, Operation, Outcome, Route, Rules, Stopped, Way};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::hosts::Host;
use crate::world::{BOUND, KEY, PLACEHOLDER, World, credential, here, only, post, route, routed, status};

const REPLY: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
const BODY: &str = r#"{"model":"m","max_tokens":5,"messages":[]}"#;

fn head_of(seen: &str) -> &str {
    seen.split_once("\r\n\r\n").unwrap().0
}

#[tokio::test]
async fn the_placeholder_is_swapped_in_the_bound_header_alone() {
    for (family, path, presented, sent) in [
        (Family::Anthropic, "v1/messages", format!("X-Api-Key: {PLACEHOLDER}"), format!("x-api-key: {KEY}")),
        (
            Family::Anthropic,
            "v1/messages",
            format!("Authorization: Bearer {PLACEHOLDER}"),
            format!("authorization: Bearer {KEY}"),
        ),
        (
            Family::OpenAi,
            "v1/chat/completions",
            format!("authorization: bearer {PLACEHOLDER}"),
            format!("authorization: Bearer {KEY}"),
        ),
        (
            Family::Gemini,
            "v1beta/models/m:generateContent",
            format!("x-goog-api-key: {PLACEHOLDER}"),
            format!("x-goog-api-key: {KEY}"),
        ),
    ] {
        let host = Host::new(REPLY).await;
        let world = World::new(routed(family, &host.base()));
        let others = format!(
            "{presented}\r\nCookie: a=b\r\napi-key: x\r\nX-HTTP-Method-Override: DELETE\r\nx-other: {PLACEHOLDER}\r\n"
        );
        let reply = world.ask(post(&format!("/model/provider/{path}"), &others, BODY)).await;
        assert_eq!(status(&reply), 200, "{reply}");
        let seen = host.seen(1).await.remove(0);
        let head = head_of(&seen);
        assert!(head.starts_with(&format!("POST /{path} HTTP/1.1")), "{head}");
        let mut fields: Vec<&str> = head.lines().skip(1).collect();
        fields.sort_unstable();
        let mut expected = vec![
            "accept-encoding: identity".to_owned(),
            format!("content-length: {}", BODY.len()),
            "content-type: application/json".to_owned(),
            format!("host: 127.0.0.1:{}", host.port),
            sent,
            format!("x-other: {PLACEHOLDER}"),
        ];
        expected.sort_unstable();
        assert_eq!(fields, expected);
        assert!(seen.ends_with(BODY));

        let begun = world.begun().remove(0);
        assert_eq!(begun.secret.as_ref().unwrap().name, "my key");
        assert_eq!(begun.path, format!("/model/provider/{path}"));
        let Way::Model(call) = &begun.way else { panic!("{begun:?}") };
        assert!(matches!(call.operation, Operation::Inference(_)) && call.route == "provider");
        let ended = world.ended().await.remove(0);
        assert_eq!((ended.status, ended.outcome), (Some(200), Outcome::Whole));
        assert_eq!(ended.up_bytes, BODY.len() as u64);
        assert!(!format!("{:?}", world.books.written.lock().unwrap()).contains(KEY));
    }
}

#[tokio::test]
async fn without_the_exact_placeholder_nothing_is_sent() {
    let host = Host::new(REPLY).await;
    let cut = &PLACEHOLDER[..PLACEHOLDER.len() - 1];
    for (family, path, presented) in [
        (Family::Anthropic, "v1/messages", String::new()),
        (Family::Anthropic, "v1/messages", format!("x-api-key: {cut}\r\n")),
        (Family::Anthropic, "v1/messages", format!("x-api-key: {PLACEHOLDER}x\r\n")),
        (Family::Anthropic, "v1/messages", format!("x-api-key: Bearer {PLACEHOLDER}\r\n")),
        (Family::Anthropic, "v1/messages", format!("authorization: {PLACEHOLDER}\r\n")),
        (Family::Anthropic, "v1/messages", format!("x-goog-api-key: {PLACEHOLDER}\r\n")),
        (Family::Anthropic, "v1/messages", format!("x-api-key: {PLACEHOLDER}\r\nx-api-key: {PLACEHOLDER}\r\n")),
        (Family::Anthropic, "v1/messages", format!("x-api-key: {KEY}\r\n")),
        (Family::OpenAi, "v1/responses", format!("x-api-key: {PLACEHOLDER}\r\n")),
        (Family::OpenAi, "v1/responses", format!("authorization: Basic {PLACEHOLDER}\r\n")),
    ] {
        let world = World::new(routed(family, &host.base()));
        let reply = world.ask(post(&format!("/model/provider/{path}"), &presented, BODY)).await;
        assert_eq!(status(&reply), 401, "{presented}: {reply}");
        assert!(reply.contains("\"error\"") && reply.contains("x-should-retry: false"), "{reply}");
        assert!(world.begun().is_empty() && world.refused().len() == 1);
    }
    assert_eq!(host.seen_so_far(), 0);
}

#[tokio::test]
async fn geminis_key_never_goes_on_in_the_url() {
    let host = Host::new(REPLY).await;
    let world = World::new(routed(Family::Gemini, &host.base()));
    let path = format!("/model/provider/v1beta/models/m:streamGenerateContent?alt=sse&key={PLACEHOLDER}");
    assert_eq!(status(&world.ask(post(&path, "", BODY)).await), 200);
    let seen = host.seen(1).await.remove(0);
    assert!(seen.starts_with("POST /v1beta/models/m:streamGenerateContent?alt=sse HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("x-goog-api-key: {KEY}\r\n")), "{seen}");
    assert!(!world.begun()[0].path.contains(PLACEHOLDER));
    let other = world.ask(post("/model/provider/v1beta/models/m:generateContent?key=other", "", BODY)).await;
    assert_eq!(status(&other), 401);
}

#[tokio::test]
async fn only_inference_is_served() {
    let host = Host::new(REPLY).await;
    let world = World::new(routed(Family::Anthropic, &host.base()));
    for path in [
        "v1/files",
        "v1/messages/batches",
        "v1/messages/../files",
        "v1%2fmessages",
        "/v1/messages",
        "v1/messages?x=1",
        "",
    ] {
        let reply =
            world.ask(post(&format!("/model/provider/{path}"), &format!("x-api-key: {PLACEHOLDER}\r\n"), BODY)).await;
        assert_eq!(status(&reply), 403, "{path}: {reply}");
        assert!(reply.contains("permission_error"), "{reply}");
    }
    assert!(world.begun().is_empty() && host.seen_so_far() == 0);
}

#[tokio::test]
async fn a_local_model_needs_no_credential_and_gets_none() {
    let host = Host::new(REPLY).await;
    let local = route("local", Family::OpenAi, &format!("{}/v1", host.base()), None);
    let world = World::new(Rules { policy: Policy::Allowlist(Vec::new()), routes: vec![local], inspected: Vec::new() });
    let presented = format!("Authorization: Bearer {PLACEHOLDER}\r\n");
    assert_eq!(status(&world.ask(post("/model/local/chat/completions", &presented, BODY)).await), 200);
    let seen = host.seen(1).await.remove(0);
    assert!(seen.starts_with("POST /v1/chat/completions ") && !seen.contains("authorization"), "{seen}");
    assert_eq!(world.begun()[0].secret, None);
}

#[tokio::test]
async fn the_key_goes_to_no_other_host() {
    let (provider, other) = (Host::new(REPLY).await, Host::new(REPLY).await);
    let mut rules = routed(Family::Anthropic, &provider.base());
    rules.routes.push(route("other", Family::Anthropic, &other.base(), None));
    let elsewhere = Host::new(REPLY).await;
    rules.policy = only("127.0.0.1", elsewhere.port).policy;
    let world = World::new(rules);
    let presented = format!("x-api-key: {PLACEHOLDER}\r\n");
    assert_eq!(status(&world.ask(post("/model/other/v1/messages", &presented, BODY)).await), 200);
    assert!(!other.seen(1).await[0].contains(KEY));
    let url = format!("http://127.0.0.1:{}/v1/messages", elsewhere.port);
    assert_eq!(status(&world.ask(post(&url, &presented, BODY)).await), 200);
    let seen = elsewhere.seen(1).await.remove(0);
    assert!(seen.contains(PLACEHOLDER) && !seen.contains(KEY), "{seen}");
    assert_eq!(provider.seen_so_far(), 0);
}

#[tokio::test]
async fn a_public_provider_that_points_inwards_gets_no_key() {
    let host = Host::new(REPLY).await;
    let base = format!("https://model.test:{}", host.port).parse().unwrap();
    let public = Route::new("provider", Family::Anthropic, &base, Reach::Public, Some(credential())).unwrap();
    let rules = Rules { policy: Policy::Open(Vec::new()), routes: vec![public], inspected: Vec::new() };
    let world = World::with(rules, Bounds::default(), &[("model.test", &[here()])], Vec::new());
    let reply = world.ask(post("/model/provider/v1/messages", &format!("x-api-key: {PLACEHOLDER}\r\n"), BODY)).await;
    assert!(status(&reply) == 403 && reply.contains("this machine itself"), "{reply}");
    assert_eq!(host.seen_so_far(), 0);
}

#[test]
fn a_secret_in_the_clear_needs_a_network_of_ones_own() {
    let base = "http://model.test/".parse().unwrap();
    assert!(Route::new("a", Family::OpenAi, &base, Reach::Public, Some(credential())).is_err());
    assert!(Route::new("a", Family::OpenAi, &base, Reach::Public, None).is_ok());
    for base in ["ftp://a.test", "https://u@a.test", "https://a.test/?q", "https://a.test/#f"] {
        assert!(Route::new("a", Family::OpenAi, &base.parse().unwrap(), Reach::Public, None).is_err(), "{base}");
    }
    for name in ["", "a/b", "A", "..", "a b"] {
        assert!(Route::new(name, Family::OpenAi, &base, Reach::Public, None).is_err(), "{name}");
    }
}

#[tokio::test]
async fn an_echo_of_the_key_comes_back_as_the_placeholder() {
    let body = format!(r#"{{"error":"bad key {KEY}"}}"#);
    let reply = format!(
        "HTTP/1.1 401 No\r\nX-Echo: <{KEY}>\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let host = Host::new(reply).await;
    let world = World::new(routed(Family::Anthropic, &host.base()));
    for path in ["v1/messages", "v1/messages/count_tokens"] {
        let reply =
            world.ask(post(&format!("/model/provider/{path}"), &format!("x-api-key: {PLACEHOLDER}\r\n"), BODY)).await;
        assert_eq!(status(&reply), 401);
        assert!(!reply.contains(KEY) && reply.contains(&format!("x-echo: <{PLACEHOLDER}>")), "{reply}");
        assert!(reply.contains(&format!("bad key {PLACEHOLDER}")), "{reply}");
    }
}

#[tokio::test]
async fn what_a_provider_says_of_its_limits_passes_untouched() {
    for code in [429, 529] {
        let host = Host::new(format!("HTTP/1.1 {code} Slow\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nslow")).await;
        let world = World::new(routed(Family::Anthropic, &host.base()));
        let reply =
            world.ask(post("/model/provider/v1/messages", &format!("x-api-key: {PLACEHOLDER}\r\n"), BODY)).await;
        assert_eq!(status(&reply), code);
        assert!(reply.contains("retry-after: 7") && reply.contains("slow") && !reply.contains("x-berth"), "{reply}");
    }
}

#[tokio::test]
async fn a_rotated_key_reaches_the_next_request_of_a_connection() {
    let host = Host::new(REPLY).await;
    let world = World::new(routed(Family::Anthropic, &host.base()));
    let mut program = world.connect();
    let request = post("/model/provider/v1/messages", &format!("x-api-key: {PLACEHOLDER}\r\n"), BODY);
    program.write_all(request.replace("Connection: close\r\n", "").as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    while !reply.ends_with(b"0\r\n\r\n") {
        assert_ne!(tokio::time::timeout(BOUND, program.read_buf(&mut reply)).await.unwrap().unwrap(), 0);
    }
    "sk-rotated".clone_into(&mut world.books.key.lock().unwrap());
    program.write_all(request.as_bytes()).await.unwrap();
    program.read_to_end(&mut reply).await.unwrap();
    let seen = host.seen(2).await;
    assert!(seen[0].contains(KEY) && seen[1].contains("x-api-key: sk-rotated\r\n"), "{seen:?}");
}

#[tokio::test]
async fn a_key_that_is_taken_away_while_a_request_arrives_is_not_sent() {
    let host = Host::new(REPLY).await;
    let world = World::new(routed(Family::Anthropic, &host.base()));
    let without = || Rules { routes: Vec::new(), ..routed(Family::Anthropic, &host.base()) };
    let elsewhere = || routed(Family::Anthropic, "http://127.0.0.1:9");
    for changed in [without(), elsewhere(), Rules { policy: Policy::Closed, ..routed(Family::Anthropic, &host.base()) }]
    {
        world.rules.send_replace(Arc::new(routed(Family::Anthropic, &host.base())));
        let mut program = world.connect();
        let request =
            post("/model/provider/v1/messages", &format!("x-api-key: {PLACEHOLDER}\r\nExpect: 100-continue\r\n"), BODY);
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        program.write_all(format!("{head}\r\n\r\n").as_bytes()).await.unwrap();
        // The gateway has looked at the rules once it asks for the body.
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n\r\n") {
            assert_ne!(tokio::time::timeout(BOUND, program.read_buf(&mut reply)).await.unwrap().unwrap(), 0);
        }
        world.rules.send_replace(Arc::new(changed));
        program.write_all(body.as_bytes()).await.unwrap();
        program.read_to_end(&mut reply).await.unwrap();
        let reply = String::from_utf8(reply).unwrap();
        assert!(
            reply.starts_with("HTTP/1.1 100") && reply.contains("HTTP/1.1 503") && reply.contains("changed"),
            "{reply}"
        );
        let ended = world.ended().await.pop().unwrap();
        assert!(matches!(ended.outcome, Outcome::Refused { .. }) && ended.metered.is_none(), "{ended:?}");
    }
    assert_eq!(host.seen_so_far(), 0);
}

#[tokio::test]
async fn what_the_books_stop_is_not_sent_and_says_why() {
    let host = Host::new(REPLY).await;
    let reason = "today's budget is used up".to_owned();
    for (stopped, code) in [
        (Stopped::Budget { reason: reason.clone() }, 402),
        (Stopped::Forbidden { reason: reason.clone() }, 403),
        (Stopped::Later { reason: reason.clone() }, 429),
        (Stopped::NotWritten { reason: reason.clone() }, 503),
    ] {
        for (family, path, header) in [
            (Family::Anthropic, "v1/messages", "x-api-key: "),
            (Family::OpenAi, "v1/responses", "authorization: Bearer "),
            (Family::Gemini, "v1/models/m:generateContent", "x-goog-api-key: "),
        ] {
            let world = World::new(routed(family, &host.base()));
            *world.books.stop.lock().unwrap() = Some(stopped.clone());
            let presented = format!("{header}{PLACEHOLDER}\r\n");
            let reply = world.ask(post(&format!("/model/provider/{path}"), &presented, BODY)).await;
            assert_eq!(status(&reply), code);
            let body: serde_json::Value = serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap();
            assert_eq!(body["error"]["message"], format!("Berth: {reason}"), "{body}");
            assert_eq!(reply.contains("x-should-retry: false"), code < 429);
        }
    }
    assert_eq!(host.seen_so_far(), 0);
}

#[tokio::test]
async fn a_locked_keyring_is_said_to_be_the_reason() {
    let host = Host::new(REPLY).await;
    let world = World::new(routed(Family::Anthropic, &host.base()));
    for key in ["", "has\na line"] {
        key.clone_into(&mut world.books.key.lock().unwrap());
        let reply =
            world.ask(post("/model/provider/v1/messages", &format!("x-api-key: {PLACEHOLDER}\r\n"), BODY)).await;
        assert!(status(&reply) == 403 && reply.contains("secret cannot be used"), "{reply}");
    }
    assert!(world.begun().is_empty() && host.seen_so_far() == 0);
}

#[tokio::test]
async fn a_web_page_in_a_browser_inside_uses_no_route() {
    let host = Host::new(REPLY).await;
    let world = World::new(routed(Family::Anthropic, &host.base()));
    let request = post("/model/provider/v1/messages", &format!("x-api-key: {PLACEHOLDER}\r\n"), BODY);
    for (from, to, code) in [
        ("Host: 127.0.0.1:3128\r\n", "Host: rebound.test:3128\r\n", 403),
        ("Host: 127.0.0.1:3128\r\n", "", 403),
        ("Host: 127.0.0.1:3128\r\n", "Host: localhost\r\nOrigin: https://evil.test\r\n", 403),
        ("Host: 127.0.0.1:3128\r\n", "Host: localhost\r\nOrigin: null\r\n", 403),
        ("Host: 127.0.0.1:3128\r\n", "Host: localhost:3128\r\nOrigin: http://localhost:8080\r\n", 200),
        ("Host: 127.0.0.1:3128\r\n", "Host: [::1]:3128\r\nOrigin: vscode-file://vscode-app\r\n", 200),
    ] {
        assert_eq!(status(&world.ask(request.replace(from, to)).await), code, "{to}");
    }
}

#[tokio::test]
async fn a_closed_agent_has_no_route_either() {
    let host = Host::new(REPLY).await;
    let world = World::new(routed(Family::Anthropic, &host.base()));
    let closed = Rules { policy: Policy::Closed, ..routed(Family::Anthropic, &host.base()) };
    world.rules.send_replace(Arc::new(closed));
    let reply = world.ask(post("/model/provider/v1/messages", &format!("x-api-key: {PLACEHOLDER}\r\n"), BODY)).await;
    assert!(status(&reply) == 403 && reply.contains("reaches no host"), "{reply}");
}

#[tokio::test]
async fn a_request_that_is_too_large_or_packed_is_refused() {
    let host = Host::new(REPLY).await;
    let bounds = Bounds { held_bytes_max: 1 << 20, ..Bounds::default() };
    let world = World::with(routed(Family::Anthropic, &host.base()), bounds, &[], Vec::new());
    let key = format!("x-api-key: {PLACEHOLDER}\r\n");
    let head =
        |headers: &str| format!("POST /model/provider/v1/messages HTTP/1.1\r\nHost: localhost\r\n{key}{headers}\r\n");
    let announced = world.ask(head("content-length: 33554433\r\nExpect: 100-continue\r\n")).await;
    assert!(status(&announced) == 413 && announced.contains("request_too_large"), "{announced}");
    let packed =
        world.ask(post("/model/provider/v1/messages", &format!("{key}content-encoding: gzip\r\n"), BODY)).await;
    assert_eq!(status(&packed), 415);

    // More than this sandbox's share of what is held at once.
    let mut program = world.connect();
    let (mut read, mut write) = tokio::io::split(&mut program);
    let mut reply = String::new();
    let sending = async {
        write.write_all(head("content-length: 2000000\r\n").as_bytes()).await.unwrap();
        // The gateway closes when it has had enough.
        let _ = write.write_all(&vec![b' '; 2_000_000]).await;
    };
    let reading = async { read.read_to_string(&mut reply).await };
    let ((), read) = tokio::time::timeout(BOUND, async { tokio::join!(sending, reading) }).await.unwrap();
    read.unwrap();
    assert_eq!(status(&reply), 503, "{reply}");
    assert_eq!(host.seen_so_far(), 0);
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_said_to_be_so_in_its_own_words() {
    let host = Host::new("nonsense\r\n\r\n").await;
    let world = World::new(routed(Family::OpenAi, &host.base()));
    let presented = format!("authorization: Bearer {PLACEHOLDER}\r\n");
    let reply = world.ask(post("/model/provider/v1/responses", &presented, BODY)).await;
    assert!(status(&reply) == 502 && reply.contains("server_error") && reply.contains("gave no reply"), "{reply}");
    let ended = world.ended().await.remove(0);
    assert!(matches!(ended.outcome, Outcome::Cut { .. }) && ended.status == Some(502), "{ended:?}");
}

#[tokio::test]
async fn a_list_of_models_is_asked_for_without_a_body() {
    let host = Host::new(REPLY).await;
    let world = World::new(routed(Family::OpenAi, &host.base()));
    let request = format!(
        "GET /model/provider/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nauthorization: Bearer {PLACEHOLDER}\r\n\r\n"
    );
    assert_eq!(status(&world.ask(request).await), 200);
    let seen = host.seen(1).await.remove(0);
    assert!(seen.starts_with("GET /v1/models HTTP/1.1\r\n") && !seen.contains("content-length: "), "{seen}");
    let Way::Model(call) = &world.begun()[0].way else { panic!("it went by the route") };
    assert_eq!(call.operation, Operation::Models);
}
