//! What a script reads without reading: the exit status.

use std::process::ExitCode;

use wire::Phase;

/// How the command ended. `2` is taken: clap ends with it where the command line makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Done,
    /// It is not; stderr says why.
    Failed,
    /// It is done, and the run that was waited for failed.
    RunFailed,
    /// It is done, and the run that was waited for was cancelled.
    RunCancelled,
    /// Whoever read the output stopped reading.
    NobodyReads,
    /// A person ended the command.
    Interrupted,
}

/// The statuses, as `berth run --help` and the manual list them.
pub(crate) const STATUSES: &str = "\
Exit status:
  0    done; of a run that was waited for: completed, or awaiting your review
  1    not done, stderr says why
  2    the command line makes no sense
  3    the run that was waited for failed
  4    the run that was waited for was cancelled
  130  interrupted";

impl Exit {
    /// How waiting for a run ends that has come to rest in that phase.
    pub(crate) const fn of_run(phase: Phase) -> Self {
        match phase {
            Phase::Completed | Phase::AwaitingReview => Self::Done,
            Phase::Failed => Self::RunFailed,
            Phase::Cancelled => Self::RunCancelled,
            Phase::Queued | Phase::Provisioning | Phase::Executing => Self::Failed,
        }
    }

    const fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::RunFailed => 3,
            Self::RunCancelled => 4,
            Self::Interrupted => 130,
            Self::NobodyReads => 141,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}
