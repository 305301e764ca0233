//! Replies as the providers document them, written by hand, and what must come out whichever way they are cut.

use proptest::prelude::*;

use super::*;

mod hostile;
mod requests;
mod streams;

/// A request for a reply of each kind, as an agent sends it.
fn request(api: Api) -> Prepared {
    let (path, body) = match api {
        Api::AnthropicMessages => ("/v1/messages", r#"{"model":"claude-sonnet-4-5","max_tokens":64,"stream":true}"#),
        Api::OpenAiChat => ("/v1/chat/completions", r#"{"model":"gpt-5","stream":true}"#),
        Api::OpenAiResponses => ("/v1/responses", r#"{"model":"gpt-5","stream":true}"#),
        Api::GeminiGenerate => ("/v1beta/models/gemini-2.5-flash:generateContent", "{}"),
        Api::GeminiStream => ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "{}"),
    };
    prepare(api, path, &Bytes::from_static(body.as_bytes())).unwrap()
}

/// What a client sees of a reply that comes in these pieces, and what it used.
fn pass<'a>(mut meter: Meter, pieces: impl IntoIterator<Item = &'a [u8]>, end: End) -> (Vec<u8>, Option<Metered>) {
    let mut shown = Vec::new();
    for piece in pieces {
        shown.extend_from_slice(&meter.take(Bytes::copy_from_slice(piece)));
    }
    let (rest, metered) = meter.finish(end);
    shown.extend_from_slice(&rest);
    (shown, metered)
}

fn of_stream(api: Api, reply: &str, end: End) -> Metered {
    pass(Meter::new(api, &request(api), 200, true), [reply.as_bytes()], end).1.unwrap()
}

fn of_document(api: Api, reply: &str, end: End) -> Metered {
    pass(Meter::new(api, &request(api), 200, false), [reply.as_bytes()], end).1.unwrap()
}

fn tokens(input: u64, cache_read: u64, cache_write: u64, output: u64, reasoning: u64) -> Tokens {
    Tokens { input, cache_read, cache_write, output, reasoning, ..Tokens::default() }
}

/// A body cut at any places.
fn pieces(body: &'static [u8]) -> impl Strategy<Value = Vec<&'static [u8]>> {
    prop::collection::vec(0..=body.len(), 0..20).prop_map(move |mut cuts| {
        cuts.sort_unstable();
        cuts.push(body.len());
        let starts = std::iter::once(0).chain(cuts.clone());
        starts.zip(cuts.clone()).map(|(start, end)| &body[start..end]).collect()
    })
}
