//! The images that agents run in: those that Berth brings with it, embedded, and folders of a person's own. Each is built when an
//! agent first wants it, tried, and built anew when what it is made of changes.
//!
//! ```text
//! agent-images/NAME/ + versions + base's hash + extra certificates ── hash ──▶ berth/NAME:VERSION-HASH
//!                                                       │ on the engine: done
//!                                                       └ not there: the base (built or fetched), build as berth/NAME:trial-INSTALL,
//!                                                         try it, give it its name, drop older ones
//! ```
//!
//! The hash is part of the tag, so that an image is what its tag says for as long as it exists: neither another installation
//! on the same engine nor a newer app moves a tag from under a sandbox that is about to start. What was not tried has another name.
//! It knows nothing of references that are the user's own: those are taken as they are.

pub(crate) mod catalogue;
mod context;
mod dockerfile;
pub(crate) mod fit;
pub(crate) mod folder;
mod manifest;
pub(crate) mod needs;
pub(crate) mod record;
pub(crate) mod tools;
mod versions;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use engine::image::{BuildCache, BuildNetwork};
use engine::{
    BuildRequest, Engine, EngineError, ErrorKind, Image, ImageId, ImageRef, LabelFilter, Ownership, Progress, Role,
};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tracing::{info, warn};
use wire::image::Tools;

use self::catalogue::{AgentImage, Base, catalogue};
use self::folder::{FolderContext, FolderError};
use self::needs::Needs;
use self::record::Recorder;
use crate::certificates::ExtraCertificate;
use crate::fault_points::{Point, around};

/// The label that says what an image was made from.
pub(crate) const HASH_LABEL: &str = "berth.image-hash";
/// The label that says which image it is, by its short name.
pub(crate) const NAME_LABEL: &str = "berth.image";
/// How much of an instruction stands in an error; all of it is in the build's log.
const STEP_CHARS_MAX: usize = 80;
/// Longest build, and longest fetch of a base.
const BUILD_BOUND: Duration = Duration::from_hours(1);
/// Progress messages that may wait for whoever shows them.
const PROGRESS_QUEUE_MAX: usize = 64;
/// How long what a build that broke off left may take to become free.
const CLEAR_BOUND: Duration = Duration::from_secs(20);
/// How often it is looked whether it is.
const CLEAR_EVERY: Duration = Duration::from_millis(250);
/// What the names of folders of a person's own begin with, so that none is one of Berth's.
const OWN: &str = "own-";
/// The part of a version in a tag, in bytes.
const TAG_VERSION_BYTES_MAX: usize = 60;

/// Builds images on an engine, one at a time.
pub(crate) struct Images {
    install: String,
    certificates: Vec<ExtraCertificate>,
    /// Of the images that are embedded, in the catalogue's order.
    hashes: OnceLock<Vec<String>>,
    /// Held while one is built: a machine has one set of cores, and two builds of one image would be twice the work.
    building: Mutex<()>,
}

/// Why an image is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// What it starts from is neither on the engine nor can be fetched.
    #[error(
        "the image `{name}` starts from `{base}`, which the engine neither has nor can fetch; run `docker pull {base}`, \
         or `./dev setup` in a checkout of Berth"
    )]
    BaseMissing {
        /// The image.
        name: String,
        /// What it starts from.
        base: ImageRef,
        /// What the engine said.
        #[source]
        source: Box<EngineError>,
    },
    /// The image that it starts from could not be built.
    #[error("the image `{name}` starts from `{base}`, which could not be built")]
    Base {
        /// The image.
        name: String,
        /// What it starts from.
        base: String,
        /// Why not.
        #[source]
        source: Arc<ImageError>,
    },
    /// A person's own reference is neither on the engine nor can be fetched.
    #[error("the engine neither has the image `{name}` nor can fetch `{reference}`")]
    Fetch {
        /// The image.
        name: String,
        /// What was to be fetched.
        reference: ImageRef,
        /// What the engine said.
        #[source]
        source: Box<EngineError>,
    },
    /// The folder that it is built from is no context.
    #[error("the image `{name}` cannot be built from its folder")]
    Folder {
        /// The image.
        name: String,
        /// Why not.
        #[source]
        source: FolderError,
    },
    /// An instruction of its Dockerfile failed.
    #[error("the image `{name}` could not be built{}", last_step(step.as_ref()))]
    Build {
        /// The image.
        name: String,
        /// The instruction that ran last.
        step: Option<BuildStep>,
        /// What the engine said, and the instruction's last lines: an image's words, to be escaped before they are shown.
        #[source]
        source: Box<EngineError>,
    },
    /// It was built, and does not do what it should.
    #[error("the image `{name}` was built, but {} of {tried} things that were tried in it failed", failed.len())]
    Smoke {
        /// The image.
        name: String,
        /// How many things were tried.
        tried: u32,
        /// What failed, made safe to show.
        failed: Vec<String>,
    },
    /// It was built, and could not be tried.
    #[error("the image `{name}` was built, but could not be tried: {why}")]
    Untried {
        /// The image.
        name: String,
        /// Why not, made safe to show.
        why: String,
    },
    /// The build or the fetch of its base went on for too long.
    #[error("the image `{name}` was not ready after {} minutes{}", BUILD_BOUND.as_secs() / 60, last_step(step.as_ref()))]
    TooSlow {
        /// The image.
        name: String,
        /// The instruction that ran last.
        step: Option<BuildStep>,
    },
    /// A person ended the build.
    #[error("the build of the image `{name}` was cancelled")]
    Cancelled {
        /// The image.
        name: String,
    },
    /// The engine could not be asked.
    #[error("the engine could not be asked for the image `{name}`")]
    Engine {
        /// The image.
        name: String,
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
    let beginning = |text: &str| match text.char_indices().nth(STEP_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    };
    step.map(|step| format!(" (step {} of {}: {})", step.number, step.of, beginning(&step.text))).unwrap_or_default()
}

/// All that is needed to make one image.
pub(crate) struct Recipe {
    /// Its short name.
    pub(crate) name: String,
    /// What a person reads as its version.
    pub(crate) version: String,
    /// What it is called once it is made and was tried.
    pub(crate) reference: ImageRef,
    hash: String,
    /// A base to be fetched first, where the engine does not have it.
    outside_base: Option<ImageRef>,
    dockerfile: String,
    arguments: BTreeMap<String, String>,
    context: Context,
    /// What its sandboxes need, that in which it is tried too.
    pub(crate) needs: Needs,
}

enum Context {
    Image(Arc<AgentImage>),
    Folder(FolderContext),
    Tools(Tools),
}

/// Whether every step is done anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// What the engine has done before is taken.
    Cached,
    /// Everything from the first instruction on.
    Fresh,
}

/// What is done with an image before it gets its name.
#[async_trait]
pub(crate) trait Trial: Send + Sync {
    /// Tries it.
    async fn run(&self, recipe: &Recipe, image: &Image, record: &Recorder) -> Result<(), ImageError>;
}

impl Images {
    /// For one installation, whose images all trust `certificates` beside their own.
    pub(crate) fn new(install: impl Into<String>, certificates: Vec<ExtraCertificate>) -> Self {
        Self { install: install.into(), certificates, hashes: OnceLock::new(), building: Mutex::new(()) }
    }

    /// The reference under which `image` is found once it is built with this machine's certificates.
    pub(crate) fn reference(&self, image: &AgentImage) -> ImageRef {
        tag_of(&image.name, &image.version, &self.hash(image))
    }

    /// Of everything that `image` is made from. Those that are embedded are hashed once: they are asked for with each look at the Gallery.
    fn hash(&self, image: &AgentImage) -> String {
        let known = self
            .hashes
            .get_or_init(|| catalogue().iter().map(|image| context::hash(image, &self.certificates)).collect());
        let at = catalogue().iter().position(|known| std::ptr::eq(Arc::as_ptr(known), image));
        at.map_or_else(|| context::hash(image, &self.certificates), |at| known[at].clone())
    }

    /// How an image that Berth brings is made. What it starts from is made before, where Berth brings that too.
    pub(crate) fn recipe(&self, image: &Arc<AgentImage>) -> Recipe {
        let (base, outside_base) = match &image.base {
            Base::Image(base) => (self.reference(base), None),
            Base::Outside(base) => (base.clone(), Some(base.clone())),
        };
        let mut arguments = image.arguments.clone();
        arguments.insert("BASE".to_owned(), base.to_string());
        Recipe {
            name: image.name.clone(),
            version: image.version.clone(),
            reference: self.reference(image),
            hash: self.hash(image),
            outside_base,
            dockerfile: image.dockerfile().to_owned(),
            arguments,
            context: Context::Image(image.clone()),
            needs: Needs::of(&image.name),
        }
    }

    /// What an image of a person's own folder is called, by the hash of the folder.
    pub(crate) fn reference_of_folder(name: &str, hash: &str) -> ImageRef {
        tag_of(&format!("{OWN}{name}"), "1", hash)
    }

    /// How an image of a person's own folder is made.
    pub(crate) fn recipe_of_folder(name: &str, context: FolderContext) -> Recipe {
        let dockerfile = context.dockerfile();
        // A stage or an argument is no reference that could be fetched; what else there is to fetch the builder does itself.
        let base = dockerfile::first_base(&dockerfile).filter(|base| !base.contains('$') && base != "scratch");
        Recipe {
            name: name.to_owned(),
            version: version_of_folder(&context.hash).to_owned(),
            reference: Self::reference_of_folder(name, &context.hash),
            hash: context.hash.clone(),
            outside_base: base.and_then(|base| ImageRef::parse(base).ok()),
            dockerfile,
            arguments: BTreeMap::new(),
            context: Context::Folder(context),
            needs: Needs::default(),
        }
    }

    /// Builds an image, tries it and gives it its name, unless it is there by the time that it is its turn.
    ///
    /// # Cancel safety
    /// Dropping the future ends a build that runs. [`Images::clear_away`] takes what it left; without that the next one finds it.
    pub(crate) async fn make(
        &self,
        engine: &dyn Engine,
        recipe: &Recipe,
        freshness: Freshness,
        record: &Recorder,
        trial: &dyn Trial,
    ) -> Result<(), ImageError> {
        let _turn = match self.building.try_lock() {
            Ok(turn) => turn,
            Err(_taken) => {
                record.say("Waits until another build is over.");
                self.building.lock().await
            }
        };
        if freshness == Freshness::Cached && has(engine, recipe, &recipe.reference).await? {
            return Ok(());
        }
        let mut step = None;
        let made = timeout(BUILD_BOUND, self.make_in_turn(engine, recipe, freshness, record, trial, &mut step)).await;
        let made = made.unwrap_or_else(|_elapsed| Err(ImageError::TooSlow { name: recipe.name.clone(), step }));
        match &made {
            Ok(()) => {
                info!(reference = %recipe.reference, "built an image");
                self.drop_others(engine, recipe).await;
            }
            // What the engine keeps of a half build is ours and of no use; the image that was there before stays.
            Err(_) => self.clear_away(engine, recipe).await,
        }
        made
    }

    async fn make_in_turn(
        &self,
        engine: &dyn Engine,
        recipe: &Recipe,
        freshness: Freshness,
        record: &Recorder,
        trial: &dyn Trial,
        step: &mut Option<BuildStep>,
    ) -> Result<(), ImageError> {
        let missing = match &recipe.outside_base {
            Some(base) if !has(engine, recipe, base).await? => Some(base),
            Some(_) | None => None,
        };
        let fetching: Vec<_> = missing.iter().map(|base| format!("Fetch {base}")).collect();
        let labels = self.labels(recipe);
        let instructions = dockerfile::instructions(&dockerfile::labelled(&recipe.dockerfile, &labels));
        record.plan(&fetching, &instructions, &AFTERWARDS.map(str::to_owned));
        // Those of the first layer again, and the hash.
        record.plan_labels(labels.len() + 1);
        if let Some(base) = missing {
            record.before(0);
            fetch(engine, base, record).await.map_err(|source| ImageError::BaseMissing {
                name: recipe.name.clone(),
                base: base.clone(),
                source: Box::new(source),
            })?;
        }
        let trial_name = self.trial_name(recipe);
        let built = self.build(engine, recipe, freshness, &trial_name, labels, record, step).await?;
        record.after(0);
        let asked = |source| ImageError::Engine { name: recipe.name.clone(), source };
        let image = look_at(engine, &built).await.map_err(asked)?;
        trial.run(recipe, &image, record).await?;
        record.after(1);
        around(Point::ImageTag, engine.tag(&built, &recipe.reference)).await.map_err(asked)?;
        // By now only a second name.
        engine.remove_image(&trial_name).await.map_err(asked)
    }

    #[allow(clippy::too_many_arguments, reason = "each is a part of one build")]
    async fn build(
        &self,
        engine: &dyn Engine,
        recipe: &Recipe,
        freshness: Freshness,
        tag: &ImageRef,
        labels: BTreeMap<String, String>,
        record: &Recorder,
        step: &mut Option<BuildStep>,
    ) -> Result<ImageId, ImageError> {
        let context = match &recipe.context {
            Context::Image(image) => context::tar(image, &self.certificates, &labels),
            Context::Folder(folder) => folder.tar(&labels),
            Context::Tools(tools) => {
                tools::tar(tools, &self.certificates, &dockerfile::labelled(&recipe.dockerfile, &labels))
            }
        };
        let request = BuildRequest {
            context: context.into(),
            tag: tag.clone(),
            ownership: self.ownership(),
            // Not among those of the first layer: that would be another with every change of a file, and nothing cached.
            labels: labels.into_iter().chain([(HASH_LABEL.to_owned(), recipe.hash.clone())]).collect(),
            build_args: recipe.arguments.clone(),
            network: BuildNetwork::Usual,
            cache: match freshness {
                Freshness::Cached => BuildCache::Use,
                Freshness::Fresh => BuildCache::Ignore,
            },
        };
        let (told, mut telling) = mpsc::channel(PROGRESS_QUEUE_MAX);
        let listening = async {
            while let Some(message) = telling.recv().await {
                if let Progress::Step { number, of, text } = &message {
                    *step = Some(BuildStep { number: *number, of: *of, text: text.clone() });
                }
                record.tell(&message);
            }
        };
        let building = around(Point::ImageBuild, engine.build(request, told));
        let (built, ()) = tokio::join!(building, listening);
        built.map_err(|source| match source.kind() {
            ErrorKind::Unreachable => ImageError::Engine { name: recipe.name.clone(), source },
            ErrorKind::Transient
            | ErrorKind::Gone
            | ErrorKind::Conflict
            | ErrorKind::Denied
            | ErrorKind::Exhausted
            | ErrorKind::ProfileRefused
            | ErrorKind::TooOld { .. }
            | ErrorKind::Broken => {
                ImageError::Build { name: recipe.name.clone(), step: step.take(), source: Box::new(source) }
            }
        })
    }

    fn ownership(&self) -> Ownership {
        Ownership::of_install(&self.install, Role::Image)
    }

    /// What every layer of an image says of whose it is.
    fn labels(&self, recipe: &Recipe) -> BTreeMap<String, String> {
        let mut labels = self.ownership().labels();
        labels.insert(NAME_LABEL.to_owned(), recipe.name.clone());
        labels
    }

    /// What an image is called that nobody has tried. Of another installation it is another name.
    fn trial_name(&self, recipe: &Recipe) -> ImageRef {
        let install = &self.install[self.install.len().saturating_sub(12)..];
        let (repository, _) = recipe.reference.repository_and_tag().expect("invariant: a recipe's reference has a tag");
        ImageRef::parse(format!("{repository}:{TRIAL}{install}"))
            .expect("invariant: an install's id is letters, digits and dashes")
    }

    /// What this installation has on the engine of the image of that name.
    pub(crate) async fn built(&self, engine: &dyn Engine, name: &str) -> Result<Vec<Image>, EngineError> {
        let filter = LabelFilter::install(&self.install).role(Role::Image).with(NAME_LABEL, name);
        engine.images(&filter).await
    }

    /// Removes what this installation built of an image but the one that is current. One that a sandbox still uses stays until the next time.
    async fn drop_others(&self, engine: &dyn Engine, recipe: &Recipe) {
        let found = match self.built(engine, &recipe.name).await {
            Ok(images) => images,
            Err(error) => return warn!(%error, "older images were not looked for"),
        };
        let current = recipe.reference.as_str();
        for other in found.into_iter().filter(|found| !found.repo_tags.iter().any(|tag| tag == current)) {
            match remove(engine, &other).await {
                Ok(()) => info!(image = %other.id, "removed an older image"),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => warn!(image = %other.id, %error, "an older image was not removed"),
            }
        }
    }

    /// Removes what a build that did not come to its end left: the containers of its instructions, layers without a name, and what nobody
    /// has tried. The engine ends a build that nobody listens to by itself, a moment later: that is waited for, not for ever.
    pub(crate) async fn clear_away(&self, engine: &dyn Engine, recipe: &Recipe) {
        let cleared = timeout(CLEAR_BOUND, async {
            while !self.cleared(engine, recipe).await? {
                tokio::time::sleep(CLEAR_EVERY).await;
            }
            Ok::<_, EngineError>(())
        });
        match cleared.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, image = recipe.name, "what a build left was not looked for"),
            Err(_elapsed) => warn!(image = recipe.name, "something of a build is still in use, and is left for later"),
        }
    }

    /// Whether nothing is left, after one try to take it away.
    async fn cleared(&self, engine: &dyn Engine, recipe: &Recipe) -> Result<bool, EngineError> {
        let filter = LabelFilter::install(&self.install).role(Role::Image).with(NAME_LABEL, &recipe.name);
        let mut is_cleared = engine.containers(&filter).await?.is_empty();
        let trial_name = self.trial_name(recipe);
        for left in self.built(engine, &recipe.name).await? {
            let is_untried = left.repo_tags.iter().all(|tag| tag == trial_name.as_str() || tag.contains("<none>"));
            if !is_untried {
                continue;
            }
            match remove(engine, &left).await {
                Ok(()) => info!(image = %left.id, "removed what a build left"),
                Err(error) if error.kind() == ErrorKind::Conflict => is_cleared = false,
                Err(error) => return Err(error),
            }
        }
        Ok(is_cleared)
    }
}

/// What is done once the Dockerfile's instructions are.
const AFTERWARDS: [&str; 2] = ["Try it in a sandbox without a network card", "Take it into use"];
/// What the tag of an image begins with that nobody has tried.
const TRIAL: &str = "trial-";

/// Whether a tag is that of an image that nobody has tried.
pub(crate) fn is_trial(tag: &str) -> bool {
    tag.split_once(':').is_some_and(|(_, tag)| tag.starts_with(TRIAL))
}

/// The version in the tag of an image that was built here.
pub(crate) fn version_in(tag: &str) -> Option<&str> {
    let (_, tag) = tag.split_once(':')?;
    Some(tag.rsplit_once('-')?.0)
}

/// What a person reads as the version of a folder.
pub(crate) fn version_of_folder(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn tag_of(name: &str, version: &str, hash: &str) -> ImageRef {
    let plain = |character: char| if character.is_ascii_alphanumeric() || character == '.' { character } else { '_' };
    let version: String = version.chars().map(plain).take(TAG_VERSION_BYTES_MAX).collect();
    ImageRef::parse(format!("berth/{name}:{version}-{}", &hash[..12]))
        .expect("invariant: a catalogue's name and version are parts of a reference")
}

async fn has(engine: &dyn Engine, recipe: &Recipe, reference: &ImageRef) -> Result<bool, ImageError> {
    let found = engine.image(reference).await;
    found.map(|found| found.is_some()).map_err(|source| ImageError::Engine { name: recipe.name.clone(), source })
}

/// An image that was just built.
async fn look_at(engine: &dyn Engine, id: &ImageId) -> Result<Image, EngineError> {
    let found = engine.image(&id.clone().into()).await?;
    let gone =
        || EngineError::new(ErrorKind::Gone, format!("look at image {id}"), "it vanished as soon as it was built");
    found.ok_or_else(gone)
}

/// Fetches an image, and takes down how its layers come.
pub(crate) async fn fetch(engine: &dyn Engine, reference: &ImageRef, record: &Recorder) -> Result<(), EngineError> {
    let (told, mut telling) = mpsc::channel(PROGRESS_QUEUE_MAX);
    let listening = async {
        while let Some(message) = telling.recv().await {
            record.tell(&message);
        }
    };
    let (fetched, ()) = tokio::join!(engine.pull(reference, told), listening);
    fetched
}

/// Removes an image under each name that Berth gave it, or by its id where it has none. Under a name of a person's own it stays.
pub(crate) async fn remove(engine: &dyn Engine, image: &Image) -> Result<(), EngineError> {
    if image.repo_tags.iter().all(|tag| tag.contains("<none>")) {
        return engine.remove_image(&image.id.clone().into()).await;
    }
    let of_berth = image.repo_tags.iter().filter(|tag| tag.starts_with("berth/"));
    let names: Vec<ImageRef> = of_berth.filter_map(|tag| ImageRef::parse(tag.as_str()).ok()).collect();
    for name in names {
        engine.remove_image(&name).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
