//! What is asked of the costs, and what their numbers mean. Pure. Days and months are those of UTC, as the core's are.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use wire::{
    MicroUsd,
    call::ShowCosts,
    cost::{BudgetScope, BudgetView, CostKey, CostLine, TokenCounts},
};

use crate::say;

/// A span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Span {
    Today,
    #[default]
    Month,
    All,
    Range,
}

impl Span {
    /// Every span, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::Today, Self::Month, Self::All, Self::Range];

    /// What a person presses.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Today => "Today",
            Self::Month => "This month",
            Self::All => "All",
            Self::Range => "Range",
        }
    }

    /// What stands over its sum.
    pub const fn figure(self) -> &'static str {
        match self {
            Self::Today => "Chosen: today",
            Self::Month => "This month",
            Self::All => "In all",
            Self::Range => "In the range",
        }
    }

    /// The name for tests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Month => "month",
            Self::All => "all",
            Self::Range => "range",
        }
    }
}

/// What a person asked for last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub span: Span,
    pub by: CostKey,
    /// The first day of a range, as `2026-11-03`; from the beginning where it is empty.
    pub from: String,
    /// The last; until now where it is empty.
    pub to: String,
    /// The sum whose runs are shown.
    pub of: Option<Of>,
}

/// One of the sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Of {
    pub by: CostKey,
    /// As its line has it.
    pub key: String,
    /// As a person reads it.
    pub label: String,
}

impl Of {
    /// The sum of a line, unless it is a run's already.
    pub fn line(by: CostKey, line: &CostLine) -> Option<Self> {
        (by != CostKey::Run).then(|| Self { by, key: line.key.clone(), label: line.label.clone() })
    }

    /// What a budget of an agent or a project is spent on.
    pub fn budget(budget: &BudgetView) -> Option<Self> {
        let (by, name) = match &budget.scope {
            BudgetScope::Agent { agent } => (CostKey::Agent, agent),
            BudgetScope::Project { project } => (CostKey::Project, project),
            BudgetScope::EachRun | BudgetScope::Run { .. } => return None,
        };
        Some(Self { by, key: name.clone(), label: name.clone() })
    }
}

/// Why nothing can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("The days of the range cannot be read")]
    Day,
    #[error("The range ends before it begins")]
    Backwards,
}

impl Asked {
    /// The call; the same one all day.
    pub fn call(&self, now: Timestamp) -> Result<ShowCosts, Problem> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let (from, until) = match self.span {
            Span::Today => (Some(today), None),
            Span::Month => (Some(today.first_of_month()), None),
            Span::All => (None, None),
            Span::Range => {
                let (from, to) = (day(&self.from)?, day(&self.to)?);
                if from.zip(to).is_some_and(|(from, to)| to < from) {
                    return Err(Problem::Backwards);
                }
                (from, to.map(|to| to.checked_add(1.day()).map_err(|_| Problem::Day)).transpose()?)
            }
        };
        let at = |date: Option<Date>| date.map(midnight).transpose();
        Ok(ShowCosts { from: at(from)?, until: at(until)?, by: self.by })
    }
}

fn day(written: &str) -> Result<Option<Date>, Problem> {
    match written.trim() {
        "" => Ok(None),
        written => written.parse().map(Some).map_err(|_| Problem::Day),
    }
}

fn midnight(date: Date) -> Result<Timestamp, Problem> {
    date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|_| Problem::Day)
}

/// How much of `whole` `part` is, in per cent: 0 to 100, and at least 1 where there is something.
pub fn percent_of(part: i64, whole: i64) -> u64 {
    match (part.max(0).unsigned_abs(), whole.max(0).unsigned_abs()) {
        (0, _) => 0,
        (_, 0) => 100,
        (part, whole) => u64::try_from(u128::from(part) * 100 / u128::from(whole)).unwrap_or(100).clamp(1, 100),
    }
}

/// All that models read, from a cache or not.
pub fn tokens_in(tokens: &TokenCounts) -> u64 {
    tokens.input.saturating_add(tokens.cache_read).saturating_add(tokens.cache_write)
}

/// How much of what was read came from the cache, in per cent; `None` where nothing was read.
pub fn cached_percent(tokens: &TokenCounts) -> Option<u64> {
    let all = u128::from(tokens.input) + u128::from(tokens.cache_read) + u128::from(tokens.cache_write);
    (all > 0).then(|| u64::try_from(u128::from(tokens.cache_read) * 100 / all).unwrap_or(100))
}

/// What a person should know of a budget.
pub fn note(budget: &BudgetView) -> String {
    let Some(spent) = &budget.spent else { return "Holds a run that reaches it".to_owned() };
    let mut note = match percent_of(spent.amount.0, budget.limit.0) {
        ..80 => "Holds what it covers when it is reached",
        80..100 => "Nearly reached",
        100.. => "Reached: what it covers is held",
    }
    .to_owned();
    if budget.reserved > MicroUsd(0) {
        note = format!("{note} · {} reserved by requests under way", budget.reserved);
    }
    if spent.unpriced > 0 {
        note = format!("{note} · {} without a known price", say::count(spent.unpriced, "request", "requests"));
    }
    note
}

/// An amount of dollars as a person types it: `5`, `$0.25`; six decimals at most, nothing below zero.
pub fn dollars(typed: &str) -> Option<MicroUsd> {
    const DECIMALS: usize = 6;
    let typed = typed.trim();
    let typed = typed.strip_prefix('$').unwrap_or(typed).trim_start();
    let (whole, decimals) = typed.split_once('.').unwrap_or((typed, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && decimals.is_empty())
        || !is_number(whole)
        || !is_number(decimals)
        || decimals.len() > DECIMALS
    {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let millionths: i64 = format!("{decimals:0<DECIMALS$}").parse().ok()?;
    Some(MicroUsd(whole.checked_mul(1_000_000)?.checked_add(millionths)?))
}

/// The same as it is written back into a field: `5`, `0.25`.
pub fn written(amount: MicroUsd) -> String {
    let text = format!("{}.{:06}", amount.0 / 1_000_000, (amount.0 % 1_000_000).abs());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::spent;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn asked(span: Span, from: &str, to: &str) -> Asked {
        Asked { span, by: CostKey::Model, from: from.to_owned(), to: to.to_owned(), of: None }
    }

    #[test]
    fn a_span_is_the_same_call_all_day_and_in_utc() {
        let call = |span, now| asked(span, "", "").call(at(now)).unwrap();
        let morning = call(Span::Today, "2026-11-21T00:00:01Z");
        assert_eq!(morning, call(Span::Today, "2026-11-21T23:59:59Z"));
        assert_eq!((morning.from, morning.until, morning.by), (Some(at("2026-11-21T00:00:00Z")), None, CostKey::Model));
        assert_eq!(call(Span::Month, "2026-11-21T12:00:00Z").from, Some(at("2026-11-01T00:00:00Z")));
        assert_eq!(call(Span::All, "2026-11-21T12:00:00Z").from, None);
    }

    #[test]
    fn a_range_has_its_last_day_in_it() {
        let call = |from, to| asked(Span::Range, from, to).call(at("2026-11-21T12:00:00Z"));
        let range = call("2026-02-27", "2026-02-28").unwrap();
        assert_eq!((range.from, range.until), (Some(at("2026-02-27T00:00:00Z")), Some(at("2026-03-01T00:00:00Z"))));
        assert_eq!(call("", "").unwrap().from, None);
        assert_eq!(call("2026-11-02", "2026-11-01"), Err(Problem::Backwards));
        assert_eq!(call("yesterday", ""), Err(Problem::Day));
    }

    #[test]
    fn a_share_never_leaves_its_scale_and_something_is_never_nothing() {
        for (part, whole, percent) in
            [(0, 100, 0), (1, 1_000_000, 1), (50, 100, 50), (300, 100, 100), (1, 0, 100), (-5, 100, 0)]
        {
            assert_eq!(percent_of(part, whole), percent, "{part} of {whole}");
        }
        assert_eq!(percent_of(i64::MAX, i64::MAX), 100);
    }

    #[test]
    fn nothing_read_has_no_share_of_the_cache() {
        assert_eq!(cached_percent(&TokenCounts::default()), None);
        let tokens = TokenCounts { input: 10, cache_read: 86, cache_write: 4, ..TokenCounts::default() };
        assert_eq!(cached_percent(&tokens), Some(86));
    }

    #[test]
    fn a_budget_warns_at_four_fifths_and_ends_at_all_of_it() {
        let budget = |micro_usd| BudgetView {
            scope: wire::cost::BudgetScope::Agent { agent: "mason".to_owned() },
            label: String::new(),
            task: None,
            limit: MicroUsd(1_000_000),
            spent: Some(spent(micro_usd, 2, 0)),
            reserved: MicroUsd(0),
        };
        assert_eq!(note(&budget(799_999)), "Holds what it covers when it is reached");
        assert_eq!(note(&budget(800_000)), "Nearly reached");
        assert_eq!(note(&budget(1_000_000)), "Reached: what it covers is held");
        let unknown = BudgetView { spent: Some(spent(1, 2, 1)), reserved: MicroUsd(250_000), ..budget(0) };
        assert!(note(&unknown).ends_with("$0.25 reserved by requests under way · 1 request without a known price"));
        assert_eq!(note(&BudgetView { spent: None, ..budget(0) }), "Holds a run that reaches it");
    }

    #[test]
    fn dollars_are_read_to_the_millionth_and_no_further() {
        for (typed, micro) in
            [("5", 5_000_000), (" $0.25 ", 250_000), (".5", 500_000), ("3.", 3_000_000), ("0.000001", 1), ("0", 0)]
        {
            assert_eq!(dollars(typed), Some(MicroUsd(micro)), "{typed}");
        }
        for typed in ["", "$", ".", "-1", "1e3", "1,5", "0.0000001", "99999999999999999999", "9223372036855", "five"] {
            assert_eq!(dollars(typed), None, "{typed}");
        }
        for micro in [0, 1, 250_000, 5_000_000, 1_234_567] {
            assert_eq!(dollars(&written(MicroUsd(micro))), Some(MicroUsd(micro)));
        }
        assert_eq!(written(MicroUsd(10_000_000)), "10");
    }
}
