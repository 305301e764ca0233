//! A person's own folder with a Dockerfile as a build context: its files, what `.dockerignore` names left out.
//!
//! Links are kept as links and never followed, devices and sockets are left out, and there is a bound of files and bytes. Owners and
//! times are no part of it, so that the same files are the same context on every machine.
//! (<https://docs.docker.com/build/concepts/context/#dockerignore-files>)

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::context::{DOCKERFILE, IN_MEMORY, PartsHash, header};
use super::dockerfile::labelled;

/// Most files, folders and links of a context.
const ENTRIES_MAX: usize = 20_000;
/// Most bytes of a context.
const BYTES_MAX: u64 = 128 << 20;
/// Deepest folder in it.
const DEPTH_MAX: usize = 64;
/// What says what is left out.
const IGNORE: &str = ".dockerignore";
/// Largest file that says so.
const IGNORE_BYTES_MAX: u64 = 64 << 10;
/// Most patterns in it.
const PATTERNS_MAX: usize = 1_000;
/// Part of the hash: raise it when the same files would give another context.
const FOLDER_VERSION: &[u8] = b"berth folder context 1";

/// Why a folder is no context.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    /// It, or something in it, cannot be read.
    #[error("`{path}` cannot be read")]
    Unreadable {
        /// What.
        path: Utf8PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is nothing to build.
    #[error("`{path}` has no Dockerfile")]
    NoDockerfile {
        /// The folder.
        path: Utf8PathBuf,
    },
    /// There is too much in it.
    #[error(
        "`{path}` holds more than {ENTRIES_MAX} files or {} MiB, or folders deeper than {DEPTH_MAX}; name in `{IGNORE}` what the image does not need",
        BYTES_MAX >> 20
    )]
    TooLarge {
        /// The folder.
        path: Utf8PathBuf,
    },
    /// A name that is no UTF-8.
    #[error("a name in `{path}` is no UTF-8")]
    Name {
        /// The folder that has it.
        path: Utf8PathBuf,
    },
    /// More patterns than are compared.
    #[error("`{IGNORE}` has more than {PATTERNS_MAX} patterns or {} KiB", IGNORE_BYTES_MAX >> 10)]
    TooManyPatterns,
    /// A pattern that is none.
    #[error("`{pattern}` in `{IGNORE}` is no pattern")]
    Pattern {
        /// The pattern.
        pattern: String,
    },
}

/// What a folder holds.
#[derive(Debug)]
pub(crate) struct FolderContext {
    entries: Vec<Entry>,
    pub(super) hash: String,
}

#[derive(Debug)]
struct Entry {
    path: Utf8PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Folder,
    File { mode: u32, bytes: Vec<u8> },
    Link { target: Utf8PathBuf },
}

/// The hashes of folders, remembered until something in one changes: they are asked for with every look at the list.
#[derive(Default)]
pub(crate) struct FolderHashes {
    known: Mutex<HashMap<Utf8PathBuf, (String, String)>>,
}

impl FolderHashes {
    /// The hash of a folder's context. Blocks.
    pub(crate) fn of(&self, path: &Utf8Path) -> Result<String, FolderError> {
        let looks = fingerprint(path)?;
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, hash)) = known().get(path).filter(|(known, _)| *known == looks) {
            return Ok(hash.clone());
        }
        let hash = read(path)?.hash;
        known().insert(path.to_owned(), (looks, hash.clone()));
        Ok(hash)
    }
}

/// Reads a folder. Blocks.
pub(crate) fn read(path: &Utf8Path) -> Result<FolderContext, FolderError> {
    let mut entries = Vec::new();
    let mut bytes_left = BYTES_MAX;
    for found in walk(path)? {
        let kind = match found.kind {
            Found::Folder => Kind::Folder,
            Found::Link => {
                let full = path.join(&found.path);
                let target = fs::read_link(&full).map_err(|source| unreadable(&full, source))?;
                let target = Utf8PathBuf::from_path_buf(target).map_err(|_| FolderError::Name { path: full })?;
                Kind::Link { target }
            }
            Found::File { mode, .. } => {
                let full = path.join(&found.path);
                let mut bytes = Vec::new();
                let file = File::open(&full).map_err(|source| unreadable(&full, source))?;
                file.take(bytes_left + 1).read_to_end(&mut bytes).map_err(|source| unreadable(&full, source))?;
                let size = bytes.len() as u64;
                bytes_left =
                    bytes_left.checked_sub(size).ok_or_else(|| FolderError::TooLarge { path: path.to_owned() })?;
                Kind::File { mode, bytes }
            }
        };
        entries.push(Entry { path: found.path, kind });
    }
    let has_dockerfile = |entry: &Entry| entry.path == DOCKERFILE && matches!(entry.kind, Kind::File { .. });
    if !entries.iter().any(has_dockerfile) {
        return Err(FolderError::NoDockerfile { path: path.to_owned() });
    }
    let hash = hash_of(&entries);
    Ok(FolderContext { entries, hash })
}

fn hash_of(entries: &[Entry]) -> String {
    let mut parts = PartsHash::new(FOLDER_VERSION);
    for entry in entries {
        parts.add(entry.path.as_str().as_bytes());
        match &entry.kind {
            Kind::Folder => parts.add(b"folder"),
            Kind::File { mode, bytes } => {
                parts.add(format!("file {mode:o}").as_bytes());
                parts.add(bytes);
            }
            Kind::Link { target } => {
                parts.add(b"link");
                parts.add(target.as_str().as_bytes());
            }
        }
    }
    parts.end()
}

impl FolderContext {
    /// How it is built.
    pub(super) fn dockerfile(&self) -> String {
        let text = self.entries.iter().find_map(|entry| match &entry.kind {
            Kind::File { bytes, .. } if entry.path == DOCKERFILE => Some(String::from_utf8_lossy(bytes).into_owned()),
            Kind::File { .. } | Kind::Folder | Kind::Link { .. } => None,
        });
        text.unwrap_or_default()
    }

    /// The build context, with the labels in its Dockerfile.
    pub(super) fn tar(&self, labels: &BTreeMap<String, String>) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for Entry { path, kind } in &self.entries {
            match kind {
                Kind::Folder => {
                    let mut header = header(tar::EntryType::Directory, 0o755, 0);
                    archive.append_data(&mut header, format!("{path}/"), io::empty()).expect(IN_MEMORY);
                }
                Kind::File { mode, bytes } => {
                    let labelled = (path == DOCKERFILE).then(|| labelled(&String::from_utf8_lossy(bytes), labels));
                    let bytes = labelled.as_ref().map_or(bytes.as_slice(), String::as_bytes);
                    let mut header = header(tar::EntryType::Regular, *mode, bytes.len() as u64);
                    archive.append_data(&mut header, path, bytes).expect(IN_MEMORY);
                }
                Kind::Link { target } => {
                    let mut header = header(tar::EntryType::Symlink, 0o777, 0);
                    archive.append_link(&mut header, path, target).expect(IN_MEMORY);
                }
            }
        }
        archive.into_inner().expect(IN_MEMORY)
    }
}

fn unreadable(path: &Utf8Path, source: io::Error) -> FolderError {
    FolderError::Unreadable { path: path.to_owned(), source }
}

/// What tells whether a folder may have changed: names, sizes and times.
fn fingerprint(path: &Utf8Path) -> Result<String, FolderError> {
    let mut parts = PartsHash::new(FOLDER_VERSION);
    for found in walk(path)? {
        parts.add(found.path.as_str().as_bytes());
        parts.add(format!("{:?} {:?}", found.kind, found.modified).as_bytes());
    }
    Ok(parts.end())
}

struct Walked {
    path: Utf8PathBuf,
    kind: Found,
    modified: Option<std::time::SystemTime>,
}

#[derive(Debug)]
enum Found {
    Folder,
    File { mode: u32, size_bytes: u64 },
    Link,
}

/// All that is not left out, in the order of their paths.
fn walk(root: &Utf8Path) -> Result<Vec<Walked>, FolderError> {
    let ignored = Ignored::read(root)?;
    let mut all = Vec::new();
    let mut bytes: u64 = 0;
    let mut folders = vec![(Utf8PathBuf::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let full = root.join(&folder);
        for entry in fs::read_dir(&full).map_err(|source| unreadable(&full, source))? {
            let entry = entry.map_err(|source| unreadable(&full, source))?;
            let name = entry.file_name().into_string().map_err(|_| FolderError::Name { path: full.clone() })?;
            let path = folder.join(name);
            let is_kept = !ignored.has(&path);
            let metadata = entry.metadata().map_err(|source| unreadable(&root.join(&path), source))?;
            let kind = match metadata.file_type() {
                kind if kind.is_symlink() => Found::Link,
                kind if kind.is_dir() => Found::Folder,
                kind if kind.is_file() => Found::File { mode: mode_of(&metadata), size_bytes: metadata.len() },
                _neither => continue,
            };
            if matches!(kind, Found::Folder) && (is_kept || ignored.has_exceptions) {
                folders.push((path.clone(), depth + 1));
            }
            if let Found::File { size_bytes, .. } = kind {
                bytes = bytes.saturating_add(if is_kept { size_bytes } else { 0 });
            }
            if is_kept {
                all.push(Walked { path, kind, modified: metadata.modified().ok() });
            }
            if all.len() > ENTRIES_MAX || bytes > BYTES_MAX || depth > DEPTH_MAX || folders.len() > ENTRIES_MAX {
                return Err(FolderError::TooLarge { path: root.to_owned() });
            }
        }
    }
    all.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(all)
}

#[cfg(unix)]
fn mode_of(metadata: &fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 }
}

/// Where files have no mode, Docker makes all of them executable.
#[cfg(not(unix))]
fn mode_of(_: &fs::Metadata) -> u32 {
    0o755
}

/// What `.dockerignore` leaves out. Of several patterns that match, the last one counts; one that matches a folder matches all in it.
struct Ignored {
    patterns: GlobSet,
    /// For each pattern whether it takes things back in.
    is_exception: Vec<bool>,
    has_exceptions: bool,
}

impl Ignored {
    fn read(root: &Utf8Path) -> Result<Self, FolderError> {
        let path = root.join(IGNORE);
        let mut text = String::new();
        match File::open(&path) {
            Ok(file) => {
                let read = file.take(IGNORE_BYTES_MAX + 1).read_to_string(&mut text);
                read.map_err(|source| unreadable(&path, source))?;
                if text.len() as u64 > IGNORE_BYTES_MAX {
                    return Err(FolderError::TooManyPatterns);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(unreadable(&path, source)),
        }
        Self::of(&text)
    }

    fn of(text: &str) -> Result<Self, FolderError> {
        let mut patterns = GlobSetBuilder::new();
        let mut is_exception = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')).map(str::trim) {
            let (pattern, excepts) = line.strip_prefix('!').map_or((line, false), |pattern| (pattern.trim(), true));
            let pattern = pattern.trim_start_matches("./").trim_matches('/');
            if pattern.is_empty() || pattern == "." {
                continue;
            }
            for pattern in [pattern.to_owned(), format!("{pattern}/**")] {
                let glob = GlobBuilder::new(&pattern).literal_separator(true).backslash_escape(true).build();
                // What is beyond a bound would be in the image, which it was to stay out of.
                if is_exception.len() == 2 * PATTERNS_MAX {
                    return Err(FolderError::TooManyPatterns);
                }
                patterns.add(glob.map_err(|_| FolderError::Pattern { pattern: line.to_owned() })?);
                is_exception.push(excepts);
            }
        }
        let has_exceptions = is_exception.contains(&true);
        let patterns = patterns.build().map_err(|_| FolderError::Pattern { pattern: IGNORE.to_owned() })?;
        Ok(Self { patterns, is_exception, has_exceptions })
    }

    fn has(&self, path: &Utf8Path) -> bool {
        // The builder needs both, whatever they say.
        if path == DOCKERFILE || path == IGNORE {
            return false;
        }
        self.patterns.matches(path).last().is_some_and(|last| !self.is_exception[*last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> camino_tempfile::Utf8TempDir {
        let folder = camino_tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn paths(folder: &camino_tempfile::Utf8TempDir) -> Vec<String> {
        read(folder.path()).unwrap().entries.iter().map(|entry| entry.path.to_string()).collect()
    }

    #[test]
    fn what_dockerignore_names_is_left_out_and_the_last_pattern_counts() {
        let files = [
            ("Dockerfile", "FROM scratch\n"),
            (".dockerignore", "# a comment\nnode_modules\n/logs/*.log\n**/*.tmp\nDockerfile\ndata\n!data/keep\n"),
            ("node_modules/a/b.js", ""),
            ("logs/a.log", ""),
            ("logs/deep/a.log", ""),
            ("a/b/c.tmp", ""),
            ("data/drop", ""),
            ("data/keep/this", ""),
            ("src/node_modules/kept.js", ""),
        ];
        let found = paths(&folder(&files));
        let files_kept: Vec<_> = found.iter().filter(|path| files.iter().any(|(file, _)| file == path)).collect();
        let expected = [".dockerignore", "Dockerfile", "data/keep/this", "logs/deep/a.log", "src/node_modules/kept.js"];
        assert_eq!(files_kept, expected);
        assert!(found.contains(&"a/b".to_owned()) && !found.contains(&"node_modules".to_owned()), "{found:?}");
    }

    #[test]
    fn what_dockerignore_says_is_never_cut_short() {
        let lines = |count: usize| (0..count).map(|number| format!("secret-{number}\n")).collect::<Vec<_>>().concat();
        let of = |ignored: &str| read(folder(&[("Dockerfile", "FROM scratch\n"), (".dockerignore", ignored)]).path());
        assert!(of(&("\n".repeat(2 * PATTERNS_MAX) + &lines(PATTERNS_MAX))).is_ok(), "an empty line is no pattern");
        assert!(matches!(of(&lines(PATTERNS_MAX + 1)), Err(FolderError::TooManyPatterns)));
        let long = format!("#{}\nsecret\n", "x".repeat(64 << 10));
        assert!(matches!(of(&long), Err(FolderError::TooManyPatterns)));
    }

    #[test]
    fn the_hash_follows_content_names_modes_and_links_and_not_times() {
        let one = folder(&[("Dockerfile", "FROM scratch\n"), ("a", "1")]);
        let hash = || read(one.path()).unwrap().hash;
        let first = hash();
        fs::write(one.path().join("a"), "1").unwrap();
        assert_eq!(hash(), first);
        let other = folder(&[("Dockerfile", "FROM scratch\n"), ("a", "1")]);
        assert_eq!(read(other.path()).unwrap().hash, first);
        fs::write(one.path().join("a"), "2").unwrap();
        let second = hash();
        assert_ne!(second, first);
        std::os::unix::fs::symlink("/etc/passwd", one.path().join("link")).unwrap();
        assert_ne!(hash(), second);
    }

    #[test]
    fn a_link_stays_a_link_and_is_never_followed() {
        let one = folder(&[("Dockerfile", "FROM scratch\n")]);
        std::os::unix::fs::symlink("/etc", one.path().join("etc")).unwrap();
        let context = read(one.path()).unwrap();
        let bytes = context.tar(&BTreeMap::new());
        let mut archive = tar::Archive::new(bytes.as_slice());
        let kinds: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path().unwrap().display().to_string(), entry.header().entry_type())
            })
            .collect();
        assert_eq!(
            kinds,
            [("Dockerfile".to_owned(), tar::EntryType::Regular), ("etc".to_owned(), tar::EntryType::Symlink)]
        );
    }

    #[test]
    fn a_folder_without_a_dockerfile_or_with_too_much_is_refused() {
        assert!(matches!(read(folder(&[("a", "")]).path()), Err(FolderError::NoDockerfile { .. })));
        let large = folder(&[("Dockerfile", "FROM scratch\n")]);
        File::create(large.path().join("hole")).unwrap().set_len(BYTES_MAX + 1).unwrap();
        assert!(matches!(read(large.path()), Err(FolderError::TooLarge { .. })));
        fs::write(large.path().join(IGNORE), "hole\n").unwrap();
        assert!(read(large.path()).is_ok());
        fs::write(large.path().join(IGNORE), "a[\n").unwrap();
        assert!(matches!(read(large.path()), Err(FolderError::Pattern { .. })));
    }

    #[test]
    fn a_hash_is_remembered_until_something_changes() {
        let one = folder(&[("Dockerfile", "FROM scratch\n"), ("a", "1")]);
        let hashes = FolderHashes::default();
        let first = hashes.of(one.path()).unwrap();
        assert_eq!(hashes.of(one.path()).unwrap(), first);
        fs::write(one.path().join("a"), "22").unwrap();
        assert_ne!(hashes.of(one.path()).unwrap(), first);
    }
}
