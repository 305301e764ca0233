//! Every call to the engine fails once, is done without an answer once, and is done twice once.

use std::time::Duration;

use engine::ErrorKind;
use testkit::{Fault, Op, until};
use wire::Phase;

use crate::scene::{BOUND, Scene};

/// What a step asks of its engine.
const OPS: [Op; 13] = [
    Op::Commit,
    Op::Image,
    Op::CreateVolume,
    Op::Volume,
    Op::Import,
    Op::Create,
    Op::Start,
    Op::Remove,
    Op::Inspect,
    Op::Attach,
    Op::PutArchive,
    Op::GetArchive,
    Op::RemoveVolume,
];

/// Runs a task with a fault at the `nth` call of `op` from its beginning on. `false` where there was no such call.
async fn meets(op: Op, nth: usize, fault: Fault) -> bool {
    let name = format!("{op:?} {nth} {fault:?}");
    let scene = Scene::start().await;
    until("the engine is found", BOUND, async || scene.engine.count(Op::Facts) > 0).await;
    let before = scene.engine.count(op);
    scene.engine.fault(op, before + nth, fault.clone());
    let task = scene.task("Work").await;
    let mut is_told = false;
    tokio::time::timeout(
        Duration::from_mins(2),
        until(&name, BOUND, async || {
            for guest in scene.guests.all() {
                if !is_told && guest.agent().is_some() {
                    is_told = true;
                    guest.print("done");
                    guest.exit_with(0);
                }
            }
            scene.step(&task).await.phase.is_final()
        }),
    )
    .await
    .expect("bounded");
    let step = scene.step(&task).await;
    let is_passing = !matches!(fault, Fault::Fail(ErrorKind::Broken) | Fault::AnswerLost(ErrorKind::Broken));
    if is_passing {
        assert_eq!(step.phase, Phase::Completed, "{name}: {:?}", step.error);
    }
    match step.phase {
        Phase::Completed => assert_eq!(scene.output(step.step, 0).await, b"done", "{name}"),
        Phase::Failed => {
            let error = step.error.expect("a failure has a reason");
            assert!(error.message.ends_with('.') && !error.hint.is_empty(), "{name}: {error:?}");
        }
        Phase::Queued | Phase::Provisioning | Phase::Executing | Phase::AwaitingReview | Phase::Cancelled => {
            panic!("{name}: the step is {}", step.phase.word())
        }
    }
    for guest in scene.guests.all() {
        assert_eq!(guest.agent().unwrap().made, 1, "{name}");
    }
    scene.nothing_is_left().await;
    scene.engine.count(op) >= before + nth
}

async fn each_call_meets(fault: Fault) {
    const CALLS_MAX: usize = 12;
    for op in OPS {
        let mut nth = 1;
        while nth <= CALLS_MAX && meets(op, nth, fault.clone()).await {
            nth += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_that_fails_for_a_moment_is_got_over() {
    each_call_meets(Fault::Fail(ErrorKind::Unreachable)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_whose_answer_is_lost_is_got_over() {
    each_call_meets(Fault::AnswerLost(ErrorKind::Transient)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_that_is_done_twice_does_no_harm() {
    each_call_meets(Fault::Twice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_that_fails_for_good_fails_the_step_with_a_reason_and_leaves_nothing() {
    each_call_meets(Fault::Fail(ErrorKind::Broken)).await;
}
