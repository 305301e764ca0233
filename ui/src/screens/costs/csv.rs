//! Sums as comma-separated values (RFC 4180), safe to open in a spreadsheet. Pure.

use wire::{
    MicroUsd,
    compute::{ComputeCosts, ComputeLine, ComputeView},
    cost::CostsView,
};

/// The sums of a view, a line each below their names, with what sandboxes used beside them; amounts in dollars, with six decimals. A line
/// that asked no model has only used a sandbox.
pub fn of(costs: &CostsView, compute: Option<&ComputeCosts>) -> String {
    let used: &[ComputeLine] = compute.map_or(&[], |compute| &compute.lines);
    let mut text = String::new();
    let head = [
        costs.by.name(),
        "cost_usd",
        "is_at_least",
        "requests",
        "requests_without_price",
        "tokens_in",
        "tokens_cache_read",
        "tokens_cache_write",
        "tokens_out",
        "task",
        "list_price_usd",
        "list_price_requests",
        "compute_usd",
        "compute_is_at_least",
        "sandbox_s",
        "cpu_s",
        "memory_mib_s",
    ];
    line(&mut text, head.into_iter().map(str::to_owned));
    for sum in &costs.lines {
        let (spent, tokens) = (&sum.spent, &sum.spent.tokens);
        // What is unknown is empty: it is never zero.
        let known = |is_known: bool, amount: MicroUsd| if is_known { dollars(amount) } else { String::new() };
        let listed = &spent.list_price;
        let compute = compute_fields(used.iter().find(|used| used.key == sum.key));
        line(
            &mut text,
            [
                sum.label.clone(),
                known(!spent.is_unknown(), spent.amount),
                spent.is_at_least().to_string(),
                spent.requests.to_string(),
                spent.unpriced.to_string(),
                tokens.input.to_string(),
                tokens.cache_read.to_string(),
                tokens.cache_write.to_string(),
                tokens.output.to_string(),
                sum.task.map_or_else(String::new, |number| number.to_string()),
                known(listed.unpriced < listed.requests, listed.amount),
                listed.requests.to_string(),
            ]
            .into_iter()
            .chain(compute),
        );
    }
    for used in used.iter().filter(|used| costs.lines.iter().all(|sum| sum.key != used.key)) {
        // Beyond the bound of the other's lines nobody knows whether it asked a model.
        let (asked, listed) = if costs.lines_total > costs.lines.len() as u64 {
            ([""; 8], "")
        } else {
            (["0.000000", "false", "0", "0", "0", "0", "0", "0"], "0")
        };
        let named = std::iter::once(used.label.clone()).chain(asked.map(str::to_owned));
        let rest = [used.task.to_string(), String::new(), listed.to_owned()];
        line(&mut text, named.chain(rest).chain(compute_fields(Some(used))));
    }
    text
}

/// What sandboxes used; nothing where there was none.
fn compute_fields(used: Option<&ComputeLine>) -> [String; 5] {
    let Some(ComputeLine { compute: ComputeView { used, cost }, .. }) = used else { return Default::default() };
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
    [
        cost.map_or_else(String::new, dollars),
        used.is_at_least().to_string(),
        seconds(used.container_ms),
        seconds(used.cpu_ms),
        used.memory_mib_s.to_string(),
    ]
}

/// To the millionth, as a spreadsheet reads it.
fn dollars(amount: MicroUsd) -> String {
    format!("{}.{:06}", amount.0 / 1_000_000, amount.0.unsigned_abs() % 1_000_000)
}

fn line(text: &mut String, fields: impl Iterator<Item = String>) {
    let fields: Vec<_> = fields.map(|text| field(&text)).collect();
    text.push_str(&fields.join(","));
    text.push_str("\r\n");
}

/// A field that no spreadsheet takes for a formula: names come from sandboxes.
fn field(text: &str) -> String {
    let is_formula = text.trim_start().starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r', '\n']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::spent;
    use wire::{
        MicroUsd,
        compute::ComputeUse,
        cost::{CostKey, CostLine, Spent},
    };

    #[test]
    fn no_field_is_a_formula() {
        for (text, written) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("  =1", "'  =1"),
            ("\t=1", "'\t=1"),
            ("=\"a\",b", "\"'=\"\"a\"\",b\""),
            ("a=1", "a=1"),
        ] {
            assert_eq!(field(text), written);
        }
    }

    #[test]
    fn a_name_never_leaves_its_field() {
        assert_eq!(field("a,b"), "\"a,b\"");
        assert_eq!(field("\"a\""), "\"\"\"a\"\"\"");
        assert_eq!(field("say \"hi\"\nx"), "\"say \"\"hi\"\"\nx\"");
    }

    #[test]
    fn what_is_unknown_is_empty_and_not_zero() {
        let sum = |label: &str, spent| CostLine {
            label: label.to_owned(),
            key: label.to_owned(),
            run: None,
            task: Some(12),
            spent,
        };
        let costs = CostsView {
            from: None,
            until: None,
            total: Spent::default(),
            by: CostKey::Model,
            lines: vec![sum("m", spent(1_500_001, 2, 0)), sum("q", spent(0, 2, 2))],
            lines_total: 2,
            today: Spent::default(),
            budgets: Vec::new(),
            prices_from: String::new(),
        };
        let text = of(&costs, None);
        let lines: Vec<_> = text.split("\r\n").collect();
        assert_eq!(lines[1], "m,1.500001,false,2,0,0,0,0,0,12,,0,,,,,");
        assert_eq!(lines[2], "q,,true,2,2,0,0,0,0,12,,0,,,,,");
        assert_eq!((lines.len(), lines[3]), (4, ""));

        let used = ComputeUse { container_ms: 90_001, cpu_ms: 1_500, memory_mib_s: 46_080, attempts: 1, at_least: 1 };
        let line = |key: &str, cost| ComputeLine {
            label: key.to_owned(),
            key: key.to_owned(),
            run: serde_json::from_value("0195510f-5a00-7000-8000-000000000001".into()).unwrap(),
            task: 13,
            compute: ComputeView { used, cost },
        };
        let compute = ComputeCosts {
            from: None,
            until: None,
            total: ComputeView::default(),
            by: CostKey::Model,
            lines: vec![line("z", None), line("m", Some(MicroUsd(25)))],
            lines_total: 2,
            rates: None,
        };
        let text = of(&costs, Some(&compute));
        let lines: Vec<_> = text.split("\r\n").collect();
        assert_eq!(lines[1], "m,1.500001,false,2,0,0,0,0,0,12,,0,0.000025,true,90.001,1.500,46080");
        assert_eq!(lines[3], "z,0.000000,false,0,0,0,0,0,0,13,,0,,true,90.001,1.500,46080");
        // Where lines were left out, one that is not there may have asked a model all the same.
        let text = of(&CostsView { lines_total: 3, ..costs }, Some(&compute));
        let line = text.split("\r\n").nth(3);
        assert_eq!(line, Some("z,,,,,,,,,13,,,,true,90.001,1.500,46080"));
        let columns: Vec<_> = lines.iter().take(4).map(|line| line.matches(',').count()).collect();
        assert_eq!(columns, [16; 4]);
        assert_eq!(MicroUsd(1_500_001).to_string(), "$1.50");
    }
}
