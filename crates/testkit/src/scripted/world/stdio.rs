//! Between a container's first process and whoever is attached to it.
//!
//! ```text
//! attached client ◀─duplex─▶ pumps ◀─duplex─▶ process
//! ```
//! The newest client has the output; output that nobody is attached to is gone. The end of a client's input is the end of the
//! process's (a real engine's "stdin once").

use engine::Duplex;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

/// Bytes under way in one direction.
pub(super) const PIPE_BYTES: usize = 64 * 1024;
/// Clients that may attach before the process takes note.
const CLIENTS_MAX: usize = 16;

/// Where clients attach.
pub(super) struct Sockets {
    inputs: mpsc::Sender<ReadHalf<DuplexStream>>,
    outputs: mpsc::Sender<WriteHalf<DuplexStream>>,
    waiting: Option<Waiting>,
}

struct Waiting {
    inputs: mpsc::Receiver<ReadHalf<DuplexStream>>,
    outputs: mpsc::Receiver<WriteHalf<DuplexStream>>,
}

impl Default for Sockets {
    fn default() -> Self {
        let (inputs, inputs_rx) = mpsc::channel(CLIENTS_MAX);
        let (outputs, outputs_rx) = mpsc::channel(CLIENTS_MAX);
        Self { inputs, outputs, waiting: Some(Waiting { inputs: inputs_rx, outputs: outputs_rx }) }
    }
}

impl Sockets {
    /// A new client. Where the process is gone, its stream is at its end.
    pub(super) fn attach(&self) -> Duplex {
        let (client, server) = tokio::io::duplex(PIPE_BYTES);
        let (input, output) = tokio::io::split(server);
        // Too many at once, or none to attach to: dropping the server's halves is the end of the client's stream.
        let _ = self.inputs.try_send(input);
        let _ = self.outputs.try_send(output);
        Box::new(client)
    }

    /// The process's side, and what must run to serve it; `None` while a process is served already.
    pub(super) fn process_side(&mut self) -> Option<(Duplex, Vec<BoxFuture<'static, ()>>)> {
        let waiting = self.waiting.take()?;
        let (process, hub) = tokio::io::duplex(PIPE_BYTES);
        let (from_process, to_process) = tokio::io::split(hub);
        let pumps =
            vec![pump_output(from_process, waiting.outputs).boxed(), pump_input(waiting.inputs, to_process).boxed()];
        Some((Box::new(process), pumps))
    }
}

async fn pump_output(mut process: ReadHalf<DuplexStream>, mut clients: mpsc::Receiver<WriteHalf<DuplexStream>>) {
    let mut client: Option<WriteHalf<DuplexStream>> = None;
    let mut buffer = vec![0; PIPE_BYTES];
    loop {
        let count = tokio::select! {
            biased;
            Some(newest) = clients.recv() => {
                client = Some(newest);
                continue;
            }
            count = process.read(&mut buffer) => count.unwrap_or_default(),
        };
        if count == 0 {
            break;
        }
        if let Some(listener) = &mut client
            && listener.write_all(&buffer[..count]).await.is_err()
        {
            client = None;
        }
    }
    if let Some(mut client) = client {
        let _ = client.shutdown().await;
    }
}

async fn pump_input(mut clients: mpsc::Receiver<ReadHalf<DuplexStream>>, mut process: WriteHalf<DuplexStream>) {
    if let Some(mut client) = clients.recv().await {
        // Either side may end first; both mean that there is no more input.
        let _ = tokio::io::copy(&mut client, &mut process).await;
        let _ = process.shutdown().await;
    }
}
