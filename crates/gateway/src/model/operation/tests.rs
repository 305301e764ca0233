#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use url::Url;

use super::*;
use crate::policy::Reach;

fn read(family: Family, called: &str) -> Result<Call, Denied> {
    let (method, target) = called.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    Call::read(family, &method.parse().unwrap(), path, query)
}

#[test]
fn inference_is_served() {
    for (family, called, operation) in [
        (Family::Anthropic, "POST /v1/messages", Operation::Inference(Api::AnthropicMessages)),
        (Family::Anthropic, "POST /v1/messages?beta=true", Operation::Inference(Api::AnthropicMessages)),
        (Family::Anthropic, "POST /v1/messages/count_tokens", Operation::CountTokens),
        (Family::Anthropic, "GET /v1/models?limit=1000&after_id=a", Operation::Models),
        (Family::Anthropic, "GET /v1/models/claude-x", Operation::Models),
        (Family::OpenAi, "POST /v1/chat/completions", Operation::Inference(Api::OpenAiChat)),
        (Family::OpenAi, "POST /chat/completions", Operation::Inference(Api::OpenAiChat)),
        (Family::OpenAi, "POST /v1/responses", Operation::Inference(Api::OpenAiResponses)),
        (Family::OpenAi, "POST /v1/embeddings", Operation::Embeddings),
        (Family::OpenAi, "GET /v1/models/qwen/qwen3:8b", Operation::Models),
        (Family::Gemini, "POST /v1beta/models/g-1.5:generateContent", Operation::Inference(Api::GeminiGenerate)),
        (Family::Gemini, "POST /v1/models/g:streamGenerateContent?alt=sse", Operation::Inference(Api::GeminiStream)),
        (Family::Gemini, "POST /v1beta/models/g:countTokens", Operation::CountTokens),
        (Family::Gemini, "POST /v1beta/models/g:batchEmbedContents", Operation::Embeddings),
        (Family::Gemini, "GET /v1beta/models?pageSize=5&pageToken=a%3D", Operation::Models),
        (Family::Gemini, "GET /v1beta/models/g", Operation::Models),
    ] {
        assert_eq!(read(family, called).unwrap().operation, operation, "{called}");
    }
}

#[test]
fn nothing_else_is() {
    for (family, called) in [
        (Family::Anthropic, "GET /v1/messages"),
        (Family::Anthropic, "POST /v1/messages/"),
        (Family::Anthropic, "POST /v1//messages"),
        (Family::Anthropic, "POST //v1/messages"),
        (Family::Anthropic, "POST /v1/messages/batches"),
        (Family::Anthropic, "GET /v1/files"),
        (Family::Anthropic, "POST /v1/files/../messages"),
        (Family::Anthropic, "POST /v1/files/%2e%2e/messages"),
        (Family::Anthropic, "GET /v1/models/..%2ffiles"),
        (Family::Anthropic, "GET /v1/models/.."),
        (Family::Anthropic, "GET /v1/models/a\\b"),
        (Family::Anthropic, "GET /v1/organizations/users"),
        (Family::Anthropic, "DELETE /v1/models/x"),
        (Family::Anthropic, "POST /v1/messages?limit=1"),
        (Family::Anthropic, "POST /v1/messages?beta=false"),
        (Family::OpenAi, "GET /v1/files"),
        (Family::OpenAi, "POST /v1/batches"),
        (Family::OpenAi, "GET /v1/responses/resp_1"),
        (Family::OpenAi, "POST /v1/v1/responses"),
        (Family::OpenAi, "POST /v1/fine_tuning/jobs"),
        (Family::OpenAi, "DELETE /v1/models/ft:x"),
        (Family::OpenAi, "POST /v1/responses?key=x"),
        (Family::Gemini, "POST /upload/v1beta/files"),
        (Family::Gemini, "GET /v1beta/files"),
        (Family::Gemini, "POST /v1beta/models/g:predictLongRunning"),
        (Family::Gemini, "POST /v1beta/models/:generateContent"),
        (Family::Gemini, "POST /v1beta/models/g:generateContent:x"),
        (Family::Gemini, "POST /v1beta/models/g:batchGenerateContent"),
        (Family::Gemini, "POST /v1beta/tunedModels/g:generateContent"),
        (Family::Gemini, "POST /v1beta/models/g:generateContent?$httpMethod=DELETE"),
        (Family::Gemini, "POST /v1beta/models/g:generateContent?alt=media"),
        (Family::Gemini, "POST /v1beta/models/g:generateContent?key=a&key=b"),
    ] {
        assert!(read(family, called).is_err(), "{called}");
    }
}

#[test]
fn a_path_goes_behind_its_base() {
    let gemini = "POST /v1beta/models/g:generateContent?key=k&alt=sse";
    for (family, base, called, sent) in [
        (Family::Anthropic, "https://a.example", "POST /v1/messages", "https://a.example/v1/messages"),
        (Family::Anthropic, "https://a.example/v1/", "POST /v1/messages", "https://a.example/v1/messages"),
        (Family::Anthropic, "https://a.example/x/v1", "POST /v1/messages", "https://a.example/x/v1/messages"),
        (Family::Anthropic, "https://a.example/xv1", "POST /v1/messages", "https://a.example/xv1/v1/messages"),
        (Family::OpenAi, "https://o.example", "POST /responses", "https://o.example/v1/responses"),
        (Family::OpenAi, "http://127.0.0.1:11434/v1", "GET /v1/models", "http://127.0.0.1:11434/v1/models"),
        (Family::OpenAi, "https://o.example/api/v4/", "POST /v1/responses", "https://o.example/api/v4/responses"),
        (Family::Gemini, "https://g.example", gemini, "https://g.example/v1beta/models/g:generateContent?alt=sse"),
    ] {
        let route = Route::new("r", family, &Url::parse(base).unwrap(), Reach::Private, None).unwrap();
        let call = read(family, called).unwrap();
        assert_eq!(call.uri(&route).unwrap().to_string(), sent, "{base} {called}");
    }
}

#[test]
fn a_key_in_the_url_is_taken_out_of_it() {
    let call = read(Family::Gemini, "POST /v1beta/models/g:generateContent?key=placeholder").unwrap();
    assert_eq!((call.query.as_str(), call.key_in_query.as_deref()), ("", Some("placeholder")));
    assert_eq!(call.model_in_path().as_deref(), Some("g"));
}
