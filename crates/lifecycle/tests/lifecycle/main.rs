//! What must hold of the machine, whole: it is small enough to be tried out completely.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod document;
mod model;
mod states;
mod table;
mod whole;
