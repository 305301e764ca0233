//! How much disk a workspace takes.

use std::collections::HashSet;

use super::{
    beneath::{Folder, stat_at},
    scan::ScanError,
    stoppable::StopSign,
    walk::{Next, SightKind, walk},
};

/// What a block of `st_blocks` holds, in bytes (stat(3type)).
const BLOCK_BYTES: u64 = 512;
/// Files with several names that are remembered, so that they count once. Past it each name counts.
const LINKED_MAX: usize = 100_000;

/// Bytes as they are allocated, as far as a walk goes; a file with several names counts once.
pub(super) fn disk_bytes(root: &Folder, stop_sign: &StopSign) -> Result<u64, ScanError> {
    let mut bytes = 0_u64;
    let mut linked = HashSet::new();
    walk(root, stop_sign, |sight| -> Result<Next, ScanError> {
        // A folder that cannot be entered was counted when its name was seen.
        if !matches!(sight.kind, SightKind::Closed(_))
            && let Ok(stat) = stat_at(sight.folder, sight.name)
        {
            let is_folder = matches!(sight.kind, SightKind::Folder);
            let is_counted = stat.st_nlink > 1
                && !is_folder
                && linked.len() < LINKED_MAX
                && !linked.insert((stat.st_dev, stat.st_ino));
            if !is_counted {
                bytes = bytes.saturating_add(u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(BLOCK_BYTES));
            }
        }
        Ok(Next::On)
    })?;
    Ok(bytes)
}
