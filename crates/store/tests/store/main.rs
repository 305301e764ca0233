//! The store as its callers see it: one test per query, what a transaction promises, and what becomes of broken files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod budgets;
mod compute;
mod costs;
mod crash;
mod file;
mod fixture;
mod images;
mod list;
mod projects;
mod records;
mod requests;
mod retention;
mod secrets;
mod tasks;
mod transitions;
