//! Properties of all states and all inputs, tried out one by one.

use std::collections::{BTreeMap, HashSet};

use lifecycle::{Denied, Effect, Input, Stage, StepState, actions, advance, retry};
use wire::{Action, task::ReviewGate};

use crate::states::{every_columns, kinds};

/// All that can become of a new step.
fn reachable() -> HashSet<StepState> {
    let mut found = HashSet::new();
    let mut fresh = vec![StepState::new(ReviewGate::Ask), StepState::new(ReviewGate::Skip)];
    while let Some(state) = fresh.pop() {
        if found.insert(state) {
            fresh.extend(Input::ALL.iter().filter_map(|input| advance(&state, *input).ok()).map(|next| next.state));
        }
    }
    found
}

#[test]
fn columns_hold_exactly_the_states_that_a_step_can_get_to() {
    let restored: HashSet<_> = every_columns().filter_map(|columns| StepState::restore(columns).ok()).collect();
    let reachable = reachable();
    for state in &reachable {
        assert_eq!(StepState::restore(state.columns()), Ok(*state));
        assert!(restored.contains(state), "{state:?} can be got to and not be read");
    }
    for state in &restored {
        assert!(reachable.contains(state), "{state:?} can be read and not be got to");
    }
    assert_eq!(restored.len(), reachable.len());
}

#[test]
fn no_input_is_allowed_twice_in_a_row() {
    for state in reachable() {
        for input in Input::ALL {
            if let Ok(next) = advance(&state, input) {
                assert!(advance(&next.state, input).is_err(), "{state:?} takes {input:?} twice");
            }
        }
    }
}

#[test]
fn a_step_that_is_over_stays_as_it_is() {
    for state in reachable().into_iter().filter(|state| state.phase().is_final()) {
        let reasons: HashSet<_> = Input::ALL
            .into_iter()
            .map(|input| advance(&state, input))
            .collect::<Vec<_>>()
            .into_iter()
            .map(Result::unwrap_err)
            .collect();
        assert_eq!(reasons.len(), 1, "{state:?} gives several reasons");
    }
}

#[test]
fn every_step_that_gets_a_sandbox_gives_it_back() {
    for state in reachable() {
        for input in Input::ALL {
            let Ok(next) = advance(&state, input) else { continue };
            let before = state.phase().is_live();
            let after = next.state.phase().is_live();
            assert_eq!(next.effects.contains(&Effect::Provision), !before && after, "{state:?} {input:?}");
            let over = [Effect::FinalizeResults, Effect::RemoveSandbox];
            assert_eq!(next.effects == over, before && !after, "{state:?} {input:?}");
            assert_eq!(next.effects.contains(&Effect::RemoveSandbox), before && !after);
        }
    }
}

#[test]
fn every_state_has_a_way_to_its_end() {
    for state in reachable().into_iter().filter(|state| !state.phase().is_final()) {
        let cancelled = match advance(&state, Input::Cancel) {
            Ok(next) => next.state,
            Err(denied) => {
                assert_eq!(denied, Denied::AlreadyEnding, "{state:?}");
                state
            }
        };
        let gone =
            if cancelled.phase().is_live() { advance(&cancelled, Input::Ended).unwrap().state } else { cancelled };
        assert!(gone.phase().is_final(), "{state:?} ends as {gone:?}");
    }
}

#[test]
fn an_exit_that_was_seen_wins_over_a_later_cancel() {
    for (name, state) in kinds().into_iter().filter(|(_, state)| matches!(state.stage(), Stage::Executing(_))) {
        let before = advance(&state, Input::Cancel).map_or(state, |next| next.state);
        let ended = advance(&before, Input::AgentExited(lifecycle::Exit::Success)).unwrap().state;
        assert!(
            matches!(ended.stage(), Stage::Cancelled | Stage::Failed(_)),
            "{name}: a cancel before the exit counts"
        );
        if state.ending().is_none() {
            let exited = advance(&state, Input::AgentExited(lifecycle::Exit::Failure)).unwrap().state;
            assert_eq!(
                advance(&exited, Input::Cancel),
                Err(Denied::AlreadyFailed),
                "{name}: a cancel after it does not"
            );
        }
    }
}

#[test]
fn actions_say_what_the_machine_does() {
    for state in reachable() {
        let views = actions(&state);
        assert_eq!(views.iter().map(|view| view.action).collect::<Vec<_>>(), Action::ALL);
        let denied: BTreeMap<_, _> = views.into_iter().map(|view| (view.action.label(), view.denied)).collect();
        for action in Action::ALL {
            let expected = match Input::of_action(action) {
                Some(input) => advance(&state, input).err(),
                None => retry(&state).err(),
            };
            assert_eq!(denied[action.label()].as_deref(), expected.map(Denied::reason), "{state:?} {action:?}");
        }
        let is_possible = |action: Action| denied[action.label()].is_none();
        assert_eq!(is_possible(Action::Retry), state.phase().is_final());
        assert!(!(is_possible(Action::Pause) && is_possible(Action::Resume)), "{state:?} can be paused and resumed");
    }
}

#[test]
fn every_reason_is_given_somewhere() {
    let mut given: HashSet<_> = [Denied::NotOver].into();
    for state in reachable() {
        given.extend(Input::ALL.iter().filter_map(|input| advance(&state, *input).err()));
    }
    for denied in Denied::ALL {
        assert!(given.contains(&denied), "{denied:?} is never given");
    }
}
