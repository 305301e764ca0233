//! Debian's Chromium with a profile of the test's own.

use std::{process::Stdio, time::Duration};

use camino_tempfile::Utf8TempDir;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::page::Page;

/// How long chromedriver takes to listen.
const UP_TIME_MAX: Duration = Duration::from_secs(20);

/// Whether the system asks for light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// A running chromedriver.
#[derive(Debug)]
pub struct Browser {
    port: u16,
    profiles: Utf8TempDir,
    _driver: Child,
    // Kept open: a driver that cannot write to its output ends.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Browser {
    /// Starts a driver.
    ///
    /// # Panics
    /// Where `chromedriver` is not installed or does not come up.
    pub async fn start() -> Self {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut driver = command.spawn().expect("`chromedriver` is installed (Debian: chromium-driver)");
        let mut lines = BufReader::new(driver.stdout.take().expect("its output is piped")).lines();
        let said = async {
            while let Ok(Some(line)) = lines.next_line().await {
                // "ChromeDriver was started successfully on port 12345."
                let port = line.rsplit_once("on port ").and_then(|(_, port)| port.trim_end_matches('.').parse().ok());
                if line.contains("successfully") && port.is_some() {
                    return port;
                }
            }
            None
        };
        let port: Option<u16> = timeout(UP_TIME_MAX, said).await.expect("chromedriver is up in time");
        let port = port.expect("chromedriver says on which port it listens");
        let profiles = camino_tempfile::tempdir().expect("a folder for a test can be made");
        Self { port, profiles, _driver: driver, _output: lines }
    }

    /// A new browser with an empty profile, on an empty page.
    pub async fn page(&self, scheme: Scheme) -> Page {
        let profile =
            camino_tempfile::tempdir_in(self.profiles.path()).expect("a folder for a test can be made").keep();
        let mut arguments = vec![
            "--headless=new".to_owned(),
            format!("--user-data-dir={profile}"),
            "--window-size=1440,900".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-first-run".to_owned(),
            "--no-proxy-server".to_owned(),
        ];
        if scheme == Scheme::Dark {
            arguments.push("--force-dark-mode".to_owned());
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
        } else {
            arguments.push("--blink-settings=preferredColorScheme=1".to_owned());
        }
        if nix::unistd::Uid::effective().is_root() {
            // Chromium refuses to build its own sandbox as root. What it is shown here is our own interface.
            arguments.push("--no-sandbox".to_owned());
        }
        Page::open(
            self.port,
            json!({
                "browserName": "chrome",
                "goog:chromeOptions": { "args": arguments },
                "goog:loggingPrefs": { "browser": "ALL" },
            }),
        )
        .await
    }
}
