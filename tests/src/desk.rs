//! A desk of the test's own: an X server, a session bus and a home folder that nobody else uses.
//!
//! Any number of them stand side by side. Nothing here needs a window manager.

use std::{
    fs::File,
    process::{Command as Blocking, Stdio},
    time::Duration,
};

use camino::Utf8Path;
use camino_tempfile::Utf8TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// How long a display or a bus takes to say where it is.
const UP_TIME_MAX: Duration = Duration::from_secs(20);
/// The screen in pixels, and its depth.
const SCREEN: &str = "1440x900x24";

/// A display, a bus and a home.
#[derive(Debug)]
pub struct Desk {
    display: String,
    bus: String,
    home: Utf8TempDir,
    // Kept open: a process that cannot write to its output ends. Killed when dropped.
    _x: (Child, BufReader<ChildStdout>),
    _bus: (Child, BufReader<ChildStdout>),
}

impl Desk {
    /// Sets one up.
    ///
    /// # Panics
    /// Where `Xvfb` or `dbus-daemon` is not installed or does not come up.
    pub async fn new() -> Self {
        let mut x = Command::new("Xvfb");
        // Without `-noreset` the server starts anew whenever its last client leaves, and turns away whoever comes just then: here
        // `xdotool`, which looks for a window, and the app that is about to open it.
        x.args(["-displayfd", "1", "-screen", "0", SCREEN, "-nolisten", "tcp", "-noreset"]);
        let (x, number) = {
            let _turn = turn().await;
            up(x).await
        };
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--session", "--nofork", "--nopidfile", "--print-address=1"]);
        let (bus, address) = up(bus).await;
        let home = camino_tempfile::tempdir().expect("a folder for a test can be made");
        for folder in ["run", "data", "config", "cache", "bin"] {
            std::fs::create_dir(home.path().join(folder)).expect("a folder for a test can be made");
        }
        Self { display: format!(":{number}"), bus: address, home, _x: x, _bus: bus }
    }

    /// The desk's home folder; programs in its `bin` are found first.
    pub fn home(&self) -> &Utf8Path {
        self.home.path()
    }

    /// A program at this desk; killed when its handle is dropped.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment()).env_remove("WAYLAND_DISPLAY").kill_on_drop(true);
        command
    }

    /// What a program sees that runs at this desk.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let home = self.home.path();
        let path = std::env::var("PATH").unwrap_or_default();
        vec![
            ("DISPLAY", self.display.clone()),
            ("DBUS_SESSION_BUS_ADDRESS", self.bus.clone()),
            ("HOME", home.to_string()),
            ("PATH", format!("{home}/bin:{path}")),
            ("XDG_RUNTIME_DIR", home.join("run").into_string()),
            ("XDG_DATA_HOME", home.join("data").into_string()),
            ("XDG_CONFIG_HOME", home.join("config").into_string()),
            ("XDG_CACHE_HOME", home.join("cache").into_string()),
            ("GDK_BACKEND", "x11".to_owned()),
            ("NO_AT_BRIDGE", "1".to_owned()),
        ]
    }

    /// What `xdotool ARGS…` writes at this desk; `None` where it fails, as `search` does where it finds nothing.
    ///
    /// # Panics
    /// Where it is not installed.
    pub fn xdotool(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Blocking::new("xdotool");
        let output = command.args(arguments).envs(self.environment()).output().expect("`xdotool` is installed");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The visible window whose title matches a regular expression, by its number.
    pub fn window(&self, title: &str) -> Option<String> {
        let found = self.xdotool(&["search", "--onlyvisible", "--name", title])?;
        found.lines().next().map(str::to_owned)
    }

    /// Where a window is: left, top, width, height in pixels.
    pub fn geometry(&self, window: &str) -> Option<(i32, i32, i32, i32)> {
        let text = self.xdotool(&["getwindowgeometry", "--shell", window])?;
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .and_then(|value| value.parse().ok())
        };
        Some((value("X")?, value("Y")?, value("WIDTH")?, value("HEIGHT")?))
    }

    /// Draws the whole screen into a file.
    pub fn picture(&self, path: &Utf8Path) {
        let mut command = Blocking::new("import");
        command.args(["-window", "root", path.as_str()]).envs(self.environment()).stderr(Stdio::null());
        if !command.status().is_ok_and(|status| status.success()) {
            eprintln!("no picture of the screen: is imagemagick installed?");
        }
    }
}

/// One X server comes up at a time, of all test programs: two that find the same lock of a dead one take it away from each other,
/// and then share a display.
async fn turn() -> File {
    let locked = tokio::task::spawn_blocking(|| {
        let file = File::create(std::env::temp_dir().join("berth-tests-display.lock"))?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    });
    locked.await.expect("locking does not panic").expect("a file for a lock can be made")
}

/// Starts a program that says on its first line where it is.
async fn up(mut command: Command) -> ((Child, BufReader<ChildStdout>), String) {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("`{name}` does not start: {error}"));
    let mut reader = BufReader::new(child.stdout.take().expect("its output is piped"));
    let mut line = String::new();
    timeout(UP_TIME_MAX, reader.read_line(&mut line))
        .await
        .unwrap_or_else(|_| panic!("`{name}` is not up after {UP_TIME_MAX:?}"))
        .unwrap_or_else(|error| panic!("`{name}` cannot be read: {error}"));
    assert!(!line.trim().is_empty(), "`{name}` ended instead of coming up");
    ((child, reader), line.trim().to_owned())
}
