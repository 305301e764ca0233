//! Budgets: looked at before a request, not after.
//!
//! A request to a model is let through while what is spent and what requests under way may still cost is below the limit of every
//! budget that it falls under; then what it may cost itself is set aside until it has ended. So a budget is overspent by less than one
//! request at a time, never by many at once. Of a reply that was not counted whole all stays set aside that was: an agent that breaks
//! its replies off gains nothing. What has no known price falls under no budget that there is: it is refused until it
//! has one.
//!
//! A subscription's requests cost no money of their own: they fall under no budget, and are metered all the same.
//!
//! Where it is only what requests under way may cost that leaves no room, the request waits until one of them has ended. A step that
//! is refused because money is gone is held with its cause. Its agent rests, is then told with a status after which clients try
//! again, and so goes on by itself once there is room.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use gateway::ModelCall;
use gateway::Stopped;
use gateway::price::{OwnPrice, Prices, Rate};
use jiff::{Timestamp, tz::TimeZone};
use lifecycle::Input;
use store::{BudgetKey, BudgetRecord, BudgetSpan, BudgetWarning, CostScope, EventScope, StoreError, Used};
use tracing::{debug, warn};
use wire::{
    EventKind, Hold, MicroUsd,
    cost::Rates,
    ids::{AgentId, RunId, StepId, TaskId},
    secret::Provider,
    stream::Update,
};

use crate::house::House;
use crate::runner::handle::{Away, StepHandle};

/// At these parts of a budget, in percent, a person is told.
const WARNED_AT: [u32; 2] = [100, 80];
/// How often it is looked whether steps that a budget holds can go on: a month may have begun.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// For whom something is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose {
    pub(super) task: TaskId,
    pub(super) run: RunId,
    pub(super) step: StepId,
    pub(super) agent: AgentId,
}

/// What a request may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// Nothing.
    Free,
    /// At most that.
    AtMost(MicroUsd),
    /// Nobody knows.
    Unpriced {
        /// The model.
        model: String,
    },
}

/// Why a request to a model goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A budget has no room.
    Spent {
        /// Which, in words.
        budget: String,
        limit: MicroUsd,
        used: MicroUsd,
    },
    /// A budget has room, but requests under way may need it.
    SetAside {
        /// Which, in words.
        budget: String,
        limit: MicroUsd,
        used: MicroUsd,
    },
    /// A budget cannot be kept.
    Unpriced {
        /// Which, in words.
        budget: String,
        model: String,
    },
    /// It is not known what is spent.
    Unknown,
}

impl Verdict {
    /// For the list of requests.
    pub(super) fn for_person(&self) -> String {
        match self {
            Self::Spent { budget, limit, used } => {
                format!("The {budget} is spent: {used} of {limit}. Raise it, and the step goes on by itself.")
            }
            Self::SetAside { budget, limit, used } => {
                format!(
                    "The {budget} has no room until requests under way have ended: {used} of {limit} is spent or set aside for them."
                )
            }
            Self::Unpriced { budget, model } => {
                format!(
                    "The model {model} has no known price, so the {budget} cannot be kept. Set one, or take the budget away."
                )
            }
            Self::Unknown => "What is spent cannot be read now.".to_owned(),
        }
    }

    /// For the program that asked.
    pub(super) fn for_client(&self) -> Stopped {
        match self {
            // Said with a status after which clients try again: the step is held meanwhile.
            Self::Spent { .. } | Self::SetAside { .. } | Self::Unpriced { .. } => {
                Stopped::Later { reason: self.for_person() }
            }
            Self::Unknown => Stopped::NotWritten { reason: self.for_person() },
        }
    }

    /// Whether only a person, or another month, gives room again.
    fn holds(&self) -> bool {
        match self {
            Self::Spent { .. } | Self::Unpriced { .. } => true,
            Self::SetAside { .. } | Self::Unknown => false,
        }
    }
}

/// Prices as they stand: a person's own, and the table. `None` where they cannot be read.
pub(super) async fn prices(house: &House) -> Option<Arc<Prices>> {
    let read = async {
        let own = house.store.prices().await;
        let own = own.inspect_err(|error| warn!(%error, "the prices of a person's own cannot be read")).ok()?;
        let own = own.into_iter().filter_map(|price| own_price(&price.model, &price.rates)).collect();
        crate::blocking::off_runtime(move || Prices::new(own)).await.ok()
    };
    house.access.prices.or_read(read).await
}

/// A person changed a price, and that is written down.
pub(super) async fn forget_prices(house: &House) {
    house.access.prices.forget().await;
}

/// The name under which the table has a provider.
pub(super) fn table_name(provider: Provider) -> &'static str {
    match provider {
        Provider::Anthropic => "anthropic",
        Provider::Openai => "openai",
        Provider::Gemini => "google",
    }
}

/// The same by the name of a route.
pub(super) fn table_name_of(route: &str) -> &str {
    match Provider::from_name(route) {
        Some(provider) => table_name(provider),
        None => route,
    }
}

/// A price by the name under which a person set it: `anthropic/claude-sonnet-4-5`, or `openai/*` for all that have none of their own.
pub(super) fn own_price(name: &str, rates: &Rates) -> Option<OwnPrice> {
    let (provider, model) = name.split_once('/')?;
    let provider = Provider::from_name(provider)?;
    if model.is_empty() {
        return None;
    }
    let rate = |amount: Option<MicroUsd>| match amount {
        Some(amount) => Rate::per_million(amount).map(Some),
        None => Some(None),
    };
    Some(OwnPrice {
        provider: table_name(provider).to_owned(),
        model: (model != "*").then(|| model.to_owned()),
        input: Rate::per_million(rates.input)?,
        cache_read: rate(rates.cache_read)?,
        cache_write: rate(rates.cache_write)?,
        output: Rate::per_million(rates.output)?,
        output_tokens_max: None,
    })
}

/// What a call may cost. What a subscription pays for costs no money, so no budget is in its way, and no price has to be known.
pub(super) async fn demand(house: &House, call: &ModelCall) -> Demand {
    let Some(demand) = call.demand.as_ref().filter(|_| call.credential.is_key()) else { return Demand::Free };
    let prices = prices(house).await;
    let reserve = prices.and_then(|prices| prices.reserve(table_name_of(&call.route), demand, house.time.now()));
    match reserve {
        Some(reserve) => Demand::AtMost(reserve),
        None => Demand::Unpriced { model: crate::escape::visible(demand.model.as_bytes()) },
    }
}

/// Whether a request may go, and what is set aside for it. The purse is held.
pub(super) async fn judge(house: &House, whose: &Whose, demand: &Demand) -> Result<MicroUsd, Verdict> {
    if *demand == Demand::Free {
        return Ok(MicroUsd(0));
    }
    let unknown = |error: StoreError| {
        warn!(%error, "what is spent cannot be read, so a request does not leave");
        Verdict::Unknown
    };
    // What is gone in one budget counts before what is only set aside in another.
    let mut set_aside = None;
    for budget in budgets_for(house, whose).await.map_err(unknown)? {
        if let Demand::Unpriced { model } = demand {
            return Err(Verdict::Unpriced { budget: label(&budget), model: model.clone() });
        }
        let used = used(house, whose, &budget).await.map_err(unknown)?;
        let (gone, taken) = (gone(&used), total(&used));
        if gone >= budget.limit {
            return Err(Verdict::Spent { budget: label(&budget), limit: budget.limit, used: gone });
        }
        if taken >= budget.limit {
            set_aside.get_or_insert(Verdict::SetAside { budget: label(&budget), limit: budget.limit, used: taken });
        }
    }
    if let Some(verdict) = set_aside {
        return Err(verdict);
    }
    Ok(match demand {
        Demand::AtMost(reserve) => *reserve,
        Demand::Free | Demand::Unpriced { .. } => MicroUsd(0),
    })
}

/// What is gone, or may be: no end of a request gives it back.
fn gone(used: &Used) -> MicroUsd {
    MicroUsd(used.spent.amount.0.saturating_add(used.withheld.0))
}

/// The same, and what requests under way may cost.
fn total(used: &Used) -> MicroUsd {
    MicroUsd(gone(used).0.saturating_add(used.reserved.0))
}

/// The budgets that something falls under: one of the run's own stands in the place of that of each run.
async fn budgets_for(house: &House, whose: &Whose) -> Result<Vec<BudgetRecord>, StoreError> {
    let mut budgets = house.store.budgets_of(whose.run, whose.agent).await?;
    let has_own = budgets.iter().any(|budget| matches!(budget.budget, BudgetKey::Run(_)));
    budgets.retain(|budget| !(has_own && budget.budget == BudgetKey::EachRun));
    Ok(budgets)
}

async fn used(house: &House, whose: &Whose, budget: &BudgetRecord) -> Result<Used, StoreError> {
    house.store.used(&scope_of(&budget.budget, whose.run, house.time.now())).await
}

/// What counts towards a budget now.
pub(super) fn scope_of(budget: &BudgetKey, run: RunId, now: Timestamp) -> CostScope {
    match budget {
        BudgetKey::EachRun => CostScope::Run(run),
        BudgetKey::Run(run) => CostScope::Run(*run),
        BudgetKey::Agent(agent) => CostScope::Agent { agent: *agent, since: month_of(now) },
        BudgetKey::Project(project) => CostScope::Project { project: *project, since: month_of(now) },
    }
}

/// When the month of a moment began (UTC).
pub(super) fn month_of(now: Timestamp) -> Timestamp {
    let month = now.to_zoned(TimeZone::UTC).date().first_of_month();
    month.to_zoned(TimeZone::UTC).map_or(now, |began| began.timestamp())
}

/// When the day of a moment began (UTC).
pub(crate) fn day_of(now: Timestamp) -> Timestamp {
    let day = now.to_zoned(TimeZone::UTC).date();
    day.to_zoned(TimeZone::UTC).map_or(now, |began| began.timestamp())
}

/// A budget in words, as they stand in a sentence.
pub(super) fn label(budget: &BudgetRecord) -> String {
    match &budget.budget {
        BudgetKey::EachRun => "budget of each run".to_owned(),
        BudgetKey::Run(_) => match budget.number {
            Some(number) => format!("budget of the run of #{number}"),
            None => "budget of the run".to_owned(),
        },
        BudgetKey::Agent(_) => format!("month's budget of the agent {}", budget.name),
        BudgetKey::Project(_) => format!("month's budget of the project {}", budget.name),
    }
}

/// Holds a step for its budget, where that is why its call goes no further.
pub(super) async fn hold(house: &House, whose: &Whose, call: &ModelCall, verdict: &Verdict) {
    if !verdict.holds() {
        return;
    }
    let step = whose.step;
    let model = match verdict {
        Verdict::Unpriced { model, .. } => Some(model.clone()),
        Verdict::Spent { .. } | Verdict::SetAside { .. } | Verdict::Unknown => None,
    };
    house.access.held.lock().unwrap_or_else(PoisonError::into_inner).insert(step, model);
    let Some(handle) = house.step(step) else { return };
    match handle.input(Input::Hold(Hold::Budget), verdict.for_person()).await {
        Ok(Ok(())) => {}
        Ok(Err(denied)) => return debug!(%step, ?denied, "the step is not held"),
        Err(Away) => return debug!(%step, "the step is over"),
    }
    // A person may have given room between the verdict and the hold, and then found nothing held.
    let demand = demand(house, call).await;
    let is_over = {
        let _purse = house.access.purse.lock().await;
        matches!(judge(house, whose, &demand).await, Ok(_) | Err(Verdict::SetAside { .. }))
    };
    if is_over {
        let_go(&handle).await;
    }
}

async fn let_go(handle: &StepHandle) {
    if let Ok(Err(denied)) = handle.input(Input::Release(Hold::Budget), String::new()).await {
        debug!(step = %handle.step, ?denied, "the step is not let go");
    }
}

/// Lets go of every step whose budgets have room again.
pub(crate) async fn recheck(house: &House, why: Recheck) {
    house.access.given_back.notify_waiters();
    for handle in house.steps() {
        if !handle.state().holds().contains(Hold::Budget) {
            house.access.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&handle.step);
            continue;
        }
        let unpriced = {
            let held = house.access.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.get(&handle.step).cloned().flatten()
        };
        // Time gives no model a price.
        if why == Recheck::Time && unpriced.is_some() {
            continue;
        }
        let Ok(record) = house.store.step(handle.step).await else { continue };
        let whose = Whose { task: handle.task, run: record.run, step: handle.step, agent: handle.agent };
        let verdict = {
            let _purse = house.access.purse.lock().await;
            judge(house, &whose, &Demand::AtMost(MicroUsd(0))).await
        };
        match verdict {
            Ok(_) | Err(Verdict::SetAside { .. }) => let_go(&handle).await,
            Err(Verdict::Spent { .. } | Verdict::Unpriced { .. } | Verdict::Unknown) => {}
        }
    }
}

/// Why it is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recheck {
    /// A person changed a budget or a price.
    Changed,
    /// Time went by.
    Time,
}

/// Looks now and then, until the app stops.
pub(crate) async fn run(house: Arc<House>) {
    loop {
        tokio::select! {
            () = house.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        recheck(&house, Recheck::Time).await;
    }
}

/// Tells a person how far the budgets of something are used up, once for each threshold.
pub(super) async fn warn(house: &House, whose: &Whose) {
    let budgets = match budgets_for(house, whose).await {
        Ok(budgets) => budgets,
        Err(error) => return warn!(%error, "the budgets cannot be read"),
    };
    for budget in budgets {
        let now = house.time.now();
        let scope = scope_of(&budget.budget, whose.run, now);
        let Ok(spent) = house.store.spent(&scope).await else { continue };
        let Some(percent) = reached(spent.amount, budget.limit) else { continue };
        let label = label(&budget);
        let span = match scope {
            CostScope::Run(run) => BudgetSpan::Run(run),
            CostScope::Agent { since, .. } | CostScope::Project { since, .. } | CostScope::All { since } => {
                BudgetSpan::Since(since)
            }
        };
        let warning = BudgetWarning {
            budget: budget.budget,
            span,
            percent,
            scope: EventScope { task: Some(whose.task), run: Some(whose.run), step: Some(whose.step) },
            events: vec![EventKind::BudgetUsed { budget: label, percent, limit: budget.limit }],
            at: now,
        };
        match house.store.warn_of_budget(warning).await {
            Ok(Some(_)) => {
                house.tell(Update::Task { task: whose.task });
                house.tell(Update::Costs);
            }
            Ok(None) => {}
            Err(error) => warn!(%error, "that a budget is nearly spent cannot be written down"),
        }
    }
}

/// The highest threshold that is reached.
fn reached(spent: MicroUsd, limit: MicroUsd) -> Option<u32> {
    let is_reached = |percent: &u32| i128::from(spent.0) * 100 >= i128::from(limit.0) * i128::from(*percent);
    WARNED_AT.into_iter().find(is_reached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_told_when_it_is_reached_and_the_highest_alone() {
        let limit = MicroUsd(1_000);
        for (spent, told) in
            [(0, None), (799, None), (800, Some(80)), (999, Some(80)), (1_000, Some(100)), (5_000, Some(100))]
        {
            assert_eq!(reached(MicroUsd(spent), limit), told, "{spent}");
        }
        assert_eq!(reached(MicroUsd(0), MicroUsd(0)), Some(100), "nothing is all of nothing");
    }

    #[test]
    fn days_and_months_begin_in_utc() {
        let at: Timestamp = "2026-11-28T11:30:00Z".parse().unwrap();
        assert_eq!(month_of(at), "2026-11-01T00:00:00Z".parse().unwrap());
        assert_eq!(day_of(at), "2026-11-28T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn a_price_is_of_a_known_provider_and_not_negative() {
        let rates = |input| Rates { input: MicroUsd(input), output: MicroUsd(2), ..Rates::default() };
        assert!(own_price("anthropic/claude-sonnet-4-5", &rates(1)).is_some());
        assert_eq!(own_price("openai/*", &rates(1)).unwrap().model, None);
        for (name, input) in [("claude", 1), ("nobody/x", 1), ("openai/", 1), ("openai/x", -1)] {
            assert!(own_price(name, &rates(input)).is_none(), "{name}");
        }
    }
}
