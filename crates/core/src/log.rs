//! Where the program's own log goes: files in the data folder, bounded in size, number and age, and stderr as far as asked.
//!
//! Called by a program's `main`, once, before anything is logged.

use std::{
    io::{self, IsTerminal as _},
    sync::Mutex,
    time::{Duration, SystemTime},
};

use camino::Utf8Path;
use file_rotate::{ContentLimit, FileRotate, compression::Compression, suffix::AppendCount};
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt};

/// The file that is written; older ones have a number behind it.
const FILE_NAME: &str = "berth.log";
/// How large one grows, in bytes: one entry more than that.
const FILE_BYTES_MAX: usize = 8 << 20;
/// How many older ones there are.
const OLDER_FILES_MAX: usize = 7;
/// How long an older one is kept, counted from its last line.
const AGE_MAX: Duration = Duration::from_hours(7 * 24);
/// Our own crates: what others log is theirs to know, and may hold what we never log.
const OURS: [&str; 9] =
    ["berth", "berth_core", "berth_desktop", "engine", "gateway", "pipe", "server", "store", "vault"];

/// How much goes to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Nothing.
    Silent,
    /// What a person may want to know.
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

/// Logs to stderr alone: for a command that asks a running Berth.
pub fn to_stderr(verbosity: Verbosity) {
    Registry::default().with(stderr(verbosity)).init();
}

/// Logs to the data folder as well: for a program that runs the core.
///
/// # Errors
/// The folder takes no log, as a full disk does not. Then there is none in it, and the core says better than this what is the
/// matter.
pub fn to_folder(data_folder: &Utf8Path, verbosity: Verbosity) -> io::Result<()> {
    let (files, made) = match files(data_folder) {
        Ok(files) => (Some(files), Ok(())),
        Err(error) => (None, Err(error)),
    };
    let files = files
        .map(|files| tracing_subscriber::fmt::layer().with_ansi(false).with_writer(files).with_filter(filter("info")));
    Registry::default().with(files).with(stderr(verbosity)).init();
    made
}

fn files(data_folder: &Utf8Path) -> io::Result<Mutex<FileRotate<AppendCount>>> {
    let folder = data_folder.join("logs");
    private_folder(data_folder).and_then(|()| private_folder(&folder))?;
    forget_old(&folder, SystemTime::now())?;
    Ok(Mutex::new(files_in(&folder, FILE_BYTES_MAX)))
}

/// A log in that folder.
fn files_in(folder: &Utf8Path, file_bytes_max: usize) -> FileRotate<AppendCount> {
    let limit = ContentLimit::BytesSurpassed(file_bytes_max);
    let mut options = std::fs::OpenOptions::new();
    options.read(true).create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    FileRotate::new(folder.join(FILE_NAME), AppendCount::new(OLDER_FILES_MAX), limit, Compression::None, Some(options))
}

/// Deletes logs of ours that were written to long ago, whatever version of Berth named them.
fn forget_old(folder: &Utf8Path, now: SystemTime) -> std::io::Result<()> {
    for entry in folder.read_dir_utf8()? {
        let entry = entry?;
        let is_ours = entry.file_name().starts_with("berth.") && entry.file_name() != FILE_NAME;
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = changed.is_ok_and(|changed| now.duration_since(changed).is_ok_and(|age| age > AGE_MAX));
        if is_ours && is_old {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn stderr<S>(verbosity: Verbosity) -> Option<impl Layer<S>>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    let level = match verbosity {
        Verbosity::Silent => return None,
        Verbosity::Info => "info",
        Verbosity::Debug => "debug",
        Verbosity::Trace => "trace",
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    Some(layer.with_filter(filter(level)))
}

fn filter(level: &str) -> EnvFilter {
    OURS.iter().fold(EnvFilter::new("off"), |filter, name| {
        filter.add_directive(format!("{name}={level}").parse().expect("invariant: a crate and a level are a directive"))
    })
}

fn private_folder(folder: &Utf8Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_log_is_bounded_however_much_is_written_and_has_the_latest() {
        const BYTES_MAX: usize = 1_000;
        let folder = camino_tempfile::tempdir().unwrap();
        let mut log = files_in(folder.path(), BYTES_MAX);
        for number in 0..10_000 {
            // One write an entry, as the layer that formats them does.
            log.write_all(format!("entry {number}\n").as_bytes()).unwrap();
        }
        let files: Vec<_> = folder.path().read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path()).collect();
        assert_eq!(files.len(), 1 + OLDER_FILES_MAX);
        for file in &files {
            let text = std::fs::read_to_string(file).unwrap();
            assert!(text.len() <= BYTES_MAX + "entry 9999\n".len(), "{file}: {} bytes", text.len());
        }
        drop(log);
        // The next process goes on with it.
        files_in(folder.path(), BYTES_MAX).write_all(b"the next\n").unwrap();
        let all: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        assert!(all.contains("entry 9999\n") && all.contains("the next\n"));
    }

    #[test]
    fn what_was_written_long_ago_goes_and_nothing_that_is_not_ours() {
        let folder = camino_tempfile::tempdir().unwrap();
        for name in ["berth.log", "berth.log.1", "berth.2026-01-01.log", "notes.txt"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let now = SystemTime::now();
        forget_old(folder.path(), now).unwrap();
        assert_eq!(folder.path().read_dir_utf8().unwrap().count(), 4, "nothing is old");
        forget_old(folder.path(), now + 2 * AGE_MAX).unwrap();
        let mut left: Vec<_> =
            folder.path().read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned()).collect();
        left.sort();
        assert_eq!(left, ["berth.log", "notes.txt"]);
    }
}
