//! One-time codes: each lets one browser in, once, within ten minutes. Time is handed in; nothing here waits.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::token::{RandomError, Token};

/// How many codes may be outstanding; a further one takes the place of the oldest.
pub(crate) const CODES_OUTSTANDING_MAX: usize = 8;
/// How long a code is good.
pub(crate) const CODE_TIME_MAX: Duration = Duration::from_mins(10);
/// How many wrong codes are looked at within [`GUESS_WINDOW`]; after them every code is refused until the window ends.
pub(crate) const GUESSES_MAX: u32 = 30;
/// The time over which wrong codes are counted.
pub(crate) const GUESS_WINDOW: Duration = Duration::from_mins(1);

/// The codes that were given out and not yet used.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    /// Oldest first; at most [`CODES_OUTSTANDING_MAX`].
    outstanding: VecDeque<(Token, Instant)>,
    /// When the window of wrong codes began, and how many came in it.
    wrong: Option<(Instant, u32)>,
}

/// Why a code does not let anyone in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodeDenied {
    /// It was never given out, was used, or is too old.
    Unknown,
    /// Too many wrong ones came within a minute; this one was not even looked at.
    TooManyGuesses,
}

impl Codes {
    /// Gives out a fresh code.
    pub(crate) fn issue(&mut self, now: Instant) -> Result<Token, RandomError> {
        let code = Token::fresh()?;
        self.forget_old(now);
        if self.outstanding.len() == CODES_OUTSTANDING_MAX {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back((code.clone(), now));
        Ok(code)
    }

    /// Takes a code, which is then used up.
    pub(crate) fn redeem(&mut self, presented: &str, now: Instant) -> Result<(), CodeDenied> {
        self.forget_old(now);
        if self.wrong.is_some_and(|(_, count)| count >= GUESSES_MAX) {
            return Err(CodeDenied::TooManyGuesses);
        }
        if let Some(at) = self.outstanding.iter().position(|(code, _)| code.matches(presented)) {
            self.outstanding.remove(at);
            Ok(())
        } else {
            let (_, count) = self.wrong.get_or_insert((now, 0));
            *count += 1;
            Err(CodeDenied::Unknown)
        }
    }

    fn forget_old(&mut self, now: Instant) {
        self.outstanding.retain(|(_, issued_at)| now.saturating_duration_since(*issued_at) < CODE_TIME_MAX);
        self.wrong.take_if(|(began_at, _)| now.saturating_duration_since(*began_at) >= GUESS_WINDOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once() {
        let (mut codes, now) = (Codes::default(), Instant::now());
        let code = codes.issue(now).unwrap();
        assert_eq!(codes.redeem(code.reveal(), now), Ok(()));
        assert_eq!(codes.redeem(code.reveal(), now), Err(CodeDenied::Unknown));
    }

    #[test]
    fn a_code_is_good_for_ten_minutes() {
        let (mut codes, now) = (Codes::default(), Instant::now());
        let early = codes.issue(now).unwrap();
        let late = codes.issue(now + Duration::from_secs(1)).unwrap();
        let end = now + CODE_TIME_MAX;
        assert_eq!(codes.redeem(early.reveal(), end), Err(CodeDenied::Unknown));
        assert_eq!(codes.redeem(late.reveal(), end), Ok(()));
    }

    #[test]
    fn the_oldest_code_gives_way() {
        let (mut codes, now) = (Codes::default(), Instant::now());
        let first = codes.issue(now).unwrap();
        let second = codes.issue(now).unwrap();
        for _ in 2..=CODES_OUTSTANDING_MAX {
            codes.issue(now).unwrap();
        }
        assert_eq!(codes.outstanding.len(), CODES_OUTSTANDING_MAX);
        assert_eq!(codes.redeem(first.reveal(), now), Err(CodeDenied::Unknown));
        assert_eq!(codes.redeem(second.reveal(), now), Ok(()));
    }

    #[test]
    fn guessing_is_bounded_by_the_minute() {
        let (mut codes, now) = (Codes::default(), Instant::now());
        let code = codes.issue(now).unwrap();
        for _ in 0..GUESSES_MAX {
            assert_eq!(codes.redeem("guess", now), Err(CodeDenied::Unknown));
        }
        assert_eq!(codes.redeem(code.reveal(), now), Err(CodeDenied::TooManyGuesses));
        assert_eq!(codes.redeem(code.reveal(), now + GUESS_WINDOW), Ok(()));
    }
}
