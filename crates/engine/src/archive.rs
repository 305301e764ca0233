//! Tar archives on their way to and from an engine.

use std::fmt;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::EngineError;

/// A tar on its way in.
pub enum ArchiveBody {
    /// In memory: the call may be retried.
    Bytes(Bytes),
    /// Produced while it is sent: the call is made once.
    Stream(BoxStream<'static, std::io::Result<Bytes>>),
}

/// A tar on its way out.
pub type ArchiveStream = BoxStream<'static, Result<Bytes, EngineError>>;

/// The file system of an image that holds nothing, for [`Engine::import`](crate::Engine::import): a tar without an entry,
/// which is two blocks of zeros (POSIX.1-2017, pax, ustar interchange format).
///
/// A container of it is created and never started: through it a volume is filled without trusting anyone's image.
pub fn empty_image_tar() -> ArchiveBody {
    ArchiveBody::Bytes(Bytes::from_static(&[0; 1024]))
}

impl ArchiveBody {
    pub(crate) fn into_stream(self) -> BoxStream<'static, std::io::Result<Bytes>> {
        match self {
            Self::Bytes(bytes) => futures::stream::once(async { Ok(bytes) }).boxed(),
            Self::Stream(stream) => stream,
        }
    }
}

impl From<Vec<u8>> for ArchiveBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<Bytes> for ArchiveBody {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl fmt::Debug for ArchiveBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "ArchiveBody::Bytes({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("ArchiveBody::Stream"),
        }
    }
}
