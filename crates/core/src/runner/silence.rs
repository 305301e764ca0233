//! How long a guest may live and yet be out of reach.
//!
//! The guest ends its agent when the agent's time is up, connected or not. So once a guest has been out of reach for that time and
//! a grace, nothing is at work in its sandbox that could be lost, and the host ends it. An engine that is away says nothing of the
//! guest: while it is, nothing is counted.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How much longer than its agent may work a guest may be out of reach.
pub(super) const UNREACHABLE_GRACE: Duration = Duration::from_mins(2);
/// A clock that jumps ends no sandbox: this many tries in a row must have failed, too.
const TRIES_MIN: u32 = 10;

/// The silence of one guest, as far as it was heard.
#[derive(Debug, Default)]
pub(super) struct Silence {
    since: Option<Timestamp>,
    tries: u32,
}

impl Silence {
    /// It was reached, or nobody could have reached it.
    pub(super) fn is_broken(&mut self) {
        *self = Self::default();
    }

    /// It lives and could not be reached just now. Returns for how long, once that is longer than a guest may be out of reach whose
    /// agent may work for `wall_clock_s` seconds.
    pub(super) fn goes_on(&mut self, now: Timestamp, wall_clock_s: u64) -> Option<Duration> {
        self.tries = self.tries.saturating_add(1);
        let silent = now.duration_since(*self.since.get_or_insert(now)).max(SignedDuration::ZERO).unsigned_abs();
        let longest = Duration::from_secs(wall_clock_s).saturating_add(UNREACHABLE_GRACE);
        (self.tries >= TRIES_MIN && silent >= longest).then_some(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_guest_is_given_up_after_its_agents_time_and_a_grace() {
        let mut silence = Silence::default();
        for second in 0..=179 {
            assert_eq!(silence.goes_on(at(second), 60), None, "{second}");
        }
        assert_eq!(silence.goes_on(at(180), 60), Some(Duration::from_mins(3)));
    }

    #[test]
    fn a_clock_that_jumps_ends_nothing() {
        let mut silence = Silence::default();
        assert_eq!(silence.goes_on(at(0), 1), None);
        for _ in 2..TRIES_MIN {
            assert_eq!(silence.goes_on(at(1 << 30), 1), None);
        }
        assert!(silence.goes_on(at(1 << 30), 1).is_some());
    }

    #[test]
    fn a_silence_that_is_broken_begins_anew() {
        let mut silence = Silence::default();
        for second in 0..100 {
            silence.goes_on(at(second), 1);
        }
        silence.is_broken();
        assert_eq!(silence.goes_on(at(10_000), 1), None);
    }
}
