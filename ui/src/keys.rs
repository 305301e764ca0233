//! Keys: single letters act on the screen in sight, unless the person types or a dialog is open.

use std::{cell::RefCell, rc::Rc};

use gloo_events::{EventListener, EventListenerOptions};
use wasm_bindgen::JsCast;
use web_sys::{Element, KeyboardEvent};
use yew::prelude::*;

/// Whether a key was meant for whoever was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was: the browser does nothing more with it.
    Yes,
    /// It was not.
    No,
}

/// Which keys a listener wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Plain keys of the page: nothing is typed into, no dialog is open, no modifier but Shift.
    Page,
    /// Every key, wherever it goes.
    Everything,
}

type Handler = Rc<RefCell<Rc<dyn Fn(&KeyboardEvent) -> Taken>>>;

/// Listens to keys for as long as the component lives.
#[hook]
pub fn use_keys(scope: Scope, handler: impl Fn(&KeyboardEvent) -> Taken + 'static) {
    let latest: Handler = use_mut_ref(|| Rc::new(|_: &KeyboardEvent| Taken::No) as Rc<dyn Fn(&KeyboardEvent) -> Taken>);
    latest.replace(Rc::new(handler));
    use_effect_with(scope, move |scope| {
        let scope = *scope;
        let listener = web_sys::window().map(|window| {
            EventListener::new_with_options(
                &window,
                "keydown",
                EventListenerOptions::enable_prevent_default(),
                move |event| {
                    let Some(event) = event.dyn_ref::<KeyboardEvent>() else { return };
                    if event.default_prevented() || (scope == Scope::Page && !is_for_page(event)) {
                        return;
                    }
                    let handler = latest.borrow().clone();
                    if handler(event) == Taken::Yes {
                        event.prevent_default();
                    }
                },
            )
        });
        move || drop(listener)
    });
}

fn is_for_page(event: &KeyboardEvent) -> bool {
    if event.ctrl_key() || event.meta_key() || event.alt_key() || event.is_composing() {
        return false;
    }
    let is_typing = event
        .target()
        .and_then(|target| target.dyn_into::<Element>().ok())
        .and_then(|element| element.closest("input, textarea, select, [contenteditable]").ok().flatten())
        .is_some();
    !is_typing && !dialog_is_open()
}

fn dialog_is_open() -> bool {
    web_sys::window()
        .and_then(|window| window.document())
        .and_then(|document| document.query_selector("[aria-modal='true']").ok().flatten())
        .is_some()
}

/// Whether the main modifier is held: Ctrl, or Command where that is it.
pub fn has_command(event: &KeyboardEvent) -> bool {
    event.ctrl_key() || event.meta_key()
}

/// The key of an action as it is written in its view (`A`, `⇧R`, `.`): does this event press it?
pub fn presses(event_key: &str, is_shifted: bool, written: &str) -> bool {
    match written.strip_prefix('⇧') {
        Some(key) => is_shifted && event_key.eq_ignore_ascii_case(key),
        None => !is_shifted && event_key.eq_ignore_ascii_case(written),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shifted_key_is_another_than_the_plain_one() {
        assert!(presses("R", true, "⇧R"));
        assert!(!presses("r", false, "⇧R"));
        assert!(presses("a", false, "A"));
        assert!(!presses("A", true, "A"));
        assert!(presses(".", false, "."));
    }
}
