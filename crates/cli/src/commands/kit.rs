//! What an agent brings along: read from the command line and from files.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::Context as _;
use wire::{
    ErrorCode, ErrorView,
    call::{CreateAgent, UpdateAgent},
    image::Tools,
    view::PersonaFile,
};

use super::network;
use crate::{
    arguments::{EditAgent, Kit, Remember},
    connection::Connection,
};

/// The most that is read of a file; whether it is too large for an agent is the core's to say.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a new agent brings; all else as it usually is.
pub(super) fn of_new(kit: &Kit) -> anyhow::Result<CreateAgent> {
    let usual = CreateAgent::default();
    Ok(CreateAgent {
        model: kit.model.clone(),
        persona: persona(&kit.persona)?,
        has_memory: kit.remember.map_or(usual.has_memory, is_on),
        tools: Tools { apt: kit.apt.clone(), npm: kit.npm.clone(), pip: kit.pip.clone() },
        ..usual
    })
}

/// What changes of it; nothing else does.
pub(super) async fn changed(connection: &Connection, edit: &EditAgent) -> anyhow::Result<UpdateAgent> {
    let kit = &edit.kit;
    let is_persona_given = edit.no_persona || !kit.persona.is_empty();
    Ok(UpdateAgent {
        model: kit.model.clone(),
        persona: if is_persona_given { Some(persona(&kit.persona)?) } else { None },
        has_memory: kit.remember.map(is_on),
        tools: tools(connection, edit).await?,
        ..UpdateAgent::default()
    })
}

/// The packages of a registry that are named take the place of those that there are of it.
async fn tools(connection: &Connection, edit: &EditAgent) -> anyhow::Result<Option<Tools>> {
    let Kit { apt, npm, pip, .. } = &edit.kit;
    let given = Tools { apt: apt.clone(), npm: npm.clone(), pip: pip.clone() };
    if edit.no_tools {
        return Ok(Some(given));
    }
    if given.is_empty() {
        return Ok(None);
    }
    let before = network::agent(connection, &edit.agent).await?.tools;
    let over = |new: Vec<String>, old| if new.is_empty() { old } else { new };
    Ok(Some(Tools {
        apt: over(given.apt, before.apt),
        npm: over(given.npm, before.npm),
        pip: over(given.pip, before.pip),
    }))
}

const fn is_on(remember: Remember) -> bool {
    match remember {
        Remember::On => true,
        Remember::Off => false,
    }
}

fn persona(files: &[std::path::PathBuf]) -> anyhow::Result<Vec<PersonaFile>> {
    files.iter().map(|file| persona_file(file)).collect()
}

fn persona_file(path: &Path) -> anyhow::Result<PersonaFile> {
    let invalid = |message: String, hint: &str| ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint);
    let shown = path.display();
    let unreadable = || format!("`{shown}` cannot be read");
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| invalid(format!("`{shown}` has no name that an agent could know it by."), "Rename it."))?;
    let mut bytes = Vec::new();
    File::open(path).with_context(unreadable)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).with_context(unreadable)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| invalid(format!("`{shown}` is not UTF-8 text."), "Standing instructions are Markdown."))?;
    Ok(PersonaFile { name: name.to_owned(), text })
}
