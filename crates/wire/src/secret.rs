//! Secrets as everyone but the vault sees them: by name. A value passes through here once, on its way in, and never out.
//!
//! A secret is granted to agents one by one, in one of two ways ([`SecretWay`]): brokered, the sandbox holds a placeholder and the
//! gateway puts the value in its place outside; injected, the agent's process has the value itself, in a variable or in a file.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, SecretId};

/// Longest name of a secret, in characters.
pub const SECRET_NAME_CHARS_MAX: usize = 64;

/// A value on its way in. It prints as nothing; it is serialised only because a skin has to send it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// A value as a person typed it.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Gives the value away.
    pub fn into_inner(mut self) -> String {
        std::mem::take(&mut self.0)
    }

    /// The value, to look at.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Whose inference API a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Anthropic's Messages API.
    Anthropic,
    /// OpenAI's Chat Completions and Responses APIs, and what is compatible with them.
    Openai,
    /// Google's Gemini API.
    Gemini,
}

impl Provider {
    /// Every provider, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::Anthropic, Self::Openai, Self::Gemini];

    /// What a person reads.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Anthropic => "Anthropic",
            Self::Openai => "OpenAI and compatible",
            Self::Gemini => "Google Gemini",
        }
    }

    /// The name in data, on the command line, and of its route inside.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Openai => "openai",
            Self::Gemini => "gemini",
        }
    }

    /// The provider of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }

    /// Where its API is, unless a person says otherwise.
    pub const fn base_url(self) -> &'static str {
        match self {
            Self::Anthropic => "https://api.anthropic.com",
            Self::Openai => "https://api.openai.com/v1",
            Self::Gemini => "https://generativelanguage.googleapis.com",
        }
    }

    /// What programs expect of the path that they are given: they put the rest of a call's behind it.
    pub const fn base_path(self) -> &'static str {
        match self {
            Self::Anthropic | Self::Gemini => "",
            Self::Openai => "/v1",
        }
    }

    /// The variable that programs read its key from.
    pub const fn key_variable(self) -> &'static str {
        match self {
            Self::Anthropic => "ANTHROPIC_API_KEY",
            Self::Openai => "OPENAI_API_KEY",
            Self::Gemini => "GEMINI_API_KEY",
        }
    }

    /// The variable that programs read a token of a subscription from; `None` where the provider issues none for use without a person.
    /// <https://code.claude.com/docs/en/authentication#generate-a-long-lived-token>
    pub const fn subscription_variable(self) -> Option<&'static str> {
        match self {
            Self::Anthropic => Some("CLAUDE_CODE_OAUTH_TOKEN"),
            Self::Openai | Self::Gemini => None,
        }
    }

    /// The variable that programs read a credential of that kind from.
    pub const fn variable(self, credential: CredentialKind) -> &'static str {
        match (credential, self.subscription_variable()) {
            (CredentialKind::Subscription, Some(variable)) => variable,
            (CredentialKind::Subscription, None) | (CredentialKind::Key, _) => self.key_variable(),
        }
    }

    /// The variables that programs read its address from.
    pub const fn base_url_variables(self) -> &'static [&'static str] {
        match self {
            Self::Anthropic => &["ANTHROPIC_BASE_URL"],
            // The second is what older programs read.
            Self::Openai => &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
            Self::Gemini => &["GOOGLE_GEMINI_BASE_URL"],
        }
    }
}

/// What a provider takes a secret for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A key: each request is paid for.
    #[default]
    Key,
    /// A token of a subscription, issued for use without a person: its requests cost no money of their own.
    Subscription,
}

impl CredentialKind {
    /// How a value of a provider begins that can be nothing else.
    const ANTHROPIC_SHAPES: [(&'static str, Self); 2] = [("sk-ant-oat", Self::Subscription), ("sk-ant-api", Self::Key)];

    /// What a value of a provider is, where its shape says so.
    pub fn of_shape(provider: Provider, value: &str) -> Option<Self> {
        match provider {
            Provider::Anthropic => {
                let shape = Self::ANTHROPIC_SHAPES.into_iter().find(|(prefix, _)| value.starts_with(prefix));
                shape.map(|(_, kind)| kind)
            }
            Provider::Openai | Provider::Gemini => None,
        }
    }

    /// Whether it is a key, as most are.
    pub const fn is_key(&self) -> bool {
        matches!(self, Self::Key)
    }
}

/// What a secret opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SecretBinding {
    /// A provider's inference API: it can be brokered.
    Provider {
        /// Whose.
        provider: Provider,
        /// Where, if not at the provider's own address: `http` or `https`, perhaps with a path. A private address here is granted by
        /// being named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base_url: Option<String>,
        /// What it is to the provider.
        #[serde(default, skip_serializing_if = "CredentialKind::is_key")]
        credential: CredentialKind,
    },
    /// A host of the person's own choice, over TLS: it can be brokered, by reading what goes there.
    Host {
        /// A name or an address. A private address is granted by being named.
        host: String,
        /// The port; 443 where it is `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        /// Where in a request it stands.
        place: SecretPlace,
    },
    /// Anything else: it can only be injected.
    Unbound,
}

/// The port of a host that names none.
pub const HTTPS_PORT: u16 = 443;

impl SecretBinding {
    /// A key of a provider at its own address.
    pub const fn key_of(provider: Provider) -> Self {
        Self::Provider { provider, base_url: None, credential: CredentialKind::Key }
    }

    /// Whether the gateway knows which requests it belongs into.
    pub const fn can_be_brokered(&self) -> bool {
        match self {
            Self::Provider { .. } | Self::Host { .. } => true,
            Self::Unbound => false,
        }
    }
}

/// The one place of a request in which a secret stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum SecretPlace {
    /// A header.
    Header {
        /// Its name.
        name: String,
        /// Its value, with `{}` once where the secret stands.
        format: String,
    },
    /// A parameter of the query.
    Query {
        /// Its name.
        name: String,
    },
}

impl SecretPlace {
    /// How a person reads it: `Authorization: token …`, `?key=…`.
    pub fn said(&self) -> String {
        match self {
            Self::Header { name, format } => format!("{name}: {}", format.replacen("{}", "…", 1)),
            Self::Query { name } => format!("?{name}=…"),
        }
    }
}

/// A host and its port as a person reads them; the usual port is left out.
pub fn host_said(host: &str, port: Option<u16>) -> String {
    match port.filter(|port| *port != HTTPS_PORT) {
        None => host.to_owned(),
        Some(port) if host.contains(':') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
    }
}

/// How a secret gets into a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretWay {
    /// It does not: the sandbox has a placeholder, and the gateway puts the value in its place outside.
    Brokered,
    /// As a variable of the agent's process, readable by all that runs in the sandbox.
    Injected,
    /// As a file in memory whose path a variable of the agent's process names, readable by all that runs in the sandbox.
    File,
}

impl SecretWay {
    /// Every way, from the one that gives away least.
    pub const ALL: [Self; 3] = [Self::Brokered, Self::File, Self::Injected];

    /// What a person reads.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Brokered => "Brokered",
            Self::Injected => "Injected",
            Self::File => "Injected as a file",
        }
    }

    /// The name in data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Brokered => "brokered",
            Self::Injected => "injected",
            Self::File => "file",
        }
    }

    /// The way of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }
}

/// A sign-in that a program did inside a sandbox, known by the file in which it keeps it. It stays in the home: it is in no keyring, and
/// everything in the sandbox can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InsideLogin {
    /// Claude Code. <https://code.claude.com/docs/en/authentication>
    ClaudeCode,
    /// OpenAI Codex. <https://developers.openai.com/codex/auth>
    Codex,
    /// Gemini CLI. <https://github.com/google-gemini/gemini-cli/blob/main/docs/get-started/authentication.md>
    GeminiCli,
    /// GitHub Copilot, as its language server keeps it.
    Copilot,
}

impl InsideLogin {
    /// Every one that is looked for.
    pub const ALL: [Self; 4] = [Self::ClaudeCode, Self::Codex, Self::GeminiCli, Self::Copilot];

    /// What a person reads.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::Codex => "Codex",
            Self::GeminiCli => "Gemini CLI",
            Self::Copilot => "GitHub Copilot",
        }
    }

    /// Where it is kept below the home: the folder, and the file.
    pub const fn kept_in(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::ClaudeCode => (&[".claude"], ".credentials.json"),
            Self::Codex => (&[".codex"], "auth.json"),
            Self::GeminiCli => (&[".gemini"], "oauth_creds.json"),
            Self::Copilot => (&[".config", "github-copilot"], "apps.json"),
        }
    }
}

/// That an agent's programs are signed in inside its sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// The agent.
    pub agent: AgentId,
    /// Its name.
    pub agent_name: String,
    /// To what, as its home was found when it was looked at last.
    pub logins: Vec<InsideLogin>,
}

/// What being signed in there means, as sentences.
pub const SIGNED_IN_MEANS: &str = "It is kept in the agent's home and not in the keyring: everything in its sandboxes can read it. What \
                                   it costs is not metered.";

/// The names of sign-ins, as a person reads them: `Claude Code, Codex`.
pub fn logins_said(logins: &[InsideLogin]) -> String {
    logins.iter().map(|login| login.word()).collect::<Vec<_>>().join(", ")
}

/// All secrets, and where their values are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsView {
    /// Where values are kept.
    pub place: VaultPlace,
    /// The secrets, by name.
    pub secrets: Vec<SecretView>,
    /// The agents whose programs are signed in inside, by the agents' names.
    #[serde(default)]
    pub inside: Vec<SignedIn>,
}

/// Where values are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum VaultPlace {
    /// In the keyring of the person's system.
    Keyring,
    /// In Berth's memory alone: they are gone when it ends.
    Session {
        /// Why, as a sentence.
        reason: String,
        /// What to do about it.
        #[serde(default)]
        hint: String,
    },
}

/// A secret. Its value is in no view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretView {
    /// Which.
    pub secret: SecretId,
    /// Its name.
    pub name: String,
    /// What it opens.
    pub binding: SecretBinding,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its value was typed last.
    pub replaced_at: Timestamp,
    /// When it was last used: put into a request, or given to a process.
    #[serde(default)]
    pub used_at: Option<Timestamp>,
    /// Who has it.
    pub grants: Vec<GrantView>,
}

/// That an agent has a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantView {
    /// The agent.
    pub agent: AgentId,
    /// Its name.
    pub agent_name: String,
    /// How it gets it.
    pub way: SecretWay,
    /// The variable that has the placeholder, the value, or the path of the file that has it.
    pub variable: String,
}

/// A secret that an agent has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSecretView {
    /// Its name.
    pub name: String,
    /// What it opens.
    pub binding: SecretBinding,
    /// How the agent gets it.
    pub way: SecretWay,
    /// The variable that has the placeholder, or the value.
    pub variable: String,
}

/// One line of an `.env` file that is looked at before it is taken in. It has no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvEntry {
    /// The line's number, from 1.
    pub line: u32,
    /// The name.
    pub name: String,
    /// What it would be bound to, guessed from the name.
    pub binding: SecretBinding,
    /// Whether there is a secret of that name, whose value would be replaced.
    pub is_known: bool,
    /// Why it cannot be taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_prints_as_nothing() {
        assert_eq!(format!("{:?}", SecretText::new("hunter2".to_owned())), "SecretText(…)");
    }

    #[test]
    fn a_token_of_a_subscription_is_known_by_its_shape_alone() {
        use CredentialKind::{Key, Subscription};
        for (provider, value, kind) in [
            (Provider::Anthropic, "sk-ant-oat01-abc", Some(Subscription)),
            (Provider::Anthropic, "sk-ant-api03-abc", Some(Key)),
            (Provider::Anthropic, "abc", None),
            (Provider::Openai, "sk-ant-oat01-abc", None),
        ] {
            assert_eq!(CredentialKind::of_shape(provider, value), kind, "{provider:?} {value}");
        }
    }

    #[test]
    fn a_binding_of_before_there_were_subscriptions_is_one_of_a_key() {
        let old = r#"{"type":"provider","provider":"anthropic"}"#;
        let key = SecretBinding::key_of(Provider::Anthropic);
        assert_eq!(serde_json::from_str::<SecretBinding>(old).unwrap(), key);
        assert_eq!(serde_json::to_string(&key).unwrap(), old, "and an older Berth reads it");
    }

    #[test]
    fn names_in_data_are_those_that_serde_writes() {
        for provider in Provider::ALL {
            assert_eq!(serde_json::to_value(provider).unwrap(), provider.name());
            assert_eq!(Provider::from_name(provider.name()), Some(provider));
        }
        for way in SecretWay::ALL {
            assert_eq!(serde_json::to_value(way).unwrap(), way.name());
            assert_eq!(SecretWay::from_name(way.name()), Some(way));
        }
    }
}
