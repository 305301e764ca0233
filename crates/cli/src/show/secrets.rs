//! Secrets by name. Nothing here has a value to show.

use jiff::Timestamp;
use wire::secret::{
    EnvEntry, SIGNED_IN_MEANS, SecretBinding, SecretView, SecretsView, VaultPlace, host_said, logins_said,
};

use super::{
    ink::{Ink, Tone},
    table::{Cell, Table},
    words::{ago, line},
};

/// All of them, and where their values are, if that is in memory alone.
pub(crate) fn list(view: &SecretsView, now: Timestamp, ink: Ink) -> String {
    let mut text = if view.secrets.is_empty() {
        "No secrets. Keep one with `berth secrets set NAME`.\n".to_owned()
    } else {
        secrets(&view.secrets, now, ink)
    };
    for inside in &view.inside {
        let words = format!("{} is signed in inside the sandbox: {}.", inside.agent_name, logins_said(&inside.logins));
        put!(text, "{} {} {SIGNED_IN_MEANS}", ink.paint(Tone::Attention, "note:"), line(&words));
    }
    if let Some(words) = place(&view.place) {
        put!(text, "{} {}", ink.paint(Tone::Attention, "note:"), line(&words));
    }
    text
}

/// Where values are kept, in sentences, if that is in memory alone.
pub(crate) fn place(place: &VaultPlace) -> Option<String> {
    match place {
        VaultPlace::Keyring => None,
        VaultPlace::Session { reason, hint } => Some(format!("{reason} {hint}").trim_end().to_owned()),
    }
}

/// One line for each agent that has a secret, and one for a secret that none has.
pub(crate) fn secrets(secrets: &[SecretView], now: Timestamp, ink: Ink) -> String {
    let mut table = Table::new(["SECRET", "OPENS", "LAST USED", "AGENT", "HOW"]);
    for secret in secrets {
        let used = secret.used_at.map_or_else(|| "never".to_owned(), |at| ago(now, at));
        let named = |agent: &str, how: &str| {
            [
                Cell::toned(Tone::Strong, &secret.name),
                Cell::plain(&opens(&secret.binding)),
                Cell::plain(&used),
                Cell::plain(agent),
                Cell::plain(how),
            ]
        };
        if secret.grants.is_empty() {
            table.row(named("nobody", ""));
        }
        for grant in &secret.grants {
            let how = format!("{} as {}", grant.way.word().to_lowercase(), grant.variable);
            table.row(named(&grant.agent_name, &how));
        }
    }
    table.lay_out(ink)
}

/// What a secret opens.
pub(crate) fn opens(binding: &SecretBinding) -> String {
    match binding {
        SecretBinding::Provider { provider, base_url, credential } => {
            let at = base_url.as_ref().map(|base_url| format!(" at {base_url}")).unwrap_or_default();
            let kind = if credential.is_key() { "" } else { ", by subscription" };
            format!("{}{at}{kind}", provider.word())
        }
        SecretBinding::Host { host, port, place } => format!("{} ({})", host_said(host, *port), place.said()),
        SecretBinding::Unbound => "no provider".to_owned(),
    }
}

/// What an `.env` file would bring in.
pub(crate) fn preview(entries: &[EnvEntry], ink: Ink) -> String {
    if entries.is_empty() {
        return "The file has no assignments.\n".to_owned();
    }
    let mut table = Table::new(["LINE", "NAME", "OPENS", "WHAT WOULD HAPPEN"]);
    for entry in entries {
        let (then, tone) = match &entry.problem {
            Some(problem) => (format!("left out: {problem}"), Tone::Bad),
            None if entry.is_known => ("replaces the value there is".to_owned(), Tone::Attention),
            None => ("is kept".to_owned(), Tone::Good),
        };
        let opens = if entry.problem.is_some() { String::new() } else { opens(&entry.binding) };
        table.row([
            Cell::toned(Tone::Faint, &entry.line.to_string()),
            Cell::toned(Tone::Strong, if entry.name.is_empty() { "-" } else { &entry.name }),
            Cell::plain(&opens),
            Cell::toned(tone, &then),
        ]);
    }
    table.lay_out(ink)
}
