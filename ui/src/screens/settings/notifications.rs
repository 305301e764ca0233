//! Of what a person is told by their desktop.

use wire::{
    call::{SetNews, ShowNewsSettings},
    news::{NewsKind, SILENT_MEANS},
};
use yew::prelude::*;

use crate::{
    context::{use_desk, use_feed},
    keys::{Scope, Taken, use_keys},
    parts::{Broken, Skeletons, key, refusal},
    query::{Look, use_call},
    route::Route,
    screens::settings,
    sending::use_sending,
};

/// The keys of the kinds, in their order.
const KEYS: [&str; NewsKind::ALL.len()] = ["1", "2", "3"];

/// The screen.
#[component]
pub fn Notifications() -> Html {
    let feed = use_feed();
    let desk = use_desk();
    let asked = use_call(Some(ShowNewsSettings {}), feed.status());
    let sending = use_sending(Callback::noop());
    let silent = asked.data.as_ref().map(|view| view.silent.clone());
    let turn = {
        let (sending, silent) = (sending.clone(), silent.clone());
        Callback::from(move |kind: NewsKind| {
            let Some(silent) = &silent else { return };
            sending.send(SetNews { kinds: vec![kind], is_silent: !silent.contains(&kind) });
        })
    };
    {
        let turn = turn.clone();
        use_keys(Scope::Page, move |event| {
            let pressed = KEYS.iter().position(|key| event.key() == *key);
            let Some(kind) = pressed.and_then(|at| NewsKind::ALL.get(at)) else { return Taken::No };
            turn.emit(*kind);
            Taken::Yes
        });
    }
    html! {
        <main class="content" data-test="screen-notifications">
            <header class="header">{ settings::place(&Route::Notifications) }</header>
            { match asked.look() {
                Look::Loading => html! { <div class="scroll"><Skeletons rows={3} /></div> },
                Look::Broken(error) => html! { <Broken what="The settings" error={error.clone()} on_retry={desk.refresh.clone()} /> },
                Look::Known(view) => html! {
                    <div class="scroll">
                        <section class="panel settings-panel">
                            <div class="head">{ "Tell me by a notification of the desktop" }</div>
                            { for NewsKind::ALL.into_iter().zip(KEYS).map(|(kind, name)| html! {
                                <label class="choice" key={kind.name()}>
                                    <input type="checkbox" data-test={format!("news-{}", kind.name())} checked={!view.silent.contains(&kind)} onchange={turn.reform(move |_: Event| kind)} />
                                    <span>{ kind.word() }</span>{ key(name) }
                                </label>
                            }) }
                            <p class="weak">{ format!("What is off comes as no notification. {SILENT_MEANS} Notifications come while the app's window runs, also when it is behind others.") }</p>
                            if let Some(error) = &sending.refused { <div data-test="dialog-error">{ refusal(error) }</div> }
                        </section>
                    </div>
                },
            } }
        </main>
    }
}
