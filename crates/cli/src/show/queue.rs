//! The queue.

use jiff::Timestamp;
use wire::{
    queue::{QueueState, QueueView, Slots},
    view::TaskRow,
};

use super::{
    ink::{Ink, Tone},
    table::{Cell, Table},
    words::ago,
};

/// The widest title, in columns of the terminal.
const TITLE_WIDTH_MAX: usize = 48;

/// How the queue stands, and one line for each task that waits.
pub(crate) fn queue(view: &QueueView, now: Timestamp, ink: Ink) -> String {
    let mut text = String::new();
    match view.state {
        QueueState::Open => put!(text, "The queue is open."),
        QueueState::Paused => {
            let paused = ink.paint(Tone::Strong, "The queue is paused:");
            put!(text, "{paused} nothing new starts. `berth queue resume` lets it go on.");
        }
    }
    let chosen = match view.slots {
        Slots::Auto => "as cores and memory allow".to_owned(),
        Slots::Fixed { .. } => format!("set by you; {} as cores and memory allow", view.slots_auto),
    };
    put!(text, "{} of {} slots taken ({chosen}).", view.slots_used, view.slots_max);
    if view.waiting.is_empty() {
        put!(text, "Nothing waits.");
        return text;
    }
    text.push('\n');
    let mut table = Table::new(["#", "PRIORITY", "TITLE", "AGENT", "AGE", "WAITS"]);
    for row in &view.waiting {
        table.row([
            Cell::toned(Tone::Strong, &row.number.to_string()),
            Cell::plain(row.priority.word()),
            Cell::plain(&row.title).cut(TITLE_WIDTH_MAX),
            Cell::plain(&row.agent),
            Cell::plain(&ago(now, row.since)),
            Cell::toned(Tone::Faint, &row.note),
        ]);
    }
    text.push_str(&table.lay_out(ink));
    if view.left_out > 0 {
        put!(text, "{} more wait.", view.left_out);
    }
    text
}

/// A task's turn.
pub(crate) fn priority(row: &TaskRow, ink: Ink) -> String {
    let number = ink.paint(Tone::Strong, &format!("#{}", row.number));
    let wait = row.wait.as_ref().map_or_else(String::new, |wait| format!(" {}.", wait.sentence()));
    format!("{number} has {} priority.{wait}\n", row.priority.word().to_lowercase())
}
