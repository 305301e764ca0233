//! Finds what nobody owns, what could be made again, and what is not as it is written down; and brings it in order once a
//! person has said so.
//!
//! Looking changes nothing. Mending looks again, and acts only on what was named and is still there: what has come to be needed
//! meanwhile stays. Labels decide whose an object of the engine is; another installation's is counted and never touched.

mod folders;
mod objects;

use std::collections::HashMap;
use std::sync::Arc;

use wire::{
    ErrorCode, ErrorView,
    ids::RunId,
    upkeep::{Finding, Mended, OtherInstall, Outcome, ReclaimPlan, Remedy},
};

use crate::dispatch::of_store;
use crate::engine_link::Up;
use crate::house::House;
use crate::{faults, retention};

/// Keys that one call may name.
const KEYS_MAX: usize = 50_000;

/// What a look came to.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    pub(crate) others: Vec<OtherInstall>,
    /// Why a part of it is not known.
    pub(crate) errors: Vec<ErrorView>,
}

/// Looks at everything.
pub(crate) async fn look(house: &Arc<House>) -> Report {
    let mut report = Report::default();
    match house.link.up() {
        Ok(up) => match objects::look(house, &up).await {
            Ok(found) => {
                report.findings.extend(found.findings);
                report.others = found.others;
            }
            Err(error) => report.errors.push(faults::of_engine(&error)),
        },
        Err(error) => report.errors.push(error),
    }
    match folders::look(house).await {
        Ok(findings) => report.findings.extend(findings),
        Err(error) => report.errors.push(error),
    }
    report
}

/// What could go to make room, in two stages.
pub(crate) async fn plan_reclaim(house: &Arc<House>, older_than_s: Option<u64>) -> Result<ReclaimPlan, ErrorView> {
    house.link.looked_for().await;
    let caches = async {
        let up = house.link.up()?;
        let found = objects::look(house, &up).await.map_err(|error| faults::of_engine(&error))?;
        Ok(found.findings.into_iter().filter(|finding| finding.remedy == Remedy::Remove).collect())
    };
    let (caches, engine_error) = match caches.await {
        Ok(caches) => (caches, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let kept = retention::findings(house, older_than_s).await.map_err(|error| of_store(&error))?;
    let retention = retention::view(house).await.map_err(|error| of_store(&error))?;
    Ok(ReclaimPlan { caches, kept, engine_error, retention })
}

/// Lets go what was named in a plan.
pub(crate) async fn reclaim(house: &Arc<House>, keys: Vec<String>, unseen: &[RunId]) -> Result<Vec<Mended>, ErrorView> {
    let (kept, caches): (Vec<_>, Vec<_>) = checked(keys)?.into_iter().partition(|key| retention::run_of(key).is_some());
    // What can be made again goes first.
    let mut all = if caches.is_empty() { Vec::new() } else { mend(house, caches).await? };
    let named = kept.into_iter().filter_map(|key| Some((key.clone(), retention::run_of(&key)?))).collect();
    all.extend(retention::take_named(house, named, unseen).await.map_err(|error| of_store(&error))?);
    Ok(all)
}

/// Brings in order what was named in a report.
pub(crate) async fn mend(house: &Arc<House>, keys: Vec<String>) -> Result<Vec<Mended>, ErrorView> {
    let keys = checked(keys)?;
    let fresh: HashMap<_, _> =
        look(house).await.findings.into_iter().map(|finding| (finding.key.clone(), finding)).collect();
    let up = house.link.up().ok();
    let mut all = Vec::with_capacity(keys.len());
    for key in keys {
        let (outcome, words) = match fresh.get(&key) {
            None => (Outcome::Moot, "It is gone already, or needed again.".to_owned()),
            Some(Finding { remedy: Remedy::Leave, then, .. }) => (Outcome::Stays, then.clone()),
            Some(finding) => carry_out(house, up.as_deref(), finding).await,
        };
        let freed_bytes = match (outcome, fresh.get(&key)) {
            (Outcome::Done, Some(Finding { remedy: Remedy::Remove, size_bytes, .. })) => size_bytes.unwrap_or(0),
            (Outcome::Done | Outcome::Moot | Outcome::Stays | Outcome::Failed, _) => 0,
        };
        all.push(Mended { key, outcome, words, freed_bytes });
    }
    Ok(all)
}

fn checked(keys: Vec<String>) -> Result<Vec<String>, ErrorView> {
    if keys.len() > KEYS_MAX {
        return Err(ErrorView::new(ErrorCode::InvalidArgument, format!("More than {KEYS_MAX} things at once."))
            .hint("Name fewer."));
    }
    let mut seen = std::collections::HashSet::new();
    Ok(keys.into_iter().filter(|key| seen.insert(key.clone())).collect())
}

async fn carry_out(house: &Arc<House>, up: Option<&Up>, finding: &Finding) -> (Outcome, String) {
    let Some((place, name)) = finding.key.split_once(':') else {
        return (Outcome::Moot, "It is nothing that was found.".to_owned());
    };
    match (place, up) {
        ("folder" | "file" | "output", _) => folders::mend(house, place, name).await,
        (_, Some(up)) => objects::mend(house, up, place, name).await,
        (_, None) => (Outcome::Failed, "The engine does not answer.".to_owned()),
    }
}
