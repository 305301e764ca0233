//! What a person does with secrets. Names, grants and what a secret opens are rows; the value goes into the vault and nowhere else.
//!
//! The row is written before the value is kept, and goes after it is deleted: so no value is ever without a row that leads to it.

use std::sync::Arc;

use jiff::Timestamp;
use store::{GrantRecord, GrantedSecret, ListedSecret, SecretRecord, StoreError};
use tracing::info;
use vault::{
    NoKeyring, Place, VaultError,
    secrecy::{ExposeSecret as _, SecretString},
};
use wire::{
    ErrorCode, ErrorView, EventKind,
    call::{DeleteSecret, Deleted, GrantSecret, ImportEnvFile, PreviewEnvFile, RenameSecret, RevokeSecret, SetSecret},
    ids::SecretId,
    secret::{
        CredentialKind, EnvEntry, Provider, SECRET_NAME_CHARS_MAX, SecretBinding, SecretText, SecretView, SecretWay,
        SecretsView, VaultPlace, host_said,
    },
    stream::Update,
};

use super::binding::{self, Brokered};
use super::{bridge, env_file, placeholder};
use crate::clock::new_id;
use crate::house::House;
use crate::{agents, escape, faults, home};

/// Longest name of a variable, in bytes.
const VARIABLE_BYTES_MAX: usize = 128;

/// All of them, and where their values are.
pub(crate) async fn list(house: &Arc<House>) -> Result<SecretsView, ErrorView> {
    let inside = home::signed_in(house).await?;
    Ok(SecretsView { place: place(house).await, secrets: all(house).await?.into_iter().map(shown).collect(), inside })
}

/// Where values are kept.
pub(crate) async fn place(house: &House) -> VaultPlace {
    place_view(house.access.vault(house.install).await.place())
}

/// Keeps a secret, or replaces its value.
pub(crate) async fn set(house: &House, call: SetSecret) -> Result<SecretView, ErrorView> {
    let SetSecret { name, value, binding } = call;
    let _turn = house.access.secrets_turn.lock().await;
    keep(house, name, value, binding).await
}

/// The turn of secrets is held.
async fn keep(
    house: &House,
    name: String,
    value: SecretText,
    binding: Option<SecretBinding>,
) -> Result<SecretView, ErrorView> {
    check_name(&name)?;
    let value = SecretString::from(value.into_inner());
    vault::check(value.expose_secret()).map_err(|error| of_vault(&name, &error))?;
    binding::check_said(binding.as_ref(), value.expose_secret())?;
    let now = house.time.now();
    let known = named(house, &name).await?;
    let binding = binding
        .or_else(|| known.as_ref().map(|known| known.binding.clone()))
        .unwrap_or_else(|| env_file::binding_of(&name));
    let binding = binding::checked(binding::of_value(binding, value.expose_secret())?)?;
    let vault = house.access.vault(house.install).await;
    let secret = match known {
        Some(known) => {
            refuse_lost_broker(house, &known, &binding).await?;
            let is_bound_anew = binding != known.binding;
            if is_bound_anew {
                // The old value goes to no new address, and the new one to no old one: there is none while that changes.
                vault.delete(known.secret).await.map_err(|error| of_vault(&name, &error))?;
            } else {
                vault.put(known.secret, &name, value.clone()).await.map_err(|error| of_vault(&name, &error))?;
            }
            let events = vec![EventKind::Note { text: format!("The secret {name} has another value") }];
            let replaced = house.store.replace_secret(known.secret, &binding, now, events).await;
            replaced.map_err(|error| of_store("write down that the secret has another value", &error))?;
            if is_bound_anew {
                super::rules_changed(house).await;
                vault.put(known.secret, &name, value).await.map_err(|error| of_vault(&name, &error))?;
            }
            known.secret
        }
        None => create(house, &name, value, binding, now).await?,
    };
    house.tell(Update::Secrets);
    super::rules_changed(house).await;
    view(house, secret).await
}

async fn create(
    house: &House,
    name: &str,
    value: SecretString,
    binding: SecretBinding,
    now: Timestamp,
) -> Result<SecretId, ErrorView> {
    let vault = house.access.vault(house.install).await;
    let secret: SecretId = new_id();
    let record =
        SecretRecord { secret, name: name.to_owned(), binding, created_at: now, replaced_at: now, used_at: None };
    let events = vec![EventKind::Note { text: format!("The secret {name} is kept") }];
    house.store.create_secret(&record, events).await.map_err(|error| of_store("write the secret down", &error))?;
    if let Err(error) = vault.put(secret, name, value).await {
        // Without a value it is no secret. Where the row stays, the list says that it has none.
        let taken_back = house.store.remove_secret(secret, now, Vec::new()).await;
        taken_back.map_err(|error| of_store("take the secret back", &error))?;
        forget(house, secret).await;
        return Err(of_vault(name, &error));
    }
    info!(%secret, "a secret is kept");
    Ok(secret)
}

/// Changes a secret's name.
pub(crate) async fn rename(house: &House, call: &RenameSecret) -> Result<SecretView, ErrorView> {
    check_name(&call.name)?;
    let _turn = house.access.secrets_turn.lock().await;
    let record = find(house, &call.secret).await?;
    let vault = house.access.vault(house.install).await;
    let events = vec![EventKind::Note { text: format!("The secret {} is called {} now", record.name, call.name) }];
    let renamed = house.store.rename_secret(record.secret, &call.name, house.time.now(), events).await;
    renamed.map_err(|error| of_store("write the secret's name down", &error))?;
    // The keyring's own window shows the name; the value is found by its id all the same.
    if let Ok(value) = vault.get(record.secret).await
        && let Err(error) = vault.put(record.secret, &call.name, value).await
    {
        tracing::warn!(error = %error, "the keyring goes on showing a secret's old name");
    }
    house.tell(Update::Secrets);
    super::rules_changed(house).await;
    view(house, record.secret).await
}

/// Forgets a secret.
pub(crate) async fn delete(house: &House, call: &DeleteSecret) -> Result<Deleted, ErrorView> {
    let _turn = house.access.secrets_turn.lock().await;
    let record = find(house, &call.secret).await?;
    if call.confirm != record.name {
        let shown = escape::visible(call.confirm.as_bytes());
        return invalid(
            format!("`{shown}` is not the name of this secret, so it was not deleted."),
            &format!("Its name is `{}`.", record.name),
        );
    }
    let events = vec![EventKind::Note { text: format!("The secret {} was deleted", record.name) }];
    let removed = house.store.remove_secret(record.secret, house.time.now(), events).await;
    removed.map_err(|error| of_store("write down that the secret is deleted", &error))?;
    house.tell(Update::Secrets);
    house.tell(Update::Agents);
    super::rules_changed(house).await;
    forget(house, record.secret).await;
    Ok(Deleted {})
}

/// Takes the value of a removed secret out of the vault. Where that fails it is tried again at the next start: nothing leads to it
/// meanwhile.
pub(super) async fn forget(house: &House, secret: SecretId) {
    let vault = house.access.vault(house.install).await;
    if let Err(error) = vault.delete(secret).await {
        return tracing::warn!(%secret, error = %faults::chain(&error), "a deleted secret's value cannot be taken out of the keyring yet");
    }
    if let Err(error) = house.store.forget_secret(secret).await {
        tracing::warn!(%secret, %error, "that a deleted secret's value is gone cannot be written down yet");
    }
}

/// Gives a secret to an agent.
pub(crate) async fn grant(house: &House, call: &GrantSecret) -> Result<SecretView, ErrorView> {
    let _turn = house.access.secrets_turn.lock().await;
    let record = find(house, &call.secret).await?;
    let agent = agents::find(house, &call.agent).await?;
    let brokered = Brokered::of(&record.binding);
    let credential = match &record.binding {
        SecretBinding::Provider { provider, credential, .. } => Some((*provider, *credential)),
        SecretBinding::Host { .. } | SecretBinding::Unbound => None,
    };
    let way = call.way.unwrap_or(if brokered.is_some() { SecretWay::Brokered } else { SecretWay::Injected });
    if way == SecretWay::Brokered && brokered.is_none() {
        return invalid(
            format!("The secret `{}` is bound to no provider and to no host, so it cannot be brokered.", record.name),
            "Bind it to a provider or a host, or inject it: then everything in the sandbox can read it.",
        );
    }
    if way == SecretWay::Brokered {
        bridge::refuse(&agent.name, &agent.network, &record.name)?;
    }
    let variable = call.variable.clone().unwrap_or_else(|| usual_variable(&record, way, credential));
    check_variable(&variable)?;
    let has = house.store.secrets_of(agent.agent).await.map_err(|error| of_store("read the secrets", &error))?;
    let others = || has.iter().filter(|other| other.secret != record.secret);
    if let Some(other) = others().find(|other| other.variable == variable) {
        return invalid(
            format!("The agent `{}` has `{}` in the variable `{variable}` already.", agent.name, other.name),
            "Take that one from it first, or name another variable.",
        );
    }
    if way == SecretWay::Brokered
        && let Some(other) =
            others().find(|other| other.way == SecretWay::Brokered && Brokered::of(&other.binding) == brokered)
    {
        return invalid(
            format!(
                "The agent `{}` has `{}` brokered for the same {} already.",
                agent.name,
                other.name,
                if credential.is_some() { "provider" } else { "host" }
            ),
            "A sandbox has one secret for each. Take that one from it first.",
        );
    }
    let placeholder = placeholder::make(credential).ok_or_else(|| {
        ErrorView::new(ErrorCode::Internal, "This machine has no randomness now, so no placeholder can be made.")
            .hint("Try again in a moment.")
    })?;
    let grant = GrantRecord {
        secret: record.secret,
        agent: agent.agent,
        way,
        variable,
        placeholder,
        granted_at: house.time.now(),
    };
    let mut text =
        format!("The agent {} has the secret {} now ({})", agent.name, record.name, way.word().to_lowercase());
    if let (SecretWay::Brokered, SecretBinding::Host { host, port, .. }) = (way, &record.binding) {
        text.push_str(": Berth reads what its sandboxes send to ");
        text.push_str(&host_said(host, *port));
    }
    let granted = house.store.grant_secret(&grant, vec![EventKind::Note { text }]).await;
    granted.map_err(|error| of_store("write the grant down", &error))?;
    house.tell(Update::Secrets);
    house.tell(Update::Agents);
    super::rules_changed(house).await;
    view(house, record.secret).await
}

/// Takes a secret from an agent.
pub(crate) async fn revoke(house: &House, call: &RevokeSecret) -> Result<SecretView, ErrorView> {
    let _turn = house.access.secrets_turn.lock().await;
    let record = find(house, &call.secret).await?;
    let agent = agents::find(house, &call.agent).await?;
    let text = format!("The agent {} no longer has the secret {}", agent.name, record.name);
    let revoked =
        house.store.revoke_secret(record.secret, agent.agent, house.time.now(), vec![EventKind::Note { text }]).await;
    revoked.map_err(|error| of_store("write down that the grant is over", &error))?;
    house.tell(Update::Secrets);
    house.tell(Update::Agents);
    super::rules_changed(house).await;
    view(house, record.secret).await
}

/// What an `.env` file would bring in.
pub(crate) async fn preview(house: &House, call: &PreviewEnvFile) -> Result<Vec<EnvEntry>, ErrorView> {
    let known = all(house).await?;
    let entry = |assignment: env_file::Assignment| {
        let of_known = known.iter().map(|known| &known.secret).find(|known| known.name == assignment.name);
        let problem = match &assignment.value {
            Ok(value) => vault::check(value.expose()).err().map(|error| error.to_string()),
            Err(why) => Some(why.clone()),
        };
        EnvEntry {
            line: assignment.line,
            binding: of_known.map_or_else(|| env_file::binding_of(&assignment.name), |known| known.binding.clone()),
            is_known: of_known.is_some(),
            name: assignment.name,
            problem,
        }
    };
    Ok(read_env(&call.text)?.into_iter().map(entry).collect())
}

/// Keeps some of an `.env` file. What was kept before one fails stays.
pub(crate) async fn import(house: &Arc<House>, call: ImportEnvFile) -> Result<SecretsView, ErrorView> {
    let mut found = read_env(&call.text)?;
    let _turn = house.access.secrets_turn.lock().await;
    for name in &call.names {
        let Some(at) = found.iter().position(|assignment| assignment.name == *name) else {
            let shown = escape::visible(name.as_bytes());
            return invalid(format!("The file has no line for `{shown}`."), "Look at the preview again.");
        };
        let assignment = found.swap_remove(at);
        match assignment.value {
            Ok(value) => keep(house, assignment.name, value, None).await.map(drop)?,
            Err(why) => {
                return invalid(format!("Line {} cannot be taken in. {why}", assignment.line), "Leave it out.");
            }
        }
    }
    list(house).await
}

fn read_env(text: &SecretText) -> Result<Vec<env_file::Assignment>, ErrorView> {
    if text.expose().len() > env_file::FILE_BYTES_MAX {
        return invalid(
            "The file is too long to be an `.env` file.".to_owned(),
            "Choose another; 256 KiB is the most.",
        );
    }
    Ok(env_file::read(text.expose()))
}

/// Another binding may take from agents what they have brokered.
async fn refuse_lost_broker(house: &House, known: &SecretRecord, binding: &SecretBinding) -> Result<(), ErrorView> {
    if binding::is_used_alike(binding, &known.binding) {
        return Ok(());
    }
    let grants = view(house, known.secret).await?.grants;
    match grants.iter().find(|grant| grant.way == SecretWay::Brokered) {
        None => Ok(()),
        Some(grant) => invalid(
            format!("The agent `{}` has `{}` brokered, as it is bound now.", grant.agent_name, known.name),
            "Take it from the agent first, or keep it under another name.",
        ),
    }
}

/// Where programs look for it, as far as one can know.
fn usual_variable(record: &SecretRecord, way: SecretWay, of: Option<(Provider, CredentialKind)>) -> String {
    let named = || record.name.replace(['-', '.'], "_").to_uppercase();
    let of_value = of.map_or_else(named, |(provider, credential)| provider.variable(credential).to_owned());
    match way {
        SecretWay::Brokered | SecretWay::Injected => of_value,
        SecretWay::File => of_value + "_FILE",
    }
}

async fn named(house: &House, name: &str) -> Result<Option<SecretRecord>, ErrorView> {
    match house.store.secret_by_name(name).await {
        Ok(record) => Ok(Some(record)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(of_store("read the secrets", &error)),
    }
}

async fn find(house: &House, name: &str) -> Result<SecretRecord, ErrorView> {
    if let Some(record) = named(house, name).await? {
        return Ok(record);
    }
    let shown = escape::visible(name.as_bytes());
    let known: Vec<_> = all(house).await?.into_iter().map(|known| known.secret.name).collect();
    let hint = match known.as_slice() {
        [] => "There are none yet: `berth secrets set NAME` keeps one.".to_owned(),
        known => format!("Choose one of these: {}.", known.join(", ")),
    };
    Err(ErrorView::new(ErrorCode::NotFound, format!("There is no secret named `{shown}`.")).hint(hint))
}

async fn all(house: &House) -> Result<Vec<ListedSecret>, ErrorView> {
    house.store.secrets().await.map_err(|error| of_store("read the secrets", &error))
}

/// A secret as it is shown, read anew.
async fn view(house: &House, secret: SecretId) -> Result<SecretView, ErrorView> {
    let listed = all(house).await?.into_iter().find(|listed| listed.secret.secret == secret);
    let gone = || ErrorView::new(ErrorCode::NotFound, "The secret was deleted meanwhile.");
    listed.map(shown).ok_or_else(gone)
}

fn shown(listed: ListedSecret) -> SecretView {
    let ListedSecret { secret: record, grants } = listed;
    SecretView {
        secret: record.secret,
        name: record.name,
        binding: record.binding,
        created_at: record.created_at,
        replaced_at: record.replaced_at,
        used_at: record.used_at,
        grants,
    }
}

/// The secrets of an agent, as its own view has them.
pub(crate) fn agent_view(granted: GrantedSecret) -> wire::view::AgentSecretView {
    wire::view::AgentSecretView {
        name: granted.name,
        binding: granted.binding,
        way: granted.way,
        variable: granted.variable,
    }
}

fn place_view(place: &Place) -> VaultPlace {
    match place {
        Place::Keyring => VaultPlace::Keyring,
        Place::Session(NoKeyring::Unwanted) => VaultPlace::Session {
            reason: "This Berth was started without a keyring (`BERTH_KEYRING=none`), so secrets are kept in memory \
                     until it ends."
                .to_owned(),
            hint: "Start it without that variable to keep them.".to_owned(),
        },
        Place::Session(NoKeyring::Absent { detail }) => VaultPlace::Session {
            reason: format!(
                "This machine has no keyring that answers, so secrets are kept in memory until Berth ends: {}",
                escape::visible(detail.as_bytes())
            ),
            hint: "Start a keyring (GNOME Keyring, KWallet or KeePassXC with the Secret Service), then start Berth \
                   again."
                .to_owned(),
        },
    }
}

/// Whether something may be the name of a secret.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= SECRET_NAME_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn check_name(name: &str) -> Result<(), ErrorView> {
    if is_name(name) {
        return Ok(());
    }
    let shown = escape::visible(name.as_bytes());
    invalid(
        format!("`{shown}` is not a name for a secret."),
        "Use 1 to 64 letters, digits, `_`, `-` and `.`, beginning with a letter or `_`.",
    )
}

fn check_variable(variable: &str) -> Result<(), ErrorView> {
    let is_variable = variable.len() <= VARIABLE_BYTES_MAX
        && variable.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && variable.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let shown = escape::visible(variable.as_bytes());
    match (is_variable, super::variables::is_taken(variable)) {
        (true, false) => Ok(()),
        (true, true) => invalid(
            format!("The variable `{shown}` has a meaning of its own, so a secret cannot be put into it."),
            "Name another.",
        ),
        (false, _) => invalid(
            format!("`{shown}` is not the name of a variable."),
            "Use letters, digits and `_`, beginning with a letter or `_`.",
        ),
    }
}

fn invalid<T>(message: String, hint: &str) -> Result<T, ErrorView> {
    Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint(hint))
}

fn of_store(doing: &str, error: &StoreError) -> ErrorView {
    if let StoreError::SecretNameTaken { name } = error {
        return ErrorView::new(ErrorCode::InvalidArgument, format!("There is a secret named `{name}` already."))
            .hint("Choose another name; `berth secrets` lists those there are.");
    }
    faults::of_storage(doing, error)
}

/// Why a secret could not be kept, read or deleted.
pub(super) fn of_vault(name: &str, error: &VaultError) -> ErrorView {
    let view = |message: String, hint: &str| ErrorView::new(ErrorCode::Keyring, message).hint(hint);
    let shown = escape::visible(name.as_bytes());
    match error {
        VaultError::Locked(_) => view(
            format!("The keyring is locked, or said no, so the secret `{shown}` could not be read or kept."),
            "Unlock the keyring of your system, then try again.",
        )
        .detail(faults::chain(error)),
        VaultError::Missing => view(
            format!(
                "The keyring has no value for the secret `{shown}`: it was deleted there, or was kept for a session that ended."
            ),
            "Type its value once more: `berth secrets set`, or Replace in the settings.",
        ),
        VaultError::Unusable(why) => ErrorView::new(
            ErrorCode::InvalidArgument,
            format!("The value for the secret `{shown}` cannot be used: {why}."),
        )
        .hint("Give one line of text, as the provider shows it."),
        VaultError::Silent => view(
            format!("The keyring did not answer, so the secret `{shown}` could not be read or kept."),
            "Perhaps it asks for its password in another window. Answer it, then try again.",
        ),
        VaultError::Failed(_) => view(
            format!("The keyring failed, so the secret `{shown}` could not be read or kept."),
            "Look at your system's keyring, then try again.",
        )
        .detail(faults::chain(error)),
    }
}
