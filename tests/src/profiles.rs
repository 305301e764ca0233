//! The profiles of system calls that images of the Gallery declare: the one exception to the engine's own (DESIGN §7), known by hash.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use engine::Seccomp;
use serde_json::Value;

/// What a security option that brings a profile begins with.
const OPTION: &str = "seccomp=";

/// The SHA-256, in hex, of every profile that a folder below `agent-images/` declares.
///
/// # Panics
/// Where an `image.toml` names a file that is not there.
pub fn declared() -> BTreeSet<String> {
    let images = Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../agent-images"));
    let folders = images.read_dir_utf8().expect("this is a checkout").flatten();
    folders.filter_map(|folder| of_image(folder.path())).collect()
}

fn of_image(folder: &Utf8Path) -> Option<String> {
    let manifest = std::fs::read_to_string(folder.join("image.toml")).ok()?;
    let manifest: toml::Table = manifest.parse().unwrap_or_else(|error| panic!("{folder}: {error}"));
    let file = folder.join(manifest.get("seccomp")?.as_str()?);
    let json = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    Seccomp::Profile { json }.sha256()
}

/// The profile of a container by its hash, where it is one of `known`.
pub fn of_container(raw: &Value, known: &BTreeSet<String>) -> Option<String> {
    let options = raw["HostConfig"]["SecurityOpt"].as_array()?;
    let json = options.iter().filter_map(Value::as_str).find_map(|option| option.strip_prefix(OPTION))?;
    Seccomp::Profile { json: json.to_owned() }.sha256().filter(|hash| known.contains(hash))
}
