//! What a request says of itself, and the one thing that metering adds to it. All else stays as it came, to the byte: the
//! addition is put into the text, and nothing is written anew.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected},
};
use serde_json::value::RawValue;

use super::{Api, Prepared};

/// Bytes of a request that make at least a token.
const BYTES_PER_TOKEN_MIN: u64 = 3;

/// Why a body cannot be sent on.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is no JSON object, or names one thing twice.
    #[error("the request's body cannot be read as a JSON object")]
    NotAnObject(#[source] serde_json::Error),
    /// It names no model.
    #[error("the request names no model")]
    NoModel,
}

/// What matters of a body, whichever API it is for. A name that comes twice is an error: the provider might take the other one.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stream: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    stream_options: Option<&'a RawValue>,
    #[serde(borrow, default)]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    max_completion_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    max_output_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    n: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "serviceTier")]
    service_tier: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "generation_config", rename = "generationConfig")]
    generation_config: Option<GenerationConfig<'a>>,
}

/// Gemini's, which takes names of both kinds.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    #[serde(borrow, default, alias = "max_output_tokens")]
    max_output_tokens: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "candidate_count")]
    candidate_count: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    include_usage: Option<&'a RawValue>,
}

/// Tells a member that is `null` from none.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a request's body and asks for what metering needs. `path` is the request's, for those that name the model there.
///
/// # Errors
/// [`Unreadable`] says what to tell the client.
pub fn prepare(api: Api, path: &str, body: &Bytes) -> Result<Prepared, Unreadable> {
    let read: Body<'_> = object(body).map_err(Unreadable::NotAnObject)?;
    let (model, limit, answers, is_stream) = match api {
        Api::AnthropicMessages => (text(read.model), count(read.max_tokens), 1, is_true(read.stream)),
        Api::OpenAiChat => {
            let limit = count(read.max_tokens).max(count(read.max_completion_tokens));
            (text(read.model), limit, count(read.n).unwrap_or(1), is_true(read.stream))
        }
        Api::OpenAiResponses => (text(read.model), count(read.max_output_tokens), 1, is_true(read.stream)),
        Api::GeminiGenerate | Api::GeminiStream => {
            let config = read.generation_config.unwrap_or_default();
            let answers = count(config.candidate_count).unwrap_or(1);
            (model_in(path), count(config.max_output_tokens), answers, api == Api::GeminiStream)
        }
    };
    let model = model.filter(|model| !model.is_empty()).ok_or(Unreadable::NoModel)?;
    let addition = if api == Api::OpenAiChat && is_stream { addition(body, read.stream_options) } else { None };
    let hides_usage = addition.is_some();
    let service_tier = text(read.service_tier);
    let body = addition.map_or_else(|| body.clone(), |addition| addition.put_into(body));
    Ok(Prepared {
        input_tokens_max: u64::try_from(body.len()).unwrap_or(u64::MAX).div_ceil(BYTES_PER_TOKEN_MIN),
        output_tokens_max: limit.map(|limit| limit.saturating_mul(answers.max(1))),
        answers: answers.max(1),
        body,
        model,
        service_tier,
        is_stream,
        hides_usage,
    })
}

/// Text that takes a place in a body.
struct Addition {
    at: Range<usize>,
    text: Cow<'static, str>,
}

impl Addition {
    fn put_into(self, body: &Bytes) -> Bytes {
        [&body[..self.at.start], self.text.as_bytes(), &body[self.at.end..]].concat().into()
    }
}

/// What to write where, so that the stream brings a count; `None` where the client asked for it itself, or asked for something that
/// is none of OpenAI's.
fn addition(body: &Bytes, options: Option<&RawValue>) -> Option<Addition> {
    const ASKED: &str = r#""include_usage":true"#;
    let Some(options) = options else {
        let at = body.iter().rposition(|byte| *byte == b'}')?;
        // Never the first member: a model was named.
        return Some(Addition { at: at..at, text: format!(r#","stream_options":{{{ASKED}}}"#).into() });
    };
    if options.get() == "null" {
        return Some(Addition { at: place(body, options)?, text: format!("{{{ASKED}}}").into() });
    }
    let StreamOptions { include_usage } = object(options.get().as_bytes()).ok()?;
    match include_usage {
        Some(value) if is_true(Some(value)) => None,
        Some(value) => Some(Addition { at: place(body, value)?, text: "true".into() }),
        None => {
            let inner = options.get().strip_prefix('{')?.strip_suffix('}')?;
            let comma = if inner.trim_ascii().is_empty() { "" } else { "," };
            let at = place(body, options)?.end - 1;
            Some(Addition { at: at..at, text: format!("{comma}{ASKED}").into() })
        }
    }
}

/// Reads a JSON object. Serde would also take an array for one, its members by their order.
fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    if json.trim_ascii_start().first() == Some(&b'[') {
        return Err(de::Error::invalid_type(Unexpected::Seq, &"an object"));
    }
    serde_json::from_slice(json)
}

/// Where in a body a value stands that was read from it.
fn place(body: &Bytes, value: &RawValue) -> Option<Range<usize>> {
    let start = value.get().as_ptr().addr().checked_sub(body.as_ptr().addr())?;
    let at = start..start.checked_add(value.get().len())?;
    (body.get(at.clone())? == value.get().as_bytes()).then_some(at)
}

/// The model in `…/models/{model}:generateContent`.
fn model_in(path: &str) -> Option<String> {
    let path = path.split('?').next()?;
    let (model, _) = path.rsplit('/').next()?.rsplit_once(':')?;
    percent_decode_str(model).decode_utf8().ok().map(Cow::into_owned)
}

fn text(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(value?.get()).ok()
}

fn is_true(value: Option<&RawValue>) -> bool {
    value.is_some_and(|value| value.get() == "true")
}

/// A limit. Providers also take `4096.0`, and Gemini `"4096"`.
fn count(value: Option<&RawValue>) -> Option<u64> {
    let text = value?.get().trim_matches('"');
    if let Ok(count) = text.parse() {
        return Some(count);
    }
    let count = text.parse::<f64>().ok().filter(|count| count.is_finite() && *count >= 0.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above; what is too large is u64::MAX"
    )]
    Some(count.ceil() as u64)
}
