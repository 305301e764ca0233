//! Money: what was spent, budgets, prices.

use serde_json::Value;
use wire::{
    MicroUsd, Request,
    call::{ListCostRuns, SetBudget, SetComputeRates, SetPrice, ShowCosts},
    compute::ComputeRates,
    cost::{BudgetScope, CostKey, CostsView, PriceView, Rates},
};

use crate::scripted::Berth;

async fn asked(arguments: &[&str]) -> Request {
    let berth = Berth::start().await;
    berth.berth(arguments).await.well();
    let asked = berth.script.asked.lock().unwrap().clone();
    let [request] = asked.as_slice() else { panic!("{asked:?}") };
    request.clone()
}

#[tokio::test]
async fn costs_are_shown_with_what_is_not_known_of_them() {
    let berth = Berth::start().await;
    insta::assert_snapshot!("words_costs", berth.berth(&["costs"]).await.well().text());
    let ended = berth.berth(&["costs", "--json"]).await.well();
    let _view: CostsView = ended.json();
    insta::assert_json_snapshot!("json_costs", ended.json::<Value>());
}

#[tokio::test]
async fn csv_is_exact_quoted_and_no_formula() {
    let berth = Berth::start().await;
    let ended = berth.berth(&["costs", "--by", "project", "--csv"]).await.well();
    insta::assert_snapshot!("csv_costs", ended.text());
    assert!(ended.stderr.contains("1 more"), "{}", ended.stderr);
    let both = berth.berth(&["--json", "costs", "--csv"]).await;
    assert_eq!((both.status, both.text()), (1, ""));
}

#[tokio::test]
async fn a_key_and_a_span_reach_the_call() {
    let days = ["costs", "--by", "day", "--from", "2026-02-01", "--until", "2026-02-28"];
    let (from, until) = ("2026-02-01T00:00:00Z".parse().unwrap(), "2026-03-01T00:00:00Z".parse().unwrap());
    let show = ShowCosts { from: Some(from), until: Some(until), by: CostKey::Day };
    assert_eq!(asked(&days).await, Request::ShowCosts(show));
    assert_eq!(asked(&["costs"]).await, Request::ShowCosts(ShowCosts::default()));
    let Request::ShowCosts(ShowCosts { from: Some(_), until: None, by: CostKey::Model }) =
        asked(&["costs", "--month", "--by", "model"]).await
    else {
        panic!("this month has a beginning")
    };
}

#[tokio::test]
async fn a_budget_reaches_the_call_to_the_micro_dollar() {
    let (run, agent, project) = ("12".to_owned(), "coder".to_owned(), "site".to_owned());
    for (arguments, scope, limit) in [
        (["--each-run", "5"].as_slice(), BudgetScope::EachRun, Some(5_000_000)),
        (&["--run", "12", "0.25"], BudgetScope::Run { run }, Some(250_000)),
        (&["--agent", "coder", "0.000001"], BudgetScope::Agent { agent }, Some(1)),
        (&["--project", "site", "none"], BudgetScope::Project { project }, None),
    ] {
        let arguments = [["costs", "budget"].as_slice(), arguments].concat();
        let set = SetBudget { scope, limit: limit.map(MicroUsd) };
        assert_eq!(asked(&arguments).await, Request::SetBudget(set));
    }
    let berth = Berth::start().await;
    let ended = berth.berth(&["costs", "budget", "--each-run", "5"]).await.well();
    insta::assert_snapshot!("words_budgets", ended.text());
    let _view: CostsView = berth.berth(&["costs", "budget", "--each-run", "5", "--json"]).await.well().json();
}

#[tokio::test]
async fn a_price_reaches_the_call_to_the_micro_dollar() {
    let price = ["costs", "price", "openai/gpt-x", "--input", "1.25", "--output", "10", "--cache-read", "0.125"];
    let rates = Rates {
        input: MicroUsd(1_250_000),
        cache_read: Some(MicroUsd(125_000)),
        cache_write: None,
        output: MicroUsd(10_000_000),
    };
    let model = || "openai/gpt-x".to_owned();
    assert_eq!(asked(&price).await, Request::SetPrice(SetPrice { model: model(), rates: Some(rates) }));
    let gone = asked(&["costs", "price", "openai/gpt-x", "--none"]).await;
    assert_eq!(gone, Request::SetPrice(SetPrice { model: model(), rates: None }));
    let berth = Berth::start().await;
    insta::assert_snapshot!("words_prices", berth.berth(&["costs", "prices"]).await.well().text());
    let _prices: Vec<PriceView> = berth.berth(&["costs", "prices", "--json"]).await.well().json();
}

#[tokio::test]
async fn what_is_no_amount_span_or_scope_ends_with_2() {
    let berth = Berth::start().await;
    for arguments in [
        ["budget", "--each-run", "-1"].as_slice(),
        &["budget", "--each-run", "0.0000001"],
        &["budget", "--each-run", "1e3"],
        &["budget", "--each-run"],
        &["budget", "5"],
        &["budget", "--run", "12", "--agent", "coder", "5"],
        &["price", "openai/x"],
        &["price", "openai/x", "--input", "1"],
        &["price", "openai/x", "--input", "1", "--output", "-1"],
        &["price", "openai/x", "--none", "--input", "1", "--output", "1"],
        &["--by", "colour"],
        &["--today", "--month"],
        &["--today", "--from", "2026-03-01"],
        &["--from", "yesterday"],
        &["--csv", "prices"],
    ] {
        let arguments = [["costs"].as_slice(), arguments].concat();
        assert_eq!(berth.berth(&arguments).await.status, 2, "{arguments:?}");
    }
    assert!(berth.script.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn compute_time_is_shown_with_what_is_not_known_of_it() {
    let berth = Berth::start().await;
    insta::assert_snapshot!("words_compute", berth.berth(&["costs", "compute"]).await.well().text());
    insta::assert_snapshot!("csv_compute", berth.berth(&["costs", "compute", "--csv"]).await.well().text());
    let ended = berth.berth(&["costs", "compute", "--by", "run", "--json"]).await.well();
    insta::assert_json_snapshot!("json_compute", ended.json::<Value>());
    assert_eq!(berth.berth(&["costs", "compute", "--by", "model"]).await.status, 2, "a sandbox is no model's");
    assert_eq!(berth.berth(&["--json", "costs", "compute", "--csv"]).await.status, 1);
}

#[tokio::test]
async fn rates_of_compute_time_reach_the_call_and_what_is_left_out_is_nothing() {
    let rates = ComputeRates { cpu: MicroUsd(50_000), ..ComputeRates::default() };
    let set = |rates| Request::SetComputeRates(SetComputeRates { rates });
    assert_eq!(asked(&["costs", "rates", "--cpu", "0.05"]).await, set(Some(rates)));
    assert_eq!(asked(&["costs", "rates", "--none"]).await, set(None));
    let berth = Berth::start().await;
    for arguments in [["costs", "rates"].as_slice(), &["costs", "rates", "--none", "--cpu", "1"]] {
        assert_eq!(berth.berth(arguments).await.status, 2, "{arguments:?}");
    }
}

#[tokio::test]
async fn the_runs_behind_a_sum_are_listed() {
    let list = |by, key: &str| Request::ListCostRuns(ListCostRuns { by, key: key.to_owned(), from: None, until: None });
    for (arguments, expected) in [
        (["--agent", "coder"], list(CostKey::Agent, "coder")),
        (["--project", "site"], list(CostKey::Project, "site")),
        (["--model", "claude-sonnet-4-5"], list(CostKey::Model, "claude-sonnet-4-5")),
    ] {
        assert_eq!(asked(&[["costs", "runs"], arguments].concat()).await, expected);
    }
    let berth = Berth::start().await;
    insta::assert_snapshot!("words_cost_runs", berth.berth(&["costs", "runs", "--agent", "coder"]).await.well().text());
    assert_eq!(berth.berth(&["costs", "runs"]).await.status, 2, "whose?");
}
