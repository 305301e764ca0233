//! `docs/lifecycle.md` is what the machine does: it is generated here, and a stale one fails. `UPDATE=1` rewrites it.

use std::{collections::BTreeMap, fmt::Write, fs};

use lifecycle::{Advance, Denied, Effect, Input, StepState, advance};

use crate::states::kinds;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lifecycle.md");

const HEAD: &str = "\
# The life of a step

Generated from `crates/lifecycle` by its test; `UPDATE=1 cargo test -p lifecycle` writes it anew.

A step is in one of seven phases. Being held is no phase: a held step in the queue gets no slot, a held agent is stopped
where it is, and both go on when nothing holds them any more. Ending an agent takes time: what ends it is recorded at
once, and the final phase comes when nothing of it is left: Cancelled after a person's word, Failed after a limit or a
broken guest.

```mermaid
stateDiagram-v2
";

#[test]
fn the_document_is_what_the_machine_does() {
    let generated = document();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(PATH, &generated).unwrap();
    }
    let written = fs::read_to_string(PATH).unwrap_or_default();
    assert!(written == generated, "docs/lifecycle.md is stale: run `UPDATE=1 cargo test -p lifecycle`");
}

fn document() -> String {
    let mut document = HEAD.to_owned();
    diagram(&mut document);
    document.push_str("```\n\nWhat happens in each state, and what is refused and why:\n");
    for (name, state) in kinds() {
        section(&mut document, name, state);
    }
    document
}

/// The changes of phase. What only changes holds is left to the sections.
fn diagram(document: &mut String) {
    writeln!(document, "    [*] --> Queued").unwrap();
    let mut edges = Vec::<((String, String), Vec<String>)>::new();
    for (_, state) in kinds() {
        for (label, answer) in answers(state) {
            let Ok(next) = answer else { continue };
            let edge = (node(state), node(next.state));
            if edge.0 == edge.1 {
                continue;
            }
            let labels = match edges.iter_mut().find(|(known, _)| *known == edge) {
                Some((_, labels)) => labels,
                None => &mut edges.push_mut((edge, Vec::new())).1,
            };
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
    }
    for ((from, to), labels) in edges {
        writeln!(document, "    {from} --> {to}: {}", labels.join(", ")).unwrap();
    }
    for last in ["Completed", "Failed", "Cancelled"] {
        writeln!(document, "    {last} --> [*]").unwrap();
    }
    for phase in ["Provisioning", "Executing"] {
        writeln!(document, "    state \"{phase}, being ended\" as {phase}Ending").unwrap();
    }
    writeln!(document, "    state \"Awaiting review\" as AwaitingReview").unwrap();
}

fn section(document: &mut String, name: &str, state: StepState) {
    writeln!(document, "\n## {name}\n").unwrap();
    let mut refused = BTreeMap::<&str, Vec<String>>::new();
    let mut rows = String::new();
    for (label, answer) in answers(state) {
        match answer {
            Ok(Advance { state, effects }) => {
                writeln!(rows, "| {label} | {} | {} |", words(state), effect_words(&effects)).unwrap();
            }
            Err(denied) => refused.entry(denied.reason()).or_default().push(label),
        }
    }
    if !rows.is_empty() {
        writeln!(document, "| when | then it is | and this is done |\n|---|---|---|\n{rows}").unwrap();
    }
    for (reason, labels) in refused {
        writeln!(document, "- *{reason}* {}", labels.join(", ")).unwrap();
    }
}

/// Each input with its answer; inputs that differ only in their detail and are answered alike are one.
fn answers(state: StepState) -> Vec<(String, Result<Advance, Denied>)> {
    let mut groups = Vec::<(&str, Vec<&str>, Result<Advance, Denied>)>::new();
    for input in Input::ALL {
        let (kind, detail) = input_words(input);
        let answer = advance(&state, input);
        let same = groups.iter_mut().find(|(known, _, other)| *known == kind && looks_alike(other, &answer));
        match same {
            Some((_, details, _)) => details.push(detail),
            None => groups.push((kind, vec![detail], answer)),
        }
    }
    let is_split = |kind| groups.iter().filter(|(known, ..)| *known == kind).count() > 1;
    groups
        .iter()
        .map(|(kind, details, answer)| {
            let label = if is_split(*kind) { format!("{kind} ({})", details.join(", ")) } else { (*kind).to_owned() };
            (label, answer.clone())
        })
        .collect()
}

fn looks_alike(one: &Result<Advance, Denied>, other: &Result<Advance, Denied>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => words(one.state) == words(other.state) && one.effects == other.effects,
        (Err(one), Err(other)) => one == other,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

fn input_words(input: Input) -> (&'static str, &'static str) {
    use lifecycle::{Exit, Limit, ProvisionFailure};
    match input {
        Input::SlotGranted => ("slot granted", ""),
        Input::Provisioned => ("provisioned", ""),
        Input::ProvisionFailed(ProvisionFailure::Engine) => ("provision failed", "engine"),
        Input::ProvisionFailed(ProvisionFailure::Image) => ("provision failed", "image"),
        Input::ProvisionFailed(ProvisionFailure::Workspace) => ("provision failed", "workspace"),
        Input::ProvisionFailed(ProvisionFailure::Guest) => ("provision failed", "guest"),
        Input::ProvisionFailed(ProvisionFailure::Agent) => ("provision failed", "agent"),
        Input::AgentExited(Exit::Success) => ("agent exited", "success"),
        Input::AgentExited(Exit::Failure) => ("agent exited", "failure"),
        Input::LimitReached(Limit::WallClock) => ("limit reached", "wall clock"),
        Input::LimitReached(Limit::Output) => ("limit reached", "output"),
        Input::LimitReached(Limit::Memory) => ("limit reached", "memory"),
        Input::LimitReached(Limit::Disk) => ("limit reached", "disk"),
        Input::GuestBroken => ("guest broken", ""),
        Input::SandboxLost => ("sandbox lost", ""),
        Input::Ended => ("ended", ""),
        Input::Approve => ("approve", ""),
        Input::RequestChanges => ("request changes", ""),
        Input::Reject => ("reject", ""),
        Input::Cancel => ("cancel", ""),
        Input::Hold(hold) => ("hold", hold_words(hold)),
        Input::Release(hold) => ("release", hold_words(hold)),
    }
}

fn hold_words(hold: wire::Hold) -> &'static str {
    match hold {
        wire::Hold::Person => "person",
        wire::Hold::Budget => "budget",
        wire::Hold::Engine => "engine",
        wire::Hold::AppAway => "app away",
        wire::Hold::DiskSpace => "disk space",
    }
}

fn node(state: StepState) -> String {
    let ending = if state.ending().is_some() { "Ending" } else { "" };
    format!("{:?}{ending}", state.phase())
}

fn words(state: StepState) -> String {
    let mut words = state.phase().word().to_owned();
    if state.ending().is_some() {
        words.push_str(", being ended");
    }
    if !state.holds().is_empty() {
        words.push_str(", held");
    }
    if state.attempt() > 1 && !state.phase().is_final() {
        words.push_str(", another attempt");
    }
    words
}

fn effect_words(effects: &[Effect]) -> String {
    effects
        .iter()
        .map(|effect| match effect {
            Effect::AwaitSlot => "await a slot",
            Effect::Provision => "make the sandbox and start the agent",
            Effect::StopAgent => "stop the agent where it is",
            Effect::ContinueAgent => "let the agent go on",
            Effect::EndAgent => "end the agent",
            Effect::FinalizeResults => "make the results final",
            Effect::RemoveSandbox => "remove the sandbox",
        })
        .collect::<Vec<_>>()
        .join(", ")
}
