//! The file: opening it, bringing it to the newest schema, closing it.

use std::{sync::Arc, time::Duration};

use camino::Utf8Path;
use sqlx::{
    Connection, Executor, Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    error::StoreError,
    mark::{self, Mark},
};

/// How long a statement waits for another process that holds the file.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How many connections read at the same time.
pub const READERS_MAX: u32 = 4;
/// How long a call waits for its turn on a connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);
/// What a connection keeps of the file in memory, in KiB.
const CACHE_KIB: u32 = 8 << 10;
/// What the write-ahead log is cut back to after it grew, in bytes.
const LOG_BYTES_MAX: u32 = 64 << 20;
/// The largest file that is looked through for damage at each start, in bytes: that takes a few tenths of a second. A larger one
/// is looked through where it was not closed.
const CHECKED_BYTES_MAX: u64 = 64 << 20;
/// `application_id` of the first migration.
const APPLICATION_ID: i64 = 0x4245_5254;

static MIGRATOR: Migrator = sqlx::migrate!();

/// The open file. Cloning it is cheap; all clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    /// Dropped, or taken away in [`Store::close`], before the connections are.
    mark: Option<Arc<Mark>>,
    writer: SqlitePool,
    reader: SqlitePool,
}

impl Store {
    /// Opens the file, makes it if it is missing, and brings it to the newest schema.
    ///
    /// # Errors
    /// See [`StoreError`]. A file that is refused is left as it is: damaged, newer, somebody else's, without its log.
    pub async fn open(path: &Utf8Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("cache_size", format!("-{CACHE_KIB}"))
            .pragma("journal_size_limit", LOG_BYTES_MAX.to_string());
        refuse(path).await?;
        mark::clear(path).map_err(sqlx::Error::Io)?;
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(TURN_TIMEOUT)
            .after_release(|connection, _| Box::pin(is_reusable(connection)))
            .connect_with(options.clone())
            .await?;
        if let Err(error) = migrate(path, &writer).await {
            writer.close().await;
            return Err(error);
        }
        let reader = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(TURN_TIMEOUT)
            .connect_with(options.pragma("query_only", "ON"))
            .await?;
        // A disk that does not take the mark takes no transaction either, which is told then.
        let mark = mark::log_of(path).exists().then(|| Mark::set(path).ok()).flatten().map(Arc::new);
        Ok(Self { mark, writer, reader })
    }

    /// Waits for what is under way and closes the file. The write-ahead log is folded into it.
    pub async fn close(mut self) {
        drop(self.mark.take());
        self.reader.close().await;
        self.writer.close().await;
    }

    /// A transaction that writes. It takes the write lock at once, so that it cannot fail half-way for want of it.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// A transaction that sees the same state throughout.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.reader.begin().await?)
    }

    /// For a single statement that reads.
    pub(crate) fn read(&self) -> impl Executor<'_, Database = Sqlite> {
        &self.reader
    }

    #[cfg(test)]
    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.writer
    }
}

/// Whether a connection can write once more. On a full disk SQLite rolls back by itself; the rollback that follows then
/// finds no transaction, and sqlx 0.9 would count one for ever: such a connection is replaced.
async fn is_reusable(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // The rollback of a dropped transaction is only queued; the ping comes after it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Looks at a file that is there already before anything touches it: damaged ones, other people's databases and those of a
/// newer Berth are left as they are, down to the journal mode.
async fn refuse(path: &Utf8Path) -> Result<(), StoreError> {
    let Ok(found) = std::fs::metadata(path) else { return Ok(()) };
    let was_open = mark::is_set(path);
    if was_open && !mark::log_of(path).exists() {
        return Err(StoreError::LogMissing { log: mark::log_of(path), mark: mark::path_of(path) });
    }
    let is_checked = found.len() > 0 && (was_open || found.len() <= CHECKED_BYTES_MAX);
    let expected = if was_open { Expected::Store } else { Expected::StoreOrNothing };
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT).pragma("query_only", "ON");
    if std::fs::metadata(mark::log_of(path)).is_ok_and(|log| log.len() > 0) {
        // Closing a connection that could write would fold the log into a file that may be damaged.
        match look_with(path, options.clone().read_only(true), is_checked, expected).await {
            // Without the right to make files beside it, only the other kind says why.
            Err(StoreError::Io(_)) => {}
            verdict => return verdict,
        }
    }
    look_with(path, options, is_checked, expected).await
}

/// What a file may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// It was open as a store: where it has nothing, its log is damaged.
    Store,
    /// It may be new.
    StoreOrNothing,
}

async fn look_with(
    path: &Utf8Path,
    options: SqliteConnectOptions,
    is_checked: bool,
    expected: Expected,
) -> Result<(), StoreError> {
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(TURN_TIMEOUT).connect_with(options).await?;
    let verdict = async {
        is_ours(path, &pool, expected).await?;
        if is_checked { is_whole(&pool).await } else { Ok(()) }
    };
    let verdict = verdict.await;
    pool.close().await;
    verdict
}

/// Whether every page is there and of the kind that it should be.
async fn is_whole(pool: &SqlitePool) -> Result<(), StoreError> {
    let said: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(pool).await?;
    if said == "ok" { Ok(()) } else { Err(StoreError::damaged(said)) }
}

async fn is_ours(path: &Utf8Path, pool: &SqlitePool, expected: Expected) -> Result<(), StoreError> {
    // A crash between the two may have left the table of migrations alone.
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE '%sqlx_migrations%'")
        .fetch_one(pool)
        .await?;
    if tables == 0 {
        return match expected {
            Expected::Store => Err(StoreError::damaged("its log holds nothing of what was written to it".to_owned())),
            Expected::StoreOrNothing => Ok(()),
        };
    }
    let application_id: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(pool).await?;
    if application_id != APPLICATION_ID {
        return Err(StoreError::NotBerth { path: path.to_owned() });
    }
    let newest: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(pool).await?;
    match newest {
        Some(migration) if !MIGRATOR.version_exists(migration) => {
            Err(StoreError::Newer { path: path.to_owned(), migration })
        }
        Some(_) | None => Ok(()),
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "sqlx's list, which may grow")]
async fn migrate(path: &Utf8Path, writer: &SqlitePool) -> Result<(), StoreError> {
    MIGRATOR.run(writer).await.map_err(|error| match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => source.into(),
        MigrateError::VersionMissing(migration) => StoreError::Newer { path: path.to_owned(), migration },
        MigrateError::VersionMismatch(_) => StoreError::NotBerth { path: path.to_owned() },
        other => sqlx::Error::from(other).into(),
    })
}

#[cfg(test)]
mod tests {
    use camino_tempfile::Utf8TempDir;
    use nix::mount::{MntFlags, MsFlags, mount, umount2};

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_flushed_and_references_are_checked() {
        let folder = camino_tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("berth.db")).await.unwrap();
        for (pragma, expected) in
            [("PRAGMA journal_mode", "wal"), ("PRAGMA synchronous", "2"), ("PRAGMA foreign_keys", "1")]
        {
            let value: String = match sqlx::query_scalar::<_, i64>(pragma).fetch_one(store.writer()).await {
                Ok(number) => number.to_string(),
                Err(_) => sqlx::query_scalar(pragma).fetch_one(store.writer()).await.unwrap(),
            };
            assert_eq!(value, expected, "{pragma}");
        }
        let refused = sqlx::query("DELETE FROM agents").execute(store.read()).await.unwrap_err();
        assert!(matches!(refused.into(), StoreError::ReadOnly(_)), "a reader cannot write");
    }

    /// A disk of 2 MiB where that can be made, which takes root.
    struct SmallDisk(Option<Utf8TempDir>);

    impl SmallDisk {
        fn mount() -> Self {
            let folder = camino_tempfile::tempdir().unwrap();
            let path = folder.path().as_std_path();
            let mounted = mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some("size=2m"));
            Self(mounted.is_ok().then_some(folder))
        }
    }

    impl Drop for SmallDisk {
        fn drop(&mut self) {
            if let Some(folder) = &self.0 {
                let _ = umount2(folder.path().as_std_path(), MntFlags::MNT_DETACH);
            }
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_named_and_loses_nothing() {
        let disk = SmallDisk::mount();
        let elsewhere = camino_tempfile::tempdir().unwrap();
        let folder = disk.0.as_ref().unwrap_or(&elsewhere).path();
        let filler = folder.join("filler");
        std::fs::write(&filler, vec![1; 1 << 20]).unwrap();
        let store = Store::open(&folder.join("berth.db")).await.unwrap();
        if disk.0.is_none() {
            sqlx::query("PRAGMA max_page_count = 120").execute(store.writer()).await.unwrap();
        }
        let value = "x".repeat(16 << 10);
        let mut written = 0;
        let full = loop {
            match store.set_setting(&format!("key {written}"), &value).await {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
            assert!(written < 1_000, "the disk is never full");
        };
        assert!(matches!(full, StoreError::Full(_)), "{full:?}");
        assert!(written > 0);
        for number in 0..written {
            assert_eq!(store.setting(&format!("key {number}")).await.unwrap().as_ref(), Some(&value));
        }
        assert_eq!(store.setting::<String>(&format!("key {written}")).await.unwrap(), None);

        std::fs::remove_file(&filler).unwrap();
        if disk.0.is_none() {
            sqlx::query("PRAGMA max_page_count = 100000").execute(store.writer()).await.unwrap();
        }
        store.set_setting("there is room again", &true).await.unwrap();
        store.close().await;
    }
}
