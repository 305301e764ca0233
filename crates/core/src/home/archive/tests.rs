use std::io::Cursor;

use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::write::pax_record;
use super::*;

const OWNER: Owner = Owner { uid: 1000, gid: 1000 };

fn route() -> Route {
    Route { strip: None, prefix: "home/agent", owner: OWNER, memory: Memory::Kept, bytes_max: 1 << 20 }
}

fn home() -> Beginning {
    Beginning {
        comment: None,
        folders: ["", "clawvault"].map(str::to_owned).to_vec(),
        links: vec![("run-workspace".to_owned(), "/workspace".to_owned())],
    }
}

fn carried_by(tar: &[u8], route: Route, beginning: &Beginning) -> Result<(Carried, Vec<u8>), ArchiveError> {
    let mut output = Vec::new();
    let carried = carry(Some(&mut Cursor::new(tar)), &mut output, route, beginning)?;
    Ok((carried, output))
}

/// What comes out of a home's import, an entry a line.
fn imported(tar: &[u8]) -> Result<Vec<String>, ArchiveError> {
    carried_by(tar, route(), &home()).map(|(_, output)| lines(&output))
}

/// The entries of an archive, read by the crate that everybody uses.
fn lines(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        let target = entry.link_name_bytes().map(|target| format!(" -> {}", String::from_utf8_lossy(&target)));
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (1000, 1000), "{path}");
        format!("{:?} {path}{} {:o} {content}", header.entry_type(), target.unwrap_or_default(), header.mode().unwrap())
            .trim_end()
            .to_owned()
    });
    entries.collect()
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    // An owner that must not survive.
    header.set_uid(0);
    header.set_gid(4_242);
    header
}

/// Writes an entry with whatever name: the crate itself would refuse the odd ones.
fn odd(builder: &mut Builder<Vec<u8>>, kind: EntryType, name: &[u8], target: &[u8], mode: u32, content: &[u8]) {
    let mut header = header(kind, mode, content.len() as u64);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

/// An entry's kind, its name and where it points.
type Listed = (EntryType, &'static str, &'static str);

fn tar_of(entries: &[Listed]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, target) in entries {
        let content: &[u8] = if *kind == EntryType::Regular { b"x" } else { b"" };
        odd(&mut builder, *kind, name.as_bytes(), target.as_bytes(), 0o644, content);
    }
    builder.into_inner().unwrap()
}

const FILE: EntryType = EntryType::Regular;
const FOLDER: EntryType = EntryType::Directory;
const SYMLINK: EntryType = EntryType::Symlink;
const HARD_LINK: EntryType = EntryType::Link;

#[test]
fn a_home_keeps_its_files_and_gets_an_owner_and_a_layout() {
    let mut builder = Builder::new(Vec::new());
    odd(&mut builder, FOLDER, b"./", b"", 0o500, b"");
    odd(&mut builder, FILE, b"./.bashrc", b"", 0o4755, b"alias");
    odd(&mut builder, SYMLINK, b"./bin", b"/usr/bin", 0o777, b"");
    odd(&mut builder, HARD_LINK, b"./again", b"./.bashrc", 0o644, b"");
    let long = format!("clawvault/{}/notes.md", "n".repeat(150));
    builder.append_data(&mut header(FILE, 0o600, 4), &long, &b"note"[..]).unwrap();
    let tar = builder.into_inner().unwrap();
    assert_eq!(
        imported(&tar).unwrap(),
        [
            "Directory home/agent/ 755",
            "Directory home/agent/clawvault/ 755",
            "Symlink home/agent/run-workspace -> /workspace 777",
            "Directory home/agent/ 700",
            "Regular home/agent/.bashrc 755 alias",
            "Symlink home/agent/bin -> /usr/bin 777",
            "Link home/agent/again -> home/agent/.bashrc 644",
            &format!("Regular home/agent/{long} 600 note"),
        ]
    );
}

#[test]
fn an_archive_that_leads_out_is_refused_as_a_whole() {
    let cases: &[(&str, &[Listed])] = &[
        ("absolute", &[(FILE, "/etc/passwd", "")]),
        ("dots", &[(FILE, "a/../../etc/passwd", "")]),
        ("only dots", &[(FOLDER, "..", "")]),
        ("beneath a link", &[(SYMLINK, "a", "/etc"), (FILE, "a/passwd", "")]),
        ("deep beneath a link", &[(FOLDER, "b", ""), (SYMLINK, "b/a", ".."), (FILE, "b/a/c/d", "")]),
        ("a link and then a file", &[(SYMLINK, "a", "/etc/passwd"), (FILE, "a", "")]),
        ("a link and then a folder", &[(SYMLINK, "a", "/etc"), (FOLDER, "a", "")]),
        ("a hard link out", &[(HARD_LINK, "a", "/etc/passwd")]),
        ("a hard link with dots", &[(HARD_LINK, "a", "../../etc/passwd")]),
        ("a hard link through a link", &[(SYMLINK, "a", "/etc"), (HARD_LINK, "b", "a/passwd")]),
        ("a second name of a link", &[(SYMLINK, "a", "/etc"), (HARD_LINK, "b", "a"), (FILE, "b/passwd", "")]),
        ("a link to nothing", &[(SYMLINK, "a", "")]),
    ];
    for (what, entries) in cases {
        let refused = imported(&tar_of(entries));
        assert!(matches!(refused, Err(ArchiveError::LeadsOut { .. })), "{what}: {refused:?}");
    }
    // The same names by the headers that carry long ones.
    for (kind, name) in [(EntryType::GNULongName, &b"../../out\0"[..]), (EntryType::XHeader, b"18 path=../../out\n")] {
        let mut builder = Builder::new(Vec::new());
        odd(&mut builder, kind, b"extended", b"", 0o644, name);
        odd(&mut builder, FILE, b"harmless", b"", 0o644, b"x");
        let refused = imported(&builder.into_inner().unwrap());
        assert!(matches!(refused, Err(ArchiveError::LeadsOut { .. })), "{kind:?}: {refused:?}");
    }
}

#[test]
fn what_no_home_holds_is_left_out_and_told() {
    let tar = tar_of(&[
        (EntryType::Char, "tty\u{1b}[2J", ""),
        (EntryType::Block, "disk", ""),
        (EntryType::Fifo, "fifo", ""),
        (FILE, "kept", ""),
        // An agent may have made a folder of what every home has a link for, and its export has to be good for an import.
        (FOLDER, "run-workspace", ""),
        (FILE, "run-workspace/own", ""),
        (SYMLINK, "run-workspace/deep/own", "/etc"),
        // A clone of a repository in there shares its objects.
        (EntryType::Link, "task-workspaces/own", "run-workspace/own"),
    ]);
    let (carried, output) = carried_by(&tar, route(), &home()).unwrap();
    assert_eq!((carried.entries, carried.left_out_total), (1, 7));
    assert_eq!(lines(&output).len(), 4, "the layout, and what was kept: {:?}", lines(&output));
    assert!(carried.left_out[0].starts_with("tty\\u{1b}[2J: "), "{:?}", carried.left_out);
    assert_eq!(lines(&output).last().unwrap(), "Regular home/agent/kept 644 x");
}

#[test]
fn what_is_beyond_a_bound_is_refused_before_it_is_read() {
    let refused = |kind, size: u64| {
        let mut header = header(kind, 0o644, size);
        header.as_old_mut().name[..1].copy_from_slice(b"a");
        header.set_cksum();
        // Nothing follows: a reader that believed the size would find the end first.
        imported(header.as_bytes()).unwrap_err()
    };
    for (kind, size) in [
        (EntryType::GNULongName, 10 << 30),
        (EntryType::GNULongLink, 10 << 30),
        (EntryType::XHeader, 10 << 30),
        (EntryType::XGlobalHeader, 10 << 30),
        (FILE, u64::MAX / 2),
    ] {
        let error = refused(kind, size);
        assert!(matches!(error, ArchiveError::TooMuch { .. }), "{kind:?}: {error}");
    }
    let sparse = imported(&tar_of(&[(EntryType::GNUSparse, "bomb", "")])).unwrap_err();
    assert!(matches!(sparse, ArchiveError::LeadsOut { .. }), "{sparse}");
    let mut builder = Builder::new(Vec::new());
    odd(&mut builder, EntryType::XHeader, b"pax", b"", 0o644, b"22 GNU.sparse.major=1\n");
    odd(&mut builder, FILE, b"bomb", b"", 0o644, b"x");
    let sparse = imported(&builder.into_inner().unwrap()).unwrap_err();
    assert!(matches!(sparse, ArchiveError::LeadsOut { .. }), "{sparse}");
}

#[test]
fn an_archive_that_breaks_off_anywhere_is_not_whole() {
    let tar = tar_of(&[(FILE, "a", ""), (FOLDER, "b", ""), (FILE, "b/c", "")]);
    // The end's own mark is one block of zeros; what follows only pads.
    let end = tar.len() - BLOCK_BYTES;
    for length in 0..end {
        let cut = imported(&tar[..length]);
        assert!(matches!(cut, Err(ArchiveError::Cut { .. } | ArchiveError::NotTar { .. })), "{length}: {cut:?}");
    }
    assert!(imported(&tar[..end]).is_ok());
}

#[test]
fn what_is_no_tar_is_called_what_it_is() {
    for (start, hint) in [(&[0x1f, 0x8b, 8, 0][..], "gunzip"), (b"PK\x03\x04", "ZIP"), (b"hello", "no tar")] {
        let mut bytes = start.to_vec();
        bytes.resize(2048, b'.');
        let error = imported(&bytes).unwrap_err();
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn an_export_tells_whose_home_it_was_and_its_memory_goes_along() {
    let tar =
        tar_of(&[(FOLDER, "agent/", ""), (FOLDER, "agent/clawvault/ada", ""), (FILE, "agent/clawvault/ada/notes", "")]);
    let out = Route { strip: Some("agent"), prefix: "", ..route() };
    let comment = Beginning { comment: Some(comment_of("ada")), ..Beginning::default() };
    let (_, exported) = carried_by(&tar, out, &comment).unwrap();
    let names: Vec<_> = lines(&exported).into_iter().skip_while(|line| line.starts_with("XGlobal")).collect();
    assert_eq!(names, ["Directory ./ 744", "Directory clawvault/ada/ 644", "Regular clawvault/ada/notes 644 x"]);

    let into_bob = Route { memory: Memory::Of("bob".to_owned()), ..route() };
    let (_, imported) = carried_by(&exported, into_bob, &Beginning::default()).unwrap();
    assert_eq!(lines(&imported).last().unwrap(), "Regular home/agent/clawvault/bob/notes 644 x");
}

#[test]
fn a_file_larger_than_eight_gigabytes_keeps_its_size() {
    // What docker writes where the size does not fit: an extended header, and zero in the field itself.
    let size: u64 = 9 << 30;
    let mut tar = Vec::new();
    let record = pax_record("size", size.to_string().as_bytes());
    let mut extended = header(EntryType::XHeader, 0o644, record.len() as u64);
    extended.set_cksum();
    tar.extend_from_slice(extended.as_bytes());
    tar.extend_from_slice(&record);
    tar.resize(tar.len().next_multiple_of(BLOCK_BYTES), 0);
    let mut file = header(FILE, 0o644, 0);
    file.as_old_mut().name[..3].copy_from_slice(b"big");
    file.set_cksum();
    tar.extend_from_slice(file.as_bytes());
    let mut input = Cursor::new(tar).chain(io::repeat(0).take(size)).chain(&[0; 1024][..]);
    let mut output = Counting::default();
    let big = Route { bytes_max: u64::MAX, ..route() };
    let carried = carry(Some(&mut input), &mut output, big, &Beginning::default()).unwrap();
    assert_eq!((carried.entries, carried.bytes), (1, size));
    assert_eq!(output.bytes, size + 512 + 1024, "a header, the content, the end");
    let written = Header::from_byte_slice(&output.first[..512]);
    assert_eq!(written.entry_size().unwrap(), size);
}

/// Counts what is written and keeps the beginning of it.
#[derive(Default)]
struct Counting {
    bytes: u64,
    first: Vec<u8>,
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        if self.first.len() < 512 {
            self.first.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

proptest! {
    /// Whatever comes in: no panic, and what goes out stays in the home and is an archive.
    #[test]
    fn any_bytes_are_carried_or_refused(
        names in prop::collection::vec(("[a-c./]{1,12}", "[a-c./]{0,12}", 0_u8..10), 0..8),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let kinds = b"0123456LKx";
        let mut builder = Builder::new(Vec::new());
        for (name, target, kind) in &names {
            let kind = EntryType::new(kinds[usize::from(*kind)]);
            odd(&mut builder, kind, name.as_bytes(), target.as_bytes(), 0o7777, b"12 path=../a");
        }
        let mut tar = builder.into_inner().unwrap();
        for (at, byte) in flips {
            let at = at.index(tar.len());
            tar[at] = byte;
        }
        if let Ok((_, output)) = carried_by(&tar, route(), &home()) {
            for entry in tar::Archive::new(output.as_slice()).entries().unwrap() {
                let entry = entry.unwrap();
                let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                prop_assert!(path.starts_with("home/agent/"), "{}", path);
                prop_assert!(!path.split('/').any(|part| part == ".."), "{}", path);
                prop_assert_eq!(entry.header().mode().unwrap() & 0o7000, 0);
            }
        }
    }
}
