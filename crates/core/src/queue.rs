//! Who works next: a bounded number of sandboxes at once, by priority and then first come first served, one step per home.
//!
//! Pure. The runner asks after every change and on a timer; the answer depends on nothing but what is put in. The rule in words is
//! in [`wire::queue`].

use std::cmp::Reverse;
use std::collections::HashMap;

use wire::{
    Priority,
    ids::{AgentId, StepId},
};

/// A step that waits for a slot, and is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Which.
    pub(crate) step: StepId,
    /// Whose home it needs.
    pub(crate) agent: AgentId,
    /// Its task's turn.
    pub(crate) priority: Priority,
    /// Its place in the order in which steps were asked for.
    pub(crate) place: i64,
}

impl Waiting {
    /// Sorts the first in line first.
    const fn turn(&self) -> (Reverse<Priority>, i64) {
        (Reverse(self.priority), self.place)
    }
}

/// Whether anything can start at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// As many as there are slots.
    Open {
        /// Slots that nobody has.
        slots_free: usize,
    },
    /// A person paused the queue.
    Paused,
    /// The engine does not answer.
    EngineAway,
    /// A disk has less room than it needs.
    DiskShort,
}

/// What is in a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occupant {
    /// A step.
    Step(StepId),
    /// Something that is done to the home itself: a reset, an export, an import.
    Work,
}

/// Why a step that waits does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// All slots are taken; that many are before it.
    Slot {
        /// Steps before it in line.
        before: usize,
    },
    /// Something else is in its home, or goes there now.
    Home {
        /// What.
        by: Occupant,
    },
    /// The queue is paused; that many are before it.
    Paused {
        /// Steps before it in line.
        before: usize,
    },
    /// The engine does not answer.
    Engine,
    /// A disk has less room than it needs.
    Disk,
}

/// What to do with those that wait.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// These start now, in this order.
    pub(crate) start: Vec<StepId>,
    /// These wait, the first in line first, and why.
    pub(crate) wait: Vec<(StepId, Wait)>,
}

/// Plans with the steps that are in a home now, and those that wait in any order.
pub(crate) fn plan(gate: Gate, homes_in_use: &HashMap<AgentId, Occupant>, mut waiting: Vec<Waiting>) -> Plan {
    waiting.sort_by_key(Waiting::turn);
    let mut plan = Plan::default();
    let mut homes_in_use = homes_in_use.clone();
    let mut before = 0;
    for candidate in waiting {
        let wait = match gate {
            Gate::EngineAway => Wait::Engine,
            Gate::DiskShort => Wait::Disk,
            Gate::Paused => Wait::Paused { before },
            Gate::Open { slots_free } => match homes_in_use.get(&candidate.agent) {
                Some(by) => Wait::Home { by: *by },
                None if plan.start.len() < slots_free => {
                    homes_in_use.insert(candidate.agent, Occupant::Step(candidate.step));
                    plan.start.push(candidate.step);
                    continue;
                }
                None => Wait::Slot { before },
            },
        };
        // Whoever waits for a home lets others pass, so it is before nobody.
        before += usize::from(!matches!(wait, Wait::Home { .. }));
        plan.wait.push((candidate.step, wait));
    }
    plan
}

/// How many sandboxes work at once: one per core, each with two GiB; at least one, at most eight.
pub(crate) fn default_slots(cpus: u32, memory_bytes: u64) -> u32 {
    const MEMORY_EACH: u64 = 2 << 30;
    let by_memory = u32::try_from(memory_bytes / MEMORY_EACH).unwrap_or(u32::MAX);
    cpus.min(by_memory).clamp(1, 8)
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::new_id;

    fn waiting(agent: AgentId, priority: Priority, place: i64) -> Waiting {
        Waiting { step: new_id(), agent, priority, place }
    }

    #[test]
    fn a_step_whose_home_is_in_use_lets_the_next_one_pass() {
        let (busy, free, by) = (new_id(), new_id(), Occupant::Step(new_id()));
        let first = waiting(busy, Priority::High, 1);
        let second = waiting(free, Priority::Low, 2);
        let plan = plan(Gate::Open { slots_free: 2 }, &HashMap::from([(busy, by)]), vec![second, first]);
        assert_eq!(plan.start, [second.step]);
        assert_eq!(plan.wait, [(first.step, Wait::Home { by })]);
    }

    #[test]
    fn priority_goes_before_place_and_place_decides_within_one() {
        let line: Vec<_> = [(Priority::Low, 1), (Priority::Normal, 2), (Priority::High, 4), (Priority::High, 3)]
            .map(|(priority, place)| waiting(new_id(), priority, place))
            .to_vec();
        let plan = plan(Gate::Open { slots_free: 2 }, &HashMap::new(), line.clone());
        assert_eq!(plan.start, [line[3].step, line[2].step]);
        let rest = [(line[1].step, Wait::Slot { before: 0 }), (line[0].step, Wait::Slot { before: 1 })];
        assert_eq!(plan.wait, rest);
    }

    #[test]
    fn the_first_in_line_takes_a_home_that_several_wait_for() {
        let agent = new_id();
        let (low, high) = (waiting(agent, Priority::Low, 1), waiting(agent, Priority::High, 2));
        let plan = plan(Gate::Open { slots_free: 5 }, &HashMap::new(), vec![low, high]);
        assert_eq!(plan.start, [high.step]);
        assert_eq!(plan.wait, [(low.step, Wait::Home { by: Occupant::Step(high.step) })]);
    }

    #[test]
    fn nothing_starts_while_the_queue_is_paused_or_the_engine_is_away() {
        let line = [waiting(new_id(), Priority::Normal, 1), waiting(new_id(), Priority::Normal, 2)];
        let paused = plan(Gate::Paused, &HashMap::new(), line.to_vec());
        assert_eq!(paused.start, []);
        assert_eq!(paused.wait[1], (line[1].step, Wait::Paused { before: 1 }));
        let away = plan(Gate::EngineAway, &HashMap::new(), line.to_vec());
        assert_eq!((away.start, away.wait[0].1), (Vec::new(), Wait::Engine));
    }

    #[test]
    fn slots_follow_from_cores_and_memory() {
        assert_eq!(default_slots(2, 24 << 30), 2);
        assert_eq!(default_slots(16, 4 << 30), 2);
        assert_eq!(default_slots(1, 0), 1);
        assert_eq!(default_slots(64, 1 << 40), 8);
    }

    proptest! {
        #[test]
        fn no_plan_breaks_a_bound_or_an_order(
            slots_free in 0_usize..6,
            line in prop::collection::vec((0_usize..4, prop::sample::select(&Priority::ALL)), 0..12),
        ) {
            let homes: Vec<AgentId> = (0..4).map(|_| new_id()).collect();
            let in_use = HashMap::from([(homes[0], Occupant::Work)]);
            let line: Vec<Waiting> = (1..)
                .zip(&line)
                .map(|(place, (agent, priority))| waiting(homes[*agent], *priority, place))
                .collect();
            let shuffled: Vec<_> = line.iter().rev().copied().collect();
            let plan = plan(Gate::Open { slots_free }, &in_use, shuffled);

            prop_assert!(plan.start.len() <= slots_free);
            prop_assert_eq!(plan.start.len() + plan.wait.len(), line.len());
            let of = |step: &StepId| line.iter().find(|one| one.step == *step).unwrap();
            let started: Vec<_> = plan.start.iter().map(of).collect();
            // Whoever waits although its home is free is behind everybody that started, and there was no slot left.
            for (step, wait) in &plan.wait {
                let waits = of(step);
                match wait {
                    Wait::Slot { .. } => {
                        prop_assert_eq!(plan.start.len(), slots_free);
                        prop_assert!(started.iter().all(|started| started.turn() < waits.turn()));
                    }
                    Wait::Home { by } => {
                        let in_it = started.iter().find(|started| started.agent == waits.agent);
                        prop_assert!(in_use.get(&waits.agent).copied().or(in_it.map(|in_it| Occupant::Step(in_it.step))) == Some(*by));
                        prop_assert!(in_it.is_none_or(|in_it| in_it.turn() < waits.turn()));
                    }
                    Wait::Paused { .. } | Wait::Engine | Wait::Disk => prop_assert!(false, "the gate is open"),
                }
            }
            for started in &started {
                prop_assert!(!in_use.contains_key(&started.agent));
            }
        }
    }
}
