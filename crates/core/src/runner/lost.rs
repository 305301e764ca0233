//! The words for a sandbox that was lost while its agent worked: what is known, never a guess.

use std::time::Duration;

use engine::{ContainerId, ContainerState};
use pipe::ProcessId;
use wire::{ErrorCode, ErrorView, ids::SandboxId};

use super::exit;
use crate::sandbox;

/// What there is of a sandbox that is lost.
#[derive(Debug)]
pub(crate) enum Remains {
    /// Its container, which has ended.
    Ended { container: ContainerId, state: ContainerState },
    /// Perhaps its spool; the container is gone.
    Removed { sandbox: SandboxId },
    /// Its container, which the host puts down since nobody reaches its guest.
    PutDown { container: ContainerId, why: OutOfReach },
}

/// Why the host puts a sandbox down that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutOfReach {
    /// Its guest was out of reach for that long, longer than its agent may work.
    TooLong(Duration),
    /// It was to end, and did not hear it.
    ToEnd,
}

/// A sandbox that is lost, and whose output and exit may still be found.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) remains: Remains,
    pub(crate) process: ProcessId,
    pub(crate) engine: Meanwhile,
}

/// What the engine did between the last sign of life and the look that found the sandbox lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// It answered all the time, as far as this process knows.
    Answered,
    /// It was away.
    Away {
        /// Whether sandboxes would have outlived that, by its settings now.
        is_live_restore: bool,
    },
}

impl Lost {
    /// Whether the kernel ended the sandbox's first process for want of memory. The engine notes any kill for it, so that the code has
    /// to agree.
    pub(crate) fn is_killed_for_memory(&self) -> bool {
        const KILLED: i64 = 137;
        let Remains::Ended { state: ContainerState::Exited(exit), .. } = &self.remains else { return false };
        exit.oom_killed && exit.code == Some(KILLED)
    }

    /// Nothing in the spool says how the agent ended.
    pub(crate) fn without_a_word(&self, last_lines: String) -> ErrorView {
        let message = match (&self.remains, self.engine) {
            (Remains::Ended { state, .. }, Meanwhile::Answered) => {
                format!("The sandbox ended while the agent worked: {}.", sandbox::words_for(state))
            }
            (Remains::Ended { state, .. }, Meanwhile::Away { .. }) => format!(
                "The engine went away while the agent worked, and when it was back the sandbox had ended: {}.",
                sandbox::words_for(state)
            ),
            (Remains::PutDown { why, .. }, _) => why.words(),
            (Remains::Removed { .. }, Meanwhile::Answered) => {
                "The sandbox was removed from outside while the agent worked.".to_owned()
            }
            (Remains::Removed { .. }, Meanwhile::Away { .. }) => {
                "The engine went away while the agent worked, and when it was back it had no such sandbox any more."
                    .to_owned()
            }
        };
        error(self.engine, message, last_lines)
    }
}

impl OutOfReach {
    fn words(self) -> String {
        match self {
            Self::TooLong(silent) => format!(
                "Berth ended the sandbox: it was out of reach for {}, longer than its agent may work.",
                exit::seconds(silent.as_secs())
            ),
            Self::ToEnd => "Berth ended the sandbox: it was to end and was out of reach.".to_owned(),
        }
    }
}

/// The guest wrote down, or said, that it was asked to end from outside.
pub(crate) fn ended_from_outside(engine: Meanwhile, last_lines: String) -> ErrorView {
    let message = match engine {
        Meanwhile::Away { .. } => "The engine went away while the agent worked, and the sandbox was ended meanwhile.",
        Meanwhile::Answered => {
            "The sandbox was ended from outside while the agent worked: the engine or the machine was stopped, or someone stopped the container."
        }
    };
    error(engine, message.to_owned(), last_lines)
}

fn error(engine: Meanwhile, message: String, last_lines: String) -> ErrorView {
    let advice = match engine {
        Meanwhile::Away { is_live_restore: false } => {
            " With `live-restore` on in the engine's settings, sandboxes outlive its restarts."
        }
        Meanwhile::Away { is_live_restore: true } | Meanwhile::Answered => "",
    };
    ErrorView::new(ErrorCode::SandboxLost, message)
        .hint(format!("What it printed until then is kept. Retry the task to run it again.{advice}"))
        .detail(last_lines)
}

#[cfg(test)]
mod tests {
    use engine::Exit;

    use super::*;

    fn lost(state: Option<ContainerState>, engine: Meanwhile) -> Lost {
        let container = ContainerId::parse("0".repeat(64)).unwrap();
        let remains = match state {
            Some(state) => Remains::Ended { container, state },
            None => Remains::Removed { sandbox: crate::clock::new_id() },
        };
        Lost { remains, process: ProcessId::from_bytes([7; 16]), engine }
    }

    fn exited(code: i64, oom_killed: bool) -> ContainerState {
        ContainerState::Exited(Exit { code: Some(code), oom_killed, finished_at: None, error: String::new() })
    }

    #[test]
    fn the_engine_is_named_where_it_was_away_and_memory_where_the_kernel_says_so() {
        let away = Meanwhile::Away { is_live_restore: false };
        for engine in [Meanwhile::Answered, away] {
            for (state, is_memory) in
                [(exited(137, false), false), (exited(137, true), true), (exited(1, false), false)]
            {
                let message = lost(Some(state), engine).without_a_word(String::new()).message;
                assert_eq!(message.contains("engine"), engine == away, "{message}");
                assert_eq!(message.contains("memory"), is_memory, "{message}");
            }
            let removed = lost(None, engine).without_a_word(String::new()).message;
            assert_eq!(removed.contains("engine"), engine == away, "{removed}");
            assert_eq!(removed.contains("removed"), engine != away, "{removed}");
        }
    }

    #[test]
    fn live_restore_is_advised_where_it_would_have_helped() {
        let hint = |engine| ended_from_outside(engine, String::new()).hint;
        assert!(hint(Meanwhile::Away { is_live_restore: false }).contains("live-restore"));
        assert!(!hint(Meanwhile::Away { is_live_restore: true }).contains("live-restore"));
        assert!(!hint(Meanwhile::Answered).contains("live-restore"));
    }
}
