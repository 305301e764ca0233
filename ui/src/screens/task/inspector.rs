//! The facts of a run: its steps, the agent, the sandbox and what it may do, the limits.

use std::rc::Rc;

use wasm_bindgen::JsCast;
use web_sys::HtmlSelectElement;
use wire::{
    Phase, Priority,
    call::SetPriority,
    network::BRIDGE_GIVES_UP,
    queue::Wait,
    task::ReviewGate,
    view::{RunView, SandboxView, StepView},
};
use yew::prelude::*;

use crate::{
    backend::{self, CallError},
    clock::use_moment,
    context::use_desk,
    icon::{Glyph, icon, of_phase, small_icon},
    parts::{Stopwatch, refusal, tone_of_use},
    say,
    terminal::copy,
};

#[derive(PartialEq, Properties)]
pub struct InspectorProps {
    pub call_sign: String,
    pub priority: Priority,
    pub run: Rc<RunView>,
    pub step: Rc<StepView>,
}

/// The inspector.
#[component]
pub fn Inspector(props: &InspectorProps) -> Html {
    let step = &props.step;
    html! {
        <>
            <section class="section">
                <h3 class="title">{ "Steps" }<span class="spring"></span><span class="now">{ format!("run {}", props.run.ordinal) }</span></h3>
                <ol class="steps">{ for props.run.steps.iter().map(step_line) }</ol>
            </section>
            if !step.phase.is_final() { <Queue number={props.run.summary.number} priority={props.priority} step={step.clone()} /> }
            <section class="section">
                <h3 class="title">{ "Agent" }</h3>
                <dl class="facts">
                    <dt>{ "Agent" }</dt>
                    <dd><span class="inline"><span class="pennant" aria-hidden="true">{ &props.call_sign }</span>{ &step.agent }</span></dd>
                    <dt>{ "Image" }</dt>
                    <dd title={step.image.clone()}><code>{ say::visible(&step.image) }</code></dd>
                    <dt>{ "At the end" }</dt>
                    <dd>{ match step.review { ReviewGate::Ask => "waits for you", ReviewGate::Skip => "completes by itself" } }</dd>
                    if let Some(workspace) = &step.workspace {
                        <dt>{ "Results" }</dt>
                        <dd class="with-copy" title={workspace.clone()}>
                            <code>{ say::visible(say::path_tail(workspace)) }</code>
                            <button class="button" data-shape="icon" data-kind="quiet" data-size="s" aria-label="Copy the folder's path" title="Copy the folder's path"
                                onclick={let workspace = workspace.clone(); move |_: MouseEvent| copy(&workspace)}>{ icon(Glyph::Copy) }</button>
                        </dd>
                    }
                </dl>
            </section>
            if let Some(sandbox) = &step.sandbox { <Sandbox sandbox={Rc::new(sandbox.clone())} is_live={step.phase.is_live()} /> }
            <Limits step={step.clone()} />
        </>
    }
}

#[derive(PartialEq, Properties)]
struct QueueProps {
    number: i64,
    priority: Priority,
    step: Rc<StepView>,
}

/// Its turn in the queue, and why it does not start.
#[component]
fn Queue(props: &QueueProps) -> Html {
    let desk = use_desk();
    let refused = use_state(|| None::<CallError>);
    let onchange = {
        let (task, refused, refresh) = (props.number.to_string(), refused.setter(), desk.refresh.clone());
        Callback::from(move |event: Event| {
            let select = event.target().and_then(|target| target.dyn_into::<HtmlSelectElement>().ok());
            let Some(priority) = select.and_then(|select| Priority::from_name(&select.value())) else { return };
            let (task, refused, refresh) = (task.clone(), refused.clone(), refresh.clone());
            wasm_bindgen_futures::spawn_local(async move {
                refused.set(backend::call(SetPriority { task, priority }).await.err());
                refresh.emit(());
            });
        })
    };
    let wait = props.step.wait.as_ref().map(Wait::sentence);
    html! {
        <section class="section" data-test="queue">
            <h3 class="title">{ "Queue" }</h3>
            <dl class="facts">
                if let Some(wait) = wait { <dt>{ "Waits" }</dt><dd class="whole" data-test="wait">{ say::visible(&wait) }</dd> }
                if props.step.phase == Phase::Queued {
                    <dt>{ "Priority" }</dt>
                    <dd>
                        <select class="input" aria-label="Priority" data-test="priority" {onchange}>
                            { for Priority::ALL.into_iter().map(|priority| html! {
                                <option key={priority.name()} value={priority.name()} selected={priority == props.priority}>{ priority.word() }</option>
                            }) }
                        </select>
                    </dd>
                } else {
                    <dt>{ "Priority" }</dt><dd>{ props.priority.word() }</dd>
                }
            </dl>
            if let Some(error) = &*refused { { refusal(error) } }
        </section>
    }
}

fn step_line(step: &StepView) -> Html {
    let began = step.timeline.iter().find(|span| span.phase.is_live()).map(|span| span.entered_at);
    let ended =
        step.timeline.iter().find(|span| !span.phase.is_live() && began.is_some_and(|began| span.entered_at > began));
    html! {
        <li key={step.ordinal} data-phase={step.phase.name()}>
            <span class="toned">{ small_icon(of_phase(step.phase)) }</span>
            <span class="name">{ say::visible(&step.name) }</span><span class="weak">{ &step.agent }</span>
            <span class="time">if let Some(since) = began { <Stopwatch {since} until={ended.map(|span| span.entered_at)} /> }</span>
        </li>
    }
}

#[derive(PartialEq, Properties)]
struct SandboxProps {
    sandbox: Rc<SandboxView>,
    is_live: bool,
}

#[component]
fn Sandbox(props: &SandboxProps) -> Html {
    let zone_s = use_moment().zone_s;
    let sandbox = &props.sandbox;
    let has_card = sandbox.has_network_card();
    let is_root = sandbox.user == "0" || sandbox.user.starts_with("0:");
    html! {
        <section class="section" data-test="sandbox">
            <h3 class="title">{ "Sandbox" }<span class="spring"></span><span class="now">{ format!("since {}", say::clock_s(sandbox.created_at, zone_s)) }</span></h3>
            { promise(!has_card, if has_card { "A network of its own" } else { "No network card" }, &sandbox.network) }
            if has_card { <p class="small weak" data-test="network-gives-up">{ BRIDGE_GIVES_UP }</p> }
            { promise(!is_root, if is_root { "Root inside" } else { "Not root, no capabilities" }, &sandbox.user) }
            { promise(true, "Sees one folder of yours", "/workspace") }
            if props.is_live { { promise(sandbox.connected, if sandbox.connected { "Connected" } else { "Not connected now" }, "the pipe") } }
            <dl class="facts"><dt>{ "Container" }</dt><dd title={sandbox.container.clone()}><code>{ &sandbox.container }</code></dd></dl>
        </section>
    }
}

fn promise(holds: bool, text: &'static str, fact: &str) -> Html {
    html! {
        <div class="promise" data-weaker={(!holds).then_some("")}>
            { small_icon(if holds { Glyph::Check } else { Glyph::Triangle }) }{ text }<span class="weak">{ say::visible(fact) }</span>
        </div>
    }
}

#[derive(PartialEq, Properties)]
struct LimitsProps {
    step: Rc<StepView>,
}

#[component]
fn Limits(props: &LimitsProps) -> Html {
    let now = use_moment().now;
    let step = &props.step;
    let limits = &step.limits;
    let executing =
        step.timeline.iter().rev().find(|span| span.phase == wire::Phase::Executing && span.attempt == step.attempt);
    let spent_s = executing.map(|span| {
        let until = span.left_at.unwrap_or(now);
        worked_s(step, say::seconds_between(span.entered_at, until), until)
    });
    let wall_clock_s = i64::try_from(limits.wall_clock_s).unwrap_or(i64::MAX);
    html! {
        <section class="section">
            <h3 class="title">{ "Limits" }</h3>
            <dl class="facts">
                <dt>{ "Processor" }</dt><dd>{ say::cores(limits.cpu_milli) }</dd>
                <dt>{ "Memory" }</dt><dd>{ say::memory(limits.memory_bytes) }</dd>
                <dt>{ "Processes" }</dt><dd>{ limits.pids }</dd>
                if let Some(compute) = &step.compute {
                    <dt>{ "Used" }</dt><dd data-test="compute" title={compute.used.to_string()}>{ say::compute(compute) }</dd>
                }
            </dl>
            <div class="gauges">
                { gauge("Time", percent(spent_s.unwrap_or(0).unsigned_abs(), limits.wall_clock_s), of(spent_s.map_or_else(|| "–".to_owned(), say::stopwatch), &say::stopwatch(wall_clock_s))) }
                if step.held_since.is_some() { <p class="small weak" data-test="time-stands-still">{ "Its time stands still while it is held." }</p> }
                { gauge("Output", percent(step.output_bytes, limits.output_bytes), of(say::bytes(step.output_bytes), &say::bytes(limits.output_bytes))) }
                { gauge("Disk", percent(step.disk_bytes.unwrap_or(0), limits.disk_bytes), disk(step)) }
            </div>
        </section>
    }
}

/// Of so many seconds since its start, those in which the agent was not stopped by a hold: what counts towards its limit.
fn worked_s(step: &StepView, since_start_s: i64, until: jiff::Timestamp) -> i64 {
    let held_s = i64::try_from(step.held_ms / 1_000).unwrap_or(i64::MAX);
    let holding_s = step.held_since.map_or(0, |since| say::seconds_between(since, until));
    since_start_s.saturating_sub(held_s).saturating_sub(holding_s).max(0)
}

/// How much disk it takes. Nothing that was not looked at is said to be nothing.
fn disk(step: &StepView) -> Html {
    let limit = say::bytes(step.limits.disk_bytes);
    match step.disk_bytes {
        Some(bytes) => of(say::bytes(bytes), &limit),
        None if step.phase.is_live() => html! { "not yet measured" },
        None => of("–".to_owned(), &limit),
    }
}

fn of(value: String, limit: &str) -> Html {
    html! { <>{ value }<span class="weak">{ format!(" of {limit}") }</span></> }
}

/// How much of a limit is used: grey until 80 %, then a warning, then the end.
fn gauge(name: &'static str, percent: u64, value: Html) -> Html {
    let tone = tone_of_use(percent);
    html! {
        <div class="gauge">
            <span class="name">{ name }</span>
            <span class="meter" role="meter" aria-label={name} aria-valuemin="0" aria-valuemax="100" aria-valuenow={percent.to_string()} data-tone={tone}
                style={format!("--part: {percent}%")}></span>
            <span class="value">{ value }</span>
        </div>
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 { 100 } else { (u128::from(part) * 100 / u128::from(whole)).min(100).try_into().unwrap_or(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_never_leaves_its_scale() {
        for (part, whole, expected) in [(0, 60, 0), (30, 60, 50), (90, 60, 100), (5, 0, 100), (u64::MAX, u64::MAX, 100)]
        {
            assert_eq!(percent(part, whole), expected);
        }
    }
}
