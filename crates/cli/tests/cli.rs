//! The real `berth` against the real server over a scripted backend: what it asks, what it prints, how it ends.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test says that something went wrong by panicking"
)]

#[path = "cli/costs.rs"]
mod costs;
#[path = "cli/finding.rs"]
mod finding;
#[path = "cli/images.rs"]
mod images;
#[path = "cli/json.rs"]
mod json;
#[path = "cli/logs.rs"]
mod logs;
#[path = "cli/network.rs"]
mod network;
#[path = "cli/projects.rs"]
mod projects;
#[path = "cli/run.rs"]
mod run;
#[path = "cli/scripted.rs"]
mod scripted;
#[path = "cli/secrets.rs"]
mod secrets;
#[path = "cli/upkeep.rs"]
mod upkeep;
#[path = "cli/words.rs"]
mod words;
