//! Archives of homes in a browser: out as a file that it saves by itself, in as a file that a person picks. Nothing of either is
//! held in memory here.

use js_sys::JsString;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, HtmlElement, RequestInit, Response};
use wire::{
    call::{HomeImported, OpenStream},
    stream::StreamTarget,
};

use super::{CallError, refused};

/// Has the browser save a home. What goes wrong once it has begun, the browser says.
pub async fn export(home: String) -> Result<(), CallError> {
    let address = address(StreamTarget::ExportHome { home }).await?;
    save(&address).map_err(|_| CallError::Garbled("the browser saves no files here".to_owned()))
}

fn save(address: &str) -> Result<(), JsValue> {
    let document = web_sys::window().and_then(|window| window.document()).ok_or(JsValue::NULL)?;
    let link: HtmlElement = document.create_element("a")?.dyn_into()?;
    link.set_attribute("href", address)?;
    link.set_attribute("download", "")?;
    link.click();
    Ok(())
}

/// Sends a file as a home. The core tells how far it is.
pub async fn import(home: String, confirm: String, file: File) -> Result<HomeImported, CallError> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a file's size is a whole number")]
    let size_bytes = Some(file.size() as u64);
    let address = address(StreamTarget::ImportHome { home, confirm, size_bytes }).await?;
    let response = send(&address, &file).await.map_err(|_| CallError::Away)?;
    let body = match response.text() {
        Ok(text) => JsFuture::from(text).await.map_err(|_| CallError::Away)?,
        Err(_) => return Err(CallError::Away),
    };
    let body: String = body.dyn_into::<JsString>().map_err(|_| CallError::Away)?.into();
    if response.ok() {
        serde_json::from_str(&body).map_err(|error| CallError::Garbled(error.to_string()))
    } else {
        Err(refused(&body))
    }
}

async fn address(target: StreamTarget) -> Result<String, CallError> {
    let ticket = super::call(OpenStream { target }).await?.ticket;
    Ok(format!("/api/archive?ticket={ticket}"))
}

async fn send(address: &str, file: &File) -> Result<Response, JsValue> {
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(file);
    JsFuture::from(window.fetch_with_str_and_init(address, &init)).await?.dyn_into()
}
