//! A file written in the workspace: until the interface is told to look and finds it.

use std::time::Instant;

use tokio::sync::mpsc;
use tokio::time::timeout;
use wire::{
    bench::{BenchBar, BenchFigures, BenchRow, BenchUnit},
    call::ListResults,
    stream::{StreamTarget, Update},
};

use super::inside::{Obedient, SAMPLE_WAIT_MAX};
use super::pair::{alone, ms};
use super::{BenchError, Rig, Warm};
use crate::api::Stream;

/// In milliseconds.
const BAR: f64 = 300.0;
/// Writes a small file of each name that it reads.
const WRITER: &str = r#"while read -r name; do echo "$name" > "$name"; done"#;

/// Measures it.
///
/// # Errors
/// Whatever kept it from being measured.
pub async fn results(rig: &Rig, n: u32) -> Result<Vec<BenchRow>, BenchError> {
    let warm = rig.warm().await?;
    let figures = measure(rig, &warm, n).await;
    rig.end(warm).await?;
    let row = BenchRow::new("results", "file written inside to listed by the API", BenchUnit::Milliseconds, figures?)
        .held_to(BenchBar::P95AtMost { value: BAR })
        .note("Counted from the word to write it, which goes through the pipe as well; drawing it is not in it.");
    Ok(vec![row])
}

async fn measure(rig: &Rig, warm: &Warm, n: u32) -> Result<BenchFigures, BenchError> {
    let Stream::Updates(mut updates) = rig.api().open_stream(StreamTarget::Updates).await? else {
        return Err(BenchError::Ended { what: "the updates" });
    };
    let writer = Obedient::start(&warm.guest, &["/bin/sh", "-c", WRITER]).await?;
    let mut number = 0;
    alone(n, async || {
        number += 1;
        let name = format!("result-{number}");
        let sample = async {
            let begun = Instant::now();
            writer.tell(&name).await?;
            until_listed(rig, warm, &name, &mut updates).await?;
            Ok(ms(begun.elapsed()))
        };
        timeout(SAMPLE_WAIT_MAX, sample).await.unwrap_or(Err(BenchError::Timeout { what: "a result" }))
    })
    .await
}

/// As the interface does it: told that results changed, it asks for them.
async fn until_listed(
    rig: &Rig,
    warm: &Warm,
    name: &str,
    updates: &mut mpsc::Receiver<Update>,
) -> Result<(), BenchError> {
    loop {
        match updates.recv().await.ok_or(BenchError::Ended { what: "the updates" })? {
            Update::Results { task } if task == warm.task => {}
            Update::All => {}
            Update::Results { .. }
            | Update::Status
            | Update::Task { .. }
            | Update::Images
            | Update::Agents
            | Update::Homes
            | Update::Secrets
            | Update::Requests { .. }
            | Update::Costs
            | Update::Projects => continue,
        }
        let list = rig.api().call(ListResults { run: warm.run.to_string() }).await?;
        if list.results.iter().any(|result| result.path == name) {
            return Ok(());
        }
    }
}
