//! The model server as a client sees it.

use std::time::Instant;

use reqwest::{Client, RequestBuilder};
use serde_json::json;

use super::*;

const KEY: &str = "sk-the-expected-one";

/// Every call that it answers: a path, and a body that offers a tool, after so many of its results.
fn calls(results: usize) -> [(&'static str, Value); 5] {
    let schema = json!({
        "type": "object", "required": ["file_path", "content", "overwrite", "mode"],
        "properties": {
            "file_path": {"type": "string"}, "content": {"type": "string"}, "overwrite": {"type": "boolean"},
            "mode": {"type": "string", "enum": ["w", "a"]},
        },
    });
    let many = |items: &[Value]| -> Vec<Value> { std::iter::repeat_n(items, results).flatten().cloned().collect() };
    let anthropic = json!({
        "model": "m", "tools": [{"name": "TodoWrite", "input_schema": {}}, {"name": "Write", "input_schema": schema}],
        "messages": many(&[
            json!({"role": "assistant", "content": [{"type": "tool_use"}]}),
            json!({"role": "user", "content": [{"type": "tool_result"}, {"type": "text", "text": "a reminder"}]}),
        ]),
    });
    let chat = json!({
        "model": "m", "tools": [{"type": "function", "function": {"name": "write", "parameters": schema}}],
        "messages": many(&[json!({"role": "assistant", "tool_calls": [{}]}), json!({"role": "tool"})]),
    });
    let responses = json!({
        "model": "m", "tools": [{"type": "function", "name": "write_file", "parameters": schema}],
        "input": many(&[json!({"type": "function_call"}), json!({"type": "function_call_output"})]),
    });
    let gemini = json!({
        "tools": [{"functionDeclarations": [{"name": "write_file", "parametersJsonSchema": schema}]}],
        "contents": many(&[
            json!({"role": "model", "parts": [{"functionCall": {}}]}),
            json!({"role": "user", "parts": [{"functionResponse": {}}]}),
        ]),
    });
    [
        ("/v1/messages", anthropic),
        ("/v1/chat/completions", chat),
        ("/v1/responses", responses),
        ("/v1beta/models/m:generateContent", gemini.clone()),
        ("/v1beta/models/m:streamGenerateContent?alt=sse", gemini),
    ]
}

fn write() -> Act {
    Act::WriteFile { path: "/workspace/a.txt".to_owned(), content: "it's \"here\"\n".to_owned() }
}

fn post(server: &ModelServer, path: &str, body: &Value) -> RequestBuilder {
    Client::new().post(server.url() + path).bearer_auth(KEY).json(body)
}

async fn text(request: RequestBuilder) -> String {
    request.send().await.unwrap().text().await.unwrap()
}

/// A stream's events without what only frames them, or the document itself.
fn documents(body: &str) -> Vec<Value> {
    let lines = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
    if events.is_empty() { vec![serde_json::from_str(body).unwrap()] } else { events }
}

/// All strings in it under a name, put together.
fn gathered(documents: &[Value], name: &str) -> String {
    fn gather(value: &Value, name: &str, into: &mut String) {
        for (key, member) in value.as_object().into_iter().flatten() {
            if key == name {
                into.push_str(member.as_str().unwrap_or_default());
            }
            gather(member, name, into);
        }
        for item in value.as_array().into_iter().flatten() {
            gather(item, name, into);
        }
    }
    let mut all = String::new();
    for document in documents {
        gather(document, name, &mut all);
    }
    all
}

#[tokio::test]
async fn it_calls_the_clients_own_tool_and_then_is_done() {
    let server = ModelServer::start(KEY, ModelScript::new(write())).await.unwrap();
    let expected =
        json!({"file_path": "/workspace/a.txt", "content": "it's \"here\"\n", "overwrite": false, "mode": "w"});
    for is_stream in [false, true] {
        for (path, mut body) in calls(0) {
            body["stream"] = is_stream.into();
            let reply = documents(&text(post(&server, path, &body)).await);
            // Where it is in a name of the provider's own, as text in pieces or as it is.
            let of_pieces = match path {
                "/v1/messages" => gathered(&reply, "partial_json"),
                "/v1/responses" if is_stream => gathered(&reply, "delta"),
                _ => gathered(&reply, "arguments"),
            };
            let in_place = ["/content/0/input", "/candidates/0/content/parts/0/functionCall/args"];
            let found = match serde_json::from_str(&of_pieces) {
                Ok(arguments) => arguments,
                Err(_) => in_place.into_iter().find_map(|place| reply[0].pointer(place)).cloned().unwrap_or_default(),
            };
            assert_eq!(found, expected, "{path} {is_stream}");
        }
        for (path, mut body) in calls(1) {
            body["stream"] = is_stream.into();
            let reply = text(post(&server, path, &body)).await;
            assert!(reply.contains("Done."), "{path}: {reply}");
        }
    }
}

#[tokio::test]
async fn a_stream_of_chat_counts_only_when_it_is_asked_to() {
    let server = ModelServer::start(KEY, ModelScript::new(write())).await.unwrap();
    for is_asked in [false, true] {
        let body = json!({"stream": true, "stream_options": {"include_usage": is_asked}});
        assert_eq!(text(post(&server, "/v1/chat/completions", &body)).await.contains("prompt_tokens"), is_asked);
    }
}

#[tokio::test]
async fn a_turn_that_ended_does_not_count_for_the_next() {
    let server = ModelServer::start(KEY, ModelScript::new(write())).await.unwrap();
    let (path, mut body) = calls(1)[0].clone();
    let more =
        [json!({"role": "assistant", "content": [{"type": "text"}]}), json!({"role": "user", "content": "again"})];
    body["messages"].as_array_mut().unwrap().extend(more);
    assert!(text(post(&server, path, &body)).await.contains("tool_use"));
}

#[tokio::test]
async fn it_goes_round_as_often_as_it_is_told() {
    let server = ModelServer::start(KEY, ModelScript::new(Act::Loop { turns: 3 })).await.unwrap();
    for (results, is_call) in [(0, true), (2, true), (3, false)] {
        for (path, body) in calls(results) {
            assert_ne!(text(post(&server, path, &body)).await.contains("Done."), is_call, "{path} {results}");
        }
    }
}

#[tokio::test]
async fn a_shell_is_used_for_what_has_no_tool_of_its_own() {
    let server = ModelServer::start(KEY, ModelScript::new(Act::RunLong { seconds: 7 })).await.unwrap();
    let ask = async |tool: Value| {
        let body = json!({"tools": [tool], "input": []});
        serde_json::from_str::<Value>(&text(post(&server, "/v1/responses", &body)).await).unwrap()["output"][0].clone()
    };
    let arguments = |item: &Value| -> Value { serde_json::from_str(item["arguments"].as_str().unwrap()).unwrap() };
    let list =
        json!({"type": "function", "name": "shell", "parameters": {"properties": {"command": {"type": "array"}}}});
    assert_eq!(arguments(&ask(list).await), json!({"command": ["bash", "-lc", "env sleep 7"]}));
    let line =
        json!({"type": "function", "name": "exec_command", "parameters": {"properties": {"cmd": {"type": "string"}}}});
    assert_eq!(arguments(&ask(line.clone()).await), json!({"cmd": "env sleep 7"}));
    assert_eq!(ask(json!({"type": "web_search"})).await["content"][0]["text"], "Done.");

    server.set_script(ModelScript::new(write()));
    let command = r#"printf %s 'it'\''s "here"
' > '/workspace/a.txt'"#;
    assert_eq!(arguments(&ask(line).await), json!({"cmd": command}));
    let item = ask(json!({"type": "custom", "name": "apply_patch"})).await;
    assert_eq!(item["input"], "*** Begin Patch\n*** Add File: /workspace/a.txt\n+it's \"here\"\n*** End Patch\n");
}

#[tokio::test]
async fn it_takes_its_own_key_alone_and_remembers_none() {
    let server = ModelServer::start(KEY, ModelScript::new(Act::Ask { question: "Which?".to_owned() })).await.unwrap();
    for (path, expected) in [
        ("/v1/messages", "authentication_error"),
        ("/v1/chat/completions", "invalid_api_key"),
        ("/v1beta/models/m:generateContent", "UNAUTHENTICATED"),
    ] {
        for key in ["another", ""] {
            let reply =
                Client::new().post(server.url() + path).header("x-api-key", key).body("{}").send().await.unwrap();
            assert_eq!(reply.status(), 401);
            assert!(reply.text().await.unwrap().contains(expected), "{path}");
        }
        for header in ["x-api-key", "x-goog-api-key"] {
            let request =
                Client::new().post(server.url() + path).header(header, KEY).header("x-odd", format!("{KEY}!"));
            assert!(text(request.body("{}")).await.contains("Which?"));
        }
        let by_query = Client::new().post(format!("{}{path}?key={KEY}", server.url())).body("{}");
        assert!(text(by_query).await.contains("Which?"));
    }
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|request| request.had_expected_key).count(), 9);
    assert_eq!(requests.iter().filter(|request| request.status == 401).count(), 6);
    assert!(!format!("{requests:?}").contains(KEY));
    assert!(
        requests.iter().any(|request| request.headers.contains(&("x-api-key".to_owned(), "(a credential)".to_owned())))
    );
}

#[tokio::test]
async fn it_fails_as_often_as_it_is_told_and_then_goes_on() {
    for (path, name) in [
        ("/v1/messages", "overloaded_error"),
        ("/v1/responses", "server_error"),
        ("/x/m:generateContent", "UNAVAILABLE"),
    ] {
        let fault = ModelFault::Status { status: 529, times: 2, retry_after: Some(Duration::from_secs(3)) };
        let server = ModelServer::start(KEY, ModelScript::new(write()).with_fault(fault)).await.unwrap();
        for _ in 0..2 {
            let reply = post(&server, path, &json!({})).send().await.unwrap();
            assert_eq!((reply.status().as_u16(), reply.headers()["retry-after"].to_str().unwrap()), (529, "3"));
            assert!(reply.text().await.unwrap().contains(name), "{path}");
        }
        assert_eq!(post(&server, path, &json!({})).send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_reply_breaks_where_it_is_told() {
    let fault = ModelFault::CutAfter { bytes: 100 };
    let server = ModelServer::start(KEY, ModelScript::new(write()).with_fault(fault)).await.unwrap();
    for (path, mut body) in calls(0) {
        body["stream"] = true.into();
        let mut reply = post(&server, path, &body).send().await.unwrap();
        let mut seen = 0;
        let error = loop {
            match reply.chunk().await {
                Ok(Some(piece)) => seen += piece.len(),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        assert!(error.is_some() && seen == 100, "{path}: {seen} bytes");
    }
}

#[tokio::test]
async fn it_is_as_slow_as_it_is_told() {
    let pause = Duration::from_millis(30);
    let server =
        ModelServer::start(KEY, ModelScript::new(write()).with_fault(ModelFault::SlowFirstByte(pause))).await.unwrap();
    let began = Instant::now();
    post(&server, "/v1/messages", &json!({"stream": true})).send().await.unwrap();
    assert!(began.elapsed() >= pause);
    server.set_script(ModelScript::new(write()).with_fault(ModelFault::SlowStream(pause)));
    let began = Instant::now();
    let reply = text(post(&server, "/v1/messages", &json!({"stream": true}))).await;
    let pieces = u32::try_from(reply.matches("\n\n").count()).unwrap();
    assert!(pieces > 5 && began.elapsed() >= pause * pieces);
}

#[tokio::test]
async fn it_says_which_headers_it_got_and_what_there_is() {
    let server = ModelServer::start(KEY, ModelScript::new(Act::Echo)).await.unwrap();
    let reply = text(post(&server, "/v1/messages", &json!({})).header("x-odd", "seen")).await;
    assert!(reply.contains("x-odd: seen") && reply.contains(KEY));
    let models = text(Client::new().get(server.url() + "/v1/models").bearer_auth(KEY)).await;
    assert!(models.contains("gpt-5"));
    let nothing = Client::new().get(server.url() + "/nothing").bearer_auth(KEY).send().await.unwrap();
    assert_eq!(nothing.status(), 404);
}

#[tokio::test]
async fn it_ends_when_it_is_dropped_whatever_it_is_at() {
    let fault = ModelFault::SlowFirstByte(Duration::from_mins(10));
    let server = ModelServer::start(KEY, ModelScript::new(write()).with_fault(fault)).await.unwrap();
    let (url, request) = (server.url(), post(&server, "/v1/messages", &json!({})));
    let waiting = tokio::join!(request.send(), async {
        crate::until("the request is there", Duration::from_secs(10), async || !server.requests().is_empty()).await;
        drop(server);
    });
    assert!(waiting.0.is_err());
    assert!(Client::new().get(url).send().await.is_err());
}
