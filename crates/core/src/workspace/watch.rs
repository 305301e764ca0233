//! Says when it is worth scanning a workspace again. It never says what happened: the scan is the truth.
//!
//! ```text
//! inotify, a watch per folder ──► a flag ──► at most 100 ms later: nudge
//! timer, 5 s to 30 s ────────────────────────────────────────────► nudge
//! ```
//! The timer is for what was not heard. The longer nothing comes, the rarer it is; and it stays at 5 s once a scan has found
//! something that it alone led to ([`Watcher::was_behind`]), as on file systems that tell of nothing.
//!
//! The crate `notify` is asked folder by folder instead of recursively: its recursive mode follows links out of the
//! folder unless told otherwise and has no bound. Events are folded into two flags as they come (the debouncer that goes
//! with `notify` keeps a queue per path, and the sandbox chooses how many paths there are), so that a flood costs no
//! memory. A folder is watched by its path: one that is swapped for a link in that moment yields nudges from elsewhere,
//! which is harmless.
//!
//! Where the system has no inotify instance or watch left, it goes on by the timer alone, every 2 s, says so, and tries
//! again each time.

use std::{
    collections::HashSet,
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use notify::{
    Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind},
};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

use super::{
    Workspace,
    beneath::Folder,
    stoppable::{StopSign, Stopped, stoppable},
    walk::{Next, SightKind, WalkError, walk},
};
use crate::escape::visible;

/// How long changes are gathered before a nudge.
const GATHER: Duration = Duration::from_millis(100);

/// A nudge comes at least this often while something goes on.
const TIMER: Duration = Duration::from_secs(5);

/// A nudge comes at least this often however quiet it is.
const TIMER_MAX: Duration = Duration::from_secs(30);

/// A nudge comes at least this often where nothing can be watched.
const TIMER_ALONE: Duration = Duration::from_secs(2);

/// Folders watched at most in one workspace; changes in others are seen by the timer.
const FOLDERS_MAX: usize = 1_024;

/// Looking for new folders rests this many times as long as it took.
const REST_FACTOR: u32 = 4;

/// Watches a workspace; dropping it ends the watching.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// Both tasks; aborted on drop.
    _tasks: JoinSet<()>,
    notices: watch::Receiver<Option<String>>,
    happened: Arc<Happened>,
}

/// What has happened since it was looked at last. All that events are folded into.
#[derive(Debug, Default)]
struct Happened {
    /// Something.
    anything: Notify,
    /// It is worth looking for new folders.
    folders: Notify,
    /// A folder came, went or moved.
    have_folders_changed: AtomicBool,
    /// Events were lost, or the watching broke: it has to be set up anew.
    is_lost: AtomicBool,
    /// The last nudge was the timer's: nothing had been heard.
    is_unheard: AtomicBool,
    /// Something came that was not heard of: the timer is needed.
    is_deaf: AtomicBool,
}

impl Watcher {
    /// Starts watching. The number grows whenever it is worth scanning again: at most 100 ms after a change, and by a timer.
    /// It grows once soon after the start, when the watching is set up.
    ///
    /// Called within a tokio runtime.
    pub(crate) fn start(workspace: &Workspace) -> (Self, watch::Receiver<u64>) {
        Self::start_with(workspace, make_recommended)
    }

    fn start_with(workspace: &Workspace, make: Make) -> (Self, watch::Receiver<u64>) {
        let (nudge_tx, nudge_rx) = watch::channel(0);
        let (notice_tx, notice_rx) = watch::channel(None);
        let happened = Arc::new(Happened::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(nudge(Arc::clone(&happened), nudge_tx, notice_rx.clone()));
        tasks.spawn(keep_watching(workspace.clone(), Arc::clone(&happened), notice_tx, make));
        (Self { _tasks: tasks, notices: notice_rx, happened }, nudge_rx)
    }

    /// The scan after the last nudge has found something new. Where nothing had been heard of it, the timer does not get rarer
    /// any more.
    pub(crate) fn was_behind(&self) {
        self.happened.is_deaf.fetch_or(self.happened.is_unheard.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Why the watching is worse than it should be, a sentence for a person; `None` where all is well.
    pub(crate) fn notices(&self) -> watch::Receiver<Option<String>> {
        self.notices.clone()
    }
}

/// Turns what happened, and the timer, into nudges.
async fn nudge(happened: Arc<Happened>, nudge_tx: watch::Sender<u64>, notice_rx: watch::Receiver<Option<String>>) {
    let mut last = tokio::time::Instant::now();
    let mut patience = TIMER;
    loop {
        let is_watching = notice_rx.borrow().is_none();
        let timer = if is_watching { patience } else { TIMER_ALONE };
        let is_unheard = tokio::select! {
            () = happened.anything.notified() => {
                tokio::time::sleep(GATHER).await;
                false
            }
            () = tokio::time::sleep_until(last + timer) => {
                happened.folders.notify_one();
                true
            }
        };
        happened.is_unheard.store(is_unheard, Ordering::Relaxed);
        let is_quiet = is_unheard && is_watching && !happened.is_deaf.load(Ordering::Relaxed);
        patience = if is_quiet { (patience * 2).min(TIMER_MAX) } else { TIMER };
        last = tokio::time::Instant::now();
        nudge_tx.send_modify(|count| *count += 1);
    }
}

/// Keeps a watch on every folder, at the start, after each change of folders and with each tick of the timer.
async fn keep_watching(
    workspace: Workspace,
    happened: Arc<Happened>,
    notice_tx: watch::Sender<Option<String>>,
    make: Make,
) {
    let mut watching: Option<Watching> = None;
    loop {
        let began = Instant::now();
        let refreshed = {
            let (workspace, happened) = (workspace.clone(), Arc::clone(&happened));
            let watching = watching.take();
            stoppable(move |stop_sign| Ok::<_, Stopped>(refresh(watching, &workspace, &happened, make, stop_sign)))
                .await
        };
        let notice = match refreshed {
            Ok(Ok(Refreshed { watching: now, is_worth_a_scan, is_complete })) => {
                watching = Some(now);
                if is_worth_a_scan {
                    // What came into a folder before it was watched.
                    happened.anything.notify_one();
                }
                (!is_complete).then(|| worse("the system has no more inotify watches (fs.inotify.max_user_watches)"))
            }
            Ok(Err(reason)) => Some(worse(&reason)),
            Err(Stopped) => Some(worse("the watching broke down")),
        };
        notice_tx.send_if_modified(|before| {
            let is_news = *before != notice;
            if is_news {
                if let Some(notice) = &notice {
                    tracing::warn!(notice, "watching a workspace got worse");
                } else {
                    tracing::info!("watching a workspace works again");
                }
                *before = notice;
                // The timer has another pace now.
                happened.anything.notify_one();
            }
            is_news
        });
        tokio::time::sleep(began.elapsed() * REST_FACTOR).await;
        happened.folders.notified().await;
    }
}

fn worse(reason: &str) -> String {
    format!("Results appear up to {} s late: {reason}.", TIMER_ALONE.as_secs())
}

/// A running `notify` watcher and what it watches.
struct Watching {
    notify: Box<dyn notify::Watcher + Send>,
    folders: HashSet<PathBuf>,
}

/// How a `notify` watcher is made; another in tests.
type Make = fn(Arc<Happened>) -> notify::Result<Box<dyn notify::Watcher + Send>>;

fn make_recommended(happened: Arc<Happened>) -> notify::Result<Box<dyn notify::Watcher + Send>> {
    let handle = move |event: notify::Result<Event>| fold(&happened, &event);
    Ok(Box::new(RecommendedWatcher::new(handle, Config::default().with_follow_symlinks(false))?))
}

/// Folds an event into the flags.
fn fold(happened: &Happened, event: &notify::Result<Event>) {
    let Ok(event) = event else {
        happened.is_lost.store(true, Ordering::Relaxed);
        happened.folders.notify_one();
        happened.anything.notify_one();
        return;
    };
    if event.need_rescan() {
        happened.is_lost.store(true, Ordering::Relaxed);
    }
    let is_of_content = match event.kind {
        EventKind::Create(CreateKind::File)
        | EventKind::Remove(RemoveKind::File)
        | EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => true,
        // Our own scans open files, too: not a reason to scan.
        EventKind::Access(_) => return,
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(_) | EventKind::Any | EventKind::Other => false,
    };
    if !is_of_content {
        happened.have_folders_changed.store(true, Ordering::Relaxed);
        happened.folders.notify_one();
    }
    happened.anything.notify_one();
}

struct Refreshed {
    watching: Watching,
    is_worth_a_scan: bool,
    is_complete: bool,
}

/// Watches every folder there is, again where it is watched already: another may be in its place.
fn refresh(
    watching: Option<Watching>,
    workspace: &Workspace,
    happened: &Arc<Happened>,
    make: Make,
    stop_sign: &StopSign,
) -> Result<Refreshed, String> {
    // Asked before the walk, so that what changes during it counts for the next.
    let is_lost = happened.is_lost.swap(false, Ordering::Relaxed);
    let mut watching = match watching.filter(|_| !is_lost) {
        Some(watching) => watching,
        None => Watching { notify: make(Arc::clone(happened)).map_err(|error| why(&error))?, folders: HashSet::new() },
    };
    let root = workspace.path().as_std_path();
    let mut folders_now = HashSet::from([root.to_path_buf()]);
    let below = list_folders(&workspace.opened.folder, stop_sign).map_err(|error| error.to_string())?;
    folders_now.extend(below.into_iter().map(|path| root.join(OsString::from_vec(path))));

    for gone in watching.folders.difference(&folders_now) {
        // `notify` has mostly noticed by itself.
        let _ = watching.notify.unwatch(gone);
    }
    // A new folder may have taken the path of one before.
    let mut is_worth_a_scan = happened.have_folders_changed.swap(false, Ordering::Relaxed);
    let mut is_complete = true;
    watching.folders.retain(|folder| folders_now.contains(folder));
    for folder in folders_now {
        stop_sign.check().map_err(|stopped| stopped.to_string())?;
        match watching.notify.watch(&folder, RecursiveMode::NonRecursive) {
            Ok(()) => is_worth_a_scan |= watching.folders.insert(folder),
            Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => {
                is_complete = false;
                break;
            }
            // It is gone already, or may not be entered.
            Err(_) => {
                watching.folders.remove(&folder);
            }
        }
    }
    Ok(Refreshed { watching, is_worth_a_scan, is_complete })
}

fn list_folders(root: &Folder, stop_sign: &StopSign) -> Result<Vec<Vec<u8>>, WalkError> {
    let mut folders = Vec::new();
    walk(root, stop_sign, |sight| {
        if matches!(sight.kind, SightKind::Folder) {
            folders.push(sight.path.to_vec());
        }
        // One is the workspace itself.
        Ok::<_, WalkError>(if folders.len() + 1 >= FOLDERS_MAX { Next::End } else { Next::On })
    })?;
    Ok(folders)
}

fn why(error: &notify::Error) -> String {
    let is_exhausted = match &error.kind {
        ErrorKind::Io(error) => {
            matches!(rustix::io::Errno::from_io_error(error), Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
        }
        ErrorKind::MaxFilesWatch => true,
        ErrorKind::Generic(_) | ErrorKind::PathNotFound | ErrorKind::WatchNotFound | ErrorKind::InvalidConfig(_) => {
            false
        }
    };
    if is_exhausted {
        "the system has no more inotify instances (fs.inotify.max_user_instances) or descriptors".to_owned()
    } else {
        visible(error.to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests;
