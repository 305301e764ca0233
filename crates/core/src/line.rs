//! The queue as a person sets it: paused or not, how many at once, whose turn is first.
//!
//! The rules are a setting of the store, written down with their event before they are so. Whoever changes them, and whoever grants a
//! slot, takes a turn: once a call that pauses the queue has returned, nothing that was decided before starts any more.

use std::cmp::Reverse;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use store::{Store, StoreError};
use tokio::sync::MutexGuard;
use tokio::time::timeout;
use wire::{
    ErrorCode, ErrorView, EventKind, Phase, Priority,
    call::ChangeQueue,
    ids::TaskId,
    queue::{QueueState, QueueView, SLOTS_MAX, Slots},
    stream::Update,
    view::TaskRow,
};

use crate::dispatch::of_store;
use crate::house::House;
use crate::runner::schedule;
use crate::views;

/// The setting that holds the [`Rules`].
const SETTING: &str = "queue";
/// Rows of a view at most.
const ROWS_MAX: usize = 200;
/// How long to wait for a turn. It is long only where the one before cannot write to the data folder.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);

/// The rules of the queue. What an older Berth did not write is as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Rules {
    pub(crate) state: QueueState,
    pub(crate) slots: Slots,
}

/// The rules as they are now, and the turn of whoever acts on them.
#[derive(Debug, Default)]
pub(crate) struct Line {
    rules: Mutex<Rules>,
    turn: tokio::sync::Mutex<()>,
}

impl Line {
    /// With the rules that are written down.
    pub(crate) async fn read(store: &Store) -> Result<Self, StoreError> {
        let rules = store.setting(SETTING).await?.unwrap_or_default();
        Ok(Self { rules: Mutex::new(rules), turn: tokio::sync::Mutex::default() })
    }

    /// The rules.
    pub(crate) fn rules(&self) -> Rules {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets rules for this process alone.
    pub(crate) fn set(&self, rules: Rules) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Waits for a turn: nobody else changes the rules or grants a slot while it is held.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The same for a person, who does not wait for ever.
    pub(crate) async fn turn_soon(&self) -> Result<MutexGuard<'_, ()>, ErrorView> {
        timeout(TURN_WAIT_MAX, self.turn()).await.map_err(|_| {
            ErrorView::new(ErrorCode::Storage, "Berth waits for its data folder, so nothing was changed.")
                .hint("Look at the disk's free space, then try again.")
        })
    }
}

/// The queue at a glance.
pub(crate) async fn show(house: &House) -> Result<QueueView, ErrorView> {
    let rules = house.line.rules();
    let mut steps = house.steps();
    let slots_used = steps.iter().filter(|step| step.state().phase().is_live()).count();
    steps.retain(|step| step.state().phase() == Phase::Queued);
    steps.sort_by_key(|step| (!step.state().holds().is_empty(), Reverse(step.priority()), step.place));
    let left_out = steps.len().saturating_sub(ROWS_MAX);
    let mut listed = Vec::new();
    for step in steps.iter().take(ROWS_MAX) {
        listed.push(house.store.listed_task(step.task).await.map_err(|error| of_store(&error))?);
    }
    Ok(QueueView {
        state: rules.state,
        slots: rules.slots,
        slots_max: schedule::slots(house),
        slots_auto: schedule::slots_auto(house),
        slots_used: u32::try_from(slots_used).unwrap_or(u32::MAX),
        waiting: views::rows(house, listed).await.map_err(|error| of_store(&error))?,
        left_out: u64::try_from(left_out).unwrap_or(u64::MAX),
    })
}

/// Changes the rules.
pub(crate) async fn change(house: &House, change: ChangeQueue) -> Result<QueueView, ErrorView> {
    if let Some(Slots::Fixed { count }) = change.slots
        && !(1..=SLOTS_MAX).contains(&count)
    {
        let message = format!("{count} sandboxes at once are not possible.");
        let hint = format!("Give a number from 1 to {SLOTS_MAX}, or let Berth choose.");
        return Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint));
    }
    {
        let _turn = house.line.turn_soon().await?;
        let before = house.line.rules();
        let rules = Rules { state: change.state.unwrap_or(before.state), slots: change.slots.unwrap_or(before.slots) };
        if rules != before {
            let changed = EventKind::QueueChanged { state: rules.state, slots: rules.slots };
            let written = house.store.change_setting(SETTING, &rules, vec![changed], house.time.now()).await;
            written.map_err(|error| of_store(&error))?;
            house.line.set(rules);
        }
    }
    house.queue_nudge.notify_one();
    house.tell(Update::All);
    show(house).await
}

/// Changes a task's turn.
pub(crate) async fn set_priority(house: &House, task: TaskId, priority: Priority) -> Result<TaskRow, ErrorView> {
    {
        let _turn = house.line.turn_soon().await?;
        house.store.set_priority(task, priority, house.time.now()).await.map_err(|error| of_store(&error))?;
        for step in house.steps().iter().filter(|step| step.task == task) {
            step.set_priority(priority);
        }
    }
    house.queue_nudge.notify_one();
    house.tell(Update::All);
    let listed = house.store.listed_task(task).await.map_err(|error| of_store(&error))?;
    views::row(house, listed).await.map_err(|error| of_store(&error))
}
