//! What sandboxes used of the machine.

use wire::{
    compute::{ComputeCosts, ComputeLine, ComputeRates, ComputeView, memory_said, time_said},
    cost::CostKey,
};

use super::{
    costs::{csv_of, exact, guarded, span, to_the_micro_dollar},
    ink::{Ink, Tone},
    table::{Cell, Table},
    words::line,
};

/// A use in a line, with what it comes to.
pub(crate) fn said(view: &ComputeView) -> String {
    view.cost.map_or_else(|| view.used.to_string(), |cost| format!("{}: {}", view.used, exact(cost)))
}

/// What was used in a span of time.
pub(crate) fn costs(view: &ComputeCosts, ink: Ink) -> String {
    let mut text = String::new();
    put!(text, "{}: {}.", span(view.from, view.until), ink.paint(Tone::Strong, &said(&view.total)));
    if !view.lines.is_empty() {
        let head = match view.by {
            CostKey::Agent => "AGENT",
            CostKey::Project => "PROJECT",
            CostKey::Model => "MODEL",
            CostKey::Run => "RUN",
            CostKey::Day => "DAY",
        };
        let mut table = Table::new([head, "SANDBOX", "CPU", "MEMORY", "ATTEMPTS", "COST"]);
        for ComputeLine { label, compute, .. } in &view.lines {
            let used = compute.used;
            let more = if used.is_at_least() { "at least " } else { "" };
            table.row([
                Cell::plain(label),
                Cell::plain(&format!("{more}{}", time_said(used.container_ms))),
                Cell::plain(&format!("{more}{}", time_said(used.cpu_ms))),
                Cell::plain(&format!("{more}{}", memory_said(used.memory_mib_s))),
                Cell::plain(&used.attempts.to_string()),
                Cell::toned(
                    Tone::Strong,
                    &compute.cost.map_or_else(String::new, |cost| format!("{more}{}", exact(cost))),
                ),
            ]);
        }
        text.push('\n');
        text.push_str(&table.lay_out(ink));
        let shown = view.lines.len() as u64;
        if shown < view.lines_total {
            put!(text, "And {} more, which the total has.", view.lines_total - shown);
        }
    }
    text.push('\n');
    if let Some(ComputeRates { container, cpu, memory_gib }) = view.rates {
        let (container, cpu, memory_gib) = (exact(container), exact(cpu), exact(memory_gib));
        put!(text, "Rates an hour: {container} for a sandbox, {cpu} for a core, {memory_gib} for a GiB.");
    } else {
        put!(text, "No rates: `berth costs rates` sets what an hour costs.");
    }
    text
}

/// The lines as CSV (RFC 4180, with plain line ends). A cost without rates is an empty cell.
pub(crate) fn csv(view: &ComputeCosts) -> String {
    let head =
        [view.by.name(), "run", "task", "cost_usd", "container_s", "cpu_s", "memory_mib_s", "attempts", "at_least"];
    let record = |ComputeLine { label, key: _, run, task, compute }: &ComputeLine| {
        let used = compute.used;
        let seconds = |ms: u64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
        [
            guarded(&line(label)),
            run.to_string(),
            task.to_string(),
            compute.cost.map(to_the_micro_dollar).unwrap_or_default(),
            seconds(used.container_ms),
            seconds(used.cpu_ms),
            used.memory_mib_s.to_string(),
            used.attempts.to_string(),
            used.at_least.to_string(),
        ]
    };
    csv_of(head, view.lines.iter().map(record))
}
