//! The secrets: what each opens, who has it and how, when it was last used; added, replaced, renamed, given, taken, deleted. A value is
//! typed once and never shown.

mod dialogs;
mod draft;
mod import;

use std::rc::Rc;

use wire::{
    call::ListSecrets,
    ids::SecretId,
    secret::{GrantView, SIGNED_IN_MEANS, SecretView, SecretWay, SecretsView, SignedIn, VaultPlace, logins_said},
};
use yew::prelude::*;

pub use self::draft::{best_way, way_denied};
use self::{
    dialogs::{DeleteSecretDialog, GrantSecretDialog, RenameSecretDialog, RevokeSecretDialog, SetSecretDialog},
    draft::SecretAction,
    import::ImportSecrets,
};
use crate::{
    context::{use_desk, use_feed, use_known},
    icon::{Glyph, icon, small_icon},
    keys::{Scope, Taken, presses, use_keys},
    parts::{Age, Broken, Skeletons, key, words},
    query::{Look, use_call},
    route::Route,
    say,
    screens::settings,
};

/// A dialog over the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    Add,
    Import,
    /// On that secret, whatever is selected meanwhile: a value never goes to another than it was typed for.
    Act(SecretAction, SecretId),
}

/// The screen.
#[component]
pub fn Secrets() -> Html {
    let feed = use_feed();
    let desk = use_desk();
    let known = use_known();
    let secrets = use_call(Some(ListSecrets {}), feed.secrets());
    let selected = use_state_eq(|| None::<String>);
    let open = use_state_eq(|| Open::Nothing);
    let view = secrets.data.clone();
    let shown = view.as_ref().and_then(|view| {
        let chosen = selected.as_ref().and_then(|id| view.secrets.iter().find(|one| one.secret.to_string() == *id));
        chosen.or(view.secrets.first()).cloned().map(Rc::new)
    });
    let agents: Rc<[AttrValue]> =
        known.agents.data.iter().flat_map(|list| list.iter()).map(|agent| agent.name.clone().into()).collect();
    {
        let (view, selected, shown, open, agents) =
            (view.clone(), selected.clone(), shown.clone(), open.setter(), agents.len());
        use_keys(Scope::Page, move |event| {
            let Some(view) = &view else { return Taken::No };
            let pressed = |written| presses(&event.key(), event.shift_key(), written);
            if let Some(next) = [("A", Open::Add), ("I", Open::Import)].into_iter().find(|(key, _)| pressed(key)) {
                open.set(next.1);
                return Taken::Yes;
            }
            let Some(shown) = &shown else { return Taken::No };
            let can = SecretAction::ALL.into_iter().filter(|action| action.denied(shown, agents).is_none());
            if let Some(action) = can.into_iter().find(|action| pressed(action.key())) {
                open.set(Open::Act(action, shown.secret));
                return Taken::Yes;
            }
            let at = view.secrets.iter().position(|one| one.secret == shown.secret).unwrap_or(0);
            let to = match event.key().as_str() {
                "j" | "ArrowDown" => (at + 1).min(view.secrets.len().saturating_sub(1)),
                "k" | "ArrowUp" => at.saturating_sub(1),
                _ => return Taken::No,
            };
            selected.set(view.secrets.get(to).map(|one| one.secret.to_string()));
            Taken::Yes
        });
    }
    let opened = |next: Open| {
        let open = open.setter();
        Callback::from(move |_: MouseEvent| open.set(next))
    };
    let close = {
        let open = open.setter();
        Callback::from(move |()| open.set(Open::Nothing))
    };
    let is_empty = view.as_ref().is_some_and(|view| view.secrets.is_empty());
    let act = {
        let open = open.setter();
        Callback::from(move |(action, secret)| open.set(Open::Act(action, secret)))
    };
    let why = view.is_none().then_some("Not known yet");
    html! {
        <main class="content" data-test="screen-secrets">
            <header class="header">
                { settings::place(&Route::Secrets) }
                <span class="spring"></span>
                <button class="button" data-kind="quiet" data-test="import-secret" title={why} aria-disabled={why.is_some().then_some("true")} onclick={opened(Open::Import)}>
                    { icon(Glyph::FileText) }{ "Import an .env file" }{ key("I") }
                </button>
                <button class="button" data-kind={(!is_empty).then_some("primary")} data-test="add-secret" title={why} aria-disabled={why.is_some().then_some("true")} onclick={opened(Open::Add)}>
                    { icon(Glyph::Plus) }{ "Add a secret" }{ key("A") }
                </button>
            </header>
            { match secrets.look() {
                Look::Loading => html! { <div class="scroll"><Skeletons rows={4} /></div> },
                Look::Broken(error) => html! { <Broken what="The list of secrets" error={error.clone()} on_retry={desk.refresh.clone()} /> },
                Look::Known(view) => html! {
                    <div class="secrets">
                        { place(&view.place) }
                        { signed_in(&view.inside) }
                        if view.secrets.is_empty() { { no_secrets(&opened(Open::Add)) } } else { { list(view, shown.as_deref(), &selected.setter()) } }
                        if let Some(secret) = &shown { <Bar secret={secret.clone()} agents={agents.len()} on_act={act} /> }
                    </div>
                },
            } }
            { dialog(*open, view.as_deref(), &agents, &close) }
        </main>
    }
}

fn dialog(open: Open, view: Option<&SecretsView>, agents: &Rc<[AttrValue]>, on_close: &Callback<()>) -> Html {
    let Some(view) = view else { return Html::default() };
    let names: Rc<[AttrValue]> = view.secrets.iter().map(|secret| secret.name.clone().into()).collect();
    match open {
        Open::Nothing => Html::default(),
        Open::Add => html! { <SetSecretDialog secret={None::<Rc<SecretView>>} taken={names} {on_close} /> },
        Open::Import => html! { <ImportSecrets {on_close} /> },
        Open::Act(action, id) => {
            let Some(secret) = view.secrets.iter().find(|secret| secret.secret == id).cloned().map(Rc::new) else {
                return Html::default();
            };
            match action {
                SecretAction::Replace => {
                    html! { <SetSecretDialog {secret} taken={Rc::<[AttrValue]>::from([])} {on_close} /> }
                }
                SecretAction::Rename => html! { <RenameSecretDialog {secret} {on_close} /> },
                SecretAction::Delete => html! { <DeleteSecretDialog {secret} {on_close} /> },
                SecretAction::Grant => html! { <GrantSecretDialog {secret} agents={agents.clone()} {on_close} /> },
                SecretAction::Revoke => html! { <RevokeSecretDialog {secret} {on_close} /> },
            }
        }
    }
}

/// Where values are kept, where a person should know.
fn place(place: &VaultPlace) -> Html {
    match place {
        VaultPlace::Keyring => Html::default(),
        VaultPlace::Session { reason, hint } => html! {
            <div class="banner" role="status" data-tone="review" data-test="vault-session">
                { icon(Glyph::Triangle) }
                <div class="text">
                    <b>{ "Values are gone when Berth ends" }</b>
                    { words(&say::sentence(reason)) }{ " Names and who has them stay. " }
                    if !hint.is_empty() { { words(&say::sentence(hint)) } }
                </div>
            </div>
        },
    }
}

/// What was signed in to inside, which is no secret of Berth's.
fn signed_in(inside: &[SignedIn]) -> Html {
    if inside.is_empty() {
        return Html::default();
    }
    html! {
        <div class="banner" role="status" data-tone="review" data-test="signed-in">
            { icon(Glyph::LockOpen) }
            <div class="text">
                <b>{ "Signed in inside the sandbox" }</b>
                { for inside.iter().map(|inside| html! {
                    <span key={inside.agent.to_string()}>{ format!("{}: {}. ", say::visible(&inside.agent_name), logins_said(&inside.logins)) }</span>
                }) }
                { SIGNED_IN_MEANS }
            </div>
        </div>
    }
}

fn no_secrets(on_add: &Callback<MouseEvent>) -> Html {
    html! {
        <div class="empty" data-test="no-secrets">
            <h2>{ "No secrets" }</h2>
            <p>{ "Keep the key of a model here and give it to an agent. Brokered, the sandbox works with a placeholder and never has the key." }</p>
            <div class="actions"><button class="button" data-kind="primary" onclick={on_add.clone()}>{ icon(Glyph::Plus) }{ "Add a secret" }{ key("A") }</button></div>
        </div>
    }
}

fn list(view: &SecretsView, shown: Option<&SecretView>, select: &UseStateSetter<Option<String>>) -> Html {
    html! {
        <div class="scroll">
            <div class="list secret-list" role="grid" aria-label="Secrets" data-test="secret-list">
                <div class="columns" role="row">
                    { for ["Secret", "Opens", "Who has it", "Last used", "Replaced"].map(|name| html! {
                        <span class="cell" role="columnheader" key={name}>{ name }</span>
                    }) }
                </div>
                { for view.secrets.iter().map(|secret| {
                    let (select, id) = (select.clone(), secret.secret.to_string());
                    let is_selected = shown.is_some_and(|shown| shown.secret == secret.secret);
                    row(secret, is_selected, Callback::from(move |_: MouseEvent| select.set(Some(id.clone()))))
                }) }
            </div>
        </div>
    }
}

fn row(secret: &SecretView, is_selected: bool, onclick: Callback<MouseEvent>) -> Html {
    html! {
        <div class="row" role="row" key={secret.secret.to_string()} aria-selected={is_selected.to_string()} {onclick} data-test="secret-row" data-name={secret.name.clone()}>
            <button class="cell" role="gridcell" data-flex="">{ small_icon(Glyph::Key) }<b>{ say::visible(&secret.name) }</b></button>
            <span class="cell" role="gridcell" data-as="detail">
                { draft::word(&secret.binding) }
                if let Some(address) = draft::address(&secret.binding) { { " " }<code class="weak">{ say::visible(&address) }</code> }
            </span>
            <span class="cell" role="gridcell" data-flex="">
                if secret.grants.is_empty() { <span class="weak">{ "nobody" }</span> }
                { for secret.grants.iter().map(|grant| html! { <span class="grant" key={grant.agent.to_string()}>{ say::visible(&grant.agent_name) }{ way_badge(grant.way) }</span> }) }
            </span>
            <span class="cell" role="gridcell" data-as="detail">
                { match secret.used_at { Some(at) => html! { <><Age since={at} />{ " ago" }</> }, None => html! { "never" } } }
            </span>
            <span class="cell" role="gridcell" data-as="detail"><Age since={secret.replaced_at} />{ " ago" }</span>
        </div>
    }
}

/// How an agent has a secret: icon, word, colour.
pub fn way_badge(way: SecretWay) -> Html {
    let (tone, glyph) = match way {
        SecretWay::Brokered => ("done", Glyph::Lock),
        SecretWay::Injected | SecretWay::File => ("review", Glyph::LockOpen),
    };
    html! { <span class="badge" data-tone={tone} data-test="way" data-way={way.name()}>{ icon(glyph) }{ way.word() }</span> }
}

#[derive(PartialEq, Properties)]
struct BarProps {
    secret: Rc<SecretView>,
    agents: usize,
    on_act: Callback<(SecretAction, SecretId)>,
}

/// What can be done to the selected secret, and what each of its agents has of it.
#[component]
fn Bar(props: &BarProps) -> Html {
    let secret = &props.secret;
    let why = SecretAction::ALL.into_iter().find_map(|action| action.denied(secret, props.agents));
    html! {
        <div class="action-bar" data-test="secret-actions">
            <b>{ say::visible(&secret.name) }</b>
            { for SecretAction::ALL.map(|action| {
                let (on_act, id, can) = (props.on_act.clone(), secret.secret, action.denied(secret, props.agents).is_none());
                html! {
                    <span class="action" key={action.name()}>
                        <button class="button" data-kind="quiet" data-test={format!("secret-{}", action.name())} aria-disabled={(!can).then_some("true")}
                            onclick={Callback::from(move |_: MouseEvent| if can { on_act.emit((action, id)) })}>
                            { icon(glyph_of(action)) }{ action.label() }{ key(action.key()) }
                        </button>
                    </span>
                }
            }) }
            if let Some(why) = why { <span class="weak" data-test="why-not">{ why }</span> }
            if !secret.grants.is_empty() { <span class="weak">{ in_sandboxes(&secret.grants) }</span> }
        </div>
    }
}

/// What stands in which agent's environment.
fn in_sandboxes(grants: &[GrantView]) -> String {
    let said = grants.iter().map(|grant| {
        let what = match grant.way {
            SecretWay::Brokered => "a placeholder",
            SecretWay::Injected => "the value itself",
            SecretWay::File => "the path of a file with the value",
        };
        format!("{}: {what} in {}", say::visible(&grant.agent_name), say::visible(&grant.variable))
    });
    said.collect::<Vec<_>>().join(" · ")
}

const fn glyph_of(action: SecretAction) -> Glyph {
    match action {
        SecretAction::Grant => Glyph::Plus,
        SecretAction::Revoke => Glyph::Ban,
        SecretAction::Replace => Glyph::Refresh,
        SecretAction::Rename => Glyph::Pencil,
        SecretAction::Delete => Glyph::Trash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::secret;

    #[test]
    fn what_a_sandbox_has_of_a_secret_is_said_for_each_agent() {
        let secret = secret("anthropic", &[("mason", "brokered"), ("quill", "injected")]);
        assert_eq!(in_sandboxes(&secret.grants), "mason: a placeholder in KEY · quill: the value itself in KEY");
    }
}
