//! Makes any image one that a sandbox can be made of: refuses what would get in the way of Berth's own mounts, and gives a copy
//! of it a line for the sandbox's user, where it has none.
//!
//! ```text
//! image ─▶ a container of it that never runs ─▶ a link or a file where Berth mounts ─▶ refused
//!                                            ├▶ /etc/passwd names the uid ───────────▶ as it is
//!                                            └▶ it does not ─▶ two files put in, committed as berth/adapted:DIGEST-UID
//! ```
//!
//! A uid without a line breaks more than one would think: Node's `os.userInfo()`, git's identity, `whoami`. Everything that is
//! read here is the image's, so hostile: bounded, and looked at as bytes. An adapted image goes when nothing names its base any
//! more ([`reclaim`]).

use std::collections::HashSet;
use std::io::Read as _;

use camino::Utf8Path;
use engine::{
    ContainerId, ContainerName, ContainerSpec, Engine, EngineError, ErrorKind, Image, ImageId, ImageRef, LabelFilter,
    Ownership, Role,
};
use futures::TryStreamExt as _;
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::fault_points::{Point, around};
use crate::guest_volume::{bare_filler, make_filler, remove_filler};
use crate::home::HOME_FOLDER;
use crate::owner::Owner;

/// Where something is mounted, and what leads there: a link would move the mount, a file would keep it out.
const FOLDERS: [&str; 7] = ["/berth", "/workspace", "/home", HOME_FOLDER, "/tmp", "/run", "/etc"];
/// The repository of adapted images.
const REPOSITORY: &str = "berth/adapted";
/// The largest `/etc/passwd` or `/etc/group` that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What a tar adds to one file: its header and the end.
const TAR_BYTES: u64 = 16 << 10;
/// The length of a tar's header (POSIX.1-2017, pax), in bytes.
const HEADER_BYTES: usize = 512;

/// Fits images, one at a time.
#[derive(Default)]
pub(crate) struct Fitting {
    /// Images that are as they should be. Held while one is fitted: two steps that want the same adapt it once.
    fitting: Mutex<HashSet<ImageId>>,
}

/// Why an image cannot be fitted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FitError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Something is in the way of Berth's own mounts.
    #[error("it has {what} at `{path}`, where Berth needs a folder or nothing")]
    InTheWay {
        /// A link, a file or the like.
        what: &'static str,
        /// Where.
        path: &'static str,
    },
}

impl Fitting {
    /// The image to make a sandbox of for `owner`: `image` itself, or its adapted copy.
    ///
    /// # Cancel safety
    /// Safe: what was made is found again, or is a leftover that reconciling takes away.
    pub(crate) async fn fit(
        &self,
        engine: &dyn Engine,
        install: &str,
        owner: Owner,
        image: &Image,
    ) -> Result<ImageId, FitError> {
        let mut fitting = self.fitting.lock().await;
        if fitting.contains(&image.id) {
            return Ok(image.id.clone());
        }
        let tag = tag_of(&image.id, owner);
        let ownership = Ownership::of_install(install, Role::Adapted);
        // Another installation on the same engine may have made it: the name says all that went into it.
        if let Some(adapted) = engine.image(&tag).await?
            && adapted.ownership().is_some_and(|found| found.role == Role::Adapted)
        {
            return Ok(adapted.id);
        }
        let filler = make_filler(engine, &look_into(install, image)).await?;
        let fitted = fit_through(engine, &filler, owner, &tag, &ownership).await;
        remove_filler(engine, &filler).await?;
        let Some(adapted) = fitted? else {
            fitting.insert(image.id.clone());
            return Ok(image.id.clone());
        };
        info!(image = %image.id, %tag, "adapted an image");
        Ok(adapted)
    }
}

/// What an adapted image is called; the part before the dash is its base.
fn tag_of(image: &ImageId, owner: Owner) -> ImageRef {
    let digest = image.as_str().trim_start_matches("sha256:");
    ImageRef::parse(format!("{REPOSITORY}:{digest}-{}", owner.uid)).expect("invariant: a digest and a number are a tag")
}

fn look_into(install: &str, image: &Image) -> ContainerSpec {
    let name = look_name(install, &image.id);
    bare_filler(name, image.id.clone().into(), Ownership::of_install(install, Role::Filler))
}

/// The container through which an image is looked into. One of another install on the same engine has another name: whoever makes a
/// container takes away what has its name.
fn look_name(install: &str, image: &ImageId) -> ContainerName {
    let digest = image.as_str().trim_start_matches("sha256:");
    let digest = digest.get(..12).unwrap_or(digest);
    ContainerName::parse(format!("berth-fit-{install}-{digest}")).expect("invariant: an id and hex digits")
}

async fn fit_through(
    engine: &dyn Engine,
    filler: &ContainerId,
    owner: Owner,
    tag: &ImageRef,
    ownership: &Ownership,
) -> Result<Option<ImageId>, FitError> {
    for path in FOLDERS {
        match kind_at(engine, filler, path).await? {
            None | Some(tar::EntryType::Directory) => {}
            Some(tar::EntryType::Symlink | tar::EntryType::Link) => {
                return Err(FitError::InTheWay { what: "a link", path });
            }
            Some(_) => return Err(FitError::InTheWay { what: "a file", path }),
        }
    }
    let passwd = file_at(engine, filler, "/etc/passwd").await?;
    let group = file_at(engine, filler, "/etc/group").await?;
    let (Found::Text(_) | Found::Nothing, Found::Text(_) | Found::Nothing) = (&passwd, &group) else {
        // A link, or larger than any: whoever made it has something in mind that is not to be replaced.
        warn!(%tag, "the image's /etc/passwd is no plain file, and left as it is");
        return Ok(None);
    };
    let (passwd, group) = (passwd.text(), group.text());
    if has_id(&passwd, owner.uid) {
        return Ok(None);
    }
    let lines = files(&passwd, &group, owner).into();
    around(Point::ImageFill, engine.put_archive(filler, Utf8Path::new("/"), lines)).await?;
    Ok(Some(around(Point::ImageCommit, engine.commit(filler, tag, ownership)).await?))
}

/// What is at a path of a container; `None` where there is nothing. Links are not followed.
async fn kind_at(engine: &dyn Engine, id: &ContainerId, path: &str) -> Result<Option<tar::EntryType>, EngineError> {
    // The header says it; what else there is of it is not waited for.
    let mut archive = match engine.get_archive(id, Utf8Path::new(path), u64::MAX).await {
        Ok(archive) => archive,
        Err(error) if error.is_gone() => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    while bytes.len() < HEADER_BYTES {
        let Some(chunk) = archive.try_next().await? else { break };
        bytes.extend_from_slice(&chunk);
    }
    let broken =
        || EngineError::new(ErrorKind::Broken, format!("look at {path} of container {id}"), "it is no archive");
    let header: [u8; HEADER_BYTES] =
        bytes.get(..HEADER_BYTES).and_then(|head| head.try_into().ok()).ok_or_else(broken)?;
    let mut parsed = tar::Header::new_old();
    parsed.as_mut_bytes().copy_from_slice(&header);
    Ok(Some(parsed.entry_type()))
}

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Text(Vec<u8>),
    /// No plain file of a sensible size.
    Odd,
}

impl Found {
    fn text(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text,
            Self::Nothing | Self::Odd => Vec::new(),
        }
    }
}

async fn file_at(engine: &dyn Engine, id: &ContainerId, path: &str) -> Result<Found, EngineError> {
    let archive = match engine.get_archive(id, Utf8Path::new(path), FILE_BYTES_MAX + TAR_BYTES).await {
        Ok(archive) => archive.try_collect::<Vec<_>>().await,
        Err(error) => Err(error),
    };
    match archive {
        Ok(chunks) => Ok(first_file(&chunks.concat())),
        Err(error) if error.is_gone() => Ok(Found::Nothing),
        Err(error) if error.kind() == ErrorKind::Denied => Ok(Found::Odd),
        Err(error) => Err(error),
    }
}

fn first_file(archive: &[u8]) -> Found {
    let mut archive = tar::Archive::new(archive);
    let Some(Ok(entry)) = archive.entries().ok().and_then(|mut entries| entries.next()) else { return Found::Odd };
    let mut text = Vec::new();
    let is_file = entry.header().entry_type().is_file();
    match entry.take(FILE_BYTES_MAX).read_to_end(&mut text) {
        Ok(_) if is_file => Found::Text(text),
        Ok(_) | Err(_) => Found::Odd,
    }
}

/// Whether a line has that number in its third field (passwd(5), group(5)).
fn has_id(text: &[u8], id: u32) -> bool {
    let third = |line: &[u8]| {
        let field = line.split(|&byte| byte == b':').nth(2)?;
        std::str::from_utf8(field).ok()?.parse::<u32>().ok()
    };
    text.split(|&byte| byte == b'\n').any(|line| third(line) == Some(id))
}

/// A name that no line has.
fn free_name(text: &[u8]) -> &'static str {
    let is_taken = text.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"agent:"));
    if is_taken { "berth-agent" } else { "agent" }
}

/// Both files with a line more, as a tar for the root.
fn files(passwd: &[u8], group: &[u8], owner: Owner) -> Vec<u8> {
    let Owner { uid, gid } = owner;
    let name = free_name(passwd);
    let passwd = with_line(passwd, &format!("{name}:x:{uid}:{gid}:Berth:{HOME_FOLDER}:/bin/sh"));
    let group =
        if has_id(group, gid) { group.to_vec() } else { with_line(group, &format!("{}:x:{gid}:", free_name(group))) };
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in [("etc/passwd", passwd), ("etc/group", group)] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, path, text.as_slice()).expect("invariant: memory takes a tar");
    }
    archive.into_inner().expect("invariant: memory takes a tar")
}

fn with_line(text: &[u8], line: &str) -> Vec<u8> {
    let mut text = text.to_vec();
    if text.last().is_some_and(|&last| last != b'\n') {
        text.push(b'\n');
    }
    text.extend_from_slice(line.as_bytes());
    text.push(b'\n');
    text
}

/// Removes the adapted images of `install` whose base is gone, or is kept by nothing but them, and those without a name. To be called while none is made.
pub(crate) async fn reclaim(engine: &dyn Engine, install: &str) -> Result<(), EngineError> {
    for adapted in engine.images(&LabelFilter::install(install).role(Role::Adapted)).await? {
        let digest_of =
            |tag: &String| Some(tag.strip_prefix(REPOSITORY)?.strip_prefix(':')?.split('-').next()?.to_owned());
        // Another install adapted the same base in the same moment, and its image has the name.
        let is_nameless = adapted.repo_tags.iter().all(|tag| tag.contains("<none>"));
        if !is_nameless {
            let Some(digest) = adapted.repo_tags.iter().find_map(digest_of) else { continue };
            let Ok(base) = ImageRef::parse(format!("sha256:{digest}")) else { continue };
            if engine.image(&base).await?.is_some_and(|base| !base.repo_tags.is_empty()) {
                continue;
            }
        }
        match engine.remove_image(&adapted.id.clone().into()).await {
            Ok(()) => info!(image = %adapted.id, "removed an adapted image that nothing is made of any more"),
            // A sandbox uses it still.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installs_that_were_made_in_the_same_moment_look_through_containers_of_their_own() {
        let image = ImageId::parse(format!("sha256:{}", "a".repeat(64))).unwrap();
        // Ids of the same millisecond, which is what they begin with (UUID version 7).
        let names = ["01a1fffe-9aae-7098-a729-b06ddb339d75", "01a1fffe-9aae-7d98-8729-b06c6bac3e90"];
        assert_ne!(look_name(names[0], &image), look_name(names[1], &image));
    }

    #[test]
    fn a_uid_is_known_by_its_third_field_alone() {
        let text = b"root:x:0:0::/:/bin/sh\nodd:1000:x:1000::/:\nbroken\n:::\nagent:x:1001:1000::/home/agent:/bin/sh";
        assert!(has_id(text, 0) && has_id(text, 1001));
        assert!(!has_id(text, 1000) && !has_id(text, 10) && !has_id(b"", 0));
    }

    #[test]
    fn a_line_is_added_under_a_free_name_and_nothing_else_changes() {
        let owner = Owner { uid: 1234, gid: 50 };
        let unpacked = |passwd: &[u8], group: &[u8]| {
            let archive = files(passwd, group, owner);
            let mut archive = tar::Archive::new(archive.as_slice());
            let entries = archive.entries().unwrap().map(|entry| {
                let mut text = String::new();
                entry.unwrap().read_to_string(&mut text).unwrap();
                text
            });
            entries.collect::<Vec<_>>()
        };
        assert_eq!(
            unpacked(b"root:x:0:0::/:/bin/sh", b"staff:x:50:\n"),
            ["root:x:0:0::/:/bin/sh\nagent:x:1234:50:Berth:/home/agent:/bin/sh\n", "staff:x:50:\n"]
        );
        assert_eq!(
            unpacked(b"agent:x:7:7::/:\n", b""),
            ["agent:x:7:7::/:\nberth-agent:x:1234:50:Berth:/home/agent:/bin/sh\n", "agent:x:50:\n"]
        );
    }

    #[test]
    fn what_is_no_plain_file_is_odd() {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, "passwd", "/proc/1/environ").unwrap();
        assert_eq!(first_file(&archive.into_inner().unwrap()), Found::Odd);
        assert_eq!(first_file(b""), Found::Odd);
        assert_eq!(first_file(&[0xff; 2048]), Found::Odd);
    }
}
