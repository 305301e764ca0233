//! The plan, asked again and again as the runner does, against the rule said the other way round: who may start, and who is first of
//! those. A crash is a plan that was made and not carried out.

use std::collections::HashMap;

use proptest::prelude::*;
use wire::{
    Priority,
    ids::{AgentId, StepId},
};

use super::{Gate, Waiting, plan};
use crate::clock::new_id;

/// Something that happens to the queue. Steps are named by where they stand among all; names past the end mean nobody.
#[derive(Clone, Debug)]
enum Deed {
    Asked { agent: usize, priority: Priority },
    Held(usize),
    LetGo(usize),
    Over(usize),
    Turned(usize, Priority),
    Slots(usize),
    Paused,
    Opened,
    Granted,
    Crashed,
}

#[derive(Clone, Copy, PartialEq)]
enum Where {
    Queued,
    Live,
    Over,
}

struct Step {
    waiting: Waiting,
    is_held: bool,
    place: Where,
}

struct World {
    homes: Vec<AgentId>,
    steps: Vec<Step>,
    slots: usize,
    is_paused: bool,
}

impl World {
    fn live(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.place == Where::Live)
    }

    fn can_start(&self, step: &Step) -> bool {
        step.place == Where::Queued
            && !step.is_held
            && !self.is_paused
            && self.live().count() < self.slots
            && self.live().all(|live| live.waiting.agent != step.waiting.agent)
    }

    /// By the rule itself: of those that can start, the one of the highest priority that was asked for first.
    fn first(&self) -> Option<StepId> {
        let can: Vec<_> = self.steps.iter().filter(|step| self.can_start(step)).collect();
        let highest = can.iter().map(|step| step.waiting.priority).max()?;
        let first = can.iter().filter(|step| step.waiting.priority == highest).min_by_key(|step| step.waiting.place);
        first.map(|step| step.waiting.step)
    }

    /// As the runner asks.
    fn planned(&self) -> super::Plan {
        let homes_in_use: HashMap<_, _> =
            self.live().map(|step| (step.waiting.agent, super::Occupant::Step(step.waiting.step))).collect();
        let line = self.steps.iter().filter(|step| step.place == Where::Queued && !step.is_held);
        let gate = if self.is_paused {
            Gate::Paused
        } else {
            Gate::Open { slots_free: self.slots.saturating_sub(self.live().count()) }
        };
        plan(gate, &homes_in_use, line.map(|step| step.waiting).collect())
    }

    fn grant(&mut self) -> Option<StepId> {
        let started = self.planned().start.first().copied()?;
        let step = self.steps.iter_mut().find(|step| step.waiting.step == started).unwrap();
        step.place = Where::Live;
        Some(started)
    }

    fn happens(&mut self, deed: &Deed) {
        match deed {
            Deed::Asked { agent, priority } => {
                let place = i64::try_from(self.steps.len()).unwrap();
                let waiting = Waiting { step: new_id(), agent: self.homes[*agent], priority: *priority, place };
                self.steps.push(Step { waiting, is_held: false, place: Where::Queued });
            }
            Deed::Held(at) => self.change(*at, |step| step.is_held = true),
            Deed::LetGo(at) => self.change(*at, |step| step.is_held = false),
            Deed::Over(at) => self.change(*at, |step| step.place = Where::Over),
            Deed::Turned(at, priority) => self.change(*at, |step| step.waiting.priority = *priority),
            Deed::Slots(count) => self.slots = *count,
            Deed::Paused => self.is_paused = true,
            Deed::Opened => self.is_paused = false,
            Deed::Granted => {}
            Deed::Crashed => drop(self.planned()),
        }
    }

    fn change(&mut self, at: usize, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.steps.get_mut(at) {
            change(step);
        }
    }
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let priority = || prop::sample::select(&Priority::ALL[..]);
    let one = prop_oneof![
        4 => (0_usize..4, priority()).prop_map(|(agent, priority)| Deed::Asked { agent, priority }),
        1 => (0_usize..20).prop_map(Deed::Held),
        1 => (0_usize..20).prop_map(Deed::LetGo),
        3 => (0_usize..20).prop_map(Deed::Over),
        1 => (0_usize..20, priority()).prop_map(|(at, priority)| Deed::Turned(at, priority)),
        1 => (1_usize..5).prop_map(Deed::Slots),
        1 => Just(Deed::Paused),
        2 => Just(Deed::Opened),
        6 => Just(Deed::Granted),
        1 => Just(Deed::Crashed),
    ];
    prop::collection::vec(one, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn whoever_starts_is_the_first_that_can_and_in_the_end_everybody_has(deeds in deeds()) {
        let homes = (0..4).map(|_| new_id()).collect();
        let mut world = World { homes, steps: Vec::new(), slots: 2, is_paused: false };
        for deed in &deeds {
            world.happens(deed);
            let first = world.first();
            // Everybody that waits is told why, or starts.
            let plan = world.planned();
            let line = world.steps.iter().filter(|step| step.place == Where::Queued && !step.is_held).count();
            prop_assert_eq!(plan.start.len() + plan.wait.len(), line);
            if matches!(deed, Deed::Granted) {
                prop_assert_eq!(world.grant(), first);
            }
            prop_assert!(!plan.start.is_empty() || first.is_none());
        }
        world.is_paused = false;
        for step in &mut world.steps {
            step.is_held = false;
        }
        // At each turn one starts or one ends, so this many are enough.
        for _ in 0..2 * world.steps.len() {
            let first = world.first();
            prop_assert_eq!(world.grant(), first);
            if first.is_none()
                && let Some(live) = world.steps.iter_mut().find(|step| step.place == Where::Live)
            {
                live.place = Where::Over;
            }
        }
        prop_assert!(world.steps.iter().all(|step| step.place != Where::Queued));
    }
}
