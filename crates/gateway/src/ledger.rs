//! What the gateway tells and asks whoever keeps the books: credentials, budgets, and the record of every request.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use hyper::StatusCode;
use secrecy::SecretString;
use wire::ids::{SandboxId, SecretId};
use wire::secret::CredentialKind;

use crate::denied::Denied;
use crate::inspect::Authority;
use crate::usage::{Api, Demand, Metered};

/// Keeps the books. What it is told may be long (a path, a host) but is bounded, and comes from a sandbox: it is escaped before a person
/// sees it.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// The value of a secret, as it is now. Asked for each request that carries it.
    async fn credential(&self, secret: SecretId) -> Result<SecretString, CredentialMissing>;

    /// The authority of this install, which vouches for inspected hosts. Asked for each connection to one.
    async fn authority(&self) -> Result<Arc<Authority>, CredentialMissing>;

    /// Writes down that a request is about to be sent, and reserves what it may cost. Nothing is sent before this returns, nor after it
    /// returns an error; a request that it stops is written down by the ledger itself. It runs to its end even when the client leaves.
    async fn begin(&self, request: Begun) -> Result<Ticket, Stopped>;

    /// How a request ended: once for each ticket, whatever happens, since it is a guard's drop that says it where nothing else did: the
    /// connection broke, the client left, the gateway was dropped. It must not block.
    fn end(&self, ticket: Ticket, ended: Ended);

    /// What was refused. It must not block.
    fn refused(&self, refused: RefusedRequest);
}

/// A secret that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct CredentialMissing {
    /// Why, for the client and the person; never a value.
    pub reason: String,
}

/// What the ledger calls a request that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub i64);

/// A request that passed the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Whose.
    pub sandbox: SandboxId,
    /// Where to: a name or an address.
    pub host: String,
    /// Where to.
    pub port: u16,
    /// As asked for.
    pub method: String,
    /// Without the query, cut at a bound. Empty for a tunnel.
    pub path: String,
    /// How.
    pub way: Way,
    /// The secret that goes with it.
    pub secret: Option<NamedSecret>,
}

/// How a request goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By CONNECT.
    Tunnel,
    /// As a request of plain HTTP.
    Forward,
    /// As a request within TLS that the gateway read, since a secret may be put into it.
    Inspected,
    /// By a model route.
    Model(ModelCall),
}

/// A call of a model's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelCall {
    /// The route's name.
    pub route: String,
    /// What is called.
    pub operation: Operation,
    /// What it may use; `None` of what uses nothing.
    pub demand: Option<Demand>,
    /// What pays for it: under a subscription it costs no money of its own.
    pub credential: CredentialKind,
}

/// What of a provider's API a route serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Makes text, and is metered.
    Inference(Api),
    /// Makes vectors. What it uses is not read from its reply.
    Embeddings,
    /// Counts tokens; free.
    CountTokens,
    /// Names models; free.
    Models,
}

/// A secret by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSecret {
    /// Which.
    pub id: SecretId,
    /// As the person named it.
    pub name: String,
}

/// Why the ledger lets a request go no further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// A budget is used up, or would be.
    #[error("{reason}")]
    Budget {
        /// For the client and the person.
        reason: String,
    },
    /// A rule of the agent's says no: a model without a known price, say.
    #[error("{reason}")]
    Forbidden {
        /// For the client and the person.
        reason: String,
    },
    /// It may go later.
    #[error("{reason}")]
    Later {
        /// For the client and the person.
        reason: String,
    },
    /// It could not be written down.
    #[error("{reason}")]
    NotWritten {
        /// For the client and the person.
        reason: String,
    },
}

impl Stopped {
    /// The status that tells a client so. Clients of models try again after 429 and 503, and not after the others.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Budget { .. } => StatusCode::PAYMENT_REQUIRED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::Later { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NotWritten { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The reply's status; `None` where there was none.
    pub status: Option<u16>,
    /// Bytes of the body, or of the tunnel, towards the host.
    pub up_bytes: u64,
    /// The same from the host.
    pub down_bytes: u64,
    /// What a model used; `None` where nothing was.
    pub metered: Option<Metered>,
    /// Whether it came to its end.
    pub outcome: Outcome,
}

/// Whether a request came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply passed whole.
    Whole,
    /// It did not.
    Cut {
        /// Why.
        why: String,
    },
    /// A tunnel turned out not to be what it was asked for, or a request could go no more once it was written down.
    Refused {
        /// Why.
        why: String,
    },
}

/// A request that was refused.
#[derive(Debug)]
pub struct RefusedRequest {
    /// Whose.
    pub sandbox: SandboxId,
    /// Where to, as far as that could be read: a name or an address.
    pub host: Option<String>,
    /// Where to, as far as that could be read.
    pub port: Option<u16>,
    /// As asked for.
    pub method: String,
    /// Without the query, cut at a bound.
    pub path: String,
    /// Whether it came within TLS that the gateway read.
    pub is_inspected: bool,
    /// Why.
    pub why: Denied,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::Cut { why } => write!(f, "cut: {why}"),
            Self::Refused { why } => write!(f, "refused: {why}"),
        }
    }
}
