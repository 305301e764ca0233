//! Makes the folder of the built interface, so that a checkout without one compiles: the page then says what is missing.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/dist");
    fs::create_dir_all(&dist)?;
    // A release embeds the files: a rebuilt interface is a reason to compile again.
    println!("cargo::rerun-if-changed={}", dist.display());
    Ok(())
}
