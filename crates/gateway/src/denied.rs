//! Why a request is refused. A refusal is data: the client reads it, and so does the person.

use hyper::StatusCode;

use crate::policy::{Host, Malformed, Refusal};
use crate::usage::Unreadable;

/// Why a request was refused before anything of it was sent.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// The policy says no.
    #[error(transparent)]
    Policy(#[from] Refusal),
    /// The host is no host.
    #[error(transparent)]
    Host(#[from] Malformed),
    /// The request breaks HTTP's rules, or leaves open what it means.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// A host that has a route is reached by the route.
    #[error(
        "`{host}` is not reached through the proxy: reach it by the base URL the agent was given (`/model/{route}`); Berth counts and \
         holds the key there"
    )]
    HasRoute {
        /// As asked for.
        host: Host,
        /// The route's name.
        route: String,
    },
    /// `https` in absolute form would have the gateway speak TLS for the client.
    #[error("https is reached by CONNECT, not by a request for an https URL")]
    NotByConnect,
    /// Another scheme than `http`.
    #[error("only http and, by CONNECT, https go through this proxy")]
    Scheme,
    /// Neither a proxy's request nor one to a route.
    #[error(
        "this is Berth's gateway: it is an HTTP proxy (CONNECT, and http:// in absolute form), and serves models below /model/<route>/"
    )]
    Nothing,
    /// The agent has no such route.
    #[error("this agent has no model route of that name")]
    NoRoute,
    /// What the agent may do changed between the request's head and its last byte.
    #[error("what this agent may reach was changed while the request arrived; send it again")]
    Changed,
    /// A page in a browser inside, say, that is not to use a route.
    #[error("a model route serves the programs of this sandbox only: {0}")]
    Foreign(Foreign),
    /// The provider's API has more than inference, and a route serves no more than that.
    #[error("this route serves inference only, and not `{method} {path}`")]
    NotInference {
        /// As asked for.
        method: String,
        /// As asked for, below the route; cut.
        path: String,
    },
    /// A parameter that no inference needs.
    #[error("this route does not pass on the query parameter `{0}`")]
    Query(String),
    /// The request does not carry the placeholder where the route's secret belongs.
    #[error(
        "the request does not carry the credential this agent was given, in the header where this route looks for it"
    )]
    Placeholder,
    /// The body cannot be read, and so not be metered.
    #[error("a request to a model is sent without a content encoding")]
    Encoded,
    /// [`crate::BODY_BYTES_MAX`].
    #[error("a request to a model has at most 32 MiB")]
    TooLarge,
    /// [`crate::Bounds::body_time_max`].
    #[error("the request took too long to arrive")]
    TooSlow,
    /// The client left before its request was whole.
    #[error("the request broke off")]
    BrokeOff,
    /// The body is no request to a model.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The secret cannot be read now.
    #[error("the route's secret cannot be used: {0}")]
    Credential(String),
    /// [`crate::Bounds::open_requests_max`].
    #[error("this sandbox has too many requests open at once")]
    TooMany,
    /// [`crate::Bounds::held_bytes_max`].
    #[error("this sandbox has too many large requests open at once")]
    TooMuchHeld,
    /// The name does not resolve.
    #[error("{0}")]
    Unreached(String),
    /// The host that it names is not the tunnel's.
    #[error("this connection is to `{host}`, and the request names `{named}` as its host")]
    OtherHost {
        /// The tunnel's.
        host: Host,
        /// The request's.
        named: Host,
    },
    /// A WebSocket, say: what comes then is no request that could be read.
    #[error(
        "what goes to this host is inspected, since a secret is put into it, and only plain HTTP requests are: no upgrade"
    )]
    Upgrade,
    /// The secret was taken from the agent, or bound elsewhere, since the connection was made.
    #[error("this agent no longer has a secret for `{0}`: connect anew, and the host is judged as any other")]
    NoLongerInspected(Host),
    /// What a tunnel begins with.
    #[error("the tunnel to `{host}` {why}")]
    Opening {
        /// What the tunnel was asked for.
        host: Host,
        /// What is wrong.
        why: WrongOpening,
    },
}

/// Why a request to a route comes from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// Its `Host` is not this machine's (a name that was made to resolve here).
    #[error("its Host is not localhost")]
    Host,
    /// A web page sent it.
    #[error("its Origin is a web page of another host")]
    Origin,
}

/// How a tunnel begins that may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongOpening {
    /// Port 443 is for TLS.
    #[error("does not begin with TLS, and port 443 is for TLS only")]
    NotTls,
    /// It begins like TLS and does not go on like it.
    #[error("begins with TLS that cannot be read")]
    Unreadable,
    /// It did not come in time.
    #[error("did not open TLS in time")]
    TooSlow,
    /// TLS without a server name would get whatever the address serves first.
    #[error("opens TLS without a server name")]
    NoServerName,
    /// The gateway answers in the host's stead there, and the program did not go on.
    #[error(
        "is inspected, since a secret is put into what goes there, and cannot be: {0}. A program believes Berth's certificate only if it \
         was started after the agent got the secret, and reads the authorities that its environment names"
    )]
    NotInspected(String),
    /// TLS for another host than the one that was judged.
    #[error("opens TLS for `{0}`")]
    OtherServerName(Host),
}

impl Denied {
    /// The status that tells a client so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Host(_)
            | Self::Malformed(_)
            | Self::NotByConnect
            | Self::Scheme
            | Self::BrokeOff
            | Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::Placeholder => StatusCode::UNAUTHORIZED,
            Self::Policy(_)
            | Self::HasRoute { .. }
            | Self::Foreign(_)
            | Self::NotInference { .. }
            | Self::Query(_)
            | Self::Credential(_)
            | Self::NoLongerInspected(_)
            | Self::Opening { .. } => StatusCode::FORBIDDEN,
            // RFC 9110 §15.5.20.
            Self::OtherHost { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::Upgrade => StatusCode::NOT_IMPLEMENTED,
            Self::Nothing | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unreached(_) => StatusCode::BAD_GATEWAY,
            Self::TooMany | Self::TooMuchHeld | Self::Changed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
