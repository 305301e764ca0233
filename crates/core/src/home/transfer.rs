//! Tars between code that waits and code that blocks: an archive is carried on a thread of its own, chunk by chunk, so that as
//! much is read as is taken and no more is in memory than a few chunks.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::archive::{ArchiveError, Beginning, Carried, Route, carry};
use super::work::Work;
use crate::house::House;

/// Chunks that wait on either side.
const CHUNKS_MAX: usize = 8;
/// How large a chunk on its way out is, in bytes.
const CHUNK_BYTES: usize = 128 << 10;

/// Chunks on their way into an archive's reader.
pub(crate) type Inlet = mpsc::Sender<io::Result<Bytes>>;
/// The other end.
pub(crate) type Source = mpsc::Receiver<io::Result<Bytes>>;

/// Both ends of what an archive is read from.
pub(crate) fn inlet() -> (Inlet, Source) {
    mpsc::channel(CHUNKS_MAX)
}

/// An archive on its way.
pub(crate) struct Carrying {
    /// What comes out. It simply ends where something went wrong: look at `done` before believing that it is whole.
    pub(crate) chunks: mpsc::Receiver<Bytes>,
    /// How it came out.
    pub(crate) done: JoinHandle<Result<Carried, ArchiveError>>,
}

/// Begins to carry. `source` is `None` where there is nothing but the beginning; `work` hears of each byte that came in.
pub(crate) fn begin(
    house: &House,
    source: Option<Source>,
    route: Route,
    beginning: Beginning,
    work: Option<Arc<Work>>,
) -> Carrying {
    let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
    let done = house.tasks.spawn_blocking(move || {
        let mut output = ChunkWriter { sender, pending: BytesMut::with_capacity(CHUNK_BYTES) };
        match source {
            Some(source) => {
                let mut input = ChunkReader { source, unread: Bytes::new(), work };
                carry(Some(&mut input), &mut output, route, &beginning)
            }
            None => carry(None, &mut output, route, &beginning),
        }
    });
    Carrying { chunks, done }
}

struct ChunkReader {
    source: Source,
    unread: Bytes,
    work: Option<Arc<Work>>,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            match self.source.blocking_recv() {
                Some(chunk) => self.unread = chunk?,
                None => return Ok(0),
            }
            if let Some(work) = &self.work {
                work.add(self.unread.len() as u64);
            }
        }
        let count = self.unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.unread[..count]);
        self.unread.advance(count);
        Ok(count)
    }
}

struct ChunkWriter {
    sender: mpsc::Sender<Bytes>,
    pending: BytesMut,
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let chunk = self.pending.split().freeze();
        self.sender
            .blocking_send(chunk)
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody takes it any more"))
    }
}
