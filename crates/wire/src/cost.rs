//! What models used and what that cost, as measured by the gateway from their own replies.
//!
//! What is unknown is never zero: a sum says how many of its requests have no known price, and whether any was counted from what
//! was seen alone.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ids::RunId, money::MicroUsd};

/// Tokens, each counted once: `input` has neither what was read from a cache nor what was written to one; `output` includes
/// `reasoning`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCounts {
    /// Read anew.
    pub input: u64,
    /// Read from a cache.
    pub cache_read: u64,
    /// Written to a cache.
    pub cache_write: u64,
    /// Made.
    pub output: u64,
    /// Of `output`, what was thought and not said.
    pub reasoning: u64,
}

/// What one request to a model used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageView {
    /// The model, as the reply names it.
    pub model: String,
    /// How much.
    pub tokens: TokenCounts,
    /// Whether it was counted from what was seen alone, so that it may have been more.
    #[serde(default)]
    pub is_at_least: bool,
    /// What it cost; `None` where the model has no known price.
    #[serde(default)]
    pub cost: Option<MicroUsd>,
    /// Whether a subscription paid for it: `cost` is its list price then, and no money.
    #[serde(default)]
    pub is_list_price: bool,
}

/// What requests under a subscription come to by the list of prices. It is no money, and in no sum of money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPrice {
    /// What those with a known price would have cost.
    pub amount: MicroUsd,
    /// How many requests there were.
    pub requests: u64,
    /// How many of them have no known price.
    #[serde(default)]
    pub unpriced: u64,
    /// How many of them were counted from what was seen alone.
    #[serde(default)]
    pub at_least: u64,
}

impl ListPrice {
    /// Whether it may have been more.
    pub const fn is_at_least(&self) -> bool {
        self.unpriced > 0 || self.at_least > 0
    }
}

impl fmt::Display for ListPrice {
    /// As lists show it: `list price $1.92`, `list price at least $1.92`, `list price unknown`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.requests > 0 && self.unpriced == self.requests {
            return f.write_str("list price unknown");
        }
        f.write_str(if self.is_at_least() { "list price at least " } else { "list price " })?;
        self.amount.fmt(f)
    }
}

/// A sum of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// What those with a known price cost.
    pub amount: MicroUsd,
    /// How many requests there were, with those under a subscription.
    pub requests: u64,
    /// How many of those that cost money have no known price.
    #[serde(default)]
    pub unpriced: u64,
    /// How many of those that cost money were counted from what was seen alone.
    #[serde(default)]
    pub at_least: u64,
    /// How much was used.
    pub tokens: TokenCounts,
    /// Those under a subscription.
    #[serde(default)]
    pub list_price: ListPrice,
}

impl Spent {
    /// Counts one request's use in.
    pub fn add(&mut self, usage: &UsageView) {
        let (sum, unpriced, at_least) = if usage.is_list_price {
            self.list_price.requests += 1;
            let ListPrice { amount, unpriced, at_least, .. } = &mut self.list_price;
            (amount, unpriced, at_least)
        } else {
            (&mut self.amount, &mut self.unpriced, &mut self.at_least)
        };
        *sum = MicroUsd(sum.0.saturating_add(usage.cost.unwrap_or_default().0));
        *unpriced += u64::from(usage.cost.is_none());
        *at_least += u64::from(usage.is_at_least);
        self.requests += 1;
        let (all, tokens) = (&mut self.tokens, &usage.tokens);
        all.input = all.input.saturating_add(tokens.input);
        all.cache_read = all.cache_read.saturating_add(tokens.cache_read);
        all.cache_write = all.cache_write.saturating_add(tokens.cache_write);
        all.output = all.output.saturating_add(tokens.output);
        all.reasoning = all.reasoning.saturating_add(tokens.reasoning);
    }

    /// How many of the requests cost money.
    pub const fn paid_requests(&self) -> u64 {
        self.requests.saturating_sub(self.list_price.requests)
    }

    /// What of it is money, as budgets count it.
    #[must_use]
    pub fn in_money(self) -> Self {
        Self { requests: self.paid_requests(), list_price: ListPrice::default(), ..self }
    }

    /// Whether nothing is known of what it cost.
    pub const fn is_unknown(&self) -> bool {
        self.paid_requests() > 0 && self.unpriced == self.paid_requests()
    }

    /// Whether all of it is under a subscription.
    pub const fn is_list_price(&self) -> bool {
        self.list_price.requests > 0 && self.paid_requests() == 0
    }

    /// Whether it may have been more.
    pub const fn is_at_least(&self) -> bool {
        self.unpriced > 0 || self.at_least > 0
    }
}

impl fmt::Display for Spent {
    /// As lists show it: `$1.92`, `at least $1.92`, `price unknown`, `list price $1.92`, `$1.92 + list price $0.40`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_list_price() {
            return self.list_price.fmt(f);
        }
        if self.is_unknown() {
            f.write_str("price unknown")?;
        } else {
            f.write_str(if self.is_at_least() { "at least " } else { "" })?;
            self.amount.fmt(f)?;
        }
        if self.list_price.requests > 0 {
            write!(f, " + {}", self.list_price)?;
        }
        Ok(())
    }
}

/// What sums are made by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostKey {
    /// The agent.
    #[default]
    Agent,
    /// The project.
    Project,
    /// The model.
    Model,
    /// The run.
    Run,
    /// The day (UTC).
    Day,
}

impl CostKey {
    /// Every key, in the order in which they are offered.
    pub const ALL: [Self; 5] = [Self::Agent, Self::Project, Self::Model, Self::Run, Self::Day];

    /// What a person reads.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Agent => "Agent",
            Self::Project => "Project",
            Self::Model => "Model",
            Self::Run => "Run",
            Self::Day => "Day",
        }
    }

    /// The name in data and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Project => "project",
            Self::Model => "model",
            Self::Run => "run",
            Self::Day => "day",
        }
    }

    /// The key of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }
}

/// What was spent in a span of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostsView {
    /// From when on; `None` for everything.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Before when.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// In all.
    pub total: Spent,
    /// What the lines are sums by.
    pub by: CostKey,
    /// The sums, dearest first; days in order.
    pub lines: Vec<CostLine>,
    /// How many lines there are in all; those past the bound are left out, and are in the total.
    pub lines_total: u64,
    /// Since when today is (UTC), and what was spent since.
    pub today: Spent,
    /// The budgets, and how far they are used.
    pub budgets: Vec<BudgetView>,
    /// The date of the table of prices.
    pub prices_from: String,
}

/// One sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostLine {
    /// What it is the sum of, as a person reads it.
    pub label: String,
    /// The same for [`ListCostRuns`](crate::call::ListCostRuns), which says of which runs.
    #[serde(default)]
    pub key: String,
    /// The latest run in it.
    #[serde(default)]
    pub run: Option<RunId>,
    /// That run's task, by number.
    #[serde(default)]
    pub task: Option<i64>,
    /// The sum.
    pub spent: Spent,
}

/// The runs behind a sum, which they come to exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostRuns {
    /// What the sum is of, as a person reads it.
    pub label: String,
    /// The sum.
    pub total: Spent,
    /// A line each run, dearest first.
    pub lines: Vec<CostLine>,
    /// How many there are in all; those past the bound are left out, and are in the total.
    pub lines_total: u64,
}

/// What a budget is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BudgetScope {
    /// Each run, unless it has one of its own.
    EachRun,
    /// That run.
    Run {
        /// As in [`ShowRun`](crate::call::ShowRun); a view has the whole id.
        run: String,
    },
    /// All runs of that agent in a month (UTC).
    Agent {
        /// By name.
        agent: String,
    },
    /// All runs of that project in a month (UTC).
    Project {
        /// By name.
        project: String,
    },
}

/// A budget, and how far it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetView {
    /// What it is for.
    pub scope: BudgetScope,
    /// The same in words.
    pub label: String,
    /// The number of the task whose run it is for, where it is for one.
    #[serde(default)]
    pub task: Option<i64>,
    /// The limit.
    pub limit: MicroUsd,
    /// What is spent of it, in money alone; `None` for a budget of each run, which is looked at run by run.
    #[serde(default)]
    pub spent: Option<Spent>,
    /// What requests under way may still take of it, and what those may have taken that were not counted whole.
    #[serde(default)]
    pub reserved: MicroUsd,
}

/// A price of a person's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceView {
    /// The model by its name; every name that begins so where it ends in a star.
    pub model: String,
    /// Micro-dollars for a million tokens of each kind.
    pub rates: Rates,
}

/// Micro-dollars for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Read anew.
    pub input: MicroUsd,
    /// Read from a cache; as `input` where it is `None`.
    #[serde(default)]
    pub cache_read: Option<MicroUsd>,
    /// Written to a cache; as `input` where it is `None`.
    #[serde(default)]
    pub cache_write: Option<MicroUsd>,
    /// Made.
    pub output: MicroUsd,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_never_zero() {
        let spent = |requests, unpriced, at_least| Spent {
            amount: MicroUsd(1_920_000),
            requests,
            unpriced,
            at_least,
            ..Spent::default()
        };
        assert_eq!(spent(3, 0, 0).to_string(), "$1.92");
        assert_eq!(spent(3, 1, 0).to_string(), "at least $1.92");
        assert_eq!(spent(3, 0, 1).to_string(), "at least $1.92");
        assert_eq!(spent(2, 2, 0).to_string(), "price unknown");
    }

    #[test]
    fn a_list_price_is_never_taken_for_money() {
        let listed = |requests, unpriced| ListPrice { amount: MicroUsd(400_000), requests, unpriced, at_least: 0 };
        let spent = |requests, unpriced, list_price| Spent {
            amount: MicroUsd(if requests > 2 { 1_920_000 } else { 0 }),
            requests,
            unpriced,
            list_price,
            ..Spent::default()
        };
        assert_eq!(spent(2, 0, listed(2, 0)).to_string(), "list price $0.40");
        assert_eq!(spent(2, 0, listed(2, 1)).to_string(), "list price at least $0.40");
        assert_eq!(spent(2, 0, listed(2, 2)).to_string(), "list price unknown");
        assert_eq!(spent(3, 0, listed(2, 0)).to_string(), "$1.92 + list price $0.40");
        assert_eq!(spent(3, 1, listed(2, 0)).to_string(), "price unknown + list price $0.40");
        assert!(!spent(2, 0, listed(2, 1)).is_at_least(), "what may be more there is no money");
    }

    #[test]
    fn names_in_data_are_those_that_serde_writes() {
        for key in CostKey::ALL {
            assert_eq!(serde_json::to_value(key).unwrap(), key.name());
            assert_eq!(CostKey::from_name(key.name()), Some(key));
        }
    }
}
