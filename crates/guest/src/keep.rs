//! Keeps one process's output in the spool: `pipe::spool` says how the files look.
//!
//! All file work is plain and at once: the guest has no second thread, and what it writes goes to the page cache.
//! Bytes are written before anyone is sent them.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use pipe::limits::{KEEP_END_BYTES, RECORD_BYTES_SENT_MAX};
use pipe::message::{ExitRecord, Keep};
use pipe::record::DataRecord;
use pipe::spool::{EXIT_FILE, EXIT_FILE_UNFINISHED, REPORT_FILE, START_FILE, StartNote, segment_name};
use pipe::{ProcessId, spool};

/// A segment of an output that is kept whole. It is dropped when all of it is acknowledged.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// A segment of an output of which the ends are kept: small, so that little more than the ends stays.
const SEGMENT_BYTES_OF_ENDS: u64 = 256 * 1024;

/// The kept output of one process.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
    keep: Keep,
    /// In order. Invariant: only the last may be written to; `end` is the end of the last.
    segments: VecDeque<Segment>,
    current: Option<File>,
    acknowledged: u64,
    end: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    offset: u64,
    length: u64,
}

impl Segment {
    fn end(self) -> u64 {
        self.offset + self.length
    }
}

/// What stands at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// So many bytes, which the record has.
    Bytes(usize),
    /// Nothing until this offset.
    Gap(u64),
    /// Nothing yet.
    End,
}

impl Kept {
    /// Makes the folder and notes what starts.
    ///
    /// # Errors
    /// `AlreadyExists` where the id ran before, in this boot or another; else what the file system says.
    pub(crate) fn create(root: &Path, id: ProcessId, keep: Keep, note: &StartNote) -> io::Result<Self> {
        let folder = root.join(id.to_string());
        fs::create_dir(&folder)?;
        let kept = Self { folder, keep, segments: VecDeque::new(), current: None, acknowledged: 0, end: 0 };
        match serde_json::to_vec(note).map_err(io::Error::from).and_then(|note| kept.write_file(START_FILE, &note)) {
            Ok(()) => Ok(kept),
            Err(error) => {
                kept.remove();
                Err(error)
            }
        }
    }

    /// The offset behind the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The first offset that is not acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How many more bytes may be read from the process.
    pub(crate) fn room(&self) -> u64 {
        match self.keep {
            Keep::All { bytes_max } => bytes_max.saturating_sub(self.end - self.acknowledged),
            Keep::Ends => u64::MAX,
        }
    }

    /// Appends all of `bytes`, or nothing of them.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let segment_bytes = match self.keep {
            Keep::All { .. } => SEGMENT_BYTES,
            Keep::Ends => SEGMENT_BYTES_OF_ENDS,
        };
        let is_full = self.segments.back().is_none_or(|segment| segment.length >= segment_bytes);
        if is_full || self.current.is_none() {
            self.current = Some(self.create_file(&segment_name(self.end))?);
            self.segments.push_back(Segment { offset: self.end, length: 0 });
        }
        let (Some(file), Some(segment)) = (&self.current, self.segments.back_mut()) else { return Ok(()) };
        if let Err(error) = file.write_all_at(bytes, segment.length) {
            // A part may stand there; the next append writes over it, and so that nobody else reads it, it is cut.
            drop(file.set_len(segment.length));
            return Err(error);
        }
        segment.length += bytes.len() as u64;
        self.end += bytes.len() as u64;
        self.drop_middle();
        Ok(())
    }

    /// Takes note that all before `offset` is durable elsewhere, and drops it.
    ///
    /// # Errors
    /// `false` where the output is not that long.
    pub(crate) fn acknowledge(&mut self, offset: u64) -> bool {
        if offset > self.end {
            return false;
        }
        self.acknowledged = self.acknowledged.max(offset);
        // The last segment stays, for it is being written to.
        while self.segments.len() > 1 && self.segments.front().is_some_and(|front| front.end() <= self.acknowledged) {
            if let Some(segment) = self.segments.pop_front() {
                self.remove_segment(segment);
            }
        }
        true
    }

    /// What stands at `offset`; bytes are read into `record`, as many as go into one.
    pub(crate) fn read(&self, offset: u64, record: &mut DataRecord) -> Kind {
        if offset >= self.end {
            return Kind::End;
        }
        let Some(segment) = self.segments.iter().find(|segment| segment.end() > offset) else { return Kind::End };
        if segment.offset > offset {
            return Kind::Gap(segment.offset);
        }
        let skipped = offset - segment.offset;
        let wanted = usize::try_from(segment.length - skipped).unwrap_or(usize::MAX).min(RECORD_BYTES_SENT_MAX);
        let file = self.open_file(&segment_name(segment.offset));
        // A process inside may have taken the file away: what cannot be read is gone.
        match file.and_then(|file| record.fill(offset, wanted, |bytes| file.read_exact_at(bytes, skipped))) {
            Ok(()) => Kind::Bytes(wanted),
            Err(_) => Kind::Gap(segment.end()),
        }
    }

    /// Writes the exit record, whole or not at all, behind all output.
    pub(crate) fn write_exit(&self, exit: &ExitRecord) -> io::Result<()> {
        if let Some(report) = &exit.report {
            self.write_file(REPORT_FILE, report)?;
        }
        self.write_file(EXIT_FILE_UNFINISHED, &serde_json::to_vec(exit)?)?;
        fs::rename(self.folder.join(EXIT_FILE_UNFINISHED), self.folder.join(EXIT_FILE))
    }

    /// Removes the output; the folder stays with its note, so that the id never runs again.
    pub(crate) fn forget(&mut self) {
        while let Some(segment) = self.segments.pop_front() {
            self.remove_segment(segment);
        }
        self.current = None;
        drop(fs::remove_file(self.folder.join(REPORT_FILE)));
    }

    /// Removes everything, as if there had been no start.
    pub(crate) fn remove(&self) {
        drop(fs::remove_dir_all(&self.folder));
    }

    fn drop_middle(&mut self) {
        if self.keep != Keep::Ends {
            return;
        }
        let tail = self.end.saturating_sub(KEEP_END_BYTES);
        while let Some(place) = self.segments.iter().position(|segment| segment.offset >= KEEP_END_BYTES)
            && self.segments[place].end() <= tail
        {
            if let Some(segment) = self.segments.remove(place) {
                self.remove_segment(segment);
            }
        }
    }

    fn remove_segment(&self, segment: Segment) {
        // What is not there any more needs no removing.
        drop(fs::remove_file(self.folder.join(segment_name(segment.offset))));
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.create_file(name)?.write_all_at(bytes, 0)
    }

    /// Never through a link and never onto a file that is there: a process inside may write here too.
    fn create_file(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.folder.join(name))
    }

    fn open_file(&self, name: &str) -> io::Result<File> {
        open_regular(&self.folder.join(name))
    }
}

/// Opens a regular file for reading, without following a link or waiting for a FIFO's writer.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// The first `bytes_max` bytes of a regular file.
pub(crate) fn read_regular(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(bytes_max as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether the spool holds a note of this id, from this boot or an earlier one.
pub(crate) fn is_known(root: &Path, id: ProcessId) -> bool {
    root.join(id.to_string()).join(spool::START_FILE).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kept: &Kept, offset: u64) -> Kind {
        kept.read(offset, &mut DataRecord::default())
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("berth-keep-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn kept(folder: &Folder, keep: Keep) -> Kept {
        let note = StartNote { program: "x".into(), boot: "b".into(), started_unix_ms: 0 };
        Kept::create(&folder.0, ProcessId::from(1), keep, &note).unwrap()
    }

    fn files(folder: &Folder) -> usize {
        fs::read_dir(folder.0.join(ProcessId::from(1).to_string())).unwrap().count()
    }

    #[test]
    fn only_what_is_acknowledged_is_dropped() {
        let folder = Folder::new("acknowledged");
        let mut kept = kept(&folder, Keep::All { bytes_max: 64 * 1024 * 1024 });
        let piece = vec![7; 1024 * 1024];
        for _ in 0..9 {
            kept.append(&piece).unwrap();
        }
        assert_eq!(files(&folder), 4);
        assert!(kept.acknowledge(SEGMENT_BYTES - 1));
        assert_eq!(files(&folder), 4, "a byte of the first segment is not acknowledged");
        assert!(matches!(read(&kept, SEGMENT_BYTES - 1), Kind::Bytes(_)));
        assert!(kept.acknowledge(SEGMENT_BYTES));
        assert_eq!(files(&folder), 3);
        assert_eq!(read(&kept, 0), Kind::Gap(SEGMENT_BYTES));
        assert!(!kept.acknowledge(10 * 1024 * 1024), "an offset that was never reached");
    }

    #[test]
    fn room_ends_at_the_bound_and_comes_back_with_an_acknowledgement() {
        let folder = Folder::new("room");
        let mut kept = kept(&folder, Keep::All { bytes_max: 10 });
        kept.append(&[1; 10]).unwrap();
        assert_eq!(kept.room(), 0);
        assert!(kept.acknowledge(4));
        assert_eq!(kept.room(), 4);
    }

    #[test]
    fn the_ends_stay_and_the_middle_goes() {
        let folder = Folder::new("ends");
        let mut kept = kept(&folder, Keep::Ends);
        let piece = vec![7; 64 * 1024];
        for _ in 0..(10 * 1024 / 64) {
            kept.append(&piece).unwrap();
        }
        assert!(matches!(read(&kept, KEEP_END_BYTES - 1), Kind::Bytes(_)));
        let Kind::Gap(to) = read(&kept, KEEP_END_BYTES) else { panic!("no gap") };
        assert!(kept.end() - to >= KEEP_END_BYTES);
        assert!(kept.end() - to <= KEEP_END_BYTES + 2 * SEGMENT_BYTES_OF_ENDS);
        assert!(files(&folder) <= 12, "{}", files(&folder));
    }

    #[test]
    fn an_id_has_one_folder_for_ever() {
        let folder = Folder::new("once");
        let mut first = kept(&folder, Keep::Ends);
        first.append(b"x").unwrap();
        first.forget();
        let note = StartNote { program: "x".into(), boot: "c".into(), started_unix_ms: 0 };
        let error = Kept::create(&folder.0, ProcessId::from(1), Keep::Ends, &note).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_link_or_a_fifo_is_not_read() {
        let folder = Folder::new("link");
        let link = folder.0.join("link");
        std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
        assert!(open_regular(&link).is_err());
        let fifo = folder.0.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open_regular(&fifo).is_err());
    }
}
