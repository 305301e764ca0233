//! An agent that a person speaks with in the app's terminal.
#![allow(clippy::print_stdout, reason = "what was drawn is for whoever looks: `-- --nocapture` shows it")]

use std::time::Duration;

use berth_tests::screen::{Cut, Screen};
use testkit::{Act, ModelScript, ModelServer};
use tokio::time::timeout;
use wire::{
    Phase,
    stream::{ShellProgram, StreamTarget, TerminalInput},
    task::Launch,
};

use super::agent::Agent;
use super::scene::{KEY, app_that_starts};

/// Longer than any of them takes to draw its first screen on a busy machine.
const SCREEN_TIME_MAX: Duration = Duration::from_mins(2);
/// How long a screen rests before it is taken as drawn.
const REST: Duration = Duration::from_secs(2);
const COLUMNS: u16 = 120;
const ROWS: u16 = 40;

/// A terminal as its program sees one: it answers what programs ask of terminals.
struct Person {
    screen: Screen,
    parser: vt100::Parser,
}

impl Person {
    /// Draws until that holds of what stands there.
    async fn sees(&mut self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let looking = async {
            loop {
                let shown = self.parser.screen().contents();
                if holds(&shown) {
                    return shown;
                }
                self.draw().await;
            }
        };
        if let Ok(shown) = timeout(SCREEN_TIME_MAX, looking).await {
            return shown;
        }
        panic!("waited for {what}:\n{}", self.parser.screen().contents())
    }

    /// Draws until nothing more comes for a while.
    async fn rests(&mut self) -> String {
        while timeout(REST, self.draw()).await.is_ok() {}
        self.parser.screen().contents()
    }

    async fn draw(&mut self) {
        let bytes = match self.screen.next().await {
            Ok(bytes) => bytes,
            Err(Cut::Ended(reason)) => panic!("it ended: {reason}\n{}", self.parser.screen().contents()),
            Err(cut) => panic!("{cut:?}"),
        };
        self.parser.process(&bytes);
        // ECMA-48: DSR asks where the cursor is, DA what the terminal is.
        let (row, column) = self.parser.screen().cursor_position();
        for (asked, answer) in
            [("\x1b[6n", format!("\x1b[{};{}R", row + 1, column + 1)), ("\x1b[c", "\x1b[?62;22c".to_owned())]
        {
            if bytes.windows(asked.len()).any(|window| window == asked.as_bytes()) {
                self.types(&answer).await;
            }
        }
    }

    async fn types(&mut self, keys: &str) {
        self.screen.send(&TerminalInput::Input(keys.as_bytes().to_vec().into())).await.unwrap();
    }
}

pub(crate) async fn speaks(agent: &Agent) {
    let script = ModelScript::new(Act::Ask { question: "You said the word marzipan.".to_owned() });
    let server = ModelServer::start(KEY, script).await.unwrap();
    // The task only keeps its sandbox there for the person.
    let rest = Launch::Command { argv: ["sleep", "1h"].map(str::to_owned).to_vec() };
    let app = app_that_starts(agent, &server, rest).await;
    let created = app.ask("worker", "Rest.").await;
    app.reaches(&created, Phase::Executing).await;
    let step = app.show(&created).await.steps[0].step;
    let target = StreamTarget::Shell { step, columns: COLUMNS, rows: ROWS, program: ShellProgram::Agent };
    let screen = Screen::open(app.client(), target).await.unwrap();
    let mut person = Person { screen, parser: vt100::Parser::new(ROWS, COLUMNS, 0) };
    person.sees(agent.greeting, |shown| shown.contains(agent.greeting)).await;
    let drawn = person.rests().await;
    // Printed for whoever wants to see what it looks like; shown where the test fails.
    println!("{drawn}");
    for question in ["do you trust", "log in", "sign in", "choose a theme", "text style", "accept", "(y)es"] {
        assert!(!drawn.to_lowercase().contains(question), "{}: it asks {question:?}:\n{drawn}", agent.image);
    }
    person.types("Tell me what I said").await;
    person.sees("what was typed", |shown| shown.contains("Tell me what I said")).await;
    // Who types at once is taken for who pastes, and Enter for a part of that.
    person.rests().await;
    person.types("\r").await;
    person.sees("the model's answer", |shown| shown.contains("marzipan")).await;
    drop(person);
    app.run(["cancel", &created.run.to_string()]).await.good();
    app.ends(&created).await;
}
