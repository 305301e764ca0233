//! A store as it is after years of use, and what the task list asks of it: for benchmarks.
//!
//! The rows are made by SQL, all at once, since a flushed transaction for each would take minutes. Nothing here is random:
//! two runs ask the same of the same rows. Nothing else in Berth uses it.

use camino::Utf8Path;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use wire::Phase;

use crate::{
    error::StoreError,
    list::{SEARCH_TOTAL_MAX, TaskFilter},
};

/// A page as the window asks for it.
const PAGE: u32 = 200;
/// Words that titles and prompts are made of; the first ones are in many, the last in few.
const VOCABULARY: u32 = 4_000;

/// Something that the task list asks for.
#[derive(Clone, Debug)]
pub struct Question {
    /// In a few words.
    pub name: &'static str,
    /// Of which kind.
    pub kind: QuestionKind,
    /// The question itself.
    pub filter: TaskFilter,
}

/// The kinds of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionKind {
    /// All tasks, a page of them.
    List,
    /// Those in some phases.
    Filter,
    /// Those with some words, in some phases or all.
    Search,
}

impl QuestionKind {
    /// As a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Filter => "filter",
            Self::Search => "search",
        }
    }
}

/// What the window asks for with that many tasks in the store, from the commonest to the worst.
pub fn questions(tasks: u32) -> Vec<Question> {
    let last_page = u64::from(tasks.saturating_sub(PAGE));
    let finds = u64::from(tasks.clamp(PAGE, SEARCH_TOTAL_MAX));
    let base = TaskFilter { limit: PAGE, ..TaskFilter::default() };
    let of = |kind| move |name, filter| Question { name, kind, filter };
    let (list, filter, search) = (of(QuestionKind::List), of(QuestionKind::Filter), of(QuestionKind::Search));
    let phases = |phases: &[Phase]| TaskFilter { phases: phases.to_vec(), ..base.clone() };
    let words = |words: &str| TaskFilter { search: words.to_owned(), ..base.clone() };
    let both = |word: &str, phase| TaskFilter { search: word.to_owned(), ..phases(&[phase]) };
    let open = [Phase::Queued, Phase::Provisioning, Phase::Executing, Phase::AwaitingReview];
    let closed = |offset| TaskFilter { offset, ..phases(&[Phase::Completed, Phase::Failed]) };
    vec![
        list("first page", base.clone()),
        list("middle page", TaskFilter { offset: last_page / 2, ..base.clone() }),
        list("last page", TaskFilter { offset: last_page, ..base.clone() }),
        filter("executing", phases(&[Phase::Executing])),
        filter("all that is not over", phases(&open)),
        filter("completed", phases(&[Phase::Completed])),
        filter("completed or failed, middle page", closed(last_page / 2)),
        filter("completed or failed, last page", closed(last_page * 49 / 50)),
        search("a rare word", words("w3999")),
        search("two words", words("w12 w80")),
        search("a word of every fourth task", words("w3")),
        search("an agent's name", words("agent")),
        search("a word that all have", words("please")),
        search("one letter", words("w")),
        search("a word that all have, last page", TaskFilter { offset: finds - u64::from(PAGE), ..words("please") }),
        search("a rare word, failed", both("w3999", Phase::Failed)),
        search("a word that all have, completed", both("please", Phase::Completed)),
        search("a word that all have, failed", both("please", Phase::Failed)),
        search("a word that all have, executing", both("please", Phase::Executing)),
        search("a word of every fourth task, failed", both("w3", Phase::Failed)),
    ]
}

/// Fills a new, empty store with that many tasks, as if all had been taken in and most worked on. Nobody else may have it open.
///
/// # Errors
/// As any write. Nothing is written then.
pub async fn fill(path: &Utf8Path, tasks: u32) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let mut transaction = connection.begin().await?;
    for statement in FILL {
        sqlx::query(statement).bind(tasks).bind(VOCABULARY).execute(&mut *transaction).await?;
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
