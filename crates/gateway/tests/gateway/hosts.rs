//! Hosts outside: plain sockets that remember what they were sent.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::world::until;

/// Answers every request with the same bytes and closes.
pub(crate) struct Host {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Host {
    pub(crate) async fn new(reply: impl Into<Vec<u8>>) -> Self {
        let reply: Arc<[u8]> = reply.into().into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut serving = JoinSet::new();
        let remembered = seen.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(one(stream, reply.clone(), remembered.clone()));
            }
        });
        Self { port, seen, _serving: serving }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What came, one text for each connection, once there are that many.
    pub(crate) async fn seen(&self, count: usize) -> Vec<String> {
        until(|| {
            let seen = self.seen.lock().unwrap();
            (seen.len() >= count).then(|| seen.clone())
        })
        .await
    }

    pub(crate) fn seen_so_far(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn one(mut stream: TcpStream, reply: Arc<[u8]>, seen: Arc<Mutex<Vec<String>>>) {
    let mut request = read_request(&mut stream).await;
    // The client may have closed already.
    let _ = stream.write_all(&reply).await;
    let _ = stream.shutdown().await;
    // What comes beyond the request is remembered too.
    let _ = stream.read_to_end(&mut request).await;
    seen.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
}

/// One request with its body, read naively.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let is_whole = match length {
                Some(length) => body.len() >= length,
                None => !head.contains("transfer-encoding: chunked") || body.ends_with("0\r\n\r\n"),
            };
            if is_whole {
                return request;
            }
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return request;
        }
    }
}
