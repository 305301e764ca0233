//! Why a pipe, or one stream of it, is of no more use.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::message::ProtocolRange;

/// Why a pipe, or one stream of it, is of no more use. Cheap to clone: everyone who waits on a pipe gets the reason.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PipeError {
    /// Reading or writing the byte stream below failed.
    #[error("the connection to the guest failed")]
    Io(#[source] Arc<io::Error>),
    /// The multiplexing was violated or hit one of its bounds.
    #[error("the multiplexed connection broke: {reason}")]
    Multiplex {
        /// What yamux said.
        reason: String,
    },
    /// This end closed the pipe.
    #[error("the pipe was closed by this end")]
    Closed,
    /// The other end closed the pipe: the guest ended, or a newer connection took its place.
    #[error("the pipe was closed by the other end")]
    PeerClosed,
    /// Nothing was received for so long that the other end counts as gone.
    #[error("nothing was received for {} s", after.as_secs())]
    Silent {
        /// The bound that passed.
        after: Duration,
    },
    /// The two ends have no protocol in common.
    #[error("no protocol in common: this end speaks {ours}, the other {theirs}")]
    Protocol {
        /// What this end speaks.
        ours: ProtocolRange,
        /// What the other end said that it speaks.
        theirs: ProtocolRange,
    },
    /// A frame announced more bytes than are allowed.
    #[error("a frame is longer than {bytes_max} bytes")]
    FrameTooLong {
        /// The bound.
        bytes_max: usize,
    },
    /// A frame is not what the protocol says.
    #[error("{what} is malformed")]
    Malformed {
        /// Which frame.
        what: &'static str,
        /// What the parser said.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// The other end said something that cannot be true.
    #[error("the other end broke the protocol: {what}")]
    Violation {
        /// What it said.
        what: &'static str,
    },
    /// The other end sends faster than anything honest would.
    #[error("the other end floods: {what}")]
    Flood {
        /// Of what there was too much.
        what: &'static str,
    },
    /// A stream ended in the middle of something.
    #[error("{what} was cut off")]
    Cut {
        /// What was being read.
        what: &'static str,
    },
    /// The other end did not answer in time.
    #[error("no answer to {what} within {} s", after.as_secs())]
    Timeout {
        /// What was asked.
        what: &'static str,
        /// The bound that passed.
        after: Duration,
    },
}

impl From<io::Error> for PipeError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}
