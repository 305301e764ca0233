//! The phases of a step as a line: those it went through, the one it is in, those that are expected.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use wire::{Phase, task::ReviewGate, view::StepView};
use yew::prelude::*;

use crate::{
    clock::use_moment,
    icon::{Glyph, of_phase, small_icon},
    parts::Stopwatch,
    say,
};

/// One stop on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Behind it; how long it took.
    Past(Phase, SignedDuration),
    /// Where it is, since when.
    Now(Phase, Timestamp),
    /// Ahead of it, if nothing goes wrong.
    Next(Phase),
}

impl Stop {
    const fn place(self) -> &'static str {
        match self {
            Self::Past(..) => "past",
            Self::Now(..) => "now",
            Self::Next(_) => "next",
        }
    }
}

/// The stops of a step's latest attempt.
fn stops(step: &StepView) -> Vec<Stop> {
    let spans: Vec<_> = step.timeline.iter().filter(|span| span.attempt == step.attempt).collect();
    let mut stops: Vec<_> = spans
        .iter()
        .map(|span| match span.left_at {
            Some(left_at) => Stop::Past(span.phase, left_at.duration_since(span.entered_at)),
            None => Stop::Now(span.phase, span.entered_at),
        })
        .collect();
    if step.phase.is_final() {
        return stops;
    }
    let ahead = [Phase::Provisioning, Phase::Executing, Phase::AwaitingReview, Phase::Completed];
    let expected = ahead.into_iter().filter(|phase| *phase > step.phase);
    stops.extend(
        expected.filter(|phase| *phase != Phase::AwaitingReview || step.review == ReviewGate::Ask).map(Stop::Next),
    );
    stops
}

#[derive(PartialEq, Properties)]
pub struct TimelineProps {
    pub step: Rc<StepView>,
}

/// The line.
#[component]
pub fn Timeline(props: &TimelineProps) -> Html {
    let step = &props.step;
    let stops = stops(step);
    html! {
        <ol class="timeline" aria-label="Phases" data-test="timeline">
            { for stops.iter().enumerate().map(|(at, stop)| html! {
                <>
                    if at > 0 {
                        <li class="line" aria-hidden="true" data-at={if stop.place() == "next" { "next" } else { "past" }}></li>
                    }
                    { drawn(*stop, step) }
                </>
            }) }
        </ol>
    }
}

fn drawn(at: Stop, step: &StepView) -> Html {
    match at {
        Stop::Past(phase, took) => html! {
            <li data-at="past">{ small_icon(Glyph::Check) }{ phase.word() }{ " " }<span class="time">{ say::took(took) }</span></li>
        },
        Stop::Now(phase, since) => html! {
            <li data-at="now" data-phase={phase.name()} aria-current="step">
                { small_icon(of_phase(phase)) }{ phase.word() }{ " " }
                <span class="time"><Now {phase} {since} output_at={step.output_at} progress={progress(step)} /></span>
            </li>
        },
        Stop::Next(phase) => html! { <li data-at="next">{ small_icon(of_phase(phase)) }{ phase.word() }</li> },
    }
}

fn progress(step: &StepView) -> AttrValue {
    match &step.progress {
        Some(stage) if step.phase == Phase::Provisioning => {
            format!(" · {}, {} of {}", say::visible(&stage.stage), stage.number, stage.of).into()
        }
        Some(_) | None => AttrValue::default(),
    }
}

#[derive(PartialEq, Properties)]
struct NowProps {
    phase: Phase,
    since: Timestamp,
    output_at: Option<Timestamp>,
    progress: AttrValue,
}

/// What the clock says of the phase that a step is in.
#[component]
fn Now(props: &NowProps) -> Html {
    let moment = use_moment();
    if props.phase.is_final() {
        return html! { { say::moment(props.since, moment.now, moment.zone_s) } };
    }
    let output = props.output_at.filter(|_| props.phase == Phase::Executing);
    html! {
        <>
            <Stopwatch since={props.since} />
            { props.progress.clone() }
            if let Some(at) = output { { format!(" · last output {} ago", say::age(say::seconds_between(at, moment.now)).replace("now", "0 s")) } }
        </>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(phase: Phase, review: ReviewGate, attempt: u32, timeline: &serde_json::Value) -> StepView {
        serde_json::from_value(serde_json::json!({
            "step": "00000000-0000-7000-8000-000000000001", "ordinal": 1, "name": "main", "agent": "script", "image": "script",
            "phase": phase, "holds": [], "attempt": attempt, "review": review, "timeline": timeline, "limits": {}, "output_bytes": 0,
            "actions": [],
        }))
        .unwrap()
    }

    fn phases(stops: &[Stop]) -> Vec<(&'static str, Phase)> {
        stops
            .iter()
            .map(|stop| match stop {
                Stop::Past(phase, _) | Stop::Now(phase, _) | Stop::Next(phase) => (stop.place(), *phase),
            })
            .collect()
    }

    #[test]
    fn a_step_at_work_shows_what_is_behind_and_what_is_ahead() {
        let timeline = serde_json::json!([
            {"phase": "queued", "attempt": 1, "entered_at": "2026-11-21T10:00:00Z", "left_at": "2026-11-21T10:00:02Z"},
            {"phase": "executing", "attempt": 1, "entered_at": "2026-11-21T10:00:02Z", "left_at": null},
        ]);
        let asked = stops(&step(Phase::Executing, ReviewGate::Ask, 1, &timeline));
        assert_eq!(
            phases(&asked),
            [
                ("past", Phase::Queued),
                ("now", Phase::Executing),
                ("next", Phase::AwaitingReview),
                ("next", Phase::Completed)
            ]
        );
        let skipped = stops(&step(Phase::Executing, ReviewGate::Skip, 1, &timeline));
        assert_eq!(phases(&skipped).last(), Some(&("next", Phase::Completed)));
        assert_eq!(skipped.len(), 3);
    }

    #[test]
    fn a_step_that_ended_expects_nothing() {
        let timeline = serde_json::json!([
            {"phase": "executing", "attempt": 1, "entered_at": "2026-11-21T10:00:02Z", "left_at": "2026-11-21T10:00:04Z"},
            {"phase": "failed", "attempt": 1, "entered_at": "2026-11-21T10:00:04Z", "left_at": null},
        ]);
        let stops = stops(&step(Phase::Failed, ReviewGate::Ask, 1, &timeline));
        assert_eq!(phases(&stops), [("past", Phase::Executing), ("now", Phase::Failed)]);
    }

    #[test]
    fn another_attempt_begins_a_line_of_its_own() {
        let timeline = serde_json::json!([
            {"phase": "awaiting_review", "attempt": 1, "entered_at": "2026-11-21T10:00:02Z", "left_at": "2026-11-21T10:00:04Z"},
            {"phase": "queued", "attempt": 2, "entered_at": "2026-11-21T10:00:04Z", "left_at": null},
        ]);
        let stops = stops(&step(Phase::Queued, ReviewGate::Skip, 2, &timeline));
        assert_eq!(phases(&stops)[0], ("now", Phase::Queued));
    }
}
