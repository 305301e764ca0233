//! The settings, section by section: so far the secrets.

pub mod secrets;
