//! The machine itself: one function over every state and every input.

use wire::{Action, Hold, task::ReviewGate};

use crate::{
    denied::Denied,
    ending::{Ending, Failure, Limit, ProvisionFailure},
    holds::Holds,
    state::{ATTEMPTS_MAX, Course, Stage, StepState},
};

/// Something that was observed or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The queue has a slot for it.
    SlotGranted,
    /// The sandbox is made and the agent started.
    Provisioned,
    /// The sandbox could not be made or the agent not started; whoever tried has stopped trying.
    ProvisionFailed(ProvisionFailure),
    /// The agent's process and all that it started are gone, and this is how it ended.
    AgentExited(Exit),
    /// A limit was reached; the agent may still be at work.
    LimitReached(Limit),
    /// The guest broke the protocol of the pipe; the agent may still be at work.
    GuestBroken,
    /// The sandbox is gone, and nobody knows how the agent ended.
    SandboxLost,
    /// What an ending asked for is done: nothing of the agent is left.
    Ended,
    /// A person accepts the work.
    Approve,
    /// A person sends it back.
    RequestChanges,
    /// A person turns it down.
    Reject,
    /// A person stops it.
    Cancel,
    /// There is a reason not to go on.
    Hold(Hold),
    /// That reason is gone.
    Release(Hold),
}

/// How an agent ended, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// With status 0.
    Success,
    /// With another status, or by a signal.
    Failure,
}

/// What is to be done once the new state is written down. Each may be carried out twice with the effect of once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Wait for a slot: the step is queued again, or no longer held.
    AwaitSlot,
    /// Make the sandbox and start the agent; answer with `Provisioned` or `ProvisionFailed`.
    Provision,
    /// Stop the agent's whole tree where it is (SIGSTOP).
    StopAgent,
    /// Let the agent's whole tree go on (SIGCONT).
    ContinueAgent,
    /// End the agent's whole tree, a stopped one too, and any making of the sandbox; answer with `Ended`.
    EndAgent,
    /// Look at the workspace once more; its results stay as they are then.
    FinalizeResults,
    /// The step needs its sandbox no longer. There may be none, or half of one.
    RemoveSandbox,
}

/// The answer to an input that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The new state, to be written down first.
    pub state: StepState,
    /// What to do then, in this order.
    pub effects: Vec<Effect>,
}

impl Input {
    /// Every input, in the order of a step's life.
    pub const ALL: [Self; 30] = [
        Self::SlotGranted,
        Self::Provisioned,
        Self::ProvisionFailed(ProvisionFailure::Engine),
        Self::ProvisionFailed(ProvisionFailure::Image),
        Self::ProvisionFailed(ProvisionFailure::Workspace),
        Self::ProvisionFailed(ProvisionFailure::Guest),
        Self::ProvisionFailed(ProvisionFailure::Agent),
        Self::AgentExited(Exit::Success),
        Self::AgentExited(Exit::Failure),
        Self::LimitReached(Limit::WallClock),
        Self::LimitReached(Limit::Output),
        Self::LimitReached(Limit::Memory),
        Self::LimitReached(Limit::Disk),
        Self::GuestBroken,
        Self::SandboxLost,
        Self::Ended,
        Self::Approve,
        Self::RequestChanges,
        Self::Reject,
        Self::Cancel,
        Self::Hold(Hold::Person),
        Self::Hold(Hold::Budget),
        Self::Hold(Hold::Engine),
        Self::Hold(Hold::AppAway),
        Self::Hold(Hold::DiskSpace),
        Self::Release(Hold::Person),
        Self::Release(Hold::Budget),
        Self::Release(Hold::Engine),
        Self::Release(Hold::AppAway),
        Self::Release(Hold::DiskSpace),
    ];

    /// What a person's action means to a step; `None` for [`Action::Retry`], which is a new run and no input.
    pub const fn of_action(action: Action) -> Option<Self> {
        match action {
            Action::Approve => Some(Self::Approve),
            Action::RequestChanges => Some(Self::RequestChanges),
            Action::Reject => Some(Self::Reject),
            Action::Pause => Some(Self::Hold(Hold::Person)),
            Action::Resume => Some(Self::Release(Hold::Person)),
            Action::Cancel => Some(Self::Cancel),
            Action::Retry => None,
        }
    }
}

/// What an input makes of a state: another one and what to do about it, or the reason why it changes nothing.
pub fn advance(state: &StepState, input: Input) -> Result<Advance, Denied> {
    let (next_stage, effects) = match state.stage() {
        Stage::Queued { holds } => queued(holds, input)?,
        Stage::Provisioning(Course::On { holds }) => provisioning(holds, input)?,
        Stage::Provisioning(Course::Ending(ending)) => provisioning_ending(ending, input)?,
        Stage::Executing(Course::On { holds }) => executing(holds, state.review(), input)?,
        Stage::Executing(Course::Ending(ending)) => executing_ending(ending, input)?,
        Stage::AwaitingReview => return awaiting_review(*state, input),
        Stage::Completed => return Err(Denied::AlreadyCompleted),
        Stage::Failed(_) => return Err(Denied::AlreadyFailed),
        Stage::Cancelled => return Err(Denied::AlreadyCancelled),
    };
    Ok(Advance { state: StepState::from_parts(state.attempt(), state.review(), next_stage), effects })
}

type Next = Result<(Stage, Vec<Effect>), Denied>;

fn queued(holds: Holds, input: Input) -> Next {
    match input {
        Input::SlotGranted if holds.is_empty() => {
            Ok((Stage::Provisioning(Course::On { holds: Holds::NONE }), vec![Effect::Provision]))
        }
        Input::SlotGranted => Err(Denied::Held),
        Input::Cancel => Ok((Stage::Cancelled, Vec::new())),
        Input::Hold(hold) => Ok((Stage::Queued { holds: held(holds, hold)? }, Vec::new())),
        Input::Release(hold) => {
            let holds = released(holds, hold)?;
            Ok((Stage::Queued { holds }, on_last_release(holds, Effect::AwaitSlot)))
        }
        Input::Approve | Input::RequestChanges | Input::Reject => Err(Denied::NotDoneYet),
        Input::Provisioned
        | Input::ProvisionFailed(_)
        | Input::AgentExited(_)
        | Input::LimitReached(_)
        | Input::GuestBroken
        | Input::SandboxLost
        | Input::Ended => Err(Denied::NoSlotYet),
    }
}

fn provisioning(holds: Holds, input: Input) -> Next {
    match input {
        Input::Provisioned => {
            let effects = if holds.is_empty() { Vec::new() } else { vec![Effect::StopAgent] };
            Ok((Stage::Executing(Course::On { holds }), effects))
        }
        Input::ProvisionFailed(why) => Ok((Stage::Failed(Failure::Provision(why)), over())),
        Input::SandboxLost => Ok((Stage::Failed(Failure::SandboxLost), over())),
        Input::Cancel => Ok(end(Stage::Provisioning, Ending::Cancel)),
        Input::LimitReached(limit) => Ok(end(Stage::Provisioning, Ending::Limit(limit))),
        Input::GuestBroken => Ok(end(Stage::Provisioning, Ending::GuestBroken)),
        // There is no agent yet that could be stopped or go on: `Provisioned` looks at the holds.
        Input::Hold(hold) => Ok((Stage::Provisioning(Course::On { holds: held(holds, hold)? }), Vec::new())),
        Input::Release(hold) => Ok((Stage::Provisioning(Course::On { holds: released(holds, hold)? }), Vec::new())),
        Input::SlotGranted => Err(Denied::SlotTaken),
        Input::AgentExited(_) => Err(Denied::StillProvisioning),
        Input::Ended => Err(Denied::NotEnding),
        Input::Approve | Input::RequestChanges | Input::Reject => Err(Denied::NotDoneYet),
    }
}

fn provisioning_ending(ending: Ending, input: Input) -> Next {
    match input {
        // The agent was started in the same moment. It is at work, so it has to be ended as one that is.
        Input::Provisioned => Ok(end(Stage::Executing, ending)),
        Input::ProvisionFailed(_) | Input::SandboxLost | Input::Ended => Ok((ended(ending), over())),
        Input::SlotGranted => Err(Denied::SlotTaken),
        Input::AgentExited(_) => Err(Denied::StillProvisioning),
        Input::Cancel | Input::LimitReached(_) | Input::GuestBroken | Input::Hold(_) | Input::Release(_) => {
            Err(Denied::AlreadyEnding)
        }
        Input::Approve | Input::RequestChanges | Input::Reject => Err(Denied::NotDoneYet),
    }
}

fn executing(holds: Holds, review: ReviewGate, input: Input) -> Next {
    match input {
        Input::AgentExited(Exit::Success) => match review {
            ReviewGate::Ask => Ok((Stage::AwaitingReview, over())),
            ReviewGate::Skip => Ok((Stage::Completed, over())),
        },
        Input::AgentExited(Exit::Failure) => Ok((Stage::Failed(Failure::Agent), over())),
        Input::SandboxLost => Ok((Stage::Failed(Failure::SandboxLost), over())),
        Input::Cancel => Ok(end(Stage::Executing, Ending::Cancel)),
        Input::LimitReached(limit) => Ok(end(Stage::Executing, Ending::Limit(limit))),
        Input::GuestBroken => Ok(end(Stage::Executing, Ending::GuestBroken)),
        Input::Hold(hold) => {
            let effects = if holds.is_empty() { vec![Effect::StopAgent] } else { Vec::new() };
            Ok((Stage::Executing(Course::On { holds: held(holds, hold)? }), effects))
        }
        Input::Release(hold) => {
            let holds = released(holds, hold)?;
            Ok((Stage::Executing(Course::On { holds }), on_last_release(holds, Effect::ContinueAgent)))
        }
        Input::SlotGranted => Err(Denied::SlotTaken),
        Input::Provisioned | Input::ProvisionFailed(_) => Err(Denied::AlreadyExecuting),
        Input::Ended => Err(Denied::NotEnding),
        Input::Approve | Input::RequestChanges | Input::Reject => Err(Denied::NotDoneYet),
    }
}

fn executing_ending(ending: Ending, input: Input) -> Next {
    match input {
        // However the agent says it ended: what was recorded before it was seen to end counts.
        Input::AgentExited(_) | Input::SandboxLost | Input::Ended => Ok((ended(ending), over())),
        Input::SlotGranted => Err(Denied::SlotTaken),
        Input::Provisioned | Input::ProvisionFailed(_) => Err(Denied::AlreadyExecuting),
        Input::Cancel | Input::LimitReached(_) | Input::GuestBroken | Input::Hold(_) | Input::Release(_) => {
            Err(Denied::AlreadyEnding)
        }
        Input::Approve | Input::RequestChanges | Input::Reject => Err(Denied::NotDoneYet),
    }
}

fn awaiting_review(state: StepState, input: Input) -> Result<Advance, Denied> {
    let to = |stage| {
        Ok(Advance { state: StepState::from_parts(state.attempt(), state.review(), stage), effects: Vec::new() })
    };
    match input {
        Input::Approve => to(Stage::Completed),
        Input::Reject => to(Stage::Failed(Failure::Rejected)),
        Input::Cancel => to(Stage::Cancelled),
        Input::RequestChanges if state.attempt() < ATTEMPTS_MAX => Ok(Advance {
            state: StepState::from_parts(state.attempt() + 1, state.review(), Stage::Queued { holds: Holds::NONE }),
            effects: vec![Effect::AwaitSlot],
        }),
        Input::RequestChanges => Err(Denied::AttemptsSpent),
        Input::Hold(_) => Err(Denied::NothingToHold),
        Input::Release(_) => Err(Denied::NotHeld),
        Input::SlotGranted => Err(Denied::SlotTaken),
        Input::Provisioned
        | Input::ProvisionFailed(_)
        | Input::AgentExited(_)
        | Input::LimitReached(_)
        | Input::GuestBroken
        | Input::SandboxLost
        | Input::Ended => Err(Denied::AgentDone),
    }
}

/// Records the ending in the given stage and has it begun.
fn end(stage: impl FnOnce(Course) -> Stage, ending: Ending) -> (Stage, Vec<Effect>) {
    (stage(Course::Ending(ending)), vec![Effect::EndAgent])
}

/// Where an ending leads.
const fn ended(ending: Ending) -> Stage {
    match ending {
        Ending::Cancel => Stage::Cancelled,
        Ending::Limit(limit) => Stage::Failed(Failure::Limit(limit)),
        Ending::GuestBroken => Stage::Failed(Failure::GuestBroken),
    }
}

/// What is left to do once nothing of the agent is left.
fn over() -> Vec<Effect> {
    vec![Effect::FinalizeResults, Effect::RemoveSandbox]
}

fn held(holds: Holds, hold: Hold) -> Result<Holds, Denied> {
    if holds.contains(hold) { Err(Denied::AlreadyHeld) } else { Ok(holds.with(hold)) }
}

fn released(holds: Holds, hold: Hold) -> Result<Holds, Denied> {
    if holds.contains(hold) { Ok(holds.without(hold)) } else { Err(Denied::NotHeld) }
}

fn on_last_release(holds: Holds, effect: Effect) -> Vec<Effect> {
    if holds.is_empty() { vec![effect] } else { Vec::new() }
}
