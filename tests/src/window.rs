//! The desktop app's real window at a [`Desk`], driven over WebDriver; and files dragged onto it by a real drag.

use std::{net::TcpListener, process::Stdio, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{binaries, desk::Desk, page::Page, wait::until};

/// How long the driver takes to listen.
const UP_TIME_MAX: Duration = Duration::from_secs(20);
/// How long one step of a drag takes to arrive.
const DRAG_TIME_MAX: Duration = Duration::from_secs(20);
/// In how many steps the pointer goes from one window to the other: a jump is no drag.
const DRAG_STEPS: i32 = 16;
/// The title of the window that a drag starts from.
const SOURCE_TITLE: &str = "^berth-test-drag-source$";

/// The driver of a window. The window ends with its page.
#[derive(Debug)]
pub struct Window {
    /// The page in the window.
    pub page: Page,
    _driver: Child,
}

impl Window {
    /// Opens `berth-desktop PATHS…` on that data folder.
    ///
    /// # Panics
    /// Where the driver is not installed, or no window opens.
    pub async fn open(desk: &Desk, home: &Utf8Path, paths: &[&Utf8Path]) -> Self {
        let port = free_port();
        let log = std::fs::File::options().create(true).append(true).open(home.join("test.log"));
        let log = log.expect("the test's folder is writable");
        let mut command = desk.command("WebKitWebDriver");
        command
            .args([format!("--port={port}"), "--host=127.0.0.1".to_owned()])
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .envs(environment(home))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let driver = command.spawn().expect("`WebKitWebDriver` is installed (Debian: webkit2gtk-driver)");
        until("WebKitWebDriver to listen", UP_TIME_MAX, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        let options = json!({ "binary": binaries::program("berth-desktop"), "args": paths });
        let page = Page::open(port, json!({ "webkitgtk:browserOptions": options })).await;
        Self { page, _driver: driver }
    }
}

/// What `berth-desktop` on that data folder needs in its environment.
pub fn environment(home: &Utf8Path) -> Vec<(&'static str, String)> {
    vec![("BERTH_HOME", home.to_string()), ("BERTH_GUEST", binaries::guest().into_string())]
}

/// `berth-desktop ARGS…` at that desk, without a driver.
pub fn desktop(desk: &Desk, home: &Utf8Path, arguments: &[&str]) -> Command {
    let mut command = desk.command(binaries::program("berth-desktop"));
    command.args(arguments).envs(environment(home));
    command
}

/// Asks a window to close, as a window manager does for its cross.
///
/// # Panics
/// Where it cannot be asked.
pub async fn close(desk: &Desk, window: &str) {
    let mut command = desk.command("/usr/bin/python3");
    command.args(["-c", include_str!("window/close.py"), window]);
    let status = command.status().await.expect("`/usr/bin/python3` is installed");
    assert!(status.success(), "the window cannot be asked to close");
}

/// A port that was free a moment ago: `WebKitWebDriver` cannot be asked to choose one.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// A window with files that can be dragged out of it.
#[derive(Debug)]
pub struct DragSource {
    window: String,
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl DragSource {
    /// Opens one in the lower right corner of the screen.
    ///
    /// # Panics
    /// Where Python's GTK is not installed, or no window opens.
    pub async fn open(desk: &Desk, files: &[Utf8PathBuf]) -> Self {
        // Debian's own Python has GTK; another one that is first on PATH may not.
        let mut command = desk.command("/usr/bin/python3");
        command.args(["-c", include_str!("window/drag_source.py")]);
        command.args(files.iter().map(|path| format!("file://{}", percent_encoded(path))));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("`/usr/bin/python3` is installed");
        let lines = BufReader::new(process.stdout.take().expect("its output is piped")).lines();
        let window = until("the window to drag from", DRAG_TIME_MAX, async || desk.window(SOURCE_TITLE)).await;
        let mut source = Self { window, lines, _process: process };
        source.hears("shown").await;
        source
    }

    /// Drags the files onto the window of that title, to its middle, and lets them go. `over` is called while they hover.
    ///
    /// # Panics
    /// Where the drag does not begin, or the files are not taken.
    pub async fn drop_on(mut self, desk: &Desk, title: &str, over: impl AsyncFnOnce()) {
        let target = until("the window to drop on", DRAG_TIME_MAX, async || desk.window(title)).await;
        let middle = |window: &str| {
            let (left, top, width, height) = desk.geometry(window).expect("the window is there");
            (left + width / 2, top + height / 2)
        };
        // The source may cover a part of the target, never its middle.
        let ((from_x, from_y), (to_x, to_y)) = (middle(&self.window), middle(&target));
        let point = |x: i32, y: i32| {
            desk.xdotool(&["mousemove", "--sync", &x.to_string(), &y.to_string()]);
        };
        point(from_x, from_y);
        desk.xdotool(&["mousedown", "1"]);
        // GTK begins a drag once the pointer has moved some pixels with the button down.
        for step in 1..=DRAG_STEPS {
            point(from_x + (to_x - from_x) * step / DRAG_STEPS, from_y + (to_y - from_y) * step / DRAG_STEPS);
            if step == 2 {
                self.hears("begun").await;
            }
        }
        // A drop that comes before the target has answered the last motion is refused: the status says it has.
        point(to_x + 1, to_y);
        over().await;
        point(to_x, to_y);
        desk.xdotool(&["mouseup", "1"]);
        self.hears("taken").await;
        self.hears("ended").await;
    }

    async fn hears(&mut self, word: &str) {
        let heard = async {
            while let Ok(Some(line)) = self.lines.next_line().await {
                if line == word {
                    return;
                }
                assert_ne!(line, "refused", "the files were not taken");
            }
            panic!("the window to drag from is gone; {word:?} was to come");
        };
        timeout(DRAG_TIME_MAX, heard).await.unwrap_or_else(|_| panic!("no {word:?} within {DRAG_TIME_MAX:?}"));
    }
}

/// A path as a URI has it (RFC 3986): everything but unreserved characters and slashes is escaped.
fn percent_encoded(path: &Utf8Path) -> String {
    path.as_str()
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
