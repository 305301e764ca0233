//! Making a sandbox with its agent at work, or finding the one that an earlier try has made.
//!
//! Each stage may be done twice. What is there is looked at, never remembered: only the row that names the sandbox, its
//! container and the agent's process is written before any of them exists.

use std::sync::Arc;

use engine::{
    Container, ContainerId, ContainerState, Engine, EngineError, ErrorKind, Image,
    spec::{HostFolder, HostRules},
};
use newtype_uuid::GenericUuid as _;
use pipe::{
    PipeError,
    host::{CallError, Guest, Keep, Options, Output, Report as ReportFile, Start, StartError, Stdin, Stdio},
};
use store::{Kit, Placement, SandboxRecord, SandboxStage, StoreError};
use tokio::sync::mpsc;
use tracing::{debug, info};
use wire::{ErrorCode, ErrorView, EventKind, ids::SandboxId, image::Tools, network::BRIDGE_IN_SHORT, task::Launch};

use super::attempt::Brief;
use super::disk;
use super::report::{Found, Report, Stage};
use super::surroundings::Surroundings;
use crate::access::{GATEWAY_PORT, Permit};
use crate::clock::new_id;
use crate::engine_link::Up;
use crate::fault_points::{Point, around};
use crate::gallery::ResolveError;
use crate::guest_volume::GuestVolumeError;
use crate::home::HomeFault;
use crate::house::House;
use crate::images::fit::FitError;
use crate::images::needs::Needs;
use crate::intake::StagedFile;
use crate::workspace::Workspace;
use crate::{escape, faults, gallery, guest_volume, home, images, results, sandbox};

/// A sandbox with its agent at work.
pub(crate) struct Session {
    pub(crate) container: ContainerId,
    pub(crate) sandbox: SandboxId,
    pub(crate) process: pipe::ProcessId,
    pub(crate) guest: Guest,
    /// The agent's output from the first byte, where the agent was started now.
    pub(crate) output: Option<Output>,
    pub(crate) workspace: Workspace,
    /// What the home held before the agent was started now, where that was measured.
    pub(crate) home_bytes: Option<u64>,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The engine's.
    Engine(EngineError),
    /// The guest's, or the connection's.
    Pipe(PipeError),
    /// The database's.
    Store(StoreError),
    /// Anything else's.
    Failed(lifecycle::ProvisionFailure, ErrorView),
    /// The sandbox of an agent that may have run is gone; where it was, if that is known.
    Gone(Option<Placement>),
    /// Its container was paused from outside.
    Paused(ContainerId),
    /// The sandbox has ended.
    Ended { container: ContainerId, state: ContainerState, process: pipe::ProcessId, may_have_run: bool },
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Does all of it.
///
/// # Cancel safety
/// Safe: whatever was made is found again by the next call.
pub(crate) async fn provision(
    house: Arc<House>,
    brief: Arc<Brief>,
    reports: mpsc::Sender<Report>,
) -> Result<Session, Fault> {
    provisioned(house, &brief, reports).await.map_err(|fault| match fault {
        Fault::Engine(error) => of_profile(&brief, error),
        fault @ (Fault::Pipe(_)
        | Fault::Store(_)
        | Fault::Failed(..)
        | Fault::Gone(_)
        | Fault::Paused(_)
        | Fault::Ended { .. }) => fault,
    })
}

async fn provisioned(house: Arc<House>, brief: &Brief, reports: mpsc::Sender<Report>) -> Result<Session, Fault> {
    if house.disks.is_refused() && !brief.is_executing {
        house.disks.taken_again().await;
    }
    let up = house.link.wait_up().await;
    let engine = up.engine.as_ref();
    let tell = async |stage| {
        // The actor may have gone; then this future is about to be dropped.
        let _ = reports.send(Report::Stage(stage)).await;
    };

    let placement = house.store.placement_of(brief.step).await?.filter(|placed| placed.attempt == brief.attempt);
    let found = match &placement {
        Some(placement) => sandbox::find(engine, placement.sandbox).await?,
        None => None,
    };
    let was_ready = match &placement {
        Some(placement) => house.store.sandbox(placement.sandbox).await?.stage != SandboxStage::Making,
        None => false,
    };
    if brief.is_executing {
        return match (placement, found) {
            (Some(placement), Some(container)) => adopt(&house, brief, engine, &reports, &placement, &container).await,
            (placement, _) => Err(Fault::Gone(placement)),
        };
    }
    if found.is_none() && was_ready {
        return Err(Fault::Gone(placement));
    }

    tell(Stage::Image).await;
    let resolving = gallery::resolve(&house, &up, &brief.image);
    let image = around(Point::ImageEnsure, resolving).await.map_err(|error| match error {
        ResolveError::Engine(error) => Fault::Engine(error),
        ResolveError::Unusable(error) => Fault::Failed(lifecycle::ProvisionFailure::Image, error),
    })?;
    let kit = house.store.agent(brief.agent).await?.kit;
    let image = with_tools(&house, &up, brief, image, &kit.tools).await?;
    let argv = launch(brief, &image)?;

    // Until the container is made: what is filled goes through containers that reconcile would take for leftovers.
    let filling = house.filling.read().await;
    let fitted = fitted(&house, engine, brief, &image).await?;
    tell(Stage::Guest).await;
    let guest_volume = guest_volume(&house, &up).await?;

    tell(Stage::Workspace).await;
    let home = ensure_home(&house, &up, brief, &image).await?;
    let (placement, made_under) = match (placement, &found) {
        (None, _) => place(&house, brief, &image).await?,
        (Some(placement), None) => {
            let made_under = judged_anew(&house, brief, placement.sandbox).await?;
            (placement, made_under)
        }
        (Some(placement), Some(_)) => {
            let made_under = house.store.sandbox(placement.sandbox).await?.network;
            (placement, made_under)
        }
    };
    let workspace = prepare_workspace(&house, brief, placement.sandbox).await?;

    tell(Stage::Container).await;
    let folder = HostFolder::check(workspace.path(), host_rules()).map_err(|error| {
        let error = ErrorView::new(ErrorCode::Storage, format!("The workspace cannot be given to a sandbox: {error}."))
            .hint("Move the data folder (`BERTH_HOME`) elsewhere and start Berth again.");
        Fault::Failed(lifecycle::ProvisionFailure::Workspace, error)
    })?;
    let plan = sandbox::Plan {
        install: house.install,
        sandbox: placement.sandbox,
        run: brief.run,
        agent: brief.agent,
        image: fitted.into(),
        guest_volume,
        rooms: sandbox::Rooms::Kept { home, workspace: folder },
        limits: brief.limits,
        owner: house.owner,
        card: sandbox::Card::of(&made_under),
        needs: Needs::of(&brief.image),
    };
    let container = match found {
        Some(container) => {
            if container.state == ContainerState::Created {
                // Whoever made it may not have come that far, and somebody may have taken away what nothing ran on.
                plan.make_network(engine).await?;
                plan.own_spool(engine).await?;
            }
            container
        }
        None => plan.make(engine, &up.facts).await?,
    };
    drop(filling);

    tell(Stage::Start).await;
    let process = process_of(&placement);
    let (guest, how) = open(brief, engine, &container, process, was_ready).await?;
    tell_of_sandbox(brief, &reports, placement.sandbox, how).await;
    if !was_ready {
        let noting =
            house.store.set_sandbox_stage(placement.sandbox, SandboxStage::Ready, Vec::new(), house.time.now());
        around(Point::SandboxReadyRecord, noting).await?;
    }

    tell(Stage::Agent).await;
    let surroundings = surroundings(&house, brief, &made_under, &guest, &image, &kit).await?;
    let home_bytes = disk::home_bytes(&guest).await;
    let starting = start_agent(&guest, brief, argv, surroundings, process);
    let output = Some(around(Point::AgentStart, starting).await?);
    Ok(Session { container: container.id, sandbox: placement.sandbox, process, guest, output, workspace, home_bytes })
}

/// Takes over a sandbox whose agent was started before. Nothing but the container is needed for that: neither the image, which may
/// be gone or be another by now, nor the volumes, which it has.
async fn adopt(
    house: &House,
    brief: &Brief,
    engine: &dyn Engine,
    reports: &mpsc::Sender<Report>,
    placement: &Placement,
    container: &Container,
) -> Result<Session, Fault> {
    let process = process_of(placement);
    let (guest, how) = open(brief, engine, container, process, true).await?;
    tell_of_sandbox(brief, reports, placement.sandbox, how).await;
    let workspace = prepare_workspace(house, brief, placement.sandbox).await?;
    let (container, sandbox) = (container.id.clone(), placement.sandbox);
    Ok(Session { container, sandbox, process, guest, output: None, workspace, home_bytes: None })
}

/// Tells which sandbox there is. A guest that is connected to again in the process that made its sandbox was not adopted.
async fn tell_of_sandbox(brief: &Brief, reports: &mpsc::Sender<Report>, sandbox: SandboxId, how: Found) {
    let how = if brief.is_resumed { how } else { Found::Made };
    // The actor may have gone; then this future is about to be dropped.
    let _ = reports.send(Report::Sandbox { sandbox, how }).await;
}

/// The agent's process, as the guest knows it.
pub(super) fn process_of(placement: &Placement) -> pipe::ProcessId {
    pipe::ProcessId::from_bytes(*placement.process.into_untyped_uuid().as_bytes())
}

/// What of this machine is never given to a sandbox.
fn host_rules() -> HostRules {
    let environment = engine::find::Environment::of_this_process(None);
    HostRules { sockets: environment.sockets(), home: environment.home }
}

/// Speaks with the guest of a container that runs.
pub(crate) async fn connect(engine: &dyn Engine, container: &ContainerId) -> Result<Guest, Fault> {
    let opened = sandbox::connect(engine, container).await?;
    let diagnostics = opened.diagnostics.clone();
    let connecting = Guest::connect(opened.duplex, Options::default());
    around(Point::GuestReconnect, connecting).await.map_err(|error| {
        debug!(%error, said = %escape::visible(diagnostics.text().as_bytes()), "the guest did not answer");
        Fault::Pipe(error)
    })
}

async fn guest_volume(house: &House, up: &Up) -> Result<engine::VolumeName, Fault> {
    guest_volume::made_sure(house, up).await.map_err(|error| match error {
        GuestVolumeError::Engine(error) => Fault::Engine(error),
        error @ (GuestVolumeError::NoGuest { .. } | GuestVolumeError::Changed { .. }) => {
            let view = ErrorView::new(ErrorCode::Internal, "Berth's own program for sandboxes is missing or damaged.")
                .hint("Install Berth again; in a checkout, run `./dev guest`.")
                .detail(faults::chain(&error));
            Fault::Failed(lifecycle::ProvisionFailure::Guest, view)
        }
    })
}

/// The image to make the sandbox of: one that nothing is in the way in, and that knows the sandbox's user.
async fn fitted(house: &House, engine: &dyn Engine, brief: &Brief, image: &Image) -> Result<engine::ImageId, Fault> {
    let fitted = house.fitting.fit(engine, &house.install.to_string(), house.owner, image).await;
    fitted.map_err(|error| match error {
        FitError::Engine(error) => Fault::Engine(error),
        error @ FitError::InTheWay { .. } => {
            let message =
                format!("The image `{}` cannot be a sandbox: {error}.", escape::visible(brief.image.as_bytes()));
            let error = ErrorView::new(ErrorCode::ImageUnusable, message)
                .hint("Give the agent an image without it, then retry the task.");
            Fault::Failed(lifecycle::ProvisionFailure::Image, error)
        }
    })
}

/// The agent's home, seeded and laid out when it is new.
async fn ensure_home(house: &Arc<House>, up: &Up, brief: &Brief, image: &Image) -> Result<engine::VolumeName, Fault> {
    home::ready(house, up, brief.agent, &brief.image, image).await.map_err(|fault| match fault {
        HomeFault::Engine(error) => Fault::Engine(error),
        HomeFault::Store(error) => error.into(),
        HomeFault::Unusable(error) => Fault::Failed(lifecycle::ProvisionFailure::Image, error),
    })
}

/// Writes down which sandbox is about to be made, and under which policy: it is given back by its name.
async fn place(house: &House, brief: &Brief, image: &Image) -> Result<(Placement, String), Fault> {
    let permit = Permit::of(house, brief.agent, brief.run).await?;
    permit.check(&brief.agent_name).map_err(unstartable)?;
    let sandbox: SandboxId = new_id();
    let now = house.time.now();
    // Another attempt goes on in the folder of the one before.
    let folder = match house.store.placement_of(brief.step).await? {
        Some(earlier) => house.store.sandbox(earlier.sandbox).await?.folder,
        None => sandbox.to_string(),
    };
    let record = SandboxRecord {
        sandbox,
        container: sandbox::container_name(sandbox).as_str().to_owned(),
        image_id: image.id.as_str().to_owned(),
        folder,
        network: permit.name().to_owned(),
        user: house.owner.identity().to_string(),
        stage: SandboxStage::Making,
        created_at: now,
        removed_at: None,
    };
    let placement = Placement {
        step: brief.step,
        attempt: brief.attempt,
        sandbox,
        subpath: String::new(),
        process: new_id(),
        placed_at: now,
    };
    let mut events = vec![EventKind::SandboxCreated { sandbox }];
    events.extend(of_card(&record.network));
    events.extend(Needs::of(&brief.image).weaker().into_iter().map(|text| EventKind::Note { text }));
    let noting = house.store.create_sandbox(&record, &placement, events);
    around(Point::SandboxRecord, noting).await?;
    Ok((placement, record.network))
}

/// The policy of a sandbox of which there is no container yet, by its name: an earlier try may have been long ago, and a person may have
/// changed their mind since.
async fn judged_anew(house: &House, brief: &Brief, sandbox: SandboxId) -> Result<String, Fault> {
    let noted = house.store.sandbox(sandbox).await?.network;
    let permit = Permit::of(house, brief.agent, brief.run).await?;
    permit.check(&brief.agent_name).map_err(unstartable)?;
    if noted != permit.name() {
        let events = of_card(permit.name()).into_iter().collect();
        house.store.set_sandbox_network(sandbox, permit.name(), events, house.time.now()).await?;
    }
    Ok(permit.name().to_owned())
}

/// What is told of a sandbox that has a network card.
fn of_card(made_under: &str) -> Option<EventKind> {
    match sandbox::Card::of(made_under) {
        sandbox::Card::None => None,
        sandbox::Card::Bridge => Some(EventKind::Note { text: BRIDGE_IN_SHORT.to_owned() }),
    }
}

/// The engine's refusal of an image's profile of system calls, in words that name the image and the ways out.
fn of_profile(brief: &Brief, error: EngineError) -> Fault {
    if error.kind() != ErrorKind::ProfileRefused {
        return Fault::Engine(error);
    }
    let image = escape::visible(brief.image.as_bytes());
    let message = format!(
        "The image `{image}` wants a profile of system calls of its own for its sandboxes, and this engine refuses it."
    );
    let view = ErrorView::new(ErrorCode::EngineFailed, message)
        .hint(
            "Use an engine that takes profiles, such as Docker Engine with seccomp. The weaker way: add the built image as one of your own \
             (`berth images add NAME REFERENCE`) and give the agent that one. Its sandboxes have the engine's own profile, under which a browser runs only \
             with its own sandbox off (`--no-sandbox`).",
        )
        .detail(faults::chain(&error));
    Fault::Failed(lifecycle::ProvisionFailure::Image, view)
}

fn unstartable(error: ErrorView) -> Fault {
    Fault::Failed(lifecycle::ProvisionFailure::Agent, error)
}

async fn prepare_workspace(house: &House, brief: &Brief, sandbox: SandboxId) -> Result<Workspace, Fault> {
    let failed = |error| Fault::Failed(lifecycle::ProvisionFailure::Workspace, error);
    let folder = house.store.sandbox(sandbox).await?.folder.parse().unwrap_or(sandbox);
    let making = Workspace::create(house.config.data_folder.clone(), folder, house.owner);
    let workspace = around(Point::WorkspaceCreate, making).await.map_err(failed)?;
    if brief.is_executing {
        return Ok(workspace);
    }
    if brief.attempt == 1 {
        let attachments = house.store.attachments_of(brief.task).await?;
        if let Some(first) = attachments.first() {
            let staging = house.config.data_folder.join(staging_of(&first.stored_path, &first.name));
            let files = attachments
                .into_iter()
                .map(|file| StagedFile { name: file.name, size_bytes: file.size_bytes, sha256: file.sha256 })
                .collect();
            let delivering = workspace.write_attachments(staging, files, house.owner);
            around(Point::AttachmentsDeliver, delivering).await.map_err(failed)?;
        }
    }
    around(Point::BaselineWrite, results::write_baseline(house, brief.step, &workspace)).await.map_err(failed)?;
    Ok(workspace)
}

/// The staging folder of an attachment that is stored as `staging/name`.
fn staging_of(stored_path: &camino::Utf8Path, name: &str) -> camino::Utf8PathBuf {
    let depth = camino::Utf8Path::new(name).components().count();
    stored_path.ancestors().nth(depth).unwrap_or(stored_path).to_owned()
}

async fn open(
    brief: &Brief,
    engine: &dyn Engine,
    container: &Container,
    process: pipe::ProcessId,
    was_ready: bool,
) -> Result<(Guest, Found), Fault> {
    match &container.state {
        ContainerState::Created => {
            let opened = sandbox::start(engine, &container.id).await?;
            match around(Point::GuestConnect, Guest::connect(opened.duplex, Options::default())).await {
                Ok(guest) => Ok((guest, Found::Made)),
                Err(error) => {
                    let said = escape::visible(opened.diagnostics.text().as_bytes());
                    info!(%error, %said, "the guest did not answer at once");
                    // It may have ended, which says more than a silent pipe.
                    match engine.inspect(&container.id).await? {
                        Some(now) if !now.state.is_alive() => Err(Fault::Ended {
                            container: container.id.clone(),
                            state: now.state,
                            process,
                            may_have_run: false,
                        }),
                        Some(_) | None => Err(Fault::Pipe(error)),
                    }
                }
            }
        }
        ContainerState::Paused => Err(Fault::Paused(container.id.clone())),
        ContainerState::Running | ContainerState::Restarting => {
            Ok((connect(engine, &container.id).await?, Found::AtWork))
        }
        ContainerState::Exited(_) | ContainerState::Dead | ContainerState::Removing => Err(Fault::Ended {
            container: container.id.clone(),
            state: container.state.clone(),
            process,
            may_have_run: was_ready || brief.is_executing,
        }),
    }
}

fn launch(brief: &Brief, image: &Image) -> Result<Vec<String>, Fault> {
    let argv = match &brief.launch {
        Launch::Image => images::catalogue::find(&brief.image).and_then(|image| image.launch()).unwrap_or_default(),
        Launch::Entrypoint => image.entrypoint.iter().chain(&image.cmd).cloned().collect(),
        Launch::Command { argv } => argv.clone(),
    };
    if argv.first().is_none_or(String::is_empty) {
        let error = ErrorView::new(
            ErrorCode::ImageUnusable,
            format!("The agent `{}` has nothing to start: its image names no program.", brief.agent_name),
        )
        .hint("Give the agent a command of its own (`berth agents create … -- PROGRAM`).");
        return Err(Fault::Failed(lifecycle::ProvisionFailure::Image, error));
    }
    Ok(argv)
}

/// The image with the agent's packages on top, where it has some.
async fn with_tools(
    house: &Arc<House>,
    up: &Arc<Up>,
    brief: &Brief,
    image: Image,
    tools: &Tools,
) -> Result<Image, Fault> {
    gallery::with_tools(house, up, &brief.agent_name, &brief.image, image, tools).await.map_err(|error| match error {
        ResolveError::Engine(error) => Fault::Engine(error),
        ResolveError::Unusable(error) => Fault::Failed(lifecycle::ProvisionFailure::Image, error),
    })
}

/// What the agent finds around it, its way out open where it has one.
async fn surroundings(
    house: &House,
    brief: &Brief,
    made_under: &str,
    guest: &Guest,
    image: &Image,
    kit: &Kit,
) -> Result<Surroundings, Fault> {
    let permit = Permit::of(house, brief.agent, brief.run).await?.within(made_under);
    permit.check(&brief.agent_name).map_err(unstartable)?;
    if permit.has_gateway() {
        open_way_out(guest).await?;
    }
    Surroundings::of_agent(house, &brief.whose(), image, &permit, kit).await.map_err(unstartable)
}

/// Opens the port inside by which programs reach the gateway.
async fn open_way_out(guest: &Guest) -> Result<(), Fault> {
    guest.open_way_out(GATEWAY_PORT).await.map_err(|error| match error {
        CallError::Pipe(error) => Fault::Pipe(error),
        error @ (CallError::UnknownProcess { .. } | CallError::Refused(_)) => {
            let view = ErrorView::new(ErrorCode::AgentNotStarted, "The sandbox's way out could not be opened.")
                .hint(format!("Retry the task. If it fails so again, something in the image may hold port {GATEWAY_PORT}: give the agent another image, or close its network."))
                .detail(faults::chain(&error));
            Fault::Failed(lifecycle::ProvisionFailure::Guest, view)
        }
    })
}

async fn start_agent(
    guest: &Guest,
    brief: &Brief,
    argv: Vec<String>,
    surroundings: Surroundings,
    process: pipe::ProcessId,
) -> Result<Output, Fault> {
    let start = Start {
        id: process,
        argv,
        env: surroundings.variables,
        cwd: sandbox::WORKSPACE_FOLDER.to_owned(),
        stdio: Stdio::Pipes,
        stdin: Stdin::Bytes(brief.prompt.clone().into_bytes()),
        keep: Keep::default(),
        wall_clock: Some(std::time::Duration::from_secs(brief.limits.wall_clock_s)),
        report: ReportFile::Wanted,
        files: surroundings.files,
    };
    match guest.start_attached(&start).await {
        Ok((_, output)) => Ok(output),
        Err(StartError::Pipe(error)) => Err(Fault::Pipe(error)),
        Err(error) => {
            let hint = match &error {
                StartError::ProgramNotFound { .. }
                | StartError::PermissionDenied { .. }
                | StartError::NotExecutable { .. } => "Look at the agent's command and image, then retry the task.",
                StartError::TooManyProcesses => "Give the task more processes (`limits: processes:`) and retry it.",
                StartError::NoSuchDirectory { .. }
                | StartError::TooLong
                | StartError::AlreadyEnded { .. }
                | StartError::NoFiles
                | StartError::SpoolUnwritable(_)
                | StartError::Refused(_)
                | StartError::Pipe(_) => "Retry the task.",
            };
            let words = escape::visible(error.to_string().as_bytes());
            let view = ErrorView::new(ErrorCode::AgentNotStarted, format!("The agent could not be started: {words}."))
                .hint(hint)
                .detail(faults::chain(&error));
            Err(Fault::Failed(lifecycle::ProvisionFailure::Agent, view))
        }
    }
}
