//! As much of a Dockerfile as must be known before an engine reads it: its instructions, for a person to see what is to come, its
//! arguments, and where labels go.
//!
//! What it takes for an instruction decides nothing: the engine says how many there are, and is believed.
//! (<https://docs.docker.com/reference/dockerfile/>, "Format", "Parser directives")

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Longest instruction that is shown, in bytes.
pub(super) const SHOWN_BYTES_MAX: usize = 400;
/// Most instructions that are looked at.
const INSTRUCTIONS_MAX: usize = 1_000;

/// The instructions in order, each as one line. Comments are left out, continued lines joined.
pub(super) fn instructions(dockerfile: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = String::new();
    for line in dockerfile.lines() {
        let text = line.trim();
        // Comments and empty lines may stand within an instruction, too.
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (text, goes_on) = match text.strip_suffix('\\') {
            Some(text) => (text.trim_end(), true),
            None => (text, false),
        };
        if open.len() < SHOWN_BYTES_MAX {
            if !open.is_empty() {
                open.push(' ');
            }
            open.push_str(text);
        }
        if !goes_on {
            all.push(std::mem::take(&mut open));
            if all.len() == INSTRUCTIONS_MAX {
                return all;
            }
        }
    }
    if !open.is_empty() {
        all.push(open);
    }
    all
}

/// The names of its arguments.
pub(super) fn arguments(dockerfile: &str) -> Vec<String> {
    let of = |instruction: &String| {
        let (word, rest) = instruction.split_once(' ')?;
        let name = rest.trim_start().split(['=', ' ']).next()?;
        word.eq_ignore_ascii_case("ARG").then(|| name.to_owned())
    };
    instructions(dockerfile).iter().filter_map(of).collect()
}

/// What it starts from first, as it is written.
pub(super) fn first_base(dockerfile: &str) -> Option<String> {
    instructions(dockerfile).iter().find_map(|instruction| {
        let mut words = instruction.split_whitespace();
        let is_from = words.next()?.eq_ignore_ascii_case("FROM");
        let base = words.find(|word| !word.starts_with("--"))?;
        is_from.then(|| base.to_owned())
    })
}

/// The Dockerfile with labels right after each `FROM`: the builder itself adds those of a request at the very end, and what it keeps of
/// a build that fails would be nobody's.
pub(super) fn labelled(dockerfile: &str, labels: &BTreeMap<String, String>) -> String {
    let mut instruction = "LABEL".to_owned();
    for (key, value) in labels {
        let _ = write!(instruction, " {key}={value:?}");
    }
    let mut text = String::new();
    let (mut goes_on, mut is_from) = (false, false);
    for line in dockerfile.lines() {
        text.push_str(line);
        text.push('\n');
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let begins = !goes_on;
        goes_on = trimmed.ends_with('\\');
        if begins {
            is_from = trimmed
                .get(..5)
                .is_some_and(|word| word.trim_end().eq_ignore_ascii_case("FROM") && word.len() > word.trim_end().len());
        }
        if is_from && !goes_on && !labels.is_empty() {
            text.push_str(&instruction);
            text.push('\n');
            is_from = false;
        }
    }
    text
}
