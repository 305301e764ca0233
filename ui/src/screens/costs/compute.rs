//! What sandboxes used of the machine, by whatever was chosen for the costs.

use std::rc::Rc;

use wire::{
    compute::{ComputeCosts, ComputeLine, ComputeRates, memory_said, time_said},
    cost::CostKey,
};
use yew::prelude::*;

use crate::{
    icon::{Glyph, icon},
    parts::{Go, key},
    route::Route,
    say,
};

#[derive(PartialEq, Properties)]
pub struct ComputeProps {
    /// What was used, by the key that is chosen.
    pub view: Rc<ComputeCosts>,
    /// Asks for other rates.
    pub on_rates: Callback<MouseEvent>,
}

/// The panel.
#[component]
pub fn ComputePanel(props: &ComputeProps) -> Html {
    let view = &props.view;
    html! {
        <section class="panel" data-test="compute">
            <div class="head">{ "Compute time" }<span class="weak" data-test="compute-total">{ say::compute(&view.total) }</span><span class="spring"></span>
                <span class="weak">{ rates(view.rates) }</span>
                <button class="button" data-kind="quiet" data-size="s" data-test="set-rates" onclick={props.on_rates.clone()}>{ icon(Glyph::Pencil) }{ "Set rates" }{ key("R") }</button></div>
            { if view.lines.is_empty() {
                let why = if view.by == CostKey::Model { "A sandbox is no model's: choose another key." } else { "No sandbox was started in this span." };
                html! { <p class="preview-note" data-test="no-compute">{ why }</p> }
            } else {
                lines(view)
            } }
        </section>
    }
}

fn lines(view: &ComputeCosts) -> Html {
    html! {
        <div class="list cost-list" role="grid" aria-label="Compute time">
            <div class="columns" role="row">
                { for [view.by.word(), "Attempts", "Cost", "Sandbox", "CPU", "Memory"].into_iter().enumerate().map(|(at, name)| html! {
                    <span class="cell" role="columnheader" key={at} data-as={(at > 0).then_some("number")}>{ name }</span>
                }) }
            </div>
            { for view.lines.iter().map(|line| row(line, view.by)) }
        </div>
    }
}

fn row(line: &ComputeLine, by: CostKey) -> Html {
    let used = &line.compute.used;
    let label = if line.label.is_empty() { "–".to_owned() } else { say::visible(&line.label) };
    let more = used.is_at_least().then_some("toned");
    html! {
        <div class="row" role="row" key={format!("{}/{}", line.label, line.run)} data-test="compute-row" title={used.to_string()}>
            <span class="cell" role="gridcell">
                if by == CostKey::Run { <Go class="link" to={Route::task(line.task)}>{ label }</Go> } else { { label } }
            </span>
            <span class="cell" role="gridcell" data-as="number">{ used.attempts }</span>
            <span class={classes!("cell", more)} role="gridcell" data-as="number" data-tone="review">{ line.compute.cost.map_or_else(|| "–".to_owned(), |cost| cost.to_string()) }</span>
            <span class={classes!("cell", more)} role="gridcell" data-as="number" data-tone="review">{ time_said(used.container_ms) }</span>
            <span class={classes!("cell", more)} role="gridcell" data-as="number" data-tone="review">{ time_said(used.cpu_ms) }</span>
            <span class={classes!("cell", more)} role="gridcell" data-as="number" data-tone="review">{ memory_said(used.memory_mib_s) }</span>
        </div>
    }
}

fn rates(rates: Option<ComputeRates>) -> String {
    match rates {
        Some(ComputeRates { container, cpu, memory_gib }) => format!(
            "{} an hour of a sandbox, {} of a core, {} of a GiB",
            say::fine_money(container),
            say::fine_money(cpu),
            say::fine_money(memory_gib)
        ),
        None => "no rates: what it costs is not known".to_owned(),
    }
}
