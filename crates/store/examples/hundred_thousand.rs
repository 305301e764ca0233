//! How fast the task list is with 100,000 past runs: fills a store of its own in a temporary folder and prints the
//! latencies of what the list asks for. `cargo run -p store --example hundred_thousand [TASKS]`.
//!
//! The rows are made by SQL, 100,000 at once, since a flushed transaction for each would take minutes; what is measured
//! is the public interface alone. Nothing here is random: two runs ask the same of the same rows.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use store::{Store, TaskFilter};
use wire::Phase;

/// Calls of each kind that are measured, after [`WARM_UP`] that are not.
const SAMPLES: usize = 300;
const WARM_UP: usize = 10;
/// A page as the window asks for it.
const PAGE: u32 = 200;
/// Words that titles and prompts are made of; the first ones are in many, the last in few.
const VOCABULARY: usize = 4_000;
/// The bar of the design for list, filter and search.
const BAR: Duration = Duration::from_millis(20);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let tasks: i64 = match std::env::args().nth(1) {
        Some(count) => count.parse().context("the number of tasks")?,
        None => 100_000,
    };
    let folder = camino_tempfile::tempdir()?;
    let path = folder.path().join("berth.db");
    Store::open(&path).await?.close().await;
    let filling = Instant::now();
    fill(&path, tasks).await?;
    println!("{tasks} tasks in {:.1} s, {} MB", filling.elapsed().as_secs_f64(), path.metadata()?.len() >> 20);

    let store = Store::open(&path).await?;
    println!("\n{:<44} {:>7} {:>8} {:>8} {:>8}   (ms, n = {SAMPLES})", "", "found", "p50", "p95", "p99");
    let mut worst = Duration::ZERO;
    for (name, filter) in asked(tasks) {
        worst = worst.max(measure(&store, name, &filter).await?);
    }
    println!("\nworst p99 {:.1} ms, bar {} ms", worst.as_secs_f64() * 1e3, BAR.as_millis());
    store.close().await;
    Ok(())
}

/// What the window asks for, from the commonest to the worst.
fn asked(tasks: i64) -> Vec<(&'static str, TaskFilter)> {
    let last_page = u64::try_from(tasks).unwrap_or_default().saturating_sub(u64::from(PAGE));
    let base = TaskFilter { limit: PAGE, ..TaskFilter::default() };
    let phases = |phases: &[Phase]| TaskFilter { phases: phases.to_vec(), ..base.clone() };
    let search = |search: &str| TaskFilter { search: search.to_owned(), ..base.clone() };
    vec![
        ("list: first page", base.clone()),
        ("list: last page", TaskFilter { offset: last_page, ..base.clone() }),
        ("filter: executing", phases(&[Phase::Executing])),
        (
            "filter: all that is not over",
            phases(&[Phase::Queued, Phase::Provisioning, Phase::Executing, Phase::AwaitingReview]),
        ),
        ("filter: completed", phases(&[Phase::Completed])),
        (
            "filter: completed or failed, last page",
            TaskFilter { offset: last_page * 9 / 10, ..phases(&[Phase::Completed, Phase::Failed]) },
        ),
        ("search: a rare word", search("w3999")),
        ("search: two words", search("w12 w80")),
        ("search: a word of every fourth task", search("w3")),
        ("search: an agent's name", search("agent")),
        ("search: a word that all have", search("please")),
        ("search: one letter", search("w")),
        ("search: a word that all have, last page", TaskFilter { offset: last_page, ..search("please") }),
        ("search and filter: rare, failed", TaskFilter { search: "w3999".to_owned(), ..phases(&[Phase::Failed]) }),
        (
            "search and filter: all have it, completed",
            TaskFilter { search: "please".to_owned(), ..phases(&[Phase::Completed]) },
        ),
        (
            "search and filter: all have it, executing",
            TaskFilter { search: "please".to_owned(), ..phases(&[Phase::Executing]) },
        ),
    ]
}

async fn measure(store: &Store, name: &str, filter: &TaskFilter) -> Result<Duration> {
    let mut samples = Vec::with_capacity(SAMPLES);
    let mut found = 0;
    for sample in 0..WARM_UP + SAMPLES {
        let begun = Instant::now();
        let page = store.list_tasks(filter).await?;
        if sample >= WARM_UP {
            samples.push(begun.elapsed());
        }
        found = page.total;
    }
    samples.sort_unstable();
    let quantile = |percent: usize| samples[(SAMPLES * percent / 100).min(SAMPLES - 1)];
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    println!("{name:<44} {found:>7} {:>8.2} {:>8.2} {:>8.2}", ms(quantile(50)), ms(quantile(95)), ms(quantile(99)));
    Ok(quantile(99))
}

/// Fills a new store as if all these tasks had been taken in and worked on.
async fn fill(path: &Utf8Path, tasks: i64) -> Result<()> {
    ensure!((1..1 << 31).contains(&tasks), "between 1 and 2^31 tasks");
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let mut transaction = connection.begin().await?;
    for statement in FILL {
        sqlx::query(statement)
            .bind(tasks)
            .bind(i64::try_from(VOCABULARY)?)
            .execute(&mut *transaction)
            .await
            .with_context(|| statement.to_owned())?;
    }
    transaction.commit().await?;
    connection.close().await?;
    Ok(())
}

/// `?1` tasks, of `?2` words.
const FILL: [&str; 13] = [
    "INSERT INTO agents (id, name, image, launch, limits, review, home, created_at)
     VALUES ('00000000-0000-7000-8000-0000000000a1', 'agent-one', 'script', '{\"type\":\"image\"}', '{}', 'ask', 'home', 0)",
    "CREATE TEMPORARY TABLE numbers (n INTEGER PRIMARY KEY)",
    "WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < ?1)
     INSERT INTO numbers SELECT n FROM counter",
    "CREATE TEMPORARY TABLE places (place INTEGER PRIMARY KEY)",
    "WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < 40)
     INSERT INTO places SELECT n FROM counter",
    // The square of an even spread: low words often, high words seldom.
    "CREATE TEMPORARY TABLE texts AS
     SELECT n, (SELECT group_concat('w' || (hash * hash / ?2), ' ')
                FROM (SELECT ((n * 2654435761 + place * 40503 * n) / 7) % ?2 AS hash FROM places)) AS text
     FROM numbers",
    "INSERT INTO tasks (number, id, title, agent, created_at, latest_run, phase)
     SELECT n, printf('%08x-0000-7000-8000-000000000001', n), 'Please ' || substr(text, 1, 40),
            '00000000-0000-7000-8000-0000000000a1', n * 1000000, printf('%08x-0000-7000-8000-000000000002', n),
            CASE WHEN n % 50 = 0 THEN 'failed' WHEN n % 67 = 0 THEN 'cancelled' WHEN n % 499 = 0 THEN 'awaiting_review'
                 WHEN n > ?1 - 4 THEN 'executing' WHEN n > ?1 - 20 THEN 'queued' ELSE 'completed' END
     FROM texts",
    "INSERT INTO prompts (task, prompt) SELECT printf('%08x-0000-7000-8000-000000000001', n), 'Please ' || text FROM texts",
    "INSERT INTO task_search (rowid, title, prompt, agent)
     SELECT n, 'Please ' || substr(text, 1, 40), 'Please ' || text, 'agent-one' FROM texts",
    "INSERT INTO runs (id, task, ordinal, phase, current_step, created_at, ended_at)
     SELECT latest_run, id, 1, phase, printf('%08x-0000-7000-8000-000000000003', number), created_at, created_at + 5
     FROM tasks",
    "INSERT INTO steps (id, run, ordinal, name, agent, image, limits, phase, attempt, review, holds, failure, revision,
                        entered_at, error, output_bytes, output_at, last_line, result_count, created_at)
     SELECT current_step, id, 1, 'work', '00000000-0000-7000-8000-0000000000a1', 'script', '{}', phase, 1, 'ask', '',
            iif(phase = 'failed', 'agent', NULL), 4, ended_at,
            iif(phase = 'failed', '{\"code\":\"agent_failed\",\"message\":\"The agent ended with status 1.\"}', NULL),
            1000, ended_at, 'the last line of the output', 3, created_at
     FROM runs",
    "INSERT INTO phase_spans (step, ordinal, phase, attempt, entered_at) SELECT id, 1, phase, 1, entered_at FROM steps",
    "INSERT INTO events (at, task, run, step, kind)
     SELECT created_at, task, id, current_step, '{\"type\":\"note\",\"text\":\"taken in\"}' FROM runs",
];
