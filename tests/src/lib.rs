//! What the black-box tests share: a Berth of the test's own, its command line, a browser, a desk with a window.
//!
//! Everything here drives the programs in `target/debug` from outside, as a person or a script would; nothing calls into
//! the core. Every wait has a bound and waits for a condition, never for time.
//!
//! Invariant: a test leaves nothing behind. [`TestApp`] has a data folder, and so an install, of its own; when it ends,
//! every container and volume with that install's label goes, and what should have gone before fails the test.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "a harness belongs to the tests: its way to fail is to panic, and its way to explain is standard error"
)]

pub mod app;
pub mod binaries;
pub mod browser;
pub mod canary;
pub mod claude;
pub mod client;
pub mod command;
pub mod desk;
pub mod docker;
pub mod notifications;
pub mod own_engine;
pub mod own_image;
pub mod page;
pub mod profiles;
pub mod sample;
pub mod screen;
pub mod slot;
pub mod truth;
pub mod wait;
pub mod window;
pub mod witness;

pub use app::TestApp;
pub use command::{Ran, berth};
pub use own_engine::OwnEngine;
pub use own_image::OwnImage;
pub use wait::until;
