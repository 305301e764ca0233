//! The ranges of a step's limits.

use wire::{Limits, LimitsPatch};

use super::IntakeError;

/// The shortest text of a limit that is out of its range.
pub(crate) fn check(limits: &LimitsPatch) -> Result<(), IntakeError> {
    let problem = if limits.memory_bytes.is_some_and(|bytes| bytes < Limits::MEMORY_BYTES_MIN) {
        format!("memory must be at least {} MiB", Limits::MEMORY_BYTES_MIN >> 20)
    } else if limits.cpu_milli.is_some_and(|milli| milli < Limits::CPU_MILLI_MIN) {
        format!("cpus must be at least 0.{:03}", Limits::CPU_MILLI_MIN)
    } else if limits.pids.is_some_and(|pids| pids < Limits::PIDS_MIN) {
        format!("processes must be at least {}", Limits::PIDS_MIN)
    } else if limits.wall_clock_s.is_some_and(|seconds| seconds == 0 || seconds > Limits::WALL_CLOCK_S_MAX) {
        format!("time must be from 1 second to {} days", Limits::WALL_CLOCK_S_MAX / 86_400)
    } else if limits.disk_bytes.is_some_and(|bytes| bytes < Limits::DISK_BYTES_MIN) {
        format!("disk must be at least {} MiB", Limits::DISK_BYTES_MIN >> 20)
    } else if limits.output_bytes == Some(0) {
        "output must be at least 1 byte".to_owned()
    } else {
        return Ok(());
    };
    Err(IntakeError::Limit(problem))
}
