//! From the phases of the steps to the phase of their run.

use wire::Phase;

/// The order in which a phase speaks for the whole run: what needs a person, then what goes on, then what waits; a run
/// is over only when all its steps are, and then a failure outweighs a cancellation and that a completion.
const PRECEDENCE: [Phase; 7] = [
    Phase::AwaitingReview,
    Phase::Executing,
    Phase::Provisioning,
    Phase::Queued,
    Phase::Failed,
    Phase::Cancelled,
    Phase::Completed,
];

/// The phase of a run whose steps are in these phases, in whatever order. A run without steps has yet to begin: queued.
pub fn run_phase(steps: &[Phase]) -> Phase {
    PRECEDENCE.into_iter().find(|phase| steps.contains(phase)).unwrap_or(Phase::Queued)
}

/// Which step speaks for its run: the first in the run's phase, or the last of all where every one is completed. `None`
/// for a run without steps.
pub fn current_step(steps: &[Phase]) -> Option<usize> {
    let phase = run_phase(steps);
    if phase == Phase::Completed { steps.len().checked_sub(1) } else { steps.iter().position(|step| *step == phase) }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    #[test]
    fn a_run_of_one_step_is_where_its_step_is() {
        for phase in Phase::ALL {
            assert_eq!(run_phase(&[phase]), phase);
        }
        assert_eq!(run_phase(&[]), Phase::Queued);
    }

    #[test]
    fn a_run_shows_what_matters_most() {
        use Phase::{AwaitingReview, Cancelled, Completed, Executing, Failed, Provisioning, Queued};
        for (steps, run) in [
            (&[Completed, Queued, Queued][..], Queued),
            (&[Completed, Provisioning, Queued], Provisioning),
            (&[Completed, Executing, Queued], Executing),
            (&[Executing, AwaitingReview], AwaitingReview),
            (&[Failed, Executing], Executing),
            (&[Failed, Queued], Queued),
            (&[Completed, Failed, Cancelled], Failed),
            (&[Completed, Cancelled], Cancelled),
            (&[Completed, Completed], Completed),
        ] {
            assert_eq!(run_phase(steps), run, "{steps:?}");
        }
    }

    #[test]
    fn the_step_that_speaks_is_the_one_at_work_or_the_last_done() {
        use Phase::{Completed, Executing, Failed, Queued};
        for (steps, current) in [
            (&[][..], None),
            (&[Queued, Queued], Some(0)),
            (&[Completed, Executing, Queued], Some(1)),
            (&[Completed, Failed, Completed], Some(1)),
            (&[Completed, Completed], Some(1)),
        ] {
            assert_eq!(current_step(steps), current, "{steps:?}");
        }
    }

    proptest! {
        #[test]
        fn a_run_is_over_exactly_when_all_its_steps_are(steps in prop::collection::vec(select(&Phase::ALL), 1..8)) {
            prop_assert_eq!(run_phase(&steps).is_final(), steps.iter().all(|phase| phase.is_final()));
        }

        #[test]
        fn a_run_has_the_phase_of_one_of_its_steps_in_any_order(steps in prop::collection::vec(select(&Phase::ALL), 1..8)) {
            let backwards: Vec<_> = steps.iter().rev().copied().collect();
            prop_assert_eq!(run_phase(&steps), run_phase(&backwards));
            prop_assert!(steps.contains(&run_phase(&steps)));
        }
    }
}
