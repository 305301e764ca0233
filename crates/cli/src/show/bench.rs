//! The table of `berth bench`.

use wire::bench::{BenchBar, BenchFigures, BenchReport, BenchRow, BenchUnit};

use super::{
    ink::{Ink, Tone},
    table::{Cell, Table},
    words::{line, size},
};

/// Longest description in the table; all of it is in the JSON.
const WHAT_WIDTH_MAX: usize = 72;

/// All of it: the machine, the table, the notes, the gaps.
pub(crate) fn report(report: &BenchReport, ink: Ink) -> String {
    let machine = &report.machine;
    let mut text = String::new();
    put!(
        text,
        "{} cores, {}, kernel {}, {}, cgroup {}; berth as a {} build; image {}\n",
        machine.cores,
        size(machine.memory_bytes),
        line(&machine.kernel),
        line(&machine.engine),
        line(&machine.cgroup),
        line(&machine.build),
        line(&machine.image)
    );
    let mut table = Table::new(["ROW", "WHAT", "", "N", "P50", "P95", "P99", "FIRST", "UNIT", "RATIO", "BAR", "MET"]);
    for row in &report.rows {
        table.row(of_berth(row));
        if let Some(baseline) = &row.baseline {
            let what = Cell::toned(Tone::Faint, &baseline.what).cut(WHAT_WIDTH_MAX);
            let [n, p50, p95, p99, cold] = numbers(&baseline.figures, Tone::Faint);
            let side = Cell::toned(Tone::Faint, "B");
            let empty = || Cell::plain("");
            let unit = Cell::toned(Tone::Faint, row.unit.word());
            table.row([empty(), what, side, n, p50, p95, p99, cold, unit, empty(), empty(), empty()]);
        }
    }
    text.push_str(&table.lay_out(ink));
    put!(
        text,
        "\nA is Berth, B what it is compared with, measured in turns; FIRST is the cold one, in none of the others."
    );
    for row in &report.rows {
        for note in &row.notes {
            put!(text, "{}: {}: {}", line(&row.row), line(&row.what), line(note));
        }
    }
    for gap in &report.not_measured {
        put!(text, "not measured here: {}: {}", line(&gap.what), line(&gap.why));
    }
    text
}

fn of_berth(row: &BenchRow) -> [Cell; 12] {
    let [n, p50, p95, p99, cold] = numbers(&row.berth, Tone::Plain);
    let (met, tone) = match row.is_met {
        Some(true) => ("yes", Tone::Good),
        Some(false) => ("NO", Tone::Bad),
        None => ("", Tone::Plain),
    };
    [
        Cell::plain(&row.row),
        Cell::plain(&row.what).cut(WHAT_WIDTH_MAX),
        Cell::plain("A"),
        n,
        p50,
        p95,
        p99,
        cold,
        Cell::plain(row.unit.word()),
        Cell::plain(&row.ratio.map(number).unwrap_or_default()),
        Cell::plain(&row.bar.map(|bar| words_of(bar, row.unit, &row.berth)).unwrap_or_default()),
        Cell::toned(tone, met),
    ]
}

fn numbers(figures: &BenchFigures, tone: Tone) -> [Cell; 5] {
    let BenchFigures { n, p50, p95, p99, cold, .. } = *figures;
    let cell = |text: &str| Cell::toned(tone, text);
    let cold = cold.map(number).unwrap_or_default();
    [cell(&n.to_string()), cell(&number(p50)), cell(&number(p95)), cell(&number(p99)), cell(&cold)]
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude < 1.0 => format!("{value:.3}"),
        magnitude if magnitude < 10.0 => format!("{value:.2}"),
        magnitude if magnitude < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn words_of(bar: BenchBar, unit: BenchUnit, figures: &BenchFigures) -> String {
    let unit = unit.word();
    match bar {
        BenchBar::RatioAtMost { ratio } => format!("ratio ≤ {ratio}"),
        BenchBar::RatioAtLeast { ratio } => format!("ratio ≥ {ratio}"),
        BenchBar::P95AtMost { value } => format!("p95 ≤ {value} {unit}"),
        BenchBar::P99Below { value } => format!("p99 < {value} {unit}"),
        BenchBar::MeanBelow { value } => format!("mean < {value} {unit}, is {}", number(figures.mean)),
        BenchBar::AllBelow { value, largest } => format!("each < {value} {unit}, largest {}", number(largest)),
    }
}

#[cfg(test)]
mod tests {
    use wire::bench::{BenchGap, BenchMachine};

    use super::*;

    fn figures(scale: f64) -> BenchFigures {
        let sample: Vec<f64> = (1..=100).map(|number| f64::from(number) * scale).collect();
        BenchFigures::of(Some(scale * 500.0), &sample).unwrap()
    }

    fn example() -> BenchReport {
        let machine = BenchMachine {
            cores: 2,
            memory_bytes: 24 << 30,
            kernel: "6.1.0".to_owned(),
            engine: "Docker 20.10.24 (API 1.41)".to_owned(),
            cgroup: "v1".to_owned(),
            build: "release".to_owned(),
            image: "script".to_owned(),
        };
        let warm = BenchRow::new("warm", "first byte", BenchUnit::Milliseconds, figures(0.01))
            .beside("exec", figures(0.25))
            .held_to(BenchBar::RatioAtMost { ratio: 0.125 });
        let bulk = BenchRow::new("bulk", "out of a port", BenchUnit::MegabytesPerSecond, figures(1.0))
            .beside("raw exec stream", figures(4.0))
            .held_to(BenchBar::RatioAtLeast { ratio: 0.5 });
        let idle = BenchRow::new("idle", "the app's time", BenchUnit::PercentOfCore, figures(0.001))
            .held_to(BenchBar::MeanBelow { value: 0.5 })
            .note("No window is open here.");
        let memory = BenchRow::new("idle", "a guest's memory", BenchUnit::Megabytes, figures(0.01))
            .held_to(BenchBar::AllBelow { value: 4.0, largest: 1.0 });
        let commit = BenchRow::new("warm", "a commit", BenchUnit::Milliseconds, figures(0.1));
        let gap = BenchGap { what: "first paint".to_owned(), why: "It takes the window.".to_owned() };
        BenchReport { machine, rows: vec![warm, commit, bulk, idle, memory], not_measured: vec![gap] }
    }

    #[test]
    fn a_bar_that_is_missed_says_so() {
        insta::assert_snapshot!(report(&example(), Ink::Plain));
    }

    #[test]
    fn the_json_is_a_promise() {
        insta::assert_json_snapshot!(example());
    }
}
