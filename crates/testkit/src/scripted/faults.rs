//! What goes wrong, and when; and what was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{EngineError, ErrorKind, Result};
use tokio::sync::watch;

/// How many calls are remembered; the oldest are forgotten first.
const CALLS_MAX: usize = 65_536;

/// The calls of an engine, by their names in the trait. A call that is added belongs into [`Op::ALL`] too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the call of that name")]
pub enum Op {
    Ping,
    Facts,
    Image,
    Images,
    Build,
    Import,
    Commit,
    Tag,
    RemoveImage,
    Pull,
    CreateVolume,
    Volume,
    Volumes,
    RemoveVolume,
    CreateNetwork,
    Networks,
    RemoveNetwork,
    Create,
    Start,
    Kill,
    Pause,
    Unpause,
    Stop,
    Remove,
    Inspect,
    RawInspect,
    Containers,
    Wait,
    Attach,
    Exec,
    ExecState,
    PutArchive,
    GetArchive,
    Stats,
    Events,
}

impl Op {
    /// Every call of the trait.
    pub const ALL: [Self; 33] = [
        Self::Ping,
        Self::Facts,
        Self::Image,
        Self::Images,
        Self::Build,
        Self::Import,
        Self::Commit,
        Self::Tag,
        Self::RemoveImage,
        Self::Pull,
        Self::CreateVolume,
        Self::Volume,
        Self::Volumes,
        Self::RemoveVolume,
        Self::CreateNetwork,
        Self::Networks,
        Self::RemoveNetwork,
        Self::Create,
        Self::Start,
        Self::Kill,
        Self::Stop,
        Self::Remove,
        Self::Inspect,
        Self::RawInspect,
        Self::Containers,
        Self::Wait,
        Self::Attach,
        Self::Exec,
        Self::ExecState,
        Self::PutArchive,
        Self::GetArchive,
        Self::Stats,
        Self::Events,
    ];
}

/// One call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub op: Op,
    /// The object's name or id, or the path; empty where there is none.
    pub about: String,
}

/// What happens to a call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It fails, and nothing is done.
    Fail(ErrorKind),
    /// It is done, and the answer is lost: the caller sees this error.
    AnswerLost(ErrorKind),
    /// It waits at the gate, then goes on as usual.
    Stall(Gate),
    /// It is done twice, as when a client's retry overtakes its first try; the caller sees the second answer.
    Twice,
}

/// A gate that calls wait at until a test opens it.
#[derive(Debug, Clone)]
pub struct Gate {
    is_open: Arc<watch::Sender<bool>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { is_open: Arc::new(watch::Sender::new(false)) }
    }
}

impl Gate {
    /// Lets everyone through, now and later.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// Whether a call waits at it now.
    pub fn is_awaited(&self) -> bool {
        self.is_open.receiver_count() > 0 && !*self.is_open.borrow()
    }

    async fn opened(&self) {
        let mut receiver = self.is_open.subscribe();
        // The sender lives as long as this gate: waiting cannot fail.
        let _ = receiver.wait_for(|is_open| *is_open).await;
    }
}

/// The fault that a call in progress has still to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    AnswerLost(ErrorKind),
    Twice,
}

#[derive(Default)]
pub(super) struct Script {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    is_away: bool,
    calls: VecDeque<Call>,
    counts: BTreeMap<Op, usize>,
    faults: BTreeMap<(Op, usize), Fault>,
}

impl Script {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, op: Op, nth: usize, fault: Fault) {
        self.inner().faults.insert((op, nth), fault);
    }

    pub(super) fn set_away(&self, is_away: bool) {
        self.inner().is_away = is_away;
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.inner().calls.iter().cloned().collect()
    }

    pub(super) fn count(&self, op: Op) -> usize {
        self.inner().counts.get(&op).copied().unwrap_or_default()
    }

    /// Notes a call and lets it meet what happens before its effect.
    pub(super) async fn begin(&self, op: Op, about: &str) -> Result<Option<Met>> {
        let fault = {
            let mut inner = self.inner();
            if inner.calls.len() == CALLS_MAX {
                inner.calls.pop_front();
            }
            inner.calls.push_back(Call { op, about: about.to_owned() });
            let count = inner.counts.entry(op).or_default();
            *count += 1;
            let nth = *count;
            if inner.is_away {
                return Err(failed(op, about, ErrorKind::Unreachable));
            }
            inner.faults.remove(&(op, nth))
        };
        match fault {
            None => Ok(None),
            Some(Fault::Fail(kind)) => Err(failed(op, about, kind)),
            Some(Fault::AnswerLost(kind)) => Ok(Some(Met::AnswerLost(kind))),
            Some(Fault::Twice) => Ok(Some(Met::Twice)),
            Some(Fault::Stall(gate)) => {
                gate.opened().await;
                Ok(None)
            }
        }
    }
}

/// What the caller sees of a call that was done.
pub(super) fn answer<T>(op: Op, about: &str, met: Option<Met>, outcome: Result<T>) -> Result<T> {
    match met {
        Some(Met::AnswerLost(kind)) => Err(failed(op, about, kind)),
        Some(Met::Twice) | None => outcome,
    }
}

fn failed(op: Op, about: &str, kind: ErrorKind) -> EngineError {
    EngineError::new(kind, format!("{op:?} {about}"), "the script says so")
}
