//! Who this page is to the server: the one-time code in the link's fragment is exchanged for a token, which lives in this tab alone
//! (`sessionStorage`: no cookie, which every port of the host would get; not `localStorage`, which outlives the tab).

use std::cell::RefCell;

use wasm_bindgen::JsValue;
use wire::session::{SessionReply, SessionRequest};
use yew::Callback;

use super::{CallError, desktop, http};

const KEY: &str = "berth.token";

/// How the page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It may call.
    Open,
    /// It may not: the link was used, has expired, or there was none.
    Closed,
    /// The server did not answer; the code is still good for another attempt.
    Unanswered {
        /// The code.
        code: String,
    },
}

thread_local! {
    static TOKEN: RefCell<Option<String>> = const { RefCell::new(None) };
    static ON_LOSS: RefCell<Option<Callback<()>>> = const { RefCell::new(None) };
}

/// Takes the code out of the address, before anything can log or bookmark it, and exchanges it.
pub async fn enter() -> Entry {
    if desktop::is_desktop() {
        return Entry::Open;
    }
    match take_code() {
        Some(code) => exchange(code).await,
        None if token().is_some() => Entry::Open,
        None => Entry::Closed,
    }
}

/// Exchanges a code for the token.
pub async fn exchange(code: String) -> Entry {
    let request = SessionRequest { code };
    let Ok(body) = serde_json::to_string(&request) else { return Entry::Closed };
    match http::post("/api/session", &body, None).await {
        Ok(answer) if answer.status < 300 => match serde_json::from_str::<SessionReply>(&answer.body) {
            Ok(exchanged) => {
                keep(Some(exchanged.token));
                Entry::Open
            }
            Err(_) => Entry::Closed,
        },
        // A used link in a tab that is signed in already (a reload from history) changes nothing.
        Ok(_) if token().is_some() => Entry::Open,
        Ok(_) => Entry::Closed,
        Err(CallError::Away | CallError::Garbled(_) | CallError::Refused(_) | CallError::SignedOut) => {
            Entry::Unanswered { code: request.code }
        }
    }
}

/// The token, where there is one.
pub fn token() -> Option<String> {
    TOKEN.with_borrow_mut(|token| {
        if token.is_none() {
            *token = storage().and_then(|storage| storage.get_item(KEY).ok().flatten());
        }
        token.clone()
    })
}

/// Whom to tell when the server does not know this page any more.
pub fn on_loss(callback: Callback<()>) {
    ON_LOSS.set(Some(callback));
}

/// The server does not know this page any more.
pub(super) fn lost() {
    keep(None);
    if let Some(callback) = ON_LOSS.with_borrow(Clone::clone) {
        callback.emit(());
    }
}

fn keep(token: Option<String>) {
    if let Some(storage) = storage() {
        // Where storage is forbidden the token lives as long as the page.
        let _ = match &token {
            Some(token) => storage.set_item(KEY, token),
            None => storage.remove_item(KEY),
        };
    }
    TOKEN.set(token);
}

fn storage() -> Option<web_sys::Storage> {
    web_sys::window()?.session_storage().ok().flatten()
}

fn take_code() -> Option<String> {
    let window = web_sys::window()?;
    let location = window.location();
    let hash = location.hash().ok()?;
    let code = hash.strip_prefix("#code=")?.to_owned();
    let clean = format!("{}{}", location.pathname().ok()?, location.search().ok()?);
    let history = window.history().ok()?;
    history.replace_state_with_url(&JsValue::NULL, "", Some(&clean)).ok()?;
    Some(code)
}
