//! What happened to a task, in order, each with its time and a sentence.

mod kept;

use std::rc::Rc;

use wire::{EventKind, EventView, call::ListEvents, ids::TaskId};
use yew::prelude::*;

use self::kept::Kept;
use crate::{
    clock::use_moment,
    context::{use_desk, use_feed},
    icon::phase_icon,
    parts::{Broken, Skeletons},
    query::{Look, use_call},
    say,
};

/// How many events one call brings.
const PAGE_EVENTS: u32 = 500;

#[derive(PartialEq, Properties)]
pub struct LogProps {
    pub task: TaskId,
}

/// The tab.
#[component]
pub fn Log(props: &LogProps) -> Html {
    let feed = use_feed();
    let desk = use_desk();
    let kept = use_reducer(Kept::default);
    // Asking after the last one again until nothing more comes: the answer that brings some changes the question.
    let call = ListEvents { task: Some(props.task), after_seq: kept.last_seq(), limit: PAGE_EVENTS };
    let query = use_call(Some(call), feed.task(Some(props.task)));
    {
        let kept = kept.dispatcher();
        use_effect_with(query.data.clone(), move |data| {
            if let Some(events) = data {
                kept.dispatch(events.clone());
            }
        });
    }
    match query.look() {
        Look::Loading => html! { <div class="scroll"><Skeletons rows={6} /></div> },
        Look::Broken(error) => {
            html! { <Broken what="The log" error={error.clone()} on_retry={desk.refresh.clone()} /> }
        }
        Look::Known(_) => html! {
            <div class="scroll">
                <ol class="log" aria-label="Log" data-test="log">
                    if kept.is_cut { <li class="log-cut">{ "Older events are not shown here: berth logs has them all." }</li> }
                    { for kept.events.iter().map(|event| html! { <Line key={event.seq} event={event.clone()} /> }) }
                </ol>
            </div>
        },
    }
}

#[derive(PartialEq, Properties)]
struct LineProps {
    event: Rc<EventView>,
}

#[component]
fn Line(props: &LineProps) -> Html {
    let moment = use_moment();
    let event = &props.event;
    let text = if event.text.is_empty() { event.kind.sentence() } else { event.text.clone() };
    let (sign, detail) = if let EventKind::PhaseChanged { to, error, .. } = &event.kind {
        (phase_icon(*to), error.as_ref())
    } else {
        (html! { <span class="dot" data-kind="hollow"></span> }, None)
    };
    html! {
        <li data-test="event">
            <time datetime={event.at.to_string()} title={event.at.to_string()}>
                if event.at < say::day_start(moment.now, moment.zone_s) { <span class="weak">{ say::moment(event.at, moment.now, moment.zone_s) }{ " " }</span> }
                { say::clock_s(event.at, moment.zone_s) }
            </time>
            <span class="phase-slot">{ sign }</span>
            <span class="text">
                { say::visible(&text) }
                if let Some(error) = detail {
                    if !error.hint.is_empty() { <span class="weak">{ " " }{ say::visible(&error.hint) }</span> }
                    if !error.detail.is_empty() { <pre class="code">{ say::visible(&error.detail) }</pre> }
                }
            </span>
        </li>
    }
}
