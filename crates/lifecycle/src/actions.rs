//! What a person can do to a step now, and why not the rest. Every skin draws just this.

use wire::{Action, ActionView};

use crate::{
    advance::{Input, advance},
    denied::Denied,
    state::StepState,
};

/// Every action as it stands for this step, in the order in which they are drawn. It asks [`advance`] itself, so that
/// the two cannot disagree.
pub fn actions(state: &StepState) -> Vec<ActionView> {
    Action::ALL
        .into_iter()
        .map(|action| {
            let answer = match Input::of_action(action) {
                Some(input) => advance(state, input).map(|_| ()),
                None => retry(state),
            };
            ActionView { action, denied: answer.err().map(|denied| denied.reason().to_owned()) }
        })
        .collect()
}

/// Whether the task can be run once more: only when this step is over.
pub const fn retry(state: &StepState) -> Result<(), Denied> {
    if state.phase().is_final() { Ok(()) } else { Err(Denied::NotOver) }
}
