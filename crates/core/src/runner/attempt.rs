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

use engine::{ContainerId, ContainerState, EngineError, ErrorKind};
use lifecycle::{Exit, Limit, ProvisionFailure};
use pipe::{
    PipeError, ProcessId,
    host::{CallError, ExitRecord, Guest, OutputEvent},
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use wire::{
    ErrorCode, ErrorView, Hold, Limits,
    ids::{AgentId, RunId, SandboxId, StepId, TaskId},
    task::Launch,
};

use super::exit::{self, Verdict, verdict};
use super::provision::{self, Fault, Session};
use super::report::{Order, Report};
use super::spool;
use crate::house::House;
use crate::output::{OutputWriter, SYNC_EVERY};
use crate::results::ResultsWatch;
use crate::terminal::Progress;
use crate::{faults, sandbox};

/// Between TERM and KILL, when an agent is ended.
const END_GRACE: Duration = Duration::from_secs(10);
/// After the grace and this, the container itself is killed.
const END_PATIENCE: Duration = Duration::from_secs(10);
/// How often the row of a step that prints is written again.
const NOTE_EVERY: Duration = Duration::from_millis(500);
/// Pieces of output between the pipe and the file.
const PIECES_MAX: usize = 16;
/// Between two tries to reach a guest.
const RECONNECT_DELAY: Duration = Duration::from_millis(200);
/// After so many connections in a row that brought nothing, the guest is broken.
const FRUITLESS_MAX: u32 = 5;
/// Lines of output that an error quotes.
const LAST_LINES: usize = 20;

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
}

/// An attempt at work.
pub(crate) struct Attempt {
    pub(crate) house: Arc<House>,
    pub(crate) brief: Arc<Brief>,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) progress: Arc<watch::Sender<Progress>>,
    /// The app stops.
    pub(crate) stop: CancellationToken,
}

/// The actor of the step has gone; so shall the attempt.
struct Deserted;

/// Why the driving ended.
enum Driven {
    /// The app stops or the actor has gone.
    Left,
    /// Everything is reported.
    Over,
}

/// How a lost pipe was got over.
enum Reached {
    Again(Guest),
    Ended(ContainerState),
    Gone,
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
        let mut is_engine_lost = false;
        let mut fruitless = 0;
        let session = loop {
            let provisioning =
                Box::pin(provision::provision(self.house.clone(), self.brief.clone(), self.reports.clone()));
            let outcome = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(Driven::Left),
                order = until_end(&mut self.orders, &mut is_stopped) => {
                    order?;
                    return self.end_provisioning().await;
                }
                outcome = provisioning => outcome,
            };
            match outcome {
                Ok(session) => break session,
                Err(Fault::Engine(error)) if is_passing(&error) => {
                    debug!(%error, "the engine does not answer");
                    self.house.link.suspect();
                    if !is_engine_lost {
                        is_engine_lost = true;
                        self.report(Report::Hold(Hold::Engine)).await?;
                    }
                    tokio::select! {
                        () = self.stop.cancelled() => return Ok(Driven::Left),
                        order = until_end(&mut self.orders, &mut is_stopped) => {
                            order?;
                            return self.end_provisioning().await;
                        }
                        () = sleep(RECONNECT_DELAY) => {}
                    }
                }
                Err(Fault::Pipe(error)) if !is_broken(&error) && fruitless < FRUITLESS_MAX => {
                    debug!(%error, "the guest cannot be reached yet");
                    fruitless += 1;
                    self.pause(RECONNECT_DELAY).await?;
                }
                Err(fault) => return self.give_up(fault).await,
            }
        };
        if is_engine_lost {
            self.report(Report::Release(Hold::Engine)).await?;
        }
        if !self.brief.is_executing {
            self.report(Report::Provisioned).await?;
        }
        self.drive(session, is_stopped).await
    }

    /// Nothing more can be done with the sandbox as it is.
    async fn give_up(&mut self, fault: Fault) -> Result<Driven, Deserted> {
        match fault {
            Fault::Engine(error) => {
                let error = faults::of_engine(&error);
                self.fail(ProvisionFailure::Engine, error).await?;
            }
            Fault::Failed(why, error) => self.fail(why, error).await?,
            Fault::Pipe(error) => {
                self.fail(ProvisionFailure::Guest, faults::of_pipe(&error)).await?;
            }
            Fault::Gone => self.report(Report::SandboxLost(removed_from_outside())).await?,
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
                let writer = self.open_output().await?;
                self.recover(writer, &container, &state, process).await?;
            }
        }
        Ok(Driven::Over)
    }

    async fn fail(&mut self, why: ProvisionFailure, error: ErrorView) -> Result<(), Deserted> {
        // An agent that runs cannot fail to be started: what is wrong then is that it is out of reach.
        let report = if self.brief.is_executing { Report::SandboxLost(error) } else { Report::ProvisionFailed(why, error) };
        self.report(report).await
    }

    async fn end_provisioning(&mut self) -> Result<Driven, Deserted> {
        let placed = self.house.store.placement_of(self.brief.step).await;
        if let Ok(Some(placement)) = placed {
            let name: ContainerId = sandbox::container_name(placement.sandbox).into();
            loop {
                let up = tokio::select! {
                    () = self.stop.cancelled() => return Ok(Driven::Left),
                    up = self.house.link.wait_up() => up,
                };
                match up.engine.remove(&name).await {
                    Ok(()) => break,
                    Err(error) => warn!(%error, "a sandbox cannot be ended yet"),
                }
                self.house.link.suspect();
                self.pause(Duration::from_secs(1)).await?;
            }
        }
        self.report(Report::Ended).await?;
        Ok(Driven::Over)
    }

    async fn drive(&mut self, session: Session, is_stopped: bool) -> Result<Driven, Deserted> {
        let Session { container, sandbox, process, guest, output, workspace } = session;
        let mut writer = self.open_output().await?;
        let results = ResultsWatch::start(&self.house, &self.brief, workspace);
        self.house.enter(self.brief.step, sandbox, guest.clone());
        self.report(Report::Connected(true)).await?;

        let mut link = Pumped::start(guest, process, output, writer.length());
        let mut ending: Option<Instant> = None;
        let mut is_over_limit = false;
        let mut noted = u64::MAX;
        let mut fruitless = 0;
        let mut sync = interval(SYNC_EVERY);
        sync.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut note = interval(NOTE_EVERY);
        note.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if is_stopped {
            link.call(Order::Stop);
        }

        let end = loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.leave(writer, link, results).await;
                    return Ok(Driven::Left);
                }
                order = self.orders.recv() => match order {
                    Some(Order::End) => {
                        if ending.is_none() {
                            ending = Some(Instant::now() + END_GRACE + END_PATIENCE);
                            link.call(Order::End);
                        }
                    }
                    Some(order) => link.call(order),
                    None => {
                        self.leave(writer, link, results).await;
                        return Err(Deserted);
                    }
                },
                event = link.pieces.recv() => match event.unwrap_or_else(|| Err(link.guest.loss().unwrap_or(PipeError::Closed))) {
                    Ok(OutputEvent::Chunk { offset, bytes }) => {
                        fruitless = 0;
                        if is_over_limit {
                            continue;
                        }
                        let room = self.brief.limits.output_bytes.saturating_sub(offset);
                        let take = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
                        if !self.write(&mut writer, offset, &bytes[..take]).await? {
                            break End::Broken(PipeError::Violation { what: "output with a hole in it" });
                        }
                        if take < bytes.len() {
                            is_over_limit = true;
                            self.report(Report::LimitReached(Limit::Output, self.output_limit())).await?;
                        }
                        if writer.is_sync_due() {
                            self.sync(&mut writer, &mut link).await?;
                        }
                    }
                    Ok(OutputEvent::Gap { to, .. }) if to <= writer.length() || is_over_limit => {}
                    Ok(OutputEvent::Gap { .. }) => {
                        break End::Broken(PipeError::Violation { what: "output was dropped that was not acknowledged" });
                    }
                    Ok(OutputEvent::Exited(record)) => break End::Exited(record),
                    Err(error) if is_broken(&error) => break End::Broken(error),
                    Err(error) => {
                        debug!(%error, "the pipe is lost");
                        self.house.leave(self.brief.step);
                        self.report(Report::Connected(false)).await?;
                        fruitless += 1;
                        if fruitless > FRUITLESS_MAX {
                            break End::Broken(error);
                        }
                        match self.reach(&container, sandbox, ending).await? {
                            None => {
                                self.leave(writer, link, results).await;
                                return Ok(Driven::Left);
                            }
                            Some(Reached::Again(guest)) => {
                                self.house.enter(self.brief.step, sandbox, guest.clone());
                                self.report(Report::Connected(true)).await?;
                                link = Pumped::start(guest, process, None, writer.length());
                                if ending.is_some() {
                                    link.call(Order::End);
                                }
                            }
                            Some(Reached::Ended(state)) => break End::Dead(state),
                            Some(Reached::Gone) => break End::Gone,
                        }
                    }
                },
                called = link.calls.join_next(), if !link.calls.is_empty() => {
                    if let Some(Ok(called)) = called {
                        link.take(called);
                    }
                }
                _ = sync.tick(), if writer.synced() < writer.length() || link.acknowledged < writer.synced() => {
                    self.sync(&mut writer, &mut link).await?;
                }
                _ = note.tick(), if noted != writer.length() => {
                    noted = writer.length();
                    self.note(&mut writer).await;
                }
                () = deadline(ending), if ending.is_some() => {
                    // The guest did not do it: the container goes, and its spool says what there was.
                    ending = Some(Instant::now() + END_PATIENCE);
                    info!(step = %self.brief.step, "the guest did not end the agent; killing the container");
                    if let Ok(up) = self.house.link.up() {
                        if let Err(error) = up.engine.kill(&container, engine::Signal::Kill).await {
                            warn!(%error, "a sandbox cannot be killed yet");
                        }
                    }
                }
            }
        };

        self.house.leave(self.brief.step);
        match end {
            End::Exited(record) => {
                if record.end != writer.length() && !is_over_limit {
                    let error = PipeError::Violation { what: "an end of output that is not where the output ends" };
                    self.report(Report::GuestBroken(faults::of_pipe(&error))).await?;
                    return self.wait_for_end(container).await;
                }
                self.finish(writer, &record, results).await?;
            }
            End::Broken(error) => {
                self.store_all(&mut writer).await?;
                self.report(Report::GuestBroken(faults::of_pipe(&error))).await?;
                return self.wait_for_end(container).await;
            }
            End::Dead(state) => {
                results.finish().await;
                self.recover(writer, &container, &state, process).await?;
            }
            End::Gone => {
                self.store_all(&mut writer).await?;
                results.finish().await;
                self.report(Report::SandboxLost(removed_from_outside())).await?;
            }
        }
        link.guest.close().await;
        Ok(Driven::Over)
    }

    /// The agent's tree is gone and said so.
    async fn finish(&mut self, mut writer: OutputWriter, record: &ExitRecord, results: ResultsWatch) -> Result<(), Deserted> {
        self.store_all(&mut writer).await?;
        results.finish().await;
        self.progress.send_modify(|progress| progress.is_over = true);
        let last_lines = writer.last_lines(LAST_LINES);
        match verdict(record, &self.brief.limits, last_lines) {
            Verdict::Exited { exit, how, error } => self.report(Report::AgentExited { exit, how, error }).await,
            Verdict::Limit { limit, how, error } => {
                self.report(Report::LimitReached(limit, error)).await?;
                self.report(Report::AgentExited { exit: Exit::Failure, how, error: None }).await
            }
            Verdict::Lost { error, .. } => self.report(Report::SandboxLost(error)).await,
        }
    }

    /// The container has ended: what its guest wrote down says how the agent did.
    async fn recover(
        &mut self,
        mut writer: OutputWriter,
        container: &ContainerId,
        state: &ContainerState,
        process: ProcessId,
    ) -> Result<(), Deserted> {
        let recovered = loop {
            let up = tokio::select! {
                () = self.stop.cancelled() => return Err(Deserted),
                up = self.house.link.wait_up() => up,
            };
            match spool::recover(up.engine.as_ref(), container, process, writer.length()).await {
                Ok(recovered) => break recovered,
                Err(spool::RecoverError::Engine(error)) if is_passing(&error) => {
                    self.house.link.suspect();
                    self.pause(RECONNECT_DELAY).await?;
                }
                Err(error) => {
                    warn!(%error, "the spool of an ended sandbox cannot be read");
                    break spool::Recovered::default();
                }
            }
        };
        for (offset, bytes) in recovered.pieces {
            if !self.write(&mut writer, offset, &bytes).await? {
                break;
            }
        }
        self.store_all(&mut writer).await?;
        self.finalize_results().await;
        self.progress.send_modify(|progress| progress.is_over = true);
        if !self.brief.is_executing && recovered.exit.is_some() {
            self.report(Report::Provisioned).await?;
        }
        let last_lines = writer.last_lines(LAST_LINES);
        match recovered.exit.map(|record| verdict(&record, &self.brief.limits, last_lines.clone())) {
            Some(Verdict::Exited { exit, how, error }) => self.report(Report::AgentExited { exit, how, error }).await,
            Some(Verdict::Limit { limit, how, error }) => {
                self.report(Report::LimitReached(limit, error)).await?;
                self.report(Report::AgentExited { exit: Exit::Failure, how, error: None }).await
            }
            Some(Verdict::Lost { error, .. }) => self.report(Report::SandboxLost(error)).await,
            None => {
                let error = ErrorView::new(
                    ErrorCode::SandboxLost,
                    format!("The sandbox ended while the agent worked: {}.", sandbox::words_for(state)),
                )
                .hint("What it printed until then is kept. Retry the task to run it again.")
                .detail(last_lines);
                self.report(Report::SandboxLost(error)).await
            }
        }
    }

    /// A broken guest was reported: the order to end comes, and is carried out on the container.
    async fn wait_for_end(&mut self, container: ContainerId) -> Result<Driven, Deserted> {
        let mut is_stopped = false;
        tokio::select! {
            () = self.stop.cancelled() => return Ok(Driven::Left),
            order = until_end(&mut self.orders, &mut is_stopped) => order?,
        }
        loop {
            let up = tokio::select! {
                () = self.stop.cancelled() => return Ok(Driven::Left),
                up = self.house.link.wait_up() => up,
            };
            match up.engine.remove(&container).await {
                Ok(()) => break,
                Err(error) => warn!(%error, "a sandbox cannot be ended yet"),
            }
            self.house.link.suspect();
            self.pause(Duration::from_secs(1)).await?;
        }
        self.finalize_results().await;
        self.progress.send_modify(|progress| progress.is_over = true);
        self.report(Report::Ended).await?;
        Ok(Driven::Over)
    }

    /// Finds a way to the guest again; `None` where the app stops meanwhile.
    async fn reach(
        &mut self,
        container: &ContainerId,
        sandbox: SandboxId,
        ending: Option<Instant>,
    ) -> Result<Option<Reached>, Deserted> {
        let mut is_engine_lost = false;
        let reached = loop {
            let up = match self.house.link.up() {
                Ok(up) => up,
                Err(_) => {
                    if !is_engine_lost {
                        is_engine_lost = true;
                        self.report(Report::Hold(Hold::Engine)).await?;
                    }
                    tokio::select! {
                        () = self.stop.cancelled() => return Ok(None),
                        up = self.house.link.wait_up() => up,
                    }
                }
            };
            match sandbox::find(up.engine.as_ref(), sandbox).await {
                Ok(None) => break Reached::Gone,
                Ok(Some(found)) if !found.state.is_alive() => break Reached::Ended(found.state),
                Ok(Some(_)) => match provision::connect(up.engine.as_ref(), container).await {
                    Ok(guest) => break Reached::Again(guest),
                    Err(fault) => debug!(?fault, "the guest cannot be reached yet"),
                },
                Err(error) => {
                    debug!(%error, "the engine does not answer");
                    self.house.link.suspect();
                }
            }
            if ending.is_some_and(|ending| Instant::now() > ending) {
                if let Err(error) = up.engine.kill(container, engine::Signal::Kill).await {
                    debug!(%error, "a sandbox cannot be killed yet");
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return Ok(None),
                () = sleep(RECONNECT_DELAY) => {}
            }
        };
        if is_engine_lost {
            self.report(Report::Release(Hold::Engine)).await?;
        }
        Ok(Some(reached))
    }

    /// Writes, and waits with the agent held while the disk is full. `false` where bytes before these are missing.
    async fn write(&mut self, writer: &mut OutputWriter, offset: u64, bytes: &[u8]) -> Result<bool, Deserted> {
        let mut is_held = false;
        loop {
            match writer.append(offset, bytes).await {
                Ok(()) => break,
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Ok(false),
                Err(error) => {
                    warn!(%error, step = %self.brief.step, "output cannot be written");
                    if !is_held {
                        is_held = true;
                        self.report(Report::Hold(Hold::DiskSpace)).await?;
                    }
                    self.pause(Duration::from_secs(1)).await?;
                }
            }
        }
        if is_held {
            self.report(Report::Release(Hold::DiskSpace)).await?;
        }
        let (attempt, length) = (self.brief.attempt, writer.length());
        self.progress.send_modify(|progress| *progress = Progress { attempt, length, is_over: false });
        Ok(true)
    }

    /// Makes all output durable, and the row of the step agree with it.
    async fn store_all(&mut self, writer: &mut OutputWriter) -> Result<(), Deserted> {
        while let Err(error) = writer.sync().await {
            warn!(%error, step = %self.brief.step, "output cannot be made durable");
            self.pause(Duration::from_secs(1)).await?;
        }
        self.note(writer).await;
        Ok(())
    }

    async fn sync(&mut self, writer: &mut OutputWriter, link: &mut Pumped) -> Result<(), Deserted> {
        match writer.sync().await {
            Ok(offset) => link.acknowledge(offset),
            Err(error) => {
                warn!(%error, step = %self.brief.step, "output cannot be made durable");
                self.pause(SYNC_EVERY).await?;
            }
        }
        Ok(())
    }

    async fn note(&self, writer: &mut OutputWriter) {
        self.house.note_output(&self.brief, writer.length(), writer.last_line()).await;
    }

    async fn finalize_results(&self) {
        crate::results::finalize(&self.house, self.brief.task, self.brief.step).await;
    }

    /// The app stops: what came in is made durable, and the sandbox works on.
    async fn leave(&mut self, mut writer: OutputWriter, link: Pumped, results: ResultsWatch) {
        self.house.leave(self.brief.step);
        if let Err(error) = writer.sync().await {
            warn!(%error, step = %self.brief.step, "output cannot be made durable");
        }
        self.note(&mut writer).await;
        results.leave().await;
        link.guest.close().await;
    }

    async fn open_output(&mut self) -> Result<OutputWriter, Deserted> {
        loop {
            match self.house.outputs.append(self.brief.step, self.brief.attempt).await {
                Ok(writer) => {
                    let (attempt, length) = (self.brief.attempt, writer.length());
                    self.progress.send_modify(|progress| *progress = Progress { attempt, length, is_over: false });
                    return Ok(writer);
                }
                Err(error) => {
                    warn!(%error, step = %self.brief.step, "the output cannot be opened");
                    self.pause(Duration::from_secs(1)).await?;
                }
            }
        }
    }

    fn output_limit(&self) -> ErrorView {
        ErrorView::new(
            ErrorCode::LimitReached,
            format!("The agent printed more than {}, so it was ended.", exit::bytes(self.brief.limits.output_bytes)),
        )
        .hint("What it printed until then is kept. Give the task a higher `limits: output:` and retry it.")
    }

    async fn pause(&self, time: Duration) -> Result<(), Deserted> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Deserted),
            () = sleep(time) => Ok(()),
        }
    }

    async fn report(&self, report: Report) -> Result<(), Deserted> {
        self.reports.send(report).await.map_err(|_| Deserted)
    }
}

/// Why there is no more output to wait for.
enum End {
    Exited(ExitRecord),
    Broken(PipeError),
    Dead(ContainerState),
    Gone,
}

/// A connection with its output pumped into a channel (reading it is not cancel safe), and calls under way.
struct Pumped {
    guest: Guest,
    process: ProcessId,
    pieces: mpsc::Receiver<Result<OutputEvent, PipeError>>,
    calls: JoinSet<Called>,
    acknowledged: u64,
    is_acknowledging: bool,
    _pump: JoinSet<()>,
}

enum Called {
    Acknowledged(u64),
    NotAcknowledged,
    Done,
}

impl Pumped {
    fn start(guest: Guest, process: ProcessId, output: Option<pipe::host::Output>, from: u64) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let mut pump = JoinSet::new();
        let pumped = guest.clone();
        pump.spawn(async move {
            let output = match output {
                Some(output) => Ok(output),
                None => pumped.attach(process, from).await,
            };
            let mut output = match output {
                Ok(output) => output,
                Err(error) => {
                    let error = match error {
                        CallError::Pipe(error) => error,
                        CallError::UnknownProcess { .. } | CallError::Refused(_) => {
                            PipeError::Violation { what: "the agent's process is not known any more" }
                        }
                    };
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            loop {
                let event = output.next().await;
                let is_last = !matches!(event, Ok(Some(OutputEvent::Chunk { .. } | OutputEvent::Gap { .. })));
                let Some(event) = event.transpose() else { return };
                if sender.send(event).await.is_err() || is_last {
                    return;
                }
            }
        });
        Self { guest, process, pieces, calls: JoinSet::new(), acknowledged: 0, is_acknowledging: false, _pump: pump }
    }

    /// Says how much is durable, unless that is being said.
    fn acknowledge(&mut self, offset: u64) {
        if self.is_acknowledging || offset <= self.acknowledged {
            return;
        }
        self.is_acknowledging = true;
        let (guest, process) = (self.guest.clone(), self.process);
        self.calls.spawn(async move {
            match guest.acknowledge(process, offset).await {
                Ok(()) => Called::Acknowledged(offset),
                Err(error) => {
                    debug!(%error, "an acknowledgement did not arrive");
                    Called::NotAcknowledged
                }
            }
        });
    }

    /// Takes the outcome of a call.
    fn take(&mut self, called: Called) {
        match called {
            Called::Acknowledged(offset) => {
                self.acknowledged = offset;
                self.is_acknowledging = false;
            }
            Called::NotAcknowledged => self.is_acknowledging = false,
            Called::Done => {}
        }
    }

    /// Carries out an order. What becomes of it is seen at the output.
    fn call(&mut self, order: Order) {
        let (guest, process) = (self.guest.clone(), self.process);
        self.calls.spawn(async move {
            let called = match order {
                Order::Stop => guest.stop(process).await,
                Order::Continue => guest.cont(process).await,
                Order::End => guest.end(process, END_GRACE).await,
            };
            if let Err(error) = called {
                debug!(%error, ?order, "an order did not arrive");
            }
            Called::Done
        });
    }
}

/// Takes orders until one says to end.
///
/// # Cancel safety
/// Safe: an order is taken and noted in one step.
async fn until_end(orders: &mut mpsc::Receiver<Order>, is_stopped: &mut bool) -> Result<(), Deserted> {
    loop {
        match orders.recv().await {
            Some(Order::End) => return Ok(()),
            Some(Order::Stop) => *is_stopped = true,
            Some(Order::Continue) => *is_stopped = false,
            None => return Err(Deserted),
        }
    }
}

async fn deadline(at: Option<Instant>) {
    if let Some(at) = at {
        // Waits for nothing but the time.
        let _ = timeout_at(at, std::future::pending::<()>()).await;
    }
}

/// Whether the same call may succeed once the engine answers again.
pub(crate) fn is_passing(error: &EngineError) -> bool {
    matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Transient)
}

/// Whether the guest did what no guest does; anything else may be the connection's fault.
fn is_broken(error: &PipeError) -> bool {
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

fn removed_from_outside() -> ErrorView {
    ErrorView::new(ErrorCode::SandboxLost, "The sandbox was removed from outside while the agent worked.")
        .hint("What had arrived until then is kept. Retry the task to run it again.")
}
