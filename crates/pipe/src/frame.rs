//! JSON behind a big-endian `u32` length: how the two ends speak when they do not send bulk.
//!
//! A frame is read straight off its stream, byte for byte, so that the raw bytes behind it stay in the stream.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::PipeError;

const LENGTH_BYTES: usize = 4;
/// A buffer grows by this much at a time: an announced length alone reserves no memory.
const GROW_BYTES: usize = 128 * 1024;

/// Writes one frame and flushes it.
///
/// # Errors
/// [`PipeError::FrameTooLong`] where the message is longer than `bytes_max`, before anything is written; else what
/// the stream says.
///
/// # Cancel safety
/// None: a frame that was dropped in the middle leaves the stream useless.
pub async fn write<S, M>(stream: &mut S, message: &M, bytes_max: usize) -> Result<(), PipeError>
where
    S: AsyncWrite + Unpin,
    M: Serialize + Sync,
{
    let frame = encode(message, bytes_max)?;
    stream.write_all(&frame).await?;
    stream.flush().await?;
    Ok(())
}

/// The bytes of one frame, length included.
///
/// # Errors
/// [`PipeError::FrameTooLong`] where the message is longer than `bytes_max`.
pub fn encode<M: Serialize>(message: &M, bytes_max: usize) -> Result<Vec<u8>, PipeError> {
    let mut frame = vec![0; LENGTH_BYTES];
    serde_json::to_writer(&mut frame, message)
        .map_err(|source| PipeError::Malformed { what: "an own frame", source: source.into() })?;
    let length = frame.len() - LENGTH_BYTES;
    let length =
        u32::try_from(length).ok().filter(|_| length <= bytes_max).ok_or(PipeError::FrameTooLong { bytes_max })?;
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// Reads one frame. `None` where the stream ends before the first byte of it.
///
/// # Errors
/// [`PipeError::FrameTooLong`], [`PipeError::Malformed`] or [`PipeError::Cut`], each naming `what`.
///
/// # Cancel safety
/// None: bytes that were read are lost with the future.
pub async fn read<S, M>(stream: &mut S, what: &'static str, bytes_max: usize) -> Result<Option<M>, PipeError>
where
    S: AsyncRead + Unpin,
    M: DeserializeOwned,
{
    let mut length = [0; LENGTH_BYTES];
    let first = stream.read(&mut length).await?;
    if first == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[first..]).await.map_err(|error| cut(error, what))?;
    let length = u32::from_be_bytes(length) as usize;
    if length > bytes_max {
        return Err(PipeError::FrameTooLong { bytes_max });
    }
    let body = read_exact_bounded(stream, length, what).await?;
    serde_json::from_slice(&body).map(Some).map_err(|source| PipeError::Malformed { what, source: source.into() })
}

/// Reads exactly `length` bytes, growing as they come.
pub(crate) async fn read_exact_bounded<S>(
    stream: &mut S,
    length: usize,
    what: &'static str,
) -> Result<Vec<u8>, PipeError>
where
    S: AsyncRead + Unpin,
{
    let mut body = Vec::new();
    while body.len() < length {
        let filled = body.len();
        body.resize(length.min(filled + GROW_BYTES), 0);
        stream.read_exact(&mut body[filled..]).await.map_err(|error| cut(error, what))?;
    }
    Ok(body)
}

pub(crate) fn cut(error: std::io::Error, what: &'static str) -> PipeError {
    if error.kind() == std::io::ErrorKind::UnexpectedEof { PipeError::Cut { what } } else { error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_follows_a_frame_stays_in_the_stream() {
        let mut bytes = encode(&"hello", 64).unwrap();
        bytes.extend_from_slice(b"raw");
        let mut stream = bytes.as_slice();
        assert_eq!(read::<_, String>(&mut stream, "a greeting", 64).await.unwrap().as_deref(), Some("hello"));
        assert_eq!(stream, b"raw");
    }

    #[tokio::test]
    async fn an_announced_length_beyond_the_bound_is_refused_before_it_is_read() {
        let mut stream: &[u8] = &[0xff, 0xff, 0xff, 0xff, b'{'];
        let error = read::<_, String>(&mut stream, "a greeting", 64).await.unwrap_err();
        assert!(matches!(error, PipeError::FrameTooLong { bytes_max: 64 }), "{error}");
    }

    #[tokio::test]
    async fn a_frame_that_ends_early_is_cut_off() {
        let mut stream: &[u8] = &[0, 0, 0, 9, b'"'];
        let error = read::<_, String>(&mut stream, "a greeting", 64).await.unwrap_err();
        assert!(matches!(error, PipeError::Cut { what: "a greeting" }), "{error}");
    }

    #[tokio::test]
    async fn the_end_before_a_frame_is_no_error() {
        let mut stream: &[u8] = &[];
        assert_eq!(read::<_, String>(&mut stream, "a greeting", 64).await.unwrap(), None);
    }

    #[test]
    fn an_own_frame_that_is_too_long_is_refused() {
        assert!(matches!(encode(&"x".repeat(65), 64), Err(PipeError::FrameTooLong { .. })));
    }
}
