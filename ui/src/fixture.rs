//! Views for the native tests.

use wire::{Phase, view::TaskRow};

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
