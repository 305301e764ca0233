//! What is in `agent-images/`, read from the program itself.
//!
//! A folder with an `image.toml` is an image; `agent-images/README.md` explains the fields. What the files say is checked by
//! a test, so that a program that was built has a catalogue that can be read.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use engine::ImageRef;
use include_dir::{Dir, include_dir};
use wire::secret::Provider;

use super::context::DOCKERFILE;
use super::dockerfile;
use super::manifest::{Manifest, ManifestError};
use super::versions::{self, Pins, Versions};

/// What an image says of itself.
const MANIFEST: &str = "image.toml";
/// What the reference of another folder begins with.
const OF_FOLDER: &str = "berth/";

static FOLDERS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../agent-images");

static CATALOGUE: LazyLock<Vec<Arc<AgentImage>>> =
    LazyLock::new(|| read_all().expect("invariant: the embedded images can be read, as a test shows"));

/// All images, by name.
pub(crate) fn catalogue() -> &'static [Arc<AgentImage>] {
    &CATALOGUE
}

/// The image of that name.
pub(crate) fn find(name: &str) -> Option<&'static Arc<AgentImage>> {
    catalogue().iter().find(|image| image.name == name)
}

/// An image that Berth brings with it.
#[derive(Debug)]
pub(crate) struct AgentImage {
    /// Its name: lower-case letters, digits and dashes.
    pub(crate) name: String,
    /// What a person reads as its version.
    pub(crate) version: String,
    /// What its Dockerfile starts from.
    pub(crate) base: Base,
    /// What it says of itself.
    manifest: Manifest,
    /// Arguments of its Dockerfile beside `BASE`.
    pub(super) arguments: BTreeMap<String, String>,
    /// The files of its build context: path and content. Sorted by path.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// What an image starts from.
#[derive(Clone, Debug)]
pub(crate) enum Base {
    /// Another image that Berth brings.
    Image(Arc<AgentImage>),
    /// One of a registry.
    Outside(ImageRef),
}

impl AgentImage {
    /// Two letters or digits that stand for it where there is no room.
    pub(crate) fn call_sign(&self) -> &str {
        &self.manifest.call_sign
    }

    /// What a person calls it.
    pub(crate) fn title(&self) -> &str {
        &self.manifest.title
    }

    /// What it is good for, in a sentence or two.
    pub(crate) fn description(&self) -> &str {
        &self.manifest.description
    }

    /// What it starts from: another image's name, or a reference.
    pub(crate) fn base_name(&self) -> &str {
        match &self.base {
            Base::Image(base) => &base.name,
            Base::Outside(reference) => reference.as_str(),
        }
    }

    /// Whether it is there for other images to start from.
    pub(crate) fn is_part(&self) -> bool {
        self.manifest.is_part
    }

    /// What is started for a prompt; `None` for a part of others.
    pub(crate) fn launch(&self) -> Option<Vec<String>> {
        self.manifest.launch()
    }

    /// What is started for a person at a terminal; `None` where it has nothing for one.
    pub(crate) fn interactive(&self) -> Option<Vec<String>> {
        self.manifest.interactive_launch()
    }

    /// Whether it goes on with a conversation when changes are asked for.
    pub(crate) fn can_resume(&self) -> bool {
        self.manifest.can_resume()
    }

    /// The providers that it can work with, best first.
    pub(crate) fn providers(&self) -> Vec<Provider> {
        self.manifest.provider.iter().map(|ways| ways.name).collect()
    }

    /// Hosts that it needs beside its model.
    pub(crate) fn hosts(&self) -> &[String] {
        &self.manifest.hosts
    }

    /// Whether it has a desktop.
    pub(crate) fn has_desktop(&self) -> bool {
        self.manifest.can.desktop
    }

    /// Ports on which it usually serves something.
    pub(crate) fn ports(&self) -> &[u16] {
        &self.manifest.can.ports
    }

    /// The profile of system calls that its sandboxes need, as JSON, where the engine's own will not do.
    pub(crate) fn seccomp(&self) -> Option<&str> {
        let file = self.manifest.seccomp.as_deref()?;
        std::str::from_utf8(self.file(file)?).ok()
    }

    /// Size of `/dev/shm`, where the usual will not do.
    pub(crate) fn shared_memory_mib(&self) -> Option<u32> {
        self.manifest.shared_memory_mib
    }

    /// How it is built.
    pub(crate) fn dockerfile(&self) -> &str {
        self.file(DOCKERFILE).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }

    fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.iter().find(|(name, _)| name == path).map(|(_, content)| content.as_slice())
    }
}

/// A folder as it is read, before what it starts from is known.
pub(super) struct Folder {
    manifest: Manifest,
    files: Vec<(String, Vec<u8>)>,
}

fn read_all() -> Result<Vec<Arc<AgentImage>>, ManifestError> {
    let text = FOLDERS.get_file(versions::FILE).and_then(|file| file.contents_utf8()).unwrap_or_default();
    let pins = versions::read(text)?;
    let mut folders = BTreeMap::new();
    for folder in FOLDERS.dirs() {
        let Some(name) = folder.path().to_str() else { continue };
        let Some(manifest) = folder.get_file(folder.path().join(MANIFEST)) else { continue };
        folders.insert(name.to_owned(), read(name, manifest.contents_utf8().unwrap_or_default(), files_of(folder))?);
    }
    joined(folders, pins)
}

/// The files of an image, without its tests and what running them leaves behind.
fn files_of(folder: &'static Dir<'static>) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder];
    while let Some(next) = folders.pop() {
        folders.extend(next.dirs().filter(|inner| !is_left_by_python(inner.path())));
        files.extend(next.files().filter_map(|file| {
            let path = file.path().strip_prefix(folder.path()).ok()?.to_str()?;
            (!path.ends_with("_test.py")).then(|| (path.to_owned(), file.contents().to_vec()))
        }));
    }
    files.sort();
    files
}

fn is_left_by_python(folder: &std::path::Path) -> bool {
    [".pytest_cache", ".ruff_cache", ".mypy_cache", "__pycache__"].iter().any(|left| folder.ends_with(left))
}

/// Reads one folder.
pub(super) fn read(name: &str, manifest: &str, files: Vec<(String, Vec<u8>)>) -> Result<Folder, ManifestError> {
    let manifest = Manifest::read(name, manifest)?;
    let is_profile = |file: &String| {
        let content = files.iter().find(|(path, _)| path == file).map(|(_, content)| content.as_slice());
        content.is_some_and(|json| serde_json::from_slice::<serde_json::Map<_, _>>(json).is_ok())
    };
    if !manifest.seccomp.as_ref().is_none_or(is_profile) {
        let (folder, expected) = (name.to_owned(), "a file of the folder that holds an object in JSON");
        return Err(ManifestError::Wrong { folder, field: "seccomp", expected });
    }
    Ok(Folder { manifest, files })
}

/// Joins folders with their pinned versions, what they include and what they start from.
pub(super) fn joined(
    mut folders: BTreeMap<String, Folder>,
    mut pins: Versions,
) -> Result<Vec<Arc<AgentImage>>, ManifestError> {
    if let Some(section) = pins.keys().find(|section| !folders.contains_key(*section)) {
        let (section, key, expected) = (section.clone(), String::new(), "must be the name of an image");
        return Err(ManifestError::Version { section, key, expected });
    }
    include(&mut folders)?;
    let mut images: BTreeMap<String, Arc<AgentImage>> = BTreeMap::new();
    // Each turn takes those whose base is known; where there is none left, what stays starts from itself or from nothing.
    while !folders.is_empty() {
        let known = |folder: &Folder| match folder.manifest.base.strip_prefix(OF_FOLDER) {
            Some(base) => images.get(base).map(|base| Base::Image(base.clone())),
            None => ImageRef::parse(folder.manifest.base.as_str()).ok().map(Base::Outside),
        };
        let found = folders.iter().find_map(|(name, folder)| Some((name.clone(), known(folder)?)));
        let Some((name, base)) = found else {
            let (name, folder) = folders.pop_first().expect("invariant: the loop ends when there is none");
            return Err(ManifestError::Base { folder: name, base: folder.manifest.base });
        };
        let folder = folders.remove(&name).expect("invariant: it was just found");
        let image = image_of(&name, folder, pins.remove(&name).unwrap_or_default(), base)?;
        images.insert(name, Arc::new(image));
    }
    Ok(images.into_values().collect())
}

fn image_of(name: &str, folder: Folder, pins: Pins, base: Base) -> Result<AgentImage, ManifestError> {
    let Folder { manifest, files } = folder;
    let image = AgentImage {
        name: name.to_owned(),
        version: pins.shown.unwrap_or_else(|| manifest.revision.to_string()),
        base,
        manifest,
        arguments: pins.arguments,
        files,
    };
    let taken = dockerfile::arguments(image.dockerfile());
    if let Some(key) = image.arguments.keys().find(|key| !taken.contains(*key)) {
        let (section, key, expected) = (name.to_owned(), key.clone(), "must be an `ARG` of the image's Dockerfile");
        return Err(ManifestError::Version { section, key, expected });
    }
    Ok(image)
}

/// Puts the files that others bring into the folders that name them, beside their own.
fn include(folders: &mut BTreeMap<String, Folder>) -> Result<(), ManifestError> {
    let mut all = Vec::new();
    for (name, folder) in folders.iter() {
        for path in &folder.manifest.include {
            let wrong = |expected| ManifestError::Wrong { folder: name.clone(), field: "include", expected };
            let (other, file) = path.split_once('/').ok_or_else(|| wrong("files as `folder/file`"))?;
            let found = folders.get(other).and_then(|other| other.files.iter().find(|(path, _)| path == file));
            let (_, content) = found.ok_or_else(|| wrong("files that other folders have"))?;
            if folder.files.iter().any(|(path, _)| path == file) {
                return Err(wrong("files that the folder itself does not have"));
            }
            all.push((name.clone(), (file.to_owned(), content.clone())));
        }
    }
    for (name, file) in all {
        let files = &mut folders.get_mut(&name).expect("invariant: it was just looked at").files;
        files.push(file);
        files.sort();
    }
    Ok(())
}
