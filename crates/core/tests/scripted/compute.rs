//! What sandboxes used of the machine, as the engine counts it.

use std::time::Duration;

use engine::ErrorKind;
use testkit::{Fault, Op, until};
use wire::{
    MicroUsd, Phase,
    call::{SetComputeRates, ShowCompute},
    compute::{ComputeRates, ComputeUse},
    cost::CostKey,
    view::StepView,
};

use crate::scene::{BOUND, Scene};

fn used(step: &StepView) -> ComputeUse {
    step.compute.expect("it was looked at").used
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sandbox_used_is_known_to_its_end_and_comes_to_what_the_rates_say() {
    let scene = Scene::start().await;
    let task = scene.task("Work").await;
    let guest = scene.at_work(&task).await;
    scene.engine.works(&scene.container(&task).await, Duration::from_secs(36));
    scene.pass(Duration::from_mins(20));
    guest.exit_with(0);
    let step = scene.until_phase(&task, Phase::Completed).await;
    let compute = used(&step);
    assert_eq!((compute.cpu_ms, compute.attempts, compute.at_least), (36_001, 1, 0), "{compute:?}");
    assert!((1_200_000..1_260_000).contains(&compute.container_ms), "{compute:?}");
    assert_eq!(compute.memory_mib_s, (step.limits.memory_bytes >> 20) * compute.container_ms / 1_000);
    assert_eq!(step.compute.and_then(|compute| compute.cost), None, "without rates nothing is known of money");

    let rates = ComputeRates { cpu: MicroUsd(1_000_000), ..ComputeRates::default() };
    scene.api().call(SetComputeRates { rates: Some(rates) }).await.unwrap();
    let costs = scene.api().call(ShowCompute { by: CostKey::Run, ..ShowCompute::default() }).await.unwrap();
    // A hundredth of an hour at a dollar, and a millisecond.
    assert_eq!((costs.total.cost, costs.lines.len(), costs.rates), (Some(MicroUsd(10_000)), 1, Some(rates)));
    assert_eq!(
        (costs.lines[0].label.as_str(), costs.lines[0].compute),
        (&*format!("#{} Work", task.number), costs.total)
    );
    let negative = ComputeRates { cpu: MicroUsd(-1), ..ComputeRates::default() };
    scene.api().call(SetComputeRates { rates: Some(negative) }).await.unwrap_err();
    let none = scene.api().call(SetComputeRates { rates: None }).await.unwrap();
    assert_eq!((none.total.cost, none.rates), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_engine_does_not_say_is_not_known_and_not_nothing() {
    let scene = Scene::start().await;
    let task = scene.task("Work").await;
    let guest = scene.at_work(&task).await;
    for nth in 1..=64 {
        scene.engine.fault(Op::Stats, scene.engine.count(Op::Stats) + nth, Fault::Fail(ErrorKind::Denied));
    }
    guest.exit_with(0);
    let compute = used(&scene.until_phase(&task, Phase::Completed).await);
    assert_eq!((compute.attempts, compute.at_least), (1, 1), "{compute:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_another_process_made_is_counted_from_its_beginning() {
    let mut scene = Scene::start().await;
    let task = scene.task("Work").await;
    let guest = scene.at_work(&task).await;
    let container = scene.container(&task).await;
    scene.engine.works(&container, Duration::from_secs(5));
    until("a look while it works", BOUND, async || scene.step(&task).await.compute.is_some()).await;
    let while_at_work = used(&scene.step(&task).await);
    assert_eq!(while_at_work.at_least, 1, "more is to come: {while_at_work:?}");
    scene.stop().await;
    scene.pass(Duration::from_mins(20));
    scene.engine.works(&container, Duration::from_secs(5));
    scene.start_again().await;
    scene.at_work(&task).await;
    guest.exit_with(0);
    let compute = used(&scene.until_phase(&task, Phase::Completed).await);
    assert_eq!((compute.cpu_ms, compute.attempts, compute.at_least), (10_001, 1, 0), "{compute:?}");
    assert!(compute.container_ms >= 1_200_000, "the time counts in which nobody looked: {compute:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_sandbox_that_goes_unseen_what_was_seen_is_the_least() {
    let scene = Scene::start().await;
    let task = scene.task("Work").await;
    scene.at_work(&task).await;
    let container = scene.container(&task).await;
    scene.engine.works(&container, Duration::from_secs(5));
    until("a look while it works", BOUND, async || scene.step(&task).await.compute.is_some()).await;
    scene.engine.lose(&container);
    let compute = used(&scene.until_phase(&task, Phase::Failed).await);
    assert_eq!((compute.attempts, compute.at_least), (1, 1), "{compute:?}");
    assert!(compute.cpu_ms >= 1, "{compute:?}");
}
