//! The events that are kept of a task: grown piece by piece, in order, each once. Pure.

use std::{collections::VecDeque, rc::Rc};

use wire::EventView;
use yew::Reducible;

/// How many are kept; past it the oldest go.
pub const EVENTS_MAX: usize = 5_000;

/// The events, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// The events.
    pub events: VecDeque<Rc<EventView>>,
    /// Whether older ones were let go.
    pub is_cut: bool,
}

impl Kept {
    /// After which event to ask for more.
    pub fn last_seq(&self) -> i64 {
        self.events.back().map_or(0, |event| event.seq)
    }
}

impl Reducible for Kept {
    type Action = Rc<Vec<EventView>>;

    fn reduce(self: Rc<Self>, came: Rc<Vec<EventView>>) -> Rc<Self> {
        let last = self.last_seq();
        if came.iter().all(|event| event.seq <= last) {
            return self;
        }
        let mut kept = Self::clone(&self);
        let mut new: Vec<_> = came.iter().filter(|event| event.seq > last).cloned().collect();
        new.sort_by_key(|event| event.seq);
        new.dedup_by_key(|event| event.seq);
        kept.events.extend(new.into_iter().map(Rc::new));
        while kept.events.len() > EVENTS_MAX {
            kept.events.pop_front();
            kept.is_cut = true;
        }
        Rc::new(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(seqs: impl IntoIterator<Item = i64>) -> Rc<Vec<EventView>> {
        let kind = wire::EventKind::Note { text: String::new() };
        let event = |seq| EventView {
            seq,
            at: jiff::Timestamp::UNIX_EPOCH,
            task: None,
            run: None,
            step: None,
            kind: kind.clone(),
            text: String::new(),
        };
        Rc::new(seqs.into_iter().map(event).collect())
    }

    fn seqs(kept: &Kept) -> Vec<i64> {
        kept.events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn events_that_come_twice_or_out_of_order_are_kept_once_and_in_order() {
        let kept = Rc::<Kept>::default().reduce(events([2, 1])).reduce(events([2, 4, 3, 3]));
        assert_eq!(seqs(&kept), [1, 2, 3, 4]);
        assert_eq!(kept.last_seq(), 4);
    }

    #[test]
    fn nothing_new_is_no_change_at_all() {
        let kept = Rc::<Kept>::default().reduce(events([1, 2]));
        assert!(Rc::ptr_eq(&kept, &kept.clone().reduce(events([1, 2]))));
    }

    #[test]
    fn past_the_bound_the_oldest_go_and_it_is_said() {
        let kept = Rc::<Kept>::default().reduce(events(1..=i64::try_from(EVENTS_MAX).unwrap() + 3));
        assert_eq!((kept.events.len(), kept.events[0].seq, kept.is_cut), (EVENTS_MAX, 4, true));
    }
}
