//! A Tauri window with next to nothing in it: what the app's first paint is compared with (`./dev bench ui`).

use tauri::{WebviewUrl, WebviewWindowBuilder};

fn main() {
    tauri::Builder::default()
        .setup(|app| {
            let window = WebviewWindowBuilder::new(app, "main", WebviewUrl::default());
            window.title("Empty").inner_size(1280.0, 800.0).build()?;
            Ok(())
        })
        .run(tauri::generate_context!("src-tauri/examples/empty_window/tauri.conf.json"))
        .expect("invariant: the embedded configuration is valid and there is a display");
}
