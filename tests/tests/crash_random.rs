//! The app is killed 200 times, at random moments, over tasks that work, wait, are reviewed, cancelled and retried, all on one data
//! folder. In the end every task that was taken in is over, and what a person was told has happened is what there is.
//!
//! The seed is printed; `BERTH_SEED` gives it again (the same choices and times, as far as the machine keeps pace), and `BERTH_KILLS`
//! another number of kills.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and so do its helpers; its numbers are printed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    time::{Duration, Instant},
};

use berth_tests::{
    TestApp,
    app::RUN_TIME_MAX,
    truth::{self, Recoveries},
    until,
};
use fastrand::Rng;
use futures::{StreamExt, stream};
use wire::{
    Action, ErrorCode, Phase,
    call::{Act, CancelRun, CreateAgent, CreateTask, ListTasks, ShowRun, ShowTask, TaskCreated},
    ids::{RunId, TaskId},
    task::{Launch, NewTask, ReviewGate},
    view::{RunView, TaskRow},
};

/// How often the app is killed, where `BERTH_KILLS` says nothing else.
const KILLS: u64 = 200;
/// Tasks that are not over at the same time, at most.
const TASKS_MAX: usize = 6;
/// How long an app lives at most, once it serves.
const LIFE_MAX: Duration = Duration::from_millis(700);
/// How long an app lives at most that is killed while it starts.
const START_MAX: Duration = Duration::from_millis(400);
/// Between two things that a person does, at most.
const PAUSE_MAX: Duration = Duration::from_millis(60);
/// Until all is over after the last kill.
const SETTLE_TIME_MAX: Duration = Duration::from_mins(6);
/// Outputs that are compared at once.
const AT_ONCE: usize = 4;

/// The agents: two ask for a review, one does not.
const AGENTS: [(&str, ReviewGate); 3] =
    [("plain", ReviewGate::Skip), ("asks", ReviewGate::Ask), ("asks-too", ReviewGate::Ask)];

/// What the app said it has done.
#[derive(Default)]
struct Told {
    tasks: Vec<TaskCreated>,
    /// The last word on a run.
    words: BTreeMap<RunId, Action>,
    /// How often a task was to be retried.
    retries: BTreeMap<TaskId, usize>,
}

struct Storm {
    app: TestApp,
    rng: Rng,
    told: Told,
    titles: usize,
}

/// A number that the environment may give.
fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

impl Storm {
    async fn start(seed: u64) -> Self {
        let app = TestApp::start().await;
        for (name, review) in AGENTS {
            let create = CreateAgent {
                name: name.to_owned(),
                image: "script".to_owned(),
                launch: Launch::Image,
                limits: wire::Limits::default(),
                review,
                ..CreateAgent::default()
            };
            app.call(create).await.unwrap();
        }
        Self { app, rng: Rng::with_seed(seed), told: Told::default(), titles: 0 }
    }

    fn chance(&mut self, of: u32) -> bool {
        self.rng.u32(..of) == 0
    }

    fn time(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.rng.f64())
    }

    /// One life of the app, to its violent end. Returns how long it took to serve, where it came to that.
    async fn life(&mut self) -> Option<Duration> {
        if self.chance(6) {
            let mut serve = self.app.berth(["serve", "--json"]);
            serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = serve.spawn().expect("`berth` starts");
            let life = self.time(START_MAX);
            tokio::time::sleep(life).await;
            child.kill().await.expect("it is the test's own process");
            return None;
        }
        let began = Instant::now();
        self.app.restart().await;
        let took = began.elapsed();
        let life = self.time(LIFE_MAX);
        // It is killed in the middle of a call, too: the call is dropped with the time.
        let _time_is_up = tokio::time::timeout(life, self.meddle()).await;
        self.app.kill().await;
        Some(took)
    }

    /// What a person does, until it is over.
    async fn meddle(&mut self) {
        loop {
            if self.meddle_once().await.is_none() {
                // It does not answer any more.
                return;
            }
            let pause = self.time(PAUSE_MAX);
            tokio::time::sleep(pause).await;
        }
    }

    async fn meddle_once(&mut self) -> Option<()> {
        let rows = self.rows().await?;
        let unfinished: Vec<&TaskRow> = rows.iter().filter(|row| !row.phase.is_final()).collect();
        if unfinished.len() < TASKS_MAX {
            return self.hand_in().await;
        }
        let waiting: Vec<&TaskRow> =
            unfinished.iter().copied().filter(|row| row.phase == Phase::AwaitingReview).collect();
        match self.rng.u32(..8) {
            0..=4 if !waiting.is_empty() => {
                let row = waiting[self.rng.usize(..waiting.len())];
                let action = match self.rng.u32(..4) {
                    0 => Action::Reject,
                    1 if row.attempt < 3 => Action::RequestChanges,
                    _ => Action::Approve,
                };
                self.act(row, action).await
            }
            5 => {
                let row = unfinished[self.rng.usize(..unfinished.len())];
                let run = row.run;
                let answer = truth::answered(self.app.client().try_call(CancelRun { run: run.to_string() }).await)?;
                // One that was over at this very moment is shown as it is.
                if answer.is_ok_and(|run| run.phase == Phase::Cancelled || !run.phase.is_final()) {
                    self.told.words.insert(run, Action::Cancel);
                }
                Some(())
            }
            6 => {
                let failed: Vec<&TaskRow> =
                    rows.iter().filter(|row| matches!(row.phase, Phase::Failed | Phase::Cancelled)).collect();
                if failed.is_empty() {
                    return Some(());
                }
                let row = failed[self.rng.usize(..failed.len())];
                self.act(row, Action::Retry).await
            }
            _ => Some(()),
        }
    }

    async fn rows(&self) -> Option<Vec<TaskRow>> {
        let list = ListTasks { limit: 1_000, ..ListTasks::default() };
        Some(truth::answered(self.app.client().try_call(list).await)?.expect("a list is never refused").rows)
    }

    async fn hand_in(&mut self) -> Option<()> {
        self.titles += 1;
        let agent = AGENTS[self.rng.usize(..AGENTS.len())].0;
        let task = NewTask {
            title: Some(format!("task {}", self.titles)),
            prompt: truth::WITNESS.to_owned(),
            agent: Some(agent.to_owned()),
            project: None,
            limits: None,
            review: None,
            priority: None,
            attachments: Vec::new(),
        };
        let created = truth::answered(self.app.client().try_call(CreateTask { task }).await)?;
        self.told.tasks.push(created.expect("such a task is never refused"));
        Some(())
    }

    async fn act(&mut self, row: &TaskRow, action: Action) -> Option<()> {
        let client = self.app.client().clone();
        let view = truth::answered(client.try_call(ShowRun { run: row.run.to_string() }).await)?
            .expect("a run that is listed is there");
        let step = view.steps[0].step;
        let answer = truth::answered(client.try_call(Act { step, action, comment: "because".to_owned() }).await)?;
        if answer.is_ok() {
            if action == Action::Retry {
                *self.told.retries.entry(row.task).or_default() += 1;
            } else {
                self.told.words.insert(row.run, action);
            }
        }
        Some(())
    }

    /// Lets everything come to its end.
    async fn settle(&mut self) {
        self.app.restart().await;
        until("everything to be over", SETTLE_TIME_MAX, async || {
            let rows = self.rows().await.expect("nobody kills it any more");
            for row in rows.iter().filter(|row| row.phase == Phase::AwaitingReview) {
                self.act(row, Action::Approve).await.expect("nobody kills it any more");
            }
            rows.iter().all(|row| row.phase.is_final()).then_some(())
        })
        .await;
        self.app.is_swept().await;
    }

    /// All runs of all tasks, and that everything that was said to be taken in is.
    async fn runs(&self) -> Vec<RunView> {
        let rows = self.rows().await.expect("nobody kills it any more");
        let known: BTreeSet<_> = rows.iter().map(|row| row.task).collect();
        for created in &self.told.tasks {
            assert!(known.contains(&created.task), "{created:?} was taken in and is gone");
        }
        let titles: BTreeSet<_> = rows.iter().map(|row| &row.title).collect();
        assert_eq!(titles.len(), rows.len(), "a task was taken in twice");
        let mut all = Vec::new();
        for row in &rows {
            let view = self.app.call(ShowTask { task: row.number.to_string() }).await.unwrap();
            let retries = self.told.retries.get(&row.task).copied().unwrap_or_default();
            assert!(view.runs.len() > retries, "a retry of {row:?} is gone");
            all.extend(view.runs);
        }
        all
    }

    /// What must hold of one run.
    async fn is_true(&self, view: &RunView) {
        let (summary, step) = (&view.summary, &view.steps[0]);
        let attempt = step.attempt;
        match summary.phase {
            Phase::Completed => {
                truth::is_complete(&self.app, view, attempt).await;
                truth::is_accounted_for(&self.app, view, attempt).await;
            }
            Phase::Failed => {
                let code = summary.error.as_ref().unwrap().code;
                assert_eq!(code, ErrorCode::Rejected, "nothing but a person makes such a run fail: {view:#?}");
                truth::is_complete(&self.app, view, attempt).await;
                truth::is_accounted_for(&self.app, view, attempt).await;
            }
            Phase::Cancelled => began_once(view),
            Phase::Queued | Phase::Provisioning | Phase::Executing | Phase::AwaitingReview => {
                panic!("an earlier run is not over: {view:#?}")
            }
        }
        let expected = match self.told.words.get(&summary.run) {
            Some(Action::Approve) => Some(Phase::Completed),
            Some(Action::Reject) => Some(Phase::Failed),
            Some(Action::Cancel) => Some(Phase::Cancelled),
            Some(Action::RequestChanges | Action::Pause | Action::Resume | Action::Retry) | None => None,
        };
        if let Some(expected) = expected {
            assert_eq!(summary.phase, expected, "a person was told otherwise: {view:#?}");
        }
    }
}

/// No attempt of a run began twice, however it ended.
fn began_once(view: &RunView) {
    let Some(workspace) = &view.summary.workspace else { return };
    let began = std::fs::read_to_string(format!("{workspace}/began")).unwrap_or_default();
    let lines: Vec<_> = began.lines().collect();
    assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), lines.len(), "begun twice: {began:?} {view:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_kills_at_random_moments_lose_and_repeat_nothing() {
    let seed = given("BERTH_SEED").unwrap_or_else(|| fastrand::u64(..));
    let kills = given("BERTH_KILLS").unwrap_or(KILLS);
    println!("BERTH_SEED={seed}");
    let mut storm = Storm::start(seed).await;
    // The image is there before the storm: its build would take longer than any life.
    let first = storm.app.create(truth::WITNESS).await;
    until("the first task to be done", RUN_TIME_MAX, async || {
        let phase = storm.app.show(&first).await.summary.phase;
        matches!(phase, Phase::AwaitingReview | Phase::Completed).then_some(())
    })
    .await;
    storm.app.kill().await;
    let (began, mut starts) = (Instant::now(), Recoveries::default());
    for number in 1..=kills {
        if let Some(took) = storm.life().await {
            starts.add(&format!("start {number}"), took);
        }
    }
    let storm_took = began.elapsed();
    storm.settle().await;
    let settled = began.elapsed();
    let runs = storm.runs().await;
    stream::iter(&runs).for_each_concurrent(AT_ONCE, async |run| storm.is_true(run).await).await;
    let phases = runs.iter().fold(BTreeMap::<_, usize>::new(), |mut phases, run| {
        *phases.entry(run.summary.phase.word()).or_default() += 1;
        phases
    });
    println!(
        "BERTH_SEED={seed}: {kills} kills in {storm_took:?}, {} runs {phases:?}, settled after {settled:?}",
        runs.len()
    );
    println!("until the app served again: {starts}");
    assert!(runs.len() as u64 > kills / 10, "too little happened: {phases:?}");
    starts.are_bounded();
}
