//! Bytes that lie in the data folder for nothing, so that they can be let go.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};

use camino::Utf8Path;
use tracing::debug;

use super::Free;

const RESERVE_FILE: &str = "reserve";
/// Enough for many transactions and the log that SQLite writes them to first.
const RESERVE_BYTES_MAX: u64 = 16 << 20;
const RESERVE_BYTES_MIN: u64 = 1 << 20;
/// A small disk has a small reserve.
const DISK_SHARE: u64 = 16;
const BLOCK_BYTES: usize = 64 << 10;

/// How large it is on a disk of that size.
pub(super) fn bytes(total_bytes: u64) -> u64 {
    (total_bytes / DISK_SHARE).clamp(RESERVE_BYTES_MIN, RESERVE_BYTES_MAX)
}

/// Makes it where it is missing. `false` where there is no room for it; nothing of it is there then.
pub(super) fn make(data_folder: &Utf8Path, free: Free) -> bool {
    let path = data_folder.join(RESERVE_FILE);
    let wanted = bytes(free.total_bytes);
    // A disk may have grown since: what is there is a reserve.
    if std::fs::metadata(&path).is_ok_and(|found| found.len() >= RESERVE_BYTES_MIN.min(wanted)) {
        return true;
    }
    if free.bytes <= wanted {
        return false;
    }
    let made = open(&path).and_then(|file| fill(file, wanted));
    if let Err(error) = made {
        debug!(%error, "the reserve cannot be made");
        let_go(data_folder);
        return false;
    }
    true
}

/// Lets it go; `false` where it was not there.
pub(crate) fn let_go(data_folder: &Utf8Path) -> bool {
    std::fs::remove_file(data_folder.join(RESERVE_FILE)).is_ok()
}

fn open(path: &Utf8Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Real bytes: a length alone takes no room.
fn fill(mut file: File, bytes: u64) -> io::Result<()> {
    let block = vec![0xB5; BLOCK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let now = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.write_all(&block[..now])?;
        left -= now as u64;
    }
    file.sync_all()
}
