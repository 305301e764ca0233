//! The actor of one step: the only one that changes its state.
//!
//! ```text
//! commands (people, the queue) ─┐
//!                               ├─▶ lifecycle::advance ─▶ store (state + events) ─▶ effects ─▶ attempt, queue, clean-up
//! reports (the attempt) ────────┘                                                               │
//!           ▲                                                                                   │
//!           └───────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! An actor lives from the moment the step is asked for, or the app starts, until the step is over and its sandbox gone.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lifecycle::{Advance, Denied, Effect, Input, StepState, advance};
use store::{EventFilter, Placement, SandboxStage, StepRecord, StoreError, Transition};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tracing::{debug, error, info, instrument, warn};
use wire::{ErrorCode, ErrorView, EventKind, Hold, ids::TaskId, stream::Update, task::Launch};

use super::attempt::{Attempt, Brief};
use super::handle::{Command, Snapshot, StepHandle};
use super::paused::PausedOutside;
use super::report::{Found, Order, Report, Stage};
use super::telling::{point_of, said, tell_of, usual_error};
use crate::fault_points::{Point, around};
use crate::house::House;
use crate::sandbox;
use crate::terminal::Progress;

/// Commands that may wait for an actor.
const COMMANDS_MAX: usize = 32;
/// Reports that may wait for an actor.
const REPORTS_MAX: usize = 64;
/// Orders that may wait for an attempt.
const ORDERS_MAX: usize = 8;
/// Events of a task that are looked through for comments.
const EVENTS_MAX: u32 = 10_000;
/// How long to wait before writing down again what could not be written.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// How long an app that stops still waits for a sandbox to be taken away; the next start does what is left.
const REMOVE_AT_STOP_MAX: Duration = Duration::from_secs(5);
/// How long to wait before trying again to take a sandbox away.
const REMOVE_RETRY: Duration = Duration::from_secs(2);

/// Begins the actor of a step. `prompt` is what its agent is started with, and `launch` where the step does not say.
pub(crate) fn spawn(house: &Arc<House>, record: StepRecord, launch: Launch, prompt: String) -> StepHandle {
    // What it was asked with, whatever its agent has become since.
    let launch = record.launch.clone().unwrap_or(launch);
    let (commands, commands_rx) = mpsc::channel(COMMANDS_MAX);
    let (reports_tx, reports) = mpsc::channel(REPORTS_MAX);
    let (snapshot, snapshot_rx) = watch::channel(Snapshot { state: record.state, stage: None, is_connected: false });
    let (progress, progress_rx) = watch::channel(Progress {
        attempt: record.state.attempt(),
        // The file says how much there is: a row may be ahead of it after a loss of power.
        length: 0,
        is_over: record.state.phase() == wire::Phase::AwaitingReview || record.state.phase().is_final(),
    });
    let handle = StepHandle {
        task: record.task,
        step: record.step,
        agent: record.agent,
        number: record.number,
        place: record.place,
        priority: watch::Sender::new(record.priority),
        commands,
        snapshot: snapshot_rx,
        progress: progress_rx,
    };
    let actor = Actor {
        house: house.clone(),
        record,
        launch,
        prompt,
        commands: commands_rx,
        reports,
        reports_tx,
        attempt: None,
        snapshot,
        progress: Arc::new(progress),
        pending_error: None,
        last_stage: None,
    };
    house.steps.lock().unwrap_or_else(PoisonError::into_inner).insert(handle.step, handle.clone());
    house.tasks.spawn(actor.run());
    handle
}

struct Actor {
    house: Arc<House>,
    record: StepRecord,
    launch: Launch,
    prompt: String,
    commands: mpsc::Receiver<Command>,
    reports: mpsc::Receiver<Report>,
    /// Kept so that `reports` never ends by itself.
    reports_tx: mpsc::Sender<Report>,
    attempt: Option<Running>,
    snapshot: watch::Sender<Snapshot>,
    progress: Arc<watch::Sender<Progress>>,
    /// Why the step is being ended, until it has.
    pending_error: Option<ErrorView>,
    last_stage: Option<Stage>,
}

struct Running {
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

/// The app stops, and what was to be written down was not: the next process finds the step as it was.
#[derive(Clone, Copy, Debug)]
struct Unwritten;

/// The end of an attempt; never, where there is none.
///
/// # Cancel safety
/// Safe: an end that is not waited for stays.
async fn ended(attempt: &mut Option<Running>) -> Result<(), JoinError> {
    match attempt {
        Some(attempt) => (&mut attempt.task).await,
        None => std::future::pending().await,
    }
}

/// Which process began an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// This one.
    Now,
    /// An earlier one.
    Before,
}

/// Where an input came from: a person may be told no, an observation is only noted.
enum Origin {
    Command { comment: String },
    Report { events: Vec<EventKind>, error: Option<ErrorView> },
}

impl Actor {
    #[instrument(name = "step", skip_all, fields(step = %self.record.step, run = %self.record.run))]
    async fn run(mut self) {
        self.resume().await;
        let stop = self.house.stop.clone();
        while !self.is_done() {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                report = self.reports.recv() => {
                    if let Some(report) = report
                        && self.take_report(report).await.is_err()
                    {
                        break;
                    }
                }
                // After the reports: an attempt that ends in order has told of it before.
                ended = ended(&mut self.attempt) => {
                    self.attempt = None;
                    if self.give_attempt_up(ended).await.is_err() {
                        break;
                    }
                }
                command = self.commands.recv() => {
                    // Commands end with the last handle; the house keeps one.
                    let Some(Command { input, comment, answer }) = command else { break };
                    let Ok(answered) = self.apply(input, Origin::Command { comment }).await else { break };
                    // Whoever asked may have gone.
                    let _ = answer.send(answered);
                }
            }
        }
        if let Some(attempt) = self.attempt.take() {
            drop(attempt.orders);
            self.reports.close();
            if let Err(error) = attempt.task.await {
                error!(%error, "an attempt ended badly");
            }
        }
        if self.is_done() {
            let mut steps = self.house.steps.lock().unwrap_or_else(PoisonError::into_inner);
            steps.remove(&self.record.step);
            drop(steps);
            self.house.queue_nudge.notify_one();
            self.house.compare_nudge.notify_one();
        }
    }

    fn is_done(&self) -> bool {
        self.record.state.phase().is_final() && self.attempt.is_none()
    }

    /// Takes up what an earlier process left.
    async fn resume(&mut self) {
        let state = self.record.state;
        if state.phase().is_live() {
            self.begin_attempt(Begun::Before).await;
            if state.ending().is_some() {
                self.order(Order::End).await;
            } else if !state.holds().is_empty() {
                self.order(Order::Stop).await;
            }
        } else if let Ok(Some(placement)) = self.house.store.placement_of(self.record.step).await {
            // Crashed between the end of an attempt and the end of its sandbox.
            self.clean_up(&placement).await;
        }
    }

    /// The attempt ended without a word: a fault of Berth's own.
    async fn give_attempt_up(&mut self, ended: Result<(), JoinError>) -> Result<(), Unwritten> {
        error!(?ended, "an attempt ended without saying how");
        let error = ErrorView::new(ErrorCode::Internal, "Berth lost sight of the sandbox. This is a fault of Berth's.")
            .hint("What it printed until then is kept. Retry the task; the log in the data folder says more.");
        self.take_report(Report::SandboxLost(error)).await
    }

    async fn take_report(&mut self, report: Report) -> Result<(), Unwritten> {
        let (input, events, error) = match report {
            Report::Stage(stage) => {
                self.show_stage(stage).await;
                return Ok(());
            }
            Report::Connected(is_connected) => {
                self.snapshot.send_modify(|snapshot| snapshot.is_connected = is_connected);
                self.tell();
                return Ok(());
            }
            Report::Sandbox { sandbox, how } => {
                if how == Found::AtWork {
                    self.append(EventKind::Adopted { sandbox }).await;
                }
                return Ok(());
            }
            Report::Note(text) => {
                self.append(EventKind::Note { text }).await;
                return Ok(());
            }
            Report::Provisioned => (Input::Provisioned, Vec::new(), None),
            Report::ProvisionFailed(why, error) => (Input::ProvisionFailed(why), Vec::new(), Some(error)),
            Report::AgentExited { exit, how, error } => {
                (Input::AgentExited(exit), vec![EventKind::AgentExited { how }], error)
            }
            Report::LimitReached(limit, error) => (Input::LimitReached(limit), Vec::new(), Some(error)),
            Report::GuestBroken(error) => (Input::GuestBroken, Vec::new(), Some(error)),
            Report::SandboxLost(error) => (Input::SandboxLost, Vec::new(), Some(error)),
            Report::Ended => (Input::Ended, Vec::new(), None),
            Report::Hold(hold) => (Input::Hold(hold), Vec::new(), None),
            Report::Release(hold) => (Input::Release(hold), Vec::new(), None),
        };
        if let Err(denied) = self.apply(input, Origin::Report { events, error }).await? {
            debug!(?input, ?denied, "an observation changes nothing");
        }
        Ok(())
    }

    /// Asks the lifecycle, writes down, acts. What could not be written down has not happened.
    async fn apply(&mut self, input: Input, origin: Origin) -> Result<Result<(), Denied>, Unwritten> {
        let before = self.record.state;
        let Advance { state, effects } = match advance(&before, input) {
            Ok(advance) => advance,
            Err(denied) => return Ok(Err(denied)),
        };
        let (mut events, error) = match origin {
            Origin::Command { comment } => (said(input, comment), None),
            Origin::Report { events, error } => (events, error),
        };
        // Why it is being ended is known before the end is. How the agent then ended is not the reason, not even where an earlier
        // process knew it.
        let error = if before.ending().is_some() { self.pending_error.take() } else { error };
        let error = if let Some(failure) = state.failure() {
            Some(error.unwrap_or_else(|| usual_error(failure, &events)))
        } else {
            if state.ending().is_some() {
                self.pending_error = error;
            }
            None
        };
        events.extend(tell_of(before, state, input, error.as_ref()));
        if effects.contains(&Effect::FinalizeResults) {
            // The attempt looked a last time before it told of its end.
            events.extend(self.results_event().await);
        }
        around(point_of(input), self.write_down(state, error, events)).await?;
        info!(?input, phase = state.phase().name(), attempt = state.attempt(), "step advanced");
        if before.phase() != state.phase() {
            self.last_stage = None;
            self.snapshot.send_modify(|snapshot| snapshot.stage = None);
        }
        self.snapshot.send_modify(|snapshot| snapshot.state = state);
        for effect in effects {
            self.carry_out(effect).await;
        }
        if before.phase().is_live() != state.phase().is_live() || before.phase() != state.phase() {
            self.house.queue_nudge.notify_one();
        }
        self.tell();
        Ok(Ok(()))
    }

    /// Does not return before it is written down, but where the app stops: nothing may happen that the store does not know of.
    async fn write_down(
        &mut self,
        state: StepState,
        error: Option<ErrorView>,
        events: Vec<EventKind>,
    ) -> Result<(), Unwritten> {
        loop {
            let transition = Transition {
                step: self.record.step,
                expected: self.record.revision,
                state,
                error: error.clone(),
                events: events.clone(),
                at: self.house.time.now(),
            };
            match self.house.store.transition(transition).await {
                Ok(committed) => {
                    self.record.revision = committed.revision;
                    break;
                }
                // A transaction whose outcome was lost: it was this one, since nobody else writes this step.
                Err(StoreError::Conflict { found, .. }) if found == self.record.revision + 1 => {
                    self.record.revision = found;
                    break;
                }
                Err(error) => {
                    warn!(%error, "a step's state cannot be written down yet");
                    self.house.store_refused(&error);
                    tokio::select! {
                        () = self.house.stop.cancelled() => return Err(Unwritten),
                        () = tokio::time::sleep(STORE_RETRY) => {}
                    }
                }
            }
        }
        self.house.notice("store", None);
        self.record.state = state;
        self.record.error = error;
        Ok(())
    }

    async fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::AwaitSlot => {
                self.progress.send_modify(|progress| progress.is_over = false);
                self.house.queue_nudge.notify_one();
            }
            Effect::Provision => self.begin_attempt(Begun::Now).await,
            Effect::StopAgent => self.order(Order::Stop).await,
            Effect::ContinueAgent => self.order(Order::Continue).await,
            Effect::EndAgent => {
                if self.attempt.is_none() {
                    self.begin_attempt(Begun::Now).await;
                }
                self.order(Order::End).await;
            }
            // Done by the attempt, and told of with the state.
            Effect::FinalizeResults => {}
            Effect::RemoveSandbox => {
                self.end_attempt().await;
                match self.house.store.placement_of(self.record.step).await {
                    Ok(Some(placement)) => self.clean_up(&placement).await,
                    Ok(None) => {}
                    Err(error) => warn!(%error, "a sandbox is taken away later"),
                }
            }
        }
    }

    /// What the agent is asked in this attempt: the task, and the changes that a person has requested since.
    async fn prompt(&self) -> String {
        if self.record.state.attempt() == 1 {
            return self.prompt.clone();
        }
        let mut prompt = self.prompt.clone();
        let mut after_seq = 0;
        loop {
            let filter = EventFilter { task: Some(self.record.task), after_seq, limit: EVENTS_MAX };
            let events = match self.house.store.events(filter).await {
                Ok(events) => events,
                // Without what was asked for the attempt would be in vain.
                Err(error) => {
                    warn!(%error, "what was said in reviews is not known yet");
                    tokio::select! {
                        () = self.house.stop.cancelled() => return prompt,
                        () = tokio::time::sleep(STORE_RETRY) => continue,
                    }
                }
            };
            let Some(last) = events.last().map(|event| event.seq) else { return prompt };
            for event in events.into_iter().filter(|event| event.step == Some(self.record.step)) {
                if let EventKind::Comment { comment } = event.kind {
                    prompt.push_str("\n\n## Changes requested\n\n");
                    prompt.push_str(&comment);
                }
            }
            after_seq = last;
        }
    }

    async fn begin_attempt(&mut self, begun: Begun) {
        let prompt = self.prompt().await;
        let (orders, orders_rx) = mpsc::channel(ORDERS_MAX);
        let brief = Brief {
            task: self.record.task,
            run: self.record.run,
            step: self.record.step,
            attempt: self.record.state.attempt(),
            agent: self.record.agent,
            agent_name: self.record.agent_name.clone(),
            image: self.record.image.clone(),
            launch: self.launch.clone(),
            limits: self.record.limits,
            prompt,
            is_executing: self.record.state.phase() == wire::Phase::Executing,
            is_resumed: begun == Begun::Before,
        };
        let holds = self.record.state.holds();
        let attempt = Attempt {
            house: self.house.clone(),
            brief: Arc::new(brief),
            reports: self.reports_tx.clone(),
            orders: orders_rx,
            progress: self.progress.clone(),
            is_held_for_engine: holds.contains(Hold::Engine),
            paused: PausedOutside::No,
            attending: None,
            stop: self.house.stop.clone(),
        };
        let task = self.house.tasks.spawn(Box::pin(attempt.run()));
        self.attempt = Some(Running { orders, task });
    }

    async fn order(&mut self, order: Order) {
        if let Some(attempt) = &self.attempt
            && attempt.orders.send(order).await.is_err()
        {
            debug!(?order, "the attempt is over already");
        }
    }

    /// The attempt has told all it had to tell.
    async fn end_attempt(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            drop(attempt.orders);
            if let Err(error) = attempt.task.await {
                error!(%error, "an attempt ended badly");
            }
        }
        self.snapshot.send_modify(|snapshot| snapshot.is_connected = false);
    }

    /// Takes the sandbox away and writes that down, in a task of its own: nobody has to wait for it.
    async fn clean_up(&mut self, placement: &Placement) {
        let using = self.house.store.use_home(self.record.agent, self.house.time.now());
        if let Err(error) = around(Point::HomeUseRecord, using).await {
            debug!(%error, "the last use of a home could not be written down");
        }
        let house = self.house.clone();
        let sandbox = placement.sandbox;
        match house.store.sandbox(sandbox).await {
            Ok(record) if record.stage == SandboxStage::Removed => return,
            Ok(_) => {}
            Err(error) => {
                warn!(%error, "a sandbox is taken away later");
                return;
            }
        }
        let task = self.record.task;
        self.house.tasks.spawn(async move {
            let too_late = async {
                house.stop.cancelled().await;
                tokio::time::sleep(REMOVE_AT_STOP_MAX).await;
            };
            tokio::select! {
                () = too_late => {}
                () = remove_sandbox(&house, sandbox) => house.tell(Update::Task { task }),
            }
        });
    }

    async fn show_stage(&mut self, stage: Stage) {
        // A sandbox that is found at work goes through the stages too, but there is nothing to wait for.
        if self.record.state.phase() != wire::Phase::Provisioning {
            return;
        }
        self.snapshot.send_modify(|snapshot| snapshot.stage = Some(stage));
        // Said once, although a stage may be done twice.
        if self.last_stage.is_none_or(|last| last < stage) {
            self.last_stage = Some(stage);
            let words = stage.words().to_owned();
            self.append(EventKind::Provisioned { stage: words, number: stage.number(), of: Stage::COUNT }).await;
        }
        self.tell();
    }

    async fn results_event(&self) -> Option<EventKind> {
        match self.house.store.step(self.record.step).await {
            Ok(step) => Some(EventKind::ResultsFinal { count: step.result_count }),
            Err(error) => {
                warn!(%error, "the results are not known");
                None
            }
        }
    }

    async fn append(&self, kind: EventKind) {
        let scope = store::EventScope {
            task: Some(self.record.task),
            run: Some(self.record.run),
            step: Some(self.record.step),
        };
        loop {
            let appending = self.house.store.append_events(scope, self.house.time.now(), vec![kind.clone()]);
            match around(Point::EventRecord, appending).await {
                Ok(_) => return self.house.notice("store", None),
                Err(error) if error.is_passing() => self.house.store_refused(&error),
                Err(error) => return warn!(%error, "an event could not be written down"),
            }
            tokio::select! {
                () = self.house.stop.cancelled() => return,
                () = tokio::time::sleep(STORE_RETRY) => {}
            }
        }
    }

    fn tell(&self) {
        let task: TaskId = self.record.task;
        self.house.tell(Update::Task { task });
        self.house.tell(Update::Status);
    }
}

/// Takes a sandbox away, as often as it takes.
async fn remove_sandbox(house: &House, sandbox: wire::ids::SandboxId) {
    while !try_remove_sandbox(house, sandbox).await {
        tokio::time::sleep(REMOVE_RETRY).await;
    }
}

/// Tries it once. Says whether it is gone.
pub(crate) async fn try_remove_sandbox(house: &House, sandbox: wire::ids::SandboxId) -> bool {
    let noting = house.store.set_sandbox_stage(sandbox, SandboxStage::Removing, Vec::new(), house.time.now());
    if let Err(error) = around(Point::RemovalBegin, noting).await {
        debug!(%error, "the stage of a sandbox could not be written down");
    }
    let up = house.link.wait_up().await;
    if let Err(error) = sandbox::remove(up.engine.as_ref(), sandbox).await {
        warn!(%error, %sandbox, "a sandbox cannot be taken away yet");
        house.link.suspect();
        return false;
    }
    let events = vec![EventKind::SandboxRemoved { sandbox }];
    let noting = house.store.set_sandbox_stage(sandbox, SandboxStage::Removed, events, house.time.now());
    match around(Point::RemovalRecord, noting).await {
        Ok(_) | Err(StoreError::Removed { .. }) => {}
        Err(error) => warn!(%error, %sandbox, "the end of a sandbox could not be written down"),
    }
    true
}
