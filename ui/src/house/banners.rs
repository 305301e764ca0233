//! States of the whole app that a person should see above everything else: the core is away, the engine is down.

use std::rc::Rc;

use wire::{
    call::Doctor,
    queue::QueueState,
    view::{DoctorReport, Verdict},
};
use yew::prelude::*;

use crate::{
    backend::{self, CallError},
    clock::use_moment,
    context::{use_desk, use_feed, use_known},
    icon::{Glyph, icon, small_icon},
    parts::{refusal, words},
    queue::use_queue,
    say,
};

/// The one banner that matters most, or none.
#[component]
pub fn Banners() -> Html {
    let feed = use_feed();
    let known = use_known();
    let zone_s = use_moment().zone_s;
    if let Some(since) = feed.lost_since() {
        return html! {
            <div class="banner" role="alert" data-tone="review" data-test="away">
                { icon(Glyph::Unplug) }
                <div class="text">
                    <b>{ "Berth does not answer" }</b>
                    { format!("Reconnecting, showing what was known at {}. ", say::clock(since, zone_s)) }
                    { "Agents work on without this window." }
                </div>
            </div>
        };
    }
    if known.engine_down().is_some() {
        html! { <EngineDown /> }
    } else if known.is_queue_paused() {
        html! { <QueuePaused /> }
    } else {
        Html::default()
    }
}

/// The queue is paused: what that means, and how it goes on.
#[component]
fn QueuePaused() -> Html {
    let known = use_known();
    let set_queue = use_queue();
    let waiting = known.in_phase(wire::Phase::Queued);
    html! {
        <div class="banner" role="status" data-tone="review" data-test="queue-paused">
            { icon(Glyph::CirclePause) }
            <div class="text">
                <b>{ "The queue is paused" }</b>
                { "Nothing new starts; what works works on. " }
                if waiting > 0 { { format!("{} waiting.", say::count(waiting, "task is", "tasks are")) } }
                if let Some(error) = &set_queue.refused { { refusal(error) } }
            </div>
            <button class="button" data-kind="primary" data-test="resume-queue" aria-disabled={set_queue.is_asking.then_some("true")}
                onclick={set_queue.set.reform(|_: MouseEvent| QueueState::Open)}>
                { icon(Glyph::Play) }{ "Resume the queue" }
            </button>
        </div>
    }
}

/// The engine is down: what that means, and what can be done.
#[component]
fn EngineDown() -> Html {
    let known = use_known();
    let desk = use_desk();
    let zone_s = use_moment().zone_s;
    let report = use_state(|| None::<Rc<Result<DoctorReport, CallError>>>);
    let is_looking = use_state_eq(|| false);
    let is_open = use_state_eq(|| false);
    let on_retry = {
        let (report, is_looking, refresh) = (report.setter(), is_looking.clone(), desk.refresh.clone());
        Callback::from(move |_: MouseEvent| {
            if *is_looking {
                return;
            }
            is_looking.set(true);
            let (report, is_looking, refresh) = (report.clone(), is_looking.setter(), refresh.clone());
            wasm_bindgen_futures::spawn_local(async move {
                report.set(Some(Rc::new(backend::call(Doctor {}).await)));
                is_looking.set(false);
                refresh.emit(());
            });
        })
    };
    let on_details = {
        let (is_open, on_retry, report) = (is_open.clone(), on_retry.clone(), report.clone());
        Callback::from(move |event: MouseEvent| {
            if !*is_open && report.is_none() {
                on_retry.emit(event);
            }
            is_open.set(!*is_open);
        })
    };
    let Some((error, since)) = known.engine_down() else { return Html::default() };
    let live = known.status.data.as_ref().map_or(0, |status| status.live.len());
    html! {
        <div class="banner" role="alert" data-tone="fail" data-test="engine-down">
            { icon(Glyph::MonitorX) }
            <div class="text">
                <b>{ words(&say::visible(&error.message)) }</b>
                { format!("Since {}. ", say::clock_s(since, zone_s)) }
                if live > 0 {
                    { format!("{} may still be at work; nothing is lost, Berth picks them up again. ", say::count(live as u64, "sandbox", "sandboxes")) }
                }
                { words(&say::sentence(&error.hint)) }
                if *is_open {
                    { match report.as_deref() {
                        None => html! { <p>{ "Looking" }</p> },
                        Some(Ok(report)) => checks(report),
                        Some(Err(error)) => html! { <p>{ refusal(error) }</p> },
                    } }
                }
            </div>
            <button class="button" data-kind="primary" data-test="retry-engine" aria-disabled={is_looking.then_some("true")} onclick={on_retry}>
                { icon(Glyph::Refresh) }{ if *is_looking { "Looking" } else { "Try again" } }
            </button>
            <button class="button" data-kind="quiet" aria-expanded={is_open.to_string()} onclick={on_details}>{ "Details" }</button>
        </div>
    }
}

fn checks(report: &DoctorReport) -> Html {
    html! {
        <ul class="checks">
            { for report.checks.iter().map(|check| {
                let (tone, glyph) = match check.verdict {
                    Verdict::Good => ("done", Glyph::Check),
                    Verdict::Warning => ("review", Glyph::Triangle),
                    Verdict::Bad => ("fail", Glyph::X),
                };
                html! {
                    <li key={check.name.clone()} data-tone={tone}>
                        <span class="toned">{ small_icon(glyph) }</span>
                        <span><b>{ &check.name }</b>{ " " }{ words(&say::sentence(&check.message)) }{ " " }{ words(&say::sentence(&check.hint)) }</span>
                    </li>
                }
            }) }
        </ul>
    }
}
