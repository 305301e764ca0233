//! HTTP and WebSocket skin over the core's Api, on loopback only.
//!
//! ```text
//!            ┌ guard: Host, Origin, Sec-Fetch-Site ── refused: 403
//! request ───┤
//!            ├ POST /api/session   one-time code  → token
//!            ├ POST /api/call      token, Request → reply, or an ErrorView with a status
//!            ├ POST /api/link      token          → a fresh link
//!            ├ GET  /api/stream    ticket         → WebSocket
//!            ├ GET  /api/archive   ticket         → a home as a tar
//!            ├ POST /api/archive   ticket, tar    → a home out of it
//!            └ GET  anything else                 → the interface
//! ```
//!
//! A person gets in by a link whose fragment holds a one-time code; a page exchanges it for the token and sends that as a
//! header. There are no cookies: they ignore ports, and every other server of this machine would get them.
//!
//! It deliberately has no logic of the app's own: whatever can be asked is answered by a [`Backend`].
//!
//! Invariant: a code, token or ticket is never logged, and no response carries an `Access-Control-Allow-…` header.

mod announcement;
mod archive;
mod backend;
mod codes;
mod connections;
mod extract;
#[cfg(fuzzing)]
pub mod fuzzing;
mod guard;
mod interface;
mod refusal;
mod routes;
mod server;
mod stream;
mod token;

pub use announcement::{Announcement, AnnouncementError};
pub use backend::Backend;
pub use server::{Server, ServerError, ServerOptions};
pub use token::{RandomError, Token};
