//! What sandboxes used of the machine, and what that comes to at a person's own rates.

use store::{ComputeSum, CostSpan, StoreError};
use wire::{
    ErrorCode, ErrorView, EventKind,
    call::{SetComputeRates, ShowCompute},
    compute::{ComputeCosts, ComputeLine, ComputeRates, ComputeUse, ComputeView},
    stream::Update,
};

use super::costs;
use crate::faults;
use crate::house::House;

/// The setting that has the rates.
const RATES: &str = "compute.rates";
/// Most lines of one view.
const LINES_MAX: u32 = 200;

/// What was used in a span of time.
pub(crate) async fn show(house: &House, call: &ShowCompute) -> Result<ComputeCosts, ErrorView> {
    costs::check_span(call.from, call.until)?;
    let failed = |error: StoreError| faults::of_storage("read what sandboxes used", &error);
    let rates = rates(house).await.map_err(failed)?;
    let span = CostSpan { from: call.from, until: call.until };
    let sums = house.store.compute_by(call.by, span, LINES_MAX).await.map_err(failed)?;
    let line = |sum: ComputeSum| ComputeLine {
        key: costs::key(call.by, sum.label.as_deref(), sum.key),
        label: costs::label(call.by, sum.label, sum.removed_at, sum.task),
        run: sum.run,
        task: sum.task,
        compute: at(rates, sum.used),
    };
    Ok(ComputeCosts {
        from: call.from,
        until: call.until,
        total: at(rates, sums.total),
        by: call.by,
        lines: sums.lines.into_iter().map(line).collect(),
        lines_total: sums.lines_total,
        rates,
    })
}

/// Sets the rates, or takes them away.
pub(crate) async fn set_rates(house: &House, call: &SetComputeRates) -> Result<ComputeCosts, ErrorView> {
    let is_right = |rates: ComputeRates| {
        [rates.container, rates.cpu, rates.memory_gib].iter().all(|rate| rate.0 >= 0 && *rate <= ComputeRates::MAX)
    };
    if !call.rates.is_none_or(is_right) {
        return Err(ErrorView::new(ErrorCode::InvalidArgument, "Those are no rates.")
            .hint("Give each from $0 to $1,000,000 an hour."));
    }
    let text = match call.rates {
        Some(_) => "Compute time has other rates now",
        None => "Compute time has no rates any more",
    };
    let events = vec![EventKind::Note { text: text.to_owned() }];
    let set = house.store.change_setting(RATES, &call.rates, events, house.time.now()).await;
    set.map_err(|error| faults::of_storage("write the rates down", &error))?;
    house.tell(Update::Costs);
    show(house, &ShowCompute::default()).await
}

/// What a step's sandboxes used.
pub(crate) async fn of_step(house: &House, step: wire::ids::StepId) -> Result<Option<ComputeView>, StoreError> {
    let Some(used) = house.store.compute_of(step).await? else { return Ok(None) };
    Ok(Some(at(rates(house).await?, used)))
}

async fn rates(house: &House) -> Result<Option<ComputeRates>, StoreError> {
    Ok(house.store.setting::<Option<ComputeRates>>(RATES).await?.flatten())
}

fn at(rates: Option<ComputeRates>, used: ComputeUse) -> ComputeView {
    ComputeView { used, cost: rates.map(|rates| rates.cost(&used)) }
}
