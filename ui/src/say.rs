//! How times, sizes and counts are said, and how text of strangers is made safe to look at. Pure: "now" and the time zone come in.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use wire::{
    MicroUsd,
    compute::{ComputeView, time_said},
    cost::{Spent, UsageView},
};

/// An hour in seconds.
const HOUR_S: i64 = 3_600;
/// A day in seconds.
const DAY_S: i64 = 24 * HOUR_S;

/// Seconds from one moment to a later one; 0 where the clocks disagree.
pub fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs().max(0)
}

/// A running time as a stopwatch shows it: `04:12`, `1:04:12`.
pub fn stopwatch(seconds: i64) -> String {
    let (hours, minutes, rest) = (seconds / HOUR_S, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{rest:02}") } else { format!("{minutes:02}:{rest:02}") }
}

/// How long something took: `0.4 s`, `12 s`, then as a stopwatch.
pub fn took(duration: SignedDuration) -> String {
    let tenths = duration.as_millis().max(0) / 100;
    match tenths {
        0..100 => format!("{}.{} s", tenths / 10, tenths % 10),
        100..600 => format!("{} s", tenths / 10),
        _ => stopwatch(duration.as_secs()),
    }
}

/// How long ago: `now`, `14 s`, `26 min`, `3 h`, `2 d`.
pub fn age(seconds: i64) -> String {
    match seconds {
        ..2 => "now".to_owned(),
        2..60 => format!("{seconds} s"),
        60..HOUR_S => format!("{} min", seconds / 60),
        HOUR_S..DAY_S => format!("{} h", seconds / HOUR_S),
        _ => format!("{} d", seconds / DAY_S),
    }
}

/// How long ago, in words: `just now`, `14 s ago`, `3 d ago`.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    match seconds_between(at, now) {
        ..2 => "just now".to_owned(),
        seconds => format!("{} ago", age(seconds)),
    }
}

/// The time of day where the person is, to the minute: `12:06`.
pub fn clock(at: Timestamp, zone_s: i64) -> String {
    let day = seconds_of_day(at, zone_s);
    format!("{:02}:{:02}", day / HOUR_S, day / 60 % 60)
}

/// The same to the second: `12:06:40`.
pub fn clock_s(at: Timestamp, zone_s: i64) -> String {
    format!("{}:{:02}", clock(at, zone_s), seconds_of_day(at, zone_s) % 60)
}

/// A moment at most a day old as a time, an older one as a date: `12:06`, `2026-11-03`.
pub fn moment(at: Timestamp, now: Timestamp, zone_s: i64) -> String {
    if at >= day_start(now, zone_s) { clock(at, zone_s) } else { date(at, zone_s) }
}

/// When the person's day began.
pub fn day_start(now: Timestamp, zone_s: i64) -> Timestamp {
    now - SignedDuration::new(seconds_of_day(now, zone_s), now.subsec_nanosecond())
}

fn date(at: Timestamp, zone_s: i64) -> String {
    let shifted = at.checked_add(SignedDuration::from_secs(zone_s)).unwrap_or(at);
    shifted.to_string().chars().take("2026-11-03".len()).collect()
}

fn seconds_of_day(at: Timestamp, zone_s: i64) -> i64 {
    (at.as_second() + zone_s).rem_euclid(DAY_S)
}

/// A size of data in powers of two, as limits are set: `84 KiB`, `2.1 KiB`, `1.42 GiB`, and `20 GiB` where it is just that.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1_024 {
        return format!("{count} B");
    }
    // Counted in hundredths, so that no float is rounded twice.
    let mut hundredths = u128::from(count) * 100 / 1_024;
    let mut unit = 0;
    while hundredths >= 102_400 && unit + 1 < UNITS.len() {
        hundredths /= 1_024;
        unit += 1;
    }
    let is_whole = count.is_multiple_of(1_024 << (10 * unit));
    let number = match hundredths {
        _ if is_whole => format!("{}", hundredths / 100),
        ..1_000 if unit > 1 => format!("{}.{:02}", hundredths / 100, hundredths % 100),
        ..1_000 => format!("{}.{}", hundredths / 100, hundredths / 10 % 10),
        _ => format!("{}", hundredths / 100),
    };
    format!("{number} {}", UNITS[unit])
}

/// An amount of memory in powers of two, as it is given to a sandbox: `512 MiB`, `2 GiB`, `1.5 GiB`.
pub fn memory(count: u64) -> String {
    const GIB: u64 = 1 << 30;
    if count < GIB {
        return format!("{} MiB", count >> 20);
    }
    let tenths = count.div_ceil(GIB / 10).min(count / (GIB / 10));
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} GiB"),
        (whole, tenth) => format!("{whole}.{tenth} GiB"),
    }
}

/// A share of the processor in cores: `2 cores`, `0.5 cores`.
pub fn cores(milli: u32) -> String {
    match (milli / 1_000, milli % 1_000) {
        (1, 0) => "1 core".to_owned(),
        (whole, 0) => format!("{whole} cores"),
        (whole, rest) => format!("{whole}.{} cores", format!("{rest:03}").trim_end_matches('0')),
    }
}

/// How long a request took: `88 ms`, `1.9 s`, then as [`took`].
pub fn took_ms(duration_ms: u64) -> String {
    match i64::try_from(duration_ms) {
        Ok(duration_ms @ 0..1_000) => format!("{duration_ms} ms"),
        Ok(duration_ms) => took(SignedDuration::from_millis(duration_ms)),
        Err(_) => took(SignedDuration::MAX),
    }
}

/// A small sum to a hundredth of a cent, rounded half away from zero: `$0.0215`. Lists have two decimals, as [`MicroUsd`] prints.
pub fn fine_money(amount: MicroUsd) -> String {
    let sign = if amount.0 < 0 { "-" } else { "" };
    let parts = (amount.0.unsigned_abs() + 50) / 100;
    format!("{sign}${}.{:04}", parts / 10_000, parts % 10_000)
}

/// What one request cost: `$0.0215`, `at least $0.0215`, `price unknown`.
pub fn cost_of(usage: &UsageView) -> String {
    let mut spent = Spent::default();
    spent.add(usage);
    fine_spent(&spent)
}

/// A sum as [`Spent`] prints it, with four decimals.
pub fn fine_spent(spent: &Spent) -> String {
    let listed = &spent.list_price;
    let list_price = if listed.requests > 0 && listed.unpriced == listed.requests {
        "list price unknown".to_owned()
    } else {
        format!("list price {}{}", if listed.is_at_least() { "at least " } else { "" }, fine_money(listed.amount))
    };
    if spent.is_list_price() {
        return list_price;
    }
    let money = if spent.is_unknown() {
        "price unknown".to_owned()
    } else {
        format!("{}{}", if spent.is_at_least() { "at least " } else { "" }, fine_money(spent.amount))
    };
    if listed.requests > 0 { format!("{money} + {list_price}") } else { money }
}

/// A sum of money where there is no room for words: `$1.92`, `$1.92+` where it may have been more, `?` where no price is known. What is
/// under a subscription is no money.
pub fn short_spent(spent: &Spent) -> String {
    if spent.is_unknown() {
        "?".to_owned()
    } else if spent.is_at_least() {
        format!("{}+", spent.amount)
    } else {
        spent.amount.to_string()
    }
}

/// A number of tokens: `812`, `1.2k`, `214k`, `41.2M`.
pub fn tokens(count: u64) -> String {
    // Counted in tenths, so that no float is rounded twice.
    match count {
        ..1_000 => count.to_string(),
        1_000..100_000 => format!("{}.{}k", count / 1_000, count / 100 % 10),
        100_000..1_000_000 => format!("{}k", count / 1_000),
        1_000_000.. => format!("{}.{}M", count / 1_000_000, count / 100_000 % 10),
    }
}

/// What sandboxes used, with what it comes to where there are rates.
pub fn compute(view: &ComputeView) -> String {
    let used = view.used;
    let more = if used.is_at_least() { "at least " } else { "" };
    let said = format!("{more}{}, {} of CPU", time_said(used.container_ms), time_said(used.cpu_ms));
    view.cost.map_or_else(|| said.clone(), |cost| format!("{said} · {more}{cost}"))
}

/// A number with its noun: `1 file`, `3 files`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Text of a stranger with everything made visible that could hide or reorder it: control, bidirectional and invisible format
/// characters become their code points (trojansource.codes). Line breaks and tabs stay.
pub fn visible(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' | '\t' => safe.push(char),
            '\r' => {}
            '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{061c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => {
                let _ = write!(safe, "⟨U+{:04X}⟩", u32::from(char));
            }
            other => safe.push(other),
        }
    }
    safe
}

/// Text that stands before other text: visible, with a capital where it begins with a plain word, and with a full stop where it has no
/// end of its own.
pub fn sentence(text: &str) -> String {
    let mut text = visible(text.trim());
    let is_word =
        text.split(char::is_whitespace).next().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
    if is_word && let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if text.is_empty() || text.ends_with(['.', ':', '?', '!', '…']) { text } else { format!("{text}.") }
}

/// A part of what Berth says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'text> {
    /// Words.
    Words(&'text str),
    /// What stands between backticks: it is typed, or named, exactly so.
    Exact(&'text str),
}

/// The parts of a text; one whose backticks are no pairs is words alone.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let pieces: Vec<_> = text.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return vec![Part::Words(text)];
    }
    let part = |(index, piece): (usize, _)| if index % 2 == 0 { Part::Words(piece) } else { Part::Exact(piece) };
    let is_empty = |part: &Part<'_>| matches!(part, Part::Words("") | Part::Exact(""));
    pieces.into_iter().enumerate().map(part).filter(|part| !is_empty(part)).collect()
}

/// The last folder of a path: what tells it from its neighbours, where the whole does not fit.
pub fn path_tail(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

/// The first characters of a hash, as people compare them.
pub fn short_hash(sha256: &str) -> &str {
    sha256.get(..8).unwrap_or(sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_stands_between_backticks_is_exact() {
        use Part::{Exact, Words};
        assert_eq!(
            parts("Run `berth doctor`, then retry."),
            [Words("Run "), Exact("berth doctor"), Words(", then retry.")]
        );
        assert_eq!(parts("`a` or `b`"), [Exact("a"), Words(" or "), Exact("b")]);
        assert_eq!(parts("one ` alone"), [Words("one ` alone")]);
        assert_eq!(parts("``"), []);
        assert_eq!(parts(""), []);
    }

    #[test]
    fn sizes_have_two_digits_that_count() {
        for (count, said) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1 KiB"),
            (1_025, "1.0 KiB"),
            (2_200, "2.1 KiB"),
            (84 << 10, "84 KiB"),
            ((1 << 20) - 1, "1023 KiB"),
            (1_900_000, "1.8 MiB"),
            (1_424 << 20, "1.39 GiB"),
            (20 << 30, "20 GiB"),
            (u64::MAX, "16383 PiB"),
        ] {
            assert_eq!(bytes(count), said, "{count}");
        }
    }

    #[test]
    fn memory_is_said_as_it_was_asked_for() {
        for (count, said) in [(512 << 20, "512 MiB"), (2 << 30, "2 GiB"), (3 << 29, "1.5 GiB"), (16 << 30, "16 GiB")] {
            assert_eq!(memory(count), said, "{count}");
        }
        assert_eq!(cores(2_000), "2 cores");
        assert_eq!(cores(1_000), "1 core");
        assert_eq!(cores(250), "0.25 cores");
    }

    #[test]
    fn a_stopwatch_grows_an_hour_when_it_needs_one() {
        assert_eq!(stopwatch(252), "04:12");
        assert_eq!(stopwatch(3_852), "1:04:12");
        assert_eq!(took(SignedDuration::from_millis(1_449)), "1.4 s");
        assert_eq!(took(SignedDuration::from_secs(48)), "48 s");
        assert_eq!(took(SignedDuration::from_secs(252)), "04:12");
    }

    #[test]
    fn what_one_request_cost_is_never_rounded_to_nothing_and_never_zero_where_it_is_unknown() {
        for (micro, said) in
            [(21_500, "$0.0215"), (49, "$0.0000"), (50, "$0.0001"), (1_234_567, "$1.2346"), (-150, "-$0.0002")]
        {
            assert_eq!(fine_money(MicroUsd(micro)), said, "{micro}");
        }
        let usage = |cost, is_at_least| UsageView {
            model: String::new(),
            tokens: wire::cost::TokenCounts::default(),
            is_at_least,
            cost,
            is_list_price: false,
        };
        assert_eq!(cost_of(&usage(Some(MicroUsd(100)), false)), "$0.0001");
        assert_eq!(cost_of(&usage(Some(MicroUsd(100)), true)), "at least $0.0001");
        assert_eq!(cost_of(&usage(None, false)), "price unknown");
        let listed = |cost| UsageView { is_list_price: true, ..usage(cost, false) };
        assert_eq!(cost_of(&listed(Some(MicroUsd(100)))), "list price $0.0001");
        assert_eq!(cost_of(&listed(None)), "list price unknown");
    }

    #[test]
    fn where_there_is_no_room_a_sum_still_says_that_it_may_be_more() {
        let spent = |requests, unpriced, at_least| Spent {
            amount: MicroUsd(1_920_000),
            requests,
            unpriced,
            at_least,
            ..Spent::default()
        };
        assert_eq!(short_spent(&spent(3, 0, 0)), "$1.92");
        assert_eq!(short_spent(&spent(3, 1, 0)), "$1.92+");
        assert_eq!(short_spent(&spent(3, 0, 1)), "$1.92+");
        assert_eq!(short_spent(&spent(3, 3, 0)), "?");
    }

    #[test]
    fn tokens_are_said_in_the_largest_unit_that_fits() {
        for (count, said) in [(0, "0"), (999, "999"), (1_204, "1.2k"), (214_900, "214k"), (41_260_000, "41.2M")] {
            assert_eq!(tokens(count), said);
        }
        assert_eq!((took_ms(88), took_ms(1_900), took_ms(252_000)), ("88 ms".into(), "1.9 s".into(), "04:12".into()));
        assert!(!took_ms(u64::MAX).is_empty());
    }

    #[test]
    fn ages_are_rounded_down() {
        for (seconds, said) in [(0, "now"), (14, "14 s"), (119, "1 min"), (7_300, "2 h"), (200_000, "2 d")] {
            assert_eq!(age(seconds), said);
        }
        let now = at("2026-11-21T10:00:00Z");
        for (then, said) in [
            ("2026-11-21T09:59:46Z", "14 s ago"),
            ("2026-11-21T10:00:00Z", "just now"),
            ("2026-11-21T10:01:00Z", "just now"),
        ] {
            assert_eq!(ago(at(then), now), said);
        }
    }

    #[test]
    fn the_time_of_day_is_that_of_the_persons_zone() {
        let late = at("2026-11-21T23:30:05Z");
        assert_eq!(clock_s(late, 0), "23:30:05");
        assert_eq!(clock(late, 3_600), "00:30");
        assert_eq!(clock(late, -5 * 3_600), "18:30");
        assert_eq!(day_start(late, 3_600), at("2026-11-21T23:00:00Z"));
        assert_eq!(moment(at("2026-11-20T10:00:00Z"), late, 0), "2026-11-20");
        assert_eq!(moment(at("2026-11-21T10:00:00Z"), late, 0), "10:00");
    }

    #[test]
    fn a_path_that_does_not_fit_ends_with_its_own_name() {
        assert_eq!(path_tail("/home/you/workspaces/0193"), "0193");
        assert_eq!(path_tail("/home/you/"), "you");
        assert_eq!(path_tail("plain"), "plain");
    }

    #[test]
    fn a_sentence_has_an_end() {
        for (text, said) in [
            ("line 2: no", "Line 2: no."),
            ("it is gone", "It is gone."),
            ("data.csv is gone", "data.csv is gone."),
            ("Is it?", "Is it?"),
            (" Wait… ", "Wait…"),
            ("", ""),
        ] {
            assert_eq!(sentence(text), said);
        }
    }

    #[test]
    fn nothing_in_a_strangers_text_hides_or_reorders_it() {
        assert_eq!(visible("a\u{1b}[31mb"), "a⟨U+001B⟩[31mb");
        assert_eq!(visible("invoice\u{202e}gpj.exe"), "invoice⟨U+202E⟩gpj.exe");
        assert_eq!(visible("two\r\nlines\tand\0"), "two\nlines\tand⟨U+0000⟩");
        assert_eq!(visible("zero\u{200b}width\u{9b}"), "zero⟨U+200B⟩width⟨U+009B⟩");
        assert_eq!(visible("naïve 你好 🙂"), "naïve 你好 🙂");
    }
}
