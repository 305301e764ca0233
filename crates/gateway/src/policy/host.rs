//! Hosts as they are asked for, and rules for them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A host in the one form in which it is compared: a name in lower case, in ASCII (IDNA, UTS 46), without the root's dot; an address as
/// itself, however it was written (`127.1`, `0x7f.0.0.1`, `2130706433`), IPv4 also where it came within IPv6.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A name.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// What is no host, or no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No name and no address by the URL standard.
    #[error("`{0}` is no host")]
    Host(String),
    /// A star that does not stand alone at the beginning, or for a whole top level.
    #[error(
        "`{0}` is no rule: a star stands alone at the beginning and for the names of one domain, as in `*.example.com`"
    )]
    Star(String),
}

impl FromStr for Host {
    type Err = Malformed;

    /// Reads a host by the WHATWG URL standard, as browsers and most clients do: what they would connect to is what is judged. An IPv6
    /// address may stand in brackets or not.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed::Host(text.escape_debug().to_string());
        if let Ok(IpAddr::V6(bare)) = text.parse() {
            return Ok(Self::Address(IpAddr::V6(bare).to_canonical()));
        }
        // The standard undoes `%2e` and the like in hosts; no honest client writes them.
        if text.contains('%') {
            return Err(malformed());
        }
        match url::Host::parse(text).map_err(|_| malformed())? {
            url::Host::Ipv4(address) => Ok(Self::Address(address.into())),
            url::Host::Ipv6(address) => Ok(Self::Address(IpAddr::from(address).to_canonical())),
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                let is_whole = name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()));
                is_whole.then(|| Self::Name(name.to_owned())).ok_or_else(malformed)
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Which hosts are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostRule {
    /// That one.
    One(Host),
    /// Every name below that domain, and not the domain itself.
    Below(String),
}

impl HostRule {
    /// Whether a host is meant.
    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::One(one), host) => one == host,
            (Self::Below(domain), Host::Name(name)) => {
                name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (Self::Below(_), Host::Address(_)) => false,
        }
    }
}

impl FromStr for HostRule {
    type Err = Malformed;

    /// Reads `example.com`, `*.example.com` or an address. A star for a whole top level (`*.com`) is refused.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed::Star(text.escape_debug().to_string());
        match text.strip_prefix("*.") {
            Some(domain) if domain.contains('*') => Err(malformed()),
            Some(domain) => match domain.parse()? {
                Host::Name(name) if name.contains('.') => Ok(Self::Below(name)),
                Host::Name(_) | Host::Address(_) => Err(malformed()),
            },
            None if text.contains('*') => Err(malformed()),
            None => Ok(Self::One(text.parse()?)),
        }
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(host) => host.fmt(f),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}
