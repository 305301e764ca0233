//! Dollars as they are typed: read from digit to digit, so that no rounding ever enters.

use wire::MicroUsd;

/// Digits behind the point: a micro-dollar is the smallest amount.
const DECIMALS_MAX: usize = 6;
const MICROS_IN_DOLLAR: i64 = 1_000_000;

/// An amount such as `5` or `0.25`.
pub(super) fn dollars(text: &str) -> Result<MicroUsd, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err("write an amount in dollars, such as 5 or 0.25".to_owned());
    }
    if fraction.len() > DECIMALS_MAX {
        return Err(format!("an amount has {DECIMALS_MAX} digits behind the point at most"));
    }
    let micros = |whole: i64, fraction: i64| whole.checked_mul(MICROS_IN_DOLLAR)?.checked_add(fraction);
    whole
        .parse()
        .ok()
        .zip(format!("{fraction:0<DECIMALS_MAX$}").parse().ok())
        .and_then(|(whole, fraction)| micros(whole, fraction))
        .map(MicroUsd)
        .ok_or_else(|| "that is more money than there is".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact_to_the_micro_dollar() {
        for (text, micros) in [
            ("0", 0),
            ("5", 5_000_000),
            ("0.25", 250_000),
            ("0.1", 100_000),
            ("007.5", 7_500_000),
            ("0.000001", 1),
            ("1.234567", 1_234_567),
            // A float would have lost the last digit.
            ("9007199254.740993", 9_007_199_254_740_993),
            ("9223372036854.775807", i64::MAX),
        ] {
            assert_eq!(dollars(text), Ok(MicroUsd(micros)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        let nonsense = [
            "",
            ".",
            ".5",
            "5.",
            "-1",
            "+1",
            "0.0000001",
            "1.0000000",
            "1,5",
            "$5",
            "1e3",
            "0x1",
            "1 ",
            "1.2.3",
            "١",
            "inf",
            "NaN",
            "9223372036854.775808",
            "99999999999999999999",
        ];
        for text in nonsense {
            assert!(dollars(text).is_err(), "{text}");
        }
    }
}
