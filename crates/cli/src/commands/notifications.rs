//! Of what the desktop notifies a person.

use wire::{
    call::{SetNews, ShowNewsSettings},
    news::{NewsKind, NewsSettings, SILENT_MEANS},
};

use crate::{
    arguments::{Notifications, Switch},
    connection::Connection,
    exit::Exit,
    show::{
        Printer,
        ink::{Ink, Tone},
        table::{Cell, Table},
    },
};

/// `berth notifications [on|off [KIND…]]`
pub(super) async fn notifications(
    connection: &Connection,
    typed: Notifications,
    printer: Printer,
) -> anyhow::Result<Exit> {
    let Notifications { switch, kinds } = typed;
    let view = match switch {
        None => connection.call(ShowNewsSettings {}).await?,
        Some(switch) => {
            let kinds = if kinds.is_empty() { NewsKind::ALL.to_vec() } else { kinds };
            connection.call(SetNews { kinds, is_silent: switch == Switch::Off }).await?
        }
    };
    printer.reply(&view, |ink| settings(&view, ink))?;
    Ok(Exit::Done)
}

/// Every kind, and whether the desktop tells of it.
fn settings(view: &NewsSettings, ink: Ink) -> String {
    let mut table = Table::new(["KIND", "NOTIFICATION", "OF WHAT"]);
    for kind in NewsKind::ALL {
        let (word, tone) = if view.silent.contains(&kind) { ("off", Tone::Faint) } else { ("on", Tone::Good) };
        table.row([
            Cell::toned(Tone::Strong, &kind.name().replace('_', "-")),
            Cell::toned(tone, word),
            Cell::plain(kind.word()),
        ]);
    }
    let mut text = table.lay_out(ink);
    if !view.silent.is_empty() {
        text.push_str(SILENT_MEANS);
        text.push('\n');
    }
    text
}
