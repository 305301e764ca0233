//! Inspected hosts: what a program sends to them over TLS is read, so that a secret can be put into it.
//!
//! ```text
//! CONNECT host:port, an inspected one ─▶ the gateway answers TLS itself, with a certificate of this install's authority
//!     each request inside ─▶ its Host is the tunnel's ─▶ Ledger::begin ─▶ the key in the placeholder's place, in the one bound place
//!                         ─▶ verified TLS to a checked address ─▶ reply: key out
//! ```
//!
//! A placeholder that stands anywhere else is left as it is, and a request without one goes on without a key. Only HTTP/1.1 is spoken
//! with the program (ALPN offers nothing else), and nothing that changes the protocol: a WebSocket is refused with the reason. The host
//! may speak HTTP/2.
//!
//! A sandbox believes the authority only where its agent's process was started with an inspected host, and only for those hosts: the
//! certificate that it gets says so itself ([`Authority::vouch_for`]).

mod authority;
mod slot;
mod visit;

pub use authority::{Authority, AuthorityError};
pub(crate) use slot::Cleaner;
pub use slot::{Slot, SlotError};
pub(crate) use visit::{Visit, begin};

use crate::policy::{Host, Malformed};
use crate::route::{Credential, Endpoint, Security};
use crate::target::Target;

/// A host into whose requests a secret is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    endpoint: Endpoint,
    slot: Slot,
    credential: Credential,
}

impl Inspected {
    /// That host and port, named by the person themselves: it may be at a private address too. Whoever is there has to show a
    /// certificate for that name before it gets anything, so it cannot be anyone else.
    pub fn new(host: &str, port: u16, slot: Slot, credential: Credential) -> Result<Self, Malformed> {
        let endpoint = Endpoint { host: host.parse()?, port, security: Security::Tls, is_private: true };
        Ok(Self { endpoint, slot, credential })
    }

    /// In the form in which it is compared.
    pub fn host(&self) -> &Host {
        &self.endpoint.host
    }

    pub(crate) fn is_at(&self, target: &Target) -> bool {
        self.endpoint.host == target.host && self.endpoint.port == target.port
    }
}
