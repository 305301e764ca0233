//! Sending what a dialog asks for: once at a time, with the refusal kept where it was asked.

use wire::Call;
use yew::prelude::*;

use crate::{
    backend::{self, CallError},
    context::use_desk,
};

/// A call that a dialog or a bar makes.
#[derive(Clone)]
pub struct Sending {
    /// Why the last one was refused.
    pub refused: Option<CallError>,
    /// Whether one is under way.
    pub is_busy: bool,
    set_refused: UseStateSetter<Option<CallError>>,
    set_busy: UseStateSetter<bool>,
    refresh: Callback<()>,
    on_done: Callback<()>,
}

impl Sending {
    /// Asks, unless something is being asked already. Done, it tells so; refused, it keeps why.
    pub fn send<C: Call + 'static>(&self, call: C) {
        self.send_for(call, Callback::noop());
    }

    /// The same, and has `on_reply` hear what it was answered with.
    pub fn send_for<C: Call + 'static>(&self, call: C, on_reply: Callback<C::Reply>) {
        if self.is_busy {
            return;
        }
        self.set_refused.set(None);
        self.set_busy.set(true);
        let sending = self.clone();
        wasm_bindgen_futures::spawn_local(async move {
            let done = backend::call(call).await;
            sending.set_busy.set(false);
            match done {
                Ok(reply) => {
                    on_reply.emit(reply);
                    sending.on_done.emit(());
                }
                Err(error) => sending.set_refused.set(Some(error)),
            }
            sending.refresh.emit(());
        });
    }
}

/// Sends calls; `on_done` hears of those that were not refused.
#[hook]
pub fn use_sending(on_done: Callback<()>) -> Sending {
    let refresh = use_desk().refresh;
    let refused = use_state(|| None::<CallError>);
    let is_busy = use_state_eq(|| false);
    Sending {
        refused: (*refused).clone(),
        is_busy: *is_busy,
        set_refused: refused.setter(),
        set_busy: is_busy.setter(),
        refresh,
        on_done,
    }
}
