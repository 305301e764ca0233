//! Samples taken in turns, so that what else the machine does falls on both sides alike.

use std::time::Duration;

use wire::bench::BenchFigures;

use super::SAMPLES_MIN;

/// Both sides of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Berth's numbers.
    pub berth: BenchFigures,
    /// Those of what it is compared with.
    pub baseline: BenchFigures,
}

/// Takes a first sample of each, which is kept apart as the cold one, then `n` (at least [`SAMPLES_MIN`]) of each in turns.
///
/// # Errors
/// The first error of either side.
pub async fn in_turns<E>(
    n: u32,
    mut berth: impl AsyncFnMut() -> Result<f64, E>,
    mut baseline: impl AsyncFnMut() -> Result<f64, E>,
) -> Result<Pair, E> {
    let cold = (berth().await?, baseline().await?);
    let mut samples = (Vec::new(), Vec::new());
    for _ in 0..n.max(SAMPLES_MIN) {
        samples.0.push(berth().await?);
        samples.1.push(baseline().await?);
    }
    Ok(Pair { berth: figures(Some(cold.0), &samples.0), baseline: figures(Some(cold.1), &samples.1) })
}

/// The same where there is nothing to compare with.
pub(super) async fn alone<E>(n: u32, mut berth: impl AsyncFnMut() -> Result<f64, E>) -> Result<BenchFigures, E> {
    let cold = berth().await?;
    let mut samples = Vec::new();
    for _ in 0..n.max(SAMPLES_MIN) {
        samples.push(berth().await?);
    }
    Ok(figures(Some(cold), &samples))
}

/// The numbers of samples of which there are some.
pub(super) fn figures(cold: Option<f64>, samples: &[f64]) -> BenchFigures {
    BenchFigures::of(cold, samples).expect("invariant: a row has at least one sample")
}

/// In milliseconds.
pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Megabytes in a second.
#[expect(clippy::cast_precision_loss, reason = "some megabytes are far below 2^53")]
pub(super) fn megabytes_per_second(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 / 1e6 / elapsed.as_secs_f64()
}

/// Hundredths of one core.
pub(super) fn percent(cpu: Duration, wall: Duration) -> f64 {
    cpu.as_secs_f64() / wall.as_secs_f64() * 100.0
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn both_sides_take_turns_and_the_first_of_each_is_apart() {
        let order = RefCell::new(String::new());
        let take = async |side: char, value: f64| -> Result<f64, Infallible> {
            order.borrow_mut().push(side);
            Ok(if order.borrow().len() <= 2 { 1_000.0 } else { value })
        };
        let pair = in_turns(1, async || take('a', 1.0).await, async || take('b', 2.0).await).await.unwrap();
        assert_eq!(order.into_inner(), "ab".repeat(SAMPLES_MIN as usize + 1));
        assert_eq!((pair.berth.n, pair.berth.p99, pair.berth.cold), (SAMPLES_MIN, 1.0, Some(1_000.0)));
        assert_eq!((pair.baseline.p50, pair.baseline.cold), (2.0, Some(1_000.0)));
    }

    #[tokio::test]
    async fn an_error_ends_it() {
        let failed = in_turns(30, async || Err("broken"), async || Ok(1.0)).await;
        assert_eq!(failed, Err("broken"));
    }
}
