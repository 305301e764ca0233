//! A sandbox whose container was paused from outside, as with `docker pause`. Its silence is no death, and nobody undoes what a
//! person did without being asked.
//!
//! ```text
//! found paused ──▶ held by a person, with a note ──▶ Resume: Berth lets the container go on
//!                                                └─▶ it goes on from outside: the hold is taken back
//! ```

use engine::ContainerId;
use tracing::{debug, info};
use wire::Hold;

use super::attempt::{Attempt, Deserted};
use super::report::Report;
use crate::fault_points::{Point, around};

/// After so many looks a hold that was told of and is not there has been taken back already.
const LOOKS_UNTIL_TOLD: u32 = 25;

/// What the attempt has made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PausedOutside {
    /// It is not paused.
    #[default]
    No,
    /// The hold was reported so many looks ago.
    Told { looks: u32 },
    /// The hold is written down.
    Held,
    /// A person had paused the step before: that hold is theirs, and stays.
    HeldBefore,
}

impl Attempt {
    /// Looked at again and again while the container is paused.
    pub(super) async fn stay_paused(&mut self, container: &ContainerId) -> Result<(), Deserted> {
        // It was the engine that said so.
        self.release_for_engine().await?;
        let state = self.house.step(self.brief.step).map(|step| step.state());
        let is_held = state.is_some_and(|state| state.holds().contains(Hold::Person));
        // An agent that is to end has to hear of it.
        let is_ending = state.is_some_and(|state| state.ending().is_some());
        match self.paused {
            PausedOutside::No => {
                let text = "The sandbox's container was paused outside of Berth. Resume lets it go on.".to_owned();
                self.report(Report::Note(text)).await?;
                self.paused = if is_held { PausedOutside::HeldBefore } else { PausedOutside::Told { looks: 0 } };
                if !is_held {
                    self.report(Report::Hold(Hold::Person)).await?;
                }
            }
            PausedOutside::Told { .. } if is_held => self.paused = PausedOutside::Held,
            PausedOutside::Told { looks } if looks < LOOKS_UNTIL_TOLD => {
                self.paused = PausedOutside::Told { looks: looks + 1 };
            }
            PausedOutside::Told { .. } => self.paused = PausedOutside::Held,
            PausedOutside::Held | PausedOutside::HeldBefore if !is_held => self.unpause(container).await,
            PausedOutside::Held | PausedOutside::HeldBefore => {}
        }
        if is_ending {
            self.unpause(container).await;
        }
        Ok(())
    }

    /// The container goes on, whoever saw to it.
    pub(super) async fn no_longer_paused(&mut self) -> Result<(), Deserted> {
        match std::mem::take(&mut self.paused) {
            PausedOutside::No | PausedOutside::HeldBefore => Ok(()),
            // Where a person has taken it back it is not there any more, and the report changes nothing.
            PausedOutside::Told { .. } | PausedOutside::Held => self.report(Report::Release(Hold::Person)).await,
        }
    }

    async fn unpause(&self, container: &ContainerId) {
        let Ok(up) = self.house.link.up() else { return };
        match around(Point::ContainerUnpause, up.engine.unpause(container)).await {
            Ok(()) => info!(step = %self.brief.step, "a container that was paused outside goes on"),
            // The next look says what became of it.
            Err(error) => debug!(%error, "a paused container does not go on yet"),
        }
    }
}
