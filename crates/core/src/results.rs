//! The results of a step as they come: watched while it works, looked at a last time when it ends.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use percent_encoding::percent_decode_str;
use store::ResultRecord;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use wire::{
    ids::{StepId, TaskId},
    stream::Update,
    view::ResultView,
};

use crate::blocking::blocking;
use crate::fault_points::{Point, around};
use crate::house::House;
use crate::runner::attempt::Brief;
use crate::workspace::{Baseline, Scan, Thoroughness, Watcher, Workspace};

/// Final scans in a row, while files are still to be hashed.
const FINAL_SCANS_MAX: usize = 64;

/// How long to wait before writing down again what could not be written.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// Watches the results of one step.
pub(crate) struct ResultsWatch {
    end: CancellationToken,
    leave: CancellationToken,
    task: JoinHandle<()>,
}

impl ResultsWatch {
    /// Begins to watch.
    pub(crate) fn start(house: &Arc<House>, brief: &Brief, workspace: Workspace) -> Self {
        let (end, leave) = (CancellationToken::new(), CancellationToken::new());
        let watching = watch(house.clone(), brief.task, brief.step, workspace, end.clone(), leave.clone());
        let task = house.tasks.spawn(watching);
        Self { end, leave, task }
    }

    /// The step has ended: looks once more, and returns when the results are written down.
    pub(crate) async fn finish(mut self) {
        self.end.cancel();
        if let Err(error) = (&mut self.task).await {
            warn!(%error, "watching the results ended badly");
        }
    }

    /// The app stops: returns at once, the next process looks again.
    pub(crate) async fn leave(mut self) {
        self.leave.cancel();
        if let Err(error) = (&mut self.task).await {
            warn!(%error, "watching the results ended badly");
        }
    }
}

/// However the attempt ends, its watcher does not outlive it.
impl Drop for ResultsWatch {
    fn drop(&mut self) {
        self.leave.cancel();
    }
}

async fn watch(
    house: Arc<House>,
    task: TaskId,
    step: StepId,
    workspace: Workspace,
    end: CancellationToken,
    leave: CancellationToken,
) {
    let baseline = Arc::new(read_baseline(&house, step).await);
    let about = format!("workspace {step}");
    let mut shelf = Shelf { task, step, stored: None };
    {
        let (watcher, mut nudges) = Watcher::start(&workspace);
        let mut notices = watcher.notices();
        loop {
            tokio::select! {
                biased;
                () = leave.cancelled() => break,
                () = end.cancelled() => break,
                changed = notices.changed() => {
                    if changed.is_ok() {
                        let words = notices.borrow_and_update().clone();
                        house.notice(&about, words);
                    }
                    continue;
                }
                news = nudges.changed() => if news.is_err() { break },
            }
            nudges.mark_unchanged();
            match workspace.scan(baseline.clone(), Thoroughness::Live).await {
                Ok(scan) => {
                    let rest = scan.rest;
                    // What is on a disk that takes nothing is stored when it does.
                    if !house.disks.is_refused() && shelf.put(&house, scan).await == News::Again {
                        watcher.was_behind();
                    }
                    tokio::select! {
                        () = leave.cancelled() => break,
                        () = end.cancelled() => break,
                        () = tokio::time::sleep(rest) => {}
                    }
                }
                Err(error) => warn!(%step, error = %error.message, "the workspace cannot be looked at"),
            }
        }
    }
    house.notice(&about, None);
    if !leave.is_cancelled() {
        look_finally(&house, task, step, &workspace, baseline).await;
    }
}

/// Looks at the workspace of a step a last time. May happen twice.
pub(crate) async fn finalize(house: &Arc<House>, task: TaskId, step: StepId) {
    let folder = match folder_of(house, step).await {
        Ok(Some(sandbox)) => sandbox,
        Ok(None) => return,
        Err(error) => {
            warn!(%step, %error, "the workspace of a step is not known");
            return;
        }
    };
    match Workspace::open(house.config.data_folder.clone(), folder).await {
        Ok(workspace) => {
            let baseline = Arc::new(read_baseline(house, step).await);
            look_finally(house, task, step, &workspace, baseline).await;
        }
        Err(error) => warn!(%step, error = %error.message, "the workspace cannot be opened"),
    }
}

/// The workspace of a step by the sandbox that it was made with.
pub(crate) async fn folder_of(house: &House, step: StepId) -> Result<Option<wire::ids::SandboxId>, store::StoreError> {
    let Some(placement) = house.store.placement_of(step).await? else { return Ok(None) };
    let sandbox = house.store.sandbox(placement.sandbox).await?;
    Ok(sandbox.folder.parse().ok())
}

async fn look_finally(house: &Arc<House>, task: TaskId, step: StepId, workspace: &Workspace, baseline: Arc<Baseline>) {
    for _ in 0..FINAL_SCANS_MAX {
        match workspace.scan(baseline.clone(), Thoroughness::Final).await {
            Ok(scan) => {
                let is_done = scan.pending == 0;
                put_finally(house, task, step, scan).await;
                if is_done {
                    return;
                }
            }
            Err(error) => {
                warn!(%step, error = %error.message, "the workspace cannot be looked at");
                return;
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Finality {
    Live,
    Final,
}

/// Whether a scan found anything new.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    /// What is stored is how it is.
    None,
    /// It is the first scan.
    First,
    /// Something has changed since the one before.
    Again,
}

/// The results of a step as this process has written them down, so that of many only those are written again that changed.
struct Shelf {
    task: TaskId,
    step: StepId,
    /// By path; `None` before the first time.
    stored: Option<(BTreeMap<Vec<u8>, ResultRecord>, u64)>,
}

impl Shelf {
    /// Writes down what a scan found. What is not taken now is taken with the next one. A workspace where nothing happens costs
    /// no transaction, and wakes nobody.
    async fn put(&mut self, house: &House, scan: Scan) -> News {
        let left_out = scan.left_out;
        house.notice(
            &format!("results {}", self.step),
            (left_out > 0).then(|| format!("A workspace has more files than are listed: {left_out} were left out.")),
        );
        let now: BTreeMap<_, _> = scan
            .results
            .into_iter()
            .map(|result| record(result, Finality::Live))
            .map(|record| (record.path.clone(), record))
            .collect();
        let written = match &self.stored {
            None => {
                let records: Vec<_> = now.values().cloned().collect();
                around(Point::ResultsRecord, house.store.replace_results(self.step, &records, left_out)).await
            }
            Some((before, left_out_before)) => {
                let changed: Vec<_> =
                    now.values().filter(|record| before.get(&record.path) != Some(record)).cloned().collect();
                let forgotten: Vec<_> = before.keys().filter(|path| !now.contains_key(*path)).cloned().collect();
                if changed.is_empty() && forgotten.is_empty() && left_out == *left_out_before {
                    return News::None;
                }
                house.store.update_results(self.step, &changed, &forgotten, left_out).await
            }
        };
        let news = if self.stored.is_some() { News::Again } else { News::First };
        match written {
            Ok(()) => {
                self.stored = Some((now, left_out));
                house.tell(Update::Results { task: self.task });
            }
            Err(error) => warn!(step = %self.step, %error, "results could not be written down yet"),
        }
        news
    }
}

/// Writes down what the last scan found; does not return before it is, but where the app stops or it cannot ever be.
async fn put_finally(house: &House, task: TaskId, step: StepId, scan: Scan) {
    house.notice(&format!("results {step}"), None);
    let left_out = scan.left_out;
    let records: Vec<_> = scan.results.into_iter().map(|result| record(result, Finality::Final)).collect();
    loop {
        let writing = house.store.replace_results(step, &records, left_out);
        match around(Point::FinalResultsRecord, writing).await {
            Ok(()) => return house.tell(Update::Results { task }),
            Err(error) if error.is_passing() => house.store_refused(&error),
            Err(error) => return warn!(%step, %error, "results could not be written down"),
        }
        tokio::select! {
            () = house.stop.cancelled() => return,
            () = tokio::time::sleep(STORE_RETRY) => {}
        }
    }
}

fn record(result: ResultView, finality: Finality) -> ResultRecord {
    ResultRecord {
        path: percent_decode_str(&result.key).collect(),
        change: result.change,
        size_bytes: result.size_bytes,
        sha256: result.sha256,
        media_type: result.media_type,
        modified_at: result.modified_at,
        is_final: finality == Finality::Final,
        unreadable: result.unreadable,
    }
}

fn baseline_path(house: &House, step: StepId) -> Utf8PathBuf {
    house.config.data_folder.join("baselines").join(format!("{step}.json"))
}

/// Writes down what is in the workspace before the step's first attempt; later ones find it.
pub(crate) async fn write_baseline(house: &House, step: StepId, workspace: &Workspace) -> Result<(), wire::ErrorView> {
    let path = baseline_path(house, step);
    let there = path.clone();
    let failed = |error: io::Error| crate::faults::of_storage("write down what the workspace holds", &error);
    if blocking(move || fs::exists(&there)).await.map_err(failed)? {
        return Ok(());
    }
    let baseline = workspace.baseline().await?;
    let json = serde_json::to_vec(&baseline)
        .map_err(|error| crate::faults::internal("write down what the workspace holds", &error))?;
    let write = move || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&json)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)
    };
    blocking(write).await.map_err(failed)
}

async fn read_baseline(house: &House, step: StepId) -> Baseline {
    match tokio::fs::read(baseline_path(house, step)).await {
        Ok(json) => serde_json::from_slice(&json).unwrap_or_else(|error| {
            warn!(%step, %error, "what the workspace held at first is unreadable; all files count as new");
            Baseline::default()
        }),
        Err(error) => {
            warn!(%step, %error, "what the workspace held at first is not known; all files count as new");
            Baseline::default()
        }
    }
}
