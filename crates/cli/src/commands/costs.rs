//! Money: what was spent, budgets, prices.

use anyhow::Context;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;
use wire::{
    ErrorCode, ErrorView,
    call::{ListCostRuns, ListPrices, SetBudget, SetComputeRates, SetPrice, ShowCompute, ShowCosts},
    compute::{ComputeCosts, ComputeRates},
    cost::{BudgetScope, CostKey, CostsView, Rates},
};

use crate::{
    arguments::{self, Amount, Compute, CostOf, CostRuns, Costs, CostsCommand, Scope, SetRates, Span},
    clock::now,
    connection::Connection,
    exit::Exit,
    show::{Format, Printer, compute, costs, warn},
};

/// `berth costs [--by KEY] [--today|--month|--from DATE --until DATE] [--csv]`, `berth costs budget|runs|compute|rates|prices|price`
pub(super) async fn costs(connection: &Connection, costs: Costs, printer: Printer) -> anyhow::Result<Exit> {
    let Costs { command, by, span, csv } = costs;
    one_format(csv, printer)?;
    match command {
        None => {
            let (from, until) = span_of(&span, now())?;
            let view = connection.call(ShowCosts { from, until, by }).await?;
            if csv {
                printer.reply(&view, |_| costs::csv(&view))?;
                if let Some(more) = costs::left_out(&view) {
                    warn(&more);
                }
            } else if printer.format == Format::Words {
                printer.reply(&view, |ink| costs::costs(&view, ink))?;
            } else {
                // Money is not all that was used; what sandboxes took of the machine stands beside it.
                let compute = connection.call(ShowCompute { from, until, by }).await?;
                let both = CostsAndCompute { costs: &view, compute: &compute };
                printer.reply(&both, |ink| costs::costs(&view, ink))?;
            }
        }
        Some(CostsCommand::Budget(budget)) => {
            let view = connection.call(budget_of(budget)).await?;
            printer.reply(&view, |ink| costs::budgets(&view.budgets, ink))?;
        }
        Some(CostsCommand::Runs(runs)) => {
            let view = connection.call(runs_of(runs)?).await?;
            printer.reply(&view, |ink| costs::runs(&view, ink))?;
        }
        Some(CostsCommand::Compute(of)) => return compute(connection, of, printer).await,
        Some(CostsCommand::Rates(rates)) => {
            let view = connection.call(rates_of(&rates)).await?;
            printer.reply(&view, |ink| compute::costs(&view, ink))?;
        }
        Some(CostsCommand::Prices) => {
            let prices = connection.call(ListPrices {}).await?;
            printer.reply(&prices, |ink| costs::prices(&prices, ink))?;
        }
        Some(CostsCommand::Price(price)) => {
            let prices = connection.call(price_of(price)).await?;
            printer.reply(&prices, |ink| costs::prices(&prices, ink))?;
        }
    }
    Ok(Exit::Done)
}

/// What models cost, with what sandboxes used.
#[derive(Serialize)]
struct CostsAndCompute<'a> {
    #[serde(flatten)]
    costs: &'a CostsView,
    compute: &'a ComputeCosts,
}

/// `berth costs compute [--by KEY] [--today|--month|--from DATE --until DATE] [--csv]`
async fn compute(connection: &Connection, of: Compute, printer: Printer) -> anyhow::Result<Exit> {
    let Compute { by, span, csv } = of;
    one_format(csv, printer)?;
    let (from, until) = span_of(&span, now())?;
    let view = connection.call(ShowCompute { from, until, by }).await?;
    printer.reply(&view, |ink| if csv { compute::csv(&view) } else { compute::costs(&view, ink) })?;
    Ok(Exit::Done)
}

/// The sum whose runs were asked for.
fn runs_of(runs: CostRuns) -> anyhow::Result<ListCostRuns> {
    let CostRuns { of: CostOf { agent, project, model }, span } = runs;
    let (by, key) = match (agent, project, model) {
        (Some(agent), _, _) => (CostKey::Agent, agent),
        (None, Some(project), _) => (CostKey::Project, project),
        (None, None, model) => (CostKey::Model, model.unwrap_or_default()),
    };
    let (from, until) = span_of(&span, now())?;
    Ok(ListCostRuns { by, key, from, until })
}

/// The rates as they were typed; what was not is nothing.
fn rates_of(typed: &SetRates) -> SetComputeRates {
    let SetRates { container, cpu, memory, none } = *typed;
    let rates = ComputeRates {
        container: container.unwrap_or_default(),
        cpu: cpu.unwrap_or_default(),
        memory_gib: memory.unwrap_or_default(),
    };
    SetComputeRates { rates: (!none).then_some(rates) }
}

fn one_format(csv: bool, printer: Printer) -> Result<(), ErrorView> {
    if csv && printer.format == Format::Json {
        let message = "CSV and JSON are two formats, and there is one output.";
        return Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint("Leave out --csv or --json."));
    }
    Ok(())
}

/// From when on, and before when.
fn span_of(span: &Span, now: Timestamp) -> anyhow::Result<(Option<Timestamp>, Option<Timestamp>)> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let Span { today: is_today, month: is_month, from, until } = *span;
    let from = if is_today {
        Some(today)
    } else if is_month {
        Some(today.first_of_month())
    } else {
        from
    };
    // That day is part of it.
    let until = until.map(Date::tomorrow).transpose().context("there is no day after that one")?;
    let begin = |day: Date| anyhow::Ok(day.to_zoned(TimeZone::UTC).context("there is no such day")?.timestamp());
    Ok((from.map(begin).transpose()?, until.map(begin).transpose()?))
}

fn budget_of(budget: arguments::SetBudget) -> SetBudget {
    let Scope { run, agent, project, each_run: _ } = budget.scope;
    let scope = match (run, agent, project) {
        (Some(run), _, _) => BudgetScope::Run { run },
        (None, Some(agent), _) => BudgetScope::Agent { agent },
        (None, None, Some(project)) => BudgetScope::Project { project },
        (None, None, None) => BudgetScope::EachRun,
    };
    let limit = match budget.amount {
        Amount::None => None,
        Amount::Dollars(limit) => Some(limit),
    };
    SetBudget { scope, limit }
}

fn price_of(price: arguments::SetPrice) -> SetPrice {
    let arguments::SetPrice { model, input, output, cache_read, cache_write, none: _ } = price;
    let rates = input.zip(output).map(|(input, output)| Rates { input, cache_read, cache_write, output });
    SetPrice { model, rates }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_months_begin_at_midnight_utc_and_the_last_day_counts() {
        let now: Timestamp = "2026-03-17T23:30:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let none = || Span { today: false, month: false, from: None, until: None };
        assert_eq!(span_of(&none(), now).unwrap(), (None, None));
        assert_eq!(span_of(&Span { today: true, ..none() }, now).unwrap(), (Some(at("2026-03-17T00:00:00Z")), None));
        assert_eq!(span_of(&Span { month: true, ..none() }, now).unwrap(), (Some(at("2026-03-01T00:00:00Z")), None));
        let (from, until) = (Some("2026-02-01".parse().unwrap()), Some("2026-02-28".parse().unwrap()));
        assert_eq!(
            span_of(&Span { from, until, ..none() }, now).unwrap(),
            (Some(at("2026-02-01T00:00:00Z")), Some(at("2026-03-01T00:00:00Z")))
        );
        assert!(span_of(&Span { until: Some(Date::MAX), ..none() }, now).is_err());
    }
}
