//! Which header fields go no further than one hop, and what must not be left open about a request's framing.

use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, ORIGIN,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, REFERER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Method, Request};

use crate::denied::Denied;

/// RFC 9110 §7.6.1, and what older software takes to be of one hop.
pub(crate) const HOP_BY_HOP: [HeaderName; 11] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("http2-settings"),
];

/// What carries a credential in one API or another.
const CREDENTIALS: [HeaderName; 5] = [
    AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("api-key"),
];

/// What would make another request of a request to a model, or tells what is of no use to the provider.
const NOT_FOR_MODELS: [HeaderName; 9] = [
    ACCEPT_ENCODING,
    CONTENT_LENGTH,
    ORIGIN,
    REFERER,
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// Refuses what different software reads differently (RFC 9112 §6.3 and §3.2). That the head is well-formed, that no field is folded,
/// that lengths agree and that `chunked` comes last is hyper's work; it also takes out a `content-length` beside a
/// `transfer-encoding`, and closes the connection after such a request.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Denied> {
    let headers = request.headers();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(Denied::Malformed("the only transfer coding is chunked"));
    }
    if headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(Denied::Malformed("it has more than one Host"));
    }
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    if request.method() == Method::CONNECT && has_body {
        return Err(Denied::Malformed("CONNECT has no body"));
    }
    Ok(())
}

/// Takes out what is of one hop, and what `Connection` names.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Takes out of a request what does not go on in any case: `Expect` was answered here.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    headers.remove(EXPECT);
    headers.remove(HOST);
}

/// Takes out of a request to a model every credential, and what could make another request of it.
pub(crate) fn strip_for_model(headers: &mut HeaderMap) {
    strip_request(headers);
    for name in CREDENTIALS.iter().chain(&NOT_FOR_MODELS) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn what_connection_names_goes_too() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-One"),
            ("connection", "x-two"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("keep-alive", "5"),
            ("proxy-authorization", "Basic eA=="),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("x-three", "3"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-three"]);
    }
}
