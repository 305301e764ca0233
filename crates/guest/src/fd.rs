//! A descriptor that is read and written without waiting: pipes, terminals and sockets alike.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::spawn;

/// Room in a pipe towards the host, in bytes; the kernel gives 64 KiB unasked.
const PIPE_BYTES: i32 = 256 * 1024;

/// One descriptor on the runtime.
#[derive(Debug)]
pub(crate) struct Fd {
    inner: AsyncFd<OwnedFd>,
}

/// What a read that does not wait brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// Nothing ever again.
    End,
}

impl Fd {
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
        fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self { inner: spawn::register(fd)? })
    }

    /// Asks for a pipe that holds a frame and more, so that its reader is woken less often. Where it is none, or its owner has had
    /// enough, it stays as it is.
    pub(crate) fn widen(&self) {
        let _ = fcntl(self.get(), FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    }

    /// Waits until a read would bring something.
    ///
    /// # Cancel safety
    /// Yes.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.inner.readable().await.map(|mut guard| guard.retain_ready())
    }

    /// Reads without waiting. A terminal whose last process has gone says EIO: that is its end.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<Got> {
        classify(
            self.inner.try_io(tokio::io::Interest::READABLE, |fd| {
                nix::unistd::read(fd.as_fd(), buffer).map_err(io::Error::from)
            }),
        )
    }

    /// Reads what is there this very moment, whether or not the runtime has heard of it yet.
    pub(crate) fn read_now(&self, buffer: &mut [u8]) -> io::Result<Got> {
        classify(nix::unistd::read(self.get().as_fd(), buffer).map_err(io::Error::from))
    }

    /// Writes all, waiting for as long as it takes.
    ///
    /// # Cancel safety
    /// A part may have been written.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self
                .inner
                .async_io(tokio::io::Interest::WRITABLE, |fd| {
                    nix::unistd::write(fd.as_fd(), bytes).map_err(io::Error::from)
                })
                .await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    pub(crate) fn get(&self) -> &OwnedFd {
        self.inner.get_ref()
    }
}

fn classify(read: io::Result<usize>) -> io::Result<Got> {
    match read {
        Ok(0) => Ok(Got::End),
        Ok(count) => Ok(Got::Bytes(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(Got::Nothing)
        }
        Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => Ok(Got::End),
        Err(error) => Err(error),
    }
}

impl AsyncRead for Fd {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.inner.poll_read_ready(cx))?;
            let unfilled = buffer.initialize_unfilled();
            match guard.try_io(|fd| nix::unistd::read(fd.as_fd(), unfilled).map_err(io::Error::from)) {
                Ok(Ok(count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Fd {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.inner.poll_write_ready(cx))?;
            match guard.try_io(|fd| nix::unistd::write(fd.as_fd(), bytes).map_err(io::Error::from)) {
                Ok(written) => return Poll::Ready(written),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
