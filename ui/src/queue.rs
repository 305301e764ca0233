//! The queue as a person pauses it and lets it go on, from wherever that is drawn.

use wire::{call::ChangeQueue, queue::QueueState};
use yew::prelude::*;

use crate::{
    backend::{self, CallError},
    context::use_desk,
};

/// Pausing the queue, and letting it go on.
#[derive(Clone, PartialEq)]
pub struct SetQueue {
    /// Does it.
    pub set: Callback<QueueState>,
    /// Whether it is being done.
    pub is_asking: bool,
    /// Why it was not done.
    pub refused: Option<CallError>,
}

/// Pauses the queue, or lets it go on.
#[hook]
pub fn use_queue() -> SetQueue {
    let desk = use_desk();
    let is_asking = use_state_eq(|| false);
    let refused = use_state(|| None::<CallError>);
    let set = {
        let (is_asking, refused, refresh) = (is_asking.clone(), refused.setter(), desk.refresh.clone());
        Callback::from(move |state: QueueState| {
            if *is_asking {
                return;
            }
            is_asking.set(true);
            let (is_asking, refused, refresh) = (is_asking.setter(), refused.clone(), refresh.clone());
            wasm_bindgen_futures::spawn_local(async move {
                let change = ChangeQueue { state: Some(state), ..ChangeQueue::default() };
                refused.set(backend::call(change).await.err());
                is_asking.set(false);
                refresh.emit(());
            });
        })
    };
    SetQueue { set, is_asking: *is_asking, refused: (*refused).clone() }
}
