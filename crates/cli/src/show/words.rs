//! Small words: how long ago, how much, what went wrong.

use jiff::Timestamp;
use wire::{ErrorView, Hold, Phase};

use super::ink::{Ink, Tone};

/// A line that is safe to print: what would break it or move the cursor, or turn the direction of writing, is replaced.
pub(crate) fn line(text: &str) -> String {
    text.trim_end().chars().map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { visible(c) }).collect()
}

/// The character, or the one that stands for what cannot be shown.
pub(crate) fn visible(c: char) -> char {
    // Marks that turn the direction of writing: they can make one text look like another (UAX 9).
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns { char::REPLACEMENT_CHARACTER } else { c }
}

/// How long ago: `now`, `42s`, `5m`, `3h`, `2d`, and beyond a month the day itself.
pub(crate) fn ago(now: Timestamp, at: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    match seconds {
        ..5 => "now".to_owned(),
        5..60 => format!("{seconds}s ago"),
        60..3_600 => format!("{}m ago", seconds / 60),
        3_600..86_400 => format!("{}h ago", seconds / 3_600),
        86_400..2_592_000 => format!("{}d ago", seconds / 86_400),
        2_592_000.. => at.to_string().chars().take(10).collect(),
    }
}

/// How long something may take.
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        86_400.. => format!("{} days", seconds / 86_400),
    }
}

/// How much, in powers of 1,024.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1_024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A phase with what a person should know beside it.
pub(crate) fn phase(phase: Phase, holds: &[Hold], attempt: u32) -> String {
    match holds.first() {
        Some(hold) if !phase.is_final() => format!("Held: {}", hold.word()),
        Some(_) | None if phase.is_live() && attempt > 1 => format!("{} · attempt {attempt}", phase.word()),
        Some(_) | None => phase.word().to_owned(),
    }
}

/// An error: what happened, the last words of what failed, and what to do.
pub(crate) fn error(view: &ErrorView, ink: Ink) -> String {
    let mut text = format!("{} {}\n", ink.paint(Tone::Bad, "error:"), line(&view.message));
    for detail in view.detail.lines() {
        text.push_str("    ");
        text.push_str(&line(detail));
        text.push('\n');
    }
    if !view.hint.is_empty() {
        text.push_str(&format_hint(&view.hint, ink));
    }
    text
}

fn format_hint(hint: &str, ink: Ink) -> String {
    format!("\n{} {}\n", ink.paint(Tone::Strong, "hint:"), line(hint))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use wire::ErrorCode;

    use super::*;

    #[test]
    fn the_past_is_told_in_one_unit() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for (seconds, words) in [
            (-10, "now"),
            (4, "now"),
            (59, "59s ago"),
            (61, "1m ago"),
            (7_200, "2h ago"),
            (86_400, "1d ago"),
            (2_592_000, "2026-01-30"),
        ] {
            assert_eq!(ago(now, now - SignedDuration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn sizes_have_three_figures_or_so() {
        for (bytes, words) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1 << 20, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(size(bytes), words);
        }
    }

    #[test]
    fn an_error_says_what_happened_then_what_to_do() {
        let view = ErrorView::new(ErrorCode::AgentFailed, "Block 2 ended with exit code 1.")
            .hint("Look at `berth logs 3`.")
            .detail("line one\nline \x1b]0;two");
        insta::assert_snapshot!(error(&view, Ink::Plain), @r"
        error: Block 2 ended with exit code 1.
            line one
            line �]0;two

        hint: Look at `berth logs 3`.
        ");
    }

    #[test]
    fn text_cannot_turn_itself_around() {
        assert_eq!(line("invoice\u{202e}fdp.exe\n"), "invoice\u{fffd}fdp.exe");
    }

    #[test]
    fn a_held_phase_says_why() {
        assert_eq!(phase(Phase::Queued, &[Hold::Engine], 1), "Held: the engine does not answer");
        assert_eq!(phase(Phase::Executing, &[], 2), "Executing · attempt 2");
        assert_eq!(phase(Phase::Completed, &[], 2), "Completed");
    }
}
