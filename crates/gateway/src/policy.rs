//! What a sandbox may reach, decided in two steps, since a name may point anywhere.
//!
//! ```text
//! host and port as asked for ─▶ Policy::judge ─▶ refused, with the reason
//!                                    └─▶ allowed ─▶ resolved once ─▶ Allowed::choose ─▶ the address to connect to
//!                                                                          └─▶ refused: only addresses of this machine or its network
//! ```
//!
//! Pure: it resolves and connects nothing.

mod address;
mod host;

use std::net::IpAddr;

pub use address::{NotPublic, not_public};
pub use host::{Host, HostRule, Malformed};

/// The ports that a policy allows where no rule names another: HTTP and HTTPS.
pub const USUAL_PORTS: [u16; 2] = [80, 443];

/// What an agent's sandboxes may reach through the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nothing.
    Closed,
    /// What a person listed.
    Allowlist(Vec<Grant>),
    /// Any public host on the usual ports, and what a person listed.
    Open(Vec<Grant>),
}

/// What a person allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which hosts.
    pub hosts: HostRule,
    /// Which ports.
    pub ports: Ports,
    /// Whether addresses that are not public may be reached so.
    pub reach: Reach,
}

/// Which ports a grant is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// [`USUAL_PORTS`].
    Usual,
    /// That one.
    One(u16),
}

/// How far a grant goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To public addresses: a name that resolves to this machine or its network is refused all the same.
    Public,
    /// To private and loopback addresses too. Link-local ones and those of clouds' metadata stay refused.
    Private,
}

/// Why something may not be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The agent reaches nothing.
    #[error("this agent reaches no host")]
    Closed,
    /// The host is not on the list.
    #[error("`{0}` is not on this agent's list")]
    NotListed(Host),
    /// The host is allowed, on other ports.
    #[error("port {1} of `{0}` is not on this agent's list")]
    Port(Host, u16),
    /// The address is none of the public internet's.
    #[error("`{host}` is at {address}, {why}")]
    NotPublic {
        /// As asked for.
        host: Host,
        /// What it resolves to.
        address: IpAddr,
        /// What that address is.
        why: NotPublic,
    },
    /// The name resolves to nothing.
    #[error("`{0}` has no address")]
    NoAddress(Host),
}

/// A host that may be reached, as far as its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    host: Host,
    reach: Reach,
}

impl Policy {
    /// Whether a host may be reached on a port, before it is resolved.
    pub fn judge(&self, host: &Host, port: u16) -> Result<Allowed, Refusal> {
        let (grants, is_open) = match self {
            Self::Closed => return Err(Refusal::Closed),
            Self::Allowlist(grants) => (grants, false),
            Self::Open(grants) => (grants, true),
        };
        let of_host = || grants.iter().filter(|grant| grant.hosts.matches(host));
        let reach = of_host().filter(|grant| grant.ports.has(port)).map(|grant| grant.reach);
        // Whichever grant goes furthest: one for all of a domain takes nothing from one for a host in it.
        let furthest = reach.max_by_key(|reach| matches!(reach, Reach::Private));
        let reach = match furthest {
            Some(reach) => reach,
            None if is_open && USUAL_PORTS.contains(&port) => Reach::Public,
            None if is_open || of_host().next().is_some() => return Err(Refusal::Port(host.clone(), port)),
            None => return Err(Refusal::NotListed(host.clone())),
        };
        let allowed = Allowed { host: host.clone(), reach };
        // An address needs no resolving, so it is refused at once.
        if let Host::Address(address) = host {
            allowed.choose(&[*address])?;
        }
        Ok(allowed)
    }
}

impl Ports {
    fn has(self, port: u16) -> bool {
        match self {
            Self::Usual => USUAL_PORTS.contains(&port),
            Self::One(one) => one == port,
        }
    }
}

impl Allowed {
    /// Which of the addresses that the name resolves to is to be connected to; the connection must be made to it and to no
    /// other, or a name that resolves anew (DNS rebinding) undoes the check. One that may not be reached refuses all: an honest name
    /// does not point both ways.
    pub fn choose(&self, addresses: &[IpAddr]) -> Result<IpAddr, Refusal> {
        let refused = |address: &IpAddr| {
            let why = not_public(*address)?;
            let is_granted = self.reach == Reach::Private && why.can_be_granted();
            (!is_granted).then(|| Refusal::NotPublic { host: self.host.clone(), address: *address, why })
        };
        if let Some(refusal) = addresses.iter().find_map(refused) {
            return Err(refusal);
        }
        addresses.first().map(IpAddr::to_canonical).ok_or_else(|| Refusal::NoAddress(self.host.clone()))
    }
}

#[cfg(test)]
mod tests;
