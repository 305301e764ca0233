//! The labels that say whose an object is.
//!
//! Every container, volume, network and image that Berth makes carries all five, so that after any restart what an engine has can be
//! compared with what the store knows, and nothing without an owner stays.

use std::collections::BTreeMap;

/// Which installation made the object.
pub const INSTALL: &str = "berth.install";
/// Which sandbox it belongs to.
pub const SANDBOX: &str = "berth.sandbox";
/// Which run it was made for.
pub const RUN: &str = "berth.run";
/// Which agent it belongs to.
pub const AGENT: &str = "berth.agent";
/// What it is for: a [`Role`].
pub const ROLE: &str = "berth.role";

/// Whose an object is. All five labels are always set; what does not apply has an empty value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ownership {
    /// The installation (the data folder) that made it.
    pub install: String,
    /// The sandbox, for what serves one alone.
    pub sandbox: Option<String>,
    /// The run, for what was made for one.
    pub run: Option<String>,
    /// The agent, for what belongs to one.
    pub agent: Option<String>,
    /// What it is for.
    pub role: Role,
}

/// What an object is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The container of a sandbox.
    Sandbox,
    /// A container that is created, never started, and through which a volume is filled or read.
    Filler,
    /// The volume that holds the guest.
    Guest,
    /// An agent's home volume.
    Home,
    /// The volume that a sandbox's output is spooled to.
    Spool,
    /// A workspace that is a volume and not a host folder.
    Workspace,
    /// An image that agents run in.
    Image,
    /// An image adapted to a uid.
    Adapted,
    /// A container in which nothing but the guest runs, to show what a home holds.
    Reader,
    /// The network of a sandbox.
    Network,
}

const ROLES: [Role; 10] = [
    Role::Sandbox,
    Role::Filler,
    Role::Guest,
    Role::Home,
    Role::Spool,
    Role::Workspace,
    Role::Image,
    Role::Adapted,
    Role::Reader,
    Role::Network,
];

impl Role {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Filler => "filler",
            Self::Guest => "guest",
            Self::Home => "home",
            Self::Spool => "spool",
            Self::Workspace => "workspace",
            Self::Image => "image",
            Self::Adapted => "adapted",
            Self::Reader => "reader",
            Self::Network => "network",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        ROLES.into_iter().find(|role| role.as_str() == text)
    }
}

impl Ownership {
    /// What belongs to an installation as a whole: no sandbox, run or agent.
    pub fn of_install(install: impl Into<String>, role: Role) -> Self {
        Self { install: install.into(), sandbox: None, run: None, agent: None, role }
    }

    /// The five labels.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        BTreeMap::from([
            (INSTALL.to_owned(), self.install.clone()),
            (SANDBOX.to_owned(), text(&self.sandbox)),
            (RUN.to_owned(), text(&self.run)),
            (AGENT.to_owned(), text(&self.agent)),
            (ROLE.to_owned(), self.role.as_str().to_owned()),
        ])
    }

    /// Reads the five labels back; `None` where one is missing or the role is unknown (another program, or a newer Berth).
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Option<Self> {
        let optional = |key: &str| labels.get(key).map(|value| Some(value.clone()).filter(|value| !value.is_empty()));
        Some(Self {
            install: labels.get(INSTALL)?.clone(),
            sandbox: optional(SANDBOX)?,
            run: optional(RUN)?,
            agent: optional(AGENT)?,
            role: Role::parse(labels.get(ROLE)?)?,
        })
    }
}

/// Labels that an object must all carry to be listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelFilter {
    required: BTreeMap<String, Option<String>>,
}

impl LabelFilter {
    /// Everything of one installation.
    pub fn install(install: &str) -> Self {
        Self::default().with(INSTALL, install)
    }

    /// Everything that any installation of Berth made.
    pub fn any_install() -> Self {
        let mut filter = Self::default();
        filter.required.insert(INSTALL.to_owned(), None);
        filter
    }

    /// Also of this role.
    #[must_use]
    pub fn role(self, role: Role) -> Self {
        self.with(ROLE, role.as_str())
    }

    /// Also of this sandbox.
    #[must_use]
    pub fn sandbox(self, sandbox: &str) -> Self {
        self.with(SANDBOX, sandbox)
    }

    /// Also with this label.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.required.insert(key.to_owned(), Some(value.to_owned()));
        self
    }

    /// Whether `labels` has all that is required.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.required.iter().all(|(key, value)| match (labels.get(key), value) {
            (Some(found), Some(wanted)) => found == wanted,
            (Some(_), None) => true,
            (None, _) => false,
        })
    }

    /// The filter in the engine's spelling: `key` or `key=value`.
    pub fn terms(&self) -> Vec<String> {
        self.required
            .iter()
            .map(|(key, value)| match value {
                Some(value) => format!("{key}={value}"),
                None => key.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_five_labels_are_always_there_and_read_back() {
        let whole = Ownership::of_install("i1", Role::Guest);
        assert_eq!(whole.labels().len(), 5);
        assert_eq!(Ownership::from_labels(&whole.labels()), Some(whole));
        for role in ROLES {
            let ownership = Ownership {
                install: "i".into(),
                sandbox: Some("s".into()),
                run: Some("r".into()),
                agent: Some("a".into()),
                role,
            };
            assert_eq!(Ownership::from_labels(&ownership.labels()), Some(ownership));
        }
    }

    #[test]
    fn an_object_with_a_label_missing_has_no_owner() {
        let mut labels = Ownership::of_install("i1", Role::Home).labels();
        labels.remove(AGENT);
        assert_eq!(Ownership::from_labels(&labels), None);
    }

    #[test]
    fn a_filter_requires_every_label() {
        let labels = Ownership::of_install("i1", Role::Home).labels();
        assert!(LabelFilter::install("i1").role(Role::Home).matches(&labels));
        assert!(LabelFilter::any_install().matches(&labels));
        assert!(!LabelFilter::install("i1").role(Role::Guest).matches(&labels));
        assert!(!LabelFilter::install("i2").matches(&labels));
        assert!(!LabelFilter::any_install().matches(&BTreeMap::new()));
    }
}
