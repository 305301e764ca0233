//! `berth-guest browse FOLDER`: shows what a folder holds, to whoever asks over standard input and output.
//!
//! Everything beneath the folder was written by an agent. Each step of a path is an `openat` of a single name that follows no
//! link, on the descriptor of the folder before, so nothing leads out; a FIFO is not waited for, and what is no file is not
//! read. One thread, one question at a time; it ends with its input, or when nobody asks for long.

use std::collections::HashSet;
use std::error::Error;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat, renameat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::symlinkat;
use pipe::browse::{
    ANSWER_BYTES_MAX, Answer, Ask, DEPTH_MAX, Entry, EntryKind, FOLDER_ENTRIES_MAX, Hex, Name, PAGE_ENTRIES_MAX,
    PIECE_BYTES_MAX, Renaming, TARGET_BYTES_MAX, Why, read_ask,
};
use pipe::frame;

use crate::{diagnostic, harden};

/// Without a question for this long it ends.
const IDLE_MS_MAX: u16 = 60_000;
/// How often it tells how far measuring is.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Files with several names that are remembered while measuring; beyond, they count once per name.
const LINKED_MAX: usize = 1 << 20;
/// Folders that are open at once while measuring: one for each part of a path.
const MEASURE_DEPTH_MAX: usize = 512;
/// No surprise: no link is followed, no FIFO is waited for, no terminal is taken.
const FLAGS: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

/// Answers until its input ends.
pub(crate) fn run(folder: &Path) -> Result<(), Box<dyn Error>> {
    diagnostic::never_wait();
    harden::close_memory()?;
    let root = open(folder, FLAGS | OFlag::O_DIRECTORY, Mode::empty())?;
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    while is_asked()? {
        let Some(ask) = read_ask(&mut input)? else { return Ok(()) };
        match ask {
            Ask::Measure => measure(&root, &mut output)?,
            Ask::Read { path, offset, length } => match read(&root, &path, offset, length) {
                Ok((size_bytes, bytes)) => {
                    let length = u32::try_from(bytes.len()).unwrap_or(PIECE_BYTES_MAX);
                    tell(&mut output, &Answer::Content { size_bytes, length })?;
                    output.write_all(&bytes)?;
                    output.flush()?;
                }
                Err(why) => tell(&mut output, &Answer::Failed { why })?,
            },
            Ask::List { path, after, limit } => {
                let listed = list(&root, &path, after.as_ref(), limit);
                tell(&mut output, &listed.unwrap_or_else(|why| Answer::Failed { why }))?;
            }
            Ask::Rename { folder, from, to } => {
                let renamed = rename(&root, &folder, &from, &to);
                let answer = renamed.map_or_else(|why| Answer::Failed { why }, |how| Answer::Renamed { how });
                tell(&mut output, &answer)?;
            }
        }
    }
    Ok(())
}

/// Whether something comes before it has been quiet for too long.
fn is_asked() -> io::Result<bool> {
    let stdin = io::stdin();
    let mut waiting = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut waiting, PollTimeout::from(IDLE_MS_MAX)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn tell(output: &mut impl io::Write, answer: &Answer) -> Result<(), Box<dyn Error>> {
    output.write_all(&frame::encode(answer, ANSWER_BYTES_MAX)?)?;
    output.flush()?;
    Ok(())
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the list of the system, which may grow")]
fn why_folder(errno: Errno) -> Why {
    match errno {
        Errno::ENOENT => Why::Gone,
        Errno::ENOTDIR | Errno::ELOOP => Why::NotAFolder,
        Errno::EACCES | Errno::EPERM => Why::Denied,
        _ => Why::Failed,
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the list of the system, which may grow")]
fn why_file(errno: Errno) -> Why {
    match errno {
        // `O_NOFOLLOW` on a link; a socket, or a FIFO or device with nobody behind it.
        Errno::ELOOP | Errno::ENXIO => Why::NotAFile,
        other => why_folder(other),
    }
}

fn folder_of(root: &OwnedFd, path: &[Name]) -> Result<OwnedFd, Why> {
    if path.len() > DEPTH_MAX {
        return Err(Why::Unasked);
    }
    let mut folder = root.try_clone().map_err(|_| Why::Failed)?;
    for part in path {
        folder = openat(&folder, part.as_bytes(), FLAGS | OFlag::O_DIRECTORY, Mode::empty()).map_err(why_folder)?;
    }
    Ok(folder)
}

/// A folder's names, without its own and its parent's. Opened anew, since reading moves the descriptor that it reads.
fn names(folder: &OwnedFd) -> Result<Vec<Name>, Errno> {
    let mut all = Vec::new();
    let mut opened = Dir::openat(folder, ".", FLAGS | OFlag::O_DIRECTORY, Mode::empty())?;
    for entry in opened.iter() {
        if let Ok(name) = Name::new(entry?.file_name().to_bytes()) {
            all.push(name);
        }
        if all.len() >= FOLDER_ENTRIES_MAX {
            break;
        }
    }
    Ok(all)
}

fn list(root: &OwnedFd, path: &[Name], after: Option<&Name>, limit: u32) -> Result<Answer, Why> {
    let folder = folder_of(root, path)?;
    let mut all = names(&folder).map_err(why_folder)?;
    all.sort_unstable();
    let total = all.len() as u64;
    let limit = limit.clamp(1, PAGE_ENTRIES_MAX) as usize;
    let from = after.map_or(0, |after| all.partition_point(|name| name <= after));
    let has_more = all.len() - from > limit;
    // What is gone meanwhile is left out.
    let entries = all.into_iter().skip(from).take(limit).filter_map(|name| entry(&folder, name));
    let entries: Vec<_> = entries.collect();
    let has_more = has_more && !entries.is_empty();
    Ok(Answer::Listing { entries, total, has_more })
}

fn entry(folder: &OwnedFd, name: Name) -> Option<Entry> {
    let stat = fstatat(folder, name.as_bytes(), AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
    let kind = match kind_of(&stat) {
        SFlag::S_IFDIR => EntryKind::Folder,
        SFlag::S_IFREG => EntryKind::File,
        SFlag::S_IFLNK => EntryKind::Link,
        _ => EntryKind::Special,
    };
    let target = match kind {
        EntryKind::Link => readlinkat(folder, name.as_bytes()).ok().map(|target| {
            let mut bytes = target.as_bytes().to_vec();
            bytes.truncate(TARGET_BYTES_MAX);
            Hex(bytes)
        }),
        EntryKind::Folder | EntryKind::File | EntryKind::Special => None,
    };
    let size_bytes = if kind == EntryKind::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 };
    Some(Entry { name, kind, size_bytes, mode: stat.st_mode & 0o7777, modified_s: stat.st_mtime, target })
}

fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

fn read(root: &OwnedFd, path: &[Name], offset: u64, length: u32) -> Result<(u64, Vec<u8>), Why> {
    let Some((name, folders)) = path.split_last() else { return Err(Why::NotAFile) };
    let folder = folder_of(root, folders)?;
    let fd = openat(&folder, name.as_bytes(), FLAGS, Mode::empty()).map_err(why_file)?;
    // Asked of what is open, so that it is the kind of what will be read.
    let stat = fstat(&fd).map_err(|_| Why::Failed)?;
    if kind_of(&stat) != SFlag::S_IFREG {
        return Err(Why::NotAFile);
    }
    let size_bytes = u64::try_from(stat.st_size).unwrap_or(0);
    let length = u64::from(length.clamp(1, PIECE_BYTES_MAX)).min(size_bytes.saturating_sub(offset));
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let file = File::from(fd);
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            // It was cut meanwhile.
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Why::Failed),
        }
    }
    bytes.truncate(filled);
    Ok((size_bytes, bytes))
}

/// What was found so far.
#[derive(Default)]
struct Found {
    size_bytes: u64,
    files: u64,
    linked: HashSet<(u64, u64)>,
}

fn measure(root: &OwnedFd, output: &mut impl io::Write) -> Result<(), Box<dyn Error>> {
    let mut found = Found::default();
    let mut told = Instant::now();
    // A folder held open for each part of the path, and the names in it that are still to be looked at.
    let mut open_folders = vec![(root.try_clone()?, names(root).unwrap_or_default())];
    while let Some((folder, left)) = open_folders.last_mut() {
        let Some(name) = left.pop() else {
            open_folders.pop();
            continue;
        };
        let Ok(stat) = fstatat(&*folder, name.as_bytes(), AtFlags::AT_SYMLINK_NOFOLLOW) else { continue };
        found.add(&stat);
        if kind_of(&stat) == SFlag::S_IFDIR
            && let Ok(inner) = openat(&*folder, name.as_bytes(), FLAGS | OFlag::O_DIRECTORY, Mode::empty())
            && let Ok(inside) = names(&inner)
            && open_folders.len() < MEASURE_DEPTH_MAX
        {
            open_folders.push((inner, inside));
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            tell(output, &found.answer(Done::NotYet))?;
        }
    }
    tell(output, &found.answer(Done::All))
}

/// Whether that is all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    NotYet,
    All,
}

impl Found {
    fn add(&mut self, stat: &FileStat) {
        self.files += 1;
        let is_known = stat.st_nlink > 1
            && kind_of(stat) != SFlag::S_IFDIR
            && (self.linked.len() >= LINKED_MAX || !self.linked.insert((stat.st_dev, stat.st_ino)));
        if !is_known || self.linked.len() >= LINKED_MAX {
            // stat(2): in units of 512 bytes, whatever the file system's own block is.
            self.size_bytes = self.size_bytes.saturating_add(u64::try_from(stat.st_blocks).unwrap_or(0) * 512);
        }
    }

    fn answer(&self, done: Done) -> Answer {
        Answer::Measured { size_bytes: self.size_bytes, files: self.files, is_done: done == Done::All }
    }
}

/// Moves, never over anything, and leaves a link with the old name for whatever remembers it.
fn rename(root: &OwnedFd, path: &[Name], from: &Name, to: &Name) -> Result<Renaming, Why> {
    let folder = match folder_of(root, path) {
        Ok(folder) => folder,
        Err(Why::Gone) => return Ok(Renaming::Nothing),
        Err(why) => return Err(why),
    };
    let stat = |name: &Name| fstatat(&folder, name.as_bytes(), AtFlags::AT_SYMLINK_NOFOLLOW);
    match stat(from) {
        Ok(found) if kind_of(&found) == SFlag::S_IFLNK => return Ok(link_or_nothing(&folder, from, to)),
        Ok(found) if kind_of(&found) != SFlag::S_IFDIR => return Ok(Renaming::Nothing),
        Ok(_) => {}
        Err(Errno::ENOENT) => {
            // Moved by an earlier try that did not come to leave the link.
            if stat(to).is_err() {
                return Ok(Renaming::Nothing);
            }
            leave_link(&folder, from, to)?;
            return Ok(Renaming::Done);
        }
        Err(errno) => return Err(why_folder(errno)),
    }
    // A link of that name is one that an earlier renaming left: the agent has its old name again.
    if stat(to).is_ok_and(|found| kind_of(&found) == SFlag::S_IFLNK) {
        nix::unistd::unlinkat(&folder, to.as_bytes(), nix::unistd::UnlinkatFlags::NoRemoveDir).map_err(why_folder)?;
    }
    // Of a folder rename(2) replaces at most an empty folder.
    match renameat(&folder, from.as_bytes(), &folder, to.as_bytes()) {
        Ok(()) => {}
        Err(Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR) => return Ok(Renaming::Taken),
        Err(errno) => return Err(why_folder(errno)),
    }
    leave_link(&folder, from, to)?;
    Ok(Renaming::Done)
}

/// The old name is a link already: done by an earlier try where it points to the new one.
fn link_or_nothing(folder: &OwnedFd, from: &Name, to: &Name) -> Renaming {
    let is_ours = readlinkat(folder, from.as_bytes()).is_ok_and(|target| target.as_bytes() == to.as_bytes());
    if is_ours { Renaming::Done } else { Renaming::Nothing }
}

fn leave_link(folder: &OwnedFd, from: &Name, to: &Name) -> Result<(), Why> {
    let target = CString::new(to.as_bytes()).map_err(|_| Why::Unasked)?;
    match symlinkat(target.as_c_str(), folder, from.as_bytes()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(why_folder(errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Home {
        _folder: TempFolder,
        root: OwnedFd,
        path: std::path::PathBuf,
    }

    /// A folder that goes with the test.
    struct TempFolder(std::path::PathBuf);

    impl Drop for TempFolder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn home(test: &str) -> Home {
        let path = std::env::temp_dir().join(format!("berth-browse-{}-{test}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        let root = open(&path, FLAGS | OFlag::O_DIRECTORY, Mode::empty()).unwrap();
        Home { _folder: TempFolder(path.clone()), root, path }
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn listed(home: &Home, path: &[Name], after: Option<&Name>, limit: u32) -> (Vec<String>, u64, bool) {
        let Ok(Answer::Listing { entries, total, has_more }) = list(&home.root, path, after, limit) else {
            panic!("no listing")
        };
        let text = |entry: &Entry| format!("{:?} {}", entry.kind, String::from_utf8_lossy(entry.name.as_bytes()));
        (entries.iter().map(text).collect(), total, has_more)
    }

    #[test]
    fn a_folder_is_told_in_pages_by_name() {
        let home = home("pages");
        for text in ["c", "a", "b", "d"] {
            std::fs::write(home.path.join(text), text).unwrap();
        }
        assert_eq!(listed(&home, &[], None, 3), (vec!["File a".into(), "File b".into(), "File c".into()], 4, true));
        assert_eq!(listed(&home, &[], Some(&name("c")), 3), (vec!["File d".into()], 4, false));
        assert_eq!(listed(&home, &[], Some(&name("zz")), 3), (vec![], 4, false));
    }

    #[test]
    fn no_link_is_followed_and_no_fifo_is_waited_for() {
        let home = home("links");
        std::fs::create_dir(home.path.join("inside")).unwrap();
        std::fs::write(home.path.join("inside/secret"), "s").unwrap();
        symlink("/etc", home.path.join("out")).unwrap();
        symlink("inside", home.path.join("in")).unwrap();
        symlink("/etc/passwd", home.path.join("file-link")).unwrap();
        nix::unistd::mkfifo(&home.path.join("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
        let (entries, ..) = listed(&home, &[], None, 10);
        assert_eq!(entries, ["Special fifo", "Link file-link", "Link in", "Folder inside", "Link out"]);
        for through in ["out", "in", "file-link"] {
            assert_eq!(list(&home.root, &[name(through)], None, 5), Err(Why::NotAFolder), "{through}");
            assert_eq!(read(&home.root, &[name(through), name("secret")], 0, 5), Err(Why::NotAFolder), "{through}");
            assert_eq!(read(&home.root, &[name(through)], 0, 5), Err(Why::NotAFile), "{through}");
        }
        assert_eq!(read(&home.root, &[name("fifo")], 0, 5), Err(Why::NotAFile));
        assert_eq!(read(&home.root, &[name("inside")], 0, 5), Err(Why::NotAFile));
        assert_eq!(read(&home.root, &[name("inside"), name("secret")], 0, 5), Ok((1, b"s".to_vec())));
        assert_eq!(read(&home.root, &[name("nowhere")], 0, 5), Err(Why::Gone));
    }

    #[test]
    fn a_file_is_read_in_pieces() {
        let home = home("pieces");
        std::fs::write(home.path.join("file"), b"0123456789").unwrap();
        let piece = |offset, length| read(&home.root, &[name("file")], offset, length).unwrap();
        assert_eq!(piece(2, 3), (10, b"234".to_vec()));
        assert_eq!(piece(8, 100), (10, b"89".to_vec()));
        assert_eq!(piece(u64::MAX, 5), (10, Vec::new()));
    }

    #[test]
    fn what_has_several_names_is_measured_once() {
        let home = home("measure");
        std::fs::create_dir_all(home.path.join("a/b")).unwrap();
        std::fs::write(home.path.join("a/b/file"), vec![1; 1 << 20]).unwrap();
        std::fs::hard_link(home.path.join("a/b/file"), home.path.join("again")).unwrap();
        symlink("/", home.path.join("everything")).unwrap();
        let mut output = Vec::new();
        measure(&home.root, &mut output).unwrap();
        let Answer::Measured { size_bytes, files, is_done } = serde_json::from_slice(&output[4..]).unwrap() else {
            panic!("not measured")
        };
        assert_eq!((files, is_done), (5, true));
        assert!((1 << 20..(1 << 20) + (64 << 10)).contains(&size_bytes), "{size_bytes}");
    }

    #[test]
    fn a_folder_gets_another_name_and_leaves_a_link_however_often_it_is_asked() {
        let home = home("rename");
        let vault = home.path.join("clawvault");
        std::fs::create_dir_all(vault.join("old")).unwrap();
        std::fs::write(vault.join("old/notes.md"), "kept").unwrap();
        let ask = |from, to| rename(&home.root, &[name("clawvault")], &name(from), &name(to));
        for _ in 0..2 {
            assert_eq!(ask("old", "new"), Ok(Renaming::Done));
            assert_eq!(std::fs::read_to_string(vault.join("new/notes.md")).unwrap(), "kept");
            assert_eq!(std::fs::read_link(vault.join("old")).unwrap(), Path::new("new"));
        }
        // A crash between the two halves.
        std::fs::remove_file(vault.join("old")).unwrap();
        assert_eq!(ask("old", "new"), Ok(Renaming::Done));
        assert_eq!(std::fs::read_link(vault.join("old")).unwrap(), Path::new("new"));
        // And back again.
        assert_eq!(ask("new", "old"), Ok(Renaming::Done));
        assert_eq!(std::fs::read_to_string(vault.join("old/notes.md")).unwrap(), "kept");
        // Never over anything.
        std::fs::create_dir(vault.join("other")).unwrap();
        std::fs::write(vault.join("other/file"), "").unwrap();
        std::fs::write(vault.join("file"), "").unwrap();
        assert_eq!(ask("old", "other"), Ok(Renaming::Taken));
        assert_eq!(ask("old", "file"), Ok(Renaming::Taken));
        assert_eq!(ask("file", "third"), Ok(Renaming::Nothing), "only a folder is anybody's memory");
        assert_eq!(ask("nobody", "nothing"), Ok(Renaming::Nothing));
        assert_eq!(rename(&home.root, &[name("nowhere")], &name("a"), &name("b")), Ok(Renaming::Nothing));
    }
}
