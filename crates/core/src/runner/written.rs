//! Output on its way into the file, on a disk that may be full: waited for, but never so that an order goes unheard.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;

use super::attempt::{Attempt, Deserted, END_PATIENCE};
use super::drive::deadline;
use super::exit;
use super::report::{Order, Report};
use crate::fault_points::{Point, around};
use crate::output::OutputWriter;
use crate::terminal::Progress;

/// After what time a write is tried again that failed for another reason than a full disk.
const WRITE_RETRY: Duration = Duration::from_secs(1);

/// Whether what a guest still has of the output is wanted.
#[derive(Clone, Copy)]
pub(super) enum Rest {
    /// It is; where the agent is being ended, waited for that long.
    Wanted { ending: Option<Instant> },
    /// No more is taken.
    Over,
}

/// What became of a piece of output.
pub(super) enum Written {
    /// It is in the file.
    Kept,
    /// Bytes before it are missing.
    Hole,
    /// There is no room for it, and nobody waits for any.
    GivenUp,
}

/// What came first: an end to the writing, or an order.
pub(super) enum Heard {
    Written(Written),
    Order(Order),
}

impl Attempt {
    /// Writes output of an agent that is gone already.
    pub(super) async fn write_recovered(
        &mut self,
        writer: &mut OutputWriter,
        ending: &mut Option<Instant>,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Written, Deserted> {
        loop {
            match self.write_or_hear(writer, *ending, offset, bytes).await? {
                Heard::Written(written) => return Ok(written),
                Heard::Order(Order::End) => *ending = ending.or(Some(Instant::now() + END_PATIENCE)),
                Heard::Order(Order::Stop | Order::Continue) => {}
            }
        }
    }

    /// Writes, or waits while the disk is full and all steps are held for it, until there is an order. One that is being ended
    /// is given up after a while: whoever ends it may be about to make room.
    pub(super) async fn write_or_hear(
        &mut self,
        writer: &mut OutputWriter,
        ending: Option<Instant>,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Heard, Deserted> {
        let house = self.house.clone();
        loop {
            if !house.disks.is_refused() {
                match around(Point::OutputAppend, writer.append(offset, bytes)).await {
                    Ok(()) => {
                        let (attempt, length) = (self.brief.attempt, writer.length());
                        self.progress.send_modify(|progress| *progress = Progress { attempt, length, is_over: false });
                        return Ok(Heard::Written(Written::Kept));
                    }
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        return Ok(Heard::Written(Written::Hole));
                    }
                    Err(error) => {
                        warn!(%error, step = %self.brief.step, "output cannot be written");
                        if crate::disk::says_full(&error) {
                            house.disks.refuse();
                        }
                    }
                }
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Deserted),
                order = self.orders.recv() => return Ok(Heard::Order(order.ok_or(Deserted)?)),
                () = deadline(ending), if ending.is_some() => {
                    let kept = exit::bytes(writer.length());
                    let note = format!("The disk was full, so only the first {kept} of the output are kept");
                    self.report(Report::Note(note)).await?;
                    return Ok(Heard::Written(Written::GivenUp));
                }
                () = house.disks.taken_again(), if house.disks.is_refused() => {}
                // Something else is the matter, and with this file alone: the others go on.
                () = sleep(WRITE_RETRY), if !house.disks.is_refused() => {}
            }
        }
    }
}
