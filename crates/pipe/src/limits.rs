//! Every bound of the pipe, named. Both ends keep them; the host also enforces them on the guest.

use std::time::Duration;

/// The protocols that this build speaks: the current one and the one before.
pub const PROTOCOL: crate::message::ProtocolRange = crate::message::ProtocolRange { min: 1, max: 2 };
/// The first protocol in which a start brings files.
pub const FILES_PROTOCOL: u16 = 2;

/// Longest JSON frame that a guest may send, in bytes.
pub const FRAME_FROM_GUEST_BYTES_MAX: usize = 64 * 1024;
/// Longest JSON frame that a host may send, in bytes: argv and environment of a start.
pub const FRAME_FROM_HOST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest frame on the control stream after the hellos, in bytes.
pub const CONTROL_BYTES_MAX: usize = 1024;

/// How often either end sends a beat. Each wakes both ends and the engine between them: of what many quiet sandboxes cost it is most.
pub const BEAT_INTERVAL: Duration = Duration::from_secs(10);
/// With nothing at all received for this long, the connection is lost.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Longest wait for the other end's first frame.
pub const HELLO_WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest wait for the answer of a call that does not wait for a process.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// Longest wait for an orderly close of the connection.
pub const CLOSE_WAIT_MAX: Duration = Duration::from_secs(2);

/// yamux ends the whole connection at this many streams, so both ends stay below it by bounds of their own.
pub const STREAMS_MAX: usize = 1024;
/// Sum of all receive windows of a connection, in bytes. yamux sets 256 KiB aside for each stream that there may be; what is beyond
/// that it gives to those on which more than a window is under way at once. Without it no stream ever got more than 256 KiB.
pub const WINDOW_BYTES_MAX: usize = (256 + 64) * 1024 * 1024;
/// Payload of one yamux data frame, in bytes. 128 KiB moved 300 MB/s where yamux's 16 KiB moved 170. A little less, since musl maps
/// and unmaps whatever is longer for each frame.
pub const SPLIT_BYTES: usize = 127 * 1024;
/// What is written at once where it can be: a frame with its header.
pub const WRITE_BUFFER_BYTES: usize = SPLIT_BYTES + 64;
/// Streams that the host has open at once. With yamux's backlog of 256 unacknowledged ones and the guest's own 256
/// this stays below [`STREAMS_MAX`].
pub const HOST_STREAMS_MAX: usize = 480;
/// Outward connections that a guest has open or holds at once; further ones are refused inside.
pub const OUTWARD_MAX: usize = 256;
/// Outward connections that wait for the host's consumer.
pub const OUTWARD_QUEUE_MAX: usize = 64;
/// How long a guest holds an outward connection while no host is connected.
pub const OUTWARD_HOLD: Duration = Duration::from_mins(10);
/// The target of what comes in by the guest's own port ([`crate::message::Ask::WayOut`]): whoever decides what it may.
pub const GATEWAY_TARGET: &str = "gateway";
/// Longest name of an outward target, in bytes.
pub const OUTWARD_TARGET_BYTES_MAX: usize = 1024;

/// Wire frames smaller than this count against [`TINY_FRAMES_BURST`]: each costs the receiver more than it carries.
pub const TINY_FRAME_BYTES: u32 = 64;
/// Tiny frames that a peer may send in one go.
pub const TINY_FRAMES_BURST: u32 = 524_288;
/// Tiny frames per second that a peer may send for ever. Dialled connections that play ping-pong with single bytes stay
/// well below it, and outputs are gathered ([`GATHER_WAIT`]).
pub const TINY_FRAMES_PER_SECOND: u32 = 131_072;
/// Tiny frames that may lie unread on all streams of a connection: each costs some 60 bytes beyond what it carries. One stream's
/// window full of single bytes has room.
pub const TINY_FRAMES_UNREAD_MAX: u32 = 262_144;
/// Streams that a guest may open in one go.
pub const OPENS_BURST: u32 = 1_024;
/// Streams per second that a guest may open for ever.
pub const OPENS_PER_SECOND: u32 = 512;

/// Standard input that may come with a start, in bytes.
pub const STDIN_BYTES_MAX: usize = 1024 * 1024;
/// Payload of one data record of an output, in bytes: what a host takes. A guest sends at most [`RECORD_BYTES_SENT_MAX`].
pub const RECORD_BYTES_MAX: usize = 128 * 1024;
/// Payload of a data record that travels in one frame, in bytes.
pub const RECORD_BYTES_SENT_MAX: usize = SPLIT_BYTES - crate::record::HEAD_BYTES;
/// A piece of output smaller than this, in bytes, waits for more if another was sent just before.
pub const GATHER_BYTES: usize = 4 * 1024;
/// How soon is just before: the first piece after a pause goes at once.
pub const GATHER_WAIT: Duration = Duration::from_millis(1);
/// A process's report, in bytes; what is longer is cut.
pub const REPORT_BYTES_MAX: usize = 64 * 1024;
/// Free text in a guest's answer, in characters; what is longer is cut.
pub const DETAIL_CHARS_MAX: usize = 512;
/// Processes (running, or ended and not acknowledged) that a guest keeps.
pub const PROCESSES_MAX: usize = 256;
/// Ports that a guest names in one event.
pub const PORTS_MAX: usize = 512;
/// Unacknowledged output of a process with `Keep::All`, in bytes, unless the start says otherwise.
pub const KEEP_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// First and last bytes that `Keep::Ends` keeps, each.
pub const KEEP_END_BYTES: u64 = 1024 * 1024;

/// Folders in one question for the use of disk.
pub const FOLDERS_MAX: usize = 16;

/// Files that a start may bring.
pub const FILES_MAX: usize = 32;
/// Longest name of such a file, in bytes.
pub const FILE_NAME_BYTES_MAX: usize = 100;
