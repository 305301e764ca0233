//! Anthropic's words (<https://docs.anthropic.com/en/api/messages>, <https://docs.anthropic.com/en/docs/build-with-claude/streaming>).

use bytes::Bytes;
use serde_json::{Value, json};

use super::{CallUsage, Reply, ToolInput, Turn, in_pieces, named_event};

pub(super) fn document(reply: &Reply<'_>) -> Value {
    let content = match reply.turn {
        Turn::Say(text) => json!([{"type": "text", "text": text}]),
        Turn::Call(call) => {
            json!([{"type": "tool_use", "id": call.id, "name": call.name, "input": input(&call.input)}])
        }
    };
    let mut message = message(reply, reply.usage.output);
    message["content"] = content;
    message["stop_reason"] = stop_reason(reply.turn).into();
    message
}

pub(super) fn stream(reply: &Reply<'_>) -> Vec<Bytes> {
    // As the real one does, it begins with a count that is not yet the last.
    let mut events = vec![json!({"type": "message_start", "message": message(reply, 1)}), json!({"type": "ping"})];
    let (block, deltas) = match reply.turn {
        Turn::Say(text) => {
            let deltas = in_pieces(text).into_iter().map(|text| json!({"type": "text_delta", "text": text})).collect();
            (json!({"type": "text", "text": ""}), deltas)
        }
        Turn::Call(call) => {
            let pieces = in_pieces(&input(&call.input).to_string()).into_iter();
            let deltas: Vec<_> = pieces.map(|json| json!({"type": "input_json_delta", "partial_json": json})).collect();
            (json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}), deltas)
        }
    };
    events.push(json!({"type": "content_block_start", "index": 0, "content_block": block}));
    events.extend(deltas.into_iter().map(|delta| json!({"type": "content_block_delta", "index": 0, "delta": delta})));
    events.push(json!({"type": "content_block_stop", "index": 0}));
    let delta = json!({"stop_reason": stop_reason(reply.turn), "stop_sequence": null});
    events.push(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": reply.usage.output}}));
    events.push(json!({"type": "message_stop"}));
    events.iter().map(named_event).collect()
}

fn message(reply: &Reply<'_>, output: u64) -> Value {
    let CallUsage { input, cache_read, cache_write, .. } = reply.usage;
    json!({
        "id": format!("msg_{}", reply.number), "type": "message", "role": "assistant", "model": reply.model,
        "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {
            "input_tokens": input, "cache_read_input_tokens": cache_read, "cache_creation_input_tokens": cache_write,
            "output_tokens": output, "service_tier": "standard",
        },
    })
}

fn stop_reason(turn: &Turn) -> &'static str {
    match turn {
        Turn::Say(_) => "end_turn",
        Turn::Call(_) => "tool_use",
    }
}

fn input(input: &ToolInput) -> Value {
    match input {
        ToolInput::Arguments(arguments) => arguments.clone(),
        ToolInput::Text(text) => json!({"input": text}),
    }
}
