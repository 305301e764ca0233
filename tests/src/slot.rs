//! At most three heavy tests at once, across all test programs of a run: each holds one of three locked files.
//!
//! `cargo test` runs the tests of one program in parallel, and other runners run programs in parallel as well; sandboxes,
//! browsers and windows on top of each other would measure nothing but the machine's patience.

use std::{
    fs::{File, TryLockError},
    time::Duration,
};

use crate::{binaries, wait::until};

/// How many heavy tests run at once.
const SLOTS: usize = 3;
/// Longer than all heavy tests one after another take.
const SLOT_WAIT_MAX: Duration = Duration::from_mins(30);

/// The right to run; given back when dropped, or when the test's process ends in whatever way.
#[derive(Debug)]
pub struct Slot {
    _locked: File,
}

impl Slot {
    /// Waits for a free one.
    pub async fn take() -> Self {
        let folder = binaries::folder().join("test-slots");
        std::fs::create_dir_all(&folder).expect("target/ is writable");
        let files: Vec<File> = (0..SLOTS)
            .map(|number| File::create(folder.join(number.to_string())).expect("target/ is writable"))
            .collect();
        let mut files = files;
        let taken = until("one of the heavy tests to end", SLOT_WAIT_MAX, async || {
            files.iter().position(|file| match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(error)) => panic!("target/test-slots cannot be locked: {error}"),
            })
        })
        .await;
        Self { _locked: files.swap_remove(taken) }
    }
}
