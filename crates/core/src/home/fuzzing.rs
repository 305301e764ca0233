//! Archives of homes, for the fuzz targets.

#![allow(clippy::missing_panics_doc, clippy::panic, reason = "a find is a panic")]

use std::io::Read as _;

use super::archive::{ArchiveError, Beginning, Carried, Memory, Route, carry as carry_archive, comment_of};
use super::{HOME_PREFIX, HOME_STRIP, SEED_BYTES_MAX, beginning};
use crate::fuzzing::shown;
use crate::owner::Owner;

/// To whom everything belongs, whatever an archive says.
const OWNER: Owner = Owner { uid: 1000, gid: 1000 };
/// Five blocks for one that was there: name and target may be too long for a header only behind the prefix.
const GROWTH_MAX: usize = 5;
/// What is written before anything that was in the archive, and the mark of its end.
const BEGINNING_BYTES_MAX: usize = 16 * 1024;

/// Carries an archive each way. What comes out lies in the home, is its owner's and nobody's setuid, and is accepted when it comes
/// again.
pub(crate) fn carry(archive: &[u8]) {
    let outward = Beginning { comment: Some(comment_of("other")), ..Beginning::default() };
    way(archive, None, HOME_PREFIX, &beginning("agent"));
    way(archive, Some(HOME_STRIP), "", &outward);
    way(archive, Some(HOME_STRIP), HOME_PREFIX, &beginning("agent"));
}

fn way(archive: &[u8], strip: Option<&'static str>, prefix: &'static str, beginning: &Beginning) {
    let (carried, tar) = match carried(archive, strip, prefix, beginning) {
        Ok(both) => both,
        Err(error) => return shown(&error.to_string()),
    };
    carried.left_out.iter().for_each(|name| shown(name));
    assert!(tar.len() <= GROWTH_MAX * archive.len() + BEGINNING_BYTES_MAX, "{} bytes of {}", tar.len(), archive.len());
    let entries = entries_beneath(prefix, &tar);
    let (again, _) = match carried_again(&tar, prefix) {
        Ok(both) => both,
        // What was as long as a path may be is longer by the prefix.
        Err(ArchiveError::TooMuch { .. }) => return,
        Err(error) => panic!("what was written is refused: {error}"),
    };
    assert_eq!((again.entries, again.bytes, again.left_out_total), (entries, carried.bytes, 0));
}

fn carried(
    archive: &[u8],
    strip: Option<&'static str>,
    prefix: &'static str,
    beginning: &Beginning,
) -> Result<(Carried, Vec<u8>), ArchiveError> {
    let memory = if prefix.is_empty() { Memory::Kept } else { Memory::Of("agent".to_owned()) };
    let route = Route { strip, prefix, owner: OWNER, memory, bytes_max: SEED_BYTES_MAX };
    let mut tar = Vec::new();
    let carried = carry_archive(Some(&mut &*archive), &mut tar, route, beginning)?;
    Ok((carried, tar))
}

fn carried_again(archive: &[u8], prefix: &'static str) -> Result<(Carried, Vec<u8>), ArchiveError> {
    let strip = if prefix.is_empty() { None } else { Some("home") };
    carried(archive, strip, "", &Beginning::default())
}

/// How many entries there are, each of which lies beneath `prefix`; as the crate reads them that everybody uses.
fn entries_beneath(prefix: &str, archive: &[u8]) -> u64 {
    let mut count = 0;
    for entry in tar::Archive::new(archive).entries().expect("a slice can be read") {
        let mut entry = entry.expect("what was written can be read");
        let header = entry.header().clone();
        let length = entry.read_to_end(&mut Vec::new()).expect("what was written can be read");
        if header.entry_type() == tar::EntryType::XGlobalHeader {
            continue;
        }
        let path = entry.path_bytes().into_owned();
        assert!(path.starts_with(prefix.as_bytes()) && !path.starts_with(b"/"), "{path:?}");
        assert!(path.split(|byte| *byte == b'/').all(|part| part != b".."), "{path:?}");
        assert_eq!((header.uid().ok(), header.gid().ok()), (Some(OWNER.uid.into()), Some(OWNER.gid.into())));
        assert!(header.mode().is_ok_and(|mode| mode & !0o777 == 0));
        assert_eq!(header.size().ok(), Some(length as u64));
        count += 1;
    }
    count
}
