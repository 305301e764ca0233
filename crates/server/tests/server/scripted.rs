//! A backend that plays its part, a server on it, and what tests ask of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use berth_core::{Stream, Terminal};
use camino_tempfile::Utf8TempDir;
use server::{Announcement, Backend, Server, ServerOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
    time::timeout,
};
use wire::{
    ErrorCode, ErrorView, Request,
    stream::{StreamTarget, TerminalInput, TerminalOutput, Update},
};

/// How long anything that must happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the test holds of the backend.
#[derive(Default)]
pub(crate) struct Script {
    tickets: Mutex<HashMap<String, StreamTarget>>,
    /// What was asked, in order.
    pub(crate) asked: Mutex<Vec<Request>>,
    /// The app's ends of the terminals that were opened, in order.
    pub(crate) terminals: Mutex<Vec<AppEnd>>,
    /// The app's ends of the update streams that were opened.
    pub(crate) updates: Mutex<Vec<mpsc::Sender<Update>>>,
    /// The app's ends of the exports that were opened.
    pub(crate) exports: Mutex<Vec<mpsc::Sender<Result<bytes::Bytes, ErrorView>>>>,
    /// The app's ends of the imports that were opened.
    pub(crate) imports: Mutex<Vec<Import>>,
    pub(crate) origin: Mutex<Option<String>>,
    pub(crate) opened: Notify,
    /// While held, `Doctor` does not return.
    pub(crate) doctor: tokio::sync::Mutex<()>,
    /// `Doctor` has begun, or has returned.
    pub(crate) doctor_moved: Notify,
}

/// The app's end of an import.
pub(crate) type Import = (
    mpsc::Receiver<std::io::Result<bytes::Bytes>>,
    tokio::sync::oneshot::Sender<Result<wire::call::HomeImported, ErrorView>>,
);

/// The app's end of a terminal.
pub(crate) struct AppEnd {
    pub(crate) output: mpsc::Sender<TerminalOutput>,
    pub(crate) input: mpsc::Receiver<TerminalInput>,
}

#[derive(Clone, Default)]
pub(crate) struct Scripted(pub(crate) Arc<Script>);

#[async_trait]
impl Backend for Scripted {
    async fn dispatch(&self, request: Request) -> Result<serde_json::Value, ErrorView> {
        self.0.asked.lock().unwrap().push(request.clone());
        match request {
            Request::Doctor(_) => {
                self.0.doctor_moved.notify_one();
                let _gate = self.0.doctor.lock().await;
                self.0.doctor_moved.notify_one();
                Ok(serde_json::json!({ "checks": [] }))
            }
            Request::ShowRun(show) => {
                let message = format!("No run is called {}.", show.run);
                Err(ErrorView::new(ErrorCode::NotFound, message).hint("Look at `berth ls`."))
            }
            _other => Ok(serde_json::json!({ "answered": true })),
        }
    }

    fn redeem(&self, ticket: &str) -> Option<StreamTarget> {
        self.0.tickets.lock().unwrap().remove(ticket)
    }

    async fn open_stream(&self, target: StreamTarget) -> Result<Stream, ErrorView> {
        let stream = match target {
            StreamTarget::Updates => {
                let (sender, updates) = mpsc::channel(4);
                self.0.updates.lock().unwrap().push(sender);
                Stream::Updates(updates)
            }
            StreamTarget::Output { .. } => {
                let (output_sender, output) = mpsc::channel(4);
                let (input, input_receiver) = mpsc::channel(4);
                self.0.terminals.lock().unwrap().push(AppEnd { output: output_sender, input: input_receiver });
                Stream::Terminal(Terminal { output, input })
            }
            StreamTarget::ExportHome { .. } => {
                let (sender, chunks) = mpsc::channel(4);
                self.0.exports.lock().unwrap().push(sender);
                Stream::Download(berth_core::Download { file_name: "a\"b\n-home.tar".to_owned(), chunks })
            }
            StreamTarget::ImportHome { .. } => {
                let (chunks, received) = mpsc::channel(4);
                let (answer, done) = tokio::sync::oneshot::channel();
                self.0.imports.lock().unwrap().push((received, answer));
                Stream::Upload(berth_core::Upload { chunks, done })
            }
            StreamTarget::Shell { .. } => {
                return Err(ErrorView::new(ErrorCode::NotNow, "The sandbox is gone.").hint("Start a new run."));
            }
        };
        self.0.opened.notify_one();
        Ok(stream)
    }

    fn set_stream_origin(&self, origin: String) {
        *self.0.origin.lock().unwrap() = Some(origin);
    }
}

/// A server on a folder of its own.
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) script: Arc<Script>,
    pub(crate) folder: Utf8TempDir,
    pub(crate) token: String,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        let folder = camino_tempfile::tempdir().unwrap();
        let backend = Scripted::default();
        let script = backend.0.clone();
        let server = Server::start(backend, folder.path(), ServerOptions::default()).await.unwrap();
        let token = Announcement::read(folder.path()).unwrap().unwrap().token.reveal().to_owned();
        Self { server, script, folder, token }
    }

    pub(crate) fn host(&self) -> String {
        self.server.address().strip_prefix("http://").unwrap().to_owned()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.address())
    }

    /// A fresh code, out of a link.
    pub(crate) fn code(&self) -> String {
        self.server.link().unwrap().split_once("#code=").unwrap().1.to_owned()
    }

    /// Puts a ticket where the backend finds it.
    pub(crate) fn ticket(&self, ticket: &str, target: StreamTarget) -> String {
        self.script.tickets.lock().unwrap().insert(ticket.to_owned(), target);
        format!("ws://{}/api/stream?ticket={ticket}", self.host())
    }

    /// Sends exactly these bytes on a connection of their own and reads the whole answer.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let mut socket = TcpStream::connect(self.host()).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap().unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A `POST` with these header lines and this body; the answer's status.
    pub(crate) async fn post(&self, path: &str, headers: &[&str], body: &str) -> u16 {
        let headers = headers.join("\r\n");
        let length = body.len();
        let request =
            format!("POST {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n\r\n{body}");
        status(&self.raw(&request).await)
    }
}

/// The status of a raw answer.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {answer:?}"))
}

/// What must happen within the bound.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it happens within the bound")
}
