//! The host side of a sandbox's outward traffic.
//!
//! So far: what a sandbox may reach ([`policy`]). It is decided here, on the host, from a name as it is asked for and the address that
//! it resolves to; nothing that the sandbox says about itself counts.

pub mod policy;
pub mod usage;
