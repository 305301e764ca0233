//! What a request to a model may use, and what its reply says it used.
//!
//! ```text
//! request body ─▶ prepare ─▶ Prepared: what to send, and what it may use at the most
//! reply        ─▶ Meter::take, piece by piece ─▶ what the client sees
//!                 Meter::finish ─▶ Metered: what was used
//! ```
//!
//! Counts come from the model's own reply, streams included, never from the agent. Pure: no I/O, no clock.
//!
//! Where the provider's count did not come, because it gives none or the reply was cut, the count is [`Certainty::AtLeast`]: as
//! input what the reply had reported until then, else nothing, since a body's bytes say little about tokens from below (images);
//! as output what the reply had reported, or a quarter of the bytes of what it said, rounded up, whichever is more. That is
//! for showing. Whoever keeps to a budget takes what was reserved instead: an agent can cut its own replies.
//!
//! Not counted: what a provider charges apart from tokens, such as searches that it does itself.

mod counts;
mod events;
mod objects;
mod reply;
mod request;
mod said;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;

use self::{
    events::{Events, Part},
    objects::Objects,
    reply::{Look, Seen},
};

pub use self::request::{Unreadable, prepare};

/// Of a reply's event or JSON document, this much is kept for reading; what is larger passes unread. Bytes.
pub const REPLY_BYTES_MAX: usize = 32 << 20;

/// A call of a provider's inference API that is metered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// Anthropic `POST /v1/messages`.
    AnthropicMessages,
    /// OpenAI and compatible `POST /v1/chat/completions`.
    OpenAiChat,
    /// OpenAI `POST /v1/responses`.
    OpenAiResponses,
    /// Gemini `POST /v1beta/models/{model}:generateContent`.
    GeminiGenerate,
    /// Gemini `POST /v1beta/models/{model}:streamGenerateContent`.
    GeminiStream,
}

/// Tokens, each counted once: `input` has neither what was read from a cache nor what was written to one; `output` includes
/// `reasoning`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read anew.
    pub input: u64,
    /// Read from a cache.
    pub cache_read: u64,
    /// Written to a cache.
    pub cache_write: u64,
    /// Of `cache_write`, what is kept for an hour, which costs more.
    pub cache_write_hour: u64,
    /// Made.
    pub output: u64,
    /// Of `output`, what was thought and not said.
    pub reasoning: u64,
}

/// How far a count can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The provider's own count of the whole reply.
    Exact,
    /// Counted from what was seen: the reply was cut, or had no count.
    AtLeast,
}

/// What a request used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metered {
    /// The model, as the reply names it; else as the request did. Hostile text, at most [`NAME_BYTES_MAX`].
    pub model: String,
    /// The tier of service that it is charged at, as the reply names it; else as the request did. Hostile text, bounded likewise.
    pub service_tier: Option<String>,
    /// How much.
    pub tokens: Tokens,
    /// How far that can be relied on.
    pub certainty: Certainty,
}

/// A name in a reply that is longer than this is not taken. Bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// What a request may use at the most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The model that is asked for.
    pub model: String,
    /// The tier of service that is asked for.
    pub service_tier: Option<String>,
    /// As input, in tokens.
    pub input_tokens_max: u64,
    /// As output of all answers, in tokens; `None` where the request names no limit.
    pub output_tokens_max: Option<u64>,
    /// How many answers are asked for, each as long as the limit allows.
    pub answers: u64,
}

impl Prepared {
    /// What it may use at the most.
    pub fn demand(&self) -> Demand {
        Demand {
            model: self.model.clone(),
            service_tier: self.service_tier.clone(),
            input_tokens_max: self.input_tokens_max,
            output_tokens_max: self.output_tokens_max,
            answers: self.answers,
        }
    }
}

/// A request as it is sent on, and what it may use.
#[derive(Clone)]
pub struct Prepared {
    /// The body, with what metering needs asked for.
    pub body: Bytes,
    /// The model that is asked for.
    pub model: String,
    /// The tier of service that is asked for.
    pub service_tier: Option<String>,
    /// The most that it may use: body bytes / 3 as input, and the request's own token limit as output, for all of its answers;
    /// `None` where the request names no limit. What a provider adds by itself (an earlier response that is named, a search) is
    /// not in it.
    pub input_tokens_max: u64,
    /// As above.
    pub output_tokens_max: Option<u64>,
    /// How many answers are asked for, each as long as the limit allows.
    pub answers: u64,
    /// Whether the reply is a stream of events.
    pub is_stream: bool,
    /// Whether the count in the stream was asked for by the gateway alone, so that the client must not see it.
    hides_usage: bool,
}

impl fmt::Debug for Prepared {
    /// Without what is said in the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("body_bytes", &self.body.len())
            .field("model", &self.model)
            .field("service_tier", &self.service_tier)
            .field("input_tokens_max", &self.input_tokens_max)
            .field("output_tokens_max", &self.output_tokens_max)
            .field("answers", &self.answers)
            .field("is_stream", &self.is_stream)
            .field("hides_usage", &self.hides_usage)
            .finish()
    }
}

/// Reads a reply as it passes by.
pub struct Meter {
    model: String,
    service_tier: Option<String>,
    seen: Seen,
    reading: Reading,
}

/// How a reply's body is taken apart.
enum Reading {
    /// Not at all: an error used nothing.
    Not,
    /// As a stream of events that all pass.
    Events(Events),
    /// As a stream of events, the current one held back: the one with the count does not pass.
    Hiding(Events, Last),
    /// As one JSON object, or an array of them.
    Objects(Objects),
}

/// What became of the event before.
#[derive(Clone, Copy)]
enum Last {
    Shown,
    Hidden,
}

/// How a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Whole.
    Whole,
    /// The connection broke, or the client left.
    Cut,
}

impl fmt::Debug for Meter {
    /// Without what was said in the reply.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Meter {
    /// A meter for the reply to a request. `is_event_stream` is what the reply's `content-type` says, `status` its HTTP status.
    /// The body that is taken must not be compressed.
    pub fn new(api: Api, prepared: &Prepared, status: u16, is_event_stream: bool) -> Self {
        let reading = match (200..300).contains(&status) {
            false => Reading::Not,
            true if is_event_stream && prepared.hides_usage => Reading::Hiding(Events::default(), Last::Shown),
            true if is_event_stream => Reading::Events(Events::default()),
            true => Reading::Objects(Objects::default()),
        };
        let service_tier = prepared.service_tier.clone();
        Self { model: prepared.model.clone(), service_tier, seen: Seen::new(api), reading }
    }

    /// Takes a piece of the reply's body; returns what the client gets to see of it now, perhaps nothing. Nothing is held back for
    /// longer than the event that it belongs to, and memory stays bounded whatever comes.
    pub fn take(&mut self, piece: Bytes) -> Bytes {
        let Self { seen, reading, .. } = self;
        match reading {
            Reading::Not => piece,
            Reading::Objects(objects) => {
                objects.take(&piece, |object| seen.look_at_document(object));
                piece
            }
            Reading::Events(events) => {
                events.take(&piece, |part| watch(&part, seen));
                piece
            }
            Reading::Hiding(events, last) => {
                let mut shown = Vec::with_capacity(piece.len());
                events.take(&piece, |part| hide(&part, seen, last, &mut shown));
                shown.into()
            }
        }
    }

    /// What is left to be seen at the end, and what was used; `None` where the reply used nothing (an error, say).
    pub fn finish(self, end: End) -> (Bytes, Option<Metered>) {
        let Self { model, service_tier, mut seen, reading } = self;
        let mut shown = Vec::new();
        match reading {
            Reading::Not => return (Bytes::new(), None),
            Reading::Objects(objects) => seen.look_at_piece(&objects.finish()),
            Reading::Events(events) => events.finish(|part| watch(&part, &mut seen)),
            Reading::Hiding(events, mut last) => {
                events.finish(|part| hide(&part, &mut seen, &mut last, &mut shown));
            }
        }
        (shown.into(), Some(seen.metered(end, model, service_tier)))
    }
}

/// Looks at an event that has passed.
fn watch(part: &Part<'_>, seen: &mut Seen) {
    if let Some(text) = part.data() {
        seen.look_at_event(&text);
    }
}

/// Looks at an event, and lets it pass unless it is there for the count alone.
fn hide(part: &Part<'_>, seen: &mut Seen, last: &mut Last, shown: &mut Vec<u8>) {
    let raw = match part {
        Part::Event(raw) => {
            let look = part.data().map(|text| seen.look_at_event(&text));
            *last = if look == Some(Look::CountAlone) { Last::Hidden } else { Last::Shown };
            raw
        }
        Part::EndOfLast(raw) => raw,
        Part::TooLarge(raw) => {
            *last = Last::Shown;
            raw
        }
    };
    if matches!(last, Last::Shown) {
        shown.extend_from_slice(raw);
    }
}
