//! What is left of a sandbox that has ended, or is to end without its guest's help: its container and its spool.

use camino::Utf8Path;
use engine::{ContainerId, Engine};
use lifecycle::Limit;
use pipe::ProcessId;
use tracing::{debug, warn};
use wire::ids::SandboxId;

use super::attempt::{Attempt, Deserted, RECONNECT_DELAY, is_passing};
use super::drive::LAST_LINES;
use super::exit::{self, Verdict, verdict};
use super::lost::{Lost, Meanwhile, Remains, ended_from_outside};
use super::report::Report;
use super::spool;
use super::written::{Rest, Written};
use crate::fault_points::{Point, around};
use crate::guest_volume::{SPOOL_FOLDER, remove_filler};
use crate::output::OutputWriter;
use crate::sandbox;

/// How often a spool is tried to be read whose engine answers and refuses.
const SPOOL_TRIES_MAX: u32 = 5;

impl Attempt {
    /// Kills a container, and returns when it does not run; `false` where the app stops meanwhile.
    pub(super) async fn put_down(&self, container: &ContainerId) -> Result<bool, Deserted> {
        loop {
            let up = tokio::select! {
                () = self.stop.cancelled() => return Ok(false),
                up = self.house.link.wait_up() => up,
            };
            let killing = async {
                let killed = around(Point::ContainerKill, up.engine.kill(container, engine::Signal::Kill)).await;
                (killed, up.engine.inspect(container).await)
            };
            let (killed, found) = tokio::select! {
                () = self.stop.cancelled() => return Ok(false),
                outcome = killing => outcome,
            };
            match found {
                Ok(Some(found)) if found.state.is_alive() => debug!(?killed, "a sandbox is not ended yet"),
                Ok(Some(_) | None) => return Ok(true),
                Err(error) => {
                    warn!(%error, "whether a sandbox has ended is not known");
                    self.house.link.suspect();
                }
            }
            self.pause(RECONNECT_DELAY).await?;
        }
    }

    /// What the engine has done since the last sign of life; it is asked, since one that goes away in order stops answering before it
    /// ends its containers.
    pub(super) async fn meanwhile_asked(&self) -> Meanwhile {
        match self.house.link.up() {
            Ok(up) if self.meanwhile() == Meanwhile::Answered => match up.engine.ping().await {
                Err(error) if is_passing(&error) => {
                    self.house.link.suspect();
                    Meanwhile::Away { is_live_restore: up.facts.is_live_restore }
                }
                Ok(()) | Err(_) => Meanwhile::Answered,
            },
            Ok(_) => self.meanwhile(),
            // Nobody knows its settings: nothing is advised.
            Err(_) => Meanwhile::Away { is_live_restore: true },
        }
    }

    /// The sandbox is lost: what its guest wrote down says how the agent did.
    pub(super) async fn recover(
        &mut self,
        mut writer: OutputWriter,
        mut lost: Lost,
        rest: Rest,
    ) -> Result<(), Deserted> {
        let recovered = self.read_spool(&lost, writer.length()).await?;
        if lost.engine == Meanwhile::Answered {
            lost.engine = self.meanwhile();
        }
        self.release_for_engine().await?;
        let (mut is_over_limit, mut is_cut) = (false, matches!(rest, Rest::Over));
        if let Rest::Wanted { mut ending } = rest {
            for (offset, bytes) in recovered.pieces {
                let take = self.room_for(offset, &bytes);
                match self.write_recovered(&mut writer, &mut ending, offset, &bytes[..take]).await? {
                    Written::Kept => is_over_limit |= take < bytes.len(),
                    Written::Hole => break,
                    Written::GivenUp => {
                        is_cut = true;
                        break;
                    }
                }
            }
        }
        self.store_all(&mut writer).await?;
        self.finalize_results().await;
        self.progress.send_modify(|progress| progress.is_over = true);
        let (length, last_lines) = (writer.length(), writer.last_lines(LAST_LINES));
        match recovered.exit {
            Some(record) if record.end == length || is_over_limit || is_cut => {
                self.note_provisioned().await?;
                if is_over_limit {
                    self.report(Report::LimitReached(Limit::Output, self.output_limit())).await?;
                }
                match verdict(&record, &self.brief.limits, last_lines.clone()) {
                    Verdict::Lost => {
                        self.report(Report::SandboxLost(ended_from_outside(lost.engine, last_lines))).await
                    }
                    told @ (Verdict::Exited { .. } | Verdict::Limit { .. }) => {
                        self.tell_verdict(told, last_lines).await
                    }
                }
            }
            Some(record) => self.report(Report::SandboxLost(exit::incomplete(record.end, length, last_lines))).await,
            None if lost.is_killed_for_memory() => {
                self.note_provisioned().await?;
                let verdict = exit::sandbox_out_of_memory(&self.brief.limits, last_lines.clone());
                self.tell_verdict(verdict, last_lines).await
            }
            None => self.report(Report::SandboxLost(lost.without_a_word(last_lines))).await,
        }
    }

    /// An agent whose end is known was started.
    async fn note_provisioned(&self) -> Result<(), Deserted> {
        if self.brief.is_executing { Ok(()) } else { self.report(Report::Provisioned).await }
    }

    async fn read_spool(&mut self, lost: &Lost, from: u64) -> Result<spool::Recovered, Deserted> {
        let mut refusals = 0;
        loop {
            if self.house.link.up().is_err() {
                self.hold_for_engine().await?;
            }
            let up = tokio::select! {
                () = self.stop.cancelled() => return Err(Deserted),
                up = self.house.link.wait_up() => up,
            };
            // Reading it changes nothing, so that it can be read again by the next process.
            let reading = around(Point::SpoolRead, self.read_spool_on(up.engine.as_ref(), lost, from));
            let recovered = tokio::select! {
                () = self.stop.cancelled() => return Err(Deserted),
                recovered = reading => recovered,
            };
            match recovered {
                Ok(recovered) => return Ok(recovered),
                Err(spool::RecoverError::Engine(error)) if is_passing(&error) => self.house.link.suspect(),
                Err(error) => {
                    warn!(%error, "the spool of an ended sandbox cannot be read");
                    refusals += 1;
                    if refusals == SPOOL_TRIES_MAX {
                        return Ok(spool::Recovered::default());
                    }
                }
            }
            self.pause(RECONNECT_DELAY).await?;
        }
    }

    async fn read_spool_on(
        &self,
        engine: &dyn Engine,
        lost: &Lost,
        from: u64,
    ) -> Result<spool::Recovered, spool::RecoverError> {
        match &lost.remains {
            Remains::Ended { container, .. } | Remains::PutDown { container, .. } => {
                let read = spool::recover(engine, container, Utf8Path::new(SPOOL_FOLDER), lost.process, from).await;
                match read {
                    // Somebody has taken it away since it was looked at.
                    Err(spool::RecoverError::Engine(error)) if error.is_gone() => {
                        match self.house.store.placement_of(self.brief.step).await {
                            Ok(Some(placement)) => {
                                self.read_spool_apart(engine, placement.sandbox, lost.process, from).await
                            }
                            Ok(None) | Err(_) => Err(error.into()),
                        }
                    }
                    read => read,
                }
            }
            Remains::Removed { sandbox } => self.read_spool_apart(engine, *sandbox, lost.process, from).await,
        }
    }

    /// Out of its volume, which may be there still when the container is not.
    async fn read_spool_apart(
        &self,
        engine: &dyn Engine,
        sandbox: SandboxId,
        process: ProcessId,
        from: u64,
    ) -> Result<spool::Recovered, spool::RecoverError> {
        // The container for it is nobody's leftover as long as it is read through.
        let _filling = self.house.filling.read().await;
        let Some(reader) = sandbox::spool_reader(engine, self.house.install, sandbox).await? else {
            return Ok(spool::Recovered::default());
        };
        let folder = Utf8Path::new(sandbox::SPOOL_IN_FILLER);
        let recovered = spool::recover(engine, &reader, folder, process, from).await;
        remove_filler(engine, &reader).await?;
        recovered
    }
}
