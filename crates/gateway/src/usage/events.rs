//! A stream of server-sent events, cut at its blank lines, with the very bytes of each event. The format is the WHATWG's
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>).
//!
//! `sse-stream` and `eventsource-stream` were looked at. Both are `Stream`s over a body that is owned, hold an event of any size,
//! and give its fields but not its bytes, which must pass as they came.

use std::borrow::Cow;

use super::REPLY_BYTES_MAX;

/// Of the room that a large event needed, this much is kept for the next. Bytes.
const ROOM_KEPT_MAX: usize = 64 << 10;

/// Cuts a stream into events.
#[derive(Default)]
pub(super) struct Events {
    /// The current event as far as it has come. Invariant: at most [`REPLY_BYTES_MAX`], and nothing while `is_too_large`.
    held: Vec<u8>,
    /// The current line has had a byte.
    line_has_begun: bool,
    /// The last byte was a CR, so that an LF belongs to it.
    is_after_cr: bool,
    /// The current event did not fit.
    is_too_large: bool,
}

/// A part of a stream. All of them, one after another, are the stream.
pub(super) enum Part<'a> {
    /// A whole event with the blank line that ends it; at the end of the stream perhaps without.
    Event(&'a [u8]),
    /// The LF of a CR LF whose CR ended the event before.
    EndOfLast(&'a [u8]),
    /// A piece of an event that is too large to be held.
    TooLarge(&'a [u8]),
}

impl Part<'_> {
    /// What an event says: its data lines, joined. `None` where it has none.
    pub(super) fn data(&self) -> Option<Cow<'_, [u8]>> {
        let Part::Event(raw) = self else { return None };
        // Only the first of a stream may have a byte order mark; no other event begins with one.
        let raw = raw.strip_prefix("\u{feff}".as_bytes()).unwrap_or(raw);
        let mut lines = raw.split(|byte| matches!(byte, b'\n' | b'\r')).filter_map(|line| {
            let value = if line == b"data" { b"" } else { line.strip_prefix(b"data:")? };
            Some(value.strip_prefix(b" ").unwrap_or(value))
        });
        let first = lines.next()?;
        let mut data = Cow::Borrowed(first);
        for line in lines {
            let data = data.to_mut();
            data.push(b'\n');
            data.extend_from_slice(line);
        }
        Some(data)
    }
}

impl Events {
    /// Takes a piece of the stream; what of it is whole goes to `visit`.
    pub(super) fn take(&mut self, piece: &[u8], mut visit: impl FnMut(Part<'_>)) {
        let mut rest = piece;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.is_after_cr) && first == b'\n' {
                let (line_feed, next) = rest.split_at(1);
                if self.held.is_empty() && !self.is_too_large {
                    visit(Part::EndOfLast(line_feed));
                } else {
                    self.hold(line_feed, &mut visit);
                }
                rest = next;
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (line, next) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            self.hold(line, &mut visit);
            match end {
                None => self.line_has_begun = true,
                Some(end) => {
                    let is_blank = end == 0 && !self.line_has_begun;
                    self.line_has_begun = false;
                    self.is_after_cr = line.ends_with(b"\r");
                    if is_blank {
                        self.end(&mut visit);
                    }
                }
            }
            rest = next;
        }
    }

    /// What is left at the end of the stream.
    pub(super) fn finish(self, mut visit: impl FnMut(Part<'_>)) {
        if !self.held.is_empty() {
            visit(Part::Event(&self.held));
        }
    }

    /// Bytes of memory for what is held.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.held.capacity()
    }

    fn hold(&mut self, bytes: &[u8], visit: &mut impl FnMut(Part<'_>)) {
        if !self.is_too_large && self.held.len() + bytes.len() > REPLY_BYTES_MAX {
            self.is_too_large = true;
            let held = std::mem::take(&mut self.held);
            visit(Part::TooLarge(&held));
        }
        if self.is_too_large {
            visit(Part::TooLarge(bytes));
        } else {
            self.held.extend_from_slice(bytes);
        }
    }

    fn end(&mut self, visit: &mut impl FnMut(Part<'_>)) {
        if !std::mem::take(&mut self.is_too_large) {
            visit(Part::Event(&self.held));
        }
        self.held.clear();
        self.held.shrink_to(ROOM_KEPT_MAX);
    }
}
