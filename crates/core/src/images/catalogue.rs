//! What is in `agent-images/`, read from the program itself.
//!
//! A folder with an `image.toml` is an image; `agent-images/README.md` explains the fields. What the files say is checked by
//! a test, so that a program that was built has a catalogue that can be read.

use std::sync::LazyLock;

use engine::ImageRef;
use include_dir::{Dir, include_dir};
use serde::Deserialize;

/// What an image says of itself.
const MANIFEST: &str = "image.toml";
/// Longest name or version of an image, in bytes.
const WORD_BYTES_MAX: usize = 40;

static FOLDERS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../agent-images");

static CATALOGUE: LazyLock<Vec<AgentImage>> =
    LazyLock::new(|| read_all().expect("invariant: the embedded images can be read, as a test shows"));

/// All images, by name.
pub(crate) fn catalogue() -> &'static [AgentImage] {
    &CATALOGUE
}

/// The image of that name.
pub(crate) fn find(name: &str) -> Option<&'static AgentImage> {
    catalogue().iter().find(|image| image.name == name)
}

/// An image that Berth brings with it.
#[derive(Debug)]
pub(crate) struct AgentImage {
    /// Its name: lower-case letters, digits and dashes.
    pub(crate) name: &'static str,
    /// Two letters or digits that stand for it where there is no room.
    pub(crate) call_sign: String,
    /// What a person calls it.
    pub(crate) title: String,
    /// What it is good for, in a sentence or two.
    pub(crate) description: String,
    /// Raised when a home made with the image before needs care.
    pub(crate) version: String,
    /// What its Dockerfile starts from.
    pub(crate) base: ImageRef,
    /// The program that carries out the rest; empty where `headless.command` is started as it is.
    pub(crate) entry: Vec<String>,
    /// How it works on a prompt without a person.
    pub(crate) headless: Headless,
    /// How a person speaks with it in a terminal.
    pub(crate) interactive: Option<Interactive>,
    /// The profile of system calls of its sandboxes, where the engine's own will not do.
    pub(crate) seccomp: Option<String>,
    /// The size of `/dev/shm`, where the usual one will not do.
    pub(crate) shared_memory_mib: Option<u32>,
    /// The files of its build context: path relative to the image's folder, and content. Sorted by path.
    pub(super) files: Vec<(&'static str, &'static [u8])>,
}

/// How an image works on a prompt without a person.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Headless {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// How the prompt comes to it.
    pub(crate) prompt: PromptDelivery,
}

/// How a person speaks with an image's agent in a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Interactive {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
}

/// How a prompt comes to an agent's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PromptDelivery {
    /// On its standard input, which then ends.
    Stdin,
}

/// `image.toml`, word by word.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    call_sign: String,
    title: String,
    description: String,
    version: String,
    base: String,
    #[serde(default)]
    entry: Vec<String>,
    headless: Headless,
    #[serde(default)]
    interactive: Option<Interactive>,
    #[serde(default)]
    seccomp: Option<String>,
    #[serde(default)]
    shared_memory_mib: Option<u32>,
}

/// An embedded image is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManifestError {
    /// Not the TOML that is expected.
    #[error("`{folder}/image.toml` cannot be read: {detail}")]
    Unreadable {
        /// The image's folder.
        folder: String,
        /// What is wrong, and where.
        detail: String,
    },
    /// A field has a value that it must not have.
    #[error("`{folder}/image.toml`: `{field}` must be {expected}")]
    Wrong {
        /// The image's folder.
        folder: String,
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

fn read_all() -> Result<Vec<AgentImage>, ManifestError> {
    let mut images = FOLDERS
        .dirs()
        .filter_map(|folder| {
            let name = folder.path().to_str()?;
            let manifest = folder.get_file(folder.path().join(MANIFEST))?;
            Some((folder, name, manifest.contents_utf8().unwrap_or_default()))
        })
        .map(|(folder, name, manifest)| read(name, manifest, files_of(folder)))
        .collect::<Result<Vec<_>, _>>()?;
    images.sort_by_key(|image| image.name);
    Ok(images)
}

/// The files of an image, without its tests and what running them leaves behind.
fn files_of(folder: &'static Dir<'static>) -> Vec<(&'static str, &'static [u8])> {
    let mut files = Vec::new();
    let mut folders = vec![folder];
    while let Some(next) = folders.pop() {
        folders.extend(next.dirs().filter(|inner| !inner.path().ends_with("__pycache__")));
        files.extend(next.files().filter_map(|file| {
            let path = file.path().strip_prefix(folder.path()).ok()?.to_str()?;
            (!path.ends_with("_test.py")).then_some((path, file.contents()))
        }));
    }
    files.sort();
    files
}

pub(super) fn read(
    folder: &'static str,
    manifest: &str,
    files: Vec<(&'static str, &'static [u8])>,
) -> Result<AgentImage, ManifestError> {
    let manifest: Manifest = toml::from_str(manifest)
        .map_err(|error| ManifestError::Unreadable { folder: folder.to_owned(), detail: error.to_string() })?;
    let rule = |holds: bool, field, expected| {
        if holds { Ok(()) } else { Err(ManifestError::Wrong { folder: folder.to_owned(), field, expected }) }
    };
    let is_short = |text: &str| !text.is_empty() && text.len() <= WORD_BYTES_MAX;
    rule(manifest.name == folder, "name", "the name of its folder")?;
    rule(
        is_short(folder) && folder.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')),
        "name",
        "lower-case letters, digits and dashes",
    )?;
    rule(
        is_short(&manifest.version) && manifest.version.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.')),
        "version",
        "digits and dots",
    )?;
    rule(
        manifest.call_sign.len() == 2
            && manifest.call_sign.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9')),
        "call_sign",
        "two capital letters or digits",
    )?;
    rule(
        manifest.headless.command.first().is_some_and(|program| !program.is_empty()),
        "headless.command",
        "a program",
    )?;
    let seccomp = match &manifest.seccomp {
        Some(name) => {
            let found =
                files.iter().find(|(path, _)| path == name).and_then(|(_, text)| std::str::from_utf8(text).ok());
            rule(found.is_some(), "seccomp", "a file of its folder")?;
            found.map(str::to_owned)
        }
        None => None,
    };
    let base = ImageRef::parse(manifest.base);
    rule(base.is_ok(), "base", "an image reference")?;
    Ok(AgentImage {
        name: folder,
        call_sign: manifest.call_sign,
        title: manifest.title,
        description: manifest.description,
        version: manifest.version,
        base: base.expect("invariant: it was just checked"),
        entry: manifest.entry,
        headless: manifest.headless,
        interactive: manifest.interactive,
        seccomp,
        shared_memory_mib: manifest.shared_memory_mib,
        files,
    })
}
