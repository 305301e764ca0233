//! OpenAI's words of Chat Completions (<https://platform.openai.com/docs/api-reference/chat>).

use bytes::Bytes;
use serde_json::{Value, json};

use super::{CallUsage, Reply, ToolInput, Turn, event, in_pieces};

/// Whether a stream counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    Yes,
    No,
}

pub(super) fn document(reply: &Reply<'_>) -> Value {
    let message = match reply.turn {
        Turn::Say(text) => json!({"role": "assistant", "content": text}),
        Turn::Call(call) => json!({"role": "assistant", "content": null, "tool_calls": [{
            "id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments(&call.input)},
        }]}),
    };
    let choice = json!({"index": 0, "message": message, "finish_reason": finish_reason(reply.turn), "logprobs": null});
    json!({
        "id": format!("chatcmpl-{}", reply.number), "object": "chat.completion", "created": 0, "model": reply.model,
        "service_tier": "default", "choices": [choice], "usage": usage(reply.usage),
    })
}

pub(super) fn stream(reply: &Reply<'_>, counts: Counts) -> Vec<Bytes> {
    let mut deltas = vec![json!({"role": "assistant", "content": null})];
    match reply.turn {
        Turn::Say(text) => deltas.extend(in_pieces(text).into_iter().map(|text| json!({"content": text}))),
        Turn::Call(call) => {
            let function = json!({"name": call.name, "arguments": ""});
            deltas.push(json!({"tool_calls": [{"index": 0, "id": call.id, "type": "function", "function": function}]}));
            let pieces = in_pieces(&arguments(&call.input)).into_iter();
            deltas.extend(pieces.map(|piece| json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})));
        }
    }
    let choices = deltas.into_iter().map(|delta| json!([{"index": 0, "delta": delta, "finish_reason": null}]));
    let last = json!([{"index": 0, "delta": {}, "finish_reason": finish_reason(reply.turn)}]);
    let mut chunks: Vec<Value> = choices.chain([last]).map(|choices| chunk(reply, &choices)).collect();
    if counts == Counts::Yes {
        for chunk in &mut chunks {
            chunk["usage"] = Value::Null;
        }
        let mut count = chunk(reply, &json!([]));
        count["usage"] = usage(reply.usage);
        chunks.push(count);
    }
    chunks.iter().map(event).chain([Bytes::from_static(b"data: [DONE]\n\n")]).collect()
}

fn chunk(reply: &Reply<'_>, choices: &Value) -> Value {
    json!({
        "id": format!("chatcmpl-{}", reply.number), "object": "chat.completion.chunk", "created": 0,
        "model": reply.model, "service_tier": "default", "choices": choices,
    })
}

fn usage(usage: CallUsage) -> Value {
    let prompt = usage.input + usage.cache_read;
    json!({
        "prompt_tokens": prompt, "completion_tokens": usage.output, "total_tokens": prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

fn finish_reason(turn: &Turn) -> &'static str {
    match turn {
        Turn::Say(_) => "stop",
        Turn::Call(_) => "tool_calls",
    }
}

fn arguments(input: &ToolInput) -> String {
    match input {
        ToolInput::Arguments(arguments) => arguments.to_string(),
        ToolInput::Text(text) => json!({"input": text}).to_string(),
    }
}
