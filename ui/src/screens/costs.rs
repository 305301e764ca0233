//! What was spent: in which span, on what, of which budget, at which prices.

pub mod asked;
mod budget;
mod compute;
mod csv;
mod price;
mod rates;
mod runs;

use std::rc::Rc;

use wire::{
    call::{ListPrices, ShowCompute, ShowCosts},
    compute::{ComputeCosts, ComputeRates},
    cost::{BudgetView, CostKey, CostLine, CostsView, PriceView, Spent},
};
use yew::prelude::*;

use self::{
    asked::{Asked, Of, Span, cached_percent, percent_of, tokens_in},
    budget::BudgetDialog,
    compute::ComputePanel,
    price::PriceDialog,
    rates::RatesDialog,
    runs::RunsPanel,
};
use crate::{
    backend::{desktop::is_desktop, files},
    clock::use_moment,
    context::{use_desk, use_feed},
    icon::{Glyph, icon, small_icon},
    keys::{Scope, Taken, presses, use_keys},
    parts::{Broken, Go, Skeletons, key, segmented, tone_of_use, typed},
    query::{Look, use_call, use_calm},
    route::Route,
    say,
    terminal::copy,
};

/// How often at most the sums are asked for again while agents spend.
const LOOK_MS: u32 = 2_000;
/// How often at most compute time is asked for again while tasks begin and end.
const COMPUTE_LOOK_MS: u32 = 5_000;

/// A dialog over the page.
#[derive(Clone, PartialEq)]
enum Open {
    Nothing,
    Budget(Option<Rc<BudgetView>>),
    Price(Option<Rc<PriceView>>),
    Rates(Option<ComputeRates>),
}

/// The screen.
#[component]
pub fn Costs() -> Html {
    let feed = use_feed();
    let desk = use_desk();
    let moment = use_moment();
    let open = use_state_eq(|| Open::Nothing);
    let asked = (*desk.costs).clone();
    let call: Result<ShowCosts, _> = asked.call(moment.now);
    let revision = feed.budgets() + use_calm(feed.spending(), LOOK_MS);
    let costs = use_call(call.as_ref().ok().cloned(), revision);
    let prices = use_call(Some(ListPrices {}), feed.budgets());
    let asked_compute =
        call.as_ref().ok().map(|asked| ShowCompute { from: asked.from, until: asked.until, by: asked.by });
    let compute_revision = feed.budgets() + use_calm(feed.tasks(), COMPUTE_LOOK_MS);
    let compute = use_call(asked_compute, compute_revision).data;
    let rates = compute.as_ref().and_then(|compute| compute.rates);
    // A form that opened before would be an empty one, and would take away what it has not seen.
    let are_rates_known = compute.is_some();
    let data = costs.data.clone();
    let export = {
        let (data, compute) = (data.clone(), compute.clone());
        Callback::from(move |()| {
            let Some(costs) = &data else { return };
            // Each keeps what it was answered before until the next answer comes.
            let is_same =
                |used: &&ComputeCosts| (used.by, used.from, used.until) == (costs.by, costs.from, costs.until);
            let text = csv::of(costs, compute.as_deref().filter(is_same));
            if is_desktop() {
                copy(&text);
            } else {
                files::save(&format!("berth-costs-by-{}.csv", costs.by.name()), &text);
            }
        })
    };
    {
        let (open, export) = (open.setter(), export.clone());
        use_keys(Scope::Page, move |event| {
            let pressed = |written| presses(&event.key(), event.shift_key(), written);
            if pressed("E") {
                export.emit(());
            } else if pressed("B") {
                open.set(Open::Budget(None));
            } else if pressed("P") {
                open.set(Open::Price(None));
            } else if pressed("R") && are_rates_known {
                open.set(Open::Rates(rates));
            } else {
                return Taken::No;
            }
            Taken::Yes
        });
    }
    let opened = |next: Open| {
        let open = open.setter();
        Callback::from(move |_: MouseEvent| open.set(next.clone()))
    };
    let close = {
        let open = open.setter();
        Callback::from(move |()| open.set(Open::Nothing))
    };
    let change = |edit: fn(&mut Asked, Span)| {
        let place = desk.costs.clone();
        Callback::from(move |span| {
            let mut next = (*place).clone();
            edit(&mut next, span);
            place.set(next);
        })
    };
    let on_span = change(|asked, span| asked.span = span);
    // The runs of a span are its sums by run.
    let on_runs = change(|asked, span| *asked = Asked { span, by: CostKey::Run, of: None, ..asked.clone() });
    let shown = |edit: fn(&mut Asked)| {
        let place = desk.costs.clone();
        Callback::from(move |of: Of| {
            let mut next = Asked { of: Some(of), ..(*place).clone() };
            edit(&mut next);
            place.set(next);
        })
    };
    let on_of = shown(|_| {});
    // A budget is of a month.
    let on_budget = shown(|asked| asked.span = Span::Month);
    let why = data.is_none().then_some("Not known yet");
    html! {
        <main class="content" data-test="screen-costs">
            <header class="header">
                <h1>{ "Costs" }</h1>
                <span class="rule"></span>
                { segmented("Span of time", Span::ALL.map(|span| (span, span.name(), span.label().to_owned())), asked.span, &on_span) }
                if asked.span == Span::Range { <Range /> }
                <span class="spring"></span>
                <button class="button" data-kind="quiet" data-test="export-costs" title={why} aria-disabled={why.is_some().then_some("true")} onclick={export.reform(|_: MouseEvent| ())}>
                    { icon(Glyph::Download) }{ if is_desktop() { "Copy as CSV" } else { "Save as CSV" } }{ key("E") }
                </button>
                <button class="button" data-test="set-budget" onclick={opened(Open::Budget(None))}>{ icon(Glyph::Gauge) }{ "Set a budget" }{ key("B") }</button>
            </header>
            { match (costs.look(), &call) {
                (Look::Known(view), call) => html! {
                    <div class="scroll">
                        <div class="costs">
                            if let Err(problem) = call { <p class="refusal" role="alert" data-tone="fail">{ problem.to_string() }</p> }
                            { figures(view, asked.span, &on_runs) }
                            { sums(view, &on_of) }
                            if let (Ok(call), Some(of)) = (call, &asked.of) { <RunsPanel of={of.clone()} asked={call.clone()} /> }
                            if let Some(compute) = &compute { <ComputePanel view={compute.clone()} on_rates={opened(Open::Rates(rates))} /> }
                            { budgets(&view.budgets, &open.setter(), &on_budget, &on_runs) }
                            { own_prices(prices.data.as_deref().map(Vec::as_slice), &view.prices_from, &open.setter()) }
                        </div>
                    </div>
                },
                (_, Err(problem)) => html! { <p class="preview-note" role="alert">{ problem.to_string() }</p> },
                (Look::Loading, Ok(_)) => html! { <div class="scroll"><Skeletons rows={6} /></div> },
                (Look::Broken(error), Ok(_)) => html! { <Broken what="The costs" error={error.clone()} on_retry={desk.refresh.clone()} /> },
            } }
            { match (*open).clone() {
                Open::Nothing => Html::default(),
                Open::Budget(budget) => html! { <BudgetDialog {budget} on_close={close} /> },
                Open::Price(price) => html! { <PriceDialog {price} on_close={close} /> },
                Open::Rates(rates) => html! { <RatesDialog {rates} on_close={close} /> },
            } }
        </main>
    }
}

/// The two days of a range.
#[component]
fn Range() -> Html {
    let desk = use_desk();
    let asked = (*desk.costs).clone();
    let edited = |edit: fn(&mut Asked, String)| {
        let place = desk.costs.clone();
        Callback::from(move |event: InputEvent| {
            let mut next = (*place).clone();
            edit(&mut next, typed(&event));
            place.set(next);
        })
    };
    html! {
        <>
            <label class="input header-filter"><span class="unit">{ "from" }</span><input type="date" aria-label="From" data-test="costs-from" value={asked.from.clone()} oninput={edited(|asked, day| asked.from = day)} /></label>
            <label class="input header-filter"><span class="unit">{ "to" }</span><input type="date" aria-label="To" data-test="costs-to" value={asked.to.clone()} oninput={edited(|asked, day| asked.to = day)} /></label>
        </>
    }
}

fn figures(view: &CostsView, span: Span, on_runs: &Callback<Span>) -> Html {
    let runs = |span: Span, test: &'static str, text: String| {
        let onclick = on_runs.reform(move |_: MouseEvent| span);
        html! { <button class="link" data-test={test} title="Show its runs" {onclick}>{ text }</button> }
    };
    let figure = |name: &'static str, test: &'static str, big: Html, more: String| {
        html! {
            <div class="figure" data-test={test}><span class="name">{ name }</span><span class="big">{ big }</span><span class="more" title={more.clone()}>{ more.clone() }</span></div>
        }
    };
    let total = &view.total;
    // Its name stands over it.
    let listed = total.list_price.to_string().trim_start_matches("list price ").to_owned();
    let cached = cached_percent(&total.tokens);
    let input = tokens_in(&total.tokens);
    html! {
        <div class="figures" data-listed={(total.list_price.requests > 0).then_some("")}>
            { figure("Today", "figure-today", runs(Span::Today, "runs-today", view.today.in_money().to_string()), format!("{}, days are those of UTC", say::count(view.today.paid_requests(), "request", "requests"))) }
            { figure(span.figure(), "figure-total", runs(span, "runs-total", total.in_money().to_string()), say::count(total.paid_requests(), "request", "requests")) }
            if total.list_price.requests > 0 {
                { figure("List price", "figure-listed", runs(span, "runs-listed", listed), format!("{} by subscription", say::count(total.list_price.requests, "request", "requests"))) }
            }
            { figure("Tokens in", "figure-in", runs(span, "runs-tokens", say::tokens(input)), cached.map_or_else(|| "none were asked for".to_owned(), |percent| format!("{percent} % of them came from the cache"))) }
            { figure("Price unknown", "figure-unknown", runs(span, "runs-unknown", say::count(total.unpriced, "request", "requests")), if total.unpriced > 0 { "not counted, not zero".to_owned() } else { "every price is known".to_owned() }) }
        </div>
    }
}

/// The sums by whatever was chosen, each with its share of the dearest.
fn sums(view: &CostsView, on_of: &Callback<Of>) -> Html {
    let dearest = view.lines.iter().map(|line| line.spent.amount.0).max().unwrap_or(0);
    html! {
        <section class="panel" data-test="sums">
            <div class="head">{ "By" }<By /><span class="spring"></span>
                if view.lines_total > view.lines.len() as u64 { <span class="weak">{ format!("{} of {} are shown, all are in the total", view.lines.len(), view.lines_total) }</span> }
            </div>
            if view.lines.is_empty() {
                <p class="preview-note" data-test="no-costs">{ "Nothing was spent in this span. What models use is measured from their own replies, once an agent asks one through the gateway." }</p>
            } else {
                <div class="list cost-list" role="grid" aria-label="Sums">
                    <div class="columns" role="row">
                        { for [view.by.word(), "", "Cost", "Requests", "Tokens in", "Tokens out"].into_iter().enumerate().map(|(at, name)| html! {
                            <span class="cell" role="columnheader" key={at} data-as={(at > 1).then_some("number")}>{ name }</span>
                        }) }
                    </div>
                    { for view.lines.iter().map(|line| sum(line, view.by, dearest, on_of)) }
                </div>
            }
        </section>
    }
}

/// What the sums are by; kept over a change of screens.
#[component]
fn By() -> Html {
    let desk = use_desk();
    let by = desk.costs.by;
    let on_by = {
        let place = desk.costs.clone();
        Callback::from(move |by| place.set(Asked { by, of: None, ..(*place).clone() }))
    };
    segmented("What the sums are by", CostKey::ALL.map(|by| (by, by.name(), by.word().to_owned())), by, &on_by)
}

fn sum(line: &CostLine, by: CostKey, dearest: i64, on_of: &Callback<Of>) -> Html {
    let label = if line.label.is_empty() { "–".to_owned() } else { say::visible(&line.label) };
    // A label may come twice (two tasks of one title): the run tells them apart.
    let id = line.run.map_or_else(|| line.label.clone(), |run| format!("{}/{run}", line.label));
    html! {
        <div class="row" role="row" key={id} data-test="cost-row">
            <span class="cell" role="gridcell" data-as={(by == CostKey::Model).then_some("mono")}>
                { match (Of::line(by, line), line.task) {
                    (Some(of), _) => {
                        let onclick = on_of.reform(move |_: MouseEvent| of.clone());
                        html! { <button class="link" data-test="runs-of" title="Show its runs" {onclick}>{ label }</button> }
                    }
                    (None, Some(number)) => html! { <Go class="link" to={Route::task(number)}>{ label }</Go> },
                    (None, None) => html! { { label } },
                } }
            </span>
            { spent_cells(&line.spent, dearest) }
        </div>
    }
}

/// The cells of a line that say what was spent.
fn spent_cells(spent: &Spent, dearest: i64) -> Html {
    let tokens = &spent.tokens;
    html! {
        <>
            <span class="cell" role="gridcell">{ bar(spent, dearest) }</span>
            <span class={classes!("cell", "sum", spent.is_at_least().then_some("toned"))} role="gridcell" data-as="number" data-tone="review">{ spent.to_string() }</span>
            <span class="cell" role="gridcell" data-as="number">{ spent.requests }</span>
            <span class="cell" role="gridcell" data-as="number">{ say::tokens(tokens_in(tokens)) }</span>
            <span class="cell" role="gridcell" data-as="number">{ say::tokens(tokens.output) }</span>
        </>
    }
}

/// A sum as a share of the dearest; hatched as far as it is unknown.
fn bar(spent: &Spent, dearest: i64) -> Html {
    let is_unknown = spent.is_unknown();
    let part = if is_unknown { 0 } else { percent_of(spent.amount.0, dearest) };
    html! {
        <span class="meter" aria-hidden="true" data-unknown={is_unknown.then_some("")} data-more={spent.is_at_least().then_some("")} style={format!("--part: {part}%")}></span>
    }
}

fn budgets(
    budgets: &[BudgetView],
    open: &UseStateSetter<Open>,
    on_of: &Callback<Of>,
    on_runs: &Callback<Span>,
) -> Html {
    let add = {
        let open = open.clone();
        Callback::from(move |_: MouseEvent| open.set(Open::Budget(None)))
    };
    html! {
        <section class="panel" data-test="budgets">
            <div class="head">{ "Budgets" }<span class="weak">{ "checked before each request, a month is one of UTC" }</span><span class="spring"></span>
                <button class="button" data-kind="quiet" data-size="s" onclick={add}>{ icon(Glyph::Plus) }{ "Add" }</button></div>
            if budgets.is_empty() { <p class="preview-note" data-test="no-budgets">{ "No budget: nothing stops what agents spend." }</p> } else {
                <div class="budgets">
                    { for budgets.iter().map(|budget| {
                        let (open, rc) = (open.clone(), Rc::new(budget.clone()));
                        let label = say::visible(&budget.label);
                        let percent = budget.spent.map(|spent| percent_of(spent.amount.0, budget.limit.0));
                        let tone = percent.and_then(tone_of_use);
                        html! {
                            <div class="budget" key={budget.label.clone()} data-test="budget" data-tone={tone}>
                                <span class="name">
                                    { match (Of::budget(budget), budget.task) {
                                        (Some(of), _) => html! { <button class="link" title="Show its runs" onclick={on_of.reform(move |_: MouseEvent| of.clone())}>{ &label }</button> },
                                        (None, Some(number)) => html! { <Go class="link" test="budget-run" to={Route::task(number)}>{ &label }</Go> },
                                        // One for each run: it is the runs that it holds for.
                                        (None, None) => html! { <button class="link" data-test="budget-runs" title="Show the runs" onclick={on_runs.reform(|_: MouseEvent| Span::All)}>{ &label }</button> },
                                    } }
                                </span>
                                { match percent {
                                    Some(percent) => html! {
                                        <span class="meter" role="meter" aria-label={label.clone()} aria-valuemin="0" aria-valuemax="100" aria-valuenow={percent.to_string()} data-tone={tone}
                                            data-more={budget.spent.is_some_and(|spent| spent.is_at_least()).then_some("")} style={format!("--part: {percent}%")}></span>
                                    },
                                    None => html! { <span class="weak">{ "run by run" }</span> },
                                } }
                                <span class="value">
                                    { match budget.spent {
                                        Some(spent) => html! { <>{ spent.to_string() }<span class="weak">{ format!(" of {}", budget.limit) }</span></> },
                                        None => html! { { budget.limit.to_string() } },
                                    } }
                                </span>
                                <span class="note">
                                    if let Some(glyph) = tone.map(|tone| if tone == "fail" { Glyph::Ban } else { Glyph::Triangle }) { { small_icon(glyph) } }
                                    { asked::note(budget) }
                                </span>
                                <button class="button" data-shape="icon" data-kind="quiet" data-size="s" data-test="change-budget" aria-label={format!("Change the budget: {label}")} title="Change"
                                    onclick={Callback::from(move |_: MouseEvent| open.set(Open::Budget(Some(rc.clone()))))}>{ icon(Glyph::Pencil) }</button>
                            </div>
                        }
                    }) }
                </div>
            }
        </section>
    }
}

fn own_prices(prices: Option<&[PriceView]>, from: &str, open: &UseStateSetter<Open>) -> Html {
    let add = {
        let open = open.clone();
        Callback::from(move |_: MouseEvent| open.set(Open::Price(None)))
    };
    html! {
        <section class="panel" data-test="prices">
            <div class="head">{ "Prices of your own" }<span class="weak">{ format!("they go before the table of {}", say::visible(from)) }</span><span class="spring"></span>
                <button class="button" data-kind="quiet" data-size="s" data-test="set-price" onclick={add}>{ icon(Glyph::Plus) }{ "Set a price" }{ key("P") }</button></div>
            { match prices {
                None => html! { <Skeletons rows={1} /> },
                Some([]) => html! { <p class="preview-note" data-test="no-prices">{ "None. A model that the table does not know is price unknown until it has one here." }</p> },
                Some(prices) => html! {
                    <div class="list price-list" role="grid" aria-label="Prices for a million tokens">
                        <div class="columns" role="row">
                            { for ["Model", "In", "From the cache", "To the cache", "Out", ""].into_iter().enumerate().map(|(at, name)| html! {
                                <span class="cell" role="columnheader" key={at} data-as={(at > 0).then_some("number")}>{ name }</span>
                            }) }
                        </div>
                        { for prices.iter().map(|price| {
                            let (open, rc, rates) = (open.clone(), Rc::new(price.clone()), price.rates);
                            html! {
                                <div class="row" role="row" key={price.model.clone()} data-test="price-row">
                                    <span class="cell" role="gridcell" data-as="mono">{ say::visible(&price.model) }</span>
                                    <span class="cell" role="gridcell" data-as="number">{ say::fine_money(rates.input) }</span>
                                    <span class="cell" role="gridcell" data-as="number">{ rates.cache_read.map_or_else(|| "as in".to_owned(), say::fine_money) }</span>
                                    <span class="cell" role="gridcell" data-as="number">{ rates.cache_write.map_or_else(|| "as in".to_owned(), say::fine_money) }</span>
                                    <span class="cell" role="gridcell" data-as="number">{ say::fine_money(rates.output) }</span>
                                    <span class="cell" role="gridcell"><button class="button" data-shape="icon" data-kind="quiet" data-size="s" data-test="change-price" aria-label={format!("Change the price of {}", say::visible(&price.model))} title="Change"
                                        onclick={Callback::from(move |_: MouseEvent| open.set(Open::Price(Some(rc.clone()))))}>{ icon(Glyph::Pencil) }</button></span>
                                </div>
                            }
                        }) }
                    </div>
                },
            } }
        </section>
    }
}
