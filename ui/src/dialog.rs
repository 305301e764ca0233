//! Dialogs over the page, and the one that wants a name typed before something is lost.

use web_sys::{HtmlElement, HtmlInputElement};
use yew::prelude::*;

use crate::{
    backend::CallError,
    icon::{Glyph, icon, small_icon},
    parts::refusal,
};

#[derive(PartialEq, Properties)]
pub struct ModalProps {
    pub title: AttrValue,
    /// The name for tests.
    pub test: AttrValue,
    /// `wide` where it holds a long form, which scrolls between its head and its foot.
    #[prop_or_default]
    pub size: Option<AttrValue>,
    pub on_close: Callback<()>,
    /// What stands at its foot.
    pub foot: Html,
    pub children: Html,
}

/// A dialog. Escape and the cross close it; the focus is in it from the start, and comes back to where it was.
#[component]
pub fn Modal(props: &ModalProps) -> Html {
    let root = use_node_ref();
    {
        let root = root.clone();
        use_effect_with((), move |()| {
            let before =
                web_sys::window().and_then(|window| window.document()).and_then(|document| document.active_element());
            let first = root.cast::<HtmlElement>().and_then(|root| {
                let find = |selector: &str| root.query_selector(selector).ok().flatten();
                // What a dialog is about may stand below a choice of what that is.
                find("[data-first]")
                    .or_else(|| find(".body input, .body select, .body textarea, .body button, .foot button"))
            });
            if let Some(first) = first.and_then(|first| wasm_bindgen::JsCast::dyn_into::<HtmlElement>(first).ok()) {
                let _ = first.focus();
            }
            move || {
                if let Some(before) =
                    before.and_then(|before| wasm_bindgen::JsCast::dyn_into::<HtmlElement>(before).ok())
                {
                    let _ = before.focus();
                }
            }
        });
    }
    let onkeydown = {
        let close = props.on_close.clone();
        Callback::from(move |event: KeyboardEvent| {
            if event.key() == "Escape" {
                event.stop_propagation();
                close.emit(());
            }
        })
    };
    html! {
        <div class="scrim">
            <div ref={root} class="dialog modal" role="dialog" aria-modal="true" aria-label={props.title.clone()} data-test={props.test.clone()} data-size={props.size.clone()} {onkeydown}>
                <div class="head">
                    { props.title.clone() }
                    <span class="spring"></span>
                    <button class="button" data-shape="icon" data-kind="quiet" data-size="s" aria-label="Close" title="Close"
                        onclick={props.on_close.reform(|_: MouseEvent| ())}>{ icon(Glyph::X) }</button>
                </div>
                <div class="body">{ props.children.clone() }</div>
                <div class="foot">{ props.foot.clone() }</div>
            </div>
        </div>
    }
}

#[derive(PartialEq, Properties)]
pub struct TypedNameProps {
    pub title: AttrValue,
    /// What is lost, in a sentence or two.
    pub consequence: Html,
    /// The name that must be typed.
    pub name: AttrValue,
    /// The label of the button.
    pub verb: AttrValue,
    #[prop_or_default]
    pub error: Option<CallError>,
    #[prop_or_default]
    pub is_busy: bool,
    /// Something that must be chosen first, such as a file: says what is missing.
    #[prop_or_default]
    pub missing: Option<AttrValue>,
    /// The name as it was typed.
    pub on_yes: Callback<String>,
    pub on_close: Callback<()>,
    #[prop_or_default]
    pub children: Html,
}

/// Asks for a name before what cannot be undone.
#[component]
pub fn TypedName(props: &TypedNameProps) -> Html {
    let typed = use_state_eq(String::new);
    let oninput = {
        let typed = typed.setter();
        Callback::from(move |event: InputEvent| {
            if let Some(input) = event.target_dyn_into::<HtmlInputElement>() {
                typed.set(input.value());
            }
        })
    };
    let reason = if props.is_busy {
        Some("At work".to_owned())
    } else if let Some(missing) = &props.missing {
        Some(missing.to_string())
    } else {
        (*typed != *props.name).then(|| format!("Type {} to go on", props.name))
    };
    let yes = {
        let (on_yes, typed, can) = (props.on_yes.clone(), typed.clone(), reason.is_none());
        Callback::from(move |()| {
            if can {
                on_yes.emit((*typed).clone());
            }
        })
    };
    let onkeydown = {
        let yes = yes.clone();
        Callback::from(move |event: KeyboardEvent| {
            if event.key() == "Enter" {
                yes.emit(());
            }
        })
    };
    let foot = html! {
        <>
            <span class="note" role="status">{ reason.clone().unwrap_or_default() }</span>
            <span class="spring"></span>
            <button class="button" data-test="dialog-no" onclick={props.on_close.reform(|_: MouseEvent| ())}>{ "Keep everything" }</button>
            <button class="button" data-kind="destroy" data-test="dialog-yes" aria-disabled={reason.is_some().then_some("true")}
                onclick={yes.reform(|_: MouseEvent| ())}>{ props.verb.clone() }</button>
        </>
    };
    html! {
        <Modal title={props.title.clone()} test="typed-name" on_close={props.on_close.clone()} {foot}>
            <div class="warning" data-tone="review"><span class="toned">{ small_icon(Glyph::Triangle) }</span><span>{ props.consequence.clone() }</span></div>
            { props.children.clone() }
            <label class="field">
                <span class="label">{ "Type " }<b class="mono">{ props.name.clone() }</b></span>
                <span class="input"><input class="value" autocomplete="off" spellcheck="false" data-test="typed" value={(*typed).clone()} {oninput} {onkeydown} /></span>
            </label>
            if let Some(error) = &props.error { <div data-test="dialog-error">{ refusal(error) }</div> }
        </Modal>
    }
}
