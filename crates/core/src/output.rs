//! A step's own output, durable on the host: one append-only file per attempt.
//!
//! The file's length is the truth: how far the guest's output has arrived, where to attach again after a restart, and, once
//! [`OutputWriter::sync`] returns, what the guest may drop. Readers open the file for themselves and never block the writer.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, SeekFrom};
use wire::ids::StepId;

use crate::escape;

/// Written bytes that may be without a sync, before one is due.
const UNSYNCED_BYTES_MAX: u64 = 4 << 20;
/// At most so much is unsynced: beyond it nothing is written before a sync succeeds.
const UNSYNCED_BYTES_LIMIT: u64 = 2 * UNSYNCED_BYTES_MAX;
/// What is kept of the room for unsynced bytes once they are durable.
const UNSYNCED_ROOM_KEPT: usize = 64 << 10;
/// How long written bytes may be without a sync.
pub(crate) const SYNC_EVERY: Duration = Duration::from_millis(200);
/// How much of the end is kept in memory, for the last line.
const TAIL_BYTES: usize = 4 << 10;
/// The longest piece that a reader gets at once.
const READ_BYTES_MAX: usize = 64 << 10;

/// Where the outputs of steps lie.
#[derive(Clone, Debug)]
pub(crate) struct Outputs {
    folder: Utf8PathBuf,
}

impl Outputs {
    /// Below that data folder.
    pub(crate) fn below(data_folder: &Utf8Path) -> Self {
        Self { folder: data_folder.join("outputs") }
    }

    fn path(&self, step: StepId, attempt: u32) -> Utf8PathBuf {
        self.folder.join(step.to_string()).join(format!("{attempt}.log"))
    }

    /// Opens the output of an attempt to go on with it.
    pub(crate) async fn append(&self, step: StepId, attempt: u32) -> io::Result<OutputWriter> {
        let path = self.path(step, attempt);
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path).await?;
        let length = file.metadata().await?.len();
        let mut tail = VecDeque::with_capacity(TAIL_BYTES);
        let from = length.saturating_sub(TAIL_BYTES as u64);
        file.seek(SeekFrom::Start(from)).await?;
        let mut end = Vec::new();
        (&mut file).take(TAIL_BYTES as u64).read_to_end(&mut end).await?;
        tail.extend(end);
        // What an earlier process wrote may never have been synced.
        file.sync_data().await?;
        Ok(OutputWriter { file, length, synced: length, unsynced: Vec::new(), is_in_doubt: false, tail })
    }

    /// Opens the output of an attempt to read it; `None` where there is none yet.
    pub(crate) async fn read(&self, step: StepId, attempt: u32, from: u64) -> io::Result<Option<OutputReader>> {
        match File::open(self.path(step, attempt)).await {
            Ok(mut file) => {
                let from = from.min(file.metadata().await?.len());
                file.seek(SeekFrom::Start(from)).await?;
                Ok(Some(OutputReader { file, offset: from }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The length of an attempt's output in bytes; 0 where there is none.
    pub(crate) async fn length(&self, step: StepId, attempt: u32) -> u64 {
        tokio::fs::metadata(self.path(step, attempt)).await.map_or(0, |metadata| metadata.len())
    }

    /// The same, for those who are on a blocking thread anyway.
    pub(crate) fn length_now(&self, step: StepId, attempt: u32) -> u64 {
        std::fs::metadata(self.path(step, attempt)).map_or(0, |metadata| metadata.len())
    }
}

/// The one writer of an attempt's output.
pub(crate) struct OutputWriter {
    file: File,
    length: u64,
    synced: u64,
    /// What stands between `synced` and `length`.
    unsynced: Vec<u8>,
    /// A sync failed: what was unsynced then may be on no disk, and a later sync may not say so, since the system reports a page that
    /// it could not write once (`fsync(2)`, EIO).
    is_in_doubt: bool,
    tail: VecDeque<u8>,
}

impl OutputWriter {
    /// How much there is, in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// How much of it no crash takes away, in bytes.
    pub(crate) fn synced(&self) -> u64 {
        self.synced
    }

    /// Adds bytes at the end. `offset` says where they stand in all of the output: what is there already is passed over.
    ///
    /// # Errors
    /// Fails where bytes before `offset` are missing, and where writing fails (a full disk): then nothing counts as written. Where so
    /// much is unsynced that it should be synced first, and cannot be, it fails as that does.
    pub(crate) async fn append(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let Some(known) = self.length.checked_sub(offset) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "output with a hole in it"));
        };
        let new = match usize::try_from(known) {
            Ok(known) if known < bytes.len() => &bytes[known..],
            Ok(_) | Err(_) => return Ok(()),
        };
        if self.is_in_doubt || self.length - self.synced >= UNSYNCED_BYTES_LIMIT {
            self.sync().await?;
        }
        let written = async {
            self.file.write_all(new).await?;
            self.file.flush().await
        };
        if let Err(error) = written.await {
            // A part may have been written: the length must go on being the truth.
            self.file.set_len(self.length).await?;
            return Err(error);
        }
        self.length += new.len() as u64;
        self.unsynced.extend_from_slice(new);
        let keep = new.len().min(TAIL_BYTES);
        let excess = (self.tail.len() + keep).saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
        self.tail.extend(&new[new.len() - keep..]);
        Ok(())
    }

    /// Whether so much is unsynced that it should not wait for the timer.
    pub(crate) fn is_sync_due(&self) -> bool {
        self.length - self.synced >= UNSYNCED_BYTES_MAX
    }

    /// Makes durable what is written, and says how much that is. After one that failed, what was unsynced is written anew: until then
    /// the file may be shorter than [`OutputWriter::length`], and a reader waits.
    pub(crate) async fn sync(&mut self) -> io::Result<u64> {
        if self.synced < self.length {
            if self.is_in_doubt {
                self.file.set_len(self.synced).await?;
                self.file.write_all(&self.unsynced).await?;
                self.file.flush().await?;
            }
            // Also where the waiting for it is given up.
            self.is_in_doubt = true;
            self.file.sync_data().await?;
            self.is_in_doubt = false;
            self.synced = self.length;
            self.unsynced.clear();
            self.unsynced.shrink_to(UNSYNCED_ROOM_KEPT);
        }
        Ok(self.synced)
    }

    /// The last line that says anything, made safe to show, at most 200 characters.
    pub(crate) fn last_line(&mut self) -> String {
        self.shown_lines().pop().unwrap_or_default()
    }

    /// The last lines that say anything, made safe to show: for the error of a step that failed.
    pub(crate) fn last_lines(&mut self, lines_max: usize) -> String {
        let lines = self.shown_lines();
        lines[lines.len().saturating_sub(lines_max)..].join("\n")
    }

    fn shown_lines(&mut self) -> Vec<String> {
        let plain = strip_ansi_escapes::strip(self.tail.make_contiguous());
        String::from_utf8_lossy(&plain).split(['\n', '\r']).map(shown_line).filter(|line| !line.is_empty()).collect()
    }
}

/// A line with what steers or hides text made visible, at most 200 characters.
fn shown_line(line: &str) -> String {
    const CHARS_MAX: usize = 200;
    let mut shown = String::new();
    for character in line.trim().chars().take(CHARS_MAX) {
        match character {
            '\t' => shown.push(' '),
            _ if escape::is_unsafe_to_show(character) => shown.extend(character.escape_unicode()),
            _ => shown.push(character),
        }
    }
    shown
}

/// Reads an attempt's output from anywhere on.
pub(crate) struct OutputReader {
    file: File,
    offset: u64,
}

impl OutputReader {
    /// The next bytes with their offset; `None` at the end as it is now.
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped read may have moved the file's position.
    pub(crate) async fn next(&mut self) -> io::Result<Option<(u64, Bytes)>> {
        let mut piece = vec![0; READ_BYTES_MAX];
        let length = self.file.read(&mut piece).await?;
        if length == 0 {
            return Ok(None);
        }
        piece.truncate(length);
        let offset = self.offset;
        self.offset += length as u64;
        Ok(Some((offset, piece.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_id;

    async fn all(outputs: &Outputs, step: StepId) -> Vec<u8> {
        let mut reader = outputs.read(step, 1, 0).await.unwrap().unwrap();
        let mut bytes = Vec::new();
        while let Some((offset, piece)) = reader.next().await.unwrap() {
            assert_eq!(offset, bytes.len() as u64);
            bytes.extend_from_slice(&piece);
        }
        bytes
    }

    #[tokio::test]
    async fn bytes_that_come_twice_are_written_once() {
        let folder = camino_tempfile::tempdir().unwrap();
        let outputs = Outputs::below(folder.path());
        let step = new_id();
        let mut writer = outputs.append(step, 1).await.unwrap();
        writer.append(0, b"hello ").await.unwrap();
        writer.append(3, b"lo world").await.unwrap();
        writer.append(2, b"llo").await.unwrap();
        assert_eq!(writer.synced(), 0);
        assert_eq!(writer.sync().await.unwrap(), 11);
        assert_eq!(all(&outputs, step).await, b"hello world");
    }

    /// What a disk does that cannot write a page: the sync fails once, and the page is not what was written.
    #[tokio::test]
    async fn what_a_failed_sync_left_in_doubt_is_written_anew() {
        let folder = camino_tempfile::tempdir().unwrap();
        let outputs = Outputs::below(folder.path());
        let step = new_id();
        let mut writer = outputs.append(step, 1).await.unwrap();
        writer.append(0, b"durable, ").await.unwrap();
        writer.sync().await.unwrap();
        for next in ["not yet, ", "nor this"] {
            writer.append(writer.length(), next.as_bytes()).await.unwrap();
            let disk = std::fs::OpenOptions::new().write(true).open(outputs.path(step, 1)).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&disk, &[0; 4], writer.synced()).unwrap();
            writer.is_in_doubt = true;
            assert_eq!(writer.sync().await.unwrap(), writer.length());
        }
        assert_eq!(all(&outputs, step).await, b"durable, not yet, nor this");
        assert!(writer.unsynced.is_empty());
    }

    #[tokio::test]
    async fn a_hole_is_refused() {
        let folder = camino_tempfile::tempdir().unwrap();
        let mut writer = Outputs::below(folder.path()).append(new_id(), 1).await.unwrap();
        let error = writer.append(1, b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(writer.length(), 0);
    }

    #[tokio::test]
    async fn a_new_writer_goes_on_where_the_last_one_ended() {
        let folder = camino_tempfile::tempdir().unwrap();
        let outputs = Outputs::below(folder.path());
        let step = new_id();
        outputs.append(step, 1).await.unwrap().append(0, b"one\ntwo").await.unwrap();
        let mut writer = outputs.append(step, 1).await.unwrap();
        assert_eq!(writer.length(), 7);
        assert_eq!(writer.last_line(), "two");
        writer.append(7, b" three\n\n").await.unwrap();
        assert_eq!(writer.last_line(), "two three");
        assert_eq!(writer.last_lines(2), "one\ntwo three");
        assert_eq!(all(&outputs, step).await, b"one\ntwo three\n\n");
    }

    #[tokio::test]
    async fn a_last_line_cannot_carry_an_escape() {
        let folder = camino_tempfile::tempdir().unwrap();
        let mut writer = Outputs::below(folder.path()).append(new_id(), 1).await.unwrap();
        writer.append(0, b"ok\n\x1b]0;gotcha\x07\xff\n").await.unwrap();
        assert!(writer.last_line().chars().all(|c| !c.is_control()));
        assert_ne!(writer.last_line(), "ok");
    }
}
