//! What an agent may reach: the part of its form that changes the policy.

use std::rc::Rc;

use wire::network::{GrantReach, HostGrant};
use yew::prelude::*;

use crate::{
    icon::{Glyph, icon},
    parts::{segmented, typed},
    policy::{self, Line, Mode},
};

#[derive(PartialEq, Properties)]
pub struct NetworkProps {
    pub mode: Mode,
    pub hosts: Rc<Vec<HostGrant>>,
    pub on_mode: Callback<Mode>,
    pub on_hosts: Callback<Vec<HostGrant>>,
    /// Hears whether a line is written that was not added.
    pub on_line: Callback<bool>,
}

/// The policy in the edit dialog.
#[component]
pub fn EditNetwork(props: &NetworkProps) -> Html {
    let options = Mode::ALL.map(|mode| {
        let policy = mode.with(Vec::new());
        (mode, policy.name(), policy.word().to_owned())
    });
    html! {
        <div class="field" data-test="edit-network">
            <span class="label">{ "Network policy" }</span>
            { segmented("Network policy", options, props.mode, &props.on_mode) }
            <span class="hint" data-test="policy-meaning">{ props.mode.meaning() }</span>
            if props.mode.has_list() {
                <EditHosts hosts={props.hosts.clone()} on_hosts={props.on_hosts.clone()} on_line={props.on_line.clone()} />
            }
        </div>
    }
}

#[derive(PartialEq, Properties)]
pub struct HostsProps {
    pub hosts: Rc<Vec<HostGrant>>,
    pub on_hosts: Callback<Vec<HostGrant>>,
    /// Hears whether a line is written that was not added.
    pub on_line: Callback<bool>,
}

/// A list of hosts, and the line that puts one more onto it.
#[component]
pub fn EditHosts(props: &HostsProps) -> Html {
    let line = use_state_eq(Line::default);
    let hosts = &props.hosts;
    let grant = line.grant(hosts);
    let problem = grant.as_ref().err().filter(|_| !line.is_blank()).map(ToString::to_string);
    let set_line = {
        let (line, on_line) = (line.setter(), props.on_line.clone());
        Callback::from(move |next: Line| {
            on_line.emit(!next.is_blank());
            line.set(next);
        })
    };
    let add = {
        let (set_line, hosts, on_hosts) = (set_line.clone(), hosts.clone(), props.on_hosts.clone());
        Callback::from(move |()| {
            if let Ok(grant) = &grant {
                let mut hosts = (*hosts).clone();
                hosts.push(grant.clone());
                on_hosts.emit(hosts);
                set_line.emit(Line::default());
            }
        })
    };
    let onkeydown = {
        let add = add.clone();
        Callback::from(move |event: KeyboardEvent| {
            if event.key() == "Enter" {
                event.prevent_default();
                add.emit(());
            }
        })
    };
    let edited = |edit: fn(&mut Line, String)| {
        let (line, set_line) = (line.clone(), set_line.clone());
        Callback::from(move |event: InputEvent| {
            let mut next = (*line).clone();
            edit(&mut next, typed(&event));
            set_line.emit(next);
        })
    };
    let on_reach = {
        let (line, set_line) = (line.clone(), set_line.clone());
        Callback::from(move |_: Event| {
            let reach = match line.reach {
                GrantReach::Public => GrantReach::Private,
                GrantReach::Private => GrantReach::Public,
            };
            set_line.emit(Line { reach, ..(*line).clone() });
        })
    };
    html! {
        <>
            <ul class="hosts" data-test="host-list">
                { for hosts.iter().enumerate().map(|(at, grant)| {
                    let (hosts, on_hosts) = (hosts.clone(), props.on_hosts.clone());
                    let said = policy::said(grant);
                    let on_remove = Callback::from(move |_: MouseEvent| {
                        let mut hosts = (*hosts).clone();
                        hosts.remove(at);
                        on_hosts.emit(hosts);
                    });
                    html! {
                        <li key={said.clone()} data-test="host"><code>{ &said }</code><span class="spring"></span>
                            <button type="button" class="button" data-shape="icon" data-kind="quiet" data-size="s" data-test="remove-host" aria-label={format!("Remove {said}")} title="Remove" onclick={on_remove}>{ icon(Glyph::X) }</button></li>
                    }
                }) }
            </ul>
            <span class="host-line">
                <span class="input"><input class="value" autocomplete="off" spellcheck="false" aria-label="Host" placeholder="Host, for example packages.example.org" data-test="host-name" value={line.host.clone()} oninput={edited(|line, host| line.host = host)} onkeydown={onkeydown.clone()} /></span>
                <span class="input host-port"><input class="value" inputmode="numeric" autocomplete="off" aria-label="Port" placeholder="80, 443" data-test="host-port" value={line.port.clone()} oninput={edited(|line, port| line.port = port)} {onkeydown} /></span>
                <button type="button" class="button" data-test="add-host" aria-disabled={(line.is_blank() || problem.is_some()).then_some("true")} onclick={add.reform(|_: MouseEvent| ())}>{ icon(Glyph::Plus) }{ "Add" }</button>
            </span>
            <label class="choice"><input type="checkbox" data-test="host-private" checked={line.reach == GrantReach::Private} onchange={on_reach} />{ "Private addresses too: this machine, and networks behind it" }</label>
            if let Some(problem) = problem { <span class="hint" data-tone="fail" role="status">{ problem }</span> }
        </>
    }
}
