//! What a terminal has got of its output: where it stands, what it still has to say it has drawn. Pure.
//!
//! ```text
//! Connecting ──first frame──▶ Replay ──live──▶ Live ──end──▶ Ended
//!     ▲                         │               │
//!     └──────open again──────── Lost ◀──────────┘
//! ```
//!
//! Opening again begins at the first byte that is not drawn, so that nothing is drawn twice, and nothing is left out unseen.

use bytes::{Buf, Bytes};
use wire::stream::{ACK_EVERY_BYTES, TerminalOutput};

/// How a terminal stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Asked for, nothing came yet.
    #[default]
    Connecting,
    /// What comes happened before.
    Replay,
    /// What comes happens now.
    Live,
    /// Nothing follows.
    Ended(String),
    /// The connection broke.
    Lost,
}

/// What to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Output that ends before this offset.
    Bytes { bytes: Bytes, end: u64 },
    /// So many bytes are gone for good.
    Gap { count: u64 },
}

/// The state of one terminal's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// How it stands.
    pub stage: Stage,
    /// The first byte that has not come.
    next: u64,
    /// The first byte that is not said to be drawn.
    acked: u64,
    /// Bytes that are gone for good.
    missing: u64,
}

impl Replay {
    /// Where to begin when opening (again).
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// How many bytes are gone for good.
    pub const fn missing(&self) -> u64 {
        self.missing
    }

    /// The stream is being opened.
    pub fn opening(&mut self) {
        self.stage = Stage::Connecting;
        self.acked = self.next;
    }

    /// A frame came; what is to be drawn for it, in order.
    pub fn take(&mut self, frame: TerminalOutput) -> Vec<Draw> {
        if self.stage == Stage::Connecting {
            self.stage = Stage::Replay;
        }
        match frame {
            TerminalOutput::Output { offset, bytes } => self.output(offset, bytes),
            TerminalOutput::Gap { from, to } => {
                let mut draws = self.skip_to(from);
                draws.extend(self.skip_to(to));
                draws
            }
            TerminalOutput::Live => {
                self.stage = Stage::Live;
                Vec::new()
            }
            TerminalOutput::End { reason } => {
                self.stage = Stage::Ended(reason);
                Vec::new()
            }
        }
    }

    /// Everything before `end` is drawn; what to ack, if it is time to.
    pub fn drawn(&mut self, end: u64) -> Option<u64> {
        let is_due = end == self.next || end.saturating_sub(self.acked) >= ACK_EVERY_BYTES / 2;
        if end <= self.acked || !is_due {
            return None;
        }
        self.acked = end;
        Some(end)
    }

    /// The stream is over.
    pub fn closed(&mut self) {
        if !matches!(self.stage, Stage::Ended(_)) {
            self.stage = Stage::Lost;
        }
    }

    fn output(&mut self, offset: u64, mut bytes: Bytes) -> Vec<Draw> {
        let mut draws = self.skip_to(offset);
        let known = usize::try_from(self.next.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes.len());
        bytes.advance(known);
        if !bytes.is_empty() {
            self.next = self.next.saturating_add(bytes.len() as u64);
            draws.push(Draw::Bytes { bytes, end: self.next });
        }
        draws
    }

    /// Everything up to `to` that has not come will not come.
    fn skip_to(&mut self, to: u64) -> Vec<Draw> {
        if to <= self.next {
            return Vec::new();
        }
        let count = to - self.next;
        self.next = to;
        self.missing = self.missing.saturating_add(count);
        vec![Draw::Gap { count }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(offset: u64, text: &'static str) -> TerminalOutput {
        TerminalOutput::Output { offset, bytes: Bytes::from_static(text.as_bytes()) }
    }

    fn bytes(text: &'static str, end: u64) -> Draw {
        Draw::Bytes { bytes: Bytes::from_static(text.as_bytes()), end }
    }

    #[test]
    fn replay_becomes_live_when_the_core_says_so() {
        let mut replay = Replay::default();
        assert_eq!(replay.take(output(0, "ab")), [bytes("ab", 2)]);
        assert_eq!(replay.stage, Stage::Replay);
        assert_eq!(replay.take(TerminalOutput::Live), []);
        assert_eq!(replay.stage, Stage::Live);
    }

    #[test]
    fn what_comes_twice_is_drawn_once() {
        let mut replay = Replay::default();
        replay.take(output(0, "abcd"));
        assert_eq!(replay.take(output(2, "cdef")), [bytes("ef", 6)]);
        assert_eq!(replay.take(output(0, "abc")), []);
        assert_eq!(replay.next(), 6);
    }

    #[test]
    fn what_is_missing_is_said_where_it_is_missing() {
        let mut replay = Replay::default();
        replay.take(output(0, "ab"));
        assert_eq!(replay.take(TerminalOutput::Gap { from: 2, to: 100 }), [Draw::Gap { count: 98 }]);
        // Bytes that were skipped without a word are missing, too.
        assert_eq!(replay.take(output(110, "z")), [Draw::Gap { count: 10 }, bytes("z", 111)]);
        assert_eq!(replay.missing(), 108);
    }

    #[test]
    fn an_ack_follows_what_is_drawn_and_never_goes_back() {
        let mut replay = Replay::default();
        replay.take(TerminalOutput::Output { offset: 0, bytes: vec![b'x'; 200_000].into() });
        assert_eq!(replay.drawn(1_000), None);
        assert_eq!(replay.drawn(ACK_EVERY_BYTES), Some(ACK_EVERY_BYTES));
        assert_eq!(replay.drawn(1_000), None);
        assert_eq!(replay.drawn(200_000), Some(200_000));
        assert_eq!(replay.drawn(200_000), None);
    }

    #[test]
    fn opening_again_begins_where_the_output_broke_off() {
        let mut replay = Replay::default();
        replay.take(output(0, "abc"));
        replay.closed();
        assert_eq!(replay.stage, Stage::Lost);
        replay.opening();
        assert_eq!((replay.next(), &replay.stage), (3, &Stage::Connecting));
    }

    #[test]
    fn an_end_is_no_loss() {
        let mut replay = Replay::default();
        replay.take(TerminalOutput::End { reason: "done".to_owned() });
        replay.closed();
        assert_eq!(replay.stage, Stage::Ended("done".to_owned()));
    }

    #[test]
    fn offsets_at_the_end_of_the_world_do_no_harm() {
        let mut replay = Replay::default();
        replay.take(TerminalOutput::Gap { from: 5, to: u64::MAX });
        replay.take(output(u64::MAX, "x"));
        replay.take(output(0, "x"));
        assert_eq!(replay.next(), u64::MAX);
    }
}
