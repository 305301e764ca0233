//! WebSockets: who gets one, what goes through, and how it ends.

use std::pin::pin;

use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use wire::{
    ids::StepId,
    stream::{FRAME_BYTES_MAX, ShellProgram, StreamTarget, TerminalInput, TerminalOutput, Update},
};

use crate::scripted::{AppEnd, Bench, soon};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn output() -> StreamTarget {
    StreamTarget::Output { step: StepId::nil(), from: 0 }
}

/// The status with which an upgrade is answered: 101 where it succeeds.
async fn upgrade(url: &str, headers: &[(&'static str, &str)]) -> u16 {
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

async fn open(bench: &Bench, target: StreamTarget) -> Socket {
    let url = bench.ticket("open", target);
    connect_async(url).await.unwrap().0
}

async fn open_terminal(bench: &Bench) -> (Socket, AppEnd) {
    let socket = open(bench, output()).await;
    soon(bench.script.opened.notified()).await;
    (socket, bench.script.terminals.lock().unwrap().pop().unwrap())
}

async fn next_frame(socket: &mut Socket) -> TerminalOutput {
    loop {
        match soon(socket.next()).await.unwrap().unwrap() {
            Message::Binary(frame) => return TerminalOutput::decode(&frame).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn closed_with(socket: &mut Socket) -> (u16, String) {
    loop {
        match soon(socket.next()).await.unwrap().unwrap() {
            Message::Close(Some(CloseFrame { code, reason })) => return (code.into(), reason.to_string()),
            Message::Close(None) => panic!("closed without a code"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_ticket_is_good_for_one_stream() {
    let bench = Bench::start().await;
    let url = bench.ticket("once", StreamTarget::Updates);
    assert_eq!(upgrade(&url, &[]).await, 101);
    assert_eq!(upgrade(&url, &[]).await, 401);
}

#[tokio::test]
async fn a_stream_needs_a_ticket_and_not_the_token() {
    let bench = Bench::start().await;
    let url = format!("ws://{}/api/stream", bench.host());
    let bearer = format!("Bearer {}", bench.token);
    assert_eq!(upgrade(&url, &[("authorization", &bearer)]).await, 401);
    assert_eq!(upgrade(&format!("{url}?ticket=none"), &[("authorization", &bearer)]).await, 401);
}

#[tokio::test]
async fn a_foreign_page_gets_no_stream_and_uses_up_no_ticket() {
    let bench = Bench::start().await;
    let own = bench.server.address();
    let url = bench.ticket("kept", StreamTarget::Updates);
    for origin in ["https://evil.example", "null", "http://127.0.0.1:9", "http://localhost", "file://"] {
        assert_eq!(upgrade(&url, &[("origin", origin)]).await, 403, "{origin}");
    }
    assert_eq!(upgrade(&url, &[("origin", &own), ("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(upgrade(&url, &[("origin", &own), ("sec-fetch-site", "same-origin")]).await, 101);
    for origin in ["tauri://localhost", "http://tauri.localhost", "https://tauri.localhost"] {
        let url = bench.ticket("window", StreamTarget::Updates);
        assert_eq!(upgrade(&url, &[("origin", origin), ("sec-fetch-site", "cross-site")]).await, 101, "{origin}");
    }
}

#[tokio::test]
async fn a_plain_request_uses_up_no_ticket() {
    let bench = Bench::start().await;
    let url = bench.ticket("kept", StreamTarget::Updates);
    let plain = reqwest::get(url.replace("ws://", "http://")).await.unwrap();
    assert_eq!(plain.status().as_u16(), 426);
    assert_eq!(upgrade(&url, &[]).await, 101);
}

#[tokio::test]
async fn updates_arrive_as_json() {
    let bench = Bench::start().await;
    let mut socket = open(&bench, StreamTarget::Updates).await;
    soon(bench.script.opened.notified()).await;
    let updates = bench.script.updates.lock().unwrap().pop().unwrap();
    updates.send(Update::All).await.unwrap();
    let message = soon(socket.next()).await.unwrap().unwrap();
    assert_eq!(message, Message::text(r#"{"topic":"all"}"#));
    drop(updates);
    assert_eq!(closed_with(&mut socket).await, (1000, String::new()));
}

#[tokio::test]
async fn a_terminal_goes_both_ways() {
    let bench = Bench::start().await;
    let (mut socket, mut app) = open_terminal(&bench).await;
    let frames = [
        TerminalOutput::Gap { from: 0, to: 7 },
        TerminalOutput::Output { offset: 7, bytes: Bytes::from_static(b"hello") },
        TerminalOutput::Live,
    ];
    for frame in frames {
        app.output.send(frame.clone()).await.unwrap();
        assert_eq!(next_frame(&mut socket).await, frame);
    }
    for input in [
        TerminalInput::Input(Bytes::from_static(b"ls\r")),
        TerminalInput::Resize { columns: 80, rows: 24 },
        TerminalInput::Ack { offset: 12 },
    ] {
        socket.send(Message::Binary(input.encode())).await.unwrap();
        assert_eq!(soon(app.input.recv()).await, Some(input));
    }
    app.output.send(TerminalOutput::End { reason: "done".to_owned() }).await.unwrap();
    drop(app);
    assert_eq!(next_frame(&mut socket).await, TerminalOutput::End { reason: "done".to_owned() });
    assert_eq!(closed_with(&mut socket).await.0, 1000);
}

#[tokio::test]
async fn output_longer_than_a_frame_arrives_in_frames() {
    let bench = Bench::start().await;
    let (mut socket, app) = open_terminal(&bench).await;
    let bytes = Bytes::from(vec![7; 3 * FRAME_BYTES_MAX]);
    app.output.send(TerminalOutput::Output { offset: 10, bytes: bytes.clone() }).await.unwrap();
    let mut got = 0;
    while got < bytes.len() {
        match next_frame(&mut socket).await {
            TerminalOutput::Output { offset, bytes } => {
                assert_eq!(offset, 10 + got as u64);
                got += bytes.len();
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, bytes.len());
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_the_app_back_and_not_the_other_direction() {
    let bench = Bench::start().await;
    let (mut socket, mut app) = open_terminal(&bench).await;
    let piece = Bytes::from(vec![0; FRAME_BYTES_MAX - 9]);
    let flood = async {
        for number in 0..400_u64 {
            let frame = TerminalOutput::Output { offset: number * piece.len() as u64, bytes: piece.clone() };
            app.output.send(frame).await.unwrap();
        }
    };
    let mut flood = pin!(flood);
    // 100 MB do not fit into the buffers in between: the flood stands still while nobody reads.
    assert!(flood.as_mut().now_or_never().is_none());
    let ack = TerminalInput::Ack { offset: 1 };
    socket.send(Message::Binary(ack.encode())).await.unwrap();
    tokio::select! {
        () = &mut flood => panic!("100 MB went nowhere"),
        input = soon(app.input.recv()) => assert_eq!(input, Some(ack)),
    }
    let reading = async {
        for _ in 0..400 {
            next_frame(&mut socket).await;
        }
    };
    tokio::join!(flood, reading);
}

#[tokio::test]
async fn a_frame_that_is_none_ends_the_stream() {
    let bench = Bench::start().await;
    for (frame, code) in [
        (Message::Binary(Bytes::from_static(&[9])), CloseCode::Invalid),
        (Message::Binary(Bytes::new()), CloseCode::Invalid),
        (Message::text("hello"), CloseCode::Unsupported),
    ] {
        let (mut socket, app) = open_terminal(&bench).await;
        socket.send(frame).await.unwrap();
        assert_eq!(closed_with(&mut socket).await.0, u16::from(code));
        soon(app.output.closed()).await;
    }
}

#[tokio::test]
async fn a_frame_past_the_bound_ends_the_stream() {
    let bench = Bench::start().await;
    let (mut socket, mut app) = open_terminal(&bench).await;
    // The peer may reset the connection before all of it is written.
    let _ = socket.send(Message::Binary(vec![0; 2 * FRAME_BYTES_MAX].into())).await;
    soon(app.output.closed()).await;
    assert_eq!(soon(app.input.recv()).await, None);
}

#[tokio::test]
async fn a_stream_that_cannot_be_opened_says_why() {
    let bench = Bench::start().await;
    let mut socket =
        open(&bench, StreamTarget::Shell { step: StepId::nil(), columns: 80, rows: 24, program: ShellProgram::Shell })
            .await;
    let reason = "The sandbox is gone. Start a new run.".to_owned();
    assert_eq!(next_frame(&mut socket).await, TerminalOutput::End { reason: reason.clone() });
    assert_eq!(closed_with(&mut socket).await, (wire::stream::CLOSE_REFUSED, reason));
}

#[tokio::test]
async fn a_client_that_goes_closes_the_apps_end() {
    let bench = Bench::start().await;
    let (socket, app) = open_terminal(&bench).await;
    drop(socket);
    soon(app.output.closed()).await;
}

#[tokio::test]
async fn a_shutdown_says_goodbye_on_every_stream() {
    let bench = Bench::start().await;
    let (mut terminal, app) = open_terminal(&bench).await;
    let mut updates = open(&bench, StreamTarget::Updates).await;
    soon(bench.script.opened.notified()).await;
    let ((), (terminal_code, _), (updates_code, _)) =
        tokio::join!(bench.server.shutdown(), closed_with(&mut terminal), closed_with(&mut updates));
    assert_eq!([terminal_code, updates_code], [1001, 1001]);
    assert!(app.output.is_closed());
}
