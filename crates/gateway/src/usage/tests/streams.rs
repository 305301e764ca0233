//! What each provider's reply says it used, whole, cut, and in pieces.

use super::*;

const ANTHROPIC: &str = concat!(
    "event: message_start\n",
    r#"data: {"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[],"stop_reason":null,"usage":{"input_tokens":1234,"cache_creation_input_tokens":100,"cache_read_input_tokens":500,"cache_creation":{"ephemeral_5m_input_tokens":60,"ephemeral_1h_input_tokens":40},"output_tokens":2,"service_tier":"standard"}}}"#,
    "\n\nevent: ping\n",
    r#"data: {"type":"ping"}"#,
    "\n\nevent: content_block_start\n",
    r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    "\n\nevent: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"The file is written."}}"#,
    "\n\nevent: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"file\": 1}"}}"#,
    "\n\nevent: content_block_stop\n",
    r#"data: {"type":"content_block_stop","index":0}"#,
    "\n\nevent: message_delta\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":56}}"#,
    "\n\nevent: message_stop\n",
    r#"data: {"type":"message_stop"}"#,
    "\n\n",
);

/// As it is shown, before the count.
const CHAT_SHOWN: &str = concat!(
    r#"data: {"id":"c1","object":"chat.completion.chunk","model":"gpt-5-2025-08-07","service_tier":"default","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c1","object":"chat.completion.chunk","model":"gpt-5-2025-08-07","choices":[{"index":0,"delta":{"content":"lo there"},"finish_reason":null}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c1","object":"chat.completion.chunk","model":"gpt-5-2025-08-07","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
    "\n\n",
);
const CHAT_COUNT: &str = concat!(
    r#"data: {"id":"c1","object":"chat.completion.chunk","model":"gpt-5-2025-08-07","choices":[],"usage":{"prompt_tokens":1834,"completion_tokens":56,"total_tokens":1890,"prompt_tokens_details":{"cached_tokens":500},"completion_tokens_details":{"reasoning_tokens":10}}}"#,
    "\n\n",
);
const CHAT_DONE: &str = "data: [DONE]\n\n";

const RESPONSES: &str = concat!(
    "event: response.created\n",
    r#"data: {"type":"response.created","response":{"id":"r1","status":"in_progress","model":"gpt-5","usage":null}}"#,
    "\n\nevent: response.output_text.delta\n",
    r#"data: {"type":"response.output_text.delta","delta":"Hello th"}"#,
    "\n\nevent: response.output_text.done\n",
    r#"data: {"type":"response.output_text.done","text":"Hello th"}"#,
    "\n\nevent: response.completed\n",
    r#"data: {"type":"response.completed","response":{"id":"r1","status":"completed","model":"gpt-5-2025-08-07","service_tier":"priority","output":[{"type":"message","content":[{"type":"output_text","text":"Hello th"}]}],"usage":{"input_tokens":1834,"input_tokens_details":{"cached_tokens":500},"output_tokens":56,"output_tokens_details":{"reasoning_tokens":10},"total_tokens":1890}}}"#,
    "\n\n",
);

const GEMINI: &str = concat!(
    r#"data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Hello"}]},"index":0}],"usageMetadata":{"promptTokenCount":1734,"candidatesTokenCount":3,"totalTokenCount":1737,"cachedContentTokenCount":500},"modelVersion":"gemini-2.5-flash"}"#,
    "\r\n\r\n",
    r#"data: {"candidates":[{"content":{"role":"model","parts":[{"text":" there"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1734,"candidatesTokenCount":46,"thoughtsTokenCount":10,"toolUsePromptTokenCount":7,"totalTokenCount":1797,"cachedContentTokenCount":500},"modelVersion":"gemini-2.5-flash"}"#,
    "\r\n\r\n",
);

const GEMINI_ARRAY: &str = r#"[{
  "candidates": [{"content": {"parts": [{"text": "a ] and a } and a \" in it"}]}}],
  "usageMetadata": {"promptTokenCount": 1734, "cachedContentTokenCount": 500, "candidatesTokenCount": 3}
}
,
{
  "candidates": [{"content": {"parts": [{"text": "b"}]}, "finishReason": "STOP"}],
  "usageMetadata": {"promptTokenCount": 1734, "cachedContentTokenCount": 500, "candidatesTokenCount": 46, "thoughtsTokenCount": 10},
  "modelVersion": "gemini-2.5-flash"
}
]"#;

fn chat() -> &'static str {
    concat_chat(&[CHAT_SHOWN, CHAT_COUNT, CHAT_DONE])
}

fn concat_chat(parts: &[&str]) -> &'static str {
    parts.concat().leak()
}

fn exact(model: &str, service_tier: Option<&str>, tokens: Tokens) -> Metered {
    let service_tier = service_tier.map(str::to_owned);
    Metered { model: model.to_owned(), service_tier, tokens, certainty: Certainty::Exact }
}

/// Each recorded stream, and what it used.
fn recorded() -> Vec<(Api, bool, &'static str, Metered)> {
    let anthropic = Tokens { cache_write_hour: 40, ..tokens(1234, 500, 100, 56, 0) };
    let gemini_array = tokens(1234, 500, 0, 56, 10);
    vec![
        (Api::AnthropicMessages, true, ANTHROPIC, exact("claude-sonnet-4-5-20250929", Some("standard"), anthropic)),
        (Api::OpenAiChat, true, chat(), exact("gpt-5-2025-08-07", Some("default"), tokens(1334, 500, 0, 56, 10))),
        (
            Api::OpenAiResponses,
            true,
            RESPONSES,
            exact("gpt-5-2025-08-07", Some("priority"), tokens(1334, 500, 0, 56, 10)),
        ),
        (Api::GeminiStream, true, GEMINI, exact("gemini-2.5-flash", None, tokens(1241, 500, 0, 56, 10))),
        (Api::GeminiStream, false, GEMINI_ARRAY, exact("gemini-2.5-flash", None, gemini_array)),
    ]
}

#[test]
fn every_provider_is_counted_to_the_token() {
    for (api, is_event_stream, reply, expected) in recorded() {
        for end in [End::Whole, End::Cut] {
            let meter = Meter::new(api, &request(api), 200, is_event_stream);
            assert_eq!(pass(meter, [reply.as_bytes()], end).1, Some(expected.clone()), "{api:?}");
        }
    }
}

#[test]
fn a_reply_in_one_piece_is_counted_likewise() {
    let anthropic = r#"{"type":"message","model":"claude-sonnet-4-5","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1234,"cache_creation_input_tokens":100,"cache_read_input_tokens":500,"output_tokens":56}}"#;
    let chat = r#"{"object":"chat.completion","model":"gpt-5","choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1834,"completion_tokens":56,"prompt_tokens_details":{"cached_tokens":500}}}"#;
    let responses = r#"{"object":"response","model":"gpt-5","status":"completed","output":[{"content":[{"text":"Hi"}]}],"usage":{"input_tokens":1834,"input_tokens_details":{"cached_tokens":500},"output_tokens":56}}"#;
    let gemini = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}],"usageMetadata":{"promptTokenCount":1834,"cachedContentTokenCount":500,"candidatesTokenCount":56}}"#;
    let cases = [
        (Api::AnthropicMessages, anthropic, tokens(1234, 500, 100, 56, 0)),
        (Api::OpenAiChat, chat, tokens(1334, 500, 0, 56, 0)),
        (Api::OpenAiResponses, responses, tokens(1334, 500, 0, 56, 0)),
        (Api::GeminiGenerate, gemini, tokens(1334, 500, 0, 56, 0)),
    ];
    for (api, reply, tokens) in cases {
        let metered = of_document(api, reply, End::Whole);
        assert_eq!((metered.tokens, metered.certainty), (tokens, Certainty::Exact), "{api:?}");
        // The count itself was not reached: the words count, of what came.
        let cut = &reply[..reply.find("Hi").unwrap() + 2];
        let metered = of_document(api, cut, End::Cut);
        assert_eq!((metered.tokens, metered.certainty), (super::tokens(0, 0, 0, 1, 0), Certainty::AtLeast), "{api:?}");
    }
}

#[test]
fn an_error_used_nothing() {
    let reply = br#"{"type":"error","error":{"type":"overloaded_error"},"usage":{"input_tokens":9,"output_tokens":9}}"#;
    for status in [302, 400, 429, 529] {
        let meter = Meter::new(Api::AnthropicMessages, &request(Api::AnthropicMessages), status, false);
        assert_eq!(pass(meter, [reply.as_slice()], End::Whole), (reply.to_vec(), None));
    }
}

#[test]
fn a_stream_that_is_cut_used_at_least_what_was_seen() {
    let cut = |api, reply: &'static str, before: &str, end| {
        let metered = of_stream(api, &reply[..reply.find(before).unwrap()], end);
        assert_eq!(metered.certainty, Certainty::AtLeast, "{api:?}");
        metered.tokens
    };
    // 20 bytes of text and 11 of arguments.
    let seen = Tokens { cache_write_hour: 40, ..tokens(1234, 500, 100, 8, 0) };
    assert_eq!(cut(Api::AnthropicMessages, ANTHROPIC, "event: message_delta", End::Cut), seen);
    // An orderly end makes no difference where the last word is missing.
    assert_eq!(cut(Api::AnthropicMessages, ANTHROPIC, "event: message_delta", End::Whole), seen);
    // A count before the last is not the last, though it may be a new one.
    let midway = ANTHROPIC.replace(r#""stop_reason":"end_turn""#, r#""stop_reason":null"#).leak();
    assert_eq!(cut(Api::AnthropicMessages, midway, "event: message_stop", End::Cut).output, 56);
    // What the provider had counted itself is more than what was heard.
    assert_eq!(cut(Api::AnthropicMessages, ANTHROPIC, "event: content_block_start", End::Cut).output, 2);
    // 11 bytes; nobody has said what the prompt was.
    assert_eq!(
        cut(Api::OpenAiChat, CHAT_SHOWN.trim_end_matches('\n'), r#""finish_reason":"stop""#, End::Cut).output,
        3
    );
    assert_eq!(of_stream(Api::OpenAiChat, CHAT_SHOWN, End::Whole).tokens, tokens(0, 0, 0, 3, 0));
    // The text that is repeated when it is done counts once.
    assert_eq!(cut(Api::OpenAiResponses, RESPONSES, "event: response.completed", End::Whole), tokens(0, 0, 0, 2, 0));
    let first = GEMINI.split_inclusive("\r\n\r\n").next().unwrap();
    let metered = of_stream(Api::GeminiStream, first, End::Cut);
    assert_eq!((metered.tokens, metered.certainty), (tokens(1234, 500, 0, 3, 0), Certainty::AtLeast));
}

#[test]
fn a_reply_without_a_count_is_no_reply_for_nothing() {
    let metered = of_stream(Api::OpenAiChat, "", End::Cut);
    assert_eq!((metered.model.as_str(), metered.certainty), ("gpt-5", Certainty::AtLeast));
    let metered = of_document(Api::OpenAiResponses, r#"{"status":"queued","model":"gpt-5","usage":null}"#, End::Whole);
    assert_eq!(metered.certainty, Certainty::AtLeast);
}

#[test]
fn numbers_that_contradict_themselves_count_no_token_twice() {
    let usage = |usage: &str| {
        of_document(Api::OpenAiChat, &format!(r#"{{"choices":[{{}}],"usage":{usage}}}"#), End::Whole).tokens
    };
    let more_cached_than_read =
        r#"{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":99,"cache_write_tokens":5}}"#;
    assert_eq!(usage(more_cached_than_read), tokens(0, 10, 0, 0, 0));
    let more_thought_than_made =
        r#"{"completion_tokens":3,"completion_tokens_details":{"reasoning_tokens":9},"total_tokens":3}"#;
    assert_eq!(usage(more_thought_than_made), tokens(0, 0, 0, 3, 3));
    // xAI's thoughts come on top, DeepSeek's cache has a name of its own.
    let thoughts_apart = r#"{"prompt_tokens":10,"completion_tokens":3,"completion_tokens_details":{"reasoning_tokens":9},"total_tokens":22}"#;
    assert_eq!(usage(thoughts_apart), tokens(10, 0, 0, 12, 9));
    assert_eq!(usage(r#"{"prompt_tokens":10,"prompt_cache_hit_tokens":4}"#), tokens(6, 4, 0, 0, 0));
    let no_numbers = r#"{"prompt_tokens":-1,"completion_tokens":"many","total_tokens":1e400}"#;
    assert_eq!(usage(no_numbers.replace("1e400", "1.5").as_str()), Tokens::default());
    let largest = format!(
        r#"{{"promptTokenCount":{0},"toolUsePromptTokenCount":{0},"thoughtsTokenCount":{0},"candidatesTokenCount":{0}}}"#,
        u64::MAX
    );
    let reply = format!(r#"{{"usageMetadata":{largest}}}"#);
    let metered = of_document(Api::GeminiGenerate, &reply, End::Whole);
    assert_eq!(metered.tokens, tokens(u64::MAX, 0, 0, u64::MAX, u64::MAX));
}

#[test]
fn the_count_that_only_the_gateway_asked_for_is_hidden() {
    let hiding = request(Api::OpenAiChat);
    let shown = |prepared: &Prepared, reply: &str| {
        let meter = Meter::new(Api::OpenAiChat, prepared, 200, true);
        let (shown, metered) = pass(meter, [reply.as_bytes()], End::Whole);
        assert_eq!(metered.unwrap().tokens, tokens(1334, 500, 0, 56, 10));
        String::from_utf8(shown).unwrap()
    };
    assert_eq!(shown(&hiding, chat()), concat_chat(&[CHAT_SHOWN, CHAT_DONE]));
    let with_cr_lf = chat().replace('\n', "\r\n");
    assert_eq!(shown(&hiding, &with_cr_lf), [CHAT_SHOWN, CHAT_DONE].concat().replace('\n', "\r\n"));
    let with_cr = chat().replace('\n', "\r");
    assert_eq!(shown(&hiding, &with_cr), [CHAT_SHOWN, CHAT_DONE].concat().replace('\n', "\r"));
    // The last line may lack its end.
    let unended = [CHAT_SHOWN, CHAT_COUNT.trim_end()].concat();
    assert_eq!(shown(&hiding, &unended), CHAT_SHOWN);

    let asked = Bytes::from_static(br#"{"model":"gpt-5","stream":true,"stream_options":{"include_usage":true}}"#);
    let showing = prepare(Api::OpenAiChat, "/v1/chat/completions", &asked).unwrap();
    assert_eq!(shown(&showing, chat()), chat());
}

#[test]
fn a_chunk_that_also_says_something_is_never_hidden() {
    let filter = "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n";
    let last = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":4}}\n\n";
    let no_json = "data: {\"choices\":[],\"usage\":\n\n: comment\n\nevent: x\n\n\n";
    let reply = [filter, last, no_json].concat();
    let meter = Meter::new(Api::OpenAiChat, &request(Api::OpenAiChat), 200, true);
    let (shown, metered) = pass(meter, [reply.as_bytes()], End::Cut);
    assert_eq!(String::from_utf8(shown).unwrap(), reply);
    assert_eq!(metered.unwrap().certainty, Certainty::Exact);
}

#[test]
fn an_event_passes_as_soon_as_it_is_whole_and_all_else_at_once() {
    let mut hiding = Meter::new(Api::OpenAiChat, &request(Api::OpenAiChat), 200, true);
    assert_eq!(hiding.take(Bytes::from_static(b"data: {}\n")), Bytes::new());
    assert_eq!(hiding.take(Bytes::from_static(b"\ndata: 1")), Bytes::from_static(b"data: {}\n\n"));
    let rest = hiding.take(Bytes::from_static(b"\r\n\r\n"));
    assert_eq!(rest, Bytes::from_static(b"data: 1\r\n\r\n"));
    let mut watching = Meter::new(Api::AnthropicMessages, &request(Api::AnthropicMessages), 200, true);
    assert_eq!(watching.take(Bytes::from_static(b"da")), Bytes::from_static(b"da"));
}

proptest! {
    #[test]
    fn however_a_stream_is_cut_it_says_and_counts_the_same(
        (index, pieces) in (0..recorded().len()).prop_flat_map(|index| (Just(index), pieces(recorded()[index].2.as_bytes()))),
    ) {
        let (api, is_event_stream, reply, expected) = recorded().swap_remove(index);
        let whole = pass(Meter::new(api, &request(api), 200, is_event_stream), [reply.as_bytes()], End::Whole);
        let split = pass(Meter::new(api, &request(api), 200, is_event_stream), pieces, End::Whole);
        prop_assert_eq!(&split, &whole);
        prop_assert_eq!(split.1, Some(expected));
        if api != Api::OpenAiChat {
            prop_assert_eq!(split.0, reply.as_bytes());
        }
    }

    #[test]
    fn wherever_a_chat_stream_ends_its_lines_the_count_is_hidden(
        pieces in pieces(chat().replace('\n', "\r\n").leak().as_bytes()),
    ) {
        let (shown, _) = pass(Meter::new(Api::OpenAiChat, &request(Api::OpenAiChat), 200, true), pieces, End::Whole);
        prop_assert_eq!(shown, [CHAT_SHOWN, CHAT_DONE].concat().replace('\n', "\r\n").into_bytes());
    }
}
