//! What came out: a table, and one line that says whether every bound was kept.

use std::{fmt::Write as _, time::Duration};

use crate::{
    berth::Life,
    bounds::{
        CONTAINERS_MAX, DESCRIPTORS_AT_REST_MAX, DESCRIPTORS_MAX, MINUTES_JUDGED_MIN, ROWS_PER_RUN_MAX, RSS_KIB_MAX,
        RSS_SLOPE_KIB_MAX, RUNS_PER_MINUTE_MIN, THREADS_MAX, VIOLATIONS_SHOWN, WAL_BYTES_MAX, WARM_UP,
    },
    line::{Slope, by_unit, fit},
    sample::{Look, Process, Sample},
    worker::Tally,
};

/// Everything that a soak found.
pub(crate) struct Findings<'soak> {
    pub(crate) samples: Vec<Sample>,
    pub(crate) at_rest: Option<Process>,
    pub(crate) tally: &'soak Tally,
    /// What of sandboxes was left in the engine.
    pub(crate) left: Vec<String>,
    /// Tasks without an end.
    pub(crate) unfinished: u64,
    pub(crate) lives: Vec<Life>,
    pub(crate) whole: Duration,
    pub(crate) log: Vec<String>,
}

/// One thing that is judged.
struct Verdict {
    what: &'static str,
    found: String,
    bound: String,
    is_kept: bool,
}

impl Findings<'_> {
    /// Prints it all. Says whether every bound was kept.
    pub(crate) fn print(&self) -> bool {
        self.print_minutes();
        self.print_lives();
        self.print_ends();
        self.print_rows();
        for line in self.log.iter().take(VIOLATIONS_SHOWN) {
            println!("said on standard error: {line}");
        }
        let violations = self.tally.violations();
        for violation in violations.iter().take(VIOLATIONS_SHOWN) {
            println!("violation: {violation}");
        }
        for left in self.left.iter().take(VIOLATIONS_SHOWN) {
            println!("left in the engine: {left}");
        }
        let verdicts = self.verdicts(violations.len());
        println!("\n{:<44} {:>24} {:>16}", "judged", "found", "bound");
        for Verdict { what, found, bound, is_kept } in &verdicts {
            println!("{what:<44} {found:>24} {bound:>16}{}", if *is_kept { "" } else { "   BROKEN" });
        }
        let broken = verdicts.iter().filter(|verdict| !verdict.is_kept).count();
        let runs = self.tally.runs();
        println!(
            "\n{}: {runs} runs, {broken} of {} bounds broken",
            if broken == 0 { "good" } else { "BAD" },
            verdicts.len()
        );
        broken == 0
    }

    fn print_minutes(&self) {
        println!(
            "\n{:>6} {:>5} {:>6} {:>8} {:>5} {:>7} {:>8} {:>8} {:>9} {:>9} {:>9} {:>7} {:>6}",
            "minute",
            "life",
            "runs",
            "RSS MiB",
            "fds",
            "threads",
            "db MiB",
            "wal MiB",
            "outp MiB",
            "works MiB",
            "sandboxes",
            "fillers",
            "spools"
        );
        let mut life = 0;
        let mut pid = 0;
        let mut minute_last = None;
        for sample in &self.samples {
            if sample.pid != pid {
                pid = sample.pid;
                life += 1;
            }
            let minute = sample.at.as_secs() / 60;
            let Some(look) = sample.look.filter(|_| minute_last != Some(minute)) else { continue };
            minute_last = Some(minute);
            let Look { database_bytes, wal_bytes, outputs_bytes, workspaces_bytes, sandboxes, fillers, spools } = look;
            println!(
                "{minute:>6} {life:>5} {:>6} {:>8.1} {:>5} {:>7} {:>8.1} {:>8.1} {:>9.1} {:>9.1} {sandboxes:>9} {fillers:>7} {spools:>6}",
                sample.runs,
                mebibytes(sample.process.rss_kib << 10),
                sample.process.descriptors,
                sample.process.threads,
                mebibytes(database_bytes),
                mebibytes(wal_bytes),
                mebibytes(outputs_bytes),
                mebibytes(workspaces_bytes),
            );
        }
    }

    /// The samples of each process.
    fn by_life(&self) -> Vec<&[Sample]> {
        self.samples.chunk_by(|one, other| one.pid == other.pid).collect()
    }

    fn print_lives(&self) {
        println!(
            "\n{:>5} {:>8} {:>8} {:>10} {:>10} {:>10} {:>24}",
            "life", "seconds", "ended", "first MiB", "last MiB", "max MiB", "KiB per minute"
        );
        for (number, samples) in self.by_life().into_iter().enumerate() {
            let rss = |sample: &Sample| mebibytes(sample.process.rss_kib << 10);
            let (Some(first), Some(last)) = (samples.first(), samples.last()) else { continue };
            let max = samples.iter().map(rss).fold(0.0, f64::max);
            let life = self.lives.get(number + 1);
            let ended = life.map_or("", |life| life.ended);
            let took = life.map(|life| life.stop_took.as_secs_f64()).filter(|took| *took > 0.0);
            let took = took.map(|took| format!("   took {took:.1} s to stop")).unwrap_or_default();
            let slope = slope(samples, Duration::ZERO).map(words).unwrap_or_default();
            let seconds = last.at.saturating_sub(first.at).as_secs();
            println!(
                "{:>5} {seconds:>8} {ended:>8} {:>10.1} {:>10.1} {max:>10.1} {slope:>24}{took}",
                number + 1,
                rss(first),
                rss(last)
            );
        }
        let all = slope(&self.samples, Duration::ZERO).map(words).unwrap_or_default();
        println!("{:>5} {all:>75}", "all");
    }

    fn print_ends(&self) {
        let mut line = String::from("\nruns by kind and end:");
        for ((kind, end), count) in self.tally.ends() {
            let _infallible = write!(line, " {kind} {} {count},", end.to_lowercase());
        }
        println!("{}", line.trim_end_matches(','));
    }

    fn print_rows(&self) {
        let Some(rows) = self.samples.iter().rev().find_map(|sample| sample.rows.as_ref()) else { return };
        let words: Vec<_> = rows.iter().map(|(table, count)| format!("{table} {count}")).collect();
        println!("rows: {}", words.join(", "));
    }

    fn verdicts(&self, violations: usize) -> Vec<Verdict> {
        let none = |what, found: u64| at_most(what, found, 0);
        let max =
            |of: fn(&Process) -> u64| self.samples.iter().map(|sample| of(&sample.process)).max().unwrap_or(u64::MAX);
        let look = |of: fn(&Look) -> u64| self.samples.iter().filter_map(|sample| sample.look.as_ref()).map(of).max();
        let containers = look(|look| look.sandboxes + look.fillers);
        let runs = self.tally.runs();
        let mut verdicts = vec![
            none("lost, doubled, stuck or untrue", violations as u64),
            none("left of sandboxes in the engine", self.left.len() as u64),
            none("tasks without an end", self.unfinished),
            none("lines on standard error", self.log.len() as u64),
            at_most("resident memory, KiB", max(|process| process.rss_kib), RSS_KIB_MAX),
            at_most("descriptors", max(|process| process.descriptors), DESCRIPTORS_MAX),
            at_most("threads", max(|process| process.threads), THREADS_MAX),
            at_most(
                "descriptors at rest",
                self.at_rest.map_or(u64::MAX, |process| process.descriptors),
                DESCRIPTORS_AT_REST_MAX,
            ),
            at_most("write-ahead log, bytes", look(|look| look.wal_bytes).unwrap_or(u64::MAX), WAL_BYTES_MAX),
            at_most("containers at once", containers.unwrap_or(u64::MAX), CONTAINERS_MAX),
        ];
        let per_minute = number(runs) / (self.whole.as_secs_f64() / 60.0);
        verdicts.push(Verdict {
            what: "runs per minute",
            found: format!("{per_minute:.1}"),
            bound: format!(">= {RUNS_PER_MINUTE_MIN:.1}"),
            is_kept: per_minute >= RUNS_PER_MINUTE_MIN,
        });
        if let Some((rows, runs)) =
            self.samples.iter().rev().find_map(|sample| Some((sample.rows.as_ref()?, sample.runs)))
        {
            let per_run = number(rows.values().sum()) / number(runs.max(1));
            verdicts.push(Verdict {
                what: "rows of all tables per run",
                found: format!("{per_run:.1}"),
                bound: format!("<= {ROWS_PER_RUN_MAX:.1}"),
                is_kept: per_run <= ROWS_PER_RUN_MAX,
            });
        }
        for samples in self.by_life() {
            let Some(slope) = slope(samples, WARM_UP) else { continue };
            verdicts.push(Verdict {
                what: "growth of a life, KiB per minute",
                found: words(slope),
                bound: format!("<= {RSS_SLOPE_KIB_MAX:.0}"),
                is_kept: slope.slope - 2.0 * slope.error <= RSS_SLOPE_KIB_MAX,
            });
        }
        verdicts
    }
}

fn at_most(what: &'static str, found: u64, bound: u64) -> Verdict {
    Verdict { what, found: found.to_string(), bound: format!("<= {bound}"), is_kept: found <= bound }
}

/// The growth of resident memory over the minutes of these samples after a warm-up, in KiB per minute.
fn slope(samples: &[Sample], warm_up: Duration) -> Option<Slope> {
    let first = samples.first()?.at + warm_up;
    let points: Vec<_> = samples
        .iter()
        .filter(|sample| sample.at >= first)
        .map(|sample| (sample.at.saturating_sub(first).as_secs_f64() / 60.0, number(sample.process.rss_kib)))
        .collect();
    let minutes = by_unit(&points);
    if !warm_up.is_zero() && minutes.len() < MINUTES_JUDGED_MIN {
        return None;
    }
    fit(&minutes)
}

fn words(Slope { slope, error }: Slope) -> String {
    format!("{slope:.0} ± {error:.0}")
}

fn mebibytes(bytes: u64) -> f64 {
    number(bytes) / f64::from(1 << 20)
}

#[allow(clippy::cast_precision_loss, reason = "what is counted here is far below 2^52")]
fn number(number: u64) -> f64 {
    number as f64
}
