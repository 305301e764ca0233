//! Agents, and what the doctor found.

use wire::{
    network::{BRIDGE_GIVES_UP, NetworkPolicy},
    secret::{SIGNED_IN_MEANS, logins_said},
    task::ReviewGate,
    view::{AgentView, DoctorReport, Verdict},
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
    brings(&mut text, agent, ink);
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

/// What it brings along, where it brings anything unusual.
fn brings(text: &mut String, agent: &AgentView, ink: Ink) {
    let label = |words: &str| ink.paint(Tone::Faint, words);
    if let Some(model) = &agent.model {
        put!(text, "  {} {}", label("uses the model"), line(model));
    }
    for file in &agent.persona {
        put!(text, "  {} {} ({})", label("is instructed by"), line(&file.name), size(file.text.len() as u64));
    }
    if !agent.has_memory {
        put!(text, "  {}", label("has no memory"));
    }
    for (registry, packages) in [("Debian", &agent.tools.apt), ("npm", &agent.tools.npm), ("PyPI", &agent.tools.pip)] {
        if !packages.is_empty() {
            let packages: Vec<_> = packages.iter().map(|package| line(package)).collect();
            put!(text, "  {} {}: {}", label("has tools of"), registry, packages.join(", "));
        }
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
