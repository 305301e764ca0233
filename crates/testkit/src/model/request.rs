//! What a client asks for, read as far as a script needs it.

use hyper::Uri;
use serde_json::Value;

/// Who is spoken to, by the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    Anthropic,
    OpenAi,
    Gemini,
}

/// A call of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    AnthropicMessages,
    OpenAiChat,
    OpenAiResponses,
    GeminiGenerate,
    /// As events, or as an array.
    GeminiStream {
        as_events: bool,
    },
}

/// What a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Call(Protocol),
    Models,
    CountTokens,
    Nothing,
}

/// Reads a path. It may begin with anything: a base URL's own path stays before it.
pub(super) fn endpoint(uri: &Uri) -> (Provider, Endpoint) {
    let path = uri.path();
    let as_events = uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
    let of_gemini = path.rsplit_once(':').map(|(_, verb)| match verb {
        "generateContent" => Endpoint::Call(Protocol::GeminiGenerate),
        "streamGenerateContent" => Endpoint::Call(Protocol::GeminiStream { as_events }),
        "countTokens" => Endpoint::CountTokens,
        _ => Endpoint::Nothing,
    });
    match of_gemini {
        Some(endpoint) => (Provider::Gemini, endpoint),
        None if path.ends_with("/v1beta/models") => (Provider::Gemini, Endpoint::Models),
        None if path.ends_with("/messages") => (Provider::Anthropic, Endpoint::Call(Protocol::AnthropicMessages)),
        None if path.ends_with("/messages/count_tokens") => (Provider::Anthropic, Endpoint::CountTokens),
        None if path.ends_with("/chat/completions") => (Provider::OpenAi, Endpoint::Call(Protocol::OpenAiChat)),
        None if path.ends_with("/responses") => (Provider::OpenAi, Endpoint::Call(Protocol::OpenAiResponses)),
        None if path.ends_with("/models") => (Provider::OpenAi, Endpoint::Models),
        None => (Provider::OpenAi, Endpoint::Nothing),
    }
}

/// The model that is asked for.
pub(super) fn model(protocol: Protocol, uri: &Uri, body: &Value) -> String {
    let in_path = || uri.path().rsplit('/').next()?.split(':').next();
    let model = match protocol {
        Protocol::GeminiGenerate | Protocol::GeminiStream { .. } => in_path(),
        Protocol::AnthropicMessages | Protocol::OpenAiChat | Protocol::OpenAiResponses => body["model"].as_str(),
    };
    model.unwrap_or("a-model").to_owned()
}

/// How many results of tools a client has sent since the model last ended a turn of its own accord.
pub(super) fn results_of_tools(protocol: Protocol, body: &Value) -> usize {
    let said = match protocol {
        Protocol::AnthropicMessages | Protocol::OpenAiChat => &body["messages"],
        Protocol::OpenAiResponses => &body["input"],
        Protocol::GeminiGenerate | Protocol::GeminiStream { .. } => &body["contents"],
    };
    said.as_array().into_iter().flatten().fold(0, |results, message| match step(protocol, message) {
        Step::Results(more) => results + more,
        Step::End => 0,
    })
}

enum Step {
    Results(usize),
    End,
}

fn step(protocol: Protocol, message: &Value) -> Step {
    let role = message["role"].as_str();
    let count = |list: &Value, is: &dyn Fn(&Value) -> bool| {
        list.as_array().map_or(0, |list| list.iter().filter(|part| is(part)).count())
    };
    let (results, calls) = match protocol {
        Protocol::AnthropicMessages => {
            let of = |kind: &str| count(&message["content"], &|part| part["type"] == kind);
            (of("tool_result"), of("tool_use"))
        }
        Protocol::OpenAiChat => (usize::from(role == Some("tool")), count(&message["tool_calls"], &|_| true)),
        Protocol::OpenAiResponses => {
            let kind = message["type"].as_str().unwrap_or_default();
            (usize::from(kind.ends_with("_call_output")), usize::from(kind.ends_with("_call")))
        }
        Protocol::GeminiGenerate | Protocol::GeminiStream { .. } => {
            let of = |name: &str| count(&message["parts"], &|part| part.get(name).is_some());
            (of("functionResponse"), of("functionCall"))
        }
    };
    let is_model = matches!(role, Some("assistant" | "model"));
    if is_model && calls == 0 { Step::End } else { Step::Results(results) }
}
