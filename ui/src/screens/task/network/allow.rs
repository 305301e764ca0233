//! Allowing a host to an agent: its exact form, how far it goes, and what that means.

use wire::{
    call::AllowHost,
    network::{GrantReach, HostGrant},
};
use yew::prelude::*;

use super::looked::Ask;
use crate::{dialog::Modal, parts::refusal, policy, say, sending::use_sending};

#[derive(PartialEq, Properties)]
pub struct AllowProps {
    pub ask: Ask,
    pub on_close: Callback<()>,
}

/// The dialog.
#[component]
pub fn AllowHostDialog(props: &AllowProps) -> Html {
    let ask = &props.ask;
    let reach = use_state_eq(GrantReach::default);
    let sending = use_sending(props.on_close.clone());
    let grant = policy::grant_of(&ask.host, ask.port, *reach);
    let exact = policy::said(&HostGrant { reach: GrantReach::Public, ..grant.clone() });
    let ports = if grant.port.is_some() { "that port alone" } else { "ports 80 and 443" };
    let on_reach = {
        let reach = reach.clone();
        Callback::from(move |_: Event| {
            reach.set(match *reach {
                GrantReach::Public => GrantReach::Private,
                GrantReach::Private => GrantReach::Public,
            });
        })
    };
    let on_yes = {
        let (sending, agent) = (sending.clone(), ask.agent.clone());
        Callback::from(move |_: MouseEvent| sending.send(AllowHost { agent: agent.clone(), grant: grant.clone() }))
    };
    let foot = html! {
        <>
            <span class="note" role="status">{ if sending.is_busy { "At work" } else { "" } }</span>
            <span class="spring"></span>
            <button class="button" data-test="allow-no" onclick={props.on_close.reform(|_: MouseEvent| ())}>{ "Keep refusing" }</button>
            <button class="button" data-test="allow-yes" aria-disabled={sending.is_busy.then_some("true")} onclick={on_yes}>{ format!("Allow for {}", ask.agent) }</button>
        </>
    };
    html! {
        <Modal title={format!("Allow a host for {}", ask.agent)} test="allow-host" on_close={props.on_close.clone()} {foot}>
            <p><code data-test="allow-exact">{ exact }</code>{ " " }<span class="weak">{ format!("({ports})") }</span></p>
            <p class="weak">{ format!("Whatever runs in a sandbox of {} can send anything there, from its next request on, in this task and all others.", ask.agent) }</p>
            <p class="weak">{ format!("It was refused because: {}", say::visible(&ask.reason)) }</p>
            <label class="choice"><input type="checkbox" data-test="allow-private" checked={*reach == GrantReach::Private} onchange={on_reach} />
                { "Private addresses too: this machine, and networks behind it" }</label>
            if let Some(error) = &sending.refused { <div data-test="dialog-error">{ refusal(error) }</div> }
        </Modal>
    }
}
