//! Sums as comma-separated values (RFC 4180), safe to open in a spreadsheet. Pure.

use wire::cost::CostsView;

/// The sums of a view, a line each below their names; the amount in dollars, with six decimals.
pub fn of(costs: &CostsView) -> String {
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
    ];
    line(&mut text, head.into_iter().map(str::to_owned));
    for sum in &costs.lines {
        let (spent, tokens) = (&sum.spent, &sum.spent.tokens);
        // What is unknown is empty: it is never zero.
        let is_unknown = spent.requests > 0 && spent.unpriced == spent.requests;
        let micro_usd = spent.amount.0;
        let cost = format!("{}.{:06}", micro_usd / 1_000_000, micro_usd.unsigned_abs() % 1_000_000);
        line(
            &mut text,
            [
                sum.label.clone(),
                if is_unknown { String::new() } else { cost },
                spent.is_at_least().to_string(),
                spent.requests.to_string(),
                spent.unpriced.to_string(),
                tokens.input.to_string(),
                tokens.cache_read.to_string(),
                tokens.cache_write.to_string(),
                tokens.output.to_string(),
                sum.task.map_or_else(String::new, |number| number.to_string()),
            ]
            .into_iter(),
        );
    }
    text
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
            key: String::new(),
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
        let text = of(&costs);
        let lines: Vec<_> = text.split("\r\n").collect();
        assert_eq!(lines[1], "m,1.500001,false,2,0,0,0,0,0,12");
        assert_eq!(lines[2], "q,,true,2,2,0,0,0,0,12");
        assert_eq!((lines.len(), lines[3]), (4, ""));
        assert_eq!(MicroUsd(1_500_001).to_string(), "$1.50");
    }
}
