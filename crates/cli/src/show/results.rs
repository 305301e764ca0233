//! The files that a run left.

use wire::view::{ResultChange, ResultList, ResultView};

use super::{
    ink::{Ink, Tone},
    table::{Cell, Table},
    words::{line, size},
};

/// One line a file.
pub(crate) fn result_list(list: &ResultList, ink: Ink) -> String {
    if list.results.is_empty() {
        return "No results.\n".to_owned();
    }
    let mut table = Table::new(["CHANGE", "SIZE", "TYPE", "PATH", ""]);
    for result in &list.results {
        let (change, tone) = change(result.change);
        table.row([
            Cell::toned(tone, change),
            Cell::plain(&sized(result)),
            Cell::plain(&result.media_type),
            Cell::plain(&result.path),
            Cell::toned(Tone::Faint, result.unreadable.as_deref().unwrap_or_default()),
        ]);
    }
    let mut text = table.lay_out(ink);
    if list.left_out > 0 {
        put!(text, "{} more are not listed: there are too many.", list.left_out);
    }
    if let Some(workspace) = &list.workspace {
        put!(text, "In {}", line(workspace));
    }
    text
}

fn sized(result: &ResultView) -> String {
    match result.change {
        ResultChange::New | ResultChange::Changed => size(result.size_bytes),
        ResultChange::Deleted => String::new(),
    }
}

const fn change(change: ResultChange) -> (&'static str, Tone) {
    match change {
        ResultChange::New => ("new", Tone::Good),
        ResultChange::Changed => ("changed", Tone::Attention),
        ResultChange::Deleted => ("deleted", Tone::Bad),
    }
}
