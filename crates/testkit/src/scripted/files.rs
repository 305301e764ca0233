//! File systems in memory: trees that tar archives go into and come out of.

use std::collections::BTreeMap;
use std::io::Read;

use bytes::Bytes;
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use engine::archive::{ArchiveBody, ArchiveStream};
use engine::{EngineError, ErrorKind, Result};
use futures::{StreamExt, TryStreamExt};

/// How large the chunks of an archive are, in bytes.
const CHUNK_BYTES: usize = 32 * 1024;

/// A file system: absolute paths to what is there. Its root always exists.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<Utf8PathBuf, Node>,
}

#[derive(Debug, Clone)]
struct Node {
    kind: Kind,
    mode: u32,
    uid: u64,
    gid: u64,
}

#[derive(Debug, Clone)]
enum Kind {
    File(Bytes),
    Folder,
    Link(Utf8PathBuf),
}

impl Tree {
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn is_folder(&self, path: &Utf8Path) -> bool {
        path == "/" || self.nodes.get(path).is_some_and(|node| matches!(node.kind, Kind::Folder))
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        match &self.nodes.get(Utf8Path::new(path))?.kind {
            Kind::File(content) => Some(String::from_utf8_lossy(content).into_owned()),
            Kind::Folder | Kind::Link(_) => None,
        }
    }

    /// What is at and beneath `path`, as a tree of its own whose root is `path`.
    pub(super) fn beneath(&self, path: &Utf8Path) -> Self {
        let moved = |(found, node): (&Utf8PathBuf, &Node)| {
            let rest = found.strip_prefix(path).ok().filter(|rest| !rest.as_str().is_empty())?;
            Some((Utf8Path::new("/").join(rest), node.clone()))
        };
        Self { nodes: self.nodes.iter().filter_map(moved).collect() }
    }

    /// Copies one file of `other` to `target`.
    pub(super) fn copy(&mut self, other: &Self, path: &Utf8Path, target: Utf8PathBuf) -> Option<()> {
        let node = other.nodes.get(path)?.clone();
        self.nodes.insert(target, node);
        Some(())
    }

    /// Unpacks a tar at `folder`.
    pub(super) fn unpack(&mut self, folder: &Utf8Path, tar: &[u8]) -> std::io::Result<()> {
        for entry in tar::Archive::new(tar).entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().into_owned();
            let path = beneath(folder, Utf8Path::new(&name));
            let header = entry.header().clone();
            let kind = if header.entry_type().is_dir() {
                Kind::Folder
            } else if header.entry_type().is_symlink() {
                let target = entry.link_name()?.map(|target| target.to_string_lossy().into_owned());
                Kind::Link(target.unwrap_or_default().into())
            } else {
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                Kind::File(content.into())
            };
            self.add_parents(&path);
            if path != "/" {
                let node = Node { kind, mode: header.mode()? & 0o7777, uid: header.uid()?, gid: header.gid()? };
                self.nodes.insert(path, node);
            }
        }
        Ok(())
    }

    fn add_parents(&mut self, path: &Utf8Path) {
        for parent in path.ancestors().skip(1).filter(|parent| *parent != "/") {
            let folder = || Node { kind: Kind::Folder, mode: 0o755, uid: 0, gid: 0 };
            self.nodes.entry(parent.to_owned()).or_insert_with(folder);
        }
    }

    /// A tar of `path` and what is beneath it, its names beginning with the last part of `shown_as`; `None` where it is not there.
    pub(super) fn pack(&self, path: &Utf8Path, shown_as: &Utf8Path) -> Option<std::io::Result<Vec<u8>>> {
        if path != "/" && !self.nodes.contains_key(path) {
            return None;
        }
        let first = Utf8PathBuf::from(shown_as.file_name().unwrap_or("."));
        Some(self.packed(path, &first))
    }

    fn packed(&self, path: &Utf8Path, first: &Utf8Path) -> std::io::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for (found, node) in self.nodes.range(path.to_owned()..) {
            let Ok(rest) = found.strip_prefix(path) else { continue };
            let name = if rest.as_str().is_empty() { first.to_owned() } else { first.join(rest) };
            let mut header = tar::Header::new_gnu();
            header.set_mode(node.mode);
            header.set_uid(node.uid);
            header.set_gid(node.gid);
            header.set_size(0);
            match &node.kind {
                Kind::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    tar.append_data(&mut header, name, std::io::empty())?;
                }
                Kind::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    tar.append_link(&mut header, name, target)?;
                }
                Kind::File(content) => {
                    header.set_entry_type(tar::EntryType::Regular);
                    header.set_size(content.len() as u64);
                    tar.append_data(&mut header, name, content.as_ref())?;
                }
            }
        }
        tar.into_inner()
    }
}

/// `name` beneath `folder`, whatever `name` tries.
pub(super) fn beneath(folder: &Utf8Path, name: &Utf8Path) -> Utf8PathBuf {
    let mut path = folder.to_owned();
    path.extend(name.components().filter_map(|part| match part {
        Utf8Component::Normal(part) => Some(part),
        Utf8Component::RootDir | Utf8Component::CurDir | Utf8Component::ParentDir | Utf8Component::Prefix(_) => None,
    }));
    path
}

/// The whole of an archive on its way in.
pub(super) async fn collected(body: ArchiveBody) -> Result<Bytes> {
    match body {
        ArchiveBody::Bytes(bytes) => Ok(bytes),
        ArchiveBody::Stream(stream) => {
            let broken =
                |error| EngineError::new(ErrorKind::Broken, "read an archive", "its source failed").caused_by(error);
            Ok(stream.try_collect::<Vec<_>>().await.map_err(broken)?.concat().into())
        }
    }
}

/// An archive on its way out, refused beyond its bound.
pub(super) fn in_chunks(tar: Vec<u8>, doing: String, bytes_max: u64) -> ArchiveStream {
    let allowed = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let whole = Bytes::from(tar);
    let mut chunks = Vec::new();
    let mut start = 0;
    while start < whole.len() {
        let end = (start + CHUNK_BYTES).min(whole.len());
        if end > allowed {
            let detail = format!("it is larger than the {bytes_max} bytes that are read");
            chunks.push(Err(EngineError::new(ErrorKind::Denied, doing, detail)));
            break;
        }
        chunks.push(Ok(whole.slice(start..end)));
        start = end;
    }
    futures::stream::iter(chunks).boxed()
}
