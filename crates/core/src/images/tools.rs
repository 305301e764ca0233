//! Packages on top of an agent's image: an image of their own, made from the one below and named by all that it was made of.
//!
//! ```text
//! base's id + packages + extra certificates ── hash ──▶ berth/tools:HASH
//!                                                         │ on the engine: done
//!                                                         └ not there: FROM the base, a step for each registry
//! ```
//!
//! So another build of the base, or another list, is another image; the one before goes when no agent's tools name it any more ([`reclaim`]).
//!
//! Names are a person's, but an agent's file or a page may have told them what to type: each is held to the grammar of its registry, so
//! that none can be an option, an address or a path. They reach the build as lines of files, never as words of a shell. Packages of PyPI go into
//! an environment of their own that sees the image's own (PEP 405): Debian's Python refuses others (PEP 668), and what an image
//! brings stays as it was made.

use std::fmt::Write as _;

use engine::{Engine, EngineError, ErrorKind, Image, ImageRef, LabelFilter, Role};
use tracing::info;
use wire::image::Tools;

use super::context::{self, PartsHash};
use super::needs::Needs;
use super::{Context, Images, NAME_LABEL, Recipe};
use crate::certificates::ExtraCertificate;
use crate::sandbox::PATH;

/// The repository of these images.
const REPOSITORY: &str = "berth/tools";
/// What the name of one begins with; no image of a person's own has a colon in its name.
const NAME: &str = "tools:";
/// How much of the hash is in a name.
const HASH_CHARS: usize = 24;
/// Where an image keeps what was installed and how.
const FOLDER: &str = "/usr/local/share/berth-tools";
/// Part of the hash: raise it when the same list would give another image.
const VERSION: &[u8] = b"berth tools 1";
/// What installs a list, in the image that is being built.
const INSTALL: &[u8] = include_bytes!("tools/install");
/// Most packages of a registry.
const PACKAGES_MAX: usize = 64;
/// Longest package with its version, in bytes; npm's own bound of a name is 214.
const PACKAGE_BYTES_MAX: usize = 240;
/// Ends by which installers take a name for a file.
const ARCHIVES: [&str; 7] = [".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar", ".zip", ".whl"];

/// Where packages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registry {
    Debian,
    Npm,
    Pypi,
}

impl Registry {
    const ALL: [Self; 3] = [Self::Debian, Self::Npm, Self::Pypi];

    const fn name(self) -> &'static str {
        match self {
            Self::Debian => "Debian",
            Self::Npm => "npm",
            Self::Pypi => "PyPI",
        }
    }

    /// The file of its list, which is also what the installer is told.
    const fn file(self) -> &'static str {
        match self {
            Self::Debian => "apt",
            Self::Npm => "npm",
            Self::Pypi => "pip",
        }
    }

    const fn packages(self, tools: &Tools) -> &Vec<String> {
        match self {
            Self::Debian => &tools.apt,
            Self::Npm => &tools.npm,
            Self::Pypi => &tools.pip,
        }
    }

    fn is_package(self, text: &str) -> bool {
        let (name, version) = match self {
            Self::Debian => split(text, "="),
            // A scope begins with the same sign.
            Self::Npm => match text.strip_prefix('@').and_then(|scoped| scoped.split_once('@')) {
                Some((_, version)) => (&text[..text.len() - version.len() - 1], Some(version)),
                None if text.starts_with('@') => (text, None),
                None => split(text, "@"),
            },
            Self::Pypi => split(text, "=="),
        };
        text.len() <= PACKAGE_BYTES_MAX && self.is_name(name) && version.is_none_or(|version| self.is_version(version))
    }

    fn is_name(self, name: &str) -> bool {
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        match self {
            // Debian Policy Manual 4.7, 5.6.1. A dash at the end would be a removal to apt.
            Self::Debian => {
                name.len() >= 2
                    && name.bytes().next().is_some_and(lower)
                    && name.bytes().all(|byte| lower(byte) || b"+-.".contains(&byte))
                    && !name.ends_with(['-', '.'])
            }
            // <https://github.com/npm/validate-npm-package-name>
            Self::Npm => {
                let is_part = |part: &str| {
                    part.bytes().next().is_some_and(lower)
                        && part.bytes().all(|byte| lower(byte) || b"-_.~".contains(&byte))
                };
                let is_whole = match name.strip_prefix('@') {
                    Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| is_part(scope) && is_part(name)),
                    None => is_part(name),
                };
                is_whole && !is_archive(name)
            }
            // <https://packaging.python.org/en/latest/specifications/name-normalization/>
            Self::Pypi => {
                let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
                is_end(name.bytes().next())
                    && is_end(name.bytes().last())
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
                    && !is_archive(name)
            }
        }
    }

    fn is_version(self, version: &str) -> bool {
        let more: &[u8] = match self {
            // Debian Policy Manual 4.7, 5.6.12.
            Self::Debian => b".+-~:",
            // A version, or a tag (Semantic Versioning 2.0.0; npm-dist-tag).
            Self::Npm => b".+-",
            // <https://packaging.python.org/en/latest/specifications/version-specifiers/>
            Self::Pypi => b".+-!_",
        };
        version.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
            && !is_archive(version)
    }
}

fn split<'a>(text: &'a str, sign: &str) -> (&'a str, Option<&'a str>) {
    text.split_once(sign).map_or((text, None), |(name, version)| (name, Some(version)))
}

fn is_archive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ARCHIVES.iter().any(|end| name.ends_with(end))
}

/// Why something is no package.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RefusedTool {
    /// It is not written as its registry writes names.
    #[error("`{}` is not the name of a package of {registry}.", crate::escape::visible(name.as_bytes()))]
    Name {
        /// What was typed.
        name: String,
        /// Of which registry it should be.
        registry: &'static str,
    },
    /// There are too many.
    #[error("These are {count} packages of {registry}, and there can be at most {PACKAGES_MAX}.")]
    TooMany {
        /// How many.
        count: usize,
        /// Of which registry.
        registry: &'static str,
    },
}

/// Whether all are packages as their registries write them.
pub(crate) fn check(tools: &Tools) -> Result<(), RefusedTool> {
    for registry in Registry::ALL {
        let packages = registry.packages(tools);
        if packages.len() > PACKAGES_MAX {
            return Err(RefusedTool::TooMany { count: packages.len(), registry: registry.name() });
        }
        if let Some(name) = packages.iter().find(|package| !registry.is_package(package)) {
            return Err(RefusedTool::Name { name: name.clone(), registry: registry.name() });
        }
    }
    Ok(())
}

impl Images {
    /// How an image with `tools` on top of `base` is made; `image` is what the agent calls the base.
    pub(crate) fn recipe_of_tools(&self, image: &str, base: &Image, tools: &Tools) -> Recipe {
        let hash = hash(base, tools, &self.certificates);
        let path = base.env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(PATH);
        let user = if base.user.is_empty() { "0:0" } else { &base.user };
        Recipe {
            name: name_of(&hash),
            version: hash[..HASH_CHARS].to_owned(),
            reference: reference_of(&hash),
            hash,
            outside_base: None,
            dockerfile: dockerfile(tools),
            // What the base's maker wrote comes as values, never as instructions.
            arguments: [("BASE", base.id.as_str()), ("BASE_PATH", path), ("BASE_USER", user)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            context: Context::Tools(tools.clone()),
            needs: Needs::of(image),
        }
    }

    /// By which name such an image is known, and what it is called on the engine.
    pub(crate) fn called(&self, base: &Image, tools: &Tools) -> (String, ImageRef) {
        let hash = hash(base, tools, &self.certificates);
        (name_of(&hash), reference_of(&hash))
    }
}

/// Whether a name is that of an image of tools.
pub(crate) fn is_name(name: &str) -> bool {
    name.strip_prefix(NAME).is_some_and(|hash| {
        hash.len() == HASH_CHARS && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn name_of(hash: &str) -> String {
    format!("{NAME}{}", &hash[..HASH_CHARS])
}

fn reference_of(hash: &str) -> ImageRef {
    ImageRef::parse(format!("{REPOSITORY}:{}", &hash[..HASH_CHARS])).expect("invariant: hex digits are a tag")
}

/// Of all that an image with `tools` on top of `base` is made of.
fn hash(base: &Image, tools: &Tools, certificates: &[ExtraCertificate]) -> String {
    let mut parts = PartsHash::new(VERSION);
    parts.add(INSTALL);
    parts.add(base.id.as_str().as_bytes());
    for registry in Registry::ALL {
        parts.add(registry.file().as_bytes());
        for package in registry.packages(tools) {
            parts.add(package.as_bytes());
        }
    }
    parts.add(b"certificates");
    for certificate in certificates {
        parts.add(certificate.sha256.as_bytes());
    }
    parts.end()
}

fn dockerfile(tools: &Tools) -> String {
    let mut text = "ARG BASE\nFROM ${BASE}\n".to_owned();
    let mut put = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    put("USER 0:0".to_owned());
    put(format!("COPY tools/ {FOLDER}/"));
    for registry in Registry::ALL.into_iter().filter(|registry| !registry.packages(tools).is_empty()) {
        put(format!(r#"RUN ["/bin/sh", "{FOLDER}/install", "{}"]"#, registry.file()));
    }
    put("ARG BASE_PATH".to_owned());
    put(format!("ENV PATH={FOLDER}/venv/bin:{FOLDER}/node/bin:${{BASE_PATH}}"));
    put("ARG BASE_USER".to_owned());
    put("USER ${BASE_USER}".to_owned());
    text
}

pub(super) fn tar(tools: &Tools, certificates: &[ExtraCertificate], dockerfile: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    context::append(&mut archive, context::DOCKERFILE, dockerfile.as_bytes());
    context::append(&mut archive, "tools/install", INSTALL);
    for registry in Registry::ALL {
        let list: String = registry.packages(tools).iter().flat_map(|package| [package, "\n"]).collect();
        context::append(&mut archive, &format!("tools/{}", registry.file()), list.as_bytes());
    }
    context::append_certificates(&mut archive, "tools/certs/", certificates);
    archive.into_inner().expect(context::IN_MEMORY)
}

/// Removes the images of tools of `install` but those whose name is `wanted`. One that a sandbox still uses stays until the next time.
pub(crate) async fn reclaim(
    engine: &dyn Engine,
    install: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<String>, EngineError> {
    let mut gone = Vec::new();
    for found in engine.images(&LabelFilter::install(install).role(Role::Image)).await? {
        let name = found.labels.get(NAME_LABEL).map(String::as_str).unwrap_or_default();
        if !is_name(name) || wanted(name) {
            continue;
        }
        match super::remove(engine, &found).await {
            Ok(()) => {
                info!(image = %found.id, "removed an image of tools that no agent names any more");
                gone.push(name.to_owned());
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests;
