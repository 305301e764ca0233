//! Sandboxes that do nothing: what the app, the engine and the guests take all the same.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, sleep};
use wire::{
    Limits,
    bench::{BenchBar, BenchRow, BenchUnit},
};

use super::pair::{figures, percent};
use super::processes::{CpuClock, guest_private_bytes};
use super::{BenchError, Rig, SAMPLES_MIN, Warm};

/// Sandboxes that sleep: as many as are held to the bars, then as many as a busy person has.
const SANDBOXES: [usize; 2] = [20, 50];
/// What the last start leaves to be done is not idleness yet.
const SETTLE: Duration = Duration::from_secs(5);
/// One sample of the processor's time.
const WINDOW: Duration = Duration::from_secs(1);
/// Hundredths of one core, over all samples.
const CPU_BAR: f64 = 0.5;
/// Megabytes of private memory of each guest.
const MEMORY_BAR: f64 = 4.0;
/// Little, since they do nothing and there are many.
const LIMITS: Limits = Limits {
    memory_bytes: 64 << 20,
    cpu_milli: 200,
    pids: 32,
    wall_clock_s: 3_600,
    output_bytes: 1 << 20,
    disk_bytes: 1 << 30,
};

/// Measures it. Processor time is read from the system, so this is the one row that takes its time whatever is measured.
///
/// # Errors
/// Whatever kept it from being measured.
pub async fn idle(rig: &Rig, n: u32) -> Result<Vec<BenchRow>, BenchError> {
    let before = Windows::watch(n).await?;
    let mut sandboxes = Vec::new();
    let mut rows = Vec::new();
    for count in SANDBOXES {
        let mut started = Vec::new();
        for _ in sandboxes.len()..count {
            let agent = rig.agent(&["/bin/sleep", "infinity"], LIMITS).await?;
            started.push(rig.task(&agent).await?);
        }
        for (task, run) in started {
            sandboxes.push(rig.at_work(task, run).await?);
        }
        rows.extend(measure(rig, &sandboxes, &before, n).await?);
    }
    for sandbox in sandboxes {
        rig.end(sandbox).await?;
    }
    Ok(rows)
}

async fn measure(rig: &Rig, sandboxes: &[Warm], before: &Windows, n: u32) -> Result<Vec<BenchRow>, BenchError> {
    let guests_before = guests_cpu_ns(rig, sandboxes).await?;
    let begun = Instant::now();
    let windows = Windows::watch(n).await?;
    let wall = begun.elapsed();
    let guests = Duration::from_nanos(guests_cpu_ns(rig, sandboxes).await?.saturating_sub(guests_before));

    let row = |what: &str, of: fn(&Windows) -> Vec<f64>| {
        BenchRow::new("idle", what, BenchUnit::PercentOfCore, figures(None, &of(&windows)))
            .beside("the same just before, without a sandbox", figures(None, &of(before)))
    };
    let count = sandboxes.len();
    let is_held = count == SANDBOXES[0];
    let of_app = format!("the app's processor time with {count} idle sandboxes");
    let mut rows = vec![
        row(&of_app, |windows| windows.app.clone()).note("No window is open here: WebKit's processes are not in it."),
    ];
    if windows.sees_engine {
        rows.push(row("the engine's own, whoever else uses it meanwhile", |windows| windows.engine.clone()));
        let together = row(&format!("both together, {count} idle sandboxes"), Windows::together);
        rows.push(if is_held { together.held_to(BenchBar::MeanBelow { value: CPU_BAR }) } else { together });
    } else {
        rows[0].notes.push("The engine's processes cannot be seen from here.".to_owned());
    }
    let guests = figures(None, &[percent(guests, wall)]);
    let what = format!("all {count} guests together, over the whole time");
    rows.push(BenchRow::new("idle", &what, BenchUnit::PercentOfCore, guests));
    rows.push(memory(rig, sandboxes).await?);
    Ok(rows)
}

/// Processor time, window by window.
struct Windows {
    app: Vec<f64>,
    engine: Vec<f64>,
    sees_engine: bool,
}

impl Windows {
    async fn watch(n: u32) -> Result<Self, BenchError> {
        sleep(SETTLE).await;
        let mut ticks = interval(WINDOW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut windows = Self { app: Vec::new(), engine: Vec::new(), sees_engine: false };
        let mut before = (CpuClock::read()?, Instant::now());
        for _ in 0..n.max(SAMPLES_MIN) {
            ticks.tick().await;
            let now = (CpuClock::read()?, Instant::now());
            let wall = now.1 - before.1;
            windows.app.push(percent(now.0.own.saturating_sub(before.0.own), wall));
            windows.engine.push(percent(now.0.engine_since(&before.0), wall));
            windows.sees_engine = now.0.has_engine();
            before = now;
        }
        Ok(windows)
    }

    fn together(&self) -> Vec<f64> {
        self.app.iter().zip(&self.engine).map(|(app, engine)| app + engine).collect()
    }
}

async fn guests_cpu_ns(rig: &Rig, sandboxes: &[Warm]) -> Result<u64, BenchError> {
    let mut sum = 0;
    for sandbox in sandboxes {
        sum += rig.engine().stats(&sandbox.container()).await?.cpu_total_ns;
    }
    Ok(sum)
}

async fn memory(rig: &Rig, sandboxes: &[Warm]) -> Result<BenchRow, BenchError> {
    let mut megabytes = Vec::new();
    for sandbox in sandboxes {
        let inspected = rig.engine().raw_inspect(&sandbox.container()).await?;
        let pid = inspected["State"]["Pid"].as_u64().ok_or(BenchError::Ended { what: "a sandbox" })?;
        let bytes = guest_private_bytes(pid)
            .map_err(BenchError::io("reading a guest's memory (it takes root, on the engine's machine)"))?;
        megabytes.push(bytes_to_megabytes(bytes));
    }
    let largest = megabytes.iter().copied().fold(0.0, f64::max);
    let row = BenchRow::new(
        "idle",
        "private memory of a guest with its shims",
        BenchUnit::Megabytes,
        figures(None, &megabytes),
    );
    Ok(row.held_to(BenchBar::AllBelow { value: MEMORY_BAR, largest }).note(
        "One number for each sandbox: that is all there are. Pages that a fork shares with its parent are in neither.",
    ))
}

#[expect(clippy::cast_precision_loss, reason = "a process's memory is far below 2^53 bytes")]
fn bytes_to_megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
