//! The images of the Gallery: what each is, whether it is built, and building it.

use std::{collections::BTreeMap, rc::Rc};

use wire::{
    call::BuildImage,
    view::{ImageState, ImageView},
};
use yew::prelude::*;

use crate::{
    backend::{self, CallError},
    context::{use_desk, use_known},
    icon::{Glyph, icon},
    parts::{Broken, Skeletons, error_panel, refusal},
    query::Look,
    say,
};

/// The screen.
#[component]
pub fn Images() -> Html {
    let known = use_known();
    let desk = use_desk();
    let is_down = known.engine_down().is_some();
    html! {
        <main class="content" data-test="screen-images">
            <header class="header">
                <h1>{ "Images" }</h1>
                if let Some(images) = &known.images.data { <span class="crumb weak">{ summary(images) }</span> }
            </header>
            { match known.images.look() {
                Look::Loading => html! { <div class="scroll"><Skeletons rows={4} /></div> },
                Look::Broken(error) => html! { <Broken what="The Gallery" error={error.clone()} on_retry={desk.refresh.clone()} /> },
                Look::Known(images) => html! {
                    <div class="scroll">
                        <div class="image-grid" data-count={images.len().to_string()}>
                            { for images.iter().map(|image| html! {
                                <Image key={image.name.clone()} image={Rc::new(image.clone())} {is_down} />
                            }) }
                        </div>
                    </div>
                },
            } }
        </main>
    }
}

/// How the images stand, in a line.
fn summary(images: &[ImageView]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut size_bytes = 0;
    for image in images {
        let word = match &image.state {
            ImageState::Ready { size_bytes: size } => {
                size_bytes += size;
                "1 ready"
            }
            ImageState::Building { .. } => "2 building",
            ImageState::Outdated => "3 outdated",
            ImageState::Failed { .. } => "4 failed",
            ImageState::NotBuilt => "5 not built",
            ImageState::Unknown => "6 unknown",
        };
        *counts.entry(word).or_default() += 1;
    }
    let mut parts: Vec<_> = counts.into_iter().map(|(word, count)| format!("{count} {}", &word[2..])).collect();
    if size_bytes > 0 {
        parts.push(format!("{} on disk", say::bytes(size_bytes)));
    }
    parts.join(" · ")
}

#[derive(PartialEq, Properties)]
struct ImageProps {
    image: Rc<ImageView>,
    is_down: bool,
}

#[component]
fn Image(props: &ImageProps) -> Html {
    let image = &props.image;
    let desk = use_desk();
    let refused = use_state(|| None::<CallError>);
    let is_asked = use_state_eq(|| false);
    let on_build = {
        let (name, refused, is_asked, refresh) =
            (image.name.clone(), refused.setter(), is_asked.clone(), desk.refresh.clone());
        Callback::from(move |_: MouseEvent| {
            if *is_asked {
                return;
            }
            is_asked.set(true);
            refused.set(None);
            let (name, refused, is_asked, refresh) =
                (name.clone(), refused.clone(), is_asked.setter(), refresh.clone());
            wasm_bindgen_futures::spawn_local(async move {
                // A build that fails is shown by the image's own state; what is kept here is that it could not even begin.
                if let Err(error) = backend::call(BuildImage { name }).await {
                    refused.set(Some(error));
                }
                is_asked.set(false);
                refresh.emit(());
            });
        })
    };
    let has_failed = matches!(image.state, ImageState::Failed { .. });
    html! {
        <div class="image" data-test="image" data-name={image.name.clone()}>
            <div class="top">
                <span class="pennant" data-size="l" aria-hidden="true">{ &image.call_sign }</span>
                <span class="who"><span class="name">{ &image.name }</span><span class="weak">{ &image.version }</span></span>
                { state_badge(&image.state) }
            </div>
            <div class="what" title={image.description.clone()}>{ &image.description }</div>
            { match &image.state {
                ImageState::Building { line, .. } => html! { <div class="build-line" data-test="build-line" title={line.clone()}>{ say::visible(line) }</div> },
                ImageState::Failed { error } => error_panel(error),
                ImageState::Unknown | ImageState::NotBuilt | ImageState::Outdated | ImageState::Ready { .. } => Html::default(),
            } }
            if let (Some(error), false) = (&*refused, has_failed) { { refusal(error) } }
            <div class="bottom">
                <span>{ foot(&image.state) }</span>
                <span class="spring"></span>
                { build_button(&image.state, props.is_down, *is_asked, on_build) }
            </div>
        </div>
    }
}

fn state_badge(state: &ImageState) -> Html {
    let (tone, kind, glyph, word) = match state {
        ImageState::Unknown => ("idle", Some("plain"), Glyph::CircleDashed, "Unknown".to_owned()),
        ImageState::NotBuilt => ("idle", Some("plain"), Glyph::CircleDashed, "Not built".to_owned()),
        ImageState::Outdated => ("review", None, Glyph::Refresh, "Outdated".to_owned()),
        ImageState::Building { number, of, .. } => ("run", None, Glyph::Hammer, format!("Building · {number} of {of}")),
        ImageState::Ready { .. } => ("done", Some("plain"), Glyph::Check, "Ready".to_owned()),
        ImageState::Failed { .. } => ("fail", None, Glyph::Alert, "Build failed".to_owned()),
    };
    html! { <span class="badge" data-tone={tone} data-kind={kind} data-test="image-state">{ icon(glyph) }{ word }</span> }
}

fn foot(state: &ImageState) -> String {
    match state {
        ImageState::Unknown => "Known again when the engine answers".to_owned(),
        ImageState::NotBuilt => "Built when a task first needs it".to_owned(),
        ImageState::Outdated => "Its files are newer than what was built".to_owned(),
        ImageState::Building { .. } => "Tasks that need it wait".to_owned(),
        ImageState::Ready { size_bytes } => say::bytes(*size_bytes),
        ImageState::Failed { .. } => String::new(),
    }
}

fn build_button(state: &ImageState, is_down: bool, is_asked: bool, onclick: Callback<MouseEvent>) -> Html {
    let label = match state {
        ImageState::Unknown | ImageState::Building { .. } | ImageState::Ready { .. } => return Html::default(),
        ImageState::NotBuilt => "Build",
        ImageState::Outdated => "Build again",
        ImageState::Failed { .. } => "Try again",
    };
    let reason = if is_down { Some("Waits for the engine") } else { is_asked.then_some("Asked for") };
    match reason {
        Some(reason) => html! {
            <><span class="weak">{ reason }</span><button class="button" data-size="s" aria-disabled="true">{ label }</button></>
        },
        None => html! { <button class="button" data-size="s" data-test="build" {onclick}>{ label }</button> },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_each_state_once_in_a_steady_order() {
        let image = |state: serde_json::Value| -> ImageView {
            serde_json::from_value(serde_json::json!({
                "name": "script", "call_sign": "SC", "title": "", "description": "", "version": "1", "state": state,
            }))
            .unwrap()
        };
        let images = [
            image(serde_json::json!({"state": "not_built"})),
            image(serde_json::json!({"state": "ready", "size_bytes": 212_000_000})),
            image(serde_json::json!({"state": "ready", "size_bytes": 100_000_000})),
        ];
        assert_eq!(summary(&images), "2 ready · 1 not built · 297 MiB on disk");
        assert_eq!(summary(&[]), "");
    }
}
