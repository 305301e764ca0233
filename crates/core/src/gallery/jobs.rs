//! Builds as they go on: one for each image, whoever waits for it, and how each went last.
//!
//! ```text
//! a step, a person, another image ──▶ ensure ──▶ there already ─▶ its reference
//!                                        │
//!                                        └─▶ the image's one job ─▶ base's job ─▶ build, try, name ─▶ all who wait hear how it went
//!                                                │ ended by a person, or once nobody waits for it
//!                                                └─▶ what it left is taken away
//! ```
//!
//! An app that ends drops what it builds and tells nobody: whoever waits is about to end, too.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::ImageRef;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use wire::{ErrorView, ids::SandboxId, image::BuildOutcome, stream::Update};

use super::smoke::Tried;
use super::source::{Source, is_there};
use super::words::of_build;
use crate::blocking::blocking;
use crate::engine_link::Up;
use crate::fault_points::{Point, around};
use crate::house::House;
use crate::images::catalogue::Base;
use crate::images::folder::FolderHashes;
use crate::images::record::{Record, Recorder};
use crate::images::{self, Freshness, ImageError, Recipe};

/// How often skins are told that a build went on.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Where it is written down how builds went.
const FOLDER: &str = "builds";
/// No file about a build is larger, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// How a build ended, for all who wait for it.
pub(super) type Done = Result<ImageRef, Arc<ImageError>>;

/// Builds under way, and how the last ones went, by the image's short name.
#[derive(Default)]
pub(crate) struct Builds {
    // Std mutexes: held for a map operation, never over an await.
    jobs: Mutex<HashMap<String, Arc<Job>>>,
    over: Mutex<HashMap<String, Option<Arc<Record>>>>,
    trials: Mutex<HashSet<SandboxId>>,
    /// What a person's folders hold.
    pub(super) folders: FolderHashes,
}

/// A build under way.
pub(super) struct Job {
    pub(super) record: Recorder,
    /// A person ends it, or nobody waits for it any more.
    end: CancellationToken,
    done: watch::Receiver<Option<Done>>,
    /// How many wait for it. Held while it is looked at whether it was ended, so that nobody joins one that is just being left.
    waiting: Mutex<usize>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Builds {
    /// The build of an image that is under way.
    pub(super) fn job(&self, name: &str) -> Option<Arc<Job>> {
        locked(&self.jobs).get(name).cloned()
    }

    /// Whether an image is being built or fetched.
    pub(crate) fn is_building(&self, name: &str) -> bool {
        locked(&self.jobs).contains_key(name)
    }

    /// Whether any is.
    pub(crate) fn is_any_building(&self) -> bool {
        !locked(&self.jobs).is_empty()
    }

    /// The sandboxes in which images are tried just now.
    pub(crate) fn trials(&self) -> Vec<SandboxId> {
        locked(&self.trials).iter().copied().collect()
    }

    pub(super) fn set_trial(&self, sandbox: SandboxId, is_there: bool) {
        let mut trials = locked(&self.trials);
        if is_there {
            trials.insert(sandbox);
        } else {
            trials.remove(&sandbox);
        }
    }
}

/// Somebody who waits for a job; the last one who goes ends it.
struct Waiting(Arc<Job>);

impl Waiting {
    /// And whether the job was being ended already.
    fn on(job: &Arc<Job>) -> (Self, bool) {
        let mut waiting = locked(&job.waiting);
        *waiting += 1;
        (Self(job.clone()), job.end.is_cancelled())
    }

    async fn done(&self) -> Option<Done> {
        let mut done = self.0.done.clone();
        let done = done.wait_for(Option::is_some).await.ok()?;
        done.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = locked(&self.0.waiting);
        *waiting -= 1;
        if *waiting == 0 {
            self.0.end.cancel();
        }
    }
}

/// Makes sure that an image is on the engine: what it is made of now, or what its reference means.
///
/// # Cancel safety
/// Dropping the future ends a build that nobody else waits for.
pub(super) async fn ensure(house: &Arc<House>, up: &Arc<Up>, source: &Source, freshness: Freshness) -> Done {
    let asked = |source_error| Arc::new(ImageError::Engine { name: source.name().to_owned(), source: source_error });
    if freshness == Freshness::Cached {
        let (reference, _) = source
            .current(house)
            .await
            .map_err(|error| Arc::new(ImageError::Folder { name: source.name().to_owned(), source: error }))?;
        if is_there(up.engine.as_ref(), &reference).await.map_err(asked)? {
            return Ok(reference);
        }
    }
    loop {
        let (waiting, is_ending) = join(house, up, source, freshness);
        match waiting.done().await {
            // It was being ended when it was joined, and not by whoever waits here.
            Some(Err(error)) if is_ending && is_cancelled(&error) => {}
            Some(done) => return done,
            // The app ends.
            None => std::future::pending().await,
        }
    }
}

/// Joins the image's job, or begins it; and whether it was being ended already.
fn join(house: &Arc<House>, up: &Arc<Up>, source: &Source, freshness: Freshness) -> (Waiting, bool) {
    let mut jobs = locked(&house.builds.jobs);
    if let Some(job) = jobs.get(source.name()) {
        return Waiting::on(job);
    }
    let (tell, done) = watch::channel(None);
    let job = Arc::new(Job {
        record: Recorder::begin(&house.time, source.name()),
        end: CancellationToken::new(),
        done,
        waiting: Mutex::new(0),
    });
    jobs.insert(source.name().to_owned(), job.clone());
    let joined = Waiting::on(&job);
    let (owner, up, source) = (house.clone(), up.clone(), source.clone());
    house.tasks.spawn(async move {
        if let Some(done) = carry_out(&owner, &up, &source, freshness, &job).await {
            locked(&owner.builds.jobs).remove(source.name());
            // Those who waited may have gone.
            let _ = tell.send(Some(done));
            owner.tell(Update::Images);
        } else {
            locked(&owner.builds.jobs).remove(source.name());
        }
    });
    joined
}

/// Builds, tells of it, and writes down how it went. `None` where the app ends meanwhile.
async fn carry_out(
    house: &Arc<House>,
    up: &Arc<Up>,
    source: &Source,
    freshness: Freshness,
    job: &Arc<Job>,
) -> Option<Done> {
    // What is known of the one before is needed for how long this one may take.
    if let Some(over) = over(house, source.name()).await {
        job.record.set_last_took_ms(over.good_took_ms());
    }
    let mut work = work(house.clone(), up.clone(), source.clone(), freshness, job.clone());
    let mut tell = tokio::time::interval(TELL_EVERY);
    let done = loop {
        tokio::select! {
            biased;
            () = house.stop.cancelled() => return None,
            () = job.end.cancelled() => break Err(Arc::new(ImageError::Cancelled { name: source.name().to_owned() })),
            done = &mut work => break done,
            _ = tell.tick() => if job.record.take_changed() {
                house.tell(Update::Images);
            },
        }
    };
    drop(work);
    tokio::select! {
        () = house.stop.cancelled() => return None,
        () = end(house, up, source, job, &done) => {}
    }
    Some(done)
}

/// Clears away after a build that was given up, and writes down how it went.
async fn end(house: &Arc<House>, up: &Up, source: &Source, job: &Job, done: &Done) {
    if done.as_ref().is_err_and(|error| is_cancelled(error)) {
        clear_away(house, up, source).await;
    }
    // The size is for a person to read; where the engine does not say it, it is not known.
    let outcome = match done {
        Ok(reference) => {
            let found = up.engine.image(reference).await.ok().flatten();
            BuildOutcome::Built { size_bytes: found.map(|image| image.size_bytes).unwrap_or_default() }
        }
        Err(error) if is_cancelled(error) => BuildOutcome::Cancelled,
        Err(error) => BuildOutcome::Failed { error: of_build(error) },
    };
    job.record.end(outcome);
    let record = Arc::new(job.record.look(Record::clone));
    write_down(house, source.name(), &record).await;
    locked(&house.builds.over).insert(source.name().to_owned(), Some(record));
}

fn is_cancelled(error: &ImageError) -> bool {
    matches!(error, ImageError::Cancelled { .. })
}

/// What a build that was given up left goes.
async fn clear_away(house: &Arc<House>, up: &Up, source: &Source) {
    let recipe: Option<Recipe> = source.recipe(house).await.ok().flatten();
    if let Some(recipe) = recipe {
        house.images.clear_away(up.engine.as_ref(), &recipe).await;
    }
}

/// Boxed, since the base of an image is ensured in the same way.
fn work(
    house: Arc<House>,
    up: Arc<Up>,
    source: Source,
    freshness: Freshness,
    job: Arc<Job>,
) -> BoxFuture<'static, Done> {
    async move {
        if let Source::Image(image) = &source
            && let Base::Image(base) = &image.base
        {
            ensure_base(&house, &up, &image.name, &Source::Image(base.clone()), &job).await?;
        }
        match &source {
            Source::Image(_) | Source::Folder { .. } | Source::Tools(_) => {
                let recipe = source.recipe(&house).await?.expect("invariant: these are built");
                job.record.set_version(&recipe.version);
                let tried = Tried { house: house.clone(), up: up.clone() };
                house.images.make(up.engine.as_ref(), &recipe, freshness, &job.record, &tried).await?;
                Ok(recipe.reference)
            }
            Source::Reference { name, reference } => {
                job.record.plan(&[format!("Fetch {reference}")], &[], &[]);
                job.record.before(0);
                images::fetch(up.engine.as_ref(), reference, &job.record).await.map_err(|source| {
                    ImageError::Fetch { name: name.clone(), reference: reference.clone(), source: Box::new(source) }
                })?;
                Ok(reference.clone())
            }
        }
    }
    .boxed()
}

async fn ensure_base(
    house: &Arc<House>,
    up: &Arc<Up>,
    name: &str,
    base: &Source,
    job: &Job,
) -> Result<(), Arc<ImageError>> {
    let reference = base.current(house).await.map(|(reference, _)| reference);
    let is_built = match &reference {
        Ok(reference) => is_there(up.engine.as_ref(), reference).await.unwrap_or(false),
        Err(_) => false,
    };
    if is_built {
        return Ok(());
    }
    job.record.plan(&[format!("Build {}, which it starts from", base.name())], &[], &[]);
    job.record.before(0);
    let built = ensure(house, up, base, Freshness::Cached).await;
    built.map(drop).map_err(|source| {
        let name = name.to_owned();
        // Who ends what it starts from ends it, too.
        Arc::new(if is_cancelled(&source) {
            ImageError::Cancelled { name }
        } else {
            ImageError::Base { name, base: base.name().to_owned(), source }
        })
    })
}

/// Ends a build, and returns once it is over. `false` where there is none.
pub(super) async fn cancel(house: &House, name: &str) -> bool {
    let Some(job) = house.builds.job(name) else { return false };
    job.end.cancel();
    let mut done = job.done.clone();
    // Where the app ends meanwhile it is over as well.
    let _ = done.wait_for(Option::is_some).await;
    true
}

/// How the last build of an image went that is over.
pub(super) async fn over(house: &House, name: &str) -> Option<Arc<Record>> {
    if let Some(known) = locked(&house.builds.over).get(name) {
        return known.clone();
    }
    let path = path_of(house, name);
    let read = blocking(move || {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        std::fs::File::open(&path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let record = match read.await {
        Ok(bytes) => serde_json::from_slice(&bytes).ok().and_then(Record::of_pages).map(Arc::new),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            warn!(%error, image = name, "how a build went cannot be read");
            None
        }
    };
    locked(&house.builds.over).entry(name.to_owned()).or_insert(record).clone()
}

/// Forgets how the builds of an image went.
pub(super) async fn forget(house: &House, name: &str) {
    locked(&house.builds.over).insert(name.to_owned(), None);
    let path = path_of(house, name);
    match blocking(move || std::fs::remove_file(path)).await {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => warn!(%error, image = name, "how a build went cannot be forgotten"),
    }
}

fn path_of(house: &House, name: &str) -> camino::Utf8PathBuf {
    // A reference is no file's name.
    let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let name = if is_plain { name.to_owned() } else { format!("reference-{}", hex::encode(Sha256::digest(name))) };
    house.config.data_folder.join(FOLDER).join(format!("{name}.json"))
}

/// Writes down how a build went. Where that fails it is known until the app ends, and nothing else is wrong.
async fn write_down(house: &House, name: &str, record: &Record) {
    let (path, pages) = (path_of(house, name), record.pages());
    let writing = blocking(move || {
        let folder = path.parent().expect("invariant: it was joined to a folder");
        std::fs::create_dir_all(folder)?;
        let unfinished = path.with_extension("new");
        std::fs::write(&unfinished, serde_json::to_vec(&pages)?)?;
        std::fs::rename(unfinished, path)
    });
    if let Err(error) = around(Point::BuildRecord, writing).await {
        warn!(%error, image = name, "how a build went could not be written down");
    }
}

/// Why there is nothing to be waited for.
pub(super) fn app_ends() -> ErrorView {
    ErrorView::new(wire::ErrorCode::NotNow, "Berth ends, and what it builds ends with it.")
        .hint("Build it again once Berth is back; what was done of it is done anew.")
}
