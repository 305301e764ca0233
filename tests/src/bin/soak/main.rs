//! `./dev soak MINUTES [SEED]`: one Berth with twenty sandboxes at work, for as long as one likes.
//!
//! Twenty workers hand tasks in, cancel, retry, review, open shells and kill sandboxes; the app itself is killed and stopped
//! over and over, then left alone for long enough to see whether its memory grows. Every task's output is known beforehand to
//! the byte. Samples are taken all along; at the end everything is drained, counted, and judged by [`bounds`].
//!
//! ```text
//! kills of the app, short lives ──▶ one long life, measured ──▶ a last kill ──▶ drained, counted, judged
//! ├──────── KILLS_PER_MILLE ──────┤
//! ```
//!
//! Everything happens from outside, as a person or a script would do it. Chance follows from the seed; time does not.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod berth;
mod bounds;
mod judge;
mod line;
mod sample;
mod task;
mod worker;

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use berth::Berth;
use bounds::{AWAY_MAX, DRAIN_MAX, KILLS_PER_MILLE, LIFE_SHORT, SANDBOXES};
use judge::Findings;
use sample::Sampler;
use worker::{Tally, Worker};

#[tokio::main]
async fn main() -> ExitCode {
    let Some((minutes, seed)) = arguments() else {
        eprintln!("soak MINUTES [SEED]: 1 to 10,000 minutes; the seed is a number");
        return ExitCode::from(2);
    };
    println!("soak: {minutes} minutes, seed {seed}, {SANDBOXES} sandboxes at once");
    match soak(minutes, seed).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Option<(u64, u64)> {
    let mut arguments = std::env::args().skip(1);
    let minutes = arguments.next()?.parse().ok().filter(|minutes| (1..=10_000).contains(minutes))?;
    let seed = match arguments.next() {
        Some(seed) => seed.parse().ok()?,
        None => fastrand::u64(..),
    };
    arguments.next().is_none().then_some((minutes, seed))
}

/// Does all of it and cleans up. Says whether every bound was kept.
async fn soak(minutes: u64, seed: u64) -> Result<bool, String> {
    let mut berth = Berth::new()?;
    println!("data folder: {}", berth.home());
    let soaked = soak_it(&mut berth, minutes, seed).await;
    berth.clean(soaked == Ok(true)).await;
    println!("seed {seed}");
    soaked
}

async fn soak_it(berth: &mut Berth, minutes: u64, seed: u64) -> Result<bool, String> {
    let mut chance = fastrand::Rng::with_seed(seed);
    berth.prepare().await?;
    berth.start().await?;

    let began = Instant::now();
    let whole = Duration::from_mins(minutes);
    let tally = Arc::new(Tally::default());
    let sampler = Sampler::begin(berth.watch(), tally.clone(), began);
    let mut workers = JoinSet::new();
    for number in 0..SANDBOXES {
        let worker = Worker::new(number, chance.u64(..), berth.watch(), tally.clone());
        workers.spawn(worker.work(began + whole));
    }

    let kills_end = began + whole * KILLS_PER_MILLE / 1_000;
    live_shortly(berth, &mut chance, &tally, kills_end).await?;
    tokio::time::sleep_until((began + whole).into()).await;
    berth.kill().await?;
    berth.start().await?;

    let drained = tokio::time::timeout(DRAIN_MAX, async { while workers.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tally.violation(format!("{} workers had not come to an end after {DRAIN_MAX:?}", workers.len()));
        workers.shutdown().await;
    }
    let left = berth.sweep().await?;
    let at_rest = sampler.at_rest().await;
    tally.verify_kept(&berth.watch(), &mut chance).await;
    let unfinished = berth.unfinished().await?;
    if let Some(words) = berth.stop().await? {
        tally.violation(words);
    }
    let lives = berth.lives();
    let moments = sampler.end().await;
    let findings =
        Findings { samples: moments, at_rest, tally: &tally, left, unfinished, lives, whole, log: berth.log_worries() };
    Ok(findings.print())
}

/// Short lives of the app, ended by a kill or in order, with a while in between, until the given moment. It lives then.
async fn live_shortly(
    berth: &mut Berth,
    chance: &mut fastrand::Rng,
    tally: &Tally,
    until: Instant,
) -> Result<(), String> {
    loop {
        let life = Duration::from_secs(chance.u64(LIFE_SHORT));
        if Instant::now() + life >= until {
            return Ok(());
        }
        tokio::time::sleep(life).await;
        if chance.bool() {
            berth.kill().await?;
        } else if let Some(words) = berth.stop().await? {
            tally.violation(words);
        }
        tokio::time::sleep(Duration::from_millis(chance.u64(0..AWAY_MAX))).await;
        berth.start().await?;
    }
}
