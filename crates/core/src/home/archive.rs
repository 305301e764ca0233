//! Tars of homes on their way in and out, entry by entry, in bounded memory.
//!
//! ```text
//! tar (a person's, an image's, a home's) ─▶ read a header ─▶ refuse, leave out, or write it anew ─▶ tar for the engine or a person
//! ```
//!
//! Whoever wrote the tar is not trusted. Each entry is written anew from what is understood of it: kind, path, target, plain
//! permissions, time and content. Owners are the home's; setuid, extended attributes and everything else of the old header is
//! gone. An archive that tries to lead out (an absolute path, `..`, an entry beneath a link) is refused as a whole; what a
//! home cannot hold (devices, FIFOs) is left out and told.
//!
//! The formats are ustar and pax (POSIX.1-2017) and GNU's. The crate `tar` reads and writes single headers here and no more: its own
//! loop keeps a name as long as the archive says, and an archive may say ten gigabytes.

mod write;

use std::collections::HashSet;
use std::io::{self, Read, Write};

use tar::{EntryType, Header};

use self::write::{Entry, Kind, Writer};
use crate::escape;
use crate::owner::Owner;

/// Bytes of a block, and what everything is padded to.
const BLOCK_BYTES: usize = 512;
/// Most entries of an archive.
const ENTRIES_MAX: u64 = 8_000_000;
/// Longest path or link target, in bytes (Linux `PATH_MAX`).
const PATH_BYTES_MAX: usize = 4096;
/// Longest single name, in bytes (Linux `NAME_MAX`).
const NAME_BYTES_MAX: usize = 255;
/// Longest extended header, in bytes.
const EXTENDED_BYTES_MAX: u64 = 1 << 20;
/// Bytes that the paths of links may take together: they are remembered, since nothing may lie beneath one.
const LINKS_BYTES_MAX: usize = 128 << 20;
/// What is left out is told by name up to so many.
const LEFT_OUT_NAMED_MAX: usize = 20;
/// How content is copied, in bytes.
const COPY_BYTES: usize = 64 << 10;
/// Blocks behind the end of an archive that are read over: writers pad to a record, of at most a few megabytes.
const PADDING_BLOCKS_MAX: usize = 64 << 10;

/// How the paths of an archive become those of another.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// This first part of each path goes: what the engine puts before the paths of a folder.
    pub(crate) strip: Option<&'static str>,
    /// This goes before each path: without slashes at its ends, empty for none.
    pub(crate) prefix: &'static str,
    /// To whom everything belongs.
    pub(crate) owner: Owner,
    /// The folder of memory that gets another name: below `clawvault/`, from, to.
    pub(crate) memory: Memory,
    /// Most bytes of content, all together.
    pub(crate) bytes_max: u64,
}

/// What becomes of the folder with an agent's memory.
#[derive(Clone, Debug)]
pub(crate) enum Memory {
    /// It keeps its name.
    Kept,
    /// The folder of the agent that the archive says it is of gets this name.
    Of(String),
}

/// What was carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// Entries that were written.
    pub(crate) entries: u64,
    /// Bytes of their content.
    pub(crate) bytes: u64,
    /// What was left out, by name and why, up to [`LEFT_OUT_NAMED_MAX`].
    pub(crate) left_out: Vec<String>,
    /// How many were left out in all.
    pub(crate) left_out_total: u64,
}

/// Why nothing is made of an archive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// It ends in the middle.
    #[error("the archive breaks off{}", after(last))]
    Cut {
        /// The entry that came last, safe to show.
        last: String,
    },
    /// It is no tar.
    #[error("this is no tar archive{hint}")]
    NotTar {
        /// What it is instead, where that is seen.
        hint: &'static str,
    },
    /// A header makes no sense.
    #[error("the archive is damaged{}", after(last))]
    Damaged {
        /// The entry that came last, safe to show.
        last: String,
    },
    /// An entry would lead out of the home.
    #[error("`{path}` {how}")]
    LeadsOut {
        /// The entry, safe to show.
        path: String,
        /// How.
        how: &'static str,
    },
    /// It is beyond a bound.
    #[error("the archive {what}")]
    TooMuch {
        /// What of it.
        what: &'static str,
    },
    /// Its sender or its taker has gone, or failed.
    #[error("the archive could not be carried")]
    Carry(#[source] io::Error),
}

fn after(last: &str) -> String {
    if last.is_empty() { String::new() } else { format!(" after `{last}`") }
}

/// The comment in the first header of an export, by which an import knows whose home it was.
pub(crate) fn comment_of(agent: &str) -> String {
    format!("{COMMENT_START}{agent}")
}

const COMMENT_START: &str = "berth home of ";

/// What is written before anything of the archive: a comment for whoever reads it again, and folders that are always there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beginning {
    /// The comment.
    pub(crate) comment: Option<String>,
    /// Folders, parents first, without the prefix.
    pub(crate) folders: Vec<String>,
    /// Links and where they point.
    pub(crate) links: Vec<(String, String)>,
}

/// Carries an archive. `None` for an `input` that is not there: then only the beginning is written.
pub(crate) fn carry(
    input: Option<&mut dyn Read>,
    output: &mut dyn Write,
    route: Route,
    beginning: &Beginning,
) -> Result<Carried, ArchiveError> {
    let mut carrier = Carrier {
        output: Writer { output, owner: route.owner, prefix: route.prefix },
        route,
        carried: Carried::default(),
        fixed: HashSet::new(),
        links: HashSet::new(),
        links_bytes: 0,
        from_memory: None,
        last: String::new(),
    };
    carrier.begin(beginning)?;
    if let Some(input) = input {
        carrier.entries(input)?;
    }
    carrier.output.end()?;
    Ok(carrier.carried)
}

struct Carrier<'a> {
    route: Route,
    output: Writer<'a>,
    carried: Carried,
    /// The paths of the beginning: whatever the archive has there must be a folder, or the same link.
    fixed: HashSet<Vec<u8>>,
    /// Paths of links so far.
    links: HashSet<Vec<u8>>,
    links_bytes: usize,
    /// Whose home the archive says it is.
    from_memory: Option<Vec<u8>>,
    last: String,
}

/// What came before a header and speaks of it.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size_bytes: Option<u64>,
    is_sparse: bool,
}

impl Carrier<'_> {
    fn begin(&mut self, beginning: &Beginning) -> Result<(), ArchiveError> {
        if let Some(comment) = &beginning.comment {
            self.output.comment(comment)?;
        }
        let entry = |kind, path: &str, target: &str, mode| Entry {
            kind,
            path: path.as_bytes().to_vec(),
            target: target.as_bytes().to_vec(),
            size_bytes: 0,
            mode,
            modified_s: 0,
        };
        for folder in &beginning.folders {
            self.fixed.insert(folder.as_bytes().to_vec());
            self.output.entry(&entry(Kind::Folder, folder, "", 0o755))?;
        }
        for (path, target) in &beginning.links {
            self.fixed.insert(path.as_bytes().to_vec());
            self.remember_link(path.as_bytes())?;
            self.output.entry(&entry(Kind::Symlink, path, target, 0o777))?;
        }
        Ok(())
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "tar's list, which may grow")]
    fn entries(&mut self, input: &mut dyn Read) -> Result<(), ArchiveError> {
        let mut extended = Extended::default();
        let mut is_first = true;
        loop {
            let Some(header) = self.header(input, is_first)? else {
                return self.padding(input);
            };
            is_first = false;
            let size_bytes = header.entry_size().map_err(|_| self.damaged())?;
            match header.entry_type() {
                EntryType::GNULongName => extended.path = Some(self.text(input, size_bytes)?),
                EntryType::GNULongLink => extended.target = Some(self.text(input, size_bytes)?),
                EntryType::XHeader => self.extend(input, size_bytes, &mut extended)?,
                EntryType::XGlobalHeader => self.global(input, size_bytes)?,
                kind => {
                    let extended = std::mem::take(&mut extended);
                    let size_bytes = extended.size_bytes.unwrap_or(size_bytes);
                    self.entry(input, &header, kind, size_bytes, extended)?;
                }
            }
        }
    }

    /// The next header; `None` at the mark of the end.
    fn header(&self, input: &mut dyn Read, is_first: bool) -> Result<Option<Header>, ArchiveError> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        input.read_exact(block).map_err(|error| {
            if is_first && error.kind() == io::ErrorKind::UnexpectedEof {
                ArchiveError::NotTar { hint: ": it is empty or too short" }
            } else {
                self.unread(error)
            }
        })?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The sum of the header's bytes, those of the sum itself counted as spaces.
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        let start = [block[0], block[1], block[2], block[3]];
        match header.cksum() {
            Ok(said) if said == sum => Ok(Some(header)),
            Ok(_) | Err(_) if is_first => Err(ArchiveError::NotTar { hint: what_instead(start) }),
            Ok(_) | Err(_) => Err(self.damaged()),
        }
    }

    /// What follows the end: writers pad. Read, so that a sender is not cut off in the middle of it.
    fn padding(&self, input: &mut dyn Read) -> Result<(), ArchiveError> {
        let mut block = [0; BLOCK_BYTES];
        for _ in 0..PADDING_BLOCKS_MAX {
            match input.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(self.unread(error)),
            }
        }
        Err(ArchiveError::TooMuch { what: "goes on behind its end" })
    }

    /// A name that comes as content.
    fn text(&self, input: &mut dyn Read, size_bytes: u64) -> Result<Vec<u8>, ArchiveError> {
        // One more for the zero byte at its end.
        let mut text = self.bounded(input, size_bytes, PATH_BYTES_MAX as u64 + 1, "has a name that is too long")?;
        if let Some(end) = text.iter().position(|byte| *byte == 0) {
            text.truncate(end);
        }
        Ok(text)
    }

    fn extend(&self, input: &mut dyn Read, size_bytes: u64, extended: &mut Extended) -> Result<(), ArchiveError> {
        let records = self.bounded(input, size_bytes, EXTENDED_BYTES_MAX, "has an extended header that is too long")?;
        for record in tar::PaxExtensions::new(&records) {
            let record = record.map_err(|_| self.damaged())?;
            let value = record.value_bytes();
            match record.key_bytes() {
                b"path" => extended.path = Some(value.to_vec()),
                b"linkpath" => extended.target = Some(value.to_vec()),
                b"size" => {
                    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    extended.size_bytes = Some(number.ok_or_else(|| self.damaged())?);
                }
                key if key.starts_with(b"GNU.sparse.") => extended.is_sparse = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn global(&mut self, input: &mut dyn Read, size_bytes: u64) -> Result<(), ArchiveError> {
        let records = self.bounded(input, size_bytes, EXTENDED_BYTES_MAX, "has an extended header that is too long")?;
        for record in tar::PaxExtensions::new(&records).flatten() {
            if record.key_bytes() == b"comment" {
                let agent = record.value_bytes().strip_prefix(COMMENT_START.as_bytes());
                self.from_memory = agent.map(<[u8]>::to_vec);
            }
        }
        Ok(())
    }

    fn bounded(
        &self,
        input: &mut dyn Read,
        size_bytes: u64,
        bytes_max: u64,
        what: &'static str,
    ) -> Result<Vec<u8>, ArchiveError> {
        if size_bytes > bytes_max {
            return Err(ArchiveError::TooMuch { what });
        }
        let padded = size_bytes.next_multiple_of(BLOCK_BYTES as u64);
        let mut bytes = vec![0; usize::try_from(padded).unwrap_or(usize::MAX)];
        input.read_exact(&mut bytes).map_err(|error| self.unread(error))?;
        bytes.truncate(usize::try_from(size_bytes).unwrap_or(usize::MAX));
        Ok(bytes)
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "tar's list, which may grow")]
    fn entry(
        &mut self,
        input: &mut dyn Read,
        header: &Header,
        kind: EntryType,
        size_bytes: u64,
        extended: Extended,
    ) -> Result<(), ArchiveError> {
        self.carried.entries += 1;
        if self.carried.entries + self.carried.left_out_total > ENTRIES_MAX {
            return Err(ArchiveError::TooMuch { what: "has too many entries" });
        }
        let said = extended.path.unwrap_or_else(|| header.path_bytes().into_owned());
        self.last = escape::visible(&said);
        if extended.is_sparse || kind == EntryType::GNUSparse {
            return Err(ArchiveError::LeadsOut {
                path: self.last.clone(),
                how: "is a sparse file, whose size in the archive says nothing of what it would take; make the archive without `-S`",
            });
        }
        let path = self.path_of(&said)?;
        let kind = match kind {
            // Old archives mark a folder by nothing but the slash at the end of its name.
            EntryType::Regular | EntryType::Continuous if said.ends_with(b"/") => Kind::Folder,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Folder,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Link => Kind::HardLink,
            _ => {
                self.leave_out("a FIFO, a device or something else that no home holds");
                return self.skip(input, size_bytes);
            }
        };
        let Some(path) = path else { return self.skip(input, size_bytes) };
        if self.is_fixed(&path, kind) {
            return self.skip(input, size_bytes);
        }
        let target = extended.target.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        if kind == Kind::HardLink
            && let Some(first) = self.path_of(target.as_deref().unwrap_or_default())?
            && self.is_beneath_fixed_link(&first)
        {
            self.leave_out("a second name of something that was left out");
            return self.skip(input, size_bytes);
        }
        let mut entry = Entry {
            kind,
            path,
            target: target.unwrap_or_default(),
            size_bytes: if kind == Kind::File { size_bytes } else { 0 },
            mode: header.mode().map_err(|_| self.damaged())? & 0o777,
            modified_s: header.mtime().unwrap_or(0).min(MODIFIED_S_MAX),
        };
        if entry.path.is_empty() {
            // Its own home is never closed to an agent.
            entry.mode |= 0o700;
        }
        self.check_links(&mut entry)?;
        self.carried.bytes = self.carried.bytes.saturating_add(entry.size_bytes);
        if self.carried.bytes > self.route.bytes_max {
            return Err(ArchiveError::TooMuch { what: "holds more than a home may" });
        }
        self.output.entry(&entry)?;
        match kind {
            Kind::File => self.copy(input, size_bytes),
            Kind::Folder | Kind::Symlink | Kind::HardLink => self.skip(input, size_bytes),
        }
    }

    /// The path below the home, by its parts; `None` for what stands above it and is stripped.
    fn path_of(&self, said: &[u8]) -> Result<Option<Vec<u8>>, ArchiveError> {
        let leads_out = |how| ArchiveError::LeadsOut { path: escape::visible(said), how };
        if said.starts_with(b"/") {
            return Err(leads_out("is an absolute path, and would lead out of the home"));
        }
        if said.len() > PATH_BYTES_MAX {
            return Err(ArchiveError::TooMuch { what: "has a path that is too long" });
        }
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in said.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
            if part == b".." {
                return Err(leads_out("has `..` in its path, and would lead out of the home"));
            }
            if part.len() > NAME_BYTES_MAX {
                return Err(ArchiveError::TooMuch { what: "has a name that is too long" });
            }
            if part.contains(&0) {
                return Err(self.damaged());
            }
            parts.push(part);
        }
        if let Some(strip) = self.route.strip {
            match parts.first() {
                Some(first) if *first == strip.as_bytes() => drop(parts.remove(0)),
                Some(_) | None => return Ok(None),
            }
        }
        if let (Memory::Of(name), Some(from)) = (&self.route.memory, &self.from_memory)
            && parts.len() >= 2
            && parts[0] == b"clawvault"
            && parts[1] == from.as_slice()
        {
            parts[1] = name.as_bytes();
        }
        Ok(Some(parts.join(&b'/')))
    }

    /// What the beginning has laid out stays as it is; something else in its place is left out.
    fn is_fixed(&mut self, path: &[u8], kind: Kind) -> bool {
        // An agent may have put a folder of its own where every home has a link.
        if self.is_beneath_fixed_link(path) {
            self.leave_out("every home has a link above it");
            return true;
        }
        if !self.fixed.contains(path) {
            return false;
        }
        let is_link = self.links.contains(path);
        if is_link && kind != Kind::Symlink || !is_link && kind != Kind::Folder {
            self.leave_out("something else than what every home has there");
            return true;
        }
        // A folder's permissions are the archive's to say.
        is_link
    }

    fn is_beneath_fixed_link(&self, path: &[u8]) -> bool {
        parents(path).any(|parent| self.fixed.contains(parent) && self.links.contains(parent))
    }

    /// No entry lies beneath a link, and no hard link points out.
    fn check_links(&mut self, entry: &mut Entry) -> Result<(), ArchiveError> {
        let leads_out = |path: &[u8], how| ArchiveError::LeadsOut { path: escape::visible(path), how };
        if self.lies_beneath_link(&entry.path) {
            return Err(leads_out(&entry.path, "lies beneath a link, and would lead out of the home"));
        }
        let is_link_already = self.links.contains(&entry.path);
        match entry.kind {
            Kind::Symlink => {
                if entry.target.is_empty() || entry.target.len() > PATH_BYTES_MAX || entry.target.contains(&0) {
                    return Err(leads_out(&entry.path, "is a link that points nowhere"));
                }
                self.remember_link(&entry.path)?;
            }
            Kind::HardLink => {
                let target = self.path_of(&entry.target)?;
                let target = target.filter(|target| !target.is_empty() && !self.lies_beneath_link(target));
                let Some(target) = target else {
                    return Err(leads_out(&entry.path, "is a link to something that is not in the archive"));
                };
                // A second name of a link is a link.
                if self.links.contains(&target) {
                    self.remember_link(&entry.path)?;
                } else if is_link_already {
                    return Err(leads_out(&entry.path, "is there twice, once as a link"));
                }
                entry.target = target;
            }
            Kind::File | Kind::Folder if is_link_already => {
                return Err(leads_out(&entry.path, "is there twice, once as a link"));
            }
            Kind::File | Kind::Folder => {}
        }
        Ok(())
    }

    fn lies_beneath_link(&self, path: &[u8]) -> bool {
        parents(path).any(|parent| self.links.contains(parent))
    }

    fn remember_link(&mut self, path: &[u8]) -> Result<(), ArchiveError> {
        if self.links.insert(path.to_vec()) {
            self.links_bytes += path.len() + std::mem::size_of::<Vec<u8>>();
        }
        if self.links_bytes > LINKS_BYTES_MAX {
            return Err(ArchiveError::TooMuch { what: "has too many links" });
        }
        Ok(())
    }

    fn leave_out(&mut self, why: &str) {
        self.carried.entries -= 1;
        self.carried.left_out_total += 1;
        if self.carried.left_out.len() < LEFT_OUT_NAMED_MAX {
            self.carried.left_out.push(format!("{}: {why}", self.last));
        }
    }

    fn copy(&mut self, input: &mut dyn Read, size_bytes: u64) -> Result<(), ArchiveError> {
        let mut left = size_bytes.next_multiple_of(BLOCK_BYTES as u64);
        let mut buffer = vec![0; COPY_BYTES];
        let mut content_left = size_bytes;
        while left > 0 {
            let length = usize::try_from(left.min(COPY_BYTES as u64)).unwrap_or(COPY_BYTES);
            input.read_exact(&mut buffer[..length]).map_err(|error| self.unread(error))?;
            // What pads is zero, whatever the archive has there.
            let content = usize::try_from(content_left.min(length as u64)).unwrap_or(length);
            buffer[content..length].fill(0);
            self.output.content(&buffer[..length])?;
            left -= length as u64;
            content_left -= content as u64;
        }
        Ok(())
    }

    fn skip(&mut self, input: &mut dyn Read, size_bytes: u64) -> Result<(), ArchiveError> {
        let padded = size_bytes
            .checked_next_multiple_of(BLOCK_BYTES as u64)
            .ok_or(ArchiveError::TooMuch { what: "holds more than a home may" })?;
        let skipped = io::copy(&mut input.take(padded), &mut io::sink()).map_err(|error| self.unread(error))?;
        if skipped < padded { Err(ArchiveError::Cut { last: self.last.clone() }) } else { Ok(()) }
    }

    fn damaged(&self) -> ArchiveError {
        ArchiveError::Damaged { last: self.last.clone() }
    }

    fn unread(&self, error: io::Error) -> ArchiveError {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            ArchiveError::Cut { last: self.last.clone() }
        } else {
            ArchiveError::Carry(error)
        }
    }
}

/// The paths above a path.
fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at])
}

/// The year 2500: what lies behind is nobody's honest time, and some file systems cannot hold it.
const MODIFIED_S_MAX: u64 = 16_725_225_600;

/// What an archive is that is no tar, by its first bytes.
fn what_instead(start: [u8; 4]) -> &'static str {
    match start {
        [0x1f, 0x8b, _, _] => ": it is compressed; run `gunzip` on it first",
        [0x28, 0xb5, 0x2f, 0xfd] => ": it is compressed; run `unzstd` on it first",
        [0xfd, b'7', b'z', b'X'] => ": it is compressed; run `unxz` on it first",
        [b'B', b'Z', b'h', _] => ": it is compressed; run `bunzip2` on it first",
        [b'P', b'K', 3, 4] => ": it is a ZIP",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
