//! Tells the core that a person has the end of a run before their eyes: what it left may go from then on, when room is needed.

use wire::upkeep::MarkSeen;
use yew::prelude::*;

use crate::{
    backend,
    clock::{is_visible, use_moment},
};

#[derive(PartialEq, Properties)]
pub struct SeenProps {
    /// The task.
    pub number: i64,
    /// How many of its runs have ended.
    pub ended: usize,
}

/// Draws nothing.
#[component]
pub fn Seen(props: &SeenProps) -> Html {
    // Comes round when the page is shown again: in a tab in the background nobody has seen anything.
    let _moment = use_moment();
    use_effect_with((props.number, props.ended, is_visible()), |&(number, ended, is_visible)| {
        if is_visible && ended > 0 {
            wasm_bindgen_futures::spawn_local(async move {
                // Not being heard leaves it unseen, which keeps it.
                let _ = backend::call(MarkSeen { task: number.to_string() }).await;
            });
        }
    });
    Html::default()
}
