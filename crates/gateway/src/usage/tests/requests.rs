//! What is read of a request, and what is put into it.

use super::*;

fn chat(body: &str) -> Result<Prepared, Unreadable> {
    prepare(Api::OpenAiChat, "/v1/chat/completions", &Bytes::copy_from_slice(body.as_bytes()))
}

fn sent(body: &str) -> (String, bool) {
    let prepared = chat(body).unwrap();
    (String::from_utf8(prepared.body.to_vec()).unwrap(), prepared.hides_usage)
}

#[test]
fn a_chat_stream_is_asked_for_its_count_and_nothing_else_of_it_changes() {
    let odd = r#" {"z":1e2,"a" : 12345678901234567890.10,"model":"gpt-5", "stream" : true,"messages":[{"content":"\u0041 } {"}] } "#;
    let expected = r#" {"z":1e2,"a" : 12345678901234567890.10,"model":"gpt-5", "stream" : true,"messages":[{"content":"\u0041 } {"}] ,"stream_options":{"include_usage":true}} "#;
    assert_eq!(sent(odd), (expected.to_owned(), true));
    for (options, asked) in [
        ("null", r#"{"include_usage":true}"#),
        ("{}", r#"{"include_usage":true}"#),
        ("{ }", r#"{ "include_usage":true}"#),
        (r#"{"other": 1}"#, r#"{"other": 1,"include_usage":true}"#),
        (r#"{"include_usage": false , "other":1}"#, r#"{"include_usage": true , "other":1}"#),
        (r#"{"include_usage":null}"#, r#"{"include_usage":true}"#),
    ] {
        let body = |options| format!(r#"{{"stream_options": {options},"model":"gpt-5","stream":true}}"#);
        assert_eq!(sent(&body(options)), (body(asked), true), "{options}");
    }
}

#[test]
fn where_there_is_nothing_to_ask_for_the_body_stays_as_it_is() {
    for body in [
        r#"{"model":"gpt-5"}"#,
        r#"{"model":"gpt-5","stream":false,"stream_options":null}"#,
        r#"{"model":"gpt-5","stream":true,"stream_options":{"include_usage":true}}"#,
        r#"{"model":"gpt-5","stream":true,"stream_options":"all"}"#,
        r#"{"model":"gpt-5","stream":true,"stream_options":[false]}"#,
    ] {
        assert_eq!(sent(body), (body.to_owned(), false));
    }
    let anthropic = Bytes::from_static(br#"{"model":"claude-sonnet-4-5","stream":true,"max_tokens":10}"#);
    let prepared = prepare(Api::AnthropicMessages, "/v1/messages", &anthropic).unwrap();
    assert_eq!((prepared.body, prepared.is_stream), (anthropic, true));
}

#[test]
fn what_a_request_may_use_is_its_bytes_and_its_limit() {
    let prepared = chat(r#"{"model":"gpt-5","max_tokens":10,"max_completion_tokens":20,"n":3}"#).unwrap();
    assert_eq!((prepared.input_tokens_max, prepared.output_tokens_max, prepared.answers), (22, Some(60), 3));
    let prepared = chat(r#"{"model":"gpt-5","service_tier":"priority","n":0}"#).unwrap();
    assert_eq!((prepared.output_tokens_max, prepared.answers), (None, 1));
    assert_eq!(prepared.service_tier.as_deref(), Some("priority"));
    // The count that is asked for is part of what is sent.
    assert_eq!(chat(r#"{"model":"g","stream":true}"#).unwrap().input_tokens_max, 23);

    let limit = |api, body: &str| {
        let path = "/v1beta/models/gemini-2.5-flash:generateContent";
        prepare(api, path, &Bytes::copy_from_slice(body.as_bytes())).unwrap().output_tokens_max
    };
    assert_eq!(limit(Api::AnthropicMessages, r#"{"model":"c","max_tokens":4096.0}"#), Some(4096));
    assert_eq!(limit(Api::OpenAiResponses, r#"{"model":"g","max_output_tokens":7}"#), Some(7));
    assert_eq!(limit(Api::OpenAiResponses, r#"{"model":"g","max_output_tokens":"soon"}"#), None);
    for config in [
        r#"{"generationConfig":{"maxOutputTokens":"8","candidateCount":2}}"#,
        r#"{"generation_config":{"max_output_tokens":8,"candidate_count":2}}"#,
    ] {
        assert_eq!(limit(Api::GeminiGenerate, config), Some(16), "{config}");
    }
}

#[test]
fn gemini_names_its_model_in_the_path() {
    let model =
        |path: &str| prepare(Api::GeminiStream, path, &Bytes::from_static(b"{}")).map(|prepared| prepared.model);
    assert_eq!(model("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse").unwrap(), "gemini-2.5-pro");
    assert_eq!(model("/v1beta/models/gemini%2D2.5-pro:streamGenerateContent").unwrap(), "gemini-2.5-pro");
    for path in ["", "/", "/v1beta/models/", "/v1beta/models/:generateContent", "/v1beta/models/gemini", "/a:b/c"] {
        assert!(matches!(model(path), Err(Unreadable::NoModel)), "{path}");
    }
}

#[test]
fn a_body_that_two_could_read_differently_is_refused() {
    for body in [
        "",
        "[]",
        r#"["gpt-5", true]"#,
        "nonsense",
        "\"model\"",
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":"a","stream":true,"str\u0065am":false}"#,
    ] {
        assert!(matches!(chat(body), Err(Unreadable::NotAnObject(_))), "{body}");
    }
    for body in ["{}", r#"{"model":null}"#, r#"{"model":""}"#, r#"{"model":7}"#] {
        assert!(matches!(chat(body), Err(Unreadable::NoModel)), "{body}");
    }
}

#[test]
fn a_body_may_be_nested_as_deep_as_it_likes() {
    let deep = format!(r#"{{"model":"gpt-5","stream":true,"x":{}{}}}"#, "[".repeat(1 << 20), "]".repeat(1 << 20));
    assert!(sent(&deep).0.ends_with(r#"],"stream_options":{"include_usage":true}}"#));
}

#[test]
fn what_is_said_is_not_printed() {
    let prepared = chat(r#"{"model":"gpt-5","messages":[{"content":"hush"}]}"#).unwrap();
    assert!(!format!("{prepared:?}").contains("hush"));
    let mut meter = Meter::new(Api::OpenAiChat, &prepared, 200, true);
    meter.take(Bytes::from_static(b"data: hush"));
    assert!(!format!("{meter:?}").contains("hush"));
}
