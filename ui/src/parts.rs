//! Small pieces that several screens draw.

use jiff::Timestamp;
use web_sys::{HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement};
use wire::{ErrorView, Hold, Phase};
use yew::prelude::*;
use yew_router::prelude::*;

use crate::{
    backend::CallError,
    clock::use_moment,
    icon::{self, Glyph, icon},
    route::Route,
    say,
};

#[derive(PartialEq, Properties)]
pub struct GoProps {
    /// Where to.
    pub to: Route,
    /// Whether that is where the person is.
    #[prop_or_default]
    pub here: bool,
    #[prop_or_default]
    pub class: Classes,
    /// The name for tests.
    #[prop_or_default]
    pub test: Option<AttrValue>,
    pub children: Html,
}

/// A link inside the face. With a modifier held it is the browser's to open.
#[component]
pub fn Go(props: &GoProps) -> Html {
    let navigator = use_navigator();
    let onclick = {
        let to = props.to.clone();
        Callback::from(move |event: MouseEvent| {
            if event.meta_key() || event.ctrl_key() || event.shift_key() || event.alt_key() {
                return;
            }
            event.prevent_default();
            if let Some(navigator) = &navigator {
                navigator.push(&to);
            }
        })
    };
    html! {
        <a href={props.to.to_path()} class={props.class.clone()} aria-current={props.here.then_some("page")}
            data-test={props.test.clone()} {onclick}>
            { props.children.clone() }
        </a>
    }
}

#[derive(PartialEq, Properties)]
pub struct SinceProps {
    /// When it began.
    pub since: Timestamp,
    /// When it ended; `None` while it runs.
    #[prop_or_default]
    pub until: Option<Timestamp>,
}

/// A running time.
#[component]
pub fn Stopwatch(props: &SinceProps) -> Html {
    let now = use_moment().now;
    let until = props.until.unwrap_or(now);
    html! { { say::stopwatch(say::seconds_between(props.since, until)) } }
}

/// How long ago something was.
#[component]
pub fn Age(props: &SinceProps) -> Html {
    let now = use_moment().now;
    html! { { say::age(say::seconds_between(props.since, now)) } }
}

/// The badge of a phase: icon, word, colour; with the attempt from the second on.
pub fn badge(phase: Phase, attempt: u32, holds: &[Hold]) -> Html {
    if let Some(hold) = holds.first() {
        return html! {
            <span class="badge" data-tone="idle" data-test="phase" data-name={phase.name()}>
                { icon(Glyph::CirclePause) }{ format!("Held: {}", hold.word()) }
            </span>
        };
    }
    let is_again = attempt > 1 && !phase.is_final();
    html! {
        <span class="badge" data-phase={phase.name()} data-kind={is_again.then_some("outline")} data-test="phase" data-name={phase.name()}>
            { icon(if is_again { Glyph::CornerUpLeft } else { icon::of_phase(phase) }) }
            { phase.word() }
            if is_again { { format!(" · attempt {attempt}") } }
        </span>
    }
}

/// A key, beside what it does.
pub fn key(name: &'static str) -> Html {
    html! { <kbd class="kbd">{ name }</kbd> }
}

/// What Berth says, which is visible already; what is to be typed exactly so looks like it.
pub fn words(visible: &str) -> Html {
    say::parts(visible)
        .into_iter()
        .map(|part| match part {
            say::Part::Words(words) => html! { { words } },
            say::Part::Exact(text) => html! { <code>{ text }</code> },
        })
        .collect()
}

#[derive(PartialEq, Properties)]
pub struct BrokenProps {
    /// What cannot be shown: "The tasks".
    pub what: AttrValue,
    /// Why.
    pub error: CallError,
    /// Ask again.
    pub on_retry: Callback<()>,
}

/// A screen that has nothing to show because asking failed.
#[component]
pub fn Broken(props: &BrokenProps) -> Html {
    html! {
        <div class="empty" role="alert" data-test="broken">
            <span class="broken-sign" data-tone="fail">{ icon(Glyph::Alert) }</span>
            <h2>{ format!("{} cannot be shown", props.what) }</h2>
            <p>{ words(&say::visible(&props.error.to_string())) }</p>
            if !props.error.hint().is_empty() { <p class="small">{ words(&say::visible(props.error.hint())) }</p> }
            <div class="actions">
                <button class="button" data-kind="primary" onclick={props.on_retry.reform(|_: MouseEvent| ())}>
                    { icon(Glyph::Refresh) }{ "Try again" }
                </button>
            </div>
        </div>
    }
}

/// What went wrong, where it went wrong: message, what to do, and the last words of what failed.
pub fn error_panel(error: &ErrorView) -> Html {
    html! {
        <div class="error-panel" role="alert" data-tone="fail" data-test="error">
            { icon(Glyph::Alert) }
            <div class="text">
                <b>{ words(&say::visible(&error.message)) }</b>
                if !error.hint.is_empty() { <p>{ words(&say::visible(&error.hint)) }</p> }
                if !error.detail.is_empty() { <pre class="code">{ say::visible(&error.detail) }</pre> }
            </div>
        </div>
    }
}

/// A refusal in a line, beside the button that was pressed.
pub fn refusal(error: &CallError) -> Html {
    html! {
        <span class="refusal" role="alert" data-tone="fail">
            { words(&say::sentence(&error.to_string())) }
            if !error.hint().is_empty() { { " " }{ words(&say::sentence(error.hint())) } }
        </span>
    }
}

#[derive(PartialEq, Properties)]
pub struct SkeletonsProps {
    /// How many rows.
    pub rows: usize,
}

/// Rows of the right height where rows will be. They come into sight after 150 ms, so that a quick answer shows none.
#[component]
pub fn Skeletons(props: &SkeletonsProps) -> Html {
    html! {
        <div class="skeletons" role="status" aria-label="Loading" data-test="loading">
            { for (0..props.rows).map(|row| html! {
                <div class="skeleton-row" key={row} data-width={(row % 3).to_string()}>
                    <span class="skeleton"></span><span class="skeleton"></span><span class="skeleton"></span>
                </div>
            }) }
        </div>
    }
}

/// One of a few things that exclude each other, side by side. An option is its value, its name for tests, and what a person reads.
pub fn segmented<T: Copy + PartialEq + 'static>(
    label: &'static str,
    options: impl IntoIterator<Item = (T, &'static str, String)>,
    chosen: T,
    on_choose: &Callback<T>,
) -> Html {
    html! {
        <span class="segmented" role="radiogroup" aria-label={label}>
            { for options.into_iter().map(|(option, name, text)| {
                let on_choose = on_choose.clone();
                html! {
                    <button key={name} type="button" role="radio" aria-checked={(option == chosen).to_string()} data-test={format!("choose-{name}")}
                        onclick={Callback::from(move |_: MouseEvent| on_choose.emit(option))}>{ text }</button>
                }
            }) }
        </span>
    }
}

/// How far something limited is used, in per cent: grey until 80, then a warning, then the end.
pub const fn tone_of_use(percent: u64) -> Option<&'static str> {
    match percent {
        ..80 => None,
        80..100 => Some("review"),
        100.. => Some("fail"),
    }
}

/// What was typed, into whichever field.
pub fn typed(event: &InputEvent) -> String {
    let field = event.target_dyn_into::<HtmlInputElement>().map(|input| input.value());
    field.or_else(|| event.target_dyn_into::<HtmlTextAreaElement>().map(|area| area.value())).unwrap_or_default()
}

/// What was chosen from a list.
pub fn chosen(event: &Event) -> String {
    event.target_dyn_into::<HtmlSelectElement>().map(|select| select.value()).unwrap_or_default()
}
