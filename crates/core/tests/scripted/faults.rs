//! The kill matrix of the engine: every call that a step's life makes fails, is refused, loses its answer, is done twice, stalls for a
//! while and stalls for good, one call at a time. Whatever it meets, the step goes on or ends with a reason, its agent was started
//! once, and nothing is left over.
//!
//! The calls are not listed here: each life is lived once without a fault, and what it asked of the engine is what fails then.

use std::time::{Duration, Instant};

use engine::ErrorKind;
use futures::StreamExt;
use testkit::{Fault, Gate, Op, until};
use wire::{EventKind, Phase, call::TaskCreated, network::NetworkPolicy, view::StepView};

use crate::guest::{Guest, Misdeed};
use crate::lost::dies_with_spool;
use crate::scene::{BOUND, Scene};

/// A life with a guest that does not end its agent takes its patience, twice where killing fails.
const END_BOUND: Duration = Duration::from_mins(3);
/// Lives that are lived at once: they wait more than they work.
const AT_ONCE: usize = 24;
/// Calls of one kind, in one life, that meet a fault.
const CALLS_MAX: usize = 8;
/// How long a call stalls that answers in the end.
const STALL: Duration = Duration::from_millis(300);

/// What happens to a step, and from when on calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// From its beginning to its good end, with a pipe that is cut in between.
    Whole,
    /// The app is closed and comes back while the agent works; counted from then on.
    Adopted,
    /// The container dies and its spool says how the agent ended; counted from the death on.
    Dies,
    /// A person cancels while the agent works; counted from then on.
    Cancelled,
    /// The same with a guest that does not end its agent.
    Killed,
    /// Its sandbox is on a network of its own.
    Bridged,
    /// Its image is one of the Gallery, whose base is nowhere to be had.
    Gallery,
    /// The base is there, and the build fails: the script knows no such instructions.
    Build,
}

/// What a call meets.
#[derive(Clone, Debug)]
enum Meets {
    /// A fault of the engine's.
    Fault(Fault),
    /// It waits, then is done.
    StallsForAWhile,
    /// It waits until a person has cancelled the step.
    StallsUntilCancelled,
}

#[derive(Clone, Debug)]
struct Cell {
    life: Life,
    op: Op,
    nth: usize,
    meets: Meets,
}

/// A life as it was lived.
struct Lived {
    scene: Scene,
    step: StepView,
    /// How often each call was made while they were counted.
    counts: Vec<(Op, usize)>,
    events: Vec<EventKind>,
}

impl Life {
    /// The calls that are worth failing in this life: others are the same as in another one, or take long.
    fn is_about(self, op: Op) -> bool {
        match self {
            Self::Whole | Self::Adopted => true,
            Self::Dies => op == Op::GetArchive,
            Self::Cancelled => matches!(op, Op::Inspect | Op::Remove | Op::RemoveVolume),
            Self::Killed => op == Op::Kill,
            Self::Bridged => matches!(op, Op::CreateNetwork | Op::RemoveNetwork | Op::Create | Op::Start),
            Self::Gallery => matches!(op, Op::Image | Op::Pull),
            Self::Build => matches!(op, Op::Build | Op::Images),
        }
    }

    /// How it ends where nothing worse than a moment's fault happens.
    fn usual_end(self) -> Phase {
        match self {
            Self::Whole | Self::Adopted | Self::Dies | Self::Bridged => Phase::Completed,
            Self::Cancelled | Self::Killed => Phase::Cancelled,
            Self::Gallery | Self::Build => Phase::Failed,
        }
    }
}

/// The agent at work with its first words printed, after which calls are counted.
async fn at_work(scene: &Scene, task: &TaskCreated) -> Guest {
    let guest = scene.at_work(task).await;
    guest.print("first ");
    until("its first words are here", BOUND, async || scene.step(task).await.output_bytes == 6).await;
    guest
}

/// Lives a life, with a fault in it where there is one.
async fn live(life: Life, cell: Option<&Cell>) -> Lived {
    let mut scene = Scene::start().await;
    until("the engine is found", BOUND, async || scene.engine.count(Op::Facts) > 0).await;
    if life == Life::Build {
        scene.import_image("debian:bookworm-slim").await;
    }
    let mut before = count(&scene);
    let gate = Gate::default();
    let arm = |scene: &Scene| {
        if let Some(Cell { op, nth, meets, .. }) = cell {
            let fault = match meets {
                Meets::Fault(fault) => fault.clone(),
                Meets::StallsForAWhile | Meets::StallsUntilCancelled => Fault::Stall(gate.clone()),
            };
            scene.engine.fault(*op, scene.engine.count(*op) + nth, fault);
        }
        count(scene)
    };
    let task = match life {
        Life::Whole => {
            arm(&scene);
            scene.task("Work").await
        }
        Life::Bridged => {
            scene.set_network(NetworkPolicy::Bridge).await.unwrap();
            arm(&scene);
            scene.task("Work").await
        }
        Life::Gallery | Life::Build => {
            arm(&scene);
            scene.task_of("script", "Work", None).await
        }
        Life::Adopted => {
            let task = scene.task("Work").await;
            at_work(&scene, &task).await;
            scene.stop().await;
            before = arm(&scene);
            scene.start_again().await;
            task
        }
        Life::Dies => {
            let task = scene.task("Work").await;
            let guest = at_work(&scene, &task).await;
            before = arm(&scene);
            dies_with_spool(&scene, &task, &guest, (6, b"second"), 12).await;
            task
        }
        Life::Cancelled | Life::Killed => {
            let task = scene.task("Work").await;
            let guest = at_work(&scene, &task).await;
            if life == Life::Killed {
                guest.misbehave(Misdeed::IgnoreEnd);
            }
            before = arm(&scene);
            scene.cancel(&task).await;
            task
        }
    };
    follow(&scene, &task, life, cell, &gate).await;
    gate.open();
    let step = scene.step(&task).await;
    scene.nothing_is_left().await;
    let after = count(&scene);
    let counts = before.into_iter().zip(after).map(|((op, before), (_, after))| (op, after - before)).collect();
    let events = scene.events(&task).await;
    Lived { scene, step, counts, events }
}

fn count(scene: &Scene) -> Vec<(Op, usize)> {
    Op::ALL.into_iter().map(|op| (op, scene.engine.count(op))).collect()
}

/// Does the agent's and the person's part until the step is over.
async fn follow(scene: &Scene, task: &TaskCreated, life: Life, cell: Option<&Cell>, gate: &Gate) {
    let (mut is_cut, mut is_done, mut is_cancelled) = (false, false, false);
    let mut stalled_at: Option<Instant> = None;
    until(&format!("an end of {cell:?}"), END_BOUND, async || {
        let step = scene.step(task).await;
        let guest = scene.guests.all().pop().filter(|_| matches!(life, Life::Whole | Life::Adopted | Life::Bridged));
        if let Some(guest) = guest {
            if life == Life::Adopted || is_cut {
                if !is_done {
                    is_done = true;
                    guest.print("second");
                    guest.exit_with(0);
                }
            } else if step.output_bytes == 6 {
                is_cut = true;
                guest.cut();
            } else if guest.agent().is_some_and(|agent| !agent.has_printed()) {
                guest.print("first ");
            }
        }
        if gate.is_awaited() {
            let stalled_at = *stalled_at.get_or_insert_with(Instant::now);
            match cell.map(|cell| &cell.meets) {
                Some(Meets::StallsForAWhile) if stalled_at.elapsed() >= STALL => gate.open(),
                Some(Meets::StallsUntilCancelled) if !is_cancelled => {
                    is_cancelled = true;
                    // A step that is over by now cannot be.
                    let _ = scene.try_cancel(task).await;
                    if matches!(cell.map(|cell| cell.op), Some(Op::Ping | Op::Facts)) {
                        // Without an engine nothing can be ended: the order is kept until there is one.
                        gate.open();
                    }
                }
                Some(Meets::Fault(_) | Meets::StallsForAWhile | Meets::StallsUntilCancelled) | None => {}
            }
        }
        step.phase.is_final()
    })
    .await;
}

/// Every call of a life, meeting that.
async fn cells(kinds: &[Life], meets: &[Meets]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for life in kinds {
        let lived = live(*life, None).await;
        assert_eq!(lived.step.phase, life.usual_end(), "{life:?}: {:?}", lived.step.error);
        for (op, count) in lived.counts.into_iter().filter(|(op, _)| life.is_about(*op)) {
            for nth in 1..=count.min(CALLS_MAX) {
                cells.extend(meets.iter().map(|meets| Cell { life: *life, op, nth, meets: meets.clone() }));
            }
        }
    }
    cells
}

/// Lives every cell, and looks at what must hold however it ended; `ended` says what else.
async fn each(kinds: &[Life], meets: &[Meets], ended: impl Fn(&Cell, &Lived)) {
    let cells = cells(kinds, meets).await;
    assert!(cells.len() >= meets.len() * kinds.len(), "too few calls: {cells:?}");
    let (began, number) = (Instant::now(), cells.len());
    futures::stream::iter(&cells)
        .for_each_concurrent(AT_ONCE, async |cell| {
            let lived = Box::pin(live(cell.life, Some(cell))).await;
            let step = &lived.step;
            for guest in lived.scene.guests.all() {
                assert_eq!(guest.agent().unwrap().made, 1, "{cell:?}");
            }
            assert!(lived.scene.guests.all().len() <= 1, "{cell:?}: the agent was started in two sandboxes");
            let finals = lived.events.iter().filter(|event| matches!(event, EventKind::ResultsFinal { .. })).count();
            assert!(finals <= 1, "{cell:?}: {:#?}", lived.events);
            let output = lived.scene.output(step.step, 0).await;
            match step.phase {
                Phase::Completed => assert_eq!(output, b"first second", "{cell:?}"),
                Phase::Cancelled => assert!(b"first second".starts_with(&output), "{cell:?}"),
                Phase::Failed => {
                    assert!(b"first second".starts_with(&output), "{cell:?}");
                    let error = step.error.as_ref().expect("a failure has a reason");
                    assert!(error.message.ends_with('.') && !error.hint.is_empty(), "{cell:?}: {error:?}");
                }
                Phase::Queued | Phase::Provisioning | Phase::Executing | Phase::AwaitingReview => {
                    panic!("{cell:?}: the step is {}", step.phase.word())
                }
            }
            ended(cell, &lived);
        })
        .await;
    println!("{number} calls met {meets:?} in {:?}", began.elapsed());
}

/// Every life in which a call may be got over.
const ALL: [Life; 8] =
    [Life::Whole, Life::Adopted, Life::Dies, Life::Cancelled, Life::Killed, Life::Bridged, Life::Gallery, Life::Build];

/// The same without that which has a test of its own.
const REFUSED: [Life; 7] =
    [Life::Whole, Life::Dies, Life::Cancelled, Life::Killed, Life::Bridged, Life::Gallery, Life::Build];

fn ends_as_usual(cell: &Cell, lived: &Lived) {
    assert_eq!(lived.step.phase, cell.life.usual_end(), "{cell:?}: {:?}", lived.step.error);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_that_fails_for_a_moment_is_got_over() {
    let meets = [ErrorKind::Unreachable, ErrorKind::Transient].map(|kind| Meets::Fault(Fault::Fail(kind)));
    each(&ALL, &meets, ends_as_usual).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_whose_answer_is_lost_is_got_over() {
    each(&ALL, &[Meets::Fault(Fault::AnswerLost(ErrorKind::Transient))], ends_as_usual).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_that_is_done_twice_does_no_harm() {
    each(&ALL, &[Meets::Fault(Fault::Twice)], ends_as_usual).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_that_stalls_for_a_while_is_waited_for() {
    each(&ALL, &[Meets::StallsForAWhile], ends_as_usual).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_that_stalls_for_good_keeps_nobody_from_cancelling() {
    each(
        &[Life::Whole, Life::Adopted, Life::Bridged, Life::Gallery, Life::Build],
        &[Meets::StallsUntilCancelled],
        |cell, lived| {
            let is_failure = lived.step.phase == Phase::Failed;
            assert!(!is_failure || cell.life.usual_end() == Phase::Failed, "{cell:?}: {:?}", lived.step.error);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_that_is_refused_is_got_over_or_named_as_the_reason() {
    let refusals = [ErrorKind::Gone, ErrorKind::Conflict, ErrorKind::Denied, ErrorKind::Broken];
    let meets = refusals.map(|kind| Meets::Fault(Fault::Fail(kind)));
    each(&REFUSED, &meets, |cell, lived| {
        // The others fail by themselves: the base is missing, the build fails, the container died.
        let fails_alone = matches!(cell.life, Life::Dies | Life::Gallery | Life::Build);
        // The name of a container that is not there is free again in a moment.
        let is_name_held =
            matches!((cell.op, &cell.meets), (Op::Create, Meets::Fault(Fault::Fail(ErrorKind::Conflict))));
        assert!(!is_name_held || lived.step.phase == cell.life.usual_end(), "{cell:?}: {:?}", lived.step.error);
        if lived.step.phase == Phase::Failed && !fails_alone {
            let error = lived.step.error.as_ref().expect("a failure has a reason");
            assert!(format!("{error:?}").contains("the script says so"), "{cell:?}: not the reason: {error:?}");
        }
    })
    .await;
}

/// An agent that is at work is not ended because the engine refuses something once.
#[tokio::test(flavor = "multi_thread")]
async fn no_refusal_after_a_restart_ends_an_agent_at_work() {
    let refusals = [ErrorKind::Gone, ErrorKind::Conflict, ErrorKind::Denied, ErrorKind::Broken];
    each(&[Life::Adopted], &refusals.map(|kind| Meets::Fault(Fault::Fail(kind))), ends_as_usual).await;
}
