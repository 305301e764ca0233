//! A reply as it passes by, piece by piece: nothing is read from the host before the client has room for it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::inspect::Cleaner;
use crate::ledger::Outcome;
use crate::model::Redactor;
use crate::open::{Counter, Open};
use crate::respond::Body;
use crate::usage::{End, Meter, Metered};

/// Why a reply breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplyError {
    #[error("the host's reply broke off")]
    Broken(#[source] hyper::Error),
    #[error("the host was silent for too long")]
    Silent,
}

/// What is done to a reply.
pub(crate) enum Reading {
    /// Nothing.
    Nothing,
    /// The key is taken out.
    Cleaned(Cleaner),
    /// The key is taken out, and what was used is read where it can be.
    Model { redactor: Option<Redactor>, usage: Usage },
}

/// What is known of what a reply uses.
pub(crate) enum Usage {
    /// Nothing is used.
    None,
    /// It is read.
    Read(Box<Meter>),
    /// It cannot be read: that much is known.
    Unread(Metered),
}

/// A reply's body. Ends its [`Open`] once: whole, cut, or by being dropped, which is how hyper says that the client left.
pub(crate) struct Reply {
    host: Incoming,
    /// There until the reply has ended.
    ending: Option<(Open, Reading)>,
    /// Comes after what is still to be shown.
    error: Option<ReplyError>,
    silence: Pin<Box<Sleep>>,
    silence_time_max: Duration,
    /// Since the last piece was asked for. A client that does not read makes the host silent, and that is not the host's fault.
    is_waiting: bool,
}

impl Reply {
    pub(crate) fn body(host: Incoming, open: Open, reading: Reading, silence_time_max: Duration) -> Body {
        let silence = Box::pin(tokio::time::sleep(silence_time_max));
        let mut reply =
            Self { host, ending: Some((open, reading)), error: None, silence, silence_time_max, is_waiting: false };
        if reply.host.is_end_stream() {
            // Nobody may ask an empty body for anything.
            reply.end(End::Whole, Outcome::Whole);
        }
        reply.boxed_unsync()
    }

    fn take(&mut self, piece: Bytes) -> Bytes {
        match &mut self.ending {
            Some((open, reading)) => {
                open.down.add(piece.len());
                reading.take(piece)
            }
            None => piece,
        }
    }

    /// What is left to be shown.
    fn end(&mut self, end: End, outcome: Outcome) -> Bytes {
        let Some((open, reading)) = self.ending.take() else { return Bytes::new() };
        let (rest, metered) = reading.finish(end);
        open.end(outcome, metered);
        rest
    }

    fn cut(&mut self, error: ReplyError) -> Bytes {
        let why = crate::respond::chain(&error);
        self.error = Some(error);
        self.end(End::Cut, Outcome::Cut { why })
    }
}

impl Reading {
    fn take(&mut self, piece: Bytes) -> Bytes {
        match self {
            Self::Nothing => piece,
            Self::Cleaned(cleaner) => cleaner.take(piece),
            Self::Model { redactor, usage } => {
                let clean = match redactor {
                    Some(redactor) => redactor.take(piece),
                    None => piece,
                };
                usage.take(clean)
            }
        }
    }

    fn finish(self, end: End) -> (Bytes, Option<Metered>) {
        match self {
            Self::Nothing => (Bytes::new(), None),
            Self::Cleaned(cleaner) => (cleaner.finish(), None),
            Self::Model { redactor, mut usage } => {
                let held = redactor.map(Redactor::finish).unwrap_or_default();
                let mut rest = BytesMut::from(usage.take(held));
                let (last, metered) = match usage {
                    Usage::None => (Bytes::new(), None),
                    Usage::Read(meter) => meter.finish(end),
                    Usage::Unread(metered) => (Bytes::new(), Some(metered)),
                };
                rest.extend_from_slice(&last);
                (rest.freeze(), metered)
            }
        }
    }
}

impl Usage {
    fn take(&mut self, piece: Bytes) -> Bytes {
        match self {
            Self::Read(meter) if !piece.is_empty() => meter.take(piece),
            Self::Read(_) | Self::None | Self::Unread(_) => piece,
        }
    }
}

impl HttpBody for Reply {
    type Data = Bytes;
    type Error = ReplyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        loop {
            if self.ending.is_none() {
                return Poll::Ready(self.error.take().map(Err));
            }
            let shown = match Pin::new(&mut self.host).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.is_waiting = false;
                    // Trailers are of one hop.
                    let Ok(piece) = frame.into_data() else { continue };
                    let shown = self.take(piece);
                    // One of a known length is not asked again after its last piece.
                    if self.host.is_end_stream() { joined(shown, &self.end(End::Whole, Outcome::Whole)) } else { shown }
                }
                Poll::Ready(Some(Err(error))) => self.cut(ReplyError::Broken(error)),
                Poll::Ready(None) => self.end(End::Whole, Outcome::Whole),
                Poll::Pending => {
                    if !self.is_waiting {
                        self.is_waiting = true;
                        let until = Instant::now() + self.silence_time_max;
                        self.silence.as_mut().reset(until);
                    }
                    std::task::ready!(self.silence.as_mut().poll(cx));
                    self.cut(ReplyError::Silent)
                }
            };
            if !shown.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(shown))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ending.is_none() && self.error.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.ending {
            Some((_, Reading::Nothing)) | None => self.host.size_hint(),
            Some((_, Reading::Cleaned(_) | Reading::Model { .. })) => SizeHint::default(),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.end(End::Cut, Outcome::Cut { why: "the client left".to_owned() });
    }
}

fn joined(first: Bytes, second: &Bytes) -> Bytes {
    if second.is_empty() {
        return first;
    }
    let mut both = BytesMut::from(first);
    both.extend_from_slice(second);
    both.freeze()
}

/// A request's body that is counted as it is sent.
pub(crate) struct Counted {
    client: Incoming,
    counter: Counter,
}

impl Counted {
    pub(crate) fn new(client: Incoming, counter: Counter) -> Self {
        Self { client, counter }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            return Poll::Ready(match std::task::ready!(Pin::new(&mut self.client).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers are of one hop.
                    let Ok(piece) = frame.into_data() else { continue };
                    self.counter.add(piece.len());
                    Some(Ok(Frame::data(piece)))
                }
                other => other,
            });
        }
    }

    fn is_end_stream(&self) -> bool {
        self.client.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.client.size_hint()
    }
}
