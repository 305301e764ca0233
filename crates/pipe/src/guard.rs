//! Watches a connection's raw bytes as they are read: when something last came, and whether the peer floods.
//!
//! yamux bounds bytes but not frames: a peer that sends its window in one-byte frames makes the receiver allocate
//! thousands of times what it sent, and opening streams costs it 12 bytes each. So the guard follows the 12-byte
//! headers as they pass and lets a bounded rate of tiny frames and of openings through, and a bounded number of tiny frames lie
//! on streams that nobody reads. It changes nothing.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::limits::{
    OPENS_BURST, OPENS_PER_SECOND, TINY_FRAME_BYTES, TINY_FRAMES_BURST, TINY_FRAMES_PER_SECOND, TINY_FRAMES_UNREAD_MAX,
};

const HEADER_BYTES: usize = 12;
const TAG_DATA: u8 = 0;
const FLAG_SYN: u16 = 1;

/// What the guard saw; shared with whoever watches the connection.
#[derive(Debug, Clone)]
pub(crate) struct Seen(Arc<Mutex<SeenState>>);

#[derive(Debug)]
struct SeenState {
    last: Instant,
    flood: Option<&'static str>,
}

impl Seen {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(SeenState { last: Instant::now(), flood: None })))
    }

    /// When the last byte was received.
    pub(crate) fn last(&self) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last
    }

    /// Of what there was too much, where the guard ended the connection.
    pub(crate) fn flood(&self) -> Option<&'static str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flood
    }
}

/// The tiny frames that have come on each stream since it was last read empty. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unread(Arc<Mutex<UnreadState>>);

#[derive(Debug, Default)]
struct UnreadState {
    by_stream: BTreeMap<u32, u32>,
    /// Invariant: the sum of all in `by_stream`.
    total: u32,
}

impl Unread {
    /// A stream was read empty, or has gone.
    pub(crate) fn clear(&self, stream: u32) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = state.by_stream.remove(&stream) {
            state.total -= count;
        }
    }

    /// One more; `false` where there are too many.
    fn add(&self, stream: u32) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state.by_stream.entry(stream).or_default() += 1;
        state.total += 1;
        state.total <= TINY_FRAMES_UNREAD_MAX
    }
}

/// A byte stream whose reads are watched.
#[derive(Debug)]
pub(crate) struct Guarded<T> {
    io: T,
    seen: Seen,
    unread: Unread,
    header: [u8; HEADER_BYTES],
    header_filled: usize,
    body_left: u64,
    tiny: Allowance,
    opens: Allowance,
}

impl<T> Guarded<T> {
    pub(crate) fn new(io: T) -> (Self, Seen, Unread) {
        let (seen, unread) = (Seen::new(), Unread::default());
        let guarded = Self {
            io,
            seen: seen.clone(),
            unread: unread.clone(),
            header: [0; HEADER_BYTES],
            header_filled: 0,
            body_left: 0,
            tiny: Allowance::new(TINY_FRAMES_BURST, TINY_FRAMES_PER_SECOND),
            opens: Allowance::new(OPENS_BURST, OPENS_PER_SECOND),
        };
        (guarded, seen, unread)
    }

    fn follow(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            if self.body_left > 0 {
                let skipped = bytes.len().min(usize::try_from(self.body_left).unwrap_or(usize::MAX));
                self.body_left -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = bytes.len().min(HEADER_BYTES - self.header_filled);
            self.header[self.header_filled..self.header_filled + taken].copy_from_slice(&bytes[..taken]);
            self.header_filled += taken;
            bytes = &bytes[taken..];
            if self.header_filled == HEADER_BYTES {
                self.header_filled = 0;
                self.on_header(now)?;
            }
        }
        Ok(())
    }

    /// The header: version, tag, flags (2), stream (4), length (4), all big-endian (yamux specification).
    fn on_header(&mut self, now: Instant) -> Result<(), &'static str> {
        let [_, tag, flags_high, flags_low, s1, s2, s3, s4, a, b, c, d] = self.header;
        let (stream, length) = (u32::from_be_bytes([s1, s2, s3, s4]), u32::from_be_bytes([a, b, c, d]));
        if tag == TAG_DATA {
            self.body_left = u64::from(length);
        }
        if u16::from_be_bytes([flags_high, flags_low]) & FLAG_SYN != 0 && !self.opens.take(now) {
            return Err("opened streams");
        }
        if (tag != TAG_DATA || length < TINY_FRAME_BYTES) && !self.tiny.take(now) {
            return Err("tiny frames");
        }
        // One without a body leaves nothing behind.
        if tag == TAG_DATA && (1..TINY_FRAME_BYTES).contains(&length) && !self.unread.add(stream) {
            return Err("tiny frames that nobody reads");
        }
        Ok(())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        if read == 0 {
            return Poll::Ready(Ok(()));
        }
        let now = Instant::now();
        let followed = this.follow(&buffer.filled()[before..], now);
        let mut seen = this.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.last = now;
        if let Err(what) = followed {
            seen.flood = Some(what);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "flood")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// A token bucket: `burst` at once, `per_second` for ever.
#[derive(Debug)]
struct Allowance {
    left: f64,
    burst: f64,
    per_second: f64,
    since: Instant,
}

impl Allowance {
    fn new(burst: u32, per_second: u32) -> Self {
        let burst = f64::from(burst);
        Self { left: burst, burst, per_second: f64::from(per_second), since: Instant::now() }
    }

    fn take(&mut self, now: Instant) -> bool {
        if self.left < 1.0 {
            let earned = now.duration_since(self.since).as_secs_f64() * self.per_second;
            self.left = (self.left + earned).min(self.burst);
            self.since = now;
        }
        let is_left = self.left >= 1.0;
        if is_left {
            self.left -= 1.0;
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn header(tag: u8, flags: u16, length: u32) -> Vec<u8> {
        let mut bytes = vec![0, tag];
        bytes.extend_from_slice(&flags.to_be_bytes());
        bytes.extend_from_slice(&1_u32.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes
    }

    #[test]
    fn headers_are_found_however_the_bytes_are_cut() {
        let (mut guarded, ..) = Guarded::new(());
        let mut bytes = header(TAG_DATA, 0, 5);
        bytes.extend_from_slice(b"12345");
        bytes.extend_from_slice(&header(TAG_DATA, FLAG_SYN, 1));
        bytes.push(0);
        let now = Instant::now();
        for byte in bytes {
            guarded.follow(&[byte], now).unwrap();
        }
        assert!(guarded.opens.left < f64::from(OPENS_BURST));
        assert_eq!(guarded.header_filled, 0);
        assert_eq!(guarded.body_left, 0);
    }

    #[test]
    fn a_flood_of_tiny_frames_ends_and_a_pause_earns_new_ones() {
        let (mut guarded, ..) = Guarded::new(());
        let now = Instant::now();
        let frame = header(1, 0, 0);
        let passed = (0..=TINY_FRAMES_BURST).take_while(|_| guarded.follow(&frame, now).is_ok()).count();
        assert_eq!(passed, TINY_FRAMES_BURST as usize);
        assert_eq!(guarded.follow(&frame, now + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn tiny_frames_pile_up_to_a_bound_and_those_that_were_read_do_not_count() {
        let (mut guarded, _, unread) = Guarded::new(());
        let now = Instant::now();
        let mut frame = header(TAG_DATA, 0, 1);
        frame.push(0);
        for _ in 0..TINY_FRAMES_UNREAD_MAX {
            assert_eq!(guarded.follow(&frame, now), Ok(()));
        }
        unread.clear(1);
        assert_eq!(guarded.follow(&frame, now), Ok(()), "the stream was read");
        for _ in 1..TINY_FRAMES_UNREAD_MAX - 1 {
            assert_eq!(guarded.follow(&frame, now), Ok(()));
        }
        unread.clear(3);
        // By then there is room for more of them a second.
        let later = now + Duration::from_secs(1);
        assert_eq!(guarded.follow(&frame, later), Ok(()));
        assert_eq!(guarded.follow(&frame, later), Err("tiny frames that nobody reads"));
    }
}
