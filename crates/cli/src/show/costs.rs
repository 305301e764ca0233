//! What models cost: for a person to the cent, for a spreadsheet to the micro-dollar.

use jiff::Timestamp;
use wire::{
    MicroUsd,
    cost::{BudgetView, CostKey, CostLine, CostRuns, CostsView, PriceView, Spent},
};

use super::{
    ink::{Ink, Tone},
    table::{Cell, Table},
    words::line,
};

const MICROS_IN_DOLLAR: u64 = 1_000_000;
/// What a spreadsheet takes for the beginning of a formula, or passes over to find one (OWASP, "CSV Injection").
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// What was spent.
pub(crate) fn costs(view: &CostsView, ink: Ink) -> String {
    let mut text = String::new();
    put!(
        text,
        "{}: {} in {}. Today (UTC): {}",
        span(view.from, view.until),
        ink.paint(Tone::Strong, &view.total.to_string()),
        requests(view.total.requests),
        view.today
    );
    if !view.lines.is_empty() {
        let head = match view.by {
            CostKey::Agent => "AGENT",
            CostKey::Project => "PROJECT",
            CostKey::Model => "MODEL",
            CostKey::Run => "RUN",
            CostKey::Day => "DAY",
        };
        text.push('\n');
        text.push_str(&table(head, &view.lines, ink));
        if let Some(more) = left_out(view) {
            put!(text, "{more}");
        }
    }
    text.push_str(&unknown(&view.total, ink));
    if !view.budgets.is_empty() {
        text.push('\n');
        text.push_str(&budgets(&view.budgets, ink));
    }
    put!(text, "\n{}", ink.paint(Tone::Faint, &format!("The table of prices is of {}.", line(&view.prices_from))));
    text
}

/// A span of time, at the beginning of a sentence.
pub(super) fn span(from: Option<Timestamp>, until: Option<Timestamp>) -> String {
    match (from, until) {
        (None, None) => "In all".to_owned(),
        (Some(from), None) => format!("Since {}", from.strftime("%Y-%m-%d")),
        (None, Some(until)) => format!("Before {}", until.strftime("%Y-%m-%d")),
        (Some(from), Some(until)) => {
            format!("From {}, before {}", from.strftime("%Y-%m-%d"), until.strftime("%Y-%m-%d"))
        }
    }
}

/// The runs behind a sum.
pub(crate) fn runs(view: &CostRuns, ink: Ink) -> String {
    let mut text = String::new();
    let total = ink.paint(Tone::Strong, &view.total.to_string());
    put!(text, "{}: {total} in {}.", line(&view.label), requests(view.total.requests));
    if view.lines.is_empty() {
        return text;
    }
    text.push('\n');
    text.push_str(&table("RUN", &view.lines, ink));
    let shown = view.lines.len() as u64;
    if shown < view.lines_total {
        put!(text, "And {} more, which the sum has.", view.lines_total - shown);
    }
    text
}

fn table(head: &'static str, lines: &[CostLine], ink: Ink) -> String {
    let mut table = Table::new([head, "COST", "REQUESTS", "IN", "CACHE READ", "CACHE WRITE", "OUT"]);
    for CostLine { label, spent, .. } in lines {
        let Spent { requests, tokens, .. } = spent;
        table.row([
            Cell::plain(label),
            Cell::toned(Tone::Strong, &spent.to_string()),
            Cell::plain(&requests.to_string()),
            Cell::plain(&tokens.input.to_string()),
            Cell::plain(&tokens.cache_read.to_string()),
            Cell::plain(&tokens.cache_write.to_string()),
            Cell::plain(&tokens.output.to_string()),
        ]);
    }
    table.lay_out(ink)
}

fn requests(count: u64) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{count} requests") }
}

/// Why a sum may be too small.
fn unknown(total: &Spent, ink: Ink) -> String {
    let mut text = String::new();
    if total.unpriced > 0 {
        let words = format!("{} of a model whose price is not known", requests(total.unpriced));
        put!(text, "{}; `berth costs price` sets one.", ink.paint(Tone::Attention, &words));
    }
    if total.at_least > 0 {
        put!(text, "{} counted from what was seen alone.", requests(total.at_least));
    }
    if total.list_price.requests > 0 {
        put!(
            text,
            "{} under a subscription: a list price is what they would have cost, and no money. No budget counts it.",
            requests(total.list_price.requests)
        );
    }
    text
}

/// That there are more lines than these.
pub(crate) fn left_out(view: &CostsView) -> Option<String> {
    let shown = view.lines.len() as u64;
    (shown < view.lines_total).then(|| {
        format!("And {} more, which the total has. A shorter span of time shows them.", view.lines_total - shown)
    })
}

/// The budgets, and how far each is used.
pub(crate) fn budgets(budgets: &[BudgetView], ink: Ink) -> String {
    if budgets.is_empty() {
        return "No budgets. Set one with `berth costs budget --each-run AMOUNT`.\n".to_owned();
    }
    let mut table = Table::new(["BUDGET", "LIMIT", "SPENT", "SET ASIDE"]);
    for budget in budgets {
        let is_spent = budget.spent.is_some_and(|spent| spent.amount >= budget.limit);
        table.row([
            Cell::plain(&budget.label),
            Cell::toned(Tone::Strong, &exact(budget.limit)),
            Cell::toned(
                if is_spent { Tone::Bad } else { Tone::Plain },
                &budget.spent.map_or_else(|| "run by run".to_owned(), |spent| spent.to_string()),
            ),
            Cell::plain(&if budget.reserved.0 > 0 { to_four_decimals(budget.reserved) } else { String::new() }),
        ]);
    }
    table.lay_out(ink)
}

/// The prices of a person's own, for a million tokens.
pub(crate) fn prices(prices: &[PriceView], ink: Ink) -> String {
    if prices.is_empty() {
        return "No prices of your own: the table's hold.\n".to_owned();
    }
    let mut table = Table::new(["MODEL", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE"]);
    for PriceView { model, rates } in prices {
        table.row([
            Cell::toned(Tone::Strong, model),
            Cell::plain(&exact(rates.input)),
            Cell::plain(&exact(rates.output)),
            Cell::plain(&exact(rates.cache_read.unwrap_or(rates.input))),
            Cell::plain(&exact(rates.cache_write.unwrap_or(rates.input))),
        ]);
    }
    table.lay_out(ink)
}

/// Dollars with as many decimals as they have, and with two at least: `$0.25`, `$0.001`.
pub(super) fn exact(amount: MicroUsd) -> String {
    let text = to_the_micro_dollar(amount);
    // The four that may go stand behind the cents.
    let cents = text.len() - 4;
    let (kept, rest) = text.split_at(cents);
    format!("${kept}{}", rest.trim_end_matches('0'))
}

/// Dollars with four decimals, rounded half away from zero: a request costs less than a cent.
pub(crate) fn to_four_decimals(amount: MicroUsd) -> String {
    let sign = if amount.0 < 0 { "-" } else { "" };
    let parts = (amount.0.unsigned_abs() + 50) / 100;
    format!("{sign}${}.{:04}", parts / 10_000, parts % 10_000)
}

pub(super) fn to_the_micro_dollar(amount: MicroUsd) -> String {
    let sign = if amount.0 < 0 { "-" } else { "" };
    let micros = amount.0.unsigned_abs();
    format!("{sign}{}.{:06}", micros / MICROS_IN_DOLLAR, micros % MICROS_IN_DOLLAR)
}

/// The lines as CSV (RFC 4180, with plain line ends). A cost that is not known is an empty cell.
pub(crate) fn csv(view: &CostsView) -> String {
    let head = [
        view.by.name(),
        "run",
        "task",
        "cost_usd",
        "requests",
        "unpriced",
        "at_least",
        "input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
        "list_price_usd",
        "list_price_requests",
    ];
    let record = |CostLine { label, run, task, spent, key: _ }: &CostLine| {
        let Spent { amount, requests, unpriced, at_least, tokens, list_price } = *spent;
        let is_listed = list_price.requests > 0 && list_price.unpriced < list_price.requests;
        [
            guarded(&line(label)),
            run.map(|run| run.to_string()).unwrap_or_default(),
            task.map(|task| task.to_string()).unwrap_or_default(),
            if spent.is_unknown() { String::new() } else { to_the_micro_dollar(amount) },
            requests.to_string(),
            unpriced.to_string(),
            at_least.to_string(),
            tokens.input.to_string(),
            tokens.cache_read.to_string(),
            tokens.cache_write.to_string(),
            tokens.output.to_string(),
            tokens.reasoning.to_string(),
            if is_listed { to_the_micro_dollar(list_price.amount) } else { String::new() },
            list_price.requests.to_string(),
        ]
    };
    csv_of(head, view.lines.iter().map(record))
}

/// A head and its lines as CSV (RFC 4180, with plain line ends).
pub(super) fn csv_of<const N: usize>(head: [&str; N], records: impl Iterator<Item = [String; N]>) -> String {
    const INTO_MEMORY: &str = "invariant: memory takes whatever is written to it";

    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(head).expect(INTO_MEMORY);
    for record in records {
        writer.write_record(record).expect(INTO_MEMORY);
    }
    let bytes = writer.into_inner().expect(INTO_MEMORY);
    String::from_utf8(bytes).expect("invariant: text makes text")
}

/// Text that no spreadsheet takes for a formula: names come from task files.
pub(super) fn guarded(text: &str) -> String {
    if text.starts_with(FORMULA_STARTS) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_what_matters() {
        for (micros, shown, four, all) in [
            (0, "$0.00", "$0.0000", "0.000000"),
            (1, "$0.000001", "$0.0000", "0.000001"),
            (50, "$0.00005", "$0.0001", "0.000050"),
            (250_000, "$0.25", "$0.2500", "0.250000"),
            (1_920_049, "$1.920049", "$1.9200", "1.920049"),
            (5_000_000, "$5.00", "$5.0000", "5.000000"),
        ] {
            let amount = MicroUsd(micros);
            assert_eq!(
                (exact(amount).as_str(), to_four_decimals(amount).as_str(), to_the_micro_dollar(amount).as_str()),
                (shown, four, all)
            );
        }
    }

    #[test]
    fn a_name_is_no_formula() {
        for (text, cell) in
            [("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"), ("a=b", "a=b"), ("", "")]
        {
            assert_eq!(guarded(text), cell);
        }
    }
}
