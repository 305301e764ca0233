//! The interface as files: embedded in a release, read from `ui/dist` in a debug build.
//!
//! Every path that is neither a file nor a call leads to the page itself: the routes are the interface's own.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rust_embed::{Embed, EmbeddedFile};
use sha2::{Digest, Sha256};

use crate::server::Shared;

const PAGE: &str = "index.html";
const HTML: &str = "text/html; charset=utf-8";

#[derive(Embed)]
#[folder = "../../ui/dist"]
struct Dist;

/// Answers with a file of the interface, or with its page.
pub(crate) async fn serve(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if let Some((name, file)) = file(path).map(|file| (path, file)).or_else(|| file(PAGE).map(|file| (PAGE, file))) {
        answer(&shared, &headers, name, file)
    } else {
        let text = "This Berth was built without its interface: `./dev run` builds both.\n";
        (StatusCode::NOT_FOUND, text).into_response()
    }
}

fn answer(shared: &Shared, headers: &HeaderMap, name: &str, file: EmbeddedFile) -> Response {
    let etag = format!("\"{}\"", hex::encode(file.metadata.sha256_hash()));
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let kind = content_type(name);
    let policy = if kind == HTML {
        content_security_policy(shared.guard.hosts(), &inline_script_hashes(&String::from_utf8_lossy(&file.data)))
    } else {
        content_security_policy(shared.guard.hosts(), &[])
    };
    let mut response =
        if is_known { StatusCode::NOT_MODIFIED.into_response() } else { Body::from(file.data).into_response() };
    let answered = response.headers_mut();
    answered.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answered.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answered.insert(header::CONTENT_SECURITY_POLICY, policy);
    answered.insert(header::ETAG, HeaderValue::try_from(etag).expect("invariant: hex is a header value"));
    response
}

/// The file of that name. A name is a plain path below the folder, as the build wrote it: nothing is decoded, nothing
/// climbs. (A debug build reads from the disk; the embedding refuses what leads outside, and so does this.)
fn file(name: &str) -> Option<EmbeddedFile> {
    let is_plain =
        name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_plain_byte));
    if is_plain { Dist::get(name) } else { None }
}

fn is_plain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => HTML,
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The policy of every response: nothing from elsewhere, ever; wasm, but no `eval`; styles inline, which the terminal needs.
pub(crate) fn content_security_policy(hosts: &[String; 2], script_hashes: &[String]) -> HeaderValue {
    let [address, name] = hosts;
    let scripts = script_hashes.iter().fold(String::new(), |list, hash| list + " 'sha256-" + hash + "'");
    let policy = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{scripts}; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob:; font-src 'self'; connect-src 'self' ws://{address} ws://{name}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("invariant: hosts and hashes are ASCII")
}

/// The hashes (CSP 3, 6.7.3.3) of the scripts that our own page holds inline: the loader that the wasm build writes.
fn inline_script_hashes(page: &str) -> Vec<String> {
    let mut hashes = Vec::new();
    let mut rest = page;
    while let Some((_, tag)) = rest.split_once("<script") {
        let Some((attributes, body)) = tag.split_once('>') else { break };
        let Some((script, after)) = body.split_once("</script>") else { break };
        if !attributes.contains("src=") {
            hashes.push(STANDARD.encode(Sha256::digest(script)));
        }
        rest = after;
    }
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inline_script_is_known_by_its_hash_and_a_linked_one_is_not() {
        let page = "<script src=\"a.js\"></script><script type=\"module\">alert(1)</script><script>";
        // printf 'alert(1)' | openssl dgst -sha256 -binary | base64
        assert_eq!(inline_script_hashes(page), ["bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI="]);
    }

    #[test]
    fn only_plain_names_are_looked_up() {
        for name in ["../Cargo.toml", "a/../../Cargo.toml", "..%2fCargo.toml", "/etc/passwd", ".git", "a//b", "a\\b"] {
            assert!(file(name).is_none(), "{name}");
        }
    }

    #[test]
    fn the_policy_is_the_one_that_was_decided() {
        let policy = content_security_policy(&["127.0.0.1:1".to_owned(), "localhost:1".to_owned()], &[]);
        assert_eq!(
            policy.to_str().unwrap(),
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
             img-src 'self' data: blob:; font-src 'self'; connect-src 'self' ws://127.0.0.1:1 ws://localhost:1; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
    }
}
