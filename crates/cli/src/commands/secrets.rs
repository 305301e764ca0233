//! Secrets: kept, renamed, deleted, given and taken back. A value comes in on standard input or out of a file, goes into a call, and is
//! in no argument, no output and no error.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _},
    path::Path,
};

use anyhow::Context;
use wire::{
    ErrorCode, ErrorView,
    call::{
        DeleteSecret, GrantSecret, ImportEnvFile, ListSecrets, PreviewEnvFile, RenameSecret, RevokeSecret, SetSecret,
    },
    secret::{
        CredentialKind, EnvEntry, SecretBinding, SecretPlace, SecretText, SecretView, SecretWay, VaultPlace, host_said,
    },
};

use crate::{
    arguments::{self, Secrets, SecretsCommand},
    clock::now,
    connection::Connection,
    exit::Exit,
    show::{Format, Printer, secrets, warn, words},
};

/// The longest line that is read as a value, in bytes; how long a value may be is the core's to say.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// The longest `.env` file, in bytes, as the core has it.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// `berth secrets [set|rename|delete|grant|revoke|import]`
pub(super) async fn secrets(connection: &Connection, secrets: Secrets, printer: Printer) -> anyhow::Result<Exit> {
    let view = match secrets.command {
        None => {
            let view = connection.call(ListSecrets {}).await?;
            printer.reply(&view, |ink| secrets::list(&view, now(), ink))?;
            return Ok(Exit::Done);
        }
        Some(SecretsCommand::Set(set)) => return keep(connection, set, printer).await,
        Some(SecretsCommand::Import { file, names, all }) => {
            return import(connection, &file, names, all, printer).await;
        }
        Some(SecretsCommand::Delete { secret, confirm }) => {
            let deleted = connection.call(DeleteSecret { secret: secret.clone(), confirm }).await?;
            printer.reply(&deleted, |_| format!("Deleted the secret {}.\n", words::line(&secret)))?;
            return Ok(Exit::Done);
        }
        Some(SecretsCommand::Rename { secret, name }) => connection.call(RenameSecret { secret, name }).await?,
        Some(SecretsCommand::Grant { secret, agent, inject, file, variable }) => {
            // Never injected without being asked for.
            let way = match (inject, file) {
                (true, _) => SecretWay::Injected,
                (false, true) => SecretWay::File,
                (false, false) => SecretWay::Brokered,
            };
            let view = connection.call(GrantSecret { secret, agent, way: Some(way), variable }).await?;
            if let (SecretWay::Brokered, SecretBinding::Host { host, port, .. }) = (way, &view.binding) {
                let host = words::line(&host_said(host, *port));
                printer.aside(&format!(
                    "Berth reads what its sandboxes send to {host}. Those that run believe it from their next start on."
                ));
            }
            view
        }
        Some(SecretsCommand::Revoke { secret, agent }) => connection.call(RevokeSecret { secret, agent }).await?,
    };
    show(&view, printer)?;
    Ok(Exit::Done)
}

fn show(view: &SecretView, printer: Printer) -> io::Result<()> {
    printer.reply(view, |ink| secrets::secrets(std::slice::from_ref(view), now(), ink))
}

async fn keep(connection: &Connection, set: arguments::SetSecret, printer: Printer) -> anyhow::Result<Exit> {
    let arguments::SetSecret { name, provider, subscription, base_url, host, header, format, query, misplaced } = set;
    if !misplaced.is_empty() || name.contains('=') {
        // Not quoted: it may be a value.
        let message = "A value is never an argument: other programs can read those. Nothing was kept.";
        let hint = "Give the name alone, then type the value, or pipe it in. Replace the key if it is a real one.";
        return Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint).into());
    }
    let vault = place_that_lasts(connection).await?;
    let prompt = format!("The value of {} (it is not shown): ", words::line(&name));
    let value = tokio::task::spawn_blocking(move || value(&prompt)).await.context("the value cannot be read")??;
    let place = match (header, query) {
        (Some(name), _) => Some(SecretPlace::Header { name, format }),
        (None, name) => name.map(|name| SecretPlace::Query { name }),
    };
    let binding = match (provider, host, place) {
        (Some(provider), ..) => {
            let credential = if subscription { CredentialKind::Subscription } else { CredentialKind::Key };
            Some(SecretBinding::Provider { provider, base_url, credential })
        }
        (None, Some((host, port)), Some(place)) => Some(SecretBinding::Host { host, port, place }),
        (None, ..) => None,
    };
    let view = connection.call(SetSecret { name, value, binding }).await?;
    show(&view, printer)?;
    if view.grants.is_empty() {
        printer.aside(&format!("No agent has it yet: `berth secrets grant {} AGENT`.", words::line(&view.name)));
    }
    note(&vault, printer);
    Ok(Exit::Done)
}

/// Where values are kept, if they are once this command has ended.
async fn place_that_lasts(connection: &Connection) -> Result<VaultPlace, ErrorView> {
    let place = connection.call(ListSecrets {}).await?.place;
    match (connection, &place) {
        (Connection::Local(_), VaultPlace::Session { reason, hint }) => {
            let message = format!("What this command keeps would be gone when it ends. {reason}");
            let hint = format!("{hint} Or start `berth serve` (or the app) and run this again.");
            Err(ErrorView::new(ErrorCode::NotNow, message).hint(hint.trim_start()))
        }
        (Connection::Local(_) | Connection::Remote(_), _) => Ok(place),
    }
}

fn note(place: &VaultPlace, printer: Printer) {
    if let Some(words) = secrets::place(place) {
        printer.aside(&words);
    }
}

/// The value: from a terminal without echo, else the first line of standard input.
fn value(prompt: &str) -> anyhow::Result<SecretText> {
    let text = if io::stdin().is_terminal() {
        rpassword::prompt_password(prompt).context("the terminal cannot be read")?
    } else {
        first_line()?
    };
    let value = SecretText::new(text);
    if value.expose().trim().is_empty() {
        return refuse(
            "The value is empty, so nothing was kept.",
            "Type it, or pipe it in: `berth secrets set NAME < FILE`.",
        );
    }
    Ok(value)
}

fn first_line() -> anyhow::Result<String> {
    let mut reader = BufReader::new(io::stdin().lock().take(LINE_BYTES_MAX));
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).context("standard input cannot be read")?;
    let is_whole = line.ends_with(b"\n") || (line.len() as u64) < LINE_BYTES_MAX;
    if !is_whole {
        return refuse(
            "The line on standard input is too long to be a value.",
            "Give one line of text, as the provider shows it.",
        );
    }
    if !reader.buffer().trim_ascii().is_empty() {
        warn("Only the first line of standard input is the value.");
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => {
            refuse("The value on standard input is not UTF-8 text.", "Give one line of text, as the provider shows it.")
        }
    }
}

async fn import(
    connection: &Connection,
    file: &Path,
    names: Vec<String>,
    all: bool,
    printer: Printer,
) -> anyhow::Result<Exit> {
    let text = env_file(file)?;
    let entries = connection.call(PreviewEnvFile { text: text.clone() }).await?;
    let is_preview = names.is_empty() && !all;
    // A script that imports gets one object: the secrets as they are then.
    if is_preview || printer.format == Format::Words {
        printer.reply(&entries, |ink| secrets::preview(&entries, ink))?;
    }
    if is_preview {
        printer.aside("Nothing was kept: name those that you want, or give --all.");
        return Ok(Exit::Done);
    }
    let names = if all { importable(&entries) } else { named(&entries, names)? };
    if names.is_empty() {
        return refuse("The file has nothing that can be kept.", "Look at its preview: `berth secrets import FILE`.");
    }
    let place = place_that_lasts(connection).await?;
    let view = connection.call(ImportEnvFile { text, names: names.clone() }).await?;
    printer.reply(&view, |_| format!("Kept {}.\n", words::line(&names.join(", "))))?;
    note(&place, printer);
    let left_out: Vec<_> = entries.iter().filter(|entry| all && entry.problem.is_some()).collect();
    for entry in &left_out {
        warn(&format!("Line {} is left out. {}", entry.line, entry.problem.as_deref().unwrap_or_default()));
    }
    Ok(if left_out.is_empty() { Exit::Done } else { Exit::Failed })
}

fn importable(entries: &[EnvEntry]) -> Vec<String> {
    entries.iter().filter(|entry| entry.problem.is_none()).map(|entry| entry.name.clone()).collect()
}

/// The names that were typed, each once, if every one of them can be kept: all of them are, or none.
fn named(entries: &[EnvEntry], mut typed: Vec<String>) -> anyhow::Result<Vec<String>> {
    typed.sort();
    typed.dedup();
    for name in &typed {
        let shown = words::line(name);
        match entries.iter().find(|entry| entry.name == *name) {
            None => {
                return refuse(
                    &format!("The file has no line for `{shown}`, so nothing was kept."),
                    "Look at the names above.",
                );
            }
            Some(EnvEntry { line, problem: Some(problem), .. }) => {
                return refuse(
                    &format!("Line {line} (`{shown}`) cannot be kept, so nothing was. {problem}"),
                    "Leave it out, or mend it.",
                );
            }
            Some(EnvEntry { problem: None, .. }) => {}
        }
    }
    Ok(typed)
}

fn env_file(path: &Path) -> anyhow::Result<SecretText> {
    let shown = words::line(&path.to_string_lossy());
    let cannot = || format!("{shown} cannot be read");
    let mut bytes = Vec::new();
    File::open(path).with_context(cannot)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return refuse(&format!("{shown} is too long to be an .env file."), "256 KiB is the most.");
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(SecretText::new(text)),
        // Its own words are dropped: they have the bytes.
        Err(_) => refuse(&format!("{shown} is not UTF-8 text."), "Choose a text file with lines such as NAME=value."),
    }
}

fn refuse<T>(message: &str, hint: &str) -> anyhow::Result<T> {
    Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint).into())
}
