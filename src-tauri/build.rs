//! Embeds what the window needs: the interface, the icons, the capabilities.

use std::{fs, io, path::Path};

/// Shown where the interface has not been built; the tests that need it say so by themselves.
const PLACEHOLDER: &str = "<!doctype html><meta charset=\"utf-8\"><title>Berth</title>\
<p>The interface was not built into this program: run <code>./dev build</code>.</p>\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    interface_or_placeholder(Path::new("ui/dist"))?;
    println!("cargo:rerun-if-changed=src-tauri/capabilities");
    tauri_build::try_build(tauri_build::Attributes::new().capabilities_path_pattern("./src-tauri/capabilities/**/*"))?;
    Ok(())
}

/// `generate_context!` refuses a folder that is not there, so a fresh clone would not even pass clippy.
fn interface_or_placeholder(folder: &Path) -> io::Result<()> {
    let index = folder.join("index.html");
    if index.exists() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    fs::write(index, PLACEHOLDER)
}
