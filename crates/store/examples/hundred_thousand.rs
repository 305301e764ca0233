//! How fast the task list is with 100,000 past runs: fills a store of its own in a temporary folder and prints the
//! latencies of what the list asks for. `cargo run -p store --example hundred_thousand [TASKS]`.
//!
//! What is measured is the public interface alone; `berth bench past` is the same beside the other rows.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use store::{
    Store,
    sample::{Question, fill, questions},
};

/// Calls of each kind that are measured, after [`WARM_UP`] that are not.
const SAMPLES: usize = 300;
const WARM_UP: usize = 10;
/// The bar of the design for list, filter and search.
const BAR: Duration = Duration::from_millis(20);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let tasks: u32 = match std::env::args().nth(1) {
        Some(count) => count.parse().context("the number of tasks")?,
        None => 100_000,
    };
    let folder = camino_tempfile::tempdir()?;
    let path = folder.path().join("berth.db");
    Store::open(&path).await?.close().await;
    let filling = Instant::now();
    fill(&path, tasks).await?;
    println!("{tasks} tasks in {:.1} s, {} MB", filling.elapsed().as_secs_f64(), path.metadata()?.len() >> 20);

    let store = Store::open(&path).await?;
    println!("\n{:<44} {:>7} {:>8} {:>8} {:>8}   (ms, n = {SAMPLES})", "", "found", "p50", "p95", "p99");
    let mut worst = Duration::ZERO;
    for question in questions(tasks) {
        worst = worst.max(measure(&store, &question).await?);
    }
    println!("\nworst p99 {:.1} ms, bar {} ms", worst.as_secs_f64() * 1e3, BAR.as_millis());
    store.close().await;
    Ok(())
}

async fn measure(store: &Store, question: &Question) -> Result<Duration> {
    let mut samples = Vec::with_capacity(SAMPLES);
    let mut found = 0;
    for sample in 0..WARM_UP + SAMPLES {
        let begun = Instant::now();
        let page = store.list_tasks(&question.filter).await?;
        if sample >= WARM_UP {
            samples.push(begun.elapsed());
        }
        found = page.total;
    }
    samples.sort_unstable();
    let quantile = |percent: usize| samples[(SAMPLES * percent / 100).min(SAMPLES - 1)];
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let name = format!("{}: {}", question.kind.word(), question.name);
    println!("{name:<44} {found:>7} {:>8.2} {:>8.2} {:>8.2}", ms(quantile(50)), ms(quantile(95)), ms(quantile(99)));
    Ok(quantile(99))
}
