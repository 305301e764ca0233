//! What a call of a model costs.
//!
//! ```text
//! provider, model, tokens ─▶ a person's own price ─▶ else the table that comes with this version ─▶ micro-dollars
//!                                                        └─▶ not in it, or no price there: None, which is never zero
//! ```
//!
//! Amounts are rounded up to the whole micro-dollar, once per call: what is added up is never less than the bill, and above it by
//! less than a micro-dollar per call. The table is a public one (`genai-prices`) and knows tiers by length of the prompt, and
//! changes by date. It never updates itself: [`table_date`] says how old it is.
//!
//! Not priced: what a provider charges apart from tokens, such as its own searches, and what only an account's contract says.

mod table;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use wire::MicroUsd;

use crate::usage::{Demand, Tokens};

pub use self::table::table_date;

/// As output, a request is taken to use this much at the most where neither it nor anybody else names a limit. More than any of the
/// three providers' models make in one answer by themselves. Tokens.
pub const OUTPUT_TOKENS_DEFAULT: u64 = 128_000;

/// A count beyond this is no count, and has no price. Tokens.
const TOKENS_MAX: u64 = 1 << 40;

/// A price per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

/// What a person says that tokens cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPrice {
    /// The provider, by the name that its calls are made under.
    pub provider: String,
    /// Which of its models: that one, dated versions of it included. `None` is all that have no price of their own.
    pub model: Option<String>,
    /// What is read anew.
    pub input: Rate,
    /// What is read from a cache; `None` as `input`.
    pub cache_read: Option<Rate>,
    /// What is written to a cache; `None` as `input`.
    pub cache_write: Option<Rate>,
    /// What is made.
    pub output: Rate,
    /// The most that the model makes in one answer, where that is known. Tokens.
    pub output_tokens_max: Option<u64>,
}

/// What is bought, and when.
#[derive(Clone, Copy, Debug)]
pub struct Sale<'a> {
    /// As the table names it (`anthropic`, `openai`, `google`), or as a person's own price does.
    pub provider: &'a str,
    /// As the reply names it, or the request.
    pub model: &'a str,
    /// Likewise.
    pub service_tier: Option<&'a str>,
    /// Prices change.
    pub at: Timestamp,
}

/// All prices that are known.
#[derive(Clone, Debug)]
pub struct Prices {
    own: Vec<OwnPrice>,
}

impl Rate {
    /// A rate of so much per million tokens; `None` of a negative amount.
    pub fn per_million(amount: MicroUsd) -> Option<Self> {
        u64::try_from(amount.0).ok().map(Self)
    }
}

impl Prices {
    /// A person's own prices, before those of the table. Reads the table, which takes some ten milliseconds once.
    pub fn new(own: Vec<OwnPrice>) -> Self {
        table::load();
        Self { own }
    }

    /// What tokens cost. `None` where nobody knows, or where there are more than can be true.
    pub fn cost(&self, sale: &Sale<'_>, tokens: &Tokens) -> Option<MicroUsd> {
        let counts = [tokens.input, tokens.cache_read, tokens.cache_write, tokens.cache_write_hour, tokens.output];
        if counts.iter().any(|count| *count > TOKENS_MAX) {
            return None;
        }
        match self.own_price(sale) {
            Some(own) => own.cost(tokens),
            None => table::cost(sale, tokens),
        }
    }

    /// The most that a request may cost: all of its input at what is dearest, a write to a cache included, and as much output as it
    /// allows; else as the model makes, by a person's word; else [`OUTPUT_TOKENS_DEFAULT`], or the model's whole window if that
    /// is less. `None` where nobody knows the price.
    pub fn reserve(&self, provider: &str, demand: &Demand, at: Timestamp) -> Option<MicroUsd> {
        let sale = Sale { provider, model: &demand.model, service_tier: demand.service_tier.as_deref(), at };
        let output = demand.output_tokens_max.or_else(|| {
            let limit = match self.own_price(&sale) {
                Some(own) => own.output_tokens_max.unwrap_or(OUTPUT_TOKENS_DEFAULT),
                None => table::window(&sale).unwrap_or(u64::MAX).min(OUTPUT_TOKENS_DEFAULT),
            };
            limit.checked_mul(demand.answers)
        })?;
        let input = demand.input_tokens_max;
        let read = Tokens { input, output, ..Tokens::default() };
        let from_cache = Tokens { cache_read: input, output, ..Tokens::default() };
        let to_cache = Tokens { cache_write: input, output, ..Tokens::default() };
        let to_cache_for_long = Tokens { cache_write_hour: input, ..to_cache };
        // A provider may serve another tier than it was asked for.
        let at_most = |sale: Sale<'_>| {
            let costs = [read, from_cache, to_cache, to_cache_for_long].map(|tokens| self.cost(&sale, &tokens));
            costs.into_iter().reduce(|one, other| Some(one?.max(other?))).flatten()
        };
        Some(at_most(sale)?.max(at_most(Sale { service_tier: None, ..sale })?))
    }

    /// The model's, else the provider's.
    fn own_price(&self, sale: &Sale<'_>) -> Option<&OwnPrice> {
        let of_provider = || self.own.iter().filter(|own| own.provider == sale.provider);
        let of_model = |own: &&OwnPrice| own.model.as_deref().is_some_and(|model| is_version_of(sale.model, model));
        let longest = of_provider().filter(of_model).max_by_key(|own| own.model.as_ref().map(String::len));
        longest.or_else(|| of_provider().find(|own| own.model.is_none()))
    }
}

impl OwnPrice {
    fn cost(&self, tokens: &Tokens) -> Option<MicroUsd> {
        let parts = [
            (tokens.input, self.input),
            (tokens.cache_read, self.cache_read.unwrap_or(self.input)),
            (tokens.cache_write, self.cache_write.unwrap_or(self.input)),
            (tokens.output, self.output),
        ];
        let millionths: u128 = parts.iter().map(|(count, rate)| u128::from(*count) * u128::from(rate.0)).sum();
        i64::try_from(millionths.div_ceil(1_000_000)).ok().map(MicroUsd)
    }
}

/// Whether a name is a model's, or that of a version of it, whose number or date it ends with (`-2025-08-07`, `@20250929`, `-001`).
fn is_version_of(name: &str, model: &str) -> bool {
    let Some(rest) = name.strip_prefix(model) else { return false };
    let Some(version) = rest.strip_prefix(['-', '@']) else { return rest.is_empty() };
    version.chars().filter(char::is_ascii_digit).count() >= 3
        && version.chars().all(|character| character.is_ascii_digit() || character == '-')
}
