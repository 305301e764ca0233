//! Byte streams into and out of a container.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::ExecId;

/// How much of a program's standard error is kept, in bytes: its end.
pub const DIAGNOSTICS_BYTES_MAX: usize = 64 * 1024;

/// Reads and writes.
pub trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

/// A program's standard output (read) and standard input (write). Shutting down the write side closes standard input.
pub type Duplex = Box<dyn ReadWrite>;

/// The open stdio of a container's first process.
pub struct Attached {
    /// Standard input and output.
    pub duplex: Duplex,
    /// Standard error so far. Filled while `duplex` is read.
    pub diagnostics: Diagnostics,
}

/// A program that was started in a running container.
pub struct Exec {
    /// For [`Engine::exec_state`](crate::Engine::exec_state).
    pub id: ExecId,
    /// Standard input and output.
    pub duplex: Duplex,
    /// Standard error so far. Filled while `duplex` is read.
    pub diagnostics: Diagnostics,
}

/// The last [`DIAGNOSTICS_BYTES_MAX`] bytes of a program's standard error. Hostile: escape before showing.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    kept: Arc<Mutex<VecDeque<u8>>>,
}

impl Diagnostics {
    /// Adds bytes, forgetting the oldest past the bound.
    pub fn push(&self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(DIAGNOSTICS_BYTES_MAX)..];
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let excess = (kept.len() + bytes.len()).saturating_sub(DIAGNOSTICS_BYTES_MAX);
        kept.drain(..excess);
        kept.extend(bytes);
    }

    /// What is kept, as text with what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnostics_keep_the_end_within_the_bound() {
        let diagnostics = Diagnostics::default();
        diagnostics.push(&vec![b'a'; DIAGNOSTICS_BYTES_MAX - 1]);
        diagnostics.push(b"bcd");
        let text = diagnostics.text();
        assert_eq!(text.len(), DIAGNOSTICS_BYTES_MAX);
        assert!(text.ends_with("abcd"));
        diagnostics.push(&vec![b'z'; 3 * DIAGNOSTICS_BYTES_MAX]);
        assert_eq!(diagnostics.text(), "z".repeat(DIAGNOSTICS_BYTES_MAX));
    }
}
