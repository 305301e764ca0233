//! Setting a budget, raising it, taking it away.

use std::rc::Rc;

use wire::{
    MicroUsd,
    call::{ListProjects, SetBudget},
    cost::{BudgetScope, BudgetView},
};
use yew::prelude::*;

use super::asked::{dollars, written};
use crate::{
    context::{use_feed, use_known},
    dialog::Modal,
    parts::{chosen, refusal, typed},
    query::use_call,
    say,
    sending::use_sending,
};

/// What a budget is for, before it is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    EachRun,
    Run,
    Agent,
    Project,
}

impl Kind {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::EachRun, "each_run", "Each run, unless it has one of its own"),
        (Self::Run, "run", "One run"),
        (Self::Agent, "agent", "An agent, a month"),
        (Self::Project, "project", "A project, a month"),
    ];

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, other, _)| *other == name).map(|(kind, ..)| kind)
    }
}

/// A budget as it is being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Draft {
    kind: Kind,
    /// The run, the agent or the project.
    name: String,
    /// Dollars, as they were typed.
    limit: String,
}

/// Why it cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("Name what it is for")]
    NoName,
    #[error("The limit is an amount of dollars above zero, such as 5 or 0.25")]
    Limit,
}

impl Draft {
    /// A budget as it is.
    fn of(budget: &BudgetView) -> Self {
        let (kind, name) = match &budget.scope {
            BudgetScope::EachRun => (Kind::EachRun, String::new()),
            BudgetScope::Run { run } => (Kind::Run, run.clone()),
            BudgetScope::Agent { agent } => (Kind::Agent, agent.clone()),
            BudgetScope::Project { project } => (Kind::Project, project.clone()),
        };
        Self { kind, name, limit: written(budget.limit) }
    }

    fn scope(&self) -> Result<BudgetScope, Problem> {
        let name = self.name.trim().to_owned();
        if self.kind != Kind::EachRun && name.is_empty() {
            return Err(Problem::NoName);
        }
        Ok(match self.kind {
            Kind::EachRun => BudgetScope::EachRun,
            Kind::Run => BudgetScope::Run { run: name },
            Kind::Agent => BudgetScope::Agent { agent: name },
            Kind::Project => BudgetScope::Project { project: name },
        })
    }

    fn call(&self) -> Result<SetBudget, Problem> {
        let scope = self.scope()?;
        let limit = dollars(&self.limit).filter(|limit| *limit > MicroUsd(0)).ok_or(Problem::Limit)?;
        Ok(SetBudget { scope, limit: Some(limit) })
    }
}

#[derive(PartialEq, Properties)]
pub struct BudgetProps {
    /// The budget that is changed; `None` for another one.
    pub budget: Option<Rc<BudgetView>>,
    pub on_close: Callback<()>,
}

/// The dialog.
#[component]
pub fn BudgetDialog(props: &BudgetProps) -> Html {
    let known = use_known();
    let feed = use_feed();
    let projects = use_call(Some(ListProjects {}), feed.projects());
    let draft = use_state_eq(|| props.budget.as_deref().map_or_else(Draft::default, Draft::of));
    let sending = use_sending(props.on_close.clone());
    let call = draft.call();
    let (reason, save) = sending.offer(call);
    let on_remove = props.budget.as_ref().map(|budget| {
        let (sending, scope) = (sending.clone(), budget.scope.clone());
        Callback::from(move |_: MouseEvent| sending.send(SetBudget { scope: scope.clone(), limit: None }))
    });
    let edited = |edit: fn(&mut Draft, String)| {
        let draft = draft.clone();
        move |text: String| {
            let mut next = (*draft).clone();
            edit(&mut next, text);
            draft.set(next);
        }
    };
    let on_kind = edited(|draft, name| {
        draft.kind = Kind::from_name(&name).unwrap_or(draft.kind);
        draft.name.clear();
    });
    let (on_name, on_choice) = (edited(|draft, name| draft.name = name), edited(|draft, name| draft.name = name));
    let on_limit = edited(|draft, limit| draft.limit = limit);
    let onkeydown = {
        let save = save.clone();
        Callback::from(move |event: KeyboardEvent| {
            if event.key() == "Enter" {
                save.emit(());
            }
        })
    };
    let agents: Vec<_> =
        known.agents.data.iter().flat_map(|agents| agents.iter().map(|agent| agent.name.clone())).collect();
    let projects: Vec<_> =
        projects.data.iter().flat_map(|projects| projects.iter().map(|project| project.name.clone())).collect();
    let title = props
        .budget
        .as_ref()
        .map_or_else(|| "Set a budget".to_owned(), |budget| format!("Budget: {}", say::visible(&budget.label)));
    let note = reason.clone().unwrap_or_else(|| "Raised, it lets go on what it held".to_owned());
    let foot = html! {
        <>
            <span class="note" role="status">{ note }</span>
            <span class="spring"></span>
            if let Some(on_remove) = on_remove {
                <button class="button" data-kind="danger" data-test="budget-remove" title="Nothing stops then what it covered" aria-disabled={sending.is_busy.then_some("true")} onclick={on_remove}>{ "Remove it" }</button>
            }
            <button class="button" data-kind="primary" data-test="budget-yes" aria-disabled={reason.is_some().then_some("true")} onclick={save.reform(|_: MouseEvent| ())}>{ "Set" }</button>
        </>
    };
    html! {
        <Modal {title} test="budget-dialog" on_close={props.on_close.clone()} {foot}>
            if props.budget.is_none() {
                <label class="field"><span class="label">{ "For" }</span>
                    <span class="input"><select class="value" data-test="budget-kind" onchange={move |event: Event| on_kind(chosen(&event))}>
                        { for Kind::ALL.map(|(kind, name, label)| html! { <option key={name} value={name} selected={draft.kind == kind}>{ label }</option> }) }
                    </select></span>
                </label>
                { match draft.kind {
                    Kind::EachRun => Html::default(),
                    Kind::Agent => named("Agent", "budget-agent", &agents, &draft.name, on_choice),
                    Kind::Project => html! {
                        <>
                            { named("Project", "budget-project", &projects, &draft.name, on_choice) }
                            if projects.is_empty() { <span class="hint">{ "There is none yet: berth projects create makes one" }</span> }
                        </>
                    },
                    Kind::Run => html! {
                        <label class="field"><span class="label">{ "Run, or the number of its task" }</span>
                            <span class="input"><input class="value" autocomplete="off" spellcheck="false" data-test="budget-name" value={draft.name.clone()} oninput={move |event: InputEvent| on_name(typed(&event))} /></span></label>
                    },
                } }
            }
            <label class="field"><span class="label">{ "Limit" }</span>
                <span class="input"><span class="unit">{ "$" }</span><input class="value" inputmode="decimal" autocomplete="off" data-test="budget-limit" value={draft.limit.clone()} oninput={move |event: InputEvent| on_limit(typed(&event))} {onkeydown} /></span>
                <span class="hint">{ "A model without a known price is refused where a budget holds: what it costs could not be told" }</span>
            </label>
            if let Some(error) = &sending.refused { <div data-test="dialog-error">{ refusal(error) }</div> }
        </Modal>
    }
}

/// One of several by name.
fn named(
    label: &'static str,
    test: &'static str,
    names: &[String],
    is_chosen: &str,
    on_choice: impl Fn(String) + 'static,
) -> Html {
    html! {
        <label class="field"><span class="label">{ label }</span>
            <span class="input"><select class="value" data-test={test} onchange={move |event: Event| on_choice(chosen(&event))}>
                <option value="" selected={is_chosen.is_empty()}>{ "Choose" }</option>
                { for names.iter().map(|name| html! { <option key={name.clone()} value={name.clone()} selected={is_chosen == name}>{ name }</option> }) }
            </select></span></label>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_that_is_changed_stays_for_what_it_was_for() {
        for scope in [
            BudgetScope::EachRun,
            BudgetScope::Run { run: "0195510f".to_owned() },
            BudgetScope::Agent { agent: "mason".to_owned() },
            BudgetScope::Project { project: "tidewater".to_owned() },
        ] {
            let budget = BudgetView {
                scope: scope.clone(),
                label: String::new(),
                task: None,
                limit: MicroUsd(2_500_000),
                spent: None,
                reserved: MicroUsd(0),
            };
            assert_eq!(Draft::of(&budget).call(), Ok(SetBudget { scope, limit: Some(MicroUsd(2_500_000)) }));
        }
    }

    #[test]
    fn what_makes_no_budget_is_said_before_it_is_sent() {
        let draft = |kind, name: &str, limit: &str| Draft { kind, name: name.to_owned(), limit: limit.to_owned() };
        assert_eq!(draft(Kind::Agent, " ", "5").call(), Err(Problem::NoName));
        for limit in ["", "0", "-1", "lots"] {
            assert_eq!(draft(Kind::EachRun, "", limit).call(), Err(Problem::Limit), "{limit}");
        }
        assert!(draft(Kind::EachRun, "", "0.25").call().is_ok());
    }
}
