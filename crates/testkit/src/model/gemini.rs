//! Gemini's words (<https://ai.google.dev/api/generate-content>). Its stream is events with `alt=sse`, else one JSON array.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{CallUsage, Reply, ToolInput, Turn, event, in_pieces};

pub(super) fn document(reply: &Reply<'_>) -> Value {
    let part = match reply.turn {
        Turn::Say(text) => json!({"text": text}),
        Turn::Call(_) => call(reply.turn),
    };
    chunk(reply, &part, End::Last)
}

pub(super) fn events(reply: &Reply<'_>) -> Vec<Bytes> {
    chunks(reply).iter().map(event).collect()
}

pub(super) fn array(reply: &Reply<'_>) -> Vec<Bytes> {
    let chunks = chunks(reply);
    let between = std::iter::once("[").chain(std::iter::repeat(",\r\n"));
    let parts = between.zip(&chunks).map(|(before, chunk)| Bytes::from(format!("{before}{chunk:#}")));
    parts.chain([Bytes::from_static(b"\n]\n")]).collect()
}

/// Whether a chunk is the last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    Last,
}

fn chunks(reply: &Reply<'_>) -> Vec<Value> {
    let parts: Vec<Value> = match reply.turn {
        Turn::Say(text) => in_pieces(text).into_iter().map(|text| json!({"text": text})).collect(),
        Turn::Call(_) => vec![call(reply.turn)],
    };
    let said = parts.iter().map(|part| chunk(reply, part, End::NotYet));
    said.chain([chunk(reply, &json!({"text": ""}), End::Last)]).collect()
}

fn chunk(reply: &Reply<'_>, part: &Value, end: End) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": [part]}, "index": 0});
    if end == End::Last {
        candidate["finishReason"] = "STOP".into();
    }
    json!({
        "candidates": [candidate], "usageMetadata": usage(reply.usage, end), "modelVersion": reply.model,
        "responseId": format!("response-{}", reply.number),
    })
}

fn call(turn: &Turn) -> Value {
    let Turn::Call(call) = turn else { return Value::Null };
    let arguments = match &call.input {
        ToolInput::Arguments(arguments) => arguments.clone(),
        ToolInput::Text(text) => json!({"input": text}),
    };
    json!({"functionCall": {"name": call.name, "args": arguments}})
}

/// Before the last, the count is of the prompt and of a single token.
fn usage(usage: CallUsage, end: End) -> Value {
    let prompt = usage.input + usage.cache_read;
    if end == End::NotYet {
        return json!({
            "promptTokenCount": prompt, "cachedContentTokenCount": usage.cache_read, "candidatesTokenCount": 1,
            "totalTokenCount": prompt + 1,
        });
    }
    json!({
        "promptTokenCount": prompt, "cachedContentTokenCount": usage.cache_read,
        "candidatesTokenCount": usage.output.saturating_sub(usage.reasoning), "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": prompt + usage.output,
    })
}
