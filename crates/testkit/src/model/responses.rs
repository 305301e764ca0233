//! OpenAI's words of Responses (<https://platform.openai.com/docs/api-reference/responses>, and its `/responses-streaming`).

use bytes::Bytes;
use serde_json::{Value, json};

use super::{CallUsage, Reply, ToolCall, ToolInput, Turn, in_pieces, named_event};

pub(super) fn document(reply: &Reply<'_>) -> Value {
    response(reply, "completed", &json!([item(reply, "completed")]), &usage(reply.usage))
}

pub(super) fn stream(reply: &Reply<'_>) -> Vec<Bytes> {
    let begun = response(reply, "in_progress", &json!([]), &Value::Null);
    let whole = item(reply, "completed");
    let id = whole["id"].clone();
    let mut events = vec![json!({"type": "response.created", "response": begun})];
    let mut added = item(reply, "in_progress");
    for name in ["content", "arguments", "input"] {
        if let Some(value) = added.get_mut(name) {
            *value = if name == "content" { json!([]) } else { "".into() };
        }
    }
    events.push(json!({"type": "response.output_item.added", "output_index": 0, "item": added}));
    let (delta_type, text) = match reply.turn {
        Turn::Say(text) => {
            let part = json!({"type": "output_text", "text": "", "annotations": []});
            events.push(json!({"type": "response.content_part.added", "item_id": id, "output_index": 0, "content_index": 0, "part": part}));
            ("response.output_text.delta", text.clone())
        }
        Turn::Call(call) => match &call.input {
            ToolInput::Arguments(arguments) => ("response.function_call_arguments.delta", arguments.to_string()),
            ToolInput::Text(text) => ("response.custom_tool_call_input.delta", text.clone()),
        },
    };
    events.extend(in_pieces(&text).into_iter().map(
        |delta| json!({"type": delta_type, "item_id": id, "output_index": 0, "content_index": 0, "delta": delta}),
    ));
    if let Turn::Say(text) = reply.turn {
        events.push(json!({"type": "response.output_text.done", "item_id": id, "output_index": 0, "content_index": 0, "text": text}));
        let part = &whole["content"][0];
        events.push(json!({"type": "response.content_part.done", "item_id": id, "output_index": 0, "content_index": 0, "part": part}));
    }
    events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": whole}));
    events.push(json!({"type": "response.completed", "response": document(reply)}));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = number.into();
    }
    events.iter().map(named_event).collect()
}

fn response(reply: &Reply<'_>, status: &str, output: &Value, usage: &Value) -> Value {
    json!({
        "id": format!("resp_{}", reply.number), "object": "response", "created_at": 0, "status": status,
        "model": reply.model, "service_tier": "default", "output": output, "usage": usage, "error": null,
    })
}

fn item(reply: &Reply<'_>, status: &str) -> Value {
    let id = format!("item_{}", reply.number);
    let mut item = match reply.turn {
        Turn::Say(text) => {
            let content = json!([{"type": "output_text", "text": text, "annotations": []}]);
            json!({"type": "message", "id": id, "role": "assistant", "status": status, "content": content})
        }
        Turn::Call(call) => match &call.input {
            ToolInput::Arguments(arguments) => json!({
                "type": "function_call", "id": id, "call_id": call.id, "name": call.name, "status": status,
                "arguments": arguments.to_string(),
            }),
            ToolInput::Text(text) => json!({
                "type": "custom_tool_call", "id": id, "call_id": call.id, "name": call.name, "status": status, "input": text,
            }),
        },
    };
    if let Turn::Call(ToolCall { namespace: Some(namespace), .. }) = reply.turn {
        item["namespace"] = namespace.clone().into();
    }
    item
}

fn usage(usage: CallUsage) -> Value {
    let input = usage.input + usage.cache_read;
    json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": usage.cache_read},
        "output_tokens": usage.output, "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": input + usage.output,
    })
}
