//! Who works next: a bounded number of sandboxes at once, first come first served, one step per home.
//!
//! Pure. The runner asks after every change and on a timer; the answer depends on nothing but what is put in.

use std::collections::HashSet;

use wire::ids::{AgentId, StepId};

/// A step that waits for a slot, and is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Which.
    pub(crate) step: StepId,
    /// Whose home it needs.
    pub(crate) agent: AgentId,
}

/// Why a step that waits does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// All slots are taken; that many are before it.
    Slot {
        /// Steps before it in line.
        before: usize,
    },
    /// Another step is in its home.
    Home,
}

/// What to do with those that wait.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// These start now.
    pub(crate) start: Vec<StepId>,
    /// These wait, and why.
    pub(crate) wait: Vec<(StepId, Wait)>,
}

/// Plans with `slots_free` slots, the homes in use, and those that wait in the order in which they came.
pub(crate) fn plan(slots_free: usize, homes_in_use: &HashSet<AgentId>, waiting: &[Waiting]) -> Plan {
    let mut plan = Plan::default();
    let mut homes_in_use = homes_in_use.clone();
    let mut before = 0;
    for candidate in waiting {
        if homes_in_use.contains(&candidate.agent) {
            plan.wait.push((candidate.step, Wait::Home));
        } else if plan.start.len() < slots_free {
            homes_in_use.insert(candidate.agent);
            plan.start.push(candidate.step);
        } else {
            plan.wait.push((candidate.step, Wait::Slot { before }));
            before += 1;
        }
    }
    plan
}

/// How many sandboxes work at once: one per core, each with two GiB; at least one, at most eight.
pub(crate) fn default_slots(cpus: u32, memory_bytes: u64) -> usize {
    const MEMORY_EACH: u64 = 2 << 30;
    let by_memory = u32::try_from(memory_bytes / MEMORY_EACH).unwrap_or(u32::MAX);
    usize::try_from(cpus.min(by_memory).clamp(1, 8)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::new_id;

    #[test]
    fn a_step_whose_home_is_in_use_lets_the_next_one_pass() {
        let (busy, free) = (new_id(), new_id());
        let first = Waiting { step: new_id(), agent: busy };
        let second = Waiting { step: new_id(), agent: free };
        let plan = plan(2, &HashSet::from([busy]), &[first, second]);
        assert_eq!(plan.start, [second.step]);
        assert_eq!(plan.wait, [(first.step, Wait::Home)]);
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
        fn no_plan_breaks_a_bound_or_an_order(slots_free in 0_usize..6, agents in prop::collection::vec(0_usize..4, 0..12)) {
            let homes: Vec<AgentId> = (0..4).map(|_| new_id()).collect();
            let in_use = HashSet::from([homes[0]]);
            let waiting: Vec<Waiting> =
                agents.iter().map(|agent| Waiting { step: new_id(), agent: homes[*agent] }).collect();
            let plan = plan(slots_free, &in_use, &waiting);

            prop_assert!(plan.start.len() <= slots_free);
            prop_assert_eq!(plan.start.len() + plan.wait.len(), waiting.len());
            let agent_of = |step: &StepId| waiting.iter().find(|one| one.step == *step).unwrap().agent;
            let started: Vec<AgentId> = plan.start.iter().map(agent_of).collect();
            prop_assert_eq!(started.iter().collect::<HashSet<_>>().len(), started.len());
            prop_assert!(started.iter().all(|agent| !in_use.contains(agent)));
            // Whoever waits for a slot has nobody behind it that got one with a home that was free for both.
            if plan.wait.iter().any(|(_, wait)| matches!(wait, Wait::Slot { .. })) {
                prop_assert_eq!(plan.start.len(), slots_free);
            }
        }
    }
}
