//! Makes what a sandbox printed safe for a terminal: text, line ends, tabs and colours pass; everything else that a terminal
//! would obey does not.
//!
//! A log is hostile input. It could set the clipboard (OSC 52), the title, links that lie (OSC 8), notifications (OSC 9 and
//! 777); ask questions whose answers arrive as typed keys (DA, DECRQSS); hide or overwrite what was printed before (cursor
//! movements, concealed text); or turn the direction of writing. Sequences may be split anywhere between two frames.

use anstyle_parse::{DefaultCharAccumulator, Params, Parser, Perform};

use super::{ink::Ink, words::visible};

const RESET: &[u8] = b"\x1b[0m";

/// Carries the state of a sequence from one piece of output to the next.
pub(crate) struct Tamer {
    parser: Parser<DefaultCharAccumulator>,
    tamed: Tamed,
}

struct Tamed {
    ink: Ink,
    text: Vec<u8>,
    is_coloured: bool,
}

impl Tamer {
    /// A tamer that lets colours pass if there is ink for them.
    pub(crate) fn new(ink: Ink) -> Self {
        Self {
            parser: Parser::<DefaultCharAccumulator>::new(),
            tamed: Tamed { ink, text: Vec::new(), is_coloured: false },
        }
    }

    /// What may be printed of the next piece.
    pub(crate) fn tame(&mut self, piece: &[u8]) -> Vec<u8> {
        for byte in piece {
            self.parser.advance(&mut self.tamed, *byte);
        }
        std::mem::take(&mut self.tamed.text)
    }

    /// What has to be printed at the end, so that the terminal is left as it was.
    pub(crate) fn finish(self) -> &'static [u8] {
        if self.tamed.is_coloured { RESET } else { b"" }
    }
}

impl Perform for Tamed {
    fn print(&mut self, c: char) {
        let mut buffer = [0; 4];
        self.text.extend_from_slice(visible(c).encode_utf8(&mut buffer).as_bytes());
    }

    fn execute(&mut self, byte: u8) {
        if matches!(byte, b'\n' | b'\r' | b'\t') {
            self.text.push(byte);
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: u8) {
        if self.ink == Ink::Plain || action != b'm' || !intermediates.is_empty() || ignore {
            return;
        }
        let kept = colours(params);
        if !kept.is_empty() {
            self.text.extend_from_slice(format!("\x1b[{}m", kept.join(";")).as_bytes());
            self.is_coloured = kept.last().is_some_and(|last| last != "0");
        }
    }
}

/// The parameters of a colour sequence (ECMA-48, 8.3.117) that neither hide text nor make it blink.
fn colours(params: &Params) -> Vec<String> {
    let mut kept = Vec::new();
    let mut params = params.iter();
    while let Some(param) = params.next() {
        match param {
            // Extended colours: `38:2:…` in one parameter, or `38;5;n` and `38;2;r;g;b` in several.
            [38 | 48 | 58, _, ..] => kept.push(joined(param)),
            [target @ (38 | 48 | 58)] => {
                let length = match params.next() {
                    Some([5]) => 1,
                    Some([2]) => 3,
                    Some(_) | None => return kept,
                };
                let values: Vec<String> = params.by_ref().take(length).map(joined).collect();
                if values.len() == length {
                    let space = if length == 1 { 5 } else { 2 };
                    kept.push(format!("{target};{space};{}", values.join(";")));
                }
            }
            [0..=4 | 7 | 21..=25 | 27 | 30..=37 | 39 | 40..=47 | 49 | 53 | 55 | 59 | 90..=97 | 100..=107, ..] => {
                kept.push(joined(param));
            }
            _ => {}
        }
    }
    kept
}

fn joined(param: &[u16]) -> String {
    param.iter().map(u16::to_string).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tamed(ink: Ink, bytes: &[u8]) -> String {
        let mut tamer = Tamer::new(ink);
        let text = tamer.tame(bytes);
        String::from_utf8([text.as_slice(), tamer.finish()].concat()).unwrap()
    }

    #[test]
    fn text_and_colours_pass() {
        let coloured = "one\r\n\x1b[1;31mtwo\x1b[0m\tthree\x1b[38;5;200m\x1b[48;2;1;2;3mfour\x1b[m\n";
        assert_eq!(tamed(Ink::Colour, coloured.as_bytes()), coloured.replace("\x1b[m", "\x1b[0m"));
        assert_eq!(tamed(Ink::Plain, coloured.as_bytes()), "one\r\ntwo\tthreefour\n");
    }

    #[test]
    fn nothing_else_that_a_terminal_obeys_passes() {
        for attack in [
            "\x1b]52;c;ZXZpbA==\x07",
            "\x1b]0;title\x1b\\",
            "\x1b]8;;javascript:alert(1)\x1b\\",
            "\x1b]777;notify;a;b\x07",
            "\x1b[2J\x1b[H\x1b[10A",
            "\x1b[c\x1b[6n\x1b[>q",
            "\x1bP$qm\x1b\\",
            "\x1b[?1049h\x1b[?2004l",
            "\x1bc\x1b(0",
            "\x1b_Gf=100;AAAA\x1b\\",
            "\x1b[8m\x1b[5m",
            "\x07\x08\x0e\x0f\x00",
        ] {
            assert_eq!(tamed(Ink::Colour, format!("a{attack}b").as_bytes()), "ab", "{attack:?}");
        }
    }

    #[test]
    fn control_characters_beyond_ascii_and_turned_text_are_made_visible() {
        assert_eq!(tamed(Ink::Colour, "a\u{9b}2Jb\u{202e}c".as_bytes()), "a\u{fffd}2Jb\u{fffd}c");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert!(tamed(Ink::Colour, b"a\xff\xfeb").starts_with('a'));
        assert!(!tamed(Ink::Colour, b"\x9b2J\x9d52;c;x\x9c").contains('\u{1b}'));
    }

    #[test]
    fn a_sequence_split_anywhere_is_still_one() {
        let attack = "é\x1b]52;c;ZXZpbA==\x07日\x1b[31mb".as_bytes();
        let whole = tamed(Ink::Colour, attack);
        for at in 0..attack.len() {
            let mut tamer = Tamer::new(Ink::Colour);
            let mut text = tamer.tame(&attack[..at]);
            text.extend(tamer.tame(&attack[at..]));
            text.extend_from_slice(tamer.finish());
            assert_eq!(String::from_utf8(text).unwrap(), whole);
        }
    }

    #[test]
    fn one_endless_sequence_takes_no_memory() {
        let mut tamer = Tamer::new(Ink::Colour);
        tamer.tame(b"\x1b]52;c;");
        for _ in 0..1_000 {
            assert!(tamer.tame(&[b'A'; 10_000]).is_empty());
        }
        assert_eq!(tamer.tame(b"\x07after"), b"after");
    }

    #[test]
    fn a_colour_that_is_left_on_is_turned_off() {
        assert_eq!(tamed(Ink::Colour, b"\x1b[31mred"), "\x1b[31mred\x1b[0m");
        assert_eq!(tamed(Ink::Colour, b"\x1b[38"), "");
    }
}
