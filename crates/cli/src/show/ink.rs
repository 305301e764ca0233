//! Colours (ECMA-48 SGR), few and by meaning.

use wire::Phase;

/// Whether there is colour at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Into a file, a pipe, or for someone who does not want it.
    Plain,
    /// On a terminal.
    Colour,
}

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing.
    Plain,
    /// A head, a unit: present, not loud.
    Faint,
    /// A word that matters.
    Strong,
    /// It works.
    Busy,
    /// It went well.
    Good,
    /// It waits for a person.
    Attention,
    /// It went wrong.
    Bad,
}

impl Ink {
    /// Colour on a terminal, unless `NO_COLOR` (no-color.org) is set to anything or the terminal is a dumb one.
    pub(crate) fn of(is_terminal: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if is_terminal && !is_set("NO_COLOR") && !is_dumb { Self::Colour } else { Self::Plain }
    }

    /// The text in that tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        match (self, tone.code()) {
            (Self::Plain, _) | (Self::Colour, None) => text.to_owned(),
            (Self::Colour, Some(code)) => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

impl Tone {
    /// The tone of a phase.
    pub(crate) const fn of_phase(phase: Phase) -> Self {
        match phase {
            Phase::Queued | Phase::Cancelled => Self::Faint,
            Phase::Provisioning | Phase::Executing => Self::Busy,
            Phase::AwaitingReview => Self::Attention,
            Phase::Completed => Self::Good,
            Phase::Failed => Self::Bad,
        }
    }

    const fn code(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Strong => Some(1),
            Self::Faint => Some(2),
            Self::Bad => Some(31),
            Self::Good => Some(32),
            Self::Attention => Some(33),
            Self::Busy => Some(36),
        }
    }
}
