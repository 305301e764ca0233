//! Homes on their way out and in, over HTTP.

use bytes::Bytes;
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode, header};
use tokio::task::JoinSet;
use wire::{ErrorCode, ErrorView, stream::StreamTarget};

use crate::scripted::{Bench, soon};

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

fn export_target() -> StreamTarget {
    StreamTarget::ExportHome { home: "ada".to_owned() }
}

fn import_target() -> StreamTarget {
    StreamTarget::ImportHome { home: "ada".to_owned(), confirm: "ada".to_owned(), size_bytes: None }
}

/// A request on its way.
fn asked(request: RequestBuilder) -> JoinSet<reqwest::Result<Response>> {
    JoinSet::from_iter([request.send()])
}

/// The address of an archive for which there is a ticket.
fn archive(bench: &Bench, target: StreamTarget) -> String {
    bench.ticket("t", target);
    bench.url("/api/archive?ticket=t")
}

#[tokio::test]
async fn an_export_is_a_file_and_its_ticket_is_good_once() {
    let bench = Bench::start().await;
    let url = archive(&bench, export_target());
    let mut asking = asked(client().get(&url));
    soon(bench.script.opened.notified()).await;
    let sender = bench.script.exports.lock().unwrap().remove(0);
    for chunk in ["one, ", "two", ""] {
        sender.send(Ok(Bytes::from_static(chunk.as_bytes()))).await.unwrap();
    }
    let response = soon(asking.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_DISPOSITION], "attachment; filename=\"ab-home.tar\"");
    assert_eq!(response.text().await.unwrap(), "one, two");
    assert_eq!(client().get(&url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_export_that_breaks_off_is_never_taken_for_a_whole_one() {
    let bench = Bench::start().await;
    for ending in ["error", "silence"] {
        let url = archive(&bench, export_target());
        let mut asking = asked(client().get(&url));
        soon(bench.script.opened.notified()).await;
        let sender = bench.script.exports.lock().unwrap().remove(0);
        sender.send(Ok(Bytes::from_static(b"half"))).await.unwrap();
        if ending == "error" {
            sender.send(Err(ErrorView::new(ErrorCode::EngineFailed, "The engine is gone."))).await.unwrap();
        }
        drop(sender);
        // It may break off before its head was sent, too.
        if let Ok(response) = soon(asking.join_next()).await.unwrap().unwrap() {
            assert!(response.bytes().await.is_err(), "{ending}");
        }
    }
}

#[tokio::test]
async fn an_export_that_cannot_begin_is_an_answer() {
    let bench = Bench::start().await;
    let url = archive(&bench, export_target());
    let mut asking = asked(client().get(&url));
    soon(bench.script.opened.notified()).await;
    let sender = bench.script.exports.lock().unwrap().remove(0);
    sender.send(Err(ErrorView::new(ErrorCode::NotNow, "It is in use."))).await.unwrap();
    let response = soon(asking.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::CONFLICT);
    assert_eq!(response.json::<ErrorView>().await.unwrap().message, "It is in use.");
}

#[tokio::test]
async fn an_import_that_is_refused_is_refused_before_its_end_and_whoever_sends_it_hears_that() {
    let bench = Bench::start().await;
    let url = archive(&bench, import_target());
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[7; 4096])));
    let mut asking = asked(client().post(&url).body(Body::wrap_stream(endless)));
    soon(bench.script.opened.notified()).await;
    let (mut received, answer) = bench.script.imports.lock().unwrap().remove(0);
    assert_eq!(soon(received.recv()).await.unwrap().unwrap()[0], 7);
    answer.send(Err(ErrorView::new(ErrorCode::InvalidArgument, "This is no tar archive."))).unwrap();
    let response = soon(asking.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    soon(async { while received.recv().await.is_some() {} }).await;
    // So large that the last of it is on its way when the answer comes.
    for _ in 0..20 {
        let whole = Body::from(vec![7; 4 << 20]);
        let response = client().post(bench.url("/api/archive?ticket=none")).body(whole).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_ticket_for_one_way_does_not_open_the_other() {
    let bench = Bench::start().await;
    let url = archive(&bench, import_target());
    assert_eq!(client().get(&url).send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    let url = archive(&bench, export_target());
    assert_eq!(client().post(&url).body("x").send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    let url = archive(&bench, StreamTarget::Updates);
    assert_eq!(client().get(&url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let foreign = client().get(archive(&bench, export_target())).header(header::ORIGIN, "http://evil.example");
    assert_eq!(foreign.send().await.unwrap().status(), StatusCode::FORBIDDEN);
}
