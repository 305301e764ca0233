//! What of all that is kept is over a bound. Pure.

use jiff::Timestamp;
use store::KeptRun;
use wire::upkeep::RetentionRules;

use crate::runner::exit::bytes;

/// A run whose data is over a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    /// Its place in what is kept.
    pub(crate) index: usize,
    /// Over which bound, in words.
    pub(crate) why: String,
}

/// What of `kept`, the oldest first, is over a bound: what is too old, and of the rest the oldest until what is left fits.
/// What nobody has looked at counts like everything else, so that it is named; whether it goes is not decided here.
pub(crate) fn over(kept: &[KeptRun], rules: &RetentionRules, now: Timestamp) -> Vec<Over> {
    let mut left_runs = kept.len() as u64;
    let mut left_bytes: u64 = kept.iter().map(|kept| kept.size_bytes.unwrap_or(0)).sum();
    let mut over = Vec::new();
    for (index, kept) in kept.iter().enumerate() {
        let age_s = u64::try_from(now.duration_since(kept.ended_at).as_secs()).unwrap_or(0);
        let why = if rules.age_s.is_some_and(|age_max| age_s > age_max) {
            let days = age_s / (24 * 3600);
            format!("it ended {days} {} ago", if days == 1 { "day" } else { "days" })
        } else if let Some(bytes_max) = rules.total_bytes.filter(|bytes_max| left_bytes > *bytes_max) {
            format!("more than {} are kept, and it is the oldest", bytes(bytes_max))
        } else if let Some(runs_max) = rules.runs.filter(|runs_max| left_runs > *runs_max) {
            format!("more than {runs_max} runs are kept, and it is the oldest")
        } else {
            // What follows ended later, and what is left fits.
            break;
        };
        left_runs -= 1;
        left_bytes -= kept.size_bytes.unwrap_or(0);
        over.push(Over { index, why });
    }
    over
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::upkeep::Sight;

    use super::*;
    use crate::clock::new_id;

    const DAY_S: i64 = 24 * 3600;

    fn kept(ended_day: i64, size_bytes: u64) -> KeptRun {
        KeptRun {
            run: new_id(),
            task: new_id(),
            number: 1,
            title: "a task".to_owned(),
            ended_at: day(ended_day),
            size_bytes: Some(size_bytes),
            sight: Sight::Seen,
        }
    }

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * DAY_S).unwrap()
    }

    const UNBOUND: RetentionRules = RetentionRules { age_s: None, total_bytes: None, runs: None };

    fn indexes(over: &[Over]) -> Vec<usize> {
        over.iter().map(|over| over.index).collect()
    }

    #[test]
    fn without_a_bound_nothing_is_over() {
        assert_eq!(over(&[kept(0, 1 << 40)], &UNBOUND, day(10_000)), []);
    }

    #[test]
    fn what_is_too_old_is_over_and_what_is_just_as_old_is_not() {
        let rules = RetentionRules { age_s: Some(2 * 24 * 3600), ..UNBOUND };
        assert_eq!(indexes(&over(&[kept(0, 1), kept(1, 1), kept(2, 1)], &rules, day(3))), [0]);
    }

    #[test]
    fn the_oldest_go_until_the_rest_fits() {
        let all = [kept(0, 10), kept(1, 10), kept(2, 10)];
        let by_size = RetentionRules { total_bytes: Some(15), ..UNBOUND };
        assert_eq!(indexes(&over(&all, &by_size, day(3))), [0, 1]);
        let by_number = RetentionRules { runs: Some(2), ..UNBOUND };
        assert_eq!(indexes(&over(&all, &by_number, day(3))), [0]);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_old() {
        let rules = RetentionRules { age_s: Some(1), ..UNBOUND };
        assert_eq!(over(&[kept(5, 1)], &rules, day(0)), []);
    }

    proptest! {
        #[test]
        fn what_stays_fits_and_no_more_goes_than_must(
            sizes in prop::collection::vec(0_u64..100, 0..20), bytes_max in 0_u64..500, runs_max in 0_u64..20
        ) {
            let all: Vec<_> = (0..).zip(&sizes).map(|(day, size)| kept(day, *size)).collect();
            let rules = RetentionRules { age_s: None, total_bytes: Some(bytes_max), runs: Some(runs_max) };
            let gone = over(&all, &rules, day(100)).len();
            let fits = |gone: usize| sizes[gone..].iter().sum::<u64>() <= bytes_max && (sizes.len() - gone) as u64 <= runs_max;
            prop_assert!(fits(gone));
            prop_assert!(gone == 0 || !fits(gone - 1));
        }
    }
}
