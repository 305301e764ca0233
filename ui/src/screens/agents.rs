//! The agents: who there is, what each runs in, may use, and does now; edited, renamed, duplicated, deleted.

mod edit;
pub mod network;

use std::rc::Rc;

use web_sys::{HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement};
use wire::{
    call::{DeleteAgent, DuplicateAgent, HomeFate, UpdateAgent},
    network::HostGrant,
    task::ReviewGate,
    view::{AgentAction, AgentColour, AgentView, TaskList},
};
use yew::prelude::*;

use self::{
    edit::{Draft, Program, is_name},
    network::EditNetwork,
};
use crate::{
    backend::{self, CallError},
    context::{use_desk, use_known},
    dialog::{Modal, TypedName},
    icon::{Glyph, icon},
    keys::{Scope, Taken, presses, use_keys},
    parts::{Broken, Go, Skeletons, key, refusal},
    query::Look,
    route::Route,
    say,
};

/// The screen.
#[component]
pub fn Agents() -> Html {
    let known = use_known();
    let desk = use_desk();
    let selected = use_state_eq(|| None::<String>);
    let list_of = known.agents.data.clone();
    let shown = list_of.as_ref().and_then(|list| {
        let chosen = selected.as_ref().and_then(|name| list.iter().find(|one| one.agent.to_string() == *name));
        chosen.or(list.first()).cloned().map(Rc::new)
    });
    {
        let (list, selected, shown) = (list_of, selected.clone(), shown.clone());
        use_keys(Scope::Page, move |event| {
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
            <header class="header"><h1>{ "Agents" }</h1></header>
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
                        if let Some(agent) = &shown { { network::facts(agent) } }
                        if let Some(agent) = shown { <Bar key={agent.agent.to_string()} agent={agent.clone()} /> }
                    </>
                },
            } }
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
                Some(AgentAction::Edit) => html! { <EditAgent agent={agent.clone()} on_close={close} /> },
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

/// Makes a call and closes the dialog; a refusal stays in it.
#[hook]
fn use_ask(on_close: Callback<()>) -> (Option<CallError>, bool, Callback<Ask>) {
    let desk = use_desk();
    let refused = use_state(|| None::<CallError>);
    let is_busy = use_state_eq(|| false);
    let ask = {
        let (refused, is_busy, refresh) = (refused.setter(), is_busy.setter(), desk.refresh.clone());
        Callback::from(move |ask: Ask| {
            let (refused, is_busy, refresh, close) =
                (refused.clone(), is_busy.clone(), refresh.clone(), on_close.clone());
            refused.set(None);
            is_busy.set(true);
            wasm_bindgen_futures::spawn_local(async move {
                let done = match ask {
                    Ask::Update(call) => backend::call(*call).await.map(drop),
                    Ask::Duplicate(call) => backend::call(call).await.map(drop),
                    Ask::Delete(call) => backend::call(call).await.map(drop),
                };
                is_busy.set(false);
                match done {
                    Ok(()) => close.emit(()),
                    Err(error) => refused.set(Some(error)),
                }
                refresh.emit(());
            });
        })
    };
    ((*refused).clone(), *is_busy, ask)
}

/// What the dialogs ask for.
enum Ask {
    Update(Box<UpdateAgent>),
    Duplicate(DuplicateAgent),
    Delete(DeleteAgent),
}

#[component]
fn EditAgent(props: &DialogProps) -> Html {
    let agent = &props.agent;
    let draft = use_state_eq(|| Draft::of(agent));
    let (refused, is_busy, ask) = use_ask(props.on_close.clone());
    let change = draft.change(agent);
    let reason = if is_busy { Some("Saving".to_owned()) } else { change.as_ref().err().map(ToString::to_string) };
    let on_save = Callback::from(move |_: MouseEvent| {
        if let Ok(change) = &change {
            ask.emit(Ask::Update(Box::new(change.clone())));
        }
    });
    let edited = {
        let draft = draft.clone();
        move |edit: fn(&mut Draft, String)| {
            let draft = draft.clone();
            Callback::from(move |event: InputEvent| {
                let typed = event
                    .target_dyn_into::<HtmlInputElement>()
                    .map(|input| input.value())
                    .or_else(|| event.target_dyn_into::<HtmlTextAreaElement>().map(|area| area.value()));
                let mut next = (*draft).clone();
                edit(&mut next, typed.unwrap_or_default());
                draft.set(next);
            })
        }
    };
    let chosen = {
        let draft = draft.clone();
        move |edit: fn(&mut Draft, &str)| {
            let draft = draft.clone();
            Callback::from(move |event: Event| {
                let Some(select) = event.target_dyn_into::<HtmlSelectElement>() else { return };
                let mut next = (*draft).clone();
                edit(&mut next, &select.value());
                draft.set(next);
            })
        }
    };
    let on_mode = {
        let draft = draft.clone();
        Callback::from(move |mode| draft.set(Draft { mode, ..(*draft).clone() }))
    };
    // Both are told of one press, one after the other: what was told first is not lost.
    let latest = use_mut_ref(|| (draft.hosts.clone(), draft.has_line));
    let on_hosts = {
        let (draft, latest) = (draft.clone(), latest.clone());
        Callback::from(move |hosts: Vec<HostGrant>| {
            latest.borrow_mut().0 = Rc::new(hosts);
            let (hosts, has_line) = latest.borrow().clone();
            draft.set(Draft { hosts, has_line, ..(*draft).clone() });
        })
    };
    let on_line = {
        let draft = draft.clone();
        Callback::from(move |has_line: bool| {
            latest.borrow_mut().1 = has_line;
            let (hosts, has_line) = latest.borrow().clone();
            draft.set(Draft { hosts, has_line, ..(*draft).clone() });
        })
    };
    let foot = html! {
        <>
            <span class="note" role="status">{ reason.clone().unwrap_or_else(|| "Tasks that wait already keep what they were given".to_owned()) }</span>
            <span class="spring"></span>
            <button class="button" data-kind="primary" data-test="save-agent" aria-disabled={reason.is_some().then_some("true")} onclick={on_save}>{ "Save" }</button>
        </>
    };
    html! {
        <Modal title={format!("Edit {}", agent.name)} test="edit-agent" on_close={props.on_close.clone()} {foot}>
            <label class="field"><span class="label">{ "Image" }</span>
                <span class="input"><input class="value" autocomplete="off" spellcheck="false" data-test="edit-image" value={draft.image.clone()} oninput={edited(|draft, text| draft.image = text)} /></span>
                <span class="hint">{ "The home stays as it is, whatever the image brings" }</span>
            </label>
            <label class="field"><span class="label">{ "Starts" }</span>
                <span class="input"><select class="value" data-test="edit-program" onchange={chosen(|draft, name| draft.program = Program::from_name(name).unwrap_or(draft.program))}>
                    { for Program::ALL.map(|(program, name, label)| html! { <option key={name} value={name} selected={draft.program == program}>{ label }</option> }) }
                </select></span>
            </label>
            if draft.program == Program::Command {
                <label class="field"><span class="label">{ "Command, an argument a line" }</span>
                    <textarea class="input" data-kind="area" rows="3" spellcheck="false" data-test="edit-command" value={draft.command.clone()} oninput={edited(|draft, text| draft.command = text)} />
                </label>
            }
            <div class="form">
                <label class="field"><span class="label">{ "Time" }</span>
                    <span class="input"><input class="value" inputmode="numeric" data-test="edit-minutes" value={draft.minutes.clone()} oninput={edited(|draft, text| draft.minutes = text)} /><span class="unit">{ "min" }</span></span></label>
                <label class="field"><span class="label">{ "Memory" }</span>
                    <span class="input"><input class="value" inputmode="numeric" data-test="edit-memory" value={draft.memory_mib.clone()} oninput={edited(|draft, text| draft.memory_mib = text)} /><span class="unit">{ "MiB" }</span></span></label>
                <label class="field"><span class="label">{ "At the end" }</span>
                    <span class="input"><select class="value" data-test="edit-review" onchange={chosen(|draft, name| draft.review = if name == "skip" { ReviewGate::Skip } else { ReviewGate::Ask })}>
                        <option value="ask" selected={draft.review == ReviewGate::Ask}>{ "Waits for you" }</option>
                        <option value="skip" selected={draft.review == ReviewGate::Skip}>{ "Completes by itself" }</option>
                    </select></span></label>
            </div>
            <div class="field"><span class="label">{ "Plate" }</span>
                <span class="plates" role="radiogroup" aria-label="Colour of the plate">
                    { for AgentColour::ALL.map(|colour| {
                        let draft_of = draft.clone();
                        html! {
                            <button class="plate" role="radio" key={colour.name()} aria-checked={(draft.colour == colour).to_string()} aria-label={colour.name()} title={colour.name()} data-test={format!("colour-{}", colour.name())}
                                onclick={Callback::from(move |_: MouseEvent| draft_of.set(Draft { colour, ..(*draft_of).clone() }))}>
                                <span class="pennant" data-colour={colour.name()} aria-hidden="true">{ &agent.call_sign }</span>
                            </button>
                        }
                    }) }
                </span>
            </div>
            <EditNetwork mode={draft.mode} hosts={draft.hosts.clone()} {on_mode} {on_hosts} {on_line} />
            if let Some(error) = &refused { <div data-test="dialog-error">{ refusal(error) }</div> }
        </Modal>
    }
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
    let (refused, is_busy, ask) = use_ask(props.on_close.clone());
    let reason = if is_busy {
        Some("At work")
    } else if is_name(&name) {
        (is_rename && *name == agent.name).then_some("It is called that already")
    } else {
        Some("Letters a to z, digits and dashes, beginning with a letter")
    };
    let yes = {
        let (agent, name, can) = (agent.name.clone(), (*name).clone(), reason.is_none());
        Callback::from(move |()| {
            let (agent, name) = (agent.clone(), name.clone());
            match (can, is_rename) {
                (false, _) => {}
                (true, true) => {
                    ask.emit(Ask::Update(Box::new(UpdateAgent { agent, name: Some(name), ..UpdateAgent::default() })));
                }
                (true, false) => ask.emit(Ask::Duplicate(DuplicateAgent { agent, name })),
            }
        })
    };
    let oninput = {
        let name = name.setter();
        Callback::from(move |event: InputEvent| {
            if let Some(input) = event.target_dyn_into::<HtmlInputElement>() {
                name.set(input.value());
            }
        })
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
            if let Some(error) = &refused { <div data-test="dialog-error">{ refusal(error) }</div> }
        </Modal>
    }
}

#[component]
fn RemoveAgent(props: &DialogProps) -> Html {
    let agent = &props.agent;
    let with_home = use_state_eq(|| false);
    let (error, is_busy, ask) = use_ask(props.on_close.clone());
    let on_yes = {
        let (agent, home) = (agent.name.clone(), if *with_home { HomeFate::Delete } else { HomeFate::Keep });
        Callback::from(move |confirm: String| {
            ask.emit(Ask::Delete(DeleteAgent { agent: agent.clone(), confirm, home }));
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
