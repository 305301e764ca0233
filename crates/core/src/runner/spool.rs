//! Reads what a guest kept, out of a container that has ended. Everything in it is hostile: sizes are bounded here, the rest by
//! `pipe::spool`.

use bytes::Bytes;
use camino::Utf8Path;
use engine::{ContainerId, Engine, EngineError};
use futures::TryStreamExt as _;
use pipe::{
    ProcessId,
    host::ExitRecord,
    spool::{Piece, Recovery},
};
use tokio_util::io::{StreamReader, SyncIoBridge};
use tracing::debug;

use crate::blocking::off_runtime;

/// The most that is read of a spool, whose files may be sparse and of any size.
const SPOOL_BYTES_MAX: u64 = 1 << 30;
/// The most that is kept in memory of one process: an honest guest keeps 64 MiB, and a little more in segments.
const PROCESS_BYTES_MAX: u64 = 96 << 20;

/// What a spool says of one process.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Output past what was asked for, in order.
    pub(crate) pieces: Vec<(u64, Bytes)>,
    /// How the process ended; `None` where nothing says.
    pub(crate) exit: Option<ExitRecord>,
}

/// Why a spool cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoverError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The reader was ended.
    #[error("reading the spool was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// Reads the output of `process` from `from` on, and how it ended, out of a container that has the spool at `folder`.
pub(crate) async fn recover(
    engine: &dyn Engine,
    container: &ContainerId,
    folder: &Utf8Path,
    process: ProcessId,
    from: u64,
) -> Result<Recovered, RecoverError> {
    let archive = match engine.get_archive(container, folder, SPOOL_BYTES_MAX).await {
        Ok(archive) => archive,
        // There is no spool in it. Where the container itself is gone, its spool may still be there.
        Err(error) if error.is_gone() && engine.inspect(container).await?.is_some() => return Ok(Recovered::default()),
        Err(error) => return Err(error.into()),
    };
    let reader = StreamReader::new(archive.map_err(std::io::Error::other));
    let bridge = SyncIoBridge::new(Box::pin(reader));
    off_runtime(move || read(bridge, process, from)).await.map_err(RecoverError::Interrupted)
}

/// Reads that out of an archive of the spool's folder.
pub(crate) fn read(archive: impl std::io::Read, process: ProcessId, from: u64) -> Recovered {
    let mut recovery = Recovery::new(PROCESS_BYTES_MAX);
    let mut archive = tar::Archive::new(archive);
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => {
            debug!(%error, "the spool is no archive");
            return Recovered::default();
        }
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                debug!(%error, "the rest of the spool cannot be read");
                break;
            }
        };
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        // Other processes' output is nothing to the step, and must not take the room of its own.
        let is_of_process =
            path.rsplit('/').nth(1).and_then(|folder| folder.parse::<ProcessId>().ok()) == Some(process);
        if !is_of_process || !entry.header().entry_type().is_file() {
            continue;
        }
        if let Err(error) = recovery.add(&path, entry) {
            debug!(%error, "a part of the spool was passed over");
        }
    }
    let Some(found) = recovery.finish().remove(&process) else { return Recovered::default() };
    let pieces = found
        .output(from)
        .filter_map(|piece| match piece {
            Piece::Bytes { offset, bytes } => Some((offset, Bytes::copy_from_slice(bytes))),
            Piece::Gap { .. } => None,
        })
        .collect();
    Recovered { pieces, exit: found.exit }
}
