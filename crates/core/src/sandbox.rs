//! The container of a step: how it is made, found again, opened and taken away.
//!
//! ```text
//! volumes, perhaps a network ─▶ created ─▶ home laid out, spool given to its owner ─▶ attached ─▶ started ─▶ pipe
//!                                  ▲                                                                          │
//!                                  └── found by name after a restart: created, running (exec), or ended ◀─────┘
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8Path;
use engine::{
    Container, ContainerId, ContainerName, ContainerSpec, ContainerState, Diagnostics, Duplex, Engine, EngineError,
    EngineFacts, ErrorKind, ExecSpec, Identity, ImageRef, Log, Mount, Network, NetworkName, Ownership, Role,
    RootFilesystem, Tmpfs, VolumeName,
    archive::ArchiveBody,
    spec::{Access, FirstUse, HostFolder, LoopbackV6, Programs},
};
use wire::{
    Limits,
    ids::{AgentId, InstallId, RunId, SandboxId},
    network::NetworkPolicy,
};

use crate::{
    fault_points::{Point, around},
    guest_volume::{
        GUEST_FOLDER, GUEST_PROGRAM, SPOOL_FOLDER, create_or_find, empty_image, filler_name, filler_of, make_filler,
        remove_filler,
    },
    home::HOME_FOLDER,
    images::needs::Needs,
    owner::Owner,
};

/// Where programs are looked for in an image that does not say.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where the host folder is mounted.
pub(crate) const WORKSPACE_FOLDER: &str = "/workspace";
/// Size of `/tmp`.
const TMP_BYTES: u64 = 1 << 30;
/// How long the guest has, when the engine itself stops, to write down what ran.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The uid and gid that `connect` runs as; nothing inside can become it.
const CONNECT_ID: u32 = 64_000;
/// Where the spool's volume is mounted in a container that never runs, through which it gets its owner or is read.
pub(crate) const SPOOL_IN_FILLER: &str = "/spool";
/// How often removing is tried again, where the engine says that something is in use.
const REMOVE_TRIES: usize = 10;

/// What a sandbox is made of.
pub(crate) struct Plan {
    pub(crate) install: InstallId,
    pub(crate) sandbox: SandboxId,
    pub(crate) run: RunId,
    pub(crate) agent: AgentId,
    pub(crate) image: ImageRef,
    pub(crate) guest_volume: VolumeName,
    pub(crate) rooms: Rooms,
    pub(crate) limits: Limits,
    pub(crate) owner: Owner,
    pub(crate) card: Card,
    pub(crate) needs: Needs,
}

/// What a sandbox's user can write to.
pub(crate) enum Rooms {
    /// An agent's home, and the folder of a run.
    Kept {
        /// The home's volume.
        home: VolumeName,
        /// What is mounted as its workspace.
        workspace: HostFolder,
    },
    /// Both in memory, and gone with the sandbox: nobody works in it, its image is only tried.
    InMemory,
}

/// Whether a sandbox has a network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Card {
    /// It has none: the pipe is its only way in or out.
    None,
    /// It is on a network of its own.
    Bridge,
}

impl Card {
    /// Of a sandbox that was made under the policy of that name.
    pub(crate) fn of(policy: &str) -> Self {
        if policy == NetworkPolicy::Bridge.name() { Self::Bridge } else { Self::None }
    }
}

/// A way to talk to the guest.
pub(crate) struct Opened {
    pub(crate) duplex: Duplex,
    pub(crate) diagnostics: Diagnostics,
}

/// The name of a sandbox's container.
pub(crate) fn container_name(sandbox: SandboxId) -> ContainerName {
    ContainerName::parse(format!("berth-{sandbox}")).expect("invariant: hex digits and dashes are a name")
}

/// The name of the volume in which a sandbox's guest keeps output.
pub(crate) fn spool_name(sandbox: SandboxId) -> VolumeName {
    VolumeName::parse(format!("berth-spool-{sandbox}")).expect("invariant: hex digits and dashes are a name")
}

/// The name of the network that a sandbox may have.
fn network_name(sandbox: SandboxId) -> NetworkName {
    NetworkName::of_sandbox(&sandbox.to_string()).expect("invariant: hex digits and dashes are a name")
}

impl Plan {
    fn ownership(&self, role: Role) -> Ownership {
        Ownership {
            install: self.install.to_string(),
            sandbox: Some(self.sandbox.to_string()),
            run: Some(self.run.to_string()),
            agent: Some(self.agent.to_string()),
            role,
        }
    }

    fn spec(&self, facts: &EngineFacts) -> ContainerSpec {
        let volume = |name: &VolumeName, target: &str, access, first_use| Mount::Volume {
            name: name.clone(),
            target: target.into(),
            access,
            first_use,
        };
        // What is in memory counts against the memory limit: a sandbox with little of it gets a small /tmp.
        let memory_bytes = self.limits.memory_bytes.max(Limits::MEMORY_BYTES_MIN);
        let cpu_milli = self.limits.cpu_milli.max(Limits::CPU_MILLI_MIN).min(facts.cpus.saturating_mul(1000).max(1000));
        let mut mounts = vec![
            volume(&self.guest_volume, GUEST_FOLDER, Access::ReadOnly, FirstUse::Empty),
            volume(&spool_name(self.sandbox), SPOOL_FOLDER, Access::ReadWrite, FirstUse::Empty),
        ];
        let mut tmpfs = Tmpfs::usual(TMP_BYTES.min(memory_bytes / 2));
        match &self.rooms {
            Rooms::Kept { home, workspace } => {
                mounts.push(volume(home, HOME_FOLDER, Access::ReadWrite, FirstUse::Empty));
                mounts.push(Mount::Workspace { folder: workspace.clone(), target: WORKSPACE_FOLDER.into() });
            }
            Rooms::InMemory => tmpfs.extend([HOME_FOLDER, WORKSPACE_FOLDER].map(|target| Tmpfs {
                target: target.into(),
                size_bytes: memory_bytes / 4,
                mode: 0o1777,
                programs: Programs::Run,
            })),
        }
        ContainerSpec {
            name: container_name(self.sandbox),
            image: self.image.clone(),
            argv: vec![GUEST_PROGRAM.to_owned(), "init".to_owned()],
            env: BTreeMap::new(),
            identity: self.owner.identity(),
            working_dir: WORKSPACE_FOLDER.into(),
            hostname: "sandbox".to_owned(),
            ownership: self.ownership(Role::Sandbox),
            mounts,
            tmpfs,
            limits: engine::Limits {
                memory_bytes,
                cpu_milli,
                pids: self.limits.pids.max(Limits::PIDS_MIN),
                shm_bytes: self.needs.shm_bytes(memory_bytes),
            },
            network: match self.card {
                Card::None => Network::None { loopback_v6: loopback_v6() },
                Card::Bridge => Network::OfSandbox { loopback_v6: loopback_v6() },
            },
            log: Log::None,
            root_filesystem: RootFilesystem::ReadOnly,
            seccomp: self.needs.seccomp(),
            stop_timeout: STOP_TIMEOUT,
        }
    }

    /// Makes the volumes, the network and the container, or finds what an earlier try has made. The container does not run yet, unless
    /// the earlier try had come that far.
    pub(crate) async fn make(&self, engine: &dyn Engine, facts: &EngineFacts) -> Result<Container, EngineError> {
        let spec = self.spec(facts);
        let (spool, ownership) = (spool_name(self.sandbox), self.ownership(Role::Spool));
        around(Point::SpoolCreate, engine.create_volume(&spool, &ownership)).await?;
        self.make_network(engine).await?;
        let (owned, created) =
            tokio::join!(self.own_spool(engine), around(Point::ContainerCreate, create_or_find(engine, &spec)));
        owned?;
        let id = created?;
        engine.inspect(&id).await?.ok_or_else(|| {
            EngineError::new(ErrorKind::Gone, format!("create container {id}"), "it vanished as soon as it was made")
        })
    }

    /// Makes the network, where the sandbox has one. To be done before the sandbox starts: what its container was made for may be gone.
    pub(crate) async fn make_network(&self, engine: &dyn Engine) -> Result<(), EngineError> {
        match self.card {
            Card::None => Ok(()),
            Card::Bridge => {
                let ownership = self.ownership(Role::Network);
                around(Point::NetworkCreate, engine.create_network(&ownership)).await.map(drop)
            }
        }
    }

    /// Gives the volume in which the guest keeps output to the sandbox's user: through a container that never runs, since an engine
    /// refuses an archive for what is mounted below the guest's own read-only volume. To be done before the sandbox starts.
    pub(crate) async fn own_spool(&self, engine: &dyn Engine) -> Result<(), EngineError> {
        let spool = spool_name(self.sandbox);
        let mount = Mount::Volume {
            name: spool.clone(),
            target: SPOOL_IN_FILLER.into(),
            access: Access::ReadWrite,
            first_use: FirstUse::Empty,
        };
        let filler = filler_of(&spool, mount, empty_image(), self.ownership(Role::Filler));
        let id = make_filler(engine, &filler).await?;
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = self.owner.folder_header();
        header.set_mode(0o700);
        let archive: ArchiveBody = archive
            .append_data(&mut header, &SPOOL_IN_FILLER[1..], std::io::empty())
            .and_then(|()| archive.into_inner())
            .expect("invariant: writing a tar into memory does not fail")
            .into();
        let given = around(Point::SpoolOwn, engine.put_archive(&id, Utf8Path::new("/"), archive)).await;
        remove_filler(engine, &id).await?;
        given
    }
}

/// Makes a container that never runs, through which the spool of a sandbox can be read whose own container is gone: at
/// [`SPOOL_IN_FILLER`]. `None` where there is nothing to read.
pub(crate) async fn spool_reader(
    engine: &dyn Engine,
    install: InstallId,
    sandbox: SandboxId,
) -> Result<Option<ContainerId>, EngineError> {
    let spool = spool_name(sandbox);
    let mount = Mount::Volume {
        name: spool.clone(),
        target: SPOOL_IN_FILLER.into(),
        access: Access::ReadOnly,
        first_use: FirstUse::Empty,
    };
    let ownership =
        Ownership { sandbox: Some(sandbox.to_string()), ..Ownership::of_install(install.to_string(), Role::Filler) };
    match make_filler(engine, &filler_of(&spool, mount, empty_image(), ownership)).await {
        Ok(filler) => Ok(Some(filler)),
        // The volume went with the container, or the engine is another one.
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether this machine's kernel has IPv6 at all; without it the sysctl would keep containers from starting.
fn loopback_v6() -> LoopbackV6 {
    // A remote or virtual engine has a kernel of its own; those have IPv6.
    let host_has_none = cfg!(target_os = "linux") && !std::path::Path::new("/proc/sys/net/ipv6").exists();
    if host_has_none { LoopbackV6::Engine } else { LoopbackV6::On }
}

/// The sandbox's container, if there is one.
pub(crate) async fn find(engine: &dyn Engine, sandbox: SandboxId) -> Result<Option<Container>, EngineError> {
    engine.inspect(&container_name(sandbox).into()).await
}

/// Opens the first connection and starts the container.
pub(crate) async fn start(engine: &dyn Engine, container: &ContainerId) -> Result<Opened, EngineError> {
    let attached = around(Point::ContainerAttach, engine.attach(container)).await?;
    around(Point::ContainerStart, engine.start(container)).await?;
    Ok(Opened { duplex: attached.duplex, diagnostics: attached.diagnostics })
}

/// Opens a later connection to a container that runs.
pub(crate) async fn connect(engine: &dyn Engine, container: &ContainerId) -> Result<Opened, EngineError> {
    let mut spec = ExecSpec::new([GUEST_PROGRAM, "connect"]);
    spec.identity = Identity::user(CONNECT_ID, CONNECT_ID);
    spec.working_dir = Some("/".into());
    let exec = around(Point::ContainerExec, engine.exec(container, &spec)).await?;
    Ok(Opened { duplex: exec.duplex, diagnostics: exec.diagnostics })
}

/// Takes away a sandbox: its container, and the network and the volume that only it had. May happen twice.
pub(crate) async fn remove(engine: &dyn Engine, sandbox: SandboxId) -> Result<(), EngineError> {
    around(Point::ContainerRemove, engine.remove(&container_name(sandbox).into())).await?;
    // One that was left where the making was given up half-way: it would hold on to the volume.
    engine.remove(&filler_name(&spool_name(sandbox)).into()).await?;
    // Looked for whatever the sandbox was made with: nobody else is ever on it.
    around(Point::NetworkRemove, remove_network(engine, &network_name(sandbox))).await?;
    around(Point::SpoolRemove, remove_volume(engine, &spool_name(sandbox))).await
}

/// Removes a network that something may be leaving just now.
async fn remove_network(engine: &dyn Engine, network: &NetworkName) -> Result<(), EngineError> {
    let_go_of(|| engine.remove_network(network)).await
}

/// Removes a volume that something may be letting go of just now.
pub(crate) async fn remove_volume(engine: &dyn Engine, volume: &VolumeName) -> Result<(), EngineError> {
    let_go_of(|| engine.remove_volume(volume)).await
}

async fn let_go_of<F: Future<Output = Result<(), EngineError>>>(remove: impl FnMut() -> F) -> Result<(), EngineError> {
    use backon::{ExponentialBuilder, Retryable as _};
    let bounded = ExponentialBuilder::default().with_min_delay(Duration::from_millis(20)).with_max_times(REMOVE_TRIES);
    remove.retry(bounded).when(|error: &EngineError| error.kind() == ErrorKind::Conflict).await
}

/// How a container ended, in words: what is known, never a guess.
pub(crate) fn words_for(state: &ContainerState) -> String {
    match state {
        ContainerState::Exited(exit) if exit.oom_killed => {
            "the kernel ended it because its memory limit was reached".to_owned()
        }
        ContainerState::Exited(exit) if !exit.error.is_empty() => {
            format!("the engine could not run it: {}", crate::escape::visible(exit.error.as_bytes()))
        }
        ContainerState::Exited(exit) => match exit.code {
            Some(137) => "it was killed from outside or by a limit".to_owned(),
            Some(143) => "it was asked to end from outside".to_owned(),
            Some(code) => format!("its first process ended with exit code {code}"),
            None => "its first process ended".to_owned(),
        },
        ContainerState::Created => "it was never started".to_owned(),
        ContainerState::Removing => "it was being removed from outside".to_owned(),
        ContainerState::Dead => "the engine gave up on it".to_owned(),
        ContainerState::Running | ContainerState::Paused | ContainerState::Restarting => {
            "it does not answer".to_owned()
        }
    }
}
