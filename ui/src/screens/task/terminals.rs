//! The terminals of a step: what it writes, and shells beside it, in which a person looks around or speaks with the agent.

use std::rc::Rc;

use wire::{Phase, stream::ShellProgram, view::StepView};
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

/// One that a person opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shell {
    number: u32,
    program: ShellProgram,
}

impl Shell {
    const fn word(self) -> &'static str {
        match self.program {
            ShellProgram::Shell => "Shell",
            ShellProgram::Agent => "Agent",
        }
    }
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
    let shells = use_state_eq(Vec::<Shell>::new);
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
    let open = {
        let (shells, front) = (shells.clone(), front.setter());
        move |program: ShellProgram| {
            let (shells, front) = (shells.clone(), front.clone());
            Callback::from(move |_: MouseEvent| {
                let number = shells.last().map_or(1, |last| last.number + 1);
                shells.set(shells.iter().copied().chain([Shell { number, program }]).collect());
                front.set(Front::Shell(number));
            })
        }
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
            shells.set(shells.iter().copied().filter(|other| other.number != number).collect());
            front.set(Front::Output);
        })
    };
    let is_live = step.phase == Phase::Executing;
    // Before the agent starts there is nothing to attach to.
    let has_output = step.output_bytes > 0 || is_live;
    let no_shell = if !is_live {
        Some("A shell needs a running sandbox")
    } else if shells.len() >= SHELLS_MAX {
        Some("Four terminals are open")
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
                { for shells.iter().map(|shell| tab(*shell, *front, &bring, &close)) }
                if no_shell.is_none() {
                    <button class="button" data-kind="quiet" data-size="s" data-test="open-shell" title="A shell in the sandbox, to look around"
                        onclick={open(ShellProgram::Shell)}>{ icon(Glyph::Plus) }{ "Shell" }</button>
                    if step.is_interactive {
                        <button class="button" data-kind="quiet" data-size="s" data-test="open-agent"
                            title="A conversation of its own with the agent, beside the one that works on the task" onclick={open(ShellProgram::Agent)}>
                            { icon(Glyph::Plus) }{ "Talk to the agent" }
                        </button>
                    }
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
                { for shells.iter().map(|shell| {
                    let is_front = *front == Front::Shell(shell.number);
                    html! {
                        <div class="terminal-layer" key={shell.number} hidden={!is_front}>
                            <Terminal source={Source::Shell(step.step, shell.program)} is_visible={props.is_visible && is_front} is_finding={*is_finding && is_front} on_find={on_find.clone()} />
                        </div>
                    }
                }) }
            </div>
        </div>
    }
}

fn tab(
    shell: Shell,
    front: Front,
    bring: &impl Fn(Front) -> Callback<MouseEvent>,
    close: &impl Fn(u32) -> Callback<MouseEvent>,
) -> Html {
    let Shell { number, .. } = shell;
    let (word, place) = (shell.word(), Front::Shell(number));
    html! {
        <span class="shell-tab" key={number}>
            <button role="tab" aria-selected={(front == place).to_string()} onclick={bring(place)}>
                { small_icon(Glyph::Terminal) }{ word }<span class="weak">{ number }</span>
            </button>
            <button class="button" data-shape="icon" data-kind="quiet" data-size="s" aria-label={format!("End {} {number}", word.to_lowercase())}
                title="End this terminal" onclick={close(number)}>{ icon(Glyph::X) }</button>
        </span>
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
