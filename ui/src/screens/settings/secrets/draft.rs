//! What a person writes into the dialogs of a secret, and what it means. A value is in none of it: it stays in its field until it is
//! sent. Pure.

use std::borrow::Cow;

use wire::{
    call::{GrantSecret, RenameSecret, SetSecret},
    secret::{
        CredentialKind, GrantView, Provider, SECRET_NAME_CHARS_MAX, SecretBinding, SecretPlace, SecretText, SecretView,
        SecretWay, host_said,
    },
};

use crate::say;

/// What can be done to a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretAction {
    Grant,
    Revoke,
    Replace,
    Rename,
    Delete,
}

impl SecretAction {
    /// Every action, in the order of its buttons.
    pub const ALL: [Self; 5] = [Self::Grant, Self::Revoke, Self::Replace, Self::Rename, Self::Delete];

    /// What a person reads.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Grant => "Give to an agent",
            Self::Revoke => "Take from an agent",
            Self::Replace => "Replace value",
            Self::Rename => "Rename",
            Self::Delete => "Delete",
        }
    }

    /// The name for tests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Revoke => "revoke",
            Self::Replace => "replace",
            Self::Rename => "rename",
            Self::Delete => "delete",
        }
    }

    /// Its key.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Grant => "G",
            Self::Revoke => "T",
            Self::Replace => "V",
            Self::Rename => "R",
            Self::Delete => "⇧X",
        }
    }

    /// Why it cannot be done to that secret, with so many agents about.
    pub const fn denied(self, secret: &SecretView, agents: usize) -> Option<&'static str> {
        match self {
            Self::Grant if agents == 0 => Some("There is no agent to give it to."),
            Self::Revoke if secret.grants.is_empty() => Some("No agent has it."),
            Self::Grant | Self::Revoke | Self::Replace | Self::Rename | Self::Delete => None,
        }
    }
}

/// Why something cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("Letters, digits, dots, dashes and underscores, beginning with a letter, {SECRET_NAME_CHARS_MAX} at most")]
    Name,
    #[error("There is a secret of that name: replace its value instead")]
    NameTaken,
    #[error("It is called that already")]
    SameName,
    #[error("Type the value")]
    NoValue,
    #[error(
        "An address begins with https:// or http:// and has a host; it holds no spaces, no name before an @, and no query"
    )]
    Address,
    #[error("A host is one name or address, such as api.example.com, perhaps with a port; no scheme, no path, no star")]
    Host,
    #[error("Name the header, or the parameter, that has it: letters, digits, dashes, dots and underscores")]
    Place,
    #[error("A format has {{}} once, where the secret stands, as in: token {{}}")]
    Format,
    #[error("Choose an agent")]
    NoAgent,
    #[error("A variable has letters, digits and underscores, and begins with no digit")]
    Variable,
    #[error("Name a variable: {0} cannot be one")]
    NameIsNoVariable(String),
}

/// What a secret opens, as a person chooses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opens {
    /// As it is; for a new one, what its name says.
    #[default]
    AsItIs,
    /// A provider's inference API.
    Provider(Provider),
    /// A host of the person's own.
    Host,
    /// Something that Berth does not broker.
    Other,
}

impl Opens {
    /// Every choice, in the order in which they are offered.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::AsItIs].into_iter().chain(Provider::ALL.map(Self::Provider)).chain([Self::Host, Self::Other])
    }

    /// The name in the form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AsItIs => "as_it_is",
            Self::Provider(provider) => provider.name(),
            Self::Host => "host",
            Self::Other => "other",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|opens| opens.name() == name)
    }
}

/// In what part of a request a host takes a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    #[default]
    Header,
    Query,
}

impl Part {
    /// Both, in the order in which they are offered.
    pub const ALL: [Self; 2] = [Self::Header, Self::Query];

    /// What a person reads.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Header => "A header",
            Self::Query => "A parameter of the query",
        }
    }

    /// The name in the form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Query => "query",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }
}

/// A secret as it is being written, without its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    pub name: String,
    pub opens: Opens,
    /// Where a provider's API is, if not at its own address.
    pub base_url: String,
    /// A host of the person's own, perhaps with a port.
    pub host: String,
    /// Where that host takes it.
    pub part: Part,
    /// The header's name, or the parameter's.
    pub place: String,
    /// What stands in the header; the secret alone where it is empty.
    pub format: String,
    /// Whether something is in the field of the value.
    pub has_value: bool,
}

impl Draft {
    /// Another value for a secret that there is.
    pub fn replacing(secret: &SecretView) -> Self {
        Self { name: secret.name.clone(), ..Self::default() }
    }

    /// What is wrong with it, if something is. `others` are the names that are taken.
    pub fn problem<'name>(&self, mut others: impl Iterator<Item = &'name str>) -> Option<Problem> {
        let name = self.name.trim();
        if !is_secret_name(name) {
            return Some(Problem::Name);
        }
        if others.any(|other| other == name) {
            return Some(Problem::NameTaken);
        }
        if let Err(problem) = self.binding() {
            return Some(problem);
        }
        (!self.has_value).then_some(Problem::NoValue)
    }

    /// The call that keeps it with that value.
    pub fn call(&self, value: SecretText) -> Result<SetSecret, Problem> {
        Ok(SetSecret { name: self.name.trim().to_owned(), value, binding: self.binding()? })
    }

    fn binding(&self) -> Result<Option<SecretBinding>, Problem> {
        let base_url = self.base_url.trim();
        match self.opens {
            Opens::AsItIs => Ok(None),
            Opens::Other => Ok(Some(SecretBinding::Unbound)),
            Opens::Provider(_) if !base_url.is_empty() && !is_address(base_url) => Err(Problem::Address),
            Opens::Provider(provider) => {
                let base_url = Some(base_url.to_owned()).filter(|url| !url.is_empty());
                Ok(Some(SecretBinding::Provider { provider, base_url, credential: CredentialKind::Key }))
            }
            Opens::Host => {
                let (host, port) = host_of(self.host.trim()).ok_or(Problem::Host)?;
                Ok(Some(SecretBinding::Host { host, port, place: self.place()? }))
            }
        }
    }

    fn place(&self) -> Result<SecretPlace, Problem> {
        let name = self.place.trim().to_owned();
        if !is_place(&name) {
            return Err(Problem::Place);
        }
        match self.part {
            Part::Query => Ok(SecretPlace::Query { name }),
            Part::Header => {
                let format = Some(self.format.trim()).filter(|format| !format.is_empty()).unwrap_or("{}").to_owned();
                if format.matches("{}").count() != 1 {
                    return Err(Problem::Format);
                }
                Ok(SecretPlace::Header { name, format })
            }
        }
    }
}

/// The call that gives a secret another name.
pub fn rename(secret: &SecretView, name: &str) -> Result<RenameSecret, Problem> {
    let name = name.trim();
    if !is_secret_name(name) {
        return Err(Problem::Name);
    }
    if name == secret.name {
        return Err(Problem::SameName);
    }
    Ok(RenameSecret { secret: secret.name.clone(), name: name.to_owned() })
}

/// A grant as it is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantDraft {
    /// The agent by name; empty while none is chosen.
    pub agent: String,
    pub way: SecretWay,
    /// The variable; the usual one where it is empty.
    pub variable: String,
}

impl GrantDraft {
    /// A grant to an agent: as it has the secret already, else as it can have it best.
    pub fn of(secret: &SecretView, agent: &str) -> Self {
        match secret.grants.iter().find(|grant| grant.agent_name == agent) {
            Some(GrantView { way, variable, .. }) => {
                Self { agent: agent.to_owned(), way: *way, variable: variable.clone() }
            }
            None => Self { agent: agent.to_owned(), way: best_way(&secret.binding), variable: String::new() },
        }
    }

    /// The call.
    pub fn call(&self, secret: &SecretView) -> Result<GrantSecret, Problem> {
        if self.agent.is_empty() {
            return Err(Problem::NoAgent);
        }
        let variable = self.variable.trim();
        let usual = usual_variable(secret);
        if variable.is_empty() && !is_variable(usual) {
            return Err(Problem::NameIsNoVariable(usual.to_owned()));
        }
        if !variable.is_empty() && !is_variable(variable) {
            return Err(Problem::Variable);
        }
        Ok(GrantSecret {
            secret: secret.name.clone(),
            agent: self.agent.clone(),
            way: Some(self.way),
            variable: Some(variable.to_owned()).filter(|variable| !variable.is_empty()),
        })
    }
}

/// The variable that a program looks for.
pub fn usual_variable(secret: &SecretView) -> &str {
    match &secret.binding {
        SecretBinding::Provider { provider, credential, .. } => provider.variable(*credential),
        SecretBinding::Host { .. } | SecretBinding::Unbound => &secret.name,
    }
}

/// Brokered wherever that can be.
pub const fn best_way(binding: &SecretBinding) -> SecretWay {
    if binding.can_be_brokered() { SecretWay::Brokered } else { SecretWay::Injected }
}

/// Why a secret cannot be had in a way.
pub const fn way_denied(binding: &SecretBinding, way: SecretWay) -> Option<&'static str> {
    match way {
        SecretWay::Brokered if !binding.can_be_brokered() => {
            Some("It is bound to no model API and to no host, so there is no request that it could be put into.")
        }
        SecretWay::Brokered | SecretWay::Injected | SecretWay::File => None,
    }
}

/// What a way means for whoever gives a secret.
pub fn consequence(binding: &SecretBinding, way: SecretWay) -> String {
    match (way, binding) {
        (SecretWay::Brokered, SecretBinding::Host { host, port, place }) => {
            let host = say::visible(&host_said(host, *port));
            format!(
                "The sandbox gets a placeholder. Berth reads what it sends to {host}, and puts the value there into {}, and nowhere else.",
                say::visible(&place.said())
            )
        }
        (SecretWay::Brokered, SecretBinding::Provider { .. } | SecretBinding::Unbound) => format!(
            "The sandbox gets a placeholder. The gateway puts the value into requests to {}, and nowhere else.",
            address(binding).as_deref().unwrap_or("what it is bound to")
        ),
        (SecretWay::Injected, _) => {
            "Everything in the sandbox can read it, and send it wherever the agent may reach.".to_owned()
        }
        (SecretWay::File, _) => {
            "A file in the sandbox's memory has it, and the variable has the path. Everything in the sandbox can read it, and send it \
             wherever the agent may reach."
                .to_owned()
        }
    }
}

/// What a binding is called.
pub fn word(binding: &SecretBinding) -> Cow<'static, str> {
    match binding {
        SecretBinding::Provider { provider, credential: CredentialKind::Key, .. } => Cow::Borrowed(provider.word()),
        SecretBinding::Provider { provider, credential: CredentialKind::Subscription, .. } => {
            Cow::Owned(format!("{}, by subscription", provider.word()))
        }
        SecretBinding::Host { .. } => Cow::Borrowed("A host"),
        SecretBinding::Unbound => Cow::Borrowed("Something else"),
    }
}

/// Where it is used, and whether a person said so.
pub fn address(binding: &SecretBinding) -> Option<Cow<'_, str>> {
    match binding {
        SecretBinding::Provider { provider, base_url, .. } => {
            Some(Cow::Borrowed(base_url.as_deref().unwrap_or(provider.base_url())))
        }
        SecretBinding::Host { host, port, .. } => Some(Cow::Owned(host_said(host, *port))),
        SecretBinding::Unbound => None,
    }
}

/// Who loses it when it goes, as a sentence.
pub fn losers(secret: &SecretView) -> String {
    let names: Vec<_> = secret.grants.iter().map(|grant| say::visible(&grant.agent_name)).collect();
    match names.as_slice() {
        [] => "No agent has it.".to_owned(),
        [one] => format!("{one} loses it at once."),
        [first @ .., last] => format!("{} and {last} lose it at once.", first.join(", ")),
    }
}

/// Whether a text is a name that a secret can have.
pub fn is_secret_name(name: &str) -> bool {
    name.len() <= SECRET_NAME_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A host and a port, as a person writes them. The shape alone; whether it is one is the core's to say.
fn host_of(text: &str) -> Option<(String, Option<u16>)> {
    let port_of = |port: &str| port.parse::<u16>().ok().filter(|port| *port > 0);
    let (host, port) = match (text.strip_prefix('['), text.matches(':').count()) {
        (Some(rest), _) => match rest.split_once(']')? {
            (host, "") => (host, None),
            (host, rest) => (host, Some(port_of(rest.strip_prefix(':')?)?)),
        },
        (None, 1) => text.split_once(':').and_then(|(host, port)| Some((host, Some(port_of(port)?))))?,
        (None, _) => (text, None),
    };
    let is_host = !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
    is_host.then(|| (host.to_owned(), port))
}

fn is_place(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

/// The shape alone; whether it can be reached is the core's to say.
fn is_address(address: &str) -> bool {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && !rest.contains(['@', '?', '#'])
            && !rest.contains(char::is_whitespace)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::secret;

    #[test]
    fn a_secret_is_sent_once_nothing_is_missing() {
        let mut draft = Draft::default();
        assert_eq!(draft.problem([].into_iter()), Some(Problem::Name));
        draft.name = " anthropic-key ".to_owned();
        assert_eq!(draft.problem([].into_iter()), Some(Problem::NoValue));
        draft.has_value = true;
        assert_eq!(draft.problem(["anthropic-key"].into_iter()), Some(Problem::NameTaken));
        assert_eq!(draft.problem([].into_iter()), None);
        draft.opens = Opens::Provider(Provider::Openai);
        draft.base_url = "http://127.0.0.1:11434/v1".to_owned();
        let call = draft.call(SecretText::new("v".to_owned())).unwrap();
        let base_url = Some("http://127.0.0.1:11434/v1".to_owned());
        assert_eq!(call.name, "anthropic-key");
        assert_eq!(
            call.binding,
            Some(SecretBinding::Provider { provider: Provider::Openai, base_url, credential: CredentialKind::Key })
        );
    }

    #[test]
    fn an_address_that_is_none_is_said_before_it_is_sent() {
        for address in
            ["api.example.com", "https://", "https:///v1", "https://me@host", "https://host/?key=1", "http://a b"]
        {
            let draft = Draft {
                name: "key".to_owned(),
                opens: Opens::Provider(Provider::Gemini),
                base_url: address.to_owned(),
                has_value: true,
                ..Draft::default()
            };
            assert_eq!(draft.problem([].into_iter()), Some(Problem::Address), "{address}");
            // What is not shown is not looked at.
            assert_eq!(Draft { opens: Opens::Other, ..draft }.problem([].into_iter()), None, "{address}");
        }
    }

    #[test]
    fn a_host_of_ones_own_is_sent_with_the_place_where_it_takes_the_secret() {
        let draft = Draft {
            name: "token".to_owned(),
            opens: Opens::Host,
            host: " api.example.com:8443 ".to_owned(),
            place: "Authorization".to_owned(),
            format: "token {}".to_owned(),
            has_value: true,
            ..Draft::default()
        };
        let place = SecretPlace::Header { name: "Authorization".to_owned(), format: "token {}".to_owned() };
        let bound = SecretBinding::Host { host: "api.example.com".to_owned(), port: Some(8443), place };
        let call = draft.call(SecretText::new("v".to_owned())).unwrap();
        assert_eq!(call.binding, Some(bound.clone()));
        assert!(consequence(&bound, SecretWay::Brokered).contains("Berth reads what it sends to api.example.com:8443"));
        assert_eq!(way_denied(&bound, SecretWay::Brokered), None);
        let query = Draft { part: Part::Query, place: "key".to_owned(), host: "[fd00::1]".to_owned(), ..draft.clone() };
        let place = SecretPlace::Query { name: "key".to_owned() };
        let bound = SecretBinding::Host { host: "fd00::1".to_owned(), port: None, place };
        assert_eq!(query.call(SecretText::new("v".to_owned())).unwrap().binding, Some(bound));
        for (host, place, format, problem) in [
            ("https://api.example.com", "A", "{}", Problem::Host),
            ("*.example.com", "A", "{}", Problem::Host),
            ("api.example.com:0", "A", "{}", Problem::Host),
            ("", "A", "{}", Problem::Host),
            ("api.example.com", "", "{}", Problem::Place),
            ("api.example.com", "a b", "{}", Problem::Place),
            ("api.example.com", "A", "token", Problem::Format),
            ("api.example.com", "A", "{} {}", Problem::Format),
        ] {
            let (host, place, format) = (host.to_owned(), place.to_owned(), format.to_owned());
            let wrong = Draft { host, place, format, ..draft.clone() };
            assert_eq!(wrong.problem([].into_iter()), Some(problem), "{wrong:?}");
        }
    }

    #[test]
    fn a_value_that_is_replaced_leaves_the_binding_alone() {
        let draft = Draft { has_value: true, ..Draft::replacing(&secret("anthropic", &[])) };
        assert_eq!(draft.call(SecretText::new("v".to_owned())).unwrap().binding, None);
    }

    #[test]
    fn what_opens_no_model_api_can_only_be_injected() {
        let unbound = secret("other", &[]);
        assert!(way_denied(&unbound.binding, SecretWay::Brokered).is_some());
        assert_eq!(GrantDraft::of(&unbound, "mason").way, SecretWay::Injected);
        let bound = secret("anthropic", &[]);
        assert_eq!(way_denied(&bound.binding, SecretWay::Injected), None);
        assert_eq!(GrantDraft::of(&bound, "mason").way, SecretWay::Brokered);
        for way in [SecretWay::Injected, SecretWay::File] {
            assert!(consequence(&bound.binding, way).contains("Everything in the sandbox can read it"));
        }
        assert!(consequence(&bound.binding, SecretWay::Brokered).contains("https://api.anthropic.com"));
    }

    #[test]
    fn a_grant_that_there_is_is_changed_from_how_it_is() {
        let secret = secret("anthropic", &[("mason", "injected")]);
        let draft = GrantDraft::of(&secret, "mason");
        assert_eq!((draft.way, draft.variable.as_str()), (SecretWay::Injected, "KEY"));
        assert_eq!(draft.call(&secret).unwrap().variable.as_deref(), Some("KEY"));
    }

    #[test]
    fn a_name_that_is_no_variable_needs_one() {
        let mut unbound = secret("other", &[]);
        unbound.name = "db.url".to_owned();
        let mut draft = GrantDraft::of(&unbound, "mason");
        assert_eq!(draft.call(&unbound), Err(Problem::NameIsNoVariable("db.url".to_owned())));
        draft.variable = "2DB".to_owned();
        assert_eq!(draft.call(&unbound), Err(Problem::Variable));
        draft.variable = "DB_URL".to_owned();
        assert_eq!(draft.call(&unbound).unwrap().variable.as_deref(), Some("DB_URL"));
        assert_eq!(GrantDraft { agent: String::new(), ..draft }.call(&unbound), Err(Problem::NoAgent));
    }

    #[test]
    fn deleting_says_who_loses_it() {
        assert_eq!(losers(&secret("other", &[])), "No agent has it.");
        assert_eq!(losers(&secret("other", &[("mason", "injected")])), "mason loses it at once.");
        let three = [("a", "brokered"), ("b", "brokered"), ("c", "brokered")];
        assert_eq!(losers(&secret("anthropic", &three)), "a, b and c lose it at once.");
    }

    #[test]
    fn what_cannot_be_done_says_why() {
        let nobodys = secret("other", &[]);
        assert!(SecretAction::Revoke.denied(&nobodys, 1).is_some());
        assert!(SecretAction::Grant.denied(&nobodys, 0).is_some());
        assert_eq!(SecretAction::Grant.denied(&nobodys, 1), None);
        assert_eq!(SecretAction::Delete.denied(&nobodys, 0), None);
        assert_eq!(rename(&nobodys, "key"), Err(Problem::SameName));
        assert_eq!(rename(&nobodys, "1key"), Err(Problem::Name));
        assert_eq!(rename(&nobodys, "key-2").unwrap().name, "key-2");
    }

    #[test]
    fn no_two_actions_share_a_key() {
        let mut keys: Vec<_> = SecretAction::ALL.map(SecretAction::key).to_vec();
        // The keys of the page around them.
        keys.extend(["N", "A", "I", "J", "K"]);
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
