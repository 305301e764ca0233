//! The sidebar: where one can go, and what runs.

use wire::Phase;
use yew::prelude::*;
use yew_router::prelude::*;

use crate::{
    clock::use_moment,
    context::{use_desk, use_feed, use_known},
    icon::{Glyph, icon, mark, phase_icon},
    parts::{Go, Stopwatch, key},
    route::Route,
    say,
};

/// How many running tasks are listed; the rest are in the task list.
const RUNNING_MAX: usize = 8;

/// The sidebar.
#[component]
pub fn Sidebar() -> Html {
    let known = use_known();
    let desk = use_desk();
    let route = use_route::<Route>().unwrap_or(Route::Home);
    let agents = known.agents.data.as_ref().map(|agents| agents.len());
    let images = known.images.data.as_ref().map(|images| images.len());
    let reviews = known.in_phase(Phase::AwaitingReview);
    let open = known.open_tasks();
    let cost_today = known.status.data.as_ref().and_then(|status| status.cost_today);
    html! {
        <nav class="sidebar" aria-label="Berth">
            <div class="brand">{ mark() }{ "Berth" }</div>
            <button class="button sidebar-new" data-test="new-task" onclick={desk.new_task.reform(|_: MouseEvent| None)}>
                { icon(Glyph::Plus) }{ "New task" }{ key(Route::new_task_key(Some(&route))) }
            </button>
            <div class="nav">
                <Place to={Route::Tasks} here={matches!(route, Route::Home | Route::Tasks)} glyph={Glyph::ListTodo} name="Tasks">
                    if reviews > 0 {
                        <span class="count" data-tone="review" title={say::count(reviews, "task awaits review", "tasks await review")}>{ reviews }</span>
                    } else if open > 0 {
                        <span class="extra">{ open }</span>
                    }
                </Place>
                <Place to={Route::Agents} here={route == Route::Agents} glyph={Glyph::IdCard} name="Agents">
                    if let Some(count) = agents { <span class="extra">{ count }</span> }
                </Place>
                <Place to={Route::Homes} here={matches!(route, Route::Homes | Route::Folder { .. })} glyph={Glyph::Drive} name="Homes">{ Html::default() }</Place>
                <Place to={Route::Images} here={route == Route::Images} glyph={Glyph::Package} name="Images">
                    if let Some(count) = images { <span class="extra">{ count }</span> }
                </Place>
                <Place to={Route::Costs} here={route == Route::Costs} glyph={Glyph::Receipt} name="Costs">
                    if let Some(spent) = cost_today { <span class="extra" data-test="cost-today" title={format!("{spent} today (UTC)")}>{ say::short_spent(&spent) }</span> }
                </Place>
            </div>
            <Running />
            <div class="spring"></div>
            <div class="nav">
                <Place to={Route::Secrets} here={matches!(route, Route::Settings | Route::Secrets | Route::Projects | Route::Notifications)} glyph={Glyph::Settings} name="Settings">{ key(",") }</Place>
            </div>
        </nav>
    }
}

#[derive(PartialEq, Properties)]
struct PlaceProps {
    to: Route,
    here: bool,
    glyph: Glyph,
    name: &'static str,
    children: Html,
}

#[component]
fn Place(props: &PlaceProps) -> Html {
    html! {
        <Go to={props.to.clone()} here={props.here}>
            { icon(props.glyph) }<span class="name">{ props.name }</span>{ props.children.clone() }
        </Go>
    }
}

#[component]
fn Running() -> Html {
    let known = use_known();
    let route = use_route::<Route>();
    let zone_s = use_moment().zone_s;
    let lost = use_feed().lost_since();
    let Some(status) = &known.status.data else { return Html::default() };
    let down = known.engine_down();
    let here = route.as_ref().and_then(Route::task_number);
    html! {
        <div class="nav">
            <div class="title">{ if down.is_some() { "Running when last seen" } else { "Running" } }</div>
            if status.live.is_empty() { <div class="empty-line">{ if down.is_some() { "Nothing was running" } else { "Nothing is running" } }</div> }
            { for status.live.iter().take(RUNNING_MAX).map(|step| html! {
                <Go key={step.number} to={Route::task(step.number)} here={here == Some(step.number)}>
                    { phase_icon(step.phase) }
                    <span class="name">{ say::visible(&step.title) }</span>
                    <span class="extra">
                        if let Some((_, since)) = down { { say::clock(since, zone_s) } } else { <Stopwatch since={step.since} until={lost} /> }
                    </span>
                </Go>
            }) }
        </div>
    }
}
