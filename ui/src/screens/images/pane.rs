//! The lower pane: the selected image's build as it goes on, or the last one as it went, with its log; and the facts of the image.

use std::rc::Rc;

use wire::{
    ErrorView,
    image::{BuildOutcome, BuildView, ImageAction, ImageState, ImageView},
};
use yew::prelude::*;

use super::{
    acting::{glyph_of, key_of, label, name_of},
    card::badge,
    log::LogView,
    own::Menu,
    standing::{Needs, full_name, is_fetched, sign},
    steps::{facts, steps},
    watched::Watched,
};
use crate::{
    backend::CallError,
    clock::use_moment,
    icon::{Glyph, icon},
    parts::{error_panel, key, refusal, words},
    say,
};

/// Actions that have a button of their own while they can be done; the menu has them all.
const BUTTONS: [ImageAction; 3] = [ImageAction::Cancel, ImageAction::Build, ImageAction::Smoke];

#[derive(PartialEq, Properties)]
pub struct PaneProps {
    pub image: Rc<ImageView>,
    pub needs: Needs,
    pub watched: Rc<Watched>,
    pub refused: Option<CallError>,
    pub meanwhile: Option<AttrValue>,
    pub is_down: bool,
    pub is_open: bool,
    pub on_fold: Callback<()>,
    pub on_act: Callback<ImageAction>,
    pub on_agent: Callback<()>,
}

/// The pane.
#[component]
pub fn Pane(props: &PaneProps) -> Html {
    let image = &props.image;
    let build = props.watched.build.as_ref();
    let said = use_ending_said(&props.watched);
    html! {
        <section class="dock" aria-label={format!("Build of {}", say::visible(&image.name))} data-test="build-pane" data-name={image.name.clone()} data-folded={(!props.is_open).then_some("")}>
            <header class="dock-head">
                <span class="what">
                    <span class="pennant" aria-hidden="true">{ say::visible(&image.call_sign) }</span><b>{ full_name(image) }</b>
                    { badge(&sign(image, &props.needs)) }
                    if let Some(build) = build { <When image={image.clone()} build={build.clone()} /> }
                </span>
                if let Some(meanwhile) = &props.meanwhile { <span class="weak" role="status">{ meanwhile.clone() }</span> }
                <span class="deeds">
                    { buttons(props) }
                    <Menu image={image.clone()} on_act={props.on_act.clone()} />
                    <button class="button" data-shape="icon" data-kind="quiet" data-size="s" aria-expanded={props.is_open.to_string()} data-test="fold-pane"
                        aria-label={if props.is_open { "Fold the build away" } else { "Show the build" }} title={if props.is_open { "Fold" } else { "Show" }}
                        onclick={props.on_fold.reform(|_: MouseEvent| ())}>{ icon(if props.is_open { Glyph::ChevronDown } else { Glyph::ChevronUp }) }</button>
                </span>
                if let Some(error) = &props.refused { { refusal(error) } }
            </header>
            <span class="visually-hidden" role="status" data-test="build-said">{ said }</span>
            if props.is_open {
                <div class="dock-body">
                    <div class="dock-side" tabindex="0" role="group" aria-label="Steps and facts">
                        if let Some(build) = build { { steps(build) } }
                        { facts(image) }
                    </div>
                    <div class="dock-main">
                        { ending(image, build.map(Rc::as_ref), props.watched.log.next() > 0) }
                        { main(props) }
                    </div>
                </div>
            }
        </section>
    }
}

/// Says that a build ended, to who listens: once, and only of one that was seen going on.
#[hook]
fn use_ending_said(watched: &Rc<Watched>) -> AttrValue {
    let said = use_state_eq(AttrValue::default);
    let before = use_mut_ref(|| None::<Rc<Watched>>);
    {
        let said = said.setter();
        use_effect_with(watched.clone(), move |watched| {
            if let Some(words) = before.borrow().as_deref().and_then(|before| ending_said(before, watched)) {
                said.set(words.into());
            } else if watched.build.as_ref().is_none_or(|build| build.ended.is_none()) {
                // So that the same words are heard again, and not over another image's build.
                said.set(AttrValue::default());
            }
            before.replace(Some(watched.clone()));
        });
    }
    (*said).clone()
}

fn ending_said(before: &Watched, now: &Watched) -> Option<String> {
    let (was, is) = (before.build.as_ref()?, now.build.as_ref()?);
    let is_same = before.image == now.image && was.began_at == is.began_at;
    if !is_same || was.ended.is_some() {
        return None;
    }
    let name = say::visible(&now.image);
    Some(match &is.ended.as_ref()?.outcome {
        BuildOutcome::Built { .. } => format!("{name} is built"),
        BuildOutcome::Failed { error } => format!("The build of {name} failed: {}", say::visible(&error.message)),
        BuildOutcome::Cancelled => format!("The build of {name} was cancelled"),
    })
}

/// What can be done now, with its key.
fn buttons(props: &PaneProps) -> Html {
    let image = &props.image;
    let can = |action| image.actions.iter().any(|view| view.action == action && view.denied.is_none());
    html! {
        <>
            { for BUTTONS.into_iter().filter(|action| can(*action)).map(|action| {
                let onclick = props.on_act.reform(move |_: MouseEvent| action);
                html! {
                    <button class="button" data-kind="quiet" data-size="s" key={name_of(action)} data-test={format!("pane-{}", name_of(action))} {onclick}>
                        { icon(glyph_of(action)) }{ label(action, image) }{ key(key_of(action)) }
                    </button>
                }
            }) }
            <button class="button" data-kind="quiet" data-size="s" data-test="make-agent" onclick={props.on_agent.reform(|_: MouseEvent| ())}>{ icon(Glyph::IdCard) }{ "Make an agent" }{ key("A") }</button>
        </>
    }
}

/// What the log's place has: the log, or why there is none.
fn main(props: &PaneProps) -> Html {
    let (image, watched) = (&props.image, &props.watched);
    if watched.build.is_some() {
        return html! { <LogView key={image.name.clone()} log={watched.log.clone()} /> };
    }
    let verb = if is_fetched(image) { ("fetched", "fetch") } else { ("built", "build") };
    html! {
        <div class="no-build" data-test="no-build">
            { match (&watched.error, &image.state) {
                (Some(error), _) => refusal(error),
                (None, _) if !watched.is_known => Html::default(),
                (None, ImageState::Ready { .. }) => html! { <p>{ format!("It is there; no record of how it was {} is kept.", verb.0) }</p> },
                (None, _) if props.is_down => html! { <p>{ "Nothing can be built while the engine does not answer." }</p> },
                (None, _) => html! { <p>{ format!("It was not {} yet. Press ", verb.0) }{ key("B") }{ format!(" to {} it now, or give a task to an agent that runs in it.", verb.1) }</p> },
            } }
        </div>
    }
}

/// How it ended, where a person has to do something about that. The last words of what failed stand in the log, where there is one.
fn ending(image: &ImageView, build: Option<&BuildView>, has_log: bool) -> Html {
    let failed = build.and_then(|build| match &build.ended.as_ref()?.outcome {
        BuildOutcome::Failed { error } => Some(error),
        BuildOutcome::Built { .. } | BuildOutcome::Cancelled => None,
    });
    // The image may have failed for what left no build to show.
    let failed = failed.or(match &image.state {
        ImageState::Failed { error } if build.is_none() => Some(error),
        ImageState::Failed { .. }
        | ImageState::Unknown
        | ImageState::NotBuilt
        | ImageState::Outdated { .. }
        | ImageState::Building { .. }
        | ImageState::Ready { .. } => None,
    });
    let can = |action| image.actions.iter().any(|view| view.action == action && view.denied.is_none());
    html! {
        if let Some(error) = failed {
            <div class="build-failed" data-test="build-failed">
                { if has_log { error_panel(&ErrorView { detail: String::new(), ..error.clone() }) } else { error_panel(error) } }
                if can(ImageAction::Build) {
                    <p class="next">
                        { words("Next: ") }{ key("B") }{ " tries again and keeps the steps that were good" }
                        if can(ImageAction::BuildFresh) { { ", " }{ key("⇧B") }{ " does every step anew" } }
                        { "." }
                    </p>
                }
            </div>
        }
    }
}

#[derive(PartialEq, Properties)]
struct WhenProps {
    image: Rc<ImageView>,
    build: Rc<BuildView>,
}

/// How long it has gone on or took, and how long the last good one took: apart, so that a second that goes by draws it alone.
#[component]
fn When(props: &WhenProps) -> Html {
    let now = use_moment().now;
    let text = when(&props.build, is_fetched(&props.image), now);
    html! { <span class="when" title={text.clone()} data-test="build-when">{ text.clone() }</span> }
}

fn when(build: &BuildView, is_fetched: bool, now: jiff::Timestamp) -> String {
    let (verb, noun) = if is_fetched { ("Fetched", "fetch") } else { ("Built", "build") };
    let Some(end) = &build.ended else {
        let so_far = format!("{} so far", say::stopwatch(say::seconds_between(build.began_at, now)));
        return match build.last_took_ms {
            Some(took) => format!("{so_far} · the last {noun} took {}", say::took_ms(took)),
            None => so_far,
        };
    };
    let took = say::took(end.at.duration_since(build.began_at));
    let ago = say::ago(end.at, now);
    match end.outcome {
        BuildOutcome::Built { .. } => format!("{verb} in {took} · {ago}"),
        BuildOutcome::Failed { .. } => format!("Failed after {took} · {ago}"),
        BuildOutcome::Cancelled => format!("Cancelled after {took} · {ago}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn an_end_is_said_of_a_build_that_was_seen_going_on() {
        let seen = |image: &str, began_at: &str, outcome: Option<BuildOutcome>| {
            let at = "2026-11-21T12:00:00Z".parse().unwrap();
            let ended = outcome.map(|outcome| wire::image::BuildEnd { at, outcome });
            let build = BuildView { ended, ..fixture::build(began_at, &[], 0) };
            Watched { image: image.to_owned(), build: Some(Rc::new(build)), is_known: true, ..Watched::default() }
        };
        let (early, late) = ("2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z");
        let over = || Some(BuildOutcome::Built { size_bytes: 1 });
        let going = seen("script", early, None);
        assert_eq!(ending_said(&going, &seen("script", early, over())).unwrap(), "script is built");
        assert_eq!(ending_said(&going, &going), None);
        assert_eq!(ending_said(&seen("script", early, over()), &seen("script", early, over())), None);
        assert_eq!(ending_said(&going, &seen("other", early, over())), None, "another image was selected");
        assert_eq!(ending_said(&going, &seen("script", late, over())), None, "another build");
        assert_eq!(ending_said(&Watched::default(), &seen("script", early, over())), None);
    }

    #[test]
    fn a_build_says_how_long_it_goes_on_and_how_it_went() {
        let now = "2026-11-21T10:00:45Z".parse().unwrap();
        let build = fixture::build("2026-11-21T10:00:00Z", &[], 0);
        assert_eq!(when(&build, false, now), "00:45 so far");
        let again = BuildView { last_took_ms: Some(92_000), ..build.clone() };
        assert_eq!(when(&again, false, now), "00:45 so far · the last build took 01:32");
        let ended = |outcome| {
            let at = "2026-11-21T10:00:31Z".parse().unwrap();
            BuildView { ended: Some(wire::image::BuildEnd { at, outcome }), ..build.clone() }
        };
        assert_eq!(when(&ended(BuildOutcome::Built { size_bytes: 1 }), true, now), "Fetched in 31 s · 14 s ago");
        assert_eq!(when(&ended(BuildOutcome::Cancelled), false, now), "Cancelled after 31 s · 14 s ago");
    }
}
