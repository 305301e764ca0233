//! To the micro-dollar. The table's own numbers are checked against the providers' published prices of October 2026.

use bytes::Bytes;

use super::*;
use crate::usage::{Api, prepare};

const AT: &str = "2026-11-20T12:00:00Z";

fn prices() -> Prices {
    Prices::new(Vec::new())
}

fn sale<'a>(provider: &'a str, model: &'a str) -> Sale<'a> {
    Sale { provider, model, service_tier: None, at: AT.parse().unwrap() }
}

fn tokens(input: u64, cache_read: u64, cache_write: u64, output: u64) -> Tokens {
    Tokens { input, cache_read, cache_write, output, ..Tokens::default() }
}

fn cost(prices: &Prices, provider: &str, model: &str, tokens: Tokens) -> Option<i64> {
    prices.cost(&sale(provider, model), &tokens).map(|cost| cost.0)
}

fn rate(micro_usd: i64) -> Rate {
    Rate::per_million(MicroUsd(micro_usd)).unwrap()
}

fn own(provider: &str, model: Option<&str>, input: i64, output: i64) -> OwnPrice {
    OwnPrice {
        provider: provider.to_owned(),
        model: model.map(str::to_owned),
        input: rate(input),
        cache_read: None,
        cache_write: None,
        output: rate(output),
        output_tokens_max: None,
    }
}

#[test]
fn a_call_costs_what_its_provider_says() {
    let prices = prices();
    // $3, $0.30, $3.75 and $15 per million.
    let sonnet = cost(&prices, "anthropic", "claude-sonnet-4-5-20250929", tokens(1234, 500, 100, 56));
    assert_eq!(sonnet, Some(3702 + 150 + 375 + 840));
    // A write for an hour: $6.
    let hour = Tokens { cache_write_hour: 40, ..tokens(1234, 500, 100, 56) };
    assert_eq!(cost(&prices, "anthropic", "claude-sonnet-4-5", hour), Some(3702 + 150 + 225 + 240 + 840));
    // $1.25, $0.125 and $10: 1667.5 + 62.5 + 560.
    assert_eq!(cost(&prices, "openai", "gpt-5-2025-08-07", tokens(1334, 500, 0, 56)), Some(2290));
    // $0.30, $0.03 and $2.50: 372.3 + 15 + 140, rounded up.
    assert_eq!(cost(&prices, "google", "gemini-2.5-flash", tokens(1241, 500, 0, 56)), Some(528));
    assert_eq!(cost(&prices, "google", "gemini-2.5-flash", tokens(0, 0, 0, 0)), Some(0));
    // Past 200,000 tokens of prompt, cached ones included, all of it costs more: $2.50, $0.25 and $15.
    assert_eq!(cost(&prices, "google", "gemini-2.5-pro", tokens(1, 200_000, 0, 100)), Some(3 + 50_000 + 1_500));
    assert_eq!(cost(&prices, "google", "gemini-2.5-pro", tokens(0, 200_000, 0, 100)), Some(25_000 + 1_000));
}

#[test]
fn a_tier_of_service_has_its_own_price() {
    let cost = |service_tier| {
        let sale = Sale { service_tier, ..sale("openai", "gpt-5") };
        prices().cost(&sale, &tokens(1_000_000, 0, 0, 0)).map(|cost| cost.0)
    };
    assert_eq!(cost(None), Some(1_250_000));
    assert_eq!(cost(Some("default")), Some(1_250_000));
    assert_eq!(cost(Some("priority")), Some(2_500_000));
    assert_eq!(cost(Some("nonsense")), Some(1_250_000));
}

#[test]
fn what_nobody_knows_the_price_of_is_unknown_and_not_free() {
    let prices = prices();
    for (provider, model) in [
        ("openai", "gpt-99-ultra"),
        ("openai", ""),
        ("nobody", "gpt-5"),
        ("", "gpt-5"),
        // The table's own search is more generous.
        ("my-anthropic", "claude-sonnet-4-5"),
        ("litellm", "openai/gpt-5"),
        // In the table, and without a price there.
        ("google", "gemma-4-31b-it"),
        ("openrouter", "deepseek/deepseek-r1:free"),
    ] {
        assert_eq!(cost(&prices, provider, model, tokens(1, 1, 1, 1)), None, "{provider} {model}");
        assert_eq!(cost(&prices, provider, model, Tokens::default()), None, "{provider} {model}");
    }
    assert_eq!(cost(&prices, "openai", "gpt-5", tokens(u64::MAX, u64::MAX, 0, 0)), None);
}

#[test]
fn a_persons_own_price_comes_first() {
    let mut dear = own("openai", Some("gpt-5"), 7_000_000, 9_000_000);
    dear.cache_read = Some(rate(1_000_000));
    dear.cache_write = Some(rate(8_000_000));
    let free = own("home", None, 0, 0);
    let prices = Prices::new(vec![own("home", Some("big"), 333_333, 1), own("openai", Some("gpt"), 1, 1), dear, free]);
    let all = tokens(1000, 100, 10, 1);
    assert_eq!(cost(&prices, "openai", "gpt-5", all), Some(7_000 + 100 + 80 + 9));
    assert_eq!(cost(&prices, "openai", "gpt-5-2025-08-07", all), Some(7_189));
    // No version of it but another model, for which the table has a price: $0.25 and $2, and $0.025 for what was cached.
    assert_eq!(cost(&prices, "openai", "gpt-5-mini", tokens(1000, 0, 0, 1)), Some(252));
    // Said to be free, and so it is.
    assert_eq!(cost(&prices, "home", "anything", all), Some(0));
    // 1110 tokens of input, cached or not, at a third of a micro-dollar, and a millionth for the output.
    assert_eq!(cost(&prices, "home", "big", all), Some(370));
    assert_eq!(cost(&prices, "home", "big", tokens(3, 0, 0, 2)), Some(2));
}

#[test]
fn only_what_ends_with_a_date_or_a_number_is_a_version() {
    for (name, is_version) in [
        ("claude-sonnet-4", true),
        ("claude-sonnet-4-20250514", true),
        ("claude-sonnet-4@20250514", true),
        ("claude-sonnet-4-001", true),
        ("claude-sonnet-4-5", false),
        ("claude-sonnet-4-mini", false),
        ("claude-sonnet-4.5", false),
        ("claude-sonnet-40", false),
        ("claude-sonnet", false),
    ] {
        assert_eq!(is_version_of(name, "claude-sonnet-4"), is_version, "{name}");
    }
}

#[test]
fn a_rate_is_never_negative() {
    assert_eq!(Rate::per_million(MicroUsd(-1)), None);
    assert!(Rate::per_million(MicroUsd(0)).is_some());
}

fn reserve(prices: &Prices, provider: &str, api: Api, body: &str) -> Option<i64> {
    let prepared =
        prepare(api, "/v1beta/models/gemini-2.5-pro:generateContent", &Bytes::copy_from_slice(body.as_bytes()));
    prices.reserve(provider, &prepared.unwrap().demand(), AT.parse().unwrap()).map(|cost| cost.0)
}

#[test]
fn the_reserve_is_the_most_that_a_request_may_cost() {
    let prices = prices();
    // 53 bytes are 18 tokens at most, dearest as a write for an hour: $6. And 1000 at $15.
    let body = r#"{"model":"claude-sonnet-4-5","max_tokens":1000,"x":1}"#;
    assert_eq!(reserve(&prices, "anthropic", Api::AnthropicMessages, body), Some(18 * 6 + 15_000));
    // 50 bytes, three answers of 1000 at $10.
    let body = r#"{"model":"gpt-5","max_completion_tokens":1000,"n":3}"#;
    assert_eq!(reserve(&prices, "openai", Api::OpenAiChat, body), Some(23 + 30_000));
    // Priority costs twice as much; a tier that is cheaper may not be had.
    let body = r#"{"model":"gpt-5","max_output_tokens":1000,"service_tier":"priority"}"#;
    assert_eq!(reserve(&prices, "openai", Api::OpenAiResponses, body), Some(58 + 20_000));
    let body = r#"{"model":"gpt-5","max_output_tokens":1000,"service_tier":"flex"}"#;
    assert_eq!(reserve(&prices, "openai", Api::OpenAiResponses, body), Some(28 + 10_000));
    // A long prompt costs more per token, and so does its answer: $2.50 and $15.
    let body = format!(r#"{{"generationConfig":{{"maxOutputTokens":1000}},"x":"{}"}}"#, "x".repeat(600_000));
    let input = i64::try_from(body.len().div_ceil(3)).unwrap();
    assert_eq!(reserve(&prices, "google", Api::GeminiGenerate, &body), Some((input * 5 + 1) / 2 + 15_000));
}

#[test]
fn a_request_without_a_limit_reserves_what_the_model_can_make() {
    let body = r#"{"model":"gpt-5"}"#;
    let by_default = 8 + 10 * i64::try_from(OUTPUT_TOKENS_DEFAULT).unwrap();
    assert_eq!(reserve(&prices(), "openai", Api::OpenAiChat, body), Some(by_default));
    // A window of 8,192 tokens is all there is: $30 and $60.
    assert_eq!(reserve(&prices(), "openai", Api::OpenAiChat, r#"{"model":"gpt-4"}"#), Some(180 + 60 * 8_192));
    let mut known = own("openai", None, 0, 1_000_000);
    known.output_tokens_max = Some(5_000);
    assert_eq!(reserve(&Prices::new(vec![known]), "openai", Api::OpenAiChat, body), Some(5_000));
    let unknown_limit = own("openai", None, 0, 1_000_000);
    let body = r#"{"model":"gpt-5","n":2}"#;
    assert_eq!(reserve(&Prices::new(vec![unknown_limit]), "openai", Api::OpenAiChat, body), Some(256_000));
    assert_eq!(reserve(&prices(), "openai", Api::OpenAiChat, r#"{"model":"gpt-99-ultra"}"#), None);
}

#[test]
fn what_has_a_price_is_never_free() {
    for model in
        ["claude-opus-4-1", "claude-haiku-4-5", "gpt-4o-mini", "gpt-5-codex", "gemini-2.5-pro", "gemini-2.0-flash"]
    {
        let provider = match model {
            model if model.starts_with("claude") => "anthropic",
            model if model.starts_with("gpt") => "openai",
            _ => "google",
        };
        for tokens in [tokens(1, 0, 0, 0), tokens(0, 1, 0, 0), tokens(0, 0, 1, 0), tokens(0, 0, 0, 1)] {
            assert!(cost(&prices(), provider, model, tokens).is_some_and(|cost| cost >= 1), "{model}");
        }
    }
}
