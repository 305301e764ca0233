//! A Berth of its own to measure: a data folder and an install id that exist for the benchmark alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use camino::Utf8Path;
use camino_tempfile::Utf8TempDir;
use engine::{
    CgroupVersion, ContainerId, Engine, EngineError, ErrorKind, ImageRef, LabelFilter, Product,
    docker::DockerEngine,
    find::{Environment, RealFiles, find},
};
use futures::FutureExt as _;
use pipe::host::Guest;
use store::SandboxStage;
use tokio::time::{sleep, timeout};
use tracing::warn;
use wire::{
    Limits, Phase,
    bench::BenchMachine,
    call::{BuildImage, CancelRun, CreateAgent, CreateTask, ShowRun},
    ids::{RunId, SandboxId, StepId, TaskId},
    task::{Launch, NewTask, ReviewGate},
};

use super::BenchError;
use crate::api::Api;
use crate::app::App;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::engine_link::{Connected, Connector, Up};
use crate::house::House;
use crate::images::catalogue;
use crate::line::Rules;
use crate::sandbox;

/// How many sandboxes may work at once: all of the idle rows.
const SLOTS: u32 = 64;
/// Longest wait for anything that is set up or taken down.
const WAIT_MAX: Duration = Duration::from_mins(2);
/// Longest wait for the image, which may have to be built.
const IMAGE_WAIT_MAX: Duration = Duration::from_mins(30);
/// How often something is looked at even though nothing was heard. Nothing that is measured waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A Berth of its own to measure. [`Rig::close`] it however the measuring ended.
pub struct Rig {
    app: App,
    engine: Arc<dyn Engine>,
    endpoint: String,
    up: Arc<Up>,
    image: String,
    image_ref: ImageRef,
    agents: AtomicU32,
    /// Removed when it is dropped.
    folder: Utf8TempDir,
}

/// A sandbox at work whose agent does nothing.
pub struct Warm {
    pub(super) task: TaskId,
    pub(super) run: RunId,
    pub(super) step: StepId,
    pub(super) sandbox: SandboxId,
    pub(super) guest: Guest,
}

impl Warm {
    /// The step that it serves.
    pub fn step(&self) -> StepId {
        self.step
    }

    pub(super) fn container(&self) -> ContainerId {
        sandbox::container_name(self.sandbox).into()
    }
}

impl Rig {
    /// Starts an app on a new folder beside the configured data folder (so that its disk is the one that counts), with an
    /// install id of its own, and makes sure of the image.
    ///
    /// # Errors
    /// No engine, no guest, or no such image. Nothing is left behind then.
    pub async fn start(config: &Config, image: &str) -> Result<Self, BenchError> {
        let builder = || {
            let mut builder = camino_tempfile::Builder::new();
            builder.prefix("berth-bench-");
            builder
        };
        let folder = match config.data_folder.parent().filter(|parent| parent.is_dir()) {
            Some(parent) => builder().tempdir_in(parent),
            None => builder().tempdir(),
        };
        let folder = folder.map_err(BenchError::io("making a folder"))?;
        let environment = Environment::of_this_process(config.engine_address.clone());
        let candidates = tokio::task::spawn_blocking(move || find(&environment, &RealFiles)).await;
        let candidates = candidates.map_err(|error| BenchError::io("looking for an engine")(error.into()))??;
        let docker = DockerEngine::connect_first(&candidates).await?;
        let endpoint = docker.found().endpoint.to_string();
        let engine: Arc<dyn Engine> = Arc::new(docker);
        let connector: Connector = {
            let (engine, found) = (engine.clone(), endpoint.clone());
            Arc::new(move || {
                let connected = Connected { engine: engine.clone(), found: found.clone() };
                async move { Ok(connected) }.boxed()
            })
        };
        // Its secrets are nobody's, and not for the person's keyring.
        let keyring = vault::Use::Session;
        let config = Config { data_folder: folder.path().to_owned(), keyring, ..config.clone() };
        let app = App::start_with(config, connector, SystemClock).await?;
        let prepared = prepare(&app, image).await;
        let (up, image_ref) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                let install = app.house().install.to_string();
                app.shutdown().await;
                sweep(engine.as_ref(), &install).await?;
                return Err(error);
            }
        };
        let agents = AtomicU32::new(0);
        Ok(Self { app, engine, endpoint, up, image: image.to_owned(), image_ref, agents, folder })
    }

    /// The calls of the app that is measured.
    pub fn api(&self) -> Api {
        self.app.api()
    }

    /// The folder of the app that is measured.
    pub fn data_folder(&self) -> &Utf8Path {
        self.folder.path()
    }

    /// Where it is measured.
    pub fn machine(&self) -> BenchMachine {
        let facts = &self.up.facts;
        let product = match &facts.product {
            Product::Docker => "Docker",
            Product::Podman => "Podman",
            Product::Other(name) => name,
        };
        let cgroup = match facts.cgroup {
            CgroupVersion::V1 => "v1",
            CgroupVersion::V2 => "v2",
            CgroupVersion::Unknown => "unknown",
        };
        BenchMachine {
            cores: facts.cpus,
            memory_bytes: facts.memory_bytes,
            kernel: facts.kernel.clone(),
            engine: format!("{product} {} (API {})", facts.version, facts.api_version),
            cgroup: cgroup.to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            image: self.image.clone(),
        }
    }

    /// A sandbox at work, made as every other, whose agent sleeps.
    ///
    /// # Errors
    /// Whatever keeps a step from executing.
    pub async fn warm(&self) -> Result<Warm, BenchError> {
        let agent = self.agent(&["/bin/sleep", "infinity"], Limits::default()).await?;
        let (task, run) = self.task(&agent).await?;
        self.at_work(task, run).await
    }

    /// Ends a sandbox and waits until nothing of it is left.
    ///
    /// # Errors
    /// Where it does not end.
    pub async fn end(&self, warm: Warm) -> Result<(), BenchError> {
        self.api().call(CancelRun { run: warm.run.to_string() }).await?;
        self.until_removed(warm.sandbox).await
    }

    /// Takes away everything that was made: sandboxes, volumes, images of this install id, the folder.
    ///
    /// # Errors
    /// What could not be removed.
    pub async fn close(self) -> Result<(), BenchError> {
        let install = self.house().install.to_string();
        self.app.shutdown().await;
        let swept = sweep(self.engine.as_ref(), &install).await;
        self.folder.close().map_err(BenchError::io("removing the folder"))?;
        swept.map_err(BenchError::from)
    }

    pub(super) fn house(&self) -> &Arc<House> {
        self.app.house()
    }

    pub(super) fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What an image of the Gallery is called once it is built.
    pub(super) fn reference(&self, image: &catalogue::AgentImage) -> ImageRef {
        self.app.house().images.reference(image)
    }

    /// The image by its id: the same for Berth and for what it is compared with.
    pub(super) fn image_ref(&self) -> &ImageRef {
        &self.image_ref
    }

    /// A new agent that runs this program; its name.
    pub(super) async fn agent(&self, argv: &[&str], limits: Limits) -> Result<String, BenchError> {
        let name = format!("bench-{}", self.agents.fetch_add(1, Ordering::Relaxed));
        let launch = Launch::Command { argv: argv.iter().map(|&argument| argument.to_owned()).collect() };
        let image = self.image.clone();
        let review = ReviewGate::Skip;
        self.api()
            .call(CreateAgent { name: name.clone(), image, launch, limits, review, ..CreateAgent::default() })
            .await?;
        Ok(name)
    }

    /// A new task for that agent.
    pub(super) async fn task(&self, agent: &str) -> Result<(TaskId, RunId), BenchError> {
        let task = NewTask {
            title: Some("bench".to_owned()),
            prompt: "bench".to_owned(),
            agent: Some(agent.to_owned()),
            project: None,
            limits: None,
            review: None,
            priority: None,
            attachments: Vec::new(),
        };
        let created = self.api().call(CreateTask { task }).await?;
        Ok((created.task, created.run))
    }

    /// The sandbox of a task, once its agent is at work and its guest connected.
    pub(super) async fn at_work(&self, task: TaskId, run: RunId) -> Result<Warm, BenchError> {
        self.until("a sandbox at work", async || {
            let handle = self.house().steps().into_iter().find(|step| step.task == task);
            let Some(handle) = handle else { return Err(self.why_ended(run).await?) };
            let step = handle.step;
            if handle.state().phase() != Phase::Executing {
                return Ok(None);
            }
            let (Some(guest), Some(placement)) =
                (self.house().guest(step), self.house().store.placement_of(step).await?)
            else {
                return Ok(None);
            };
            Ok(Some(Warm { task, run, step, sandbox: placement.sandbox, guest }))
        })
        .await
    }

    /// Why a run is over that should not be.
    pub(super) async fn why_ended(&self, run: RunId) -> Result<BenchError, BenchError> {
        let shown = self.api().call(ShowRun { run: run.to_string() }).await?;
        Ok(shown.summary.error.map_or(BenchError::Ended { what: "a run" }, BenchError::Call))
    }

    /// Waits until the sandbox is gone and that is written down.
    pub(super) async fn until_removed(&self, sandbox: SandboxId) -> Result<(), BenchError> {
        self.until("a sandbox to be removed", async || {
            let record = self.house().store.sandbox(sandbox).await?;
            Ok((record.stage == SandboxStage::Removed).then_some(()))
        })
        .await
    }

    /// Looks again at every update until something is there.
    pub(super) async fn until<T>(
        &self,
        what: &'static str,
        mut look: impl AsyncFnMut() -> Result<Option<T>, BenchError>,
    ) -> Result<T, BenchError> {
        let mut updates = self.house().updates.subscribe();
        let looking = async {
            loop {
                if let Some(found) = look().await? {
                    return Ok(found);
                }
                tokio::select! {
                    // An update, or having missed some: both are reasons to look.
                    _ = updates.recv() => {}
                    () = sleep(LOOK_EVERY) => {}
                }
            }
        };
        timeout(WAIT_MAX, looking).await.unwrap_or(Err(BenchError::Timeout { what }))
    }
}

/// Waits for the engine, and makes sure of the image: builds it where it is one of the Gallery.
async fn prepare(app: &App, image: &str) -> Result<(Arc<Up>, ImageRef), BenchError> {
    // A setting that only this app has, before anything could read it.
    app.house().line.set(Rules { slots: wire::queue::Slots::Fixed { count: SLOTS }, ..Rules::default() });
    let late = |_| BenchError::Timeout { what: "the engine" };
    let up = timeout(WAIT_MAX, app.house().link.wait_up()).await.map_err(late)?;
    let reference = match catalogue::find(image) {
        Some(of_gallery) => {
            let api = app.api();
            let build = api.call(BuildImage { name: image.to_owned(), is_fresh: false });
            timeout(IMAGE_WAIT_MAX, build).await.map_err(|_| BenchError::Timeout { what: "the image" })??;
            app.house().images.reference(of_gallery)
        }
        None => ImageRef::parse(image).map_err(|_| BenchError::NoImage { image: image.to_owned() })?,
    };
    let found = up.engine.image(&reference).await?;
    let found = found.ok_or_else(|| BenchError::NoImage { image: image.to_owned() })?;
    Ok((up, found.id.into()))
}

/// Removes everything that carries the label of this install id. What others use by now stays theirs.
async fn sweep(engine: &dyn Engine, install: &str) -> Result<(), EngineError> {
    let ours = LabelFilter::install(install);
    for container in engine.containers(&ours).await? {
        engine.remove(&container.id).await?;
    }
    for volume in engine.volumes(&ours).await? {
        sandbox::remove_volume(engine, &volume.name).await?;
    }
    for image in engine.images(&ours).await? {
        match engine.remove_image(&image.id.into()).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => warn!(%error, "an image is in use and stays"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
