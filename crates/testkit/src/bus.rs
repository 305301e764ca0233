//! A session bus of the test's own, with or without a real Secret Service on it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use camino_tempfile::Utf8TempDir;

/// What opens the keyring.
const PASSWORD: &[u8] = b"pw";
/// How long a service takes to be on the bus.
const UP_TIME_MAX: Duration = Duration::from_secs(20);

/// A bus on which nothing is started by being asked for: what is not put there is not there.
const BARE: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// A bus, and the home folder of those on it.
#[derive(Debug)]
pub struct Bus {
    address: String,
    home: Utf8TempDir,
    // Kept open: a process that cannot write to its output ends.
    _daemon: Running,
    service: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    _output: Option<BufReader<ChildStdout>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Bus {
    /// A bus with nobody on it.
    ///
    /// # Errors
    /// Where no bus can be started.
    pub fn bare() -> anyhow::Result<Self> {
        let home = camino_tempfile::tempdir()?;
        let config = home.path().join("bus.conf");
        std::fs::write(&config, BARE)?;
        let mut child = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .arg(format!("--config-file={config}"))
            .stdout(Stdio::piped())
            .spawn()
            .context("start dbus-daemon")?;
        let mut output = BufReader::new(child.stdout.take().context("its output")?);
        let mut address = String::new();
        output.read_line(&mut address)?;
        let running = Running { child, _output: Some(output) };
        Ok(Self { address: address.trim().to_owned(), home, _daemon: running, service: None })
    }

    /// A bus with an unlocked keyring on it.
    ///
    /// # Errors
    /// Where the bus or the keyring does not come up.
    pub fn with_keyring() -> anyhow::Result<Self> {
        let mut bus = Self::bare()?;
        let mut child = bus
            .command("gnome-keyring-daemon")
            .args(["--unlock", "--components=secrets", "--foreground"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start gnome-keyring-daemon")?;
        // The daemon reads a password to the end of its input.
        child.stdin.take().context("its input")?.write_all(PASSWORD)?;
        bus.service = Some(Running { child, _output: None });
        let until = Instant::now() + UP_TIME_MAX;
        while !bus.has_collection()? {
            ensure!(Instant::now() < until, "the keyring is not there after {UP_TIME_MAX:?}");
            #[expect(clippy::disallowed_methods, reason = "between two looks at a condition with a bound")]
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(bus)
    }

    /// Whether the service is there and has a collection for new entries.
    fn has_collection(&self) -> anyhow::Result<bool> {
        Ok(self.collection()?.is_some())
    }

    /// Where new entries go.
    fn collection(&self) -> anyhow::Result<Option<String>> {
        let said = self.ask("ReadAlias", "default")?;
        Ok(said.split('\'').find(|part| part.starts_with("/org/freedesktop/secrets/collection/")).map(str::to_owned))
    }

    /// Locks the keyring, as a screen lock or a person does.
    ///
    /// # Errors
    /// Where the keyring does not lock.
    pub fn lock(&self) -> anyhow::Result<()> {
        let collection = self.collection()?.context("the keyring has no collection")?;
        let said = self.ask("Lock", &format!("['{collection}']"))?;
        ensure!(said.contains(&collection), "it is not locked: {said}");
        Ok(())
    }

    /// Unlocks it as the login does: the same words over the same socket (gnome-keyring's `gkr-pam-client`).
    ///
    /// # Errors
    /// Where the keyring does not take the password.
    pub fn unlock(&self) -> anyhow::Result<()> {
        const UNLOCK: u32 = 1;
        let length = u32::try_from(PASSWORD.len())?;
        // Who asks, by a byte that carries the credentials of the socket; then the packet, each number big-endian.
        let mut asked = vec![0];
        for number in [8 + 4 + length, UNLOCK, length] {
            asked.extend_from_slice(&number.to_be_bytes());
        }
        asked.extend_from_slice(PASSWORD);
        let mut socket =
            UnixStream::connect(self.home.path().join("keyring/control")).context("the keyring's socket")?;
        socket.set_read_timeout(Some(UP_TIME_MAX))?;
        socket.write_all(&asked)?;
        let mut answer = [0; 8];
        socket.read_exact(&mut answer)?;
        ensure!(answer == [0, 0, 0, 8, 0, 0, 0, 0], "the keyring stays locked: {answer:?}");
        Ok(())
    }

    /// Calls the Secret Service; empty where it does not answer.
    fn ask(&self, method: &str, argument: &str) -> anyhow::Result<String> {
        let asked = self
            .command("gdbus")
            .args(["call", "--session", "-d", "org.freedesktop.secrets", "-o", "/org/freedesktop/secrets"])
            .args(["-m", &format!("org.freedesktop.Secret.Service.{method}"), argument])
            .output()
            .context("run gdbus")?;
        Ok(String::from_utf8_lossy(&asked.stdout).into_owned())
    }

    /// A program on this bus, without a display on which it could ask for a password.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let home = self.home.path();
        command
            .envs(self.environment())
            .env("HOME", home)
            .env("XDG_DATA_HOME", home.join("data"))
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        command
    }

    /// By which a program finds the bus.
    pub fn environment(&self) -> [(&'static str, &str); 2] {
        [("DBUS_SESSION_BUS_ADDRESS", &self.address), ("XDG_RUNTIME_DIR", self.home.path().as_str())]
    }
}
