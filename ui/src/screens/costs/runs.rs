//! The runs behind a sum: what it comes to, run by run, each with the way to its task.

use wire::{
    call::{ListCostRuns, ShowCosts},
    cost::{CostLine, CostRuns},
};
use yew::prelude::*;

use super::{asked::Of, spent_cells};
use crate::{
    context::{use_desk, use_feed},
    icon::{Glyph, icon},
    parts::{Broken, Go, Skeletons},
    query::{Look, use_call, use_calm},
    route::Route,
    say,
};

#[derive(PartialEq, Properties)]
pub struct RunsProps {
    /// Of which sum.
    pub of: Of,
    /// The span that is chosen.
    pub asked: ShowCosts,
}

/// The panel.
#[component]
pub fn RunsPanel(props: &RunsProps) -> Html {
    let feed = use_feed();
    let desk = use_desk();
    let Of { by, key, label } = props.of.clone();
    let ShowCosts { from, until, .. } = props.asked;
    let revision = feed.budgets() + use_calm(feed.spending(), super::LOOK_MS);
    let runs = use_call(Some(ListCostRuns { by, key, from, until }), revision);
    let on_close = {
        let place = desk.costs.clone();
        Callback::from(move |_: MouseEvent| {
            let mut next = (*place).clone();
            next.of = None;
            place.set(next);
        })
    };
    html! {
        <section class="panel" data-test="cost-runs">
            <div class="head">{ format!("Runs of {}", say::visible(&label)) }
                if let Look::Known(view) = runs.look() { <span class="weak" data-test="cost-runs-total">{ view.total.to_string() }</span> }
                <span class="spring"></span>
                <button class="button" data-shape="icon" data-kind="quiet" data-size="s" data-test="cost-runs-close" aria-label="Close" title="Close" onclick={on_close}>{ icon(Glyph::X) }</button></div>
            { match runs.look() {
                Look::Loading => html! { <Skeletons rows={2} /> },
                Look::Broken(error) => html! { <Broken what="The runs" error={error.clone()} on_retry={desk.refresh.clone()} /> },
                Look::Known(view) if view.lines.is_empty() => html! { <p class="preview-note">{ "No run spent on it in this span." }</p> },
                Look::Known(view) => lines(view),
            } }
        </section>
    }
}

fn lines(view: &CostRuns) -> Html {
    let dearest = view.lines.iter().map(|line| line.spent.amount.0).max().unwrap_or(0);
    html! {
        <>
            <div class="list cost-list" role="grid" aria-label="Runs">
                { for view.lines.iter().map(|line| row(line, dearest)) }
            </div>
            if view.lines_total > view.lines.len() as u64 { <p class="preview-note">{ format!("{} of {} are shown, all are in the sum", view.lines.len(), view.lines_total) }</p> }
        </>
    }
}

fn row(line: &CostLine, dearest: i64) -> Html {
    html! {
        <div class="row" role="row" key={line.key.clone()} data-test="cost-run">
            <span class="cell" role="gridcell">
                { match line.task {
                    Some(number) => html! { <Go class="link" to={Route::task(number)}>{ say::visible(&line.label) }</Go> },
                    None => html! { { say::visible(&line.label) } },
                } }
            </span>
            { spent_cells(&line.spent, dearest) }
        </div>
    }
}
