//! What is looked at while a soak runs: the process, its folders, the engine.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use berth_tests::{app::install_of, docker::Docker};
use camino::Utf8Path;
use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    berth::Watch,
    bounds::{SAMPLE_EVERY, SAMPLES_PER_COUNT, SAMPLES_PER_LOOK},
    worker::Tally,
};

/// How long after the last work the process is left alone before it is looked at.
const REST: Duration = Duration::from_secs(20);
/// The database, below the data folder.
const DATABASE: &str = "berth.db";

/// The process at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    pub(crate) rss_kib: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: u64,
}

/// What lies around at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    pub(crate) database_bytes: u64,
    pub(crate) wal_bytes: u64,
    pub(crate) outputs_bytes: u64,
    pub(crate) workspaces_bytes: u64,
    pub(crate) sandboxes: u64,
    pub(crate) fillers: u64,
    pub(crate) spools: u64,
}

/// A moment.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Since the beginning.
    pub(crate) at: Duration,
    /// Which process it is.
    pub(crate) pid: u32,
    pub(crate) process: Process,
    /// Runs that had ended.
    pub(crate) runs: u64,
    pub(crate) look: Option<Look>,
    /// Rows by table.
    pub(crate) rows: Option<BTreeMap<String, u64>>,
}

/// Looks again and again until it is told to end.
pub(crate) struct Sampler {
    end: oneshot::Sender<()>,
    sampling: JoinSet<Vec<Sample>>,
    berth: Watch,
}

impl Sampler {
    pub(crate) fn begin(berth: Watch, tally: Arc<Tally>, began: Instant) -> Self {
        let (end, ended) = oneshot::channel();
        let mut sampling = JoinSet::new();
        sampling.spawn(sample(berth.clone(), tally, began, ended));
        Self { end, sampling, berth }
    }

    /// The process after a while without work.
    pub(crate) async fn at_rest(&self) -> Option<Process> {
        tokio::time::sleep(REST).await;
        self.berth.pid().and_then(process)
    }

    /// All samples.
    pub(crate) async fn end(mut self) -> Vec<Sample> {
        // It may have ended by itself.
        let _ = self.end.send(());
        match self.sampling.join_next().await {
            Some(Ok(samples)) => samples,
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => Vec::new(),
        }
    }
}

async fn sample(berth: Watch, tally: Arc<Tally>, began: Instant, mut ended: oneshot::Receiver<()>) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut every = tokio::time::interval(SAMPLE_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut ticks: u32 = 0;
    loop {
        tokio::select! {
            _ = &mut ended => return samples,
            _ = every.tick() => {}
        }
        ticks += 1;
        let Some(pid) = berth.pid() else { continue };
        let Some(process) = process(pid) else { continue };
        let at = began.elapsed();
        let home = berth.home.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let look = ticks.is_multiple_of(SAMPLES_PER_LOOK).then(|| look(&home));
            let rows = ticks.is_multiple_of(SAMPLES_PER_COUNT).then(|| rows(&home));
            (look, rows.filter(|rows| !rows.is_empty()))
        });
        let Ok((look, rows)) = looked.await else { continue };
        samples.push(Sample { at, pid, process, runs: tally.runs(), look, rows });
    }
}

/// What the kernel says of a process; `None` where it has gone.
fn process(pid: u32) -> Option<Process> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let number = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    Some(Process { rss_kib: number("VmRSS:")?, threads: number("Threads:")?, descriptors })
}

fn look(home: &Utf8Path) -> Look {
    let size = |name: &str| std::fs::metadata(home.join(name)).map_or(0, |metadata| metadata.len());
    let mut look = Look {
        database_bytes: size(DATABASE),
        wal_bytes: size(&format!("{DATABASE}-wal")),
        outputs_bytes: bytes_below(home.join("outputs").as_std_path()),
        workspaces_bytes: bytes_below(home.join("workspaces").as_std_path()),
        ..Look::default()
    };
    let Some(install) = install_of(home) else { return look };
    let filter = format!("label=berth.install={install}");
    let roles = [
        Docker::of_this_machine().try_run(&[
            "ps",
            "--all",
            "--filter",
            &filter,
            "--format",
            r#"{{.Label "berth.role"}}"#,
        ]),
        Docker::of_this_machine().try_run(&[
            "volume",
            "ls",
            "--filter",
            &filter,
            "--format",
            r#"{{.Label "berth.role"}}"#,
        ]),
    ];
    for role in roles.iter().flatten().flat_map(|roles| roles.lines()) {
        match role {
            "sandbox" => look.sandboxes += 1,
            "filler" => look.fillers += 1,
            "spool" => look.spools += 1,
            _ => {}
        }
    }
    look
}

/// The sizes of the files below a folder. What goes while one looks counts as nothing.
fn bytes_below(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => bytes_below(&entry.path()),
        Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |metadata| metadata.len()),
        Ok(_) | Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Rows by table, read with Python's SQLite: no crate but `store` may know how.
fn rows(home: &Utf8Path) -> BTreeMap<String, u64> {
    let output = Command::new("python3").args(["-c", COUNT_ROWS, home.join(DATABASE).as_str()]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let row =
        |line: &str| line.split_once(' ').and_then(|(count, table)| Some((table.to_owned(), count.parse().ok()?)));
    text.lines().filter_map(row).collect()
}

const COUNT_ROWS: &str = r#"
import sqlite3, sys
database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=10)
tables = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'task_search%'")
for (table,) in tables.fetchall():
    print(database.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0], table)
"#;
