//! Hostile bytes against everything that reads them, guided by what they reach.
//!
//! One program holds every target; `BERTH_FUZZ_TARGET` names the one that it is. With `BERTH_FUZZ_SEEDS` set to a folder it writes
//! the inputs to begin with there, a file each, and leaves. All else is libFuzzer's
//! (<https://llvm.org/docs/LibFuzzer.html>): `./dev fuzz` knows how to call it.
//!
//! A target fails by panicking, by hanging or by growing: each asserts what must hold whatever comes.

#![cfg_attr(fuzzing, no_main)]
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a find is a panic; it is a program of the checkout"
)]

#[cfg(fuzzing)]
mod archive;
#[cfg(fuzzing)]
mod pipes;
#[cfg(fuzzing)]
mod target;
#[cfg(fuzzing)]
mod web;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(
    init: target::begin(),
    |data: &[u8]| target::run(data)
);

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("without counters there is nothing to see: ./dev fuzz builds and calls this");
    std::process::exit(2);
}
