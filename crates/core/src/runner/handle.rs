//! A step's actor as others see it.

use lifecycle::{Denied, Input, StepState};
use tokio::sync::{mpsc, oneshot, watch};
use wire::{
    Priority,
    ids::{AgentId, StepId, TaskId},
    view::StageView,
};

use super::report::Stage;
use crate::terminal::Progress;

/// A step that is not over, as others see it.
#[derive(Clone)]
pub(crate) struct StepHandle {
    pub(crate) task: TaskId,
    pub(crate) step: StepId,
    pub(crate) agent: AgentId,
    /// Its task's number.
    pub(crate) number: i64,
    /// Its place in the order in which steps were asked for.
    pub(crate) place: i64,
    /// Its task's turn in the queue; all handles of the step share it.
    pub(super) priority: watch::Sender<Priority>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(crate) snapshot: watch::Receiver<Snapshot>,
    pub(crate) progress: watch::Receiver<Progress>,
}

/// What is known of a step beside its row.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) state: StepState,
    /// How far the making of the sandbox is.
    pub(crate) stage: Option<Stage>,
    /// Whether the app is connected to the guest.
    pub(crate) is_connected: bool,
}

/// An input on its way to the actor.
pub(super) struct Command {
    pub(super) input: Input,
    pub(super) comment: String,
    pub(super) answer: oneshot::Sender<Result<(), Denied>>,
}

/// The actor has gone: the step is over, or the app stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Away;

impl StepHandle {
    /// Puts an input to the step. The answer comes when the new state is written down.
    pub(crate) async fn input(&self, input: Input, comment: String) -> Result<Result<(), Denied>, Away> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command { input, comment, answer }).await.map_err(|_| Away)?;
        answered.await.map_err(|_| Away)
    }

    /// Whether nothing that it was asked waits for it.
    pub(crate) fn is_idle(&self) -> bool {
        self.commands.capacity() == self.commands.max_capacity()
    }

    /// Its task's turn in the queue.
    pub(crate) fn priority(&self) -> Priority {
        *self.priority.borrow()
    }

    /// Notes that its task's turn is another; it is written down already.
    pub(crate) fn set_priority(&self, priority: Priority) {
        self.priority.send_replace(priority);
    }

    /// Its state as last written down.
    pub(crate) fn state(&self) -> StepState {
        self.snapshot.borrow().state
    }
}

impl Snapshot {
    /// How far the making of the sandbox is, for a person.
    pub(crate) fn stage_view(&self) -> Option<StageView> {
        self.stage.map(|stage| StageView { stage: stage.words().to_owned(), number: stage.number(), of: Stage::COUNT })
    }
}
