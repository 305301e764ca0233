//! What was spent, the budgets, and the prices of a person's own.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use store::{BudgetKey, BudgetRecord, CostOf, CostScope, CostSpan, CostSum, StoreError};
use wire::{
    ErrorCode, ErrorView, EventKind, MicroUsd,
    call::{ListCostRuns, SetBudget, SetPrice, ShowCosts},
    cost::{BudgetScope, BudgetView, CostKey, CostLine, CostRuns, CostsView, PriceView},
    stream::Update,
};

use super::budgets::{self, Recheck};
use crate::house::House;
use crate::{agents, dispatch, escape, faults, projects};

/// Most lines of one view; what is beyond them is in the total.
const LINES_MAX: u32 = 200;
/// The largest limit: a million dollars. Beyond it a sum could overflow, and nobody means it.
const LIMIT_MAX: MicroUsd = MicroUsd(1_000_000_000_000);

/// What was spent in a span of time.
pub(crate) async fn show(house: &House, call: &ShowCosts) -> Result<CostsView, ErrorView> {
    check_span(call.from, call.until)?;
    let failed = |error: StoreError| faults::of_storage("read what was spent", &error);
    let span = CostSpan { from: call.from, until: call.until };
    let costs = house.store.spent_by(call.by, span, LINES_MAX).await.map_err(failed)?;
    let today = CostScope::All { since: budgets::day_of(house.time.now()) };
    let mut views = Vec::new();
    for budget in house.store.budgets().await.map_err(failed)? {
        views.push(budget_view(house, budget).await.map_err(failed)?);
    }
    Ok(CostsView {
        from: call.from,
        until: call.until,
        total: costs.total,
        by: call.by,
        lines: costs.lines.into_iter().map(|sum| line(call.by, sum)).collect(),
        lines_total: costs.lines_total,
        today: house.store.spent(&today).await.map_err(failed)?,
        budgets: views,
        prices_from: gateway::price::table_date().to_string(),
    })
}

/// Whether a span of time is one.
pub(super) fn check_span(from: Option<Timestamp>, until: Option<Timestamp>) -> Result<(), ErrorView> {
    match (from, until) {
        (Some(from), Some(until)) if until <= from => {
            invalid("The span of time ends before it begins.".to_owned(), "Give an end after the beginning.")
        }
        _anything_else => Ok(()),
    }
}

fn line(by: CostKey, sum: CostSum) -> CostLine {
    let key = key(by, sum.label.as_deref(), sum.key);
    let label = label(by, sum.label, sum.removed_at, sum.task);
    CostLine { label, key, run: Some(sum.run), task: Some(sum.task), spent: sum.spent }
}

/// What a sum is found by. A day is named by what a person reads.
pub(super) fn key(by: CostKey, label: Option<&str>, key: String) -> String {
    match by {
        CostKey::Day => label.unwrap_or_default().to_owned(),
        CostKey::Agent | CostKey::Project | CostKey::Model | CostKey::Run => key,
    }
}

/// The runs behind a sum.
pub(crate) async fn runs(house: &House, call: &ListCostRuns) -> Result<CostRuns, ErrorView> {
    check_span(call.from, call.until)?;
    let failed = |error: StoreError| faults::of_storage("read what was spent", &error);
    let mut span = CostSpan { from: call.from, until: call.until };
    let of = match call.by {
        CostKey::Agent => CostOf::Agent(match call.key.parse() {
            Ok(agent) => agent,
            Err(_no_id) => agents::find(house, &call.key).await?.agent,
        }),
        CostKey::Project if call.key.is_empty() => CostOf::Project(None),
        CostKey::Project => CostOf::Project(Some(match call.key.parse() {
            Ok(project) => project,
            Err(_no_id) => projects::find(house, &call.key).await?.project,
        })),
        CostKey::Model => CostOf::Model(call.key.clone()),
        CostKey::Day => {
            let Some(day) = day(&call.key) else {
                let shown = escape::visible(call.key.as_bytes());
                return invalid(format!("`{shown}` is no day."), "Write one such as 2026-03-01.");
            };
            span = CostSpan {
                from: span.from.max(Some(day.0)),
                until: Some(span.until.map_or(day.1, |until| until.min(day.1))),
            };
            CostOf::All
        }
        CostKey::Run => {
            return invalid(
                "A run's sum has no other runs in it.".to_owned(),
                "Look at the run itself: `berth show RUN`.",
            );
        }
    };
    let costs = house.store.spent_in_runs(&of, span, LINES_MAX).await.map_err(failed)?;
    let label = match &of {
        CostOf::Agent(agent) => house.store.agent(*agent).await.map_err(|error| dispatch::of_store(&error))?.name,
        CostOf::Project(None) => "No project".to_owned(),
        CostOf::Project(Some(_)) | CostOf::All => call.key.clone(),
        CostOf::Model(model) if model.is_empty() => "Model not known".to_owned(),
        CostOf::Model(model) => model.clone(),
    };
    Ok(CostRuns {
        label: escape::visible(label.as_bytes()),
        total: costs.total,
        lines: costs.lines.into_iter().map(|sum| line(CostKey::Run, sum)).collect(),
        lines_total: costs.lines_total,
    })
}

/// When a day begins and ends (UTC).
fn day(text: &str) -> Option<(Timestamp, Timestamp)> {
    let day: Date = text.parse().ok()?;
    let begin = |day: Date| Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp());
    Some((begin(day)?, begin(day.tomorrow().ok()?)?))
}

/// What a sum is the sum of, as a person reads it.
pub(super) fn label(by: CostKey, label: Option<String>, removed_at: Option<Timestamp>, task: i64) -> String {
    let nameless = match by {
        CostKey::Project => "No project",
        CostKey::Model => "Model not known",
        CostKey::Agent | CostKey::Run | CostKey::Day => "–",
    };
    let label = label.filter(|label| !label.is_empty()).unwrap_or_else(|| nameless.to_owned());
    let label = match (by, removed_at) {
        (CostKey::Agent | CostKey::Project, Some(_)) => format!("{label} (deleted)"),
        (CostKey::Run, _) => format!("#{task} {label}"),
        (CostKey::Agent | CostKey::Project | CostKey::Model | CostKey::Day, _) => label,
    };
    escape::visible(label.as_bytes())
}

async fn budget_view(house: &House, budget: BudgetRecord) -> Result<BudgetView, StoreError> {
    let now = house.time.now();
    let used = match &budget.budget {
        BudgetKey::EachRun => None,
        BudgetKey::Run(run) => Some(budgets::scope_of(&budget.budget, *run, now)),
        // Those two look at no run.
        BudgetKey::Agent(_) | BudgetKey::Project(_) => {
            Some(budgets::scope_of(&budget.budget, crate::clock::new_id(), now))
        }
    };
    let used = match used {
        Some(scope) => Some(house.store.used(&scope).await?),
        None => None,
    };
    let label = capitalised(&budgets::label(&budget));
    let task = budget.number;
    let scope = match budget.budget {
        BudgetKey::EachRun => BudgetScope::EachRun,
        BudgetKey::Run(run) => BudgetScope::Run { run: run.to_string() },
        BudgetKey::Agent(_) => BudgetScope::Agent { agent: budget.name },
        BudgetKey::Project(_) => BudgetScope::Project { project: budget.name },
    };
    Ok(BudgetView {
        scope,
        label,
        task,
        limit: budget.limit,
        spent: used.map(|used| used.spent.in_money()),
        reserved: used.map_or(MicroUsd(0), |used| MicroUsd(used.reserved.0.saturating_add(used.withheld.0))),
    })
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Sets a budget, or takes one away; what it held goes on where there is room now.
pub(crate) async fn set_budget(house: &House, call: &SetBudget) -> Result<CostsView, ErrorView> {
    if call.limit.is_some_and(|limit| limit.0 < 0 || limit > LIMIT_MAX) {
        return invalid("That is no amount for a budget.".to_owned(), "Give one from $0 to $1,000,000.");
    }
    let (key, label) = match &call.scope {
        BudgetScope::EachRun => (BudgetKey::EachRun, "budget of each run".to_owned()),
        BudgetScope::Run { run } => {
            let run = dispatch::find_run(house, run).await?;
            (BudgetKey::Run(run.run), "budget of the run".to_owned())
        }
        BudgetScope::Agent { agent } => {
            let agent = agents::find(house, agent).await?;
            (BudgetKey::Agent(agent.agent), format!("budget of the agent {}", agent.name))
        }
        BudgetScope::Project { project } => {
            let project = projects::find(house, project).await?;
            (BudgetKey::Project(project.project), format!("budget of the project {}", project.name))
        }
    };
    let text = match call.limit {
        Some(limit) => format!("The {label} is {limit} now"),
        None => format!("There is no {label} any more"),
    };
    let set = house.store.set_budget(&key, call.limit, house.time.now(), vec![EventKind::Note { text }]).await;
    set.map_err(|error| faults::of_storage("write the budget down", &error))?;
    budgets::recheck(house, Recheck::Changed).await;
    house.tell(Update::Costs);
    house.tell(Update::Status);
    show(house, &ShowCosts::default()).await
}

/// The prices of a person's own.
pub(crate) async fn list_prices(house: &House) -> Result<Vec<PriceView>, ErrorView> {
    let prices = house.store.prices().await.map_err(|error| faults::of_storage("read the prices", &error))?;
    Ok(prices.into_iter().map(|price| PriceView { model: price.model, rates: price.rates }).collect())
}

/// Sets a price, or takes one away.
pub(crate) async fn set_price(house: &House, call: &SetPrice) -> Result<Vec<PriceView>, ErrorView> {
    let shown = escape::visible(call.model.as_bytes());
    if budgets::own_price(&call.model, &call.rates.unwrap_or_default()).is_none() {
        return invalid(
            format!("`{shown}` is not a model that can have that price."),
            "Write `anthropic/…`, `openai/…` or `gemini/…` with the model's name, or a `*` for all, and no negative price.",
        );
    }
    let text = match call.rates {
        Some(_) => format!("The model {shown} has a price of your own now"),
        None => format!("The model {shown} has the table's price again"),
    };
    let events = vec![EventKind::Note { text }];
    let set = house.store.set_price(&call.model, call.rates, house.time.now(), events).await;
    set.map_err(|error| faults::of_storage("write the price down", &error))?;
    budgets::forget_prices(house).await;
    budgets::recheck(house, Recheck::Changed).await;
    house.tell(Update::Costs);
    list_prices(house).await
}

fn invalid<T>(message: String, hint: &str) -> Result<T, ErrorView> {
    Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint))
}
