//! A step in a sandbox that is warm already: from the request to the first byte.

use std::time::Instant;

use engine::{ContainerId, Engine, ExecSpec};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use wire::bench::{BenchBar, BenchRow, BenchUnit};

use super::inside::{SAMPLE_WAIT_MAX, first_byte, program};
use super::pair::{in_turns, ms};
use super::{BenchError, Rig, Warm, commit};

/// At most this part of an exec over the engine's API.
const BAR: f64 = 1.0 / 8.0;
/// What both sides run.
const ECHO: [&str; 2] = ["/bin/echo", "x"];

/// Measures it. The commit that comes before the request is a row of its own.
///
/// # Errors
/// Whatever kept it from being measured.
pub async fn warm(rig: &Rig, n: u32) -> Result<Vec<BenchRow>, BenchError> {
    let warm = rig.warm().await?;
    let pair = pair(rig, &warm, n).await;
    rig.end(warm).await?;
    let pair = pair?;
    let what = "start request to first byte, warm sandbox";
    let row = BenchRow::new("warm", what, BenchUnit::Milliseconds, pair.berth)
        .beside("exec over the engine's API", pair.baseline)
        .held_to(BenchBar::RatioAtMost { ratio: BAR });
    Ok(vec![row, commit::commit(rig, n).await?])
}

async fn pair(rig: &Rig, warm: &Warm, n: u32) -> Result<super::Pair, BenchError> {
    let container = warm.container();
    in_turns(
        n,
        async || first_byte(&warm.guest, &program(&ECHO)).await.map(ms),
        async || exec_first_byte(rig.engine(), &container).await,
    )
    .await
}

/// The same through the engine: make an exec, start it, read a byte.
async fn exec_first_byte(engine: &dyn Engine, container: &ContainerId) -> Result<f64, BenchError> {
    let sample = async {
        let begun = Instant::now();
        let mut exec = engine.exec(container, &ExecSpec::new(ECHO)).await?;
        let failed = BenchError::io("reading from an exec");
        exec.duplex.read_u8().await.map_err(failed)?;
        let elapsed = begun.elapsed();
        tokio::io::copy(&mut exec.duplex, &mut tokio::io::sink())
            .await
            .map_err(BenchError::io("reading from an exec"))?;
        exec.duplex.shutdown().await.map_err(BenchError::io("closing an exec"))?;
        Ok(ms(elapsed))
    };
    timeout(SAMPLE_WAIT_MAX, sample).await.unwrap_or(Err(BenchError::Timeout { what: "the output of an exec" }))
}
