//! The status bar: the engine, the slots as moorings, memory, version, theme.

use wire::{
    queue::QueueState,
    view::{EngineView, StatusView},
};
use yew::prelude::*;

use crate::{
    clock::use_moment,
    context::{use_feed, use_known},
    feed::Link,
    icon::small_icon,
    parts::Go,
    route::Route,
    say,
    theme::Theme,
};

/// How many moorings are drawn; more are only counted.
const MOORINGS_MAX: u32 = 12;

/// The status bar.
#[component]
pub fn StatusBar() -> Html {
    let known = use_known();
    let theme = use_state_eq(Theme::kept);
    let on_theme = {
        let theme = theme.clone();
        Callback::from(move |_: MouseEvent| {
            let next = theme.next();
            next.choose();
            theme.set(next);
        })
    };
    html! {
        <footer class="statusbar" data-test="statusbar">
            <LinkState />
            if let Some(status) = &known.status.data {
                { engine(status) }
                { slots(status) }
                if status.memory_bytes > 0 {
                    <span title="Memory that live sandboxes may take, of the engine's machine">
                        { format!("{} of {}", say::memory(status.memory_used_bytes), say::memory(status.memory_bytes)) }
                    </span>
                }
                { for status.notices.iter().map(|notice| html! {
                    <span class="notice" data-tone="review" title={notice.clone()}><span class="dot"></span>{ say::visible(notice) }</span>
                }) }
            }
            <span class="spring"></span>
            if let Some(spent) = known.status.data.as_ref().and_then(|status| status.cost_today) {
                <Go to={Route::Costs} test="cost-today-bar">{ say::visible(&format!("{spent} today")) }</Go>
            }
            if let Some(status) = &known.status.data { <span class="weak">{ &status.version }</span> }
            <button class="button" data-shape="icon" data-kind="quiet" data-size="s" data-test="theme"
                aria-label={theme.label()} title={theme.label()} onclick={on_theme}>{ small_icon(theme.glyph()) }</button>
        </footer>
    }
}

#[component]
fn LinkState() -> Html {
    let feed = use_feed();
    let zone_s = use_moment().zone_s;
    match feed.link {
        Link::Live => Html::default(),
        Link::Connecting => html! { <span><span class="dot" data-kind="hollow"></span>{ "Connecting" }</span> },
        Link::Lost { since, .. } => html! {
            <span data-tone="review" title="What is shown is what was known then">
                <span class="dot"></span>{ format!("Reconnecting · as of {}", say::clock(since, zone_s)) }
            </span>
        },
    }
}

fn engine(status: &StatusView) -> Html {
    match &status.engine {
        EngineView::Unknown => {
            html! { <span data-test="engine" data-state="unknown"><span class="dot" data-kind="hollow"></span>{ "Looking for the engine" }</span> }
        }
        EngineView::Up { product, version, api_version, found } => html! {
            <span data-test="engine" data-state="up" title={format!("{found}, API {api_version}")}>
                <span class="dot" data-tone="done"></span>{ format!("{product} {version}") }
            </span>
        },
        EngineView::Down { error, .. } => html! {
            <span data-test="engine" data-state="down" title={error.message.clone()}>
                <span class="dot" data-tone="fail"></span><span class="toned" data-tone="fail">{ "The engine does not answer" }</span>
            </span>
        },
    }
}

fn slots(status: &StatusView) -> Html {
    let is_known = !matches!(status.engine, EngineView::Down { .. });
    html! {
        <span data-test="slots">
            <span class="slots" aria-hidden="true">
                { for (0..status.slots_max.min(MOORINGS_MAX)).map(|slot| html! {
                    <svg key={slot} viewBox="0 0 9 12" data-taken={(is_known && slot < status.slots_used).then_some("")}>
                        <path class="slip" d="M.5.5v11h8V3" />
                        <path class="vessel" d="M4.5 1C5.8 2.5 6.2 3.8 6.2 5.4 6.2 6.9 6 8.2 5.7 9.5H3.3C3 8.2 2.8 6.9 2.8 5.4 2.8 3.8 3.2 2.5 4.5 1Z" />
                    </svg>
                }) }
            </span>
            if is_known { { format!("{} of {} slots", status.slots_used, status.slots_max) } } else { { "slots unknown" } }
            if status.queue == QueueState::Paused { <span class="toned" data-tone="review" data-test="queue-state">{ " · queue paused" }</span> }
        </span>
    }
}
