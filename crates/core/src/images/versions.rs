//! `versions.toml`: every version that is pinned, in one place. A section is an image, a key an argument of its Dockerfile.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::manifest::{ManifestError, WORD_BYTES_MAX};

/// Where packages come from.
const REGISTRIES: [&str; 3] = ["npm:", "pypi:", "debian:"];
/// Its name at the top of `agent-images`.
pub(super) const FILE: &str = "versions.toml";

/// The pinned versions of all images, by their names.
pub(super) type Versions = BTreeMap<String, Pins>;

/// The pinned versions of one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pins {
    /// The version that a person reads: the first of the section.
    pub(crate) shown: Option<String>,
    /// Arguments of the Dockerfile.
    pub(crate) arguments: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    from: String,
    version: String,
}

/// Reads all of them.
pub(super) fn read(text: &str) -> Result<Versions, ManifestError> {
    let sections: BTreeMap<String, BTreeMap<String, Spanned<Pin>>> = toml::from_str(text)
        .map_err(|error| ManifestError::Unreadable { file: FILE.to_owned(), detail: error.to_string() })?;
    sections.into_iter().map(|(section, pins)| Ok((section.clone(), pins_of(&section, pins)?))).collect()
}

fn pins_of(section: &str, pins: BTreeMap<String, Spanned<Pin>>) -> Result<Pins, ManifestError> {
    let mut pins: Vec<_> = pins.into_iter().collect();
    // A map has lost the order in which they are written.
    pins.sort_by_key(|(_, pin)| pin.span().start);
    let mut read = Pins::default();
    for (key, pin) in pins {
        let pin = pin.into_inner();
        let rule = |holds: bool, expected| {
            let (section, key) = (section.to_owned(), key.clone());
            if holds { Ok(()) } else { Err(ManifestError::Version { section, key, expected }) }
        };
        let is_key = key.starts_with(|first: char| first.is_ascii_uppercase())
            && key.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
        rule(is_key && key != "BASE", "must be capital letters, digits and underscores, and not `BASE`")?;
        let package = REGISTRIES.iter().find_map(|registry| pin.from.strip_prefix(registry));
        rule(
            package.is_some_and(|package| !package.is_empty() && package.bytes().all(|byte| byte.is_ascii_graphic())),
            "must be from a package of `npm:`, `pypi:` or `debian:`",
        )?;
        rule(is_version(&pin.version), "must be a version")?;
        read.shown.get_or_insert_with(|| pin.version.clone());
        read.arguments.insert(key, pin.version);
    }
    Ok(read)
}

fn is_version(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= WORD_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-~:_".contains(&byte))
}
