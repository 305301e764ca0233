//! Sending what a dialog asks for: once at a time, with the refusal kept where it was asked.

use std::fmt::Display;

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
    /// Why what is written cannot be sent now.
    pub fn reason<T, E: Display>(&self, written: &Result<T, E>) -> Option<String> {
        if self.is_busy { Some("At work".to_owned()) } else { written.as_ref().err().map(ToString::to_string) }
    }

    /// The same, and what sends it where nothing is against it.
    pub fn offer<C: Call + Clone + 'static, E: Display>(&self, call: Result<C, E>) -> (Option<String>, Callback<()>) {
        let reason = self.reason(&call);
        let (sending, call) = (self.clone(), call.ok().filter(|_| reason.is_none()));
        let send = Callback::from(move |()| {
            if let Some(call) = &call {
                sending.send(call.clone());
            }
        });
        (reason, send)
    }

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
