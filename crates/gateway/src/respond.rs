//! Answers of the gateway's own.

use std::error::Error;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::reply::ReplyError;

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, ReplyError>;

/// Says in one line why, since many clients of a proxy show no body; and that it is the gateway that answers.
const REFUSED: HeaderName = HeaderName::from_static("x-berth-refused");

pub(crate) fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer in plain text.
pub(crate) fn plain(status: StatusCode, reason: &str) -> Response<Body> {
    with_reason(status, reason, "text/plain; charset=utf-8", format!("{reason}\n"))
}

/// An answer with a body of its own. The connection closes after it: what of the request was not read would be taken for the next.
pub(crate) fn with_reason(
    status: StatusCode,
    reason: &str,
    content_type: &'static str,
    text: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(body(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(REFUSED, line(reason));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A header's value has visible ASCII only.
fn line(reason: &str) -> HeaderValue {
    let visible: String = reason.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect();
    HeaderValue::from_str(&visible).expect("invariant: visible ASCII is a header's value")
}

/// An error with all that caused it, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        // Some say the words of their source as their own.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = error.source();
    }
    text
}
