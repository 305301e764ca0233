//! An attempt with its agent at work: output into the file, orders to the guest, a lost pipe got over, the end seen.

use std::time::Duration;

use engine::{ContainerId, ContainerState};
use lifecycle::{Exit, Limit};
use pipe::{
    PipeError, ProcessId,
    host::{ExitRecord, Guest, OutputEvent},
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout_at};
use tracing::{debug, info, warn};
use wire::{ErrorCode, ErrorView, Hold, ids::SandboxId};

use super::attempt::{Attempt, Deserted, Driven, END_PATIENCE, FRUITLESS_MAX, RECONNECT_DELAY, is_broken, until_end};
use super::compute::ComputeWatch;
use super::disk::{self, DiskWatch};
use super::exit::{self, Verdict, verdict};
use super::lost::{Lost, Meanwhile, OutOfReach, Remains, ended_from_outside};
use super::provision::{self, Fault, Session};
use super::pumped::{END_GRACE, Pumped};
use super::report::{Order, Report};
use super::silence::Silence;
use super::written::{Heard, Rest, Written};
use crate::access::attend;
use crate::fault_points::{Point, around};
use crate::house::House;
use crate::output::{OutputWriter, SYNC_EVERY};
use crate::results::ResultsWatch;
use crate::{faults, sandbox};

/// How often the row of a step that prints is written again.
const NOTE_EVERY: Duration = Duration::from_millis(500);
/// Between two tries at what the disk or the engine refused.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// A connection that is lost this soon has brought nothing.
const FRUITLESS_WITHIN: Duration = Duration::from_secs(5);
/// Lines of output that an error quotes.
pub(super) const LAST_LINES: usize = 20;

/// An agent at work, as the attempt sees it.
struct Work {
    container: ContainerId,
    sandbox: SandboxId,
    process: ProcessId,
    writer: OutputWriter,
    link: Pumped,
    disk: DiskWatch,
    compute: ComputeWatch,
    /// It has taken more disk than it may, and that is told.
    is_over_disk: bool,
    /// When the container is killed, once the agent is being ended.
    ending: Option<Instant>,
    /// No more output is taken: there is too much of it, or no room for it.
    is_output_over: bool,
    /// Connections in a row that brought nothing and were lost at once.
    fruitless: u32,
    /// When the connection was made.
    connected_at: Instant,
    /// The last order, to be said again over each new connection: it may not have arrived over the last one.
    ordered: Option<Order>,
    /// The length that the step's row has.
    noted: u64,
    sync: Interval,
    note: Interval,
}

/// Why there is nothing more to wait for.
enum End {
    /// The app stops.
    Left,
    /// The agent's tree is gone and said so.
    Exited(ExitRecord),
    /// The guest did what no guest does.
    Broken(PipeError),
    /// The container has ended, or is gone.
    Lost(Remains, Meanwhile),
}

/// How a lost pipe was got over.
enum Reached {
    Again(Guest),
    End(End),
}

impl Work {
    fn is_sync_useful(&self) -> bool {
        self.writer.synced() < self.writer.length() || self.link.acknowledged < self.writer.synced()
    }
}

impl Attempt {
    /// Follows an agent until it has ended, or the app stops.
    pub(super) async fn drive(&mut self, session: Session, order: Option<Order>) -> Result<Driven, Deserted> {
        let Session { container, sandbox, process, guest, output, workspace, home_bytes } = session;
        let writer = self.open_output().await?;
        let disk = DiskWatch::start(&self.house, &self.brief, workspace.clone(), home_bytes);
        let compute = ComputeWatch::start(&self.house, &self.brief, &container);
        let results = ResultsWatch::start(&self.house, &self.brief, workspace);
        self.enter(sandbox, &guest).await?;
        let link = Pumped::start(guest, process, output, writer.length());
        let mut work = Work {
            container,
            sandbox,
            process,
            writer,
            link,
            disk,
            compute,
            is_over_disk: false,
            ending: None,
            is_output_over: false,
            fruitless: 0,
            connected_at: Instant::now(),
            ordered: None,
            noted: u64::MAX,
            sync: every(SYNC_EVERY),
            note: every(NOTE_EVERY),
        };
        if let Some(order) = order {
            take_order(&mut work, order);
        }
        let end = self.follow(&mut work).await;
        self.leave_guest();
        match end {
            Ok(End::Left) => {
                self.leave(work, results).await;
                Ok(Driven::Left)
            }
            Ok(end) => self.conclude(work, results, end).await,
            Err(deserted) => {
                self.leave(work, results).await;
                Err(deserted)
            }
        }
    }

    /// The guest is connected: others may speak with it, and what wants out of the sandbox is taken to the gateway.
    async fn enter(&mut self, sandbox: SandboxId, guest: &Guest) -> Result<(), Deserted> {
        self.house.enter(self.brief.step, sandbox, guest.clone());
        // The one before goes first: a step has one way out.
        self.attending = None;
        self.attending = Some(attend(&self.house, &self.brief, sandbox, guest).await);
        self.report(Report::Connected(true)).await?;
        // Where an earlier process held it for being away.
        self.report(Report::Release(Hold::AppAway)).await
    }

    fn leave_guest(&mut self) {
        self.attending = None;
        self.house.leave(self.brief.step);
    }

    async fn follow(&mut self, work: &mut Work) -> Result<End, Deserted> {
        loop {
            let is_sync_useful = work.is_sync_useful();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(End::Left),
                order = self.orders.recv() => take_order(work, order.ok_or(Deserted)?),
                // What comes seldom goes before the output: a flood of it keeps nothing from happening.
                () = deadline(work.ending), if work.ending.is_some() => self.kill(work).await,
                _ = work.sync.tick(), if is_sync_useful => self.sync(work).await?,
                _ = work.note.tick(), if work.noted != work.writer.length() => {
                    work.noted = work.writer.length();
                    self.note(&mut work.writer).await;
                }
                bytes = work.disk.over(), if !work.is_over_disk => {
                    work.is_over_disk = true;
                    self.report(Report::LimitReached(Limit::Disk, disk::too_much(&self.brief, bytes))).await?;
                }
                event = work.link.next() => {
                    if let Some(end) = self.take_output(work, event).await? {
                        return Ok(end);
                    }
                }
            }
        }
    }

    async fn take_output(
        &mut self,
        work: &mut Work,
        event: Result<OutputEvent, PipeError>,
    ) -> Result<Option<End>, Deserted> {
        match event {
            Ok(OutputEvent::Chunk { offset, bytes }) => {
                work.fruitless = 0;
                self.take_chunk(work, offset, &bytes).await
            }
            // What the guest dropped is here already, or is not wanted any more.
            Ok(OutputEvent::Gap { to, .. }) if to <= work.writer.length() || work.is_output_over => Ok(None),
            Ok(OutputEvent::Gap { .. }) => {
                Ok(Some(End::Broken(PipeError::Violation { what: "output was dropped that was not acknowledged" })))
            }
            Ok(OutputEvent::Exited(record)) if record.end == work.writer.length() || work.is_output_over => {
                Ok(Some(End::Exited(record)))
            }
            Ok(OutputEvent::Exited(_)) => Ok(Some(End::Broken(PipeError::Violation {
                what: "an end of output that is not where the output ends",
            }))),
            Err(error) if is_broken(&error) => Ok(Some(End::Broken(error))),
            Err(error) => self.get_over(work, error).await,
        }
    }

    async fn take_chunk(&mut self, work: &mut Work, offset: u64, bytes: &[u8]) -> Result<Option<End>, Deserted> {
        if work.is_output_over {
            return Ok(None);
        }
        let take = self.room_for(offset, bytes);
        match self.write(work, offset, &bytes[..take]).await? {
            Written::Kept => {}
            Written::GivenUp => return Ok(None),
            Written::Hole => {
                return Ok(Some(End::Broken(PipeError::Violation { what: "output with a hole in it" })));
            }
        }
        if take < bytes.len() {
            work.is_output_over = true;
            self.report(Report::LimitReached(Limit::Output, self.output_limit())).await?;
        }
        if work.writer.is_sync_due() {
            self.sync(work).await?;
        }
        Ok(None)
    }

    /// The pipe is lost: finds a way to the guest again, or why there is none.
    async fn get_over(&mut self, work: &mut Work, error: PipeError) -> Result<Option<End>, Deserted> {
        debug!(%error, "the pipe is lost");
        self.leave_guest();
        self.report(Report::Connected(false)).await?;
        // An agent may be silent for hours: only a connection that is lost at once says something of the guest.
        work.fruitless = if work.connected_at.elapsed() < FRUITLESS_WITHIN { work.fruitless + 1 } else { 0 };
        if work.fruitless > FRUITLESS_MAX {
            return Ok(Some(End::Broken(error)));
        }
        match self.reach(work).await? {
            Reached::End(end) => Ok(Some(end)),
            Reached::Again(guest) => {
                self.enter(work.sandbox, &guest).await?;
                work.link = Pumped::start(guest, work.process, None, work.writer.length());
                work.connected_at = Instant::now();
                if let Some(order) = work.ordered {
                    work.link.call(order);
                }
                Ok(None)
            }
        }
    }

    /// Finds a way to the guest, or why there is none. Orders are noted meanwhile: a guest that cannot be reached is ended all the
    /// same.
    async fn reach(&mut self, work: &mut Work) -> Result<Reached, Deserted> {
        let (house, container) = (self.house.clone(), work.container.clone());
        let mut is_engine_away = house.link.up().is_err();
        let mut silence = Silence::default();
        let reached = loop {
            if is_engine_away {
                self.hold_for_engine().await?;
            }
            let waiting = async {
                if is_engine_away {
                    house.link.wait_up().await;
                } else {
                    sleep(RECONNECT_DELAY).await;
                }
                try_to_reach(&house, work.sandbox, &container).await
            };
            let tried = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(Reached::End(End::Left)),
                order = self.orders.recv() => {
                    note_order(work, order.ok_or(Deserted)?);
                    continue;
                }
                () = deadline(work.ending), if work.ending.is_some() => {
                    self.kill(work).await;
                    continue;
                }
                tried = waiting => tried,
                // An engine that hangs answers nothing: a call to it would be waited for until its bound.
                () = house.link.wait_down(), if !is_engine_away => Tried::NoEngine,
            };
            match tried {
                Tried::Reached(guest) => break Reached::Again(guest),
                Tried::Broken(error) => {
                    work.fruitless += 1;
                    if work.fruitless > FRUITLESS_MAX {
                        break Reached::End(End::Broken(error));
                    }
                }
                Tried::Lost(remains) => break Reached::End(End::Lost(remains, self.meanwhile())),
                Tried::Paused => {
                    silence.is_broken();
                    self.stay_paused(&container).await?;
                }
                Tried::NoEngine => {
                    is_engine_away = true;
                    silence.is_broken();
                }
                Tried::NoAnswer => {
                    is_engine_away = house.link.up().is_err();
                    silence.is_broken();
                }
                Tried::OutOfReach => {
                    is_engine_away = house.link.up().is_err();
                    if let Some(silent) = silence.goes_on(house.time.now(), self.brief.limits.wall_clock_s) {
                        let remains =
                            Remains::PutDown { container: container.clone(), why: OutOfReach::TooLong(silent) };
                        break Reached::End(End::Lost(remains, self.meanwhile()));
                    }
                }
            }
        };
        self.release_for_engine().await?;
        self.no_longer_paused().await?;
        Ok(reached)
    }

    /// The guest did not end the agent: the container goes, and its spool says what there was.
    async fn kill(&self, work: &mut Work) {
        work.ending = Some(Instant::now() + END_PATIENCE);
        info!(step = %self.brief.step, "the guest did not end the agent; killing the container");
        if let Ok(up) = self.house.link.up()
            && let Err(error) =
                around(Point::ContainerKill, up.engine.kill(&work.container, engine::Signal::Kill)).await
        {
            warn!(%error, "a sandbox cannot be killed yet");
        }
    }

    async fn conclude(&mut self, work: Work, results: ResultsWatch, end: End) -> Result<Driven, Deserted> {
        let Work { container, process, mut writer, link, disk, compute, ending, is_output_over, .. } = work;
        match end {
            End::Left => return Ok(Driven::Left),
            End::Exited(record) => {
                tokio::join!(disk.finish(), compute.finish());
                self.finish(writer, &record, results).await?;
            }
            End::Broken(error) => {
                self.store_all(&mut writer).await?;
                results.finish().await;
                self.report(Report::GuestBroken(faults::of_pipe(&error))).await?;
                return self.wait_for_end(container, ending.is_some()).await;
            }
            End::Lost(remains, engine) => {
                if let Remains::PutDown { container, .. } = &remains
                    && !self.put_down(container).await?
                {
                    return Ok(Driven::Left);
                }
                results.finish().await;
                let rest = if is_output_over { Rest::Over } else { Rest::Wanted { ending } };
                self.recover(writer, Lost { remains, process, engine }, rest).await?;
            }
        }
        link.guest.close().await;
        Ok(Driven::Over)
    }

    /// The agent's tree is gone and said so.
    async fn finish(
        &mut self,
        mut writer: OutputWriter,
        record: &ExitRecord,
        results: ResultsWatch,
    ) -> Result<(), Deserted> {
        self.store_all(&mut writer).await?;
        results.finish().await;
        self.progress.send_modify(|progress| progress.is_over = true);
        let last_lines = writer.last_lines(LAST_LINES);
        let verdict = verdict(record, &self.brief.limits, last_lines.clone());
        self.tell_verdict(verdict, last_lines).await
    }

    pub(super) async fn tell_verdict(&self, verdict: Verdict, last_lines: String) -> Result<(), Deserted> {
        match verdict {
            Verdict::Exited { exit, how, error } => self.report(Report::AgentExited { exit, how, error }).await,
            Verdict::Limit { limit, how, error } => {
                self.report(Report::LimitReached(limit, error)).await?;
                self.report(Report::AgentExited { exit: Exit::Failure, how, error: None }).await
            }
            Verdict::Lost => {
                let error = ended_from_outside(self.meanwhile_asked().await, last_lines);
                self.report(Report::SandboxLost(error)).await
            }
        }
    }

    /// How much of `bytes`, which stand at `offset`, the step's output may take.
    pub(super) fn room_for(&self, offset: u64, bytes: &[u8]) -> usize {
        let room = self.brief.limits.output_bytes.saturating_sub(offset);
        bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// A broken guest was reported: the order to end comes, unless it has come already, and is carried out on the container.
    async fn wait_for_end(&mut self, container: ContainerId, is_ordered: bool) -> Result<Driven, Deserted> {
        let mut is_stopped = false;
        if !is_ordered {
            tokio::select! {
                () = self.stop.cancelled() => return Ok(Driven::Left),
                order = until_end(&mut self.orders, &mut is_stopped) => order?,
            }
        }
        if !self.take_container_away(&container).await? {
            return Ok(Driven::Left);
        }
        self.finalize_results().await;
        self.progress.send_modify(|progress| progress.is_over = true);
        self.report(Report::Ended).await?;
        Ok(Driven::Over)
    }

    /// Removes the container, as often as it takes; `false` where the app stops meanwhile.
    pub(super) async fn take_container_away(&self, container: &ContainerId) -> Result<bool, Deserted> {
        loop {
            let up = tokio::select! {
                () = self.stop.cancelled() => return Ok(false),
                up = self.house.link.wait_up() => up,
            };
            // A removal that was asked for is asked for again by the next process.
            let removed = tokio::select! {
                () = self.stop.cancelled() => return Ok(false),
                removed = around(Point::ContainerRemove, up.engine.remove(container)) => removed,
            };
            match removed {
                Ok(()) => return Ok(true),
                Err(error) => warn!(%error, "a sandbox cannot be ended yet"),
            }
            self.house.link.suspect();
            self.pause(RETRY_DELAY).await?;
        }
    }

    /// Writes output of an agent at work. Orders are carried out meanwhile: an agent is ended on a full disk, too.
    async fn write(&mut self, work: &mut Work, offset: u64, bytes: &[u8]) -> Result<Written, Deserted> {
        loop {
            match self.write_or_hear(&mut work.writer, work.ending, offset, bytes).await? {
                Heard::Written(Written::GivenUp) => {
                    // The guest has ended it by now, and can say so once nothing is in the way.
                    work.ending = Some(Instant::now() + END_PATIENCE);
                    work.is_output_over = true;
                    return Ok(Written::GivenUp);
                }
                Heard::Written(written) => return Ok(written),
                Heard::Order(order) => take_order(work, order),
            }
        }
    }

    /// Makes all output durable, and the row of the step agree with it.
    pub(super) async fn store_all(&mut self, writer: &mut OutputWriter) -> Result<(), Deserted> {
        while let Err(error) = around(Point::OutputSync, writer.sync()).await {
            warn!(%error, step = %self.brief.step, "output cannot be made durable");
            self.pause(RETRY_DELAY).await?;
        }
        self.note(writer).await;
        Ok(())
    }

    async fn sync(&mut self, work: &mut Work) -> Result<(), Deserted> {
        match around(Point::OutputSync, work.writer.sync()).await {
            Ok(offset) => work.link.acknowledge(offset),
            Err(error) => {
                warn!(%error, step = %self.brief.step, "output cannot be made durable");
                self.pause(SYNC_EVERY).await?;
            }
        }
        Ok(())
    }

    async fn note(&self, writer: &mut OutputWriter) {
        let noting = self.house.note_output(&self.brief, writer.length(), writer.last_line());
        around(Point::OutputRecord, noting).await;
    }

    pub(super) async fn finalize_results(&self) {
        crate::results::finalize(&self.house, self.brief.task, self.brief.step).await;
    }

    /// The app stops: what came in is made durable, and the sandbox works on.
    async fn leave(&mut self, mut work: Work, results: ResultsWatch) {
        // The agent that is to rest while the app is away was told so last.
        while let Ok(order) = self.orders.try_recv() {
            take_order(&mut work, order);
        }
        let Work { mut writer, mut link, .. } = work;
        link.carry_out().await;
        if let Err(error) = writer.sync().await {
            warn!(%error, step = %self.brief.step, "output cannot be made durable");
        }
        self.note(&mut writer).await;
        results.leave().await;
        link.guest.close().await;
    }

    pub(super) fn output_limit(&self) -> ErrorView {
        ErrorView::new(
            ErrorCode::LimitReached,
            format!("The agent printed more than {}, so it was ended.", exit::bytes(self.brief.limits.output_bytes)),
        )
        .hint("What it printed until then is kept. Give the task a higher `limits: output:` and retry it.")
    }
}

fn take_order(work: &mut Work, order: Order) {
    if note_order(work, order) {
        work.link.call(order);
    }
}

/// Notes an order; `false` where it is none any more, since the agent is being ended.
fn note_order(work: &mut Work, order: Order) -> bool {
    if work.ending.is_some() {
        return false;
    }
    if order == Order::End {
        work.ending = Some(Instant::now() + END_GRACE + END_PATIENCE);
    }
    work.ordered = Some(order);
    true
}

/// One try to reach a guest.
enum Tried {
    Reached(Guest),
    /// What answers does what no guest does.
    Broken(PipeError),
    Lost(Remains),
    Paused,
    /// There is no engine.
    NoEngine,
    /// The engine does not answer.
    NoAnswer,
    /// The container lives, but not a word comes from its guest.
    OutOfReach,
}

/// Looks at the container, and connects to its guest where it lives.
///
/// # Cancel safety
/// Safe: a connection that was not handed out is closed.
async fn try_to_reach(house: &House, sandbox: SandboxId, container: &ContainerId) -> Tried {
    let Ok(up) = house.link.up() else { return Tried::NoEngine };
    match sandbox::find(up.engine.as_ref(), sandbox).await {
        Ok(None) => Tried::Lost(Remains::Removed { sandbox }),
        Ok(Some(found)) if found.state == ContainerState::Removing => Tried::Lost(Remains::Removed { sandbox }),
        Ok(Some(found)) if !found.state.is_alive() => {
            Tried::Lost(Remains::Ended { container: found.id, state: found.state })
        }
        Ok(Some(found)) if found.state == ContainerState::Paused => Tried::Paused,
        Ok(Some(_)) => match provision::connect(up.engine.as_ref(), container).await {
            Ok(guest) => Tried::Reached(guest),
            Err(Fault::Pipe(error)) if is_broken(&error) => Tried::Broken(error),
            Err(fault) => {
                debug!(?fault, "the guest cannot be reached yet");
                Tried::OutOfReach
            }
        },
        Err(error) => {
            debug!(%error, "the engine does not answer");
            house.link.suspect();
            Tried::NoAnswer
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

pub(super) async fn deadline(at: Option<Instant>) {
    if let Some(at) = at {
        // Waits for nothing but the time.
        let _ = timeout_at(at, std::future::pending::<()>()).await;
    }
}
