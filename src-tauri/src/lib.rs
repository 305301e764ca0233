//! The desktop skin.
