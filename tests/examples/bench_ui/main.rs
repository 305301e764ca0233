//! The numbers that take the app's real window: its first paint, and from a keystroke to its echo, both at the pixel.
//!
//! `berth bench ui` runs it and puts its rows beside the others; `./dev bench ui` builds all that it takes. It is an example of this
//! crate because only the tests drive a window. `bench_ui SAMPLES` writes the rows as JSON. It ends, and takes away what it
//! made, as soon as its standard input does: so it outlives nobody who is no longer interested.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what cannot be measured ends it, and says why")]
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod eye;
mod paint;
mod pixel;
mod shell;

use std::time::Duration;

use berth_tests::{TestApp, app::Leftovers, binaries::assert_interface_is_built, desk::Desk};
use tokio::task::spawn_blocking;
use wire::bench::{BenchFigures, BenchRow};

use self::eye::Eye;

#[tokio::main]
async fn main() {
    let samples = std::env::args().nth(1).and_then(|samples| samples.parse().ok()).expect("usage: bench_ui SAMPLES");
    let asker_left = spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    tokio::select! {
        rows = Box::pin(measure(samples)) => println!("{}", serde_json::to_string(&rows).unwrap()),
        _ = asker_left => std::process::exit(130),
    }
    // The thread that reads standard input cannot be interrupted.
    std::process::exit(0);
}

async fn measure(samples: u32) -> Vec<BenchRow> {
    assert_interface_is_built();
    let mut app = TestApp::unstarted(&[]).await;
    // The window is closed before its sandboxes are.
    app.leaves(Leftovers::Sandboxes);
    let desk = Desk::new().await;
    let eye = Eye::at(&desk);
    let mut rows = vec![paint::first(&desk, &eye, app.home(), samples).await];
    rows.extend(pixel::keystrokes(&desk, &eye, &app, samples).await);
    rows
}

/// Samples of two sides, taken in turns.
struct Pair {
    berth: BenchFigures,
    baseline: BenchFigures,
}

/// Takes a first sample of each, which is kept apart as the cold one, then `n` of each in turns.
async fn in_turns(
    n: u32,
    mut berth: impl AsyncFnMut() -> Duration,
    mut baseline: impl AsyncFnMut() -> Duration,
) -> Pair {
    let ms = |took: Duration| took.as_secs_f64() * 1e3;
    let cold = (ms(berth().await), ms(baseline().await));
    let mut samples = (Vec::new(), Vec::new());
    for _ in 0..n {
        samples.0.push(ms(berth().await));
        samples.1.push(ms(baseline().await));
    }
    let figures = |cold, sample: &[f64]| BenchFigures::of(Some(cold), sample).expect("there are samples");
    Pair { berth: figures(cold.0, &samples.0), baseline: figures(cold.1, &samples.1) }
}
