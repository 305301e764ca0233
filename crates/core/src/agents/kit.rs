//! What an agent brings along: whether it can be, and how its process finds it.
//!
//! ```text
//! model     BERTH_MODEL     its name
//! persona   BERTH_PERSONA   a file in memory with all of its files, one after the other
//! memory    BERTH_MEMORY    its folder below its home's `clawvault`
//! tools     packages on top of its image (`images::tools`)
//! ```
//!
//! A step keeps what it was asked for with: image, command, limits. What is said here is the agent itself, like its network and its
//! secrets, and each attempt goes by what it is when the attempt begins: whoever mends the instructions of an agent and asks for changes
//! means the attempt that follows.

use pipe::host::GivenFile;
use store::Kit;
use wire::{ErrorCode, ErrorView, view::PersonaFile};

use crate::home::MEMORY_FOLDER;
use crate::{escape, images};

/// The variable that names the model.
const MODEL: &str = "BERTH_MODEL";
/// The variable that names the file with the standing instructions.
const PERSONA: &str = "BERTH_PERSONA";
/// The variable that names the folder of the memory.
const MEMORY: &str = "BERTH_MEMORY";
/// All of them, which mean what a person said and nothing else.
pub(crate) const VARIABLES: [&str; 3] = [MODEL, PERSONA, MEMORY];
/// The file itself. No secret has such a name, which begins with a letter.
const PERSONA_FILE: &str = "0-persona.md";
/// Longest name of a model, in bytes.
const MODEL_BYTES_MAX: usize = 200;
/// Most files of a persona.
const PERSONA_FILES_MAX: usize = 32;
/// Longest name of one, in characters.
const PERSONA_NAME_CHARS_MAX: usize = 40;
/// The largest one, in bytes.
const PERSONA_FILE_BYTES_MAX: usize = 64 << 10;
/// All of an agent's, in bytes.
const PERSONA_BYTES_MAX: usize = 256 << 10;

/// Whether an agent can bring that.
pub(super) fn check(kit: &Kit) -> Result<(), ErrorView> {
    if let Some(model) = &kit.model {
        check_model(model)?;
    }
    check_persona(&kit.persona)?;
    images::tools::check(&kit.tools).map_err(|refused| {
        invalid(
            refused.to_string(),
            "Write it as its registry does: `name`, or the name with a version. Options, addresses and paths are none.",
        )
    })
}

fn check_model(model: &str) -> Result<(), ErrorView> {
    let is_name = (1..=MODEL_BYTES_MAX).contains(&model.len())
        && model.starts_with(|first: char| first.is_ascii_alphanumeric())
        && model.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/@[]".contains(&byte));
    if is_name {
        return Ok(());
    }
    let shown = escape::visible(model.as_bytes());
    Err(invalid(
        format!("`{shown}` is not the name of a model."),
        "Write the name as its provider does, as `claude-sonnet-4-5` or `openai/gpt-5`: at most 200 letters, digits and `-_.:/@[]`.",
    ))
}

fn check_persona(files: &[PersonaFile]) -> Result<(), ErrorView> {
    if files.len() > PERSONA_FILES_MAX {
        let message = format!(
            "An agent has at most {PERSONA_FILES_MAX} files of standing instructions, and these are {}.",
            files.len()
        );
        return Err(invalid(message, "Put several into one."));
    }
    for (at, file) in files.iter().enumerate() {
        let shown = escape::visible(file.name.as_bytes());
        if !is_file_name(&file.name) {
            return Err(invalid(
                format!("`{shown}` is not a name for a file of standing instructions."),
                "Use 1 to 40 letters, digits, `-`, `_` and `.`, beginning with a letter or a digit.",
            ));
        }
        if files[..at].iter().any(|other| other.name == file.name) {
            let message = format!("Two files of standing instructions are called `{shown}`.");
            return Err(invalid(message, "Give one of them another name."));
        }
        if file.text.len() > PERSONA_FILE_BYTES_MAX {
            let (is, most) = (file.text.len() >> 10, PERSONA_FILE_BYTES_MAX >> 10);
            return Err(invalid(
                format!("The file `{shown}` is too large for standing instructions: {is} KiB of at most {most}."),
                "A model reads all of it each time. Shorten it, or put what is to be looked up into the agent's home.",
            ));
        }
        if file.text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(invalid(
                format!("The file `{shown}` is no text: it has control characters."),
                "Standing instructions are Markdown.",
            ));
        }
    }
    let all: usize = files.iter().map(|file| file.text.len()).sum();
    if all > PERSONA_BYTES_MAX {
        let message = format!(
            "The standing instructions are {} KiB together, of at most {}.",
            all >> 10,
            PERSONA_BYTES_MAX >> 10
        );
        return Err(invalid(message, "A model reads all of them each time. Shorten them."));
    }
    Ok(())
}

fn is_file_name(name: &str) -> bool {
    (1..=PERSONA_NAME_CHARS_MAX).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn invalid(message: String, hint: &str) -> ErrorView {
    ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint)
}

/// The variables by which its process finds it; `memory` is the name of its folder.
pub(crate) fn variables(kit: &Kit, memory: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut set = |name: &str, value: String| all.push((name.to_owned(), value));
    if let Some(model) = &kit.model {
        set(MODEL, model.clone());
    }
    if kit.has_memory {
        set(MEMORY, format!("{MEMORY_FOLDER}/{memory}"));
    }
    all
}

/// The file with its standing instructions, where it has some.
pub(crate) fn persona(kit: &Kit) -> Option<GivenFile> {
    let mut text = String::new();
    for file in &kit.persona {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&file.text);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    let is_empty = text.trim().is_empty();
    (!is_empty).then(|| GivenFile { name: PERSONA_FILE.to_owned(), variables: vec![PERSONA.to_owned()], text })
}

#[cfg(test)]
mod tests {
    use wire::image::Tools;

    use super::*;

    fn file(name: &str, text: &str) -> PersonaFile {
        PersonaFile { name: name.to_owned(), text: text.to_owned() }
    }

    fn with(persona: Vec<PersonaFile>) -> Kit {
        Kit { persona, ..Kit::default() }
    }

    #[test]
    fn what_is_no_standing_instruction_is_refused_with_its_name() {
        let large = "x".repeat(PERSONA_FILE_BYTES_MAX);
        for (persona, named) in [
            (vec![file("", "")], "``"),
            (vec![file("../x.md", "")], "`../x.md`"),
            (vec![file(".md", "")], "`.md`"),
            (vec![file(&"a".repeat(41), "")], "is not a name"),
            (vec![file("a b.md", "")], "`a b.md`"),
            (vec![file("a.md", ""), file("a.md", "")], "Two files"),
            (vec![file("a.md", "\0ELF")], "no text"),
            (vec![file("a.md", &format!("{large}x"))], "too large"),
            ((0..5).map(|number| file(&number.to_string(), &large)).collect(), "together"),
            ((0..33).map(|number| file(&number.to_string(), "")).collect(), "at most 32"),
        ] {
            let error = check(&with(persona)).unwrap_err();
            assert!(error.message.contains(named), "{error:?}");
        }
        check(&with(vec![file("CLAUDE.md", &large), file("style_2.md", "Grüße\r\n\t- be brief")])).unwrap();
    }

    #[test]
    fn a_model_is_a_name_as_providers_write_them() {
        for model in
            ["claude-sonnet-4-5", "openai/gpt-5", "llama3:8b", "claude-opus-4-1[1m]", "us.anthropic.claude@20250101"]
        {
            check(&Kit { model: Some(model.to_owned()), ..Kit::default() }).unwrap();
        }
        for model in ["", " ", "-x", "--yolo", "a b", "a\nb", "$(x)", "${key}", "ä", &"a".repeat(201)] {
            assert!(check(&Kit { model: Some(model.to_owned()), ..Kit::default() }).is_err(), "{model:?}");
        }
    }

    #[test]
    fn an_agent_finds_what_it_brings_and_nothing_that_it_does_not() {
        let kit = Kit {
            model: Some("m".to_owned()),
            persona: vec![file("a.md", "First."), file("b.md", "Second.\n"), file("c.md", "")],
            has_memory: true,
            tools: Tools::default(),
        };
        let found = variables(&kit, "ada");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(found, [pair(MODEL, "m"), pair(MEMORY, "/home/agent/clawvault/ada")]);
        let given = persona(&kit).unwrap();
        assert_eq!((given.text.as_str(), given.variables), ("First.\n\nSecond.\n\n", vec![PERSONA.to_owned()]));
        assert!(!crate::access::secrets::is_name(&given.name), "no secret takes its place");

        let bare = Kit { has_memory: false, ..Kit::default() };
        assert_eq!((variables(&bare, "ada"), persona(&bare)), (Vec::new(), None));
        assert_eq!(persona(&with(vec![file("a.md", " \n")])), None, "there is nothing in it");
    }
}
