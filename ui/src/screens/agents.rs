//! The agents: who there is, what each runs in, may use, and does now.

use wire::{
    task::ReviewGate,
    view::{AgentView, TaskList},
};
use yew::prelude::*;

use crate::{
    context::{use_desk, use_known},
    parts::{Broken, Go, Skeletons},
    query::Look,
    route::Route,
    say,
};

/// The screen.
#[component]
pub fn Agents() -> Html {
    let known = use_known();
    let desk = use_desk();
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
                Look::Known(agents) => list(agents, known.tasks.data.as_deref()),
            } }
        </main>
    }
}

fn list(agents: &[AgentView], tasks: Option<&TaskList>) -> Html {
    html! {
        <div class="scroll">
            <div class="list agent-list" role="grid" aria-label="Agents">
                <div class="columns" role="row">
                    { for ["Agent", "Does", "State", "Image", "Limits of a step", "At the end", "Home"].map(|name| html! {
                        <span class="cell" role="columnheader" key={name}>{ name }</span>
                    }) }
                </div>
                { for agents.iter().map(|agent| row(agent, tasks)) }
            </div>
        </div>
    }
}

fn row(agent: &AgentView, tasks: Option<&TaskList>) -> Html {
    let limits = &agent.limits;
    let busy = agent.busy.map(|busy| tasks.and_then(|tasks| tasks.rows.iter().find(|row| row.task == busy)));
    html! {
        <div class="row" role="row" key={agent.name.clone()} data-test="agent-row" data-name={agent.name.clone()}>
            <span class="cell" role="gridcell" data-flex=""><span class="pennant" aria-hidden="true">{ &agent.call_sign }</span><b>{ &agent.name }</b></span>
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
            <span class="cell" role="gridcell" data-as="mono" title={agent.home.clone()}>{ &agent.home }</span>
        </div>
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
