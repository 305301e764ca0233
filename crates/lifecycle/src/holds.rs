//! A set of holds.

use wire::Hold;

/// The reasons why a step does not go on; it goes on when there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Holds(u8);

impl Holds {
    /// No reason.
    pub const NONE: Self = Self(0);

    /// Whether there is no reason at all.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this is one of the reasons.
    pub const fn contains(self, hold: Hold) -> bool {
        self.0 & bit(hold) != 0
    }

    /// These and that one.
    #[must_use]
    pub const fn with(self, hold: Hold) -> Self {
        Self(self.0 | bit(hold))
    }

    /// These without that one.
    #[must_use]
    pub const fn without(self, hold: Hold) -> Self {
        Self(self.0 & !bit(hold))
    }

    /// The reasons, in the order of [`Hold::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Hold> {
        Hold::ALL.into_iter().filter(move |hold| self.contains(*hold))
    }
}

impl FromIterator<Hold> for Holds {
    fn from_iter<I: IntoIterator<Item = Hold>>(holds: I) -> Self {
        holds.into_iter().fold(Self::NONE, Self::with)
    }
}

const fn bit(hold: Hold) -> u8 {
    match hold {
        Hold::Person => 1,
        Hold::Budget => 1 << 1,
        Hold::Engine => 1 << 2,
        Hold::AppAway => 1 << 3,
        Hold::DiskSpace => 1 << 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hold_has_a_bit_of_its_own() {
        let all: Holds = Hold::ALL.into_iter().collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), Hold::ALL);
        for hold in Hold::ALL {
            assert_eq!(Holds::NONE.with(hold).iter().collect::<Vec<_>>(), [hold]);
            assert!(!all.without(hold).contains(hold));
            assert_eq!(all.without(hold).with(hold), all);
        }
    }
}
