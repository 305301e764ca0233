//! A guest that lies, floods or falls silent ends its own step and nothing else.

use testkit::until;
use wire::{ErrorCode, LimitsPatch, Phase};

use crate::guest::{Misdeed, Wire};
use crate::scene::{BOUND, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_breaks_the_protocol_ends_its_step_alone() {
    let scene = Scene::start().await;
    scene.agent("neighbour", wire::task::ReviewGate::Skip).await;
    let honest = scene.task_of("neighbour", "Work on", None).await;
    let neighbour = scene.at_work(&honest).await;
    for misdeed in [Misdeed::Hole, Misdeed::WrongEnd, Misdeed::Gap, Misdeed::Garbage] {
        let task = scene.task("Lie").await;
        let guest = scene.at_work(&task).await;
        guest.print("the truth");
        until("the truth has come", BOUND, async || guest.agent().unwrap().acknowledged == 9).await;
        guest.misbehave(misdeed);
        guest.print("more");
        let step = scene.until_phase(&task, Phase::Failed).await;
        assert_eq!(step.error.unwrap().code, ErrorCode::GuestBroken, "{misdeed:?}");
        assert_eq!(scene.output(step.step, 0).await, b"the truth", "{misdeed:?}");
    }
    neighbour.print("undisturbed");
    neighbour.exit_with(0);
    let step = scene.until_phase(&honest, Phase::Completed).await;
    assert_eq!(scene.output(step.step, 0).await, b"undisturbed");
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_breaks_the_protocol_while_its_agent_is_ended_cannot_keep_the_step() {
    let scene = Scene::start().await;
    let task = scene.task("Hold on").await;
    let guest = scene.at_work(&task).await;
    guest.misbehave(Misdeed::IgnoreEnd);
    scene.cancel(&task).await;
    until("it was told to end", BOUND, async || guest.agent().unwrap().ends == 1).await;
    guest.misbehave(Misdeed::Garbage);
    guest.print("more");
    scene.until_phase(&task, Phase::Cancelled).await;
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_cannot_be_reached_is_ended_all_the_same() {
    let scene = Scene::start().await;
    let task = scene.task("Hide").await;
    let guest = scene.at_work(&task).await;
    guest.fall_silent();
    guest.cut();
    until("the guest is away", BOUND, async || !scene.step(&task).await.sandbox.unwrap().connected).await;
    scene.cancel(&task).await;
    scene.until_phase(&task, Phase::Cancelled).await;
    scene.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_without_end_stops_at_the_limit_and_is_ended() {
    let scene = Scene::start().await;
    let limits = LimitsPatch { output_bytes: Some(3 << 20), ..LimitsPatch::default() };
    let task = scene.task_of("own", "Flood", Some(limits)).await;
    let guest = scene.at_work(&task).await;
    guest.misbehave(Misdeed::Flood);
    guest.print("x");
    let step = scene.until_phase(&task, Phase::Failed).await;
    assert_eq!(step.error.unwrap().code, ErrorCode::LimitReached);
    assert_eq!(step.output_bytes, 3 << 20);
    scene.nothing_is_left().await;
}

/// Each from the first connection on, so that no agent was ever started.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_guest_at_all_ends_its_step_alone() {
    let scene = Scene::start().await;
    scene.agent("neighbour", wire::task::ReviewGate::Skip).await;
    for wire in
        [Wire::Text, Wire::LongFrame, Wire::LongHello, Wire::NoHello, Wire::Protocol, Wire::Streams, Wire::Pings]
    {
        scene.guests.misbehave(Some(Misdeed::Wire(wire)));
        let hostile = scene.task("Lie").await;
        // The neighbour's guest is made while the hostile one is being tried.
        until("the hostile one is spoken to", BOUND, async || scene.guests.count() > 0).await;
        scene.guests.misbehave(None);
        let honest = scene.task_of("neighbour", "Work", None).await;
        let neighbour = scene.at_work(&honest).await;
        neighbour.print("undisturbed");
        neighbour.exit_with(0);
        let done = scene.until_phase(&honest, Phase::Completed).await;
        assert_eq!(scene.output(done.step, 0).await, b"undisturbed", "{wire:?}");
        let step = scene.until_phase(&hostile, Phase::Failed).await;
        assert_eq!(step.error.unwrap().code, ErrorCode::GuestBroken, "{wire:?}");
        scene.nothing_is_left().await;
        scene.guests.forget();
    }
}

/// Each in the middle of the work: the pipe is lost, and what is found at the other end is no guest any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_turns_into_something_else_ends_its_step_alone() {
    let scene = Scene::start().await;
    scene.agent("neighbour", wire::task::ReviewGate::Skip).await;
    let honest = scene.task_of("neighbour", "Work on", None).await;
    let neighbour = scene.at_work(&honest).await;
    for wire in [Wire::LongHello, Wire::NoHello, Wire::Protocol, Wire::Streams, Wire::Pings] {
        let task = scene.task("Lie").await;
        let guest = scene.at_work(&task).await;
        guest.print("the truth");
        until("the truth has come", BOUND, async || guest.agent().unwrap().acknowledged == 9).await;
        guest.misbehave(Misdeed::Wire(wire));
        guest.cut();
        let step = scene.until_phase(&task, Phase::Failed).await;
        assert_eq!(step.error.unwrap().code, ErrorCode::GuestBroken, "{wire:?}");
        assert_eq!(scene.output(step.step, 0).await, b"the truth", "{wire:?}");
    }
    neighbour.print("undisturbed");
    neighbour.exit_with(0);
    let step = scene.until_phase(&honest, Phase::Completed).await;
    assert_eq!(scene.output(step.step, 0).await, b"undisturbed");
    scene.nothing_is_left().await;
}

/// What keeps silent may be an engine that is slow: it is waited for, and whoever waits can end it.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_keeps_silent_or_never_ends_a_word_holds_nobody_else_up_and_can_be_cancelled() {
    let scene = Scene::start().await;
    scene.agent("neighbour", wire::task::ReviewGate::Skip).await;
    for wire in [Wire::Silence, Wire::EndlessHeader] {
        let task = scene.task("Hide").await;
        let guest = scene.at_work(&task).await;
        guest.misbehave(Misdeed::Wire(wire));
        guest.cut();
        until("the guest is away", BOUND, async || !scene.step(&task).await.sandbox.unwrap().connected).await;
        let honest = scene.task_of("neighbour", "Work on", None).await;
        scene.at_work(&honest).await.exit_with(0);
        scene.until_phase(&honest, Phase::Completed).await;
        scene.cancel(&task).await;
        scene.until_phase(&task, Phase::Cancelled).await;
    }
    scene.nothing_is_left().await;
}
