//! Homes, and what is in one.

use jiff::Timestamp;
use wire::{
    call::HomeImported,
    view::{EntryKind, FolderView, HomeView},
};

use super::{
    ink::{Ink, Tone},
    table::{Cell, Table},
    words::{ago, line, size},
};

/// One line a home.
pub(crate) fn homes(homes: &[HomeView], now: Timestamp, ink: Ink) -> String {
    if homes.is_empty() {
        return "No homes. Each agent gets one: `berth agents create NAME --image IMAGE`.\n".to_owned();
    }
    let mut table = Table::new(["HOME", "STATE", "SIZE", "FILES", "LAST USED", "SEEDED BY", "VOLUME"]);
    for home in homes {
        let (state, tone) = state(home);
        table.row([
            Cell::toned(Tone::Strong, &home.name),
            Cell::toned(tone, &state),
            Cell::plain(&home.size.map_or_else(
                || if home.is_new { "-" } else { "not measured" }.to_owned(),
                |found| size(found.size_bytes),
            )),
            Cell::plain(&home.size.map_or_else(|| "-".to_owned(), |found| found.files.to_string())),
            Cell::plain(&home.used_at.map_or_else(|| "never".to_owned(), |at| ago(now, at))),
            Cell::plain(home.image.as_deref().unwrap_or("-")),
            Cell::toned(Tone::Faint, &home.home),
        ]);
    }
    table.lay_out(ink)
}

fn state(home: &HomeView) -> (String, Tone) {
    if let Some(work) = home.work {
        let of = work.total_bytes.map(|total| format!(" of {}", size(total))).unwrap_or_default();
        return (format!("{}, {}{of}", work.kind.word().to_lowercase(), size(work.done_bytes)), Tone::Busy);
    }
    match &home.task {
        Some(task) => (format!("in use by #{}", task.number), Tone::Busy),
        None if home.is_orphan => ("of a deleted agent".to_owned(), Tone::Attention),
        None if home.is_new => ("made at first use".to_owned(), Tone::Faint),
        None => ("free".to_owned(), Tone::Plain),
    }
}

/// One line an entry.
pub(crate) fn folder(folder: &FolderView, now: Timestamp, ink: Ink) -> String {
    if folder.entries.is_empty() {
        return "The folder is empty.\n".to_owned();
    }
    let mut table = Table::new(["MODE", "SIZE", "CHANGED", "NAME"]);
    for entry in &folder.entries {
        let (name, tone) = match (entry.kind, &entry.target) {
            (EntryKind::Folder, _) => (format!("{}/", entry.name), Tone::Strong),
            (EntryKind::Link, Some(target)) => (format!("{} -> {target}", entry.name), Tone::Faint),
            (EntryKind::Special, _) => (format!("{} (no file)", entry.name), Tone::Faint),
            (EntryKind::File | EntryKind::Link, _) => (entry.name.clone(), Tone::Plain),
        };
        table.row([
            Cell::toned(Tone::Faint, &format!("{:04o}", entry.mode)),
            Cell::plain(&if entry.kind == EntryKind::File { size(entry.size_bytes) } else { "-".to_owned() }),
            Cell::plain(&entry.modified_at.map_or_else(|| "-".to_owned(), |at| ago(now, at))),
            Cell::toned(tone, &name),
        ]);
    }
    let mut text = table.lay_out(ink);
    if folder.total > folder.entries.len() as u64 {
        put!(text, "{} more", folder.total - folder.entries.len() as u64);
    }
    text
}

/// What an import came to.
pub(crate) fn imported(imported: &HomeImported, ink: Ink) -> String {
    let mut text = format!(
        "The home of {} holds {} entries of the archive, {}. What was in it before is gone.\n",
        imported.home.name,
        imported.entries,
        size(imported.size_bytes)
    );
    if imported.left_out_total > 0 {
        put!(text, "{} left out:", ink.paint(Tone::Attention, &imported.left_out_total.to_string()));
        for what in &imported.left_out {
            put!(text, "    {}", line(what));
        }
    }
    text
}
