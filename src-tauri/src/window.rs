//! The window, and what happens at the start around it.

use berth_core::Config;
use tauri::{AppHandle, Manager, Url, WebviewUrl, WebviewWindow, WebviewWindowBuilder, webview::PageLoadEvent};
use wire::{ErrorCode, ErrorView};

use crate::{
    browser, failure,
    handover::{self, Handover},
    house::House,
};

/// The window's label.
pub(crate) const MAIN: &str = "main";

/// Opens the window and starts the core beside it; or, where a Berth without a window has the data folder, opens that one
/// in the browser and ends.
pub(crate) fn begin<E: std::error::Error>(app: &AppHandle, config: Result<Config, E>) {
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            let error = ErrorView::new(ErrorCode::InvalidArgument, failure::chain(&error))
                .hint("Set BERTH_HOME to an absolute path.");
            let app = app.clone();
            tauri::async_runtime::spawn(async move { failure::show_and_exit(&app, &error).await });
            return;
        }
    };
    let house = app.state::<House>();
    house.end_on_signal(app.clone());
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let folder = std::env::current_dir().unwrap_or_default();
    handover::listen(app);
    app.state::<Handover>().arrive(app, handover::absolute_paths(&arguments, &folder.to_string_lossy()));
    let opened = tauri::async_runtime::block_on(browser::open_running(&config.data_folder));
    if opened {
        app.exit(0);
        return;
    }
    match open(app) {
        Ok(_) => house.enter(app.clone(), config),
        Err(error) => {
            tracing::error!(%error, "the window cannot be opened");
            app.exit(1);
        }
    }
}

/// Brings the window to the front.
pub(crate) fn show(app: &AppHandle) {
    let Some(window) = app.get_webview_window(MAIN) else { return };
    if let Err(error) = window.unminimize().and_then(|()| window.show()).and_then(|()| window.set_focus()) {
        tracing::warn!(%error, "the window does not come to the front");
    }
}

/// Takes the window out of sight.
pub(crate) fn hide(app: &AppHandle) {
    if let Some(Err(error)) = app.get_webview_window(MAIN).map(|window| window.hide()) {
        tracing::warn!(%error, "the window cannot be hidden");
    }
}

fn open(app: &AppHandle) -> tauri::Result<WebviewWindow> {
    WebviewWindowBuilder::new(app, MAIN, WebviewUrl::default())
        .title("Berth")
        .inner_size(1280.0, 800.0)
        .min_inner_size(1000.0, 640.0)
        // Nothing but the interface is ever shown in this window, whatever a result or a terminal links to.
        .on_navigation(is_own_page)
        .on_new_window(|_, _| tauri::webview::NewWindowResponse::Deny)
        .on_page_load(|window, load| match load.event() {
            PageLoadEvent::Started => window.state::<Handover>().page_loads(),
            PageLoadEvent::Finished => tracing::debug!("page loaded"),
        })
        .build()
}

fn is_own_page(url: &Url) -> bool {
    match url.scheme() {
        "tauri" => url.host_str() == Some("localhost"),
        // Where the system has no schemes of one's own (Windows), Tauri serves the page under this name.
        "http" | "https" => url.host_str() == Some("tauri.localhost"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_interface_itself_is_shown() {
        for own in ["tauri://localhost/", "tauri://localhost/tasks/1", "http://tauri.localhost/inbox"] {
            assert!(is_own_page(&own.parse().unwrap()), "{own}");
        }
        for foreign in
            ["http://localhost/", "https://example.com/", "tauri://evil/", "data:text/html,x", "file:///etc/passwd"]
        {
            assert!(!is_own_page(&foreign.parse().unwrap()), "{foreign}");
        }
    }
}
