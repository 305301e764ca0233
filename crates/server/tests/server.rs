//! The real server over a scripted backend, attacked as a page of another site or another program would.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test says that something went wrong by panicking"
)]

#[path = "server/access.rs"]
mod access;
#[path = "server/archives.rs"]
mod archives;
#[path = "server/assets.rs"]
mod assets;
#[path = "server/calls.rs"]
mod calls;
#[path = "server/logs.rs"]
mod logs;
#[path = "server/scripted.rs"]
mod scripted;
#[path = "server/streams.rs"]
mod streams;
