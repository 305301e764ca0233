//! What was asked for, how it stands, what came of it.

use std::rc::Rc;

use wire::view::{RunView, StepView, TaskView};
use yew::prelude::*;

use crate::{
    clock::use_moment,
    parts::{Go, Stopwatch, badge, error_panel},
    route::{Route, TaskTab},
    say,
};

#[derive(PartialEq, Properties)]
pub struct OverviewProps {
    pub view: Rc<TaskView>,
    pub run: Rc<RunView>,
    pub step: Rc<StepView>,
}

/// The tab.
#[component]
pub fn Overview(props: &OverviewProps) -> Html {
    let row = &props.view.row;
    let error = props.run.summary.error.as_ref().or(props.step.error.as_ref());
    html! {
        <div class="scroll overview" data-test="overview">
            if let Some(error) = error { { error_panel(error) } }
            if !row.note.is_empty() && error.is_none() {
                <section class="section">
                    <h3 class="title">{ "Now" }</h3>
                    <p data-test="note">{ say::visible(&row.note) }</p>
                </section>
            }
            if row.results > 0 {
                <section class="section">
                    <h3 class="title">{ "Results" }</h3>
                    <p>
                        <Go class="link" to={Route::task_tab(row.number, TaskTab::Results)}>{ say::count(row.results, "file", "files") }</Go>
                        if let Some(workspace) = &props.step.workspace { { " in " }<code>{ say::visible(workspace) }</code> }
                    </p>
                </section>
            }
            <section class="section">
                <h3 class="title">{ "Asked for" }</h3>
                <div class="prompt-text" data-test="asked">{ say::visible(&props.view.prompt) }</div>
            </section>
            if props.view.runs.len() > 1 {
                <section class="section">
                    <h3 class="title">{ "Runs" }</h3>
                    <ol class="runs" reversed=true>
                        { for props.view.runs.iter().rev().map(|run| html! { <Run key={run.ordinal} run={Rc::new(run.clone())} /> }) }
                    </ol>
                </section>
            }
        </div>
    }
}

#[derive(PartialEq, Properties)]
struct RunProps {
    run: Rc<RunView>,
}

#[component]
fn Run(props: &RunProps) -> Html {
    let moment = use_moment();
    let run = &props.run;
    html! {
        <li>
            <span class="weak">{ format!("Run {}", run.ordinal) }</span>
            { badge(run.summary.phase, 1, &[]) }
            <span class="weak">{ say::moment(run.created_at, moment.now, moment.zone_s) }</span>
            <span class="weak"><Stopwatch since={run.created_at} until={run.ended_at} /></span>
            if let Some(error) = &run.summary.error { <span class="run-error">{ say::visible(&error.message) }</span> }
        </li>
    }
}
