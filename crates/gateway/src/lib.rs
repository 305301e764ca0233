//! The host side of a sandbox's outward traffic.
//!
//! So far: what a sandbox may reach ([`policy`]), what a call of a model uses ([`usage`]), and what that costs ([`price`]). It is
//! decided here, on the host: from a name as it is asked for and the address that it resolves to, and from the model's own reply.
//! Nothing that the sandbox says about itself counts.

pub mod policy;
pub mod price;
pub mod usage;
