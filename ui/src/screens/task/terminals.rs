//! The terminals of a step: what it writes, and shells beside it.

use std::rc::Rc;

use wire::{Phase, view::StepView};
use yew::prelude::*;

use crate::{
    icon::{Glyph, icon, small_icon},
    terminal::{Source, Terminal},
};

/// How many shells are open at once.
const SHELLS_MAX: usize = 4;

#[derive(PartialEq, Properties)]
pub struct TerminalsProps {
    pub step: Rc<StepView>,
    /// Whether the tab is the one in sight.
    pub is_visible: bool,
}

/// Which terminal is in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    Output,
    Shell(u32),
}

/// The tab. Terminals are made when it is first looked at, and stay for as long as the page does.
#[component]
pub fn Terminals(props: &TerminalsProps) -> Html {
    let step = &props.step;
    let was_seen = use_state_eq(|| false);
    let front = use_state_eq(|| Front::Output);
    let shells = use_state_eq(Vec::<u32>::new);
    let is_finding = use_state_eq(|| false);
    {
        let was_seen = was_seen.clone();
        use_effect_with(props.is_visible, move |is_visible| {
            if *is_visible {
                was_seen.set(true);
            }
        });
    }
    let on_find = {
        let is_finding = is_finding.setter();
        Callback::from(move |open| is_finding.set(open))
    };
    let open_shell = {
        let (shells, front) = (shells.clone(), front.setter());
        Callback::from(move |_: MouseEvent| {
            let number = shells.last().map_or(1, |last| last + 1);
            shells.set(shells.iter().copied().chain([number]).collect());
            front.set(Front::Shell(number));
        })
    };
    if !*was_seen {
        return Html::default();
    }
    let bring = |to: Front| {
        let front = front.setter();
        Callback::from(move |_: MouseEvent| front.set(to))
    };
    let close = |number: u32| {
        let (shells, front) = (shells.clone(), front.setter());
        Callback::from(move |event: MouseEvent| {
            event.stop_propagation();
            shells.set(shells.iter().copied().filter(|other| *other != number).collect());
            front.set(Front::Output);
        })
    };
    let is_live = step.phase == Phase::Executing;
    // Before the agent starts there is nothing to attach to.
    let has_output = step.output_bytes > 0 || is_live;
    let no_shell = if !is_live {
        Some("A shell needs a running sandbox")
    } else if shells.len() >= SHELLS_MAX {
        Some("Four shells are open")
    } else {
        None
    };
    html! {
        <div class="terminal" hidden={!props.is_visible}>
            <div class="strip-tabs" role="tablist" aria-label="Terminals">
                <button role="tab" aria-selected={(*front == Front::Output).to_string()} data-test="terminal-output" onclick={bring(Front::Output)}>
                    <span class="dot" data-tone={if is_live { "run" } else { "idle" }} data-kind={(!is_live).then_some("hollow")}></span>
                    { &step.agent }<span class="weak">{ &step.name }</span>
                </button>
                { for shells.iter().map(|number| html! {
                    <span class="shell-tab" key={*number}>
                        <button role="tab" aria-selected={(*front == Front::Shell(*number)).to_string()} onclick={bring(Front::Shell(*number))}>
                            { small_icon(Glyph::Terminal) }{ "Shell" }<span class="weak">{ *number }</span>
                        </button>
                        <button class="button" data-shape="icon" data-kind="quiet" data-size="s" aria-label={format!("End shell {number}")}
                            title="End this shell" onclick={close(*number)}>{ icon(Glyph::X) }</button>
                    </span>
                }) }
                if no_shell.is_none() {
                    <button class="button" data-kind="quiet" data-size="s" data-test="open-shell" onclick={open_shell}>{ icon(Glyph::Plus) }{ "Shell" }</button>
                }
                <span class="spring"></span>
                if let Some(reason) = no_shell { <span class="weak">{ reason }</span> }
                <button class="button" data-shape="icon" data-kind="quiet" data-size="s" aria-label="Find" title="Find"
                    onclick={on_find.reform(|_: MouseEvent| true)}>{ icon(Glyph::Search) }</button>
            </div>
            <div class="terminal-stack">
                <div class="terminal-layer" hidden={*front != Front::Output}>
                    if has_output {
                        <Terminal source={Source::Output(step.step)} total_bytes={step.output_bytes} is_visible={props.is_visible && *front == Front::Output}
                            is_finding={*is_finding && *front == Front::Output} on_find={on_find.clone()} />
                    } else {
                        <div class="empty" data-test="no-output"><h2>{ if step.phase.is_final() { "No output" } else { "No output yet" } }</h2><p>{ waiting(step.phase) }</p></div>
                    }
                </div>
                { for shells.iter().map(|number| {
                    let is_front = *front == Front::Shell(*number);
                    html! {
                        <div class="terminal-layer" key={*number} hidden={!is_front}>
                            <Terminal source={Source::Shell(step.step)} is_visible={props.is_visible && is_front} is_finding={*is_finding && is_front} on_find={on_find.clone()} />
                        </div>
                    }
                }) }
            </div>
        </div>
    }
}

const fn waiting(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "The step waits for its turn. Its output appears here as it comes.",
        Phase::Provisioning => "The sandbox is being made. The agent's output appears here as it comes.",
        Phase::Executing | Phase::AwaitingReview | Phase::Completed => "The agent wrote nothing.",
        Phase::Failed | Phase::Cancelled => "The step ended before its agent wrote anything.",
    }
}
