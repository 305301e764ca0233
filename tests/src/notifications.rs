//! What the programs at a desk tell the person in the desktop's own way.

use std::{process::Stdio, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
    time::timeout,
};

use crate::desk::Desk;

/// How long the service takes to be on the bus.
const UP_TIME_MAX: Duration = Duration::from_secs(20);

/// A notification service of the test's own, on the bus of a desk.
#[derive(Debug)]
pub struct Notifications {
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

/// A notification that was to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Notification {
    /// Who shows it.
    pub app: String,
    /// Its first line.
    pub title: String,
    /// The rest.
    pub body: String,
}

impl Notifications {
    /// Sets the service up.
    ///
    /// # Panics
    /// Where Debian's Python has no GLib, or the name is taken.
    pub async fn at(desk: &Desk) -> Self {
        let mut command = desk.command("/usr/bin/python3");
        command.args(["-c", include_str!("window/notifications.py")]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("`/usr/bin/python3` is installed");
        let lines = BufReader::new(process.stdout.take().expect("its output is piped")).lines();
        let mut service = Self { lines, _process: process };
        assert!(service.line(UP_TIME_MAX).await.contains("ready"), "the service is on the bus");
        service
    }

    /// The next notification, within a bound.
    ///
    /// # Panics
    /// Where there is none.
    pub async fn next(&mut self, bound: Duration) -> Notification {
        let line = self.line(bound).await;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("no notification ({error}): {line}"))
    }

    async fn line(&mut self, bound: Duration) -> String {
        let line = timeout(bound, self.lines.next_line()).await.expect("it is told in time");
        line.expect("its output can be read").expect("the service is there")
    }
}
