//! What a file holds: its SHA-256 and its media type.
//!
//! The media type is a guess for people and previews, by name and first bytes. It is no statement about safety: a file
//! can be two things at once, and whoever shows it must not trust it.

use std::{fs::File, io, io::Read, path::Path};

use sha2::{Digest as _, Sha256};

use super::stoppable::{StopSign, Stopped};

/// Bytes read at once.
pub(crate) const BLOCK_BYTES: usize = 128 * 1024;

/// Bytes that the media type is guessed from.
const HEAD_BYTES: usize = 8 * 1024;

/// SHA-256 and media type of a file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    /// SHA-256.
    pub(crate) sha256: [u8; 32],
    /// The media type (RFC 6838).
    pub(crate) media_type: String,
    /// How many bytes were hashed.
    pub(crate) size_bytes: u64,
}

/// Why there is no digest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DigestError {
    /// Reading failed.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// Nobody waits any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Hashes at most `size_bytes` of a file, however fast it grows meanwhile.
pub(crate) fn digest(file: &File, name: &[u8], size_bytes: u64, stop_sign: &StopSign) -> Result<Digest, DigestError> {
    let mut reader = file.take(size_bytes);
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK_BYTES.min(usize::try_from(size_bytes).unwrap_or(BLOCK_BYTES)).max(1)];
    let mut head = Vec::new();
    let mut hashed_bytes = 0_u64;
    loop {
        stop_sign.check()?;
        let read = match reader.read(&mut block) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let wanted = read.min(HEAD_BYTES.saturating_sub(head.len()));
        head.extend_from_slice(&block[..wanted]);
        hasher.update(&block[..read]);
        hashed_bytes += read as u64;
    }
    Ok(Digest { sha256: hasher.finalize().into(), media_type: media_type(name, Some(&head)), size_bytes: hashed_bytes })
}

/// Guesses a media type from a name and, where known, the first bytes. What the bytes say wins over the name, but for
/// formats that are written in another (a document in ZIP or XML).
pub(crate) fn media_type(name: &[u8], head: Option<&[u8]>) -> String {
    const BINARY: &str = "application/octet-stream";
    const TEXT: &str = "text/plain";
    let name = String::from_utf8_lossy(name);
    let by_name = mime_guess::from_path(Path::new(name.as_ref())).first_raw();
    let Some(head) = head.filter(|head| !head.is_empty()) else {
        return by_name.unwrap_or(BINARY).to_owned();
    };
    let by_bytes = infer::get(head).map(|found| found.mime_type());
    match (by_bytes, by_name) {
        (Some(found), Some(guess)) if agree(found, guess) => guess,
        (Some(found), _) => found,
        (None, Some(guess)) if is_text(head) && is_never_text(guess) => TEXT,
        (None, Some(guess)) if !is_text(head) && guess.starts_with("text/") => BINARY,
        (None, Some(guess)) => guess,
        (None, None) if is_text(head) => TEXT,
        (None, None) => BINARY,
    }
    .to_owned()
}

fn agree(found: &str, guess: &str) -> bool {
    let top = |media_type: &str| media_type.split('/').next().map(str::to_owned);
    let is_container = matches!(
        found,
        "application/zip"
            | "application/gzip"
            | "application/x-ole-storage"
            | "text/xml"
            | "text/html"
            | "text/x-shellscript"
    );
    if is_container {
        return guess.starts_with("application/") || guess.starts_with("text/") || guess == "image/svg+xml";
    }
    top(found) == top(guess) && !guess.starts_with("application/")
}

fn is_never_text(guess: &str) -> bool {
    guess != "image/svg+xml" && ["image/", "audio/", "video/", "font/"].iter().any(|top| guess.starts_with(top))
}

/// UTF-8 without NUL; a character that the end of the head cuts does not count against it.
fn is_text(head: &[u8]) -> bool {
    !head.contains(&0) && std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    #[test]
    fn the_media_type_follows_the_bytes_where_the_name_lies() {
        for (name, head, media_type_expected) in [
            ("plot.png", PNG, "image/png"),
            ("plot.txt", PNG, "image/png"),
            ("notes.png", b"just text", "text/plain"),
            ("main.rs", b"fn main() {}", "text/x-rust"),
            ("notes.md", b"# Notes", "text/markdown"),
            ("drawing.svg", b"<?xml version=\"1.0\"?><svg/>", "image/svg+xml"),
            ("sheet.csv", b"a,b\n1,2\n", "text/csv"),
            ("sheet.csv", b"\0\x01\x02", "application/octet-stream"),
            ("Makefile", b"all:\n", "text/plain"),
            ("blob", b"\0\x01\x02", "application/octet-stream"),
            ("data.json", b"{}", "application/json"),
        ] {
            assert_eq!(media_type(name.as_bytes(), Some(head)), media_type_expected, "{name}");
        }
    }

    #[test]
    fn an_unread_or_empty_file_goes_by_its_name() {
        assert_eq!(media_type(b"a.json", None), "application/json");
        assert_eq!(media_type(b"a.json", Some(b"")), "application/json");
        assert_eq!(media_type(b"a", None), "application/octet-stream");
    }

    #[test]
    fn the_digest_is_sha_256_and_stops_at_the_size() {
        let folder = camino_tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, b"abcdef").unwrap();
        let digest = digest(&File::open(&path).unwrap(), b"abc", 3, &StopSign::default()).unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(hex::encode(digest.sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.size_bytes, 3);
    }
}
