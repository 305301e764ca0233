//! The owner of everything that lives.
//!
//! ```text
//! start: lock ─▶ store ─▶ engine link, actors of the steps that are not over ─▶ schedule, reconcile
//! shutdown: everything is told to stop and awaited; sandboxes work on
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use engine::{
    EngineError, ErrorKind,
    docker::DockerEngine,
    find::{Environment, RealFiles, find},
};
use futures::FutureExt as _;
use store::{Store, StoreError};
use tokio::time::timeout;
use tracing::{info, warn};
use wire::{ErrorCode, ErrorView, ids::TaskId};

use crate::access::{self, Access, budgets};
use crate::api::Api;
use crate::certificates::{self, CertificateError, ExtraCertificate, HostTrust};
use crate::clock::{Clock, SystemClock, Time, new_id};
use crate::config::Config;
use crate::engine_link::{Connected, Connector, EngineLink};
use crate::house::{House, Parts};
use crate::images::Images;
use crate::line::Line;
use crate::runner::{reconcile, schedule, step};
use crate::{agents, descriptors, disk, dispatch, faults, retention};

/// The file that is locked while a Berth uses the data folder. What the lock holds off is a second Berth, not a reader.
const LOCK_FILE: &str = "lock";
/// How long everything that runs on its own may take to let go.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the database may take to be closed.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(5);
/// The database.
const STORE_FILE: &str = "berth.db";
/// The folder of the workspaces: where it is not empty, there was a database once.
const WORKSPACES_FOLDER: &str = "workspaces";
/// How long the start waits for another program that holds the database.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(15);
/// How long between two looks at it.
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(500);

/// A running Berth: one per data folder.
pub struct App {
    house: Arc<House>,
    /// Invariant: locked for as long as this lives. The system lets go of it when the process ends, however it ends.
    _lock: File,
}

/// Why an app does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another Berth uses the data folder.
    #[error("another Berth uses `{folder}`")]
    InUse {
        /// The folder.
        folder: Utf8PathBuf,
    },
    /// The data folder cannot be made or used.
    #[error("the data folder `{folder}` cannot be used")]
    Folder {
        /// The folder.
        folder: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database cannot be opened.
    #[error("the database in `{folder}` cannot be opened")]
    Store {
        /// The folder.
        folder: Utf8PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The database is empty, although there are workspaces.
    #[error("the database in `{folder}` was emptied")]
    Emptied {
        /// The folder.
        folder: Utf8PathBuf,
    },
    /// An extra certificate of the setting cannot be used.
    #[error("an extra certificate cannot be used")]
    Certificate(#[source] CertificateProblem),
}

/// What is wrong with an extra certificate.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct CertificateProblem(CertificateError);

impl StartError {
    /// The error for a person.
    pub fn view(&self) -> ErrorView {
        let view =
            |code, message: String, hint: &str| ErrorView::new(code, message).hint(hint).detail(faults::chain(self));
        match self {
            Self::InUse { folder } => view(
                ErrorCode::DataFolderInUse,
                format!("Another Berth uses the data folder `{folder}`."),
                "Use that one (`berth open` shows its window in the browser), end it, or set `BERTH_HOME` to another folder.",
            ),
            Self::Folder { folder, source } => view(
                ErrorCode::Storage,
                format!("The data folder `{folder}` cannot be used: {}.", reason(source)),
                "Look at its owner and its free space, or set `BERTH_HOME` to another folder.",
            ),
            Self::Emptied { folder } => view(
                ErrorCode::Storage,
                format!(
                    "The database in `{folder}` is empty, although the folder is not: it was cut off. Nothing was changed."
                ),
                "Put a copy of `berth.db` in its place. To begin with an empty list instead, remove `berth.db`; workspaces, outputs and homes stay.",
            ),
            Self::Store { folder, source: StoreError::Newer { .. } } => view(
                ErrorCode::DataFolderNewer,
                format!("The data folder `{folder}` was written by a newer Berth. Nothing in it was changed."),
                "Update Berth, or set `BERTH_HOME` to another folder.",
            ),
            Self::Store { folder, source } => {
                let (message, hint) = words(folder, source);
                view(ErrorCode::Storage, message, &hint)
            }
            Self::Certificate(_) => view(
                ErrorCode::InvalidArgument,
                "An extra certificate cannot be used.".to_owned(),
                "Mend `BERTH_EXTRA_CERTIFICATES`: each path names a file with certificates in PEM.",
            ),
        }
    }
}

/// Why a folder cannot be used, in the words of a person.
fn reason(error: &io::Error) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::ReadOnlyFilesystem {
        "it cannot be written, its disk is read-only".to_owned()
    } else if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        "its disk is full".to_owned()
    } else if kind == io::ErrorKind::PermissionDenied {
        "it belongs to somebody else".to_owned()
    } else {
        error.to_string()
    }
}

/// What is the matter with a database, and what to do.
fn words(folder: &Utf8Path, error: &StoreError) -> (String, String) {
    let copy = "Make a copy of the folder before you try anything.";
    let full = || {
        (
            format!("The disk with `{folder}` is full, so the database cannot be opened. Nothing is lost."),
            "Free some space, then start Berth again.".to_owned(),
        )
    };
    match error {
        // Without room for the log beside it, a file cannot be opened either.
        StoreError::Io(_) if disk::is_full(folder) => full(),
        StoreError::Full(_) => full(),
        StoreError::Locked(_) => (
            format!("Another program holds the database in `{folder}`. Nothing in it was changed."),
            "Close it (a database browser, a backup, `sqlite3`), then start Berth again.".to_owned(),
        ),
        StoreError::Corrupt(_) => (
            format!("The database `{folder}/{STORE_FILE}` is damaged. It is kept as it is, and so is everything beside it."),
            format!(
                "{copy} A backup of `{STORE_FILE}` goes in its place, or what `sqlite3 {STORE_FILE} .recover` gets out of it. To begin \
                 with an empty list, move `{STORE_FILE}`, `{STORE_FILE}-wal` and `{STORE_FILE}-shm` elsewhere: workspaces, outputs and homes stay."
            ),
        ),
        StoreError::LogMissing { log, mark } => (
            format!("Berth did not close its database the last time, and `{log}`, where the last changes are, is gone. Nothing was changed."),
            format!(
                "Put it back, from where `{STORE_FILE}` was copied from or out of a backup. If another program has opened the database \
                 since (nothing is missing then), or the file is lost for good, remove `{mark}` and start Berth again."
            ),
        ),
        StoreError::NotBerth { path } => (
            format!("`{path}` is a database, but none of Berth's. Nothing in it was changed."),
            "Move it elsewhere, or set `BERTH_HOME` to another folder.".to_owned(),
        ),
        StoreError::ReadOnly(_) => (
            format!("The database in `{folder}` cannot be written: the file, its folder or its disk is read-only. Nothing in it was changed."),
            "Make it writable for you, or set `BERTH_HOME` to another folder.".to_owned(),
        ),
        StoreError::Newer { .. }
        | StoreError::Row { .. }
        | StoreError::State { .. }
        | StoreError::Io(_)
        | StoreError::Conflict { .. }
        | StoreError::NotFound { .. }
        | StoreError::Ambiguous { .. }
        | StoreError::NameTaken { .. }
        | StoreError::SecretNameTaken { .. }
        | StoreError::ProjectNameTaken { .. }
        | StoreError::ImageNameTaken { .. }
        | StoreError::VariableTaken { .. }
        | StoreError::Removed { .. }
        | StoreError::NoSteps
        | StoreError::Statement(_) => (
            format!("The database in `{folder}` cannot be opened. Nothing in it was changed."),
            "Look at the disk and at the folder's owner; a copy of the folder can be opened elsewhere with `BERTH_HOME`.".to_owned(),
        ),
    }
}

impl App {
    /// Opens the data folder, takes its lock, takes up the steps that are not over, and begins to work. The engine is found in
    /// the background: a Berth without one starts all the same.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is changed where it fails.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let address = config.engine_address.clone();
        let connector: Connector = Arc::new(move || connect(address.clone()).boxed());
        Self::start_with(config, connector, SystemClock).await
    }

    /// The same with an engine and a clock of the caller's: for faults, and for hours that pass at once.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_with(config: Config, connector: Connector, clock: impl Clock) -> Result<Self, StartError> {
        let time = Time::new(clock);
        let folder = config.data_folder.clone();
        let lock = {
            let folder = folder.clone();
            let locked = tokio::task::spawn_blocking(move || lock(&folder)).await;
            locked.unwrap_or_else(|error| {
                Err(StartError::Folder { folder: config.data_folder.clone(), source: io::Error::other(error) })
            })?
        };
        let in_store = |source| StartError::Store { folder: folder.clone(), source };
        let store = open_store(&folder).await.map_err(in_store)?;
        let install = store.install_id(new_id(), time.now()).await.map_err(in_store)?;
        agents::seed(&store, time.now()).await.map_err(in_store)?;
        let line = Line::read(&store).await.map_err(in_store)?;
        let (extra, authorities) = trust(config.extra_certificates.clone(), config.host_trust.clone()).await?;
        let extra_pem = extra.iter().flat_map(|extra| extra.pem.bytes()).collect();
        let access = Access::new(config.keyring, extra_pem);
        let images = Images::new(install.to_string(), extra);
        let engine = EngineLink::new(connector, time.clone());
        let house = House::new(Parts { config, install, time, store, line, link: engine, images, access, authorities });
        info!(%install, folder = %house.config.data_folder, "Berth starts");

        access::begin(&house).await.map_err(in_store)?;
        disk::look_first(&house).await;
        take_up(&house).await.map_err(in_store)?;
        let (watched, scheduled, compared) = (house.clone(), house.clone(), house.clone());
        house.tasks.spawn(async move { watched.link.run(watched.stop.clone()).await });
        house.tasks.spawn(disk::run(house.clone()));
        house.tasks.spawn(descriptors::run(house.clone()));
        house.tasks.spawn(schedule::run(scheduled));
        house.tasks.spawn(reconcile::run(compared));
        house.tasks.spawn(retention::run(house.clone()));
        house.tasks.spawn(budgets::run(house.clone()));
        house.tasks.spawn(discard_unrecorded(house.clone(), new_id()));
        Ok(Self { house, _lock: lock })
    }

    /// What all parts share, for the benchmarks.
    pub(crate) fn house(&self) -> &Arc<House> {
        &self.house
    }

    /// A handle for a skin.
    pub fn api(&self) -> Api {
        Api::new(self.house.clone())
    }

    /// Stops working and lets go of everything; sandboxes work on and are taken over at the next start. What an engine or a disk
    /// that hardly moves keeps from ending is left as a kill would leave it, after 15 seconds.
    pub async fn shutdown(self) {
        info!("Berth stops; sandboxes work on");
        access::hold_while_away(&self.house).await;
        self.house.stop.cancel();
        self.house.tasks.close();
        let left = async {
            self.house.access.close().await;
            self.house.tasks.wait().await;
        };
        if timeout(LEAVE_TIME_MAX, left).await.is_err() {
            warn!(tasks = self.house.tasks.len(), "stopped in the middle of work; the next start goes on with it");
        }
        if timeout(CLOSE_TIME_MAX, self.house.store.clone().close()).await.is_err() {
            warn!("the database was not closed in order; the next start reads its log");
        }
    }
}

/// Opens the database; on a full disk with the room that is kept for that.
async fn open_store(folder: &Utf8Path) -> Result<Store, StoreError> {
    let path = folder.join(STORE_FILE);
    let give_up_at = tokio::time::Instant::now() + LOCK_WAIT_MAX;
    let opened = loop {
        match Store::open(&path).await {
            Err(StoreError::Locked(error)) if tokio::time::Instant::now() < give_up_at => {
                warn!(%error, "another program holds the database; waiting for it");
                tokio::time::sleep(LOCK_LOOK_EVERY).await;
            }
            opened => break opened,
        }
    };
    match opened {
        Err(error @ (StoreError::Full(_) | StoreError::Io(_))) => {
            let data_folder = folder.to_owned();
            let is_let_go = tokio::task::spawn_blocking(move || disk::let_reserve_go(&data_folder)).await;
            if !is_let_go.unwrap_or(false) {
                return Err(error);
            }
            warn!(%error, "the database cannot be opened; trying again with the reserve let go");
            Store::open(&path).await
        }
        opened => opened,
    }
}

/// Begins the actors of the steps that are not over.
async fn take_up(house: &Arc<House>) -> Result<(), StoreError> {
    for record in house.store.unfinished_steps().await? {
        let agent = house.store.agent(record.agent).await?;
        let task = house.store.task(record.task).await?;
        step::spawn(house, record, agent.launch, task.prompt);
    }
    Ok(())
}

/// Takes away what an earlier process copied for tasks that it did not come to write down. What this one takes in has an id after
/// `started`.
async fn discard_unrecorded(house: Arc<House>, started: TaskId) {
    let folder = house.config.data_folder.join("attachments");
    // Most have never had one.
    let Ok(mut entries) = tokio::fs::read_dir(&folder).await else { return };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let Some(task) = entry.file_name().to_str().and_then(|name| name.parse::<TaskId>().ok()) else { continue };
        if house.stop.is_cancelled() {
            return;
        }
        if task < started && matches!(house.store.task(task).await, Err(StoreError::NotFound { .. })) {
            info!(%task, "taking away files that were copied for a task that did not come about");
            dispatch::discard(&folder.join(task.to_string())).await;
        }
    }
}

async fn connect(address: Option<String>) -> Result<Connected, EngineError> {
    let environment = Environment::of_this_process(address);
    let candidates = tokio::task::spawn_blocking(move || find(&environment, &RealFiles)).await;
    let lost = |error: Box<dyn std::error::Error + Send + Sync>| {
        EngineError::new(ErrorKind::Unreachable, "find an engine", error.to_string()).caused_by(error)
    };
    let candidates = candidates.map_err(|error| lost(error.into()))?.map_err(|error| lost(error.into()))?;
    let docker = DockerEngine::connect_first(&candidates).await?;
    let found = format!("{}, named by {}", docker.found().endpoint, docker.found().source);
    Ok(Connected { engine: Arc::new(docker), found })
}

/// The certificates that builds trust beside their own, and the bundle for sandboxes.
async fn trust(
    configured: Vec<Utf8PathBuf>,
    host: HostTrust,
) -> Result<(Vec<ExtraCertificate>, Option<String>), StartError> {
    let problem = |error| StartError::Certificate(CertificateProblem(error));
    let looked = tokio::task::spawn_blocking(move || {
        let host = host.read();
        let extra = certificates::find(&configured, &host)?;
        let authorities = certificates::bundle(&extra, &host);
        Ok((extra, authorities))
    });
    match looked.await {
        Ok(looked) => looked.map_err(problem),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Makes the data folder, the person's alone, and locks it.
fn lock(folder: &Utf8Path) -> Result<File, StartError> {
    let failed = |source| StartError::Folder { folder: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    let file = open_private(&folder.join(LOCK_FILE)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            let store = folder.join(STORE_FILE);
            let is_empty = std::fs::metadata(&store).is_ok_and(|found| found.len() == 0);
            let was_used =
                || std::fs::read_dir(folder.join(WORKSPACES_FOLDER)).is_ok_and(|mut any| any.next().is_some());
            if is_empty && was_used() {
                return Err(StartError::Emptied { folder: folder.to_owned() });
            }
            // What SQLite puts beside its file has the same mode.
            open_private(&store).map_err(failed)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => Err(StartError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => {
            warn!(%source, "the data folder cannot be locked");
            Err(failed(source))
        }
    }
}

/// Opens a file, makes it where it is missing, and makes it the person's alone.
fn open_private(path: &Utf8Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        let file = options.mode(0o600).open(path)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        Ok(file)
    }
    #[cfg(not(unix))]
    {
        options.open(path)
    }
}
