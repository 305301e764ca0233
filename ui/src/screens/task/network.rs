//! What the task's sandboxes asked the gateway for: what became of each request, what it cost, and what a person can allow.

mod allow;
mod looked;

use std::rc::Rc;

use wire::{
    call::{ListRequests, ShowReach},
    ids::TaskId,
    network::{BRIDGE_GIVES_UP, BRIDGE_IN_SHORT, ReachView, RequestKind, RequestOutcome, RequestView},
    view::{AgentView, RunView},
};
use yew::prelude::*;

use self::{
    allow::{AllowHostDialog, Whom},
    looked::{Ask, Filter, asks, shown, total},
};
use crate::{
    clock::use_moment,
    context::{use_desk, use_feed, use_known},
    icon::{Glyph, icon, small_icon},
    keys::{Scope, Taken, presses, use_keys},
    parts::{Age, Broken, Skeletons, key, segmented},
    policy,
    query::{Look, use_call, use_calm},
    say,
};

/// How many requests are asked for at first, and how many more with each press.
const PAGE_REQUESTS: u32 = 200;
/// The most that one call gives.
const REQUESTS_MAX: u32 = 1_000;
/// How often at most the list is asked for again while an agent asks much.
const LOOK_MS: u32 = 400;
/// How many hosts are offered to be allowed at once; the rest come when these are decided.
const ASKS_MAX: usize = 4;
/// The key that allows the host of the selected request.
const ALLOW_KEY: &str = "L";
/// The key that goes from all requests to those that were refused, and back.
const FILTER_KEY: &str = "F";

#[derive(PartialEq, Properties)]
pub struct NetworkProps {
    pub task: TaskId,
    /// The run in sight.
    pub run: Rc<RunView>,
    /// The agent of the step in sight, by name.
    pub agent: AttrValue,
    /// Whether the sandbox in sight is on a network of its own, of which nothing is seen here.
    pub has_card: bool,
}

/// The tab.
#[component]
pub fn Network(props: &NetworkProps) -> Html {
    let feed = use_feed();
    let desk = use_desk();
    let known = use_known();
    let limit = use_state_eq(|| PAGE_REQUESTS);
    let call = ListRequests { task: Some(props.task), limit: *limit, ..ListRequests::default() };
    let revision = use_calm(feed.requests(props.task), LOOK_MS);
    let query = use_call(Some(call), revision);
    let agents = known.agents.data.clone().unwrap_or_default();
    let run = props.run.summary.run;
    let grants = feed.agents() + feed.projects() + feed.task(Some(props.task));
    let reach = use_call(Some(ShowReach { run: run.to_string() }), grants).data;
    let whom = Whom {
        run: (!props.run.summary.phase.is_final()).then_some(run),
        project: reach.as_ref().and_then(|reach| reach.project.clone()),
    };
    match query.look() {
        Look::Loading => html! { <div class="scroll"><Skeletons rows={8} /></div> },
        Look::Broken(error) => {
            html! { <Broken what="The requests" error={error.clone()} on_retry={desk.refresh.clone()} /> }
        }
        Look::Known(requests) if requests.is_empty() && props.has_card => html! {
            <div class="empty" data-test="network-unseen">
                <h2>{ "Nothing of it is seen here" }</h2>
                <p>{ BRIDGE_GIVES_UP }</p>
            </div>
        },
        Look::Known(requests) if requests.is_empty() => {
            let agent = agents.iter().find(|agent| agent.name == props.agent.as_str());
            html! {
                <div class="empty" data-test="no-requests">
                    <h2>{ "Nothing was asked for" }</h2>
                    <p>{ agent.map_or_else(|| "A sandbox has no network card: whatever it asks the gateway for stands here.".to_owned(), policy::reach_of) }</p>
                </div>
            }
        }
        Look::Known(_) => match &query.data {
            Some(requests) => {
                let limit = limit.clone();
                let on_more = Callback::from(move |()| limit.set((*limit + PAGE_REQUESTS).min(REQUESTS_MAX)));
                html! { <Requests requests={requests.clone()} {agents} {reach} {whom} has_card={props.has_card} {on_more} /> }
            }
            None => Html::default(),
        },
    }
}

#[derive(PartialEq, Properties)]
struct RequestsProps {
    /// Newest first.
    requests: Rc<Vec<RequestView>>,
    agents: Rc<Vec<AgentView>>,
    has_card: bool,
    /// What the run in sight may reach.
    reach: Option<Rc<ReachView>>,
    whom: Whom,
    on_more: Callback<()>,
}

#[component]
fn Requests(props: &RequestsProps) -> Html {
    let RequestsProps { requests, agents, reach, .. } = props;
    let zone_s = use_moment().zone_s;
    let filter = use_state_eq(|| Filter::All);
    let selected = use_state_eq(|| None::<i64>);
    let allowing = use_state_eq(|| None::<Ask>);
    let rows = shown(requests, *filter);
    let chosen = selected.and_then(|seq| rows.iter().find(|request| request.seq == seq).copied());
    let askable = asks(requests, agents, reach.as_deref());
    let ask_of = |request: &RequestView| askable.iter().find(|ask| ask.is_about(request)).cloned();
    {
        let seqs: Vec<_> = rows.iter().map(|request| request.seq).collect();
        let (selected, filter, allowing, ask) =
            (selected.clone(), filter.clone(), allowing.setter(), chosen.and_then(ask_of));
        use_keys(Scope::Page, move |event| {
            let at = selected.and_then(|selected| seqs.iter().position(|seq| *seq == selected));
            let to = match event.key().as_str() {
                "j" | "ArrowDown" => at.map_or(0, |at| at + 1),
                "k" | "ArrowUp" => at.unwrap_or(0).saturating_sub(1),
                pressed if presses(pressed, event.shift_key(), FILTER_KEY) => {
                    filter.set(filter.other());
                    return Taken::Yes;
                }
                pressed if presses(pressed, event.shift_key(), ALLOW_KEY) && ask.is_some() => {
                    allowing.set(ask.clone());
                    return Taken::Yes;
                }
                _ => return Taken::No,
            };
            if let Some(seq) = seqs.get(to) {
                selected.set(Some(*seq));
            }
            Taken::Yes
        });
    }
    let on_allow = {
        let allowing = allowing.setter();
        Callback::from(move |ask| allowing.set(Some(ask)))
    };
    let on_filter = {
        let filter = filter.setter();
        Callback::from(move |next| filter.set(next))
    };
    let refused = shown(requests, Filter::Refused).len();
    let filters = [
        (Filter::All, "all", format!("All {}", requests.len())),
        (Filter::Refused, "refused", format!("Refused {refused}")),
    ];
    let is_full = requests.len() >= REQUESTS_MAX as usize;
    let has_more = requests.len() % PAGE_REQUESTS as usize == 0;
    html! {
        <div class="net" data-test="network">
            if props.has_card { <p class="preview-note" data-test="network-unseen">{ BRIDGE_IN_SHORT }{ " These are requests of earlier sandboxes." }</p> }
            if !askable.is_empty() { { asks_of(&askable, &on_allow) } }
            <div class="net-bar">
                { segmented("Which requests", filters, *filter, &on_filter) }{ key(FILTER_KEY) }
                <span class="spring"></span>
                <span class="weak" data-test="request-totals">{ total(requests).said() }</span>
            </div>
            if let Some(reach) = reach { { beside(reach) } }
            <div class="scroll">
                if rows.is_empty() { <p class="preview-note" data-test="none-refused">{ "Nothing was refused." }</p> } else {
                    <div class="list net-list" role="grid" aria-label="Requests">
                        <div class="columns" role="row">
                            { for ["Outcome", "Time", "Kind", "Method", "Address", "Secret and model", "Tokens", "Cost", "Status", "Out", "In", "Took"].into_iter().enumerate().map(|(at, name)| html! {
                                <span class="cell" role="columnheader" key={name} data-as={(at > 5).then_some("number")}>{ name }</span>
                            }) }
                        </div>
                        { for rows.iter().map(|request| {
                            let (selected, seq) = (selected.setter(), request.seq);
                            let onclick = Callback::from(move |_: MouseEvent| selected.set(Some(seq)));
                            row(request, zone_s, chosen.is_some_and(|chosen| chosen.seq == seq), ask_of(request).as_ref(), onclick, &on_allow)
                        }) }
                    </div>
                }
                if has_more {
                    <div class="more">
                        { format!("The newest {} are shown.", requests.len()) }
                        if is_full { { " berth requests has them all." } } else {
                            <button class="button" data-size="s" onclick={props.on_more.reform(|_: MouseEvent| ())}>{ format!("Show {PAGE_REQUESTS} more") }</button>
                        }
                    </div>
                }
            </div>
            if let Some(request) = chosen { { facts(request, ask_of(request).as_ref(), &on_allow) } }
            if let Some(ask) = &*allowing {
                <AllowHostDialog ask={ask.clone()} whom={props.whom.clone()} on_close={let allowing = allowing.setter(); Callback::from(move |()| allowing.set(None))} />
            }
        </div>
    }
}

/// The hosts that were refused and that a person can allow.
fn asks_of(asks: &[Ask], on_allow: &Callback<Ask>) -> Html {
    html! {
        <div class="asks" data-test="asks">
            <div class="asks-head">
                <b>{ "Refused, for you to decide" }</b>
                <span class="weak">{ "The agent works on; it has to ask again for what you allow" }</span>
            </div>
            { for asks.iter().take(ASKS_MAX).map(|ask| html! {
                <div class="ask" key={ask.id()} data-test="ask">
                    <span class="toned" data-tone="review">{ small_icon(Glyph::Ban) }</span>
                    <code>{ say::visible(&ask.address()) }</code>
                    <span class="why">{ say::visible(&ask.reason) }{ " · " }<Age since={ask.at} />{ " ago" }</span>
                    <span class="spring"></span>
                    <span class="n">{ say::count(ask.requests, "request", "requests") }</span>
                    { allow_button(ask, on_allow) }
                </div>
            }) }
            if asks.len() > ASKS_MAX { <div class="asks-head"><span class="weak">{ format!("and {} more below", say::count((asks.len() - ASKS_MAX) as u64, "host", "hosts")) }</span></div> }
        </div>
    }
}

/// What is allowed to the run beside what is its agent's, with where that comes from.
fn beside(reach: &ReachView) -> Html {
    let lines = looked::beside(reach);
    if lines.is_empty() {
        return Html::default();
    }
    html! {
        <div class="asks" data-test="reach">
            { for lines.iter().map(|(host, whom)| html! {
                <div class="asks-head" key={format!("{host}/{whom}")}><code>{ host }</code><span class="weak">{ format!("allowed for {whom}") }</span></div>
            }) }
        </div>
    }
}

/// Letting something out is never the primary action.
fn allow_button(ask: &Ask, on_allow: &Callback<Ask>) -> Html {
    let onclick = {
        let (ask, on_allow) = (ask.clone(), on_allow.clone());
        Callback::from(move |event: MouseEvent| {
            event.stop_propagation();
            on_allow.emit(ask.clone());
        })
    };
    html! { <button class="button" data-size="s" data-test="allow" {onclick}>{ "Allow…" }</button> }
}

fn row(
    request: &RequestView,
    zone_s: i64,
    is_selected: bool,
    ask: Option<&Ask>,
    onclick: Callback<MouseEvent>,
    on_allow: &Callback<Ask>,
) -> Html {
    let (tone, glyph) = sign(&request.outcome);
    html! {
        <div class="row" role="row" key={request.seq} aria-selected={is_selected.to_string()} {onclick} data-test="request-row" data-outcome={request.outcome.name()}>
            <button class="cell" role="gridcell"><span class="badge" data-kind="plain" data-tone={tone}>{ icon(glyph) }{ request.outcome.word() }</span></button>
            <span class="cell" role="gridcell" data-as="id">{ say::clock_s(request.at, zone_s) }</span>
            <span class="cell" role="gridcell" data-as="detail">{ request.kind.word() }</span>
            <span class="cell method" role="gridcell" data-as="mono">{ say::visible(&request.method) }</span>
            <span class="cell" role="gridcell" data-as="mono">
                <span class="host">{ say::visible(&request.host) }</span><span class="path">{ looked::port_said(request) }{ say::visible(&request.path) }</span>
            </span>
            { match request.outcome.reason() {
                Some(reason) => html! {
                    <span class="cell reason toned" role="gridcell" data-as="detail" data-tone={tone} data-flex="">
                        <span class="why">{ say::visible(reason) }</span>
                        if let Some(ask) = ask { { allow_button(ask, on_allow) } }
                    </span>
                },
                None => measured(request),
            } }
        </div>
    }
}

/// What is known of a request that was let through.
fn measured(request: &RequestView) -> Html {
    let usage = request.usage.as_ref();
    html! {
        <>
            <span class="cell" role="gridcell" data-as="detail" data-flex="">
                if let Some(secret) = &request.secret { <span class="with-key">{ small_icon(Glyph::Key) }{ say::visible(secret) }</span> }
                if let Some(usage) = usage { <code class="weak">{ say::visible(&usage.model) }</code> }
                if request.secret.is_none() && usage.is_none() { <span class="weak">{ "–" }</span> }
            </span>
            <span class="cell" role="gridcell" data-as="number">{ usage.map_or_else(|| "–".to_owned(), |usage| say::tokens(looked::all_tokens(&usage.tokens))) }</span>
            <span class="cell" role="gridcell" data-as="number">{ usage.map_or_else(|| "–".to_owned(), say::cost_of) }</span>
            <span class={classes!("cell", is_bad(request).then_some("toned"))} role="gridcell" data-as="number" data-tone="review">{ request.status.map_or_else(|| "–".to_owned(), |status| status.to_string()) }</span>
            <span class="cell" role="gridcell" data-as="number">{ say::bytes(request.sent_bytes) }</span>
            <span class="cell" role="gridcell" data-as="number">{ say::bytes(request.received_bytes) }</span>
            <span class="cell" role="gridcell" data-as="number">{ request.duration_ms.map_or_else(|| "–".to_owned(), say::took_ms) }</span>
        </>
    }
}

fn is_bad(request: &RequestView) -> bool {
    request.status.is_some_and(|status| status >= 400)
}

const fn sign(outcome: &RequestOutcome) -> (&'static str, Glyph) {
    match outcome {
        RequestOutcome::Open => ("run", Glyph::CirclePlay),
        RequestOutcome::Done => ("idle", Glyph::ArrowUpRight),
        RequestOutcome::Cut { .. } => ("fail", Glyph::Unplug),
        RequestOutcome::Refused { .. } => ("review", Glyph::Ban),
    }
}

/// All that is known of the selected request.
fn facts(request: &RequestView, ask: Option<&Ask>, on_allow: &Callback<Ask>) -> Html {
    html! {
        <div class="action-bar" data-test="request-facts">
            <code>{ format!("{}:{}{}", say::visible(&request.host), request.port, say::visible(&request.path)) }</code>
            if let Some(reason) = request.outcome.reason() { <span class="weak">{ format!("{}: {}", request.outcome.word(), say::visible(reason)) }</span> }
            if let Some(secret) = &request.secret { <span class="weak">{ format!("The gateway put {} into it, outside of the sandbox", say::visible(secret)) }</span> }
            if let Some(usage) = &request.usage { <span class="weak">{ format!("{}: {}, {}", say::visible(&usage.model), looked::tokens_said(&usage.tokens), say::cost_of(usage)) }</span> }
            if request.outcome.reason().is_none() { <span class="weak">{ format!("{}, {} out, {} in", request.kind.word(), say::bytes(request.sent_bytes), say::bytes(request.received_bytes)) }</span> }
            if request.kind == RequestKind::Inspected { <span class="weak">{ "Berth reads what goes there, since the agent has a secret for it" }</span> }
            if request.kind == RequestKind::Tunnel { <span class="weak">{ "What goes through a tunnel is seen by its ends alone" }</span> }
            if let Some(ask) = ask { <span class="spring"></span>{ allow_button(ask, on_allow) }{ key(ALLOW_KEY) } }
        </div>
    }
}
