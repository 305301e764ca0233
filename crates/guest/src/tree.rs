//! Looks at the processes below a shim, and acts on all of them.
//!
//! `/proc` is read anew each time: it is the truth, and a tree that forks while it is read is met by reading again. A
//! process cannot leave its tree, for an orphan's next parent is its shim.

use std::collections::BTreeMap;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Rounds in which a tree that forks is stopped; a round stops every process that the one before missed.
const STOP_ROUNDS_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    parent: i32,
    state: u8,
}

impl Entry {
    fn is_alive(self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }

    fn is_stopped(self) -> bool {
        matches!(self.state, b'T' | b't')
    }
}

/// How many processes live below `shim`.
pub(crate) fn count(shim: Pid) -> usize {
    below(&read_processes(), shim).len()
}

/// Sends a signal to every process below `shim`. A stop takes rounds, so that what forks meanwhile stops too.
pub(crate) fn signal(shim: Pid, signal: Signal) {
    if signal == Signal::SIGSTOP {
        return stop(shim);
    }
    for pid in below(&read_processes(), shim) {
        send(pid, signal);
    }
}

/// Kills every process below `shim`. What is stopped first cannot fork away from it.
pub(crate) fn kill_all(shim: Pid) {
    stop(shim);
    signal(shim, Signal::SIGKILL);
}

/// Kills the guest's own children that are no shims, with all below them: what a killed shim left.
pub(crate) fn kill_strangers(guest: Pid, is_shim: impl Fn(Pid) -> bool) -> usize {
    let processes = read_processes();
    let strangers: Vec<Pid> = processes
        .iter()
        .filter(|(_, entry)| entry.parent == guest.as_raw() && entry.is_alive())
        .map(|(pid, _)| Pid::from_raw(*pid))
        .filter(|pid| !is_shim(*pid))
        .collect();
    for stranger in &strangers {
        kill_all(*stranger);
        send(*stranger, Signal::SIGKILL);
    }
    strangers.len()
}

/// Lets a process that was stopped go on. For a shim: it must never rest.
pub(crate) fn cont(pid: Pid) {
    send(pid, Signal::SIGCONT);
}

fn stop(shim: Pid) {
    for _ in 0..STOP_ROUNDS_MAX {
        let processes = read_processes();
        let running: Vec<Pid> = below(&processes, shim)
            .into_iter()
            .filter(|pid| processes.get(&pid.as_raw()).is_some_and(|entry| !entry.is_stopped()))
            .collect();
        if running.is_empty() {
            return;
        }
        for pid in running {
            send(pid, Signal::SIGSTOP);
        }
    }
}

fn send(pid: Pid, signal: Signal) {
    // Whoever is gone by now needs no signal.
    let _ = kill(pid, signal);
}

fn below(processes: &BTreeMap<i32, Entry>, root: Pid) -> Vec<Pid> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (pid, entry) in processes {
        children.entry(entry.parent).or_default().push(*pid);
    }
    let mut found = Vec::new();
    // Taken out as they are followed, so that a listing that loops (it was read while pids were reused) ends.
    let mut open = children.remove(&root.as_raw()).unwrap_or_default();
    while let Some(pid) = open.pop() {
        if processes.get(&pid).is_some_and(|entry| entry.is_alive()) {
            found.push(Pid::from_raw(pid));
        }
        open.extend(children.remove(&pid).unwrap_or_default());
    }
    found
}

fn read_processes() -> BTreeMap<i32, Entry> {
    let Ok(folders) = fs::read_dir("/proc") else { return BTreeMap::new() };
    folders
        .flatten()
        .filter_map(|folder| {
            let pid: i32 = folder.file_name().to_str()?.parse().ok()?;
            // Bytes: a process chooses its name, which need not be UTF-8.
            let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, parse_stat(&stat)?))
        })
        .collect()
}

/// `pid (name) state parent …`, proc_pid_stat(5). The name may hold parentheses, so the last one counts.
fn parse_stat(stat: &[u8]) -> Option<Entry> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.bytes().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Entry { parent, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_fake_a_parent() {
        let stat = b"7 (x) Z 1 (\xff) S 3 7 7 0 -1";
        assert_eq!(parse_stat(stat), Some(Entry { parent: 3, state: b'S' }));
        assert_eq!(parse_stat(b"7 (x"), None);
    }

    #[test]
    fn a_tree_holds_what_lives_below_its_root_and_a_loop_ends() {
        let entry = |parent, state| Entry { parent, state };
        let processes = BTreeMap::from([
            (2, entry(1, b'S')),
            (3, entry(2, b'Z')),
            (4, entry(3, b'R')),
            (5, entry(1, b'S')),
            (6, entry(7, b'S')),
            (7, entry(6, b'S')),
        ]);
        assert_eq!(below(&processes, Pid::from_raw(2)), [Pid::from_raw(4)]);
        assert_eq!(below(&processes, Pid::from_raw(6)).len(), 2);
    }
}
