//! A connection to a guest with the agent's output pumped out of it, and calls under way.
//!
//! Reading an output is not cancel safe, and a call may take as long as the guest likes: both have tasks of their own here, so
//! that an attempt can wait for everything at once.

use std::time::Duration;

use pipe::{
    PipeError, ProcessId,
    host::{CallError, Guest, Output, OutputEvent},
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::report::Order;
use crate::fault_points::{Point, around};

/// Pieces of output between the pipe and the file.
const PIECES_MAX: usize = 16;
/// How long a guest may take to carry out what it was ordered before the app stops.
const CARRY_OUT_TIME_MAX: Duration = Duration::from_secs(3);
/// Between TERM and KILL, when an agent is ended.
pub(super) const END_GRACE: Duration = Duration::from_secs(10);

/// A connection with its output pumped into a channel (reading it is not cancel safe), and calls under way.
pub(super) struct Pumped {
    pub(super) guest: Guest,
    process: ProcessId,
    pieces: mpsc::Receiver<Result<OutputEvent, PipeError>>,
    calls: JoinSet<Called>,
    pub(super) acknowledged: u64,
    is_acknowledging: bool,
    is_ordering: bool,
    /// Carried out after the order that is under way: two at once might arrive in the wrong order.
    next_order: Option<Order>,
    _pump: JoinSet<()>,
}

#[derive(Clone, Copy)]
enum Called {
    Acknowledged(u64),
    NotAcknowledged,
    Ordered,
}

impl Pumped {
    pub(super) fn start(guest: Guest, process: ProcessId, output: Option<Output>, from: u64) -> Self {
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
        Self {
            guest,
            process,
            pieces,
            calls: JoinSet::new(),
            acknowledged: 0,
            is_acknowledging: false,
            is_ordering: false,
            next_order: None,
            _pump: pump,
        }
    }

    /// The next piece of output. The outcomes of calls are taken in on the way.
    ///
    /// # Cancel safety
    /// Safe: pieces stay in the channel, and an outcome is taken in as soon as it is known.
    pub(super) async fn next(&mut self) -> Result<OutputEvent, PipeError> {
        loop {
            tokio::select! {
                biased;
                // First, so that no flood of output keeps the acknowledgements away that let it go on.
                Some(called) = self.calls.join_next() => {
                    if let Ok(called) = called {
                        self.take(called);
                    }
                }
                piece = self.pieces.recv() => {
                    return piece.unwrap_or_else(|| Err(self.guest.loss().unwrap_or(PipeError::Closed)));
                }
            }
        }
    }

    /// Says how much is durable, unless that is being said.
    pub(super) fn acknowledge(&mut self, offset: u64) {
        if self.is_acknowledging || offset <= self.acknowledged {
            return;
        }
        self.is_acknowledging = true;
        let (guest, process) = (self.guest.clone(), self.process);
        self.calls.spawn(async move {
            match around(Point::OutputAcknowledge, guest.acknowledge(process, offset)).await {
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
            Called::Ordered => {
                self.is_ordering = false;
                if let Some(order) = self.next_order.take() {
                    self.call(order);
                }
            }
        }
    }

    /// Waits until all that was ordered is carried out, within a bound. Output that comes meanwhile stays with the guest.
    pub(super) async fn carry_out(&mut self) {
        let carried = async {
            while self.is_ordering
                && let Some(called) = self.calls.join_next().await
            {
                match called {
                    Ok(called) => self.take(called),
                    Err(error) => debug!(%error, "a call to the guest did not end"),
                }
            }
        };
        if timeout(CARRY_OUT_TIME_MAX, carried).await.is_err() {
            warn!("a guest did not carry out its order before Berth stopped; the next start gives it again");
        }
    }

    /// Carries out an order, after the one before it. What becomes of it is seen at the output.
    pub(super) fn call(&mut self, order: Order) {
        // An end waits for nothing: it overrules whatever is under way.
        if self.is_ordering && order != Order::End {
            self.next_order = Some(order);
            return;
        }
        self.is_ordering = true;
        self.next_order = None;
        let (guest, process) = (self.guest.clone(), self.process);
        self.calls.spawn(async move {
            let called = match order {
                Order::Stop => around(Point::AgentStop, guest.stop(process)).await,
                Order::Continue => around(Point::AgentContinue, guest.cont(process)).await,
                Order::End => around(Point::AgentEnd, guest.end(process, END_GRACE)).await,
            };
            if let Err(error) = called {
                debug!(%error, ?order, "an order did not arrive");
            }
            Called::Ordered
        });
    }
}
