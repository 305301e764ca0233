//! A guest's end of the pipe that keeps no rule: the multiplexer's frames written by hand
//! ([yamux](https://github.com/hashicorp/yamux/blob/master/spec.md)), windows ignored, bytes as a test likes.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses its part of this")]
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use pipe::frame;
use pipe::host::{Guest, Options};
use pipe::limits::FRAME_FROM_GUEST_BYTES_MAX;
use pipe::message::{Hello, ProtocolRange};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};

/// Bytes between the two ends.
const BUFFER: usize = 256 * 1024;

pub const DATA: u8 = 0;
pub const WINDOW: u8 = 1;
pub const PING: u8 = 2;
pub const SYN: u16 = 1;
pub const ACK: u16 = 2;
pub const FIN: u16 = 4;
pub const RST: u16 = 8;

/// The 12 bytes that every frame of the multiplexer starts with.
pub fn header(tag: u8, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    let mut bytes = vec![0, tag];
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes
}

/// A frame with its body.
pub fn data(flags: u16, stream: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = header(DATA, flags, stream, u32::try_from(body.len()).unwrap());
    bytes.extend_from_slice(body);
    bytes
}

/// A frame of the multiplexer, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub tag: u8,
    pub flags: u16,
    pub stream: u32,
    pub length: u32,
    pub body: Vec<u8>,
}

pub struct Reader {
    io: ReadHalf<DuplexStream>,
}

impl Reader {
    /// The next frame; `None` where the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut header = [0; 12];
        self.io.read_exact(&mut header).await.ok()?;
        let [_, tag, f1, f2, a, b, c, d, l1, l2, l3, l4] = header;
        let (flags, stream) = (u16::from_be_bytes([f1, f2]), u32::from_be_bytes([a, b, c, d]));
        let length = u32::from_be_bytes([l1, l2, l3, l4]);
        let mut body = vec![0; if tag == DATA { length as usize } else { 0 }];
        self.io.read_exact(&mut body).await.ok()?;
        Some(Frame { tag, flags, stream, length, body })
    }

    /// Reads on until a frame is as wanted.
    pub async fn until(&mut self, mut is_wanted: impl FnMut(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if is_wanted(&frame) {
                return Some(frame);
            }
        }
    }

    /// The next question on a stream that the host opens: the stream.
    pub async fn asked(&mut self) -> Option<u32> {
        self.until(|frame| frame.tag == DATA && frame.length > 0 && frame.stream != 1).await.map(|frame| frame.stream)
    }

    /// Reads whatever comes until the end.
    pub async fn drain(&mut self) {
        while self.next().await.is_some() {}
    }
}

pub struct Writer {
    io: WriteHalf<DuplexStream>,
}

impl Writer {
    /// Sends bytes; `false` where the connection has ended.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.io.write_all(bytes).await.is_ok()
    }

    /// Sends an answer, or any other JSON frame.
    pub async fn say(&mut self, flags: u16, stream: u32, json: &str) -> bool {
        self.send(&data(flags, stream, &framed(json))).await
    }
}

/// A JSON text behind its length.
pub fn framed(json: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(json.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    bytes
}

/// A host that was greeted as an honest guest does it, and the hand-made other end.
pub async fn against_raw(options: Options) -> (Guest, Reader, Writer) {
    let (host, guest) = duplex(BUFFER);
    let (reader, writer) = split(guest);
    let (mut reader, mut writer) = (Reader { io: reader }, Writer { io: writer });
    let greeting = async {
        reader.until(|frame| frame.tag == DATA && frame.length > 0).await.unwrap();
        let hello = Hello {
            protocol: ProtocolRange { min: 1, max: 1 },
            version: "raw".into(),
            boot: "raw".into(),
            architecture: "raw".into(),
        };
        let hello = frame::encode(&hello, FRAME_FROM_GUEST_BYTES_MAX).unwrap();
        assert!(writer.send(&data(ACK, 1, &hello)).await);
    };
    let (host, ()) = tokio::join!(Guest::connect(host, options), greeting);
    (host.unwrap(), reader, writer)
}
