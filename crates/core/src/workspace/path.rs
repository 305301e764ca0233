//! Paths below a workspace: any bytes that a file system takes, and nothing that leads out.
//!
//! A path is spelled for calls as its key: its bytes, percent-encoded (RFC 3986, section 2.1) but for unreserved
//! characters and `/`. Keys are for machines; what a person sees is [`crate::escape::visible`].

use std::ffi::{CStr, CString};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// The longest path in bytes (Linux: PATH_MAX).
pub(crate) const PATH_BYTES_MAX: usize = 4_096;

/// The longest part of a path in bytes (Linux: NAME_MAX).
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// How many folders lie within each other at most.
pub(crate) const DEPTH_MAX: usize = 64;

/// Everything but unreserved characters and the separator.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A path that stays beneath the folder it is taken in.
///
/// Invariant: 1 to [`DEPTH_MAX`] + 1 parts of 1 to [`NAME_BYTES_MAX`] bytes, none of them `.` or `..`, none with `/` or NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BeneathPath {
    folders: Vec<CString>,
    name: CString,
}

/// Why a path is none that Berth takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathProblem {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// It begins with `/`.
    #[error("it begins with a slash, but must be relative")]
    Absolute,
    /// A part is empty or `.`.
    #[error("it has an empty part or a part \".\"")]
    EmptyPart,
    /// A part is `..`.
    #[error("it has a part \"..\", which leads out of the folder")]
    LeadsOut,
    /// A part is longer than [`NAME_BYTES_MAX`], or all of them longer than [`PATH_BYTES_MAX`].
    #[error("it is too long: a name may have {NAME_BYTES_MAX} bytes, a path {PATH_BYTES_MAX}")]
    TooLong,
    /// More folders than [`DEPTH_MAX`].
    #[error("it is too deep: at most {DEPTH_MAX} folders")]
    TooDeep,
    /// A NUL byte.
    #[error("it has a NUL byte")]
    Nul,
}

impl BeneathPath {
    /// Reads a path with `/` between its parts.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, PathProblem> {
        if bytes.is_empty() {
            return Err(PathProblem::Empty);
        }
        if bytes.starts_with(b"/") {
            return Err(PathProblem::Absolute);
        }
        if bytes.len() > PATH_BYTES_MAX {
            return Err(PathProblem::TooLong);
        }
        let mut parts = bytes.split(|byte| *byte == b'/').map(parse_part).collect::<Result<Vec<_>, _>>()?;
        let name = parts.pop().ok_or(PathProblem::Empty)?;
        if parts.len() > DEPTH_MAX {
            return Err(PathProblem::TooDeep);
        }
        Ok(Self { folders: parts, name })
    }

    /// Reads the key of a path.
    pub(crate) fn parse_key(key: &str) -> Result<Self, PathProblem> {
        // An encoded byte takes three.
        if key.len() > 3 * PATH_BYTES_MAX {
            return Err(PathProblem::TooLong);
        }
        Self::parse(&percent_decode(key.as_bytes()).collect::<Vec<u8>>())
    }

    /// The folders on the way, and the last part.
    pub(crate) fn split_last(&self) -> (&[CString], &CStr) {
        (&self.folders, &self.name)
    }
}

fn parse_part(part: &[u8]) -> Result<CString, PathProblem> {
    match part {
        b"" | b"." => Err(PathProblem::EmptyPart),
        b".." => Err(PathProblem::LeadsOut),
        part if part.len() > NAME_BYTES_MAX => Err(PathProblem::TooLong),
        part => CString::new(part).map_err(|_| PathProblem::Nul),
    }
}

/// The key of a path.
pub(crate) fn key(path: &[u8]) -> String {
    percent_encode(path, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_out_is_none() {
        for (path, problem) in [
            (&b""[..], PathProblem::Empty),
            (b"/etc/passwd", PathProblem::Absolute),
            (b"../secret", PathProblem::LeadsOut),
            (b"a/../../secret", PathProblem::LeadsOut),
            (b"a//b", PathProblem::EmptyPart),
            (b"./a", PathProblem::EmptyPart),
            (b"a/", PathProblem::EmptyPart),
            (b"a\0b", PathProblem::Nul),
        ] {
            assert_eq!(BeneathPath::parse(path), Err(problem), "{path:?}");
        }
        assert_eq!(BeneathPath::parse(&[b'a'; 256]), Err(PathProblem::TooLong));
        assert_eq!(BeneathPath::parse("a/".repeat(65).as_bytes().strip_suffix(b"/").unwrap()).map(|_| ()), Ok(()));
        assert_eq!(BeneathPath::parse([&b"a/".repeat(65)[..], b"a"].concat().as_slice()), Err(PathProblem::TooDeep));
    }

    #[test]
    fn encoding_does_not_smuggle_a_way_out() {
        assert_eq!(BeneathPath::parse_key("a%2F..%2F..%2Fsecret"), Err(PathProblem::LeadsOut));
        assert_eq!(BeneathPath::parse_key("%2e%2e"), Err(PathProblem::LeadsOut));
        assert_eq!(BeneathPath::parse_key("a%00"), Err(PathProblem::Nul));
    }

    #[test]
    fn a_name_of_255_bytes_is_one() {
        assert!(BeneathPath::parse(&[b'a'; 255]).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn a_key_names_its_path_and_no_other(path in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            proptest::prop_assert_eq!(BeneathPath::parse_key(&key(&path)), BeneathPath::parse(&path));
            proptest::prop_assert!(key(&path).bytes().all(|byte| byte.is_ascii_graphic()));
        }

        #[test]
        fn any_key_is_answered(key in ".{0,80}") {
            let _ = BeneathPath::parse_key(&key);
        }
    }
}
