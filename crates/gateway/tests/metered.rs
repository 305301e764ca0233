//! What a model server says that it used is what is metered, to the token, over a real connection.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use futures::StreamExt;
use gateway::usage::{Api, Certainty, End, Meter, Metered, Tokens, prepare};
use testkit::{Act, CallUsage, ModelFault, ModelScript, ModelServer, ModelUsage};

const KEY: &str = "sk-the-expected-one";

/// Each call: its path, and the body that a client sends.
fn calls() -> Vec<(Api, &'static str, &'static str)> {
    let gemini = "/v1beta/models/gemini-2.5-flash:";
    let stream = |verb: &str| &*format!("{gemini}{verb}").leak();
    vec![
        (Api::AnthropicMessages, "/v1/messages", r#"{"model":"claude-sonnet-4-5","max_tokens":9}"#),
        (Api::AnthropicMessages, "/v1/messages", r#"{"model":"claude-sonnet-4-5","max_tokens":9,"stream":true}"#),
        (Api::OpenAiChat, "/v1/chat/completions", r#"{"model":"gpt-5"}"#),
        (Api::OpenAiChat, "/v1/chat/completions", r#"{"model":"gpt-5","stream":true}"#),
        (
            Api::OpenAiChat,
            "/v1/chat/completions",
            r#"{"model":"gpt-5","stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (Api::OpenAiResponses, "/v1/responses", r#"{"model":"gpt-5"}"#),
        (Api::OpenAiResponses, "/v1/responses", r#"{"model":"gpt-5","stream":true}"#),
        (Api::GeminiGenerate, stream("generateContent"), "{}"),
        (Api::GeminiStream, stream("streamGenerateContent?alt=sse"), "{}"),
        (Api::GeminiStream, stream("streamGenerateContent"), "{}"),
    ]
}

/// What of a call's usage the provider says.
fn said(api: Api, usage: CallUsage) -> Tokens {
    let CallUsage { input, cache_read, cache_write, output, reasoning } = usage;
    let says_writes = api == Api::AnthropicMessages;
    Tokens {
        input,
        cache_read,
        cache_write: if says_writes { cache_write } else { 0 },
        cache_write_hour: 0,
        output,
        reasoning: if says_writes { 0 } else { reasoning },
    }
}

/// What a client sees, and what was used.
async fn call(server: &ModelServer, api: Api, path: &str, body: &'static str) -> (String, Metered) {
    let prepared = prepare(api, path, &Bytes::from_static(body.as_bytes())).unwrap();
    let request = reqwest::Client::new().post(server.url() + path).bearer_auth(KEY).body(prepared.body.clone());
    let reply = request.send().await.unwrap();
    let is_event_stream = reply.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream");
    let mut meter = Meter::new(api, &prepared, reply.status().as_u16(), is_event_stream);
    let (mut shown, mut pieces, mut end) = (Vec::new(), reply.bytes_stream(), End::Whole);
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => shown.extend_from_slice(&meter.take(piece)),
            Err(_) => end = End::Cut,
        }
    }
    let (rest, metered) = meter.finish(end);
    shown.extend_from_slice(&rest);
    (String::from_utf8(shown).unwrap(), metered.unwrap())
}

#[tokio::test]
async fn what_was_used_is_metered_to_the_token() {
    let usage = CallUsage { input: 2345, cache_read: 500, cache_write: 100, output: 67, reasoning: 13 };
    let usage = ModelUsage { last_turn: usage, ..ModelUsage::default() };
    let script = ModelScript::new(Act::Ask { question: "Which of the two?".to_owned() }).with_usage(usage);
    let server = ModelServer::start(KEY, script).await.unwrap();
    for (api, path, body) in calls() {
        let (shown, metered) = call(&server, api, path, body).await;
        let expected = said(api, usage.last_turn);
        assert_eq!((metered.tokens, metered.certainty), (expected, Certainty::Exact), "{path} {body}");
        assert!(shown.contains("Which of the two?"), "{shown}");
        let is_count_shown = shown.contains("2345") || shown.contains("2845");
        let is_hidden = api == Api::OpenAiChat && body.contains("\"stream\":true") && !body.contains("include_usage");
        assert_eq!(is_count_shown, !is_hidden, "{path} {body}");
    }
}

#[tokio::test]
async fn a_reply_that_breaks_off_used_at_least_what_was_seen() {
    let question = "Which of the two? ".repeat(100);
    let script = ModelScript::new(Act::Ask { question }).with_fault(ModelFault::CutAfter { bytes: 1500 });
    let server = ModelServer::start(KEY, script).await.unwrap();
    for (api, path, body) in calls() {
        let (_, metered) = call(&server, api, path, body).await;
        assert_eq!(metered.certainty, Certainty::AtLeast, "{path} {body}");
        assert!(metered.tokens.output > 0, "{path} {body}");
        assert!(metered.tokens.output <= 1500 / 4, "{path} {body}");
    }
}
