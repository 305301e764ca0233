//! `berth-guest connect`: carries bytes between its own standard streams and the guest's socket.
//!
//! It runs as [`crate::CONNECT_UID`], which is what lets it in. One thread, no blocking pool: it must enter even at the
//! sandbox's limit of processes. It ends when either side ends; a side that never ends is closed by the guest, whose
//! newest connection wins and whose heartbeat misses the others.

use std::error::Error;
use std::io;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream as StdStream};

use pipe::limits::WRITE_BUFFER_BYTES;
use tokio::io::copy_buf;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::fd::Fd;
use crate::{SOCKET_NAME, diagnostic, harden};

/// Buffer of each direction, in bytes: a frame with its header.
const COPY_BYTES: usize = WRITE_BUFFER_BYTES;
const GUEST_PID: i32 = 1;

/// Why a connection cannot be made.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("the guest's socket belongs to process {pid:?}, not to PID 1")]
    Impostor { pid: Option<i32> },
    #[error("cannot reach the guest")]
    Unreachable(#[source] io::Error),
}

/// Carries until either side ends.
pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    diagnostic::never_wait();
    harden::close_memory()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let name = SocketAddr::from_abstract_name(SOCKET_NAME)?;
        let guest = StdStream::connect_addr(&name).map_err(ConnectError::Unreachable)?;
        guest.set_nonblocking(true)?;
        let guest = UnixStream::from_std(guest)?;
        let pid = guest.peer_cred()?.pid();
        if pid != Some(GUEST_PID) {
            return Err(ConnectError::Impostor { pid }.into());
        }
        let (reader, mut writer) = guest.into_split();
        let input = Fd::new(io::stdin().as_fd().try_clone_to_owned()?)?;
        let mut output = Fd::new(io::stdout().as_fd().try_clone_to_owned()?)?;
        output.widen();
        let inward = async {
            copy_buf(&mut BufReader::with_capacity(COPY_BYTES, input), &mut writer).await?;
            writer.shutdown().await
        };
        let outward =
            async { copy_buf(&mut BufReader::with_capacity(COPY_BYTES, reader), &mut output).await.map(drop) };
        let carried = tokio::select! {
            carried = inward => carried,
            carried = outward => carried,
        };
        carried.map_err(Into::into)
    })
}
