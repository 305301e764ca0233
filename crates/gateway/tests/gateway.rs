//! The gateway over real sockets: programs on one side, hosts on the other, and whoever keeps the books.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says that something went wrong by panicking"
)]

#[path = "gateway/forward.rs"]
mod forward;
#[path = "gateway/hostile.rs"]
mod hostile;
#[path = "gateway/hosts.rs"]
mod hosts;
#[path = "gateway/inspected.rs"]
mod inspected;
#[path = "gateway/model.rs"]
mod model;
#[path = "gateway/secure.rs"]
mod secure;
#[path = "gateway/streaming.rs"]
mod streaming;
#[path = "gateway/tunnel.rs"]
mod tunnel;
#[path = "gateway/world.rs"]
mod world;
