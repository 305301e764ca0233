//! Why a request goes no further, wherever it was on its way.

use hyper::{Response, StatusCode};

use crate::denied::Denied;
use crate::ledger::{Outcome, Stopped};
use crate::open::Open;
use crate::passage::{Asked, Passage};
use crate::respond::{self, Body};
use crate::upstream::UpstreamError;

/// Why a request goes no further.
pub(crate) enum Stop {
    /// It may not: to be told to the ledger.
    Denied(Denied),
    /// The ledger said so.
    Ledger(Stopped),
    /// It could not be sent, and nothing was begun.
    Unreached(UpstreamError),
    /// It failed after it was begun; the ledger knows.
    Failed { status: StatusCode, reason: String },
}

impl Stop {
    /// What failed after a request was begun.
    pub(crate) fn failed(mut open: Open, error: &UpstreamError) -> Self {
        let (status, reason) = (error.status(), respond::chain(error));
        open.answered(status.as_u16());
        open.fail(reason.clone(), error.may_have_been_sent());
        Self::Failed { status, reason }
    }

    /// What is not sent after all, although it was begun.
    pub(crate) fn withdrawn(mut open: Open, denied: &Denied) -> Self {
        let (status, reason) = (denied.status(), denied.to_string());
        open.answered(status.as_u16());
        open.end(Outcome::Refused { why: reason.clone() }, None);
        Self::Failed { status, reason }
    }

    /// Tells the ledger what it does not know, and returns what to tell the client.
    pub(crate) fn told(self, passage: &Passage, asked: &Asked) -> (StatusCode, String) {
        match self {
            Self::Denied(denied) => {
                let told = (denied.status(), denied.to_string());
                passage.refused(asked, denied);
                told
            }
            Self::Ledger(stopped) => (stopped.status(), stopped.to_string()),
            Self::Unreached(error) => {
                let told = (error.status(), respond::chain(&error));
                passage.refused(asked, Denied::Unreached(told.1.clone()));
                told
            }
            Self::Failed { status, reason } => (status, reason),
        }
    }

    pub(crate) fn respond(self, passage: &Passage, asked: &Asked) -> Response<Body> {
        let (status, reason) = self.told(passage, asked);
        respond::plain(status, &reason)
    }
}

impl From<Denied> for Stop {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<Stopped> for Stop {
    fn from(stopped: Stopped) -> Self {
        Self::Ledger(stopped)
    }
}

impl From<UpstreamError> for Stop {
    fn from(error: UpstreamError) -> Self {
        if let UpstreamError::Refused(refusal) = error {
            return Self::Denied(Denied::Policy(refusal));
        }
        Self::Unreached(error)
    }
}
