//! From a key of the keyboard to its echo on the screen, in a shell in the app's real window.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use berth_tests::{
    TestApp,
    app::RUN_TIME_MAX,
    binaries,
    client::Client,
    desk::Desk,
    docker,
    page::{Page, SEEN_TIME_MAX},
    sample, until,
    window::Window,
};
use serde_json::Value;
use wire::{
    Phase,
    bench::{BenchBar, BenchFigures, BenchRow, BenchUnit},
    call::CreateTask,
    task::NewTask,
};

use super::{
    eye::{Area, Eye, LOOK_EVERY},
    in_turns,
    shell::EngineShell,
};

/// The bar where nothing else goes on, in milliseconds.
const QUIET_BAR: f64 = 10.0;
/// The bar beside a flood in another terminal of the same sandbox, in milliseconds.
const FLOOD_BAR: f64 = 30.0;
/// Keys that no prompt has.
const KEYS: [char; 5] = ['q', 'z', 'x', 'v', 'j'];
/// So many are typed, then the line is taken back: it never reaches its end.
const KEYS_IN_LINE_MAX: u32 = 20;
/// Lines of the terminal that are looked at, from the first: a new shell's prompt is there.
const LINES_LOOKED_AT: f64 = 2.0;
/// How long the window takes to open.
const WINDOW_TIME_MAX: Duration = Duration::from_mins(2);
/// Prints 100,000 bytes a hundred times a second, in lines of dots.
const FLOOD: &str = r#"perl -e '$b = ("." x 79 . "\n") x 1250; while (1) { syswrite(STDOUT, $b); select(undef, undef, undef, 0.0085) }'"#;
/// The dots of one of its lines.
const FLOOD_LINE_CHARS: usize = 79;
/// How long it takes to begin.
const FLOOD_TIME_MAX: Duration = Duration::from_mins(2);
/// The part of an empty window that its text field takes, in pixels.
const FIELD: (u16, u16) = (1_200, 40);
/// The screen of the terminal in front.
const FRONT: &str = ".terminal-layer:not([hidden]) .xterm-screen";

/// Measures it: nothing else going on, and beside a flood in another terminal of the window.
pub(super) async fn keystrokes(desk: &Desk, eye: &Eye, app: &TestApp, samples: u32) -> Vec<BenchRow> {
    let home = app.home();
    let window = Window::open(desk, home, &[]).await;
    let page = &window.page;
    page.element_within(WINDOW_TIME_MAX, "[data-test='screen-tasks']").await;
    until("the window's server", WINDOW_TIME_MAX, async || home.join("server.json").exists().then_some(())).await;
    let client = Client::of(home);
    client.call(task(sample::script(&["sleep 100000"]))).await.expect("the task is taken");
    page.phase_within(RUN_TIME_MAX, Phase::Executing).await;
    page.element("[data-test='task-row'] a").await.click().await.unwrap();
    page.press("tab-terminal").await;
    let mut engine = EngineShell::open(&container(app)).await;

    let id = desk.window("Berth").expect("the window is on the screen");
    focus(desk, &id, async || page.script("return document.hasFocus()").await == Value::Bool(true)).await;
    let area = shell(desk, &id, page).await;
    let mut typist = Typist { eye, area, blank: eye.at_rest(area).await, typed: 0 };
    typist.proves_itself(page).await;
    let quiet = in_turns(samples, async || typist.key().await, async || engine.key().await).await;

    shell(desk, &id, page).await;
    desk.xdotool(&["type", "--delay", "2", FLOOD]);
    desk.xdotool(&["key", "Return"]);
    let dots = ".".repeat(FLOOD_LINE_CHARS);
    until("a flood", FLOOD_TIME_MAX, async || text(page).await.contains(&dots).then_some(())).await;
    page.script("document.querySelector(\".shell-tab [role='tab']\").click()").await;
    page.element(FRONT).await.click().await.unwrap();
    typist.begin_line().await;
    let flooded = in_turns(samples, async || typist.key().await, async || engine.key().await).await;
    let _driver_gone = page.client().clone().close().await;

    drop(window);
    let field = field(desk, eye, samples).await;

    let looks = format!(
        "A key is one of the X server's own, its echo the first change of the line's pixels, looked at every {} ms; WebKit draws \
         in software here. What of it is drawing the row at the WebSocket tells.",
        LOOK_EVERY.as_millis()
    );
    let row = |what: &str, pair: super::Pair, bar| {
        BenchRow::new("ui", what, BenchUnit::Milliseconds, pair.berth)
            .beside("exec with a tty over the engine's API", pair.baseline)
            .held_to(BenchBar::P95AtMost { value: bar })
    };
    vec![
        row("keystroke to echo, at the pixel", quiet, QUIET_BAR).note(looks),
        row("the same, beside a flood in another terminal of the window", flooded, FLOOD_BAR)
            .note("The flood is printed at 10 MB/s at most, and comes as fast as the window takes it."),
        BenchRow::new(
            "ui",
            "a key in a text field of an empty Tauri window, at the pixel",
            BenchUnit::Milliseconds,
            field,
        )
        .note("The least that a key takes on this display, whatever the page."),
    ]
}

/// The same keys where no terminal, no interface and no sandbox are.
async fn field(desk: &Desk, eye: &Eye, samples: u32) -> BenchFigures {
    let mut command = desk.command(binaries::program("examples/empty_window"));
    command.arg("--field").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let _window = command.spawn().expect("it starts");
    let id = until("a window", WINDOW_TIME_MAX, async || desk.window("^Empty$")).await;
    let (left, top, ..) = desk.geometry(&id).expect("the window is there");
    let near = |place: i32| i16::try_from(place).expect("a screen is small");
    let area = Area { left: near(left), top: near(top), width: FIELD.0, height: FIELD.1 };
    let blank = eye.at_rest(area).await;
    // It has no WebDriver that could say whether it hears the keyboard; a letter on the screen says so.
    focus(desk, &id, async || {
        eye.press(KEYS[0]);
        eye.at_rest(area).await != blank
    })
    .await;
    let mut took = Vec::new();
    for sample in 0..=samples as usize {
        let before = eye.at_rest(area).await;
        let begun = Instant::now();
        eye.press(KEYS[sample % KEYS.len()]);
        let seen = eye.until("a letter", area, |picture| picture != before).await;
        took.push((seen.into_std() - begun).as_secs_f64() * 1e3);
    }
    BenchFigures::of(Some(took[0]), &took[1..]).expect("there are samples")
}

/// Gives a window the keyboard. Not with `--sync`, which waits for ever where the focus goes on to a window within it.
async fn focus(desk: &Desk, window: &str, mut has_it: impl AsyncFnMut() -> bool) {
    until("the window to have the keyboard", WINDOW_TIME_MAX, async || {
        desk.xdotool(&["windowfocus", window]);
        has_it().await.then_some(())
    })
    .await;
}

/// Types keys and sees their echoes.
struct Typist<'eye> {
    eye: &'eye Eye,
    area: Area,
    /// The lines with nothing typed.
    blank: Vec<u8>,
    typed: u32,
}

impl Typist<'_> {
    async fn key(&mut self) -> Duration {
        if self.typed.is_multiple_of(KEYS_IN_LINE_MAX) {
            self.begin_line().await;
        }
        let key = KEYS[self.typed as usize % KEYS.len()];
        self.typed += 1;
        let before = self.eye.at_rest(self.area).await;
        let begun = Instant::now();
        self.eye.press(key);
        let seen = self.eye.until("an echo", self.area, |picture| picture != before).await;
        seen.into_std() - begun
    }

    async fn begin_line(&self) {
        self.eye.press_with_control('u');
        self.eye.until("an empty line", self.area, |picture| picture == self.blank).await;
    }

    /// What changes on the screen is what was typed, and nothing changes that was not.
    async fn proves_itself(&mut self, page: &Page) {
        let mut typed = String::new();
        for _ in 0..KEYS.len() {
            typed.push(KEYS[self.typed as usize % KEYS.len()]);
            self.key().await;
            until("the typed letters in the terminal", SEEN_TIME_MAX, async || {
                text(page).await.contains(&typed).then_some(())
            })
            .await;
        }
        self.begin_line().await;
        self.typed = 0;
    }
}

/// Opens a shell and waits for its prompt; where on the screen its first lines are.
async fn shell(desk: &Desk, window: &str, page: &Page) -> Area {
    let before = page.script("return document.querySelectorAll('.terminal-layer').length").await.as_u64();
    page.press("open-shell").await;
    until("a prompt", SEEN_TIME_MAX, async || {
        let layers = page.script("return document.querySelectorAll('.terminal-layer').length").await.as_u64();
        (layers > before && text(page).await.contains('$')).then_some(())
    })
    .await;
    let script = format!(
        "const screen = document.querySelector('{FRONT}');
         const {{ left, top, width, height }} = screen.getBoundingClientRect();
         return [left, top, width, height / screen.querySelector('.xterm-rows').children.length]"
    );
    let place: Vec<f64> = page.script(&script).await.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    let (left, top, ..) = desk.geometry(window).expect("the window is there");
    #[expect(clippy::cast_possible_truncation, reason = "a screen is small")]
    let whole = |pixels: f64| pixels.ceil() as i32;
    let small = |pixels: i32| u16::try_from(pixels).expect("a screen is small");
    Area {
        left: i16::try_from(left + whole(place[0])).unwrap(),
        top: i16::try_from(top + whole(place[1])).unwrap(),
        width: small(whole(place[2]) - 1),
        height: small(whole(place[3] * LINES_LOOKED_AT)),
    }
}

/// What the terminal in front says.
async fn text(page: &Page) -> String {
    let script = format!(
        "const rows = document.querySelector('{FRONT} .xterm-rows');
         return rows ? [...rows.children].map(row => row.textContent).join('\\n') : ''"
    );
    page.script(&script).await.as_str().unwrap_or_default().to_owned()
}

/// The name of the one sandbox.
fn container(app: &TestApp) -> String {
    let containers = app.containers();
    let sandbox = containers.iter().find(|container| docker::role(container) == "sandbox").expect("a sandbox runs");
    docker::name(sandbox).to_owned()
}

fn task(prompt: String) -> CreateTask {
    let agent = Some("script".to_owned());
    let task = NewTask { prompt, agent, ..NewTask::default() };
    CreateTask { task }
}
