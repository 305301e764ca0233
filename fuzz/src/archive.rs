//! Archives: those that an engine gives back, of folders in which something hostile may have written, and homes that a person imports.
//!
//! A tar's headers carry a checksum, so random bytes are refused by it. An input is read as entries, whose names, kinds, sizes and
//! contents are the input's, lies about sizes among them; every eighth one is taken as it is.

use tar::EntryType;

use crate::target::Input;

const PROCESS: &str = "00000000000000000000000000000001";
const BLOCK_BYTES: usize = 512;
/// Room for a link's target in a header.
const LINK_BYTES: usize = 100;

fn names() -> [String; 12] {
    [
        format!("run/{PROCESS}/output.00000000000000000000"),
        format!("run/{PROCESS}/output.00000000000000000003"),
        format!("{PROCESS}/output.18446744073709551615"),
        format!("run/{PROCESS}/exit.json"),
        format!("run/{PROCESS}/start.json"),
        format!("run/{PROCESS}/report"),
        "berth/berth-guest".to_owned(),
        "run/../../../etc/passwd".to_owned(),
        "agent/".to_owned(),
        "agent/clawvault/other/note".to_owned(),
        "agent/run-workspace".to_owned(),
        "agent/run-workspace/deep".to_owned(),
    ]
}

const KINDS: [EntryType; 11] = [
    EntryType::Regular,
    EntryType::Link,
    EntryType::Symlink,
    EntryType::Fifo,
    EntryType::Directory,
    EntryType::GNUSparse,
    EntryType::GNULongName,
    EntryType::XHeader,
    EntryType::Char,
    EntryType::GNULongLink,
    EntryType::XGlobalHeader,
];

/// Files, links' targets and extended headers (POSIX.1-2017, pax), whose records begin with their own length.
const CONTENTS: [&[u8]; 8] = [
    br#"{"status":{"status":"exited","code":2},"end":3}"#,
    br#"{"program":"x","boot":"y","started_unix_ms":1}"#,
    b"abc",
    b"agent/run-workspace",
    b"24 path=agent/x/../../y\n",
    b"22 linkpath=/etc/shad\n29 size=18446744073709551615\n",
    b"35 comment=berth home of clawvault\n",
    b"23 GNU.sparse.major=10\n",
];

fn archive(data: &[u8]) -> Vec<u8> {
    let mut input = Input::new(data);
    if input.byte() % 8 == 7 {
        return input.bytes(data.len()).to_vec();
    }
    let names = names();
    let mut bytes = Vec::new();
    while !input.is_empty() {
        let (kind, which, content) = (input.byte(), input.byte(), input.byte());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(KINDS[usize::from(kind) % KINDS.len()]);
        header.set_mode(u32::from(input.byte()));
        header.set_uid(u64::from(input.byte() % 2));
        header.set_gid(0);
        let name = match names.get(usize::from(which)) {
            Some(name) => name.as_bytes(),
            None => input.bytes(usize::from(which % 100)),
        };
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        let mut content = match CONTENTS.get(usize::from(content)) {
            Some(content) => content,
            None => input.bytes(usize::from(content)),
        };
        if header.entry_type().is_symlink() || header.entry_type().is_hard_link() {
            let target = content.get(..LINK_BYTES).unwrap_or(content);
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
            content = &[];
        }
        // What it says of its size: mostly the truth.
        let said = if kind < 200 { content.len() as u64 } else { u64::from(input.number()) << (kind % 32) };
        header.set_size(said);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK_BYTES, 0);
    bytes
}

pub(crate) fn spool(data: &[u8]) {
    let archive = archive(data);
    let recovered = berth_core::fuzzing::spool(
        &archive,
        pipe::ProcessId::from(1),
        u64::from(data.first().copied().unwrap_or(0) % 5),
    );
    assert!(recovered <= archive.len(), "more than there was");
}

pub(crate) fn guest_volume(data: &[u8]) {
    berth_core::fuzzing::guest_volume(&archive(data));
}

/// A home on its way in, out, and out of an image.
pub(crate) fn home(data: &[u8]) {
    berth_core::fuzzing::home_archive(&archive(data));
}

pub(crate) fn spool_seeds() -> Vec<Vec<u8>> {
    let mut whole = vec![0];
    for (named, content) in [(4, 1), (0, 2), (1, 2), (3, 0), (5, 2)] {
        whole.extend([0, named, content, 0o111, 0]);
    }
    let every_kind = (0..11).map(|kind| vec![0, kind, 0, 2, 0o111, 0, kind, 3, 0, 0, 0]);
    every_kind.chain([whole, vec![0, 200, 0, 2, 0, 0, 0, 0, 1, 0]]).collect()
}

pub(crate) fn guest_volume_seeds() -> Vec<Vec<u8>> {
    let mut seeds = spool_seeds();
    seeds.push(vec![0, 0, 6, 2, 0o111, 0]);
    seeds
}

pub(crate) fn home_seeds() -> Vec<Vec<u8>> {
    let home = [[4, 8, 2, 0o111, 0], [0, 9, 2, 0o111, 0], [2, 10, 3, 0, 0], [1, 11, 3, 0, 0], [0, 11, 2, 0, 0]];
    let named = (3..8).flat_map(|content| [7, 10].map(|kind| vec![0, kind, 9, content, 0, 0, 0, 9, 2, 0, 0]));
    let long_names = [6, 9].map(|kind| [&[0, kind, 9, 120, 0, 0][..], &[b'n'; 120], &[0, 9, 2, 0, 0]].concat());
    let mut seeds = spool_seeds();
    seeds.push([&[0][..], &home.concat()].concat());
    seeds.extend(named.chain(long_names));
    seeds
}
