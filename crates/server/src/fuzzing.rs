//! The readers of what any page or program of this machine may send, for the fuzz targets (`fuzz/`) alone: there is no such module
//! in a program that ships.
//!
//! Each panics where something does not hold that must hold whatever comes.

#![allow(clippy::missing_panics_doc, clippy::panic, reason = "a find is a panic")]

use std::time::Instant;

use axum::{
    extract::Query,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri},
};

use crate::{codes::Codes, guard::Guard, routes::StreamQuery, token::Token};

const PORT: u16 = 4242;

/// Shows the guard a request's head, where it is one at all. What passes is for this server and from no other page.
pub fn guard(method: &[u8], target: &[u8], headers: &[(&[u8], &[u8])]) {
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method), Uri::try_from(target)) else { return };
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    if Guard::new(PORT).check(&method, &uri, &map).is_err() {
        return;
    }
    let ours = ["127.0.0.1:4242", "localhost:4242"];
    let is_ours = |host: &[u8]| ours.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(host));
    let all = |name: &str| map.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    let hosts = all("host");
    assert!(matches!(hosts[..], [host] if is_ours(host)), "{hosts:?}");
    assert!(uri.authority().is_none_or(|authority| is_ours(authority.as_str().as_bytes())), "{uri}");
    let is_stream = uri.path() == "/api/stream";
    for origin in all("origin") {
        let is_own = origin.strip_prefix(b"http://").is_some_and(is_ours);
        let is_window = origin.starts_with(b"tauri://") || origin.ends_with(b"://tauri.localhost");
        assert!(is_own || (is_stream && is_window), "{origin:?}");
    }
    if uri.path().starts_with("/api") && all("origin").is_empty() {
        assert!(all("sec-fetch-site").iter().all(|site| matches!(*site, b"same-origin" | b"none")));
    }
}

/// The ticket in the query of a stream's address, where there is one.
pub fn ticket_of(target: &str) -> Option<String> {
    let uri: Uri = target.parse().ok()?;
    Query::<StreamQuery>::try_from_uri(&uri).ok().map(|Query(query)| query.ticket)
}

/// Shows a code and a token that were never given out.
pub fn code(presented: &str) {
    let (mut codes, now) = (Codes::default(), Instant::now());
    let Ok(issued) = codes.issue(now) else { return };
    if presented != issued.reveal() {
        assert!(codes.redeem(presented, now).is_err());
    }
    assert!(codes.redeem(issued.reveal(), now).is_ok() && codes.redeem(issued.reveal(), now).is_err());
    if let Ok(token) = Token::fresh() {
        assert_eq!(token.matches(presented), token.reveal() == presented);
    }
}
