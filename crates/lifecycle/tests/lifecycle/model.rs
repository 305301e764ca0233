//! The machine against a small model that is built the other way round: facts and rules about them instead of states,
//! and a world in which the effects are carried out.

use std::collections::BTreeSet;

use lifecycle::{Effect, Ending, Exit, Failure, Input, StepState, advance};
use proptest::{prelude::*, sample::select};
use wire::{Hold, Phase, task::ReviewGate};

/// What is so of a step.
#[allow(clippy::struct_excessive_bools, reason = "a model of plain facts, unlike the states it checks")]
struct Facts {
    attempt: u32,
    is_reviewed: bool,
    has_slot: bool,
    has_agent: bool,
    is_done: bool,
    holds: BTreeSet<Hold>,
    ending: Option<Ending>,
    over: Option<Over>,
}

#[derive(Clone, Copy, PartialEq)]
enum Over {
    Completed,
    Cancelled,
    Failed(Failure),
}

impl Facts {
    fn new(review: ReviewGate) -> Self {
        Self {
            attempt: 1,
            is_reviewed: review == ReviewGate::Ask,
            has_slot: false,
            has_agent: false,
            is_done: false,
            holds: BTreeSet::new(),
            ending: None,
            over: None,
        }
    }

    /// Whether it is allowed; and if so, it has happened.
    fn happens(&mut self, input: Input) -> bool {
        if self.over.is_some() {
            return false;
        }
        let in_sandbox = self.has_slot && !self.is_done;
        let allowed = match input {
            Input::SlotGranted => !self.has_slot && self.holds.is_empty(),
            Input::Provisioned | Input::ProvisionFailed(_) => in_sandbox && !self.has_agent,
            Input::AgentExited(_) => in_sandbox && self.has_agent,
            Input::SandboxLost => in_sandbox,
            Input::Ended => in_sandbox && self.ending.is_some(),
            Input::LimitReached(_) | Input::GuestBroken => in_sandbox && self.ending.is_none(),
            Input::Cancel => self.ending.is_none(),
            Input::Approve | Input::Reject | Input::RequestChanges => self.is_done,
            Input::Hold(hold) => !self.is_done && self.ending.is_none() && !self.holds.contains(&hold),
            Input::Release(hold) => self.holds.contains(&hold),
        };
        if allowed {
            self.follow(input, in_sandbox);
        }
        allowed
    }

    fn follow(&mut self, input: Input, in_sandbox: bool) {
        match input {
            Input::SlotGranted => self.has_slot = true,
            Input::Provisioned => self.has_agent = true,
            Input::ProvisionFailed(why) => self.is_over(Over::Failed(Failure::Provision(why))),
            Input::AgentExited(Exit::Success) if self.is_reviewed && self.ending.is_none() => {
                self.is_done = true;
                self.holds.clear();
            }
            Input::AgentExited(Exit::Success) | Input::Approve => self.is_over(Over::Completed),
            Input::AgentExited(Exit::Failure) => self.is_over(Over::Failed(Failure::Agent)),
            Input::SandboxLost | Input::Ended => self.is_over(Over::Failed(Failure::SandboxLost)),
            Input::LimitReached(limit) => self.is_ending(Ending::Limit(limit)),
            Input::GuestBroken => self.is_ending(Ending::GuestBroken),
            Input::Cancel if in_sandbox => self.is_ending(Ending::Cancel),
            Input::Cancel => self.is_over(Over::Cancelled),
            Input::Reject => self.is_over(Over::Failed(Failure::Rejected)),
            Input::RequestChanges => {
                (self.has_slot, self.has_agent, self.is_done) = (false, false, false);
                self.attempt += 1;
            }
            Input::Hold(hold) => drop(self.holds.insert(hold)),
            Input::Release(hold) => drop(self.holds.remove(&hold)),
        }
    }

    fn is_ending(&mut self, ending: Ending) {
        self.ending = Some(ending);
        self.holds.clear();
    }

    /// An ending that was recorded first overrules how it came to its end.
    fn is_over(&mut self, over: Over) {
        self.holds.clear();
        self.over = Some(match self.ending.take() {
            None => over,
            Some(Ending::Cancel) => Over::Cancelled,
            Some(Ending::Limit(limit)) => Over::Failed(Failure::Limit(limit)),
            Some(Ending::GuestBroken) => Over::Failed(Failure::GuestBroken),
        });
    }

    fn phase(&self) -> Phase {
        match self.over {
            Some(Over::Completed) => Phase::Completed,
            Some(Over::Cancelled) => Phase::Cancelled,
            Some(Over::Failed(_)) => Phase::Failed,
            None if self.is_done => Phase::AwaitingReview,
            None if self.has_agent => Phase::Executing,
            None if self.has_slot => Phase::Provisioning,
            None => Phase::Queued,
        }
    }

    fn failure(&self) -> Option<Failure> {
        match self.over {
            Some(Over::Failed(failure)) => Some(failure),
            Some(Over::Completed | Over::Cancelled) | None => None,
        }
    }
}

/// What the effects have made.
#[derive(Clone, Debug, Default, PartialEq)]
struct World {
    has_sandbox: bool,
    is_stopped: bool,
    is_ending: bool,
}

impl World {
    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::AwaitSlot | Effect::FinalizeResults => {}
            Effect::Provision => self.has_sandbox = true,
            Effect::StopAgent => self.is_stopped = true,
            Effect::ContinueAgent => self.is_stopped = false,
            Effect::EndAgent => self.is_ending = true,
            Effect::RemoveSandbox => *self = Self::default(),
        }
    }
}

fn gates() -> impl Strategy<Value = ReviewGate> {
    prop_oneof![Just(ReviewGate::Ask), Just(ReviewGate::Skip)]
}

/// Mostly what leads on, so that the later phases are seen as often as the first.
fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let onward = [
        Input::SlotGranted,
        Input::Provisioned,
        Input::AgentExited(Exit::Success),
        Input::RequestChanges,
        Input::Hold(Hold::Person),
        Input::Release(Hold::Person),
        Input::Hold(Hold::Engine),
        Input::Release(Hold::Engine),
    ];
    prop::collection::vec(prop_oneof![3 => select(onward.to_vec()), 1 => select(Input::ALL.to_vec())], 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn the_machine_does_what_the_model_does(review in gates(), inputs in inputs()) {
        let mut facts = Facts::new(review);
        let mut state = StepState::new(review);
        for input in inputs {
            let answer = advance(&state, input);
            let happened = facts.happens(input);
            prop_assert_eq!(answer.is_ok(), happened, "{:?} in {:?}: {:?}", input, state, answer);
            if let Ok(next) = answer {
                state = next.state;
            }
            prop_assert_eq!(state.phase(), facts.phase(), "after {:?}", input);
            prop_assert_eq!(state.attempt(), facts.attempt);
            prop_assert_eq!(state.review(), review);
            prop_assert_eq!(state.holds().iter().collect::<BTreeSet<_>>(), facts.holds.clone());
            prop_assert_eq!(state.ending(), facts.ending);
            prop_assert_eq!(state.failure(), facts.failure());
        }
    }

    #[test]
    fn the_effects_keep_the_world_as_the_state_says(review in gates(), inputs in inputs()) {
        let mut world = World::default();
        let mut state = StepState::new(review);
        for input in inputs {
            let Ok(next) = advance(&state, input) else { continue };
            state = next.state;
            for effect in next.effects {
                world.carry_out(effect);
                let once = world.clone();
                world.carry_out(effect);
                prop_assert_eq!(&world, &once, "{:?} carried out twice is not the same as once", effect);
            }
            prop_assert_eq!(world.has_sandbox, state.phase().is_live(), "{:?}", state);
            prop_assert_eq!(world.is_ending, state.ending().is_some(), "{:?}", state);
            if state.phase() == Phase::Executing && state.ending().is_none() {
                prop_assert_eq!(world.is_stopped, !state.holds().is_empty(), "{:?}", state);
            }
        }
    }
}
