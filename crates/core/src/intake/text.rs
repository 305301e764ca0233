//! Bytes to text, and text to a title.

use std::{
    fs::File,
    io::{self, Read},
};

use wire::task::TITLE_CHARS_MAX;

use super::IntakeError;
use crate::escape::is_unsafe_to_show;

/// Control characters per text at which it counts as binary: one in this many bytes.
const CONTROLS_ONE_IN: usize = 20;

const UTF8_BOM: &[u8] = b"\xEF\xBB\xBF";

/// A title for a prompt that has nothing to make one of.
const UNTITLED: &str = "Untitled task";

/// Reads at most `bytes_max` bytes and one more, to see that there are more; `None` where there are.
pub(crate) fn read_bounded(file: &File, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= bytes_max).then_some(bytes))
}

/// Reads bytes as UTF-8 text, with or without a byte order mark.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, IntakeError> {
    let is_utf16 = bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF");
    if is_utf16 || looks_like_utf16(bytes) {
        return Err(IntakeError::Utf16);
    }
    let text = bytes.strip_prefix(UTF8_BOM).unwrap_or(bytes);
    let skipped = bytes.len() - text.len();
    if let Some(found) = infer::get(text).filter(|found| found.matcher_type() != infer::MatcherType::Text) {
        return Err(IntakeError::Binary { what: found.mime_type().to_owned() });
    }
    refuse_binary(text)?;
    std::str::from_utf8(text).map_err(|error| IntakeError::NotUtf8 { at: error.valid_up_to() + skipped })
}

/// Refuses NUL bytes, and more control characters than text has.
pub(crate) fn refuse_binary(bytes: &[u8]) -> Result<(), IntakeError> {
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(IntakeError::Binary { what: format!("a NUL at byte {at}") });
    }
    let is_control = |byte: &&u8| (**byte < 0x20 && !b"\t\n\r\x0C\x1B".contains(byte)) || **byte == 0x7F;
    let controls = bytes.iter().filter(is_control).count();
    if controls * CONTROLS_ONE_IN > bytes.len() {
        return Err(IntakeError::Binary { what: format!("{controls} control characters in {} bytes", bytes.len()) });
    }
    Ok(())
}

/// UTF-16 without a mark: of the first characters every second byte is NUL, and no other.
fn looks_like_utf16(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(64) & !1];
    let nuls = |offset: usize| head.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    let pairs = head.len() / 2;
    pairs >= 2 && ((nuls(0) == 0 && nuls(1) == pairs) || (nuls(1) == 0 && nuls(0) == pairs))
}

/// The title of a Markdown text: its first heading, else its first line. Headings in fenced code are none.
pub(crate) fn title_of_markdown(text: &str) -> String {
    let mut first_line = None;
    let mut fence: Option<(char, usize)> = None;
    for line in text.lines() {
        let line = line.trim();
        let mark = line.chars().next().filter(|mark| matches!(mark, '`' | '~'));
        let marks = mark.map_or(0, |mark| line.chars().take_while(|character| *character == mark).count());
        match (fence, mark) {
            (None, Some(mark)) if marks >= 3 => fence = Some((mark, marks)),
            (Some((open, length)), Some(mark)) if mark == open && marks >= length => fence = None,
            (Some(_), _) => {}
            (None, _) => {
                if let Some(title) = heading(line).map(as_title) {
                    if !title.is_empty() {
                        return title;
                    }
                } else if first_line.is_none() && !line.is_empty() {
                    first_line = Some(line);
                }
            }
        }
    }
    first_line.map(as_title).filter(|title| !title.is_empty()).unwrap_or_else(|| title_of_text(text))
}

/// The title of any other text: its first line that says something.
pub(crate) fn title_of_text(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("```") && !line.trim_start().starts_with("~~~"))
        .map(|line| as_title(line.trim_start_matches(['#', '!', '/', '*', ' '])))
        .find(|title| !title.is_empty())
        .unwrap_or_else(|| UNTITLED.to_owned())
}

/// The text of an ATX heading (CommonMark 0.31, section 4.2).
fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    if !(1..=6).contains(&level) || !(text.is_empty() || text.starts_with([' ', '\t'])) {
        return None;
    }
    let text = text.trim();
    let without_closing = text.trim_end_matches('#');
    Some(if without_closing.is_empty() || without_closing.ends_with([' ', '\t']) {
        without_closing.trim()
    } else {
        text
    })
}

/// One line of at most [`TITLE_CHARS_MAX`] characters, with an ellipsis where it was cut, and nothing invisible in it.
pub(crate) fn as_title(text: &str) -> String {
    let visible = text.chars().map(|character| if character.is_whitespace() { ' ' } else { character });
    let visible: String = visible.filter(|character| !is_unsafe_to_show(*character)).collect();
    let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= TITLE_CHARS_MAX {
        return line;
    }
    let cut: String = line.chars().take(TITLE_CHARS_MAX - 1).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(bytes: &[u8]) -> String {
        decode(bytes).unwrap_err().to_string()
    }

    #[test]
    fn text_is_utf_8_with_or_without_a_mark() {
        assert_eq!(decode("Größe".as_bytes()).unwrap(), "Größe");
        assert_eq!(decode(b"\xEF\xBB\xBFhi").unwrap(), "hi");
    }

    #[test]
    fn what_is_not_utf_8_is_named_by_byte() {
        assert_eq!(problem(b"Gr\xF6\xDFe"), "it is not UTF-8: byte 2 is not valid");
        assert_eq!(problem(b"\xEF\xBB\xBFGr\xF6\xDFe"), "it is not UTF-8: byte 5 is not valid");
    }

    #[test]
    fn utf_16_is_recognised() {
        assert_eq!(problem(b"\xFF\xFEh\0i\0"), "it is UTF-16, not UTF-8");
        assert_eq!(problem(b"\xFE\xFF\0h\0i"), "it is UTF-16, not UTF-8");
        assert_eq!(problem(b"h\0e\0l\0l\0o\0"), "it is UTF-16, not UTF-8");
    }

    #[test]
    fn binary_is_recognised() {
        assert_eq!(problem(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "it is no text but binary (image/png)");
        assert_eq!(problem(b"some text\0more"), "it is no text but binary (a NUL at byte 9)");
        assert_eq!(problem(b"\x01\x02\x03ab"), "it is no text but binary (3 control characters in 5 bytes)");
        assert!(decode(b"\x1b[1mcoloured\x1b[0m\tlog\r\n").is_ok());
    }

    #[test]
    fn a_title_is_the_first_heading_else_the_first_line() {
        for (text, title) in [
            ("# Tidy up #\n\nplease", "Tidy up"),
            ("Do this.\n\n## Details\n", "Details"),
            ("\n\n  Do this.\nAnd that.", "Do this."),
            ("```sh\n# no heading\n```\nRun it", "Run it"),
            ("~~~~\n```\n# no heading\n~~~~\n# Yes", "Yes"),
            ("#hashtag", "#hashtag"),
            ("```sh\necho hi\n```", "echo hi"),
            ("#\n\u{200B}", "Untitled task"),
        ] {
            assert_eq!(title_of_markdown(text), title, "{text:?}");
        }
        assert_eq!(title_of_text("#!/bin/sh\necho"), "bin/sh");
    }

    #[test]
    fn a_title_is_one_short_line() {
        assert_eq!(as_title("a\n b\t\u{202E}c\u{1b}[2J"), "a b c[2J");
        let title = as_title(&"ä".repeat(500));
        assert_eq!(title.chars().count(), TITLE_CHARS_MAX);
        assert!(title.ends_with('…'));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            if let Ok(text) = decode(&bytes) {
                let title = title_of_markdown(text);
                proptest::prop_assert!(!title.is_empty() && title.chars().count() <= TITLE_CHARS_MAX && !title.contains('\n'));
            }
        }

        #[test]
        fn any_text_has_a_title(text in "[#`~ \\n\u{200B}a-cé]{0,60}") {
            let title = title_of_markdown(&text);
            proptest::prop_assert!(!title.is_empty() && title.chars().count() <= TITLE_CHARS_MAX && !title.contains('\n'));
        }
    }
}
