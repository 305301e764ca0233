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
    /// Wall clock of one attempt in seconds, from the agent's start: 1 and up. It stands still while a hold keeps the agent stopped.
    pub wall_clock_s: u64,
    /// Output of one attempt in bytes. Past it the step fails; what came before is kept.
    pub output_bytes: u64,
    /// Disk in bytes: all that lies in the workspace, and what the home has grown by in one attempt. 1 MiB and up. Engines have no
    /// quotas on their volumes, so it is looked at every few seconds, every half minute while nothing changes, and what is written in between comes on top; what an agent hides
    /// in folders that it has locked is not seen.
    pub disk_bytes: u64,
}

impl Limits {
    /// The least memory that a container can be made with.
    pub const MEMORY_BYTES_MIN: u64 = 16 << 20;
    /// The least processor share that is useful at all.
    pub const CPU_MILLI_MIN: u32 = 10;
    /// The guest, one shim and a handful of processes.
    pub const PIDS_MIN: u32 = 16;
    /// Less than any checkout needs.
    pub const DISK_BYTES_MIN: u64 = 1 << 20;
    /// Thirty days.
    pub const WALL_CLOCK_S_MAX: u64 = 30 * 24 * 3600;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            cpu_milli: 2_000,
            pids: 512,
            wall_clock_s: 3_600,
            output_bytes: 4 << 30,
            disk_bytes: 20 << 30,
        }
    }
}

/// Limits other than the agent's, where a task sets any: what is `None` stays as the agent has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsPatch {
    /// [`Limits::memory_bytes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// [`Limits::cpu_milli`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_milli: Option<u32>,
    /// [`Limits::pids`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
    /// [`Limits::wall_clock_s`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_clock_s: Option<u64>,
    /// [`Limits::output_bytes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// [`Limits::disk_bytes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
}

impl From<Limits> for LimitsPatch {
    fn from(limits: Limits) -> Self {
        Self {
            memory_bytes: Some(limits.memory_bytes),
            cpu_milli: Some(limits.cpu_milli),
            pids: Some(limits.pids),
            wall_clock_s: Some(limits.wall_clock_s),
            output_bytes: Some(limits.output_bytes),
            disk_bytes: Some(limits.disk_bytes),
        }
    }
}

impl LimitsPatch {
    /// The limits that it makes of `limits`.
    #[must_use]
    pub fn apply(&self, limits: &Limits) -> Limits {
        Limits {
            memory_bytes: self.memory_bytes.unwrap_or(limits.memory_bytes),
            cpu_milli: self.cpu_milli.unwrap_or(limits.cpu_milli),
            pids: self.pids.unwrap_or(limits.pids),
            wall_clock_s: self.wall_clock_s.unwrap_or(limits.wall_clock_s),
            output_bytes: self.output_bytes.unwrap_or(limits.output_bytes),
            disk_bytes: self.disk_bytes.unwrap_or(limits.disk_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_patch_leaves_out_stays_as_it_was() {
        let patch: LimitsPatch = serde_json::from_str(r#"{"wall_clock_s":90}"#).unwrap();
        let agents = Limits { memory_bytes: 64 << 20, pids: 77, ..Limits::default() };
        assert_eq!(patch.apply(&agents), Limits { wall_clock_s: 90, ..agents });
        assert_eq!(LimitsPatch::default().apply(&agents), agents);
    }
}
