//! What an attempt tells its step's actor, and what the actor orders.

use lifecycle::{Exit, Limit, ProvisionFailure};
use wire::{ErrorView, Hold, ids::SandboxId};

/// From an attempt to the actor of its step.
#[derive(Debug)]
pub(crate) enum Report {
    /// A stage of making the sandbox begins.
    Stage(Stage),
    /// There is a sandbox now, newly made or found at work.
    Sandbox { sandbox: SandboxId, how: Found },
    /// The app is connected to the guest, or not.
    Connected(bool),
    /// The agent was started.
    Provisioned,
    /// It could not be.
    ProvisionFailed(ProvisionFailure, ErrorView),
    /// Nothing of the agent's process tree is left.
    AgentExited { exit: Exit, how: String, error: Option<ErrorView> },
    /// A limit was reached.
    LimitReached(Limit, ErrorView),
    /// The guest is not one to listen to any more.
    GuestBroken(ErrorView),
    /// The sandbox is gone, and nobody knows how the agent ended.
    SandboxLost(ErrorView),
    /// What an order to end asked for is done.
    Ended,
    /// There is a reason not to go on, that only the attempt sees.
    Hold(Hold),
    /// That reason is gone.
    Release(Hold),
    /// Something for the step's log that no other report says.
    Note(String),
}

/// How a sandbox came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It was made.
    Made,
    /// It was at work when the app came back.
    AtWork,
}

/// From the actor to the attempt of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Stop the agent's tree where it is.
    Stop,
    /// Let it go on.
    Continue,
    /// End it.
    End,
}

/// The stages of making a sandbox, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Image,
    Guest,
    Workspace,
    Container,
    Start,
    Agent,
}

impl Stage {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Image, Self::Guest, Self::Workspace, Self::Container, Self::Start, Self::Agent];

    /// What a person reads.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Image => "Looking for the image",
            Self::Guest => "Bringing the guest",
            Self::Workspace => "Preparing the workspace",
            Self::Container => "Making the container",
            Self::Start => "Starting the sandbox",
            Self::Agent => "Starting the agent",
        }
    }

    /// Its number, from 1.
    pub(crate) fn number(self) -> u32 {
        Self::ALL.into_iter().zip(1..).find(|(stage, _)| *stage == self).map_or(0, |(_, number)| number)
    }

    /// How many there are.
    pub(crate) const COUNT: u32 = 6;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_numbered_in_order() {
        let numbers: Vec<_> = Stage::ALL.into_iter().map(Stage::number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        assert_eq!(Stage::COUNT, 6);
    }
}
