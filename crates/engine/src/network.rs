//! Networks: what a sandbox is on whose agent has a network card.
//!
//! There is one to a sandbox and it is named after it, so that no container can be asked for on the network of another, on the
//! engine's default bridge or on the host's own.

use std::collections::BTreeMap;

use crate::{NetworkName, Ownership};

/// How every network is made.
pub const DRIVER: &str = "bridge";

/// A network as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeNetwork {
    /// Its name.
    pub name: NetworkName,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What makes it; [`DRIVER`] for all that Berth makes.
    pub driver: String,
    /// Whether containers on it get addresses of IPv6. Berth asks for none: a host's rules are often written for IPv4 alone.
    pub has_ipv6: bool,
}

impl BridgeNetwork {
    /// Whose it is; `None` where it is not Berth's.
    pub fn ownership(&self) -> Option<Ownership> {
        Ownership::from_labels(&self.labels)
    }
}
