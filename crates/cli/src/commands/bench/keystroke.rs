//! From a keystroke to its echo, at the WebSocket of a real server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use berth_core::bench::{EngineTerminal, Pair, Rig, Warm, in_turns};
use server::{Server, ServerOptions};
use tokio::task::JoinSet;
use wire::bench::{BenchBar, BenchRow, BenchUnit};

use super::shell::Shell;
use crate::connection::Remote;

/// The bar where nothing else goes on, in milliseconds.
const QUIET_BAR: f64 = 10.0;
/// The bar beside a flood in another terminal of the same sandbox, in milliseconds.
const FLOOD_BAR: f64 = 30.0;
/// Keys that no prompt and no control sequence of a shell has.
const KEYS: &[u8] = b"QZXVJ";
/// Prints 100,000 bytes a hundred times a second, in lines of dots.
const FLOOD: &str = r#"perl -e '$b = ("." x 79 . "\n") x 1250; while (1) { $o = 0; while ($o < length $b) { $o += syswrite(STDOUT, $b, length($b) - $o, $o) } select(undef, undef, undef, 0.0085) }'"#;
/// The flood counts as one from so many bytes on.
const FLOOD_BEGUN_BYTES: u64 = 4 << 20;

/// Measures it: nothing else going on, a flood in another terminal, a flood in the same one.
pub(super) async fn keystroke(rig: &Rig, samples: u32) -> anyhow::Result<Vec<BenchRow>> {
    let server = Server::start(rig.api(), rig.data_folder(), ServerOptions::default()).await?;
    let measured = beside(rig, samples).await;
    server.shutdown().await;
    measured
}

async fn beside(rig: &Rig, samples: u32) -> anyhow::Result<Vec<BenchRow>> {
    let remote = Remote::find(rig.data_folder()).await.context("the server does not answer")?;
    let warm = rig.warm().await?;
    let measured = measure(rig, &remote, &warm, samples).await;
    rig.end(warm).await?;
    measured
}

async fn measure(rig: &Rig, remote: &Remote, warm: &Warm, samples: u32) -> anyhow::Result<Vec<BenchRow>> {
    let mut engine = EngineTerminal::open(rig, warm).await?;
    let mut shell = Shell::open(remote, warm.step()).await?;
    let quiet = type_both(&mut shell, &mut engine, samples).await?;

    let mut flood = Flood::start(remote, warm).await?;
    let flooded = type_both(&mut shell, &mut engine, samples).await;
    let rate = flood.rate();
    flood.stop().await;
    let flooded = flooded?;

    shell.type_line("").await?;
    shell.type_line(&format!("{FLOOD} &")).await?;
    let (begun, before) = (Instant::now(), shell.received);
    while shell.received - before < FLOOD_BEGUN_BYTES {
        shell.next().await?;
    }
    let same = type_both(&mut shell, &mut engine, samples).await?;
    let same_rate = megabytes_per_second(shell.received - before, begun.elapsed());

    let row = |what: &str, pair: Pair| {
        BenchRow::new("keystroke", what, BenchUnit::Milliseconds, pair.berth)
            .beside("exec with a tty over the engine's API", pair.baseline)
    };
    Ok(vec![
        row("keystroke to echo, at the WebSocket", quiet).held_to(BenchBar::P95AtMost { value: QUIET_BAR }),
        row("the same, beside a flood in another terminal of the sandbox", flooded)
            .held_to(BenchBar::P95AtMost { value: FLOOD_BAR })
            .note(format!("The flood came through at {rate:.1} MB/s. The baseline was typed beside the same flood.")),
        row("the same, with the flood in the same terminal", same).note(format!(
            "It was read at {same_rate:.1} MB/s: only while a key was waited for, so that the terminal held it back in between."
        )),
    ])
}

async fn type_both(shell: &mut Shell, engine: &mut EngineTerminal, samples: u32) -> anyhow::Result<Pair> {
    let mut ours = KEYS.iter().copied().cycle();
    let mut theirs = KEYS.iter().copied().cycle();
    let ms = |elapsed: Duration| elapsed.as_secs_f64() * 1e3;
    let mut key = move || ours.next().unwrap_or(KEYS[0]);
    let mut other_key = move || theirs.next().unwrap_or(KEYS[0]);
    in_turns(
        samples,
        async || anyhow::Ok(ms(shell.keystroke(key()).await?)),
        async || Ok(ms(engine.keystroke(other_key()).await?)),
    )
    .await
}

/// Another terminal that is flooded, and somebody who reads it.
struct Flood {
    tasks: JoinSet<()>,
    received: Arc<AtomicU64>,
    begun: Instant,
    before: u64,
}

impl Flood {
    /// Returns when it is on.
    async fn start(remote: &Remote, warm: &Warm) -> anyhow::Result<Self> {
        let mut shell = Shell::open(remote, warm.step()).await?;
        shell.type_line(FLOOD).await?;
        while shell.received < FLOOD_BEGUN_BYTES {
            shell.next().await?;
        }
        let (begun, before) = (Instant::now(), shell.received);
        let received = Arc::new(AtomicU64::new(before));
        let count = received.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while shell.next().await.is_ok() {
                count.store(shell.received, Ordering::Relaxed);
            }
        });
        Ok(Self { tasks, received, begun, before })
    }

    /// How fast it came through so far.
    fn rate(&self) -> f64 {
        megabytes_per_second(self.received.load(Ordering::Relaxed) - self.before, self.begun.elapsed())
    }

    /// Hangs up, which ends the shell.
    async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "some megabytes are far below 2^53")]
fn megabytes_per_second(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 / 1e6 / elapsed.as_secs_f64()
}
