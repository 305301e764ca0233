//! One attempt of a step: its sandbox made or found again, its agent started, its output and results brought in, its end seen.
//!
//! ```text
//!  provision ──▶ drive ──▶ report the end
//!      ▲           │
//!      │ faults    ├── the pipe is lost ──▶ look at the container: alive → connect again
//!      └───────────┘                                               ended → read its spool
//!                                                                  gone  → lost
//! ```
//!
//! An attempt decides nothing: it carries out [`Order`]s and tells what it sees as [`Report`]s. Everything it does may happen
//! twice, since after a crash another process does it again from whatever is there.
//!
//! Leaving (the app stops) is not ending: the sandbox works on, and the next process takes it over.

use std::sync::Arc;
use std::time::Duration;

use engine::{ContainerId, EngineError, ErrorKind};
use lifecycle::ProvisionFailure;
use pipe::PipeError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use wire::{
    ErrorCode, ErrorView, Hold, Limits,
    ids::{AgentId, RunId, StepId, TaskId},
    task::Launch,
};

use super::lost::{Lost, Meanwhile, OutOfReach, Remains};
use super::paused::PausedOutside;
use super::provision::{self, Fault};
use super::pumped::END_GRACE;
use super::report::{Order, Report};
use super::silence::Silence;
use super::surroundings::Whose;
use super::written::Rest;
use crate::access::Attending;
use crate::house::House;
use crate::output::OutputWriter;
use crate::terminal::Progress;
use crate::{faults, sandbox};

/// Between two tries to reach a guest.
pub(super) const RECONNECT_DELAY: Duration = Duration::from_millis(200);
/// Between two tries at what the database refused.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// After so many connections in a row that brought nothing, the guest is broken.
pub(super) const FRUITLESS_MAX: u32 = 5;
/// After the grace and this, the container itself is killed.
pub(super) const END_PATIENCE: Duration = Duration::from_secs(10);

/// What an attempt is about.
#[derive(Clone, Debug)]
pub(crate) struct Brief {
    pub(crate) task: TaskId,
    pub(crate) run: RunId,
    pub(crate) step: StepId,
    pub(crate) attempt: u32,
    pub(crate) agent: AgentId,
    pub(crate) agent_name: String,
    pub(crate) image: String,
    pub(crate) launch: Launch,
    pub(crate) limits: Limits,
    pub(crate) prompt: String,
    /// Whether the agent was started before this process began.
    pub(crate) is_executing: bool,
    /// Whether an earlier process began the attempt.
    pub(crate) is_resumed: bool,
}

impl Brief {
    /// Whose process it starts.
    pub(crate) fn whose(&self) -> Whose<'_> {
        Whose {
            task: self.task,
            run: self.run,
            step: self.step,
            attempt: self.attempt,
            agent: self.agent,
            agent_name: &self.agent_name,
        }
    }
}

/// An attempt at work.
pub(crate) struct Attempt {
    pub(crate) house: Arc<House>,
    pub(crate) brief: Arc<Brief>,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) progress: Arc<watch::Sender<Progress>>,
    /// Whether the step is held because the engine does not answer: by this attempt, or by an earlier process.
    pub(crate) is_held_for_engine: bool,
    /// Whether its container was paused from outside.
    pub(crate) paused: PausedOutside,
    /// Takes what wants out of the sandbox, while its guest is connected.
    pub(crate) attending: Option<Attending>,
    /// The app stops.
    pub(crate) stop: CancellationToken,
}

/// The actor of the step has gone; so shall the attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deserted;

/// Why the work ended.
pub(super) enum Driven {
    /// The app stops or the actor has gone.
    Left,
    /// Everything is reported.
    Over,
}

impl Attempt {
    /// Runs until the attempt is over, or until the app stops.
    pub(crate) async fn run(mut self) {
        let step = self.brief.step;
        match self.live().await {
            Ok(Driven::Over) => debug!(%step, "attempt over"),
            Ok(Driven::Left) | Err(Deserted) => debug!(%step, "attempt left as it is"),
        }
    }

    async fn live(&mut self) -> Result<Driven, Deserted> {
        let mut is_stopped = false;
        // When the container is killed, once the agent is being ended.
        let mut ending: Option<Instant> = None;
        let mut fruitless = 0;
        // An app that starts without its engine says so of each step that needs it.
        tokio::select! {
            () = self.stop.cancelled() => return Ok(Driven::Left),
            () = self.house.link.looked_for() => {}
        }
        if self.house.link.is_down() {
            self.hold_for_engine().await?;
        }
        let mut silence = Silence::default();
        let session = loop {
            let provisioning =
                Box::pin(provision::provision(self.house.clone(), self.brief.clone(), self.reports.clone()));
            let outcome = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(Driven::Left),
                order = until_end(&mut self.orders, &mut is_stopped) => {
                    order?;
                    if !self.brief.is_executing {
                        return self.end_provisioning().await;
                    }
                    // An agent at work is ended through its guest, so that what it printed meanwhile is not lost.
                    ending = Some(Instant::now() + END_GRACE + END_PATIENCE);
                    continue;
                }
                outcome = provisioning => outcome,
            };
            match outcome {
                Ok(session) => break session,
                Err(Fault::Engine(error)) if is_passing(&error) => {
                    debug!(%error, "the engine does not answer");
                    self.house.link.suspect();
                    self.hold_for_engine().await?;
                    silence.is_broken();
                    // Orders are taken with the next try.
                    self.pause(RECONNECT_DELAY).await?;
                }
                Err(Fault::Paused(container)) => {
                    silence.is_broken();
                    self.stay_paused(&container).await?;
                    self.pause(RECONNECT_DELAY).await?;
                }
                // An agent is at work in there, perhaps: its sandbox is at a limit.
                Err(fault) if self.brief.is_executing && is_out_of_reach(&fault) => {
                    debug!(?fault, "the guest cannot be reached yet");
                    self.release_for_engine().await?;
                    if ending.is_some_and(|at| Instant::now() >= at) {
                        return self.end_unreachable(OutOfReach::ToEnd).await;
                    }
                    if let Some(silent) = silence.goes_on(self.house.time.now(), self.brief.limits.wall_clock_s) {
                        return self.end_unreachable(OutOfReach::TooLong(silent)).await;
                    }
                    self.pause(RECONNECT_DELAY).await?;
                }
                Err(fault) if fruitless < FRUITLESS_MAX && may_pass(&fault) => {
                    debug!(?fault, "it could not be provisioned yet");
                    fruitless += 1;
                    self.pause(RECONNECT_DELAY).await?;
                }
                Err(Fault::Store(error)) if error.is_passing() => {
                    warn!(%error, "what is about to be done cannot be written down yet");
                    self.house.store_refused(&error);
                    self.pause(STORE_RETRY).await?;
                }
                Err(Fault::Failed(ProvisionFailure::Workspace, error)) if self.house.is_full().await => {
                    // The next try waits for room, and takes orders meanwhile.
                    warn!(error = %error.message, "the workspace cannot be made yet: the disk is full");
                }
                Err(fault) => return self.give_up(fault).await,
            }
        };
        self.house.notice("store", None);
        self.release_for_engine().await?;
        self.no_longer_paused().await?;
        if !self.brief.is_executing {
            self.report(Report::Provisioned).await?;
        }
        let order = match (ending.is_some(), is_stopped, self.brief.is_executing) {
            (true, ..) => Some(Order::End),
            (false, true, _) => Some(Order::Stop),
            // An earlier process may have written down that it goes on, and not have said so.
            (false, false, true) => Some(Order::Continue),
            (false, false, false) => None,
        };
        self.drive(session, order).await
    }

    /// Says once that the engine does not answer.
    pub(super) async fn hold_for_engine(&mut self) -> Result<(), Deserted> {
        if std::mem::replace(&mut self.is_held_for_engine, true) {
            return Ok(());
        }
        self.report(Report::Hold(Hold::Engine)).await
    }

    /// Says that it does again, where the contrary was said.
    pub(super) async fn release_for_engine(&mut self) -> Result<(), Deserted> {
        if std::mem::replace(&mut self.is_held_for_engine, false) {
            return self.report(Report::Release(Hold::Engine)).await;
        }
        Ok(())
    }

    /// What the engine has done since the last sign of life.
    pub(super) fn meanwhile(&self) -> Meanwhile {
        if self.is_held_for_engine {
            Meanwhile::Away { is_live_restore: self.house.link.up().map_or(true, |up| up.facts.is_live_restore) }
        } else {
            Meanwhile::Answered
        }
    }

    /// Nothing more can be done with the sandbox as it is.
    async fn give_up(&mut self, fault: Fault) -> Result<Driven, Deserted> {
        match fault {
            Fault::Engine(error) => {
                let error = faults::of_engine(&error);
                self.fail(ProvisionFailure::Engine, error).await?;
            }
            Fault::Failed(why, error) => self.fail(why, error).await?,
            Fault::Store(error) => {
                let error = faults::of_storage("write down what it is about to do", &error);
                self.fail(ProvisionFailure::Workspace, error).await?;
            }
            Fault::Pipe(error) => {
                self.fail(ProvisionFailure::Guest, faults::of_pipe(&error)).await?;
            }
            // Waited for, as long as it takes.
            Fault::Paused(container) => self.stay_paused(&container).await?,
            Fault::Gone(Some(placed)) => {
                let remains = Remains::Removed { sandbox: placed.sandbox };
                let lost = Lost { remains, process: provision::process_of(&placed), engine: self.meanwhile() };
                let writer = self.open_output().await?;
                self.recover(writer, lost, Rest::Wanted { ending: None }).await?;
            }
            Fault::Gone(None) => {
                self.finalize_results().await;
                self.report(Report::SandboxLost(never_placed())).await?;
            }
            Fault::Ended { container, state, process, may_have_run } => {
                if !may_have_run {
                    let error = ErrorView::new(
                        ErrorCode::SandboxLost,
                        format!("The sandbox ended before the agent was started: {}.", sandbox::words_for(&state)),
                    )
                    .hint("Retry the task. If it happens again, the image cannot be used as a sandbox.");
                    self.fail(ProvisionFailure::Guest, error).await?;
                    return Ok(Driven::Over);
                }
                let lost = Lost { remains: Remains::Ended { container, state }, process, engine: self.meanwhile() };
                let writer = self.open_output().await?;
                self.recover(writer, lost, Rest::Wanted { ending: None }).await?;
            }
        }
        Ok(Driven::Over)
    }

    async fn fail(&mut self, why: ProvisionFailure, error: ErrorView) -> Result<(), Deserted> {
        // An agent that runs cannot fail to be started: what is wrong then is that it is out of reach.
        let report =
            if self.brief.is_executing { Report::SandboxLost(error) } else { Report::ProvisionFailed(why, error) };
        self.report(report).await
    }

    /// Ends a sandbox whose guest cannot be reached, and reads what it left.
    async fn end_unreachable(&mut self, why: OutOfReach) -> Result<Driven, Deserted> {
        let placement = loop {
            match self.house.store.placement_of(self.brief.step).await {
                Ok(placement) => break placement,
                Err(error) => {
                    warn!(%error, step = %self.brief.step, "where a step's sandbox is is not known");
                    self.pause(STORE_RETRY).await?;
                }
            }
        };
        let Some(placement) = placement else {
            self.report(Report::SandboxLost(never_placed())).await?;
            return Ok(Driven::Over);
        };
        let container: ContainerId = sandbox::container_name(placement.sandbox).into();
        if !self.put_down(&container).await? {
            return Ok(Driven::Left);
        }
        let remains = Remains::PutDown { container, why };
        let lost = Lost { remains, process: provision::process_of(&placement), engine: self.meanwhile() };
        let writer = self.open_output().await?;
        self.recover(writer, lost, Rest::Wanted { ending: None }).await?;
        Ok(Driven::Over)
    }

    async fn end_provisioning(&mut self) -> Result<Driven, Deserted> {
        let placed = self.house.store.placement_of(self.brief.step).await;
        if let Ok(Some(placement)) = placed {
            let name: ContainerId = sandbox::container_name(placement.sandbox).into();
            if !self.take_container_away(&name).await? {
                return Ok(Driven::Left);
            }
        }
        self.report(Report::Ended).await?;
        Ok(Driven::Over)
    }

    pub(super) async fn open_output(&mut self) -> Result<OutputWriter, Deserted> {
        loop {
            match self.house.outputs.append(self.brief.step, self.brief.attempt).await {
                Ok(writer) => {
                    let (attempt, length) = (self.brief.attempt, writer.length());
                    self.progress.send_modify(|progress| *progress = Progress { attempt, length, is_over: false });
                    return Ok(writer);
                }
                Err(error) => {
                    warn!(%error, step = %self.brief.step, "the output cannot be opened");
                    if crate::disk::says_full(&error) {
                        // What is let go for that is enough to open a file.
                        self.house.disks.refuse();
                    }
                    self.pause(Duration::from_secs(1)).await?;
                }
            }
        }
    }

    pub(super) async fn pause(&self, time: Duration) -> Result<(), Deserted> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Deserted),
            () = sleep(time) => Ok(()),
        }
    }

    pub(super) async fn report(&self, report: Report) -> Result<(), Deserted> {
        self.reports.send(report).await.map_err(|_| Deserted)
    }
}

/// Takes orders until one says to end.
///
/// # Cancel safety
/// Safe: an order is taken and noted in one step.
pub(super) async fn until_end(orders: &mut mpsc::Receiver<Order>, is_stopped: &mut bool) -> Result<(), Deserted> {
    loop {
        match orders.recv().await {
            Some(Order::End) => return Ok(()),
            Some(Order::Stop) => *is_stopped = true,
            Some(Order::Continue) => *is_stopped = false,
            None => return Err(Deserted),
        }
    }
}

/// Whether the same call may succeed once the engine answers again.
pub(super) fn is_passing(error: &EngineError) -> bool {
    matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Transient)
}

/// Whether the next try may get further: what a process that died had asked of the engine may be carried out only now, so that a
/// container is taken away that was just found, and the next try makes another; a guest may need a moment.
fn may_pass(fault: &Fault) -> bool {
    match fault {
        Fault::Engine(error) => error.is_gone(),
        Fault::Pipe(error) => !is_broken(error),
        Fault::Store(_) | Fault::Failed(..) | Fault::Gone(_) | Fault::Paused(_) | Fault::Ended { .. } => false,
    }
}

/// Whether the guest did what no guest does; anything else may be the connection's fault.
pub(super) fn is_broken(error: &PipeError) -> bool {
    match error {
        PipeError::Protocol { .. }
        | PipeError::FrameTooLong { .. }
        | PipeError::Malformed { .. }
        | PipeError::Violation { .. }
        | PipeError::Flood { .. } => true,
        PipeError::Io(_)
        | PipeError::Multiplex { .. }
        | PipeError::Closed
        | PipeError::PeerClosed
        | PipeError::Silent { .. }
        | PipeError::Cut { .. }
        | PipeError::Timeout { .. } => false,
    }
}

/// Whether a guest may be at work and only cannot be reached now.
fn is_out_of_reach(fault: &Fault) -> bool {
    match fault {
        // An engine that refuses to enter a container says nothing of who is in it: it may be at a limit.
        Fault::Engine(_) => true,
        Fault::Pipe(error) => !is_broken(error),
        Fault::Failed(..) | Fault::Store(_) | Fault::Paused(_) | Fault::Gone(_) | Fault::Ended { .. } => false,
    }
}

/// An agent at work whose sandbox nothing names: the data folder was changed from outside.
fn never_placed() -> ErrorView {
    ErrorView::new(ErrorCode::SandboxLost, "Berth does not know any more in which sandbox the agent worked.")
        .hint("What had arrived until then is kept. Retry the task to run it again.")
}
