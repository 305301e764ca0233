//! Connections that programs inside want to the outside: handed to whoever decides, one by one.

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{
    FRAME_FROM_GUEST_BYTES_MAX, FRAME_FROM_HOST_BYTES_MAX, HELLO_WAIT_MAX, OUTWARD_MAX, OUTWARD_TARGET_BYTES_MAX,
};
use crate::message::{Answer, OutwardAsk, Refusal, RefusalCode};
use crate::{PipeError, PipeStream, frame};

/// A program inside wants a connection. Dropping it resets it.
#[derive(Debug)]
pub struct Outward {
    target: String,
    stream: PipeStream,
}

impl Outward {
    /// Where to, as the program inside named it. Hostile, at most [`OUTWARD_TARGET_BYTES_MAX`] bytes, printable ASCII.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Lets the program speak: the stream is its connection.
    pub async fn accept(mut self) -> Result<PipeStream, PipeError> {
        frame::write(&mut self.stream, &Answer::Done(()), FRAME_FROM_HOST_BYTES_MAX).await?;
        Ok(self.stream)
    }

    /// Refuses, with a reason that the program may see.
    pub async fn refuse(mut self, refusal: Refusal) -> Result<(), PipeError> {
        frame::write(&mut self.stream, &Answer::<()>::Refused(refusal), FRAME_FROM_HOST_BYTES_MAX).await
    }
}

/// The wanted connections, in the order of asking.
#[derive(Debug)]
pub struct OutwardConnections {
    receiver: mpsc::Receiver<Outward>,
}

impl OutwardConnections {
    pub(super) fn new(receiver: mpsc::Receiver<Outward>) -> Self {
        Self { receiver }
    }

    /// The next one; `None` when the pipe is lost.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn next(&mut self) -> Option<Outward> {
        self.receiver.recv().await
    }
}

/// Reads what each stream that the guest opens wants, and queues it.
pub(super) async fn receive(
    mut inbound: mpsc::Receiver<PipeStream>,
    outward: mpsc::Sender<Outward>,
    cancel: CancellationToken,
) {
    let readers = TaskTracker::new();
    while let Some(stream) = tokio::select! {
        biased;
        () = cancel.cancelled() => None,
        stream = inbound.recv() => stream,
    } {
        // An honest guest keeps this bound itself.
        if readers.len() >= OUTWARD_MAX {
            tracing::debug!("an outward connection was reset: too many at once");
            continue;
        }
        let (outward, cancel) = (outward.clone(), cancel.clone());
        readers.spawn(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = receive_one(stream, &outward) => {}
            }
        });
    }
    readers.close();
    readers.wait().await;
}

async fn receive_one(mut stream: PipeStream, outward: &mpsc::Sender<Outward>) {
    let reading = frame::read(&mut stream, "an outward connection", FRAME_FROM_GUEST_BYTES_MAX);
    let Ok(Ok(Some(OutwardAsk { target }))) = timeout(HELLO_WAIT_MAX, reading).await else {
        tracing::debug!("an outward connection was reset: it does not say where to");
        return;
    };
    let is_sound = !target.is_empty()
        && target.len() <= OUTWARD_TARGET_BYTES_MAX
        && target.bytes().all(|byte| byte.is_ascii_graphic());
    let wanted = Outward { target, stream };
    let (wanted, refusal) = if is_sound {
        match outward.try_send(wanted) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(wanted) | mpsc::error::TrySendError::Closed(wanted)) => {
                (wanted, Refusal::new(RefusalCode::TooMany, "nobody takes outward connections"))
            }
        }
    } else {
        (wanted, Refusal::new(RefusalCode::Invalid, "the target is no name"))
    };
    if let Err(error) = wanted.refuse(refusal).await {
        tracing::trace!(%error, "a refusal was not taken");
    }
}
