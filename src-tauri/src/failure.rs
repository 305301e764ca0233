//! Says why the app does not start, where nothing else can.

use tauri::AppHandle;
use wire::ErrorView;

/// Shows the error in the system's own dialog and ends the app with exit code 1 once it is read.
pub(crate) async fn show_and_exit(app: &AppHandle, error: &ErrorView) {
    tracing::error!(code = ?error.code, "Berth cannot start: {}", error.message);
    let text = [&error.message, &error.hint, &error.detail]
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("\n\n");
    rfd::AsyncMessageDialog::new()
        .set_level(rfd::MessageLevel::Error)
        .set_title("Berth cannot start")
        .set_description(text)
        .show()
        .await;
    app.exit(1);
}

/// The error and all that caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
