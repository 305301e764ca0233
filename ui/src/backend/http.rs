//! Calls of a browser: `POST /api/call` with the token in a header, never in a cookie or an address.

use js_sys::JsString;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, Request, RequestInit, Response};

use super::{CallError, refused, session};

const UNAUTHORIZED: u16 = 401;

/// One call as JSON text, answered with JSON text.
pub async fn call(request: &str) -> Result<String, CallError> {
    let Some(token) = session::token() else {
        session::lost();
        return Err(CallError::SignedOut);
    };
    let answer = post("/api/call", request, Some(&token)).await?;
    match answer.status {
        200..300 => Ok(answer.body),
        UNAUTHORIZED => {
            session::lost();
            Err(CallError::SignedOut)
        }
        _ => Err(refused(&answer.body)),
    }
}

/// An answer over HTTP.
pub struct Answer {
    /// Its status code (RFC 9110).
    pub status: u16,
    /// Its body as text.
    pub body: String,
}

/// Posts JSON to this page's own server.
pub async fn post(path: &str, body: &str, token: Option<&str>) -> Result<Answer, CallError> {
    let response = send(path, body, token).await.map_err(|_| CallError::Away)?;
    let body = match response.text() {
        Ok(text) => JsFuture::from(text).await,
        Err(error) => Err(error),
    };
    let body = body.map_err(|_| CallError::Away)?.dyn_into::<JsString>().map_err(|_| CallError::Away)?;
    Ok(Answer { status: response.status(), body: body.into() })
}

async fn send(path: &str, body: &str, token: Option<&str>) -> Result<Response, JsValue> {
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    let headers = Headers::new()?;
    headers.set("content-type", "application/json")?;
    if let Some(token) = token {
        headers.set("authorization", &format!("Bearer {token}"))?;
    }
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers);
    init.set_body(&JsValue::from_str(body));
    let request = Request::new_with_str_and_init(path, &init)?;
    JsFuture::from(window.fetch_with_request(&request)).await?.dyn_into()
}
