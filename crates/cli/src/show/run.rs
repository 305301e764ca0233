//! One run with its steps, and how a run that was waited for came out.

use jiff::Timestamp;
use wire::{
    Action, Phase,
    cost::Spent,
    network::BRIDGE_IN_SHORT,
    view::{RunSummary, RunView, SandboxView, StepView},
};

use super::{
    ink::{Ink, Tone},
    table::{Cell, Table},
    words::{self, ago, line, size},
};

/// All that is known of a run.
pub(crate) fn run(view: &RunView, spent: Option<&Spent>, now: Timestamp, ink: Ink) -> String {
    let summary = &view.summary;
    let mut text = String::new();
    let mut fact = |name: &str, value: &str| {
        put!(text, "{}{value}", ink.paint(Tone::Faint, &format!("{name:<11}")));
    };
    fact("Task", &format!("#{} · run {}", summary.number, view.ordinal));
    fact("Run", &summary.run.to_string());
    fact("Phase", &ink.paint(Tone::of_phase(summary.phase), summary.phase.word()));
    fact("Taken in", &ago(now, view.created_at));
    if let Some(ended_at) = view.ended_at {
        fact("Ended", &ago(now, ended_at));
    }
    if let Some(workspace) = &summary.workspace {
        fact("Workspace", &line(workspace));
    }
    if let Some(spent) = spent {
        fact("Cost", &spent.to_string());
    }
    let mut sandboxes = view.steps.iter().filter_map(|step| step.sandbox.as_ref());
    if sandboxes.any(SandboxView::has_network_card) {
        fact("Network", &ink.paint(Tone::Attention, BRIDGE_IN_SHORT));
    }
    for compute in view.steps.iter().filter_map(|step| step.compute) {
        fact("Compute", &super::compute::said(&compute));
    }
    for step in view.steps.iter().filter(|step| step.wait.is_some() && step.holds.is_empty()) {
        fact("Waits", &line(&step.wait.as_ref().map_or_else(String::new, wire::queue::Wait::sentence)));
    }
    text.push('\n');
    text.push_str(&steps(&view.steps, ink));
    if let Some(error) = &summary.error {
        text.push('\n');
        text.push_str(&words::error(error, ink));
    }
    let next = next_commands(view);
    if !next.is_empty() {
        put!(text, "\n{} {}", ink.paint(Tone::Strong, "next:"), next.join(" · "));
    }
    text
}

fn steps(steps: &[StepView], ink: Ink) -> String {
    let mut table = Table::new(["STEP", "NAME", "AGENT", "IMAGE", "PHASE", "OUTPUT"]);
    for step in steps {
        let mut phase = words::phase(step.phase, &step.holds, step.attempt);
        if let Some(progress) = &step.progress {
            phase = format!("{phase} · {} ({} of {})", progress.stage, progress.number, progress.of);
        }
        table.row([
            Cell::plain(&step.ordinal.to_string()),
            Cell::plain(&step.name),
            Cell::plain(&step.agent),
            Cell::plain(&step.image),
            Cell::toned(Tone::of_phase(step.phase), &phase),
            Cell::plain(&size(step.output_bytes)),
        ]);
    }
    table.lay_out(ink)
}

/// The commands that can be typed now, out of the actions that the core allows.
fn next_commands(view: &RunView) -> Vec<String> {
    let number = view.summary.number;
    let is_possible = |action: Action| {
        let mut actions = view.steps.iter().flat_map(|step| &step.actions);
        actions.any(|possible| possible.action == action && possible.denied.is_none())
    };
    Action::ALL
        .into_iter()
        .filter(|action| is_possible(*action))
        .map(|action| match action {
            Action::Approve => format!("berth approve {number}"),
            Action::RequestChanges => format!("berth changes {number} WHAT"),
            Action::Reject => format!("berth reject {number}"),
            Action::Cancel => format!("berth cancel {number}"),
            Action::Pause => format!("berth pause {number}"),
            Action::Resume => format!("berth resume {number}"),
            Action::Retry => format!("berth retry {number}"),
        })
        .collect()
}

/// How a run stands, in a line or two.
pub(crate) fn summary(summary: &RunSummary, ink: Ink) -> String {
    let RunSummary { number, phase, workspace, error, .. } = summary;
    let mut text = format!("#{number} {}\n", ink.paint(Tone::of_phase(*phase), phase.word()));
    if let Some(workspace) = workspace {
        put!(text, "Workspace: {}", line(workspace));
    }
    match phase {
        Phase::Queued | Phase::Provisioning | Phase::Executing => {
            put!(text, "Follow it with `berth logs {number} --follow`.");
        }
        Phase::AwaitingReview => {
            put!(
                text,
                "Look at `berth results {number}`, then `berth approve {number}` or `berth changes {number} WHAT`."
            );
        }
        Phase::Completed | Phase::Failed | Phase::Cancelled => {}
    }
    if let Some(error) = error {
        text.push_str(&words::error(error, ink));
    }
    text
}
