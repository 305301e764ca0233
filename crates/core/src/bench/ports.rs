//! A port opens inside: until Berth knows of it and a connection to it works.

use std::time::Instant;

use pipe::host::{Events, Guest, GuestEvent, Target};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::bench::{BenchBar, BenchFigures, BenchRow, BenchUnit};

use super::inside::{Obedient, SAMPLE_WAIT_MAX};
use super::pair::{alone, ms};
use super::{BenchError, Rig};

/// In milliseconds.
const BAR: f64 = 300.0;
/// Events that may wait.
const EVENTS_MAX: usize = 16;
/// A port of its own for each sample, so that none meets the remains of the one before.
const FIRST_PORT: u16 = 20_000;
/// Listens on the port that it reads, and on none for 0.
const LISTENER: &str = r#"
use IO::Socket::INET;
my $listener;
while (<STDIN>) {
    chomp;
    if ($_ == 0) { undef $listener; next }
    $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1", LocalPort => $_) or die $!;
}
"#;

/// Measures it.
///
/// # Errors
/// Whatever kept it from being measured; it needs perl in the image.
pub async fn ports(rig: &Rig, n: u32) -> Result<Vec<BenchRow>, BenchError> {
    let warm = rig.warm().await?;
    let figures = measure(&warm.guest, n).await;
    rig.end(warm).await?;
    let row =
        BenchRow::new("ports", "port opened inside to connected through the pipe", BenchUnit::Milliseconds, figures?)
            .held_to(BenchBar::P95AtMost { value: BAR })
            .note("Counted from the word to open it, which goes through the pipe as well. Each begins right after a look of the guest's, so that it waits for all of its next one: the longest case.");
    Ok(vec![row])
}

async fn measure(guest: &Guest, n: u32) -> Result<BenchFigures, BenchError> {
    let (sender, mut events) = mpsc::channel(EVENTS_MAX);
    let mut tasks = JoinSet::new();
    tasks.spawn(forward(guest.events().await?, sender));
    let listener = Obedient::start(guest, &["perl", "-e", LISTENER]).await?;
    let mut port = FIRST_PORT;
    alone(n, async || {
        port += 1;
        let sample = async {
            let begun = Instant::now();
            listener.tell(&port.to_string()).await?;
            until(&mut events, port, Listening::Yes).await?;
            let link = guest.dial(Target::Port { port }).await?;
            let elapsed = begun.elapsed();
            drop(link);
            listener.tell("0").await?;
            until(&mut events, port, Listening::No).await?;
            Ok(ms(elapsed))
        };
        timeout(SAMPLE_WAIT_MAX, sample).await.unwrap_or(Err(BenchError::Timeout { what: "a port" }))
    })
    .await
}

/// Reading an event cannot be broken off, so it has a task of its own, which ends with the set that owns it.
async fn forward(mut events: Events, sender: mpsc::Sender<GuestEvent>) {
    while let Ok(event) = events.next().await {
        if sender.send(event).await.is_err() {
            return;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Listening {
    Yes,
    No,
}

async fn until(events: &mut mpsc::Receiver<GuestEvent>, port: u16, wanted: Listening) -> Result<(), BenchError> {
    loop {
        match events.recv().await.ok_or(BenchError::Ended { what: "a guest's events" })? {
            GuestEvent::Ports { listening, .. } => {
                let is_there = listening.iter().any(|known| known.port == port);
                if is_there == (wanted == Listening::Yes) {
                    return Ok(());
                }
            }
            GuestEvent::Ended { .. } => {}
        }
    }
}
