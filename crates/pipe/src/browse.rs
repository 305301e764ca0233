//! How a home is looked into: questions and answers with a guest that runs nothing (`berth-guest browse`), over its standard
//! input and output.
//!
//! ```text
//! host: Ask →      guest: ← Answer, and behind [`Answer::Content`] that many raw bytes
//!                         ← Answer::Measured*, the last of them done
//! ```
//!
//! One question at a time, in frames as everywhere in this crate. There is no agent in that container, but what the guest tells was
//! written by one: names, sizes and links are hostile, and the guest itself is trusted no further than any other.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use crate::{PipeError, frame};

/// The longest question.
pub const ASK_BYTES_MAX: usize = 64 << 10;
/// The longest answer, content aside.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Most entries of one page.
pub const PAGE_ENTRIES_MAX: u32 = 1_000;
/// Most bytes of one piece.
pub const PIECE_BYTES_MAX: u32 = 1 << 20;
/// Most entries of a folder that are looked at; the rest is neither counted nor shown.
pub const FOLDER_ENTRIES_MAX: usize = 200_000;
/// Deepest path, in parts.
pub const DEPTH_MAX: usize = 256;
/// Longest name, in bytes (Linux `NAME_MAX`).
pub const NAME_BYTES_MAX: usize = 255;
/// How much of where a link points is told, in bytes.
pub const TARGET_BYTES_MAX: usize = 1_024;

/// A name as the file system has it: bytes, not text. In a frame it is hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Vec<u8>);

/// A part of a path that is none.
#[derive(Debug, thiserror::Error)]
#[error("not a single name")]
pub struct NotAName;

impl Name {
    /// A single name: not empty, neither `.` nor `..`, without `/` and zero byte, no longer than [`NAME_BYTES_MAX`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, NotAName> {
        let bytes = bytes.into();
        let is_name = !bytes.is_empty()
            && bytes.len() <= NAME_BYTES_MAX
            && bytes != b"."
            && bytes != b".."
            && !bytes.iter().any(|byte| matches!(byte, 0 | b'/'));
        if is_name { Ok(Self(bytes)) } else { Err(NotAName) }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Hex::of(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Hex::deserialize(deserializer)?.0).map_err(serde::de::Error::custom)
    }
}

/// Bytes that are hex in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hex(pub Vec<u8>);

impl Hex {
    fn of(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
        let text: String = self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => Some(value(*high)? << 4 | value(*low)?),
            _ => None,
        });
        let bytes: Option<Vec<u8>> = pairs.collect();
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("not hex"))
    }
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// What a folder holds, by name.
    List {
        /// The folder, below the root.
        path: Vec<Name>,
        /// Only what comes after this name.
        after: Option<Name>,
        /// How many at most.
        limit: u32,
    },
    /// A piece of a file.
    Read {
        /// The file, below the root.
        path: Vec<Name>,
        /// Where to begin.
        offset: u64,
        /// How many bytes at most.
        length: u32,
    },
    /// How much there is in all.
    Measure,
    /// Gives something another name, and leaves a link with the old one. Done already is done.
    Rename {
        /// The folder that holds it, below the root.
        folder: Vec<Name>,
        /// Its name.
        from: Name,
        /// Its new name.
        to: Name,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Ask::List`].
    Listing {
        /// A page.
        entries: Vec<Entry>,
        /// How many entries the folder has, up to [`FOLDER_ENTRIES_MAX`].
        total: u64,
        /// Whether another page follows.
        has_more: bool,
    },
    /// To [`Ask::Read`]; `length` raw bytes follow.
    Content {
        /// How long the whole file is.
        size_bytes: u64,
        /// How long the piece is.
        length: u32,
    },
    /// To [`Ask::Measure`], more than once.
    Measured {
        /// Bytes on disk so far; a file with several names counts once.
        size_bytes: u64,
        /// Files and folders so far.
        files: u64,
        /// Whether that is all.
        is_done: bool,
    },
    /// To [`Ask::Rename`].
    Renamed {
        /// What there was to do.
        how: Renaming,
    },
    /// It cannot be done.
    Failed {
        /// Why.
        why: Why,
    },
}

/// What there was to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Renaming {
    /// It has the new name now.
    Done,
    /// There is nothing of the old name.
    Nothing,
    /// There is something else of the new name, which stays.
    Taken,
}

/// Why something cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// There is no such thing.
    Gone,
    /// It is no folder, or the way to it leads through something that is none: a link, say.
    NotAFolder,
    /// It is no file: a link, a FIFO, a device.
    NotAFile,
    /// The home's own user may not read it.
    Denied,
    /// The question makes no sense.
    Unasked,
    /// The file system failed.
    Failed,
}

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub kind: EntryKind,
    /// Of a file, its size in bytes; else 0.
    pub size_bytes: u64,
    /// Its permissions.
    pub mode: u32,
    /// When it was changed, in seconds since 1970.
    pub modified_s: i64,
    /// Of a link, where it points: the first [`TARGET_BYTES_MAX`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Hex>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A link.
    Link,
    /// Anything else.
    Special,
}

/// Reads one question, on the guest's side, which has no second thread and waits for nothing else. `None` at the end.
///
/// # Errors
/// As [`frame::read`].
pub fn read_ask(input: &mut impl Read) -> Result<Option<Ask>, PipeError> {
    const WHAT: &str = "a question";
    let mut length = [0; 4];
    let first = input.read(&mut length)?;
    if first == 0 {
        return Ok(None);
    }
    input.read_exact(&mut length[first..]).map_err(|error| frame::cut(error, WHAT))?;
    let length = u32::from_be_bytes(length) as usize;
    if length > ASK_BYTES_MAX {
        return Err(PipeError::FrameTooLong { bytes_max: ASK_BYTES_MAX });
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body).map_err(|error| frame::cut(error, WHAT))?;
    serde_json::from_slice(&body).map(Some).map_err(|source| PipeError::Malformed { what: WHAT, source: source.into() })
}

/// The host's end.
#[derive(Debug)]
pub struct Browser<S> {
    stream: S,
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How long the whole file is.
    pub size_bytes: u64,
}

/// A page of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// How many the folder has.
    pub total: u64,
    /// Whether another page follows.
    pub has_more: bool,
}

/// A question was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    /// The guest says why not.
    #[error("it cannot be shown: {0:?}")]
    Refused(Why),
    /// The guest broke the protocol, or is gone.
    #[error("the guest broke off")]
    Broken(#[source] PipeError),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Browser<S> {
    /// Over the stream of a container that runs `berth-guest browse`.
    pub fn new(stream: S) -> Self {
        Self { stream }
    }

    /// A page of a folder. A guest that tells more than was asked for, or out of order, is broken.
    ///
    /// # Cancel safety
    /// None here and below: a question that was given up leaves the stream useless.
    pub async fn list(&mut self, path: Vec<Name>, after: Option<Name>, limit: u32) -> Result<Page, BrowseError> {
        let limit = limit.clamp(1, PAGE_ENTRIES_MAX);
        self.ask(&Ask::List { path, after: after.clone(), limit }).await?;
        let Answer::Listing { entries, total, has_more } = self.answer().await? else { return Err(other()) };
        let is_in_order = entries.windows(2).all(|two| two[0].name < two[1].name)
            && entries.first().is_none_or(|first| after.is_none_or(|after| first.name > after));
        let is_short = entries.len() <= limit as usize
            && entries.iter().all(|entry| entry.target.as_ref().is_none_or(|to| to.0.len() <= TARGET_BYTES_MAX));
        if is_in_order && is_short && !(entries.is_empty() && has_more) {
            Ok(Page { entries, total, has_more })
        } else {
            Err(other())
        }
    }

    /// A piece of a file.
    pub async fn read(&mut self, path: Vec<Name>, offset: u64, length: u32) -> Result<Piece, BrowseError> {
        let asked = length.clamp(1, PIECE_BYTES_MAX);
        self.ask(&Ask::Read { path, offset, length: asked }).await?;
        let Answer::Content { size_bytes, length } = self.answer().await? else { return Err(other()) };
        if length > asked {
            return Err(other());
        }
        let mut bytes = vec![0; length as usize];
        let read = self.stream.read_exact(&mut bytes).await;
        read.map_err(|error| BrowseError::Broken(frame::cut(error, "content")))?;
        Ok(Piece { bytes, size_bytes })
    }

    /// Begins to measure; ask for what was found with [`Self::measured`] until it is done.
    pub async fn measure(&mut self) -> Result<(), BrowseError> {
        self.ask(&Ask::Measure).await
    }

    /// How much was found so far: bytes, files, and whether that is all.
    pub async fn measured(&mut self) -> Result<(u64, u64, bool), BrowseError> {
        match self.answer().await? {
            Answer::Measured { size_bytes, files, is_done } => Ok((size_bytes, files, is_done)),
            Answer::Listing { .. } | Answer::Content { .. } | Answer::Renamed { .. } | Answer::Failed { .. } => {
                Err(other())
            }
        }
    }

    /// Gives something another name, and leaves a link with the old one.
    pub async fn rename(&mut self, folder: Vec<Name>, from: Name, to: Name) -> Result<Renaming, BrowseError> {
        self.ask(&Ask::Rename { folder, from, to }).await?;
        let Answer::Renamed { how } = self.answer().await? else { return Err(other()) };
        Ok(how)
    }

    async fn ask(&mut self, ask: &Ask) -> Result<(), BrowseError> {
        frame::write(&mut self.stream, ask, ASK_BYTES_MAX).await.map_err(BrowseError::Broken)
    }

    async fn answer(&mut self) -> Result<Answer, BrowseError> {
        const WHAT: &str = "an answer";
        match frame::read(&mut self.stream, WHAT, ANSWER_BYTES_MAX).await {
            Ok(Some(Answer::Failed { why })) => Err(BrowseError::Refused(why)),
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(BrowseError::Broken(PipeError::Cut { what: WHAT })),
            Err(error) => Err(BrowseError::Broken(error)),
        }
    }
}

fn other() -> BrowseError {
    let source = io::Error::new(io::ErrorKind::InvalidData, "another answer than was asked for");
    BrowseError::Broken(source.into())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn entry(text: &str) -> Entry {
        Entry { name: name(text), kind: EntryKind::File, size_bytes: 1, mode: 0o644, modified_s: 0, target: None }
    }

    /// What the host makes of one answer.
    async fn listed(answer: &Answer) -> Result<Page, BrowseError> {
        let (host, mut guest) = tokio::io::duplex(1 << 20);
        frame::write(&mut guest, answer, ANSWER_BYTES_MAX).await.unwrap();
        Browser::new(host).list(Vec::new(), Some(name("b")), 2).await
    }

    #[test]
    fn a_name_is_a_single_one_whatever_a_frame_says() {
        for bytes in [&b""[..], b".", b"..", b"a/b", b"a\0", &[b'a'; 256]] {
            assert!(Name::new(bytes).is_err(), "{bytes:?}");
            let json = serde_json::to_string(&Hex(bytes.to_vec())).unwrap();
            assert!(serde_json::from_str::<Name>(&json).is_err(), "{json}");
        }
        let odd = Name::new(b"\xff\n\x1b[2J".to_vec()).unwrap();
        let json = serde_json::to_string(&odd).unwrap();
        assert_eq!(serde_json::from_str::<Name>(&json).unwrap(), odd);
        for json in ["\"0\"", "\"zz\"", "\"é0\""] {
            assert!(serde_json::from_str::<Name>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_question_is_read_as_it_was_written_and_a_longer_one_is_refused() {
        let ask = Ask::List { path: vec![name("a")], after: Some(name("b")), limit: 3 };
        let bytes = frame::encode(&ask, ASK_BYTES_MAX).unwrap();
        let mut input = bytes.as_slice();
        assert_eq!(read_ask(&mut input).unwrap(), Some(ask));
        assert_eq!(read_ask(&mut input).unwrap(), None);
        assert!(matches!(read_ask(&mut &bytes[..9]), Err(PipeError::Cut { .. })));
        assert!(matches!(read_ask(&mut &[0xff; 8][..]), Err(PipeError::FrameTooLong { .. })));
    }

    #[tokio::test]
    async fn a_guest_that_tells_other_than_it_was_asked_is_broken() {
        let listing = |names: &[&str], has_more| Answer::Listing {
            entries: names.iter().map(|name| entry(name)).collect(),
            total: 9,
            has_more,
        };
        assert_eq!(listed(&listing(&["c", "d"], true)).await.unwrap().entries.len(), 2);
        let lies = [
            ("too many", listing(&["c", "d", "e"], false)),
            ("out of order", listing(&["d", "c"], false)),
            ("twice", listing(&["c", "c"], false)),
            ("from before", listing(&["a"], false)),
            ("pages without end", listing(&[], true)),
            ("something else", Answer::Measured { size_bytes: 0, files: 0, is_done: true }),
        ];
        for (what, lie) in lies {
            assert!(matches!(listed(&lie).await, Err(BrowseError::Broken(_))), "{what}");
        }
        let refused = listed(&Answer::Failed { why: Why::NotAFolder }).await;
        assert!(matches!(refused, Err(BrowseError::Refused(Why::NotAFolder))));
    }

    #[tokio::test]
    async fn a_piece_is_no_longer_than_was_asked_for() {
        for (length, is_good) in [(4, true), (5, false)] {
            let (host, mut guest) = tokio::io::duplex(1 << 16);
            let answer = Answer::Content { size_bytes: 9, length };
            frame::write(&mut guest, &answer, ANSWER_BYTES_MAX).await.unwrap();
            guest.write_all(b"12345").await.unwrap();
            assert_eq!(Browser::new(host).read(Vec::new(), 0, 4).await.is_ok(), is_good);
        }
    }
}
