//! Watches a connection's raw bytes as they are read: when something last came, and whether the peer floods.
//!
//! yamux bounds bytes but not frames: a peer that sends its window in one-byte frames makes the receiver allocate
//! thousands of times what it sent, and opening streams costs it 12 bytes each. So the guard follows the 12-byte
//! headers as they pass and lets a bounded rate of tiny frames and of openings through. It changes nothing.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::limits::{OPENS_BURST, OPENS_PER_SECOND, TINY_FRAME_BYTES, TINY_FRAMES_BURST, TINY_FRAMES_PER_SECOND};

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

/// A byte stream whose reads are watched.
#[derive(Debug)]
pub(crate) struct Guarded<T> {
    io: T,
    seen: Seen,
    header: [u8; HEADER_BYTES],
    header_filled: usize,
    body_left: u64,
    tiny: Allowance,
    opens: Allowance,
}

impl<T> Guarded<T> {
    pub(crate) fn new(io: T) -> (Self, Seen) {
        let seen = Seen::new();
        let guarded = Self {
            io,
            seen: seen.clone(),
            header: [0; HEADER_BYTES],
            header_filled: 0,
            body_left: 0,
            tiny: Allowance::new(TINY_FRAMES_BURST, TINY_FRAMES_PER_SECOND),
            opens: Allowance::new(OPENS_BURST, OPENS_PER_SECOND),
        };
        (guarded, seen)
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
        let [_, tag, flags_high, flags_low, _, _, _, _, a, b, c, d] = self.header;
        let length = u32::from_be_bytes([a, b, c, d]);
        if tag == TAG_DATA {
            self.body_left = u64::from(length);
        }
        if u16::from_be_bytes([flags_high, flags_low]) & FLAG_SYN != 0 && !self.opens.take(now) {
            return Err("opened streams");
        }
        if (tag != TAG_DATA || length < TINY_FRAME_BYTES) && !self.tiny.take(now) {
            return Err("tiny frames");
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
        let (mut guarded, _) = Guarded::new(());
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
        let (mut guarded, _) = Guarded::new(());
        let now = Instant::now();
        let frame = header(1, 0, 0);
        let passed = (0..=TINY_FRAMES_BURST).take_while(|_| guarded.follow(&frame, now).is_ok()).count();
        assert_eq!(passed, TINY_FRAMES_BURST as usize);
        assert_eq!(guarded.follow(&frame, now + Duration::from_secs(1)), Ok(()));
    }
}
