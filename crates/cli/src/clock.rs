//! The one place that asks what time it is; what is shown gets it handed in.

use jiff::Timestamp;

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the command line's clock; the core's is not reachable from here"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
