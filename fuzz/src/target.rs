//! What can be fuzzed, by name.

use std::fs;
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

use crate::{archive, pipes, web};

/// One reader of hostile bytes.
struct Target {
    name: &'static str,
    run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
}

const TARGETS: [Target; 10] = [
    Target { name: "pipe-host", run: pipes::host, seeds: pipes::host_seeds },
    Target { name: "pipe-guest", run: pipes::guest, seeds: pipes::guest_seeds },
    Target { name: "browse", run: pipes::browse, seeds: pipes::browse_seeds },
    Target { name: "records", run: pipes::records, seeds: pipes::record_seeds },
    Target { name: "spool", run: archive::spool, seeds: archive::spool_seeds },
    Target { name: "guest-volume", run: archive::guest_volume, seeds: archive::guest_volume_seeds },
    Target { name: "home-archive", run: archive::home, seeds: archive::home_seeds },
    Target { name: "task-file", run: web::task_file, seeds: web::task_file_seeds },
    Target { name: "guard", run: web::guard, seeds: web::guard_seeds },
    Target { name: "ticket", run: web::ticket, seeds: web::ticket_seeds },
];

static RUN: OnceLock<fn(&[u8])> = OnceLock::new();

/// Finds out which target this is; or writes the seeds, or the names, and leaves.
pub(crate) fn begin() {
    let wanted = std::env::var("BERTH_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == wanted) else {
        for target in &TARGETS {
            println!("{}", target.name);
        }
        exit(if wanted.is_empty() { 0 } else { 2 });
    };
    if let Some(folder) = std::env::var_os("BERTH_FUZZ_SEEDS") {
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(Path::new(&folder).join(format!("seed-{number}")), seed).expect("the folder is there");
        }
        exit(0);
    }
    RUN.get_or_init(|| target.run);
}

pub(crate) fn run(data: &[u8]) {
    RUN.get().expect("begin was called")(data);
}

/// Reads an input piece by piece; at its end all is zero.
pub(crate) struct Input<'data> {
    rest: &'data [u8],
}

impl<'data> Input<'data> {
    pub(crate) fn new(rest: &'data [u8]) -> Self {
        Self { rest }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    pub(crate) fn number(&mut self) -> u32 {
        self.bytes(4).iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    pub(crate) fn bytes(&mut self, length: usize) -> &'data [u8] {
        let (bytes, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        bytes
    }
}
