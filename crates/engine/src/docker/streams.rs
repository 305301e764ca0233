//! The engine's multiplexed streams, taken apart: standard output is the stream, standard error goes to the diagnostics.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bytes::{Buf, Bytes};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::call::{bounded, sorted};
use crate::archive::ArchiveStream;
use crate::{Diagnostics, EngineError, ErrorKind, Result};

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// One program's stdio.
pub(super) struct Demultiplexed {
    output: Output,
    input: Input,
    unread: Bytes,
    diagnostics: Diagnostics,
}

impl Demultiplexed {
    pub(super) fn new(output: Output, input: Input, diagnostics: Diagnostics) -> Self {
        Self { output, input, unread: Bytes::new(), diagnostics }
    }
}

impl AsyncRead for Demultiplexed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        while this.unread.is_empty() {
            match ready!(this.output.as_mut().poll_next(cx)) {
                Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => this.unread = message,
                Some(Ok(LogOutput::StdErr { message })) => this.diagnostics.push(&message),
                // Engines echo what was sent nowhere; the kind exists in the protocol alone.
                Some(Ok(LogOutput::StdIn { .. })) => {}
                Some(Err(error)) => return Poll::Ready(Err(std::io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = this.unread.len().min(buffer.remaining());
        buffer.put_slice(&this.unread[..count]);
        this.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Demultiplexed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.get_mut().input.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.get_mut().input.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.get_mut().input.as_mut().poll_shutdown(cx)
    }
}

/// An archive on its way out: its first chunk is awaited, so that what is missing is an error of the call; every later one is
/// awaited no longer than `chunk_bound`, and all together are no more than `bytes_max`.
pub(super) async fn bounded_archive(
    doing: String,
    mut source: BoxStream<'static, Result<Bytes, Error>>,
    bytes_max: u64,
    chunk_bound: Duration,
) -> Result<ArchiveStream> {
    let first = bounded(|| doing.clone(), chunk_bound, async { source.next().await.transpose() }).await?;
    let Some(first) = first else { return Ok(futures::stream::empty().boxed()) };
    let whole = futures::stream::once(async { Ok(first) }).chain(source);
    let state = Some((whole.boxed(), 0_u64, doing));
    let stream = futures::stream::unfold(state, move |state| async move {
        let (mut whole, passed, doing) = state?;
        let chunk = match tokio::time::timeout(chunk_bound, whole.next()).await {
            Err(_elapsed) => Err(EngineError::new(ErrorKind::Transient, doing.clone(), "the engine stopped sending")),
            Ok(None) => return None,
            Ok(Some(Err(error))) => Err(sorted(doing.clone(), error)),
            Ok(Some(Ok(chunk))) => Ok(chunk),
        };
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return Some((Err(error), None)),
        };
        let passed = passed.saturating_add(chunk.len() as u64);
        if passed > bytes_max {
            let detail = format!("it is larger than the {bytes_max} bytes that are read");
            return Some((Err(EngineError::new(ErrorKind::Denied, doing, detail)), None));
        }
        Some((Ok(chunk), Some((whole, passed, doing))))
    });
    Ok(stream.boxed())
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use tokio::io::AsyncReadExt;

    use super::*;

    fn chunk(message: &'static [u8]) -> Bytes {
        Bytes::from_static(message)
    }

    #[tokio::test]
    async fn standard_error_never_enters_the_stream() {
        let parts = vec![
            Ok(LogOutput::StdErr { message: chunk(b"warning") }),
            Ok(LogOutput::StdOut { message: chunk(b"one") }),
            Ok(LogOutput::StdOut { message: chunk(b"") }),
            Ok(LogOutput::StdErr { message: chunk(b", again") }),
            Ok(LogOutput::StdOut { message: chunk(b"two") }),
        ];
        let diagnostics = Diagnostics::default();
        let output = Box::pin(futures::stream::iter(parts));
        let mut duplex = Demultiplexed::new(output, Box::pin(tokio::io::sink()), diagnostics.clone());
        let mut text = String::new();
        duplex.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "onetwo");
        assert_eq!(diagnostics.text(), "warning, again");
    }

    #[tokio::test]
    async fn an_archive_beyond_its_bound_ends_with_a_refusal() {
        let parts = || futures::stream::iter(vec![Ok(chunk(b"12345")), Ok(chunk(b"67890"))]).boxed();
        let read = |bytes_max| async move {
            let stream = bounded_archive("get".into(), parts(), bytes_max, Duration::from_secs(1)).await.unwrap();
            stream.try_collect::<Vec<_>>().await
        };
        assert_eq!(read(10).await.unwrap().concat(), b"1234567890");
        assert_eq!(read(9).await.unwrap_err().kind(), ErrorKind::Denied);
    }

    #[tokio::test]
    async fn an_archive_that_stops_coming_ends_with_an_error() {
        let parts = futures::stream::iter(vec![Ok(chunk(b"1"))]).chain(futures::stream::pending()).boxed();
        let stream = bounded_archive("get".into(), parts, 10, Duration::from_millis(20)).await.unwrap();
        assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap_err().kind(), ErrorKind::Transient);
    }
}
