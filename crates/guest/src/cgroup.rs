//! What the sandbox's cgroup counts: version 2, else 1. A file that is not there is an answer too: `None`.

use std::fs;

use pipe::message::{OutOfMemory, OutOfProcesses, Stats};

const V2: &str = "/sys/fs/cgroup";
const V1_MEMORY: &str = "/sys/fs/cgroup/memory";
const V1_CPU: &str = "/sys/fs/cgroup/cpuacct";
const V1_PIDS: &str = "/sys/fs/cgroup/pids";
/// Version 1 writes "no limit" as a number near the top.
const V1_NO_LIMIT: u64 = 1 << 60;
const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;

/// How often the kernel has killed for want of memory.
pub(crate) fn kills() -> Option<u64> {
    field(&format!("{V2}/memory.events"), "oom_kill")
        .or_else(|| field(&format!("{V1_MEMORY}/memory.oom_control"), "oom_kill"))
}

/// How often the kernel has refused a new process because there were too many.
pub(crate) fn refused_processes() -> Option<u64> {
    field(&format!("{V2}/pids.events"), "max").or_else(|| field(&format!("{V1_PIDS}/pids.events"), "max"))
}

/// Whether processes ran out between two looks.
pub(crate) fn compare_refused(before: Option<u64>, after: Option<u64>) -> OutOfProcesses {
    match (before, after) {
        (Some(before), Some(after)) if after > before => OutOfProcesses::Happened,
        (Some(_), Some(_)) => OutOfProcesses::No,
        (None, _) | (_, None) => OutOfProcesses::Unknown,
    }
}

/// Whether memory ran out between two looks.
pub(crate) fn compare(before: Option<u64>, after: Option<u64>) -> OutOfMemory {
    match (before, after) {
        (Some(before), Some(after)) if after > before => OutOfMemory::Happened,
        (Some(_), Some(_)) => OutOfMemory::No,
        (None, _) | (_, None) => OutOfMemory::Unknown,
    }
}

/// What the sandbox uses now.
pub(crate) fn stats() -> Stats {
    let limit = |path: String| number(&path).filter(|limit| *limit < V1_NO_LIMIT);
    Stats {
        memory_bytes: number(&format!("{V2}/memory.current"))
            .or_else(|| number(&format!("{V1_MEMORY}/memory.usage_in_bytes"))),
        memory_bytes_max: limit(format!("{V2}/memory.max"))
            .or_else(|| limit(format!("{V1_MEMORY}/memory.limit_in_bytes"))),
        cpu_us: field(&format!("{V2}/cpu.stat"), "usage_usec")
            .or_else(|| number(&format!("{V1_CPU}/cpuacct.usage")).map(|used| used / NANOSECONDS_PER_MICROSECOND)),
        processes: number(&format!("{V2}/pids.current")).or_else(|| number(&format!("{V1_PIDS}/pids.current"))),
        processes_max: limit(format!("{V2}/pids.max")).or_else(|| limit(format!("{V1_PIDS}/pids.max"))),
    }
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn field(path: &str, name: &str) -> Option<u64> {
    parse_field(&fs::read_to_string(path).ok()?, name)
}

fn parse_field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "oom 7\noom_kill_disable 0\noom_kill 3\n";
        assert_eq!(parse_field(text, "oom_kill"), Some(3));
        assert_eq!(parse_field(text, "oom_group_kill"), None);
    }

    #[test]
    fn memory_ran_out_only_where_the_counter_grew() {
        assert_eq!(compare(Some(1), Some(2)), OutOfMemory::Happened);
        assert_eq!(compare(Some(1), Some(1)), OutOfMemory::No);
        assert_eq!(compare(None, Some(1)), OutOfMemory::Unknown);
    }
}
