//! Makes bytes that a sandbox chose safe to show: nothing in the outcome moves a cursor, hides or turns text around.
//!
//! It does not make text safe for HTML, CSV or a shell: whoever writes those escapes for them.

use std::fmt::Write;

/// Shows bytes as one line of text.
///
/// Control, bidirectional and invisible characters become `\u{..}` (lowercase hex), invalid UTF-8 becomes `\xNN` a byte and
/// a backslash is doubled, so that two different names never look the same through escaping.
pub(crate) fn visible(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                shown.push_str("\\\\");
            } else if is_unsafe_to_show(character) {
                shown.extend(character.escape_unicode());
            } else {
                shown.push(character);
            }
        }
        for byte in chunk.invalid() {
            write!(shown, "\\x{byte:02X}").expect("invariant: writing to a string does not fail");
        }
    }
    shown
}

/// Whether a character steers a terminal, turns the direction of text, or cannot be seen
/// (Unicode 16: general categories Cc, Zl, Zp, Cf; the fillers and selectors that draw nothing).
pub(crate) fn is_unsafe_to_show(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{AD}'
                | '\u{34F}'
                | '\u{600}'..='\u{605}'
                | '\u{61C}'
                | '\u{6DD}'
                | '\u{70F}'
                | '\u{115F}'..='\u{1160}'
                | '\u{17B4}'..='\u{17B5}'
                | '\u{180B}'..='\u{180F}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFFB}'
                | '\u{1BCA0}'..='\u{1BCA3}'
                | '\u{1D173}'..='\u{1D17A}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_of_any_script_stays() {
        assert_eq!(visible("Bericht Größe 報告 отчёт.txt".as_bytes()), "Bericht Größe 報告 отчёт.txt");
    }

    #[test]
    fn what_steers_a_terminal_is_shown() {
        assert_eq!(visible(b"a\nb\x1b[2Jc\x7f"), "a\\u{a}b\\u{1b}[2Jc\\u{7f}");
    }

    #[test]
    fn what_turns_or_hides_text_is_shown() {
        assert_eq!(
            visible("invoice\u{202E}fdp.exe\u{200B}\u{E0041}".as_bytes()),
            "invoice\\u{202e}fdp.exe\\u{200b}\\u{e0041}"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_bytes() {
        assert_eq!(visible(b"a\xff\xfeb\xe2\x82"), "a\\xFF\\xFEb\\xE2\\x82");
    }

    #[test]
    fn an_escape_cannot_be_forged() {
        assert_ne!(visible(b"\\xFF"), visible(b"\xff"));
        assert_eq!(visible(b"\\xFF"), "\\\\xFF");
    }

    proptest::proptest! {
        #[test]
        fn nothing_unsafe_is_left_and_nothing_is_confused(left in proptest::collection::vec(proptest::num::u8::ANY, 0..64), right in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let shown = visible(&left);
            proptest::prop_assert!(!shown.chars().any(is_unsafe_to_show));
            proptest::prop_assert_eq!(left == right, shown == visible(&right));
        }
    }
}
