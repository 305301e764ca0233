//! How long what runs printed and left is kept, and how it goes.
//!
//! ```text
//! ended ─▶ measured ─▶ over a bound? ─▶ seen ─▶ written down as taken ─▶ deleted ─▶ noted as gone
//!                                        └ unseen: it stays, and a notice says so
//! ```
//!
//! Level-triggered: each round looks at all that is kept, so that nothing depends on a round having been carried out before.
//! A run whose end was written down is deleted however often the app dies in between. Rows stay: what was asked for, how it went,
//! what the results were called.

pub(crate) mod plan;
pub(crate) mod sweep;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use store::{KeptRun, StoreError, Taken};
use tracing::{info, warn};
use wire::{
    ErrorCode, ErrorView,
    ids::{RunId, TaskId},
    stream::Update,
    upkeep::{Finding, KeptOf, Mended, Outcome, Remedy, RetentionRules, RetentionView, Sight, Thing},
};

use self::plan::Over;
use self::sweep::{bytes_below, remove_tree};
use crate::blocking::blocking;
use crate::dispatch::of_store;
use crate::house::House;
use crate::runner::exit::bytes;

/// The setting that holds the rules.
const RULES_SETTING: &str = "retention.rules";
/// How often to look although nothing was heard.
const LOOK_EVERY: Duration = Duration::from_mins(5);
/// Runs that are measured in one round.
const MEASURED_PER_ROUND: usize = 200;
/// Runs that are taken in one round; the next follows at once where there are more.
const TAKEN_PER_ROUND: usize = 50;
/// What a notice about what stays is filed under.
const NOTICE: &str = "retention";

/// Keeps what is kept within its bounds until the app stops.
pub(crate) async fn run(house: Arc<House>) {
    loop {
        let round = tokio::select! {
            () = house.stop.cancelled() => return,
            round = round(&house) => round,
        };
        let is_more = round.unwrap_or_else(|error| {
            warn!(%error, "what is kept of runs could not be looked at");
            false
        });
        if is_more {
            continue;
        }
        tokio::select! {
            () = house.stop.cancelled() => return,
            () = house.retention_nudge.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Looks once, and takes what is to go. Says whether there is more of it.
async fn round(house: &Arc<House>) -> Result<bool, StoreError> {
    for run in house.store.half_taken().await? {
        finish(house, run).await?;
    }
    let is_more_to_measure = measure(house).await?;
    let (kept, over) = over(house, None).await?;
    notice(house, &kept, &over);
    let seen: Vec<_> = over.iter().filter(|over| kept[over.index].sight == Sight::Seen).collect();
    for over in seen.iter().take(TAKEN_PER_ROUND) {
        take(house, &kept[over.index], &over.why).await?;
    }
    Ok(is_more_to_measure || seen.len() > TAKEN_PER_ROUND)
}

/// The rules as they are set.
pub(crate) async fn rules(house: &House) -> Result<RetentionRules, StoreError> {
    Ok(house.store.setting(RULES_SETTING).await?.unwrap_or_default())
}

/// Sets the rules. What is over them goes soon after.
pub(crate) async fn set_rules(house: &House, rules: RetentionRules) -> Result<RetentionView, ErrorView> {
    let refused = |what: &str, hint: &str| Err(ErrorView::new(ErrorCode::InvalidArgument, what).hint(hint));
    if rules.age_s.is_some_and(|age| age < RetentionRules::AGE_S_MIN) {
        return refused(
            "What runs leave is kept for a day at least.",
            "Give an age of 1d or more, or `off` for no bound.",
        );
    }
    if rules.total_bytes.is_some_and(|bytes| bytes < RetentionRules::TOTAL_BYTES_MIN) {
        return refused("64 MiB at least are kept of runs.", "Give a size of 64M or more, or `off` for no bound.");
    }
    if rules.runs == Some(0) {
        return refused("One run at least is kept.", "Give a number of 1 or more, or `off` for no bound.");
    }
    house.store.set_setting(RULES_SETTING, &rules).await.map_err(|error| of_store(&error))?;
    house.retention_nudge.notify_one();
    view(house).await.map_err(|error| of_store(&error))
}

/// What is kept, under which rules.
pub(crate) async fn view(house: &House) -> Result<RetentionView, StoreError> {
    let rules = rules(house).await?;
    let (kept, over) = over(house, None).await?;
    let unseen = over.iter().map(|over| &kept[over.index]).filter(|kept| kept.sight == Sight::Unseen);
    let (unseen_over, unseen_over_bytes) = sum(unseen);
    let (runs, size_bytes) = sum(kept.iter());
    Ok(RetentionView { rules, runs, size_bytes, unseen_over, unseen_over_bytes })
}

fn sum<'a>(kept: impl Iterator<Item = &'a KeptRun>) -> (u64, u64) {
    kept.fold((0, 0), |(runs, bytes), kept| (runs + 1, bytes + kept.size_bytes.unwrap_or(0)))
}

/// What is kept, the oldest first, and what of it is over a bound: of the rules, or of that age in their place.
async fn over(house: &House, older_than_s: Option<u64>) -> Result<(Vec<KeptRun>, Vec<Over>), StoreError> {
    let rules = match older_than_s {
        Some(age_s) => RetentionRules { age_s: Some(age_s), total_bytes: None, runs: None },
        None => rules(house).await?,
    };
    let busy = busy(house);
    let kept = house.store.kept_runs().await?;
    let kept: Vec<_> = kept.into_iter().filter(|kept| !busy.contains(&kept.task)).collect();
    let over = plan::over(&kept, &rules, house.time.now());
    Ok((kept, over))
}

/// Tasks at work, whose runs are left alone: one is over a moment before its results are final.
fn busy(house: &House) -> HashSet<TaskId> {
    house.steps().into_iter().map(|step| step.task).collect()
}

/// What is over a bound, as a plan shows it.
pub(crate) async fn findings(house: &House, older_than_s: Option<u64>) -> Result<Vec<Finding>, StoreError> {
    let (kept, over) = over(house, older_than_s).await?;
    Ok(over
        .into_iter()
        .map(|Over { index, why }| {
            let kept = &kept[index];
            let unseen = match kept.sight {
                Sight::Seen => "",
                Sight::Unseen => " Nobody has looked at it since it ended.",
            };
            Finding {
                key: key_of(kept.run),
                thing: Thing::Run,
                name: format!("#{}", kept.number),
                why: format!("{}: {why}.{unseen}", crate::escape::visible(kept.title.as_bytes())),
                remedy: Remedy::Remove,
                then: "Its output and its workspace are deleted; the task itself stays in the list.".to_owned(),
                size_bytes: kept.size_bytes,
                run: Some(KeptOf {
                    run: kept.run,
                    number: kept.number,
                    title: crate::escape::visible(kept.title.as_bytes()),
                    sight: kept.sight,
                }),
            }
        })
        .collect())
}

fn key_of(run: RunId) -> String {
    format!("run:{run}")
}

/// The run that a key names.
pub(crate) fn run_of(key: &str) -> Option<RunId> {
    key.strip_prefix("run:")?.parse().ok()
}

/// Takes what is kept of runs because a person said so. What nobody has looked at goes only where it is in `unseen`.
pub(crate) async fn take_named(
    house: &House,
    named: Vec<(String, RunId)>,
    unseen: &[RunId],
) -> Result<Vec<Mended>, StoreError> {
    let kept = house.store.kept_runs().await?;
    let kept: HashMap<_, _> = kept.into_iter().map(|kept| (kept.run, kept)).collect();
    let busy = busy(house);
    let mut all = Vec::with_capacity(named.len());
    for (key, run) in named {
        let mended = |outcome, words: &str, freed_bytes| Mended { key, outcome, words: words.to_owned(), freed_bytes };
        let Some(kept) = kept.get(&run) else {
            all.push(mended(Outcome::Moot, "It is not kept any more, or has not ended.", 0));
            continue;
        };
        all.push(if busy.contains(&kept.task) {
            mended(Outcome::Stays, "Its task is at work: it can go once that has ended.", 0)
        } else if kept.sight == Sight::Unseen && !unseen.contains(&run) {
            mended(Outcome::Stays, "Nobody has looked at it since it ended, and it was not named as such.", 0)
        } else {
            match take(house, kept, "a person made room").await {
                Ok(()) => {
                    let freed_bytes = kept.size_bytes.unwrap_or(0);
                    mended(Outcome::Done, "Its output and its workspace were deleted.", freed_bytes)
                }
                Err(error) => mended(Outcome::Failed, &of_store(&error).message, 0),
            }
        });
    }
    Ok(all)
}

/// Writes down that what is kept of a run goes, then deletes it.
async fn take(house: &House, kept: &KeptRun, why: &str) -> Result<(), StoreError> {
    if house.store.take(kept.run, why, house.time.now()).await?.is_some() {
        info!(run = %kept.run, why, "what is kept of a run goes");
        finish(house, kept.run).await?;
        house.tell(Update::Task { task: kept.task });
    }
    Ok(())
}

/// Deletes what is left of a run that is written down as taken. What cannot be deleted now is tried again in the next round.
async fn finish(house: &House, run: RunId) -> Result<(), StoreError> {
    let places = house.store.places_of(run).await?;
    let data_folder = house.config.data_folder.clone();
    let deleted = blocking(move || {
        for step in &places.steps {
            remove_tree(&data_folder, "outputs", &step.to_string())?;
            remove_tree(&data_folder, "baselines", &format!("{step}.json"))?;
        }
        for folder in &places.folders {
            remove_tree(&data_folder, "workspaces", folder)?;
        }
        Ok(())
    });
    match deleted.await {
        Ok(()) => house.store.taken(run).await,
        Err(error) => {
            warn!(%error, %run, "what is kept of a run could not be deleted yet");
            Ok(())
        }
    }
}

/// Measures what was not measured yet. Says whether there is more of it.
async fn measure(house: &House) -> Result<bool, StoreError> {
    let kept = house.store.kept_runs().await?;
    let busy = busy(house);
    let unmeasured = || kept.iter().filter(|kept| kept.size_bytes.is_none() && !busy.contains(&kept.task));
    for kept in unmeasured().take(MEASURED_PER_ROUND) {
        let places = house.store.places_of(kept.run).await?;
        let data_folder = house.config.data_folder.clone();
        let measured = blocking(move || {
            let outputs = places.steps.iter().map(|step| data_folder.join("outputs").join(step.to_string()));
            let workspaces = places.folders.iter().map(|folder| data_folder.join("workspaces").join(folder));
            Ok(outputs.chain(workspaces).map(|folder| bytes_below(&folder)).sum())
        });
        match measured.await {
            Ok(size_bytes) => house.store.set_kept_bytes(kept.run, size_bytes).await?,
            Err(error) => {
                warn!(%error, run = %kept.run, "what is kept of a run could not be measured");
                return Ok(false);
            }
        }
    }
    Ok(unmeasured().count() > MEASURED_PER_ROUND)
}

/// Says what stays over a bound because nobody has looked at it.
fn notice(house: &House, kept: &[KeptRun], over: &[Over]) {
    let unseen = over.iter().map(|over| &kept[over.index]).filter(|kept| kept.sight == Sight::Unseen);
    let (runs, size_bytes) = sum(unseen);
    let words = (runs > 0).then(|| {
        format!(
            "More is kept of ended runs than the settings allow: {runs} of them, {}, stay because nobody has looked at \
             them. Open them, or let `berth reclaim` list them.",
            bytes(size_bytes)
        )
    });
    house.notice(NOTICE, words);
}

/// What a person reads in place of what was taken.
pub(crate) fn taken_words(what: &str, taken: &Taken) -> String {
    format!("This {what} was deleted on {}: {}.", taken.at.strftime("%Y-%m-%d"), taken.why)
}
