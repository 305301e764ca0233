//! A step's state machine, and the pure rule from steps to a run's phase.
//!
//! ```text
//! Queued ──► Provisioning ──► Executing ──► AwaitingReview ──► Completed
//!   ▲              │               │              │  │
//!   └──────────────┼───────────────┼──────────────┘  │      Failed, Cancelled
//!    another attempt └───────────────┴─────────────────┴────► (each from any of them)
//! ```
//!
//! The whole table, generated from the code, is `docs/lifecycle.md`.
//!
//! [`advance`] answers every input in every state: with the next state and what is to be done, or with the reason why
//! not. A caller writes the state down first and then acts; every [`Effect`] may be carried out twice.
//!
//! Invariant: no async, no clock, no I/O, and no state outside of the arguments. When, which sandbox and with what words
//! is the caller's affair; nothing here is serialised, a state becomes columns through [`Columns`].

mod actions;
mod advance;
mod columns;
mod denied;
mod ending;
mod holds;
mod run;
mod state;

pub use actions::{actions, retry};
pub use advance::{Advance, Effect, Exit, Input, advance};
pub use columns::{Columns, Inconsistent};
pub use denied::Denied;
pub use ending::{Ending, Failure, Limit, ProvisionFailure};
pub use holds::Holds;
pub use run::{current_step, run_phase};
pub use state::{ATTEMPTS_MAX, Course, Stage, StepState};
