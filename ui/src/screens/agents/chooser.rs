//! Choosing an image: one of the Gallery or of a person's own, with how it stands and what it needs; or any other reference.

use std::rc::Rc;

use wire::{
    image::{ImageOrigin, ImageView},
    secret::SecretsView,
};
use yew::prelude::*;

use crate::{
    icon::{Glyph, icon, small_icon},
    parts::typed,
    say,
    screens::images::standing::{Needs, sign},
};

#[derive(PartialEq, Properties)]
pub struct ChooserProps {
    pub images: Option<Rc<Vec<ImageView>>>,
    pub secrets: Option<Rc<SecretsView>>,
    /// What is chosen: an image's name, or a reference.
    pub chosen: AttrValue,
    pub on_choose: Callback<String>,
}

/// Those that agents can run in: parts are what others start from.
fn choices(images: &[ImageView]) -> impl Iterator<Item = &ImageView> {
    images.iter().filter(|image| match image.origin {
        ImageOrigin::Gallery | ImageOrigin::Reference { .. } | ImageOrigin::Folder { .. } => true,
        ImageOrigin::Part => false,
    })
}

/// The list.
#[component]
pub fn ImageChooser(props: &ChooserProps) -> Html {
    let images = props.images.as_ref().map(|images| images.as_slice()).unwrap_or_default();
    let is_listed = choices(images).any(|image| image.name == *props.chosen);
    // Another one stays another while its reference happens to be a name of the list.
    let writes = use_state_eq(|| !is_listed && !props.chosen.is_empty());
    let is_other = *writes || (!is_listed && !props.chosen.is_empty());
    let choose = |name: &str| {
        let (name, writes, on_choose) = (name.to_owned(), writes.setter(), props.on_choose.clone());
        Callback::from(move |_: MouseEvent| {
            writes.set(false);
            on_choose.emit(name.clone());
        })
    };
    let on_other = {
        let (writes, on_choose) = (writes.setter(), props.on_choose.clone());
        Callback::from(move |_: MouseEvent| {
            writes.set(true);
            if is_listed {
                on_choose.emit(String::new());
            }
        })
    };
    let oninput = props.on_choose.reform(|event: InputEvent| typed(&event));
    html! {
        <>
        <div class="image-choice" role="radiogroup" aria-label="Image" data-test="choose-image">
            { for choices(images).map(|image| {
                let is_chosen = !is_other && image.name == *props.chosen;
                let needs = Needs::of(image, props.secrets.as_deref());
                let sign = sign(image, &needs);
                html! {
                    <button type="button" role="radio" key={image.name.clone()} aria-checked={is_chosen.to_string()} data-test={format!("image-{}", image.name)} onclick={choose(&image.name)} title={say::visible(&image.description)}>
                        <span class="pennant" aria-hidden="true">{ say::visible(&image.call_sign) }</span>
                        <span class="name">{ say::visible(&image.name) }</span><span class="weak">{ say::visible(&image.version) }</span>
                        <span class="spring"></span>
                        <span class="weak needs">{ needs.said() }</span>
                        <span class="badge" data-tone={sign.tone} data-kind="plain">{ icon(sign.glyph) }{ sign.word }</span>
                    </button>
                }
            }) }
            <button type="button" role="radio" aria-checked={is_other.to_string()} data-test="image-other" onclick={on_other}>
                <span class="blank" aria-hidden="true">{ small_icon(Glyph::Package) }</span><span class="name">{ "Another image" }</span><span class="spring"></span><span class="weak">{ "any reference that the engine has" }</span>
            </button>
        </div>
        if is_other {
            <span class="input"><input class="value" aria-label="Reference of the image" autocomplete="off" spellcheck="false" placeholder="registry.example.com/go-agent:7" data-test="edit-image" value={props.chosen.clone()} {oninput} /></span>
        }
        </>
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture;

    #[test]
    fn parts_are_not_offered() {
        let ready = || json!({"state": "ready", "size_bytes": 1});
        let images = [
            fixture::image("base", json!({"origin": "part"}), ready()),
            fixture::image("script", json!({"origin": "gallery"}), ready()),
            fixture::image("mine", json!({"origin": "folder", "path": "/x"}), ready()),
        ];
        assert_eq!(choices(&images).map(|image| image.name.as_str()).collect::<Vec<_>>(), ["script", "mine"]);
    }
}
