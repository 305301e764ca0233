//! What is left of a sandbox that has ended, or is to end without its guest's help: its container and its spool.

use engine::ContainerId;
use lifecycle::Limit;
use pipe::ProcessId;
use tracing::{debug, warn};
use wire::ErrorView;

use super::attempt::{Attempt, Deserted, RECONNECT_DELAY, is_passing};
use super::drive::LAST_LINES;
use super::exit::{self, verdict};
use super::report::Report;
use super::spool;
use crate::fault_points::{Point, around};
use crate::output::OutputWriter;

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

    /// The container has ended: what its guest wrote down says how the agent did. `lost` is what is told where it says nothing.
    pub(super) async fn recover(
        &mut self,
        mut writer: OutputWriter,
        container: &ContainerId,
        process: ProcessId,
        lost: ErrorView,
    ) -> Result<(), Deserted> {
        let recovered = self.read_spool(container, process, writer.length()).await?;
        let mut is_over_limit = false;
        for (offset, bytes) in recovered.pieces {
            let take = self.room_for(offset, &bytes);
            if !self.write(&mut writer, offset, &bytes[..take]).await? {
                break;
            }
            is_over_limit |= take < bytes.len();
        }
        self.store_all(&mut writer).await?;
        self.finalize_results().await;
        self.progress.send_modify(|progress| progress.is_over = true);
        let (length, last_lines) = (writer.length(), writer.last_lines(LAST_LINES));
        match recovered.exit {
            Some(record) if record.end == length || is_over_limit => {
                if !self.brief.is_executing {
                    self.report(Report::Provisioned).await?;
                }
                if is_over_limit {
                    self.report(Report::LimitReached(Limit::Output, self.output_limit())).await?;
                }
                self.tell_verdict(verdict(&record, &self.brief.limits, last_lines)).await
            }
            Some(record) => self.report(Report::SandboxLost(exit::incomplete(record.end, length, last_lines))).await,
            None => self.report(Report::SandboxLost(lost.detail(last_lines))).await,
        }
    }

    async fn read_spool(
        &self,
        container: &ContainerId,
        process: ProcessId,
        from: u64,
    ) -> Result<spool::Recovered, Deserted> {
        let mut refusals = 0;
        loop {
            let up = tokio::select! {
                () = self.stop.cancelled() => return Err(Deserted),
                up = self.house.link.wait_up() => up,
            };
            // Reading it changes nothing, so that it can be read again by the next process.
            let recovered = tokio::select! {
                () = self.stop.cancelled() => return Err(Deserted),
                recovered = around(Point::SpoolRead, spool::recover(up.engine.as_ref(), container, process, from)) => recovered,
            };
            match recovered {
                Ok(recovered) => return Ok(recovered),
                Err(spool::RecoverError::Engine(error)) if is_passing(&error) => {
                    self.house.link.suspect();
                    self.pause(RECONNECT_DELAY).await?;
                }
                Err(error) => {
                    warn!(%error, "the spool of an ended sandbox cannot be read");
                    refusals += 1;
                    if refusals == SPOOL_TRIES_MAX {
                        return Ok(spool::Recovered::default());
                    }
                    self.pause(RECONNECT_DELAY).await?;
                }
            }
        }
    }
}
