//! `berth-guest`: PID 1 of a sandbox (`init`), and the way in for a later connection (`connect`).

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    guest::main(std::env::args().skip(1))
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
