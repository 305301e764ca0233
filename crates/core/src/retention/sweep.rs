//! Deletes and measures folders that a sandbox may have written: of any depth, with any names and modes, through no link.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use camino::Utf8Path;
use rustix::fs::{AtFlags, FileType, Mode};

use crate::workspace::beneath::Folder;

/// Entries that are counted at most when a folder is measured: a person waits for no more.
const ENTRIES_MAX: usize = 2_000_000;
/// What a folder is called while it is deleted.
pub(crate) const TRASH_PREFIX: &str = ".trash-";

/// Deletes what has that name in a folder of the data folder: a file, or a folder with everything in it. May happen twice, and
/// goes on where it was broken off. What is not there is success.
///
/// The folder vanishes from its place at once. It is then taken apart flat: each folder in it is moved to the top before it is
/// looked into, so that neither descriptors nor the stack grow with its depth.
pub(crate) fn remove_tree(data_folder: &Utf8Path, place: &str, name: &str) -> io::Result<()> {
    let place = match Folder::open(&data_folder.join(place)) {
        Ok(place) => place,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let trash_name = c_name(format!("{TRASH_PREFIX}{name}").as_bytes())?;
    let name = c_name(name.as_bytes())?;
    let kind = match place.stat(&name) {
        Ok(stat) => Some(FileType::from_raw_mode(stat.st_mode)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let is_begun = place.stat(&trash_name).is_ok();
    match kind {
        None if !is_begun => return Ok(()),
        None => {}
        Some(FileType::Directory) => {
            let (trash, _) = place.make_folder(&trash_name, Mode::RWXU)?;
            move_into(&place, &name, &trash, &mut 0)?;
        }
        Some(_) => return place.remove_file(&name),
    }
    empty(&place.folder(&trash_name)?)?;
    place.remove_folder(&trash_name)
}

/// Takes everything in `trash` apart until it is empty.
fn empty(trash: &Folder) -> io::Result<()> {
    let mut number = 0;
    loop {
        let tops = names(trash)?;
        if tops.is_empty() {
            return Ok(());
        }
        for top in tops {
            if !is_folder(trash, &top)? {
                trash.remove_file(&top)?;
                continue;
            }
            // Whoever made it may have kept everybody out.
            make_enterable(trash, &top)?;
            let folder = trash.folder(&top)?;
            for name in names(&folder)? {
                if is_folder(&folder, &name)? {
                    move_into(&folder, &name, trash, &mut number)?;
                } else {
                    folder.remove_file(&name)?;
                }
            }
            trash.remove_folder(&top)?;
        }
    }
}

/// Moves a folder to where none is yet.
fn move_into(from: &Folder, name: &CString, trash: &Folder, number: &mut u64) -> io::Result<()> {
    // A folder's own mode decides whether it may be moved to another one.
    make_enterable(from, name)?;
    loop {
        *number += 1;
        let free = c_name(number.to_string().as_bytes())?;
        if trash.stat(&free).is_ok() {
            continue;
        }
        return from.move_to(name, trash, &free);
    }
}

fn make_enterable(folder: &Folder, name: &CString) -> io::Result<()> {
    // It follows links, but this is none: it was looked at, and whoever could change it has gone.
    Ok(rustix::fs::chmodat(folder, name, Mode::RWXU, AtFlags::empty())?)
}

fn is_folder(folder: &Folder, name: &CString) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(folder.stat(name)?.st_mode) == FileType::Directory)
}

fn names(folder: &Folder) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in folder.names()? {
        let name = entry?.file_name().to_owned();
        if name.as_bytes() != b"." && name.as_bytes() != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

fn c_name(name: &[u8]) -> io::Result<CString> {
    CString::new(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// What the files below a folder take on the disk, in bytes; what cannot be read counts as nothing.
pub(crate) fn bytes_below(folder: &Utf8Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    /// What the blocks of `stat` count in, on every system.
    const BLOCK_BYTES: u64 = 512;
    let mut waiting = vec![folder.as_std_path().to_owned()];
    let (mut sum, mut count) = (0_u64, 0);
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            count += 1;
            if count > ENTRIES_MAX {
                return sum;
            }
            // Of a link: the link's.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else {
                sum = sum.saturating_add(metadata.blocks() * BLOCK_BYTES);
            }
        }
    }
    sum
}

/// The names in a folder of the data folder, with when each was changed last, in seconds since 1970; nothing where it is not there.
pub(crate) fn list(data_folder: &Utf8Path, place: &str) -> io::Result<Vec<(String, i64)>> {
    let folder = match Folder::open(&data_folder.join(place)) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in names(&folder)? {
        let Ok(stat) = folder.stat(&name) else { continue };
        found.push((OsStr::from_bytes(name.as_bytes()).to_string_lossy().into_owned(), stat.st_mtime));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_goes_whatever_is_in_it_and_what_a_link_points_to_stays() {
        let data = camino_tempfile::tempdir().unwrap();
        let outside = data.path().join("outside");
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("kept"), "kept").unwrap();
        let folder = data.path().join("workspaces/one");
        std::fs::create_dir_all(folder.join("locked/inner")).unwrap();
        std::fs::write(folder.join("locked/inner/file"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("link")).unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("locked/link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.join("fifo").as_std_path(), Mode::RWXU).unwrap();
        std::fs::set_permissions(folder.join("locked"), std::fs::Permissions::from_mode(0o000)).unwrap();
        remove_tree(data.path(), "workspaces", "one").unwrap();
        assert_eq!(std::fs::read_dir(data.path().join("workspaces")).unwrap().count(), 0);
        assert_eq!(std::fs::read_to_string(outside.join("kept")).unwrap(), "kept");
        remove_tree(data.path(), "workspaces", "one").unwrap();
    }

    #[test]
    fn a_folder_deeper_than_descriptors_and_paths_go_is_taken_apart() {
        const DEPTH: usize = 3_000;
        let data = camino_tempfile::tempdir().unwrap();
        std::fs::create_dir_all(data.path().join("workspaces/deep")).unwrap();
        let mut folder = Folder::open(&data.path().join("workspaces/deep")).unwrap();
        for _ in 0..DEPTH {
            folder = folder.make_folder(c"a-name-of-some-length", Mode::RWXU).unwrap().0;
        }
        remove_tree(data.path(), "workspaces", "deep").unwrap();
        assert_eq!(std::fs::read_dir(data.path().join("workspaces")).unwrap().count(), 0);
    }

    #[test]
    fn what_was_broken_off_is_gone_on_with() {
        let data = camino_tempfile::tempdir().unwrap();
        std::fs::create_dir_all(data.path().join("workspaces/.trash-one/1/2")).unwrap();
        std::fs::create_dir_all(data.path().join("workspaces/one/3")).unwrap();
        remove_tree(data.path(), "workspaces", "one").unwrap();
        assert_eq!(std::fs::read_dir(data.path().join("workspaces")).unwrap().count(), 0);
    }

    #[test]
    fn sizes_are_what_the_disk_gives_and_links_add_nothing() {
        let data = camino_tempfile::tempdir().unwrap();
        let folder = data.path().join("one");
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        std::fs::write(folder.join("inner/file"), vec![1; 100_000]).unwrap();
        std::fs::write(data.path().join("large"), vec![1; 1_000_000]).unwrap();
        std::os::unix::fs::symlink(data.path().join("large"), folder.join("link")).unwrap();
        let sparse = std::fs::File::create(folder.join("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        let bytes = bytes_below(&folder);
        assert!((100_000..300_000).contains(&bytes), "{bytes}");
    }
}
