//! The face's one clock and its one ticker: each second while something live is in sight, each minute otherwise, never while the
//! page is hidden. Everything that shows a running time takes it from the [`Moment`] in the context.

use gloo_events::EventListener;
use gloo_timers::callback::Interval;
use jiff::Timestamp;
use web_sys::VisibilityState;
use yew::prelude::*;

const LIVE_MS: u32 = 1_000;
const IDLE_MS: u32 = 60_000;

/// Now, and where the person is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// Seconds that the person's clock is ahead of UTC.
    pub zone_s: i64,
}

/// The time now. The only place that asks for it.
pub fn now() -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 are whole and far below 2^53")]
    Timestamp::from_millisecond(js_sys::Date::now() as i64).unwrap_or_default()
}

fn moment() -> Moment {
    let behind_min = js_sys::Date::new_0().get_timezone_offset();
    #[expect(clippy::cast_possible_truncation, reason = "minutes of a time zone")]
    Moment { now: now(), zone_s: -(behind_min as i64) * 60 }
}

/// Whether the page is before a person's eyes, as far as a browser knows.
pub fn is_visible() -> bool {
    web_sys::window()
        .and_then(|window| window.document())
        .is_none_or(|document| document.visibility_state() == VisibilityState::Visible)
}

#[derive(PartialEq, Properties)]
pub struct ClockProps {
    /// Whether something in sight runs.
    pub is_live: bool,
    pub children: Html,
}

/// Provides the [`Moment`].
#[component]
pub fn Clock(props: &ClockProps) -> Html {
    let current = use_state_eq(moment);
    let visible = use_state_eq(is_visible);
    {
        let (current, visible) = (current.setter(), visible.setter());
        use_effect_with((), move |()| {
            let listener = web_sys::window().and_then(|window| window.document()).map(|document| {
                EventListener::new(&document, "visibilitychange", move |_| {
                    visible.set(is_visible());
                    current.set(moment());
                })
            });
            move || drop(listener)
        });
    }
    {
        let current = current.setter();
        use_effect_with((props.is_live, *visible), move |(is_live, is_visible)| {
            current.set(moment());
            let period_ms = if *is_live { LIVE_MS } else { IDLE_MS };
            let interval = is_visible.then(|| Interval::new(period_ms, move || current.set(moment())));
            move || drop(interval)
        });
    }
    html! { <ContextProvider<Moment> context={*current}>{ props.children.clone() }</ContextProvider<Moment>> }
}

/// Now, from the context.
#[hook]
pub fn use_moment() -> Moment {
    use_context::<Moment>().unwrap_or(Moment { now: Timestamp::UNIX_EPOCH, zone_s: 0 })
}
