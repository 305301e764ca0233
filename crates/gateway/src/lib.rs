//! The host side of a sandbox's outward traffic: what it may reach, which secret goes where, and what it used.
//!
//! ```text
//! a program inside ─▶ loopback ─▶ the pipe ─▶ Gateway::serve, one connection at a time
//!     CONNECT host:port ───────▶ Policy ─▶ resolved once ─▶ the checked address ─▶ server name of TLS compared ─▶ bytes
//!     CONNECT inspected:port ──▶ TLS answered here ─▶ each request ─▶ Ledger::begin ─▶ key ─▶ the checked address ─▶ reply
//!     GET http://host/path ────▶ Policy ─▶ resolved once ─▶ the checked address ─▶ request, reply
//!     POST /model/route/path ──▶ table of the inference API ─▶ placeholder ─▶ Ledger::begin ─▶ key ─▶ request, metered reply
//! ```
//!
//! Everything is decided here, on the host, from a name as it is asked for and the addresses that it resolves to; nothing that the
//! sandbox says about itself counts. Each request is told to the [`Ledger`]: as refused, or as begun and then ended, once.
//!
//! What it deliberately does not do: it opens no TLS of a tunnel but to a host that a person bound a secret to
//! ([`Inspected`]), follows no redirect, caches nothing, keeps no secret beyond the
//! request that it is for, and knows neither the store nor the pipe nor what a budget is.

mod activity;
mod bounds;
mod connect;
mod denied;
mod forward;
mod headers;
mod hello;
mod inspect;
mod ledger;
mod model;
mod open;
mod passage;
pub mod policy;
pub mod price;
mod reply;
mod respond;
mod route;
mod serve;
mod stop;
mod target;
mod upstream;
pub mod usage;

pub use bounds::{BODY_BYTES_MAX, Bounds, HEAD_BYTES_MAX, HEADERS_MAX};
pub use denied::{Denied, Foreign, WrongOpening};
pub use inspect::{Authority, AuthorityError, Inspected, Slot, SlotError};
pub use ledger::{
    Begun, CredentialMissing, Ended, Ledger, ModelCall, NamedSecret, Operation, Outcome, RefusedRequest, Stopped,
    Ticket, Way,
};
pub use passage::{Passage, Rules};
pub use route::{Credential, Family, Route, RouteError};
pub use serve::{Gateway, GatewayError, Settings};
pub use upstream::{Resolve, SystemResolver, UpstreamError, machine_trusts};
