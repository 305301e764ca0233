//! How much a reply says, for when nobody counts it: bytes of text under certain names, in JSON that may break off.

/// Bytes of every string whose name is one of `names`; an escape is one byte. The last string may lack its end.
pub(super) fn said_bytes(json: &[u8], names: &[&str]) -> u64 {
    let mut said = 0;
    let mut is_said = false;
    let mut is_value = false;
    let mut rest = json;
    while let Some(&byte) = rest.first() {
        rest = &rest[1..];
        if byte != b'"' {
            is_value = match byte {
                b':' => true,
                b',' | b'{' => false,
                _ => is_value,
            };
            continue;
        }
        let (text, length, after) = text(rest);
        rest = after;
        let is_name = rest.trim_ascii_start().first() == Some(&b':');
        if is_name {
            is_said = names.iter().any(|name| name.as_bytes() == text);
        } else if is_said && is_value {
            said += length;
        }
    }
    said
}

/// A string from behind its opening quote: its raw bytes, how many those are with each escape as one, and what follows it.
fn text(from: &[u8]) -> (&[u8], u64, &[u8]) {
    let (mut at, mut length) = (0, 0);
    while let Some(&byte) = from.get(at) {
        match byte {
            b'"' => return (&from[..at], length, &from[at + 1..]),
            b'\\' if from.get(at + 1) == Some(&b'u') => at += 6,
            b'\\' => at += 2,
            _ => at += 1,
        }
        length += 1;
    }
    (from, length, &[])
}

#[cfg(test)]
mod tests {
    use super::said_bytes;

    #[test]
    fn only_what_stands_under_a_name_counts() {
        let counted = |json: &str| said_bytes(json.as_bytes(), &["text", "content"]);
        assert_eq!(counted(r#"{"text":"four","id":"text","other":"text"}"#), 4);
        assert_eq!(counted(r#"{"content":[{"type":"text","text":"abc"},{"type":"text","text" : "de"}]}"#), 5);
        assert_eq!(counted(r#"{"text":"\n\"\u00e9\\"}"#), 4);
        assert_eq!(counted(r#"{"text":"no end, then"#), 12);
        assert_eq!(counted(r#"{"text":"x","text"#), 1);
        assert_eq!(counted(r#"{"text":"x\"#), 2);
        assert_eq!(counted(""), 0);
    }
}
