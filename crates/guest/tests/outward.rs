//! Outward connections inside: bounded in number, and held while no host is connected.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::similar_names, reason = "a test, with what it shares")]
#![allow(missing_docs, reason = "a test")]

use std::time::Duration;

use guest::{OutwardRefused, Outwards};
use pipe::guest::{Connection, Facts, Options as GuestOptions};
use pipe::host::{Guest, Options, Refusal, RefusalCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::task::JoinSet;
use tokio::time::timeout;

const BOUND: Duration = Duration::from_secs(20);

async fn pair() -> (Guest, Connection) {
    let (host, guest) = duplex(256 * 1024);
    let facts = Facts { version: "test".into(), boot: "boot".into() };
    let (host, guest) = tokio::join!(
        Guest::connect(host, Options::default()),
        Connection::accept(guest, &facts, GuestOptions::default())
    );
    (host.unwrap(), guest.unwrap())
}

#[tokio::test]
async fn a_connection_is_held_until_a_host_comes_and_then_carried() {
    let outwards = Outwards::new(4, BOUND);
    let (mut program, mut inside) = duplex(1024);
    let mut tasks = JoinSet::new();
    let carrying = outwards.clone();
    tasks.spawn(async move { carrying.connect("model.example:443").await.unwrap().carry(&mut inside).await });
    program.write_all(b"early").await.unwrap();
    let (host, connection) = pair().await;
    let mut wanted = host.outward().unwrap();
    outwards.set_host(Some(connection.outward()));
    let outward = timeout(BOUND, wanted.next()).await.unwrap().unwrap();
    assert_eq!(outward.target(), "model.example:443");
    let mut outside = outward.accept().await.unwrap();
    let mut bytes = [0; 5];
    outside.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"early");
    outside.write_all(b"answer").await.unwrap();
    outside.shutdown().await.unwrap();
    let mut bytes = [0; 6];
    program.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"answer");
    drop(program);
    timeout(BOUND, tasks.join_next()).await.unwrap().unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn without_a_host_a_connection_is_refused_after_its_time() {
    let outwards = Outwards::new(4, Duration::from_millis(50));
    let refused = timeout(BOUND, outwards.connect("x:1")).await.unwrap();
    assert!(matches!(refused, Err(OutwardRefused::NoHost { .. })), "{refused:?}");
}

#[tokio::test]
async fn beyond_the_bound_a_connection_is_refused_at_once() {
    let outwards = Outwards::new(1, BOUND);
    let held = outwards.connect("x:1");
    tokio::pin!(held);
    tokio::select! {
        biased;
        _ = &mut held => unreachable!("there is no host"),
        refused = outwards.connect("x:1") => assert!(matches!(refused, Err(OutwardRefused::TooMany))),
    }
}

#[tokio::test]
async fn what_the_host_refuses_is_refused_with_its_reason() {
    let outwards = Outwards::new(4, BOUND);
    let (host, connection) = pair().await;
    let mut wanted = host.outward().unwrap();
    outwards.set_host(Some(connection.outward()));
    let refusing = async {
        let outward = wanted.next().await.unwrap();
        outward.refuse(Refusal::new(RefusalCode::PermissionDenied, "not on the list")).await.unwrap();
    };
    let (refused, ()) = timeout(BOUND, async { tokio::join!(outwards.connect("x:1"), refusing) }).await.unwrap();
    assert!(matches!(refused, Err(OutwardRefused::Refused(refusal)) if refusal.detail == "not on the list"));
}

#[tokio::test]
async fn a_flood_inside_is_held_to_the_bound_that_the_pipe_has_room_for() {
    let outwards = Outwards::default();
    let mut tasks = JoinSet::new();
    let beyond = 100;
    for _ in 0..pipe::limits::OUTWARD_MAX + beyond {
        let outwards = outwards.clone();
        tasks.spawn(async move { outwards.connect("x:1").await });
    }
    for _ in 0..beyond {
        let refused = timeout(BOUND, tasks.join_next()).await.unwrap().unwrap().unwrap();
        assert!(matches!(refused, Err(OutwardRefused::TooMany)), "{refused:?}");
    }
    assert_eq!(tasks.len(), pipe::limits::OUTWARD_MAX, "the rest is held");
}

#[tokio::test]
async fn a_stream_that_a_living_host_resets_is_no_lost_host() {
    // Held for longer than the test waits.
    let outwards = Outwards::new(4, 2 * BOUND);
    let (host, connection) = pair().await;
    let mut wanted = host.outward().unwrap();
    outwards.set_host(Some(connection.outward()));
    let resetting = async { drop(wanted.next().await.unwrap()) };
    let (refused, ()) = timeout(BOUND, async { tokio::join!(outwards.connect("x:1"), resetting) }).await.unwrap();
    assert!(matches!(refused, Err(OutwardRefused::Refused(_))), "{refused:?}");
}
