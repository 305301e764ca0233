//! The projects: made, renamed, let reach hosts, deleted.

use std::rc::Rc;

use wire::{
    call::{CreateProject, DeleteProject, ListProjects, UpdateProject},
    network::{HostGrant, HostsPatch},
    project::{PROJECT_NAME_CHARS_MAX, ProjectView, is_project_name},
};
use yew::prelude::*;

use crate::{
    context::{use_desk, use_feed},
    dialog::{Modal, TypedName},
    icon::{Glyph, icon, small_icon},
    keys::{Scope, Taken, presses, use_keys},
    parts::{Age, Broken, Skeletons, key, refusal, typed},
    policy,
    query::{Look, use_call},
    route::Route,
    say,
    screens::{agents::network::EditHosts, settings},
    sending::use_sending,
};

/// How many hosts are named in a row.
const HOSTS_SHOWN_MAX: usize = 3;

/// A dialog over the list.
#[derive(Clone, PartialEq)]
enum Open {
    Nothing,
    /// Of a new one where there is none.
    Edit(Option<Rc<ProjectView>>),
    Delete(Rc<ProjectView>),
}

/// The screen.
#[component]
pub fn Projects() -> Html {
    let feed = use_feed();
    let desk = use_desk();
    let selected = use_state_eq(|| None::<String>);
    let open = use_state_eq(|| Open::Nothing);
    let projects = use_call(Some(ListProjects {}), feed.projects());
    let known = projects.data.clone();
    let shown = known.as_deref().and_then(|known| {
        let chosen = selected.as_deref().and_then(|name| known.iter().find(|project| project.name == name));
        chosen.or_else(|| known.first()).cloned().map(Rc::new)
    });
    {
        let (open, selected, shown, known) = (open.setter(), selected.setter(), shown.clone(), known.clone());
        use_keys(Scope::Page, move |event| {
            let pressed = |written| presses(&event.key(), event.shift_key(), written);
            if pressed("A") {
                open.set(Open::Edit(None));
                return Taken::Yes;
            }
            let (Some(shown), Some(known)) = (&shown, &known) else { return Taken::No };
            if pressed("E") {
                open.set(Open::Edit(Some(shown.clone())));
                return Taken::Yes;
            }
            if pressed("⇧X") && shown.delete_denied.is_none() {
                open.set(Open::Delete(shown.clone()));
                return Taken::Yes;
            }
            let at = known.iter().position(|project| project.project == shown.project).unwrap_or(0);
            let to = match event.key().as_str() {
                "j" | "ArrowDown" => (at + 1).min(known.len().saturating_sub(1)),
                "k" | "ArrowUp" => at.saturating_sub(1),
                _ => return Taken::No,
            };
            selected.set(known.get(to).map(|project| project.name.clone()));
            Taken::Yes
        });
    }
    let opened = |next: Open| {
        let open = open.setter();
        Callback::from(move |_: MouseEvent| open.set(next.clone()))
    };
    let close = {
        let open = open.setter();
        Callback::from(move |()| open.set(Open::Nothing))
    };
    html! {
        <main class="content" data-test="screen-projects">
            <header class="header">
                { settings::place(&Route::Projects) }
                <span class="spring"></span>
                <button class="button" data-kind="primary" data-test="add-project" onclick={opened(Open::Edit(None))}>{ icon(Glyph::Plus) }{ "Make a project" }{ key("A") }</button>
            </header>
            { match projects.look() {
                Look::Loading => html! { <div class="scroll"><Skeletons rows={3} /></div> },
                Look::Broken(error) => html! { <Broken what="The list of projects" error={error.clone()} on_retry={desk.refresh.clone()} /> },
                Look::Known(known) if known.is_empty() => html! {
                    <div class="empty" data-test="no-projects">
                        <h2>{ "No projects" }</h2>
                        <p>{ "A project groups tasks, has a budget of its own, and may let its runs reach hosts beside those of their agents." }</p>
                        <div class="actions"><button class="button" data-kind="primary" onclick={opened(Open::Edit(None))}>{ icon(Glyph::Plus) }{ "Make a project" }{ key("A") }</button></div>
                    </div>
                },
                Look::Known(known) => html! {
                    <div class="secrets">
                        { list(known, shown.as_deref(), &selected.setter()) }
                        if let Some(project) = &shown {
                            <div class="action-bar" data-test="project-actions">
                                <b>{ say::visible(&project.name) }</b>
                                <button class="button" data-kind="quiet" data-test="edit-project" onclick={opened(Open::Edit(Some(project.clone())))}>{ icon(Glyph::Pencil) }{ "Edit" }{ key("E") }</button>
                                <button class="button" data-kind="quiet" data-test="delete-project" aria-disabled={project.delete_denied.is_some().then_some("true")}
                                    onclick={if project.delete_denied.is_none() { opened(Open::Delete(project.clone())) } else { Callback::noop() }}>{ icon(Glyph::Trash) }{ "Delete" }{ key("⇧X") }</button>
                                if let Some(why) = &project.delete_denied { <span class="weak" data-test="why-not">{ say::visible(why) }</span> }
                            </div>
                        }
                    </div>
                },
            } }
            { match (*open).clone() {
                Open::Nothing => Html::default(),
                Open::Edit(project) => html! { <EditDialog {project} on_close={close} /> },
                Open::Delete(project) => html! { <DeleteDialog {project} on_close={close} /> },
            } }
        </main>
    }
}

fn list(known: &[ProjectView], shown: Option<&ProjectView>, select: &UseStateSetter<Option<String>>) -> Html {
    html! {
        <div class="scroll">
            <div class="list project-list" role="grid" aria-label="Projects" data-test="project-list">
                <div class="columns" role="row">
                    { for ["Project", "Its runs may reach", "Tasks", "Open", "Made"].into_iter().enumerate().map(|(at, name)| html! {
                        <span class="cell" role="columnheader" key={at} data-as={matches!(at, 2 | 3).then_some("number")}>{ name }</span>
                    }) }
                </div>
                { for known.iter().map(|project| {
                    let (select, name) = (select.clone(), project.name.clone());
                    let is_selected = shown.is_some_and(|shown| shown.project == project.project);
                    let onclick = Callback::from(move |_: MouseEvent| select.set(Some(name.clone())));
                    html! {
                        <div class="row" role="row" key={project.project.to_string()} aria-selected={is_selected.to_string()} {onclick} data-test="project-row" data-name={project.name.clone()}>
                            <button class="cell" role="gridcell" data-flex="">{ small_icon(Glyph::Package) }<b>{ say::visible(&project.name) }</b></button>
                            <span class="cell" role="gridcell" data-as="detail">{ reach(&project.hosts) }</span>
                            <span class="cell" role="gridcell" data-as="number">{ project.tasks }</span>
                            <span class="cell" role="gridcell" data-as="number">{ project.tasks_open }</span>
                            <span class="cell" role="gridcell" data-as="detail"><Age since={project.created_at} />{ " ago" }</span>
                        </div>
                    }
                }) }
            </div>
        </div>
    }
}

/// What a project's runs may reach beside what their agents may, in a line.
fn reach(hosts: &[HostGrant]) -> String {
    match hosts {
        [] => "what their agents may".to_owned(),
        hosts => {
            let named: Vec<_> = hosts.iter().take(HOSTS_SHOWN_MAX).map(policy::said).collect();
            let more = hosts.len().saturating_sub(HOSTS_SHOWN_MAX);
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{}{rest}", named.join(", "))
        }
    }
}

/// Why a project cannot be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error(
        "1 to {PROJECT_NAME_CHARS_MAX} letters, digits, dashes, dots, underscores and single spaces, with a letter or a digit at both ends"
    )]
    Name,
    #[error("A host is written that is not in the list: add it, or empty its field")]
    Line,
    #[error("Nothing is changed")]
    Nothing,
}

/// What is sent for what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Make(CreateProject),
    Update(UpdateProject),
}

fn change(project: Option<&ProjectView>, name: &str, hosts: &[HostGrant], has_line: bool) -> Result<Change, Problem> {
    let name = name.trim();
    if !is_project_name(name) {
        return Err(Problem::Name);
    }
    let Some(project) = project else { return Ok(Change::Make(CreateProject { name: name.to_owned() })) };
    if has_line {
        return Err(Problem::Line);
    }
    let patch = HostsPatch::between(&project.hosts, hosts);
    let name = Some(name.to_owned()).filter(|name| *name != project.name);
    if name.is_none() && patch.is_empty() {
        return Err(Problem::Nothing);
    }
    Ok(Change::Update(UpdateProject { project: project.name.clone(), name, hosts: None, patch }))
}

#[derive(PartialEq, Properties)]
struct EditProps {
    /// The project that is changed; `None` for a new one.
    project: Option<Rc<ProjectView>>,
    on_close: Callback<()>,
}

#[component]
fn EditDialog(props: &EditProps) -> Html {
    let name = use_state_eq(|| props.project.as_ref().map_or_else(String::new, |project| project.name.clone()));
    let hosts = use_state_eq(|| Rc::new(props.project.as_ref().map_or_else(Vec::new, |project| project.hosts.clone())));
    let has_line = use_state_eq(|| false);
    let sending = use_sending(props.on_close.clone());
    let change = change(props.project.as_deref(), &name, &hosts, *has_line);
    let reason = sending.reason(&change);
    let on_save = {
        let (sending, can) = (sending.clone(), reason.is_none());
        Callback::from(move |_: MouseEvent| match &change {
            Ok(Change::Make(call)) if can => sending.send(call.clone()),
            Ok(Change::Update(call)) if can => sending.send(call.clone()),
            Ok(_) | Err(_) => {}
        })
    };
    let title = match &props.project {
        None => "Make a project".to_owned(),
        Some(project) => format!("Edit {}", say::visible(&project.name)),
    };
    let foot = html! {
        <>
            <span class="note" role="status">{ reason.clone().unwrap_or_default() }</span>
            <span class="spring"></span>
            <button class="button" data-kind="primary" data-test="project-yes" aria-disabled={reason.is_some().then_some("true")} onclick={on_save}>{ if props.project.is_some() { "Save" } else { "Make it" } }</button>
        </>
    };
    let on_name = {
        let name = name.setter();
        Callback::from(move |event: InputEvent| name.set(typed(&event)))
    };
    let on_hosts = {
        let hosts = hosts.setter();
        Callback::from(move |next: Vec<HostGrant>| hosts.set(Rc::new(next)))
    };
    let on_line = {
        let has_line = has_line.setter();
        Callback::from(move |is_written| has_line.set(is_written))
    };
    html! {
        <Modal {title} test="project-dialog" on_close={props.on_close.clone()} {foot}>
            <label class="field"><span class="label">{ "Name" }</span>
                <span class="input"><input class="value" autocomplete="off" spellcheck="false" data-test="project-name" value={(*name).clone()} oninput={on_name} /></span></label>
            if props.project.is_some() {
                <div class="field">
                    <span class="label">{ "Its runs may reach" }</span>
                    <span class="hint">{ "Beside what their agents may, from the next request on. An agent that is closed stays so." }</span>
                    <EditHosts hosts={(*hosts).clone()} {on_hosts} {on_line} />
                </div>
            }
            if let Some(error) = &sending.refused { <div data-test="dialog-error">{ refusal(error) }</div> }
        </Modal>
    }
}

#[derive(PartialEq, Properties)]
struct DeleteProps {
    project: Rc<ProjectView>,
    on_close: Callback<()>,
}

#[component]
fn DeleteDialog(props: &DeleteProps) -> Html {
    let sending = use_sending(props.on_close.clone());
    let project = props.project.clone();
    let on_yes = {
        let (sending, project) = (sending.clone(), project.name.clone());
        Callback::from(move |confirm: String| sending.send(DeleteProject { project: project.clone(), confirm }))
    };
    let consequence =
        html! { { "Its tasks stay, and what they cost. Its budget goes, and what its runs were allowed to reach." } };
    html! {
        <TypedName title={format!("Delete the project {}", say::visible(&project.name))} {consequence} name={project.name.clone()} verb="Delete"
            error={sending.refused.clone()} is_busy={sending.is_busy} {on_yes} on_close={props.on_close.clone()} />
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::network::GrantReach;

    fn host(name: &str) -> HostGrant {
        HostGrant { host: name.to_owned(), port: None, reach: GrantReach::Public }
    }

    fn project(hosts: &[HostGrant]) -> ProjectView {
        serde_json::from_value(serde_json::json!({
            "project": "0195510f-5a00-7000-8000-000000000007", "name": "site", "created_at": "2026-11-21T10:00:00Z", "tasks": 1,
            "tasks_open": 0, "hosts": hosts,
        }))
        .unwrap()
    }

    #[test]
    fn only_what_is_different_is_sent_so_that_others_changes_stay() {
        let site = project(&[host("a.example"), host("b.example")]);
        let update = |name: Option<&str>, allow: &[HostGrant], disallow: &[HostGrant]| {
            let patch = HostsPatch { allow: allow.to_vec(), disallow: disallow.to_vec() };
            let name = name.map(str::to_owned);
            Ok(Change::Update(UpdateProject { project: "site".to_owned(), name, hosts: None, patch }))
        };
        let to = |name: &str, hosts: &[HostGrant]| change(Some(&site), name, hosts, false);
        assert_eq!(
            to("site", &[host("b.example"), host("c.example")]),
            update(None, &[host("c.example")], &[host("a.example")])
        );
        assert_eq!(to(" harbour ", &site.hosts), update(Some("harbour"), &[], &[]));
        assert_eq!(to("site", &site.hosts), Err(Problem::Nothing));
        assert_eq!(to(" -", &site.hosts), Err(Problem::Name));
        assert_eq!(change(Some(&site), "site", &[], true), Err(Problem::Line));
        assert_eq!(change(None, "trip", &[], false), Ok(Change::Make(CreateProject { name: "trip".to_owned() })));
    }

    #[test]
    fn a_long_list_is_cut_in_its_row() {
        assert_eq!(reach(&[]), "what their agents may");
        let hosts: Vec<_> = ["a.example", "b.example", "c.example", "d.example"].map(host).to_vec();
        assert_eq!(reach(&hosts), "a.example, b.example, c.example and 1 more");
    }
}
