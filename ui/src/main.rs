//! The face of Berth: the same program in the app's own window and in an ordinary browser.
//!
//! A screen is a route, a pure part that is tested natively, and a view. What is allowed is never worked out here: the face draws
//! what the core's views say. Only `backend` knows Tauri or HTTP, only `terminal` touches xterm's objects.
//!
//! ```text
//! app ── house (sidebar, banners, status bar) ── screens ── parts, icon, say
//!  │                                               │
//!  └── feed: what changed ──▶ query: ask again ──▶ backend ──▶ core
//! ```
#![allow(unreachable_pub, reason = "a program has no outside: `pub` here means: used by other modules")]

mod announce;
mod app;
mod backend;
mod clock;
mod context;
mod dialog;
mod feed;
#[cfg(test)]
mod fixture;
mod house;
mod icon;
mod keys;
mod parts;
mod policy;
mod query;
mod queue;
mod route;
mod say;
mod screens;
mod sending;
mod terminal;
mod theme;
mod toast;

fn main() {
    let face =
        web_sys::window().and_then(|window| window.document()).and_then(|document| document.get_element_by_id("face"));
    if let Some(face) = face {
        yew::Renderer::<app::App>::with_root(face).render();
    }
}
