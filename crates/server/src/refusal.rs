//! Everything that is no reply, as a person and a script read it: a status, and an [`ErrorView`] as JSON.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use wire::{ErrorCode, ErrorView};

use crate::{codes::CodeDenied, guard::Denied, token::RandomError};

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    view: ErrorView,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, view: ErrorView) -> Self {
        Self { status, view }
    }

    /// Nobody may call without the token.
    pub(crate) fn unauthorized() -> Self {
        ErrorView::new(ErrorCode::Unauthorized, "This Berth does not know you.")
            .hint("Run `berth open` for a fresh link.")
            .into()
    }

    /// The ticket of a stream was used, is too old, or never was.
    pub(crate) fn ticket() -> Self {
        ErrorView::new(ErrorCode::Unauthorized, "The ticket for this stream is used up or too old.")
            .hint("Ask for another.")
            .into()
    }

    /// As much is going on as there may be.
    pub(crate) fn busy(what: &str) -> Self {
        let view = ErrorView::new(ErrorCode::LimitReached, format!("Too many {what} at once."));
        Self::new(StatusCode::SERVICE_UNAVAILABLE, view.hint("Close some, or try again in a moment."))
    }

    /// The arguments make no sense to HTTP already.
    pub(crate) fn malformed(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, ErrorView::new(ErrorCode::InvalidArgument, message))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.view)).into_response()
    }
}

impl From<ErrorView> for Refusal {
    fn from(view: ErrorView) -> Self {
        Self::new(status(view.code), view)
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let message = match denied {
            Denied::Host => "This server answers only under its own address.",
            Denied::Origin | Denied::CrossSite => "Another site's page may not speak to this server.",
        };
        let view = ErrorView::new(ErrorCode::Unauthorized, message).hint("Open the link that `berth open` prints.");
        Self::new(StatusCode::FORBIDDEN, view)
    }
}

impl From<CodeDenied> for Refusal {
    fn from(denied: CodeDenied) -> Self {
        let (status, message) = match denied {
            CodeDenied::Unknown => (StatusCode::UNAUTHORIZED, "This link was used, is too old, or never was good."),
            CodeDenied::TooManyGuesses => (StatusCode::TOO_MANY_REQUESTS, "Too many wrong links came within a minute."),
        };
        Self::new(status, ErrorView::new(ErrorCode::Unauthorized, message).hint("Run `berth open` for a fresh link."))
    }
}

impl From<RandomError> for Refusal {
    fn from(error: RandomError) -> Self {
        ErrorView::new(ErrorCode::Internal, error.to_string()).into()
    }
}

/// The HTTP status of an error's kind.
fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidArgument => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::NotNow
        | ErrorCode::Rejected
        | ErrorCode::DataFolderInUse
        | ErrorCode::Keyring
        | ErrorCode::Budget => StatusCode::CONFLICT,
        ErrorCode::TaskInvalid | ErrorCode::ImageMissing | ErrorCode::ImageUnusable => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::EngineUnreachable | ErrorCode::EngineTooOld | ErrorCode::EngineFailed => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorCode::DataFolderNewer
        | ErrorCode::Storage
        | ErrorCode::SandboxLost
        | ErrorCode::AgentNotStarted
        | ErrorCode::AgentFailed
        | ErrorCode::LimitReached
        | ErrorCode::GuestBroken
        | ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
