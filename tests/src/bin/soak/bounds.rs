//! What a soak is made of and judged by.

use std::{ops::Range, time::Duration};

/// Sandboxes at once, and workers.
pub(crate) const SANDBOXES: usize = 20;
/// For that part of the time the app is killed and stopped over and over; then it lives on, for its memory to be measured.
pub(crate) const KILLS_PER_MILLE: u32 = 400;
/// How long a short life lasts, in seconds.
pub(crate) const LIFE_SHORT: Range<u64> = 20..150;
/// How long the app stays away at most, in milliseconds.
pub(crate) const AWAY_MAX: u64 = 8_000;
/// How long a worker waits for the app to be there.
pub(crate) const START_MAX: Duration = Duration::from_mins(2);
/// How long an orderly stop may take.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(30);
/// How long everything that was begun may take to its end.
pub(crate) const DRAIN_MAX: Duration = Duration::from_mins(11);
/// How long after the last run's end a sandbox may still be there.
pub(crate) const SWEEP_MAX: Duration = Duration::from_mins(3);
/// The longest that any task of ours may take from its creation to its end, queueing and kills of the app included.
pub(crate) const TASK_MAX: Duration = Duration::from_mins(10);

/// How often the process is looked at.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// How often the engine and the folders are looked at, in samples.
pub(crate) const SAMPLES_PER_LOOK: u32 = 3;
/// How often the rows are counted, in samples.
pub(crate) const SAMPLES_PER_COUNT: u32 = 12;
/// How many finished tasks are read again at the end.
pub(crate) const KEPT_READ_AGAIN: usize = 60;

/// A life's beginning, in which caches fill, says nothing about growth.
pub(crate) const WARM_UP: Duration = Duration::from_mins(3);
/// A life that is measured for less than this many minutes after its warm-up is not judged by its slope.
pub(crate) const MINUTES_JUDGED_MIN: usize = 8;

/// Growth of the app's resident memory in KiB per minute that counts as none: 15 MiB in an hour. A slope breaks it where it is
/// above by more than twice its standard error.
pub(crate) const RSS_SLOPE_KIB_MAX: f64 = 256.0;
/// Resident memory at any time, in KiB.
pub(crate) const RSS_KIB_MAX: u64 = 512 << 10;
/// Open descriptors with all sandboxes at work.
pub(crate) const DESCRIPTORS_MAX: u64 = 600;
/// Open descriptors when nothing works.
pub(crate) const DESCRIPTORS_AT_REST_MAX: u64 = 80;
/// Threads: the runtime's, and those for blocking calls while there are many at once.
pub(crate) const THREADS_MAX: u64 = 160;
/// Rows of all tables for one run.
pub(crate) const ROWS_PER_RUN_MAX: f64 = 80.0;
/// The write-ahead log, in bytes.
pub(crate) const WAL_BYTES_MAX: u64 = 64 << 20;
/// Sandboxes in the engine at once: those at work, and as many that are just being made or taken away.
pub(crate) const CONTAINERS_MAX: u64 = 3 * SANDBOXES as u64;
/// Runs that end in a minute, at least: below this the soak did not soak.
pub(crate) const RUNS_PER_MINUTE_MIN: f64 = 2.0;
/// Violations that are printed.
pub(crate) const VIOLATIONS_SHOWN: usize = 40;
