//! Replies that mean harm: whatever comes, memory is bounded, nothing panics, and what should pass does.

use super::*;

const APIS: [Api; 5] =
    [Api::AnthropicMessages, Api::OpenAiChat, Api::OpenAiResponses, Api::GeminiGenerate, Api::GeminiStream];

/// Bytes that are more likely than chance to be taken for something.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "data:",
        "data: ",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        "\\u",
        ":",
        ",",
        "null",
        "\u{feff}",
        r#"{"type":"message_start","message":{"usage":{"input_tokens":"#,
        r#""usage":{"prompt_tokens":18446744073709551616}"#,
        r#""usageMetadata":{"#,
        r#""choices":[]"#,
        r#""text":""#,
        "\"type\":\"response.completed\"",
        "1e999",
        "-",
    ]);
    let word = prop_oneof![4 => words.prop_map(|word| word.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..8)];
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_reply_makes_it_panic_and_what_is_not_hidden_passes(
        api in prop::sample::select(APIS.to_vec()),
        is_event_stream: bool,
        pieces in prop::collection::vec(hostile(), 0..6),
    ) {
        let all = pieces.concat();
        let meter = Meter::new(api, &request(api), 200, is_event_stream);
        let (shown, metered) = pass(meter, pieces.iter().map(Vec::as_slice), End::Whole);
        prop_assert!(metered.is_some());
        if api == Api::OpenAiChat && is_event_stream {
            prop_assert!(shown.len() <= all.len());
        } else {
            prop_assert_eq!(shown, all);
        }
    }

    #[test]
    fn no_request_makes_it_panic(api in prop::sample::select(APIS.to_vec()), path in ".{0,40}", body in hostile()) {
        let _ = prepare(api, &path, &Bytes::from(body));
    }
}

/// Bytes that a meter holds.
fn held(meter: &Meter) -> usize {
    match &meter.reading {
        Reading::Not => 0,
        Reading::Events(events) | Reading::Hiding(events, _) => events.room(),
        Reading::Objects(objects) => objects.room(),
    }
}

#[test]
fn what_has_no_end_is_not_kept_and_passes() {
    const MEBIBYTES: usize = 40;
    let mebibyte = Bytes::from(vec![b'x'; 1 << 20]);
    // One whose count is hidden, and one that streams either way.
    for api in [Api::OpenAiChat, Api::GeminiStream] {
        for (is_event_stream, start, end) in
            [(true, "data: \"", "\"\n\n"), (false, "{\"text\":\"", "\"}"), (true, ": ", "\n\n"), (false, "", "")]
        {
            let mut meter = Meter::new(api, &request(api), 200, is_event_stream);
            let mut shown = meter.take(Bytes::from_static(start.as_bytes())).len();
            let mut most = 0;
            for _ in 0..MEBIBYTES {
                shown += meter.take(mebibyte.clone()).len();
                most = most.max(held(&meter));
            }
            shown += meter.take(Bytes::from_static(end.as_bytes())).len();
            // A vector that grows has room for twice what it holds.
            assert!(most <= 2 * REPLY_BYTES_MAX, "{api:?}: {most}");
            assert!(held(&meter) <= 64 << 10, "{api:?}: what ended is let go");
            assert_eq!(shown, start.len() + MEBIBYTES * mebibyte.len() + end.len(), "{api:?}");
            let (rest, metered) = meter.finish(End::Whole);
            assert_eq!((rest.len(), metered.unwrap().certainty), (0, Certainty::AtLeast));
        }
    }
}

#[test]
fn an_event_that_is_too_large_does_not_hide_the_next() {
    let large = format!("data: \"{}\"\n\n", "x".repeat(REPLY_BYTES_MAX));
    let count = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4}}\n\n";
    let meter = Meter::new(Api::OpenAiChat, &request(Api::OpenAiChat), 200, true);
    let (shown, metered) = pass(meter, [large.as_bytes(), count.as_bytes()], End::Cut);
    assert!(shown == large.as_bytes());
    assert_eq!(metered.unwrap().tokens.input, 4);
}

#[test]
fn a_name_that_is_no_name_is_not_taken() {
    let named = |name: &str| {
        let reply = format!(r#"{{"model":{name},"choices":[{{}}],"usage":{{}}}}"#);
        of_document(Api::OpenAiChat, &reply, End::Whole).model
    };
    assert_eq!(named("\"gpt-9\""), "gpt-9");
    assert_eq!(named("7"), "gpt-5");
    assert_eq!(named("\"\""), "gpt-5");
    assert_eq!(named(&format!("\"{}\"", "x".repeat(NAME_BYTES_MAX + 1))), "gpt-5");
}

#[test]
fn nesting_without_end_is_read_past() {
    let deep = format!("data: {{\"x\":{}\n\n", "[".repeat(1 << 20));
    let count = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4}}\n\n";
    let metered = of_stream(Api::OpenAiChat, &[&deep, count].concat(), End::Cut);
    assert_eq!(metered.tokens.input, 4);
    let deep =
        format!("{{\"model\":{}{},\"usage\":{{\"prompt_tokens\":4}}}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    assert_eq!(of_document(Api::OpenAiChat, &deep, End::Whole).certainty, Certainty::AtLeast);
}
