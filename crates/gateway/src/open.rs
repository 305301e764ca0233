//! A request that is open: its ticket is ended once, whatever becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OwnedSemaphorePermit;

use crate::ledger::{Begun, Ended, Ledger, Outcome, Stopped, Ticket};
use crate::passage::Passage;
use crate::usage::Metered;

/// Counts bytes as they pass, from wherever that is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Invariant: `ticket` is there until [`Ledger::end`] was told of it, which the drop does where nothing else did.
pub(crate) struct Open {
    ledger: Arc<dyn Ledger>,
    ticket: Option<Ticket>,
    status: Option<u16>,
    /// What is used, as far as anybody knows, where the request breaks off before its reply says so.
    at_stake: Option<Metered>,
    pub(crate) up: Counter,
    pub(crate) down: Counter,
    /// One of the sandbox's open requests.
    _permit: OwnedSemaphorePermit,
}

impl Open {
    /// Asks the ledger. The task belongs to the gateway: a client that leaves meanwhile ends a ticket that was given, since the task's
    /// outcome is then dropped.
    pub(crate) async fn begin(
        passage: &Passage,
        request: Begun,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, Stopped> {
        let ledger = passage.ledger.clone();
        let begun = passage.tasks.spawn(async move {
            let ticket = ledger.begin(request).await?;
            let (up, down) = (Counter::default(), Counter::default());
            Ok(Self { ledger, ticket: Some(ticket), status: None, at_stake: None, up, down, _permit: permit })
        });
        match begun.await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(Stopped::NotWritten { reason: "Berth is ending".to_owned() }),
            },
        }
    }

    pub(crate) fn answered(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// The request is on its way to a model, which charges for it whoever still waits for the reply.
    pub(crate) fn stake(&mut self, metered: Option<Metered>) {
        self.at_stake = metered;
    }

    pub(crate) fn end(mut self, outcome: Outcome, metered: Option<Metered>) {
        self.tell(outcome, metered);
    }

    /// Ends it before its reply began. What was at stake counts, but where nothing was sent.
    pub(crate) fn fail(mut self, why: String, was_sent: bool) {
        let metered = self.at_stake.take().filter(|_| was_sent);
        self.tell(Outcome::Cut { why }, metered);
    }

    fn tell(&mut self, outcome: Outcome, metered: Option<Metered>) {
        if let Some(ticket) = self.ticket.take() {
            let (up_bytes, down_bytes) = (self.up.get(), self.down.get());
            self.ledger.end(ticket, Ended { status: self.status, up_bytes, down_bytes, metered, outcome });
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let metered = self.at_stake.take();
        self.tell(Outcome::Cut { why: "the client left".to_owned() }, metered);
    }
}
