//! The desktop app's program.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

fn main() {
    berth_desktop::run();
}
