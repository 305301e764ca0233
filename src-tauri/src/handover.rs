//! Paths that came as arguments, on their way to the page.
//!
//! They may come before the page listens (this start's own), or while it loads (a second start's): then they are kept until
//! it says that it is ready. It looks at no path; what they are is for the core to say.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use berth_core::Config;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tauri::{AppHandle, Emitter, Listener, Manager};

use crate::window::MAIN;

/// From the shell: paths were handed over.
const OPEN_PATHS: &str = "berth://open-paths";
/// From the page: it listens.
const READY: &str = "berth://ready";
/// More than anyone selects by hand; what comes after is dropped.
const PATHS_KEPT_MAX: usize = 1_000;

/// The paths that wait for the page.
#[derive(Default)]
pub(crate) struct Handover(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    page_listens: bool,
    paths: Vec<String>,
}

/// The payload, of the same shape as that of `tauri://drag-drop`.
#[derive(Clone, Serialize)]
struct OpenPaths {
    paths: Vec<String>,
}

impl Handover {
    /// Hands paths to the page, now or when it is ready.
    pub(crate) fn arrive(&self, app: &AppHandle, paths: Vec<String>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.paths.extend(paths);
        waiting.paths.truncate(PATHS_KEPT_MAX);
        if waiting.page_listens {
            hand_over(app, &mut waiting);
        }
    }

    /// The page is being loaded: it does not listen until it says so.
    pub(crate) fn page_loads(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).page_listens = false;
    }

    fn page_ready(&self, app: &AppHandle) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.page_listens = true;
        hand_over(app, &mut waiting);
    }
}

fn hand_over(app: &AppHandle, waiting: &mut Waiting) {
    if waiting.paths.is_empty() {
        return;
    }
    let payload = OpenPaths { paths: std::mem::take(&mut waiting.paths) };
    if let Err(error) = app.emit_to(MAIN, OPEN_PATHS, payload.clone()) {
        tracing::warn!(%error, "paths stay with the shell: the page cannot be reached");
        waiting.paths = payload.paths;
    }
}

/// Hears when the page is ready.
pub(crate) fn listen(app: &AppHandle) {
    let handle = app.clone();
    app.listen_any(READY, move |_| handle.state::<Handover>().page_ready(&handle));
}

/// The arguments that are paths, made absolute against the folder they were given in. The first argument is the program's
/// name; what begins with `-` is no path.
pub(crate) fn absolute_paths(arguments: &[String], folder: &str) -> Vec<String> {
    arguments
        .iter()
        .skip(1)
        .filter(|argument| !argument.is_empty() && !argument.starts_with('-'))
        .filter_map(|argument| Path::new(folder).join(argument).to_str().map(str::to_owned))
        .take(PATHS_KEPT_MAX)
        .collect()
}

/// The bus name that tells instances apart: one per data folder, so that a Berth with a `BERTH_HOME` of its own is an app of
/// its own.
pub(crate) fn bus_name(config: Option<&Config>) -> String {
    let folder = config.map_or("", |config| config.data_folder.as_str());
    // An element of a bus name begins with a letter.
    format!("dev.berth.desktop.f{}", hex::encode(&Sha256::digest(folder)[..8]))
}

#[cfg(test)]
mod tests {
    use berth_core::HostTrust;

    use super::*;

    fn arguments(list: &[&str]) -> Vec<String> {
        list.iter().map(|&argument| argument.to_owned()).collect()
    }

    #[test]
    fn a_relative_argument_is_taken_from_where_it_was_given() {
        let paths = absolute_paths(&arguments(&["berth-desktop", "task.md", "/other/task.md"]), "/home/me");
        assert_eq!(paths, ["/home/me/task.md", "/other/task.md"]);
    }

    #[test]
    fn options_and_empty_arguments_are_no_paths() {
        assert!(absolute_paths(&arguments(&["berth-desktop", "--hidden", ""]), "/home/me").is_empty());
    }

    #[test]
    fn instances_are_told_apart_by_their_data_folder() {
        let config = |folder: &str| Config {
            data_folder: folder.into(),
            engine_address: None,
            extra_certificates: Vec::new(),
            host_trust: HostTrust::nowhere(),
            guest_binary: None,
            free_bytes_min: 0,
            keyring: berth_core::KeyringUse::Session,
        };
        let name = bus_name(Some(&config("/a")));
        assert_ne!(name, bus_name(Some(&config("/b"))));
        assert_eq!(name, bus_name(Some(&config("/a"))));
        assert!(name.len() < 255 && !name.contains("..") && !name.ends_with('.'), "{name} is a bus name");
    }
}
