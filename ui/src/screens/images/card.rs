//! A card of the Gallery: what an image is, how it stands, what it needs and who runs in it.

use std::rc::Rc;

use wire::image::{ImageAction, ImageState, ImageView, SmokeView};
use yew::prelude::*;

use super::{
    acting::{glyph_of, label, name_of},
    standing::{Needs, Sign, foot, sign, smoke},
};
use crate::{
    clock::use_moment,
    icon::{Glyph, icon, small_icon},
    parts::Go,
    route::Route,
    say,
};

/// How many agents are named on a card.
const AGENTS_NAMED_MAX: usize = 3;

#[derive(PartialEq, Properties)]
pub struct CardProps {
    pub image: Rc<ImageView>,
    pub needs: Needs,
    /// The names of the agents that run in it.
    pub agents: Rc<[AttrValue]>,
    /// Its place among all that can be selected.
    pub at: usize,
    pub is_selected: bool,
    /// What is under way with it, in words.
    pub meanwhile: Option<AttrValue>,
    /// Selects it; says whether a key did it.
    pub on_select: Callback<bool>,
    pub on_act: Callback<ImageAction>,
}

/// A card.
#[component]
pub fn Card(props: &CardProps) -> Html {
    let image = &props.image;
    html! {
        <li class="image" data-test="image" data-name={image.name.clone()} data-selected={props.is_selected.then_some("")}>
            <div class="top">
                <span class="pennant" data-size="l" aria-hidden="true">{ say::visible(&image.call_sign) }</span>
                <span class="who">{ chooser(image, props.at, props.is_selected, &props.on_select) }<span class="weak">{ say::visible(&image.version) }</span></span>
                { badge(&sign(image, &props.needs)) }
            </div>
            <div class="what" title={image.description.clone()}>{ say::visible(&image.description) }</div>
            <Notes image={image.clone()} agents={props.agents.clone()} />
            <div class="bottom">
                <Foot image={image.clone()} />
                <span class="spring"></span>
                { next(props) }
            </div>
        </li>
    }
}

/// The button that selects an image, and has its name.
pub fn chooser(image: &ImageView, at: usize, is_selected: bool, on_select: &Callback<bool>) -> Html {
    // A key that presses a button makes a click of no presses.
    let onclick = on_select.reform(|event: MouseEvent| event.detail() == 0);
    html! {
        <button class="name" aria-current={is_selected.then_some("true")} data-image-at={at.to_string()} {onclick}>{ say::visible(&image.name) }</button>
    }
}

/// How it stands.
pub fn badge(sign: &Sign) -> Html {
    html! {
        <span class="badge" data-tone={sign.tone} data-kind={sign.is_plain.then_some("plain")} data-test="image-state">{ icon(sign.glyph) }{ &sign.word }</span>
    }
}

#[derive(PartialEq, Properties)]
pub struct FootProps {
    pub image: Rc<ImageView>,
}

/// The line that tells a time: apart, so that a second that goes by draws it alone.
#[component]
pub fn Foot(props: &FootProps) -> Html {
    let now = use_moment().now;
    let foot = foot(&props.image, now);
    let tone = matches!(props.image.state, ImageState::Outdated { .. }).then_some("review");
    html! { <span class={classes!("foot", tone.map(|_| "toned"))} data-tone={tone} title={foot.clone()} data-test="image-foot">{ foot.clone() }</span> }
}

#[derive(PartialEq, Properties)]
struct NotesProps {
    image: Rc<ImageView>,
    agents: Rc<[AttrValue]>,
}

/// What was tried, what is weaker, and who runs in it; a line each, and none where there is nothing.
#[component]
fn Notes(props: &NotesProps) -> Html {
    let image = &props.image;
    html! {
        <ul class="notes">
            if let ImageState::Building { line, .. } = &image.state {
                <li class="build-line" data-test="build-line"><code title={say::visible(line)}>{ say::visible(line) }</code></li>
            }
            if let ImageState::Failed { error } = &image.state {
                <li data-tone="fail" class="toned" data-test="image-error">{ small_icon(Glyph::Alert) }<span>{ say::visible(&error.message) }</span></li>
            }
            { for image.smoke.iter().map(|view| html! { <SmokeLine view={view.clone()} /> }) }
            { for image.weaker.iter().map(|weaker| html! {
                <li data-tone="review" class="toned" key={weaker.clone()} data-test="image-weaker">{ small_icon(Glyph::Triangle) }<span>{ say::visible(weaker) }</span></li>
            }) }
            if image.agents > 0 {
                <li data-test="image-agents">{ small_icon(Glyph::IdCard) }<span>{ who(image.agents, &props.agents) }</span></li>
            }
        </ul>
    }
}

#[derive(PartialEq, Properties)]
struct SmokeLineProps {
    view: SmokeView,
}

/// What was tried, and how long ago: apart, as the foot is.
#[component]
fn SmokeLine(props: &SmokeLineProps) -> Html {
    let now = use_moment().now;
    let view = &props.view;
    let (tone, glyph) = if view.passed { (None, Glyph::CircleCheck) } else { (Some("fail"), Glyph::Alert) };
    html! { <li data-tone={tone} class={classes!(tone.map(|_| "toned"))} data-test="image-smoke">{ small_icon(glyph) }<span>{ smoke(view, now) }</span></li> }
}

/// Who runs in it: by name, as far as there is room.
fn who(count: u32, names: &[AttrValue]) -> String {
    let shown: Vec<_> = names.iter().take(AGENTS_NAMED_MAX).map(|name| say::visible(name)).collect();
    let rest = (count as usize).saturating_sub(shown.len());
    match (shown.is_empty(), rest) {
        (true, _) => say::count(u64::from(count), "agent", "agents"),
        (false, 0) => shown.join(", "),
        (false, rest) => format!("{} and {rest} more", shown.join(", ")),
    }
}

/// The one thing to do next, or what it needs where there is none.
fn next(props: &CardProps) -> Html {
    let image = &props.image;
    if let Some(meanwhile) = &props.meanwhile {
        return html! { <span class="sec">{ meanwhile.clone() }</span> };
    }
    let build = image.actions.iter().find(|view| view.action == ImageAction::Build);
    let is_wanted =
        matches!(image.state, ImageState::NotBuilt | ImageState::Outdated { .. } | ImageState::Failed { .. });
    match (build, &props.needs) {
        (Some(build), _) if is_wanted && build.denied.is_none() => {
            let onclick = props.on_act.reform(|_: MouseEvent| ImageAction::Build);
            html! { <button class="button" data-size="s" data-test={name_of(ImageAction::Build)} {onclick}>{ icon(glyph_of(ImageAction::Build)) }{ label(ImageAction::Build, image) }</button> }
        }
        (_, Needs::Missing(_)) => {
            html! { <Go class="button small" to={Route::Secrets} test="add-provider-secret">{ icon(Glyph::Key) }{ "Add a secret" }</Go> }
        }
        (_, Needs::Nothing) => html! { <span class="sec" data-test="image-needs">{ props.needs.said() }</span> },
        (_, Needs::Unknown | Needs::Fits(_)) => {
            html! { <span class="sec" data-test="image-needs">{ small_icon(Glyph::Key) }<span>{ props.needs.said() }</span></span> }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_named_as_far_as_there_is_room() {
        let names: Vec<AttrValue> = ["mason", "quill", "pip", "tally"].map(AttrValue::from).into();
        assert_eq!(who(2, &names[..2]), "mason, quill");
        assert_eq!(who(4, &names), "mason, quill, pip and 1 more");
        assert_eq!(who(1, &[]), "1 agent");
    }
}
