//! A Berth on a scripted engine, and the questions that tests ask it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use berth_core::{Api, App, Clock, Config, Connected, Connector, HostTrust, KeyringUse, Stream, SystemClock};
use camino_tempfile::Utf8TempDir;
use engine::contract::hardening::{Declared, violations_of};
use engine::{Engine, ImageRef, ImportRequest, LabelFilter, Ownership, Role, archive::empty_image_tar};
use futures::FutureExt;
use testkit::{ScriptedEngine, until};
use wire::{
    Action, ErrorView, EventKind, LimitsPatch, Phase,
    call::{Act, CancelRun, CreateAgent, CreateTask, ListEvents, ShowRun, TaskCreated, UpdateAgent},
    ids::StepId,
    network::NetworkPolicy,
    stream::{StreamTarget, TerminalInput, TerminalOutput},
    task::{Launch, NewTask, ReviewGate},
    view::{RunView, StepView},
};

use crate::guest::{Guest, Guests};

/// Everything that a test waits for comes within this.
pub(crate) const BOUND: Duration = Duration::from_mins(1);

/// Where a Berth lives: a scripted engine with its guests, and a data folder.
pub(crate) struct Stage {
    pub(crate) engine: Arc<ScriptedEngine>,
    pub(crate) guests: Guests,
    pub(crate) config: Config,
    _folder: Utf8TempDir,
}

/// A Berth on a scripted engine.
pub(crate) struct Scene {
    pub(crate) engine: Arc<ScriptedEngine>,
    pub(crate) guests: Guests,
    clock: HandClock,
    stage: Arc<Stage>,
    app: Option<App>,
}

impl Stage {
    /// One with an image `own/image:1`, and nothing running.
    pub(crate) async fn set() -> Arc<Self> {
        let folder = camino_tempfile::tempdir().unwrap();
        let guest_binary = folder.path().join("berth-guest");
        std::fs::write(&guest_binary, b"\x7fELF of a script").unwrap();
        let config = Config {
            data_folder: folder.path().join("data"),
            engine_address: None,
            extra_certificates: Vec::new(),
            host_trust: HostTrust::nowhere(),
            guest_binary: Some(guest_binary),
            free_bytes_min: 0,
            keyring: KeyringUse::Session,
        };
        let engine = ScriptedEngine::new();
        import(&engine, "own/image:1").await;
        let guests = Guests::default();
        let all = guests.clone();
        engine.program("/berth/berth-guest", move |process| all.clone().run(process));
        Arc::new(Self { engine, guests, config, _folder: folder })
    }

    /// How a Berth finds the engine.
    pub(crate) fn connector(&self) -> Connector {
        let engine = self.engine.clone();
        Arc::new(move || {
            let engine = engine.clone();
            async move {
                // As a real one is asked whether it is there.
                engine.ping().await?;
                Ok(Connected { engine, found: "a script".to_owned() })
            }
            .boxed()
        })
    }

    /// Waits until nothing of any sandbox is left.
    pub(crate) async fn nothing_is_left(&self) {
        let any = LabelFilter::any_install;
        until("no container is left", BOUND, async || {
            self.engine.containers(&any()).await.is_ok_and(|containers| containers.is_empty())
        })
        .await;
        until("no spool is left", BOUND, async || {
            self.engine.volumes(&any().role(Role::Spool)).await.is_ok_and(|volumes| volumes.is_empty())
        })
        .await;
        until("no network is left", BOUND, async || {
            self.engine.networks(&any()).await.is_ok_and(|networks| networks.is_empty())
        })
        .await;
    }
}

impl Scene {
    /// One with an image `own/image:1` and an agent `own` that runs in it and asks for no review.
    pub(crate) async fn start() -> Self {
        let scene = Self::without_agent().await;
        scene.agent("own", ReviewGate::Skip).await;
        scene
    }

    pub(crate) async fn without_agent() -> Self {
        let stage = Stage::set().await;
        let (engine, guests) = (stage.engine.clone(), stage.guests.clone());
        let clock = HandClock::default();
        let app = App::start_with(stage.config.clone(), stage.connector(), clock.clone()).await.unwrap();
        Self { engine, guests, clock, stage, app: Some(app) }
    }

    /// An image that is somebody else's.
    pub(crate) async fn import_image(&self, tag: &str) {
        import(&self.engine, tag).await;
    }

    pub(crate) async fn agent(&self, name: &str, review: ReviewGate) {
        let create = CreateAgent {
            name: name.to_owned(),
            image: "own/image:1".to_owned(),
            launch: Launch::Command { argv: vec!["agent".to_owned()] },
            limits: wire::Limits::default(),
            review,
            ..CreateAgent::default()
        };
        self.api().call(create).await.unwrap();
    }

    /// The agent `own` gets another network policy.
    pub(crate) async fn set_network(&self, network: NetworkPolicy) -> Result<(), ErrorView> {
        let change = UpdateAgent { agent: "own".to_owned(), network: Some(network), ..UpdateAgent::default() };
        self.api().call(change).await.map(drop)
    }

    pub(crate) fn api(&self) -> Api {
        self.app.as_ref().expect("the app runs").api()
    }

    /// Ends the app in order; what it started works on.
    pub(crate) async fn stop(&mut self) {
        let app = self.app.take().expect("the app runs");
        tokio::time::timeout(BOUND, app.shutdown()).await.expect("an app ends in bounded time");
    }

    /// Starts it again, on the same folder.
    pub(crate) async fn start_again(&mut self) {
        let app = App::start_with(self.stage.config.clone(), self.stage.connector(), self.clock.clone()).await.unwrap();
        self.app = Some(app);
    }

    /// The app's time.
    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// So much time passes at once, for the app's clock and for all that waits. For tests of one thread only.
    pub(crate) async fn passes(&self, time: Duration) {
        self.clock.ahead_ms.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    /// The same for the app's clock alone.
    pub(crate) fn pass(&self, time: Duration) {
        self.clock.ahead_ms.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// Hands in a task for the agent `own`.
    pub(crate) async fn task(&self, prompt: &str) -> TaskCreated {
        self.task_of("own", prompt, None).await
    }

    pub(crate) async fn task_of(&self, agent: &str, prompt: &str, limits: Option<LimitsPatch>) -> TaskCreated {
        let task = NewTask {
            title: None,
            prompt: prompt.to_owned(),
            agent: Some(agent.to_owned()),
            project: None,
            limits,
            review: None,
            priority: None,
            attachments: Vec::new(),
        };
        self.api().call(CreateTask { task }).await.unwrap()
    }

    pub(crate) async fn run(&self, task: &TaskCreated) -> RunView {
        self.api().call(ShowRun { run: task.run.to_string() }).await.unwrap()
    }

    pub(crate) async fn step(&self, task: &TaskCreated) -> StepView {
        self.run(task).await.steps.remove(0)
    }

    /// Waits for a phase; a step that is over in another one fails at once.
    pub(crate) async fn until_phase(&self, task: &TaskCreated, phase: Phase) -> StepView {
        let mut found = None;
        until(&format!("a step that is {}", phase.word()), BOUND, async || {
            let step = self.step(task).await;
            assert!(
                step.phase == phase || !step.phase.is_final(),
                "the step is {} instead of {}: {:?}",
                step.phase.word(),
                phase.word(),
                step.error
            );
            let is_there = step.phase == phase;
            found = Some(step);
            is_there
        })
        .await;
        found.unwrap()
    }

    /// The container of a task's sandbox.
    pub(crate) async fn container(&self, task: &TaskCreated) -> engine::ContainerId {
        self.step(task).await.sandbox.unwrap().container.parse_id()
    }

    /// The only guest in which an agent works, once it was started and the step executes.
    pub(crate) async fn at_work(&self, task: &TaskCreated) -> Guest {
        self.until_phase(task, Phase::Executing).await;
        until("a connected guest", BOUND, async || {
            self.step(task).await.sandbox.is_some_and(|sandbox| sandbox.connected)
        })
        .await;
        let container = self.step(task).await.sandbox.unwrap().container;
        let found = self.engine.inspect(&container.parse_id()).await.unwrap().unwrap();
        let shown = self.engine.raw_inspect(&found.id).await.unwrap();
        let has_network = self.step(task).await.sandbox.is_some_and(|sandbox| sandbox.has_network_card());
        let declared = Declared { has_network, ..Declared::default() };
        assert_eq!(violations_of(&shown, &declared), [""; 0]);
        let guest = self.guests.of(&found.id);
        assert!(guest.agent().is_some(), "the agent was started");
        guest
    }

    pub(crate) async fn act(&self, step: StepId, action: Action, comment: &str) -> Result<StepView, ErrorView> {
        self.api().call(Act { step, action, comment: comment.to_owned() }).await
    }

    pub(crate) async fn cancel(&self, task: &TaskCreated) {
        self.api().call(CancelRun { run: task.run.to_string() }).await.unwrap();
    }

    /// The same where the run may be over by now.
    pub(crate) async fn try_cancel(&self, task: &TaskCreated) -> Result<(), ErrorView> {
        self.api().call(CancelRun { run: task.run.to_string() }).await.map(drop)
    }

    /// What happened to a task.
    pub(crate) async fn events(&self, task: &TaskCreated) -> Vec<EventKind> {
        let list = ListEvents { task: Some(task.task), after_seq: 0, limit: 1_000 };
        self.api().call(list).await.unwrap().into_iter().map(|event| event.kind).collect()
    }

    /// A step's output from an offset to its end, acknowledged as it comes, and whether its end was told.
    pub(crate) async fn output(&self, step: StepId, from: u64) -> Vec<u8> {
        let Stream::Terminal(mut terminal) = self.api().open_stream(StreamTarget::Output { step, from }).await.unwrap()
        else {
            panic!("an output is a terminal");
        };
        let reading = async {
            let mut bytes = Vec::new();
            loop {
                match terminal.output.recv().await {
                    Some(TerminalOutput::Output { offset, bytes: piece }) => {
                        assert_eq!(offset, from + bytes.len() as u64, "pieces follow one another");
                        bytes.extend_from_slice(&piece);
                        let offset = from + bytes.len() as u64;
                        // A stream that is at its end takes no more acks.
                        let _ = terminal.input.send(TerminalInput::Ack { offset }).await;
                    }
                    Some(TerminalOutput::Live) => {}
                    Some(TerminalOutput::End { .. }) => return bytes,
                    Some(TerminalOutput::Gap { from, to }) => panic!("a gap from {from} to {to}"),
                    None => panic!("a stream that ends without saying so"),
                }
            }
        };
        tokio::time::timeout(BOUND, reading).await.expect("an output ends in bounded time")
    }

    /// Waits until nothing of any sandbox is left.
    pub(crate) async fn nothing_is_left(&self) {
        self.stage.nothing_is_left().await;
    }
}

/// The system's clock, put ahead by hand.
#[derive(Clone, Default)]
struct HandClock {
    ahead_ms: Arc<AtomicU64>,
}

impl Clock for HandClock {
    fn now(&self) -> jiff::Timestamp {
        SystemClock.now() + Duration::from_millis(self.ahead_ms.load(Ordering::Relaxed))
    }
}

/// A container's name as the engine takes it.
trait ParseId {
    fn parse_id(&self) -> engine::ContainerId;
}

impl ParseId for String {
    fn parse_id(&self) -> engine::ContainerId {
        engine::ContainerName::parse(self.clone()).unwrap().into()
    }
}

async fn import(engine: &ScriptedEngine, tag: &str) {
    let import = ImportRequest {
        root: empty_image_tar(),
        tag: ImageRef::parse(tag).unwrap(),
        ownership: Ownership::of_install("somebody-else", Role::Image),
        labels: BTreeMap::new(),
        changes: vec!["ENV COLOUR=blue".to_owned()],
    };
    engine.import(import).await.unwrap();
}
