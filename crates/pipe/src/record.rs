//! The records of an output: how a guest sends what a process wrote, and how it ended.
//!
//! ```text
//! kind: u8 | offset: u64 BE | length: u32 BE | length bytes
//! data    offset is that of the first byte
//! gap     offset is where the gap starts; the body is its end, a u64 BE
//! report  the process's report, raw
//! exit    offset is the end of the output; the body is an `ExitRecord` as JSON. The last record.
//! ```

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::PipeError;
use crate::frame::{cut, read_exact_bounded};
use crate::limits::{FRAME_FROM_GUEST_BYTES_MAX, RECORD_BYTES_MAX, REPORT_BYTES_MAX};
use crate::message::ExitRecord;

/// What stands before each body.
pub const HEAD_BYTES: usize = 13;
const DATA: u8 = 1;
const GAP: u8 = 2;
const REPORT: u8 = 3;
const EXIT: u8 = 4;

/// One piece of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// What the process wrote, at most [`RECORD_BYTES_MAX`] bytes.
    Data {
        /// Where the bytes stand in the output.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// Bytes that the guest no longer has.
    Gap {
        /// The first of them.
        from: u64,
        /// The first that it has again.
        to: u64,
    },
    /// The process ended; nothing follows.
    Exit(ExitRecord),
}

/// A data record in the bytes that travel, to be filled again and again without moving them once more.
#[derive(Debug, Default)]
pub struct DataRecord {
    bytes: Vec<u8>,
}

impl DataRecord {
    /// Makes it the record of `length` bytes at `offset`, which `read` brings.
    ///
    /// # Errors
    /// What `read` says; the record is then of no use.
    pub fn fill(
        &mut self,
        offset: u64,
        length: usize,
        read: impl FnOnce(&mut [u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        self.bytes.resize(HEAD_BYTES + length, 0);
        read(&mut self.bytes[HEAD_BYTES..])?;
        let length = u32::try_from(length).map_err(|_| std::io::ErrorKind::InvalidInput)?;
        self.bytes[..HEAD_BYTES].copy_from_slice(&head(DATA, offset, length));
        Ok(())
    }

    /// Gives its memory back.
    pub fn clear(&mut self) {
        self.bytes = Vec::new();
    }

    /// Writes it, in one piece.
    pub async fn write<S>(&self, stream: &mut S) -> Result<(), PipeError>
    where
        S: AsyncWrite + Unpin,
    {
        stream.write_all(&self.bytes).await?;
        stream.flush().await?;
        Ok(())
    }
}

fn head(kind: u8, offset: u64, length: u32) -> [u8; HEAD_BYTES] {
    let mut head = [kind; HEAD_BYTES];
    head[1..9].copy_from_slice(&offset.to_be_bytes());
    head[9..].copy_from_slice(&length.to_be_bytes());
    head
}

/// Writes records; the guest's side.
pub async fn write<S>(stream: &mut S, record: &Record) -> Result<(), PipeError>
where
    S: AsyncWrite + Unpin,
{
    match record {
        Record::Data { offset, bytes } => write_one(stream, DATA, *offset, bytes).await?,
        Record::Gap { from, to } => write_one(stream, GAP, *from, &to.to_be_bytes()).await?,
        Record::Exit(exit) => {
            if let Some(report) = &exit.report {
                write_one(stream, REPORT, exit.end, &report[..report.len().min(REPORT_BYTES_MAX)]).await?;
            }
            let body = serde_json::to_vec(exit)
                .map_err(|source| PipeError::Malformed { what: "an own exit record", source: source.into() })?;
            write_one(stream, EXIT, exit.end, &body).await?;
        }
    }
    stream.flush().await?;
    Ok(())
}

async fn write_one<S>(stream: &mut S, kind: u8, offset: u64, body: &[u8]) -> Result<(), PipeError>
where
    S: AsyncWrite + Unpin,
{
    // Head and body in one write, so that they travel in one frame.
    let length = u32::try_from(body.len()).map_err(|_| PipeError::FrameTooLong { bytes_max: RECORD_BYTES_MAX })?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
    bytes.extend_from_slice(&head(kind, offset, length));
    bytes.extend_from_slice(body);
    stream.write_all(&bytes).await?;
    Ok(())
}

/// Reads records and checks that they tell one story: the host's side.
#[derive(Debug)]
pub struct RecordReader {
    /// Where the next data or gap must start.
    ///
    /// Invariant: only ever grows.
    next: u64,
}

impl RecordReader {
    /// For an output asked for from `from` on.
    pub fn new(from: u64) -> Self {
        Self { next: from }
    }

    /// The offset behind everything read so far.
    pub fn offset(&self) -> u64 {
        self.next
    }

    /// Reads the next record.
    ///
    /// # Errors
    /// [`PipeError::Violation`] where offsets or lengths contradict what was said before, [`PipeError::Cut`] where the
    /// stream ends before the exit record.
    ///
    /// # Cancel safety
    /// None: bytes that were read are lost with the future.
    pub async fn read<S>(&mut self, stream: &mut S) -> Result<Record, PipeError>
    where
        S: AsyncRead + Unpin,
    {
        let mut report = None;
        loop {
            let mut head = [0; HEAD_BYTES];
            stream.read_exact(&mut head).await.map_err(|error| cut(error, "an output"))?;
            let (kind, offset, length) = split(head);
            match kind {
                DATA => return self.read_data(stream, offset, length).await,
                GAP => return self.read_gap(stream, offset, length).await,
                REPORT => {
                    if report.is_some() {
                        return Err(PipeError::Violation { what: "a second report of one process" });
                    }
                    report = Some(read_body(stream, length, REPORT_BYTES_MAX).await?);
                }
                EXIT => {
                    let body = read_body(stream, length, FRAME_FROM_GUEST_BYTES_MAX).await?;
                    let mut exit: ExitRecord = serde_json::from_slice(&body)
                        .map_err(|source| PipeError::Malformed { what: "an exit record", source: source.into() })?;
                    if exit.end != self.next || offset != self.next {
                        return Err(PipeError::Violation { what: "an output that ends elsewhere than it says" });
                    }
                    exit.report = report;
                    return Ok(Record::Exit(exit));
                }
                _ => return Err(PipeError::Violation { what: "a record of no known kind" }),
            }
        }
    }

    async fn read_data<S>(&mut self, stream: &mut S, offset: u64, length: usize) -> Result<Record, PipeError>
    where
        S: AsyncRead + Unpin,
    {
        if offset != self.next {
            return Err(PipeError::Violation { what: "output at another offset than its turn" });
        }
        if length == 0 {
            return Err(PipeError::Violation { what: "an empty piece of output" });
        }
        let bytes = read_body(stream, length, RECORD_BYTES_MAX).await?;
        self.next = offset
            .checked_add(length as u64)
            .ok_or(PipeError::Violation { what: "an output longer than can be counted" })?;
        Ok(Record::Data { offset, bytes: bytes.into() })
    }

    async fn read_gap<S>(&mut self, stream: &mut S, from: u64, length: usize) -> Result<Record, PipeError>
    where
        S: AsyncRead + Unpin,
    {
        if length != 8 || from != self.next {
            return Err(PipeError::Violation { what: "a gap at another offset than its turn" });
        }
        let to = stream.read_u64().await.map_err(|error| cut(error, "an output"))?;
        if to <= from {
            return Err(PipeError::Violation { what: "a gap that ends before it starts" });
        }
        self.next = to;
        Ok(Record::Gap { from, to })
    }
}

fn split(head: [u8; HEAD_BYTES]) -> (u8, u64, usize) {
    let (mut offset, mut length) = ([0; 8], [0; 4]);
    offset.copy_from_slice(&head[1..9]);
    length.copy_from_slice(&head[9..]);
    (head[0], u64::from_be_bytes(offset), u32::from_be_bytes(length) as usize)
}

async fn read_body<S>(stream: &mut S, length: usize, bytes_max: usize) -> Result<Vec<u8>, PipeError>
where
    S: AsyncRead + Unpin,
{
    if length > bytes_max {
        return Err(PipeError::FrameTooLong { bytes_max });
    }
    read_exact_bounded(stream, length, "an output").await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{ExitStatus, OutOfMemory, OutOfProcesses};

    fn exit(end: u64, report: Option<Vec<u8>>) -> Record {
        let status = ExitStatus::Exited { code: 3 };
        let (out_of_memory, out_of_processes) = (OutOfMemory::No, OutOfProcesses::No);
        Record::Exit(ExitRecord { status, end, ran_ms: 1, out_of_memory, out_of_processes, report })
    }

    async fn written(records: &[Record]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in records {
            write(&mut bytes, record).await.unwrap();
        }
        bytes
    }

    #[tokio::test]
    async fn records_read_back_as_they_were_written() {
        let records = [
            Record::Gap { from: 5, to: 9 },
            Record::Data { offset: 9, bytes: Bytes::from_static(b"abc") },
            exit(12, Some(b"done".to_vec())),
        ];
        let bytes = written(&records).await;
        let mut stream = bytes.as_slice();
        let mut reader = RecordReader::new(5);
        for record in &records {
            assert_eq!(&reader.read(&mut stream).await.unwrap(), record);
        }
        assert!(stream.is_empty());
    }

    #[tokio::test]
    async fn a_data_record_that_is_filled_again_reads_back_as_any_other() {
        let mut bytes = Vec::new();
        let mut record = DataRecord::default();
        for (offset, text) in [(0, &b"longer"[..]), (6, b"s")] {
            record
                .fill(offset, text.len(), |body| {
                    body.copy_from_slice(text);
                    Ok(())
                })
                .unwrap();
            record.write(&mut bytes).await.unwrap();
        }
        let expected = [(0, &b"longer"[..]), (6, b"s")];
        let expected = expected.map(|(offset, bytes)| Record::Data { offset, bytes: Bytes::from_static(bytes) });
        assert_eq!(bytes, written(&expected).await);
    }

    #[tokio::test]
    async fn lies_about_offsets_and_lengths_are_violations() {
        let lies = [
            vec![Record::Data { offset: 1, bytes: Bytes::from_static(b"x") }],
            vec![Record::Data { offset: 0, bytes: Bytes::new() }],
            vec![Record::Gap { from: 0, to: 0 }],
            vec![Record::Gap { from: 3, to: 4 }],
            vec![exit(1, None)],
        ];
        for lie in lies {
            let bytes = written(&lie).await;
            let error = RecordReader::new(0).read(&mut bytes.as_slice()).await.unwrap_err();
            assert!(matches!(error, PipeError::Violation { .. }), "{lie:?}: {error}");
        }
    }

    #[tokio::test]
    async fn a_record_longer_than_the_bound_is_refused_before_it_is_read() {
        let mut head = vec![DATA];
        head.extend_from_slice(&0_u64.to_be_bytes());
        head.extend_from_slice(&u32::MAX.to_be_bytes());
        let error = RecordReader::new(0).read(&mut head.as_slice()).await.unwrap_err();
        assert!(matches!(error, PipeError::FrameTooLong { .. }), "{error}");
    }

    #[tokio::test]
    async fn an_output_without_its_exit_is_cut_off() {
        let bytes = written(&[Record::Data { offset: 0, bytes: Bytes::from_static(b"x") }]).await;
        let mut stream = bytes.as_slice();
        let mut reader = RecordReader::new(0);
        reader.read(&mut stream).await.unwrap();
        assert!(matches!(reader.read(&mut stream).await, Err(PipeError::Cut { .. })));
    }
}
