//! Folders and files of a home, as a person sees them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::VolumeName;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use pipe::browse::{Entry, EntryKind as Kind, Name};
use store::HomeState;
use wire::{
    ErrorCode, ErrorView,
    call::{BrowseHome, ReadHome},
    view::{ContentView, EntryKind, FolderEntry, FolderView},
};

use super::list::find;
use super::reader::{self, Readable};
use crate::house::House;
use crate::{escape, faults};

/// Entries of a page where a call names no number.
const PAGE_DEFAULT: u32 = 500;
/// Bytes of a piece where a call names no number.
const PIECE_DEFAULT: u32 = 256 << 10;
/// What of a path stays as it is in a key.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// What a folder holds.
pub(crate) async fn browse(house: &Arc<House>, call: &BrowseHome) -> Result<FolderView, ErrorView> {
    let home = readable(house, &call.home).await?;
    let path = path_of(&call.key)?;
    let after = match call.after.as_str() {
        "" => None,
        name => Some(path_of(name)?.pop().ok_or_else(|| no_path(name))?),
    };
    let limit = if call.limit == 0 { PAGE_DEFAULT } else { call.limit };
    let page = reader::list(house, &home, path.clone(), after, limit).await?;
    let key = key_of(&path);
    let next = page.entries.last().filter(|_| page.has_more).map(|last| key_of(std::slice::from_ref(&last.name)));
    Ok(FolderView {
        path: escape::visible(&bytes_of(&path)),
        entries: page.entries.into_iter().map(|entry| shown(&path, entry)).collect(),
        total: page.total,
        key,
        next,
    })
}

/// A piece of a file.
pub(crate) async fn read(house: &Arc<House>, call: &ReadHome) -> Result<ContentView, ErrorView> {
    let home = readable(house, &call.home).await?;
    let length = if call.length == 0 { PIECE_DEFAULT } else { call.length };
    let piece = reader::read(house, &home, path_of(&call.key)?, call.offset, length).await?;
    Ok(ContentView { base64: STANDARD.encode(&piece.bytes), offset: call.offset, size_bytes: piece.size_bytes })
}

async fn readable(house: &Arc<House>, name: &str) -> Result<Readable, ErrorView> {
    house.link.looked_for().await;
    let home = find(house, name).await?;
    if home.state == HomeState::New {
        let message = format!("The home of `{}` holds nothing yet: it is made at its first use.", home.agent_name);
        return Err(ErrorView::new(ErrorCode::NotNow, message).hint("Give the agent a task first."));
    }
    let volume = VolumeName::parse(home.volume.as_str())
        .map_err(|error| faults::internal("understand the name of a home", &error))?;
    Ok(Readable { agent: home.agent, volume })
}

fn shown(folder: &[Name], entry: Entry) -> FolderEntry {
    let mut path = folder.to_vec();
    let name = escape::visible(entry.name.as_bytes());
    path.push(entry.name);
    FolderEntry {
        name,
        key: key_of(&path),
        kind: match entry.kind {
            Kind::Folder => EntryKind::Folder,
            Kind::File => EntryKind::File,
            Kind::Link => EntryKind::Link,
            Kind::Special => EntryKind::Special,
        },
        size_bytes: entry.size_bytes,
        mode: entry.mode & 0o7777,
        modified_at: Timestamp::from_second(entry.modified_s).ok(),
        target: entry.target.map(|target| escape::visible(&target.0)),
    }
}

fn bytes_of(path: &[Name]) -> Vec<u8> {
    path.iter().map(Name::as_bytes).collect::<Vec<_>>().join(&b'/')
}

fn key_of(path: &[Name]) -> String {
    percent_encode(&bytes_of(path), PLAIN).to_string()
}

/// The parts of a key. A path has no `.` and `..`, since nobody made such a key.
fn path_of(key: &str) -> Result<Vec<Name>, ErrorView> {
    let bytes: Vec<u8> = percent_decode_str(key).collect();
    let parts = bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    let path: Result<Vec<_>, _> = parts.map(Name::new).collect();
    path.ok().filter(|path| path.len() <= pipe::browse::DEPTH_MAX).ok_or_else(|| no_path(key))
}

fn no_path(key: &str) -> ErrorView {
    let shown = escape::visible(key.as_bytes());
    ErrorView::new(ErrorCode::InvalidArgument, format!("`{shown}` is no path in a home."))
        .hint("Give a path below the home, without `..`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_as_it_was_written_and_leads_nowhere_else() {
        let odd = vec![Name::new(b"a b%".to_vec()).unwrap(), Name::new(b"\xff\n\xe2\x80\xae".to_vec()).unwrap()];
        assert_eq!(key_of(&odd), "a%20b%25/%FF%0A%E2%80%AE");
        assert_eq!(path_of(&key_of(&odd)).unwrap(), odd);
        assert_eq!(path_of("").unwrap(), []);
        for key in ["..", "a/../b", "a/%2e%2e/b", ".", "a%00b", &"x".repeat(256)] {
            assert!(path_of(key).is_err(), "{key}");
        }
        // An encoded slash is a slash: it only names another path below the same home.
        assert_eq!(path_of("a%2Fb").unwrap(), path_of("a/b").unwrap());
    }
}
