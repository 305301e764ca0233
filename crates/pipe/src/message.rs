//! The words of the protocol: what is asked, answered and reported.
//!
//! Everything here is serialised, so it is a promise: fields are only ever added, with defaults. Unknown fields are
//! ignored and unknown kinds become `Unknown`.

mod start;

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::ProcessId;
use crate::limits::{DETAIL_CHARS_MAX, KEEP_BYTES_DEFAULT};

pub(crate) use start::Names;
pub use start::{GivenFile, StartAsk};

/// The protocols that an end speaks, both ends of the range included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolRange {
    /// The oldest.
    pub min: u16,
    /// The newest.
    pub max: u16,
}

impl ProtocolRange {
    /// The newest protocol that both ranges hold.
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

impl fmt::Display for ProtocolRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} to {}", self.min, self.max)
    }
}

/// The first frame of a guest; also, with nothing but its range read, the first of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocols that the sender speaks.
    pub protocol: ProtocolRange,
    /// The sender's version, for people.
    #[serde(default)]
    pub version: String,
    /// Chosen at random each time that the guest starts: another boot means that nothing of the last one runs.
    #[serde(default)]
    pub boot: String,
    /// The machine, for example `x86_64`.
    #[serde(default)]
    pub architecture: String,
}

/// What passes over the control stream after the hellos.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "control", rename_all = "snake_case")]
pub enum Control {
    /// The sender lives.
    Beat,
    /// A later protocol's word.
    #[serde(other)]
    Unknown,
}

/// The first frame of a stream that the host opens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// The stream is the control stream; the host's [`Hello`] follows.
    Control,
    /// Start a process; answered with [`Started`]. `stdin_bytes` raw bytes follow.
    Start {
        /// What to start.
        #[serde(flatten)]
        start: StartAsk,
        /// Records of the output follow the answer.
        #[serde(default)]
        attach: bool,
    },
    /// Send the output from an offset on; answered with `()`, then records.
    Attach {
        /// Whose output.
        id: ProcessId,
        /// The first offset wanted.
        from: u64,
    },
    /// Everything before `offset` is durable with the host.
    Acknowledge {
        /// Whose output.
        id: ProcessId,
        /// The first offset that is not durable.
        offset: u64,
    },
    /// The exit is durable with the host: forget the process.
    AcknowledgeExit {
        /// Which process.
        id: ProcessId,
    },
    /// Raw bytes for standard input follow, until the host ends its side; then the answer.
    Stdin {
        /// Whose input.
        id: ProcessId,
    },
    /// Close standard input.
    CloseStdin {
        /// Whose input.
        id: ProcessId,
    },
    /// The terminal has another size.
    Resize {
        /// Whose terminal.
        id: ProcessId,
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
    /// Send a signal to every process of the tree.
    Signal {
        /// Whose tree.
        id: ProcessId,
        /// Which signal.
        signal: Signal,
    },
    /// TERM to the tree, KILL after the grace; answered when nothing of it is left.
    End {
        /// Whose tree.
        id: ProcessId,
        /// Between TERM and KILL, in milliseconds.
        grace_ms: u64,
    },
    /// How many processes the tree has; answered with a number.
    Count {
        /// Whose tree.
        id: ProcessId,
    },
    /// What there is; answered with a number, that many [`Process`] frames follow.
    Processes,
    /// Connect to something inside; after the answer the stream is the connection.
    Dial {
        /// To what.
        target: Target,
    },
    /// Listen on a port of loopback and bring what connects there to the host, as outward connections to
    /// [`crate::limits::GATEWAY_TARGET`]. Asked again for the same port it is done already.
    WayOut {
        /// The port.
        port: u16,
    },
    /// Send [`Event`]s from now on.
    Events,
    /// What the sandbox uses; answered with [`Stats`].
    Stats,
    /// How much disk folders take, all together; answered with [`DiskUse`].
    DiskUse {
        /// Absolute paths, at most [`crate::limits::FOLDERS_MAX`].
        folders: Vec<String>,
    },
    /// End everything, then yourself.
    Finish,
    /// A later protocol's word.
    #[serde(other)]
    Unknown,
}

/// The first frame of a stream that the guest opens: something inside wants out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutwardAsk {
    /// Where to, as the program inside named it: `host:port` or the name of a route.
    pub target: String,
}

/// Standard input, as it stands in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stdin", rename_all = "snake_case")]
pub enum StdinAsk {
    /// Nothing.
    Null,
    /// That many raw bytes follow the frame; then the end.
    Bytes {
        /// How many.
        bytes: u64,
    },
    /// Open: bytes come by [`Ask::Stdin`].
    Open,
}

/// What a process's standard streams are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stdio", rename_all = "snake_case")]
pub enum Stdio {
    /// A terminal of this size.
    Pty {
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
    /// Pipes; standard output and error are one, in the order of writing.
    Pipes,
}

/// What of the output the guest keeps until it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "keep", rename_all = "snake_case")]
pub enum Keep {
    /// All; with `bytes_max` unacknowledged bytes the guest stops reading and the process waits.
    All {
        /// The bound, in bytes.
        bytes_max: u64,
    },
    /// The first and the last [`crate::limits::KEEP_END_BYTES`]; a gap between them is marked.
    Ends,
}

impl Default for Keep {
    fn default() -> Self {
        Self::All { bytes_max: KEEP_BYTES_DEFAULT }
    }
}

/// A signal that the host may send, by name: numbers differ between machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// SIGHUP.
    Hangup,
    /// SIGINT.
    Interrupt,
    /// SIGQUIT.
    Quit,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGWINCH.
    WindowChanged,
    /// SIGSTOP: the tree rests until [`Signal::Continue`].
    Stop,
    /// SIGCONT.
    Continue,
}

/// Something inside to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "target", rename_all = "snake_case")]
pub enum Target {
    /// A TCP port on `127.0.0.1`, else on `::1`.
    Port {
        /// Its number.
        port: u16,
    },
    /// A Unix socket.
    Socket {
        /// Its absolute path.
        path: String,
    },
}

/// How much disk some folders take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUse {
    /// Bytes as they are allocated; a file with several names counts once.
    pub bytes: u64,
    /// Whether all of it was seen: no folder was locked, and there was an end to the names.
    #[serde(default)]
    pub is_whole: bool,
}

/// A call's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// It was done.
    Done(T),
    /// It was not.
    Refused(Refusal),
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// The kind of reason.
    pub code: RefusalCode,
    /// The guest's words, for people. Hostile: cut and stripped of control characters by [`Refusal::tamed`].
    #[serde(default)]
    pub detail: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// The same, fit to be shown: at most [`DETAIL_CHARS_MAX`] characters, none of them a control character.
    #[must_use]
    pub fn tamed(self) -> Self {
        Self { code: self.code, detail: tame(&self.detail) }
    }
}

/// Text from a guest, fit for a log line: bounded, control characters and direction marks replaced.
pub(crate) fn tame(text: &str) -> String {
    text.chars()
        .take(DETAIL_CHARS_MAX)
        .map(|character| match character {
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => '\u{fffd}',
            character if character.is_control() => '\u{fffd}',
            character => character,
        })
        .collect()
}

/// The kind of reason for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The program does not exist, or its interpreter does not.
    ProgramNotFound,
    /// The program may not be executed.
    PermissionDenied,
    /// The program is no format that this machine executes.
    NotExecutable,
    /// The working directory does not exist or may not be entered.
    NoSuchDirectory,
    /// Arguments and environment are longer than the kernel takes.
    TooLong,
    /// The sandbox's limit of processes, or the guest's own, is reached.
    TooManyProcesses,
    /// Memory or another resource ran out.
    OutOfResources,
    /// The spool cannot be written.
    SpoolUnwritable,
    /// The id ran already, and its exit was acknowledged or belongs to an earlier boot.
    AlreadyEnded,
    /// There is no such process.
    UnknownProcess,
    /// The offset was never reached.
    BeyondEnd,
    /// The process has no open standard input.
    NoStdin,
    /// The process has no terminal.
    NoTerminal,
    /// Nothing listens there.
    NotListening,
    /// The bound of simultaneous ones is reached.
    TooMany,
    /// The question makes no sense.
    Invalid,
    /// The guest is ending.
    Finishing,
    /// The guest does not know the question.
    UnknownAsk,
    /// A later protocol's reason, or any other.
    #[serde(other)]
    Other,
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ProgramNotFound => "the program does not exist",
            Self::PermissionDenied => "permission denied",
            Self::NotExecutable => "not a program for this machine",
            Self::NoSuchDirectory => "the working directory cannot be entered",
            Self::TooLong => "arguments and environment are too long",
            Self::TooManyProcesses => "too many processes",
            Self::OutOfResources => "out of resources",
            Self::SpoolUnwritable => "the spool cannot be written",
            Self::AlreadyEnded => "this start has already run and ended",
            Self::UnknownProcess => "no such process",
            Self::BeyondEnd => "the output is not that long",
            Self::NoStdin => "the process takes no input",
            Self::NoTerminal => "the process has no terminal",
            Self::NotListening => "nothing listens there",
            Self::TooMany => "too many at once",
            Self::Invalid => "the question makes no sense",
            Self::Finishing => "the guest is ending",
            Self::UnknownAsk => "the guest does not know the question",
            Self::Other => "refused",
        })
    }
}

/// A start's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Whether this start made the process or found it.
    pub how: StartedHow,
}

/// Whether a start made the process or found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartedHow {
    /// The process was made.
    New,
    /// An earlier start with this id made it; nothing was run again.
    Existing,
}

/// A process that a guest keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its name.
    pub id: ProcessId,
    /// Whether it runs, and if not how it ended.
    pub state: ProcessState,
    /// The first offset that the host has not acknowledged.
    pub acknowledged: u64,
    /// The offset behind the last byte of output so far.
    pub end: u64,
}

/// Whether a process runs, and if not how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ProcessState {
    /// It runs.
    Running,
    /// It ended, and its exit is not acknowledged.
    Ended {
        /// How.
        status: ExitStatus,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ExitStatus {
    /// By itself.
    Exited {
        /// Its code.
        code: i32,
    },
    /// By a signal.
    Signaled {
        /// The kernel's number of it on the guest's machine.
        number: i32,
    },
    /// The guest ended it because its wall clock ran out.
    WallClock,
    /// The guest was told from outside to end, and ended it.
    GuestEnded,
    /// Something inside killed the shim that watched it; the guest ended what was left.
    Lost,
}

/// Whether the kernel killed something in the sandbox for want of memory while a process ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutOfMemory {
    /// The counters cannot be read.
    #[default]
    Unknown,
    /// It did not.
    No,
    /// It did: a hint, for the counter is the whole sandbox's.
    Happened,
}

/// Whether the kernel refused a new process in the sandbox, for there were too many, while a process ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutOfProcesses {
    /// The counters cannot be read.
    #[default]
    Unknown,
    /// It did not.
    No,
    /// It did: a hint, for the counter is the whole sandbox's.
    Happened,
}

/// How a process ended, with what it left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// How it ended.
    pub status: ExitStatus,
    /// The offset behind the last byte of its output.
    pub end: u64,
    /// From start to end, in milliseconds.
    #[serde(default)]
    pub ran_ms: u64,
    /// Whether memory ran out meanwhile.
    #[serde(default)]
    pub out_of_memory: OutOfMemory,
    /// Whether processes ran out meanwhile.
    #[serde(default)]
    pub out_of_processes: OutOfProcesses,
    /// What it wrote to the file that `BERTH_REPORT` names; at most [`crate::limits::REPORT_BYTES_MAX`] bytes.
    /// Travels in a record of its own.
    #[serde(skip)]
    pub report: Option<Vec<u8>>,
}

/// Something inside changed. Each event tells how it is, not how it became so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A process ended; its output and record are had by attaching.
    Ended {
        /// Which.
        id: ProcessId,
        /// How.
        status: ExitStatus,
    },
    /// These ports listen now, at most [`crate::limits::PORTS_MAX`].
    Ports {
        /// All of them, in order.
        ports: Vec<Port>,
    },
    /// A later protocol's event.
    #[serde(other)]
    Unknown,
}

/// A TCP port on which something inside listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Port {
    /// Its number.
    pub port: u16,
    /// The address that it is bound to.
    pub address: IpAddr,
}

/// What the sandbox uses, from its cgroup. `None`: the kernel does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Memory in use, in bytes.
    pub memory_bytes: Option<u64>,
    /// The limit of memory, in bytes.
    pub memory_bytes_max: Option<u64>,
    /// Processor time used since the sandbox started, in microseconds.
    pub cpu_us: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// The limit of processes and threads.
    pub processes_max: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ranges_agree_on_the_newest_protocol_of_both() {
        let range = |min, max| ProtocolRange { min, max };
        assert_eq!(range(1, 2).common(range(2, 3)), Some(2));
        assert_eq!(range(1, 4).common(range(2, 3)), Some(3));
        assert_eq!(range(1, 1).common(range(2, 3)), None);
        assert_eq!(range(4, 5).common(range(2, 3)), None);
    }

    #[test]
    fn unknown_words_and_fields_of_a_later_protocol_are_read() {
        let ask: Ask = serde_json::from_str(r#"{"ask":"dance","tempo":3}"#).unwrap();
        assert_eq!(ask, Ask::Unknown);
        let ask: Ask = serde_json::from_str(r#"{"ask":"stats","of":"all"}"#).unwrap();
        assert_eq!(ask, Ask::Stats);
        let code: RefusalCode = serde_json::from_str(r#""moon_in_wrong_phase""#).unwrap();
        assert_eq!(code, RefusalCode::Other);
    }

    #[test]
    fn a_refusal_is_shown_without_escapes_or_direction_marks() {
        let refusal = Refusal::new(RefusalCode::Other, format!("\x1b]0;x\x07\u{202e}{}", "a".repeat(9999))).tamed();
        assert_eq!(refusal.detail.chars().count(), DETAIL_CHARS_MAX);
        assert!(refusal.detail.starts_with("\u{fffd}]0;x\u{fffd}\u{fffd}a"), "{}", refusal.detail);
    }
}
