//! Why a step is being ended, and why one failed.

use wire::ErrorCode;

/// A limit that ends a step once it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The time of one attempt.
    WallClock,
    /// The bytes that one attempt may print.
    Output,
    /// The memory of the sandbox: the kernel ended a process for it.
    Memory,
    /// The disk that the workspace and the growth of the home take.
    Disk,
}

/// What stood in the way of a sandbox with its agent at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProvisionFailure {
    /// The engine refused, failed or did not answer.
    Engine,
    /// The image is missing or cannot be used.
    Image,
    /// The workspace could not be prepared.
    Workspace,
    /// The guest did not answer, or not as a guest does.
    Guest,
    /// The agent's program could not be started.
    Agent,
}

/// Why a step that has a sandbox is being ended. Recorded at once; the final phase comes when all of it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// A person said so.
    Cancel,
    /// A limit was reached.
    Limit(Limit),
    /// The guest broke the protocol of the pipe, so nothing it says counts any more.
    GuestBroken,
}

/// Why a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// It never got to work.
    Provision(ProvisionFailure),
    /// The agent ended with an error of its own.
    Agent,
    /// A limit was reached.
    Limit(Limit),
    /// The sandbox was gone before the agent was done.
    SandboxLost,
    /// The guest broke the protocol of the pipe.
    GuestBroken,
    /// A person turned the work down.
    Rejected,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 4] = [Self::WallClock, Self::Output, Self::Memory, Self::Disk];
}

impl ProvisionFailure {
    /// Every one of them.
    pub const ALL: [Self; 5] = [Self::Engine, Self::Image, Self::Workspace, Self::Guest, Self::Agent];
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 6] = [
        Self::Cancel,
        Self::Limit(Limit::WallClock),
        Self::Limit(Limit::Output),
        Self::Limit(Limit::Memory),
        Self::Limit(Limit::Disk),
        Self::GuestBroken,
    ];

    /// The name in data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Limit(Limit::WallClock) => "limit_wall_clock",
            Self::Limit(Limit::Output) => "limit_output",
            Self::Limit(Limit::Memory) => "limit_memory",
            Self::Limit(Limit::Disk) => "limit_disk",
            Self::GuestBroken => "guest_broken",
        }
    }

    /// The ending of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| ending.name() == name)
    }
}

impl Failure {
    /// Every failure.
    pub const ALL: [Self; 13] = [
        Self::Provision(ProvisionFailure::Engine),
        Self::Provision(ProvisionFailure::Image),
        Self::Provision(ProvisionFailure::Workspace),
        Self::Provision(ProvisionFailure::Guest),
        Self::Provision(ProvisionFailure::Agent),
        Self::Agent,
        Self::Limit(Limit::WallClock),
        Self::Limit(Limit::Output),
        Self::Limit(Limit::Memory),
        Self::Limit(Limit::Disk),
        Self::SandboxLost,
        Self::GuestBroken,
        Self::Rejected,
    ];

    /// The name in data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provision(ProvisionFailure::Engine) => "provision_engine",
            Self::Provision(ProvisionFailure::Image) => "provision_image",
            Self::Provision(ProvisionFailure::Workspace) => "provision_workspace",
            Self::Provision(ProvisionFailure::Guest) => "provision_guest",
            Self::Provision(ProvisionFailure::Agent) => "provision_agent",
            Self::Agent => "agent",
            Self::Limit(Limit::WallClock) => "limit_wall_clock",
            Self::Limit(Limit::Output) => "limit_output",
            Self::Limit(Limit::Memory) => "limit_memory",
            Self::Limit(Limit::Disk) => "limit_disk",
            Self::SandboxLost => "sandbox_lost",
            Self::GuestBroken => "guest_broken",
            Self::Rejected => "rejected",
        }
    }

    /// The failure of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.name() == name)
    }

    /// The code that a script reads where nobody knows it more exactly.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Provision(ProvisionFailure::Engine) => ErrorCode::EngineFailed,
            Self::Provision(ProvisionFailure::Image) => ErrorCode::ImageUnusable,
            Self::Provision(ProvisionFailure::Workspace) => ErrorCode::Storage,
            Self::Provision(ProvisionFailure::Agent) => ErrorCode::AgentNotStarted,
            Self::Provision(ProvisionFailure::Guest) | Self::GuestBroken => ErrorCode::GuestBroken,
            Self::Agent => ErrorCode::AgentFailed,
            Self::Limit(_) => ErrorCode::LimitReached,
            Self::SandboxLost => ErrorCode::SandboxLost,
            Self::Rejected => ErrorCode::Rejected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_data_leads_back() {
        for ending in Ending::ALL {
            assert_eq!(Ending::from_name(ending.name()), Some(ending));
        }
        for failure in Failure::ALL {
            assert_eq!(Failure::from_name(failure.name()), Some(failure));
        }
    }

    #[test]
    fn nothing_is_missing_from_the_lists() {
        for limit in Limit::ALL {
            assert!(Ending::ALL.contains(&Ending::Limit(limit)));
            assert!(Failure::ALL.contains(&Failure::Limit(limit)));
        }
        for why in ProvisionFailure::ALL {
            assert!(Failure::ALL.contains(&Failure::Provision(why)));
        }
    }
}
