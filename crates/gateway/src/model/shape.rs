//! Errors in the shape of each provider's own, so that its clients show the reason.

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

use crate::respond::{self, Body};
use crate::route::Family;

/// Both Anthropic's and OpenAI's clients do as it says.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

pub(crate) fn error(family: Family, status: StatusCode, reason: &str) -> Response<Body> {
    let message = format!("Berth: {reason}");
    let text = match family {
        // <https://docs.anthropic.com/en/api/errors>
        Family::Anthropic => {
            let kind = match status {
                StatusCode::UNAUTHORIZED => "authentication_error",
                StatusCode::PAYMENT_REQUIRED => "billing_error",
                StatusCode::FORBIDDEN => "permission_error",
                StatusCode::NOT_FOUND => "not_found_error",
                StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
                StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
                StatusCode::GATEWAY_TIMEOUT => "timeout_error",
                status if status.is_server_error() => "api_error",
                _ => "invalid_request_error",
            };
            json!({ "type": "error", "error": { "type": kind, "message": message } })
        }
        // <https://platform.openai.com/docs/guides/error-codes>
        Family::OpenAi => {
            let (kind, code) = match status {
                StatusCode::UNAUTHORIZED => ("invalid_request_error", "invalid_api_key"),
                StatusCode::PAYMENT_REQUIRED => ("insufficient_quota", "insufficient_quota"),
                StatusCode::FORBIDDEN => ("invalid_request_error", "forbidden"),
                StatusCode::TOO_MANY_REQUESTS => ("requests", "rate_limit_exceeded"),
                status if status.is_server_error() => ("server_error", "server_error"),
                _ => ("invalid_request_error", "invalid_request"),
            };
            json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
        }
        // <https://ai.google.dev/gemini-api/docs/troubleshooting>
        Family::Gemini => {
            let kind = match status {
                StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
                StatusCode::PAYMENT_REQUIRED | StatusCode::FORBIDDEN => "PERMISSION_DENIED",
                StatusCode::NOT_FOUND => "NOT_FOUND",
                StatusCode::TOO_MANY_REQUESTS => "RESOURCE_EXHAUSTED",
                StatusCode::GATEWAY_TIMEOUT => "DEADLINE_EXCEEDED",
                status if status.is_server_error() => "UNAVAILABLE",
                _ => "INVALID_ARGUMENT",
            };
            json!({ "error": { "code": status.as_u16(), "message": message, "status": kind } })
        }
    };
    let mut response = respond::with_reason(status, reason, "application/json", text.to_string());
    let may_pass = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    if !may_pass {
        response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    response
}
