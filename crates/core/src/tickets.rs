//! One-use tickets for streams.
//!
//! A browser cannot put a header on a WebSocket, and a token in an address ends up in logs and histories. So a caller that
//! has shown its token asks for a ticket, which names one stream, is good once and for ten seconds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;
use wire::stream::StreamTarget;

/// How long a ticket is good.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// How many may be open at once; the oldest goes first.
const OPEN_MAX: usize = 256;
/// Random bytes in a ticket.
const TICKET_BYTES: usize = 24;

/// The tickets that were given out and not yet used.
#[derive(Default)]
pub(crate) struct Tickets {
    // A std mutex: held for a map operation, never over an await.
    open: Mutex<HashMap<String, (Instant, StreamTarget)>>,
}

impl Tickets {
    /// A ticket for that stream; `None` where the system has no randomness.
    pub(crate) fn issue(&self, target: StreamTarget) -> Option<String> {
        let mut bytes = [0; TICKET_BYTES];
        getrandom::fill(&mut bytes).ok()?;
        let ticket = URL_SAFE_NO_PAD.encode(bytes);
        let now = Instant::now();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, (issued, _)| now.duration_since(*issued) <= GOOD_FOR);
        while open.len() >= OPEN_MAX {
            let oldest = open.iter().min_by_key(|(_, (issued, _))| *issued).map(|(ticket, _)| ticket.clone());
            match oldest {
                Some(oldest) => open.remove(&oldest),
                None => break,
            };
        }
        open.insert(ticket.clone(), (now, target));
        Some(ticket)
    }

    /// What a ticket is for. It is used up by asking.
    pub(crate) fn redeem(&self, ticket: &str) -> Option<StreamTarget> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (issued, target) = open.remove(ticket)?;
        (issued.elapsed() <= GOOD_FOR).then_some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_once_and_for_ten_seconds() {
        let tickets = Tickets::default();
        let ticket = tickets.issue(StreamTarget::Updates).unwrap();
        assert_eq!(tickets.redeem(&ticket), Some(StreamTarget::Updates));
        assert_eq!(tickets.redeem(&ticket), None);

        let late = tickets.issue(StreamTarget::Updates).unwrap();
        tokio::time::advance(GOOD_FOR + Duration::from_millis(1)).await;
        assert_eq!(tickets.redeem(&late), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_ticket_goes_when_there_are_too_many() {
        let tickets = Tickets::default();
        let first = tickets.issue(StreamTarget::Updates).unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        for _ in 0..OPEN_MAX {
            tickets.issue(StreamTarget::Updates).unwrap();
        }
        assert_eq!(tickets.redeem(&first), None);
    }
}
