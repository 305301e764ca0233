//! What a step's change is told as: events for its log, and words for a failure.

use lifecycle::{Failure, Input, StepState};
use wire::{ErrorCode, ErrorView, EventKind};

use crate::fault_points::Point;
use crate::faults;

/// What a person said with an input.
pub(super) fn said(input: Input, comment: String) -> Vec<EventKind> {
    match input {
        Input::RequestChanges => vec![EventKind::Comment { comment }],
        Input::Reject if !comment.is_empty() => vec![EventKind::Rejected { comment }],
        Input::SlotGranted
        | Input::Provisioned
        | Input::ProvisionFailed(_)
        | Input::AgentExited(_)
        | Input::LimitReached(_)
        | Input::GuestBroken
        | Input::SandboxLost
        | Input::Ended
        | Input::Approve
        | Input::Reject
        | Input::Cancel
        | Input::Hold(_)
        | Input::Release(_) => Vec::new(),
    }
}

/// What an input is when it is written down.
pub(super) const fn point_of(input: Input) -> Point {
    match input {
        Input::SlotGranted => Point::SlotRecord,
        Input::Provisioned => Point::StartRecord,
        Input::AgentExited(_) | Input::Ended => Point::EndRecord,
        Input::ProvisionFailed(_) | Input::GuestBroken | Input::SandboxLost => Point::FailureRecord,
        Input::LimitReached(_) => Point::LimitRecord,
        Input::Hold(_) | Input::Release(_) => Point::HoldRecord,
        Input::Approve => Point::Approve,
        Input::RequestChanges => Point::RequestChanges,
        Input::Reject => Point::Reject,
        Input::Cancel => Point::Cancel,
    }
}

/// What a step's change is told as.
pub(super) fn tell_of(before: StepState, after: StepState, input: Input, error: Option<&ErrorView>) -> Vec<EventKind> {
    let mut events = Vec::new();
    match input {
        Input::Hold(hold) => events.push(EventKind::Held { hold }),
        Input::Release(hold) => events.push(EventKind::Released { hold }),
        Input::Cancel if after.ending().is_some() => events.push(EventKind::Note { text: "Stopping the agent".into() }),
        Input::SlotGranted
        | Input::Provisioned
        | Input::ProvisionFailed(_)
        | Input::AgentExited(_)
        | Input::LimitReached(_)
        | Input::GuestBroken
        | Input::SandboxLost
        | Input::Ended
        | Input::Approve
        | Input::RequestChanges
        | Input::Reject
        | Input::Cancel => {}
    }
    if (before.phase(), before.attempt()) != (after.phase(), after.attempt()) {
        events.push(EventKind::PhaseChanged {
            from: before.phase(),
            to: after.phase(),
            attempt: after.attempt(),
            error: error.cloned(),
        });
    }
    events
}

/// The words for a failure of which nothing more is known, as after a crash.
pub(super) fn usual_error(failure: Failure, events: &[EventKind]) -> ErrorView {
    let message = match failure {
        Failure::Rejected => {
            let why = events.iter().find_map(|event| {
                if let EventKind::Rejected { comment } = event { Some(comment.as_str()) } else { None }
            });
            return ErrorView::new(ErrorCode::Rejected, "You rejected the work.").detail(why.unwrap_or_default());
        }
        Failure::Limit(lifecycle::Limit::WallClock) => "The agent was ended: its time was up.",
        Failure::Limit(lifecycle::Limit::Output) => "The agent was ended: it printed more than it may.",
        Failure::Limit(lifecycle::Limit::Memory) => "The agent was ended: the sandbox reached its memory limit.",
        Failure::Limit(lifecycle::Limit::Disk) => "The agent was ended: its files took more disk than they may.",
        Failure::Agent => "The agent ended with an error.",
        Failure::SandboxLost => "The sandbox was lost while the agent worked.",
        Failure::GuestBroken => {
            return faults::of_pipe(&pipe::PipeError::Violation { what: "see the step's log" });
        }
        Failure::Provision(_) => "The sandbox could not be made.",
    };
    ErrorView::new(failure.code(), message).hint("What it printed until then is kept. Retry the task.")
}
