//! What a step may use at most.

use serde::{Deserialize, Serialize};

/// Bounds of one step. Memory, processor and processes are set on the container and enforced by the kernel; time and
/// output by the guest and the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory of the sandbox in bytes, swap included: 6 MiB (the engine's least) and up.
    pub memory_bytes: u64,
    /// Processor time per second of wall clock, in thousandths of a core: 10 and up.
    pub cpu_milli: u32,
    /// Processes and threads in the sandbox, the guest's included: 16 and up.
    pub pids: u32,
    /// Wall clock of one attempt in seconds, from the agent's start: 1 and up.
    pub wall_clock_s: u64,
    /// Output of one attempt in bytes. Past it the step fails; what came before is kept.
    pub output_bytes: u64,
}

impl Limits {
    /// The least memory that a container can be made with.
    pub const MEMORY_BYTES_MIN: u64 = 16 << 20;
    /// The least processor share that is useful at all.
    pub const CPU_MILLI_MIN: u32 = 10;
    /// The guest, one shim and a handful of processes.
    pub const PIDS_MIN: u32 = 16;
    /// Thirty days.
    pub const WALL_CLOCK_S_MAX: u64 = 30 * 24 * 3600;
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 2 << 30, cpu_milli: 2_000, pids: 512, wall_clock_s: 3_600, output_bytes: 4 << 30 }
    }
}
