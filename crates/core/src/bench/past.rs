//! A hundred thousand past runs in the store: list, filter and search.

use std::time::Instant;

use store::{
    Store,
    sample::{Question, QuestionKind, fill, questions},
};
use wire::bench::{BenchBar, BenchFigures, BenchRow, BenchUnit};

use super::pair::{alone, ms};
use super::{BenchError, Rig};

/// Runs in the store.
const RUNS: u32 = 100_000;
/// The bound of the 99th percentile, in milliseconds.
const BAR: f64 = 20.0;
/// A question is cheap, and its bar is on the 99th percentile: so many more samples than of anything else.
const TIMES: u32 = 10;
/// The store of its own.
const FILE: &str = "past.db";

/// Measures it: a row for each kind of question, with the slowest question of that kind.
///
/// # Errors
/// Whatever kept it from being measured.
pub async fn past(rig: &Rig, n: u32) -> Result<Vec<BenchRow>, BenchError> {
    let path = rig.data_folder().join(FILE);
    Store::open(&path).await?.close().await;
    fill(&path, RUNS).await?;
    let store = Store::open(&path).await?;
    let rows = measure(&store, n).await;
    store.close().await;
    rows
}

async fn measure(store: &Store, n: u32) -> Result<Vec<BenchRow>, BenchError> {
    let questions = questions(RUNS);
    let mut rows = Vec::new();
    for kind in [QuestionKind::List, QuestionKind::Filter, QuestionKind::Search] {
        let mut slowest: Option<(&str, BenchFigures)> = None;
        let mut count = 0;
        for question in questions.iter().filter(|question| question.kind == kind) {
            let figures = ask(store, question, n).await?;
            count += 1;
            if slowest.is_none_or(|(_, known)| known.p99 < figures.p99) {
                slowest = Some((question.name, figures));
            }
        }
        if let Some((name, figures)) = slowest {
            let what = format!("{} in {RUNS} past runs", kind.word());
            let row = BenchRow::new("past", &what, BenchUnit::Milliseconds, figures);
            let note = format!("The slowest of {count} questions of that kind: {name}.");
            rows.push(row.held_to(BenchBar::P99Below { value: BAR }).note(note));
        }
    }
    Ok(rows)
}

async fn ask(store: &Store, question: &Question, n: u32) -> Result<BenchFigures, BenchError> {
    alone(n.saturating_mul(TIMES), async || {
        let begun = Instant::now();
        store.list_tasks(&question.filter).await?;
        Ok(ms(begun.elapsed()))
    })
    .await
}
