//! Money is whole micro-dollars: no rounding error ever enters a sum.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsd(pub i64);

impl fmt::Display for MicroUsd {
    /// Dollars and cents, rounded half away from zero, as lists show them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = (self.0.unsigned_abs() + 5_000) / 10_000;
        write!(f, "{sign}${}.{:02}", cents / 100, cents % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_are_rounded_half_away_from_zero() {
        for (micro, text) in
            [(0, "$0.00"), (4_999, "$0.00"), (5_000, "$0.01"), (1_920_000, "$1.92"), (-15_000, "-$0.02")]
        {
            assert_eq!(MicroUsd(micro).to_string(), text);
        }
    }
}
