//! How long and how much.

use std::time::Duration;

/// The longest head of a request; hyper answers 431 to a longer one.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// The most header fields in a request or reply.
pub const HEADERS_MAX: usize = 128;
/// The largest request to a model: such requests are read whole, since what they may cost is reserved before they are sent.
pub const BODY_BYTES_MAX: usize = 32 << 20;

/// Bounds that a test shortens. The defaults are the product's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long a request's head may take, and how long a connection may idle between two requests.
    pub head_time_max: Duration,
    /// How long a request to a model may take to arrive whole.
    pub body_time_max: Duration,
    /// How long a name may take to resolve.
    pub resolve_time_max: Duration,
    /// How long a connection may take to an address, and then TLS on it.
    pub connect_time_max: Duration,
    /// How long a program may take to open TLS in a tunnel: from its first byte, on port 443 from the tunnel's beginning.
    pub hello_time_max: Duration,
    /// How long a host may take until its reply begins. Models that answer whole take minutes.
    pub reply_time_max: Duration,
    /// How long a reply may pause.
    pub silence_time_max: Duration,
    /// How long a connection of a program inside may go without a byte in either direction, tunnels included.
    pub idle_time_max: Duration,
    /// How many requests of one sandbox may be open at once, tunnels included; more get 503 at once.
    pub open_requests_max: usize,
    /// How many bytes of requests to models may be held for one sandbox at once.
    pub held_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            head_time_max: Duration::from_secs(30),
            body_time_max: Duration::from_mins(5),
            resolve_time_max: Duration::from_secs(10),
            connect_time_max: Duration::from_secs(10),
            hello_time_max: Duration::from_secs(30),
            reply_time_max: Duration::from_mins(15),
            silence_time_max: Duration::from_mins(10),
            idle_time_max: Duration::from_hours(1),
            open_requests_max: 256,
            held_bytes_max: 4 * BODY_BYTES_MAX,
        }
    }
}
