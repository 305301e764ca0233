//! What sandboxes used of the machine, and what that comes to at rates of a person's own.
//!
//! The time is that of the container, the CPU time what the engine counted of it; memory counts as it was given, whether it was used
//! or not, since nobody else could have it. What the guest says of itself counts for nothing.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{cost::CostKey, ids::RunId, money::MicroUsd};

/// What sandboxes used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeUse {
    /// How long they were there, in milliseconds.
    pub container_ms: u64,
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// The memory that they were given times how long: MiB times seconds.
    pub memory_mib_s: u64,
    /// Of how many attempts it is the sum.
    pub attempts: u64,
    /// Of how many of them the last part is not known, or not yet: they have used at least that.
    pub at_least: u64,
}

/// The same with what it comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeView {
    /// What was used.
    #[serde(flatten)]
    pub used: ComputeUse,
    /// At the rates there are; `None` where there are none.
    #[serde(default)]
    pub cost: Option<MicroUsd>,
}

/// Micro-dollars an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeRates {
    /// For a sandbox that is there.
    #[serde(default)]
    pub container: MicroUsd,
    /// For a core at work.
    #[serde(default)]
    pub cpu: MicroUsd,
    /// For a GiB of memory that a sandbox is given.
    #[serde(default)]
    pub memory_gib: MicroUsd,
}

/// What sandboxes used in a span of time. An attempt counts whole in the span in which it began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeCosts {
    /// From when on; `None` for everything.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Before when.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// In all.
    pub total: ComputeView,
    /// What the lines are sums by.
    pub by: CostKey,
    /// The sums, longest first; days in order. None by model: a sandbox is no model's.
    pub lines: Vec<ComputeLine>,
    /// How many lines there are in all.
    pub lines_total: u64,
    /// The rates, where a person has set any.
    #[serde(default)]
    pub rates: Option<ComputeRates>,
}

/// One sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeLine {
    /// What it is the sum of, as a person reads it.
    pub label: String,
    /// What it is the sum of, as in [`CostLine::key`](crate::cost::CostLine::key).
    #[serde(default)]
    pub key: String,
    /// The latest run in it.
    pub run: RunId,
    /// That run's task, by number.
    pub task: i64,
    /// The sum.
    pub compute: ComputeView,
}

impl ComputeUse {
    /// Whether it may have been more.
    pub const fn is_at_least(&self) -> bool {
        self.at_least > 0
    }
}

impl ComputeRates {
    /// The highest of each: a million dollars an hour.
    pub const MAX: MicroUsd = MicroUsd(1_000_000_000_000);

    /// What a use comes to, rounded to the nearest micro-dollar.
    pub fn cost(&self, used: &ComputeUse) -> MicroUsd {
        const HOUR_MS: i128 = 3_600_000;
        const GIB_MIB: i128 = 1_024;
        let of_time = i128::from(used.container_ms) * i128::from(self.container.0)
            + i128::from(used.cpu_ms) * i128::from(self.cpu.0);
        let of_memory = i128::from(used.memory_mib_s) * 1_000 * i128::from(self.memory_gib.0);
        let whole = HOUR_MS * GIB_MIB;
        let rounded = (of_time * GIB_MIB + of_memory + whole / 2) / whole;
        MicroUsd(i64::try_from(rounded).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for ComputeUse {
    /// In a line: `at least 1 h 30 min of a sandbox, 12 min 0 s of CPU, 3.00 GiB h of memory`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_at_least() {
            f.write_str("at least ")?;
        }
        let (sandbox, cpu) = (time_said(self.container_ms), time_said(self.cpu_ms));
        write!(f, "{sandbox} of a sandbox, {cpu} of CPU, {} of memory", memory_said(self.memory_mib_s))
    }
}

/// So many milliseconds as a person reads them: `4.2 s`, `12 min 3 s`, `5 h 12 min`.
pub fn time_said(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds}.{} s", ms % 1_000 / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600.. => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// Memory times how long, from MiB times seconds: `34.1 MiB h`, `3.00 GiB h`.
pub fn memory_said(mib_s: u64) -> String {
    const HOUR_S: u128 = 3_600;
    let mib_s = u128::from(mib_s);
    if mib_s < 1_024 * HOUR_S {
        let tenths = mib_s * 10 / HOUR_S;
        return format!("{}.{} MiB h", tenths / 10, tenths % 10);
    }
    let hundredths = mib_s * 100 / (1_024 * HOUR_S);
    format!("{}.{:02} GiB h", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_comes_to_what_its_hours_cost() {
        let used = ComputeUse {
            container_ms: 5_400_000,
            cpu_ms: 720_000,
            memory_mib_s: 2 * 1_024 * 5_400,
            attempts: 2,
            at_least: 0,
        };
        let rates = |container, cpu, memory_gib| ComputeRates {
            container: MicroUsd(container),
            cpu: MicroUsd(cpu),
            memory_gib: MicroUsd(memory_gib),
        };
        assert_eq!(rates(100, 0, 0).cost(&used), MicroUsd(150));
        assert_eq!(rates(0, 100, 0).cost(&used), MicroUsd(20));
        assert_eq!(rates(0, 0, 100).cost(&used), MicroUsd(300));
        assert_eq!(rates(100, 100, 100).cost(&used), MicroUsd(470));
        let short = ComputeUse { container_ms: 1_800, ..ComputeUse::default() };
        assert_eq!(rates(1_000, 0, 0).cost(&short), MicroUsd(1), "half a micro-dollar is one");
        let endless = ComputeUse { container_ms: u64::MAX, cpu_ms: u64::MAX, memory_mib_s: u64::MAX, ..used };
        let max = ComputeRates::MAX.0;
        assert_eq!(rates(max, max, max).cost(&endless), MicroUsd(i64::MAX));
        assert_eq!(used.to_string(), "1 h 30 min of a sandbox, 12 min 0 s of CPU, 3.00 GiB h of memory");
        assert!(ComputeUse { at_least: 1, ..used }.to_string().starts_with("at least 1 h"));
        assert_eq!((time_said(4_260), memory_said(122_880)), ("4.2 s".to_owned(), "34.1 MiB h".to_owned()));
    }
}
