//! Views for the native tests.

use serde_json::{Value, json};
use wire::{
    MicroUsd, Phase,
    cost::Spent,
    image::{BuildView, ImageView},
    secret::SecretView,
    view::TaskRow,
};

/// A row of the task list.
pub fn row(number: i64, phase: Phase) -> TaskRow {
    let id = format!("{number:032x}");
    serde_json::from_value(serde_json::json!({
        "task": id, "number": number, "title": format!("Task {number}"), "agent": "script", "call_sign": "SC", "run": id,
        "phase": phase.name(), "attempt": 1, "note": "", "created_at": "2026-11-21T10:00:00Z", "since": "2026-11-21T10:00:00Z",
        "results": 0,
    }))
    .unwrap()
}

/// A secret bound to a provider by name, or to nothing, and who has it how.
pub fn secret(opens: &str, grants: &[(&str, &str)]) -> SecretView {
    let binding = match opens {
        "other" => serde_json::json!({"type": "unbound"}),
        provider => serde_json::json!({"type": "provider", "provider": provider}),
    };
    let grants: Vec<_> = grants
        .iter()
        .map(|(agent, way)| {
            serde_json::json!({
                "agent": "0195510f-5a00-7000-8000-000000000004", "agent_name": agent, "way": way, "variable": "KEY",
            })
        })
        .collect();
    serde_json::from_value(serde_json::json!({
        "secret": "0195510f-5a00-7000-8000-000000000009", "name": "key", "binding": binding, "created_at": "2026-11-21T10:00:00Z",
        "replaced_at": "2026-11-21T10:00:00Z", "grants": grants,
    }))
    .unwrap()
}

/// A sum of so many requests, some without a price.
pub fn spent(micro_usd: i64, requests: u64, unpriced: u64) -> Spent {
    Spent { amount: MicroUsd(micro_usd), requests, unpriced, ..Spent::default() }
}

/// An image from there that stands so.
#[expect(clippy::needless_pass_by_value, reason = "tests write them in place")]
pub fn image(name: &str, origin: Value, state: Value) -> ImageView {
    let view = json!({
        "name": name, "call_sign": "CC", "title": "", "description": "", "version": "2.0.14", "origin": origin, "state": state,
    });
    serde_json::from_value(view).unwrap()
}

/// A build that goes on, with these lines of log and so many steps, the last of which runs.
pub fn build(began_at: &str, log: &[&str], steps: u32) -> BuildView {
    let log: Vec<_> = log.iter().map(|text| json!({"at": began_at, "text": text})).collect();
    let step = |number| {
        let state = if number == steps { "running" } else { "done" };
        json!({"text": format!("step {number}"), "state": state, "began_at": began_at})
    };
    let lines = log.len();
    let view = json!({
        "image": "script", "version": "1", "began_at": began_at, "steps": (1..=steps).map(step).collect::<Vec<_>>(), "log": log,
        "from_line": 0, "lines": lines,
    });
    serde_json::from_value(view).unwrap()
}
