//! The agents: who there is, what each runs in, brings, may use, and does now; made, edited, renamed, duplicated, deleted.

mod chooser;
mod draft;
mod facts;
mod form;
mod grants;
pub mod network;
mod persona;
mod tools;

use std::rc::Rc;

use wire::{
    call::{DeleteAgent, DuplicateAgent, HomeFate, UpdateAgent},
    task::ReviewGate,
    view::{AgentAction, AgentView, TaskList},
};
use yew::prelude::*;

pub use self::{draft::is_name, form::AgentForm};
use crate::{
    context::{use_desk, use_known},
    dialog::{Modal, TypedName},
    icon::{Glyph, icon},
    keys::{Scope, Taken, presses, use_keys},
    parts::{Broken, Go, Skeletons, key, refusal, typed},
    query::Look,
    route::Route,
    say,
    sending::use_sending,
};

/// The screen.
#[component]
pub fn Agents() -> Html {
    let known = use_known();
    let desk = use_desk();
    let selected = desk.agent.clone();
    let is_making = use_state_eq(|| false);
    let list_of = known.agents.data.clone();
    let shown = list_of.as_ref().and_then(|list| {
        let chosen = selected.as_ref().and_then(|name| list.iter().find(|one| one.agent.to_string() == *name));
        chosen.or(list.first()).cloned().map(Rc::new)
    });
    {
        let (list, selected, shown, is_making) = (list_of, selected.clone(), shown.clone(), is_making.setter());
        use_keys(Scope::Page, move |event| {
            if presses(&event.key(), event.shift_key(), "N") {
                is_making.set(true);
                return Taken::Yes;
            }
            let (Some(list), Some(shown)) = (&list, &shown) else { return Taken::No };
            let at = list.iter().position(|one| one.agent == shown.agent).unwrap_or(0);
            let to = match event.key().as_str() {
                "j" | "ArrowDown" => (at + 1).min(list.len().saturating_sub(1)),
                "k" | "ArrowUp" => at.saturating_sub(1),
                _ => return Taken::No,
            };
            selected.set(list.get(to).map(|one| one.agent.to_string()));
            Taken::Yes
        });
    }
    html! {
        <main class="content" data-test="screen-agents">
            <header class="header">
                <h1>{ "Agents" }</h1>
                <span class="spring"></span>
                <button class="button" data-kind="primary" data-test="new-agent" onclick={{ let is_making = is_making.setter(); move |_: MouseEvent| is_making.set(true) }}>{ icon(Glyph::Plus) }{ "New agent" }{ key("N") }</button>
            </header>
            { match known.agents.look() {
                Look::Loading => html! { <div class="scroll"><Skeletons rows={4} /></div> },
                Look::Broken(error) => html! { <Broken what="The list of agents" error={error.clone()} on_retry={desk.refresh.clone()} /> },
                Look::Known(agents) if agents.is_empty() => html! {
                    <div class="empty">
                        <h2>{ "No agents" }</h2>
                        <p>{ "Berth makes the agent script when it starts. That there is none means that it could not write its data folder." }</p>
                    </div>
                },
                Look::Known(agents) => html! {
                    <>
                        { list(agents, known.tasks.data.as_deref(), shown.as_deref(), &selected.setter()) }
                        if let Some(agent) = &shown { { facts::facts(agent) } }
                        if let Some(agent) = shown { <Bar key={agent.agent.to_string()} agent={agent.clone()} /> }
                    </>
                },
            } }
            if *is_making {
                <AgentForm on_close={Callback::from(move |made: Option<AgentView>| {
                    is_making.set(false);
                    if let Some(made) = made {
                        selected.set(Some(made.agent.to_string()));
                    }
                })} />
            }
        </main>
    }
}

fn list(
    agents: &[AgentView],
    tasks: Option<&TaskList>,
    shown: Option<&AgentView>,
    select: &UseStateSetter<Option<String>>,
) -> Html {
    html! {
        <div class="scroll">
            <div class="list agent-list" role="grid" aria-label="Agents">
                <div class="columns" role="row">
                    { for ["Agent", "Does", "State", "Image", "Limits of a step", "At the end", "Home"].map(|name| html! {
                        <span class="cell" role="columnheader" key={name}>{ name }</span>
                    }) }
                </div>
                { for agents.iter().map(|agent| {
                    let (select, id) = (select.clone(), agent.agent.to_string());
                    let is_selected = shown.is_some_and(|shown| shown.agent == agent.agent);
                    row(agent, tasks, is_selected, Callback::from(move |_: MouseEvent| select.set(Some(id.clone()))))
                }) }
            </div>
        </div>
    }
}

fn row(agent: &AgentView, tasks: Option<&TaskList>, is_selected: bool, onclick: Callback<MouseEvent>) -> Html {
    let limits = &agent.limits;
    let busy = agent.busy.map(|busy| tasks.and_then(|tasks| tasks.rows.iter().find(|row| row.task == busy)));
    html! {
        <div class="row" role="row" key={agent.agent.to_string()} aria-selected={is_selected.to_string()} {onclick} data-test="agent-row" data-name={agent.name.clone()}>
            <button class="cell" role="gridcell" data-flex=""><span class="pennant" aria-hidden="true" data-colour={agent.colour.name()}>{ &agent.call_sign }</span><b>{ &agent.name }</b></button>
            <span class="cell" role="gridcell" data-as="detail" title={agent.description.clone()}>{ &agent.description }</span>
            <span class="cell" role="gridcell" data-as="detail">
                { match busy {
                    None => html! { <span class="state"><span class="dot" data-kind="hollow"></span>{ "Idle" }</span> },
                    Some(None) => html! { <span class="state"><span class="dot" data-tone="run"></span>{ "At work" }</span> },
                    Some(Some(task)) => html! {
                        <Go class="state link" to={Route::task(task.number)}>
                            <span class="dot" data-tone="run"></span>{ format!("At work on #{}", task.number) }
                        </Go>
                    },
                } }
            </span>
            <span class="cell" role="gridcell" data-as="mono">{ &agent.image }</span>
            <span class="cell" role="gridcell" data-as="detail">
                { format!("{}, {}, {}", say::memory(limits.memory_bytes), say::cores(limits.cpu_milli), span(limits.wall_clock_s)) }
            </span>
            <span class="cell" role="gridcell" data-as="detail">
                { match agent.review { ReviewGate::Ask => "Waits for you", ReviewGate::Skip => "Completes by itself" } }
            </span>
            <span class="cell" role="gridcell" data-as="mono" title={agent.home.clone()}><Go to={Route::Folder { home: agent.home.clone() }}>{ &agent.home }</Go></span>
        </div>
    }
}

#[derive(PartialEq, Properties)]
struct BarProps {
    agent: Rc<AgentView>,
}

/// What can be done to the selected agent.
#[component]
fn Bar(props: &BarProps) -> Html {
    let agent = &props.agent;
    let asked = use_state_eq(|| None::<AgentAction>);
    let begin = {
        let asked = asked.setter();
        Callback::from(move |action: AgentAction| asked.set(Some(action)))
    };
    {
        let (begin, agent) = (begin.clone(), agent.clone());
        use_keys(Scope::Page, move |event| {
            let can = agent.actions.iter().filter(|action| action.denied.is_none()).map(|action| action.action);
            match can.into_iter().find(|action| presses(&event.key(), event.shift_key(), action.key())) {
                Some(action) => {
                    begin.emit(action);
                    Taken::Yes
                }
                None => Taken::No,
            }
        });
    }
    let close = {
        let asked = asked.setter();
        Callback::from(move |()| asked.set(None))
    };
    let why = agent.actions.iter().find_map(|view| view.denied.as_deref());
    html! {
        <>
            <div class="action-bar" data-test="agent-actions">
                <b>{ &agent.name }</b>
                { for agent.actions.iter().map(|view| {
                    let (begin, action, can) = (begin.clone(), view.action, view.denied.is_none());
                    html! {
                        <span class="action" key={action.label()}>
                            <button class="button" data-kind="quiet" data-test={format!("agent-{}", action.label().to_lowercase())} aria-disabled={(!can).then_some("true")}
                                onclick={Callback::from(move |_: MouseEvent| if can { begin.emit(action) })}>
                                { icon(glyph_of(action)) }{ action.label() }{ key(action.key()) }
                            </button>
                        </span>
                    }
                }) }
                if let Some(why) = why { <span class="weak" data-test="why-not">{ say::visible(why) }</span> }
            </div>
            { match *asked {
                None => Html::default(),
                Some(AgentAction::Edit) => html! { <AgentForm agent={agent.clone()} on_close={close.reform(|_: Option<AgentView>| ())} /> },
                Some(action @ (AgentAction::Rename | AgentAction::Duplicate)) => html! { <NameAgent agent={agent.clone()} {action} on_close={close} /> },
                Some(AgentAction::Delete) => html! { <RemoveAgent agent={agent.clone()} on_close={close} /> },
            } }
        </>
    }
}

const fn glyph_of(action: AgentAction) -> Glyph {
    match action {
        AgentAction::Edit => Glyph::Pencil,
        AgentAction::Rename => Glyph::FilePen,
        AgentAction::Duplicate => Glyph::Copy,
        AgentAction::Delete => Glyph::Trash,
    }
}

#[derive(PartialEq, Properties)]
struct DialogProps {
    agent: Rc<AgentView>,
    on_close: Callback<()>,
}

#[derive(PartialEq, Properties)]
struct NameProps {
    agent: Rc<AgentView>,
    action: AgentAction,
    on_close: Callback<()>,
}

#[component]
fn NameAgent(props: &NameProps) -> Html {
    let agent = &props.agent;
    let is_rename = props.action == AgentAction::Rename;
    let name = use_state_eq(|| if is_rename { agent.name.clone() } else { format!("{}-2", agent.name) });
    let sending = use_sending(props.on_close.clone());
    let reason = if sending.is_busy {
        Some("At work")
    } else if is_name(&name) {
        (is_rename && *name == agent.name).then_some("It is called that already")
    } else {
        Some("Letters a to z, digits and dashes, beginning with a letter")
    };
    let yes = {
        let (sending, agent, name, can) = (sending.clone(), agent.name.clone(), (*name).clone(), reason.is_none());
        Callback::from(move |()| {
            let (agent, name) = (agent.clone(), name.clone());
            match (can, is_rename) {
                (false, _) => {}
                (true, true) => sending.send(UpdateAgent { agent, name: Some(name), ..UpdateAgent::default() }),
                (true, false) => sending.send(DuplicateAgent { agent, name }),
            }
        })
    };
    let oninput = {
        let name = name.setter();
        Callback::from(move |event: InputEvent| name.set(typed(&event)))
    };
    let onkeydown = {
        let yes = yes.clone();
        Callback::from(move |event: KeyboardEvent| {
            if event.key() == "Enter" {
                yes.emit(());
            }
        })
    };
    let (title, hint) = if is_rename {
        (
            format!("Rename {}", agent.name),
            "Its home and its memory go along; a link with the old name stays in clawvault",
        )
    } else {
        (format!("Duplicate {}", agent.name), "The same image, limits and review; a home of its own, made anew")
    };
    let foot = html! {
        <>
            <span class="note" role="status">{ reason.unwrap_or_default() }</span>
            <span class="spring"></span>
            <button class="button" data-kind="primary" data-test="name-yes" aria-disabled={reason.is_some().then_some("true")} onclick={yes.reform(|_: MouseEvent| ())}>{ props.action.label() }</button>
        </>
    };
    html! {
        <Modal {title} test="name-agent" on_close={props.on_close.clone()} {foot}>
            <label class="field"><span class="label">{ "Name" }</span>
                <span class="input"><input class="value" autocomplete="off" spellcheck="false" data-test="agent-name" value={(*name).clone()} {oninput} {onkeydown} /></span>
                <span class="hint">{ hint }</span>
            </label>
            if let Some(error) = &sending.refused { <div data-test="dialog-error">{ refusal(error) }</div> }
        </Modal>
    }
}

#[component]
fn RemoveAgent(props: &DialogProps) -> Html {
    let agent = &props.agent;
    let with_home = use_state_eq(|| false);
    let sending = use_sending(props.on_close.clone());
    let (error, is_busy) = (sending.refused.clone(), sending.is_busy);
    let on_yes = {
        let (agent, home) = (agent.name.clone(), if *with_home { HomeFate::Delete } else { HomeFate::Keep });
        Callback::from(move |confirm: String| {
            sending.send(DeleteAgent { agent: agent.clone(), confirm, home });
        })
    };
    let choice = |value: bool, label: &'static str, test: &'static str| {
        let with_home_of = with_home.setter();
        html! {
            <label class="choice"><input type="radio" name="home-fate" data-test={test} checked={*with_home == value} onchange={Callback::from(move |_: Event| with_home_of.set(value))} />{ label }</label>
        }
    };
    let consequence =
        html! { "The agent cannot be brought back. Its tasks stay, and go on naming it; they cannot run again." };
    html! {
        <TypedName title={format!("Delete {}", agent.name)} name={agent.name.clone()} verb="Delete" {consequence} {error} {is_busy} {on_yes} on_close={props.on_close.clone()}>
            <div class="field"><span class="label">{ "Its home" }</span>
                { choice(false, "stays, and is listed in Homes as that of a deleted agent", "keep-home") }
                { choice(true, "is deleted too, with everything in it", "delete-home") }
            </div>
        </TypedName>
    }
}

/// A limit on time as it is set: in minutes or hours.
fn span(seconds: u64) -> String {
    match seconds {
        seconds if seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        seconds if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_on_time_is_said_in_the_largest_unit_that_fits() {
        for (seconds, said) in [(3_600, "1 h"), (2_700, "45 min"), (90, "90 s")] {
            assert_eq!(span(seconds), said);
        }
    }
}
