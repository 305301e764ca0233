//! How much disk folders take: a walk that never follows a link, stays on its file system, and lets everything else go on in between.
//!
//! The guest has no thread to spare for it (at the limit of processes it could not even make one), so it looks at a few names at a
//! time. It has the agent's own rights: what the agent has locked away from itself is not seen, and that is said.

use std::collections::HashSet;
use std::fs::{self, Metadata, ReadDir};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pipe::message::DiskUse;
use tokio::task::yield_now;

/// Names looked at in one walk. Past it the walk ends.
const NAMES_MAX: u64 = 1_000_000;
/// Names looked at before others have their turn: less than a millisecond's worth.
const NAMES_AT_ONCE: u64 = 128;
/// Folders that wait to be looked into. Past it they are not looked into.
const OPEN_FOLDERS_MAX: usize = 100_000;
/// Files with several names that are remembered, so that they count once. Past it each name counts.
const LINKED_MAX: usize = 100_000;
/// What a block of `st_blocks` holds, in bytes (stat(3type)).
const BLOCK_BYTES: u64 = 512;

/// What these folders take, all together.
///
/// # Cancel safety
/// Yes.
pub(crate) async fn usage(folders: &[String]) -> DiskUse {
    let mut walk = Walk { bytes: 0, is_whole: true, names: 0, open: Vec::new(), linked: HashSet::new() };
    for folder in folders {
        let path = PathBuf::from(folder);
        // A link in place of the folder is not followed either.
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => walk.open.push((path, metadata.dev())),
            Ok(_) | Err(_) => walk.is_whole = false,
        }
    }
    let mut looked_until = 0;
    while let Some((path, device)) = walk.open.pop() {
        let Ok(mut names) = fs::read_dir(&path) else {
            // It may have gone meanwhile, which hides nothing.
            walk.is_whole &= !path.exists();
            continue;
        };
        while walk.names < NAMES_MAX && walk.look(&mut names, &path, device) == Rest::More {
            yield_now().await;
        }
        // Many small folders are as much work as one large one.
        if walk.names >= looked_until + NAMES_AT_ONCE {
            looked_until = walk.names;
            yield_now().await;
        }
        if walk.names >= NAMES_MAX {
            walk.is_whole = false;
            break;
        }
    }
    DiskUse { bytes: walk.bytes, is_whole: walk.is_whole }
}

/// Whether a folder has more names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    More,
    Nothing,
}

struct Walk {
    bytes: u64,
    is_whole: bool,
    names: u64,
    /// Folders to look into, with the file system to stay on.
    open: Vec<(PathBuf, u64)>,
    /// Files with several names that were counted.
    linked: HashSet<(u64, u64)>,
}

impl Walk {
    /// Looks at the next names of a folder.
    fn look(&mut self, names: &mut ReadDir, folder: &Path, device: u64) -> Rest {
        for _ in 0..NAMES_AT_ONCE {
            let Some(Ok(entry)) = names.next() else { return Rest::Nothing };
            self.names += 1;
            // Of the name itself, not of what a link leads to.
            let Ok(metadata) = entry.metadata() else { continue };
            self.count(&metadata);
            if metadata.is_dir() && metadata.dev() == device {
                if self.open.len() < OPEN_FOLDERS_MAX {
                    self.open.push((folder.join(entry.file_name()), device));
                } else {
                    self.is_whole = false;
                }
            }
        }
        Rest::More
    }

    fn count(&mut self, metadata: &Metadata) {
        let is_counted = metadata.nlink() > 1
            && !metadata.is_dir()
            && self.linked.len() < LINKED_MAX
            && !self.linked.insert((metadata.dev(), metadata.ino()));
        if !is_counted {
            self.bytes = self.bytes.saturating_add(metadata.blocks().saturating_mul(BLOCK_BYTES));
        }
    }
}
