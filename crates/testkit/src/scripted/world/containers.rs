//! Containers of the scripted engine, from creation to removal.

use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use engine::contract::inspect_json;
use engine::spec::{Access, FirstUse};
use engine::{
    Attached, Container, ContainerId, ContainerSpec, ContainerState, Diagnostics, EngineError, ErrorKind, EventObject,
    Exec, ExecId, ExecSpec, ExecState, Exit, ImageId, ImageRef, LabelFilter, Mount, NetworkName, Ownership, Result,
    Seccomp, Signal, Stats, Volume, VolumeName,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};

use super::stdio::{PIPE_BYTES, Sockets};
use super::{StoredImage, StoredVolume, World, refused};
use crate::scripted::files::{Tree, beneath};
use crate::scripted::programs::{Process, Programs};

/// The exit code of a process that KILL ended: 128 + 9.
pub(in crate::scripted) const KILLED: i64 = 137;
/// The exit code of a program that is not there.
const NOT_FOUND: i64 = 127;
/// What a profile may do by default (OCI Runtime Specification 1.0, "Seccomp").
const PROFILE_ACTIONS: [&str; 3] = ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG"];
/// Signals that may wait for a process.
const SIGNALS_MAX: usize = 16;
/// The CPU time that every container is said to have used at its beginning.
const START_CPU: Duration = Duration::from_millis(1);
/// What every process is said to use, in bytes.
const MEMORY_BYTES: u64 = 1 << 20;

pub(in crate::scripted) struct StoredContainer {
    /// What `inspect` shows, apart from the state.
    pub(in crate::scripted) raw: serde_json::Value,
    id: ContainerId,
    spec: ContainerSpec,
    image: StoredImage,
    root: Tree,
    /// Target, volume, access; named and nameless.
    mounted: Vec<(Utf8PathBuf, String, Access)>,
    nameless: Vec<String>,
    state: ContainerState,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    cpu: Duration,
    sockets: Sockets,
    diagnostics: Diagnostics,
    signals: Option<mpsc::Sender<Signal>>,
    killed: Arc<Notify>,
}

pub(super) struct StoredExec {
    container: ContainerId,
    state: ExecState,
    killed: Arc<Notify>,
}

/// A process that is to run.
pub(in crate::scripted) struct Launch {
    pub(in crate::scripted) id: ContainerId,
    pub(in crate::scripted) run: BoxFuture<'static, i64>,
    pub(in crate::scripted) killed: Arc<Notify>,
    pub(in crate::scripted) pumps: Vec<BoxFuture<'static, ()>>,
}

/// Where a path of a container lies.
enum Place {
    Root(Utf8PathBuf),
    Volume { name: String, path: Utf8PathBuf, access: Access },
}

impl StoredContainer {
    pub(in crate::scripted) fn state(&self) -> ContainerState {
        self.state.clone()
    }

    pub(super) fn name(&self) -> &str {
        self.spec.name.as_str()
    }

    pub(super) fn image_key(&self) -> &str {
        self.image.image.id.as_str()
    }

    /// Whether it runs on that network.
    pub(super) fn is_on(&self, network: &NetworkName) -> bool {
        self.state.is_alive() && self.spec.network_name().is_ok_and(|name| name.as_ref() == Some(network))
    }

    pub(super) fn mounts_volume(&self, name: &str) -> bool {
        self.mounted.iter().any(|(_, mounted, _)| mounted == name)
    }

    pub(in crate::scripted) fn shown(&self) -> Container {
        Container {
            id: self.id.clone(),
            name: self.spec.name.to_string(),
            state: self.state.clone(),
            labels: self.spec.ownership.labels(),
            image: self.spec.image.to_string(),
            created_at: Some(self.created_at),
            started_at: self.started_at,
        }
    }

    fn place(&self, path: &Utf8Path) -> Place {
        let path = beneath(Utf8Path::new("/"), path);
        let mounted = self.mounted.iter().filter(|(target, _, _)| path.starts_with(target));
        match mounted.max_by_key(|(target, _, _)| target.components().count()) {
            None => Place::Root(path),
            Some((target, name, access)) => {
                let rest = path.strip_prefix(target).map(Utf8Path::to_owned).unwrap_or_default();
                Place::Volume { name: name.clone(), path: beneath(Utf8Path::new("/"), &rest), access: *access }
            }
        }
    }
}

/// As real engines do it: a profile is read when a container starts, and one with an action that nobody knows keeps it from that.
fn check_profile(seccomp: &Seccomp) -> Result<()> {
    let Seccomp::Profile { json } = seccomp else { return Ok(()) };
    let profile: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    if PROFILE_ACTIONS.iter().any(|action| profile["defaultAction"] == *action) {
        return Ok(());
    }
    refused(ErrorKind::ProfileRefused, "start a container", "decoding the seccomp profile failed")
}

impl World {
    fn key(&self, id: &ContainerId) -> Result<String> {
        if self.containers.contains_key(id.as_str()) {
            return Ok(id.to_string());
        }
        let named = self.containers.iter().find(|(_, container)| container.name() == id.as_str());
        let gone = || EngineError::new(ErrorKind::Gone, format!("find container {id}"), "there is no such container");
        named.map(|(key, _)| key.clone()).ok_or_else(gone)
    }

    pub(in crate::scripted) fn container(&self, id: &ContainerId) -> Result<&StoredContainer> {
        let key = self.key(id)?;
        self.containers
            .get(&key)
            .ok_or_else(|| EngineError::new(ErrorKind::Gone, format!("find container {id}"), "it is gone"))
    }

    fn container_mut(&mut self, id: &ContainerId) -> Result<&mut StoredContainer> {
        let key = self.key(id)?;
        let gone = || EngineError::new(ErrorKind::Gone, format!("find container {id}"), "it is gone");
        self.containers.get_mut(&key).ok_or_else(gone)
    }

    pub(in crate::scripted) fn containers(&self, filter: &LabelFilter) -> Vec<Container> {
        let shown = self.containers.values().map(StoredContainer::shown);
        shown.filter(|container| filter.matches(&container.labels)).collect()
    }

    pub(in crate::scripted) fn create(&mut self, spec: &ContainerSpec) -> Result<ContainerId> {
        spec.check()?;
        let doing = format!("create container {}", spec.name);
        let Some(image) = self.image(&spec.image).cloned() else {
            return refused(ErrorKind::Gone, doing, format!("the engine has no image {}", spec.image));
        };
        for mount in &spec.mounts {
            if let Mount::Volume { name, .. } = mount
                && self.volume(name).is_none()
            {
                return refused(ErrorKind::Gone, doing, format!("the engine has no volume {name}"));
            }
        }
        self.check_network(spec)?;
        if self.key(&spec.name.clone().into()).is_ok() {
            return refused(ErrorKind::Conflict, doing, "the name is taken");
        }
        let mut raw = inspect_json(spec, &image.image)?;
        let id = self.fresh_id();
        raw["Id"] = id.clone().into();
        raw["Name"] = format!("/{}", spec.name).into();
        let id = ContainerId::parse(id).map_err(|bad| EngineError::new(ErrorKind::Broken, doing, bad.to_string()))?;
        self.ever_made.push(raw.clone());
        let mut mounted = self.mount_named(spec, &image);
        let nameless = self.mount_nameless(spec, &image, &mut mounted)?;
        let created_at = self.moment();
        self.tell(&spec.ownership.labels(), EventObject::Container, id.as_str(), "create");
        let container = StoredContainer {
            raw,
            id: id.clone(),
            spec: spec.clone(),
            root: image.tree.clone(),
            image,
            mounted,
            nameless,
            state: ContainerState::Created,
            created_at,
            started_at: None,
            cpu: START_CPU,
            sockets: Sockets::default(),
            diagnostics: Diagnostics::default(),
            signals: None,
            killed: Arc::new(Notify::new()),
        };
        self.containers.insert(id.to_string(), container);
        Ok(id)
    }

    fn mount_named(&mut self, spec: &ContainerSpec, image: &StoredImage) -> Vec<(Utf8PathBuf, String, Access)> {
        let mut mounted = Vec::new();
        for mount in &spec.mounts {
            let Mount::Volume { name, target, access, first_use } = mount else { continue };
            if let Some(volume) = self.volumes.get_mut(name.as_str())
                && *first_use == FirstUse::CopyImage
                && volume.tree.is_empty()
            {
                volume.tree = image.tree.beneath(target);
            }
            mounted.push((target.clone(), name.to_string(), *access));
        }
        mounted
    }

    /// The volumes that the image declares and nothing covers.
    fn mount_nameless(
        &mut self,
        spec: &ContainerSpec,
        image: &StoredImage,
        mounted: &mut Vec<(Utf8PathBuf, String, Access)>,
    ) -> Result<Vec<String>> {
        let mut nameless = Vec::new();
        for declared in &image.image.volumes {
            let target = Utf8PathBuf::from(declared);
            let is_covered = spec.mounts.iter().any(|mount| mount.target() == target)
                || spec.tmpfs.iter().any(|tmpfs| tmpfs.target == target);
            if is_covered {
                continue;
            }
            let id = self.fresh_id();
            let name = VolumeName::parse(id.clone())
                .map_err(|bad| EngineError::new(ErrorKind::Broken, "make a nameless volume", bad.to_string()))?;
            let labels = spec.ownership.labels();
            let volume = Volume { name, labels, driver: "local".into(), options: std::collections::BTreeMap::new() };
            self.volumes.insert(id.clone(), StoredVolume { volume, tree: image.tree.beneath(&target) });
            mounted.push((target, id.clone(), Access::ReadWrite));
            nameless.push(id);
        }
        Ok(nameless)
    }

    /// What is to run; `None` where it runs already.
    pub(in crate::scripted) fn start(&mut self, id: &ContainerId, programs: &Programs) -> Result<Option<Launch>> {
        let now = self.moment();
        let container = self.container(id)?;
        if container.state.is_alive() {
            return Ok(None);
        }
        self.check_network(&container.spec)?;
        check_profile(&container.spec.seccomp)?;
        let container = self.container_mut(id)?;
        let name = container.spec.argv.first().cloned().unwrap_or_default();
        let Some(program) = programs.find(&name) else {
            let error = format!("exec: {name:?}: executable file not found in $PATH");
            let exit = Exit { code: Some(NOT_FOUND), oom_killed: false, finished_at: Some(now), error: error.clone() };
            container.state = ContainerState::Exited(exit);
            return refused(ErrorKind::Denied, format!("start container {id}"), error);
        };
        let Some((stdio, pumps)) = container.sockets.process_side() else { return Ok(None) };
        let (signals_tx, signals) = mpsc::channel(SIGNALS_MAX);
        container.signals = Some(signals_tx);
        container.killed = Arc::new(Notify::new());
        container.state = ContainerState::Running;
        container.started_at = Some(now);
        let process = Process {
            container: container.id.clone(),
            argv: container.spec.argv.clone(),
            env: container.spec.env.clone(),
            identity: container.spec.identity,
            stdio,
            stderr: container.diagnostics.clone(),
            signals,
        };
        let launch =
            Launch { id: container.id.clone(), run: program(process), killed: container.killed.clone(), pumps };
        let labels = container.spec.ownership.labels();
        self.tell(&labels, EventObject::Container, launch.id.as_str(), "start");
        Ok(Some(launch))
    }

    /// PID 1 ended by itself or was killed. One that was ended otherwise meanwhile stays as it is.
    pub(in crate::scripted) fn ended(&mut self, id: &ContainerId, code: i64) {
        self.end(id, Exit { code: Some(code), oom_killed: false, finished_at: None, error: String::new() });
    }

    pub(in crate::scripted) fn end(&mut self, id: &ContainerId, exit: Exit) {
        let now = self.moment();
        let Ok(container) = self.container_mut(id) else { return };
        if !container.state.is_alive() {
            return;
        }
        container.state = ContainerState::Exited(Exit { finished_at: exit.finished_at.or(Some(now)), ..exit });
        container.killed.notify_one();
        container.signals = None;
        container.sockets = Sockets::default();
        let (id, labels) = (container.id.clone(), container.spec.ownership.labels());
        for exec in self.execs.values().filter(|exec| exec.container == id) {
            exec.killed.notify_one();
        }
        self.tell(&labels, EventObject::Container, id.as_str(), "die");
    }

    pub(in crate::scripted) fn end_all(&mut self) {
        let ids: Vec<ContainerId> = self.containers.values().map(|container| container.id.clone()).collect();
        for id in ids {
            self.ended(&id, KILLED);
        }
    }

    /// Shows it as frozen, or not. What runs in it runs on, out of reach: a program that shall be silent has to be told so.
    pub(in crate::scripted) fn set_paused(&mut self, id: &ContainerId, state: ContainerState) -> Result<()> {
        let container = self.container_mut(id)?;
        if !container.state.is_alive() {
            return refused(ErrorKind::Conflict, format!("freeze container {id}, or let it go on"), "it does not run");
        }
        container.state = state;
        Ok(())
    }

    pub(in crate::scripted) fn kill(&mut self, id: &ContainerId, signal: Signal) -> Result<()> {
        let container = self.container_mut(id)?;
        if !container.state.is_alive() {
            return refused(
                ErrorKind::Conflict,
                format!("send {} to container {id}", signal.as_str()),
                "it does not run",
            );
        }
        match signal {
            Signal::Kill => container.killed.notify_one(),
            Signal::Term | Signal::Hangup | Signal::Interrupt => {
                // A process that takes no note of its signals loses them, as PID 1 does.
                let _ = container.signals.as_ref().map(|signals| signals.try_send(signal));
            }
        }
        Ok(())
    }

    pub(in crate::scripted) fn remove(&mut self, id: &ContainerId) {
        let Ok(key) = self.key(id) else { return };
        self.ended(id, KILLED);
        if let Some(removed) = self.containers.remove(&key) {
            for name in &removed.nameless {
                self.volumes.remove(name);
            }
            self.execs.retain(|_, exec| exec.container != removed.id);
            self.tell(&removed.spec.ownership.labels(), EventObject::Container, &key, "destroy");
        }
    }

    pub(in crate::scripted) fn attach(&mut self, id: &ContainerId) -> Result<Attached> {
        let container = self.container(id)?;
        Ok(Attached { duplex: container.sockets.attach(), diagnostics: container.diagnostics.clone() })
    }

    pub(in crate::scripted) fn exec(
        &mut self,
        id: &ContainerId,
        spec: &ExecSpec,
        programs: &Programs,
    ) -> Result<(Exec, Launch)> {
        let doing = format!("exec in container {id}");
        let container = self.container(id)?;
        if container.state != ContainerState::Running {
            return refused(ErrorKind::Conflict, doing, "it does not run");
        }
        let name = spec.argv.first().cloned().unwrap_or_default();
        let program = programs.find(&name);
        let (client, stdio) = tokio::io::duplex(PIPE_BYTES);
        let (_, signals) = mpsc::channel(1);
        let diagnostics = Diagnostics::default();
        let container_id = container.id.clone();
        let process = Process {
            container: container_id.clone(),
            argv: spec.argv.clone(),
            env: spec.env.clone(),
            identity: spec.identity.unwrap_or(container.spec.identity),
            stdio: Box::new(stdio),
            stderr: diagnostics.clone(),
            signals,
        };
        let killed = Arc::new(Notify::new());
        let exec_id = self.fresh_id();
        let state = ExecState::Running;
        self.execs
            .insert(exec_id.clone(), StoredExec { container: container_id.clone(), state, killed: killed.clone() });
        let exec_id =
            ExecId::parse(exec_id).map_err(|bad| EngineError::new(ErrorKind::Broken, doing, bad.to_string()))?;
        let run = program.map_or_else(|| std::future::ready(NOT_FOUND).boxed(), |program| program(process));
        let launch = Launch { id: container_id, run, killed, pumps: Vec::new() };
        Ok((Exec { id: exec_id, duplex: Box::new(client), diagnostics }, launch))
    }

    pub(in crate::scripted) fn exec_state(&self, id: &ExecId) -> Result<ExecState> {
        let gone = || EngineError::new(ErrorKind::Gone, format!("inspect exec {id}"), "there is no such exec");
        self.execs.get(id.as_str()).map(|exec| exec.state).ok_or_else(gone)
    }

    pub(in crate::scripted) fn exec_ended(&mut self, id: &ExecId, code: i64) {
        if let Some(exec) = self.execs.get_mut(id.as_str()) {
            exec.state = ExecState::Exited { code };
        }
    }

    pub(in crate::scripted) fn stats(&self, id: &ContainerId) -> Result<Stats> {
        let container = self.container(id)?;
        if !container.state.is_alive() {
            return refused(ErrorKind::Conflict, format!("measure container {id}"), "it does not run");
        }
        let memory_limit_bytes = container.spec.limits.memory_bytes;
        let cpu_total_ns = u64::try_from(container.cpu.as_nanos()).unwrap_or(u64::MAX);
        Ok(Stats { memory_bytes: MEMORY_BYTES, memory_limit_bytes, cpu_total_ns, pids: 1 })
    }

    pub(in crate::scripted) fn works(&mut self, id: &ContainerId, cpu: Duration) {
        if let Ok(container) = self.container_mut(id) {
            container.cpu = container.cpu.saturating_add(cpu);
        }
    }

    pub(in crate::scripted) fn put_archive(&mut self, id: &ContainerId, path: &Utf8Path, tar: &[u8]) -> Result<()> {
        let doing = format!("put an archive at {path} of container {id}");
        let container = self.container(id)?;
        let is_writable = container.spec.root_filesystem != engine::RootFilesystem::ReadOnly;
        let (tree, folder, is_writable) = match container.place(path) {
            Place::Root(path) => (&mut self.container_mut(id)?.root, path, is_writable),
            Place::Volume { name, path, access } => {
                let gone =
                    || EngineError::new(ErrorKind::Gone, doing.clone(), format!("the engine has no volume {name}"));
                (&mut self.volumes.get_mut(&name).ok_or_else(gone)?.tree, path, access == Access::ReadWrite)
            }
        };
        if !tree.is_folder(&folder) {
            return refused(ErrorKind::Gone, doing, "there is no such folder");
        }
        if !is_writable {
            return refused(ErrorKind::Denied, doing, "it is read-only");
        }
        let broken =
            |error| EngineError::new(ErrorKind::Denied, doing, "the archive cannot be unpacked").caused_by(error);
        tree.unpack(&folder, tar).map_err(broken)
    }

    pub(in crate::scripted) fn get_archive(&self, id: &ContainerId, path: &Utf8Path) -> Result<Vec<u8>> {
        let doing = format!("get {path} of container {id} as an archive");
        let container = self.container(id)?;
        let packed = match container.place(path) {
            Place::Root(place) => container.root.pack(&place, path),
            Place::Volume { name, path: place, .. } => {
                self.volumes.get(&name).and_then(|volume| volume.tree.pack(&place, path))
            }
        };
        match packed {
            None => refused(ErrorKind::Gone, doing, "there is no such file or folder"),
            Some(Ok(tar)) => Ok(tar),
            Some(Err(error)) => Err(EngineError::new(ErrorKind::Broken, doing, "it cannot be packed").caused_by(error)),
        }
    }

    pub(in crate::scripted) fn commit(
        &mut self,
        id: &ContainerId,
        tag: &ImageRef,
        ownership: &Ownership,
    ) -> Result<ImageId> {
        let container = self.container(id)?;
        let mut made = StoredImage { image: container.image.shown(), tree: container.root.clone() };
        made.image.labels.extend(ownership.labels());
        self.keep_image(made, tag, &format!("commit container {id} as {tag}"))
    }
}
