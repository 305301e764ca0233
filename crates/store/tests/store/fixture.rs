//! A store in a folder of its own, and things to put into it.

use std::sync::atomic::{AtomicU64, Ordering};

use camino_tempfile::Utf8TempDir;
use jiff::Timestamp;
use lifecycle::{Input, StepState, advance};
use newtype_uuid::{TypedUuid, TypedUuidKind};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use store::{
    AgentRecord, Committed, Kit, NewRequest, NewRun, NewStep, NewTask, Placement, RequestEnd, RequestEnding,
    RequestStart, SandboxRecord, SandboxStage, Store, TaskAdded, Transition,
};
use wire::{
    EventKind, Limits,
    cost::{TokenCounts, UsageView},
    ids::{AgentId, ProjectId, StepId, TaskId},
    money::MicroUsd,
    network::{NetworkPolicy, RequestKind},
    secret::CredentialKind,
    task::{Launch, ReviewGate},
    view::AgentColour,
};

pub(crate) struct Fixture {
    pub(crate) folder: Utf8TempDir,
    pub(crate) store: Store,
    pub(crate) agent: AgentId,
}

/// A new store with one agent, `ada`.
pub(crate) async fn fixture() -> Fixture {
    let folder = camino_tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("berth.db")).await.unwrap();
    let ada = agent("ada");
    store.create_agent(&ada).await.unwrap();
    Fixture { folder, store, agent: ada.agent }
}

/// An id that no other call in this process gives.
pub(crate) fn id<K: TypedUuidKind>() -> TypedUuid<K> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = u128::from(LAST.fetch_add(1, Ordering::Relaxed) + 1);
    // The order of version 7: the time first.
    TypedUuid::from_u128((number << 80) | (7 << 76) | (2 << 62) | u128::from(std::process::id()))
}

/// So many seconds after a fixed moment.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(crate) fn agent(name: &str) -> AgentRecord {
    let agent: AgentId = id();
    AgentRecord {
        agent,
        name: name.to_owned(),
        image: "script".to_owned(),
        launch: Launch::Image,
        limits: Limits::default(),
        review: ReviewGate::Ask,
        home: format!("berth-home-{agent}"),
        colour: AgentColour::default(),
        network: NetworkPolicy::default(),
        kit: Kit::default(),
        created_at: at(0),
        removed_at: None,
    }
}

impl Fixture {
    pub(crate) fn new_run(&self, steps: usize) -> NewRun {
        let step = |number: usize| NewStep {
            step: id(),
            name: format!("step {number}"),
            agent: self.agent,
            image: "script".to_owned(),
            review: ReviewGate::Ask,
            limits: Limits::default(),
            launch: Launch::Image,
        };
        NewRun { run: id(), steps: (1..=steps).map(step).collect() }
    }

    pub(crate) fn new_task(&self, title: &str, prompt: &str, steps: usize) -> NewTask {
        NewTask {
            task: id(),
            title: title.to_owned(),
            prompt: prompt.to_owned(),
            agent: self.agent,
            project: None,
            priority: wire::Priority::Normal,
            attachments: Vec::new(),
            run: self.new_run(steps),
            events: vec![EventKind::TaskCreated { title: title.to_owned() }],
            at: at(1),
        }
    }

    /// Makes a project.
    pub(crate) async fn project(&self, name: &str) -> ProjectId {
        let project = id();
        self.store.create_project(project, name, at(2), Vec::new()).await.unwrap();
        project
    }

    /// Puts the tasks of a title into a project.
    pub(crate) async fn put(&self, title: &str, project: ProjectId) {
        let options = SqliteConnectOptions::new().filename(self.folder.path().join("berth.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query("UPDATE tasks SET project = ?1 WHERE title = ?2")
            .bind(project.to_string())
            .bind(title)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// Takes in a task of one step.
    pub(crate) async fn task(&self, title: &str) -> (TaskId, StepId, TaskAdded) {
        let new = self.new_task(title, "do it", 1);
        let (task, step) = (new.task, new.run.steps[0].step);
        (task, step, self.store.create_task(new).await.unwrap())
    }

    /// A request to a model from a new sandbox of a new task.
    pub(crate) async fn request(&self, title: &str) -> NewRequest {
        let (task, step, _) = self.task(title).await;
        let sandbox = SandboxRecord {
            sandbox: id(),
            container: format!("berth-{step}"),
            image_id: "sha256:1".to_owned(),
            folder: step.to_string(),
            network: "allowlist".to_owned(),
            user: "1000:1000".to_owned(),
            stage: SandboxStage::Ready,
            created_at: at(1),
            removed_at: None,
        };
        let placement = Placement {
            step,
            attempt: 1,
            sandbox: sandbox.sandbox,
            subpath: String::new(),
            process: id(),
            placed_at: at(1),
        };
        self.store.create_sandbox(&sandbox, &placement, Vec::new()).await.unwrap();
        NewRequest {
            at: at(10),
            sandbox: sandbox.sandbox,
            task,
            run: self.store.task(task).await.unwrap().latest_run,
            step,
            agent: self.agent,
            kind: RequestKind::Model,
            method: "POST".to_owned(),
            host: "api.anthropic.com".to_owned(),
            port: 443,
            path: "/v1/messages".to_owned(),
            start: RequestStart::Passed {
                secret: Some("ANTHROPIC_API_KEY".to_owned()),
                model: Some("asked-1".to_owned()),
                reserved: MicroUsd(5_000),
                credential: CredentialKind::Key,
            },
        }
    }

    /// Lets a request begin and end, with what it used.
    pub(crate) async fn spend(&self, new: &NewRequest, usage: UsageView) {
        let begun = self.store.begin_request(new).await.unwrap();
        assert!(self.store.end_request(begun.seq, &ended(Some(usage))).await.unwrap());
    }

    /// Changes the file behind the store's back.
    pub(crate) async fn execute(&self, statement: &'static str) {
        let options = SqliteConnectOptions::new().filename(self.folder.path().join("berth.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Takes a step on by one input, as the runner does.
    pub(crate) async fn advance(&self, step: StepId, input: Input, at: Timestamp) -> Committed {
        let before = self.store.step(step).await.unwrap();
        let state = advance(&before.state, input).unwrap().state;
        self.store.transition(transition(step, before.revision, before.state, state, at)).await.unwrap()
    }

    /// Takes a step on by several inputs, a second each.
    pub(crate) async fn advance_all(&self, step: StepId, from: i64, inputs: &[Input]) {
        for (seconds, input) in (from..).zip(inputs) {
            self.advance(step, *input, at(seconds)).await;
        }
    }
}

/// A request that was carried to its end.
pub(crate) fn ended(usage: Option<UsageView>) -> RequestEnd {
    RequestEnd {
        at: at(12),
        ending: RequestEnding::Done,
        status: Some(200),
        sent_bytes: 70,
        received_bytes: 900,
        usage,
    }
}

/// What a request used that had so many tokens in, half as many out, and that cost.
pub(crate) fn usage(model: &str, input: u64, cost: Option<i64>) -> UsageView {
    UsageView {
        model: model.to_owned(),
        tokens: TokenCounts { input, cache_read: 1, cache_write: 2, output: input / 2, reasoning: 3 },
        is_at_least: false,
        cost: cost.map(MicroUsd),
        is_list_price: false,
    }
}

/// A transition with the event that tells of it.
pub(crate) fn transition(
    step: StepId,
    expected: i64,
    before: StepState,
    state: StepState,
    at: Timestamp,
) -> Transition {
    let changed =
        EventKind::PhaseChanged { from: before.phase(), to: state.phase(), attempt: state.attempt(), error: None };
    Transition { step, expected, state, error: None, events: vec![changed], at }
}
