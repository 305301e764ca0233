//! The page of a task: how it stands, what its agent writes, what it left, what happened.

mod actions;
mod inspector;
mod log;
mod network;
mod overview;
mod results;
mod seen;
mod terminals;
mod timeline;

use std::rc::Rc;

use web_sys::HtmlElement;
use wire::{
    Phase,
    call::ShowTask,
    view::{RunView, SandboxView, StepView, TaskView},
};
use yew::prelude::*;
use yew_router::prelude::*;

use self::{
    actions::Actions, inspector::Inspector, log::Log, network::Network, overview::Overview, results::Results,
    seen::Seen, terminals::Terminals, timeline::Timeline,
};
use crate::{
    context::{use_desk, use_feed},
    icon::{Glyph, icon, small_icon},
    keys::{Scope, Taken, use_keys},
    parts::{Broken, Go, Skeletons, badge},
    query::{Look, use_call, use_calm},
    route::{Route, TaskTab},
    say,
};

/// How often at most the page is asked for again because its agent spent something.
const COST_MS: u32 = 2_000;

#[derive(PartialEq, Properties)]
pub struct TaskProps {
    /// Its number, as it stands in the address.
    pub number: String,
    /// The tab; the one that the phase calls for where the address names none.
    pub tab: Option<TaskTab>,
}

/// The screen.
#[component]
pub fn Task(props: &TaskProps) -> Html {
    let desk = use_desk();
    let feed = use_feed();
    let id = use_state_eq(|| None);
    // What a run has cost grows with its requests, which come as often as its agent likes.
    let requests = use_calm(id.map_or(0, |id| feed.requests(id)), COST_MS);
    let query = use_call(Some(ShowTask { task: props.number.clone() }), feed.task(*id) + requests);
    {
        let id = id.setter();
        use_effect_with(query.data.as_ref().map(|view| view.row.task), move |task| id.set(*task));
    }
    match query.look() {
        Look::Loading => html! {
            <main class="content"><header class="header"><Crumbs number={props.number.clone()} /></header><div class="scroll"><Skeletons rows={6} /></div></main>
        },
        Look::Broken(error) => html! {
            <main class="content">
                <header class="header"><Crumbs number={props.number.clone()} /></header>
                <Broken what={format!("Task #{}", props.number)} error={error.clone()} on_retry={desk.refresh.clone()} />
            </main>
        },
        Look::Known(_) => match &query.data {
            Some(view) => html! { <Page view={view.clone()} tab={props.tab} /> },
            None => Html::default(),
        },
    }
}

#[derive(PartialEq, Properties)]
struct CrumbsProps {
    number: String,
}

#[component]
fn Crumbs(props: &CrumbsProps) -> Html {
    html! {
        <>
            <Go class="crumb" to={Route::Tasks}>{ "Tasks" }{ small_icon(Glyph::ChevronRight) }</Go>
            <span class="crumb weak">{ format!("#{}", props.number) }</span>
        </>
    }
}

#[derive(PartialEq, Properties)]
struct PageProps {
    view: Rc<TaskView>,
    tab: Option<TaskTab>,
}

/// The run that the page is about: the latest.
fn run_of(view: &TaskView) -> Option<&RunView> {
    view.runs.last()
}

/// The step that it is about: the first that has not ended, else the last.
fn step_of(run: &RunView) -> Option<&StepView> {
    run.steps.iter().find(|step| !step.phase.is_final()).or_else(|| run.steps.last())
}

/// The tab that the phase calls for.
const fn tab_of(phase: Phase, results: u64) -> TaskTab {
    match phase {
        Phase::Provisioning | Phase::Executing => TaskTab::Terminal,
        Phase::AwaitingReview | Phase::Completed if results > 0 => TaskTab::Results,
        Phase::AwaitingReview | Phase::Completed | Phase::Queued | Phase::Failed | Phase::Cancelled => {
            TaskTab::Overview
        }
    }
}

#[component]
fn Page(props: &PageProps) -> Html {
    let view = &props.view;
    let row = &view.row;
    let navigator = use_navigator();
    let tab = props.tab.unwrap_or_else(|| tab_of(row.phase, row.results));
    {
        // The address names the tab from here on, so that the phase changing moves nobody.
        let (navigator, number, is_named) = (navigator.clone(), row.number, props.tab.is_some());
        use_effect_with((), move |()| {
            if let (false, Some(navigator)) = (is_named, navigator) {
                navigator.replace(&Route::task_tab(number, tab));
            }
        });
    }
    let inspector = use_node_ref();
    let is_wanted = use_state_eq(|| None::<bool>);
    let toggle = {
        let (inspector, is_wanted) = (inspector.clone(), is_wanted.clone());
        Callback::from(move |()| {
            // Whether it shows depends on the width, too: what is seen is what is toggled.
            let is_shown = inspector.cast::<HtmlElement>().is_some_and(|element| element.offset_width() > 0);
            is_wanted.set(Some(!is_shown));
        })
    };
    {
        let (toggle, navigator, number) = (toggle.clone(), navigator.clone(), row.number);
        use_keys(Scope::Page, move |event| {
            let key = event.key();
            if key == "i" {
                toggle.emit(());
                return Taken::Yes;
            }
            match (TaskTab::of_key(&key), &navigator) {
                (Some(tab), Some(navigator)) => {
                    navigator.push(&Route::task_tab(number, tab));
                    Taken::Yes
                }
                (Some(_), None) | (None, _) => Taken::No,
            }
        });
    }
    let ended = view.runs.iter().filter(|run| run.summary.phase.is_final()).count();
    let run = run_of(view).cloned().map(Rc::new);
    let step = run.as_deref().and_then(step_of).cloned().map(Rc::new);
    html! {
        <main class="content" data-test="screen-task" data-number={row.number.to_string()}>
            <Seen number={row.number} {ended} />
            <header class="header">
                <Crumbs number={row.number.to_string()} />
                <h1 title={row.title.clone()}>{ say::visible(&row.title) }</h1>
                { badge(row.phase, row.attempt, &row.holds) }
                if let Some(cost) = row.cost { <Go class="crumb" test="task-cost" to={Route::task_tab(row.number, TaskTab::Network)}>{ cost.to_string() }</Go> }
                <span class="spring"></span>
                if let Some(step) = &step { <Actions step={step.clone()} /> }
                <span class="rule"></span>
                <button class="button" data-shape="icon" data-kind="quiet" aria-label="Inspector (I)" title="Inspector (I)"
                    onclick={toggle.reform(|_: MouseEvent| ())}>{ icon(Glyph::PanelRight) }</button>
            </header>
            <div class="split" data-inspector={is_wanted.map(|is_wanted| if is_wanted { "open" } else { "closed" })}>
                <div class="task">
                    if let Some(step) = &step { <Timeline step={step.clone()} /> }
                    <Tabs number={row.number} {tab} results={row.results} />
                    <Panes view={view.clone()} run={run.clone()} step={step.clone()} {tab} />
                </div>
                <aside class="inspector" ref={inspector} aria-label="Run">
                    if let (Some(run), Some(step)) = (run, step) { <Inspector call_sign={row.call_sign.clone()} priority={row.priority} {run} {step} /> }
                </aside>
            </div>
        </main>
    }
}

#[derive(PartialEq, Properties)]
struct TabsProps {
    number: i64,
    tab: TaskTab,
    results: u64,
}

#[component]
fn Tabs(props: &TabsProps) -> Html {
    let navigator = use_navigator();
    html! {
        <div class="tabs" role="tablist" aria-label="Task">
            { for TaskTab::ALL.into_iter().enumerate().map(|(at, tab)| {
                let (navigator, number) = (navigator.clone(), props.number);
                let onclick = Callback::from(move |_: MouseEvent| {
                    if let Some(navigator) = &navigator {
                        navigator.push(&Route::task_tab(number, tab));
                    }
                });
                html! {
                    <button key={tab.name()} role="tab" id={format!("tab-{tab}")} aria-selected={(tab == props.tab).to_string()} aria-controls="pane"
                        data-key={(at + 1).to_string()} aria-keyshortcuts={(at + 1).to_string()} data-test={format!("tab-{tab}")} {onclick}>
                        { tab.label() }
                        if tab == TaskTab::Results && props.results > 0 { <span class="extra">{ props.results }</span> }
                    </button>
                }
            }) }
        </div>
    }
}

#[derive(PartialEq, Properties)]
struct PanesProps {
    view: Rc<TaskView>,
    run: Option<Rc<RunView>>,
    step: Option<Rc<StepView>>,
    tab: TaskTab,
}

#[component]
fn Panes(props: &PanesProps) -> Html {
    let (Some(run), Some(step)) = (&props.run, &props.step) else {
        return html! { <div class="empty"><h2>{ "This task has no run" }</h2></div> };
    };
    let task = props.view.row.task;
    html! {
        <div class="panes" id="pane" role="tabpanel" aria-labelledby={format!("tab-{}", props.tab)}>
            // Once opened, the terminals stay: leaving the tab ends no shell and loses no place.
            <Terminals key={step.step.to_string()} step={step.clone()} is_visible={props.tab == TaskTab::Terminal} />
            { match props.tab {
                TaskTab::Overview => html! { <Overview view={props.view.clone()} run={run.clone()} step={step.clone()} /> },
                TaskTab::Terminal => Html::default(),
                TaskTab::Results => html! { <Results key={run.summary.run.to_string()} {task} run={run.clone()} /> },
                TaskTab::Network => {
                    let has_card = step.sandbox.as_ref().is_some_and(SandboxView::has_network_card);
                    html! { <Network {task} run={run.clone()} agent={step.agent.clone()} {has_card} /> }
                }
                TaskTab::Log => html! { <Log {task} /> },
            } }
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_opens_on_what_the_phase_makes_interesting() {
        for (phase, results, tab) in [
            (Phase::Queued, 0, TaskTab::Overview),
            (Phase::Executing, 3, TaskTab::Terminal),
            (Phase::Completed, 3, TaskTab::Results),
            (Phase::Completed, 0, TaskTab::Overview),
            (Phase::Failed, 3, TaskTab::Overview),
        ] {
            assert_eq!(tab_of(phase, results), tab, "{phase:?}");
        }
    }
}
