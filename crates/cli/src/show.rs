//! What is printed: one JSON object of `wire`'s, or words for a person. The words themselves come from `wire` too.
//!
//! Everything that is laid out here takes its time and its ink as arguments, and returns text.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use wire::{ErrorCode, ErrorView};

use crate::exit::Exit;

/// Adds a line to a text.
macro_rules! put {
    ($text:expr, $($words:tt)*) => {{
        use std::fmt::Write as _;
        writeln!($text, $($words)*).expect("invariant: a string takes whatever is written to it")
    }};
}

pub(crate) mod bench;
pub(crate) mod compute;
pub(crate) mod costs;
pub(crate) mod gallery;
pub(crate) mod homes;
pub(crate) mod images;
pub(crate) mod ink;
pub(crate) mod network;
pub(crate) mod projects;
pub(crate) mod queue;
pub(crate) mod results;
pub(crate) mod run;
pub(crate) mod secrets;
pub(crate) mod table;
pub(crate) mod tame;
pub(crate) mod tasks;
pub(crate) mod upkeep;
pub(crate) mod words;

use ink::Ink;

/// For whom it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A person.
    Words,
    /// A script.
    Json,
}

/// Prints in one format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    /// For whom.
    pub(crate) format: Format,
    /// With what, on stdout.
    pub(crate) ink: Ink,
}

impl Printer {
    /// A printer that uses colour where stdout is a terminal and `NO_COLOR` is not set.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, ink: Ink::of(io::stdout().is_terminal()) }
    }

    /// Prints a reply: itself as JSON, or its words.
    pub(crate) fn reply<T: Serialize>(self, reply: &T, words: impl FnOnce(Ink) -> String) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match self.format {
            Format::Json => {
                serde_json::to_writer(&mut stdout, reply)?;
                stdout.write_all(b"\n")?;
            }
            Format::Words => stdout.write_all(words(self.ink).as_bytes())?,
        }
        stdout.flush()
    }

    /// Whether a person reads it.
    pub(crate) fn is_for_a_person(self) -> bool {
        self.format == Format::Words
    }

    /// Says on stderr how it goes; a script does not hear it.
    pub(crate) fn aside(self, text: &str) {
        if self.format == Format::Words {
            to_stderr(text);
        }
    }

    /// Says on stderr what went wrong.
    pub(crate) fn failure(self, error: &anyhow::Error) -> Exit {
        if error.chain().any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        }) {
            return Exit::NobodyReads;
        }
        let view = match error.downcast_ref::<ErrorView>() {
            Some(view) => view.clone(),
            None => ErrorView::new(ErrorCode::Internal, format!("{error:#}")),
        };
        match self.format {
            Format::Json => to_stderr(&serde_json::to_string(&view).unwrap_or_default()),
            Format::Words => to_stderr(words::error(&view, Ink::of(io::stderr().is_terminal())).trim_end()),
        }
        Exit::Failed
    }
}

/// Warns on stderr, whoever listens.
pub(crate) fn warn(text: &str) {
    to_stderr(&format!("warning: {}", words::line(text)));
}

/// Nobody can be told where stderr itself is gone.
fn to_stderr(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
