//! What changes inside: exits and listening ports.

use std::collections::BTreeSet;

use super::call::refused;
use super::{CallError, Guest};
use crate::limits::{ANSWER_WAIT_MAX, FRAME_FROM_GUEST_BYTES_MAX, PORTS_MAX};
use crate::message::{Ask, Event, ExitStatus, Port};
use crate::{PipeError, PipeStream, ProcessId, frame};

/// Something inside changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestEvent {
    /// A process ended: a reason to attach and read its exit record.
    Ended {
        /// Which.
        id: ProcessId,
        /// How.
        status: ExitStatus,
    },
    /// The listening ports are others than before. The first event of a subscription tells those there are.
    Ports {
        /// All that listen now.
        listening: BTreeSet<Port>,
        /// Those of them that did not before.
        added: Vec<Port>,
        /// Those that do no more.
        removed: Vec<Port>,
    },
}

/// A subscription. Lagging behind loses nothing but steps in between: each event tells how it is.
#[derive(Debug)]
pub struct Events {
    guest: Guest,
    stream: PipeStream,
    listening: Option<BTreeSet<Port>>,
}

impl Events {
    /// The next event.
    ///
    /// # Errors
    /// The loss of the pipe, or what the guest did wrong.
    ///
    /// # Cancel safety
    /// None: after dropping the future in the middle, subscribe again. Give the events a task of their own.
    pub async fn next(&mut self) -> Result<GuestEvent, PipeError> {
        loop {
            let event = frame::read(&mut self.stream, "an event", FRAME_FROM_GUEST_BYTES_MAX)
                .await
                .map_err(|error| self.guest.explain(error))?
                .ok_or_else(|| self.guest.explain(PipeError::Cut { what: "the events" }))?;
            match event {
                Event::Ended { id, status } => return Ok(GuestEvent::Ended { id, status }),
                Event::Ports { ports } => {
                    if let Some(event) = self.compare(ports)? {
                        return Ok(event);
                    }
                }
                Event::Unknown => {}
            }
        }
    }

    fn compare(&mut self, ports: Vec<Port>) -> Result<Option<GuestEvent>, PipeError> {
        if ports.len() > PORTS_MAX {
            return Err(PipeError::Violation { what: "more listening ports than an event may name" });
        }
        let listening: BTreeSet<_> = ports.into_iter().collect();
        let before = self.listening.replace(listening.clone());
        if before.as_ref() == Some(&listening) {
            return Ok(None);
        }
        let before = before.unwrap_or_default();
        let added = listening.difference(&before).copied().collect();
        let removed = before.difference(&listening).copied().collect();
        Ok(Some(GuestEvent::Ports { listening, added, removed }))
    }
}

impl Guest {
    /// Subscribes to what changes inside. Ports are looked at only while someone is subscribed.
    pub async fn events(&self) -> Result<Events, CallError> {
        let mut stream = self.ask(&Ask::Events).await?;
        let answer = self.answer_within::<()>(&mut stream, "a subscription", ANSWER_WAIT_MAX).await?;
        answer.map_err(|refusal| refused(None, refusal))?;
        Ok(Events { guest: self.clone(), stream, listening: None })
    }
}
