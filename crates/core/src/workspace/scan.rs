//! A look at everything in a workspace: what is new, changed or deleted since the step began.
//!
//! The scan is the truth; events of the watcher only say when it is worth another. It is bounded in what it lists, in
//! what it walks and in what it hashes. Hashes are kept between scans:
//!
//! ```text
//! a file as it was at the last scan ──► hashed since it came to rest? ──► take that hash
//!            │ other size, times, inode        │ no
//!            ▼                                 ▼
//!  small, or the step has ended? ──► hash it now, once more at the next scan, then it is settled
//!            │ no
//!            ▼
//!  wait for the next scan: it is still being written
//! ```
//! The second look is needed since a write within the same tick of the file system's clock changes no time stamp.

use std::{
    collections::HashMap,
    io,
    time::{Duration, Instant},
};

use bytesize::ByteSize;
use jiff::Timestamp;
use rustix::fs::{FileType, Stat};
use wire::view::{ResultChange, ResultView};

use super::{
    baseline::{Baseline, Comparison, Kind, Was},
    beneath::{Folder, link_target_at, regular_file_at, stat_at},
    digest::{Digest, DigestError, digest, media_type},
    path::{BeneathPath, key},
    stoppable::{StopSign, Stopped},
    walk::{Next, Sight, SightKind, WalkEnd, WalkError, is_exhausted, is_gone, walk},
};
use crate::escape::visible;

/// Files listed at most; more are counted as left out.
pub(crate) const LISTED_MAX: usize = 10_000;

/// Bytes of all listed paths together at most; files past it are left out.
pub(crate) const LISTED_PATHS_BYTES_MAX: usize = 8 << 20;

/// The largest file that is hashed, by its apparent size.
pub(crate) const HASHED_FILE_BYTES_MAX: u64 = 8 << 30;

/// Files up to this size are hashed at first sight; larger ones once they have stayed the same between two scans.
const HASHED_AT_ONCE_BYTES_MAX: u64 = 8 << 20;

/// The largest file that is hashed while the step is live.
const HASHED_LIVE_FILE_BYTES_MAX: u64 = 1 << 30;

/// A live scan begins no other file after hashing this much.
const HASHED_LIVE_BYTES: u64 = 64 << 20;

/// A final scan begins no other file after hashing this much.
const HASHED_FINAL_BYTES: u64 = 8 << 30;

/// A rest is this many times as long as the scan before it.
const REST_FACTOR: u32 = 4;

/// The longest rest.
const REST_MAX: Duration = Duration::from_mins(1);

/// How thorough a scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thoroughness {
    /// While the step is live: little hashing at a time, and of files that keep changing none.
    Live,
    /// The step has ended and nothing writes any more: everything is hashed that may be.
    Final,
}

/// What a scan found.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    /// What differs from the baseline, by path.
    pub(crate) results: Vec<ResultView>,
    /// Files that were left out because there are too many, or too deep down. At least that many, where they are more
    /// than [`super::walk::WALK_NAMES_MAX`].
    pub(crate) left_out: u64,
    /// Files whose hash comes with one of the next live scans; those that wait for the final one are not counted.
    pub(crate) pending: u64,
    /// How long to wait before the next live scan, so that scanning takes at most a fifth of a core.
    pub(crate) rest: Duration,
}

/// Why a scan failed; nothing is known then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    /// The folder cannot be read, or descriptors have run out.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// Nobody waits any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What was learnt of files in the scans before.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// By path; only what the last scan listed.
    files: HashMap<Box<[u8]>, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    stamp: Stamp,
    digest: Option<Digest>,
    /// The digest was computed when the file had been at rest since the scan before.
    is_settled: bool,
}

/// Two equal stamps of a path mean the same content, unless it was written again within a tick of the clock. `ctime`
/// cannot be set by a program, so that the sandbox cannot hide a change by turning `mtime` back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        let nanoseconds = |seconds: i128, rest: i128| seconds * 1_000_000_000 + rest;
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: nanoseconds(i128::from(stat.st_mtime), i128::from(stat.st_mtime_nsec)),
            changed_ns: nanoseconds(i128::from(stat.st_ctime), i128::from(stat.st_ctime_nsec)),
        }
    }
}

/// What is known of a file's content.
enum Content {
    Hashed(Digest),
    Pending,
    /// Nothing will be known, for this reason.
    Unknown(String),
    /// A link's target, hashed.
    Target {
        sha256: String,
        reason: String,
    },
}

struct Found {
    path: Box<[u8]>,
    kind: Kind,
    size_bytes: u64,
    modified_ns: i128,
    content: Content,
}

struct Scanner<'scan> {
    stop_sign: &'scan StopSign,
    thoroughness: Thoroughness,
    known_before: HashMap<Box<[u8]>, Known>,
    known_now: HashMap<Box<[u8]>, Known>,
    found: Vec<Found>,
    paths_bytes: usize,
    hashed_bytes: u64,
    left_out: u64,
}

/// Looks at everything beneath `root` and compares it with `baseline`.
pub(crate) fn scan(
    root: &Folder,
    memory: &mut Memory,
    baseline: &Baseline,
    thoroughness: Thoroughness,
    stop_sign: &StopSign,
) -> Result<Scan, ScanError> {
    let began = Instant::now();
    let (found, left_out) = look(root, memory, thoroughness, stop_sign)?;
    let mut results = Vec::new();
    let mut pending = 0;
    let mut keys_seen = std::collections::HashSet::with_capacity(found.len());
    for found in found {
        let key = key(&found.path);
        pending +=
            u64::from(matches!(found.content, Content::Pending) && found.size_bytes <= HASHED_LIVE_FILE_BYTES_MAX);
        let comparison = match (baseline.compare(&key, &found.as_was()), thoroughness) {
            (Comparison::Undecided, Thoroughness::Live) if matches!(found.content, Content::Pending) => {
                Comparison::Same
            }
            (Comparison::Undecided, Thoroughness::Live | Thoroughness::Final) => {
                let is_same =
                    baseline.files.get(&key).is_some_and(|was| was.modified_ns == saturate(found.modified_ns));
                if is_same { Comparison::Same } else { Comparison::Different(ResultChange::Changed) }
            }
            (decided, _) => decided,
        };
        if let Comparison::Different(change) = comparison {
            results.push(found.into_view(key.clone(), change, thoroughness));
        }
        keys_seen.insert(key);
    }
    for key in baseline.files.keys().filter(|key| !keys_seen.contains(*key)) {
        stop_sign.check()?;
        // It may be there and only have been left out.
        if is_deleted(root, key)? {
            results.push(deleted_view(key.clone(), thoroughness));
        }
    }
    results.sort_by(|left, right| left.key.cmp(&right.key));
    let rest = (began.elapsed() * REST_FACTOR).min(REST_MAX);
    Ok(Scan { results, left_out, pending, rest })
}

/// Notes what is beneath `root` now.
pub(crate) fn baseline(root: &Folder, memory: &mut Memory, stop_sign: &StopSign) -> Result<Baseline, ScanError> {
    let (found, _left_out) = look(root, memory, Thoroughness::Final, stop_sign)?;
    Ok(Baseline { files: found.iter().map(|found| (key(&found.path), found.as_was())).collect() })
}

fn look(
    root: &Folder,
    memory: &mut Memory,
    thoroughness: Thoroughness,
    stop_sign: &StopSign,
) -> Result<(Vec<Found>, u64), ScanError> {
    let mut scanner = Scanner {
        stop_sign,
        thoroughness,
        known_before: std::mem::take(&mut memory.files),
        known_now: HashMap::new(),
        found: Vec::new(),
        paths_bytes: 0,
        hashed_bytes: 0,
        left_out: 0,
    };
    let end = walk(root, stop_sign, |sight| scanner.visit(&sight))?;
    if end == WalkEnd::Cut {
        scanner.left_out += 1;
    }
    memory.files = scanner.known_now;
    Ok((scanner.found, scanner.left_out))
}

impl Scanner<'_> {
    fn visit(&mut self, sight: &Sight<'_>) -> Result<Next, ScanError> {
        match &sight.kind {
            SightKind::Folder => {}
            SightKind::TooFar => self.left_out += 1,
            SightKind::Entry | SightKind::Closed(_) if self.is_full(sight.path) => self.left_out += 1,
            SightKind::Entry => self.visit_entry(sight)?,
            SightKind::Closed(error) => {
                let content = Content::Unknown(format!("a folder that cannot be entered: {}", reason(error)));
                self.note(sight, Kind::ClosedFolder, None, content);
            }
        }
        Ok(Next::On)
    }

    fn is_full(&self, path: &[u8]) -> bool {
        self.found.len() >= LISTED_MAX || self.paths_bytes + path.len() > LISTED_PATHS_BYTES_MAX
    }

    fn note(&mut self, sight: &Sight<'_>, kind: Kind, stamp: Option<Stamp>, content: Content) {
        self.paths_bytes += sight.path.len();
        self.found.push(Found {
            path: sight.path.into(),
            kind,
            size_bytes: stamp.map_or(0, |stamp| stamp.size_bytes),
            modified_ns: stamp.map_or(0, |stamp| stamp.modified_ns),
            content,
        });
    }

    fn visit_entry(&mut self, sight: &Sight<'_>) -> Result<(), ScanError> {
        self.stop_sign.check()?;
        let stat = match stat_at(sight.folder, sight.name) {
            Ok(stat) => stat,
            Err(error) if is_exhausted(&error) => return Err(WalkError::from(error).into()),
            Err(_) => return Ok(()),
        };
        let stamp = Stamp::of(&stat);
        match kind_of(FileType::from_raw_mode(stat.st_mode)) {
            // It became a folder after its name was read; the next scan enters it.
            None => {}
            Some(Kind::File) => self.visit_file(sight, stamp)?,
            Some(Kind::Link) => {
                if let Ok(target) = link_target_at(sight.folder, sight.name) {
                    let target = target.to_bytes();
                    let content = Content::Target {
                        sha256: hex::encode(<sha2::Sha256 as sha2::Digest>::digest(target)),
                        reason: format!("a link to {}; links are not followed", visible(target)),
                    };
                    self.note(sight, Kind::Link, Some(stamp), content);
                }
            }
            Some(kind) => self.note(sight, kind, Some(stamp), Content::Unknown(describe(kind).to_owned())),
        }
        Ok(())
    }

    fn visit_file(&mut self, sight: &Sight<'_>, stamp: Stamp) -> Result<(), ScanError> {
        if stamp.size_bytes > HASHED_FILE_BYTES_MAX {
            let reason = format!(
                "too large to hash and show: {}, and the bound is {}",
                ByteSize(stamp.size_bytes).display().iec(),
                ByteSize(HASHED_FILE_BYTES_MAX).display().iec(),
            );
            self.note(sight, Kind::File, Some(stamp), Content::Unknown(reason));
            return Ok(());
        }
        let before = self.known_before.remove(sight.path).filter(|known| known.stamp == stamp);
        if let Some(known) = before.as_ref().filter(|known| known.is_settled)
            && let Some(digest) = known.digest.clone()
        {
            self.note(sight, Kind::File, Some(stamp), Content::Hashed(digest));
            self.known_now.insert(sight.path.into(), before.expect("invariant: it was just looked at"));
            return Ok(());
        }
        let is_at_rest = before.is_some();
        let is_due = match self.thoroughness {
            Thoroughness::Live => {
                self.hashed_bytes < HASHED_LIVE_BYTES
                    && stamp.size_bytes <= HASHED_LIVE_FILE_BYTES_MAX
                    && (is_at_rest || stamp.size_bytes <= HASHED_AT_ONCE_BYTES_MAX)
            }
            Thoroughness::Final => self.hashed_bytes < HASHED_FINAL_BYTES,
        };
        if !is_due {
            let digest = before.and_then(|known| known.digest);
            let content = match (&digest, self.thoroughness) {
                (Some(digest), Thoroughness::Live | Thoroughness::Final) => Content::Hashed(digest.clone()),
                (None, Thoroughness::Live) => Content::Pending,
                (None, Thoroughness::Final) => Content::Unknown(format!(
                    "not hashed: the files together are larger than {}",
                    ByteSize(HASHED_FINAL_BYTES).display().iec()
                )),
            };
            self.note(sight, Kind::File, Some(stamp), content);
            self.known_now.insert(sight.path.into(), Known { stamp, digest, is_settled: false });
            return Ok(());
        }
        self.hash(sight, is_at_rest)
    }

    fn hash(&mut self, sight: &Sight<'_>, is_at_rest: bool) -> Result<(), ScanError> {
        let (file, stat) = match regular_file_at(sight.folder, sight.name) {
            Ok(Ok(opened)) => opened,
            // It was a regular file a moment ago; what it is now is not followed, and the next scan tells.
            Ok(Err(_)) => return Ok(()),
            Err(error) if is_exhausted(&error) => return Err(WalkError::from(error).into()),
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => {
                let stamp = stat_at(sight.folder, sight.name).ok().map(|stat| Stamp::of(&stat));
                self.note(sight, Kind::File, stamp, Content::Unknown(reason(&error)));
                return Ok(());
            }
        };
        let stamp = Stamp::of(&stat);
        let size_bytes = stamp.size_bytes.min(HASHED_FILE_BYTES_MAX);
        let digest = match digest(&file, sight.name.to_bytes(), size_bytes, self.stop_sign) {
            Ok(digest) => digest,
            Err(DigestError::Stopped(stopped)) => return Err(stopped.into()),
            Err(DigestError::Io(error)) => {
                self.note(sight, Kind::File, Some(stamp), Content::Unknown(reason(&error)));
                return Ok(());
            }
        };
        self.hashed_bytes += digest.size_bytes;
        let stamp_after = rustix::fs::fstat(&file).map(|stat| Stamp::of(&stat)).ok();
        let is_whole = stamp_after == Some(stamp) && digest.size_bytes == stamp.size_bytes;
        let (content, digest) = match (is_whole, self.thoroughness) {
            (true, Thoroughness::Live | Thoroughness::Final) => (Content::Hashed(digest.clone()), Some(digest)),
            (false, Thoroughness::Live) => (Content::Pending, None),
            (false, Thoroughness::Final) => (Content::Unknown("it changed while it was read".to_owned()), None),
        };
        self.note(sight, Kind::File, Some(stamp), content);
        self.known_now.insert(sight.path.into(), Known { stamp, is_settled: is_at_rest && digest.is_some(), digest });
        Ok(())
    }
}

impl Found {
    fn as_was(&self) -> Was {
        let sha256 = match &self.content {
            Content::Hashed(digest) => Some(hex::encode(digest.sha256)),
            Content::Target { sha256, .. } => Some(sha256.clone()),
            Content::Pending | Content::Unknown(_) => None,
        };
        Was { kind: self.kind, size_bytes: self.size_bytes, modified_ns: saturate(self.modified_ns), sha256 }
    }

    fn into_view(self, key: String, change: ResultChange, thoroughness: Thoroughness) -> ResultView {
        let (sha256, media_type, unreadable) = match self.content {
            Content::Hashed(digest) => (Some(hex::encode(digest.sha256)), digest.media_type, None),
            Content::Pending => (None, media_type(&self.path, None), None),
            Content::Unknown(reason) | Content::Target { reason, .. } => {
                let media_type = match self.kind {
                    Kind::File => media_type(&self.path, None),
                    Kind::Link => "inode/symlink".to_owned(),
                    Kind::Fifo => "inode/fifo".to_owned(),
                    Kind::Socket => "inode/socket".to_owned(),
                    Kind::Device => "inode/chardevice".to_owned(),
                    Kind::ClosedFolder => "inode/directory".to_owned(),
                    Kind::Unknown => "application/octet-stream".to_owned(),
                };
                (None, media_type, Some(reason))
            }
        };
        ResultView {
            path: visible(&self.path),
            key,
            change,
            size_bytes: if self.kind == Kind::File { self.size_bytes } else { 0 },
            sha256,
            media_type,
            modified_at: Timestamp::from_nanosecond(self.modified_ns).ok(),
            is_final: thoroughness == Thoroughness::Final,
            unreadable,
        }
    }
}

fn deleted_view(key: String, thoroughness: Thoroughness) -> ResultView {
    let path: Vec<u8> = percent_encoding::percent_decode_str(&key).collect();
    ResultView {
        path: visible(&path),
        media_type: media_type(&path, None),
        key,
        change: ResultChange::Deleted,
        size_bytes: 0,
        sha256: None,
        modified_at: None,
        is_final: thoroughness == Thoroughness::Final,
        unreadable: None,
    }
}

fn is_deleted(root: &Folder, key: &str) -> Result<bool, ScanError> {
    let Ok(path) = BeneathPath::parse_key(key) else {
        return Ok(false);
    };
    match root.parent_of(&path).and_then(|(folder, name)| folder.stat(name)) {
        // A folder in a file's place is entered by the walk; the file is gone.
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        Err(error) if is_gone(&error) => Ok(true),
        Err(error) if is_exhausted(&error) => Err(WalkError::from(error).into()),
        Err(_) => Ok(false),
    }
}

/// `None` for a folder.
fn kind_of(file_type: FileType) -> Option<Kind> {
    match file_type {
        FileType::Directory => None,
        FileType::RegularFile => Some(Kind::File),
        FileType::Symlink => Some(Kind::Link),
        FileType::Fifo => Some(Kind::Fifo),
        FileType::Socket => Some(Kind::Socket),
        FileType::CharacterDevice | FileType::BlockDevice => Some(Kind::Device),
        FileType::Unknown => Some(Kind::Unknown),
    }
}

fn describe(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "a file",
        Kind::Link => "a link; links are not followed",
        Kind::Fifo => "a FIFO (named pipe); it is not opened",
        Kind::Socket => "a socket; it is not opened",
        Kind::Device => "a device; it is not opened",
        Kind::ClosedFolder => "a folder that cannot be entered",
        Kind::Unknown => "neither a file nor anything else that is known",
    }
}

fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        "no permission to read it".to_owned()
    } else {
        error.to_string()
    }
}

fn saturate(nanoseconds: i128) -> i64 {
    i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
}
