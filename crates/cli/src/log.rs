//! Where the program's own log goes: a bounded number of files in the data folder, one a day, and stderr only when asked.

use anyhow::Context;
use camino::Utf8Path;
use tracing_appender::rolling::{Builder, Rotation};
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt};

/// How many days of logs are kept.
const FILES_MAX: usize = 7;
/// Our own crates: what others log is theirs to know, and may hold what we never log.
const OURS: [&str; 8] = ["berth", "berth_core", "engine", "gateway", "pipe", "server", "store", "vault"];

/// Logs to stderr alone, if that many `-v` ask for it: for a command that asks a running Berth.
pub(crate) fn to_stderr(verbose: u8) {
    Registry::default().with(stderr(verbose)).init();
}

/// Logs to the data folder as well: for a command that runs the core.
pub(crate) fn to_folder(data_folder: &Utf8Path, verbose: u8) -> anyhow::Result<()> {
    let folder = data_folder.join("logs");
    private_folder(data_folder).and_then(|()| private_folder(&folder)).context("the log folder cannot be made")?;
    let files = Builder::new()
        .rotation(Rotation::DAILY)
        .filename_prefix("berth")
        .filename_suffix("log")
        .max_log_files(FILES_MAX)
        .build(&folder)
        .context("the log cannot be written")?;
    let files = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(files).with_filter(filter("info"));
    Registry::default().with(files).with(stderr(verbose)).init();
    Ok(())
}

fn stderr<S>(verbose: u8) -> Option<impl Layer<S>>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    let level = match verbose {
        0 => return None,
        1 => "info",
        2 => "debug",
        3.. => "trace",
    };
    Some(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(filter(level)))
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
