//! `image.toml`, word by word, and what each word may be; `agent-images/README.md` explains them.
//!
//! Berth itself carries out little of it: it starts the entry, gives hosts and profile to the sandbox, and shows the rest. `berth-agent`
//! inside reads the same file. Berth refuses what it does not know, so that a typing error does not pass for a setting.

use std::collections::BTreeMap;

use engine::ImageRef;
use serde::Deserialize;
use wire::secret::Provider;

/// Longest name or version of an image, in bytes.
pub(super) const WORD_BYTES_MAX: usize = 40;
/// Longest text of a manifest, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// Largest `/dev/shm`, in MiB: what a sandbox has of memory by default.
const SHARED_MEMORY_MIB_MAX: u32 = 4096;
/// Where the arguments that go on with a conversation are put.
const RESUME: &str = "${resume}";
/// Where the prompt of one that takes it as an argument is put.
const PROMPT: &str = "${prompt}";
/// Where the conversation's name is put.
const SESSION: &str = "${session}";
/// What values may name.
const VARIABLES: [&str; 8] = ["model", "key", "key_tail", "base_url", "session", "prompt", "home", "workspace"];
/// What commands may name beside.
const PLACES: [&str; 2] = ["resume", "arguments"];

/// `image.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    name: String,
    pub(super) call_sign: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) revision: u32,
    pub(super) base: String,
    #[serde(default)]
    pub(super) is_part: bool,
    #[serde(default)]
    pub(super) include: Vec<String>,
    #[serde(default)]
    pub(super) seccomp: Option<String>,
    #[serde(default)]
    pub(super) shared_memory_mib: Option<u32>,
    #[serde(default)]
    pub(super) entry: Vec<String>,
    #[serde(default)]
    pub(super) headless: Option<Headless>,
    #[serde(default)]
    pub(super) interactive: Option<Interactive>,
    #[serde(default)]
    pub(super) provider: Vec<ProviderWays>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    first_run: Vec<FirstRun>,
    #[serde(default)]
    persona: Option<String>,
    #[serde(default)]
    pub(super) hosts: Vec<String>,
    #[serde(default)]
    usage: Option<String>,
    #[serde(default)]
    secret: Vec<OwnSecret>,
    #[serde(default)]
    pub(super) can: Abilities,
}

/// How an image works on a prompt without a person.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Headless {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// How the prompt comes to it.
    pub(crate) prompt: PromptDelivery,
    /// Arguments that go on with a conversation.
    #[serde(default)]
    pub(crate) resume: Vec<String>,
}

/// How a prompt comes to an agent's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PromptDelivery {
    /// On its standard input, which then ends.
    Stdin,
    /// As one of its arguments.
    Argument,
}

/// How a person speaks with it in a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Interactive {
    command: Vec<String>,
    #[serde(default)]
    resume: Vec<String>,
}

/// How it works with a provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderWays {
    pub(super) name: Provider,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    arguments: Vec<String>,
}

/// A file of the home that keeps it from asking.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstRun {
    path: String,
    #[serde(default)]
    json: Option<toml::Value>,
    #[serde(default)]
    text: Option<String>,
}

/// A key of its own, beside those of providers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnSecret {
    variable: String,
    hosts: Vec<String>,
}

/// What it can do beyond working on a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Abilities {
    #[serde(default)]
    pub(super) desktop: bool,
    #[serde(default)]
    pub(super) ports: Vec<u16>,
}

/// An embedded image is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManifestError {
    /// Not the TOML that is expected.
    #[error("`{file}` cannot be read: {detail}")]
    Unreadable {
        /// The file.
        file: String,
        /// What is wrong, and where.
        detail: String,
    },
    /// A field has a value that it must not have.
    #[error("`{folder}/image.toml`: `{field}` must be {expected}")]
    Wrong {
        /// The image's folder.
        folder: String,
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// Folders that start from one another, or from one that is not there.
    #[error("`{folder}/image.toml`: `base` names `{base}`, which leads to no image")]
    Base {
        /// The image's folder.
        folder: String,
        /// What it starts from.
        base: String,
    },
    /// A pinned version that no Dockerfile takes.
    #[error("`versions.toml`: `{section}.{key}` {expected}")]
    Version {
        /// The section.
        section: String,
        /// The key; empty for the section itself.
        key: String,
        /// What it must be.
        expected: &'static str,
    },
}

impl Manifest {
    /// Reads the manifest of a folder.
    pub(super) fn read(folder: &str, text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text).map_err(|error| ManifestError::Unreadable {
            file: format!("{folder}/image.toml"),
            detail: error.to_string(),
        })?;
        manifest.check(folder)?;
        Ok(manifest)
    }

    fn check(&self, folder: &str) -> Result<(), ManifestError> {
        let rule = |holds: bool, field, expected| {
            if holds { Ok(()) } else { Err(ManifestError::Wrong { folder: folder.to_owned(), field, expected }) }
        };
        rule(self.name == folder, "name", "the name of its folder")?;
        rule(is_word(folder), "name", "1 to 40 lower-case letters, digits and dashes")?;
        rule(
            self.call_sign.len() == 2 && self.call_sign.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9')),
            "call_sign",
            "two capital letters or digits",
        )?;
        rule(is_line(&self.title), "title", "a line of text")?;
        rule(is_line(&self.description), "description", "a line of text")?;
        rule(self.revision > 0, "revision", "a number from 1 on")?;
        let is_base = match self.base.strip_prefix("berth/") {
            Some(name) => is_word(name),
            None => ImageRef::parse(self.base.as_str()).is_ok(),
        };
        rule(is_base, "base", "an image reference, or `berth/` and the name of another folder")?;
        rule(self.include.iter().all(|path| is_include(path)), "include", "files as `folder/file`")?;
        rule(self.seccomp.as_deref().is_none_or(is_file), "seccomp", "the name of a file of the folder")?;
        rule(
            self.shared_memory_mib.is_none_or(|mib| (1..=SHARED_MEMORY_MIB_MAX).contains(&mib)),
            "shared_memory_mib",
            "1 to 4096",
        )?;
        self.check_commands(&rule)?;
        self.check_home(&rule)?;
        rule(self.hosts.iter().all(|host| is_host(host)), "hosts", "names of hosts")?;
        for secret in &self.secret {
            rule(is_variable(&secret.variable), "secret.variable", "the name of a variable")?;
            let are_hosts = !secret.hosts.is_empty() && secret.hosts.iter().all(|host| is_host(host));
            rule(are_hosts, "secret.hosts", "names of hosts")?;
        }
        rule(self.usage.as_deref().is_none_or(is_text), "usage", "words")?;
        rule(!self.can.ports.contains(&0), "can.ports", "1 to 65535")
    }

    fn check_commands(
        &self,
        rule: &impl Fn(bool, &'static str, &'static str) -> Result<(), ManifestError>,
    ) -> Result<(), ManifestError> {
        rule(self.entry.is_empty() || is_command(&self.entry, &[]), "entry", "a program")?;
        let has_entry = !self.entry.is_empty();
        rule(self.is_part || self.headless.is_some(), "headless", "there, unless the image is a part of others")?;
        if let Some(headless) = &self.headless {
            rule(
                is_command(&headless.command, &PLACES),
                "headless.command",
                "a program and arguments that name nothing unknown",
            )?;
            rule(is_resume(&headless.resume), "headless.resume", "arguments that name `${session}`")?;
            let names_prompt = headless.command.iter().any(|argument| argument.contains(PROMPT));
            match headless.prompt {
                PromptDelivery::Stdin => {
                    rule(!names_prompt, "headless.prompt", "`argument` where the command names `${prompt}`")?;
                }
                PromptDelivery::Argument => {
                    rule(has_entry, "headless.prompt", "`stdin` where there is no entry")?;
                    rule(names_prompt, "headless.command", "one that names `${prompt}`")?;
                }
            }
            rule(
                has_entry || is_plain(&headless.command) && headless.resume.is_empty(),
                "headless.command",
                "plain where there is no entry",
            )?;
        }
        if let Some(interactive) = &self.interactive {
            rule(
                is_command(&interactive.command, &PLACES),
                "interactive.command",
                "a program and arguments that name nothing unknown",
            )?;
            rule(is_resume(&interactive.resume), "interactive.resume", "arguments that name `${session}`")?;
            rule(
                has_entry || is_plain(&interactive.command) && interactive.resume.is_empty(),
                "interactive.command",
                "plain where there is no entry",
            )?;
        }
        rule(has_entry || self.provider.is_empty(), "provider", "left out where there is no entry")?;
        for ways in &self.provider {
            rule(ways.model.as_deref().is_none_or(is_line), "provider.model", "the name of a model")?;
            rule(is_environment(&ways.environment), "provider.environment", "variables that name nothing unknown")?;
            rule(
                ways.arguments.iter().all(|argument| is_value(argument, &[])),
                "provider.arguments",
                "arguments that name nothing unknown",
            )?;
        }
        let mut names: Vec<_> = self.provider.iter().map(|ways| ways.name.name()).collect();
        names.sort_unstable();
        names.dedup();
        rule(names.len() == self.provider.len(), "provider", "each there once")
    }

    fn check_home(
        &self,
        rule: &impl Fn(bool, &'static str, &'static str) -> Result<(), ManifestError>,
    ) -> Result<(), ManifestError> {
        rule(is_environment(&self.environment), "environment", "variables that name nothing unknown")?;
        for file in &self.first_run {
            rule(is_path(&file.path), "first_run.path", "a path in the home that does not leave it")?;
            rule(file.json.is_some() != file.text.is_some(), "first_run", "either `json` or `text`")?;
            rule(
                file.text.as_deref().is_none_or(|text| is_value(text, &[])),
                "first_run.text",
                "text that names nothing unknown",
            )?;
            rule(
                file.json.as_ref().is_none_or(is_json),
                "first_run.json",
                "an object whose texts name nothing unknown",
            )?;
        }
        rule(self.persona.as_deref().is_none_or(is_path), "persona", "a path in the home that does not leave it")
    }

    /// What is started for a prompt: the entry, or the command as it is. `None` for one that is only a part of others.
    pub(super) fn launch(&self) -> Option<Vec<String>> {
        let headless = self.headless.as_ref()?;
        if self.entry.is_empty() {
            return Some(headless.command.clone());
        }
        Some(self.entry.iter().cloned().chain(["headless".to_owned()]).collect())
    }

    /// What is started for a person at a terminal.
    pub(super) fn interactive_launch(&self) -> Option<Vec<String>> {
        let interactive = self.interactive.as_ref()?;
        if self.entry.is_empty() {
            return Some(interactive.command.clone());
        }
        Some(self.entry.iter().cloned().chain(["interactive".to_owned()]).collect())
    }

    /// Whether it goes on with a conversation when changes are asked for.
    pub(super) fn can_resume(&self) -> bool {
        self.headless.as_ref().is_some_and(|headless| !headless.resume.is_empty())
    }
}

/// A name: of a folder or of an image.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= WORD_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= TEXT_BYTES_MAX && !text.contains('\0')
}

fn is_line(text: &str) -> bool {
    is_text(text) && !text.chars().any(crate::escape::is_unsafe_to_show)
}

fn is_file(name: &str) -> bool {
    is_line(name) && !name.contains('/') && !name.starts_with('.')
}

fn is_include(path: &str) -> bool {
    path.split_once('/').is_some_and(|(folder, file)| is_word(folder) && is_path(file))
}

/// A relative path of plain parts.
fn is_path(path: &str) -> bool {
    is_line(path) && !path.contains('\\') && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

fn is_host(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let is_label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label)
}

fn is_command(command: &[String], places: &[&str]) -> bool {
    command.first().is_some_and(|program| !program.is_empty() && !program.contains('$'))
        && command.iter().all(|argument| is_value(argument, places))
}

/// Nobody is there to put something in a place.
fn is_plain(command: &[String]) -> bool {
    !command.iter().any(|argument| argument.contains('$'))
}

fn is_resume(arguments: &[String]) -> bool {
    arguments.iter().all(|argument| is_value(argument, &[]))
        && (arguments.is_empty() || arguments.iter().any(|argument| argument.contains(SESSION)))
        && !arguments.iter().any(|argument| argument.contains(RESUME))
}

fn is_environment(variables: &BTreeMap<String, String>) -> bool {
    variables.iter().all(|(name, value)| is_variable(name) && is_value(value, &[]))
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a text names what it may: `${name}`, and a dollar sign as `$$`.
fn is_value(text: &str, places: &[&str]) -> bool {
    if text.contains('\0') || text.len() > TEXT_BYTES_MAX {
        return false;
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        rest = if let Some(after) = after.strip_prefix('$') {
            after
        } else if let Some((name, after)) = after.strip_prefix('{').and_then(|named| named.split_once('}')) {
            if !VARIABLES.contains(&name) && !places.contains(&name) {
                return false;
            }
            after
        } else {
            return false;
        };
    }
    true
}

/// An object, whose texts are values.
fn is_json(json: &toml::Value) -> bool {
    fn holds(value: &toml::Value) -> bool {
        match value {
            toml::Value::String(text) => is_value(text, &[]),
            toml::Value::Array(values) => values.iter().all(holds),
            toml::Value::Table(table) => table.iter().all(|(key, value)| is_value(key, &[]) && holds(value)),
            toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => true,
            // JSON has none.
            toml::Value::Datetime(_) => false,
        }
    }
    json.is_table() && holds(json)
}
