//! Names and ids of an engine's objects, checked where they enter.
//!
//! They become parts of request paths, so nothing that could change a path (`/` where none belongs, `?`, `#`, `%`, `..`) gets
//! through a constructor here.

use std::fmt;

/// Longest accepted name of a container, a volume or a network, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Longest accepted image reference, in bytes.
const REFERENCE_BYTES_MAX: usize = 512;

/// A text is not a name of that kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct BadName {
    text: String,
    expected: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Takes a text that is ", $expected, ".")]
            pub fn parse(text: impl Into<String>) -> Result<Self, BadName> {
                let text = text.into();
                if $check(&text) { Ok(Self(text)) } else { Err(BadName { text, expected: $expected }) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::parse(text)
            }
        }
    };
}

name!(
    /// A container's id as the engine gave it, or its name: the engine takes either.
    ContainerId, is_name, "a container's id or name"
);
name!(
    /// The name that a container is created under.
    ContainerName, is_name, "a container's name (letters, digits, `_`, `.`, `-`, starting with a letter or digit)"
);
name!(
    /// A volume's name.
    VolumeName, is_name, "a volume's name (letters, digits, `_`, `.`, `-`, starting with a letter or digit)"
);
name!(
    /// A network's name.
    NetworkName, is_name, "a network's name (letters, digits, `_`, `.`, `-`, starting with a letter or digit)"
);
name!(
    /// The id of an exec.
    ExecId, is_name, "the id of an exec"
);
name!(
    /// An image by name, name and tag, name and digest, or id.
    ImageRef, is_reference, "an image reference (such as `name:tag`)"
);
name!(
    /// An image's content-addressed id, such as `sha256:…`.
    ImageId, is_reference, "an image's id"
);

impl From<ContainerName> for ContainerId {
    fn from(name: ContainerName) -> Self {
        Self(name.0)
    }
}

impl NetworkName {
    /// The name of the one network that a sandbox may have. `None` where that is no name.
    pub fn of_sandbox(sandbox: &str) -> Option<Self> {
        // A sandbox without an id would share its network with every other of that kind.
        (!sandbox.is_empty()).then(|| Self::parse(format!("berth-net-{sandbox}")).ok()).flatten()
    }
}

impl From<ImageId> for ImageRef {
    fn from(id: ImageId) -> Self {
        Self(id.0)
    }
}

impl ImageRef {
    /// The repository and the tag; `latest` where the reference names none. `None` for a digest or an id.
    pub fn repository_and_tag(&self) -> Option<(&str, &str)> {
        if self.0.contains('@') || self.0.starts_with("sha256:") {
            return None;
        }
        match self.0.rsplit_once(':') {
            // A colon before the last slash is a registry's port.
            Some((repository, tag)) if !tag.contains('/') => Some((repository, tag)),
            Some(_) | None => Some((&self.0, "latest")),
        }
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= NAME_BYTES_MAX
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

fn is_reference(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= REFERENCE_BYTES_MAX
        && text.split('/').all(|part| {
            let mut bytes = part.bytes();
            bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b':' | b'@'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_change_a_request_path_are_refused() {
        for text in ["", "../x", "a/b", "a?force=1", "a#b", "a%2f", "-a", ".", "..", "a b", "a\n", "ä"] {
            assert!(ContainerName::parse(text).is_err(), "{text:?}");
            assert!(VolumeName::parse(text).is_err(), "{text:?}");
            assert!(NetworkName::parse(text).is_err(), "{text:?}");
        }
        assert!(ContainerName::parse("x".repeat(NAME_BYTES_MAX + 1)).is_err());
        assert!(ContainerName::parse("berth-0193_a.b").is_ok());
    }

    #[test]
    fn a_network_is_named_after_its_sandbox_and_after_nothing_else() {
        assert_eq!(NetworkName::of_sandbox("0193").unwrap().as_str(), "berth-net-0193");
        for nothing in ["", "a/b", "a b"] {
            assert_eq!(NetworkName::of_sandbox(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn references_take_registries_tags_and_digests_and_nothing_else() {
        for text in [
            "busybox",
            "debian:bookworm-slim",
            "berth/adapted:0a1b-1000",
            "localhost:5000/a/b:c",
            "a@sha256:0a",
            "sha256:0a",
        ] {
            assert!(ImageRef::parse(text).is_ok(), "{text:?}");
        }
        for text in ["", "/a", "a//b", "a/../b", "a?x", "a b", "a#", "-a", "a/%2e", "a/"] {
            assert!(ImageRef::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_port_is_not_a_tag() {
        let pair = |text: &str| {
            let reference = ImageRef::parse(text).unwrap();
            reference.repository_and_tag().map(|(name, tag)| (name.to_owned(), tag.to_owned()))
        };
        assert_eq!(pair("localhost:5000/a"), Some(("localhost:5000/a".into(), "latest".into())));
        assert_eq!(pair("localhost:5000/a:b"), Some(("localhost:5000/a".into(), "b".into())));
        assert_eq!(pair("a@sha256:00"), None);
    }
}
