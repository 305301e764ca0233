//! The dialogs of a secret. A value is typed into a field of its own, taken out of it when it is sent, and in no state of ours.

use std::rc::Rc;

use web_sys::HtmlInputElement;
use wire::{
    call::{DeleteSecret, RevokeSecret},
    secret::{Provider, SecretText, SecretView, SecretWay},
};
use yew::prelude::*;

use super::draft::{self, Draft, GrantDraft, Opens, Part, losers, rename, usual_variable, way_denied};
use crate::{
    backend::CallError,
    dialog::{Modal, TypedName},
    parts::{chosen, refusal, typed},
    say,
    sending::use_sending,
};

#[derive(PartialEq, Properties)]
pub struct SetProps {
    /// The secret that gets another value; `None` for a new one.
    pub secret: Option<Rc<SecretView>>,
    /// The names that are taken.
    pub taken: Rc<[AttrValue]>,
    pub on_close: Callback<()>,
}

/// Keeps a secret, or another value of one.
#[component]
pub fn SetSecretDialog(props: &SetProps) -> Html {
    let draft = use_state_eq(|| props.secret.as_deref().map_or_else(Draft::default, Draft::replacing));
    let value = use_node_ref();
    let sending = use_sending(props.on_close.clone());
    let problem = draft.problem(props.taken.iter().map(AttrValue::as_str));
    let reason =
        if sending.is_busy { Some("Keeping it".to_owned()) } else { problem.map(|problem| problem.to_string()) };
    let is_new = props.secret.is_none();
    let save = {
        let (draft, value, sending, can) = (draft.clone(), value.clone(), sending.clone(), reason.is_none());
        Callback::from(move |()| {
            let Some(field) = value.cast::<HtmlInputElement>().filter(|_| can) else { return };
            let typed = SecretText::new(field.value());
            field.set_value("");
            draft.set(Draft { has_value: false, ..(*draft).clone() });
            if let Ok(call) = draft.call(typed) {
                sending.send(call);
            }
        })
    };
    let onkeydown = on_enter(&save);
    let on_value = {
        let draft = draft.clone();
        Callback::from(move |event: InputEvent| {
            let has_value = event.target_dyn_into::<HtmlInputElement>().is_some_and(|field| !field.value().is_empty());
            draft.set(Draft { has_value, ..(*draft).clone() });
        })
    };
    let edited = |edit: fn(&mut Draft, String)| {
        let draft = draft.clone();
        move |text: String| {
            let mut next = (*draft).clone();
            edit(&mut next, text);
            draft.set(next);
        }
    };
    let on_name = edited(|draft, name| draft.name = name);
    let on_opens = edited(|draft, name| draft.opens = Opens::from_name(&name).unwrap_or(draft.opens));
    let on_address = edited(|draft, address| draft.base_url = address);
    let on_edit = {
        let draft = draft.setter();
        Callback::from(move |next: Draft| draft.set(next))
    };
    let (title, verb) = match &props.secret {
        None => ("Add a secret".to_owned(), "Keep it"),
        Some(secret) => (format!("Replace the value of {}", say::visible(&secret.name)), "Replace"),
    };
    let foot = html! {
        <>
            <span class="note" role="status">{ reason.clone().unwrap_or_default() }</span>
            <span class="spring"></span>
            <button class="button" data-kind="primary" data-test="secret-yes" aria-disabled={reason.is_some().then_some("true")} onclick={save.reform(|_: MouseEvent| ())}>{ verb }</button>
        </>
    };
    html! {
        <Modal {title} test="set-secret" on_close={props.on_close.clone()} {foot}>
            if is_new {
                <label class="field"><span class="label">{ "Name" }</span>
                    <span class="input"><input class="value" autocomplete="off" spellcheck="false" data-test="secret-name" placeholder="anthropic-key" value={draft.name.clone()}
                        oninput={move |event: InputEvent| on_name(typed(&event))} onkeydown={onkeydown.clone()} /></span>
                    <span class="hint">{ "What you and the agents call it; it can be changed" }</span>
                </label>
            }
            <label class="field"><span class="label">{ "Value" }</span>
                <span class="input"><input class="value" type="password" ref={value} autocomplete="new-password" spellcheck="false" data-test="secret-value" oninput={on_value} {onkeydown} /></span>
                <span class="hint">{ if is_new { "It goes to the vault and is never shown again" } else { "It goes to the vault; the value before is forgotten, and whoever has the secret uses this one from the next request on" } }</span>
            </label>
            <label class="field"><span class="label">{ "Opens" }</span>
                <span class="input"><select class="value" data-test="secret-opens" onchange={move |event: Event| on_opens(chosen(&event))}>
                    { for Opens::all().map(|opens| html! {
                        <option key={opens.name()} value={opens.name()} selected={draft.opens == opens}>{ label_of(opens, props.secret.as_deref()) }</option>
                    }) }
                </select></span>
            </label>
            if let Opens::Provider(provider) = draft.opens { { address(provider, &draft, Callback::from(move |event: InputEvent| on_address(typed(&event)))) } }
            if draft.opens == Opens::Host { { host_fields(&draft, &on_edit) } }
            { refused(sending.refused.as_ref(), "The value was taken out of its field: type it again.") }
        </Modal>
    }
}

/// A host of the person's own, and where it takes the secret.
fn host_fields(draft: &Draft, on_edit: &Callback<Draft>) -> Html {
    let edited = |edit: fn(&mut Draft, String)| {
        let (draft, on_edit) = (draft.clone(), on_edit.clone());
        move |text: String| {
            let mut next = draft.clone();
            edit(&mut next, text);
            on_edit.emit(next);
        }
    };
    let field = |label: &'static str,
                 test: &'static str,
                 placeholder: &'static str,
                 value: &str,
                 hint: &'static str,
                 edit: fn(&mut Draft, String)| {
        let on_text = edited(edit);
        html! {
            <label class="field"><span class="label">{ label }</span>
                <span class="input"><input class="value" autocomplete="off" spellcheck="false" data-test={test} {placeholder} value={value.to_owned()}
                    oninput={move |event: InputEvent| on_text(typed(&event))} /></span>
                <span class="hint">{ hint }</span>
            </label>
        }
    };
    let on_part = edited(|draft, name| draft.part = Part::from_name(&name).unwrap_or(draft.part));
    html! {
        <>
            { field("Host", "secret-host", "api.example.com", &draft.host,
                "Over HTTPS, on port 443 where none is named. Berth reads what the agents that have it brokered send there",
                |draft, host| draft.host = host) }
            <label class="field"><span class="label">{ "It stands in" }</span>
                <span class="input"><select class="value" data-test="secret-part" onchange={move |event: Event| on_part(chosen(&event))}>
                    { for Part::ALL.map(|part| html! { <option key={part.name()} value={part.name()} selected={draft.part == part}>{ part.word() }</option> }) }
                </select></span>
            </label>
            { match draft.part {
                Part::Header => html! {
                    <>
                        { field("Header", "secret-place", "Authorization", &draft.place, "In this header alone", |draft, place| draft.place = place) }
                        { field("Format", "secret-format", "token {}", &draft.format, "What stands in it, with {} for the secret; empty for the secret alone", |draft, format| draft.format = format) }
                    </>
                },
                Part::Query => field("Parameter", "secret-place", "key", &draft.place, "In this parameter alone", |draft, place| draft.place = place),
            } }
        </>
    }
}

fn address(provider: Provider, draft: &Draft, oninput: Callback<InputEvent>) -> Html {
    html! {
        <label class="field"><span class="label">{ "Own address" }</span>
            <span class="input"><input class="value" inputmode="url" autocomplete="off" spellcheck="false" data-test="secret-address" placeholder={provider.base_url()} value={draft.base_url.clone()} {oninput} /></span>
            <span class="hint">{ "Empty for the provider's own. An address on this machine or in your network is allowed by being named here" }</span>
        </label>
    }
}

fn label_of(opens: Opens, secret: Option<&SecretView>) -> String {
    match (opens, secret) {
        (Opens::AsItIs, None) => "What its name says".to_owned(),
        (Opens::AsItIs, Some(secret)) => format!("As it is: {}", draft::word(&secret.binding)),
        (Opens::Provider(provider), _) => provider.word().to_owned(),
        (Opens::Host, _) => "A host of your own".to_owned(),
        (Opens::Other, _) => "Something else, which cannot be brokered".to_owned(),
    }
}

fn refused(error: Option<&CallError>, then: &'static str) -> Html {
    match error {
        None => Html::default(),
        Some(error) => {
            html! { <div data-test="dialog-error">{ refusal(error) }if !then.is_empty() { { " " }<span class="weak">{ then }</span> }</div> }
        }
    }
}

fn on_enter(yes: &Callback<()>) -> Callback<KeyboardEvent> {
    let yes = yes.clone();
    Callback::from(move |event: KeyboardEvent| {
        if event.key() == "Enter" {
            yes.emit(());
        }
    })
}

#[derive(PartialEq, Properties)]
pub struct SecretProps {
    pub secret: Rc<SecretView>,
    pub on_close: Callback<()>,
}

/// Gives a secret another name.
#[component]
pub fn RenameSecretDialog(props: &SecretProps) -> Html {
    let secret = &props.secret;
    let name = use_state_eq(|| secret.name.clone());
    let sending = use_sending(props.on_close.clone());
    let call = rename(secret, &name);
    let (reason, yes) = sending.offer(call);
    let onkeydown = on_enter(&yes);
    let oninput = {
        let name = name.setter();
        Callback::from(move |event: InputEvent| name.set(typed(&event)))
    };
    let foot = html! {
        <>
            <span class="note" role="status">{ reason.clone().unwrap_or_default() }</span>
            <span class="spring"></span>
            <button class="button" data-kind="primary" data-test="rename-yes" aria-disabled={reason.is_some().then_some("true")} onclick={yes.reform(|_: MouseEvent| ())}>{ "Rename" }</button>
        </>
    };
    html! {
        <Modal title={format!("Rename {}", say::visible(&secret.name))} test="rename-secret" on_close={props.on_close.clone()} {foot}>
            <label class="field"><span class="label">{ "Name" }</span>
                <span class="input"><input class="value" autocomplete="off" spellcheck="false" data-test="secret-new-name" value={(*name).clone()} {oninput} {onkeydown} /></span>
                <span class="hint">{ "Whoever has it keeps it, in the same variable" }</span>
            </label>
            { refused(sending.refused.as_ref(), "") }
        </Modal>
    }
}

/// Forgets a secret.
#[component]
pub fn DeleteSecretDialog(props: &SecretProps) -> Html {
    let secret = &props.secret;
    let sending = use_sending(props.on_close.clone());
    let on_yes = {
        let (sending, secret) = (sending.clone(), secret.name.clone());
        Callback::from(move |confirm: String| sending.send(DeleteSecret { secret: secret.clone(), confirm }))
    };
    let consequence =
        html! { { format!("Berth forgets the value; it cannot be shown or brought back. {}", losers(secret)) } };
    html! {
        <TypedName title={format!("Delete {}", say::visible(&secret.name))} name={secret.name.clone()} verb="Delete" {consequence} error={sending.refused.clone()}
            is_busy={sending.is_busy} {on_yes} on_close={props.on_close.clone()} />
    }
}

#[derive(PartialEq, Properties)]
pub struct GrantProps {
    pub secret: Rc<SecretView>,
    /// The agents by name.
    pub agents: Rc<[AttrValue]>,
    pub on_close: Callback<()>,
}

/// Gives a secret to an agent.
#[component]
pub fn GrantSecretDialog(props: &GrantProps) -> Html {
    let secret = &props.secret;
    let draft = use_state_eq(|| {
        // Whoever does not have it yet comes first.
        let has = |agent: &&AttrValue| secret.grants.iter().any(|grant| grant.agent_name == agent.as_str());
        let first = props.agents.iter().find(|agent| !has(agent)).or(props.agents.first());
        GrantDraft::of(secret, first.map_or("", AttrValue::as_str))
    });
    let sending = use_sending(props.on_close.clone());
    let call = draft.call(secret);
    let (reason, yes) = sending.offer(call);
    let had = secret.grants.iter().find(|grant| grant.agent_name == draft.agent);
    let on_agent = {
        let (draft, secret) = (draft.setter(), secret.clone());
        Callback::from(move |event: Event| draft.set(GrantDraft::of(&secret, &chosen(&event))))
    };
    let on_variable = {
        let draft = draft.clone();
        Callback::from(move |event: InputEvent| draft.set(GrantDraft { variable: typed(&event), ..(*draft).clone() }))
    };
    let way = |way: SecretWay| {
        let denied = way_denied(&secret.binding, way);
        let draft_of = draft.clone();
        html! {
            <label class="choice way" key={way.name()}>
                <input type="radio" name="way" data-test={format!("way-{}", way.name())} checked={draft.way == way} disabled={denied.is_some()}
                    onchange={Callback::from(move |_: Event| draft_of.set(GrantDraft { way, ..(*draft_of).clone() }))} />
                <span><b>{ way.word() }</b>{ " " }<span class="weak">{ denied.map_or_else(|| draft::consequence(&secret.binding, way), str::to_owned) }</span></span>
            </label>
        }
    };
    let note =
        reason.clone().or_else(|| had.map(|grant| format!("It has it already, {}", grant.way.word().to_lowercase())));
    let foot = html! {
        <>
            <span class="note" role="status">{ note.unwrap_or_default() }</span>
            <span class="spring"></span>
            // Letting something out is never the primary action.
            <button class="button" data-test="grant-yes" aria-disabled={reason.is_some().then_some("true")} onclick={yes.reform(|_: MouseEvent| ())}>{ format!("Give to {}", draft.agent) }</button>
        </>
    };
    html! {
        <Modal title={format!("Give {} to an agent", say::visible(&secret.name))} test="grant-secret" on_close={props.on_close.clone()} {foot}>
            <label class="field"><span class="label">{ "Agent" }</span>
                <span class="input"><select class="value" data-test="grant-agent" onchange={on_agent}>
                    { for props.agents.iter().map(|agent| html! { <option key={agent.to_string()} value={agent.clone()} selected={draft.agent == agent.as_str()}>{ agent }</option> }) }
                </select></span>
            </label>
            <div class="field" role="radiogroup" aria-label="How"><span class="label">{ "How" }</span>{ for SecretWay::ALL.map(way) }</div>
            <label class="field"><span class="label">{ "Variable" }</span>
                <span class="input"><input class="value" autocomplete="off" spellcheck="false" data-test="grant-variable" placeholder={usual_variable(secret).to_owned()} value={draft.variable.clone()} oninput={on_variable} /></span>
                <span class="hint">{ "Where the agent's program looks for it, or for the file's path; empty for the usual one" }</span>
            </label>
            { refused(sending.refused.as_ref(), "") }
        </Modal>
    }
}

/// Takes a secret from an agent.
#[component]
pub fn RevokeSecretDialog(props: &SecretProps) -> Html {
    let secret = &props.secret;
    let sending = use_sending(props.on_close.clone());
    html! {
        <Modal title={format!("Take {} from an agent", say::visible(&secret.name))} test="revoke-secret" on_close={props.on_close.clone()} foot={html! {
            <><span class="note">{ "Brokered, it is refused from the next request on. Injected, what runs already has it: replace the value where that matters." }</span></>
        }}>
            <ol class="env-entries">
                { for secret.grants.iter().map(|grant| {
                    let (sending, secret, agent, can) = (sending.clone(), secret.name.clone(), grant.agent_name.clone(), !sending.is_busy);
                    html! {
                        <li key={grant.agent.to_string()}>
                            <span>{ say::visible(&grant.agent_name) }</span>{ super::way_badge(grant.way) }<code class="weak">{ say::visible(&grant.variable) }</code>
                            <span class="spring"></span>
                            <button class="button" data-kind="danger" data-size="s" data-test="revoke-yes" data-agent={grant.agent_name.clone()} aria-disabled={(!can).then_some("true")}
                                onclick={Callback::from(move |_: MouseEvent| sending.send(RevokeSecret { secret: secret.clone(), agent: agent.clone() }))}>{ "Take it" }</button>
                        </li>
                    }
                }) }
            </ol>
            { refused(sending.refused.as_ref(), "") }
        </Modal>
    }
}
