//! The interface as files. A checkout may have none built: then what is tested is that it says so, and never more.

use reqwest::{Client, StatusCode};

use crate::scripted::{Bench, status};

fn is_built() -> bool {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/dist/index.html").exists()
}

#[tokio::test]
async fn every_route_of_the_interface_is_its_page() {
    let bench = Bench::start().await;
    for path in ["/", "/tasks/12/terminal", "/settings/engine"] {
        let answer = Client::new().get(bench.url(path)).send().await.unwrap();
        if is_built() {
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
            assert_eq!(answer.headers()["cache-control"], "no-cache");
        } else {
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
            assert!(answer.text().await.unwrap().contains("built without its interface"));
        }
    }
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let bench = Bench::start().await;
    let first = Client::new().get(bench.url("/")).send().await.unwrap();
    let Some(etag) = first.headers().get("etag").cloned() else {
        assert!(!is_built(), "a built page has an ETag");
        return;
    };
    let again = Client::new().get(bench.url("/")).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert!(again.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_head_request_has_the_head_and_no_body() {
    let bench = Bench::start().await;
    let request = |method: &str| format!("{method} / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", bench.host());
    let (get, head) = (bench.raw(&request("GET")).await, bench.raw(&request("HEAD")).await);
    assert_eq!(status(&get), status(&head));
    let (_, body) = head.split_once("\r\n\r\n").unwrap();
    assert!(body.is_empty(), "{body}");
}

#[tokio::test]
async fn no_path_leads_out_of_the_interface() {
    let bench = Bench::start().await;
    let attacks = [
        "/../../Cargo.toml",
        "/../../../../../../../../etc/passwd",
        "/..%2f..%2fCargo.toml",
        "/%2e%2e/%2e%2e/Cargo.toml",
        "/..\\..\\Cargo.toml",
        "//etc/passwd",
        "/.git/config",
        "/index.html%00.js",
        "/./../../Cargo.toml",
    ];
    for path in attacks {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", bench.host());
        let answer = bench.raw(&request).await;
        assert!(!answer.contains("[workspace]") && !answer.contains("root:"), "{path}: {answer}");
        assert!(matches!(status(&answer), 200 | 400 | 404), "{path}: {answer}");
    }
}
