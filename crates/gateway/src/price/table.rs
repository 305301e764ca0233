//! The table of prices that comes with this version: the one place that names `genai-prices`.

use genai_prices::{Calculator, PriceCalculation, PriceRequest, ProviderInfo, Usage, UsageKey};
use jiff::civil::{Date, date};
use wire::MicroUsd;

use super::Sale;
use crate::usage::Tokens;

/// The day on which the table's version was published; a test holds the two together.
const DATE: Date = date(2026, 10, 30);

const MICRO_PER_DOLLAR: f64 = 1e6;

/// As near to a whole number of micro-dollars as this part of it, an amount is that number: the table counts in floating point. A
/// few times the precision of that.
const NOISE: f64 = 1e-12;

/// The same near zero, in micro-dollars. A token costs whole millionths of one.
const NOISE_MICRO_USD: f64 = 1e-7;

/// How old the table of prices is.
pub fn table_date() -> Date {
    DATE
}

/// Reads the table, once.
pub(super) fn load() {
    let _ = Calculator::bundled();
}

/// What the table says. `None` where it does not have the model, or has it without a price: it lists models that are free for some.
pub(super) fn cost(sale: &Sale<'_>, tokens: &Tokens) -> Option<MicroUsd> {
    let one_of_each = Tokens { input: 1, output: 1, ..Tokens::default() };
    let probe = calculate(sale, &one_of_each)?;
    if probe.input_price <= 0.0 || probe.output_price <= 0.0 {
        return None;
    }
    rounded_up(calculate(sale, tokens)?.total_price)
}

/// The model's whole window, in tokens.
pub(super) fn window(sale: &Sale<'_>) -> Option<u64> {
    let model_id = calculate(sale, &Tokens::default())?.model_id;
    provider(sale)?.models().find(|model| model.id() == model_id)?.context_window()
}

/// By its exact name: the table's own search would also take `my-openai` for `openai`.
fn provider(sale: &Sale<'_>) -> Option<ProviderInfo<'static>> {
    let found = Calculator::bundled().find_provider(Some(sale.provider), None).ok()?;
    found.filter(|found| found.id() == sale.provider)
}

fn calculate(sale: &Sale<'_>, tokens: &Tokens) -> Option<PriceCalculation> {
    let provider = provider(sale)?;
    let all_input = tokens.input + tokens.cache_read + tokens.cache_write;
    #[expect(clippy::cast_precision_loss, reason = "the caller has bounded them")]
    let usage = Usage::from([
        (UsageKey::INPUT_TOKENS, all_input as f64),
        (UsageKey::CACHE_READ_TOKENS, tokens.cache_read as f64),
        (UsageKey::CACHE_WRITE_TOKENS, tokens.cache_write as f64),
        (UsageKey::CACHE_WRITE_1H_TOKENS, tokens.cache_write_hour as f64),
        (UsageKey::OUTPUT_TOKENS, tokens.output as f64),
        (UsageKey::OUTPUT_REASONING_TOKENS, tokens.reasoning as f64),
    ]);
    let mut request = PriceRequest::new(sale.model, &usage).with_provider_id(provider.id()).with_timestamp(sale.at);
    if let Some(service_tier) = sale.service_tier {
        request = request.with_price_context("service_tier", service_tier);
    }
    Calculator::bundled().calculate(&request).ok()
}

/// Whole micro-dollars of an amount in dollars.
fn rounded_up(dollars: f64) -> Option<MicroUsd> {
    let micro_usd = dollars * MICRO_PER_DOLLAR;
    let nearest = micro_usd.round();
    let is_nearest = (micro_usd - nearest).abs() <= nearest * NOISE + NOISE_MICRO_USD;
    let whole = if is_nearest { nearest } else { micro_usd.ceil() };
    // The largest `f64` below 2^63.
    if !(0.0..=9_223_372_036_854_774_784.0).contains(&whole) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within the bounds")]
    Some(MicroUsd(whole as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_that_of_the_table() {
        let lock = include_str!("../../../../Cargo.lock");
        let version =
            lock.split("name = \"genai-prices\"\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!((version, table_date().to_string().as_str()), (Some("0.2.1"), "2026-10-30"), "say both anew");
    }

    #[test]
    fn amounts_are_rounded_up_but_for_noise() {
        for (dollars, micro_usd) in [
            (0.0, Some(0)),
            (0.000_001, Some(1)),
            (0.000_001_1, Some(2)),
            (0.000_000_000_1, Some(1)),
            (0.1 + 0.2, Some(300_000)),
            (1_234.567_891, Some(1_234_567_891)),
            (1e15, None),
            (f64::NAN, None),
        ] {
            assert_eq!(rounded_up(dollars).map(|cost| cost.0), micro_usd, "{dollars}");
        }
    }
}
