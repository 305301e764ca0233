//! Rebuilds this crate when an agent image changes: the compiler does not see what `include_dir!` reads.

fn main() {
    println!("cargo:rerun-if-changed=../../agent-images");
}
