//! Durable truth: everything that must outlive the app, in one SQLite file.
//!
//! A step's state and the events that tell of it are one transaction; it is on the disk when the function returns (WAL,
//! `synchronous=FULL`). One connection writes, a few read. Migrations are append-only; a file of a newer Berth is refused
//! and left as it is.
//!
//! Invariant: no rules of the business. What may happen to a step is `lifecycle`'s to say; times and ids are the caller's
//! to give. What is derived here (a run's phase, the step that speaks for it) is asked of `lifecycle` in the same
//! transaction.
//!
//! Invariant: nobody else names sqlx. No type of it stands in a signature.
//!
//! # Cancel safety
//! A function that is dropped before it returns has written all of its transaction or none of it; read again to know.

mod agents;
mod budgets;
mod column;
mod compute;
mod costs;
mod database;
mod error;
mod events;
mod homes;
mod images;
mod list;
mod mark;
mod prices;
mod projects;
mod requests;
mod results;
mod retention;
pub mod sample;
mod sandboxes;
mod search;
mod secrets;
mod settings;
mod steps;
mod tasks;
mod transition;

pub use agents::{AgentChange, AgentRecord, HomeFate, Kit};
pub use budgets::{BudgetKey, BudgetRecord, BudgetSpan, BudgetWarning};
pub use compute::{ComputeLook, ComputeSample, ComputeSum, ComputeSums};
pub use costs::{CostOf, CostScope, CostSpan, CostSum, Costs, Used};
pub use database::{BUSY_TIMEOUT, READERS_MAX, Store};
pub use error::{Cause, StoreError};
pub use events::{EventFilter, EventScope};
pub use homes::{HomeChange, HomeRecord, HomeSeed, HomeSize, HomeState};
pub use images::{OwnImageRecord, SmokeRecord};
pub use list::{ListedTask, SEARCH_TOTAL_MAX, TaskFilter, TaskPage};
pub use prices::PriceRecord;
pub use projects::{ProjectRecord, RunHosts};
pub use requests::{
    NewRequest, REQUESTS_PER_RUN_MAX, RequestBegun, RequestEnd, RequestEnding, RequestFilter, RequestStart,
};
pub use results::{ResultRecord, ResultsPage};
pub use retention::{KeptRun, KeptStep, Owners, Places, Taken};
pub use sandboxes::{LiveSandbox, Placement, SandboxRecord, SandboxStage};
pub use search::TERMS_MAX;
pub use secrets::{GrantRecord, GrantedSecret, ListedSecret, SecretRecord};
pub use steps::{DiskUse, OutputProgress, StepRecord};
pub use tasks::{AttachmentRecord, IdPrefix, NewRun, NewStep, NewTask, RunAdded, RunRecord, TaskAdded, TaskRecord};
pub use transition::{Committed, Transition};
