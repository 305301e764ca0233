//! How an agent ended, in words for a person. Exit codes and reports are the agent's own word: they are shown, bounded and
//! made safe, and decide nothing but the step's phase.

use lifecycle::{Exit, Limit};
use pipe::host::{ExitRecord, ExitStatus, OutOfMemory, OutOfProcesses};
use serde::Deserialize;
use wire::{ErrorCode, ErrorView, Limits};

use crate::escape;

/// Longest title that an agent's report may set, in characters.
const TITLE_CHARS_MAX: usize = 300;
/// Longest detail, in characters.
const DETAIL_CHARS_MAX: usize = 8_000;

/// What an exit means to the step.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The agent is done, one way or the other.
    Exited { exit: Exit, how: String, error: Option<ErrorView> },
    /// It ended because of a limit.
    Limit { limit: Limit, how: String, error: ErrorView },
    /// The sandbox was ended from outside before the agent was done.
    Lost,
}

/// What an agent may report of itself, in the file that `BERTH_REPORT` names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Report {
    error: Option<ReportedError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReportedError {
    title: String,
    detail: String,
}

/// Reads an exit record. `last_lines` is the end of the output, for an error that says nothing itself.
pub(crate) fn verdict(record: &ExitRecord, limits: &Limits, last_lines: String) -> Verdict {
    let how = words(record.status);
    match record.status {
        ExitStatus::Exited { code: 0 } => Verdict::Exited { exit: Exit::Success, how, error: None },
        ExitStatus::WallClock => Verdict::Limit {
            limit: Limit::WallClock,
            error: ErrorView::new(
                ErrorCode::LimitReached,
                format!("The agent was ended after {}: its time was up.", seconds(limits.wall_clock_s)),
            )
            .hint("Give the task more time (`limits: time:` in its file, or Time in the dialog) and retry it.")
            .detail(last_lines),
            how,
        },
        ExitStatus::GuestEnded => Verdict::Lost,
        ExitStatus::Exited { .. } | ExitStatus::Signaled { .. } | ExitStatus::Lost => {
            let killed = matches!(record.status, ExitStatus::Signaled { number: 9 } | ExitStatus::Exited { code: 137 });
            if killed && record.out_of_memory == OutOfMemory::Happened {
                let message = format!(
                    "The memory limit of {} was reached: the kernel ended the agent.",
                    bytes(limits.memory_bytes)
                );
                return Verdict::Limit { limit: Limit::Memory, how, error: memory_limit(message, last_lines) };
            }
            let mut error = failure(record, &how, last_lines);
            // What else happened meanwhile: it need not be why, but a person should know.
            if record.out_of_memory == OutOfMemory::Happened {
                let limit = bytes(limits.memory_bytes);
                error.message = format!(
                    "{} Meanwhile the memory limit of {limit} was reached, and the kernel ended something in the sandbox.",
                    error.message
                );
                MEMORY_HINT.clone_into(&mut error.hint);
            }
            if record.out_of_processes == OutOfProcesses::Happened {
                let limit = limits.pids;
                error.message = format!(
                    "{} Meanwhile the limit of {limit} processes was reached, and something in the sandbox could not start more.",
                    error.message
                );
                PROCESSES_HINT.clone_into(&mut error.hint);
            }
            Verdict::Exited { exit: Exit::Failure, error: Some(error), how }
        }
    }
}

const MEMORY_HINT: &str =
    "Give the task more memory (`limits: memory:` in its file, or Memory in the dialog) and retry it.";
const PROCESSES_HINT: &str = "Give the task more processes (`limits: processes:` in its file) and retry it.";

fn memory_limit(message: String, last_lines: String) -> ErrorView {
    ErrorView::new(ErrorCode::LimitReached, message).hint(MEMORY_HINT).detail(last_lines)
}

/// The kernel ended the whole sandbox for want of memory, the guest too, so that nothing says how the agent ended.
pub(crate) fn sandbox_out_of_memory(limits: &Limits, last_lines: String) -> Verdict {
    let message =
        format!("The memory limit of {} was reached: the kernel ended the whole sandbox.", bytes(limits.memory_bytes));
    let how = "was ended with its sandbox, for want of memory".to_owned();
    Verdict::Limit { limit: Limit::Memory, how, error: memory_limit(message, last_lines) }
}

/// The account of an agent's end, out of a sandbox that has ended, does not fit its output: `end` bytes were printed, it says, and
/// `length` have arrived.
pub(crate) fn incomplete(end: u64, length: u64, last_lines: String) -> ErrorView {
    let message = match end.checked_sub(length) {
        Some(missing) => {
            format!("The sandbox ended before the last {} of the agent's output had arrived.", bytes(missing))
        }
        None => "The sandbox ended, and its account of the agent's end does not fit what the agent printed.".to_owned(),
    };
    ErrorView::new(ErrorCode::SandboxLost, message)
        .hint("What had arrived until then is kept. Retry the task to run it again.")
        .detail(last_lines)
}

fn failure(record: &ExitRecord, how: &str, last_lines: String) -> ErrorView {
    let reported = record
        .report
        .as_deref()
        .and_then(|report| serde_json::from_slice::<Report>(report).ok())
        .and_then(|report| report.error)
        .filter(|error| !error.title.trim().is_empty());
    match reported {
        Some(error) => {
            let title = cut(&escape::visible(error.title.trim().as_bytes()), TITLE_CHARS_MAX);
            let detail: Vec<_> = error.detail.lines().map(|line| escape::visible(line.as_bytes())).collect();
            ErrorView::new(ErrorCode::AgentFailed, format!("The agent failed: {title}."))
                .hint("Mend the task and retry it.")
                .detail(cut(&detail.join("\n"), DETAIL_CHARS_MAX))
        }
        None if last_lines.is_empty() => {
            ErrorView::new(ErrorCode::AgentFailed, format!("The agent {how} and printed nothing."))
                .hint("Look whether the image's program is the right one for this agent, then retry.")
        }
        None => ErrorView::new(ErrorCode::AgentFailed, format!("The agent {how}."))
            .hint("The terminal has all of its output. Mend the task and retry it.")
            .detail(last_lines),
    }
}

fn words(status: ExitStatus) -> String {
    match status {
        ExitStatus::Exited { code } => format!("ended with exit code {code}"),
        ExitStatus::Signaled { number } => format!("was ended by signal {number}{}", signal_name(number)),
        ExitStatus::WallClock => "was ended when its time was up".to_owned(),
        ExitStatus::GuestEnded => "was ended because the sandbox was".to_owned(),
        ExitStatus::Lost => "ended in an unknown way: something in the sandbox killed what watched it".to_owned(),
    }
}

/// The usual names (signal(7)); a number that is none of them stands alone.
fn signal_name(number: i32) -> &'static str {
    match number {
        1 => " (HUP)",
        2 => " (INT)",
        3 => " (QUIT)",
        4 => " (ILL)",
        6 => " (ABRT)",
        7 => " (BUS)",
        8 => " (FPE)",
        9 => " (KILL)",
        11 => " (SEGV)",
        13 => " (PIPE)",
        15 => " (TERM)",
        24 => " (XCPU)",
        _ => "",
    }
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

/// A number of bytes as a person reads it.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (size, unit) in UNITS {
        if bytes >= size {
            let tenths = u128::from(bytes) * 10 / u128::from(size);
            return if tenths.is_multiple_of(10) {
                format!("{} {unit}", tenths / 10)
            } else {
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            };
        }
    }
    format!("{bytes} bytes")
}

/// A number of seconds as a person reads it.
pub(crate) fn seconds(seconds: u64) -> String {
    let one_of = |number: u64, unit: &str| format!("{number} {unit}{}", if number == 1 { "" } else { "s" });
    match seconds {
        0..120 => one_of(seconds, "second"),
        120..7_200 if seconds.is_multiple_of(60) => one_of(seconds / 60, "minute"),
        120..7_200 => format!("{} min {} s", seconds / 60, seconds % 60),
        7_200.. if seconds.is_multiple_of(3_600) => one_of(seconds / 3_600, "hour"),
        7_200.. => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(status: ExitStatus) -> ExitRecord {
        ExitRecord {
            status,
            end: 0,
            ran_ms: 0,
            out_of_memory: OutOfMemory::No,
            out_of_processes: OutOfProcesses::No,
            report: None,
        }
    }

    #[test]
    fn a_killed_agent_ran_out_of_memory_only_where_the_kernel_says_so() {
        let killed = record(ExitStatus::Signaled { number: 9 });
        assert!(matches!(verdict(&killed, &Limits::default(), String::new()), Verdict::Exited { .. }));
        let oom = ExitRecord { out_of_memory: OutOfMemory::Happened, ..killed };
        assert!(matches!(
            verdict(&oom, &Limits::default(), String::new()),
            Verdict::Limit { limit: Limit::Memory, .. }
        ));
    }

    #[test]
    fn a_limit_is_named_with_its_value_and_what_to_press() {
        let limits = Limits { memory_bytes: 512 << 20, pids: 64, ..Limits::default() };
        let oom = ExitRecord { out_of_memory: OutOfMemory::Happened, ..record(ExitStatus::Signaled { number: 9 }) };
        let Verdict::Limit { error, .. } = verdict(&oom, &limits, String::new()) else { panic!("no limit") };
        assert!(error.message.starts_with("The memory limit of 512 MiB was reached"), "{error:?}");
        assert!(error.hint.contains("limits: memory:"), "{error:?}");

        let forks = ExitRecord { out_of_processes: OutOfProcesses::Happened, ..record(ExitStatus::Exited { code: 2 }) };
        let Verdict::Exited { error: Some(error), .. } = verdict(&forks, &limits, "last".into()) else {
            panic!("not a failure")
        };
        assert!(error.message.contains("exit code 2") && error.message.contains("64 processes"), "{error:?}");
        assert!(error.hint.contains("limits: processes:"), "{error:?}");
    }

    #[test]
    fn a_report_names_the_error_and_cannot_steer_a_terminal() {
        let report = br#"{"error":{"title":"block 2 of 3\u001b[2J exited with 3","detail":"a\nb\u202e"},"more":1}"#;
        let failed = ExitRecord { report: Some(report.to_vec()), ..record(ExitStatus::Exited { code: 1 }) };
        let Verdict::Exited { error: Some(error), exit: Exit::Failure, .. } =
            verdict(&failed, &Limits::default(), "last".into())
        else {
            panic!("not a failure");
        };
        assert_eq!(error.message, "The agent failed: block 2 of 3\\u{1b}[2J exited with 3.");
        assert_eq!(error.detail, "a\nb\\u{202e}");
    }

    #[test]
    fn a_report_that_is_none_is_passed_over() {
        for report in [&b"\xff\xfe"[..], b"[1,2]", b"{\"error\":7}", b"{\"error\":{\"title\":\" \"}}"] {
            let failed = ExitRecord { report: Some(report.to_vec()), ..record(ExitStatus::Exited { code: 7 }) };
            let Verdict::Exited { error: Some(error), .. } = verdict(&failed, &Limits::default(), "last".into()) else {
                panic!("not a failure");
            };
            assert_eq!(error.message, "The agent ended with exit code 7.");
            assert_eq!(error.detail, "last");
        }
    }

    #[test]
    fn sizes_and_times_read_as_people_say_them() {
        assert_eq!(bytes(2 << 30), "2 GiB");
        assert_eq!(bytes(1_610_612_736), "1.5 GiB");
        assert_eq!(bytes(17), "17 bytes");
        assert_eq!(seconds(1), "1 second");
        assert_eq!(seconds(1800), "30 minutes");
        assert_eq!(seconds(3_600), "60 minutes");
        assert_eq!(seconds(7_200), "2 hours");
        assert_eq!(seconds(90_061), "25 h 1 min");
    }
}
