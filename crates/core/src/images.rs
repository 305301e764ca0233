//! The images that Berth brings with it: embedded, built when an agent first wants one, built anew when what they are made
//! of changes.
//!
//! ```text
//! agent-images/NAME/ + extra certificates ── hash ──▶ berth/NAME:VERSION-HASH
//!                                                       │ on the engine: done
//!                                                       └ not there: the base (fetched if need be), build, drop older ones
//! ```
//!
//! The hash is part of the tag, so that an image is what its tag says for as long as it exists: neither another installation
//! on the same engine nor a newer app moves a tag from under a sandbox that is about to start.
//! It knows nothing of images that are the user's own: those are references, taken as they are.

pub(crate) mod catalogue;
mod context;
pub(crate) mod fit;
mod start;
pub(crate) mod tools;

use std::collections::BTreeMap;
use std::time::Duration;

use engine::image::BuildNetwork;
use engine::{BuildRequest, Engine, EngineError, ErrorKind, ImageRef, LabelFilter, Ownership, Progress, Role};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tracing::{info, warn};

use self::catalogue::{AgentImage, find};
use crate::certificates::ExtraCertificate;
use crate::fault_points::{Point, around};

/// The label that says what an image was made from.
pub(crate) const HASH_LABEL: &str = "berth.image-hash";
/// The label that says which image of the catalogue it is.
pub(crate) const NAME_LABEL: &str = "berth.image";
/// Longest build, and longest fetch of a base.
const BUILD_BOUND: Duration = Duration::from_mins(30);
/// Progress messages that may wait for whoever shows them.
const PROGRESS_QUEUE_MAX: usize = 64;

/// Builds the catalogue's images on an engine, one at a time.
pub(crate) struct Images {
    install: String,
    certificates: Vec<ExtraCertificate>,
    /// Held while one is built, so that two steps that want the same image build it once.
    building: Mutex<()>,
}

/// Why an image is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// The catalogue has none of that name.
    #[error("there is no image `{name}` in the catalogue")]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// What it starts from is neither on the engine nor can be fetched.
    #[error(
        "the image `{name}` starts from `{base}`, which the engine neither has nor can fetch; run `docker pull {base}`, \
         or `./dev setup` in a checkout of Berth"
    )]
    BaseMissing {
        /// The image.
        name: &'static str,
        /// What it starts from.
        base: ImageRef,
        /// What the engine said.
        #[source]
        source: EngineError,
    },
    /// An instruction of its Dockerfile failed.
    #[error("the image `{name}` could not be built{}", last_step(step.as_ref()))]
    Build {
        /// The image.
        name: &'static str,
        /// The instruction that ran last.
        step: Option<BuildStep>,
        /// What the engine said, and the instruction's last lines: an image's words, to be escaped before they are shown.
        #[source]
        source: EngineError,
    },
    /// The build or the fetch of its base went on for too long.
    #[error("the image `{name}` was not ready after {} minutes{}", BUILD_BOUND.as_secs() / 60, last_step(step.as_ref()))]
    TooSlow {
        /// The image.
        name: &'static str,
        /// The instruction that ran last.
        step: Option<BuildStep>,
    },
    /// The engine could not be asked.
    #[error("the engine could not be asked for the image `{name}`")]
    Engine {
        /// The image.
        name: &'static str,
        /// What the engine said.
        #[source]
        source: EngineError,
    },
}

/// An instruction of a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BuildStep {
    /// Counted from one.
    pub(crate) number: u32,
    /// How many there are.
    pub(crate) of: u32,
    /// The instruction.
    pub(crate) text: String,
}

fn last_step(step: Option<&BuildStep>) -> String {
    step.map(|step| format!(" (step {} of {}: {})", step.number, step.of, step.text)).unwrap_or_default()
}

impl Images {
    /// For one installation, whose images all trust `certificates` beside their own.
    pub(crate) fn new(install: impl Into<String>, certificates: Vec<ExtraCertificate>) -> Self {
        Self { install: install.into(), certificates, building: Mutex::new(()) }
    }

    /// The reference under which `image` is found once it is built with this machine's certificates.
    pub(crate) fn reference(&self, image: &AgentImage) -> ImageRef {
        let hash = context::hash(image, &self.certificates);
        ImageRef::parse(format!("berth/{}:{}-{}", image.name, image.version, &hash[..12]))
            .expect("invariant: a catalogue's name and version are parts of a reference")
    }

    /// The reference of the catalogue's image `name`, which the engine has when this returns. Where it must be built, what
    /// happens goes to `progress`; a receiver that was dropped is nobody to tell, and one that is full holds the build back.
    ///
    /// # Cancel safety
    /// Dropping the future ends a build that runs. Call again: nothing is half done.
    pub(crate) async fn ensure(
        &self,
        engine: &dyn Engine,
        name: &str,
        progress: mpsc::Sender<Progress>,
    ) -> Result<ImageRef, ImageError> {
        let image = find(name).ok_or_else(|| ImageError::Unknown { name: name.to_owned() })?;
        self.ensure_image(engine, image, progress).await
    }

    async fn ensure_image(
        &self,
        engine: &dyn Engine,
        image: &AgentImage,
        progress: mpsc::Sender<Progress>,
    ) -> Result<ImageRef, ImageError> {
        let reference = self.reference(image);
        let is_there = async || {
            let found = engine.image(&reference).await;
            found.map(|found| found.is_some()).map_err(|source| ImageError::Engine { name: image.name, source })
        };
        if is_there().await? {
            return Ok(reference);
        }
        let _turn = self.building.lock().await;
        if is_there().await? {
            return Ok(reference);
        }
        let mut step = None;
        let made = timeout(BUILD_BOUND, self.make(engine, image, &reference, progress, &mut step)).await;
        // Also after a failure: what the engine keeps of a half build is ours and of no use.
        self.drop_others(engine, image, &reference).await;
        made.unwrap_or(Err(ImageError::TooSlow { name: image.name, step }))?;
        info!(%reference, "built an image");
        Ok(reference)
    }

    async fn make(
        &self,
        engine: &dyn Engine,
        image: &AgentImage,
        reference: &ImageRef,
        progress: mpsc::Sender<Progress>,
        step: &mut Option<BuildStep>,
    ) -> Result<(), ImageError> {
        let base = &image.base;
        if engine.image(base).await.map_err(|source| ImageError::Engine { name: image.name, source })?.is_none() {
            engine.pull(base, progress.clone()).await.map_err(|source| ImageError::BaseMissing {
                name: image.name,
                base: base.clone(),
                source,
            })?;
        }
        let ownership = Ownership::of_install(&self.install, Role::Image);
        let labels = BTreeMap::from([
            (HASH_LABEL.to_owned(), context::hash(image, &self.certificates)),
            (NAME_LABEL.to_owned(), image.name.to_owned()),
        ]);
        let mut all_labels = ownership.labels();
        all_labels.extend(labels.clone());
        let request = BuildRequest {
            context: context::tar(image, &self.certificates, &all_labels).into(),
            tag: reference.clone(),
            ownership,
            labels,
            build_args: BTreeMap::new(),
            network: BuildNetwork::Usual,
        };
        let (told, telling) = mpsc::channel(PROGRESS_QUEUE_MAX);
        let building = around(Point::ImageBuild, engine.build(request, told));
        let (built, ()) = tokio::join!(building, watch(telling, &progress, step));
        built.map(drop).map_err(|source| ImageError::Build { name: image.name, step: step.take(), source })
    }

    /// Removes what this installation built of `image` but `current`. One that a sandbox still uses stays until the next time.
    async fn drop_others(&self, engine: &dyn Engine, image: &AgentImage, current: &ImageRef) {
        let filter = LabelFilter::install(&self.install).role(Role::Image).with(NAME_LABEL, image.name);
        let found = match engine.images(&filter).await {
            Ok(images) => images,
            Err(error) => return warn!(%error, "older images were not looked for"),
        };
        for other in found.into_iter().filter(|found| !found.repo_tags.iter().any(|tag| tag == current.as_str())) {
            match engine.remove_image(&other.id.clone().into()).await {
                Ok(()) => info!(image = %other.id, "removed an older image"),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => warn!(image = %other.id, %error, "an older image was not removed"),
            }
        }
    }
}

/// Notes the instruction that runs and passes everything on, until the build lets go of its end.
async fn watch(mut telling: mpsc::Receiver<Progress>, progress: &mpsc::Sender<Progress>, step: &mut Option<BuildStep>) {
    while let Some(message) = telling.recv().await {
        if let Progress::Step { number, of, text } = &message {
            *step = Some(BuildStep { number: *number, of: *of, text: text.clone() });
        }
        // Nobody listening is no reason to stop building.
        let _ = progress.send(message).await;
    }
}

#[cfg(test)]
mod tests;
