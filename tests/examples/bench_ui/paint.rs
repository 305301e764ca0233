//! From the start of the process to the first frame with something of the page's own on it, in turns with an empty Tauri window.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use berth_tests::{binaries, desk::Desk, until, window::desktop};
use camino::Utf8Path;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};
use wire::bench::{BenchBar, BenchRow, BenchUnit};

use super::{
    eye::{Area, Eye, LOOK_EVERY, has_content},
    in_turns,
};

/// At most so many times as long as an empty window.
const BAR: f64 = 1.3;
/// How long a window may take to be there, and a process to end.
const TIME_MAX: Duration = Duration::from_mins(2);
/// The part of a window that is looked at, from its upper left corner: of the app, most of the sidebar and the header beside it.
const CORNER: (u16, u16) = (320, 240);

/// Measures it. Both are the same build, on the same display, with the same WebKit.
pub(super) async fn first(desk: &Desk, eye: &Eye, home: &Utf8Path, samples: u32) -> BenchRow {
    let app = || quiet(desktop(desk, home, &[]));
    let empty = || quiet(desk.command(binaries::program("examples/empty_window")));
    let of_app = corner(desk, "Berth", app()).await;
    let of_empty = corner(desk, "^Empty$", empty()).await;
    let paint = async |mut command: Command, area: Area| {
        eye.until("an empty screen", area, |picture| !has_content(picture)).await;
        let begun = Instant::now();
        let child = command.spawn().expect("it starts");
        let painted = eye.until("a window with something on it", area, has_content).await;
        let took = painted.into_std() - begun;
        end(child).await;
        took
    };
    let pair = in_turns(samples, async || paint(app(), of_app).await, async || paint(empty(), of_empty).await).await;
    BenchRow::new("ui", "process started to first paint, warm", BenchUnit::Milliseconds, pair.berth)
        .beside("an empty Tauri window", pair.baseline)
        .held_to(BenchBar::RatioAtMost { ratio: BAR })
        .note(format!(
            "Painted is when more than half a percent of the {} × {} pixels in the window's corner is not its plain ground; looked at every {} ms. \
             The empty window's page is two colours side by side.",
            CORNER.0,
            CORNER.1,
            LOOK_EVERY.as_millis()
        ))
}

/// Where on the screen the corner of that program's window is: it opens at the same place each time.
async fn corner(desk: &Desk, title: &str, mut command: Command) -> Area {
    let child = command.spawn().expect("it starts");
    let window = until("a window", TIME_MAX, async || desk.window(title)).await;
    let (left, top, ..) = desk.geometry(&window).expect("the window is there");
    end(child).await;
    let near = |place: i32| i16::try_from(place).expect("a screen is small");
    Area { left: near(left), top: near(top), width: CORNER.0, height: CORNER.1 }
}

/// Its words would stand among the rows.
fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

async fn end(mut child: Child) {
    let pid = i32::try_from(child.id().expect("it has not ended")).expect("a pid is small");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it is a process of ours");
    timeout(TIME_MAX, child.wait()).await.expect("it ends in time").expect("it is a process of ours");
}
