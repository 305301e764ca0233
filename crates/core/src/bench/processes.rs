//! What the system says of processes: `/proc`, as in proc(5). Elsewhere than on Linux it fails.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use super::BenchError;

/// The programs that an engine is made of, as `/proc` shows their names (cut to 15 bytes).
const ENGINE_PROGRAMS: [&str; 5] = ["dockerd", "containerd", "containerd-shim", "podman", "conmon"];
/// The guest's program, cut the same way.
const GUEST_PROGRAM: &str = "berth-guest";

/// Processor time used so far.
pub(super) struct CpuClock {
    /// By this process.
    pub(super) own: Duration,
    /// By each of the engine's processes.
    engine: BTreeMap<u64, Duration>,
}

impl CpuClock {
    /// Reads it now.
    pub(super) fn read() -> Result<Self, BenchError> {
        let read = || -> io::Result<Self> {
            let mut engine = BTreeMap::new();
            for entry in fs::read_dir("/proc")? {
                let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
                if ENGINE_PROGRAMS.contains(&program_of(pid).as_str()) {
                    engine.insert(pid, scheduled(pid));
                }
            }
            Ok(Self { own: own()?, engine })
        };
        read().map_err(BenchError::io("reading processor times"))
    }

    /// What the engine's processes that were there then have used since.
    pub(super) fn engine_since(&self, before: &Self) -> Duration {
        let used = |(pid, then): (&u64, &Duration)| self.engine.get(pid).map(|now| now.saturating_sub(*then));
        before.engine.iter().filter_map(used).sum()
    }

    /// Whether any of the engine's processes is on this machine.
    pub(super) fn has_engine(&self) -> bool {
        !self.engine.is_empty()
    }
}

/// The processor time of this process, threads that have ended included.
fn own() -> io::Result<Duration> {
    #[cfg(unix)]
    {
        let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
        let of = |time: nix::sys::time::TimeVal| {
            let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
            Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0))
        };
        Ok(of(usage.user_time()) + of(usage.system_time()))
    }
    #[cfg(not(unix))]
    Err(io::ErrorKind::Unsupported.into())
}

/// The time that the threads of a process were on a processor: `schedstat`, in nanoseconds.
fn scheduled(pid: u64) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    let of = |path: std::path::PathBuf| {
        let text = fs::read_to_string(path.join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(threads.flatten().filter_map(|thread| of(thread.path())).sum())
}

fn program_of(pid: u64) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// The private memory, in bytes, of the guest that is PID 1 of a sandbox (that pid is the host's), and of its own children: shims.
pub(super) fn guest_private_bytes(pid: u64) -> io::Result<u64> {
    let mut sum = private_bytes(pid)?;
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    for child in children.split_ascii_whitespace().filter_map(|child| child.parse().ok()) {
        if program_of(child).starts_with(GUEST_PROGRAM) {
            sum += private_bytes(child)?;
        }
    }
    Ok(sum)
}

fn private_bytes(pid: u64) -> io::Result<u64> {
    Ok(private_of(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?))
}

/// The private pages, clean and dirty, of a `smaps_rollup`, in bytes.
fn private_of(rollup: &str) -> u64 {
    let kilobytes = |line: &str| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok();
    let is_private = |line: &&str| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:");
    rollup.lines().filter(is_private).filter_map(kilobytes).sum::<u64>() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_memory_is_what_is_private_whether_clean_or_dirty() {
        let rollup = "00400000-7ffd000 ---p 00000000 00:00 0 [rollup]\nRss:  1408 kB\nShared_Clean:  700 kB\n\
                      Private_Clean:  8 kB\nPrivate_Dirty:  92 kB\nPrivate_Hugetlb:  0 kB\n";
        assert_eq!(private_of(rollup), 100 * 1024);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_own_clock_runs_while_one_computes() {
        let before = CpuClock::read().unwrap().own;
        let mut sum = 0_u64;
        while CpuClock::read().unwrap().own == before && sum < u64::MAX {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(CpuClock::read().unwrap().own > before);
    }
}
