//! What a reply has said so far of what it used, per provider.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{
    Api, Certainty, End, Metered, NAME_BYTES_MAX, Tokens,
    counts::{AnthropicUsage, GeminiUsage, OpenAiUsage},
    said::said_bytes,
};

/// Bytes of text per token, for what nobody counted: more than a token of English has, so that the count is rather too low.
const SAID_BYTES_PER_TOKEN: u64 = 4;

/// What was seen of a reply.
pub(super) struct Seen {
    api: Api,
    model: Option<String>,
    service_tier: Option<String>,
    /// The provider's last count.
    reported: Option<Tokens>,
    /// That count is of the whole reply.
    is_final: bool,
    /// Bytes of text that the reply has said.
    said_bytes: u64,
}

/// What an event is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Anything.
    Ordinary,
    /// Nothing but the count: the chunk that OpenAI sends for `stream_options.include_usage`.
    CountAlone,
}

/// How much of a reply a JSON document is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    Part,
}

#[derive(Deserialize)]
struct Anthropic {
    r#type: Option<Value>,
    message: Option<AnthropicMessage>,
    model: Option<Value>,
    usage: Option<AnthropicUsage>,
    delta: Option<AnthropicDelta>,
}

#[derive(Deserialize)]
struct AnthropicMessage {
    model: Option<Value>,
    usage: Option<AnthropicUsage>,
}

#[derive(Deserialize)]
struct AnthropicDelta {
    stop_reason: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Chat {
    model: Option<Value>,
    service_tier: Option<Value>,
    usage: Option<OpenAiUsage>,
    choices: Option<Vec<ChatChoice>>,
}

#[derive(Deserialize)]
struct ChatChoice {
    finish_reason: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ResponsesEvent {
    r#type: Option<Value>,
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Response {
    model: Option<Value>,
    service_tier: Option<Value>,
    usage: Option<OpenAiUsage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gemini {
    model_version: Option<Value>,
    usage_metadata: Option<GeminiUsage>,
    candidates: Option<Vec<GeminiCandidate>>,
    prompt_feedback: Option<GeminiFeedback>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeminiCandidate {
    finish_reason: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeminiFeedback {
    block_reason: Option<IgnoredAny>,
}

impl Seen {
    pub(super) fn new(api: Api) -> Self {
        Self { api, model: None, service_tier: None, reported: None, is_final: false, said_bytes: 0 }
    }

    /// Looks at the data of an event. What cannot be read says nothing.
    pub(super) fn look_at_event(&mut self, json: &[u8]) -> Look {
        self.look(json, Extent::Part)
    }

    /// Looks at a whole JSON object: the reply, or a part of an array that is the reply.
    pub(super) fn look_at_document(&mut self, json: &[u8]) {
        let extent = if self.api == Api::GeminiStream { Extent::Part } else { Extent::Whole };
        self.look(json, extent);
    }

    /// Looks at the beginning of a JSON object that broke off.
    pub(super) fn look_at_piece(&mut self, json: &[u8]) {
        self.hear(json, self.names_of_text());
    }

    /// What was used, in the end.
    pub(super) fn metered(self, end: End, model: String, service_tier: Option<String>) -> Metered {
        // These two send their count along, and end in order only when they have said all.
        let ends_in_order = match self.api {
            Api::OpenAiChat | Api::GeminiGenerate | Api::GeminiStream => end == End::Whole,
            Api::AnthropicMessages | Api::OpenAiResponses => false,
        };
        let is_exact = self.reported.is_some() && (self.is_final || ends_in_order);
        let mut tokens = self.reported.unwrap_or_default();
        if !is_exact {
            tokens.output = tokens.output.max(self.said_bytes.div_ceil(SAID_BYTES_PER_TOKEN));
        }
        Metered {
            model: self.model.unwrap_or(model),
            service_tier: self.service_tier.or(service_tier),
            tokens,
            certainty: if is_exact { Certainty::Exact } else { Certainty::AtLeast },
        }
    }

    fn look(&mut self, json: &[u8], extent: Extent) -> Look {
        match (self.api, extent) {
            (Api::AnthropicMessages, _) => read(json, |event| self.anthropic(event, json, extent)),
            (Api::OpenAiChat, _) => read(json, |chunk| self.chat(&chunk, json, extent)),
            (Api::OpenAiResponses, Extent::Part) => read(json, |event| self.responses_event(event, json)),
            (Api::OpenAiResponses, Extent::Whole) => read(json, |response: Response| {
                let has_count = self.response(&response);
                self.is_final |= has_count;
                if !has_count {
                    self.hear(json, self.names_of_text());
                }
                Look::Ordinary
            }),
            (Api::GeminiGenerate | Api::GeminiStream, _) => read(json, |chunk| self.gemini(&chunk, json, extent)),
        }
    }

    fn anthropic(&mut self, event: Anthropic, json: &[u8], extent: Extent) -> Look {
        let Anthropic { r#type, message, model, usage, delta } = event;
        let (early_model, early_usage) = message.map_or((None, None), |message| (message.model, message.usage));
        name(&mut self.model, early_model.as_ref().or(model.as_ref()));
        for usage in early_usage.iter().chain(&usage) {
            name(&mut self.service_tier, usage.service_tier.as_ref());
            // Each is so far in all, and not every one repeats every number.
            self.reported = Some(most(self.reported.unwrap_or_default(), usage.tokens()));
        }
        let kind = r#type.as_ref().and_then(Value::as_str);
        let has_stopped = usage.is_some() && delta.is_some_and(|delta| delta.stop_reason.is_some());
        self.is_final |= has_stopped || kind == Some("message_stop") || (extent == Extent::Whole && usage.is_some());
        if kind == Some("content_block_delta") || (extent == Extent::Whole && usage.is_none()) {
            self.hear(json, self.names_of_text());
        }
        Look::Ordinary
    }

    fn chat(&mut self, chunk: &Chat, json: &[u8], extent: Extent) -> Look {
        name(&mut self.model, chunk.model.as_ref());
        name(&mut self.service_tier, chunk.service_tier.as_ref());
        self.hear(json, self.names_of_text());
        let Some(usage) = &chunk.usage else { return Look::Ordinary };
        self.reported = Some(usage.tokens());
        let choices = chunk.choices.as_deref();
        let is_alone = choices.is_some_and(<[_]>::is_empty);
        let has_finished = choices.unwrap_or_default().iter().any(|choice| choice.finish_reason.is_some());
        self.is_final |= is_alone || has_finished || extent == Extent::Whole;
        if is_alone { Look::CountAlone } else { Look::Ordinary }
    }

    fn responses_event(&mut self, event: ResponsesEvent, json: &[u8]) -> Look {
        let kind = event.r#type.as_ref().and_then(Value::as_str).unwrap_or_default();
        // Of what is repeated when it is done, only the first time has this name.
        self.hear(json, &["delta"]);
        let has_count = event.response.is_some_and(|response| self.response(&response));
        let is_last = matches!(kind, "response.completed" | "response.incomplete" | "response.failed");
        self.is_final |= has_count && is_last;
        Look::Ordinary
    }

    /// Whether it has a count.
    fn response(&mut self, response: &Response) -> bool {
        name(&mut self.model, response.model.as_ref());
        name(&mut self.service_tier, response.service_tier.as_ref());
        if let Some(usage) = &response.usage {
            self.reported = Some(usage.tokens());
        }
        response.usage.is_some()
    }

    fn gemini(&mut self, chunk: &Gemini, json: &[u8], extent: Extent) -> Look {
        name(&mut self.model, chunk.model_version.as_ref());
        self.hear(json, self.names_of_text());
        let candidates = chunk.candidates.as_deref().unwrap_or_default();
        let has_finished = candidates.iter().any(|candidate| candidate.finish_reason.is_some())
            || chunk.prompt_feedback.as_ref().is_some_and(|feedback| feedback.block_reason.is_some());
        if let Some(usage) = &chunk.usage_metadata {
            self.reported = Some(usage.tokens());
            self.is_final |= has_finished || extent == Extent::Whole;
        }
        Look::Ordinary
    }

    /// Under which names a reply says something. Arguments of a call that are no string are left out.
    fn names_of_text(&self) -> &'static [&'static str] {
        match self.api {
            Api::AnthropicMessages => &["text", "thinking", "partial_json"],
            Api::OpenAiChat => &["content", "reasoning_content", "reasoning", "refusal", "arguments"],
            Api::OpenAiResponses => &["text", "refusal", "arguments"],
            Api::GeminiGenerate | Api::GeminiStream => &["text"],
        }
    }

    fn hear(&mut self, json: &[u8], names: &[&str]) {
        self.said_bytes = self.said_bytes.saturating_add(said_bytes(json, names));
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8], look: impl FnOnce(T) -> Look) -> Look {
    serde_json::from_slice(json).map_or(Look::Ordinary, look)
}

/// Takes a name if it is one.
fn name(into: &mut Option<String>, value: Option<&Value>) {
    if let Some(text) = value.and_then(Value::as_str).filter(|text| !text.is_empty() && text.len() <= NAME_BYTES_MAX) {
        *into = Some(text.to_owned());
    }
}

fn most(one: Tokens, other: Tokens) -> Tokens {
    Tokens {
        input: one.input.max(other.input),
        cache_read: one.cache_read.max(other.cache_read),
        cache_write: one.cache_write.max(other.cache_write),
        cache_write_hour: one.cache_write_hour.max(other.cache_write_hour),
        output: one.output.max(other.output),
        reasoning: one.reasoning.max(other.reasoning),
    }
}
