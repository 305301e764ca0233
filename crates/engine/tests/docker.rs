//! The contract against the engine that this machine has, found as the app finds it (any `DOCKER_HOST`).
//!
//! Needs an engine and `/bin/busybox` (Debian's package `busybox-static`); says so where one is missing, and fails.

use engine::contract::Subject;

engine::contract_tests!(Subject::of_this_machine);
