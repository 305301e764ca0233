//! Routes to models: where a provider is, how it is spoken to, and which secret is for it.

use std::fmt;

use url::Url;
use wire::{ids::SecretId, secret::CredentialKind};

use crate::policy::{Allowed, Grant, Host, HostRule, Malformed, Policy, Ports, Reach, Refusal, USUAL_PORTS};

/// The longest name of a route.
const NAME_LENGTH_MAX: usize = 40;

/// Which API a route speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Anthropic's Messages API. <https://docs.anthropic.com/en/api>
    Anthropic,
    /// OpenAI's API, and those that are compatible with it. <https://platform.openai.com/docs/api-reference>
    OpenAi,
    /// The Gemini API. <https://ai.google.dev/api>
    Gemini,
}

/// Where a sandbox reaches a model: `/model/<name>/…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    name: String,
    family: Family,
    endpoint: Endpoint,
    base_path: String,
    credential: Option<Credential>,
}

/// The secret of a route, and what a sandbox holds in its stead.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Which.
    pub secret: SecretId,
    /// As the person named it.
    pub name: String,
    /// What the sandbox sends, to be swapped for it; of this sandbox's agent alone.
    pub placeholder: String,
    /// What it is to a provider.
    pub kind: CredentialKind,
}

/// Why something is no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Names stand in a path.
    #[error("a route's name has lower-case letters, digits and hyphens, at most 40")]
    Name,
    /// No http, or with parts that a base has no use for.
    #[error("a route's base is an http or https URL without user, query and fragment")]
    Base,
    /// The base's host is none.
    #[error(transparent)]
    Host(#[from] Malformed),
    /// Anyone on the way could read it.
    #[error("a secret goes over https only, except to an address of one's own network that was allowed as such")]
    ClearSecret,
}

/// A host as a route reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) security: Security,
    pub(crate) is_private: bool,
}

/// Whether TLS is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Security {
    Tls,
    Plain,
}

impl Route {
    /// A route. Paths of the API are put behind the base's own: of OpenAI's family, `/v1` comes between where the base has none.
    /// [`Reach::Private`] is for a base that the person typed in themselves.
    pub fn new(
        name: impl Into<String>,
        family: Family,
        base: &Url,
        reach: Reach,
        credential: Option<Credential>,
    ) -> Result<Self, RouteError> {
        let name = name.into();
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > NAME_LENGTH_MAX || !name.chars().all(is_name) {
            return Err(RouteError::Name);
        }
        let security = match base.scheme() {
            "https" => Security::Tls,
            "http" => Security::Plain,
            _ => return Err(RouteError::Base),
        };
        let is_bare = base.username().is_empty() && base.password().is_none();
        if !is_bare || base.query().is_some() || base.fragment().is_some() {
            return Err(RouteError::Base);
        }
        let host = base.host_str().ok_or(RouteError::Base)?.parse()?;
        let port = base.port_or_known_default().ok_or(RouteError::Base)?;
        let is_private = reach == Reach::Private;
        if credential.is_some() && security == Security::Plain && !is_private {
            return Err(RouteError::ClearSecret);
        }
        let base_path = base.path().trim_end_matches('/').to_owned();
        Ok(Self { name, family, endpoint: Endpoint { host, port, security, is_private }, base_path, credential })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which API it speaks.
    pub fn family(&self) -> Family {
        self.family
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn base_path(&self) -> &str {
        &self.base_path
    }

    pub(crate) fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// Whether a request of the proxy for that host would go around the route.
    pub(crate) fn covers(&self, host: &Host, port: u16) -> bool {
        let are_usual = USUAL_PORTS.contains(&port) && USUAL_PORTS.contains(&self.endpoint.port);
        self.endpoint.host == *host && (self.endpoint.port == port || are_usual)
    }
}

impl Endpoint {
    /// The host as allowed: a route is its own grant, for this one host and port.
    pub(crate) fn allowed(&self) -> Result<Allowed, Refusal> {
        let reach = if self.is_private { Reach::Private } else { Reach::Public };
        let grant = Grant { hosts: HostRule::One(self.host.clone()), ports: Ports::One(self.port), reach };
        Policy::Allowlist(vec![grant]).judge(&self.host, self.port)
    }

    /// Scheme and authority, as they stand in a URL.
    pub(crate) fn origin(&self) -> String {
        let scheme = match self.security {
            Security::Tls => "https",
            Security::Plain => "http",
        };
        format!("{scheme}://{}", authority(&self.host, self.port, self.security.port()))
    }
}

impl Security {
    fn port(self) -> u16 {
        match self {
            Self::Tls => 443,
            Self::Plain => 80,
        }
    }
}

/// Host and port as they stand in a URL and in `Host`; the usual port is left out.
pub(crate) fn authority(host: &Host, port: u16, usual: u16) -> String {
    let host = match host {
        Host::Address(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        Host::Name(_) | Host::Address(_) => host.to_string(),
    };
    if port == usual { host } else { format!("{host}:{port}") }
}

/// The placeholder is no secret, but looks like one.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("secret", &self.secret).field("name", &self.name).finish_non_exhaustive()
    }
}
