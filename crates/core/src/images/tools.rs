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

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use engine::image::BuildNetwork;
use engine::{BuildRequest, Engine, EngineError, ErrorKind, Image, ImageRef, LabelFilter, Ownership, Progress, Role};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::info;
use wire::image::Tools;

use super::{BUILD_BOUND, BuildStep, Images, PROGRESS_QUEUE_MAX, context, last_step, watch};
use crate::certificates::ExtraCertificate;
use crate::fault_points::{Point, around};

/// The repository of these images.
const REPOSITORY: &str = "berth/tools";
/// The label that says of which image it is made.
const BASE_LABEL: &str = "berth.tools-base";
/// Where an image keeps what was installed and how.
const FOLDER: &str = "/usr/local/share/berth-tools";
/// Where programs are looked for in an image that does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
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

/// Why there is no image with an agent's tools.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolsError {
    /// The engine could not be asked.
    #[error("the engine could not be asked for the image with the agent's tools")]
    Engine(#[source] EngineError),
    /// A package could not be installed.
    #[error("the agent's tools could not be put on top of its image{}", last_step(step.as_ref()))]
    Build {
        /// The instruction that ran last.
        step: Option<BuildStep>,
        /// What the engine said, and the instruction's last lines.
        #[source]
        source: EngineError,
    },
    /// It went on for too long.
    #[error("the agent's tools were not installed after {} minutes{}", BUILD_BOUND.as_secs() / 60, last_step(step.as_ref()))]
    TooSlow {
        /// The instruction that ran last.
        step: Option<BuildStep>,
    },
}

impl Images {
    /// The reference of an image with `tools` on top of `base`, which the engine has when this returns. Progress as in
    /// [`Images::ensure`].
    ///
    /// # Cancel safety
    /// Dropping the future ends a build that runs. Call again: nothing is half done.
    pub(crate) async fn ensure_tools(
        &self,
        engine: &dyn Engine,
        base: &Image,
        tools: &Tools,
        progress: mpsc::Sender<Progress>,
    ) -> Result<ImageRef, ToolsError> {
        let reference = self.reference_of_tools(base, tools);
        let is_there = async || Ok(engine.image(&reference).await.map_err(ToolsError::Engine)?.is_some());
        if is_there().await? {
            return Ok(reference);
        }
        let _turn = self.building.lock().await;
        if is_there().await? {
            return Ok(reference);
        }
        let mut step = None;
        let (told, telling) = mpsc::channel(PROGRESS_QUEUE_MAX);
        let request = request(&self.install, base, tools, &self.certificates, reference.clone());
        let building = around(Point::ImageBuild, engine.build(request, told));
        let whole = async { tokio::join!(building, watch(telling, &progress, &mut step)).0 };
        match timeout(BUILD_BOUND, whole).await {
            Err(_elapsed) => Err(ToolsError::TooSlow { step }),
            Ok(Err(source)) if source.kind() == ErrorKind::Unreachable => Err(ToolsError::Engine(source)),
            Ok(Err(source)) => Err(ToolsError::Build { step, source }),
            Ok(Ok(_)) => {
                info!(%reference, "built an image with an agent's tools");
                Ok(reference)
            }
        }
    }

    /// What an image with `tools` on top of `base` is called.
    pub(crate) fn reference_of_tools(&self, base: &Image, tools: &Tools) -> ImageRef {
        reference(base, tools, &self.certificates)
    }
}

/// The reference under which an image with `tools` on top of `base` is found once it is built.
fn reference(base: &Image, tools: &Tools, certificates: &[ExtraCertificate]) -> ImageRef {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        // Lengths keep one part's end from passing for the next one's beginning.
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(VERSION);
    add(INSTALL);
    add(base.id.as_str().as_bytes());
    for registry in Registry::ALL {
        add(registry.file().as_bytes());
        for package in registry.packages(tools) {
            add(package.as_bytes());
        }
    }
    for certificate in certificates {
        add(certificate.sha256.as_bytes());
    }
    let hash = hex::encode(hash.finalize());
    ImageRef::parse(format!("{REPOSITORY}:{}", &hash[..24])).expect("invariant: hex digits are a tag")
}

/// How such an image is built.
fn request(
    install: &str,
    base: &Image,
    tools: &Tools,
    certificates: &[ExtraCertificate],
    tag: ImageRef,
) -> BuildRequest {
    let ownership = Ownership::of_install(install, Role::Image);
    let labels = BTreeMap::from([(BASE_LABEL.to_owned(), base.id.as_str().to_owned())]);
    let mut all_labels = ownership.labels();
    all_labels.extend(labels.clone());
    let path = base.env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let user = if base.user.is_empty() { "0:0" } else { &base.user };
    BuildRequest {
        context: tar(tools, certificates, &dockerfile(tools, &all_labels)).into(),
        tag,
        ownership,
        labels,
        // What the base's maker wrote comes as values, never as instructions.
        build_args: [("BASE", base.id.as_str()), ("BASE_PATH", path), ("BASE_USER", user)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        network: BuildNetwork::Usual,
    }
}

/// The labels come right after `FROM`, as in every image of Berth's: what the builder keeps of a build that fails would be nobody's otherwise.
fn dockerfile(tools: &Tools, labels: &BTreeMap<String, String>) -> String {
    let mut text = "ARG BASE\nFROM ${BASE}\n".to_owned();
    let mut put = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    for (key, value) in labels {
        put(format!("LABEL {key}={value:?}"));
    }
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

fn tar(tools: &Tools, certificates: &[ExtraCertificate], dockerfile: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    context::append(&mut archive, context::DOCKERFILE, dockerfile.as_bytes());
    context::append(&mut archive, "tools/install", INSTALL);
    for registry in Registry::ALL {
        let list: String = registry.packages(tools).iter().flat_map(|package| [package, "\n"]).collect();
        context::append(&mut archive, &format!("tools/{}", registry.file()), list.as_bytes());
    }
    context::append_certificates(&mut archive, "tools/certs/", certificates);
    archive.into_inner().expect("invariant: writing a tar into memory does not fail")
}

/// Removes the images of tools of `install` but `wanted`. One that a sandbox still uses stays until the next time.
pub(crate) async fn reclaim(engine: &dyn Engine, install: &str, wanted: &HashSet<ImageRef>) -> Result<(), EngineError> {
    for found in engine.images(&LabelFilter::install(install).role(Role::Image)).await? {
        let is_wanted = wanted.iter().any(|wanted| found.repo_tags.iter().any(|tag| tag == wanted.as_str()));
        if is_wanted || !found.labels.contains_key(BASE_LABEL) {
            continue;
        }
        // By its name: one that was adapted goes with its copy, which goes once this has no name.
        let names: Vec<ImageRef> =
            found.repo_tags.iter().filter_map(|tag| ImageRef::parse(tag.as_str()).ok()).collect();
        let names = if names.is_empty() { vec![found.id.clone().into()] } else { names };
        for name in names {
            match engine.remove_image(&name).await {
                Ok(()) => info!(image = %found.id, "removed an image of tools that no agent names any more"),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
