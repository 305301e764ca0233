//! Agents, images, and what the doctor found.

use wire::{
    network::{BRIDGE_GIVES_UP, NetworkPolicy},
    secret::{SIGNED_IN_MEANS, logins_said},
    task::ReviewGate,
    view::{AgentView, DoctorReport, ImageState, ImageView, Verdict},
};

use super::{
    ink::{Ink, Tone},
    network::{host, policy},
    secrets::opens,
    table::{Cell, Table},
    words::{duration, line, size},
};

/// One line an agent.
pub(crate) fn agents(agents: &[AgentView], ink: Ink) -> String {
    let mut table =
        Table::new(["AGENT", "IMAGE", "MEMORY", "TIME", "REVIEW", "NETWORK", "SECRETS", "HOME", "WHAT IT DOES"]);
    for agent in agents {
        table.row([
            Cell::toned(Tone::Strong, &agent.name),
            Cell::plain(&agent.image),
            Cell::plain(&size(agent.limits.memory_bytes)),
            Cell::plain(&duration(agent.limits.wall_clock_s)),
            Cell::plain(match agent.review {
                ReviewGate::Ask => "asks you",
                ReviewGate::Skip => "completes by itself",
            }),
            Cell::plain(&policy(&agent.network)),
            Cell::plain(&match agent.secrets.as_slice() {
                [] => "-".to_owned(),
                secrets => secrets.iter().map(|secret| secret.name.as_str()).collect::<Vec<_>>().join(", "),
            }),
            Cell::plain(if agent.busy.is_some() { "in use" } else { "free" }),
            Cell::toned(Tone::Faint, &agent.description),
        ]);
    }
    table.lay_out(ink)
}

/// An agent, and below its line each host and each secret.
pub(crate) fn agent(agent: &AgentView, ink: Ink) -> String {
    let mut text = agents(std::slice::from_ref(agent), ink);
    if agent.network == NetworkPolicy::Bridge {
        put!(text, "  {} {BRIDGE_GIVES_UP}", ink.paint(Tone::Attention, "bridge:"));
    }
    for grant in agent.network.hosts() {
        put!(text, "  {} {}", ink.paint(Tone::Faint, "may reach"), line(&host(grant)));
    }
    for secret in &agent.secrets {
        let way = secret.way.word().to_lowercase();
        put!(
            text,
            "  {} {}: {}, {way} as {}",
            ink.paint(Tone::Faint, "has"),
            line(&secret.name),
            line(&opens(&secret.binding)),
            line(&secret.variable)
        );
    }
    if !agent.logins.is_empty() {
        let logins = logins_said(&agent.logins);
        put!(text, "  {} {logins}. {SIGNED_IN_MEANS}", ink.paint(Tone::Attention, "signed in inside:"));
    }
    text
}

/// One line an image.
pub(crate) fn images(images: &[ImageView], ink: Ink) -> String {
    let mut table = Table::new(["IMAGE", "STATE", "VERSION", "WHAT IT IS"]);
    for image in images {
        let (state, tone) = state(&image.state);
        table.row([
            Cell::toned(Tone::Strong, &image.name),
            Cell::toned(tone, &state),
            Cell::plain(&image.version),
            Cell::toned(Tone::Faint, &image.title),
        ]);
    }
    table.lay_out(ink)
}

fn state(state: &ImageState) -> (String, Tone) {
    match state {
        ImageState::Unknown => ("unknown".to_owned(), Tone::Faint),
        ImageState::NotBuilt => ("not built".to_owned(), Tone::Faint),
        ImageState::Outdated => ("outdated".to_owned(), Tone::Attention),
        ImageState::Building { number, of, .. } => (format!("building, {number} of {of}"), Tone::Busy),
        ImageState::Ready { size_bytes } => (format!("ready, {}", size(*size_bytes)), Tone::Good),
        ImageState::Failed { error } => (format!("failed: {}", error.message), Tone::Bad),
    }
}

/// One line a check, and a second where there is something to do.
pub(crate) fn doctor(report: &DoctorReport, ink: Ink) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let (word, tone) = verdict(check.verdict);
        put!(text, "{} {}: {}", ink.paint(tone, word), line(&check.name), line(&check.message));
        if !check.hint.is_empty() {
            put!(text, "     {} {}", ink.paint(Tone::Strong, "hint:"), line(&check.hint));
        }
    }
    super::upkeep::findings(&mut text, &report.findings, &report.others, ink);
    text
}

const fn verdict(verdict: Verdict) -> (&'static str, Tone) {
    match verdict {
        Verdict::Good => ("good", Tone::Good),
        Verdict::Warning => ("warn", Tone::Attention),
        Verdict::Bad => ("bad ", Tone::Bad),
    }
}
