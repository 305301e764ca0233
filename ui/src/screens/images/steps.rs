//! The steps of a build, the layers on their way, and the facts of an image: the left side of the pane.

use wire::image::{BuildStepState, BuildStepView, BuildView, ImageView, LayerView};
use yew::prelude::*;

use super::standing::origin;
use crate::{
    icon::{Glyph, small_icon},
    parts::Stopwatch,
    say,
};

/// How many layers are drawn; the sum counts them all.
const LAYERS_SHOWN_MAX: usize = 3;

/// The steps, those to come too.
pub fn steps(build: &BuildView) -> Html {
    html! {
        <>
            <ol class="build-steps" aria-label="Steps of the build" data-test="build-steps">
                { for build.steps.iter().enumerate().map(|(at, step)| step_row(at, step, build)) }
            </ol>
            if build.ended.is_none() { { layers(&build.layers) } }
        </>
    }
}

fn step_row(at: usize, step: &BuildStepView, build: &BuildView) -> Html {
    let (tone, glyph) = match step.state {
        BuildStepState::Waiting => ("idle", None),
        BuildStepState::Running if build.ended.is_some() => ("idle", Some(Glyph::Ban)),
        BuildStepState::Running => ("run", Some(Glyph::CirclePlay)),
        BuildStepState::Done => ("done", Some(Glyph::Check)),
        BuildStepState::Failed => ("fail", Some(Glyph::Alert)),
    };
    let is_now = step.state == BuildStepState::Running && build.ended.is_none();
    let text = say::visible(&step.text);
    html! {
        <li key={at} data-tone={tone} data-state={state_name(step.state)} aria-current={is_now.then_some("step")} data-test="build-step">
            { match glyph { Some(glyph) => small_icon(glyph), None => html! { <span class="num">{ at + 1 }</span> } } }
            <span class="name" title={text.clone()}>{ text.clone() }</span>
            <span class="visually-hidden">{ state_word(step.state) }</span>
            <span class="time">{ time(step, is_now) }</span>
        </li>
    }
}

/// The name in data.
const fn state_name(state: BuildStepState) -> &'static str {
    match state {
        BuildStepState::Waiting => "waiting",
        BuildStepState::Running => "running",
        BuildStepState::Done => "done",
        BuildStepState::Failed => "failed",
    }
}

/// What the icon says to who does not see it.
const fn state_word(state: BuildStepState) -> &'static str {
    match state {
        BuildStepState::Waiting => "to come",
        BuildStepState::Running => "now",
        BuildStepState::Done => "done",
        BuildStepState::Failed => "failed",
    }
}

/// How long a step took, or has gone on.
fn time(step: &BuildStepView, is_now: bool) -> Html {
    match (step.is_cached, step.took_ms, step.began_at) {
        (true, ..) => html! { "kept" },
        (false, Some(took_ms), _) => html! { say::took_ms(took_ms) },
        (false, None, Some(began_at)) if is_now => html! { <Stopwatch since={began_at} /> },
        (false, None, _) => Html::default(),
    }
}

/// Layers that are fetched now: their sum, and the first few.
fn layers(layers: &[LayerView]) -> Html {
    let Some(sum) = layers_said(layers) else { return Html::default() };
    html! {
        <div class="layers" data-test="layers">
            <div class="sum">{ sum }</div>
            { for layers.iter().take(LAYERS_SHOWN_MAX).map(|layer| html! {
                <div class="layer" key={layer.id.clone()}>
                    <code>{ say::visible(&layer.id) }</code><span class="status">{ say::visible(&layer.status) }</span>
                    if let Some(part) = percent(layer) {
                        <span class="meter" style={format!("--part: {part}%")} aria-hidden="true"></span><span class="part">{ format!("{part} %") }</span>
                    }
                </div>
            }) }
        </div>
    }
}

/// How far a layer is, in per cent, where its size is known.
fn percent(layer: &LayerView) -> Option<u64> {
    let share = u128::from(layer.done_bytes) * 100;
    let percent = share.checked_div(u128::from(layer.total_bytes))?;
    u64::try_from(percent).ok().map(|percent| percent.min(100))
}

/// How much of all layers is here.
fn layers_said(layers: &[LayerView]) -> Option<String> {
    if layers.is_empty() {
        return None;
    }
    let sum = |bytes: fn(&LayerView) -> u64| layers.iter().map(bytes).fold(0_u64, u64::saturating_add);
    let (done, total) = (sum(|layer| layer.done_bytes), sum(|layer| layer.total_bytes));
    let count = say::count(layers.len() as u64, "layer", "layers");
    let is_known = layers.iter().all(|layer| layer.total_bytes > 0);
    Some(match (is_known, done) {
        (true, _) => format!("{count} · {} of {}", say::bytes(done), say::bytes(total)),
        (false, 0) => count,
        (false, done) => format!("{count} · {}", say::bytes(done)),
    })
}

/// What an image is made of, reaches and can do.
pub fn facts(image: &ImageView) -> Html {
    let can = abilities(image);
    html! {
        <dl class="facts image-facts" data-test="image-facts">
            if let Some(origin) = origin(image) { <dt>{ "From" }</dt><dd><code>{ origin }</code></dd> }
            if !image.base.is_empty() { <dt>{ "Starts from" }</dt><dd><code>{ say::visible(&image.base) }</code></dd> }
            if !image.providers.is_empty() {
                <dt>{ "Models of" }</dt><dd>{ image.providers.iter().map(|provider| provider.word()).collect::<Vec<_>>().join(", ") }</dd>
            }
            if !image.hosts.is_empty() {
                <dt>{ "Hosts" }</dt><dd>{ for image.hosts.iter().map(|host| html! { <code key={host.clone()}>{ say::visible(host) }{ " " }</code> }) }</dd>
            }
            if !can.is_empty() { <dt>{ "Can" }</dt><dd>{ can.join(", ") }</dd> }
            if let Some(smoke) = image.smoke.as_ref().filter(|smoke| !smoke.failed.is_empty()) {
                <dt>{ "Failed" }</dt><dd data-tone="fail" class="toned">{ for smoke.failed.iter().map(|line| html! { <div key={line.clone()}>{ say::visible(line) }</div> }) }</dd>
            }
            if !image.weaker.is_empty() {
                <dt>{ "Weaker" }</dt><dd data-tone="review" class="toned">{ for image.weaker.iter().map(|line| html! { <div key={line.clone()}>{ say::visible(line) }</div> }) }</dd>
            }
        </dl>
    }
}

/// What it can do beyond working on a prompt.
fn abilities(image: &ImageView) -> Vec<String> {
    let can = &image.can;
    let ports: Vec<_> = can.ports.iter().map(ToString::to_string).collect();
    [
        can.interactive.then(|| "talk in a terminal".to_owned()),
        can.resume.then(|| "go on with a conversation".to_owned()),
        can.desktop.then(|| "show a desktop".to_owned()),
        (!ports.is_empty()).then(|| format!("serve on {}", ports.join(", "))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(done_bytes: u64, total_bytes: u64) -> LayerView {
        LayerView { id: "5c2f".to_owned(), status: "Downloading".to_owned(), done_bytes, total_bytes }
    }

    #[test]
    fn layers_are_summed_up_as_far_as_their_sizes_are_known() {
        assert_eq!(layers_said(&[]), None);
        assert_eq!(layers_said(&[layer(1 << 20, 4 << 20), layer(0, 4 << 20)]).unwrap(), "2 layers · 1 MiB of 8 MiB");
        assert_eq!(layers_said(&[layer(1 << 20, 4 << 20), layer(0, 0)]).unwrap(), "2 layers · 1 MiB");
        assert_eq!(layers_said(&[layer(0, 0)]).unwrap(), "1 layer");
        assert_eq!(
            layers_said(&[layer(u64::MAX, u64::MAX), layer(1, 1)]).unwrap(),
            "2 layers · 16383 PiB of 16383 PiB"
        );
    }

    #[test]
    fn a_layer_is_never_more_than_all_here() {
        assert_eq!((percent(&layer(1, 3)), percent(&layer(9, 3)), percent(&layer(1, 0))), (Some(33), Some(100), None));
        assert_eq!(percent(&layer(u64::MAX, u64::MAX)), Some(100));
    }
}
