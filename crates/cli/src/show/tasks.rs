//! The task list.

use jiff::Timestamp;
use wire::view::TaskList;

use super::{
    ink::{Ink, Tone},
    table::{Cell, Table},
    words::{ago, phase},
};

/// The widest title, in columns of the terminal.
const TITLE_WIDTH_MAX: usize = 48;
/// The widest note.
const NOTE_WIDTH_MAX: usize = 60;

/// One line a task.
pub(crate) fn task_list(list: &TaskList, now: Timestamp, ink: Ink) -> String {
    if list.rows.is_empty() {
        return "No tasks. Hand one in with `berth run FILE --wait`.\n".to_owned();
    }
    let mut table = Table::new(["#", "PHASE", "TITLE", "AGENT", "AGE", "COST", "NOTE"]);
    for row in &list.rows {
        table.row([
            Cell::toned(Tone::Strong, &row.number.to_string()),
            Cell::toned(Tone::of_phase(row.phase), &phase(row.phase, &row.holds, row.attempt)),
            Cell::plain(&row.title).cut(TITLE_WIDTH_MAX),
            Cell::plain(&row.agent),
            Cell::plain(&ago(now, row.created_at)),
            Cell::plain(&row.cost.map(|spent| spent.to_string()).unwrap_or_default()),
            Cell::toned(Tone::Faint, &row.note).cut(NOTE_WIDTH_MAX),
        ]);
    }
    let mut text = table.lay_out(ink);
    let shown = list.rows.len() as u64;
    if shown < list.total {
        put!(text, "{} more: `berth ls --limit {}`", list.total - shown, list.total.min(1_000));
    }
    text
}
