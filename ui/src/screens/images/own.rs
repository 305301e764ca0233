//! A person's own images, and the parts that others start from: a row each, with a menu.

use std::rc::Rc;

use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, Node};
use wire::image::{ImageAction, ImageView};
use yew::prelude::*;

use super::{
    acting::{glyph_of, key_of, label, name_of},
    card::{Foot, badge, chooser},
    standing::{Needs, origin, sign},
};
use crate::{
    icon::{Glyph, icon, small_icon},
    parts::key,
    say,
};

#[derive(PartialEq, Properties)]
pub struct RowProps {
    pub image: Rc<ImageView>,
    pub needs: Needs,
    /// Its place among all that can be selected.
    pub at: usize,
    pub is_selected: bool,
    pub meanwhile: Option<AttrValue>,
    /// Selects it; says whether a key did it.
    pub on_select: Callback<bool>,
    pub on_act: Callback<ImageAction>,
}

/// A row.
#[component]
pub fn Row(props: &RowProps) -> Html {
    let image = &props.image;
    let from = origin(image);
    html! {
        <li class="own-row" data-test="own-image" data-name={image.name.clone()} data-selected={props.is_selected.then_some("")}>
            <span class="pennant" aria-hidden="true">{ say::visible(&image.call_sign) }</span>
            { chooser(image, props.at, props.is_selected, &props.on_select) }
            { badge(&sign(image, &props.needs)) }
            if let Some(from) = from { <code class="from" title={from.clone()}>{ from.clone() }</code> }
            <span class="spring"></span>
            { for image.weaker.first().map(|weaker| html! {
                <span class="toned weaker" data-tone="review" title={say::visible(weaker)}>{ small_icon(Glyph::Triangle) }<span>{ say::visible(weaker) }</span></span>
            }) }
            if let Some(meanwhile) = &props.meanwhile { <span class="weak">{ meanwhile.clone() }</span> } else { <Foot image={image.clone()} /> }
            <Menu image={image.clone()} on_act={props.on_act.clone()} />
        </li>
    }
}

#[derive(PartialEq, Properties)]
pub struct MenuProps {
    pub image: Rc<ImageView>,
    pub on_act: Callback<ImageAction>,
}

/// All that can be done with an image, and what cannot be done now with the reason.
#[component]
pub fn Menu(props: &MenuProps) -> Html {
    let is_open = use_state_eq(|| false);
    let anchor = use_node_ref();
    let image = &props.image;
    {
        let anchor = anchor.clone();
        use_effect_with(*is_open, move |is_open| {
            if *is_open {
                go(&anchor, 0);
            }
        });
    }
    let toggle = {
        let is_open = is_open.clone();
        Callback::from(move |_: MouseEvent| is_open.set(!*is_open))
    };
    let onfocusout = {
        let (is_open, anchor) = (is_open.setter(), anchor.clone());
        Callback::from(move |event: FocusEvent| {
            let to = event.related_target().and_then(|to| to.dyn_into::<Node>().ok());
            let stays = anchor.cast::<Node>().is_some_and(|anchor| anchor.contains(to.as_ref()));
            if !stays || to.is_none() {
                is_open.set(false);
            }
        })
    };
    let onkeydown = {
        let (is_open, anchor) = (is_open.clone(), anchor.clone());
        Callback::from(move |event: KeyboardEvent| {
            let by = match event.key().as_str() {
                "Escape" if *is_open => {
                    is_open.set(false);
                    if let Some(button) = anchor.cast::<HtmlElement>().and_then(|anchor| first_button(&anchor)) {
                        let _ = button.focus();
                    }
                    0
                }
                "ArrowDown" if *is_open => 1,
                "ArrowUp" if *is_open => -1,
                _ => return,
            };
            event.prevent_default();
            event.stop_propagation();
            if by != 0 {
                go(&anchor, by);
            }
        })
    };
    html! {
        <span class="menu-anchor" ref={anchor} {onfocusout} {onkeydown}>
            <button class="button" data-shape="icon" data-kind="quiet" data-size="s" aria-label={format!("Actions of {}", say::visible(&image.name))} title="Actions"
                aria-haspopup="menu" aria-expanded={is_open.to_string()} data-test="image-menu" onclick={toggle}>{ icon(Glyph::Ellipsis) }</button>
            if *is_open {
                <div class="menu" role="menu" aria-label={format!("Actions of {}", say::visible(&image.name))}>
                    { for image.actions.iter().map(|view| {
                        let (on_act, is_open, action) = (props.on_act.clone(), is_open.setter(), view.action);
                        let can = view.denied.is_none();
                        let onclick = Callback::from(move |_: MouseEvent| if can {
                            is_open.set(false);
                            on_act.emit(action);
                        });
                        let kind = (can && action == ImageAction::Remove).then_some("danger");
                        html! {
                            <button class="item" role="menuitem" tabindex="-1" key={name_of(action)} data-kind={kind} data-test={format!("menu-{}", name_of(action))} aria-disabled={(!can).then_some("true")} {onclick}>
                                { small_icon(glyph_of(action)) }<span class="name">{ label(action, image) }</span>
                                { match &view.denied {
                                    Some(why) => html! { <span class="extra">{ say::visible(why) }</span> },
                                    None => key(key_of(action)),
                                } }
                            </button>
                        }
                    }) }
                </div>
            }
        </span>
    }
}

fn first_button(anchor: &HtmlElement) -> Option<HtmlElement> {
    anchor.query_selector("button").ok().flatten()?.dyn_into().ok()
}

/// Moves the focus within the open menu: by that much from where it is, to the first item from elsewhere.
fn go(anchor: &NodeRef, by: i32) {
    let Some(items) =
        anchor.cast::<HtmlElement>().and_then(|anchor| anchor.query_selector_all("[role='menuitem']").ok())
    else {
        return;
    };
    let active = web_sys::window().and_then(|window| window.document()).and_then(|document| document.active_element());
    let items: Vec<_> = (0..items.length()).filter_map(|at| items.item(at)?.dyn_into::<HtmlElement>().ok()).collect();
    let at = items.iter().position(|item| active.as_ref().is_some_and(|active| active.is_same_node(Some(item))));
    let count = i32::try_from(items.len()).unwrap_or(i32::MAX);
    let to = match at.and_then(|at| i32::try_from(at).ok()) {
        Some(at) if count > 0 => (at + by).rem_euclid(count),
        Some(_) | None => 0,
    };
    if let Some(item) = usize::try_from(to).ok().and_then(|to| items.get(to)) {
        let _ = item.focus();
    }
}
