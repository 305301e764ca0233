//! A Tauri window with next to nothing in it: what the app's first paint is compared with (`./dev bench ui`). With `--field` it has a
//! text field: what a key takes to the pixel in any page.

use tauri::{WebviewUrl, WebviewWindowBuilder};

fn main() {
    tauri::Builder::default()
        .setup(|app| {
            let has_field = std::env::args().any(|argument| argument == "--field");
            let page = if has_field { WebviewUrl::App("field.html".into()) } else { WebviewUrl::default() };
            let window = WebviewWindowBuilder::new(app, "main", page);
            window.title("Empty").inner_size(1280.0, 800.0).build()?;
            Ok(())
        })
        .run(tauri::generate_context!("src-tauri/examples/empty_window/tauri.conf.json"))
        .expect("invariant: the embedded configuration is valid and there is a display");
}
