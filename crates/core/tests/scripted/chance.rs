//! The queue under chance: tasks come in, are held, moved to the front and cancelled, the queue is paused and its slots changed,
//! agents end, and the app is torn down in the middle of anything and started again on the same folder.
//!
//! What must hold is not watched for while it happens, which would miss most of it. It is read from the log of events afterwards:
//! that is one order of everything, each event written in the transaction of what it tells of.
//!
//! `BERTH_SEED=N` runs the one case of that seed, `BERTH_CASES=N` that many.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use berth_core::{Api, App, SystemClock};
use fastrand::Rng;
use futures::stream::{self, StreamExt};
use testkit::until;
use tokio::runtime::Runtime;
use wire::{
    Action, Call, ErrorView, EventKind, EventView, Hold, Phase, Priority,
    call::{Act, CancelRun, ChangeQueue, CreateAgent, CreateTask, ListEvents, ListTasks, SetPriority, ShowTask},
    ids::{StepId, TaskId},
    queue::{QueueState, Slots},
    task::{Launch, NewTask, ReviewGate},
    view::TaskRow,
};

use crate::scene::{BOUND, Stage};

/// Cases, unless the environment says otherwise.
const CASES: u64 = 40;
/// Cases at the same time: most of a case is waiting for commits.
const AT_ONCE: usize = 8;
/// What happens in a case.
const DEEDS: u64 = 24;
/// Agents, each with a home.
const AGENTS: u64 = 4;
/// Tasks of a case at most.
const TASKS_MAX: usize = 14;
/// Slots as long as nobody has changed them: four cores and eight GiB, as the scripted engine says.
const SLOTS_AUTO: usize = 4;
/// How many others may start before a step that is first in line and could: what is decided in the moment in which the step
/// comes in, or is let go of, is carried out. Its place in line is kept for all that is decided later.
const PASSES_MAX: usize = 2;

/// A Berth that can be torn down: all of it lives on a runtime of its own.
struct Brittle {
    stage: Arc<Stage>,
    life: Option<(App, Runtime)>,
}

impl Brittle {
    async fn start(stage: Arc<Stage>) -> Self {
        let mut brittle = Self { stage, life: None };
        brittle.begin().await;
        brittle
    }

    async fn begin(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (config, connector) = (self.stage.config.clone(), self.stage.connector());
        let starting = runtime.spawn(async move { App::start_with(config, connector, SystemClock).await });
        self.life = Some((starting.await.unwrap().unwrap(), runtime));
    }

    /// Whatever is under way ends where it is, as with a kill: no task is told, none is waited for.
    async fn crash(&mut self) {
        let (app, runtime) = self.life.take().unwrap();
        tokio::task::spawn_blocking(move || {
            runtime.shutdown_timeout(Duration::from_secs(20));
            drop(app);
        })
        .await
        .unwrap();
    }

    fn api(&self) -> Api {
        self.life.as_ref().unwrap().0.api()
    }

    /// A call as a skin makes it: on the app's own runtime, so that nothing of it outlives a crash.
    async fn call<C: Call + Send + 'static>(&self, call: C) -> Result<C::Reply, ErrorView> {
        let api = self.api();
        self.life.as_ref().unwrap().1.spawn(async move { api.call(call).await }).await.unwrap()
    }

    /// The same, and nobody waits for what comes of it.
    fn begin_call<C: Call + Send + 'static>(&self, call: C) {
        let api = self.api();
        // It is torn down with the runtime.
        drop(self.life.as_ref().unwrap().1.spawn(async move { api.call(call).await.map(|_reply| ()) }));
    }

    async fn tasks(&self) -> Vec<TaskRow> {
        self.call(ListTasks { limit: 1_000, ..ListTasks::default() }).await.unwrap().rows
    }
}

/// What happens next.
enum Deed {
    Task(CreateTask),
    Act(Act),
    Cancel(CancelRun),
    Queue(ChangeQueue),
    Turn(SetPriority),
    AgentEnds,
    TimePasses,
}

impl Deed {
    fn of(die: &mut Rng, tasks: &[TaskRow], steps: &HashMap<TaskId, StepId>) -> Self {
        let open: Vec<_> = tasks.iter().filter(|row| !row.phase.is_final()).collect();
        let priority = *die.choice(&Priority::ALL).unwrap();
        let some = die.choice(&open).copied();
        match (die.u64(..12), some) {
            (0..=3, _) if tasks.len() < TASKS_MAX => {
                let agent = format!("agent-{}", die.u64(..AGENTS));
                let task = NewTask {
                    prompt: "Work".to_owned(),
                    agent: Some(agent),
                    priority: Some(priority),
                    ..NewTask::default()
                };
                Self::Task(CreateTask { task })
            }
            (4, Some(row)) => Self::Turn(SetPriority { task: row.task.to_string(), priority }),
            (5 | 6, Some(row)) if steps.contains_key(&row.task) => {
                let action = if row.holds.contains(&Hold::Person) { Action::Resume } else { Action::Pause };
                Self::Act(Act { step: steps[&row.task], action, comment: String::new() })
            }
            (7, Some(row)) => Self::Cancel(CancelRun { run: row.run.to_string() }),
            (8, _) => {
                let count = u32::try_from(1 + die.u64(..3)).unwrap();
                let slots = if die.u64(..4) == 0 { Slots::Auto } else { Slots::Fixed { count } };
                Self::Queue(ChangeQueue { slots: Some(slots), state: None })
            }
            (9, _) => {
                let state = if die.u64(..2) == 0 { QueueState::Paused } else { QueueState::Open };
                Self::Queue(ChangeQueue { state: Some(state), slots: None })
            }
            (10, _) => Self::TimePasses,
            _ => Self::AgentEnds,
        }
    }

    /// Does it. What is refused, since it is over by now, is as good as any other outcome.
    async fn be_done(self, brittle: &Brittle, die: &mut Rng) {
        match self {
            Self::Task(call) => drop(brittle.call(call).await.unwrap()),
            Self::Queue(call) => drop(brittle.call(call).await.unwrap()),
            Self::Act(call) => drop(brittle.call(call).await),
            Self::Cancel(call) => drop(brittle.call(call).await),
            Self::Turn(call) => drop(brittle.call(call).await),
            Self::AgentEnds => {
                if let Some(guest) = die.choice(&brittle.stage.guests.all()) {
                    guest.exit_with(0);
                }
            }
            Self::TimePasses => tokio::time::sleep(Duration::from_millis(die.u64(..20))).await,
        }
    }

    /// Begins it, for a crash in its middle.
    fn begin(self, brittle: &Brittle) {
        match self {
            Self::Task(call) => brittle.begin_call(call),
            Self::Queue(call) => brittle.begin_call(call),
            Self::Act(call) => brittle.begin_call(call),
            Self::Cancel(call) => brittle.begin_call(call),
            Self::Turn(call) => brittle.begin_call(call),
            Self::AgentEnds | Self::TimePasses => {}
        }
    }
}

/// The step of each task; nothing is retried here, so there is one.
async fn steps_of(brittle: &Brittle, tasks: &[TaskRow]) -> HashMap<TaskId, StepId> {
    let mut steps = HashMap::new();
    for row in tasks {
        let view = brittle.call(ShowTask { task: row.task.to_string() }).await.unwrap();
        steps.insert(row.task, view.runs[0].steps[0].step);
    }
    steps
}

async fn case(seed: u64) {
    let mut die = Rng::with_seed(seed);
    let mut brittle = Brittle::start(Stage::set().await).await;
    for number in 0..AGENTS {
        let create = CreateAgent {
            name: format!("agent-{number}"),
            image: "own/image:1".to_owned(),
            launch: Launch::Command { argv: vec!["agent".to_owned()] },
            limits: wire::Limits::default(),
            review: ReviewGate::Skip,
            ..CreateAgent::default()
        };
        brittle.call(create).await.unwrap();
    }
    for _ in 0..DEEDS {
        let tasks = brittle.tasks().await;
        let steps = steps_of(&brittle, &tasks).await;
        let deed = Deed::of(&mut die, &tasks, &steps);
        if die.u64(..8) == 0 {
            deed.begin(&brittle);
            for _ in 0..die.u64(..200) {
                tokio::task::yield_now().await;
            }
            brittle.crash().await;
            brittle.begin().await;
        } else {
            deed.be_done(&brittle, &mut die).await;
        }
    }
    // Nothing holds anything any more: every step that may run has to.
    brittle.call(ChangeQueue { state: Some(QueueState::Open), slots: None }).await.unwrap();
    until(&format!("every task of seed {seed} is over"), BOUND * 2, async || {
        let tasks = brittle.tasks().await;
        let steps = steps_of(&brittle, &tasks).await;
        for row in tasks.iter().filter(|row| row.holds.contains(&Hold::Person)) {
            let resume = Act { step: steps[&row.task], action: Action::Resume, comment: String::new() };
            drop(brittle.call(resume).await);
        }
        for guest in brittle.stage.guests.all() {
            guest.exit_with(0);
        }
        tasks.iter().all(|row| row.phase.is_final())
    })
    .await;
    let tasks = brittle.tasks().await;
    let events = brittle.call(ListEvents { limit: 1_000, ..ListEvents::default() }).await.unwrap();
    assert!(events.len() < 1_000, "all events are looked at");
    let steps = steps_of(&brittle, &tasks).await;
    let starts = Log::new(seed, &tasks, &steps, &events).check();
    // Who was not cancelled has worked, and ended well; nobody's agent was started twice.
    for row in &tasks {
        assert!(matches!(row.phase, Phase::Completed | Phase::Cancelled), "seed {seed}: {row:#?}");
    }
    for guest in brittle.stage.guests.all() {
        assert_eq!(guest.agent().unwrap().made, 1, "seed {seed}");
    }
    assert!(starts >= tasks.iter().filter(|row| row.phase == Phase::Completed).count(), "seed {seed}");
    brittle.stage.nothing_is_left().await;
    brittle.crash().await;
}

/// A step as the log tells of it.
struct Seen {
    agent: String,
    number: i64,
    place: usize,
    priority: Priority,
    phase: Phase,
    holds: Vec<Hold>,
    /// Others that started before it while it could have.
    passes: usize,
}

/// The log, and what is so at one place in it.
struct Log<'case> {
    seed: u64,
    events: &'case [EventView],
    rows: &'case [TaskRow],
    task_of: HashMap<StepId, TaskId>,
    seen: BTreeMap<TaskId, Seen>,
    state: QueueState,
    slots: usize,
}

impl<'case> Log<'case> {
    fn new(seed: u64, rows: &'case [TaskRow], steps: &HashMap<TaskId, StepId>, events: &'case [EventView]) -> Self {
        let task_of = steps.iter().map(|(task, step)| (*step, *task)).collect();
        Self { seed, events, rows, task_of, seen: BTreeMap::new(), state: QueueState::Open, slots: SLOTS_AUTO }
    }

    /// Goes through all of it; how many starts there were.
    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever else happens says nothing of the queue")]
    fn check(mut self) -> usize {
        // What a task was created with is not in its event: it is what the first change of it began from, or what it is now.
        let mut first: HashMap<TaskId, Priority> = HashMap::new();
        for event in self.events {
            if let (EventKind::PriorityChanged { from, .. }, Some(task)) = (&event.kind, event.task) {
                first.entry(task).or_insert(*from);
            }
        }
        let mut starts = 0;
        for event in self.events {
            let task = event.task;
            match &event.kind {
                EventKind::TaskCreated { .. } => {
                    let task = task.unwrap();
                    let row = self.rows.iter().find(|row| row.task == task).unwrap();
                    let seen = Seen {
                        agent: row.agent.clone(),
                        number: row.number,
                        place: self.seen.len(),
                        priority: first.get(&task).copied().unwrap_or(row.priority),
                        phase: Phase::Queued,
                        holds: Vec::new(),
                        passes: 0,
                    };
                    self.seen.insert(task, seen);
                }
                EventKind::PriorityChanged { to, .. } => {
                    let seen = self.seen.get_mut(&task.unwrap()).unwrap();
                    (seen.priority, seen.passes) = (*to, 0);
                }
                EventKind::QueueChanged { state, slots } => {
                    self.state = *state;
                    self.slots = match slots {
                        Slots::Auto => SLOTS_AUTO,
                        Slots::Fixed { count } => usize::try_from(*count).unwrap(),
                    };
                }
                EventKind::Held { hold } => self.step(event).holds.push(*hold),
                EventKind::Released { hold } => self.step(event).holds.retain(|other| other != hold),
                EventKind::PhaseChanged { from: Phase::Queued, to: Phase::Provisioning, .. } => {
                    starts += 1;
                    self.check_start(event);
                    self.step(event).phase = Phase::Provisioning;
                }
                EventKind::PhaseChanged { to, .. } => self.step(event).phase = *to,
                _ => {}
            }
            self.forget_passes();
        }
        starts
    }

    fn step(&mut self, event: &EventView) -> &mut Seen {
        let task = self.task_of[&event.step.unwrap()];
        self.seen.get_mut(&task).unwrap()
    }

    fn live(&self) -> impl Iterator<Item = &Seen> {
        self.seen.values().filter(|seen| seen.phase.is_live())
    }

    fn check_start(&mut self, event: &EventView) {
        let (seed, seq) = (self.seed, event.seq);
        assert_eq!(self.state, QueueState::Open, "seed {seed}, event {seq}: started while the queue was paused");
        assert!(self.live().count() < self.slots, "seed {seed}, event {seq}: more live than {} slots", self.slots);
        let task = self.task_of[&event.step.unwrap()];
        let started = &self.seen[&task];
        let (agent, turn) = (started.agent.clone(), (std::cmp::Reverse(started.priority), started.place));
        assert!(started.holds.is_empty(), "seed {seed}, event {seq}: started although held");
        assert!(self.live().all(|live| live.agent != agent), "seed {seed}, event {seq}: two in the home of {agent}");
        let in_use: Vec<_> = self.live().map(|live| live.agent.clone()).collect();
        for waiting in self.seen.values_mut() {
            let could = waiting.phase == Phase::Queued && waiting.holds.is_empty() && !in_use.contains(&waiting.agent);
            if could && (std::cmp::Reverse(waiting.priority), waiting.place) < turn {
                waiting.passes += 1;
                let (number, passes) = (waiting.number, waiting.passes);
                assert!(passes <= PASSES_MAX, "seed {seed}, event {seq}: #{number} was passed over {passes} times");
            }
        }
    }

    /// Who cannot start is passed over by nobody.
    fn forget_passes(&mut self) {
        let in_use: Vec<_> = self.live().map(|live| live.agent.clone()).collect();
        for seen in self.seen.values_mut() {
            if seen.phase != Phase::Queued || !seen.holds.is_empty() || in_use.contains(&seen.agent) {
                seen.passes = 0;
            }
        }
    }
}

fn number_of(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_homes_turns_and_pauses_hold_under_chance_and_crashes() {
    let seeds: Vec<u64> = if let Some(seed) = number_of("BERTH_SEED") {
        vec![seed]
    } else {
        let mut seeds = Rng::new();
        (0..number_of("BERTH_CASES").unwrap_or(CASES)).map(|_| seeds.u64(..)).collect()
    };
    println!("seeds {seeds:?}");
    let began = std::time::Instant::now();
    let mut cases = stream::iter(seeds.iter().map(|seed| case(*seed))).buffer_unordered(AT_ONCE);
    let mut done = 0;
    while cases.next().await.is_some() {
        done += 1;
    }
    println!("{done} cases in {:?}", began.elapsed());
}
