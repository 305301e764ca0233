//! The states that the tests look at.

use lifecycle::{ATTEMPTS_MAX, Columns, Ending, Failure, Holds, Limit, StepState};
use wire::{Hold, Phase, task::ReviewGate};

/// One state of each kind, with a name for it: what the table has a section for.
pub(crate) fn kinds() -> Vec<(&'static str, StepState)> {
    let plain = |phase| columns(phase, ReviewGate::Ask);
    let person = Holds::NONE.with(Hold::Person);
    [
        ("Queued", plain(Phase::Queued)),
        ("Queued, held by a person", Columns { holds: person, ..plain(Phase::Queued) }),
        ("Provisioning", plain(Phase::Provisioning)),
        ("Provisioning, held by a person", Columns { holds: person, ..plain(Phase::Provisioning) }),
        ("Provisioning, being cancelled", Columns { ending: Some(Ending::Cancel), ..plain(Phase::Provisioning) }),
        (
            "Provisioning, being ended at a limit",
            Columns { ending: Some(Ending::Limit(Limit::WallClock)), ..plain(Phase::Provisioning) },
        ),
        ("Executing", plain(Phase::Executing)),
        ("Executing, nobody reviews", columns(Phase::Executing, ReviewGate::Skip)),
        ("Executing, held by a person", Columns { holds: person, ..plain(Phase::Executing) }),
        ("Executing, being cancelled", Columns { ending: Some(Ending::Cancel), ..plain(Phase::Executing) }),
        (
            "Executing, being ended at a limit",
            Columns { ending: Some(Ending::Limit(Limit::WallClock)), ..plain(Phase::Executing) },
        ),
        ("Awaiting review", plain(Phase::AwaitingReview)),
        ("Awaiting review of the last attempt", Columns { attempt: ATTEMPTS_MAX, ..plain(Phase::AwaitingReview) }),
        ("Completed", plain(Phase::Completed)),
        ("Failed", Columns { failure: Some(Failure::Agent), ..plain(Phase::Failed) }),
        ("Cancelled", plain(Phase::Cancelled)),
    ]
    .map(|(name, columns)| (name, StepState::restore(columns).unwrap()))
    .to_vec()
}

/// Every combination of columns there is, possible or not.
pub(crate) fn every_columns() -> impl Iterator<Item = Columns> {
    Phase::ALL.into_iter().flat_map(|phase| {
        [ReviewGate::Ask, ReviewGate::Skip].into_iter().flat_map(move |review| {
            every_holds().flat_map(move |holds| {
                optional(&Ending::ALL).flat_map(move |ending| {
                    optional(&Failure::ALL).flat_map(move |failure| {
                        (0..=ATTEMPTS_MAX + 1).map(move |attempt| Columns {
                            phase,
                            attempt,
                            review,
                            holds,
                            ending,
                            failure,
                        })
                    })
                })
            })
        })
    })
}

fn every_holds() -> impl Iterator<Item = Holds> {
    (0..1_usize << Hold::ALL.len()).map(|bits| {
        Hold::ALL.into_iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, hold)| hold).collect()
    })
}

fn optional<T: Copy>(all: &'static [T]) -> impl Iterator<Item = Option<T>> {
    std::iter::once(None).chain(all.iter().copied().map(Some))
}

fn columns(phase: Phase, review: ReviewGate) -> Columns {
    Columns { phase, attempt: 1, review, holds: Holds::NONE, ending: None, failure: None }
}
