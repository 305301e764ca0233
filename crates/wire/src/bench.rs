//! What `berth bench` finds: each row with its baseline from the same run, and the bar that it is held to.
//!
//! Nothing is rounded or left out to look better: a bar that is missed says so, and what could not be measured is listed
//! with the reason.

use serde::{Deserialize, Serialize};

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchReport {
    /// Where it was measured.
    pub machine: BenchMachine,
    /// The rows, in the order in which they were measured.
    pub rows: Vec<BenchRow>,
    /// What was not measured, and why not.
    pub not_measured: Vec<BenchGap>,
}

/// Where it was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchMachine {
    /// Processors of the engine's machine.
    pub cores: u32,
    /// Its memory in bytes.
    pub memory_bytes: u64,
    /// Its kernel's release.
    pub kernel: String,
    /// The engine and its version.
    pub engine: String,
    /// Which generation of control groups the engine uses: `v1`, `v2` or `unknown`.
    pub cgroup: String,
    /// How Berth itself was compiled: `debug` or `release`.
    pub build: String,
    /// What the sandboxes ran in.
    pub image: String,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchRow {
    /// The name that asks for it on the command line; several rows may share one.
    pub row: String,
    /// What was measured, from where to where.
    pub what: String,
    /// The unit of all its numbers.
    pub unit: BenchUnit,
    /// Berth's numbers.
    pub berth: BenchFigures,
    /// What it is compared with, measured in turns with Berth's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BenchBaseline>,
    /// Berth's median over the baseline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// What it is held to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bar: Option<BenchBar>,
    /// Whether it holds; `None` where there is no bar, or no baseline that the bar needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_met: Option<bool>,
    /// What one has to know to read the numbers, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What Berth is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchBaseline {
    /// What it is.
    pub what: String,
    /// Its numbers.
    pub figures: BenchFigures,
}

/// The unit of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BenchUnit {
    /// Milliseconds.
    Milliseconds,
    /// Megabytes (10⁶ bytes) in a second: more is better.
    MegabytesPerSecond,
    /// Hundredths of one core.
    PercentOfCore,
    /// Megabytes (10⁶ bytes) of memory.
    Megabytes,
}

impl BenchUnit {
    /// As it is written behind a number.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::MegabytesPerSecond => "MB/s",
            Self::PercentOfCore => "% of a core",
            Self::Megabytes => "MB",
        }
    }
}

/// A sample's numbers, by nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchFigures {
    /// How many there are.
    pub n: u32,
    /// The median.
    pub p50: f64,
    /// 95 of 100 are at most this.
    pub p95: f64,
    /// 99 of 100 are at most this; with fewer than 100 it is the largest.
    pub p99: f64,
    /// The mean.
    pub mean: f64,
    /// The very first one, which is in none of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold: Option<f64>,
}

impl BenchFigures {
    /// The numbers of a sample; `None` where it is empty. The first may be kept apart as the cold one.
    pub fn of(cold: Option<f64>, sample: &[f64]) -> Option<Self> {
        let mut sorted = sample.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        let n = u32::try_from(sorted.len()).ok().filter(|n| *n > 0)?;
        let mean = sorted.iter().sum::<f64>() / f64::from(n);
        Some(Self { n, p50: rank(50)?, p95: rank(95)?, p99: rank(99)?, mean, cold })
    }
}

/// What a row is held to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BenchBar {
    /// The ratio of the medians is at most this.
    RatioAtMost {
        /// The bound.
        ratio: f64,
    },
    /// The ratio of the medians is at least this.
    RatioAtLeast {
        /// The bound.
        ratio: f64,
    },
    /// The 95th percentile is at most this.
    P95AtMost {
        /// The bound, in the row's unit.
        value: f64,
    },
    /// The 99th percentile is below this.
    P99Below {
        /// The bound, in the row's unit.
        value: f64,
    },
    /// The mean is below this.
    MeanBelow {
        /// The bound, in the row's unit.
        value: f64,
    },
    /// Every single one is below this.
    AllBelow {
        /// The bound, in the row's unit.
        value: f64,
        /// The largest one.
        largest: f64,
    },
}

impl BenchBar {
    /// Whether it holds for these numbers; `None` where it needs a ratio and there is none.
    pub fn is_met(self, figures: &BenchFigures, ratio: Option<f64>) -> Option<bool> {
        match self {
            Self::RatioAtMost { ratio: bound } => ratio.map(|ratio| ratio <= bound),
            Self::RatioAtLeast { ratio: bound } => ratio.map(|ratio| ratio >= bound),
            Self::P95AtMost { value } => Some(figures.p95 <= value),
            Self::P99Below { value } => Some(figures.p99 < value),
            Self::MeanBelow { value } => Some(figures.mean < value),
            Self::AllBelow { value, largest } => Some(largest < value),
        }
    }
}

impl BenchRow {
    /// A row without baseline and bar.
    pub fn new(row: &str, what: &str, unit: BenchUnit, berth: BenchFigures) -> Self {
        let (row, what) = (row.to_owned(), what.to_owned());
        Self { row, what, unit, berth, baseline: None, ratio: None, bar: None, is_met: None, notes: Vec::new() }
    }

    /// Beside a baseline.
    #[must_use]
    pub fn beside(mut self, what: &str, figures: BenchFigures) -> Self {
        self.ratio = (figures.p50 > 0.0).then(|| self.berth.p50 / figures.p50);
        self.baseline = Some(BenchBaseline { what: what.to_owned(), figures });
        self
    }

    /// Held to a bar. Say the baseline first.
    #[must_use]
    pub fn held_to(mut self, bar: BenchBar) -> Self {
        self.is_met = bar.is_met(&self.berth, self.ratio);
        self.bar = Some(bar);
        self
    }

    /// With a sentence that one has to know.
    #[must_use]
    pub fn note(mut self, sentence: impl Into<String>) -> Self {
        self.notes.push(sentence.into());
        self
    }
}

/// A row that was not measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchGap {
    /// What it would have been.
    pub what: String,
    /// Why it is missing.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(sample: &[f64]) -> BenchFigures {
        BenchFigures::of(None, sample).unwrap()
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let sample: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let BenchFigures { n, p50, p95, p99, mean, cold } = BenchFigures::of(Some(7.0), &sample).unwrap();
        assert_eq!((n, p50, p95, p99, mean, cold), (200, 100.0, 190.0, 198.0, 100.5, Some(7.0)));
        assert_eq!(figures(&[3.0]).p99.to_bits(), 3.0_f64.to_bits());
        assert_eq!(BenchFigures::of(Some(1.0), &[]), None);
    }

    #[test]
    fn a_bar_on_a_ratio_needs_a_baseline() {
        let row = || BenchRow::new("r", "w", BenchUnit::Milliseconds, figures(&[2.0]));
        let bar = BenchBar::RatioAtMost { ratio: 0.25 };
        assert_eq!(row().held_to(bar).is_met, None);
        assert_eq!(row().beside("b", figures(&[8.0])).held_to(bar).is_met, Some(true));
        assert_eq!(row().beside("b", figures(&[7.9])).held_to(bar).is_met, Some(false));
    }

    #[test]
    fn each_bar_looks_at_its_own_number() {
        let mut sample = vec![1.0; 98];
        sample.extend([50.0, 100.0]);
        let figures = figures(&sample);
        let met = |bar: BenchBar| bar.is_met(&figures, Some(0.5)).unwrap();
        assert!(met(BenchBar::P95AtMost { value: 1.0 }));
        assert!(!met(BenchBar::P99Below { value: 50.0 }));
        assert!(met(BenchBar::MeanBelow { value: 2.49 }));
        assert!(!met(BenchBar::AllBelow { value: 100.0, largest: 100.0 }));
        assert!(met(BenchBar::RatioAtLeast { ratio: 0.5 }));
    }

    #[test]
    fn a_row_reads_back_as_it_was_written() {
        let row = BenchRow::new("r", "w", BenchUnit::MegabytesPerSecond, figures(&[2.0]))
            .beside("b", figures(&[4.0]))
            .held_to(BenchBar::RatioAtLeast { ratio: 0.5 })
            .note("A sentence.");
        let json = serde_json::to_string(&row).unwrap();
        assert_eq!(serde_json::from_str::<BenchRow>(&json).unwrap(), row);
    }
}
