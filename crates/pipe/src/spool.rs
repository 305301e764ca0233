//! The files in which a guest keeps output, and how to read them from a dead container.
//!
//! ```text
//! <spool>/<process id, 32 hex digits>/
//!     start.json              a `StartNote`: written before the process starts
//!     output.<offset, 20 digits>   raw bytes of the output; the first of them stands at <offset>
//!     report                  what the process reported, raw, at most 64 KiB
//!     exit.json               an `ExitRecord`: written under another name, then renamed, after all output
//! ```
//!
//! A segment follows the one before without a gap, or the bytes between were dropped (acknowledged, or the middle of a
//! `Keep::Ends`). Bytes are in a segment before they are sent. No `exit.json`: the guest died with the process.
//!
//! A process inside has the guest's uid and may write here, so [`Recovery`] believes nothing: it takes names it
//! knows, regular files only, and no more than its bounds.

use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};

use crate::ProcessId;
use crate::limits::{FRAME_FROM_GUEST_BYTES_MAX, REPORT_BYTES_MAX};
use crate::message::ExitRecord;

/// Name of the note of a start.
pub const START_FILE: &str = "start.json";
/// Name of the exit record.
pub const EXIT_FILE: &str = "exit.json";
/// Name of the exit record while it is written.
pub const EXIT_FILE_UNFINISHED: &str = "exit.json.new";
/// Name of the report.
pub const REPORT_FILE: &str = "report";
const SEGMENT_PREFIX: &str = "output.";
const SEGMENT_DIGITS: usize = 20;

/// A process keeps at most this many segments, so a spool with more was not written by a guest.
const SEGMENTS_MAX: usize = 4096;
/// Processes of one spool that are recovered.
const RECOVERED_MAX: usize = 1024;

/// The name of the segment whose first byte stands at `offset`.
pub fn segment_name(offset: u64) -> String {
    format!("{SEGMENT_PREFIX}{offset:0SEGMENT_DIGITS$}")
}

/// The offset in a segment's name; `None` where it is no such name.
pub fn segment_offset(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(SEGMENT_PREFIX)?;
    let is_plain = digits.len() == SEGMENT_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| digits.parse().ok()).flatten()
}

/// What ran: noted before it starts, so that a dead container tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartNote {
    /// The program.
    pub program: String,
    /// The boot of the guest that started it.
    pub boot: String,
    /// When, in milliseconds since 1970 by the sandbox's clock.
    pub started_unix_ms: u64,
}

/// Why an entry of a spool was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Reading the entry failed.
    #[error("cannot read {name}")]
    Read {
        /// Which file, escaped.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The entry is longer, or there are more, than a guest writes.
    #[error("{name} is beyond the bound of {bound}")]
    TooMuch {
        /// Which file, escaped.
        name: String,
        /// The bound, in bytes or entries.
        bound: u64,
    },
    /// The entry is not what its name says.
    #[error("{name} is malformed")]
    Malformed {
        /// Which file, escaped.
        name: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
}

/// Collects a spool file by file, for example from a tar of the volume, and tells what it holds.
#[derive(Debug)]
pub struct Recovery {
    bytes_left: u64,
    bytes_max: u64,
    processes: BTreeMap<ProcessId, Recovered>,
}

/// What a spool holds of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// What was started; `None` where the note is lost.
    pub start: Option<StartNote>,
    /// How it ended; `None` where the guest died with it.
    pub exit: Option<ExitRecord>,
    report: Option<Vec<u8>>,
    /// By offset. Invariant: no two overlap after [`Recovery::finish`].
    segments: BTreeMap<u64, Vec<u8>>,
}

/// A piece of a recovered output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes and where they stand.
    Bytes {
        /// Where the first of them stands.
        offset: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Bytes that the spool does not have.
    Gap {
        /// The first of them.
        from: u64,
        /// The first that it has again.
        to: u64,
    },
}

impl Recovery {
    /// Takes at most `bytes_max` bytes of output in all.
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_left: bytes_max, bytes_max, processes: BTreeMap::new() }
    }

    /// Takes one regular file. `path` is relative to the spool, or has it as its first folders (as in a tar of
    /// `/berth/run`): its last two parts count. Names that are not a guest's are passed over.
    ///
    /// # Errors
    /// [`SpoolError`] for this entry; the others can still be added.
    pub fn add(&mut self, path: &str, content: impl Read) -> Result<(), SpoolError> {
        let mut parts = path.rsplit('/');
        let (Some(name), Some(folder)) = (parts.next(), parts.next()) else { return Ok(()) };
        let Ok(id) = folder.parse::<ProcessId>() else { return Ok(()) };
        let segment = segment_offset(name);
        if segment.is_none() && ![START_FILE, EXIT_FILE, REPORT_FILE].contains(&name) {
            return Ok(());
        }
        if !self.processes.contains_key(&id) && self.processes.len() >= RECOVERED_MAX {
            return Err(SpoolError::TooMuch { name: path.escape_default().to_string(), bound: RECOVERED_MAX as u64 });
        }
        let process = self.processes.entry(id).or_default();
        match (segment, name) {
            (Some(_), _) if process.segments.len() >= SEGMENTS_MAX => {
                Err(SpoolError::TooMuch { name: path.escape_default().to_string(), bound: SEGMENTS_MAX as u64 })
            }
            (Some(offset), _) => {
                let bytes = read_at_most(path, content, self.bytes_left).map_err(|error| match error {
                    SpoolError::TooMuch { name, .. } => SpoolError::TooMuch { name, bound: self.bytes_max },
                    error @ (SpoolError::Read { .. } | SpoolError::Malformed { .. }) => error,
                })?;
                self.bytes_left -= bytes.len() as u64;
                process.segments.insert(offset, bytes);
                Ok(())
            }
            (None, START_FILE) => {
                process.start = Some(parse(path, content)?);
                Ok(())
            }
            (None, EXIT_FILE) => {
                process.exit = Some(parse(path, content)?);
                Ok(())
            }
            (None, _) => {
                process.report = Some(read_at_most(path, content, REPORT_BYTES_MAX as u64)?);
                Ok(())
            }
        }
    }

    /// What was found, made consistent: overlapping segments are cut, and a report belongs to an exit.
    pub fn finish(self) -> BTreeMap<ProcessId, Recovered> {
        let mut processes = self.processes;
        for process in processes.values_mut() {
            process.make_consistent();
        }
        processes
    }
}

impl Recovered {
    /// The output from `from` on, in order, gaps told.
    pub fn output(&self, from: u64) -> impl Iterator<Item = Piece<'_>> {
        let mut next = from;
        self.segments.iter().flat_map(move |(&start, bytes)| {
            let skipped = next.saturating_sub(start);
            let kept = usize::try_from(skipped).ok().and_then(|skipped| bytes.get(skipped..)).unwrap_or_default();
            if kept.is_empty() {
                return [None, None].into_iter().flatten();
            }
            let offset = start.max(next);
            let gap = (offset > next).then_some(Piece::Gap { from: next, to: offset });
            next = offset + kept.len() as u64;
            [gap, Some(Piece::Bytes { offset, bytes: kept })].into_iter().flatten()
        })
    }

    /// The offset behind the last byte that the spool has.
    pub fn end(&self) -> u64 {
        self.segments.last_key_value().map_or(0, |(start, bytes)| start + bytes.len() as u64)
    }

    fn make_consistent(&mut self) {
        let mut end = 0_u64;
        self.segments.retain(|&start, bytes| {
            let Some(segment_end) = start.checked_add(bytes.len() as u64) else { return false };
            let is_sound = start >= end && !bytes.is_empty();
            if is_sound {
                end = segment_end;
            }
            is_sound
        });
        if let Some(exit) = &mut self.exit {
            exit.report = self.report.take();
        }
    }
}

fn parse<M: for<'de> Deserialize<'de>>(path: &str, content: impl Read) -> Result<M, SpoolError> {
    let bytes = read_at_most(path, content, FRAME_FROM_GUEST_BYTES_MAX as u64)?;
    serde_json::from_slice(&bytes)
        .map_err(|source| SpoolError::Malformed { name: path.escape_default().to_string(), source })
}

fn read_at_most(path: &str, content: impl Read, bytes_max: u64) -> Result<Vec<u8>, SpoolError> {
    let name = || path.escape_default().to_string();
    let mut bytes = Vec::new();
    content
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| SpoolError::Read { name: name(), source })?;
    if bytes.len() as u64 > bytes_max {
        return Err(SpoolError::TooMuch { name: name(), bound: bytes_max });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "000000000000000000000000000000ff";

    fn only(recovery: Recovery) -> Recovered {
        recovery.finish().into_values().next().unwrap()
    }

    #[test]
    fn a_spool_reads_back_with_its_gap() {
        let mut recovery = Recovery::new(100);
        recovery.add(&format!("run/{ID}/{}", segment_name(10)), &b"later"[..]).unwrap();
        recovery.add(&format!("run/{ID}/{}", segment_name(0)), &b"first"[..]).unwrap();
        recovery
            .add(&format!("{ID}/{EXIT_FILE}"), &br#"{"status":{"status":"exited","code":2},"end":15}"#[..])
            .unwrap();
        recovery.add(&format!("{ID}/{REPORT_FILE}"), &b"r"[..]).unwrap();
        let process = only(recovery);
        let pieces: Vec<_> = process.output(2).collect();
        assert_eq!(
            pieces,
            [
                Piece::Bytes { offset: 2, bytes: b"rst" },
                Piece::Gap { from: 5, to: 10 },
                Piece::Bytes { offset: 10, bytes: b"later" },
            ]
        );
        assert_eq!(process.end(), 15);
        assert_eq!(process.exit.unwrap().report.as_deref(), Some(&b"r"[..]));
    }

    #[test]
    fn names_that_are_not_a_guests_are_passed_over() {
        let mut recovery = Recovery::new(100);
        for path in ["x", "..", "../output.0", &format!("{ID}/../../etc/passwd"), &format!("{ID}/output.-1"), ""] {
            recovery.add(path, &b"x"[..]).unwrap();
        }
        assert!(recovery.finish().is_empty());
    }

    #[test]
    fn output_beyond_the_bound_is_refused() {
        let mut recovery = Recovery::new(3);
        let error = recovery.add(&format!("{ID}/{}", segment_name(0)), std::io::repeat(0)).unwrap_err();
        assert!(matches!(error, SpoolError::TooMuch { bound: 3, .. }), "{error}");
    }

    #[test]
    fn an_endless_exit_record_is_refused() {
        let mut recovery = Recovery::new(3);
        let error = recovery.add(&format!("{ID}/{EXIT_FILE}"), std::io::repeat(b'{')).unwrap_err();
        assert!(matches!(error, SpoolError::TooMuch { .. }), "{error}");
    }

    #[test]
    fn overlapping_segments_and_offsets_at_the_end_of_numbers_do_no_harm() {
        let mut recovery = Recovery::new(100);
        for (offset, bytes) in [(0, &b"abc"[..]), (1, b"xx"), (3, b""), (u64::MAX, b"zz")] {
            recovery.add(&format!("{ID}/{}", segment_name(offset)), bytes).unwrap();
        }
        let process = only(recovery);
        assert_eq!(process.output(0).collect::<Vec<_>>(), [Piece::Bytes { offset: 0, bytes: b"abc" }]);
        assert_eq!(process.output(u64::MAX).count(), 0);
    }
}
