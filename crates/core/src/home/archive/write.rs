//! The tar that is written: plain headers of one owner, and nothing that was in the old one unasked.

use std::io::Write;

use tar::{EntryType, Header};

use super::{ArchiveError, BLOCK_BYTES};
use crate::owner::Owner;

/// What fits into a header's own fields.
const SHORT_NAME_BYTES_MAX: usize = 100;

/// An entry as it is understood.
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) path: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) size_bytes: u64,
    pub(super) mode: u32,
    pub(super) modified_s: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Symlink,
    HardLink,
}

/// Where a tar goes to.
pub(super) struct Writer<'a> {
    pub(super) output: &'a mut dyn Write,
    /// To whom everything belongs.
    pub(super) owner: Owner,
    /// This goes before each path: without slashes at its ends, empty for none.
    pub(super) prefix: &'static str,
}

impl Writer<'_> {
    /// A comment on the archive as a whole.
    pub(super) fn comment(&mut self, text: &str) -> Result<(), ArchiveError> {
        let record = pax_record("comment", text.as_bytes());
        self.header(EntryType::XGlobalHeader, b"pax_global_header", &[], record.len() as u64, 0o644, 0)?;
        self.padded(&record)
    }

    /// Bytes of an entry's content, the padding at its end included.
    pub(super) fn content(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.output.write_all(bytes).map_err(ArchiveError::Carry)
    }

    /// The mark of the end.
    pub(super) fn end(&mut self) -> Result<(), ArchiveError> {
        self.content(&[0; 2 * BLOCK_BYTES])?;
        self.output.flush().map_err(ArchiveError::Carry)
    }

    /// An entry's header; its content, padded, comes next.
    pub(super) fn entry(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        let (kind, ending) = match entry.kind {
            Kind::File => (EntryType::Regular, ""),
            Kind::Folder => (EntryType::Directory, "/"),
            Kind::Symlink => (EntryType::Symlink, ""),
            Kind::HardLink => (EntryType::Link, ""),
        };
        let placed = |path: &[u8], ending: &str| {
            let prefix = self.prefix.as_bytes();
            let mut whole = prefix.to_vec();
            if !prefix.is_empty() && !path.is_empty() {
                whole.push(b'/');
            }
            if prefix.is_empty() && path.is_empty() {
                whole.push(b'.');
            }
            whole.extend_from_slice(path);
            whole.extend_from_slice(ending.as_bytes());
            whole
        };
        let path = placed(&entry.path, ending);
        let target = if entry.kind == Kind::HardLink { placed(&entry.target, "") } else { entry.target.clone() };
        self.header(kind, &path, &target, entry.size_bytes, entry.mode, entry.modified_s)
    }

    /// A header, behind one with its name or target where those are too long for it.
    fn header(
        &mut self,
        kind: EntryType,
        path: &[u8],
        target: &[u8],
        size_bytes: u64,
        mode: u32,
        modified_s: u64,
    ) -> Result<(), ArchiveError> {
        for (kind, text) in [(EntryType::GNULongName, path), (EntryType::GNULongLink, target)] {
            if text.len() > SHORT_NAME_BYTES_MAX {
                let mut header = self.plain_header(kind, 0o644, 0);
                header.set_size(text.len() as u64 + 1);
                set_name(&mut header, b"././@LongLink");
                self.put_header(&mut header)?;
                let mut content = text.to_vec();
                content.push(0);
                self.padded(&content)?;
            }
        }
        let mut header = self.plain_header(kind, mode, modified_s);
        header.set_size(size_bytes);
        set_name(&mut header, path);
        let length = target.len().min(SHORT_NAME_BYTES_MAX);
        header.as_old_mut().linkname[..length].copy_from_slice(&target[..length]);
        self.put_header(&mut header)
    }

    fn plain_header(&self, kind: EntryType, mode: u32, modified_s: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(modified_s);
        header.set_uid(self.owner.uid.into());
        header.set_gid(self.owner.gid.into());
        header
    }

    fn put_header(&mut self, header: &mut Header) -> Result<(), ArchiveError> {
        header.set_cksum();
        self.output.write_all(header.as_bytes()).map_err(ArchiveError::Carry)
    }

    fn padded(&mut self, content: &[u8]) -> Result<(), ArchiveError> {
        let padding = content.len().next_multiple_of(BLOCK_BYTES) - content.len();
        self.output.write_all(content).map_err(ArchiveError::Carry)?;
        self.output.write_all(&[0; BLOCK_BYTES][..padding]).map_err(ArchiveError::Carry)
    }
}

fn set_name(header: &mut Header, name: &[u8]) {
    let length = name.len().min(SHORT_NAME_BYTES_MAX);
    header.as_old_mut().name[..length].copy_from_slice(&name[..length]);
}

/// A record of an extended header (POSIX.1-2017, pax): its own length, digits included, comes first.
pub(super) fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}
