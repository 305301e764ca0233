//! The adapter for Docker-compatible engines.
//!
//! What it adds to the client library: bounds in time on every call, retries where a call may be repeated, errors by what to do,
//! containers that can only be hardened, and streams that can be opened before there is anything to read.
//! What it does not do: TLS and SSH, BuildKit.

mod call;
mod create;
mod credentials;
mod images;
mod networks;
mod read;
mod streams;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use bollard::query_parameters as query;
use bollard::{API_DEFAULT_VERSION, Docker, models};
use camino::{Utf8Path, Utf8PathBuf};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use self::call::{bounded, idempotent, optional, sorted};
use self::streams::{Demultiplexed, bounded_archive};
use crate::archive::{ArchiveBody, ArchiveStream};
use crate::facts::API_VERSION_MIN;
use crate::find::{Candidates, Endpoint, Found};
use crate::{
    ApiVersion, Attached, BridgeNetwork, BuildRequest, Container, ContainerId, ContainerSpec, ContainerState,
    Diagnostics, Engine, EngineError, EngineFacts, ErrorKind, Event, Exec, ExecId, ExecSpec, ExecState, Image, ImageId,
    ImageRef, ImportRequest, LabelFilter, NetworkName, Ownership, Progress, Result, Seccomp, Signal, Stats, Terminal,
    Volume, VolumeName,
};

/// Bound on asking whether anything answers.
const PING_BOUND: Duration = Duration::from_secs(5);
/// Bound on looking and on small changes.
const QUICK_BOUND: Duration = Duration::from_secs(30);
/// Bound on what makes the engine run or take down processes and mounts, on a loaded machine.
const HEAVY_BOUND: Duration = Duration::from_mins(2);
/// Bound on sending or committing a file system.
const TRANSFER_BOUND: Duration = Duration::from_mins(20);
/// The client library's own bound until a response begins: beyond all of ours, so that ours decide.
const CLIENT_BOUND: Duration = Duration::from_hours(24);
/// How long one wait request may last before the container is looked at again: a half-dead connection must not wait for ever.
const WAIT_SLICE: Duration = Duration::from_mins(1);
/// Buffer for reading the output of an exec, in bytes.
const EXEC_BUFFER_BYTES: usize = 128 * 1024;

/// An engine that answered and speaks a version we speak.
pub struct DockerEngine {
    docker: Docker,
    api_version: ApiVersion,
    found: Found,
    /// Where docker's configuration lies, with what `docker login` left there.
    docker_config: Option<Utf8PathBuf>,
}

impl DockerEngine {
    /// Connects to the first candidate that answers.
    ///
    /// # Errors
    /// [`ErrorKind::TooOld`] from one that answers is final; otherwise the last candidate's error.
    pub async fn connect_first(candidates: &Candidates) -> Result<Self> {
        let mut last = None;
        for found in candidates {
            match Self::connect(found.clone()).await {
                Ok(engine) => return Ok(engine),
                Err(error) if error.kind() == ErrorKind::Unreachable => {
                    debug!(endpoint = %found.endpoint, "nothing answers there");
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| EngineError::new(ErrorKind::Unreachable, "find an engine", "there is no candidate")))
    }

    /// Connects to one engine and agrees on a version.
    pub async fn connect(found: Found) -> Result<Self> {
        let doing = || format!("connect to {}", found.endpoint);
        let bound = CLIENT_BOUND.as_secs();
        let docker = match &found.endpoint {
            #[cfg(unix)]
            Endpoint::Unix(path) => Docker::connect_with_unix(path.as_str(), bound, API_DEFAULT_VERSION),
            #[cfg(not(unix))]
            Endpoint::Unix(_) => {
                Err(bollard::errors::Error::UnsupportedURISchemeError { uri: found.endpoint.to_string() })
            }
            Endpoint::Tcp(address) => Docker::connect_with_http(address, bound, API_DEFAULT_VERSION),
            #[cfg(windows)]
            Endpoint::Pipe(path) => Docker::connect_with_named_pipe(path, bound, API_DEFAULT_VERSION),
            #[cfg(not(windows))]
            Endpoint::Pipe(_) => {
                Err(bollard::errors::Error::UnsupportedURISchemeError { uri: found.endpoint.to_string() })
            }
        }
        .map_err(|error| sorted(doing(), error))?;
        let version = bounded(doing, PING_BOUND, docker.version()).await?;
        let spoken = version.api_version.as_deref().and_then(ApiVersion::parse);
        let newest = spoken.ok_or_else(|| {
            EngineError::new(ErrorKind::Broken, doing(), "the engine does not say which API it speaks")
        })?;
        if newest < API_VERSION_MIN {
            let name = version.version.unwrap_or_default();
            let detail = format!(
                "this engine ({name}) speaks API {newest}, and Berth needs {API_VERSION_MIN} or newer (Docker Engine 20.10, Podman 4): update the engine"
            );
            return Err(EngineError::new(
                ErrorKind::TooOld { found: newest, needed: API_VERSION_MIN },
                doing(),
                detail,
            ));
        }
        let docker = bounded(doing, PING_BOUND, docker.negotiate_version()).await?;
        let agreed = docker.client_version();
        let number = |part: usize| u16::try_from(part).unwrap_or(u16::MAX);
        let api_version = ApiVersion { major: number(agreed.major_version), minor: number(agreed.minor_version) };
        Ok(Self { docker, api_version, found, docker_config: credentials::usual_folder() })
    }

    /// The same with docker's configuration of another folder than this process's person has.
    #[must_use]
    pub fn with_docker_config(self, folder: Utf8PathBuf) -> Self {
        Self { docker_config: Some(folder), ..self }
    }

    /// Where the engine was found, and how.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// Success where the container is in that state anyway. Engines differ in how they refuse what is done already, and what
    /// one that has ended cannot do.
    async fn unless_already(&self, outcome: Result<()>, id: &ContainerId, state: &ContainerState) -> Result<()> {
        let Err(error) = outcome else { return Ok(()) };
        if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Gone) {
            return Err(error);
        }
        match self.inspect(id).await? {
            Some(found) if found.state == *state => Ok(()),
            Some(found) if !found.state.is_alive() => {
                Err(EngineError::new(ErrorKind::Conflict, error.doing(), "it does not run").caused_by(error))
            }
            Some(_) | None => Err(error),
        }
    }

    async fn inspected(&self, id: &ContainerId) -> Result<models::ContainerInspectResponse> {
        let doing = || format!("inspect container {id}");
        idempotent(doing, QUICK_BOUND, || self.docker.inspect_container(id.as_str(), None)).await
    }

    async fn inspected_image(&self, reference: &ImageRef) -> Result<models::ImageInspect> {
        let doing = || format!("inspect image {reference}");
        idempotent(doing, QUICK_BOUND, || self.docker.inspect_image(reference.as_str())).await
    }
}

#[async_trait]
impl Engine for DockerEngine {
    async fn ping(&self) -> Result<()> {
        bounded(|| "ping the engine".into(), PING_BOUND, self.docker.ping()).await.map(drop)
    }

    async fn facts(&self) -> Result<EngineFacts> {
        let doing = || "ask the engine about itself".to_owned();
        let version = idempotent(doing, QUICK_BOUND, || self.docker.version()).await?;
        let info = idempotent(doing, QUICK_BOUND, || self.docker.info()).await?;
        Ok(read::facts(version, info, self.api_version))
    }

    async fn image(&self, reference: &ImageRef) -> Result<Option<Image>> {
        optional(self.inspected_image(reference).await)?.map(read::image).transpose()
    }

    async fn images(&self, filter: &LabelFilter) -> Result<Vec<Image>> {
        let options = query::ListImagesOptions { filters: Some(label_terms(filter)), ..Default::default() };
        let doing = || "list images".to_owned();
        let summaries = idempotent(doing, QUICK_BOUND, || self.docker.list_images(Some(options.clone()))).await?;
        summaries.into_iter().map(read::image_summary).collect()
    }

    async fn build(&self, request: BuildRequest, progress: mpsc::Sender<Progress>) -> Result<ImageId> {
        images::build(&self.docker, request, progress).await
    }

    async fn import(&self, request: ImportRequest) -> Result<ImageId> {
        images::import(&self.docker, request).await
    }

    async fn commit(&self, container: &ContainerId, tag: &ImageRef, ownership: &Ownership) -> Result<ImageId> {
        let doing = format!("commit container {container} as {tag}");
        let image = self.inspected(container).await?.image.unwrap_or_default();
        let image = ImageRef::parse(image)
            .map_err(|bad| EngineError::new(ErrorKind::Broken, doing.clone(), bad.to_string()))?;
        let base = self.inspected_image(&image).await?;
        images::commit(&self.docker, container, tag, ownership, base).await
    }

    async fn tag(&self, image: &ImageId, name: &ImageRef) -> Result<()> {
        images::tag(&self.docker, image, name).await
    }

    async fn remove_image(&self, reference: &ImageRef) -> Result<()> {
        let doing = || format!("remove image {reference}");
        let call = || self.docker.remove_image(reference.as_str(), None::<query::RemoveImageOptions>, None);
        optional(idempotent(doing, HEAVY_BOUND, call).await).map(drop)
    }

    async fn pull(&self, reference: &ImageRef, progress: mpsc::Sender<Progress>) -> Result<()> {
        match credentials::with_credential(&self.docker, self.docker_config.as_deref(), reference).await {
            Ok(docker) => images::pull(&docker, reference, progress).await,
            // Many images need none. Where this one does, a person must know why there was none.
            Err(unknown) => images::pull(&self.docker, reference, progress).await.map_err(|error| {
                let detail = format!("{}; {unknown}", error.detail());
                EngineError::new(error.kind(), error.doing(), detail).caused_by(unknown)
            }),
        }
    }

    async fn create_volume(&self, name: &VolumeName, ownership: &Ownership) -> Result<Volume> {
        let doing = || format!("create volume {name}");
        let request = models::VolumeCreateRequest {
            name: Some(name.to_string()),
            driver: Some("local".into()),
            labels: Some(ownership.labels().into_iter().collect()),
            ..Default::default()
        };
        let made = idempotent(doing, QUICK_BOUND, || self.docker.create_volume(request.clone())).await?;
        let volume = read::volume(made)?;
        if volume.ownership().as_ref() != Some(ownership) {
            return Err(EngineError::new(
                ErrorKind::Conflict,
                doing(),
                "a volume of that name belongs to another owner",
            ));
        }
        if !volume.options.is_empty() {
            let detail = "a volume of that name is a window to something else: it has driver options";
            return Err(EngineError::new(ErrorKind::Conflict, doing(), detail));
        }
        Ok(volume)
    }

    async fn volume(&self, name: &VolumeName) -> Result<Option<Volume>> {
        let doing = || format!("inspect volume {name}");
        let call = || self.docker.inspect_volume(name.as_str());
        optional(idempotent(doing, QUICK_BOUND, call).await)?.map(read::volume).transpose()
    }

    async fn volumes(&self, filter: &LabelFilter) -> Result<Vec<Volume>> {
        let options = query::ListVolumesOptions { filters: Some(label_terms(filter)) };
        let doing = || "list volumes".to_owned();
        let listed = idempotent(doing, QUICK_BOUND, || self.docker.list_volumes(Some(options.clone()))).await?;
        listed.volumes.unwrap_or_default().into_iter().map(read::volume).collect()
    }

    async fn remove_volume(&self, name: &VolumeName) -> Result<()> {
        let doing = || format!("remove volume {name}");
        let call = || self.docker.remove_volume(name.as_str(), None::<query::RemoveVolumeOptions>);
        optional(idempotent(doing, HEAVY_BOUND, call).await).map(drop)
    }

    async fn create_network(&self, ownership: &Ownership) -> Result<BridgeNetwork> {
        networks::create(&self.docker, ownership).await
    }

    async fn networks(&self, filter: &LabelFilter) -> Result<Vec<BridgeNetwork>> {
        networks::list(&self.docker, filter).await
    }

    async fn remove_network(&self, name: &NetworkName) -> Result<()> {
        networks::remove(&self.docker, name).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        spec.check()?;
        let doing = || format!("create container {}", spec.name);
        // An engine makes a missing volume by itself, nameless as to its owner: a lost home would come back empty and unnoticed.
        let volumes = futures::future::try_join_all(create::volume_names(spec).map(async |name| {
            let gone = || EngineError::new(ErrorKind::Gone, doing(), format!("the engine has no volume {name}"));
            self.volume(name).await?.ok_or_else(gone)
        }));
        let network = networks::check(&self.docker, spec);
        let (image, _, ()) = futures::try_join!(self.image(&spec.image), volumes, network)?;
        let Some(image) = image else {
            return Err(EngineError::new(ErrorKind::Gone, doing(), format!("the engine has no image {}", spec.image)));
        };
        let body = create::body(spec, &image)?;
        let options = query::CreateContainerOptions { name: Some(spec.name.to_string()), ..Default::default() };
        let made = bounded(doing, HEAVY_BOUND, self.docker.create_container(Some(options), body)).await;
        let has_profile = matches!(spec.seccomp, Seccomp::Profile { .. });
        let made = made.map_err(|error| if has_profile { call::of_profile(error) } else { error })?;
        for warning in &made.warnings {
            warn!(container = %spec.name, warning, "the engine warns of this container");
        }
        ContainerId::parse(made.id).map_err(|bad| EngineError::new(ErrorKind::Broken, doing(), bad.to_string()))
    }

    async fn start(&self, id: &ContainerId) -> Result<()> {
        let doing = || format!("start container {id}");
        let started = bounded(doing, HEAVY_BOUND, self.docker.start_container(id.as_str(), None)).await;
        match started {
            // Engines look at a profile when it is first needed.
            Err(error) if call::is_about_profile(&error) => {
                let has_profile = self.inspected(id).await.is_ok_and(|found| create::has_profile(&found));
                Err(if has_profile { call::of_profile(error) } else { error })
            }
            started => started,
        }
    }

    async fn kill(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        let doing = || format!("send {} to container {id}", signal.as_str());
        let options = query::KillContainerOptions { signal: signal.as_str().to_owned() };
        bounded(doing, QUICK_BOUND, self.docker.kill_container(id.as_str(), Some(options))).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        let paused = bounded(|| format!("pause container {id}"), QUICK_BOUND, self.docker.pause_container(id.as_str()));
        self.unless_already(paused.await, id, &ContainerState::Paused).await
    }

    async fn unpause(&self, id: &ContainerId) -> Result<()> {
        let doing = || format!("let container {id} go on");
        let unpaused = bounded(doing, QUICK_BOUND, self.docker.unpause_container(id.as_str())).await;
        self.unless_already(unpaused, id, &ContainerState::Running).await
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<()> {
        let doing = || format!("stop container {id}");
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = query::StopContainerOptions { t: Some(seconds), ..Default::default() };
        let call = || self.docker.stop_container(id.as_str(), Some(options.clone()));
        idempotent(doing, grace.saturating_add(HEAVY_BOUND), call).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        let doing = || format!("remove container {id}");
        let options = query::RemoveContainerOptions { v: true, force: true, ..Default::default() };
        let call = || self.docker.remove_container(id.as_str(), Some(options.clone()));
        match idempotent(doing, HEAVY_BOUND, call).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_gone() => Ok(()),
            // "Removal is already in progress": wait for it, since the caller goes on to remove its volumes.
            Err(error) if error.kind() == ErrorKind::Conflict => self.removed_meanwhile(id, error).await,
            Err(error) => Err(error),
        }
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>> {
        optional(self.inspected(id).await)?.map(read::container).transpose()
    }

    async fn raw_inspect(&self, id: &ContainerId) -> Result<serde_json::Value> {
        let inspected = self.inspected(id).await?;
        serde_json::to_value(inspected).map_err(|error| {
            EngineError::new(ErrorKind::Broken, format!("inspect container {id}"), "the answer has no JSON form")
                .caused_by(error)
        })
    }

    async fn containers(&self, filter: &LabelFilter) -> Result<Vec<Container>> {
        let options =
            query::ListContainersOptions { all: true, filters: Some(label_terms(filter)), ..Default::default() };
        let doing = || "list containers".to_owned();
        let summaries = idempotent(doing, QUICK_BOUND, || self.docker.list_containers(Some(options.clone()))).await?;
        summaries.into_iter().map(read::container_summary).collect()
    }

    async fn wait(&self, id: &ContainerId) -> Result<ContainerState> {
        let gone = || EngineError::new(ErrorKind::Gone, format!("wait for container {id}"), "it was removed");
        loop {
            let state = self.inspect(id).await?.ok_or_else(gone)?.state;
            if !state.is_alive() {
                return Ok(state);
            }
            let options = query::WaitContainerOptions { condition: "not-running".into() };
            let mut waiting = self.docker.wait_container(id.as_str(), Some(options)).boxed();
            // Whatever this says, the state decides; an error ends the slice early, and the look above sorts it.
            let slice = tokio::time::timeout(WAIT_SLICE, waiting.next()).await;
            if let Ok(Some(Err(error))) = slice
                && !matches!(error, bollard::errors::Error::DockerContainerWaitError { .. })
            {
                let error = sorted(format!("wait for container {id}"), error);
                debug!(%error, "a wait ended early");
                tokio::time::sleep(call::RETRY_DELAY_MIN).await;
            }
        }
    }

    async fn attach(&self, id: &ContainerId) -> Result<Attached> {
        let doing = || format!("attach to container {id}");
        let options = query::AttachContainerOptions {
            // An empty text turns the escape sequence off where an engine would honour it without a terminal.
            detach_keys: Some(String::new()),
            logs: false,
            stream: true,
            stdin: true,
            stdout: true,
            stderr: true,
        };
        let attached = bounded(doing, QUICK_BOUND, self.docker.attach_container(id.as_str(), Some(options))).await?;
        let diagnostics = Diagnostics::default();
        let duplex = Demultiplexed::new(attached.output, attached.input, diagnostics.clone());
        Ok(Attached { duplex: Box::new(duplex), diagnostics })
    }

    async fn exec(&self, id: &ContainerId, spec: &ExecSpec) -> Result<Exec> {
        let doing = || format!("exec in container {id}");
        let is_terminal = spec.terminal == Terminal::Yes;
        let config = models::ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(is_terminal),
            env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            cmd: Some(spec.argv.clone()),
            privileged: Some(false),
            user: spec.identity.map(|identity| identity.to_string()),
            working_dir: spec.working_dir.as_ref().map(ToString::to_string),
            ..Default::default()
        };
        let made = bounded(doing, QUICK_BOUND, self.docker.create_exec(id.as_str(), config)).await?;
        let exec_id =
            ExecId::parse(made.id).map_err(|bad| EngineError::new(ErrorKind::Broken, doing(), bad.to_string()))?;
        let options = bollard::exec::StartExecOptions {
            detach: false,
            tty: is_terminal,
            output_capacity: Some(EXEC_BUFFER_BYTES),
        };
        let started = bounded(doing, HEAVY_BOUND, self.docker.start_exec(exec_id.as_str(), Some(options))).await?;
        let bollard::exec::StartExecResults::Attached { output, input } = started else {
            return Err(EngineError::new(ErrorKind::Broken, doing(), "the engine started it without its streams"));
        };
        let diagnostics = Diagnostics::default();
        let duplex = Demultiplexed::new(output, input, diagnostics.clone());
        Ok(Exec { id: exec_id, duplex: Box::new(duplex), diagnostics })
    }

    async fn exec_state(&self, id: &ExecId) -> Result<ExecState> {
        let doing = || format!("inspect exec {id}");
        let inspected = idempotent(doing, QUICK_BOUND, || self.docker.inspect_exec(id.as_str())).await?;
        Ok(match (inspected.running, inspected.exit_code) {
            (Some(false), Some(code)) => ExecState::Exited { code },
            (_, _) => ExecState::Running,
        })
    }

    async fn put_archive(&self, id: &ContainerId, path: &Utf8Path, body: ArchiveBody) -> Result<()> {
        let doing = || format!("put an archive at {path} of container {id}");
        let options = query::UploadToContainerOptions { path: path.to_string(), ..Default::default() };
        match body {
            ArchiveBody::Bytes(bytes) => {
                let call = || {
                    self.docker.upload_to_container(
                        id.as_str(),
                        Some(options.clone()),
                        bollard::body_full(bytes.clone()),
                    )
                };
                idempotent(doing, TRANSFER_BOUND, call).await
            }
            ArchiveBody::Stream(stream) => {
                let call =
                    self.docker.upload_to_container(id.as_str(), Some(options), bollard::body_try_stream(stream));
                bounded(doing, TRANSFER_BOUND, call).await
            }
        }
    }

    async fn get_archive(&self, id: &ContainerId, path: &Utf8Path, bytes_max: u64) -> Result<ArchiveStream> {
        let doing = format!("get {path} of container {id} as an archive");
        let options = query::DownloadFromContainerOptions { path: path.to_string() };
        let source = self.docker.download_from_container(id.as_str(), Some(options)).boxed();
        bounded_archive(doing, source, bytes_max, QUICK_BOUND).await
    }

    async fn stats(&self, id: &ContainerId) -> Result<Stats> {
        let doing = || format!("measure container {id}");
        let options = query::StatsOptions { stream: false, one_shot: true };
        let call = || async { self.docker.stats(id.as_str(), Some(options.clone())).boxed().try_next().await };
        let sample = idempotent(doing, QUICK_BOUND, call).await?;
        let nothing = || EngineError::new(ErrorKind::Conflict, doing(), "it does not run");
        sample.as_ref().and_then(read::stats).ok_or_else(nothing)
    }

    async fn events(&self, filter: &LabelFilter) -> Result<BoxStream<'static, Result<Event>>> {
        let doing = || "watch the engine's events".to_owned();
        // A subscription cannot be seen to have begun. Asking from the engine's own present on leaves no gap.
        let now = idempotent(doing, QUICK_BOUND, || self.docker.info()).await?.system_time;
        let now = now.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let now = now.map(|now| format!("{}.{:09}", now.as_second(), now.subsec_nanosecond()));
        let options = query::EventsOptions { since: now, until: None, filters: Some(label_terms(filter)) };
        let docker = self.docker.clone();
        let stream = docker.events(Some(options)).map(move |item| match item {
            Ok(message) => Ok(read::event(message)),
            Err(error) => Err(sorted(doing(), error)),
        });
        Ok(stream.boxed())
    }
}

impl DockerEngine {
    /// Another removal is under way, or the container is in a state that cannot be removed now: look until one is certain.
    async fn removed_meanwhile(&self, id: &ContainerId, conflict: EngineError) -> Result<()> {
        for _ in 0..REMOVAL_LOOKS_MAX {
            match self.inspect(id).await? {
                None => return Ok(()),
                Some(_) => tokio::time::sleep(REMOVAL_LOOK_INTERVAL).await,
            }
        }
        Err(conflict)
    }
}

/// How often a removal that is under way is looked at.
const REMOVAL_LOOKS_MAX: u32 = 100;
/// And how often in time.
const REMOVAL_LOOK_INTERVAL: Duration = Duration::from_millis(100);

fn label_terms(filter: &LabelFilter) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), filter.terms())])
}

/// The JSON that an engine shows of a container just made, as far as the request decides it.
#[cfg(feature = "contract")]
pub(crate) fn inspect_json(spec: &ContainerSpec, image: &Image) -> Result<serde_json::Value> {
    let broken =
        |error| EngineError::new(ErrorKind::Broken, "spell a container", "it has no JSON form").caused_by(error);
    let body = create::body(spec, image)?;
    let host_config = serde_json::to_value(&body.host_config).map_err(broken)?;
    let config = serde_json::to_value(models::ContainerCreateBody { host_config: None, ..body }).map_err(broken)?;
    let made = spec.mounts.iter().map(|mount| match mount {
        crate::Mount::Volume { name, target, .. } => {
            serde_json::json!({ "Type": "volume", "Name": name.as_str(), "Destination": target, "Driver": "local" })
        }
        crate::Mount::Workspace { folder, target } => {
            serde_json::json!({ "Type": "bind", "Source": folder.path(), "Destination": target })
        }
    });
    let mounts: Vec<serde_json::Value> = made.collect();
    Ok(serde_json::json!({ "Config": config, "HostConfig": host_config, "Mounts": mounts }))
}
