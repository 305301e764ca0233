//! A container engine in memory.
//!
//! Its images, volumes and file systems are real as far as archives go: what is put in comes out, with owners and modes. Its
//! containers run [`Process`]es that are Rust closures, looked up by the program's name; built in are what the contract asks for
//! (`true`, `cat`, `sleep N`, and `sh -c` with `echo`, `exit` and `&&`).
//!
//! What it deliberately is not: a clock (its times are counted, one second per change), a kernel (limits are shown and not
//! enforced; a test says [`ScriptedEngine::end`] with `oom_killed`), or a second opinion about what hardened means (it shows what
//! the real adapter would ask for).

mod faults;
mod files;
mod images;
mod programs;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8Path;
use engine::archive::{ArchiveBody, ArchiveStream};
use engine::contract::hardening;
use engine::{
    Attached, BridgeNetwork, BuildRequest, Container, ContainerId, ContainerSpec, ContainerState, Engine, EngineError,
    EngineFacts, ErrorKind, Event, Exec, ExecId, ExecSpec, ExecState, Exit, Image, ImageId, ImageRef, ImportRequest,
    LabelFilter, NetworkName, Ownership, Progress, Result, Signal, Stats, Volume, VolumeName,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::BroadcastStream;

use self::faults::Script;
pub use self::faults::{Call, Fault, Gate, Op};
pub use self::programs::Process;
use self::programs::Programs;
use self::world::{StoredContainer, StoredImage, World};

/// Bound on anything that the scripted engine itself waits for.
const OWN_BOUND: Duration = Duration::from_mins(1);

/// A container engine in memory; see the module.
pub struct ScriptedEngine {
    shared: Arc<Shared>,
    script: Script,
    programs: Programs,
    /// What runs in its containers; ended when the engine is dropped.
    running: Mutex<JoinSet<()>>,
    /// Where that runs: with the engine, not with whoever happens to call it, so that a caller can go down alone.
    runtime: Option<Handle>,
}

/// What processes change when they end.
struct Shared {
    world: Mutex<World>,
    changes: watch::Sender<u64>,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Default for ScriptedEngine {
    fn default() -> Self {
        let shared = Shared { world: Mutex::new(World::default()), changes: watch::Sender::new(0) };
        Self {
            shared: Arc::new(shared),
            script: Script::default(),
            programs: Programs::default(),
            running: Mutex::default(),
            runtime: Handle::try_current().ok(),
        }
    }
}

impl ScriptedEngine {
    /// An engine with no images, volumes, networks or containers.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Teaches it a program: `run` is called with each [`Process`] whose first argument is `name`, and returns its exit code.
    pub fn program<F>(&self, name: &str, run: impl Fn(Process) -> F + Send + Sync + 'static)
    where
        F: Future<Output = i64> + Send + 'static,
    {
        self.programs.add(name, run);
    }

    /// From now on, the `nth` call of `op` (counted from one, from the engine's beginning) meets `fault`.
    pub fn fault(&self, op: Op, nth: usize, fault: Fault) {
        self.script.add(op, nth, fault);
    }

    /// Nothing answers any more, until [`ScriptedEngine::come_back`]. What runs goes on.
    pub fn go_away(&self) {
        self.script.set_away(true);
    }

    /// It answers again.
    pub fn come_back(&self) {
        self.script.set_away(false);
    }

    /// The calls so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.script.calls()
    }

    /// How many calls of `op` there were.
    pub fn count(&self, op: Op) -> usize {
        self.script.count(op)
    }

    /// A container uses so much CPU time, at once.
    pub fn works(&self, id: &ContainerId, cpu: Duration) {
        self.shared.world().works(id, cpu);
    }

    /// A container ends by itself: its process is gone, and it is shown as `exit` says. Nothing happens to one that does not run.
    pub fn end(&self, id: &ContainerId, exit: Exit) {
        self.shared.world().end(id, exit);
        self.shared.changed();
    }

    /// A container vanishes with all that the engine knew of it, as from one that was set up anew.
    pub fn lose(&self, id: &ContainerId) {
        self.shared.world().remove(id);
        self.shared.changed();
    }

    /// All containers end, as at the restart of an engine without live-restore.
    pub fn end_all(&self) {
        self.shared.world().end_all();
        self.shared.changed();
    }

    /// What it says about itself from now on.
    pub fn set_facts(&self, facts: EngineFacts) {
        self.shared.world().facts = facts;
    }

    /// No networks go onto it beyond that number, as where the addresses that it gives to them are few.
    pub fn set_networks_max(&self, networks_max: usize) {
        self.shared.world().networks_max = networks_max;
    }

    /// What is wrong, by DESIGN §7, with any container that was ever made here and declares nothing.
    pub fn violations(&self) -> Vec<String> {
        self.shared.world().ever_made.iter().flat_map(hardening::violations).collect()
    }

    /// An image is from now on only to be had by fetching it.
    ///
    /// # Errors
    /// There is none of that name, or a container uses it.
    pub fn publish(&self, reference: &ImageRef) -> Result<()> {
        self.shared.world().publish(reference)
    }

    /// A call whose whole effect is on the world.
    async fn on_world<T>(
        &self,
        op: Op,
        about: &str,
        mut effect: impl FnMut(&mut World) -> Result<T> + Send,
    ) -> Result<T> {
        let fault = self.script.begin(op, about).await?;
        let mut outcome = effect(&mut self.shared.world());
        if fault == Some(faults::Met::Twice) {
            outcome = effect(&mut self.shared.world());
        }
        self.shared.changed();
        faults::answer(op, about, fault, outcome)
    }

    fn spawn(&self, process: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while running.try_join_next().is_some() {}
        match &self.runtime {
            Some(runtime) => running.spawn_on(process, runtime),
            None => running.spawn(process),
        };
    }

    async fn stopped(&self, id: &ContainerId) -> Result<ContainerState> {
        let mut changes = self.shared.changes.subscribe();
        loop {
            let state = self.shared.world().container(id)?.state();
            if !state.is_alive() {
                return Ok(state);
            }
            if changes.changed().await.is_err() {
                return Err(EngineError::new(
                    ErrorKind::Broken,
                    format!("wait for container {id}"),
                    "the engine is gone",
                ));
            }
        }
    }
}

#[async_trait]
impl Engine for ScriptedEngine {
    async fn ping(&self) -> Result<()> {
        self.on_world(Op::Ping, "", |_| Ok(())).await
    }

    async fn facts(&self) -> Result<EngineFacts> {
        self.on_world(Op::Facts, "", |world| Ok(world.facts.clone())).await
    }

    async fn image(&self, reference: &ImageRef) -> Result<Option<Image>> {
        self.on_world(Op::Image, reference.as_str(), |world| Ok(world.image(reference).map(StoredImage::shown))).await
    }

    async fn images(&self, filter: &LabelFilter) -> Result<Vec<Image>> {
        self.on_world(Op::Images, "", |world| Ok(world.images(filter))).await
    }

    async fn build(&self, request: BuildRequest, progress: mpsc::Sender<Progress>) -> Result<ImageId> {
        let about = request.tag.to_string();
        let fault = self.script.begin(Op::Build, &about).await?;
        let outcome = images::build(&self.shared, request, progress).await;
        self.shared.changed();
        faults::answer(Op::Build, &about, fault, outcome)
    }

    async fn import(&self, request: ImportRequest) -> Result<ImageId> {
        let about = request.tag.to_string();
        let fault = self.script.begin(Op::Import, &about).await?;
        let outcome = images::import(&self.shared, request).await;
        self.shared.changed();
        faults::answer(Op::Import, &about, fault, outcome)
    }

    async fn commit(&self, container: &ContainerId, tag: &ImageRef, ownership: &Ownership) -> Result<ImageId> {
        self.on_world(Op::Commit, container.as_str(), |world| world.commit(container, tag, ownership)).await
    }

    async fn tag(&self, image: &ImageId, name: &ImageRef) -> Result<()> {
        self.on_world(Op::Tag, name.as_str(), |world| world.tag(image, name)).await
    }

    async fn remove_image(&self, reference: &ImageRef) -> Result<()> {
        self.on_world(Op::RemoveImage, reference.as_str(), |world| world.remove_image(reference)).await
    }

    async fn pull(&self, reference: &ImageRef, progress: mpsc::Sender<Progress>) -> Result<()> {
        let fault = self.script.begin(Op::Pull, reference.as_str()).await?;
        let outcome = images::pull(&self.shared, reference, progress).await;
        self.shared.changed();
        faults::answer(Op::Pull, reference.as_str(), fault, outcome)
    }

    async fn create_volume(&self, name: &VolumeName, ownership: &Ownership) -> Result<Volume> {
        self.on_world(Op::CreateVolume, name.as_str(), |world| world.create_volume(name, ownership)).await
    }

    async fn volume(&self, name: &VolumeName) -> Result<Option<Volume>> {
        self.on_world(Op::Volume, name.as_str(), |world| Ok(world.volume(name))).await
    }

    async fn volumes(&self, filter: &LabelFilter) -> Result<Vec<Volume>> {
        self.on_world(Op::Volumes, "", |world| Ok(world.volumes(filter))).await
    }

    async fn remove_volume(&self, name: &VolumeName) -> Result<()> {
        self.on_world(Op::RemoveVolume, name.as_str(), |world| world.remove_volume(name)).await
    }

    async fn create_network(&self, ownership: &Ownership) -> Result<BridgeNetwork> {
        let about = ownership.sandbox.as_deref().unwrap_or_default();
        self.on_world(Op::CreateNetwork, about, |world| world.create_network(ownership)).await
    }

    async fn networks(&self, filter: &LabelFilter) -> Result<Vec<BridgeNetwork>> {
        self.on_world(Op::Networks, "", |world| Ok(world.networks(filter))).await
    }

    async fn remove_network(&self, name: &NetworkName) -> Result<()> {
        self.on_world(Op::RemoveNetwork, name.as_str(), |world| world.remove_network(name)).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        self.on_world(Op::Create, spec.name.as_str(), |world| world.create(spec)).await
    }

    async fn start(&self, id: &ContainerId) -> Result<()> {
        let fault = self.script.begin(Op::Start, id.as_str()).await?;
        let outcome = self.started(id);
        self.shared.changed();
        faults::answer(Op::Start, id.as_str(), fault, outcome)
    }

    async fn kill(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        self.on_world(Op::Kill, id.as_str(), |world| world.kill(id, signal)).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        self.on_world(Op::Pause, id.as_str(), |world| world.set_paused(id, ContainerState::Paused)).await
    }

    async fn unpause(&self, id: &ContainerId) -> Result<()> {
        self.on_world(Op::Unpause, id.as_str(), |world| world.set_paused(id, ContainerState::Running)).await
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<()> {
        let fault = self.script.begin(Op::Stop, id.as_str()).await?;
        let outcome = self.asked_to_stop(id, grace).await;
        faults::answer(Op::Stop, id.as_str(), fault, outcome)
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        self.on_world(Op::Remove, id.as_str(), |world| {
            world.remove(id);
            Ok(())
        })
        .await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>> {
        self.on_world(Op::Inspect, id.as_str(), |world| Ok(world.container(id).ok().map(StoredContainer::shown))).await
    }

    async fn raw_inspect(&self, id: &ContainerId) -> Result<serde_json::Value> {
        self.on_world(Op::RawInspect, id.as_str(), |world| Ok(world.container(id)?.raw.clone())).await
    }

    async fn containers(&self, filter: &LabelFilter) -> Result<Vec<Container>> {
        self.on_world(Op::Containers, "", |world| Ok(world.containers(filter))).await
    }

    async fn wait(&self, id: &ContainerId) -> Result<ContainerState> {
        let fault = self.script.begin(Op::Wait, id.as_str()).await?;
        let outcome = self.stopped(id).await;
        faults::answer(Op::Wait, id.as_str(), fault, outcome)
    }

    async fn attach(&self, id: &ContainerId) -> Result<Attached> {
        self.on_world(Op::Attach, id.as_str(), |world| world.attach(id)).await
    }

    async fn exec(&self, id: &ContainerId, spec: &ExecSpec) -> Result<Exec> {
        let fault = self.script.begin(Op::Exec, id.as_str()).await?;
        let outcome = self.executed(id, spec);
        faults::answer(Op::Exec, id.as_str(), fault, outcome)
    }

    async fn exec_state(&self, id: &ExecId) -> Result<ExecState> {
        self.on_world(Op::ExecState, id.as_str(), |world| world.exec_state(id)).await
    }

    async fn put_archive(&self, id: &ContainerId, path: &Utf8Path, body: ArchiveBody) -> Result<()> {
        let fault = self.script.begin(Op::PutArchive, path.as_str()).await?;
        let bytes = files::collected(body).await;
        let outcome = bytes.and_then(|bytes| self.shared.world().put_archive(id, path, &bytes));
        faults::answer(Op::PutArchive, path.as_str(), fault, outcome)
    }

    async fn get_archive(&self, id: &ContainerId, path: &Utf8Path, bytes_max: u64) -> Result<ArchiveStream> {
        let tar = self.on_world(Op::GetArchive, path.as_str(), |world| world.get_archive(id, path)).await?;
        Ok(files::in_chunks(tar, format!("get {path} of container {id} as an archive"), bytes_max))
    }

    async fn stats(&self, id: &ContainerId) -> Result<Stats> {
        self.on_world(Op::Stats, id.as_str(), |world| world.stats(id)).await
    }

    async fn events(&self, filter: &LabelFilter) -> Result<BoxStream<'static, Result<Event>>> {
        let receiver = self.on_world(Op::Events, "", |world| Ok(world.events.subscribe())).await?;
        let filter = filter.clone();
        // One that falls behind is cut off, as a slow reader of a real engine may be: the stream ends.
        let stream = BroadcastStream::new(receiver).take_while(|item| std::future::ready(item.is_ok()));
        let labelled = stream.filter_map(move |item| {
            let event = item.ok().filter(|(labels, _)| filter.matches(labels)).map(|(_, event)| Ok(event));
            std::future::ready(event)
        });
        Ok(labelled.boxed())
    }
}

impl ScriptedEngine {
    fn started(&self, id: &ContainerId) -> Result<()> {
        let Some(launch) = self.shared.world().start(id, &self.programs)? else { return Ok(()) };
        for pump in launch.pumps {
            self.spawn(pump);
        }
        let shared = self.shared.clone();
        let id = launch.id;
        self.spawn(async move {
            let code = tokio::select! {
                code = launch.run => code,
                () = launch.killed.notified() => world::KILLED,
            };
            shared.world().ended(&id, code);
            shared.changed();
        });
        Ok(())
    }

    async fn asked_to_stop(&self, id: &ContainerId, grace: Duration) -> Result<()> {
        let state = self.shared.world().container(id)?.state();
        if !state.is_alive() {
            return Ok(());
        }
        // It may end between two looks: then there is nothing left to do.
        let _ = self.shared.world().kill(id, Signal::Term);
        if tokio::time::timeout(grace, self.stopped(id)).await.is_err() {
            let _ = self.shared.world().kill(id, Signal::Kill);
            let late =
                |_| EngineError::new(ErrorKind::Broken, format!("stop container {id}"), "its process does not end");
            tokio::time::timeout(OWN_BOUND, self.stopped(id)).await.map_err(late)??;
        }
        Ok(())
    }

    fn executed(&self, id: &ContainerId, spec: &ExecSpec) -> Result<Exec> {
        let (exec, launch) = self.shared.world().exec(id, spec, &self.programs)?;
        let shared = self.shared.clone();
        let exec_id = exec.id.clone();
        self.spawn(async move {
            let code = tokio::select! {
                code = launch.run => code,
                () = launch.killed.notified() => world::KILLED,
            };
            shared.world().exec_ended(&exec_id, code);
            shared.changed();
        });
        Ok(exec)
    }
}

#[cfg(test)]
mod tests;
