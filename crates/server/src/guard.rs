//! Who may speak to a loopback server at all, before any token is looked at.
//!
//! A page on the web can make a browser send requests here: directly (cross-site), or under a name of its own that it
//! points at 127.0.0.1 (DNS rebinding). Three headers that a page cannot forge tell: `Host` must be ours, `Origin`, where
//! there is one, must be that same host, and `Sec-Fetch-Site`, where there is one, must not name another site. Other ports
//! of this machine count as others: an agent may be serving there.
//!
//! The desktop window is the one exception: its pages come from an origin of Tauri's and open WebSockets here.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{interface::content_security_policy, refusal::Refusal, routes::STREAM_PATH, server::Shared};

/// Where the desktop window's pages come from, on the systems that there are.
const WINDOW_ORIGINS: [&str; 3] = ["tauri://localhost", "http://tauri.localhost", "https://tauri.localhost"];

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// What every response says, whatever it is.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("x-frame-options"), "DENY"),
];

/// The names under which this server may be called.
#[derive(Debug)]
pub(crate) struct Guard {
    hosts: [String; 2],
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// `Host` is missing, twice there, or not ours.
    Host,
    /// `Origin` is another one's, `null`, or twice there.
    Origin,
    /// A page of another site or port made the browser send it.
    CrossSite,
}

impl Guard {
    /// A guard for the server on that port of 127.0.0.1.
    pub(crate) fn new(port: u16) -> Self {
        Self { hosts: [format!("127.0.0.1:{port}"), format!("localhost:{port}")] }
    }

    /// The hosts that are ours.
    pub(crate) fn hosts(&self) -> &[String; 2] {
        &self.hosts
    }

    /// Whether the request may go on.
    pub(crate) fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Denied> {
        let host = only(headers, &header::HOST).map_err(|Unclear| Denied::Host)?.ok_or(Denied::Host)?;
        if !self.is_ours(host) || uri.authority().is_some_and(|authority| !self.is_ours(authority.as_str())) {
            return Err(Denied::Host);
        }
        let is_window = match only(headers, &header::ORIGIN).map_err(|Unclear| Denied::Origin)? {
            None => false,
            Some(origin) if origin.strip_prefix("http://").is_some_and(|own| own.eq_ignore_ascii_case(host)) => false,
            Some(origin) if uri.path() == STREAM_PATH && WINDOW_ORIGINS.contains(&origin) => true,
            Some(_) => return Err(Denied::Origin),
        };
        match only(headers, &FETCH_SITE).map_err(|Unclear| Denied::CrossSite)? {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) if is_window || is_followed_link(method, uri, headers) => Ok(()),
            Some(_) => Err(Denied::CrossSite),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }
}

/// A person followed a link from elsewhere (a chat, the file that `berth open` writes) to the interface: the page that
/// loads is ours, alone in its window, and cannot do a thing without a code.
fn is_followed_link(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    *method == Method::GET
        && !uri.path().starts_with("/api")
        && only(headers, &FETCH_MODE) == Ok(Some("navigate"))
        && only(headers, &FETCH_DEST) == Ok(Some("document"))
}

/// A header that is there twice or is no text.
#[derive(Debug, PartialEq, Eq)]
struct Unclear;

/// The one value of a header, where it is there.
fn only<'headers>(headers: &'headers HeaderMap, name: &HeaderName) -> Result<Option<&'headers str>, Unclear> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Unclear),
        (Some(_), Some(_)) => Err(Unclear),
    }
}

/// Lets a request pass or not, and puts the headers that protect a browser on whatever is answered.
pub(crate) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Parts { method, uri, headers, .. } = &parts;
    let mut response = match shared.guard.check(method, uri, headers) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(denied) => {
            tracing::warn!(?denied, "request turned away");
            Refusal::from(denied).into_response()
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert_with(|| content_security_policy(shared.guard.hosts(), &[]));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn check(path: &str, headers: &[(&'static str, &'static str)]) -> Result<(), Denied> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        Guard::new(4242).check(&Method::GET, &path.parse().unwrap(), &map)
    }

    #[rstest]
    #[case::by_address("127.0.0.1:4242", Ok(()))]
    #[case::by_name("localhost:4242", Ok(()))]
    #[case::in_capitals("LOCALHOST:4242", Ok(()))]
    #[case::rebound("evil.example:4242", Err(Denied::Host))]
    #[case::rebound_below_us("127.0.0.1.evil.example:4242", Err(Denied::Host))]
    #[case::with_us_as_user("127.0.0.1:4242@evil.example", Err(Denied::Host))]
    #[case::another_port("127.0.0.1:4243", Err(Denied::Host))]
    #[case::no_port("127.0.0.1", Err(Denied::Host))]
    #[case::dotted("localhost.:4242", Err(Denied::Host))]
    #[case::unbound_ipv6("[::1]:4242", Err(Denied::Host))]
    #[case::any_address("0.0.0.0:4242", Err(Denied::Host))]
    #[case::decimal_address("2130706433:4242", Err(Denied::Host))]
    fn a_host_is_ours_or_refused(#[case] host: &'static str, #[case] expected: Result<(), Denied>) {
        assert_eq!(check("/", &[("host", host)]), expected);
    }

    #[test]
    fn a_host_must_be_there_once() {
        assert_eq!(check("/", &[]), Err(Denied::Host));
        assert_eq!(check("/", &[("host", "127.0.0.1:4242"), ("host", "127.0.0.1:4242")]), Err(Denied::Host));
    }

    #[test]
    fn an_absolute_target_must_be_ours_too() {
        assert_eq!(check("http://evil.example/", &[("host", "127.0.0.1:4242")]), Err(Denied::Host));
        assert_eq!(check("http://127.0.0.1:4242/", &[("host", "127.0.0.1:4242")]), Ok(()));
    }

    #[rstest]
    #[case::own("/api/call", "http://127.0.0.1:4242", Ok(()))]
    #[case::by_the_other_name("/api/call", "http://localhost:4242", Err(Denied::Origin))]
    #[case::opaque("/api/call", "null", Err(Denied::Origin))]
    #[case::foreign("/api/call", "https://evil.example", Err(Denied::Origin))]
    #[case::another_port("/api/call", "http://127.0.0.1:8080", Err(Denied::Origin))]
    #[case::another_scheme("/api/call", "https://127.0.0.1:4242", Err(Denied::Origin))]
    #[case::longer("/api/call", "http://127.0.0.1:4242.evil.example", Err(Denied::Origin))]
    #[case::window_stream("/api/stream", "tauri://localhost", Ok(()))]
    #[case::window_stream_on_windows("/api/stream", "http://tauri.localhost", Ok(()))]
    #[case::window_call("/api/call", "tauri://localhost", Err(Denied::Origin))]
    fn an_origin_is_the_host_or_the_window(
        #[case] path: &str,
        #[case] origin: &'static str,
        #[case] expected: Result<(), Denied>,
    ) {
        assert_eq!(check(path, &[("host", "127.0.0.1:4242"), ("origin", origin)]), expected);
    }

    #[test]
    fn an_origin_that_equals_an_evil_host_does_not_help() {
        let headers = [("host", "evil.example:4242"), ("origin", "http://evil.example:4242")];
        assert_eq!(check("/api/call", &headers), Err(Denied::Host));
    }

    #[rstest]
    #[case("same-origin", Ok(()))]
    #[case("none", Ok(()))]
    #[case("same-site", Err(Denied::CrossSite))]
    #[case("cross-site", Err(Denied::CrossSite))]
    #[case("whatever", Err(Denied::CrossSite))]
    fn a_foreign_page_cannot_send(#[case] site: &'static str, #[case] expected: Result<(), Denied>) {
        assert_eq!(check("/", &[("host", "127.0.0.1:4242"), ("sec-fetch-site", site)]), expected);
    }

    #[test]
    fn a_link_from_elsewhere_leads_to_the_interface_alone() {
        let headers = [
            ("host", "127.0.0.1:4242"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert_eq!(check("/", &headers), Ok(()));
        assert_eq!(check("/api/call", &headers), Err(Denied::CrossSite));
        let framed = [headers[0], headers[1], headers[2], ("sec-fetch-dest", "iframe")];
        assert_eq!(check("/", &framed), Err(Denied::CrossSite));
    }

    #[test]
    fn the_window_is_another_site_and_may_stream() {
        let headers = [("host", "127.0.0.1:4242"), ("origin", "tauri://localhost"), ("sec-fetch-site", "cross-site")];
        assert_eq!(check("/api/stream?ticket=x", &headers), Ok(()));
    }
}
